"""Leaving out rows and columns (SPEC CROP-1)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.layers.concatenate import check_volume

MAX_SIDE = 65535


def check_sides(top: int, bottom: int, left: int, right: int) -> None:
    """Raise RangeError unless the counts of all four sides are legal (SPEC CROP-1, PAD-1)."""
    if not all(0 <= side <= MAX_SIDE for side in (top, bottom, left, right)):
        raise RangeError(f"sides must be 0..{MAX_SIDE}, got {top}, {bottom}, {left}, {right}")


def _check(x: np.ndarray, top: int, bottom: int, left: int, right: int) -> None:
    check_volume(x, "x")
    check_sides(top, bottom, left, right)
    if top + bottom >= x.shape[1] or left + right >= x.shape[2]:
        raise ShapeError(f"nothing of x {x.shape} remains without {top}, {bottom} rows and {left}, {right} columns")


def crop(x: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """Leave out rows and columns at the four sides (SPEC CROP-1).

    x  (C, H, W) integers;  top, bottom  rows, 0..65535;  left, right  columns, 0..65535.
    Returns a copy (C, H - top - bottom, W - left - right), of at least one sample.  Raises ShapeError, RangeError.
    """
    _check(x, top, bottom, left, right)
    return x[:, top : x.shape[1] - bottom, left : x.shape[2] - right].copy(order="C")


def crop_plain(x: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """The definition of `crop` on Python integers (SPEC CROP-1)."""
    _check(x, top, bottom, left, right)
    return np.array(fixed.crop(x.tolist(), top, bottom, left, right), x.dtype)
