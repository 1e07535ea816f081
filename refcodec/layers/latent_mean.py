"""Fixed-point means added to decoded symbols (SPEC MEAN-1, MEAN-2)."""

from __future__ import annotations

import numpy as np

from refcodec.errors import RangeError, ShapeError
from refcodec.fixed import latent_mean as latent_mean_scalar
from refcodec.formats import IntFormat

SYMBOL_FORMAT = IntFormat(16, True)
MAX_FRACTION = 16


def latent_format(fraction: int) -> IntFormat:
    """Format that holds every symbol plus every mean: one bit more than the shifted symbol (SPEC MEAN-2)."""
    return IntFormat(SYMBOL_FORMAT.bits + fraction + 1, True)


def check_mean(mean: np.ndarray, fraction: int) -> None:
    """Raise ShapeError or RangeError unless the means have the fraction's format (SPEC MEAN-2)."""
    if mean.ndim != 1:
        raise ShapeError(f"expected mean (C,), got {mean.shape}")
    if not 0 <= fraction <= MAX_FRACTION:
        raise RangeError(f"fraction must be 0..{MAX_FRACTION}, got {fraction}")
    IntFormat(SYMBOL_FORMAT.bits + fraction, True).check(mean, "mean")


def _check(symbols: np.ndarray, mean: np.ndarray, fraction: int) -> None:
    check_mean(mean, fraction)
    if symbols.ndim != 3 or symbols.shape[0] != mean.shape[0]:
        raise ShapeError(f"expected symbols (C, H, W) and mean (C,), got {symbols.shape} and {mean.shape}")
    SYMBOL_FORMAT.check(symbols, "symbols")


def latent_mean(symbols: np.ndarray, mean: np.ndarray, fraction: int) -> np.ndarray:
    """Shift decoded symbols left by `fraction` bits and add their channel's mean (SPEC MEAN-1).

    symbols  (C, H, W) integers, 16 bits;  mean  (C,) integers in units of 2**-fraction;  fraction  0..16.
    Returns (C, H, W) in units of 2**-fraction.  Raises ShapeError, RangeError.
    """
    _check(symbols, mean, fraction)
    wide = (symbols.astype(np.int64) << fraction) + mean.astype(np.int64)[:, None, None]
    return wide.astype(latent_format(fraction).dtype)


def latent_mean_plain(symbols: np.ndarray, mean: np.ndarray, fraction: int) -> np.ndarray:
    """The definition of `latent_mean` on Python integers (SPEC MEAN-1)."""
    _check(symbols, mean, fraction)
    out = np.empty(symbols.shape, latent_format(fraction).dtype)
    for c, m in enumerate(mean.tolist()):
        out[c] = np.array([latent_mean_scalar(v, m, fraction) for v in symbols[c].ravel().tolist()]).reshape(
            out.shape[1:]
        )
    return out
