"""Transposed convolution: kernel, definition, specification and scattering agree (SPEC TCONV-1 to TCONV-4)."""

from __future__ import annotations

from typing import Any

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_convolution import draw

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.layers.convolution import convolution
from refcodec.layers.transposed_convolution import transposed_convolution, transposed_convolution_plain

GEOMETRIES = [
    (kernel, stride, padding, output_padding)
    for kernel in range(1, 10)
    for stride in range(1, 5)
    for padding in range(kernel)
    for output_padding in range(stride)
]
LIMIT = 2**47
USUAL = 2, 2, 1  # stride, padding and output padding that double the size with a kernel of 5


def agree(x: np.ndarray, weight: np.ndarray, bias: Any, *geometry: int, scalar: bool = True) -> np.ndarray:
    """The common result of kernel, definition, scattering and (slowest) specification."""
    biases = np.array(bias, np.int64)
    found = transposed_convolution(x, weight, biases, *geometry)
    np.testing.assert_array_equal(found, transposed_convolution_plain(x, weight, biases, *geometry))
    operands = x.tolist(), weight.tolist(), biases.tolist(), *geometry
    assert found.tolist() == naive.transposed_convolution(*operands)
    if scalar:
        assert found.tolist() == fixed.transposed_convolution(*operands)
    return found


def agree_everywhere(kernel: int, bits: int, rng: np.random.Generator) -> set[np.dtype]:
    """Compare on up to three sizes of input, one pixel among them; the dtypes that came back."""
    dtypes = set()
    compared = 0
    for _, stride, padding, output_padding in (g for g in GEOMETRIES if g[0] == kernel):
        for height, width in ((1, 1), (1, 3), (4, 2)):
            size = [fixed.transposed_size(n, kernel, stride, padding, output_padding) for n in (height, width)]
            if min(size) < 1:
                continue
            x = draw(rng, 0, 2**bits - 1, (2, height, width)) - (2 ** (bits - 1) if stride % 2 else 0)
            outputs = 5 if bits == 8 else 2
            weight = draw(rng, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, (outputs, 2, kernel, kernel))
            bias = rng.integers(-(2 ** (2 * bits)), 2 ** (2 * bits), outputs)
            found = agree(x, weight, bias, stride, padding, output_padding, scalar=kernel < 5 and stride < 3)
            assert found.shape == (outputs, *size)
            dtypes.add(found.dtype)
            compared += 1
    assert compared > 12
    return dtypes


# --- every geometry


@pytest.mark.parametrize("kernel", range(1, 10))
def test_transposed_convolution_agrees_for_every_geometry_in_32_bits(kernel: int, rng: np.random.Generator) -> None:
    assert agree_everywhere(kernel, 8, rng) == {np.dtype(np.int32)}


@pytest.mark.parametrize("kernel", range(1, 10))
def test_transposed_convolution_agrees_for_every_geometry_in_64_bits(kernel: int, rng: np.random.Generator) -> None:
    assert agree_everywhere(kernel, 16, rng) == {np.dtype(np.int64)}


def test_transposed_convolution_of_one_pixel_is_the_cropped_kernel(rng: np.random.Generator) -> None:
    """Catches kernel rows and columns that are exchanged or reversed, and output channels taken for input channels."""
    weight = draw(rng, -128, 127, (3, 2, 5, 5))
    x = np.array([[[7]], [[-3]]], np.int16)
    whole = np.einsum("ockl,c->okl", weight.astype(int), [7, -3]) + np.array([1, 2, 3])[:, None, None]
    np.testing.assert_array_equal(agree(x, weight, [1, 2, 3], 1, 0, 0), whole)
    np.testing.assert_array_equal(agree(x, weight, [1, 2, 3], 2, 1, 0), whole[:, 1:4, 1:4])
    np.testing.assert_array_equal(agree(x, weight, [1, 2, 3], *USUAL), whole[:, 2:5, 2:5][:, :2, :2])


def test_transposed_convolution_leaves_holes_that_hold_the_bias() -> None:
    x = np.array([[[5, 6], [7, 8]]], np.int16)
    found = agree(x, np.array([2, -1], np.int16).reshape(2, 1, 1, 1), [100, 200], 4, 0, 3)
    assert found.shape == (2, 8, 8)
    wanted = np.broadcast_to(np.array([100, 200])[:, None, None], (2, 8, 8)).copy()
    wanted[:, ::4, ::4] += np.array([2, -1])[:, None, None] * x[0]
    np.testing.assert_array_equal(found, wanted)
    assert (found == np.array([100, 200])[:, None, None]).sum() == 2 * (64 - 4)


