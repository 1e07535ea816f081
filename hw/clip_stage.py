"""Stage that limits the values of a tensor; a rectifier has the limit 0 (SPEC HW-16, CLIP-1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from myhdl import block

from hw.checks import require
from hw.clip import clip
from hw.elaboration import address_bits, bit, bus, signed, unsigned
from hw.pointwise import Pointwise, enter, follow_valid, leave, operation_of, take
from hw.stage import Images
from refcodec.program.operations import Clip
from refcodec.program.program import Program

LIMIT = 1 << 30  # a literal of the emitted HDL is below it
STAGES = 1


@block
def clip_stage(clock, reset, load, first_select, sources, sink, fault, stage):
    """Limit every lane to lo .. hi (SPEC HW-16, CLIP-1)."""
    lanes, depth, lo, hi = stage.lanes, stage.groups, stage.lo, stage.hi
    form = stage.source
    word = sources[0].word
    advance, passes, valid = bit(), bit(), bit()
    stages = [bit() for _ in range(STAGES)]
    results_valid = stages[0]
    group = unsigned(address_bits(depth))
    operands = [signed(stage.value_bits) for _ in range(lanes)]
    results = [bus(stage.target) for _ in range(lanes)]

    entry = enter(clock, reset, sources, advance, passes, valid, group, fault, depth)
    split = take(clock, passes, word, operands, form)
    units = []
    for p in range(lanes):
        operand, result = operands[p], results[p]
        units.append(clip(clock, advance, valid, operand, result, lo, hi))
    follow = follow_valid(clock, reset, advance, valid, stages)
    gathering = leave(clock, reset, advance, results_valid, results, sink)
    return entry, split, units, follow, gathering


@dataclass(frozen=True, slots=True)
class ClipStage(Pointwise):
    """Parameter set of a clip (SPEC HW-16).

    lo, hi  limits, below 2**30 in magnitude, in both formats.  Raises HardwareError RC-HW-CONFIG.
    """

    clauses: ClassVar[tuple[str, ...]] = ("CLIP-1",)
    lo: int
    hi: int

    def __post_init__(self) -> None:
        Pointwise.__post_init__(self)
        lo, hi = max(self.source.lo, self.target.lo), min(self.source.hi, self.target.hi)
        require(lo <= self.lo <= self.hi <= hi, f"limits {self.lo} .. {self.hi} leave {self.source} or {self.target}")
        require(self.lo > -LIMIT and self.hi < LIMIT, f"limits must be below 2**30, got {self.lo} .. {self.hi}")

    @classmethod
    def of(cls, program: Program, name: str, height: int, width: int, lanes: int) -> tuple[ClipStage, Images]:
        """The stage of one operation on a height x width tensor; it has no memories (SPEC HW-16).

        Raises HardwareError, ModelError.
        """
        operation = operation_of(program, name, Clip)
        source, target = program.tensor(operation.source), program.tensor(operation.target)
        limits = int(operation.lo), int(operation.hi)
        return cls(source.channels, height, width, lanes, source.format, target.format, *limits), {}

    @property
    def block(self) -> Callable[..., Any]:
        """The stage."""
        return clip_stage

    @property
    def title(self) -> str:
        """One line for people."""
        return f"Clip of {self.shape_text} from {self.source} to {self.lo} .. {self.hi} in {self.target}"

    @property
    def value_bits(self) -> int:
        """Signed bits that hold every value of the source and of the target."""
        return max(self.operand_bits, self.target.bits + (not self.target.signed))

    @property
    def unit_latency(self) -> int:
        """Of the clip unit."""
        return STAGES
