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
def _count_below(accumulator, thresholds, steps, out):
    for n in prange(accumulator.shape[0] * accumulator.shape[1]):
        c = n // accumulator.shape[1]
        y = n % accumulator.shape[1]
        for x in range(accumulator.shape[2]):
            value = np.int64(accumulator[c, y, x])  # signed or unsigned, 48 bits fit
            count = 0
            for step in steps:  # the thresholds never decrease, so a binary search counts them
                if value > thresholds[c, count + step - 1]:
                    count += step
            out[c, y, x] = count


def check_counted(accumulator: np.ndarray, thresholds: np.ndarray, fmt: IntFormat) -> None:
    """Raise ShapeError or RangeError unless every accumulator, in `fmt`, has a row of thresholds."""
    if accumulator.ndim != 3 or accumulator.shape[0] != thresholds.shape[0]:
        raise ShapeError(f"expected accumulator (C, H, W) and thresholds of C rows, got {accumulator.shape}")
    fmt.check(accumulator, "accumulator")


def count_below(accumulator: np.ndarray, thresholds: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """How many thresholds of its channel lie below each accumulator (SPEC SCALE-1, HEAD-1).

    accumulator  (C, H, W) checked integers;  thresholds  (C, 2**n - 1) checked integers;  fmt  holds 0 .. 2**n - 1.
    Returns (C, H, W) of the dtype of `fmt`.
    """
    out = np.empty(accumulator.shape, fmt.dtype)
    steps = tuple(1 << bit for bit in reversed(range(fmt.bits)))  # a tuple, so that the compiler unrolls the search
    _count_below(accumulator, thresholds.astype(np.int64), steps, out)
    return out


def count_below_plain(accumulator: np.ndarray, thresholds: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """The definition of `count_below` on Python integers (SPEC SCALE-1, HEAD-1)."""
    out = np.empty(accumulator.shape, fmt.dtype)
    for c, row in enumerate(thresholds.tolist()):
        values = [scale_index_scalar(a, row) for a in accumulator[c].ravel().tolist()]
        out[c] = np.array(values, out.dtype).reshape(out.shape[1:])
    return out


def check_thresholds(thresholds: np.ndarray) -> None:
    """Raise ShapeError or RangeError unless each row holds 63 integers that never decrease (SPEC SCALE-2)."""
    if thresholds.ndim != 2 or thresholds.shape[1] != THRESHOLDS:
        raise ShapeError(f"expected thresholds (C, {THRESHOLDS}), got {thresholds.shape}")
    if thresholds.dtype.kind != "i" or (thresholds[:, 1:] < thresholds[:, :-1]).any():
        raise RangeError("thresholds must be integers that never decrease within a channel")


def _check(accumulator: np.ndarray, thresholds: np.ndarray) -> None:
    check_thresholds(thresholds)
    check_counted(accumulator, thresholds, IntFormat(48, True))


def scale_index(accumulator: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Row of the scale table for every latent: how many thresholds lie below the accumulator (SPEC SCALE-1).

    accumulator  (C, H, W) integers, at most 48 bits;  thresholds  (C, 63) integers that never decrease.
    Returns (C, H, W) int16, 0..63.  Raises ShapeError, RangeError.
    Source: CompressAI build_indexes, moved to the integer side of the last layer.
    """
    _check(accumulator, thresholds)
    return count_below(accumulator, thresholds, INDEX_FORMAT)


def scale_index_plain(accumulator: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The definition of `scale_index` on Python integers (SPEC SCALE-1)."""
    _check(accumulator, thresholds)
    return count_below_plain(accumulator, thresholds, INDEX_FORMAT)
