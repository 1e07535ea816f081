"""Exact head: an 8-bit sample by thresholds on the accumulator (SPEC HEAD-1, HEAD-2)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.formats import MAX_BITS, IntFormat
from refcodec.kernel import parallel_kernel, prange

THRESHOLDS = 255  # one fewer than the values of a sample
SAMPLE_FORMAT = IntFormat(8, False)


@parallel_kernel
def _threshold_head(accumulator, thresholds, out):
    for n in prange(accumulator.shape[0] * accumulator.shape[1]):
        c = n // accumulator.shape[1]
        y = n % accumulator.shape[1]
        for x in range(accumulator.shape[2]):
            value = np.int64(accumulator[c, y, x])  # signed or unsigned, 48 bits fit
            sample = 0
            for step in (128, 64, 32, 16, 8, 4, 2, 1):  # the thresholds never decrease: a binary search counts them
                if value > thresholds[c, sample + step - 1]:
                    sample += step
            out[c, y, x] = sample


def check_thresholds(thresholds: np.ndarray) -> None:
    """Raise ShapeError or RangeError unless each row holds 255 integers that never decrease (SPEC HEAD-2)."""
    if thresholds.ndim != 2 or thresholds.shape[1] != THRESHOLDS:
        raise ShapeError(f"expected thresholds (C, {THRESHOLDS}), got {thresholds.shape}")
    if thresholds.dtype.kind != "i" or (thresholds[:, 1:] < thresholds[:, :-1]).any():
        raise RangeError("thresholds must be signed integers that never decrease within a channel")


def _check(accumulator: np.ndarray, thresholds: np.ndarray) -> None:
    check_thresholds(thresholds)
    if accumulator.ndim != 3 or accumulator.shape[0] != thresholds.shape[0]:
        raise ShapeError(f"expected accumulator (C, H, W) and thresholds of C rows, got {accumulator.shape}")
    IntFormat(MAX_BITS, bool((accumulator < 0).any())).check(accumulator, "accumulator")


def threshold_head(accumulator: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The sample of every accumulator: how many thresholds of its channel lie below it (SPEC HEAD-1).

    accumulator  (C, H, W) integers of at most 48 bits
    thresholds  (C, 255) signed integers that never decrease within a channel.
    Returns (C, H, W) int16, 0..255.  Raises ShapeError, RangeError.
    """
    _check(accumulator, thresholds)
    out = np.empty(accumulator.shape, SAMPLE_FORMAT.dtype)
    _threshold_head(accumulator, thresholds.astype(np.int64), out)
    return out


def threshold_head_plain(accumulator: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The definition of `threshold_head` on Python integers (SPEC HEAD-1)."""
    _check(accumulator, thresholds)
    out = np.empty(accumulator.shape, SAMPLE_FORMAT.dtype)
    for c, row in enumerate(thresholds.tolist()):
        values = [fixed.scale_index(a, row) for a in accumulator[c].ravel().tolist()]
        out[c] = np.array(values, out.dtype).reshape(out.shape[1:])
    return out
