"""Convolutions and activations of the gradient engine against loops, differences and autograd's own functions."""

from __future__ import annotations

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad, make_vjp
from scipy.special import erf, expit

from refcodec.gradient import activations, arrangement, convolution
from refcodec.gradient.distance import mean_square
from refcodec.gradient.normalisation import normalise
from refcodec.gradient.optimiser import Adam

# outputs, channels, taps, frames, height, width; planes narrower than half of the kernel among them
SHAPES = [
    (3, 4, 1, 1, 1, 2), (2, 3, 3, 2, 5, 4), (3, 2, 5, 1, 3, 7), (1, 1, 3, 1, 1, 1), (4, 3, 5, 2, 9, 6),
    (3, 2, 9, 2, 2, 3), (2, 3, 9, 1, 1, 2),
]  # fmt: skip


def drawn(shape, seed):
    return np.random.default_rng(seed).standard_normal(shape)


def naive_convolution(x, weight):
    """Loops over everything."""
    outputs, channels, taps, _ = weight.shape
    _, frames, height, width = x.shape
    out = np.zeros((outputs, frames, height, width))
    for o, n, y, i in np.ndindex(*out.shape):
        for c, ky, kx in np.ndindex(channels, taps, taps):
            row, column = y + ky - taps // 2, i + kx - taps // 2
            if 0 <= row < height and 0 <= column < width:
                out[o, n, y, i] += weight[o, c, ky, kx] * x[c, n, row, column]
    return out


def slope(function, x, direction, step=1e-6):
    """Central difference of a scalar function."""
    return (function(x + step * direction) - function(x - step * direction)) / (2 * step)


@pytest.mark.parametrize("shape", SHAPES)
def test_convolution_equals_loops(shape):
    outputs, channels, taps, frames, height, width = shape
    x, weight = drawn((channels, frames, height, width), 0), drawn((outputs, channels, taps, taps), 1)
    np.testing.assert_allclose(convolution.convolution(x, weight), naive_convolution(x, weight), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("outputs", "channels"), [(4, 3), (2, 5)])
