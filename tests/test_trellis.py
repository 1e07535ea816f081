"""Dependent quantisation: kernel, definition and oracle agree; the search finds what trying every sequence finds."""

from __future__ import annotations

import itertools

import naive_weight_coding as naive
import numpy as np
import pytest

from refcodec import fixed
from refcodec.entropy.trellis import STATES, TRANSITIONS, reconstruct, reconstruct_plain, trellis_integer
from refcodec.errors import RangeError, ShapeError
from refcodec.quantize.trellis import dependent_levels, level_rates, priced_levels

# --- levels to integers


def test_trellis_states_split_into_two_and_come_from_two() -> None:
    """Catches a wrong entry: every state must be reachable from two others, over both parities alike."""
    assert TRANSITIONS.tolist() == fixed.TRELLIS == naive.QUANTISER
    assert sorted(TRANSITIONS.ravel().tolist()) == sorted(2 * list(range(STATES)))


def test_integers_of_all_states_and_small_levels_equal_naive() -> None:
    for state, level in itertools.product(range(STATES), range(-9, 10)):
        wanted = 2 * level if state % 2 == 0 else 2 * level - naive.kind(level)
        assert fixed.trellis_integer(state, level) == trellis_integer(state, level) == wanted
        assert fixed.trellis_state(state, level) == naive.QUANTISER[state][level % 2]


def test_reconstruct_equals_naive_on_all_short_sequences() -> None:
    for levels in itertools.product(range(-2, 3), repeat=4):
        wanted = naive.reconstruct(levels)
        assert fixed.reconstruct_levels(levels) == wanted
        assert reconstruct(np.array(levels)).tolist() == wanted


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 9), (7, 2, 1), (40,)], ids=str)
def test_reconstruct_takes_any_shape_in_c_order(shape: tuple[int, ...], rng: np.random.Generator) -> None:
    levels = rng.integers(-(2**15), 2**15, shape)
    found = reconstruct(levels)
    assert (found.shape, found.dtype) == (shape, np.int32)
    assert found.ravel().tolist() == naive.reconstruct(levels.ravel().tolist())
    np.testing.assert_array_equal(found, reconstruct_plain(levels))
    np.testing.assert_array_equal(reconstruct(np.asfortranarray(levels)), found)


def test_reconstruct_needs_one_more_bit_at_the_ends() -> None:
    assert reconstruct(np.array([-(2**15), 2**15 - 1])).tolist() == [-(2**16), 2**16 - 2]


@pytest.mark.parametrize("levels", [np.array([0.0]), np.array([2**15]), np.array([-(2**15) - 1])])
def test_reconstruct_refuses_what_is_no_level(levels: np.ndarray) -> None:
    with pytest.raises(RangeError, match="RC-RANGE: levels: wanted"):
        reconstruct(levels)


# --- the search


@pytest.mark.parametrize("bits", [2, 3])
def test_dependent_levels_cost_no_more_than_any_sequence(bits: int, rng: np.random.Generator) -> None:
    """Every sequence of levels is tried; targets lie within, at and beyond what the levels reach."""
    for _ in range(12):
        targets = rng.normal(size=6 if bits == 2 else 4) * rng.choice([0.7, 2.0, 5.0])
        weights = rng.uniform(0.1, 3, targets.size)
        levels = dependent_levels(targets, bits, weights).tolist()
        assert min(levels) >= -(2 ** (bits - 1))
        assert max(levels) < 2 ** (bits - 1)
        found = naive.cost(levels, targets, weights)
        wanted = naive.least_cost(targets.tolist(), bits, weights.tolist())
        assert found == pytest.approx(wanted, rel=1e-12)


def test_dependent_levels_with_a_price_cost_no_more_than_any_sequence(rng: np.random.Generator) -> None:
    rates = np.array([[1.0, 2.5, 4.0, 5.0, 6.0], [1.6, 2.0, 4.5, 5.0, 6.5]])
    for price in (0.1, 0.5, 2.0, 100.0):
        for _ in range(4):
            targets = rng.normal(size=4) * 2.5
            levels = dependent_levels(targets, 3, price=price, rates=rates).tolist()
            ones, table = [1.0] * targets.size, rates.tolist()
            found = naive.cost(levels, targets.tolist(), ones, price, table)
            wanted = naive.least_cost(targets.tolist(), 3, ones, price, table)
            assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("bits", [2, 4, 8, 12, 16])
def test_dependent_levels_restore_what_levels_stand_for(bits: int, rng: np.random.Generator) -> None:
    levels = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (4, 5, 9))
    targets = reconstruct(levels).astype(np.float64)
    found = dependent_levels(targets, bits)
    assert (found.dtype, found.shape) == (np.int32, levels.shape)
    np.testing.assert_array_equal(reconstruct(found), targets)


def test_dependent_levels_are_nearer_than_those_of_one_quantiser(rng: np.random.Generator) -> None:
    """At 6 bits and equal steps of its two quantisers, 1.2 to 1.6 dB less error than rounding to their own grid."""
    targets = rng.normal(size=20000) * 12
    error = np.square(reconstruct(dependent_levels(targets, 6)) - targets).mean()
    rounded = np.square(2 * np.rint(targets / 2) - targets).mean()
    assert 1.2 < 10 * np.log10(rounded / error) < 1.6


def test_priced_levels_trade_error_for_rate(rng: np.random.Generator) -> None:
    """Dearer bits: fewer of them as the estimate has it, and more error."""
    targets = rng.laplace(size=4000) * 3
    outcomes = []
    for price in (0.0, 0.5, 2.0):
        levels = priced_levels(targets, 6, price)
        rates, states, state = level_rates(levels, 6), [], 0
        for level in levels.tolist():
            states.append(state % 2)
            state = naive.QUANTISER[state][level % 2]
        outcomes.append((rates[states, np.abs(levels)].sum(), np.square(reconstruct(levels) - targets).sum()))
    assert outcomes[0][0] > outcomes[1][0] > outcomes[2][0]
    assert outcomes[0][1] < outcomes[1][1] < outcomes[2][1]


def test_level_rates_are_near_the_entropy(rng: np.random.Generator) -> None:
    levels = rng.geometric(0.5, 5000) - 1
    rates = level_rates(levels, 6)
    assert rates.shape == (2, 33)
    assert np.isfinite(rates).all()
    np.testing.assert_allclose(rates[:, :4], [[1, 3, 4, 5]] * 2, atol=0.25)  # bits, the sign's among them


def test_search_refuses_wrong_arguments() -> None:
    with pytest.raises(RangeError, match=r"bits: wanted 2 .. 16, got 17"):
        dependent_levels(np.zeros(3), 17)
    with pytest.raises(RangeError, match="targets: wanted finite numbers"):
        dependent_levels(np.array([0.0, np.nan]), 4)
    with pytest.raises(ShapeError, match=r"rates: wanted \(2, 9\), got \(2, 8\)"):
        dependent_levels(np.zeros(3), 4, price=1.0, rates=np.zeros((2, 8)))
