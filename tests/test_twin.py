"""Float twins: each node against the definition of the integer operation that it stands for; gradients of networks."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from autograd import grad

from refcodec import fixed
from refcodec.codecs.inr import nodes
from refcodec.codecs.inr.architecture import Block, Hierarchical, Levels, Shuffled, Stage, parameters
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.nodes import FRAME, GELU, SIGMOID, SILU, TANH
from refcodec.gradient.distance import mean_square
from refcodec.models.inr import twin
from refcodec.models.inr.pictures import pictures, samples
from refcodec.program.standard_tables import head_places
from refcodec.quantize.inr.uniform import dequantise
from refcodec.vectorgen.tiny_videos import ARCHITECTURES, tiny_video

TURN = 1 << 40


def integers(shape, seed, size=100):
    return np.random.default_rng(seed).integers(-size, size + 1, shape)


def computed(node, inputs, found=None):
    """What the twin gives for a node that reads (C, N, H, W) arrays, in float64."""
    return twin.run_node(node, found or {}, [np.asarray(x, np.float64) for x in inputs])


def by_frame(function, x):
    """A function of nested integers (C, H, W), applied to each frame of (C, N, H, W)."""
    return np.stack([np.array(function(x[:, n].tolist())) for n in range(x.shape[1])], axis=1)


# --- nodes against fixed.py, where that rounds nothing


@pytest.mark.parametrize("centred", [True, False], ids=["centred", "left"])
@pytest.mark.parametrize(("count", "total"), [(1, 1), (1, 4), (3, 7), (4, 4), (5, 6)])
def test_grid_equals_the_definition(count, total, centred):
    node = nodes.Grid("g", "g", count, 2, 2, 3, centred)
    tables = 2 * total * integers((count, 2, 2, 3), 0)  # then weights of 2 * total parts give integers
    frames = list(range(total))
    found = twin.run_node(node, {"g": tables.astype(np.float64)}, [(frames, total)])
    for index in frames:
        wanted = fixed.embedding(tables.tolist(), index, total, centred)
        np.testing.assert_allclose(found[:, index], wanted, rtol=0, atol=1e-9)


def test_weights_of_tensors_add_up_and_name_those_that_are_read():
    node = nodes.Grid("g", "tensors", 3, 1, 1, 1)
    weights = twin.frame_weights(node, range(7), 7)
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-15)
    assert (weights >= 0).all()
    assert twin.grid_rows([node], [0], 7) == {"tensors": [0]}
    assert twin.grid_rows([node], [3], 7) == {"tensors": [1]}
    assert twin.grid_rows([node], [6, 2], 7) == {"tensors": [0, 1, 2]}


@pytest.mark.parametrize("interleaved", [True, False])
def test_encoding_equals_the_sines_of_its_phases(interleaved):
    increments = (1, TURN // 7, TURN - 1, 123456789012)
    node = nodes.Encoding("e", interleaved, increments)
    frames = [0, 1, 5, 1 << 20]
    found = twin.run_node(node, {"w": np.zeros(1)}, [(frames, 1 << 21)])
    assert found.shape == (8, 4, 1, 1)
    quarter = [int(mpmath.nint(mpmath.sin(mpmath.pi * k / 2048) * 2**24)) for k in range(1025)]
    for n, frame in enumerate(frames):
        with mpmath.workdps(40):
            angles = [2 * mpmath.pi * frame * step / TURN for step in increments]
            waves = [[mpmath.sin(a) for a in angles], [mpmath.cos(a) for a in angles]]
        order = [waves[k % 2][k // 2] for k in range(8)] if interleaved else waves[0] + waves[1]
        np.testing.assert_allclose(found[:, n, 0, 0], np.array(order, np.float64), rtol=0, atol=1e-14)
        wanted = np.array(fixed.positional_encoding(frame, increments, interleaved, quarter, 14)) / 2**14
        np.testing.assert_allclose(found[:, n, 0, 0], wanted, rtol=0, atol=0.51 / 2**14)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("biased", [True, False])
def test_convolution_equals_the_definition(kernel, biased):
    node = nodes.Convolution("c", "x", 3, 4, kernel, "layer", biased)
    x, weight = integers((3, 2, 3, 5), 0), integers((4, 3, kernel, kernel), 1)
    bias = integers(4, 2) if biased else np.zeros(4, int)
    given = {"layer.weight": weight.astype(float)} | ({"layer.bias": bias.astype(float)} if biased else {})
    wanted = by_frame(lambda v: fixed.convolution(v, weight.tolist(), bias.tolist(), 1, kernel // 2), x)
    np.testing.assert_array_equal(computed(node, [x], given), wanted)


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("biased", [True, False])
def test_depthwise_equals_the_definition(kernel, biased):
    node = nodes.Depthwise("d", "x", 3, kernel, "layer", biased)
    x, weight = integers((3, 2, 3, 5), 0), integers((3, 1, kernel, kernel), 1)
    bias = integers(3, 2) if biased else np.zeros(3, int)
    given = {"layer.weight": weight.astype(float)} | ({"layer.bias": bias.astype(float)} if biased else {})
    wanted = by_frame(lambda v: fixed.depthwise_convolution(v, weight[:, 0].tolist(), bias.tolist(), 1, kernel // 2), x)
    np.testing.assert_array_equal(computed(node, [x], given), wanted)


def test_norm_is_within_a_unit_of_the_definition():
    """Of constant samples as well, which epsilon keeps at zero."""
    for channels in (1, 2, 7, 40):
        x = integers((channels, 3, 2, 2), channels, 5000)
        x[:, 0, 0] = 77
        epsilon, root_shift, scale = fixed.norm_constants(channels, 16, 10)
        found = computed(nodes.Norm("n", "x", channels), [x / 1024])
        for n, y, i in np.ndindex(3, 2, 2):
            constants = [scale] * channels, [0] * channels, epsilon, root_shift, 0, -(1 << 15), (1 << 15) - 1
            wanted = np.array(fixed.layer_norm(x[:, n, y, i].tolist(), *constants)) / 1024
            np.testing.assert_allclose(found[:, n, y, i], wanted, rtol=0, atol=0.51 / 1024)


def test_moves_equal_their_definitions():
    x = integers((12, 2, 2, 3), 0)
    shuffled = computed(nodes.Shuffle("s", "x", 2, 3), [x])
    np.testing.assert_array_equal(shuffled, by_frame(lambda v: fixed.pixel_shuffle(v, 2, 3), x))
    tiled = computed(nodes.Tile("t", "x", 3, 2), [x])
    np.testing.assert_array_equal(tiled, by_frame(lambda v: [fixed.tile(plane, 3, 2) for plane in v], x))
    joined = computed(nodes.Join("j", ("x", "y")), [x, x[:5] + 1])
    np.testing.assert_array_equal(joined, np.concatenate([x, x[:5] + 1]))
    np.testing.assert_array_equal(computed(nodes.Sum("a", ("x", "y")), [x, x + 1]), 2 * x + 1)


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("size", [(1, 1), (2, 5)])
def test_resize_equals_the_definition(factor, size):
    x = 4 * factor * factor * integers((3, 2, *size), 0)
    found = computed(nodes.Resize("r", "x", factor), [x])
    wanted = by_frame(lambda v: [fixed.resize(plane, factor, factor) for plane in v], x)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("form", [GELU, SILU])
def test_activation_equals_its_formula(form):
    x = np.linspace(-6, 6, 25).reshape(1, 1, 5, 5)
    found = computed(nodes.Activation("a", "x", form), [x])
    with mpmath.workdps(30):
        wanted = [v * mpmath.ncdf(v) if form == GELU else v / (1 + mpmath.exp(-v)) for v in map(mpmath.mpf, x.flat)]
    np.testing.assert_allclose(found.ravel(), np.array(wanted, np.float64), rtol=0, atol=1e-14)


@pytest.mark.parametrize("form", [TANH, SIGMOID])
def test_head_gives_the_samples_of_its_thresholds(form):
    x = np.linspace(-7, 7, 4001)
    found = computed(nodes.Head("h", "x", form), [np.broadcast_to(x, (3, 1, 1, len(x)))])
    wanted = np.searchsorted(np.array(head_places(form)) / 2.0**40, x, side="right")
    np.testing.assert_array_equal(pictures(found, 1, len(x))[0, 0, :, 1], wanted)


def test_node_without_a_twin_is_refused():
    with pytest.raises(TypeError, match="no float twin of str"):
        twin.run_node("picture", {}, [])


# --- pictures


def test_samples_and_pictures_are_inverse():
    frames = np.random.default_rng(0).integers(0, 256, (4, 3, 5, 3), dtype=np.uint8)
    frames[0, 0] = [[0, 1, 2], [127, 128, 129], [253, 254, 255], [3, 3, 3], [4, 5, 6]]
    seen = samples(frames, [2, 0])
    assert seen.dtype == np.float32
    assert seen.shape == (3, 2, 3, 5)
    np.testing.assert_array_equal(pictures(seen, 3, 5), frames[[2, 0]])
    np.testing.assert_array_equal(pictures(seen, 2, 4), frames[[2, 0], :2, :4])
    halves = np.array([0.5, 1.5, 254.5]).reshape(3, 1, 1, 1) / 255
    assert pictures(halves, 1, 1).ravel().tolist() == [1, 2, 255]
    assert pictures(np.array([-0.1, 1.1, 0.25]).reshape(3, 1, 1, 1), 1, 1).ravel().tolist() == [0, 255, 64]


# --- networks


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_twin_agrees_with_the_integer_decoder(name):
    """The same parameters; activations of 16 bits move few samples, and by one.

    A normalisation of three channels that differ by a few units makes much of them: then, rarely, by more.
    """
    video = tiny_video(ARCHITECTURES[name], 4)
    architecture = video.architecture
    given = {key: array.astype(np.float64) for key, array in dequantise(video).items()}
    seen = twin.run(architecture.nodes(), given, range(architecture.frames), architecture.frames)
    floats = pictures(seen, architecture.height, architecture.width).astype(int)
    decoder = InrVideo.of(video)
    differences = np.abs(np.stack([decoder.decode(k) for k in range(architecture.frames)]) - floats)
    assert differences.mean() < 0.15
    assert (differences > 1).mean() < (0.02 if name == "hinerv" else 1e-9)
    assert len(np.unique(floats)) > 50


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_frames_computed_together_equal_those_computed_alone(name):
    architecture = ARCHITECTURES[name]
    given = {key: array.astype(np.float64) for key, array in dequantise(tiny_video(architecture, 4)).items()}
    network = architecture.nodes()
    together = twin.run(network, given, [2, 0, 2], architecture.frames)
    for n, number in enumerate((2, 0, 2)):
        alone = twin.run(network, given, [number], architecture.frames)
        np.testing.assert_allclose(together[:, n], alone[:, 0], rtol=0, atol=1e-12)


def test_parts_of_a_network_compute_what_the_whole_does():
    architecture = ARCHITECTURES["hinerv"]
    given, network = dequantise(tiny_video(architecture, 4)), architecture.nodes()
    live = {FRAME: ((1,), architecture.frames)}
    for node in network:
        twin.run_nodes([node], given, live)
        assert live[node.name].dtype == np.float32, node.name
    np.testing.assert_array_equal(live["picture"], twin.run(network, given, [1], architecture.frames))


SMALL = {
    "nerv": Shuffled(3, 3, 5, (1, 2), (), True, (TURN // 9, TURN // 5), True, (4, 6), (True, False),
                     (Block(3, 3, 3), Block(1, 1, 3)), SILU, 1, TANH),
    "hnerv": Shuffled(3, 5, 6, (1, 2), (Levels(3, 2), Levels(2, 1)), False, (), False, (3,), (True,),
                      (Block(1, 2, 3), Block(5, 3, 2)), GELU, 3, SIGMOID),
    "hinerv": Hierarchical(4, 5, 7, (1, 2), (Levels(2, 2), Levels(1, 2)), 3, 3, True, 3,
                           (Stage(3, 3, (Levels(3, 2),), 2, 4), Stage(2, 2, (), 1, 3))),
}  # fmt: skip


@pytest.mark.parametrize("name", SMALL)
def test_gradients_of_a_network_equal_finite_differences(name):
    """Of every parameter, along a random direction, in float64; the picture is smaller than what is computed."""
    architecture = SMALL[name]
    draw = np.random.default_rng(7)
    given = {p.name: 0.5 * draw.standard_normal(p.shape) for p in parameters(architecture.nodes())}
    wanted = draw.random((3, 2, architecture.height, architecture.width))
    network = architecture.nodes()

    def error(values):
        seen = twin.run(network, values, [0, 2], architecture.frames)
        return mean_square(seen[:, :, : architecture.height, : architecture.width] - wanted)

    gradients = grad(error)(given)
    assert gradients.keys() == given.keys()
    for key, array in given.items():
        direction = draw.standard_normal(array.shape)
        step = 1e-5
        ends = [error({**given, key: array + sign * step * direction}) for sign in (1, -1)]
        slope = np.vdot(gradients[key], direction)
        assert slope == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5, abs=1e-9), key
        assert slope, key
