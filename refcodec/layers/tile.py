"""Planes repeated side by side (SPEC TILE-1, TILE-2)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError
from refcodec.layers.concatenate import check_volume

MAX_REPEATS = 4096


def check_repeats(rows: int, columns: int) -> None:
    """Raise RangeError unless both counts are legal (SPEC TILE-2)."""
    if not 1 <= rows <= MAX_REPEATS or not 1 <= columns <= MAX_REPEATS:
        raise RangeError(f"repeats must be 1..{MAX_REPEATS}, got {rows} and {columns}")


def _check(x: np.ndarray, rows: int, columns: int) -> None:
    check_volume(x, "x")
    check_repeats(rows, columns)


def tile(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Repeat every plane rows times downwards and columns times to the right (SPEC TILE-1).

    x  (C, H, W) integers;  rows, columns  1..4096.
    Returns (C, H * rows, W * columns) in the dtype of x.  Raises ShapeError, RangeError.
    Source: PyTorch Tensor.repeat; the local grids of HiNeRV.
    """
    _check(x, rows, columns)
    return np.ascontiguousarray(np.tile(x, (1, rows, columns)))


def tile_plain(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The definition of `tile` on Python integers (SPEC TILE-1)."""
    _check(x, rows, columns)
    return np.array([fixed.tile(plane, rows, columns) for plane in x.tolist()], x.dtype)
