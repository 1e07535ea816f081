"""Stage that turns every accumulator into a sample, by thresholds (SPEC HW-19, HEAD-1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from myhdl import block

from hw.checks import MAX_DEPTH, require
from hw.elaboration import address_bits, bit, signed, unsigned
from hw.pointwise import Pointwise, enter, follow_valid, follow_value, leave, operation_of, take
from hw.scale_index import threshold_search
from hw.stage import Images, Memory
from hw.stream import pack_lanes, pad_channels
from refcodec.formats import IntFormat
from refcodec.program.operations import ThresholdHead
from refcodec.program.program import Program

MAX_LEVELS = 16


@block
def threshold_head_stage(clock, reset, load, first_select, sources, sink, fault, stage):
    """Count the thresholds of its channel below every lane, a level of the search each cycle (SPEC HW-19, HEAD-1)."""
    lanes, depth, levels, bits = stage.lanes, stage.groups, stage.target.bits, stage.threshold_bits
    form = stage.source
    word = sources[0].word
    advance, passes, valid = bit(), bit(), bit()
    stages = [bit() for _ in range(levels)]
    results_valid = stages[levels - 1]
    group = unsigned(address_bits(depth))
    later_groups = [unsigned(address_bits(depth)) for _ in range(levels - 1)]
    operands = [signed(stage.operand_bits) for _ in range(lanes)]
    samples = [unsigned(levels) for _ in range(lanes)]
    reads = [passes, valid, *stages[: levels - 1]]
    groups = [group, *later_groups]

    entry = enter(clock, reset, sources, advance, passes, valid, group, fault, depth)
    split = take(clock, passes, word, operands, form)
    follow = follow_valid(clock, reset, advance, valid, stages)
    places = follow_value(clock, advance, group, later_groups)
    searches = []
    for p in range(lanes):
        operand, sample = operands[p], samples[p]
        searches.append(
            threshold_search(clock, load, first_select, p, advance, reads, groups, operand, sample, bits, depth)
        )
    gathering = leave(clock, reset, advance, results_valid, samples, sink)
    return entry, split, follow, places, searches, gathering


def level_images(thresholds: np.ndarray, lanes: int, form: IntFormat) -> Images:
    """The words of the memory of each level, lane after lane: [group][digits of the sample so far] (SPEC HW-19).

    thresholds  (C, n) that never decrease, n below 2**levels;  form  of the accumulators: a threshold beyond its ends
    counts as the end, and those that are missing are never passed.
    """
    levels = thresholds.shape[1].bit_length()
    missing = (1 << levels) - 1 - thresholds.shape[1]
    limited = np.clip(thresholds.astype(np.int64), form.lo - 1, form.hi)
    full = np.pad(limited, ((0, 0), (0, missing)), constant_values=form.hi)
    by_lane = pad_channels(full, lanes).reshape(-1, lanes, full.shape[1]).swapaxes(0, 1)
    images = {}
    for level in range(levels):
        first, step = (1 << (levels - 1 - level)) - 1, 1 << (levels - level)
        values = by_lane[:, :, first::step].ravel().tolist()
        images[f"threshold_{level}"] = [pack_lanes([value], form.bits + 1) for value in values]
    return images


@dataclass(frozen=True, slots=True)
class ThresholdHeadStage(Pointwise):
    """Parameter set of a threshold head (SPEC HW-19).

    source  the accumulators;  target  unsigned, 2..16 bits: of one fewer thresholds than it has values.
    Raises HardwareError RC-HW-CONFIG.
    """

    clauses: ClassVar[tuple[str, ...]] = ("HEAD-1",)

    def __post_init__(self) -> None:
        Pointwise.__post_init__(self)
        levels = self.target.bits
        require(not self.target.signed and 2 <= levels <= MAX_LEVELS, f"samples are u2..u16, got {self.target}")
        depth = self.groups << (levels - 1)
        require(depth <= MAX_DEPTH, f"the last level needs {depth} words, {MAX_DEPTH} is the limit")

    @classmethod
    def of(cls, program: Program, name: str, height: int, width: int, lanes: int) -> tuple[ThresholdHeadStage, Images]:
        """The stage of one operation on a height x width tensor, and its memories (SPEC HW-19).

        Raises HardwareError, ModelError.
        """
        operation = operation_of(program, name, ThresholdHead)
        source, target = program.tensor(operation.source), program.tensor(operation.target)
        stage = cls(source.channels, height, width, lanes, source.format, target.format)
        return stage, level_images(operation.thresholds, lanes, source.format)

    @property
    def block(self) -> Callable[..., Any]:
        """The stage."""
        return threshold_head_stage

    @property
    def title(self) -> str:
        """One line for people."""
        return f"Threshold head of {self.shape_text} from {self.source} to {self.target}"

    @property
    def threshold_bits(self) -> int:
        """Signed bits of a threshold: one below the lowest accumulator fits."""
        return self.source.bits + 1

    @property
    def unit_latency(self) -> int:
        """One cycle for each level of the search."""
        return self.target.bits

    @property
    def memories(self) -> dict[str, Memory]:
        """The thresholds of each level of the search, twice as many as of the one before."""
        return {
            f"threshold_{level}": Memory(self.threshold_bits, self.groups << level, self.lanes)
            for level in range(self.target.bits)
        }
