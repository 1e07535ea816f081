"""Exact head: an 8-bit sample by thresholds on the accumulator (SPEC HEAD-1, HEAD-2)."""

from __future__ import annotations

import numpy as np

from refcodec.errors import RangeError, ShapeError
from refcodec.formats import MAX_BITS, IntFormat
from refcodec.layers.scale_index import check_counted, count_below, count_below_plain

THRESHOLDS = 255  # one fewer than the values of a sample
SAMPLE_FORMAT = IntFormat(8, False)


def check_thresholds(thresholds: np.ndarray) -> None:
    """Raise ShapeError or RangeError unless each row holds 255 integers that never decrease (SPEC HEAD-2)."""
    if thresholds.ndim != 2 or thresholds.shape[1] != THRESHOLDS:
        raise ShapeError(f"expected thresholds (C, {THRESHOLDS}), got {thresholds.shape}")
    if thresholds.dtype.kind != "i" or (thresholds[:, 1:] < thresholds[:, :-1]).any():
        raise RangeError("thresholds must be signed integers that never decrease within a channel")


def _check(accumulator: np.ndarray, thresholds: np.ndarray) -> None:
    check_thresholds(thresholds)
    check_counted(accumulator, thresholds, IntFormat(MAX_BITS, bool((accumulator < 0).any())))


def threshold_head(accumulator: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The sample of every accumulator: how many thresholds of its channel lie below it (SPEC HEAD-1).

    accumulator  (C, H, W) integers of at most 48 bits
    thresholds  (C, 255) signed integers that never decrease within a channel.
    Returns (C, H, W) int16, 0..255.  Raises ShapeError, RangeError.
    """
    _check(accumulator, thresholds)
    return count_below(accumulator, thresholds, SAMPLE_FORMAT)


def threshold_head_plain(accumulator: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The definition of `threshold_head` on Python integers (SPEC HEAD-1)."""
    _check(accumulator, thresholds)
    return count_below_plain(accumulator, thresholds, SAMPLE_FORMAT)
