"""Convolution: kernel, definition, specification and gathering agree (SPEC CONV-1 to CONV-3, ACC-2)."""

from __future__ import annotations

from typing import Any

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.layers.convolution import convolution, convolution_plain

GEOMETRIES = [
    (kernel, stride, padding) for kernel in range(1, 10) for stride in range(1, 5) for padding in range(kernel)
]
LIMIT = 2**47


def draw(rng: np.random.Generator, lo: int, hi: int, shape: tuple[int, ...]) -> np.ndarray:
    """int16 where that is enough, else int32; a quarter of the values at the ends of lo .. hi."""
    values = rng.integers(lo, hi, shape, endpoint=True)
    ends = rng.choice([lo, hi], shape)
    dtype = np.int16 if lo >= -(2**15) and hi < 2**15 else np.int32
    return np.where(rng.random(shape) < 0.25, ends, values).astype(dtype)


def agree(x: np.ndarray, weight: np.ndarray, bias: Any, stride: int, padding: int, scalar: bool = True) -> np.ndarray:
    """The common result of kernel, definition, gathering and (slowest) specification."""
    biases = np.array(bias, np.int64)
    found = convolution(x, weight, biases, stride, padding)
    np.testing.assert_array_equal(found, convolution_plain(x, weight, biases, stride, padding))
    operands = x.tolist(), weight.tolist(), biases.tolist(), stride, padding
    assert found.tolist() == naive.convolution(*operands)
    if scalar:
        assert found.tolist() == fixed.convolution(*operands)
    return found


def agree_everywhere(geometry: tuple[int, int, int], bits: int, rng: np.random.Generator) -> set[np.dtype]:
    """Compare on three sizes of input; the dtypes that came back."""
    kernel, stride, padding = geometry
    smallest = max(kernel - 2 * padding, 1)
    dtypes = set()
    for height, width in ((smallest, smallest), (smallest, smallest + 3), (smallest + 5, smallest + stride)):
        x = draw(rng, 0, 2**bits - 1, (2, height, width)) - (2 ** (bits - 1) if height % 2 else 0)
        weight = draw(rng, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, (5, 2, kernel, kernel))
        bias = rng.integers(-(2 ** (2 * bits)), 2 ** (2 * bits), 5)
        dtypes.add(agree(x, weight, bias, stride, padding, scalar=kernel < 6).dtype)
    return dtypes


# --- every geometry


@pytest.mark.parametrize("kernel", range(1, 10))
def test_convolution_agrees_for_every_stride_and_padding_in_32_bits(kernel: int, rng: np.random.Generator) -> None:
    for geometry in GEOMETRIES:
        if geometry[0] == kernel:
            assert agree_everywhere(geometry, 8, rng) == {np.dtype(np.int32)}


@pytest.mark.parametrize("kernel", range(1, 10))
def test_convolution_agrees_for_every_stride_and_padding_in_64_bits(kernel: int, rng: np.random.Generator) -> None:
    for geometry in GEOMETRIES:
        if geometry[0] == kernel:
            assert agree_everywhere(geometry, 16, rng) == {np.dtype(np.int64)}


def test_convolution_of_one_pixel_reads_one_tap(rng: np.random.Generator) -> None:
    """Catches kernel rows and columns that are exchanged or reversed."""
    weight = draw(rng, -128, 127, (3, 2, 5, 5))
    for padding in (2, 3, 4):
        found = agree(np.array([[[7]], [[-3]]], np.int16), weight, [1, 2, 3], 1, padding)
        assert found.shape == (3, 2 * padding - 3, 2 * padding - 3)
        for y in range(2 * padding - 3):
            for x in range(2 * padding - 3):
                taps = weight[:, :, padding - y, padding - x].astype(int)
                np.testing.assert_array_equal(found[:, y, x], [1, 2, 3] + taps @ [7, -3])


def test_convolution_correlates_and_keeps_rows_and_columns_apart() -> None:
    x = np.array([[[1, 2, 3], [4, 5, 6]]], np.int16)
    right, below = np.zeros((1, 1, 3, 3), np.int16), np.zeros((1, 1, 3, 3), np.int16)
    right[0, 0, 1, 2] = below[0, 0, 2, 1] = 1
    assert agree(x, right, [0], 1, 1).tolist() == [[[2, 3, 0], [5, 6, 0]]]
    assert agree(x, below, [0], 1, 1).tolist() == [[[4, 5, 6], [0, 0, 0]]]


@pytest.mark.parametrize("outputs", range(1, 10))
def test_convolution_agrees_for_any_number_of_channels(outputs: int, rng: np.random.Generator) -> None:
    """Catches a lane too many or too few: output channels are computed four at a time."""
    for inputs in (1, 2, 7):
        x, weight = draw(rng, -8, 7, (inputs, 4, 3)), draw(rng, -8, 7, (outputs, inputs, 3, 3))
        assert agree(x, weight, rng.integers(-9, 9, outputs), 1, 1).shape == (outputs, 4, 3)


# --- all values of small widths


