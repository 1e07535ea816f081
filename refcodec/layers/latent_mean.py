"""Fixed-point means added to decoded symbols (SPEC MEAN-1 to MEAN-3)."""

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


def mean_format(fraction: int) -> IntFormat:
    """Format that every mean must fit (SPEC MEAN-2).  Raises RangeError where the fraction is not 0..16."""
    if not 0 <= fraction <= MAX_FRACTION:
        raise RangeError(f"fraction must be 0..{MAX_FRACTION}, got {fraction}")
    return IntFormat(SYMBOL_FORMAT.bits + fraction, True)


def check_mean(mean: np.ndarray, fraction: int) -> None:
    """Raise ShapeError or RangeError unless the means have the fraction's format (SPEC MEAN-2)."""
    if mean.ndim != 1:
        raise ShapeError(f"expected mean (C,), got {mean.shape}")
    mean_format(fraction).check(mean, "mean")


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


def _check_each(symbols: np.ndarray, means: np.ndarray, fraction: int) -> None:
    if symbols.ndim != 3 or means.shape != symbols.shape:
        raise ShapeError(f"expected symbols and means (C, H, W), got {symbols.shape} and {means.shape}")
    SYMBOL_FORMAT.check(symbols, "symbols")
    mean_format(fraction).check(means, "means")


def latent_means(symbols: np.ndarray, means: np.ndarray, fraction: int) -> np.ndarray:
    """Shift decoded symbols left by `fraction` bits and add to each a mean of its own (SPEC MEAN-3).

    symbols  (C, H, W) integers, 16 bits;  means  (C, H, W) integers in units of 2**-fraction, 16 + fraction bits
    fraction  0..16.
    Returns (C, H, W) in units of 2**-fraction.  Raises ShapeError, RangeError.
    """
    _check_each(symbols, means, fraction)
    # The sum of two numbers of 32 bits at most fits 33 bits, so it is exact in int64.
    wide = (symbols.astype(np.int64) << fraction) + means.astype(np.int64)
    return wide.astype(latent_format(fraction).dtype)


def latent_means_plain(symbols: np.ndarray, means: np.ndarray, fraction: int) -> np.ndarray:
    """The definition of `latent_means` on Python integers (SPEC MEAN-1, MEAN-3)."""
    _check_each(symbols, means, fraction)
    pairs = zip(symbols.ravel().tolist(), means.ravel().tolist(), strict=True)
    values = [latent_mean_scalar(symbol, mean, fraction) for symbol, mean in pairs]
    return np.array(values, latent_format(fraction).dtype).reshape(symbols.shape)
