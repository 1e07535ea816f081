"""Zeros beside a picture (SPEC PAD-1)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.layers.concatenate import check_volume
from refcodec.layers.crop import check_sides


def _check(x: np.ndarray, top: int, bottom: int, left: int, right: int) -> None:
    check_volume(x, "x")
    check_sides(top, bottom, left, right)


def pad(x: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """Add rows and columns of zeros at the four sides (SPEC PAD-1).

    x  (C, H, W) integers;  top, bottom  rows, 0..65535;  left, right  columns, 0..65535.
    Returns (C, top + H + bottom, left + W + right) in the dtype of x.  Raises ShapeError, RangeError.
    """
    _check(x, top, bottom, left, right)
    channels, height, width = x.shape
    out = np.zeros((channels, top + height + bottom, left + width + right), x.dtype)
    out[:, top : top + height, left : left + width] = x
    return out


def pad_plain(x: np.ndarray, top: int, bottom: int, left: int, right: int) -> np.ndarray:
    """The definition of `pad` on Python integers (SPEC PAD-1)."""
    _check(x, top, bottom, left, right)
    return np.array(fixed.pad(x.tolist(), top, bottom, left, right), x.dtype)