def test_convolution_agrees_on_all_pairs_of_four_bit_values_in_one_tap() -> None:
    every = np.arange(-8, 8, dtype=np.int16)
    found = agree(every.reshape(1, 4, 4), every.reshape(16, 1, 1, 1), [0] * 16, 1, 0)
    assert found.tolist() == [(w * every.astype(int)).reshape(4, 4).tolist() for w in range(-8, 8)]


def test_convolution_agrees_on_all_pairs_of_four_bit_values_in_each_of_four_taps(rng: np.random.Generator) -> None:
    x = rng.permutation(np.arange(256) % 16 - 8).astype(np.int16).reshape(1, 16, 16)
    steps = np.array([[1, 3], [5, 7]])
    weight = ((np.arange(16)[:, None, None] * steps) % 16 - 8).astype(np.int16)[:, None]
    agree(x, weight, rng.integers(-9, 9, 16), 1, 0)
    for ky in range(2):
        for kx in range(2):
            window = x[0, ky : ky + 15, kx : kx + 15]
            assert len(np.unique(window)) == len(np.unique(weight[:, 0, ky, kx])) == 16


# --- accumulators at their ends


@pytest.mark.parametrize("sign", [1, -1])
def test_convolution_takes_64_bits_from_the_first_sum_that_32_may_not_hold(sign: int) -> None:
    x, weight = np.full((1, 1, 1), 32767, np.int16), np.full((1, 1, 1, 1), sign * 32767, np.int16)
    bias = 2**31 - 1 - 32767**2
    last = agree(x, weight, [sign * bias], 1, 0)
    assert (last.dtype, last.item()) == (np.int32, sign * (2**31 - 1))
    first = agree(x, weight, [sign * (bias + 1)], 1, 0)
    assert (first.dtype, first.item()) == (np.int64, sign * 2**31)


@pytest.mark.parametrize(("value", "weight"), [(-(2**15), 1), (2**15, 1), (2**16 - 1, 1), (1, -(2**15))])
def test_convolution_takes_64_bits_for_operands_that_16_bits_cannot_negate(value: int, weight: int) -> None:
    found = agree(np.full((1, 1, 1), value, np.int32), np.full((1, 1, 1, 1), weight, np.int16), [5], 1, 0)
    assert (found.dtype, found.item()) == (np.int64, value * weight + 5)


@pytest.mark.parametrize("sign", [1, -1])
def test_convolution_accepts_48_bits_and_nothing_beyond(sign: int) -> None:
    """729 full-scale products and a bias that fills the accumulator."""
    x = np.full((9, 9, 9), 2**16 - 1, np.int32)
    weight = np.full((1, 9, 9, 9), sign * (2**15 - 1), np.int16)
    bias = LIMIT - 1 - 729 * (2**16 - 1) * (2**15 - 1)
    assert agree(x, weight, [sign * bias], 1, 0, scalar=False).tolist() == [[[sign * (LIMIT - 1)]]]
    with pytest.raises(RangeError, match=rf"^RC-RANGE: accumulator may reach {LIMIT}, beyond 48 bits$") as caught:
        convolution(x, weight, np.array([sign * (bias + 1)]), 1, 0)
    assert caught.value.code == "RC-RANGE"


def test_convolution_bounds_each_channel_by_itself() -> None:
    """One channel has the weights, the other the bias; together they would exceed 48 bits."""
    x, weight = np.full((1, 1, 1), 2**16 - 1, np.int32), np.array([32767, 0], np.int16).reshape(2, 1, 1, 1)
    assert agree(x, weight, [0, LIMIT - 1], 1, 0).ravel().tolist() == [32767 * (2**16 - 1), LIMIT - 1]


def test_convolution_refuses_a_bias_whose_magnitude_64_bits_cannot_hold() -> None:
    one = np.ones((1, 1, 1), np.int16)
    for bias in (np.iinfo(np.int64).min, np.iinfo(np.int64).max):
        with pytest.raises(RangeError, match=r"^RC-RANGE: "):
            convolution(one, one[None], np.array([bias]), 1, 0)


def test_convolution_in_32_bits_survives_partial_sums_at_both_ends() -> None:
    """Terms that run to one end and back to the other: no order of summation may wrap."""
    x = np.array([32767, 32767, -32767, -32767], np.int16).reshape(4, 1, 1)
    weight = np.array([[16383] * 4, [-16383] * 4, [16383, -16383] * 2], np.int16).reshape(3, 4, 1, 1)
    found = agree(x, weight, [1000, -1000, 0], 1, 0)
    assert found.dtype == np.int32
    assert found.ravel().tolist() == [1000, -1000, 0]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(-128, 127), st.integers(-128, 127)), min_size=1, max_size=12), st.randoms())
def test_convolution_does_not_depend_on_the_order_of_the_channels(pairs: list[tuple[int, int]], shuffled: Any) -> None:
    """SPEC ACC-2."""
    wanted = sum(a * w for a, w in pairs)
    shuffled.shuffle(pairs)
    x = np.array([a for a, _ in pairs], np.int16).reshape(-1, 1, 1)
    weight = np.array([w for _, w in pairs], np.int16).reshape(1, -1, 1, 1)
    assert convolution(x, weight, np.zeros(1, np.int64), 1, 0).item() == wanted


