"""Leaky rectifier: requantisation with a multiplier of its own for negative accumulators (SPEC LEAKY-1, LEAKY-2)."""

from __future__ import annotations

import numpy as np

from refcodec.errors import RangeError, ShapeError
from refcodec.fixed import leaky_requantise as leaky_requantise_scalar
from refcodec.formats import IntFormat
from refcodec.kernel import parallel_kernel, prange
from refcodec.layers.requantise import check_requantise, check_scales


@parallel_kernel
def _leaky_requantise(accumulator, multiplier, negative_multiplier, shift, lo, hi, out):
    for c in prange(accumulator.shape[0]):
        above = np.int64(multiplier[c])
        below = np.int64(negative_multiplier[c])
        s = np.int64(shift[c])
        half = np.int64(1) << (s - 1)  # |product| < 2**62 and half <= 2**61: the sum fits int64 (SPEC RQ-2)
        for y in range(accumulator.shape[1]):
            for x in range(accumulator.shape[2]):
                a = np.int64(accumulator[c, y, x])
                out[c, y, x] = min(max((a * (below if a < 0 else above) + half) >> s, lo), hi)


def check_slopes(multiplier: np.ndarray, negative_multiplier: np.ndarray, shift: np.ndarray, source: IntFormat) -> None:
    """Raise ShapeError or RangeError unless the scales of both signs are in their domain (SPEC LEAKY-2)."""
    if negative_multiplier.shape != multiplier.shape:
        raise ShapeError(f"multiplier {multiplier.shape} and negative multiplier {negative_multiplier.shape} differ")
    check_scales(multiplier, shift, source)
    check_scales(negative_multiplier, shift, source)
    if (negative_multiplier > multiplier).any():
        raise RangeError("a negative multiplier exceeds that of the positive accumulators")


def _check(
    accumulator: np.ndarray,
    multiplier: np.ndarray,
    negative_multiplier: np.ndarray,
    shift: np.ndarray,
    source: IntFormat,
) -> None:
    check_requantise(accumulator, multiplier, shift, source)
    check_slopes(multiplier, negative_multiplier, shift, source)


def leaky_requantise(
    accumulator: np.ndarray,
    multiplier: np.ndarray,
    negative_multiplier: np.ndarray,
    shift: np.ndarray,
    source: IntFormat,
    target: IntFormat,
) -> np.ndarray:
    """Requantise with a multiplier of its own for negative accumulators (SPEC LEAKY-1).

    accumulator  (C, H, W) integers in `source`, accumulator LSBs
    multiplier  (C,) integers, 0 .. 2**31 - 1 for accumulators of up to 32 bits, else 0 .. 2**15 - 1
    negative_multiplier  (C,) integers, 0 .. multiplier;  shift  (C,) integers, 1..62.
    Returns (C, H, W) in `target` LSBs and of its dtype.  Raises ShapeError, RangeError.
    Source: TOSA RESCALE with single rounding on both sides of PyTorch's LeakyReLU.
    """
    _check(accumulator, multiplier, negative_multiplier, shift, source)
    out = np.empty(accumulator.shape, target.dtype)
    _leaky_requantise(accumulator, multiplier, negative_multiplier, shift, target.lo, target.hi, out)
    return out


def leaky_requantise_plain(
    accumulator: np.ndarray,
    multiplier: np.ndarray,
    negative_multiplier: np.ndarray,
    shift: np.ndarray,
    source: IntFormat,
    target: IntFormat,
) -> np.ndarray:
    """The definition of `leaky_requantise` on Python integers, which cannot wrap (SPEC LEAKY-1)."""
    _check(accumulator, multiplier, negative_multiplier, shift, source)
    out = np.empty(accumulator.shape, target.dtype)
    for c, plane in enumerate(accumulator):
        constants = int(multiplier[c]), int(negative_multiplier[c]), int(shift[c]), target.lo, target.hi
        values = [leaky_requantise_scalar(a, *constants) for a in plane.ravel().tolist()]
        out[c] = np.array(values, target.dtype).reshape(plane.shape)
    return out
