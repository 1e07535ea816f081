"""NeuroQuant on a tiny network: it gains on naive quantisation, ends in integers, and meets sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from math import log

import numpy as np
import pytest
from tiny_trained import HNERV, fitted, moving_picture

from refcodec.codecs.inr.architecture import parameters
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.nodes import BIAS, GRID, WEIGHT, Parameter
from refcodec.codecs.inr.quantised import Video
from refcodec.codecs.inr.stream import pack
from refcodec.errors import RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.quantize.inr.calibrate import Request, Target, calibrate
from refcodec.quantize.inr.evaluate import score, twin_psnr
from refcodec.quantize.inr.neuroquant import RECIPE, Calibration, Recipe, neuroquant
from refcodec.quantize.inr.objective import FRAMES, Objective
from refcodec.quantize.inr.rate import VariableRate, size_of_rate, variable_rate
from refcodec.quantize.inr.rivals.settings import Settings
from refcodec.quantize.inr.rounding import Annealing
from refcodec.quantize.inr.steps import rounded
from refcodec.quantize.inr.uniform import binary16_patterns, dequantise, parameter_bits, quantise, step_values

SETTINGS = Settings(evaluations=100, batch=1)


def error_of(objective: Objective, video: Video) -> float:
    """Of all frames at once."""
    return float(objective.error(dequantise(video), range(HNERV.frames)))


@cache
def calibration() -> Calibration:
    return Calibration.of(fitted(), moving_picture(), SETTINGS)


@cache
def made(bits: int) -> Video:
    return calibration().make(parameter_bits(HNERV, bits))


@cache
def rates() -> VariableRate:
    trained = fitted()
    return VariableRate.of(trained, calibration().objective, calibration())


@pytest.mark.parametrize("bits", [2, 3])
def test_steps_roundings_and_steps_again_lower_the_error(bits: int) -> None:
    chosen, objective = parameter_bits(HNERV, bits), calibration().objective
    before = error_of(objective, quantise(fitted(), bits))
    known = calibration()
    steps = known.probe(chosen)
    roundings = known.rounded(chosen, known.steps(chosen))
    errors = [before, *(error_of(objective, video) for video in (steps, roundings, made(bits)))]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 0.6 * before
    for name, quantised in made(bits).parameters.items():
        np.testing.assert_array_equal(quantised.values, roundings.parameters[name].values)


def test_everything_ends_as_integers_of_its_bits() -> None:
    bits = parameter_bits(HNERV, {**dict.fromkeys(("stem.0.weight", "head.weight"), 5), **dict.fromkeys(
        ("blocks.0.weight", "blocks.1.weight", "blocks.2.weight"), 3)}, 7, 6)  # fmt: skip
    video = Calibration(fitted(), calibration().objective, Settings(18, 3), RECIPE).make(bits)
    for parameter in parameters(HNERV.nodes()):
        quantised, fmt = video.parameters[parameter.name], IntFormat(bits[parameter.name], True)
        assert quantised.bits == bits[parameter.name]
        assert quantised.values.dtype == np.int32
        assert fmt.lo <= quantised.values.min()
        assert quantised.values.max() <= fmt.hi
        scaled = fitted().parameters[parameter.name] / np.float32(1)
        steps = step_values(quantised.steps)
        shape = (1, -1, 1, 1) if parameter.kind == GRID else (-1,) + (1,) * (len(parameter.shape) - 1)
        inside = (quantised.values > fmt.lo) & (quantised.values < fmt.hi)
        assert np.abs(scaled / steps.reshape(shape) - quantised.values)[inside].max() < 1.001  # one of two integers
    picture = InrVideo.from_bytes(pack(video)).decode(3)
    assert picture.shape == (HNERV.height, HNERV.width, 3)


def test_the_decoder_gives_what_the_twin_of_its_integers_gives() -> None:
    found = score(made(3), moving_picture())
    assert abs(found.twin - found.integer) < 0.02
    assert found.rate == pytest.approx(8 * found.size / (HNERV.frames * HNERV.height * HNERV.width))


def test_equal_seeds_give_equal_streams() -> None:
    trained, frames = fitted(), moving_picture()
    contents = [pack(neuroquant(trained, frames, 3, Settings(24, 1, seed))) for seed in (5, 5, 6)]
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_no_learning_leaves_the_nearest_integers() -> None:
    recipe = Recipe(0.0, 0.0, annealing=Annealing(travel=0.0))
    video = neuroquant(fitted(), moving_picture(), 4, Settings(8, 1), recipe)
    assert pack(video) == pack(quantise(fitted(), 4))


def test_frames_as_the_target_are_what_it_learns_from() -> None:
    frames = moving_picture()
    video = neuroquant(fitted(), frames, 2, replace(SETTINGS, target=FRAMES))
    assert twin_psnr(HNERV, dequantise(video), frames) > twin_psnr(HNERV, dequantise(quantise(fitted(), 2)), frames) + 1
    assert pack(video) != pack(made(2))


def test_real_values_follow_their_steps() -> None:
    """Derivatives in octaves: of what is saturated exact, of the others w.r.t. rounding as the identity."""
    parameter, array = Parameter("w", (2, 4, 1, 1), WEIGHT), np.array([[0.3, -5, 0.9, 7], [0.1, 0.2, -0.3, 0.4]])
    array = array.reshape(2, 4, 1, 1).astype(np.float32)
    octaves = np.array([0.0, -2.0], np.float32)
    values, slopes = rounded(parameter, array, octaves, 3)
    np.testing.assert_allclose(values.reshape(2, 4), [[0, -4, 1, 3], [0, 0.25, -0.25, 0.5]])
    wanted = np.array([[-0.3, -4, 0.1, 3], [-0.1, 0.05, 0.05, 0.1]]) * log(2)
    np.testing.assert_allclose(slopes.reshape(2, 4), wanted, atol=1e-6)


# --- sizes


@pytest.mark.parametrize("size", [1100, 1800])
def test_streams_have_the_size_that_was_asked_for(size: int) -> None:
    point = rates().at(size)
    assert point.size == len(pack(point.video))
    assert 0.95 * size <= point.size <= size
    assert {name: quantised.bits for name, quantised in point.video.parameters.items()} == dict(point.bits)


def test_omegas_choice_beats_equal_bits_at_their_size() -> None:
    trained, frames = fitted(), moving_picture()
    for bits in (4, 5):
        equal = quantise(trained, parameter_bits(HNERV, bits, grids=bits))
        chosen = quantise(trained, rates().bits_for(0, len(pack(equal)) + 4))
        assert len(pack(chosen)) <= len(pack(equal)) + 8
        found, other = (twin_psnr(HNERV, dequantise(video), frames) for video in (chosen, equal))
        assert found > other


def test_few_bits_only_where_a_size_asks_for_them() -> None:
    table = rates().table
    usual = table.at_least(3).smallest
    assert min(rates().bits_for(0, usual + 50)[name] for name in table.names) == 3
    assert min(rates().bits_for(0, usual - 50)[name] for name in table.names) == 2


def test_a_size_beyond_all_bits_gives_the_largest_stream() -> None:
    bits = rates().bits_for(95_000, 100_000)
    assert {bits[name] for name in rates().table.names} == {8}


@pytest.mark.parametrize("size", [300, 900])
def test_too_few_bytes_are_refused(size: int) -> None:
    with pytest.raises(
        RangeError, match=rf"^RC-RANGE: {size * 0.99:.0f} bytes are too few: the smallest stream needs 893"
    ):
        rates().at(size)


class Naive:
    """Makes naive videos, which cost no time."""

    def probe(self, bits: Mapping[str, int]) -> Video:
        return quantise(fitted(), bits)

    make = probe


def test_six_rates_from_one_network() -> None:
    sizes = [1100, 1300, 1500, 1800, 2200, 2600]
    cheap = VariableRate(Naive(), rates().table, rates().others)
    points = list(variable_rate(cheap, sizes))
    quality = [twin_psnr(HNERV, dequantise(point.video), moving_picture()) for point in points]
    assert all(0.95 * size <= point.size <= size for size, point in zip(sizes, points, strict=True))
    assert quality == sorted(quality)
    assert [point.omega for point in points] == sorted((point.omega for point in points), reverse=True)


class Growing(Naive):
    """Ends with more bytes than it promised, as roundings do at few bits."""

    def make(self, bits: Mapping[str, int]) -> Video:
        return quantise(fitted(), {name: count + (name == "stem.0.weight") for name, count in bits.items()})


def test_bits_are_chosen_anew_where_the_stream_grew_too_large() -> None:
    point = VariableRate(Growing(), rates().table, rates().others).at(1500)
    assert point.size <= 1500


def test_a_rate_is_a_size() -> None:
    assert size_of_rate(0.5, HNERV) == HNERV.frames * HNERV.height * HNERV.width // 16
    with pytest.raises(RangeError, match="a rate must be positive, got 0"):
        size_of_rate(0, HNERV)


# --- requests


def request(target: Target, **changes: object) -> Request:
    return Request(target, Settings(12, 2), **changes)


def test_calibrate_reports_what_it_made() -> None:
    found = calibrate(fitted(), moving_picture(), request(Target(bits=(4, 3, 3, 3, 4)), biases=6, grids=7))
    assert [found.bits[p.name] for p in parameters(HNERV.nodes()) if p.kind == WEIGHT] == [4, 3, 3, 3, 4]
    assert {found.bits[p.name] for p in parameters(HNERV.nodes()) if p.kind == BIAS} == {6}
    assert found.bits["grids.0"] == 7
    assert found.calibrated.size == len(found.content)
    assert found.float_psnr == twin_psnr(HNERV, fitted().parameters, moving_picture())
    assert found.naive == score(quantise(fitted(), found.bits), moving_picture())


def test_mean_bits_are_within_their_tolerance() -> None:
    seen = []
    found = calibrate(
        fitted(), moving_picture(), request(Target(mean=3.5), method="naive"), lambda *args: seen.append(args)
    )
    counts = {p.name: fitted().parameters[p.name].size for p in parameters(HNERV.nodes()) if p.kind == WEIGHT}
    mean = sum(count * found.bits[name] for name, count in counts.items()) / sum(counts.values())
    assert 0.95 * 3.5 <= mean <= 1.05 * 3.5
    assert seen[-1] == ("Omega", 1.0)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (request(Target(bits=(3, 4))), "RC-RANGE: wanted bits of all weights or of 5, got 2"),
        (request(Target(bits=(1,))), "RC-RANGE: stem.0.weight: wanted 2..16 bits, got 1"),
        (request(Target(bits=(4,)), method="guess"), "RC-RANGE: unknown method 'guess', known are neuroquant, naive"),
        (request(Target()), "RC-USAGE: wanted a size, bits or mean bits"),
    ],
)
def test_impossible_requests_are_refused(asked: Request, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refcodec.quantize.inr.rate.measure", lambda *args: rates().table)
    with pytest.raises(RangeError, match=f"^{message}"):
        calibrate(fitted(), moving_picture(), asked)


def test_another_clip_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"wanted uint8 frames \(6, 16, 24, 3\), got uint8 \(5, 16, 24, 3\)"):
        calibrate(fitted(), moving_picture()[1:], request(Target(bits=(4,))))


def test_patterns_of_learned_steps_are_those_of_a_stream() -> None:
    patterns = calibration().steps(parameter_bits(HNERV, 3))
    for name, steps in patterns.items():
        np.testing.assert_array_equal(binary16_patterns(step_values(steps)), steps, err_msg=name)
