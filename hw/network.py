"""Stages that feed each other, as one stage (SPEC HW-23)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from myhdl import always, block

from hw.checks import require
from hw.elaboration import unsigned
from hw.stage import Images, Memory, Schedule, Stage
from hw.stream import Stream, StreamFormat
from hw.top import FAULT_BITS
from hw.transpose import Transpose

# Where a word waits, only those after it wait too, and each is there as soon as the one before has passed.
PATIENT = (Transpose,)
MAX_MEMORIES = 256  # what a line of load.hex can tell apart


@dataclass(frozen=True, slots=True)
class Part:
    """One stage of a network.

    name  of what it computes, distinct;  feeds  for each of its sources the place of the part whose sink it is, or
    -1 - n for source n of the network.
    """

    name: str
    stage: Stage
    feeds: tuple[int, ...]


@block
def pass_fault(clock, reset, earlier, own, fault):
    """Keep the first fault of a part or of those before it, until reset (SPEC HW-23).  Latency one cycle."""

    @always(clock.posedge)
    def watch():
        if reset:
            fault.next = 0
        elif fault == 0:
            if earlier == 0:
                fault.next = own
            else:
                fault.next = earlier

    return watch


@block
def network(clock, reset, load, first_select, sources, sink, fault, stage):
    """Every part, its sink feeding the part that names it (SPEC HW-23)."""
    parts = stage.parts
    last = len(parts) - 1
    streams = [sink if place == last else Stream.of(part.stage.sink.bits) for place, part in enumerate(parts)]
    units, faults = [], []
    earlier = None
    for place, part in enumerate(parts):
        inner, own_sink, own_fault = part.stage, streams[place], unsigned(FAULT_BITS)
        until_here = fault if place == last else unsigned(FAULT_BITS)
        select = int(first_select + stage.selects[place])
        feeds = tuple(streams[feed] if feed >= 0 else sources[-1 - feed] for feed in part.feeds)
        units.append(inner.block(clock, reset, load, select, feeds, own_sink, own_fault, inner))
        if place == 0:
            faults.append(pass_fault(clock, reset, own_fault, own_fault, until_here))
        else:
            faults.append(pass_fault(clock, reset, earlier, own_fault, until_here))
        earlier = until_here
    return units, faults


@dataclass(frozen=True, slots=True)
class Network:
    """Parameter set of a network (SPEC HW-23).

    parts  in an order in which each is fed by earlier ones or by the network's sources; the last one's sink is the
    network's;  takes  the network's sources.
    Raises HardwareError RC-HW-CONFIG for streams that do not fit each other or feed several parts.
    """

    title: str
    takes: tuple[StreamFormat, ...]
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        used: list[int] = []
        for place, part in enumerate(self.parts):
            for feed, wanted in zip(part.feeds, part.stage.sources, strict=True):
                require(feed < place, f"{part.name} is fed by a later part")
                form = self.parts[feed].stage.sink if feed >= 0 else self.takes[-1 - feed]
                require(
                    (form.words, form.bits, form.lanes) == (wanted.words, wanted.bits, wanted.lanes),
                    f"{part.name} takes {wanted}, and is fed {form}",
                )
                used.append(feed)
        wanted_feeds = [*range(-len(self.takes), 0), *range(len(self.parts) - 1)]
        require(sorted(used) == wanted_feeds, "every stream must feed one part")
        require(len(self.memories) <= MAX_MEMORIES, f"{len(self.memories)} memories, {MAX_MEMORIES} is the limit")

    @property
    def block(self) -> Callable[..., Any]:
        """The network."""
        return network

    @property
    def selects(self) -> tuple[int, ...]:
        """Of each part, the first of its memories among the network's."""
        found, total = [], 0
        for part in self.parts:
            found.append(total)
            total += len(part.stage.memories)
        return tuple(found)

    @property
    def clauses(self) -> tuple[str, ...]:
        """Those of its parts, each once."""
        return tuple(dict.fromkeys(clause for part in self.parts for clause in part.stage.clauses))

    @property
    def sources(self) -> tuple[StreamFormat, ...]:
        """What the parts take that no other part gives."""
        return self.takes

    @property
    def sink(self) -> StreamFormat:
        """What the last part gives."""
        return self.parts[-1].stage.sink

    @property
    def memories(self) -> dict[str, Memory]:
        """Those of all parts, `part/memory`."""
        return {f"{part.name}/{name}": memory for part in self.parts for name, memory in part.stage.memories.items()}

    @property
    def buffers(self) -> dict[str, Memory]:
        """Those of all parts, `part/buffer`."""
        return {f"{part.name}/{name}": memory for part in self.parts for name, memory in part.stage.buffers.items()}

    @property
    def macs(self) -> int:
        """Of all parts."""
        return sum(part.stage.macs for part in self.parts)

    @property
    def multipliers(self) -> int:
        """Of all parts."""
        return sum(part.stage.multipliers for part in self.parts)

    def schedule(self, offered: Sequence[Sequence[int]]) -> Schedule:
        """Part after part (SPEC HW-6).

        Raises HardwareError RC-HW-CONFIG where a part could not take what another gives as fast as it comes.
        """
        given: list[Sequence[int]] = []
        taken: list[tuple[int, ...]] = [()] * len(self.takes)
        for part in self.parts:
            found = part.stage.schedule([given[feed] if feed >= 0 else offered[-1 - feed] for feed in part.feeds])
            for feed, accepted in zip(part.feeds, found.accepted, strict=True):
                if feed < 0:
                    taken[-1 - feed] = accepted
                else:
                    giver = self.parts[feed]
                    slow = f"{part.name} is slower than {giver.name}, which feeds it; give it more lanes"
                    require(isinstance(giver.stage, PATIENT) or tuple(given[feed]) == accepted, slow)
            given.append(found.offered)
        return Schedule(tuple(taken), tuple(given[-1]))

    def describe(self) -> Mapping[str, object]:
        """Plain values of every part for a manifest."""
        return {
            part.name: {"feeds": list(part.feeds), "clauses": list(part.stage.clauses), **part.stage.describe()}
            for part in self.parts
        }


def joined_images(parts: Sequence[Part], images: Sequence[Images]) -> Images:
    """The words of a network's memories, from those of its parts (SPEC HW-23)."""
    return {f"{part.name}/{name}": own[name] for part, own in zip(parts, images, strict=True) for name in own}
