"""Steps of channels for parameters of other grids: the best of all, by exact arithmetic, and what they cost."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
import pytest

from refcodec.codecs.inr.architecture import parameters
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.nodes import BIAS, GRID, WEIGHT, Parameter
from refcodec.errors import RangeError
from refcodec.models.checkpoint import load_parameters
from refcodec.models.inr.importers import import_video
from refcodec.models.inr.options import ImportOptions
from refcodec.models.inr.twin import run
from refcodec.quantize.inr.regrid import ABOVE, BELOW, best_steps, regrid, regrid_video
from refcodec.quantize.inr.uniform import dequantise_parameter, quantise_parameter

VIDEO = Path(__file__).parent / "fixtures" / "inr" / "quant_vid.pth"


def real_step(pattern: int) -> Fraction:
    """The number of a positive binary16 pattern, from its definition."""
    exponent, mantissa = divmod(pattern, 1024)
    return Fraction(mantissa, 1 << 24) if exponent == 0 else Fraction(1024 + mantissa, 1 << 25) * 2**exponent


def squared_error(row: list[Fraction], step: Fraction, bits: int) -> Fraction:
    lo, hi = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return sum(((min(max(floor(x / step + Fraction(1, 2)), lo), hi) * step - x) ** 2 for x in row), Fraction(0))


@pytest.mark.parametrize("bits", [2, 8])
def test_best_steps_are_the_best_of_all(rng: np.random.Generator, bits: int) -> None:
    """By Fractions, over every pattern from a quarter of the step that saturates nothing to 5/4 of it."""
    array = rng.standard_normal((3, 4)) * [[1.0], [3e-4], [40.0]]
    patterns, errors = best_steps(array, bits)
    assert patterns.dtype == np.uint16
    found = []
    for row, pattern, error in zip(array.tolist(), patterns.tolist(), errors, strict=True):
        exact = [Fraction(x) for x in row]
        enough = max(max(row) / (2 ** (bits - 1) - 1), -min(row) / 2 ** (bits - 1))
        middle = int(np.float16(enough).view(np.uint16))
        patterns_tried = range(max(1, middle - BELOW), middle + ABOVE + 1)
        tried = {p: squared_error(exact, real_step(p), bits) for p in patterns_tried}
        assert pattern == min(tried, key=lambda p: (tried[p], -p))
        assert error == pytest.approx(float(tried[pattern]), rel=1e-9)
        found.append(pattern - middle)
    assert any(abs(distance) > 8 for distance in found)  # there is something to find


def test_best_steps_of_zeros_and_of_numbers_beyond_all_steps() -> None:
    patterns, errors = best_steps(np.array([[0.0, 0.0], [0.75, -0.5], [1e9, 0.0]]), 8)
    assert errors.tolist()[0] == 0
    assert patterns[2] == 0x63FF
    assert errors[2] == (1e9 - 127 * 1023.5) ** 2
    assert best_steps(np.zeros((1, 3)), 4)[1].tolist() == [0]


@pytest.mark.parametrize(
    ("kind", "shape", "steps"), [(WEIGHT, (4, 3, 3, 3), 4), (GRID, (5, 3, 2, 2), 3), (BIAS, (6,), 1)]
)
def test_regrid_states_the_error_of_its_real_values(
    rng: np.random.Generator, kind: str, shape: tuple[int, ...], steps: int
) -> None:
    parameter, array = Parameter("p", shape, kind), rng.standard_normal(shape)
    found = regrid(parameter, array, 5)
    assert (found.quantised.bits, found.quantised.steps.shape) == (5, (steps,))
    left = dequantise_parameter(parameter, found.quantised).astype(np.float64) - array
    assert found.error == pytest.approx(np.sqrt((left**2).mean()), rel=1e-6)
    naive = dequantise_parameter(parameter, quantise_parameter(parameter, array, 5)) - array
    assert found.error < np.sqrt((naive**2).mean())


def test_regrid_finds_integers_again_that_fill_their_bits(rng: np.random.Generator) -> None:
    integers = rng.integers(-8, 8, (6, 40))
    integers[:, 0] = -8
    steps = np.array([0x1234, 0x2800, 0x2801, 0x3BFF, 0x0399, 0x63FF], np.uint16)
    real = integers * np.array([float(real_step(int(step))) for step in steps])[:, None]
    found = regrid(Parameter("p", (6, 40, 1, 1), WEIGHT), real[:, :, None, None], 4)
    assert found.error == 0
    np.testing.assert_array_equal(found.quantised.steps, steps)
    np.testing.assert_array_equal(found.quantised.values[:, :, 0, 0], integers)


def test_regrid_refuses_bits_beyond() -> None:
    for bits in (1, 17):
        with pytest.raises(RangeError, match=rf"2\.\.16 bits, got {bits}"):
            regrid(Parameter("p", (2,), BIAS), np.ones(2), bits)


def test_regridded_video_decodes_near_its_float_twin() -> None:
    """HNeRV's own quantised video, whose steps lie along input channels, by the integer decoder."""
    trained = import_video(load_parameters(VIDEO), ImportOptions())
    video, errors = regrid_video(trained, 8)
    assert errors.keys() == {parameter.name for parameter in parameters(trained.architecture.nodes())}
    assert 0 < max(errors.values()) < 0.02
    decoder = InrVideo.of(video)
    for frame in range(trained.architecture.frames):
        computed = run(trained.architecture.nodes(), trained.parameters, [frame], trained.architecture.frames)
        wanted = 255 * np.moveaxis(computed[:, 0], 0, -1)
        assert np.abs(decoder.decode(frame) - wanted).max() < 6
