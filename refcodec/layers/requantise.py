"""Requantisation: one multiplication, one rounding shift, one saturation (SPEC RQ-1 to RQ-3)."""

from __future__ import annotations

import numpy as np

from refcodec.errors import RangeError, ShapeError
from refcodec.fixed import requantise as requantise_scalar
from refcodec.formats import MAX_SHIFT, MIN_SHIFT, IntFormat, multiplier_bits
from refcodec.kernel import parallel_kernel, prange


@parallel_kernel
def _requantise(accumulator, multiplier, shift, lo, hi, out):
    for c in prange(accumulator.shape[0]):
        m = np.int64(multiplier[c])
        s = np.int64(shift[c])
        half = np.int64(1) << (s - 1)  # |product| < 2**62 and half <= 2**61: the sum fits int64 (SPEC RQ-2)
        for y in range(accumulator.shape[1]):
            for x in range(accumulator.shape[2]):
                out[c, y, x] = min(max((np.int64(accumulator[c, y, x]) * m + half) >> s, lo), hi)


def check_requantise(accumulator: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, source: IntFormat) -> None:
    """Raise ShapeError or RangeError unless the operands are in the domain of a profile (SPEC RQ-3)."""
    if accumulator.ndim != 3 or multiplier.shape != accumulator.shape[:1] or shift.shape != accumulator.shape[:1]:
        raise ShapeError(
            f"expected accumulator (C, H, W), multiplier (C,) and shift (C,), "
            f"got {accumulator.shape}, {multiplier.shape}, {shift.shape}"
        )
    source.check(accumulator, "accumulator")
    check_scales(multiplier, shift, source)


def check_scales(multiplier: np.ndarray, shift: np.ndarray, source: IntFormat) -> None:
    """Raise RangeError unless multipliers and shifts are in the domain of the profile (SPEC RQ-2)."""
    IntFormat(multiplier_bits(source), False).check(multiplier, "multiplier")
    if shift.dtype.kind not in "iu":
        raise RangeError(f"shift: expected integers, got {shift.dtype}")
    if shift.size and (int(shift.min()) < MIN_SHIFT or int(shift.max()) > MAX_SHIFT):
        raise RangeError(f"shift must be {MIN_SHIFT}..{MAX_SHIFT}, got {shift.min()}..{shift.max()}")


def requantise(
    accumulator: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, source: IntFormat, target: IntFormat
) -> np.ndarray:
    """Scale each channel by multiplier / 2**shift, halves towards +infinity, saturate (SPEC RQ-1).

    accumulator  (C, H, W) integers in `source`, accumulator LSBs
    multiplier  (C,) integers, 0 .. 2**31 - 1 for accumulators of up to 32 bits, else 0 .. 2**15 - 1
    shift  (C,) integers, 1..62.
    Returns (C, H, W) in `target` LSBs and of its dtype.  Raises ShapeError, RangeError.
    Source: TOSA RESCALE with single rounding.
    """
    check_requantise(accumulator, multiplier, shift, source)
    out = np.empty(accumulator.shape, target.dtype)
    _requantise(accumulator, multiplier, shift, target.lo, target.hi, out)
    return out


def requantise_plain(
    accumulator: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, source: IntFormat, target: IntFormat
) -> np.ndarray:
    """The definition of `requantise` on Python integers, which cannot wrap (SPEC RQ-1)."""
    check_requantise(accumulator, multiplier, shift, source)
    out = np.empty(accumulator.shape, target.dtype)
    for c, plane in enumerate(accumulator):
        m, s = int(multiplier[c]), int(shift[c])
        values = [requantise_scalar(a, m, s, target.lo, target.hi) for a in plane.ravel().tolist()]
        out[c] = np.array(values, target.dtype).reshape(plane.shape)
    return out
