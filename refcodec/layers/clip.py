"""Clip and rectifier (SPEC CLIP-1, CLIP-2)."""

from __future__ import annotations

import numpy as np

from refcodec.errors import RangeError, ShapeError
from refcodec.fixed import clip as clip_scalar
from refcodec.kernel import parallel_kernel, prange


@parallel_kernel
def _clip(x, lo, hi, out):
    for c in prange(x.shape[0]):
        for y in range(x.shape[1]):
            for i in range(x.shape[2]):
                out[c, y, i] = min(max(x[c, y, i], lo), hi)


def _check(x: np.ndarray, lo: int, hi: int) -> None:
    if x.ndim != 3:
        raise ShapeError(f"expected x (C, H, W), got {x.shape}")
    if x.dtype.kind != "i" or lo > hi or lo < np.iinfo(x.dtype).min or hi > np.iinfo(x.dtype).max:
        raise RangeError(f"clip needs signed integers and limits lo <= hi inside {x.dtype}, got {lo}, {hi}")


def clip(x: np.ndarray, lo: int, hi: int) -> np.ndarray:
    """Limit every value to lo .. hi (SPEC CLIP-1).

    x  (C, H, W) signed integers;  lo, hi  limits within x.dtype, lo <= hi.
    Returns the same shape and dtype.  Raises ShapeError, RangeError.
    """
    _check(x, lo, hi)
    out = np.empty_like(x)
    _clip(x, lo, hi, out)
    return out


def clip_plain(x: np.ndarray, lo: int, hi: int) -> np.ndarray:
    """The definition of `clip` on Python integers (SPEC CLIP-1)."""
    _check(x, lo, hi)
    return np.array([clip_scalar(v, lo, hi) for v in x.ravel().tolist()], x.dtype).reshape(x.shape)


def relu(x: np.ndarray) -> np.ndarray:
    """Replace negative values by zero: a clip at 0 and the dtype's largest value (SPEC CLIP-2).

    x  (C, H, W) signed integers.  Returns the same shape and dtype.  Raises ShapeError, RangeError.
    """
    return clip(x, 0, int(np.iinfo(x.dtype).max) if x.dtype.kind == "i" else 0)
