"""Groups of channels as blocks of samples (SPEC PS-1, PS-2)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.layers.concatenate import check_volume

MAX_FACTOR = 64


def check_factors(rows: int, columns: int) -> None:
    """Raise RangeError unless both factors are legal (SPEC PS-2, NEAR-1)."""
    if not 1 <= rows <= MAX_FACTOR or not 1 <= columns <= MAX_FACTOR:
        raise RangeError(f"factors must be 1..{MAX_FACTOR}, got {rows} and {columns}")


def _check(x: np.ndarray, rows: int, columns: int) -> None:
    check_volume(x, "x")
    check_factors(rows, columns)
    if len(x) % (rows * columns):
        raise ShapeError(f"{len(x)} channels are no groups of {rows} x {columns}")


def pixel_shuffle(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Spread groups of rows * columns channels over blocks of samples (SPEC PS-1).

    x  (C * rows * columns, H, W) integers;  rows, columns  1..64.  Channel (c * rows + a) * columns + b gives row a
    and column b of the blocks of channel c, so a vector (C * h * w, 1, 1) becomes C planes of h rows.
    Returns (C, H * rows, W * columns) in the dtype of x.  Raises ShapeError, RangeError.
    Source: PyTorch PixelShuffle; ONNX DepthToSpace in the mode CRD.
    """
    _check(x, rows, columns)
    height, width = x.shape[1:]
    blocks = x.reshape(-1, rows, columns, height, width).transpose(0, 3, 1, 4, 2)
    return blocks.reshape(-1, height * rows, width * columns).copy(order="C")


def pixel_shuffle_plain(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The definition of `pixel_shuffle` on Python integers (SPEC PS-1)."""
    _check(x, rows, columns)
    return np.array(fixed.pixel_shuffle(x.tolist(), rows, columns), x.dtype)
