"""Rivals of NeuroQuant: what they give, what they spend, and that each lowers what it says it lowers."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from autograd import grad
from tiny_trained import FRAMES, HEIGHT, HINERV, HNERV, WIDTH, fitted, moving_picture

from refcodec.codecs.inr.architecture import parameters
from refcodec.codecs.inr.limits import load
from refcodec.codecs.inr.nodes import FRAME, GRID, WEIGHT, Convolution, Depthwise, Parameter
from refcodec.codecs.inr.stream import pack, parse
from refcodec.errors import RangeError, ShapeError
from refcodec.gradient import convolution
from refcodec.models.inr import twin
from refcodec.quantize.inr.objective import FRAMES as CLIP
from refcodec.quantize.inr.objective import Objective
from refcodec.quantize.inr.rivals import ffnerv, hinerv, rdo_ptq
from refcodec.quantize.inr.rivals.methods import RIVALS
from refcodec.quantize.inr.rivals.reconstruction import DAMPING, squared_gradients
from refcodec.quantize.inr.rivals.settings import Settings
from refcodec.quantize.inr.rivals.tensors import Tensors, batches, read_later
from refcodec.quantize.inr.rivals.units import block_units, layer_units, node_shares
from refcodec.quantize.inr.uniform import dequantise, parameter_bits, quantise, step_values
from refcodec.vectorgen.tiny_videos import ARCHITECTURES

LEARNING = [name for name in RIVALS if name != "naive"]
SETTINGS = Settings(evaluations=450, batch=3)
FEW = Settings(evaluations=24)


def made(name, settings=FEW, architecture=HNERV, bits=3):
    return RIVALS[name](fitted(architecture), moving_picture(), bits, settings)


@cache
def learned(name):
    """What a rival makes of the network with evaluations enough to learn something."""
    return made(name, SETTINGS)


def steps_of(parameter, given):
    """The steps in a shape that broadcasts to the parameter's."""
    axis = 1 if parameter.kind == GRID else 0
    return step_values(given.steps).reshape([-1 if k == axis else 1 for k in range(len(parameter.shape))])


def integers(video):
    return {name: (given.values.tolist(), given.steps.tolist()) for name, given in video.parameters.items()}


@pytest.mark.parametrize("architecture", [HNERV, HINERV], ids=["hnerv", "hinerv"])
@pytest.mark.parametrize("name", RIVALS)
def test_rival_gives_a_video_of_the_bits_asked_for(name, architecture):
    weights = {p.name: 3 + k % 2 for k, p in enumerate(parameters(architecture.nodes())) if p.kind == WEIGHT}
    video = made(name, FEW, architecture, weights)
    assert {p: given.bits for p, given in video.parameters.items()} == parameter_bits(architecture, weights)
    assert integers(parse(pack(video))) == integers(video)


