"""Sums of two tensors of different steps (SPEC ADD-1, ADD-2)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.formats import MAX_SHIFT, IntFormat
from refcodec.kernel import kernel
from refcodec.layers.concatenate import check_volume

MULTIPLIER_LIMIT = 1 << 31
SUM_LIMIT = 1 << 63


@kernel
def _add(left, right, first, second, shift, lo, hi, out):
    half = np.int64(1) << shift >> 1
    for n in range(out.shape[0]):
        # |left * first| + |right * second| + half < 2**63: both sums fit int64 (SPEC ADD-2)
        total = np.int64(left[n]) * first + np.int64(right[n]) * second
        out[n] = min(max((total + half) >> shift, lo), hi)


def check_scales(multipliers: np.ndarray, shift: int) -> None:
    """Raise ShapeError or RangeError unless there are two multipliers and a shift in their ranges (SPEC ADD-2)."""
    if multipliers.shape != (2,):
        raise ShapeError(f"expected multipliers (2,), got {multipliers.shape}")
    if multipliers.dtype.kind not in "iu" or max(abs(m) for m in multipliers.tolist()) >= MULTIPLIER_LIMIT:
        raise RangeError(f"multipliers must be integers below 2**31 in magnitude, got {multipliers.tolist()}")
    if not 0 <= shift <= MAX_SHIFT:
        raise RangeError(f"shift must be 0..{MAX_SHIFT}, got {shift}")


def largest_sum(left: int, right: int, multipliers: np.ndarray, shift: int) -> int:
    """Bound of the sum and its rounding constant, from the largest magnitudes of both sides (SPEC ADD-2)."""
    first, second = (abs(m) for m in multipliers.tolist())
    return left * first + right * second + (1 << shift >> 1)


def _check(left: np.ndarray, right: np.ndarray, multipliers: np.ndarray, shift: int) -> None:
    check_volume(left, "left")
    check_volume(right, "right")
    if left.shape != right.shape:
        raise ShapeError(f"left {left.shape} and right {right.shape} differ")
    check_scales(multipliers, shift)
    first, second = (max(-int(x.min()), int(x.max())) for x in (left, right))
    bound = largest_sum(first, second, multipliers, shift)
    if bound >= SUM_LIMIT:
        raise RangeError(f"the sum may reach {bound}, beyond 64 bits")


def add(left: np.ndarray, right: np.ndarray, multipliers: np.ndarray, shift: int, target: IntFormat) -> np.ndarray:
    """Add multiples of two tensors, divide by 2**shift, halves towards +infinity, saturate (SPEC ADD-1).

    left, right  (C, H, W) integers;  multipliers  (2,) of left and of right, below 2**31 in magnitude
    shift  0..62.  |left * multipliers[0]| + |right * multipliers[1]| + 2**shift / 2 must stay below 2**63.
    Returns (C, H, W) in `target` LSBs and of its dtype.  Raises ShapeError, RangeError.
    """
    _check(left, right, multipliers, shift)
    first, second = multipliers.tolist()
    out = np.empty(left.size, target.dtype)
    _add(left.ravel(), right.ravel(), first, second, shift, target.lo, target.hi, out)
    return out.reshape(left.shape)


def add_plain(
    left: np.ndarray, right: np.ndarray, multipliers: np.ndarray, shift: int, target: IntFormat
) -> np.ndarray:
    """The definition of `add` on Python integers (SPEC ADD-1)."""
    _check(left, right, multipliers, shift)
    scales = multipliers.tolist()
    pairs = zip(left.ravel().tolist(), right.ravel().tolist(), strict=True)
    values = [fixed.add(a, b, scales, shift, target.lo, target.hi) for a, b in pairs]
    return np.array(values, target.dtype).reshape(left.shape)
