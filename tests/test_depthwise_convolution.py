"""Depthwise convolution: kernel, definition, specification and scattering agree; the operation (SPEC DW-1, DW-2)."""

from __future__ import annotations

from itertools import product
from typing import Any

import naive_arrangement
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.depthwise_convolution import depthwise_convolution, depthwise_convolution_plain
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations.depthwise_convolution import DepthwiseConvolution
from refcodec.program.operations.operation import Tensor
from refcodec.program.program import Program
from refcodec.program.reach import Reach

S2, U2, S8, U8, S16, U16, S32, S48 = (
    IntFormat(b, s)
    for b, s in ((2, True), (2, False), (8, True), (8, False), (16, True), (16, False), (32, True), (48, True))
)
LIMIT = 2**47


def agree(x: np.ndarray, weight: np.ndarray, bias: Any, stride: int, padding: int) -> np.ndarray:
    """The common result of kernel, definition, specification and scattering."""
    biases = np.array(bias, np.int64)
    found = depthwise_convolution(x, weight, biases, stride, padding)
    np.testing.assert_array_equal(found, depthwise_convolution_plain(x, weight, biases, stride, padding))
    operands = x.tolist(), weight.tolist(), biases.tolist(), stride, padding
    assert found.tolist() == naive_arrangement.depthwise_convolution(*operands)
    assert found.tolist() == fixed.depthwise_convolution(*operands)
    return found


