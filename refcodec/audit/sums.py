"""What the declared sums of an operation can reach, exactly: every end is attained by some input (SPEC AUD-1).

Four quantities of an operation have a declared width: the accumulator of a weighted sum, the norm of a normalisation,
the product of its inverse, and the 64-bit sum of an addition. Each is an interval for every output channel and, in a
transposed convolution, every phase.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refcodec.audit.windows import Window, convolution_windows, transposed_windows
from refcodec.layers.gdn import Norm
from refcodec.program.operations import (
    Add,
    AnyOperation,
    Convolution,
    DepthwiseConvolution,
    Gdn,
    InverseGdn,
    Linear,
    MaskedConvolution,
    TransposedConvolution,
)
from refcodec.program.operations.operation import Tensor
from refcodec.program.reach import Reach

ACCUMULATOR, NORM, PRODUCT, SUM = "accumulator", "norm", "product", "sum"
LO, HI = "lo", "hi"
SUM_BITS = 64  # of an addition (SPEC ADD-2)
WeightedSum = Convolution | TransposedConvolution | DepthwiseConvolution | MaskedConvolution | Linear
POINT = [Window((0,), (0,), 1, 0)]


@dataclass(frozen=True, slots=True, eq=False)
class SumBounds:
    """The ends of one quantity (SPEC AUD-1).

    lo, hi  (P, C) int64, or Python integers where those are needed: by phase and channel, each attained
    partial_lo, partial_hi  (P, C): what no partial sum leaves, in any order of the terms, the bias being one
    declared  bits of its two's complement format;  checked  the largest magnitude of SPEC ACC-1, GDN-5 or ADD-2.
    """

    quantity: str
    declared: int
    checked: int
    lo: np.ndarray
    hi: np.ndarray
    partial_lo: np.ndarray
    partial_hi: np.ndarray

    def end(self, end: str) -> np.ndarray:
        """(P, C) one of both ends, `lo` or `hi`."""
        return self.lo if end == LO else self.hi


def signed_bits(lo: int, hi: int) -> int:
    """Bits of the narrowest two's complement format that holds lo and hi."""
    return max(value.bit_length() if value >= 0 else (~value).bit_length() for value in (lo, hi)) + 1


def axis_windows(op: WeightedSum) -> list[list[Window]]:
    """The windows of each phase along one axis; both axes have the same."""
    if isinstance(op, TransposedConvolution):
        return transposed_windows(op.weight.shape[-1], op.stride, op.padding, op.output_padding)
    if isinstance(op, Linear):
        return [POINT]
    stride = 1 if isinstance(op, MaskedConvolution) else op.stride
    return [convolution_windows(op.weight.shape[-1], stride, op.padding)]


def shaped_weight(op: WeightedSum) -> np.ndarray:
    """(O, C, K, K): of a depthwise convolution with one source channel for each output, of a linear layer 1 x 1."""
    if isinstance(op, DepthwiseConvolution):
        return op.weight[:, None]
    return op.weight[:, :, None, None] if isinstance(op, Linear) else op.weight


def _tap_sums(op: WeightedSum, reach: Reach) -> tuple[np.ndarray, np.ndarray]:
    """(O, K, K) the smallest and the largest sum over the channels that each tap can add, its samples being inside."""
    weight = shaped_weight(op)
    positive, negative = np.maximum(weight, 0).astype(np.int64), np.minimum(weight, 0).astype(np.int64)
    pattern = "ockl,o->okl" if isinstance(op, DepthwiseConvolution) else "ockl,c->okl"
    return (
        np.einsum(pattern, positive, reach.lo) + np.einsum(pattern, negative, reach.hi),
        np.einsum(pattern, positive, reach.hi) + np.einsum(pattern, negative, reach.lo),
    )


def _members(windows: Sequence[Window], kernel: int) -> np.ndarray:
    """(W, K) 1 where a tap belongs to a window."""
    return np.array([[int(tap in window.taps) for tap in range(kernel)] for window in windows], np.int64)


def window_sums(taps: np.ndarray, rows: Sequence[Window], columns: Sequence[Window]) -> np.ndarray:
    """(O, R, S) sums over the taps of every window.

    taps  (O, K, K);  rows, columns  R and S windows.
    """
    sums: np.ndarray = _members(rows, taps.shape[1]) @ taps @ _members(columns, taps.shape[2]).T
    return sums


def _accumulator(op: WeightedSum, reach: Reach, declared: int, checked: int) -> SumBounds:
    windows = axis_windows(op)
    phases = [(rows, columns) for rows in windows for columns in windows]
    inside, anywhere = _tap_sums(op, reach), _tap_sums(op, reach.with_zero())
    lo, hi = (
        [extreme(window_sums(taps, *phase), axis=(1, 2)) + op.bias for phase in phases]
        for taps, extreme in zip(inside, (np.min, np.max), strict=True)
    )
    # with zero among its samples every term has either sign, so the subsets with the extreme sums are whole phases
    partial_lo, partial_hi = (
        [extreme(window_sums(taps, *phase), axis=(1, 2)) + limit(op.bias, 0) for phase in phases]
        for taps, extreme, limit in zip(anywhere, (np.min, np.max), (np.minimum, np.maximum), strict=True)
    )
    return SumBounds(ACCUMULATOR, declared, checked, *(np.array(end) for end in (lo, hi, partial_lo, partial_hi)))