@pytest.mark.parametrize("name", LEARNING)
def test_rival_is_equal_for_equal_seeds_only(name):
    first, again, other = (integers(made(name, Settings(evaluations=24, seed=seed))) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", LEARNING)
def test_rival_lowers_the_error_of_naive_quantisation(name):
    objective = Objective.of(fitted(), moving_picture(), CLIP)
    before, after = (
        float(objective.error(dequantise(video), range(FRAMES))) for video in (quantise(fitted(), 3), learned(name))
    )
    assert after < 0.9 * before


def test_adaround_stays_within_a_step_of_the_float_weights():
    distances = []
    for parameter in parameters(HNERV.nodes()):
        given, array = learned("adaround").parameters[parameter.name], fitted().parameters[parameter.name]
        lo, hi = -(1 << given.bits - 1), (1 << given.bits - 1) - 1
        distances.append(np.abs(given.values - np.clip(array / steps_of(parameter, given), lo, hi)).max())
    assert max(distances) < 1 + 1e-6
    assert max(distances) > 0.5  # not all are rounded to the nearest


@pytest.mark.parametrize(("name", "cut"), [("adaround", layer_units), ("brecq", block_units)])
def test_units_are_reconstructed_better_than_by_the_nearest_integers(name, cut):
    rounded, nearest = dequantise(learned(name)), nearest_on_the_steps_of(learned(name))
    exact, live = ({FRAME: (tuple(range(FRAMES)), FRAMES)} for _ in range(2))
    for unit in cut(HNERV.nodes()):
        twin.run_nodes(unit.nodes, fitted().parameters, exact)
        other = dict(live)
        twin.run_nodes(unit.nodes, nearest, other)
        twin.run_nodes(unit.nodes, rounded, live)
        errors = [((seen[unit.output] - exact[unit.output]) ** 2).mean() for seen in (live, other)]
        assert errors[0] <= errors[1]
    assert errors[0] < 0.9 * errors[1]


def nearest_on_the_steps_of(video):
    found = {}
    for parameter in parameters(HNERV.nodes()):
        given, array = video.parameters[parameter.name], fitted().parameters[parameter.name]
        lo, hi = -(1 << given.bits - 1), (1 << given.bits - 1) - 1
        steps = steps_of(parameter, given)
        found[parameter.name] = (np.clip(np.floor(array / steps + 0.5), lo, hi) * steps).astype(np.float32)
    return found


def test_qdrop_and_brecq_differ_only_by_what_blocks_read():
    first, second = (integers(made(name)) for name in ("brecq", "qdrop"))
    # the first block reads only its grid; the later ones read the noise of the blocks before, or half of it
    assert first["stem.0.weight"] == second["stem.0.weight"]
    assert first["blocks.2.weight"] != second["blocks.2.weight"]


def test_rate_worth_more_makes_rdo_ptq_spend_fewer_bytes(monkeypatch):
    sizes = []
    for worth in (0.0, 5.0):
        monkeypatch.setattr(rdo_ptq, "WORTH", worth)
        sizes.append(len(pack(made("rdo-ptq", SETTINGS))))
    assert sizes[1] < sizes[0]


# --- budgets


@pytest.mark.parametrize("name", LEARNING)
def test_rival_spends_the_evaluations_it_is_given_in_float32(name, monkeypatch):
    trained, spent, precisions = fitted(), [0], set()
    network = load(HNERV.nodes()).multiplications

    def counted(function, size):
        def call(*arguments):
            spent[0] += size(*arguments)
            precisions.update(argument.dtype for argument in arguments[:2])
            return function(*arguments)

        return call

    def whole(x, weight):
        return weight.size * x[0].size

    def taps(x, gradient, size):
        return len(x) * len(gradient) * size * size * gradient[0].size

    # all three multiply as often; what differentiates the first finds the other two by their names
    for module, function, size in (
        (twin, "convolution", whole), (convolution, "spread", whole), (convolution, "weigh", taps),
    ):  # fmt: skip
        monkeypatch.setattr(module, function, counted(getattr(module, function), size))
    RIVALS[name](trained, moving_picture(), 3, Settings(evaluations=60))
    assert spent[0] / (3 * network) == pytest.approx(60, rel=0.1)
    assert precisions == {np.dtype(np.float32)}  # autograd is quick to go on in float64


@pytest.mark.parametrize("name", LEARNING)
def test_rival_reports_how_much_is_done(name):
    parts = []
    made(name, Settings(evaluations=24, progress=parts.append))
    assert parts == sorted(parts)
    assert parts[0] > 0
    assert parts[-1] == 1


def test_settings_refuse_nothing_to_spend():
    for wrong in ({"evaluations": 0}, {"batch": 0}):
        with pytest.raises(RangeError, match=f"{next(iter(wrong))} must be 1 or more, got 0"):
            Settings(**wrong)


@pytest.mark.parametrize("name", RIVALS)
def test_rival_refuses_frames_of_another_clip(name):
    with pytest.raises(ShapeError, match="wanted uint8 frames"):
        RIVALS[name](fitted(), moving_picture()[1:], 3, SETTINGS)


# --- units


@pytest.mark.parametrize("cut", [layer_units, block_units])
@pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
def test_units_are_the_network(architecture, cut):
    network = architecture.nodes()
    units = cut(network)
    assert tuple(node for unit in units for node in unit.nodes) == network
    for unit in units:
        assert any(isinstance(node, Convolution | Depthwise) for node in unit.nodes)
        assert unit.reconstructed[-1].name == unit.output
    weights = [p for unit in units for p in unit.learned if p.kind == WEIGHT]
    assert weights == [p for p in parameters(network) if p.kind == WEIGHT]


def test_layers_end_with_their_activations_and_blocks_with_their_sums():
    assert [unit.output for unit in layer_units(HNERV.nodes())] == [
        "stem.0.act", "blocks.0.act", "blocks.1.act", "blocks.2.act", "picture",
    ]  # fmt: skip
    assert [unit.output for unit in block_units(HINERV.nodes())] == [
        "stem", "stages.0.sum", "stages.0.0.sum", "stages.1.sum", "stages.1.0.reduce", "picture",
    ]  # fmt: skip
    layers = {unit.output: unit for unit in layer_units(HINERV.nodes())}
    assert [p.name for p in layers["stages.0.0.depthwise"].learned] == ["stages.0.0.depthwise.weight"]


def test_grids_are_learned_by_the_block_that_reads_them():
    first = block_units(HINERV.nodes())[0]
    assert [p.name for p in first.learned] == ["grids.0", "grids.1", "stem.weight", "stem.bias"]


def test_shares_are_those_of_all_multiplications():
    shares, network = node_shares(HINERV.nodes()), HINERV.nodes()
    assert sum(shares.values()) == pytest.approx(1)
    head = next(node for node in network if node.name == "head")
    assert shares["head"] * load(network).multiplications == pytest.approx(head.inputs * 3 * HEIGHT * WIDTH)


# --- tensors


@pytest.mark.parametrize("architecture", [HNERV, HINERV], ids=["hnerv", "hinerv"])
def test_tensors_unit_by_unit_give_the_pictures_of_the_network(architecture):
    trained, numbers = fitted(architecture), [0, 2, 3, 4, 5]
    tensors, units = Tensors(numbers, FRAMES), block_units(architecture.nodes())
    for k, unit in enumerate(units):
        later = read_later([node for rest in units[k + 1 :] for node in rest.nodes])
        tensors.advance(unit.nodes, trained.parameters, later | ({"picture"} if unit is units[-1] else set()))
        assert set(tensors.held) == (later or {"picture"})
    expected = twin.run(architecture.nodes(), trained.parameters, numbers, FRAMES)
    np.testing.assert_allclose(tensors.held["picture"], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("count", "size"), [(6, 2), (7, 3), (3, 5)])
def test_batches_take_every_frame_before_any_comes_again(count, size):
    found = list(batches(count, size, 40, np.random.default_rng(0)))
    flat = [place for places in found for place in places]
    assert {len(places) for places in found} == {min(size, count)}
    for first in range(0, len(flat) - count, count):
        assert sorted(flat[first : first + count]) == list(range(count))


# --- BRECQ


def test_squared_gradients_of_the_picture_are_those_of_its_error():
    trained, frames = fitted(), moving_picture()
    found = squared_gradients(trained, frames, [1, 4], ["blocks.2.act", "picture"])
    seen = twin.run(HNERV.nodes(), trained.parameters, [1, 4], FRAMES)
    wanted = frames[[1, 4]].transpose(3, 0, 1, 2) / 255
    squares = (2 * (seen - wanted)) ** 2
    np.testing.assert_allclose(found["picture"], squares / squares.mean() + DAMPING, rtol=1e-3)
    assert found["blocks.2.act"].shape == (5, 2, HEIGHT, WIDTH)
    assert found["blocks.2.act"].mean() == pytest.approx(1 + DAMPING, rel=1e-4)


# --- RDO-PTQ


def test_code_lengths_are_those_of_the_counts():
    np.testing.assert_allclose(rdo_ptq.code_lengths(np.array([2.0, 1.0, 1.0])), [1, 2, 2])
    assert np.isfinite(rdo_ptq.code_lengths(np.array([8.0, 0.0]))).all()


def test_rate_and_its_slopes_agree_with_differences():
    draw = np.random.default_rng(3)
    lower = draw.integers(0, 6, 60)
    between = rdo_ptq.Between(lower, lower + 1, 8)
    up, direction = draw.uniform(0.2, 0.8, 60), draw.normal(size=60)
    counts = np.zeros(8)
    for low, part in zip(lower, up, strict=True):
        counts[low] += 1 - part
        counts[low + 1] += part
    shares = np.maximum(counts, rdo_ptq.UNSEEN) / np.maximum(counts, rdo_ptq.UNSEEN).sum()
    assert rdo_ptq.rate(up, between) == pytest.approx(-(counts * np.log2(shares)).sum() / 60)
    slope = grad(rdo_ptq.rate)(up, between) @ direction
    difference = (rdo_ptq.rate(up + 1e-5 * direction, between) - rdo_ptq.rate(up - 1e-5 * direction, between)) / 2e-5
    assert slope == pytest.approx(difference, rel=1e-2)


# --- FFNeRV


@pytest.mark.parametrize("n", [1, 3, 7, 127])
def test_cut_is_towards_zero_and_its_gradient_passes(n):
    values = np.linspace(-1, 1, 41)
    found = ffnerv.cut(values, n)
    for value, result in zip(values.tolist(), found.tolist(), strict=True):
        size = abs(Fraction(value)) * n // 1
        assert Fraction(result * n).limit_denominator(1000) == (size if value > 0 else -size)
    np.testing.assert_array_equal(grad(lambda v: (3 * ffnerv.cut(v, n)).sum())(values), np.full(41, 3.0))


def test_ffnerv_begins_within_a_code_of_the_float_weights():
    parameter = Parameter("w", (5, 4, 3, 3), WEIGHT)
    array = np.random.default_rng(0).normal(size=parameter.shape).astype(np.float32)
    patterns = ffnerv.scale_patterns(array.reshape(5, -1), 4)
    steps = step_values(patterns).reshape(-1, 1, 1, 1)
    start = ffnerv._inverse(parameter, array, patterns, 7)
    inside = np.abs(array) < 7 * steps
    np.testing.assert_allclose((7 * steps * np.tanh(start))[inside], array[inside], rtol=0, atol=1e-4)
    assert (np.abs(np.tanh(start))[~inside] == 1).all()


# --- HiNeRV


def test_steps_of_hinerv_are_by_the_largest_size_of_each_row():
    grid = Parameter("g", (3, 2, 2, 2), GRID)
    array = np.arange(24, dtype=np.float64).reshape(grid.shape) - 7
    found = hinerv.largest_steps(grid, array, 4, "channel")
    assert found.shape == (1, 2, 1, 1)
    np.testing.assert_allclose(found.ravel(), [2 * 12 / 15 + 1e-6, 2 * 16 / 15 + 1e-6])
    np.testing.assert_allclose(hinerv.largest_steps(grid, array, 4, "tensor").ravel(), [2 * 16 / 15 + 1e-6])


def test_nearest_of_hinerv_saturates_and_lets_nothing_pass():
    values = np.array([-9.0, -2.5, 0.5, 1.4, 3.0])
    np.testing.assert_array_equal(hinerv.nearest(values, 3), [-4, -2, 0, 1, 3])
    np.testing.assert_array_equal(grad(lambda v: (v + hinerv.nearest(v, 3)).sum())(values), np.ones(5))
