"""Bilinear enlargement by whole factors (SPEC RES-1 to RES-3)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.kernel import parallel_kernel, prange

MAX_FACTOR = 5
MAX_BITS = 32


@parallel_kernel
def _resize(x, down, right, unit, out):
    # The weights of either axis sum to twice its factor, 10 at most: all sums stay below 100 * 2**32, the half of the
    # unit included. The unit is even, so adding its half before the floor of the division is the rounding of DIV-1.
    height, width = out.shape[1], out.shape[2]
    half = unit >> 1
    shift = 0
    while (1 << shift) < unit:
        shift += 1
    power = (1 << shift) == unit
    for n in prange(out.shape[0] * height):
        c, y = divmod(np.int64(n), height)  # n is unsigned, and unsigned with signed is a float in Numba
        line = np.empty(x.shape[2], np.int64)
        for i in range(x.shape[2]):
            line[i] = down[2, y] * x[c, down[0, y], i] + down[3, y] * x[c, down[1, y], i]
        if power:
            for i in range(width):
                total = right[2, i] * line[right[0, i]] + right[3, i] * line[right[1, i]]
                out[c, y, i] = (total + half) >> shift
        else:
            for i in range(width):
                total = right[2, i] * line[right[0, i]] + right[3, i] * line[right[1, i]]
                out[c, y, i] = (total + half) // unit


def axis_taps(size: int, factor: int) -> np.ndarray:
    """Both samples of every output along an axis, and their weights out of 2 * factor (SPEC RES-1).

    Returns (4, size * factor) int64: first sample, second sample, weight of the first, weight of the second.
    """
    unit = 2 * factor
    offset = 2 * np.arange(size * factor) + 1 - factor
    first, part = offset // unit, offset % unit
    return np.stack([np.clip(first, 0, size - 1), np.clip(first + 1, 0, size - 1), unit - part, part])


def check_factors(rows: int, columns: int) -> None:
    """Raise RangeError unless both factors are legal (SPEC RES-3)."""
    if not 1 <= rows <= MAX_FACTOR or not 1 <= columns <= MAX_FACTOR:
        raise RangeError(f"factors must be 1..{MAX_FACTOR}, got {rows} and {columns}")


def _check(x: np.ndarray, rows: int, columns: int, fmt: IntFormat) -> None:
    if x.ndim != 3 or 0 in x.shape[1:]:
        raise ShapeError(f"expected x (C, H, W) of at least one sample, got {x.shape}")
    check_factors(rows, columns)
    if fmt.bits > MAX_BITS:
        raise RangeError(f"resizing takes at most {MAX_BITS} bits, got {fmt}")
    fmt.check(x, "x")


def resize(x: np.ndarray, rows: int, columns: int, fmt: IntFormat) -> np.ndarray:
    """Enlarge bilinearly by whole factors, half-pixel centres, one rounding (SPEC RES-2).

    x  (C, H, W) integers in `fmt`, which has at most 32 bits;  rows, columns  factors of height and width, 1..5.
    Returns (C, H * rows, W * columns) in `fmt` LSBs and of its dtype.  Raises ShapeError, RangeError.
    Source: PyTorch F.interpolate, mode bilinear, align_corners False.
    """
    _check(x, rows, columns, fmt)
    down, right = axis_taps(x.shape[1], rows), axis_taps(x.shape[2], columns)
    out = np.empty((x.shape[0], down.shape[1], right.shape[1]), fmt.dtype)
    _resize(np.ascontiguousarray(x, fmt.dtype), down, right, 4 * rows * columns, out)
    return out


def resize_plain(x: np.ndarray, rows: int, columns: int, fmt: IntFormat) -> np.ndarray:
    """The definition of `resize` on Python integers (SPEC RES-2)."""
    _check(x, rows, columns, fmt)
    out = np.empty((x.shape[0], x.shape[1] * rows, x.shape[2] * columns), fmt.dtype)
    for c, plane in enumerate(x.tolist()):
        out[c] = fixed.resize(plane, rows, columns)
    return out
