"""Every kind of node equals plain loops, and networks run their nodes in order and forget what nobody reads."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from naive_float import naive_convolution, naive_leaky, naive_masked, naive_norm, naive_shuffle, naive_transposed

from refcodec.errors import ShapeError
from refcodec.models.network import (
    FORMS,
    Activation,
    Convolution,
    Join,
    Network,
    Node,
    Normalisation,
    Port,
    Shuffle,
    Sum,
)


def integers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Small integers: their sums of products are exact in float32, so results must be equal."""
    return rng.integers(-9, 10, shape).astype(np.float32)


def stored(node: Node, rng: np.random.Generator) -> dict[str, np.ndarray]:
    return {name: integers(rng, *shape) for name, shape in node.shapes().items()}


def layer(kernel: int, stride: int, transposed: bool = False, mask: str = "", valid: bool = False) -> Convolution:
    """A convolution of 3 to 2 channels that stands in the middle of 5 stored ones."""
    return Convolution("out", "in", 3, 2, kernel, stride, transposed, "some.layer", 5, 1, mask, valid)


# --- convolutions


@pytest.mark.parametrize("size", [(8, 12), (5, 7), (1, 1)])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (5, 1), (5, 2), (9, 4)])
def test_convolution_equals_plain_loops(
    kernel: int, stride: int, size: tuple[int, int], rng: np.random.Generator
) -> None:
    node = layer(kernel, stride)
    parameters, x = stored(node, rng), integers(rng, 3, *size)
    assert parameters["some.layer.weight"].shape == (5, 3, kernel, kernel)
    weight, bias = parameters["some.layer.weight"][1:3], parameters["some.layer.bias"][1:3]
    found = node.run({"in": x}, parameters)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, naive_convolution(x, weight, bias, stride))


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 2), (9, 4)])
def test_transposed_convolution_equals_plain_scattering(kernel: int, stride: int, rng: np.random.Generator) -> None:
    node = layer(kernel, stride, transposed=True)
    parameters, x = stored(node, rng), integers(rng, 3, 4, 3)
    assert parameters["some.layer.weight"].shape == (3, 5, kernel, kernel), "PyTorch has the inputs first"
    weight, bias = parameters["some.layer.weight"][:, 1:3], parameters["some.layer.bias"][1:3]
    np.testing.assert_array_equal(node.run({"in": x}, parameters), naive_transposed(x, weight, bias, stride))


@pytest.mark.parametrize("mask", ["causal", "checkerboard"])
def test_masked_convolution_sees_live_taps_only(mask: str, rng: np.random.Generator) -> None:
    node = layer(5, 1, mask=mask)
    parameters, x = stored(node, rng), integers(rng, 3, 6, 7)
    weight = naive_masked(parameters["some.layer.weight"][1:3], mask)
    assert np.count_nonzero(weight[0, 0]) <= 12 < np.count_nonzero(parameters["some.layer.weight"][1, 0])
    np.testing.assert_array_equal(node.weight(parameters), weight)
    wanted = naive_convolution(x, weight, parameters["some.layer.bias"][1:3], 1)
    np.testing.assert_array_equal(node.run({"in": x}, parameters), wanted)


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_valid_convolution_keeps_whole_windows(kernel: int, rng: np.random.Generator) -> None:
    node = layer(kernel, 1, valid=True)
    parameters, x = stored(node, rng), integers(rng, 3, 5, 8)
    weight, bias = parameters["some.layer.weight"][1:3], parameters["some.layer.bias"][1:3]
    found = node.run({"in": x}, parameters)
    assert found.shape == (2, 6 - kernel, 9 - kernel)
    np.testing.assert_array_equal(found, naive_convolution(x, weight, bias, 1, padding=0))


def test_convolution_without_a_bias_adds_none(rng: np.random.Generator) -> None:
    node = replace(layer(3, 1), biased=False)
    assert set(node.shapes()) == {"some.layer.weight"}
    parameters, x = stored(node, rng), integers(rng, 3, 4, 4)
    wanted = naive_convolution(x, parameters["some.layer.weight"][1:3], np.zeros(2), 1)
    np.testing.assert_array_equal(node.run({"in": x}, parameters), wanted)


@pytest.mark.parametrize(("kernel", "stride", "transposed"), [(3, 1, False), (5, 2, False), (5, 2, True), (9, 4, True)])
def test_mean_response_is_the_mean_output_for_constant_inputs(
    kernel: int, stride: int, transposed: bool, rng: np.random.Generator
) -> None:
    """Away from the border, where zeros take the place of inputs."""
    node = layer(kernel, stride, transposed)
    parameters, means = stored(node, rng) | {"some.layer.bias": np.zeros(5, np.float32)}, integers(rng, 3)
    x = np.broadcast_to(means[:, None, None], (3, 24, 24)).astype(np.float32)
    inner = slice(stride * 4, -stride * 4) if transposed else slice(5, -5)
    wanted = node.run({"in": x}, parameters)[:, inner, inner].astype(np.float64).mean(axis=(1, 2))
    found = node.mean_response(node.weight(parameters).astype(np.float64), means.astype(np.float64))
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


# --- what follows them