def test_transposed_convolution_with_a_stride_of_one_is_a_convolution_with_the_kernel_turned(
    rng: np.random.Generator,
) -> None:
    x, weight, bias = draw(rng, -128, 127, (3, 6, 5)), draw(rng, -128, 127, (4, 3, 5, 5)), np.arange(4)
    for padding in range(5):
        turned = np.ascontiguousarray(weight[:, :, ::-1, ::-1])
        found = transposed_convolution(x, weight, bias, 1, padding, 0)
        np.testing.assert_array_equal(found, convolution(x, turned, bias, 1, 4 - padding))


@pytest.mark.parametrize("outputs", range(1, 10))
def test_transposed_convolution_agrees_for_any_number_of_channels(outputs: int, rng: np.random.Generator) -> None:
    for inputs in (1, 2, 7):
        x, weight = draw(rng, -8, 7, (inputs, 2, 3)), draw(rng, -8, 7, (outputs, inputs, 5, 5))
        assert agree(x, weight, rng.integers(-9, 9, outputs), *USUAL).shape == (outputs, 4, 6)


def test_transposed_convolution_is_the_adjoint_of_the_convolution(rng: np.random.Generator) -> None:
    """<convolution(a), b> == <a, transposed(b)> for every stride and padding."""
    for kernel, stride, padding in ((5, 2, 2), (3, 1, 1), (9, 4, 4), (4, 3, 0), (2, 4, 1)):
        a, weight = draw(rng, -8, 7, (2, 9, 9)), draw(rng, -8, 7, (3, 2, kernel, kernel))
        forward = convolution(a, weight, np.zeros(3, np.int64), stride, padding)
        b = draw(rng, -8, 7, forward.shape)
        exchanged = np.ascontiguousarray(weight.transpose(1, 0, 2, 3))
        dropped = (9 + 2 * padding - kernel) % stride
        back = transposed_convolution(b, exchanged, np.zeros(2, np.int64), stride, padding, dropped)
        assert (forward.astype(int) * b).sum() == (a.astype(int) * back).sum() != 0


# --- all values of small widths


def test_transposed_convolution_agrees_on_all_pairs_of_four_bit_values_in_each_tap() -> None:
    every = np.arange(-8, 8, dtype=np.int16).reshape(1, 4, 4)
    steps = np.array([[1, 3], [5, 7]])
    weight = ((np.arange(16)[:, None, None] * steps) % 16 - 8).astype(np.int16)[:, None]
    apart = agree(every, weight, [0] * 16, 2, 0, 0)  # each output is one product: 16 weights by 16 inputs by 4 taps
    for ky in range(2):
        for kx in range(2):
            products = weight[:, :, ky, kx].astype(int)[:, :, None] * every
            np.testing.assert_array_equal(apart[:, ky::2, kx::2], products)
            assert len(np.unique(weight[:, 0, ky, kx])) == 16
    agree(every, weight, list(range(16)), 1, 0, 0)


# --- accumulators at their ends


@pytest.mark.parametrize("sign", [1, -1])
def test_transposed_convolution_takes_64_bits_from_the_first_sum_that_32_may_not_hold(sign: int) -> None:
    x, weight = np.full((1, 1, 1), 32767, np.int16), np.full((1, 1, 1, 1), sign * 32767, np.int16)
    bias = 2**31 - 1 - 32767**2
    last = agree(x, weight, [sign * bias], 1, 0, 0)
    assert (last.dtype, last.item()) == (np.int32, sign * (2**31 - 1))
    first = agree(x, weight, [sign * (bias + 1)], 1, 0, 0)
    assert (first.dtype, first.item()) == (np.int64, sign * 2**31)