def windowed(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """All outputs at once, over NumPy's own windows in 64 bits."""
    wide = np.pad(x.astype(np.int64), ((0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(wide, weight.shape[1:], (1, 2))[:, ::stride, ::stride]
    return np.einsum("cyxij,cij->cyx", windows, weight.astype(np.int64)) + bias[:, None, None]


# --- every geometry


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kernel", range(1, 10))
def test_depthwise_convolution_agrees_for_every_stride_and_padding(
    kernel: int, bits: int, rng: np.random.Generator
) -> None:
    lo, hi = -(2 ** (bits - 1)), 2 ** (bits - 1)
    for stride, padding in product(range(1, 5), range(kernel)):
        smallest = max(kernel - 2 * padding, 1)
        for height, width in ((smallest, smallest + 3), (smallest + 4, smallest + stride)):
            x, weight = rng.integers(lo, hi, (2, height, width)), rng.integers(lo, hi, (2, kernel, kernel))
            found = agree(x, weight, rng.integers(2 * lo * hi, 2 * hi * hi, 2), stride, padding)
            assert found.dtype == np.int32 or bits == 16


def test_depthwise_convolution_of_one_sample_reads_one_tap() -> None:
    """Catches kernel rows and columns exchanged or reversed, and channels that are mixed."""
    weight = np.arange(50, dtype=np.int16).reshape(2, 5, 5)
    found = agree(np.array([[[7]], [[-3]]], np.int16), weight, [1, 2], 1, 4)
    for y, x in product(range(5), range(5)):
        assert found[:, y, x].tolist() == [1 + 7 * weight[0, 4 - y, 4 - x], 2 - 3 * weight[1, 4 - y, 4 - x]]


def test_depthwise_convolution_keeps_channels_apart() -> None:
    x = np.zeros((3, 3, 4), np.int16)
    x[1] = 100
    found = agree(x, np.ones((3, 3, 3), np.int16), [0, 0, 0], 1, 1)
    assert not found[[0, 2]].any()
    assert found[1].tolist() == [[400, 600, 600, 400], [600, 900, 900, 600], [400, 600, 600, 400]]


def test_depthwise_convolution_agrees_on_all_pairs_of_four_bit_values_in_each_of_four_taps(
    rng: np.random.Generator,
) -> None:
    x = np.broadcast_to(rng.permutation(np.arange(256) % 16 - 8).astype(np.int16).reshape(1, 16, 16), (16, 16, 16))
    weight = ((np.arange(16)[:, None, None] + np.array([[0, 3], [5, 7]])) % 16 - 8).astype(np.int16)
    agree(x, weight, rng.integers(-9, 9, 16), 1, 0)
    for ky, kx in product(range(2), range(2)):
        assert len(np.unique(x[0, ky : ky + 15, kx : kx + 15])) == len(np.unique(weight[:, ky, kx])) == 16


# --- accumulators at their ends


@pytest.mark.parametrize("sign", [1, -1])
def test_depthwise_convolution_takes_64_bits_from_the_first_sum_that_32_may_not_hold(sign: int) -> None:
    x, weight = np.full((1, 1, 1), 32767, np.int16), np.full((1, 1, 1), sign * 32767, np.int16)
    bias = 2**31 - 1 - 32767**2
    last = agree(x, weight, [sign * bias], 1, 0)
    assert (last.dtype, last.item()) == (np.int32, sign * (2**31 - 1))
    first = agree(x, weight, [sign * (bias + 1)], 1, 0)
    assert (first.dtype, first.item()) == (np.int64, sign * 2**31)


@pytest.mark.parametrize(("value", "weight"), [(-(2**15), 1), (2**15, 1), (2**16 - 1, 1), (1, -(2**15))])
def test_depthwise_convolution_takes_64_bits_for_operands_that_16_bits_cannot_negate(value: int, weight: int) -> None:
    found = agree(np.full((1, 1, 1), value, np.int32), np.full((1, 1, 1), weight, np.int16), [5], 1, 0)
    assert (found.dtype, found.item()) == (np.int64, value * weight + 5)


@pytest.mark.parametrize("sign", [1, -1])
def test_depthwise_convolution_accepts_48_bits_and_nothing_beyond(sign: int) -> None:
    x, weight = np.full((2, 9, 9), 2**16 - 1, np.int32), np.full((2, 9, 9), sign * (2**15 - 1), np.int16)
    bias = LIMIT - 1 - 81 * (2**16 - 1) * (2**15 - 1)
    assert agree(x, weight, [0, sign * bias], 1, 0)[1].tolist() == [[sign * (LIMIT - 1)]]
    with pytest.raises(RangeError, match=rf"^RC-RANGE: accumulator may reach {LIMIT}, beyond 48 bits$"):
        depthwise_convolution(x, weight, np.array([0, sign * (bias + 1)]), 1, 0)


def test_depthwise_convolution_in_32_bits_survives_partial_sums_at_both_ends() -> None:
    x = np.array([[[32767, 32767, -32767, -32767]] * 4] * 2, np.int16)
    weight = np.array([[[4095] * 4] * 4, [[-4095] * 4] * 4], np.int16)
    found = agree(x, weight, [1000, -1000], 1, 0)
    assert found.dtype == np.int32
    assert found.ravel().tolist() == [1000, -1000]


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.int32), (16, np.int64)])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 2)])
def test_depthwise_convolution_agrees_on_a_million_values(
    bits: int, dtype: type, kernel: int, stride: int, rng: np.random.Generator
) -> None:
    lo, hi, size = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, 128 * stride
    x, weight = rng.integers(lo, hi + 1, (64, size, size)), rng.integers(lo, hi + 1, (64, kernel, kernel))
    bias = rng.integers(-(2**20), 2**20, 64)
    x[0], x[1], weight[0], weight[1] = lo, lo, lo, hi
    found = depthwise_convolution(x.astype(np.int16), weight, bias, stride, kernel // 2)
    assert (found.size >= 10**6, found.dtype) == (True, dtype)
    np.testing.assert_array_equal(found, windowed(x, weight, bias, stride, kernel // 2))
    assert found[0].max() - bias[0] == kernel**2 * lo * lo
    assert found[1].min() - bias[1] == kernel**2 * lo * hi


def test_depthwise_convolution_reads_any_layout_and_changes_nothing(rng: np.random.Generator) -> None:
    base, kernels, biases = rng.integers(-8, 8, (3, 8, 6)), rng.integers(-8, 8, (3, 5, 5)), np.arange(6)[::2]
    for x in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1], base.astype(np.int8)):
        for weight in (kernels.transpose(0, 2, 1), kernels[:, 1:4, :3], kernels[::-1, ::-2, ::2].astype(np.int8)):
            kept = x.copy(), weight.copy(), biases.copy()
            agree(x, weight, biases, 1, 2)
            for array, before in zip((x, weight, biases), kept, strict=True):
                np.testing.assert_array_equal(array, before)


# --- refusals

X, W, B = (2, 12, 12), (2, 3, 3), (2,)


def refused(error: type, message: str, operands: Any, stride: int = 1, padding: int = 1) -> None:
    for function in (depthwise_convolution, depthwise_convolution_plain):
        with pytest.raises(error, match=message):
            function(*operands, stride, padding)


@pytest.mark.parametrize(
    ("x", "weight", "bias", "message"),
    [
        ((4, 4), W, B, r"expected x \(C, H, W\), weight \(C, K, K\) and bias \(C,\), got \(4, 4\), \(2, 3, 3\)"),
        (X, (2, 1, 3, 3), B, r"expected x \(C, H, W\)"),
        (X, W, (3,), r"expected x \(C, H, W\)"),
        (X, W, (2, 1), r"expected x \(C, H, W\)"),
        (X, (2, 3, 5), B, r"expected x \(C, H, W\) and weight"),
        (X, (3, 3, 3), B, r"disagree about channels"),
        ((2, 0, 4), W, B, r"empty operand"),
        ((0, 4, 4), (0, 3, 3), (0,), r""),
        (X, (2, 0, 0), B, r"empty operand"),
        ((2, 1, 9), (2, 5, 5), B, r"input \(2, 1, 9\) is smaller than the kernel 5 with padding 1"),
        ((2, 9, 2), (2, 5, 5), B, r"is smaller than the kernel 5 with padding 1"),
    ],
)
def test_depthwise_convolution_refuses_shapes(x: Any, weight: Any, bias: Any, message: str) -> None:
    operands = np.zeros(x, np.int16), np.zeros(weight, np.int16), np.zeros(bias, np.int64)
    refused(ShapeError, rf"^RC-SHAPE: .*{message}", operands)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "message"),
    [
        (10, 1, 1, r"kernel must be 1\.\.9 and stride 1\.\.4, got 10, 1"),
        (3, 0, 1, r"stride 1\.\.4, got 3, 0"),
        (3, 5, 1, r"stride 1\.\.4, got 3, 5"),
        (3, 1, -1, r"padding must be 0\.\.2, got -1"),
        (3, 1, 3, r"padding must be 0\.\.2, got 3"),
    ],
)
def test_depthwise_convolution_refuses_geometries(kernel: int, stride: int, padding: int, message: str) -> None:
    operands = np.zeros(X, np.int16), np.zeros((2, kernel, kernel), np.int16), np.zeros(B, np.int64)
    refused(RangeError, rf"^RC-RANGE: .*{message}", operands, stride, padding)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, 2**16, r"x: values .* are wider than 16 bits"),
        (1, 2**15, r"weight: values .* are wider than 16 bits"),
        (2, LIMIT, r"bias: values .* leave s48"),
        (2, -(2**63), r"bias: values .* leave s48"),
        (0, 0.5, r"x: expected signed integers, got float64"),
        (1, 0.5, r"weight: expected signed integers, got float64"),
        (2, 0.5, r"bias: expected signed integers, got float64"),
    ],
)
def test_depthwise_convolution_refuses_what_is_out_of_range(position: int, value: Any, message: str) -> None:
    operands = [np.ones(shape, np.int64 if isinstance(value, int) else np.float64) for shape in (X, W, B)]
    operands = [array if n == position else array.astype(np.int64) for n, array in enumerate(operands)]
    operands[position].flat[-1] = value
    refused(RangeError, rf"^RC-RANGE: {message}", operands)


