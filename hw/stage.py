"""What every unit with streams states about itself: sizes, memories, timing (SPEC HW-8)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

from hw.elaboration import address_bits
from hw.stream import StreamFormat
from refcodec.formats import IntFormat

Images = Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Memory:
    """One kind of memory of a stage, filled through the load port (SPEC HW-8).

    bits  of a word;  depth  words;  lanes  copies, which differ in contents.
    """

    bits: int
    depth: int
    lanes: int

    @property
    def words(self) -> int:
        """Words of all copies."""
        return self.depth * self.lanes

    @property
    def address_bits(self) -> int:
        """Width of an address, at least one bit."""
        return address_bits(self.depth)


@dataclass(frozen=True, slots=True)
class Schedule:
    """At which clock edges the words of a stage pass when its sink is always ready (SPEC HW-6).

    accepted  edge of every word of every source;  offered  edge that passes each word of the sink.
    """

    accepted: tuple[tuple[int, ...], ...]
    offered: tuple[int, ...]


class Stage(Protocol):
    """The parameter set of a unit that turns one or two streams into another (SPEC HW-8).

    A stage takes one tensor from each source, gives one tensor, and then takes the next. Implementations are frozen
    dataclasses that refuse in `__post_init__` what cannot be built, with HardwareError RC-HW-CONFIG.
    """

    @property
    def block(self) -> Callable[..., Any]:
        """The MyHDL block: block(clock, reset, load, first_select, sources, sink, fault, stage).

        load  LoadPort;  first_select  what `load.select` is for the first of `memories`, the others follow
        sources  tuple of Stream;  sink  Stream;  fault  unsigned 4 bits that the stage drives: 0, or what went wrong
        stage  the parameter set itself.
        """

    @property
    def title(self) -> str:
        """One line for people."""

    @property
    def clauses(self) -> tuple[str, ...]:
        """The clauses of the golden operations that it computes."""

    @property
    def sources(self) -> tuple[StreamFormat, ...]:
        """What it takes."""

    @property
    def sink(self) -> StreamFormat:
        """What it gives."""

    @property
    def memories(self) -> Mapping[str, Memory]:
        """What the load port fills, by name, in the order of `load.select`."""

    @property
    def buffers(self) -> Mapping[str, Memory]:
        """What it keeps for itself and nobody loads, by name."""

    @property
    def macs(self) -> int:
        """Multiplications of one tensor that the golden operation needs, 0 for a stage without a MAC array."""

    @property
    def multipliers(self) -> int:
        """Multipliers of its MAC array, 0 without one."""

    def schedule(self, offered: Sequence[Sequence[int]]) -> Schedule:
        """When words pass, for one tensor, from the edges at which the words of each source are there to be taken."""

    def describe(self) -> Mapping[str, object]:
        """Plain values for a manifest."""


def plain(stage: object) -> dict[str, object]:
    """The fields of a parameter set for a manifest, formats by their names (SPEC HW-7)."""
    found: dict[str, object] = {}
    for field in fields(stage):  # type: ignore[arg-type]
        value = getattr(stage, field.name)
        found[field.name] = str(value) if isinstance(value, IntFormat) else value
    return found


def loads(stage: Stage, images: Images, first_select: int = 0) -> Iterator[tuple[int, int, int, int]]:
    """(select, lane, address, word) of all that fills a stage's memories (SPEC HW-8).

    images  the words of each memory by name, lane after lane, each lane's depth words, in two's complement.
    """
    for select, (name, memory) in enumerate(stage.memories.items(), first_select):
        for position, word in enumerate(images[name]):
            yield select, position // memory.depth, position % memory.depth, word


def back_to_back(words: int) -> list[int]:
    """A source that offers a word at every edge: how a run alone is timed (SPEC HW-6)."""
    return list(range(words))


def cycles(stage: Stage) -> int:
    """Edges from the one that passes the first word of the sources to the one that passes the last of the sink.

    Every source offers a word at each edge and the sink is always ready (SPEC HW-6).
    """
    return stage.schedule([back_to_back(source.words) for source in stage.sources]).offered[-1]
