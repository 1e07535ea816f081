"""Stages that look a value up in a table, directly or between nodes (SPEC HW-18, TAB-1, TAB-2).

A memory begins with the entry of 0 and ends with that of -1 where the source is signed: the pattern of a value is its
address, whatever its sign.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from myhdl import always, always_comb, block, instance, intbv

from hw.checks import require
from hw.elaboration import address_bits, bit, bus, limits, signed, unsigned
from hw.memory import memory
from hw.pointwise import Pointwise, enter, follow_valid, follow_value, leave, operation_of, take
from hw.stage import Images, Memory
from hw.stream import pack_lanes
from refcodec.formats import IntFormat
from refcodec.program.operations import InterpolatedTable, Table
from refcodec.program.program import Program

MAX_SOURCE_BITS = 16
MAX_ENTRY_BITS = 32
RISE, PRODUCT, ROUNDED, POINT = range(4)  # what each cycle after that of the memory computes
INTERPOLATION_STAGES = 5


def by_pattern(entries: Sequence[int], source: IntFormat) -> list[int]:
    """Entries from the smallest value on, reordered to begin with that of 0 (SPEC HW-18)."""
    below_zero = len(entries) // 2 if source.signed else 0
    return [*entries[below_zero:], *entries[:below_zero]]


@block
def table_stage(clock, reset, load, first_select, sources, sink, fault, stage):
    """Replace every lane by its entry of the table (SPEC HW-18, TAB-1)."""
    lanes, groups, depth = stage.lanes, stage.groups, stage.memories["table"].depth
    pattern_format = stage.pattern
    word = sources[0].word
    advance, passes, valid = bit(), bit(), bit()
    stages = [bit()]
    results_valid = stages[0]
    group = unsigned(address_bits(groups))
    patterns = [unsigned(stage.source.bits) for _ in range(lanes)]
    results = [bus(stage.target) for _ in range(lanes)]

    entry = enter(clock, reset, sources, advance, passes, valid, group, fault, groups)
    split = take(clock, passes, word, patterns, pattern_format)
    tables = []
    for p in range(lanes):
        pattern, result = patterns[p], results[p]
        tables.append(memory(clock, load, first_select, p, advance, valid, pattern, result, depth))
    follow = follow_valid(clock, reset, advance, valid, stages)
    gathering = leave(clock, reset, advance, results_valid, results, sink)
    return entry, split, tables, follow, gathering


@block
def find_segment(clock, advance, valid, pattern, segment, part, spacing):
    """The line segment that a value lies on, at once, and how far along it, one cycle later (SPEC HW-18)."""
    bits = len(pattern)
    spacing = int(spacing)

    @always_comb
    def find():
        segment.next = pattern[bits:spacing]

    @always(clock.posedge)
    def follow():
        if advance and valid:
            part.next = pattern[spacing:]

    return find, follow


@block
def subtract_nodes(clock, advance, valid, pair, node, rise, entry_format):
    """Split a word of two nodes into the first, and what the second has more (SPEC HW-18).  Latency one cycle."""
    bits = int(entry_format.bits)
    both = 2 * bits
    lo, hi = limits(bits + 1)

    if entry_format.signed:

        @instance
        def subtract():
            first = intbv(0, min=lo, max=hi)
            second = intbv(0, min=lo, max=hi)
            while True:
                yield clock.posedge
                if advance and valid:
                    first[:] = pair[bits:].signed()
                    second[:] = pair[both:bits].signed()
                    node.next = first
                    rise.next = second - first

    else:

        @instance
        def subtract():
            first = intbv(0, min=lo, max=hi)
            second = intbv(0, min=lo, max=hi)
            while True:
                yield clock.posedge
                if advance and valid:
                    first[:] = pair[bits:]
                    second[:] = pair[both:bits]
                    node.next = first
                    rise.next = second - first

    return subtract


@block
def add_offset(clock, advance, valid, node, rounded, point, spacing):
    """The node plus the floor of rounded / 2**spacing, which lies in the entries' format (SPEC HW-18).

    Latency one cycle.
    """
    bits = len(point)
    spacing = int(spacing)
    lo, hi = limits(len(rounded))

    if point.min < 0:

        @instance
        def add():
            total = intbv(0, min=lo, max=hi)
            while True:
                yield clock.posedge
                if advance and valid:
                    total[:] = rounded >> spacing
                    total[:] = total + node
                    point.next = total[bits:].signed()

    else:

        @instance
        def add():
            total = intbv(0, min=lo, max=hi)
            while True:
                yield clock.posedge
                if advance and valid:
                    total[:] = rounded >> spacing
                    total[:] = total + node
                    point.next = total[bits:]

    return add


@block
def interpolate(clock, advance, stages, pair, part, point, entry_format, spacing):
    """The point of a line between two nodes (SPEC HW-18, TAB-2).

    pair  the nodes, the first in the lower bits;  part  0 .. 2**spacing - 1 of the way;  both with stages[0]
    stages  list of `valid`, one for each of the four cycles.
    Latency four cycles with `advance`: rise, product, rounding, sum.
    """
    entry_bits = int(entry_format.bits + 1)
    wide_bits = int(entry_bits + spacing + 1)
    half = int(1 << (spacing - 1))
    part_lo, part_hi = limits(int(spacing + 1))
    product_valid, rounded_valid = stages[PRODUCT], stages[ROUNDED]
    node, rise = signed(entry_bits), signed(entry_bits)
    nodes = [signed(entry_bits) for _ in range(POINT - PRODUCT)]
    rise_part = unsigned(spacing)
    product = signed(wide_bits)
    rounded = signed(wide_bits)
    last_node = nodes[POINT - PRODUCT - 1]

    difference = subtract_nodes(clock, advance, stages[RISE], pair, node, rise, entry_format)
    node_delay = follow_value(clock, advance, node, nodes)
    addition = add_offset(clock, advance, stages[POINT], last_node, rounded, point, spacing)

    @instance
    def multiply():
        factor = intbv(0, min=part_lo, max=part_hi)
        while True:
            yield clock.posedge
            if advance and product_valid:
                factor[:] = rise_part
                product.next = rise * factor

    @always(clock.posedge)
    def add_half():
        if advance and rounded_valid:
            rounded.next = product + half

    @always(clock.posedge)
    def follow():
        if advance:
            rise_part.next = part

    return difference, node_delay, addition, multiply, add_half, follow


@block
def interpolated_table_stage(clock, reset, load, first_select, sources, sink, fault, stage):
    """Replace every lane by a point between the two nodes beside it (SPEC HW-18, TAB-2)."""
    lanes, groups, depth, spacing = stage.lanes, stage.groups, stage.segments, stage.spacing
    pattern_format, entry_format = stage.pattern, stage.target
    pair_bits = stage.memories["nodes"].bits
    word = sources[0].word
    advance, passes, valid = bit(), bit(), bit()
    stages = [bit() for _ in range(INTERPOLATION_STAGES)]
    results_valid = stages[INTERPOLATION_STAGES - 1]
    group = unsigned(address_bits(groups))
    patterns = [unsigned(stage.source.bits) for _ in range(lanes)]
    segments = [unsigned(address_bits(depth)) for _ in range(lanes)]
    parts = [unsigned(spacing) for _ in range(lanes)]
    pairs = [unsigned(pair_bits) for _ in range(lanes)]
    points = [bus(stage.target) for _ in range(lanes)]

    entry = enter(clock, reset, sources, advance, passes, valid, group, fault, groups)
    split = take(clock, passes, word, patterns, pattern_format)
    units = []
    for p in range(lanes):
        pattern, segment, part, pair, point = patterns[p], segments[p], parts[p], pairs[p], points[p]
        units.append(find_segment(clock, advance, valid, pattern, segment, part, spacing))
        units.append(memory(clock, load, first_select, p, advance, valid, segment, pair, depth))
        units.append(interpolate(clock, advance, stages, pair, part, point, entry_format, spacing))
    follow = follow_valid(clock, reset, advance, valid, stages)
    gathering = leave(clock, reset, advance, results_valid, points, sink)
    return entry, split, units, follow, gathering


@dataclass(frozen=True, slots=True)
class TableStage(Pointwise):
    """Parameter set of a direct table (SPEC HW-18).

    source  2..16 bits;  target  1..32 bits.  Raises HardwareError RC-HW-CONFIG.
    """

    clauses: ClassVar[tuple[str, ...]] = ("TAB-1",)

    def __post_init__(self) -> None:
        Pointwise.__post_init__(self)
        require(2 <= self.source.bits <= MAX_SOURCE_BITS, f"tables take 2..16 bits, got {self.source}")
        require(self.target.bits <= MAX_ENTRY_BITS, f"tables hold 1..32 bits, got {self.target}")

    @classmethod
    def of(cls, program: Program, name: str, height: int, width: int, lanes: int) -> tuple[TableStage, Images]:
        """The stage of one operation on a height x width tensor, and its memories (SPEC HW-18).

        Raises HardwareError, ModelError.
        """
        operation = operation_of(program, name, Table)
        source, target = program.tensor(operation.source), program.tensor(operation.target)
        stage = cls(source.channels, height, width, lanes, source.format, target.format)
        entries = by_pattern(operation.table.tolist(), source.format)
        return stage, {"table": [pack_lanes([entry], target.format.bits) for entry in entries] * lanes}

    @property
    def block(self) -> Callable[..., Any]:
        """The stage."""
        return table_stage

    @property
    def title(self) -> str:
        """One line for people."""
        return f"Table of {self.shape_text} from {self.source} to {self.target}"

    @property
    def pattern(self) -> IntFormat:
        """The bits of a value, without a sign."""
        return IntFormat(self.source.bits, False)

    @property
    def unit_latency(self) -> int:
        """Of the memory."""
        return 1

    @property
    def memories(self) -> dict[str, Memory]:
        """The table, a copy for each lane."""
        return {"table": Memory(self.target.bits, 1 << self.source.bits, self.lanes)}


@dataclass(frozen=True, slots=True)
class InterpolatedTableStage(TableStage):
    """Parameter set of an interpolated table (SPEC HW-18).

    spacing  nodes stand 2**spacing apart, 1 .. bits of the source - 1.  Raises HardwareError RC-HW-CONFIG.
    """

    clauses: ClassVar[tuple[str, ...]] = ("TAB-2",)
    spacing: int

    def __post_init__(self) -> None:
        TableStage.__post_init__(self)
        require(1 <= self.spacing < self.source.bits, f"spacing must be 1..{self.source.bits - 1}, got {self.spacing}")

    @classmethod
    def of(
        cls, program: Program, name: str, height: int, width: int, lanes: int
    ) -> tuple[InterpolatedTableStage, Images]:
        """The stage of one operation on a height x width tensor, and its memories (SPEC HW-18).

        Raises HardwareError, ModelError.
        """
        operation = operation_of(program, name, InterpolatedTable)
        source, target = program.tensor(operation.source), program.tensor(operation.target)
        spacing = int(operation.spacing)
        stage = cls(source.channels, height, width, lanes, source.format, target.format, spacing)
        nodes = operation.nodes.tolist()
        pairs = [pack_lanes(pair, target.format.bits) for pair in pairwise(nodes)]
        return stage, {"nodes": by_pattern(pairs, source.format) * lanes}

    @property
    def block(self) -> Callable[..., Any]:
        """The stage."""
        return interpolated_table_stage

    @property
    def title(self) -> str:
        """One line for people."""
        return f"Interpolated table of {self.shape_text} from {self.source} to {self.target}, {self.segments + 1} nodes"

    @property
    def segments(self) -> int:
        """Line segments: one fewer than nodes."""
        return 1 << (self.source.bits - self.spacing)

    @property
    def unit_latency(self) -> int:
        """Of the memory and of the interpolation."""
        return INTERPOLATION_STAGES

    @property
    def memories(self) -> dict[str, Memory]:
        """Both nodes of every segment, a copy for each lane."""
        return {"nodes": Memory(2 * self.target.bits, self.segments, self.lanes)}