# --- the operation


def layer(weight: Any, bias: Any, fmt: IntFormat = S16, stride: int = 1, padding: int = 0) -> DepthwiseConvolution:
    return DepthwiseConvolution("y", "x", "y", fmt, stride, padding, np.array(weight), np.array(bias))


def program(op: DepthwiseConvolution, source: IntFormat, target: IntFormat) -> Program:
    return Program("p", (Tensor("x", len(op.weight), source), Tensor("y", len(op.weight), target)), (op,))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("source", [S8, U8, S16, U16], ids=str)
def test_depthwise_operation_proves_its_bound_and_refuses_one_more(source: IntFormat, sign: int) -> None:
    towards = -sign if source.signed else sign
    weight = towards * np.arange(1, 19).reshape(2, 3, 3)
    total = int(np.abs(weight[1]).sum()) * source.magnitude
    bias = (1 << total.bit_length()) - 1 - total
    held = IntFormat(total.bit_length() + 1, True)
    fits = program(layer(weight, [0, sign * bias]), source, held)
    x = np.full((2, 3, 3), source.lo if source.signed else source.hi)
    assert fits.run(x)[1, 0, 0] == fits.run_plain(x)[1, 0, 0] == sign * (total + bias) == sign * held.hi
    with pytest.raises(ModelError, match=rf"y: the accumulator may reach {total + bias + 1}, {held}") as caught:
        program(layer(weight, [0, sign * (bias + 1)]), source, held)
    assert caught.value.code == "RC-MODEL-OVERFLOW"


ONES = np.ones((2, 3, 3), np.int64)


