"""Enlargement by repeating samples (SPEC NEAR-1)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.layers.concatenate import check_volume
from refcodec.layers.pixel_shuffle import check_factors


def _check(x: np.ndarray, rows: int, columns: int) -> None:
    check_volume(x, "x")
    check_factors(rows, columns)


def nearest(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Repeat every sample rows times downwards and columns times to the right (SPEC NEAR-1).

    x  (C, H, W) integers;  rows, columns  1..64.
    Returns (C, H * rows, W * columns) in the dtype of x.  Raises ShapeError, RangeError.
    Source: PyTorch F.interpolate, mode nearest.
    """
    _check(x, rows, columns)
    return x.repeat(columns, axis=2).repeat(rows, axis=1)


def nearest_plain(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The definition of `nearest` on Python integers (SPEC NEAR-1)."""
    _check(x, rows, columns)
    return np.array([fixed.nearest(plane, rows, columns) for plane in x.tolist()], x.dtype)
