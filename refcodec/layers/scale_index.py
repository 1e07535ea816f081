"""Scale index by thresholds on the accumulator (SPEC SCALE-1, SCALE-2)."""

from __future__ import annotations

import numpy as np

from refcodec.errors import RangeError, ShapeError
from refcodec.fixed import scale_index as scale_index_scalar
from refcodec.formats import IntFormat
from refcodec.kernel import parallel_kernel, prange

THRESHOLDS = 63  # one fewer than the rows of the scale table
INDEX_FORMAT = IntFormat(6, False)


@parallel_kernel
def _scale_index(accumulator, thresholds, out):
    for c in prange(accumulator.shape[0]):
        for y in range(accumulator.shape[1]):
            for x in range(accumulator.shape[2]):
                value = accumulator[c, y, x]
                index = 0
                for step in (32, 16, 8, 4, 2, 1):  # the thresholds never decrease, so a binary search counts them
                    if value > thresholds[c, index + step - 1]:
                        index += step
                out[c, y, x] = index


def check_thresholds(thresholds: np.ndarray) -> None:
    """Raise ShapeError or RangeError unless each row holds 63 integers that never decrease (SPEC SCALE-2)."""
    if thresholds.ndim != 2 or thresholds.shape[1] != THRESHOLDS:
        raise ShapeError(f"expected thresholds (C, {THRESHOLDS}), got {thresholds.shape}")
    if thresholds.dtype.kind != "i" or (thresholds[:, 1:] < thresholds[:, :-1]).any():
        raise RangeError("thresholds must be integers that never decrease within a channel")


def _check(accumulator: np.ndarray, thresholds: np.ndarray) -> None:
    check_thresholds(thresholds)
    if accumulator.ndim != 3 or accumulator.shape[0] != thresholds.shape[0]:
        raise ShapeError(f"expected accumulator (C, H, W) and thresholds of C rows, got {accumulator.shape}")
    IntFormat(48, True).check(accumulator, "accumulator")


def scale_index(accumulator: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Row of the scale table for every latent: how many thresholds lie below the accumulator (SPEC SCALE-1).

    accumulator  (C, H, W) integers, at most 48 bits;  thresholds  (C, 63) integers that never decrease.
    Returns (C, H, W) int16, 0..63.  Raises ShapeError, RangeError.
    Source: CompressAI build_indexes, moved to the integer side of the last layer.
    """
    _check(accumulator, thresholds)
    out = np.empty(accumulator.shape, INDEX_FORMAT.dtype)
    _scale_index(accumulator, thresholds.astype(np.int64), out)
    return out


def scale_index_plain(accumulator: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The definition of `scale_index` on Python integers (SPEC SCALE-1)."""
    _check(accumulator, thresholds)
    out = np.empty(accumulator.shape, INDEX_FORMAT.dtype)
    for c, row in enumerate(thresholds.tolist()):
        values = [scale_index_scalar(a, row) for a in accumulator[c].ravel().tolist()]
        out[c] = np.array(values, out.dtype).reshape(out.shape[1:])
    return out