@pytest.mark.parametrize(
    ("op", "source", "target", "code", "message"),
    [
        (layer(ONES[0], [0, 0]), S8, S32, "RC-MODEL-TENSOR", r"y: weight \(3, 3\) does not lead from 2 to 2"),
        (layer(ONES[:1], [0]), S8, S32, "RC-MODEL-TENSOR", r"y: weight \(1, 3, 3\) does not lead from 2 to 2"),
        (layer(ONES[:, :2], [0, 0]), S8, S32, "RC-MODEL-TENSOR", r"y: weight \(2, 2, 3\) does not lead"),
        (layer(ONES[:, None], [0, 0]), S8, S32, "RC-MODEL-TENSOR", r"y: weight \(2, 1, 3, 3\) does not lead"),
        (layer(ONES, [0]), S8, S32, "RC-MODEL-TENSOR", r"y: bias \(1,\) for weight"),
        (layer(ONES, [0, 0], stride=5), S8, S32, "RC-MODEL-RANGE", r"y: kernel 3, stride 5, padding 0"),
        (layer(ONES, [0, 0], padding=3), S8, S32, "RC-MODEL-RANGE", r"y: kernel 3, stride 1, padding 3"),
        (layer(np.ones((2, 10, 10), int), [0, 0]), S8, S32, "RC-MODEL-RANGE", r"y: kernel 10"),
        (layer(128 * ONES, [0, 0], S8), S8, S32, "RC-MODEL-RANGE", r"y: y\.weight: values .* leave s8"),
        (layer(ONES, [0, 0], U8), S8, S32, "RC-MODEL-RANGE", r"y: signed weights .* got u8, s8"),
        (layer(ONES, [0, 0]), IntFormat(17, True), S32, "RC-MODEL-RANGE", r"y: .* got s16, s17"),
        (layer(ONES, [0, 2**31]), S8, S32, "RC-MODEL-RANGE", r"y: y\.bias: values .* leave s32"),
        (layer(ONES, [0, 0]), S8, IntFormat(32, False), "RC-MODEL-OVERFLOW", r"y: .* u32 holds"),
    ],
)
def test_depthwise_operation_refuses(
    op: DepthwiseConvolution, source: IntFormat, target: IntFormat, code: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        Program("p", (Tensor("x", 2, source), Tensor("y", 2, target)), (op,))
    assert caught.value.code == code


def test_depthwise_operation_refuses_other_channels() -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-TENSOR: y: weight \(2, 3, 3\) does not lead from 2 to 3 channels"):
        Program("p", (Tensor("x", 2, S8), Tensor("y", 3, S32)), (layer(ONES, [0, 0]),))


@pytest.mark.parametrize("source", [S2, U2], ids=str)
@pytest.mark.parametrize("padding", [0, 1])
def test_reach_of_a_depthwise_convolution_is_attained(
    source: IntFormat, padding: int, rng: np.random.Generator
) -> None:
    op = layer(rng.integers(-9, 9, (3, 2, 2)), [5, -7, 0], padding=padding)
    p = program(op, source, S32)
    every = [np.array([v] * 3).reshape(3, 2, 2) for v in product(range(source.lo, source.hi + 1), repeat=4)]
    found, reach = np.concatenate([p.run(x) for x in every], axis=1), p.reaches()["y"]
    np.testing.assert_array_equal(reach.lo, found.min(axis=(1, 2)))
    np.testing.assert_array_equal(reach.hi, found.max(axis=(1, 2)))
    assert op.intermediates([p.reaches()["x"]]) == {}


def test_reach_of_a_depthwise_convolution_knows_the_zeros_outside() -> None:
    """A source that is never zero: catches a padding that is forgotten, and one that is not there."""
    source, target = Reach(np.array([3]), np.array([5])), Tensor("y", 1, S32)
    inside = layer([[[1, -2], [0, 1]]], [10]).reach([source], target)
    assert (inside.lo.tolist(), inside.hi.tolist()) == ([10 + 6 - 10], [10 + 10 - 6])
    outside = layer([[[1, -2], [0, 1]]], [10], padding=1).reach([source], target)
    assert (outside.lo.tolist(), outside.hi.tolist()) == ([10 - 10], [10 + 10])


def test_depthwise_operation_survives_a_model_file(rng: np.random.Generator) -> None:
    p = program(layer(rng.integers(-99, 99, (5, 3, 3)), rng.integers(-99, 99, 5), stride=2, padding=1), S8, S48)
    read = model_from_bytes(model_to_bytes(Model("any", {}, {"p": p}, {}))).programs["p"]
    x = rng.integers(-128, 128, (5, 4, 7))
    found = read.run(x)
    assert found.dtype == read.run_plain(x).dtype == S48.dtype
    np.testing.assert_array_equal(found, p.run_plain(x))
    assert read.sizes(4, 7)["y"] == found.shape[1:] == (2, 4)
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: y: the input is too small, the output would be 0 x 1"):
        program(layer(ONES, [0, 0]), S8, S32).sizes(2, 3)
