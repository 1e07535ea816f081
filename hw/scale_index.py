"""Stage that looks up the row of the scale table for every accumulator (SPEC HW-14, SCALE-1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from myhdl import always, always_comb, block, concat

from hw.checks import MAX_DEPTH, require
from hw.elaboration import address_bits, bit, signed, unsigned
from hw.memory import memory
from hw.pointwise import Pointwise, enter, follow_valid, follow_value, leave, operation_of, take
from hw.stage import Images, Memory
from hw.stream import pack_lanes, pad_channels
from refcodec.formats import IntFormat
from refcodec.program.operations import ScaleIndex
from refcodec.program.program import Program

INDEX_FORMAT = IntFormat(6, False)


@block
def first_level(clock, load, select, lane, advance, read, group, value, index, bits, depth):
    """Compare with the middle threshold of the channel (SPEC HW-14).

    group  of the word, while `read`;  value  its lane and  index  the first digit of the result, one cycle later.
    """
    threshold = signed(int(bits))
    thresholds = memory(clock, load, select, lane, advance, read, group, threshold, depth)

    @always_comb
    def compare():
        index.next = value > threshold

    return thresholds, compare


@block
def next_level(clock, load, select, lane, advance, read, group, prefix, value, index, bits, depth):
    """Compare with the threshold in the middle of those that are left (SPEC HW-14).

    prefix  the digits of the result so far, while `read`;  index  one digit more, one cycle later;  the rest as above.
    """
    address = unsigned(len(group) + len(prefix))
    threshold = signed(int(bits))
    known = unsigned(len(prefix))
    above = bit()
    thresholds = memory(clock, load, select, lane, advance, read, address, threshold, depth << len(prefix))

    @always_comb
    def look():
        address.next = concat(group, prefix)

    @always(clock.posedge)
    def keep():
        if advance and read:
            known.next = prefix

    @always_comb
    def compare():
        above.next = value > threshold

    @always_comb
    def extend():
        index.next = concat(known, above)

    return thresholds, look, keep, compare, extend


@block
def threshold_search(clock, load, first_select, lane, advance, reads, groups, value, result, bits, depth):
    """Count the thresholds of a channel below a value: a level of a binary search each cycle (SPEC HW-14, SCALE-1).

    reads  of each level, and one more when the result is complete;  groups  of the word at each level
    value  one cycle after the first of `reads`;  result  one cycle after the last.  One value a cycle.
    """
    levels = len(groups)
    last_read = reads[levels]
    later = [signed(len(value)) for _ in range(levels - 1)]
    indexes = [unsigned(level + 1) for level in range(levels)]
    last_index = indexes[levels - 1]
    group, read, index = groups[0], reads[0], indexes[0]
    values = follow_value(clock, advance, value, later)
    parts = [first_level(clock, load, first_select, lane, advance, read, group, value, index, bits, depth)]
    for level in range(1, levels):
        select = int(first_select + level)
        group, read, prefix, index, held = (
            groups[level],
            reads[level],
            indexes[level - 1],
            indexes[level],
            later[level - 1],
        )
        parts.append(next_level(clock, load, select, lane, advance, read, group, prefix, held, index, bits, depth))

    @always(clock.posedge)
    def finish():
        if advance and last_read:
            result.next = last_index

    return values, parts, finish


@block
def count_below(clock, reset, load, first_select, sources, sink, fault, stage):
    """Count the thresholds of its channel below every lane (SPEC HW-14, SCALE-1)."""
    lanes, depth, levels, bits = stage.lanes, stage.groups, stage.target.bits, stage.threshold_bits
    form = stage.source
    word = sources[0].word
    advance, passes, valid = bit(), bit(), bit()
    stages = [bit() for _ in range(levels)]
    results_valid = stages[levels - 1]
    group = unsigned(address_bits(depth))
    later_groups = [unsigned(address_bits(depth)) for _ in range(levels - 1)]
    operands = [signed(stage.operand_bits) for _ in range(lanes)]
    results = [unsigned(levels) for _ in range(lanes)]
    reads = [passes, valid, *stages[: levels - 1]]
    groups = [group, *later_groups]

    entry = enter(clock, reset, sources, advance, passes, valid, group, fault, depth)
    split = take(clock, passes, word, operands, form)
    follow = follow_valid(clock, reset, advance, valid, stages)
    places = follow_value(clock, advance, group, later_groups)
    searches = []
    for p in range(lanes):
        operand, result = operands[p], results[p]
        searches.append(
            threshold_search(clock, load, first_select, p, advance, reads, groups, operand, result, bits, depth)
        )
    gathering = leave(clock, reset, advance, results_valid, results, sink)
    return entry, split, follow, places, searches, gathering


def threshold_images(thresholds: np.ndarray, lanes: int, form: IntFormat) -> Images:
    """The words of the memory of each level, lane after lane: [channel group][digits of the index so far] (SPEC HW-14).

    thresholds  (C, n) that never decrease, the search having the levels that count to n;  form  of the accumulators:
    a threshold beyond its ends counts as the end, and one that is missing is never passed.
    """
    levels = thresholds.shape[1].bit_length()
    missing = (1 << levels) - 1 - thresholds.shape[1]
    limited = np.clip(thresholds, form.lo - 1, form.hi)
    full = pad_channels(np.pad(limited, ((0, 0), (0, missing)), constant_values=form.hi), lanes)
    by_lane = full.reshape(-1, lanes, full.shape[1]).swapaxes(0, 1)
    images = {}
    for level in range(levels):
        first, step = (1 << levels - 1 - level) - 1, 1 << levels - level
        values = by_lane[:, :, first::step].ravel().tolist()
        images[f"threshold_{level}"] = [pack_lanes([value], form.bits + 1) for value in values]
    return images


@dataclass(frozen=True, slots=True)
class ScaleIndexStage(Pointwise):
    """Parameter set of a scale index (SPEC HW-14).

    source  the accumulators;  target  u6.  Raises HardwareError RC-HW-CONFIG.
    """

    clauses: ClassVar[tuple[str, ...]] = ("SCALE-1",)

    def __post_init__(self) -> None:
        Pointwise.__post_init__(self)
        require(self.target == INDEX_FORMAT, f"scale indexes are {INDEX_FORMAT}, got {self.target}")
        self.check_depth()

    def check_depth(self) -> None:
        """Raise HardwareError RC-HW-CONFIG where the last level, which holds half of the thresholds, is too large."""
        depth = self.groups << self.target.bits - 1
        require(depth <= MAX_DEPTH, f"thresholds of {self.groups} groups exceed {MAX_DEPTH} words")

    @classmethod
    def of(cls, program: Program, name: str, height: int, width: int, lanes: int) -> tuple[ScaleIndexStage, Images]:
        """The stage of one operation on a height x width tensor, and its memories (SPEC HW-14).

        Raises HardwareError, ModelError.
        """
        operation = operation_of(program, name, ScaleIndex)
        source, target = program.tensor(operation.source), program.tensor(operation.target)
        stage = cls(source.channels, height, width, lanes, source.format, target.format)
        return stage, threshold_images(operation.thresholds, lanes, source.format)

    @property
    def block(self) -> Callable[..., Any]:
        """The stage."""
        return count_below

    @property
    def title(self) -> str:
        """One line for people."""
        return f"Scale indexes of {self.shape_text} from {self.source}"

    @property
    def threshold_bits(self) -> int:
        """Signed bits of a threshold: one below the lowest accumulator fits."""
        return self.source.bits + 1

    @property
    def unit_latency(self) -> int:
        """One cycle for each level."""
        return self.target.bits

    @property
    def memories(self) -> dict[str, Memory]:
        """The thresholds of each level of the search."""
        return {
            f"threshold_{level}": Memory(self.threshold_bits, self.groups << level, self.lanes)
            for level in range(self.target.bits)
        }
