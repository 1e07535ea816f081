"""Naive quantisation of implicit videos: bits, steps, integers, and the real values that they stand for."""

from __future__ import annotations

from fractions import Fraction

import naive_inr_quantise as naive
import numpy as np
import pytest
from tiny_trained import HNERV

from refcodec.codecs.inr.architecture import parameters
from refcodec.codecs.inr.nodes import BIAS, GRID, WEIGHT, Parameter
from refcodec.codecs.inr.quantised import LARGEST_STEP
from refcodec.errors import RangeError
from refcodec.models.inr.trained import TrainedVideo
from refcodec.quantize.inr import uniform

PARAMETERS = [
    Parameter("w", (4, 3, 3, 3), WEIGHT),
    Parameter("d", (5, 1, 3, 3), WEIGHT),
    Parameter("b", (7,), BIAS),
    Parameter("g", (5, 2, 3, 2), GRID),
]


def drawn(parameter: Parameter, seed: int = 0, centre: float = 0.3) -> np.ndarray:
    return np.random.default_rng(seed).normal(centre, 1.0, parameter.shape).astype(np.float32)


def trained_video(seed: int = 0) -> TrainedVideo:
    arrays = {p.name: drawn(p, seed + k) for k, p in enumerate(parameters(HNERV.nodes()))}
    return TrainedVideo(HNERV, arrays)


def channels_of(parameter: Parameter, array: np.ndarray) -> list[list[float]]:
    if parameter.kind == BIAS:
        return [array.tolist()]
    split = array.transpose(1, 0, 2, 3) if parameter.kind == GRID else array
    return [channel.ravel().tolist() for channel in split]


@pytest.mark.parametrize("bits", [2, 3, 4, 8, 16])
def test_range_steps_are_those_of_equation_47(bits: int) -> None:
    array = np.array([[-1.5, 0.25, 2.0], [0.5, 3.0, 1.0], [-4.0, -2.0, -1.0], [0.0, 0.0, 0.0]], np.float32)
    wanted = [float(naive.range_step(row, bits)) for row in array.tolist()]
    np.testing.assert_array_equal(uniform.range_steps(array, bits), wanted)
    assert wanted[1] == 3.0 / (2**bits - 1)  # zero is in the range of a row that is positive throughout


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.name)
def test_first_steps_saturate_only_weights_that_gain_by_it(parameter: Parameter, bits: int) -> None:
    array = drawn(parameter)
    rules = []
    for row, step in zip(channels_of(parameter, array), uniform.first_steps(parameter, array, bits), strict=True):
        whole, shared = naive.whole_step(row, bits), naive.range_step(row, bits)
        saturates = naive.squared_error(row, shared, bits) < naive.squared_error(row, whole, bits) * (1 - 1e-9)
        rules.append(parameter.kind == WEIGHT and saturates)
        if rules[-1]:
            assert step == pytest.approx(float(shared), rel=1e-12)
        else:  # a binary16 number, the next one below would saturate
            pattern = np.float16(step).view(np.uint16)
            assert float(np.uint16(pattern - 1).view(np.float16)) < whole <= Fraction(float(step)) == step
    assert parameter.kind == WEIGHT or not any(rules)
    if parameter.name == "w":
        assert any(rules) == (bits < 8)  # both rules are met


def test_patterns_are_the_nearest_steps_that_a_stream_holds() -> None:
    steps = np.array([1.0, 0.1, 0.0, 1e-12, 5e3, 2.0**-24])
    patterns = uniform.binary16_patterns(steps)
    assert patterns.dtype == np.uint16
    np.testing.assert_array_equal(patterns, [0x3C00, 0x2E66, LARGEST_STEP, 1, LARGEST_STEP, 1])
    np.testing.assert_array_equal(uniform.binary16_patterns(np.zeros(2)), [0x3C00, 0x3C00])
    np.testing.assert_array_equal(uniform.step_values(patterns[:2]), np.array([1.0, 0.0999755859375], np.float32))


@pytest.mark.parametrize("granularity", uniform.GRANULARITIES)
@pytest.mark.parametrize("bits", [2, 5, 16])
@pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.name)
def test_integers_are_the_nearest_within_their_bits(parameter: Parameter, bits: int, granularity: str) -> None:
    array = drawn(parameter, 1)
    quantised = uniform.quantise_parameter(parameter, array, bits, granularity)
    steps = [Fraction(float(step)) for step in uniform.step_values(quantised.steps)]
    rows = channels_of(parameter, array)
    assert len(steps) == (len(rows) if granularity == uniform.CHANNEL else 1)
    found = channels_of(parameter, quantised.values)
    for k, (row, integers) in enumerate(zip(rows, found, strict=True)):
        step = steps[k] if len(steps) > 1 else steps[0]
        assert integers == [naive.integer(value, step, bits) for value in row]
    real = channels_of(parameter, uniform.dequantise_parameter(parameter, quantised))
    for k, (values, integers) in enumerate(zip(real, found, strict=True)):
        step = steps[k] if len(steps) > 1 else steps[0]
        assert values == [float(np.float32(float(step * value))) for value in integers]


def test_quantise_gives_every_parameter_its_bits() -> None:
    trained = trained_video()
    video = uniform.quantise(trained, {"head.weight": 7, **dict.fromkeys(uniform.weight_names(HNERV)[:-1], 3)})
    assert {name: quantised.bits for name, quantised in video.parameters.items()} == {
        "grids.0": 8, "stem.0.weight": 3, "stem.0.bias": 8, "blocks.0.weight": 3, "blocks.0.bias": 8,
        "blocks.1.weight": 3, "blocks.1.bias": 8, "blocks.2.weight": 3, "blocks.2.bias": 8,
        "head.weight": 7, "head.bias": 8,
    }  # fmt: skip
    whole = uniform.dequantise(uniform.quantise(trained, uniform.parameter_bits(HNERV, 16, 16, 16)))
    for name, array in trained.parameters.items():
        assert np.abs(whole[name] - array).max() <= 2**-15 * np.abs(array).max()


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (1, "stem.0.weight: wanted 2..16 bits, got 1"),
        ({"head.weight": 4}, "no bits are given for stem.0.weight"),
        ({**dict.fromkeys(uniform.weight_names(HNERV), 4), "tail.weight": 4}, "given for tail.weight, which the"),
    ],
)
def test_bits_that_no_parameter_has_are_refused(weights: object, message: str) -> None:
    with pytest.raises(RangeError, match=message):
        uniform.parameter_bits(HNERV, weights)


def test_an_unknown_granularity_is_refused() -> None:
    with pytest.raises(RangeError, match="wanted channel or tensor, got 'row'"):
        uniform.quantise(trained_video(), 4, "row")