@pytest.mark.parametrize("sign", [1, -1])
def test_transposed_convolution_accepts_48_bits_in_every_phase(sign: int) -> None:
    """The bound of ACC-1 is that of a phase: 9, 6, 6 and 4 taps never meet, though 25 together exceed 48 bits."""
    x = np.full((1, 3, 3), 2**16 - 1, np.int32)
    weight = np.full((1, 1, 5, 5), sign * (2**15 - 1), np.int16)
    product = (2**16 - 1) * (2**15 - 1)
    bias = LIMIT - 1 - 9 * product
    found = agree(x, weight, [sign * bias], *USUAL)
    assert found[0, 2, 2] == sign * (LIMIT - 1)
    assert found[0, 3, 3] == sign * (bias + 4 * product)
    with pytest.raises(RangeError, match=r"^RC-RANGE: accumulator may reach \d+, beyond 48 bits$"):
        transposed_convolution(x, weight, np.array([sign * (bias + 1)]), *USUAL)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 6),
    st.integers(1, 4),
    st.integers(0, 5),
    st.integers(0, 3),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.integers(0, 2**32),
)
def test_transposed_convolution_is_linear(
    kernel: int, stride: int, padding: int, output_padding: int, shape: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    geometry = stride, padding % kernel, output_padding % stride
    if min(fixed.transposed_size(n, kernel, *geometry) for n in shape) < 1:
        return
    a, b = (rng.integers(-100, 100, (2, *shape)).astype(np.int16) for _ in range(2))
    weight, zero = rng.integers(-100, 100, (3, 2, kernel, kernel)).astype(np.int16), np.zeros(3, np.int64)
    separate = [transposed_convolution(v, weight, zero, *geometry) for v in (a, b)]
    np.testing.assert_array_equal(transposed_convolution(a + b, weight, zero, *geometry), sum(separate))


# --- arrays


def test_transposed_convolution_reads_any_layout_and_changes_nothing(rng: np.random.Generator) -> None:
    base, kernels = draw(rng, -8, 7, (3, 6, 4)), draw(rng, -8, 7, (3, 5, 5, 5))
    for x in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1], base.astype(np.int64)):
        for weight in (kernels.transpose(1, 0, 3, 2), kernels[:, :3][:, ::-1].copy(order="F"), kernels[:, 1:4, ::-1]):
            bias = np.arange(10)[::2][: weight.shape[0]]
            kept = x.copy(), weight.copy(), bias.copy()
            agree(x, weight, bias, *USUAL)
            for array, before in zip((x, weight, bias), kept, strict=True):
                np.testing.assert_array_equal(array, before)


# --- refusals

FUNCTIONS = [transposed_convolution, transposed_convolution_plain]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("x", "weight", "bias", "message"),
    [
        ((4, 4), (3, 2, 3, 3), (3,), r"expected x \(C, H, W\)"),
        ((2, 4, 4), (3, 2, 3, 5), (3,), r"expected x \(C, H, W\)"),
        ((2, 4, 4), (2, 3, 3, 3), (2,), r"disagree about channels"),
        ((2, 4, 4), (3, 2, 3, 3), (2,), r"disagree about channels"),
        ((2, 4, 0), (3, 2, 3, 3), (3,), r"empty operand"),
        ((2, 1, 9), (3, 2, 3, 3), (3,), r"input \(2, 1, 9\) gives an empty output with kernel 3, padding 2"),
        ((2, 9, 1), (3, 2, 3, 3), (3,), r"gives an empty output"),
    ],
)
def test_transposed_convolution_refuses_shapes(function, x, weight, bias, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ShapeError, match=rf"^RC-SHAPE: .*{message}"):
        function(np.zeros(x, np.int16), np.zeros(weight, np.int16), np.zeros(bias, np.int64), 1, 2, 0)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(
    ("kernel", "geometry", "message"),
    [
        (10, (1, 1, 0), r"kernel must be 1\.\.9 and stride 1\.\.4, got 10, 1"),
        (3, (0, 1, 0), r"stride 1\.\.4, got 3, 0"),
        (3, (5, 1, 0), r"stride 1\.\.4, got 3, 5"),
        (3, (2, -1, 0), r"padding must be 0\.\.2 and output padding 0\.\.1, got -1, 0"),
        (3, (2, 3, 0), r"padding must be 0\.\.2 and output padding 0\.\.1, got 3, 0"),
        (3, (2, 1, 2), r"output padding 0\.\.1, got 1, 2"),
        (3, (2, 1, -1), r"output padding 0\.\.1, got 1, -1"),
        (3, (1, 1, 1), r"output padding 0\.\.0, got 1, 1"),
    ],
)
def test_transposed_convolution_refuses_geometries(function, kernel, geometry, message) -> None:  # type: ignore[no-untyped-def]
    operands = np.zeros((2, 4, 4), np.int16), np.zeros((3, 2, kernel, kernel), np.int16), np.zeros(3, np.int64)
    with pytest.raises(RangeError, match=rf"^RC-RANGE: .*{message}") as caught:
        function(*operands, *geometry)
    assert caught.value.code == "RC-RANGE"


@pytest.mark.parametrize("position", [0, 1, 2])
def test_transposed_convolution_refuses_dtypes(position: int) -> None:
    operands = [np.zeros((2, 4, 4), np.int16), np.zeros((3, 2, 3, 3), np.int16), np.zeros(3, np.int64)]
    operands[position] = operands[position].astype(np.float32)
    for function in FUNCTIONS:
        with pytest.raises(RangeError, match=r"^RC-RANGE: .*: expected signed integers, got float32"):
            function(*operands, 2, 1, 1)
