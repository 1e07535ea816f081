"""Stage that requantises with a multiplier of its own for negative values (SPEC HW-16, LEAKY-1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from myhdl import always, block

from hw.convolution import lane_memories
from hw.elaboration import address_bits, bit, bus, signed, unsigned
from hw.layer import channel_image
from hw.pointwise import enter, follow_valid, leave, operation_of, take
from hw.requantise import SHIFT_BITS, STAGES, requantise
from hw.requantise_stage import RequantiseStage
from hw.stage import Images, Memory
from refcodec.program.operations import LeakyRequantise
from refcodec.program.program import Program


@block
def choose_multiplier(
    clock, advance, valid, operand, multiplier, negative_multiplier, shift, accumulator, factor, factor_shift
):
    """The multiplier that belongs to the sign of the operand, which follows along (SPEC HW-16, LEAKY-1).

    accumulator, factor, factor_shift  operand, its multiplier and shift.  Latency one cycle with `advance`.
    """

    @always(clock.posedge)
    def choose():
        if advance and valid:
            accumulator.next = operand
            factor_shift.next = shift
            if operand < 0:
                factor.next = negative_multiplier
            else:
                factor.next = multiplier

    return choose


@block
def leaky_requantise_stage(clock, reset, load, first_select, sources, sink, fault, stage):
    """Requantise every lane with the multiplier of its channel and sign (SPEC HW-16, LEAKY-1)."""
    lanes, depth = stage.lanes, stage.groups
    form, target = stage.source, stage.target
    word = sources[0].word
    multiplier_select, negative_select, shift_select = first_select, first_select + 1, first_select + 2
    advance, passes, valid, results_valid = bit(), bit(), bit(), bit()
    stages = [bit()]
    chosen = stages[0]
    group = unsigned(address_bits(depth))
    operands, accumulators = ([signed(stage.operand_bits) for _ in range(lanes)] for _ in range(2))
    multipliers, negatives, factors = ([unsigned(stage.multiplier_bits) for _ in range(lanes)] for _ in range(3))
    shifts, factor_shifts = ([unsigned(SHIFT_BITS) for _ in range(lanes)] for _ in range(2))
    results = [bus(target) for _ in range(lanes)]

    entry = enter(clock, reset, sources, advance, passes, valid, group, fault, depth)
    split = take(clock, passes, word, operands, form)
    multiplier_memories = lane_memories(clock, load, multiplier_select, advance, passes, group, multipliers, depth)
    negative_memories = lane_memories(clock, load, negative_select, advance, passes, group, negatives, depth)
    shift_memories = lane_memories(clock, load, shift_select, advance, passes, group, shifts, depth)
    choices = []
    for p in range(lanes):
        choices.append(
            choose_multiplier(
                clock, advance, valid, operands[p], multipliers[p], negatives[p], shifts[p],
                accumulators[p], factors[p], factor_shifts[p],
            )
        )  # fmt: skip
    follow = follow_valid(clock, reset, advance, valid, stages)
    scaling = requantise(
        clock, reset, advance, chosen, accumulators, factors, factor_shifts,
        results_valid, results, target.lo, target.hi,
    )  # fmt: skip
    gathering = leave(clock, reset, advance, results_valid, results, sink)
    return (
        entry, split, multiplier_memories, negative_memories, shift_memories, choices, follow, scaling, gathering,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class LeakyRequantiseStage(RequantiseStage):
    """Parameter set of a leaky requantisation, otherwise as a `RequantiseStage` (SPEC HW-16)."""

    clauses: ClassVar[tuple[str, ...]] = ("LEAKY-1",)

    @classmethod
    def of(
        cls, program: Program, name: str, height: int, width: int, lanes: int
    ) -> tuple[LeakyRequantiseStage, Images]:
        """The stage of one operation on a height x width tensor, and its memories (SPEC HW-16).

        Raises HardwareError, ModelError.
        """
        operation = operation_of(program, name, LeakyRequantise)
        source, target = program.tensor(operation.source), program.tensor(operation.target)
        stage = cls(source.channels, height, width, lanes, source.format, target.format)
        images = {
            "multiplier": channel_image(operation.multiplier, lanes, stage.multiplier_bits),
            "negative_multiplier": channel_image(operation.negative_multiplier, lanes, stage.multiplier_bits),
            "shift": channel_image(operation.shift, lanes, SHIFT_BITS),
        }
        return stage, images

    @property
    def block(self) -> Callable[..., Any]:
        """The stage."""
        return leaky_requantise_stage

    @property
    def title(self) -> str:
        """One line for people."""
        return f"Leaky requantisation of {self.shape_text} from {self.source} to {self.target}"

    @property
    def unit_latency(self) -> int:
        """The choice and the requantiser."""
        return 1 + STAGES

    @property
    def memories(self) -> dict[str, Memory]:
        """Both multipliers and the shift of every channel."""
        return {
            "multiplier": self.constant(self.multiplier_bits),
            "negative_multiplier": self.constant(self.multiplier_bits),
            "shift": self.constant(SHIFT_BITS),
        }
