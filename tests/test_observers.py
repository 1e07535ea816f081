"""Observers choose steps: min-max never saturates, least squares is never worse, latents keep powers of two."""

from __future__ import annotations

import numpy as np
import pytest

from refcodec.errors import RangeError
from refcodec.formats import IntFormat
from refcodec.quantize.observers import (
    CANDIDATES,
    MAX_POWER,
    draq_deviations,
    minmax_step,
    mse_step,
    observer,
    percentile_step,
    power_of_two_step,
    sigma_step,
    squared_error,
    symbol_step,
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


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_squared_error_counts_columns_by_their_importance(fmt: IntFormat) -> None:
    values = rows(fmt, 6)[:2]
    steps, importance = minmax_step(values, fmt) * 0.4, np.random.default_rng(6).uniform(0, 3, 300)
    for row, step, found in zip(values, steps.tolist(), squared_error(values, steps, fmt, importance), strict=True):
        each = [naive_error([value], step, fmt) for value in row.tolist()]
        assert found == pytest.approx(np.dot(each, importance) / 300, rel=1e-9)


def test_mse_step_prefers_the_columns_that_count() -> None:
    values, fmt = np.array([[0.4, -0.5, 0.3, 0.2, 8.0]]), IntFormat(4, True)
    narrow = mse_step(values, fmt, np.array([1.0, 1, 1, 1, 1e-9]))
    assert narrow[0] < 0.2 * minmax_step(values, fmt)[0]
    assert mse_step(values, fmt, np.array([1e-9, 1e-9, 1e-9, 1e-9, 1.0]))[0] > 5 * narrow[0]
    assert mse_step(values, fmt, np.ones(5)) == mse_step(values, fmt)


# --- percentiles and deviations


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("percentile", [50.5, 90.0, 99.0, 99.9, 100.0])
def test_percentile_step_reaches_the_percentile_of_magnitudes(fmt: IntFormat, percentile: float) -> None:
    """By linear interpolation between the two nearest ranks of the sorted magnitudes."""
    values = rows(fmt, 7)
    for row, found, most in zip(
        values, percentile_step(values, fmt, percentile), minmax_step(values, fmt), strict=True
    ):
        magnitudes = sorted(abs(v) if fmt.signed else max(v, 0.0) for v in row.tolist())
        place = percentile / 100 * (len(magnitudes) - 1)
        low = int(place)
        high = min(low + 1, len(magnitudes) - 1)
        limit = magnitudes[low] + (place - low) * (magnitudes[high] - magnitudes[low])
        assert found == pytest.approx(min(limit / fmt.hi, most), rel=1e-9)


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
@pytest.mark.parametrize("deviations", [0.5, 3.0, 10.0, 85.0])
def test_sigma_steps_are_those_of_the_mean_and_deviation(fmt: IntFormat, deviations: float) -> None:
    values = rows(fmt, 8)
    found = {upper: sigma_step(values, fmt, deviations, upper) for upper in (False, True)}
    for number, row in enumerate(values.tolist()):
        mean = sum(row) / len(row)
        spread = (sum((value - mean) ** 2 for value in row) / len(row)) ** 0.5
        low, high, most = mean - deviations * spread, mean + deviations * spread, minmax_step(values, fmt)[number]
        both = max(high / fmt.hi, low / fmt.lo if fmt.signed else 0.0, 0.0)
        # one limit for both signs, the upper one; a step can only reach from zero upwards
        upper = max(high, 0.0) / fmt.hi
        assert found[False][number] == pytest.approx(min(both, most), rel=1e-6, abs=1e-300)
        assert found[True][number] == pytest.approx(min(upper, most), rel=1e-6, abs=1e-300)


@pytest.mark.parametrize("name", ["mse", "minmax", "percentile", "sigma", "sigma-upper"])
@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_no_observer_goes_beyond_minmax(name: str, fmt: IntFormat) -> None:
    for seed in range(4):
        values = rows(fmt, seed)
        for deviations, percentile in ((0.1, 51.0), (1e6, 100.0)):
            steps = observer(name, deviations, percentile)(values, fmt)
            assert (steps <= minmax_step(values, fmt)).all()
            assert (steps >= 0).all()


def test_minmax_step_leaves_headroom() -> None:
    values, fmt = rows(IntFormat(8, True), 9), IntFormat(8, True)
    np.testing.assert_array_equal(minmax_step(values, fmt, 1.5), 1.5 * minmax_step(values, fmt))


@pytest.mark.parametrize(("trade_off", "wanted"), [(0.0, 2.0), (0.0018, 3.125), (0.013, 10.125), (0.18, 114.5)])
def test_draq_deviations_are_625_lambda_and_2(trade_off: float, wanted: float) -> None:
    assert draq_deviations(trade_off) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("trade_off", [-0.001, float("nan"), float("-inf")])
def test_draq_deviations_refuse_what_is_no_lambda(trade_off: float) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: lambda must not be negative, got "):
        draq_deviations(trade_off)


# --- powers of two


@pytest.mark.parametrize("bits", range(2, 17))
def test_power_of_two_step_is_a_power_with_the_least_error(bits: int) -> None:
    fmt, rng = IntFormat(bits, True), np.random.default_rng(bits)
    values = np.rint(rng.standard_t(2, (2, 400)) * np.array([[9], [900]]))
    for smallest, reach in ((-8, 2.0), (0, 0.1), (3, 1.0), (-8, 3000.0)):
        allowed = [p for p in range(smallest, MAX_POWER + 1) if fmt.hi * 2.0**p >= reach]
        for row, step in zip(values, power_of_two_step(values, fmt, smallest, reach).tolist(), strict=True):
            power = int(np.log2(step))
            assert step == 2.0**power
            errors = {p: naive_error(row.tolist(), 2.0**p, fmt) for p in allowed}
            assert errors[power] == pytest.approx(min(errors.values()), rel=1e-9)


def test_power_of_two_step_keeps_the_grid_of_integer_symbols() -> None:
    symbols = np.array([[-7.0, -1.0, 0.0, 2.0, 7.0]])
    assert power_of_two_step(symbols, IntFormat(8, True), 0, 2.0).tolist() == [1.0]
    assert power_of_two_step(symbols + 0.25, IntFormat(6, True), -8, 2.0).tolist() == [0.25]


def test_power_of_two_step_takes_the_smaller_of_equals_that_reaches_far_enough() -> None:
    zeros, fmt = np.zeros((1, 3)), IntFormat(8, True)
    assert power_of_two_step(np.array([[4.0, -8.0]]), fmt, -3, 0.1).tolist() == [0.125]
    assert power_of_two_step(zeros, fmt, -8, 2.0).tolist() == [2.0**-5]  # 127 of them are 3.97, half of it 1.98
    assert power_of_two_step(zeros, fmt, -8, 127 / 64).tolist() == [2.0**-6]
    assert power_of_two_step(zeros, fmt, -8, 0.001).tolist() == [2.0**-8]


# --- symbols


@pytest.mark.parametrize("bits", range(2, 17))
def test_symbol_step_is_one_as_long_as_symbols_fit(bits: int) -> None:
    fmt = IntFormat(bits, True)
    fitting = np.array([[fmt.lo, 0, fmt.hi], [0, 0, 0], [0, 1, 0]], float)
    assert symbol_step(fitting, fmt).tolist() == [1.0, 1.0, 1.0]
    for beyond in (np.array([[fmt.lo - 1.0, 0, 1]]), np.array([[0, -1.0, fmt.hi + 1]])):
        (step,) = symbol_step(beyond, fmt).tolist()
        assert step == max(1.0, float(mse_step(beyond, fmt)[0]))


# --- by name


def test_observer_finds_each_and_refuses_others() -> None:
    values, fmt = np.random.default_rng(10).normal(-1, 1, (2, 500)), IntFormat(4, True)
    wanted = {
        "mse": mse_step(values, fmt),
        "minmax": minmax_step(values, fmt),
        "percentile": percentile_step(values, fmt, 99.0),
        "sigma": sigma_step(values, fmt, 2.5, False),
        "sigma-upper": sigma_step(values, fmt, 2.5, True),
    }
    for name, steps in wanted.items():
        np.testing.assert_array_equal(observer(name, 2.5, 99.0)(values, fmt), steps, err_msg=name)
    assert len({steps.tobytes() for steps in wanted.values()}) == len(wanted)
    for name in ("MSE", "", "median"):
        with pytest.raises(RangeError, match=r"^RC-RANGE: unknown observer .*known are mse, minmax, percentile"):
            observer(name, 3.0, 99.0)


@pytest.mark.parametrize(
    ("deviations", "percentile"), [(0.0, 99.0), (-1.0, 99.0), (float("nan"), 99.0), (3.0, 50.0), (3.0, 100.1)]
)
def test_observer_refuses_limits_that_are_none(deviations: float, percentile: float) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: wanted positive deviations and a percentile of 50\.\.100, got "):
        observer("mse", deviations, percentile)