# --- arrays


def test_convolution_reads_any_layout_and_changes_nothing(rng: np.random.Generator) -> None:
    base, kernels = draw(rng, -8, 7, (3, 8, 6)), draw(rng, -8, 7, (3, 5, 3, 3))
    biases = np.arange(10)[::2]
    for x in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1], base.astype(np.int64)):
        for weight in (kernels.transpose(1, 0, 3, 2), kernels[:, :3][:, ::-1].copy(order="F"), kernels[:, 1:4, ::-1]):
            bias = biases[: weight.shape[0]]
            kept = x.copy(), weight.copy(), bias.copy()
            x.setflags(write=False)
            agree(x, weight, bias, 1, 1)
            for array, before in zip((x, weight, bias), kept, strict=True):
                np.testing.assert_array_equal(array, before)


# --- refusals

X, W, B = (2, 4, 4), (3, 2, 3, 3), (3,)


def refused(error: type, message: str, x: Any, weight: Any, bias: Any, stride: int = 1, padding: int = 1) -> None:
    for function in (convolution, convolution_plain):
        with pytest.raises(error, match=message):
            function(x, weight, bias, stride, padding)


@pytest.mark.parametrize(
    ("x", "weight", "bias", "message"),
    [
        ((4, 4), W, B, r"expected x \(C, H, W\) and weight \(O, C, K, K\), got \(4, 4\)"),
        ((1, 2, 4, 4), W, B, r"expected x \(C, H, W\)"),
        (X, (3, 2, 3), B, r"expected x \(C, H, W\)"),
        (X, (3, 2, 3, 5), B, r"expected x \(C, H, W\)"),
        (X, (3, 1, 3, 3), B, r"disagree about channels"),
        (X, W, (2,), r"disagree about channels"),
        (X, W, (3, 1), r"disagree about channels"),
        ((2, 0, 4), W, B, r"empty operand"),
        ((0, 4, 4), (3, 0, 3, 3), B, r"empty operand"),
        (X, (0, 2, 3, 3), (0,), r"empty operand"),
        (X, (3, 2, 0, 0), B, r"empty operand"),
        ((2, 4, 0), W, B, r"empty operand"),
        ((2, 1, 9), (3, 2, 5, 5), B, r"input \(2, 1, 9\) is smaller than the kernel 5 with padding 1"),
        ((2, 9, 2), (3, 2, 5, 5), B, r"is smaller than the kernel 5 with padding 1"),
    ],
)
def test_convolution_refuses_shapes(x: Any, weight: Any, bias: Any, message: str) -> None:
    operands = np.zeros(x, np.int16), np.zeros(weight, np.int16), np.zeros(bias, np.int64)
    refused(ShapeError, rf"^RC-SHAPE: .*{message}", *operands)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "message"),
    [
        (10, 1, 1, r"kernel must be 1\.\.9 and stride 1\.\.4, got 10, 1"),
        (3, 0, 1, r"stride 1\.\.4, got 3, 0"),
        (3, 5, 1, r"stride 1\.\.4, got 3, 5"),
        (3, -1, 1, r"stride 1\.\.4, got 3, -1"),
        (3, 1, -1, r"padding must be 0\.\.2, got -1"),
        (3, 1, 3, r"padding must be 0\.\.2, got 3"),
        (1, 1, 1, r"padding must be 0\.\.0, got 1"),
    ],
)
def test_convolution_refuses_geometries(kernel: int, stride: int, padding: int, message: str) -> None:
    operands = np.zeros((2, 12, 12), np.int16), np.zeros((3, 2, kernel, kernel), np.int16), np.zeros(3, np.int64)
    refused(RangeError, rf"^RC-RANGE: .*{message}", *operands, stride, padding)


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.bool_, object])
def test_convolution_refuses_dtypes(position: int, dtype: type) -> None:
    operands = [np.zeros(X, np.int16), np.zeros(W, np.int16), np.zeros(B, np.int64)]
    operands[position] = operands[position].astype(dtype)
    name = ("x", "weight", "bias")[position]
    refused(RangeError, rf"^RC-RANGE: {name}: expected signed integers, got ", *operands)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", 2**16),
        ("x", -(2**16) - 1),
        ("weight", 2**16),
        ("weight", -(2**16) - 1),
        ("x", 2**40),
        ("weight", -(2**63)),
    ],
)
def test_convolution_refuses_operands_wider_than_16_bits(name: str, value: int) -> None:
    x, weight = np.zeros(X, np.int64), np.zeros(W, np.int64)
    {"x": x, "weight": weight}[name].flat[-1] = value
    refused(RangeError, rf"^RC-RANGE: {name}: values .* are wider than 16 bits", x, weight, np.zeros(B, np.int64))


@pytest.mark.parametrize("value", [2**15, -(2**15) - 1, 2**16 - 1])
def test_convolution_refuses_weights_that_16_signed_bits_do_not_hold(value: int) -> None:
    weight = np.zeros(W, np.int32)
    weight.flat[-1] = value
    refused(RangeError, r"^RC-RANGE: weight: ", np.zeros(X, np.int16), weight, np.zeros(B, np.int64))
