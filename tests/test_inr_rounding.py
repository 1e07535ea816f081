"""Roundings as variables: they begin at the real values and end at one of the two integers beside them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from autograd import grad

from refcodec.codecs.inr.nodes import BIAS, GRID, WEIGHT, Parameter
from refcodec.quantize.inr.rounding import Annealing, Rounding, indecision, rise
from refcodec.quantize.inr.uniform import nearest_integers

PARAMETERS = [
    Parameter("w", (4, 3, 3, 3), WEIGHT),
    Parameter("b", (7,), BIAS),
    Parameter("g", (5, 2, 3, 2), GRID),
]
PATTERNS = {"w": [0x3000, 0x2C00, 0x3155, 0x2E66], "b": [0x2C01], "g": [0x3000, 0x3400]}


def drawn(parameter, seed=0, size=0.4):
    return np.random.default_rng(seed).normal(0, size, parameter.shape).astype(np.float32)


def rounding_of(parameter, bits, seed=0):
    return Rounding.of(parameter, drawn(parameter, seed), np.array(PATTERNS[parameter.name], np.uint16), bits)


@pytest.mark.parametrize("value", [-9.0, -2.0, -0.3, 0.0, 0.7, 2.3, 2.5, 9.0])
def test_rise_is_a_stretched_sigmoid_cut_off(value):
    expected = min(max(1.2 / (1 + math.exp(-value)) - 0.1, 0.0), 1.0)
    assert float(rise(np.float64(value))) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.kind)
def test_rounding_begins_at_the_real_values(parameter):
    rounding = rounding_of(parameter, 8)
    np.testing.assert_allclose(rounding.value(rounding.first), drawn(parameter), rtol=0, atol=1e-5)


@pytest.mark.parametrize("bits", [2, 3, 8])
@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda parameter: parameter.kind)
def test_rounding_that_learned_nothing_is_to_the_nearest(parameter, bits):
    rounding = rounding_of(parameter, bits)
    found = rounding.nearest()
    expected = nearest_integers(parameter, drawn(parameter), rounding.patterns, bits)
    np.testing.assert_array_equal(found.values, expected)
    assert (found.bits, found.steps.tolist()) == (bits, PATTERNS[parameter.name])


def test_rounding_ends_below_or_above_within_its_bits():
    parameter = PARAMETERS[0]
    rounding = rounding_of(parameter, 3)
    low, high = (rounding.quantised(np.full(parameter.shape, v, np.float32)).values for v in (-0.01, 0.01))
    np.testing.assert_array_equal(low, np.clip(rounding.below, -4, 3))
    np.testing.assert_array_equal(high, np.clip(rounding.below + 1, -4, 3))


def test_saturated_roundings_have_no_slope():
    parameter = PARAMETERS[0]
    rounding = rounding_of(parameter, 2)
    slopes = grad(lambda v: rounding.value(v).sum())(rounding.first)
    outside = (rounding.below < -2) | (rounding.below + 1 > 1)
    assert outside.any()
    assert not slopes[outside].any()
    assert slopes[(rounding.below > -2) & (rounding.below < 0)].all()


def test_indecision_is_nothing_once_all_is_decided():
    assert float(indecision([np.array([-3.0, 3.0]), np.array([9.0])], 2.0)) == 0.0
    assert float(indecision([np.array([0.0, 0.0])], 2.0)) == 2.0
    h = 1.2 / (1 + math.exp(-1.0)) - 0.1
    assert float(indecision([np.array([1.0])], 3.0)) == pytest.approx(1 - abs(2 * h - 1) ** 3)


def test_indecision_and_its_slopes_agree_with_differences():
    variables, direction = (np.random.default_rng(seed).normal(size=30) for seed in (1, 2))
    for beta in (20.0, 3.0, 2.0):
        slope = grad(lambda v, beta=beta: indecision([v], beta))(variables) @ direction
        ends = [float(indecision([variables + sign * 1e-6 * direction], beta)) for sign in (1, -1)]
        assert slope == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5)


def test_beta_falls_in_a_line_after_the_warm_up():
    annealing = Annealing(warm_up=0.25, first=12.0, last=4.0)
    assert annealing.beta(0.0) is None
    assert annealing.beta(0.25 - 1e-9) is None
    assert [annealing.beta(done) for done in (0.25, 0.625, 1.0)] == [12.0, 8.0, 4.0]
