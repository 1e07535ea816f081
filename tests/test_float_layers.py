"""Float layers equal plain loops in float64."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from naive_float import naive_convolution, naive_norm, naive_resolved, naive_transposed

from refcodec.errors import RangeError, ShapeError
from refcodec.models import float_layers
from refcodec.models.float_layers import (
    BETA_BOUND,
    GAMMA_BOUND,
    convolution,
    gdn,
    inverse_gdn,
    relu,
    resolve_parametrisation,
    transposed_convolution,
)


def integers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Small integers: their sums of products are exact in float32, so results must be equal."""
    return rng.integers(-9, 10, shape).astype(np.float32)


# --- layers


@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 1), (9, 2)])
@pytest.mark.parametrize(("k", "stride"), [(1, 1), (3, 1), (3, 2), (5, 1), (5, 2), (9, 4)])
def test_convolution_equals_plain_loops(k, stride, size):
    rng = np.random.default_rng(1)
    x, weight, bias = integers(rng, 3, *size), integers(rng, 2, 3, k, k), integers(rng, 2)
    out = convolution(x, weight, bias, stride)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, naive_convolution(x, weight, bias, stride))


@pytest.mark.parametrize("size", [(4, 3), (1, 1), (2, 5)])
@pytest.mark.parametrize(("k", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (5, 1), (5, 2), (5, 3), (9, 4)])
def test_transposed_convolution_equals_plain_scattering(k, stride, size):
    rng = np.random.default_rng(2)
    x, weight, bias = integers(rng, 3, *size), integers(rng, 3, 2, k, k), integers(rng, 2)
    out = transposed_convolution(x, weight, bias, stride)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, naive_transposed(x, weight, bias, stride))


@pytest.mark.parametrize("limit", [1, 200, 700])
def test_convolutions_do_not_depend_on_strips(monkeypatch, limit):
    rng = np.random.default_rng(3)
    x, weight, bias = integers(rng, 2, 9, 6), integers(rng, 2, 2, 5, 5), integers(rng, 2)
    monkeypatch.setattr(float_layers, "GATHER_LIMIT", limit)
    np.testing.assert_array_equal(convolution(x, weight, bias, 2), naive_convolution(x, weight, bias, 2))
    np.testing.assert_array_equal(transposed_convolution(x, weight, bias, 2), naive_transposed(x, weight, bias, 2))


@pytest.mark.parametrize(
    ("layer", "stride", "output"), [(convolution, 1, 4 << 20), (transposed_convolution, 2, 16 << 20)]
)
def test_convolutions_need_little_memory(layer, stride, output):
    """Above the padded input and the output, a few strips; the whole picture's taps would take 25 * 4 MiB."""
    x, weight = np.zeros((8, 512, 256), np.float32), np.zeros((8, 8, 5, 5), np.float32)
    tracemalloc.start()
    layer(x, weight, np.zeros(8, np.float32), stride)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.05 * x.nbytes + output + (12 << 20)


@pytest.mark.parametrize(
    ("x", "weight", "bias"),
    [
        ((3, 4), (2, 3, 3, 3), (2,)),
        ((3, 4, 4), (2, 4, 3, 3), (2,)),
        ((3, 4, 4), (2, 3, 3, 5), (2,)),
        ((3, 4, 4), (2, 3, 4, 4), (2,)),
        ((3, 4, 4), (2, 3, 3), (2,)),
        ((3, 4, 4), (2, 3, 3, 3), (3,)),
        ((3, 4, 4), (2, 3, 3, 3), (2, 1)),
    ],
)
def test_convolutions_refuse_wrong_shapes(x, weight, bias):
    arrays = [np.zeros(shape, np.float32) for shape in (x, weight, bias)]
    with pytest.raises(ShapeError, match="RC-SHAPE: convolution of"):
        convolution(*arrays, 1)
    arrays[1] = arrays[1].swapaxes(0, 1)
    with pytest.raises(ShapeError, match="RC-SHAPE: convolution of"):
        transposed_convolution(*arrays, 2)


@pytest.mark.parametrize("exponent", [1, 2])
def test_gdn_equals_plain_loops(exponent):
    rng = np.random.default_rng(4)
    x, beta, gamma = rng.normal(0, 3, (3, 4, 5)), rng.uniform(0.1, 1, 3), rng.uniform(0, 1, (3, 3))
    x, beta, gamma = (array.astype(np.float32) for array in (x, beta, gamma))
    norm = naive_norm(x, beta, gamma, exponent)
    forward, inverse = gdn(x, beta, gamma, exponent), inverse_gdn(x, beta, gamma, exponent)
    assert forward.dtype == inverse.dtype == np.float32
    np.testing.assert_allclose(forward, x / norm, rtol=1e-6)
    np.testing.assert_allclose(inverse, x * norm, rtol=1e-6)


def test_gdn_reads_gamma_as_output_by_input():
    x, gamma = np.array([1, 10], np.float32).reshape(2, 1, 1), np.array([[0, 1], [0, 0]], np.float32)
    assert inverse_gdn(x, np.ones(2, np.float32), gamma, 1).ravel().tolist() == [11, 10]


@pytest.mark.parametrize("function", [gdn, inverse_gdn])
def test_gdn_refuses_wrong_arguments(function):
    x, beta, gamma = np.ones((2, 3, 3), np.float32), np.ones(2, np.float32), np.ones((2, 2), np.float32)
    for wrong in ((x[0], beta, gamma), (x, beta[:1], gamma), (x, beta, gamma[:1])):
        with pytest.raises(ShapeError, match="RC-SHAPE: normalisation of"):
            function(*wrong, 1)
    with pytest.raises(RangeError, match="exponent of a normalisation is 1 or 2, got 3"):
        function(x, beta, gamma, 3)


def test_resolve_parametrisation_is_that_of_compressai():
    stored = np.array([-1, 0, 2.0**-18, 1e-3, 1.0000073e-3, 0.5, 3], np.float32)
    for bound, minimum in ((BETA_BOUND, 1e-6), (GAMMA_BOUND, 0.0)):
        resolved = resolve_parametrisation(stored, bound)
        assert resolved.dtype == np.float32
        np.testing.assert_allclose(resolved, naive_resolved(stored, minimum), rtol=3e-7, atol=1e-18)
    assert resolve_parametrisation(np.float32([0, -5]), GAMMA_BOUND).tolist() == [0, 0]


def test_relu_keeps_what_is_positive():
    assert relu(np.float32([-1, -0.0, 2])).tolist() == [0, 0, 2]
