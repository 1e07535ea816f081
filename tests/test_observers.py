"""Observers choose steps: min-max never saturates, least squares is never worse, latents keep powers of two."""

from __future__ import annotations

import numpy as np
import pytest

from refcodec.errors import RangeError
from refcodec.formats import IntFormat
from refcodec.quantize.observers import (
    CANDIDATES,
    MAX_POWER,
    minmax_step,
    mse_step,
    observer,
    power_of_two_step,
    squared_error,
)

FORMATS = [IntFormat(bits, signed) for bits in (2, 3, 4, 8, 12, 16) for signed in (False, True)]


def rows(fmt: IntFormat, seed: int) -> np.ndarray:
    """Heavy-tailed, one-sided, constant and tiny rows; unsigned formats are given what a rectifier leaves."""
    rng = np.random.default_rng([seed, fmt.bits, fmt.signed])
    values = rng.standard_t(2, (6, 300)) * 10.0 ** rng.integers(-6, 6, (6, 1))
    values[1], values[2], values[3] = np.abs(values[1]), -np.abs(values[2]), values[3, 0]
    values[4] *= 1e-30
    return values if fmt.signed else np.abs(values)


def naive_error(row: list[float], step: float, fmt: IntFormat) -> float:
    """Mean squared error of rounding halves up and saturating, one value at a time."""
    total = 0.0
    for value in row:
        integer = min(max(int(np.floor(value / step + 0.5)), fmt.lo), fmt.hi)
        total += (integer * step - value) ** 2
    return total / len(row)


# --- min-max


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_minmax_step_saturates_nothing(fmt: IntFormat) -> None:
    values = rows(fmt, 1)
    integers = np.floor(values / minmax_step(values, fmt)[:, None] + 0.5)
    assert integers.min() >= fmt.lo
    assert integers.max() <= fmt.hi


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_minmax_step_is_the_smallest_that_saturates_nothing(fmt: IntFormat) -> None:
    values = rows(fmt, 2)
    exact = values / (minmax_step(values, fmt)[:, None] * (1 - 1e-6))
    assert ((exact.max(axis=1) > fmt.hi) | (exact.min(axis=1) < fmt.lo)).all()


def test_minmax_step_uses_the_longer_negative_side() -> None:
    assert minmax_step(np.array([[-128.0, 127.0]]), IntFormat(8, True)).tolist() == [1.0]
    assert minmax_step(np.array([[-254.0, 127.0]]), IntFormat(8, True)).tolist() == [254 / 128]
    assert minmax_step(np.array([[-1.0, 510.0]]), IntFormat(8, False)).tolist() == [2.0]


@pytest.mark.parametrize("choose", [minmax_step, mse_step])
@pytest.mark.parametrize("signed", [False, True])
def test_steps_of_zero_rows_are_zero(choose, signed: bool) -> None:
    values = np.zeros((3, 5))
    values[1, 2] = 3.0
    steps = choose(values, IntFormat(4, signed))
    assert steps.shape == (3,)
    assert steps.dtype == np.float64
    assert steps[[0, 2]].tolist() == [0.0, 0.0]
    assert steps[1] > 0


def test_steps_of_rows_without_positive_values_are_zero_when_unsigned() -> None:
    assert minmax_step(np.array([[-1.0, -2.0]]), IntFormat(8, False)).tolist() == [0.0]


# --- squared error


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_squared_error_is_that_of_rounding_and_saturating(fmt: IntFormat) -> None:
    values = rows(fmt, 3)[:4]
    steps = minmax_step(values, fmt) * 0.37
    wanted = [naive_error(row, step, fmt) for row, step in zip(values.tolist(), steps.tolist(), strict=True)]
    np.testing.assert_allclose(squared_error(values, steps, fmt), wanted, rtol=1e-9)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_mse_step_is_never_worse_than_minmax(fmt: IntFormat) -> None:
    values = rows(fmt, 4)
    least, full = (squared_error(values, choose(values, fmt), fmt) for choose in (mse_step, minmax_step))
    assert (least <= full).all()


def test_mse_step_is_the_best_candidate() -> None:
    fmt, values = IntFormat(4, True), rows(IntFormat(4, True), 5)[:2]
    full = minmax_step(values, fmt)
    tried = np.array([squared_error(values, full * r, fmt) for r in np.geomspace(1.0, 0.1, CANDIDATES)])
    assert squared_error(values, mse_step(values, fmt), fmt).tolist() == tried.min(axis=0).tolist()


def test_mse_step_gives_up_an_outlier() -> None:
    values = np.concatenate([np.linspace(-1, 1, 999), [12.0]])[None]
    fmt = IntFormat(4, True)
    assert mse_step(values, fmt)[0] < 0.5 * minmax_step(values, fmt)[0]


# --- powers of two


@pytest.mark.parametrize("bits", range(2, 17))
def test_power_of_two_step_is_a_power_with_the_least_error(bits: int) -> None:
    fmt = IntFormat(bits, True)
    values = np.rint(np.random.default_rng(bits).standard_t(2, 400) * 9)
    for smallest in (-8, 0, 3):
        step = power_of_two_step(values, fmt, smallest)
        power = int(np.log2(step))
        assert step == 2.0**power
        assert smallest <= power <= MAX_POWER
        errors = {p: naive_error(values.tolist(), 2.0**p, fmt) for p in range(smallest, MAX_POWER + 1)}
        assert errors[power] == pytest.approx(min(errors.values()), rel=1e-9)


def test_power_of_two_step_keeps_the_grid_of_integer_symbols() -> None:
    symbols = np.array([-7.0, -1.0, 0.0, 2.0, 7.0])
    assert power_of_two_step(symbols, IntFormat(8, True), 0) == 1.0
    assert power_of_two_step(symbols + 0.25, IntFormat(8, True), -8) == 0.25


def test_power_of_two_step_takes_the_larger_of_equals() -> None:
    assert power_of_two_step(np.array([4.0, -8.0]), IntFormat(8, True), -3) == 4.0
    assert power_of_two_step(np.zeros(3), IntFormat(8, True), -3) == 2.0**MAX_POWER


# --- by name


def test_observer_finds_both_and_refuses_others() -> None:
    assert observer("mse") is mse_step
    assert observer("minmax") is minmax_step
    for name in ("MSE", "", "percentile"):
        with pytest.raises(RangeError, match=r"^RC-RANGE: unknown observer .*'minmax', 'mse'"):
            observer(name)
