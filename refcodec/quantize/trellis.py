"""The encoder's side of dependent quantisation: levels of least error, or of least error and rate (SPEC DQ-3)."""

from __future__ import annotations

import numpy as np

from refcodec.entropy.trellis import STATES, TRANSITIONS, trellis_integer
from refcodec.errors import RangeError, ShapeError
from refcodec.kernel import kernel

MIN_BITS, MAX_BITS = 2, 16


@kernel
def _best_level(target, weight, price, odd, parity, largest, rates):
    """The cheapest level of a parity in states of a parity, and its cost.

    Looked at are the nearest level, which costs least where bits are free, the next one towards zero, and the smallest.
    """
    size = abs(target)
    place = (size + odd) / 2
    nearest = 2 * int(np.floor((place - parity) / 2 + 0.5)) + parity
    nearest = max(parity, min(nearest, largest - ((largest - parity) & 1)))
    best, least = 0, np.inf
    for magnitude in (nearest, max(parity, nearest - 2), parity):
        error = size - trellis_integer(odd, magnitude)
        cost = weight * error * error + price * rates[odd, magnitude]
        if cost < least:
            best, least = magnitude, cost
    return (-best if target < 0 else best), least


@kernel
def _search(targets, weights, price, lo, hi, rates, choices, origins, levels):
    """Viterbi: forward with the best way into each state, then back from the cheapest last one."""
    cost = np.full(STATES, np.inf)
    cost[0] = 0.0
    step_costs = np.empty((2, 2))
    for i in range(targets.size):
        largest = -lo if targets[i] < 0 else hi
        for odd in range(2):
            for parity in range(2):
                level, least = _best_level(targets[i], weights[i], price, odd, parity, largest, rates)
                choices[i, odd, parity] = level
                step_costs[odd, parity] = least
        following = np.full(STATES, np.inf)
        for state in range(STATES):
            for parity in range(2):
                target = TRANSITIONS[state, parity]
                total = cost[state] + step_costs[state & 1, parity]
                if total < following[target]:
                    following[target] = total
                    origins[i, target] = 2 * state + parity
        cost = following - following.min()
    state = int(np.argmin(cost))
    for i in range(targets.size - 1, -1, -1):
        origin = origins[i, state]
        state = origin >> 1
        levels[i] = choices[i, state & 1, origin & 1]


def level_rates(levels: np.ndarray, bits: int) -> np.ndarray:
    """What levels cost by how often they occur, in bits, apart for even and odd states (SPEC DQ-3).

    levels  any shape, integers of that many signed bits, taken in C order
    Returns (2, 2**(bits - 1) + 1) float64: the state's parity, the magnitude; signs are taken as even chances.
    """
    flat = np.asarray(levels).reshape(-1)
    states = np.empty(flat.size, np.int64)
    _states(np.ascontiguousarray(flat, np.int32), states)
    size = (1 << bits - 1) + 1
    found = np.empty((2, size))
    for parity in range(2):
        magnitudes = np.abs(flat[states % 2 == parity].astype(np.int64))
        counts = _smoothed(np.bincount(magnitudes, minlength=size).astype(np.float64))
        found[parity] = np.log2(counts.sum()) - np.log2(counts)
        found[parity, 1:] += 1
    return found


def _smoothed(counts: np.ndarray) -> np.ndarray:
    """Counts of which none is zero, averaged over a tenth of the magnitude to either side."""
    sums = np.concatenate([[0.0], np.cumsum(counts)])
    index = np.arange(counts.size)
    reach = index // 10
    begin, end = index - reach, np.minimum(index + reach + 1, counts.size)
    return (sums[end] - sums[begin] + 0.1) / (end - begin)


@kernel
def _states(levels, states):
    state = 0
    for i in range(levels.size):
        states[i] = state
        state = TRANSITIONS[state, levels[i] & 1]


def dependent_levels(
    targets: np.ndarray,
    bits: int,
    importance: np.ndarray | float = 1.0,
    price: float = 0.0,
    rates: np.ndarray | None = None,
) -> np.ndarray:
    """Levels whose integers come nearest to real targets (SPEC DQ-3).

    targets  any shape, finite: weights divided by the step of `reconstruct`'s integers, in scan order
    bits  2..16 of a signed level;  importance  of each squared error, 0 or more, broadcast to the targets
    price  of one bit in these units;  rates  of `level_rates`, wanted where the price is not 0
    Returns int32 of the shape of targets: the levels of the least sum, limited to -2**(bits - 1) .. 2**(bits - 1) - 1.
    Raises RangeError, ShapeError.  Source: Viterbi's algorithm over the trellis of DQ-1.
    """
    if not MIN_BITS <= bits <= MAX_BITS:
        raise RangeError(f"bits: wanted {MIN_BITS} .. {MAX_BITS}, got {bits}")
    lo, hi = -(1 << bits - 1), (1 << bits - 1) - 1
    if rates is None:
        rates = np.zeros((2, -lo + 1))
    if rates.shape != (2, -lo + 1):
        raise ShapeError(f"rates: wanted (2, {-lo + 1}), got {rates.shape}")
    if not np.isfinite(targets).all():
        raise RangeError("targets: wanted finite numbers")
    flat = np.ascontiguousarray(targets, np.float64).reshape(-1)
    weights = np.ascontiguousarray(np.broadcast_to(importance, targets.shape), np.float64).reshape(-1)
    levels = np.empty(flat.size, np.int32)
    choices, origins = np.empty((flat.size, 2, 2), np.int32), np.empty((flat.size, STATES), np.int8)
    _search(flat, weights, float(price), lo, hi, np.ascontiguousarray(rates, np.float64), choices, origins, levels)
    return levels.reshape(targets.shape)


def priced_levels(
    targets: np.ndarray, bits: int, price: float, importance: np.ndarray | float = 1.0, passes: int = 2
) -> np.ndarray:
    """Levels of least error plus price times estimated bits; rates are those of the levels found before (SPEC DQ-3).

    targets, bits, importance, price  as of `dependent_levels`;  passes  searches after the one without rates.
    """
    levels = dependent_levels(targets, bits, importance)
    for _ in range(passes):
        levels = dependent_levels(targets, bits, importance, price, level_rates(levels, bits))
    return levels
