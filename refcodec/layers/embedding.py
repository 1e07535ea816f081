"""Embedding: the tensor of a frame, interpolated over time (SPEC EMB-1, EMB-2)."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.kernel import kernel

MAX_FRAMES = 1 << 20
MAX_BITS = 16
Index = TypeVar("Index", int, np.ndarray)


@kernel
def _embedding(early, late, unit, part, out):
    for c in range(out.shape[0]):
        for y in range(out.shape[1]):
            for x in range(out.shape[2]):
                # the weights sum to the unit, at most 2**21, and entries have 16 bits: below 2**37. The unit is even,
                # so adding its half before the floor of the division is the rounding of DIV-1.
                total = (unit - part) * np.int64(early[c, y, x]) + part * np.int64(late[c, y, x])
                out[c, y, x] = (total + (unit >> 1)) // unit


def check_embedding(table: np.ndarray, frames: int, target: IntFormat) -> None:
    """Raise ShapeError or RangeError unless the tensors belong to the frames and the target (SPEC EMB-2)."""
    if table.ndim != 4 or not table.size:
        raise ShapeError(f"expected table (T, C, H, W), got {table.shape}")
    if not len(table) <= frames <= MAX_FRAMES:
        raise RangeError(f"there must be {len(table)}..{MAX_FRAMES} frames for {len(table)} tensors, not {frames}")
    if target.bits > MAX_BITS:
        raise RangeError(f"table entries have at most {MAX_BITS} bits, not {target}")
    target.check(table, "table")


def place(index: Index, count: int, frames: int, centred: bool) -> Index:
    """Where a frame lies among `count` tensors, in units of 1 / (2 * frames) of their distance (SPEC EMB-1)."""
    return 2 * count * index + (count - frames if centred else 0)


def _check(x: np.ndarray, table: np.ndarray, frames: int, target: IntFormat) -> None:
    check_embedding(table, frames, target)
    if x.shape != (1, 1, 1):
        raise ShapeError(f"expected one frame number (1, 1, 1), got {x.shape}")
    if x.dtype.kind not in "iu" or not 0 <= x.item() < frames:
        raise RangeError(f"the frame number must be an integer of 0..{frames - 1}, got {x.item()}")


def embedding(x: np.ndarray, table: np.ndarray, frames: int, centred: bool, target: IntFormat) -> np.ndarray:
    """The tensor of a frame, interpolated between neighbours where there are fewer tensors than frames (SPEC EMB-1).

    x  (1, 1, 1) integer, frame number 0 .. frames - 1;  table  (T, C, H, W) integers in `target`, at most 16 bits
    frames  T .. 2**20;  centred  as PyTorch resizes, else frame 0 falls on the first tensor.
    Returns (C, H, W) in `target` and of its dtype.  Raises ShapeError, RangeError.
    Source: PyTorch `interpolate`, linear, align_corners=False; HiNeRV's temporal grids, and FFNeRV's from the left.
    """
    _check(x, table, frames, target)
    count, unit = len(table), 2 * frames
    first, second, part = fixed.line_taps(place(int(x.item()), count, frames, centred), unit, count)
    out = np.empty(table.shape[1:], target.dtype)
    _embedding(table[first], table[second], unit, part, out)
    return out


def embedding_plain(x: np.ndarray, table: np.ndarray, frames: int, centred: bool, target: IntFormat) -> np.ndarray:
    """The definition of `embedding` on Python integers (SPEC EMB-1)."""
    _check(x, table, frames, target)
    return np.array(fixed.embedding(table.tolist(), x.item(), frames, centred), target.dtype)