def test_activation_forms_are_pytorchs_and_compressais() -> None:
    x = np.array([-1000, -1, -0.0, 0.05, 0.11, 0.2, 254, 255, 300], np.float32).reshape(1, 1, 9)
    wanted = {
        "linear": x,
        "relu": [0, 0, 0, 0.05, 0.11, 0.2, 254, 255, 300],
        "leaky": naive_leaky(x),
        "qrelu": [0, 0, 0, 0.05, 0.11, 0.2, 254, 255, 255],
        "sample": x,
        "mean": x,
        "scale": [0.11, 0.11, 0.11, 0.11, 0.11, 0.2, 254, 255, 300],
    }
    assert set(wanted) == set(FORMS)
    for form, values in wanted.items():
        found = Activation("out", "in", form).run({"in": x}, {})
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found.ravel(), np.ravel(values).astype(np.float32), err_msg=form)


@pytest.mark.parametrize("exponent", [1, 2])
@pytest.mark.parametrize("inverse", [False, True])
def test_normalisation_equals_plain_loops(inverse: bool, exponent: int, rng: np.random.Generator) -> None:
    node = Normalisation("out", "in", 3, inverse, exponent, "g_s.1")
    x = rng.normal(0, 3, (3, 4, 5)).astype(np.float32)
    shapes = {"g_s.1.beta": (3,), "g_s.1.gamma": (3, 3)}
    assert node.shapes() == shapes
    parameters = {name: rng.uniform(0.1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    norm = naive_norm(x, parameters["g_s.1.beta"], parameters["g_s.1.gamma"], exponent)
    found = node.run({"in": x}, parameters)
    np.testing.assert_allclose(found, x * norm if inverse else x / norm, rtol=1e-6)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_shuffle_equals_plain_loops(factor: int, rng: np.random.Generator) -> None:
    x = integers(rng, 2 * factor**2, 3, 4)
    found = Shuffle("out", "in", factor).run({"in": x}, {})
    np.testing.assert_array_equal(found, naive_shuffle(x, factor))


def test_sum_and_join_take_their_tensors_in_order(rng: np.random.Generator) -> None:
    a, b = integers(rng, 2, 3, 4), integers(rng, 2, 3, 4)
    arrays = {"a": a, "b": b}
    np.testing.assert_array_equal(Sum("out", ("b", "a")).run(arrays, {}), a + b)
    np.testing.assert_array_equal(Join("out", ("b", "a")).run(arrays, {}), np.concatenate([b, a]))


# --- networks

DIAMOND = Network(
    (Port("x", 2),),
    (
        Activation("left", "x", "relu"),
        Activation("right", "x", "leaky"),
        Sum("both", ("left", "right")),
        Activation("also", "both", "relu"),
        Join("joined", ("both", "also")),
    ),
)


def test_network_outputs_are_what_no_node_reads() -> None:
    assert DIAMOND.outputs == ("joined",)
    two = Network(DIAMOND.inputs, DIAMOND.nodes[:2])
    assert two.outputs == ("left", "right")
    assert [node.name for node in DIAMOND.readers("both")] == ["also", "joined"]


def test_network_run_gives_its_outputs_and_shows_every_tensor_in_order(rng: np.random.Generator) -> None:
    x, seen = integers(rng, 2, 3, 4), {}
    found = DIAMOND.run({}, {"x": x}, lambda name, array: seen.update({name: array.copy()}))
    assert list(seen) == ["x", "left", "right", "both", "also", "joined"]
    both = np.maximum(x, 0) + np.where(x < 0, np.float32(0.01) * x, x)
    np.testing.assert_array_equal(seen["both"], both)
    assert list(found) == ["joined"]
    np.testing.assert_array_equal(found["joined"], np.concatenate([both, np.maximum(both, 0)]))
    np.testing.assert_array_equal(DIAMOND.run({}, {"x": x})["joined"], found["joined"])


def test_network_takes_one_tensor_twice(rng: np.random.Generator) -> None:
    x = integers(rng, 2, 3, 4)
    twice = Network((Port("x", 2),), (Sum("out", ("x", "x")),))
    np.testing.assert_array_equal(twice.run({}, {"x": x})["out"], 2 * x)


def test_network_forgets_a_tensor_after_its_last_reader() -> None:
    alive: dict[str, weakref.ref] = {}
    held: dict[str, set[str]] = {}

    class Traced(np.ndarray):
        """An array that can be weakly referenced."""

    def watch(name: str, array: np.ndarray) -> None:
        gc.collect()
        held[name] = {known for known, reference in alive.items() if reference() is not None}
        alive[name] = weakref.ref(array)

    x = np.ones((2, 3, 4), np.float32).view(Traced)
    DIAMOND.run({}, {"x": x}, watch)
    assert held["both"] >= {"left", "right"}
    assert not held["also"] & {"left", "right"}
    assert not held["joined"] & {"left", "right"}
    assert held["joined"] >= {"both", "also"}


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((3, 4, 4), np.float32),
        np.zeros((2, 4), np.float32),
        np.zeros((1, 2, 4, 4), np.float32),
        np.zeros((2, 0, 4), np.float32),
        np.zeros((2, 4, 4), np.float64),
        np.zeros((2, 4, 4), np.int32),
    ],
)
def test_network_refuses_other_inputs(x: np.ndarray) -> None:
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: x: wanted float32 \(2, H, W\), got "):
        DIAMOND.run({}, {"x": x})