def norm_ends(norm: Norm, reach: Reach) -> tuple[list[int], list[int]]:
    """The smallest and the largest norm of every channel: all samples next to zero, and all far from it."""
    nearest = np.maximum(np.maximum(reach.lo, -reach.hi), 0)
    gamma, beta = norm.gamma.astype(object), norm.beta.astype(object)  # a norm that is refused may need 64 bits
    near, far = ([norm.power(v) for v in end.tolist()] for end in (nearest, reach.magnitude))
    return list(beta + gamma @ np.array(near, object)), list(beta + gamma @ np.array(far, object))


def _norm(op: Gdn | InverseGdn, reach: Reach, checked: int) -> SumBounds:
    lo, hi = (_row(end) for end in norm_ends(op.norm, reach))
    return SumBounds(NORM, op.norm_format.bits, checked, lo, hi, np.zeros_like(lo), hi)


def outer_norms(norm: Norm, reach: Reach, channel: int, value: int, outward: bool) -> int:
    """The norm of a channel whose sample is `value`, the others far from zero or next to it."""
    nearest = np.maximum(np.maximum(reach.lo, -reach.hi), 0)
    others = [norm.power(v) for v in (reach.magnitude if outward else nearest).tolist()]
    others[channel] = norm.power(abs(value))
    gamma = norm.gamma[channel].tolist()
    return int(norm.beta[channel]) + sum(g * other for g, other in zip(gamma, others, strict=True))


def _product(op: InverseGdn, reach: Reach, checked: int) -> SumBounds:
    ends = []
    for value, outward in ((reach.lo, reach.lo < 0), (reach.hi, reach.hi > 0)):
        divisors = [
            op.norm.divisor(outer_norms(op.norm, reach, c, int(value[c]), bool(outward[c]))) for c in range(len(value))
        ]
        ends.append([int(v) * d for v, d in zip(value, divisors, strict=True)])
    lo, hi = (_row([v + o for v, o in zip(end, op.offset.tolist(), strict=True)]) for end in ends)
    bare_lo, bare_hi, offset = _row(ends[0]), _row(ends[1]), _row(op.offset.tolist())
    partial_lo = np.minimum(np.minimum(lo, bare_lo), np.minimum(offset, 0))
    partial_hi = np.maximum(np.maximum(hi, bare_hi), np.maximum(offset, 0))
    return SumBounds(PRODUCT, op.product_format.bits, checked, lo, hi, partial_lo, partial_hi)


def _sum(op: Add, reaches: Sequence[Reach], checked: int) -> SumBounds:
    first, second = op.multipliers.tolist()
    sides = [
        [sorted((m * lo, m * hi)) for lo, hi in zip(reach.lo.tolist(), reach.hi.tolist(), strict=True)]
        for m, reach in zip((first, second), reaches, strict=True)
    ]
    half = 1 << op.shift >> 1
    lo, hi = (_row([left[end] + right[end] for left, right in zip(*sides, strict=True)]) for end in (0, 1))
    spread = [[v for side in pair for v in side] for pair in zip(*sides, strict=True)]
    partial_lo = np.minimum(lo, _row([min(*values, 0) for values in spread]))
    partial_hi = np.maximum(hi, _row([max(*values, 0) for values in spread])) + half
    return SumBounds(SUM, SUM_BITS, checked, lo, hi, partial_lo, partial_hi)


def _row(values: Sequence[int]) -> np.ndarray:
    """(1, C) int64, or Python integers where one needs more."""
    fits = all(-(1 << 62) <= value < 1 << 62 for value in values)
    return np.array([list(values)], np.int64 if fits else object)


def sum_bounds(
    op: AnyOperation, sources: Sequence[Tensor], target: Tensor, reaches: Sequence[Reach]
) -> tuple[SumBounds, ...]:
    """The ends of every quantity of an operation that has a declared width; most operations have none (SPEC AUD-1).

    reaches  of the sources: what their samples can be, each by itself.
    """
    if isinstance(op, WeightedSum):
        return (_accumulator(op, reaches[0], target.format.bits, op.bound(sources[0].format)),)
    if isinstance(op, Add):
        pairs = zip(sources, op.multipliers.tolist(), strict=True)
        left, right = (source.format.magnitude * abs(m) for source, m in pairs)
        return (_sum(op, reaches, left + right + (1 << op.shift >> 1)),)
    if not isinstance(op, Gdn | InverseGdn):
        return ()
    magnitude = sources[0].format.magnitude
    norms = op.norm.bounds(magnitude)
    found = [_norm(op, reaches[0], max(norms))]
    if isinstance(op, InverseGdn):
        divisors = [op.norm.divisor(norm) for norm in norms]
        largest = max(magnitude * d + abs(o) for d, o in zip(divisors, op.offset.tolist(), strict=True))
        found.append(_product(op, reaches[0], largest))
    return tuple(found)
