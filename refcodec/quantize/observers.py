"""Choosing quantisation steps from observed values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from refcodec.errors import RangeError
from refcodec.formats import IntFormat
from refcodec.quantize.options import OBSERVERS

Observer = Callable[[np.ndarray, IntFormat], np.ndarray]
CANDIDATES = 96  # steps tried by the squared-error search
SMALLEST_RATIO = 0.1  # of the min-max step
MAX_POWER = 16  # of latent steps


def _step(low: np.ndarray, high: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """Smallest step with which a format reaches from low to high, each (R,); an unsigned one only up."""
    upward = np.maximum(high, 0.0) / fmt.hi
    downward = np.maximum(-low, 0.0) / -fmt.lo if fmt.signed else 0.0
    return np.maximum(upward, downward).astype(np.float64)


def minmax_step(values: np.ndarray, fmt: IntFormat, headroom: float = 1.0) -> np.ndarray:
    """Smallest step with which no value of a row saturates, times `headroom`.

    values  (R, N) float, real units;  fmt  the integer format.  Returns (R,) float64, 0 where a row is all zero.
    """
    return headroom * _step(values.min(axis=1), values.max(axis=1), fmt)


def percentile_step(values: np.ndarray, fmt: IntFormat, percentile: float) -> np.ndarray:
    """Step with which `percentile` per cent of a row lie below the largest magnitude (shapes as `minmax_step`).

    Never wider than min-max.
    """
    limit = np.percentile(np.abs(values) if fmt.signed else np.maximum(values, 0.0), percentile, axis=1)
    return np.minimum(_step(-limit, limit, fmt), minmax_step(values, fmt))


def sigma_step(values: np.ndarray, fmt: IntFormat, deviations: float, upper: bool) -> np.ndarray:
    """Step that reaches `deviations` standard deviations from the mean of a row (shapes as `minmax_step`).

    upper  only the upper limit counts; else both, as before a normalisation.  Never wider than min-max.
    Source: the clipping rule of DRAQ, theta = mu + k sigma, and a, b = mu -+ k sigma.
    """
    mean, spread = values.mean(axis=1), deviations * values.std(axis=1)
    low = -(mean + spread) if upper else mean - spread
    return np.minimum(_step(low, mean + spread, fmt), minmax_step(values, fmt))


def squared_error(
    values: np.ndarray, step: np.ndarray, fmt: IntFormat, importance: np.ndarray | None = None
) -> np.ndarray:
    """Mean squared quantisation error of each row, in squared real units.  Returns (R,) float64.

    importance  (N,) what the square of an error counts, for each column.
    """
    return _mean_error(values, step, fmt, importance, np.empty_like(values, np.float64))


def _mean_error(
    values: np.ndarray, step: np.ndarray, fmt: IntFormat, importance: np.ndarray | None, errors: np.ndarray
) -> np.ndarray:
    """`squared_error`; the squares go into `errors`, of the shape of the values."""
    safe = np.where(step > 0, step, 1.0)[:, None]
    np.divide(values, safe, out=errors)
    errors += 0.5
    np.floor(errors, out=errors)
    np.clip(errors, fmt.lo, fmt.hi, out=errors)
    errors *= safe
    errors -= values
    np.square(errors, out=errors)
    if importance is not None:
        errors *= importance
    return np.mean(errors, axis=1)


def mse_step(values: np.ndarray, fmt: IntFormat, importance: np.ndarray | None = None) -> np.ndarray:
    """Step with the least squared error among fractions of the min-max step (shapes as `squared_error`)."""
    full, errors = minmax_step(values, fmt), np.empty_like(values, np.float64)
    best, least = full, _mean_error(values, full, fmt, importance, errors)
    for ratio in np.geomspace(1.0, SMALLEST_RATIO, CANDIDATES)[1:]:
        error = _mean_error(values, full * ratio, fmt, importance, errors)
        best = np.where(error < least, full * ratio, best)
        least = np.minimum(error, least)
    return best


def power_of_two_step(values: np.ndarray, fmt: IntFormat, smallest: int, reach: float) -> np.ndarray:
    """Powers of two with the least squared error of each row, so that symbols beside a median keep their distances.

    values  (R, N) float;  smallest  exponent of the smallest step allowed
    reach   what the largest integer must stand for at least.  Returns (R,) steps, ties to the smaller.
    """
    powers = np.arange(max(smallest, int(np.ceil(np.log2(reach / fmt.hi)))), MAX_POWER + 1)
    errors = [squared_error(values, np.full(len(values), 2.0**power), fmt) for power in powers]
    return np.ldexp(1.0, powers[np.argmin(errors, axis=0)])


def symbol_step(values: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """Step for rows of whole numbers: one where they fit, else that of `mse_step` (shapes as `minmax_step`)."""
    steps, beyond = np.ones(len(values)), minmax_step(values, fmt) > 1
    if beyond.any():
        steps[beyond] = np.maximum(mse_step(values[beyond], fmt), 1.0)
    return steps


def observer(name: str, deviations: float, percentile: float) -> Observer:
    """The rule of that name, one of OBSERVERS.  Raises RangeError.

    deviations  positive, of the sigma rules;  percentile  above 50, at most 100.
    """
    if not (deviations > 0 and 50 < percentile <= 100):
        raise RangeError(f"wanted positive deviations and a percentile of 50..100, got {deviations} and {percentile}")
    rules: dict[str, Observer] = {
        "mse": mse_step,
        "minmax": minmax_step,
        "percentile": partial(percentile_step, percentile=percentile),
        "sigma": partial(sigma_step, deviations=deviations, upper=False),
        "sigma-upper": partial(sigma_step, deviations=deviations, upper=True),
    }
    if name not in rules:
        raise RangeError(f"unknown observer {name!r}, known are {', '.join(OBSERVERS)}")
    return rules[name]


def draq_deviations(trade_off: float) -> float:
    """Standard deviations that DRAQ clips at, k = 625 lambda + 2.  Raises RangeError for a negative lambda."""
    if not trade_off >= 0:
        raise RangeError(f"lambda must not be negative, got {trade_off}")
    return 625 * trade_off + 2
