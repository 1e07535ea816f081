"""Gaussian blur, halving, and the scale space that they build (SPEC BLUR-1 to BLUR-4)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.fixed import GAUSSIAN
from refcodec.formats import IntFormat
from refcodec.kernel import parallel_kernel, prange
from refcodec.layers.resize import resize

MAX_LEVELS = 6
MAX_BITS = 16
BLUR_SHIFT = 28  # the weights of either axis sum to 2**14


@parallel_kernel
def _blur(x, weight, out):
    # Row and column of a tap are limited by themselves and its weight is a product, so the sum over 11 x 11 taps is
    # the sum over ky of weight[ky] times the sum over kx of weight[kx] * x: the two passes give the same integer, and
    # only that one is rounded. A row's sum stays below 2**14 * 2**16 = 2**30, the whole one below 2**44.
    channels, height, width = x.shape
    middle = len(weight) // 2
    lines = np.empty((channels, height, width), np.int32)
    for n in prange(channels * height):
        c, y = divmod(np.int64(n), height)  # n is unsigned, and unsigned with signed is a float in Numba
        wide = np.empty(width + 2 * middle, np.int64)
        wide[:middle] = x[c, y, 0]
        wide[middle : middle + width] = x[c, y]
        wide[middle + width :] = x[c, y, width - 1]
        for i in range(width):
            total = 0
            for k in range(len(weight)):
                total += weight[k] * wide[i + k]
            lines[c, y, i] = total
    for n in prange(channels * height):
        c, y = divmod(np.int64(n), height)
        column = np.full(width, 1 << (BLUR_SHIFT - 1), np.int64)
        for k in range(len(weight)):
            line = lines[c, min(max(y + k - middle, 0), height - 1)]
            for i in range(width):
                column[i] += weight[k] * line[i]
        for i in range(width):
            out[c, y, i] = column[i] >> BLUR_SHIFT


def _check(x: np.ndarray, fmt: IntFormat, multiple: int) -> None:
    if x.ndim != 3 or 0 in x.shape[1:]:
        raise ShapeError(f"expected x (C, H, W) of at least one sample, got {x.shape}")
    check_multiple(x.shape[1], x.shape[2], multiple)
    if fmt.bits > MAX_BITS:
        raise RangeError(f"a scale space takes at most {MAX_BITS} bits, got {fmt}")
    fmt.check(x, "x")


def check_multiple(height: int, width: int, multiple: int) -> None:
    """Raise ShapeError unless a plane can be halved as often as its levels ask for (SPEC BLUR-4)."""
    if height % multiple or width % multiple:
        raise ShapeError(f"height and width must be multiples of {multiple}, got {height} x {width}")


def check_levels(levels: int) -> None:
    """Raise RangeError unless the number of levels is legal (SPEC BLUR-4)."""
    if not 1 <= levels <= MAX_LEVELS:
        raise RangeError(f"levels must be 1..{MAX_LEVELS}, got {levels}")


def blur(x: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """Weigh 11 x 11 samples with a Gaussian of deviation 1.5, the border repeated, one rounding (SPEC BLUR-1).

    x  (C, H, W) integers in `fmt`, which has at most 16 bits.
    Returns the same shape in `fmt` LSBs and of its dtype.  Raises ShapeError, RangeError.
    Source: CompressAI gaussian_blur with sigma 1.5.
    """
    _check(x, fmt, 1)
    out = np.empty(x.shape, fmt.dtype)
    _blur(np.ascontiguousarray(x, fmt.dtype), np.array(GAUSSIAN, np.int64), out)
    return out


def blur_plain(x: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """The definition of `blur` on Python integers (SPEC BLUR-1)."""
    _check(x, fmt, 1)
    return np.array([fixed.blur(plane) for plane in x.tolist()], fmt.dtype).reshape(x.shape)


def halve(x: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """Average blocks of 2 x 2 samples, one rounding (SPEC BLUR-2).

    x  (C, H, W) integers in `fmt`, which has at most 16 bits, H and W even.
    Returns (C, H / 2, W / 2) in `fmt` LSBs and of its dtype.  Raises ShapeError, RangeError.
    """
    _check(x, fmt, 2)
    wide = x.astype(np.int32)  # four values of 16 bits and the rounding constant stay below 2**19
    total = wide[:, 0::2, 0::2] + wide[:, 0::2, 1::2] + wide[:, 1::2, 0::2] + wide[:, 1::2, 1::2]
    return ((total + 2) >> 2).astype(fmt.dtype)


def halve_plain(x: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """The definition of `halve` on Python integers (SPEC BLUR-2)."""
    _check(x, fmt, 2)
    halved = [fixed.halve(plane) for plane in x.tolist()]
    return np.array(halved, fmt.dtype).reshape(x.shape[0], x.shape[1] // 2, x.shape[2] // 2)


def scale_space(x: np.ndarray, levels: int, fmt: IntFormat) -> np.ndarray:
    """Every channel beside its blurred forms, coarser and coarser, all of the same size (SPEC BLUR-3).

    x  (C, H, W) integers in `fmt`, which has at most 16 bits, H and W multiples of 2**(levels - 1);  levels  1..6.
    Returns ((levels + 1) * C, H, W) in `fmt` LSBs and of its dtype: slice d of channel c is plane d * C + c.
    Raises ShapeError, RangeError.  Source: Agustsson et al., 2020, section 3.1; CompressAI gaussian_volume.
    """
    check_levels(levels)
    _check(x, fmt, 1 << (levels - 1))
    channels = x.shape[0]
    out = np.empty(((levels + 1) * channels, *x.shape[1:]), fmt.dtype)
    low = blur(x, fmt)
    out[:channels], out[channels : 2 * channels] = x, low
    for level in range(1, levels):
        low = blur(halve(low, fmt), fmt)
        wide = low
        for _ in range(level):
            wide = resize(wide, 2, 2, fmt)
        out[(level + 1) * channels : (level + 2) * channels] = wide
    return out


def scale_space_plain(x: np.ndarray, levels: int, fmt: IntFormat) -> np.ndarray:
    """The definition of `scale_space` on Python integers (SPEC BLUR-3)."""
    check_levels(levels)
    _check(x, fmt, 1 << (levels - 1))
    out = np.empty((levels + 1, *x.shape), fmt.dtype)
    for c, plane in enumerate(x.tolist()):
        out[:, c] = fixed.scale_space(plane, levels)
    return out.reshape(-1, *x.shape[1:])
