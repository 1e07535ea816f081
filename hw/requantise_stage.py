"""Stage that requantises a tensor channel by channel (SPEC HW-16, RQ-1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from myhdl import block

from hw.checks import require
from hw.convolution import lane_memories
from hw.elaboration import address_bits, bit, bus, signed, unsigned
from hw.layer import channel_image
from hw.pointwise import Pointwise, enter, leave, operation_of, take
from hw.requantise import SHIFT_BITS, STAGES, requantise
from hw.stage import Images, Memory
from refcodec.formats import MAX_BITS, multiplier_bits
from refcodec.program.operations import Requantise
from refcodec.program.program import Program

MAX_TARGET_BITS = 16


@block
def requantise_stage(clock, reset, load, first_select, sources, sink, fault, stage):
    """Requantise every lane with the multiplier and the shift of its channel (SPEC HW-16, RQ-1)."""
    lanes, depth = stage.lanes, stage.groups
    form, target = stage.source, stage.target
    word = sources[0].word
    multiplier_select, shift_select = first_select, first_select + 1
    advance, passes, valid, results_valid = bit(), bit(), bit(), bit()
    group = unsigned(address_bits(depth))
    operands = [signed(stage.operand_bits) for _ in range(lanes)]
    multipliers = [unsigned(stage.multiplier_bits) for _ in range(lanes)]
    shifts = [unsigned(SHIFT_BITS) for _ in range(lanes)]
    results = [bus(target) for _ in range(lanes)]

    entry = enter(clock, reset, sources, advance, passes, valid, group, fault, depth)
    split = take(clock, passes, word, operands, form)
    multiplier_memories = lane_memories(clock, load, multiplier_select, advance, passes, group, multipliers, depth)
    shift_memories = lane_memories(clock, load, shift_select, advance, passes, group, shifts, depth)
    scaling = requantise(
        clock, reset, advance, valid, operands, multipliers, shifts, results_valid, results, target.lo, target.hi
    )
    gathering = leave(clock, reset, advance, results_valid, results, sink)
    return entry, split, multiplier_memories, shift_memories, scaling, gathering


@dataclass(frozen=True, slots=True)
class RequantiseStage(Pointwise):
    """Parameter set of a requantisation (SPEC HW-16).

    source  signed with at most 48 bits or unsigned with at most 47;  target  1..16 bits.
    Raises HardwareError RC-HW-CONFIG.
    """

    clauses: ClassVar[tuple[str, ...]] = ("RQ-1",)

    def __post_init__(self) -> None:
        Pointwise.__post_init__(self)
        require(self.target.bits <= MAX_TARGET_BITS, f"requantised values have 1..16 bits, got {self.target}")
        require(self.operand_bits <= MAX_BITS, f"no requantisation profile takes {self.source}")

    @classmethod
    def of(cls, program: Program, name: str, height: int, width: int, lanes: int) -> tuple[RequantiseStage, Images]:
        """The stage of one operation on a height x width tensor, and its memories (SPEC HW-16).

        Raises HardwareError, ModelError.
        """
        operation = operation_of(program, name, Requantise)
        source, target = program.tensor(operation.source), program.tensor(operation.target)
        stage = cls(source.channels, height, width, lanes, source.format, target.format)
        images = {
            "multiplier": channel_image(operation.multiplier, lanes, stage.multiplier_bits),
            "shift": channel_image(operation.shift, lanes, SHIFT_BITS),
        }
        return stage, images

    @property
    def block(self) -> Callable[..., Any]:
        """The stage."""
        return requantise_stage

    @property
    def title(self) -> str:
        """One line for people."""
        return f"Requantisation of {self.shape_text} from {self.source} to {self.target}"

    @property
    def multiplier_bits(self) -> int:
        """Of the profile that the source belongs to."""
        return multiplier_bits(self.source)

    @property
    def unit_latency(self) -> int:
        """Of the requantiser."""
        return STAGES

    @property
    def memories(self) -> dict[str, Memory]:
        """Multiplier and shift of every channel."""
        return {"multiplier": self.constant(self.multiplier_bits), "shift": self.constant(SHIFT_BITS)}
