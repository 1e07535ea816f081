"""The outermost module around a stage: plain ports, one or two sources (SPEC HW-8)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from myhdl import block

from hw.checks import MAX_BUILT_DEPTH, require
from hw.elaboration import address_bits, bit, unsigned
from hw.memory import LoadPort
from hw.stage import Stage
from hw.stream import Stream

FAULT_BITS = 4


@dataclass(frozen=True, slots=True)
class Widths:
    """Bits of the load port's fields, at least one each."""

    select: int
    lane: int
    address: int
    data: int

    @classmethod
    def of(cls, stage: Stage) -> Widths:
        """Wide enough for every memory of the stage."""
        memories = list(stage.memories.values())
        return cls(
            address_bits(len(memories)),
            address_bits(max((memory.lanes for memory in memories), default=1)),
            max((memory.address_bits for memory in memories), default=1),
            max((memory.bits for memory in memories), default=1),
        )


@dataclass(slots=True)
class Ports:
    """The ports of a stage as MyHDL signals (SPEC HW-8).  Raises HardwareError RC-HW-CONFIG for memories too deep."""

    stage: Stage
    clock: Any = field(default_factory=bit)
    reset: Any = field(default_factory=bit)
    fault: Any = field(default_factory=lambda: unsigned(FAULT_BITS))
    load: LoadPort = field(init=False)
    sources: tuple[Stream, ...] = field(init=False)
    sink: Stream = field(init=False)

    def __post_init__(self) -> None:
        for name, memory in (*self.stage.memories.items(), *self.stage.buffers.items()):
            words = memory.depth
            require(words <= MAX_BUILT_DEPTH, f"the {name} memory has {words} words, {MAX_BUILT_DEPTH} are built")
        widths = Widths.of(self.stage)
        fields = (unsigned(n) for n in (widths.select, widths.lane, widths.address, widths.data))
        self.load = LoadPort(bit(), *fields)
        self.sources = tuple(Stream.of(source.bits) for source in self.stage.sources)
        self.sink = Stream.of(self.stage.sink.bits)


@block
def with_source(
    clock, reset, load_valid, load_select, load_lane, load_address, load_data,
    source_valid, source_ready, source_word, sink_valid, sink_ready, sink_word, fault, stage,
):  # fmt: skip
    """A stage of one source, by the port names that the emitted HDL gives it (SPEC HW-8)."""
    load = LoadPort(load_valid, load_select, load_lane, load_address, load_data)
    sources = (Stream(source_valid, source_ready, source_word),)
    sink = Stream(sink_valid, sink_ready, sink_word)
    return stage.block(clock, reset, load, 0, sources, sink, fault, stage)


@block
def with_sources(
    clock, reset, load_valid, load_select, load_lane, load_address, load_data,
    source_valid, source_ready, source_word, other_valid, other_ready, other_word,
    sink_valid, sink_ready, sink_word, fault, stage,
):  # fmt: skip
    """A stage of two sources (SPEC HW-8)."""
    load = LoadPort(load_valid, load_select, load_lane, load_address, load_data)
    sources = (Stream(source_valid, source_ready, source_word), Stream(other_valid, other_ready, other_word))
    sink = Stream(sink_valid, sink_ready, sink_word)
    return stage.block(clock, reset, load, 0, sources, sink, fault, stage)


SOURCE_NAMES = ("source", "other")


def top(ports: Ports) -> Any:
    """The module around the stage of these ports, to convert (SPEC HW-7)."""
    load, sink = ports.load, ports.sink
    fields = (load.valid, load.select, load.lane, load.address, load.data)
    streams = [signal for s in ports.sources for signal in (s.valid, s.ready, s.word)]
    around = with_source if len(ports.sources) == 1 else with_sources
    return around(
        ports.clock, ports.reset, *fields, *streams, sink.valid, sink.ready, sink.word, ports.fault, ports.stage
    )