def test_convolution_in_strips_equals_the_whole(monkeypatch, outputs, channels):
    """One row at a time, through all frames, whichever side has fewer channels."""
    x, weight = drawn((channels, 2, 13, 6), 0), drawn((outputs, channels, 5, 5), 1)
    g = drawn((outputs, 2, 13, 6), 2)
    whole = convolution.convolution(x, weight), convolution.spread(g, weight), convolution.weigh(x, g, 5)
    monkeypatch.setattr(convolution, "GATHER_LIMIT", 1)
    strips = convolution.convolution(x, weight), convolution.spread(g, weight), convolution.weigh(x, g, 5)
    for found, wanted in zip(strips, whole, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_adjoints_agree_with_the_convolution(shape):
    """<g, A x> = <A* g, x>, in both arguments."""
    outputs, channels, taps, frames, height, width = shape
    x, weight = drawn((channels, frames, height, width), 0), drawn((outputs, channels, taps, taps), 1)
    g = drawn((outputs, frames, height, width), 2)
    wanted = np.vdot(g, convolution.convolution(x, weight))
    assert np.vdot(convolution.spread(g, weight), x) == pytest.approx(wanted, rel=1e-12)
    assert np.vdot(convolution.weigh(x, g, taps), weight) == pytest.approx(wanted, rel=1e-12)


def small_network(x, weights):
    """Everything that has derivatives, in one scalar."""
    first, second, third = weights
    hidden = activations.gelu(convolution.convolution(x, first))
    hidden = activations.silu(convolution.depthwise(hidden, second))
    return anp.sum(anp.tanh(convolution.convolution(hidden, third)) ** 2)


def network_arguments(seed):
    draw = np.random.default_rng(seed)
    x = draw.standard_normal((2, 2, 4, 5))
    shapes = ((3, 2, 3, 3), (3, 3, 3), (2, 3, 1, 1))
    return x, [draw.standard_normal(shape) for shape in shapes], [draw.standard_normal(shape) for shape in shapes]


def test_gradients_equal_finite_differences():
    x, weights, directions = network_arguments(3)
    gradients = grad(small_network, 1)(x, weights)
    for k, direction in enumerate(directions):

        def along(value, k=k):
            return small_network(x, [value if j == k else w for j, w in enumerate(weights)])

        assert np.vdot(gradients[k], direction) == pytest.approx(slope(along, weights[k], direction), rel=1e-6)
    direction = drawn(x.shape, 4)
    wanted = slope(lambda value: small_network(value, weights), x, direction)
    assert np.vdot(grad(small_network)(x, weights), direction) == pytest.approx(wanted, rel=1e-6)


def test_hessian_vector_products_equal_differences_of_gradients():
    x, weights, directions = network_arguments(5)

    def along(w):
        return sum(anp.sum(g * d) for g, d in zip(grad(small_network, 1)(x, w), directions, strict=True))

    product = grad(along)(weights)
    step = 1e-5
    ends = [
        grad(small_network, 1)(x, [w + sign * step * d for w, d in zip(weights, directions, strict=True)])
        for sign in (1, -1)
    ]
    for k in range(len(weights)):
        np.testing.assert_allclose(product[k], (ends[0][k] - ends[1][k]) / (2 * step), rtol=1e-5, atol=1e-7)


def plain_network(weights):
    """A network of two layers in autograd's own functions, and the same in ours."""
    first, second = weights
    x = np.array([[0.3, -1.2, 0.8], [1.1, 0.4, -0.6]])
    return anp.sum(anp.tanh(anp.dot(second, anp.tanh(anp.dot(first, x)))) ** 2)


def our_network(weights):
    first, second = weights
    x = np.array([[0.3, -1.2, 0.8], [1.1, 0.4, -0.6]]).reshape(2, 1, 1, 3)
    hidden = anp.tanh(convolution.convolution(x, first.reshape(4, 2, 1, 1)))
    return anp.sum(anp.tanh(convolution.convolution(hidden, second.reshape(3, 4, 1, 1))) ** 2)


def test_hessian_vector_products_equal_those_of_autograd():
    weights = [drawn((4, 2), 6), drawn((3, 4), 7)]
    directions = [drawn((4, 2), 8), drawn((3, 4), 9)]
    products = []
    for network in (plain_network, our_network):
        products.append(make_vjp(grad(network))(weights)[0](directions))
    for plain, ours in zip(*products, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("taps", "height", "width"), [(3, 6, 5), (9, 2, 3), (1, 2, 2)])
def test_depthwise_is_a_convolution_of_each_channel(taps, height, width):
    x, weight = drawn((3, 2, height, width), 0), drawn((3, taps, taps), 1)
    out = convolution.depthwise(x, weight)
    for c in range(3):
        wanted = naive_convolution(x[c : c + 1], weight[c : c + 1, None])
        np.testing.assert_allclose(out[c : c + 1], wanted, rtol=0, atol=1e-12)
    g = drawn(x.shape, 2)
    assert np.vdot(convolution.depthwise_weigh(x, g, taps), weight) == pytest.approx(np.vdot(g, out), rel=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activations_equal_their_formulas(dtype):
    x = np.linspace(-9, 9, 10001).astype(dtype)
    wide = x.astype(np.float64)
    limit = 4e-6 if dtype == np.float32 else 1e-14
    assert np.abs(activations.gelu(x) - 0.5 * wide * (1 + erf(wide / 2**0.5))).max() < limit
    assert np.abs(activations.silu(x) - wide * expit(wide)).max() < limit
    step = 1e-5
    for function, derivative in (
        (activations.gelu, activations.gelu_slope),
        (activations.gelu_slope, activations.gelu_curvature),
        (activations.silu, activations.silu_slope),
        (activations.silu_slope, activations.silu_curvature),
    ):
        difference = (function(wide + step) - function(wide - step)) / (2 * step)
        assert np.abs(derivative(x) - difference).max() < max(100 * limit, 1e-8)


@pytest.mark.parametrize("shape", [(2, 3, 1, 2, 4, 5), (3, 2, 2, 1, 1, 1), (1, 1, 1, 1, 2, 2), (2, 2, 5, 3, 2, 1)])
def test_shuffle_is_a_transposition_and_unshuffle_its_inverse(shape):
    channels, rows, columns, frames, height, width = shape
    x = drawn((channels * rows * columns, frames, height, width), 0)
    blocks = x.reshape(channels, rows, columns, frames, height, width).transpose(0, 3, 4, 1, 5, 2)
    shuffled = arrangement.shuffle(x, rows, columns)
    np.testing.assert_array_equal(shuffled, blocks.reshape(channels, frames, height * rows, width * columns))
    np.testing.assert_array_equal(arrangement.unshuffle(shuffled, rows, columns), x)


def test_crop_keeps_the_top_left_and_pad_adds_zeros():
    x = drawn((2, 3, 4, 5), 0)
    np.testing.assert_array_equal(arrangement.crop(x, 3, 2), x[:, :, :3, :2])
    padded = arrangement.pad(x, 6, 5)
    np.testing.assert_array_equal(padded[:, :, :4], x)
    assert padded.shape == (2, 3, 6, 5)
    assert not padded[:, :, 4:].any()


@pytest.mark.parametrize(
    "move",
    [
        lambda x: arrangement.shuffle(x, 2, 3),
        lambda x: arrangement.unshuffle(x, 2, 2),
        lambda x: arrangement.crop(x, 3, 1),
        lambda x: arrangement.pad(x, 5, 7),
    ],
    ids=["shuffle", "unshuffle", "crop", "pad"],
)
def test_moves_have_their_adjoints_twice(move):
    x = drawn((6, 2, 4, 4), 0)
    vjp, moved = make_vjp(move)(x)
    g = drawn(moved.shape, 1)
    assert np.vdot(vjp(g), x) == pytest.approx(np.vdot(g, moved), rel=1e-12)
    assert vjp(g).flags.c_contiguous
    back, _ = make_vjp(vjp)(g)
    np.testing.assert_array_equal(back(x), moved)


def plain_normalise(x):
    """In autograd's own functions."""
    centred = x - anp.mean(x, axis=0, keepdims=True)
    return centred / anp.sqrt(anp.mean(centred * centred, axis=0, keepdims=True) + 1e-6)


@pytest.mark.parametrize(("channels", "size"), [(5, 1.0), (2, 1e-3), (1, 1.0)])
def test_normalise_and_both_derivatives_equal_those_of_autograd(channels, size):
    """Also where epsilon counts as much as the variance, and where there is nothing to normalise."""
    x, weight, direction = (drawn((channels, 2, 3, 2), seed) for seed in range(3))
    x = size * x
    results = []
    for function in (normalise, plain_normalise):

        def loss(x, function=function):
            return anp.sum(anp.sin(weight * function(x)))

        def along(x, loss=loss):
            return anp.sum(grad(loss)(x) * direction)

        results.append((function(x), grad(loss)(x), grad(along)(x)))
    for found, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())


def test_mean_square_and_its_derivative():
    x = drawn((2, 3, 4), 0)
    assert mean_square(x) == pytest.approx(np.mean(x**2), rel=1e-14)
    np.testing.assert_allclose(grad(mean_square)(x), 2 * x / x.size, rtol=1e-14)


def test_float32_stays_float32_on_the_way_back():
    """Each derivative receives and returns float32: float64 anywhere would take twice the time from there on."""
    x, weight = drawn((2, 1, 4, 4), 0).astype(np.float32), drawn((4, 2, 3, 3), 1).astype(np.float32)
    steps = [
        mean_square, normalise, activations.gelu, activations.silu, lambda x: arrangement.shuffle(x, 1, 2),
        lambda x: arrangement.crop(x, 2, 2), lambda x: convolution.convolution(x, weight),
        lambda x: convolution.depthwise(x, weight[0]),
    ]  # fmt: skip
    in_weights = [lambda w: convolution.convolution(x, w), lambda w: convolution.depthwise(x, w[0])]
    for step, argument in [*((step, x) for step in steps), *((step, weight) for step in in_weights)]:
        vjp, ans = make_vjp(step)(argument)
        assert ans.dtype == np.float32
        assert vjp(np.ones_like(ans)).dtype == np.float32


def test_adam_follows_its_algorithm():
    value, wanted = np.array([1.0, -2.0]), np.array([1.0, -2.0])
    adam = Adam.begin({"w": value})
    first = second = np.zeros(2)
    for step in range(1, 6):
        gradient = wanted * step
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        wanted = wanted - 0.1 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
        adam.update("w", value, value * step, 0.1)
        np.testing.assert_allclose(value, wanted, rtol=1e-12)


def test_adam_leaves_other_rows_alone():
    value = np.ones((3, 2))
    adam = Adam.begin({"w": value})
    adam.update("w", value, np.ones((3, 2)), 0.1, [1])
    assert (value[[0, 2]] == 1).all()
    assert (value[1] < 1).all()
    assert adam.steps["w"].tolist() == [0, 1, 0]


def test_adam_refuses_what_it_cannot_change_in_place():
    value = np.ones((2, 3, 4)).transpose(0, 2, 1)
    with pytest.raises(ValueError, match="copy"):
        Adam.begin({"w": value}).update("w", value, np.ones(value.shape), 0.1, [0])
