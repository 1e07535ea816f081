"""What is proven of each operation of a program: widths, headroom, exactness in other arithmetic (SPEC AUD-1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcodec.audit.sums import HI, LO, SumBounds, WeightedSum, shaped_weight, signed_bits, sum_bounds
from refcodec.formats import MAX_BITS, IntFormat
from refcodec.layers.gdn import Norm
from refcodec.program.operations import (
    Add,
    AnyOperation,
    Clip,
    DepthwiseConvolution,
    Gdn,
    InverseGdn,
    LayerNorm,
    LeakyRequantise,
    Requantise,
    Tensor,
)
from refcodec.program.program import Program
from refcodec.program.reach import Reach

INT32 = (-(1 << 31), (1 << 31) - 1)
# Every integer up to these is a float of that width, so products and partial sums up to them are not rounded.
FLOAT32, FLOAT64 = 1 << 24, 1 << 53
WIDEST = IntFormat(MAX_BITS, True)
Saturating = Requantise | LeakyRequantise | Gdn | InverseGdn | LayerNorm | Add | Clip


@dataclass(frozen=True, slots=True)
class Exactness:
    """Whether other arithmetic gives the same sums, in whatever order it adds (SPEC ACC-2).

    It must multiply and add terms, as loops, dot products and GEMM do. Transformed algorithms such as Winograd's add
    other numbers, of which nothing is said here.
    """

    int32: bool
    float32: bool
    float64: bool


@dataclass(frozen=True, slots=True)
class Unused:
    """Channels of a weight whose every weight is zero."""

    outputs: tuple[int, ...]
    inputs: tuple[int, ...]
    zeros: int
    weights: int


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """One operation with everything that is proven of it (SPEC AUD-1).

    reaches, reach  of what it reads and of what it gives;  intermediates  largest magnitudes on the way
    unclipped  what the target would reach without its saturation, None where there is none;  divisors  the smallest
    and the largest divisor of each channel of a normalisation.
    """

    operation: AnyOperation
    sources: tuple[Tensor, ...]
    target: Tensor
    reaches: tuple[Reach, ...]
    reach: Reach
    sums: tuple[SumBounds, ...]
    intermediates: dict[str, int]
    unclipped: Reach | None
    divisors: Reach | None
    unused: Unused | None

    @property
    def saturates(self) -> tuple[np.ndarray, np.ndarray]:
        """(C,) bool: whether a sample can leave the target below, and above, and is then clipped."""
        if self.unclipped is None:
            none = np.zeros(self.target.channels, bool)
            return none, none
        lo, hi = clip_limits(self.operation, self.target)
        return self.unclipped.lo < lo, self.unclipped.hi > hi


def clip_limits(op: AnyOperation, target: Tensor) -> tuple[int, int]:
    """Where an operation saturates: at the ends of its target, a clip at its own."""
    return (op.lo, op.hi) if isinstance(op, Clip) else (target.format.lo, target.format.hi)


def needed_bits(bounds: SumBounds) -> int:
    """The narrowest two's complement width that holds every value; one bit less loses some witness."""
    return signed_bits(int(bounds.lo.min()), int(bounds.hi.max()))


def partial_bits(bounds: SumBounds) -> int:
    """The narrowest width that holds every partial sum too, in any order."""
    return signed_bits(int(bounds.partial_lo.min()), int(bounds.partial_hi.max()))


def checked_bits(bounds: SumBounds) -> int:
    """The narrowest width that a checker accepts (SPEC ACC-1, GDN-5, ADD-2)."""
    return bounds.checked.bit_length() + 1


def channel_bits(bounds: SumBounds) -> list[int]:
    """The narrowest width for each channel, over all phases."""
    pairs = zip(bounds.lo.min(axis=0).tolist(), bounds.hi.max(axis=0).tolist(), strict=True)
    return [signed_bits(lo, hi) for lo, hi in pairs]


def worst(bounds: SumBounds) -> tuple[int, int, str]:
    """Channel, phase and end of the value that needs the most bits; the largest magnitude among equals."""
    found = []
    for end in (LO, HI):
        values = bounds.end(end)
        place = int(values.argmin() if end == LO else values.argmax())
        phase, channel = divmod(place, values.shape[1])
        value = int(values[phase, channel])
        found.append((signed_bits(value, value), abs(value), channel, phase, end))
    _, _, channel, phase, end = max(found)
    return channel, phase, end


def exactness(bounds: SumBounds) -> Exactness:
    """In what arithmetic no partial sum is rounded or wraps."""
    lo, hi = int(bounds.partial_lo.min()), int(bounds.partial_hi.max())
    return Exactness(INT32[0] <= lo and hi <= INT32[1], max(-lo, hi) <= FLOAT32, max(-lo, hi) <= FLOAT64)


def _unclipped(op: AnyOperation, reaches: list[Reach], target: Tensor) -> Reach | None:
    """What a saturating operation would reach with a target of 48 bits, at the ends of which it still saturates."""
    if isinstance(op, Clip):
        return reaches[0]
    if isinstance(op, Saturating):
        return op.reach(reaches, Tensor(target.name, target.channels, WIDEST))
    return None


def _divisors(norm: Norm, norms: SumBounds) -> Reach:
    ends = ([norm.divisor(value) for value in end[0].tolist()] for end in (norms.lo, norms.hi))
    return Reach(*(np.array(end, np.int64) for end in ends))


def _unused(op: AnyOperation) -> Unused | None:
    if not isinstance(op, WeightedSum):
        return None
    weight = shaped_weight(op) != 0
    outputs = np.flatnonzero(~weight.any(axis=(1, 2, 3)))
    inputs = outputs if isinstance(op, DepthwiseConvolution) else np.flatnonzero(~weight.any(axis=(0, 2, 3)))
    zeros = weight.size - int(np.count_nonzero(weight))
    return Unused(tuple(outputs.tolist()), tuple(inputs.tolist()), zeros, weight.size)


def audit_operation(op: AnyOperation, program: Program, found: dict[str, Reach]) -> Layer:
    """Everything that is proven of one operation.

    found  the reach of every tensor of the program.
    """
    sources, target = tuple(program.tensor(name) for name in op.reads), program.tensor(op.target)
    reaches = [found[name] for name in op.reads]
    sums = sum_bounds(op, sources, target, reaches)
    divisors = _divisors(op.norm, sums[0]) if isinstance(op, Gdn | InverseGdn) else None
    return Layer(
        op,
        sources,
        target,
        tuple(reaches),
        found[op.target],
        sums,
        op.intermediates(reaches),
        _unclipped(op, reaches, target),
        divisors,
        _unused(op),
    )


def audit_program(program: Program) -> list[Layer]:
    """Every operation of a program, in its order (SPEC AUD-1)."""
    found = program.reaches()
    return [audit_operation(op, program, found) for op in program.operations]
