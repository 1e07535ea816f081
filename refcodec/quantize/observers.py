"""Choosing quantisation steps from observed values: min-max and least squared error."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refcodec.errors import RangeError
from refcodec.formats import IntFormat

CANDIDATES = 96  # steps tried by the squared-error search
SMALLEST_RATIO = 0.1  # of the min-max step
MAX_POWER = 16  # latent steps are 2**-16 .. 2**16


def minmax_step(values: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """Smallest step with which no value of a row saturates.

    values  (R, N) float, real units;  fmt  the integer format.  Returns (R,) float64, 0 where a row is all zero.
    """
    high = np.maximum(values.max(axis=1), 0.0) / fmt.hi
    low = np.maximum(-values.min(axis=1), 0.0) / -fmt.lo if fmt.signed else 0.0
    return np.maximum(high, low).astype(np.float64)


def squared_error(values: np.ndarray, step: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """Mean squared quantisation error of each row, in squared real units.  Returns (R,) float64."""
    safe = np.where(step > 0, step, 1.0)[:, None]
    restored = np.clip(np.floor(values / safe + 0.5), fmt.lo, fmt.hi) * safe
    return np.mean((restored - values) ** 2, axis=1)


def mse_step(values: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """Step with the least squared error among fractions of the min-max step (shapes as `minmax_step`)."""
    full = minmax_step(values, fmt)
    best, least = full, squared_error(values, full, fmt)
    for ratio in np.geomspace(1.0, SMALLEST_RATIO, CANDIDATES)[1:]:
        error = squared_error(values, full * ratio, fmt)
        best = np.where(error < least, full * ratio, best)
        least = np.minimum(error, least)
    return best


def power_of_two_step(values: np.ndarray, fmt: IntFormat, smallest: int) -> float:
    """Power of two with the least squared error, so that integer symbols keep their grid.

    values  (N,) float;  smallest  exponent of the smallest step allowed.  Returns the step, ties to the larger.
    """
    powers = range(MAX_POWER, smallest - 1, -1)
    errors = [squared_error(values[None], np.array([2.0**power]), fmt)[0] for power in powers]
    return 2.0 ** powers[int(np.argmin(errors))]


OBSERVERS: dict[str, Callable[[np.ndarray, IntFormat], np.ndarray]] = {"mse": mse_step, "minmax": minmax_step}


def observer(name: str) -> Callable[[np.ndarray, IntFormat], np.ndarray]:
    """The observer of that name, "mse" or "minmax".  Raises RangeError."""
    if name not in OBSERVERS:
        raise RangeError(f"unknown observer {name!r}, known are {sorted(OBSERVERS)}")
    return OBSERVERS[name]
