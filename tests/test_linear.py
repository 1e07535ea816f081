"""Linear layers: kernel, definition, specification and scattering agree; the operation (SPEC LIN-1, LIN-2)."""

from __future__ import annotations

from itertools import product
from typing import Any

import naive_arrangement
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.linear import linear, linear_plain
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations.linear import Linear
from refcodec.program.operations.operation import Tensor
from refcodec.program.program import Program

S2, U2, S8, U8, S16, U16, S32, S48 = (
    IntFormat(b, s)
    for b, s in ((2, True), (2, False), (8, True), (8, False), (16, True), (16, False), (32, True), (48, True))
)
LIMIT = 2**47


def agree(x: np.ndarray, weight: np.ndarray, bias: Any) -> np.ndarray:
    """The common result of kernel, definition, specification and scattering."""
    biases = np.array(bias, np.int64)
    found = linear(x, weight, biases)
    assert found.dtype in (np.int32, np.int64)
    np.testing.assert_array_equal(found, linear_plain(x, weight, biases))
    for y, i in product(range(x.shape[1]), range(x.shape[2])):
        operands = x[:, y, i].tolist(), weight.tolist(), biases.tolist()
        wanted = naive_arrangement.linear(*operands)
        assert fixed.linear(*operands) == wanted
        assert found[:, y, i].tolist() == wanted
    return found


def multiplied(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """All samples at once, by NumPy's own products in 64 bits."""
    return np.einsum("chw,oc->ohw", x.astype(np.int64), weight.astype(np.int64)) + bias[:, None, None]


def test_linear_agrees_on_all_vectors_and_rows_of_two_three_bit_values() -> None:
    every = np.array(list(product(range(-4, 4), repeat=2)), np.int16)
    found = agree(every.T.reshape(2, 8, 8), every, [0] * 64)
    assert found.reshape(64, 64).tolist() == [
        [sum(a * w for a, w in zip(x, row, strict=True)) for x in every.tolist()] for row in every.tolist()
    ]


def test_linear_agrees_on_all_pairs_of_four_bit_values_and_three_bit_biases() -> None:
    every = np.arange(-8, 8, dtype=np.int16)
    weight, bias = (v.ravel() for v in np.meshgrid(every, np.arange(-4, 4)))
    found = agree(every.reshape(1, 2, 8), weight[:, None], bias)
    assert found.min() == -8 * 7 - 4
    assert found.max() == 8 * 8 + 3


def test_linear_reads_one_weight_for_one_input() -> None:
    """Catches inputs and outputs exchanged: all weights differ."""
    weight = np.arange(15, dtype=np.int16).reshape(5, 3) - 7
    for c in range(3):
        x = np.zeros((3, 1, 2), np.int16)
        x[c, 0, 1] = 10
        found = agree(x, weight, [1, 2, 3, 4, 5])
        assert found[:, 0, 0].tolist() == [1, 2, 3, 4, 5]
        assert found[:, 0, 1].tolist() == (10 * weight[:, c] + [1, 2, 3, 4, 5]).tolist()


@pytest.mark.parametrize("outputs", range(1, 10))
def test_linear_agrees_for_any_number_of_channels(outputs: int, rng: np.random.Generator) -> None:
    """Catches a vector of inputs that is cut where it fills no register."""
    for inputs in (1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 65):
        x, weight = rng.integers(-128, 128, (inputs, 2, 3)), rng.integers(-128, 128, (outputs, inputs))
        agree(x, weight, rng.integers(-(2**20), 2**20, outputs))


@pytest.mark.parametrize("value", [-(2**15), 2**15 - 1, 2**15, 2**16 - 1])
@pytest.mark.parametrize("weight", [-(2**15), 2**15 - 1])
def test_linear_agrees_at_the_ends_of_the_operands(value: int, weight: int) -> None:
    """Catches a product of 16 or 32 bits, and a magnitude that 16 bits cannot negate."""
    x = np.full((6, 1, 1), value, np.int32)
    assert agree(x, np.full((2, 6), weight, np.int16), [-9, 9]).ravel().tolist() == [
        6 * value * weight - 9,
        6 * value * weight + 9,
    ]


@pytest.mark.parametrize("heaviest", [2**15 - 1, 1 - 2**15, -(2**15)])
def test_linear_accepts_48_bits_and_nothing_beyond(heaviest: int) -> None:
    x, weight = np.full((1000, 1, 1), 2**16 - 1, np.int32), np.full((1, 1000), heaviest, np.int16)
    sign = 1 if heaviest > 0 else -1
    bias = LIMIT - 1 - 1000 * (2**16 - 1) * abs(heaviest)
    assert agree(x, weight, [sign * bias]).item() == sign * (LIMIT - 1)
    for function in (linear, linear_plain):
        with pytest.raises(RangeError, match=rf"^RC-RANGE: accumulator may reach {LIMIT}, beyond 48 bits$"):
            function(x, weight, np.array([sign * (bias + 1)]))


def test_linear_bounds_each_output_by_itself() -> None:
    """One output has the weights, the other the bias; together they would exceed 48 bits."""
    x, weight = np.full((1, 1, 1), 2**16 - 1, np.int32), np.array([[32767], [0]], np.int16)
    assert agree(x, weight, [0, LIMIT - 1]).ravel().tolist() == [32767 * (2**16 - 1), LIMIT - 1]


def test_linear_survives_partial_sums_at_both_ends() -> None:
    x = np.array([32767] * 4 + [-32767] * 4, np.int16).reshape(8, 1, 1)
    weight = np.array([[32767] * 8, [-32767] * 8], np.int16)
    assert agree(x, weight, [1000, -1000]).ravel().tolist() == [1000, -1000]


@pytest.mark.parametrize("bits", [8, 16])
def test_linear_agrees_on_a_million_values(bits: int, rng: np.random.Generator) -> None:
    lo, hi = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    x, weight = rng.integers(lo, hi + 1, (29, 32, 32)), rng.integers(lo, hi + 1, (1000, 29))
    bias = rng.integers(-(2**40), 2**40, 1000)
    x[:, 0, 0], x[:, 0, 1], weight[0], weight[1] = lo, hi, lo, hi
    found = linear(x.astype(np.int16), weight.astype(np.int16), bias)
    assert found.size >= 10**6
    np.testing.assert_array_equal(found, multiplied(x, weight, bias))
    ends = (found - bias[:, None, None])[:2, 0, :2]
    assert ends.tolist() == [[29 * lo * lo, 29 * lo * hi], [29 * lo * hi, 29 * hi * hi]]


@pytest.mark.parametrize("samples", [15, 16, 17, 1023, 1024, 1025, 2049])
@pytest.mark.parametrize("bits", [8, 16])
def test_linear_agrees_for_any_number_of_samples(samples: int, bits: int, rng: np.random.Generator) -> None:
    """Catches a run of samples that is cut too early or added twice, in sums of 32 and of 64 bits."""
    fmt = IntFormat(bits, True)
    for inputs, outputs in ((1, 1), (5, 3), (8, 2)):
        x, weight = (rng.integers(fmt.lo, fmt.hi + 1, shape) for shape in ((inputs, 1, samples), (outputs, inputs)))
        bias = rng.integers(-(2**20), 2**20, outputs)
        found = linear(x.astype(np.int16), weight.astype(np.int16), bias)
        np.testing.assert_array_equal(found, multiplied(x, weight, bias))
        if samples >= 16 and inputs > 1:
            assert found.dtype == (np.int32 if bits == 8 else np.int64)


def test_linear_takes_sums_of_64_bits_just_where_32_may_not_hold_them() -> None:
    """The largest sum of either sign that 32 bits hold, and the first that they do not."""
    x = np.full((2, 4, 4), 32767, np.int16)
    for sign in (1, -1):
        weight = np.full((1, 2), sign * 16384, np.int16)
        rest = 2**31 - 1 - 2 * 32767 * 16384
        for more, dtype in ((0, np.int32), (1, np.int64)):
            found = linear(x, weight, np.array([sign * (rest + more)]))
            assert found.dtype == dtype
            assert (found == sign * (2**31 - 1 + more)).all()


@pytest.mark.parametrize(("outputs", "inputs"), [(16128, 512), (512, 16128)])
def test_linear_multiplies_a_vector_by_a_large_matrix(outputs: int, inputs: int, rng: np.random.Generator) -> None:
    x, weight = rng.integers(-32768, 32768, (inputs, 1, 1)), rng.integers(-32768, 32768, (outputs, inputs), np.int16)
    bias = rng.integers(-(2**46), 2**46, outputs)
    np.testing.assert_array_equal(linear(x, weight, bias), multiplied(x, weight, bias))


def test_linear_reads_any_layout_and_changes_nothing(rng: np.random.Generator) -> None:
    base, matrix, biases = rng.integers(-8, 8, (3, 8, 6)), rng.integers(-8, 8, (3, 10)), np.arange(10)[::2]
    for x in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1], base.astype(np.int8)):
        for weight in (matrix.T[::2], matrix[:, :5].T.astype(np.int8), np.asfortranarray(matrix.T)[5:, ::-1]):
            kept = x.copy(), weight.copy(), biases.copy()
            agree(x, weight, biases)
            for array, before in zip((x, weight, biases), kept, strict=True):
                np.testing.assert_array_equal(array, before)


# --- refusals


def refused(error: type, message: str, *operands: np.ndarray) -> None:
    for function in (linear, linear_plain):
        with pytest.raises(error, match=message):
            function(*operands)


@pytest.mark.parametrize(
    ("x", "weight", "bias", "message"),
    [
        ((2, 4), (3, 2), 3, r"expected x \(C, H, W\) and weight \(O, C\), got \(2, 4\) and \(3, 2\)"),
        ((2, 1, 1), (3, 2, 1), 3, r"expected x \(C, H, W\) and weight \(O, C\)"),
        ((2, 1, 1), (3, 3), 3, r".*disagree about channels"),
        ((2, 1, 1), (3, 2), 2, r".*disagree about channels"),
        ((2, 0, 1), (3, 2), 3, r"empty operand"),
        ((2, 1, 1), (0, 2), 0, r"empty operand"),
        ((0, 1, 1), (3, 0), 3, r"empty operand"),
    ],
)
def test_linear_refuses_shapes(x: Any, weight: Any, bias: Any, message: str) -> None:
    operands = np.zeros(x, np.int16), np.zeros(weight, np.int16), np.zeros(bias, np.int64)
    refused(ShapeError, rf"^RC-SHAPE: {message}", *operands)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [
        (0, 2**16, r"x: values .* are wider than 16 bits"),
        (0, -(2**15) - 1, r"x: values .* are wider than 16 bits"),
        (1, 2**15, r"weight: values .* are wider than 16 bits"),
        (1, -(2**63), r"weight: values .* are wider than 16 bits"),
        (2, LIMIT, r"bias: values .* leave s48"),
        (2, -(2**63), r"bias: values .* leave s48"),
    ],
)
def test_linear_refuses_what_is_out_of_range(position: int, value: int, message: str) -> None:
    operands = [np.ones(shape, np.int64) for shape in ((2, 1, 1), (3, 2), (3,))]
    operands[position].flat[-1] = value
    refused(RangeError, rf"^RC-RANGE: {message}", *operands)


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8, np.bool_])
def test_linear_refuses_dtypes(position: int, dtype: type) -> None:
    operands = [np.ones(shape, np.int64) for shape in ((2, 1, 1), (3, 2), (3,))]
    operands[position] = operands[position].astype(dtype)
    refused(RangeError, r"^RC-RANGE: (x|weight|bias): expected signed integers, got ", *operands)


# --- the operation


def layer(weight: Any, bias: Any, fmt: IntFormat = S16) -> Linear:
    return Linear("y", "x", "y", fmt, np.array(weight), np.array(bias))


def program(op: Linear, source: IntFormat, target: IntFormat, channels: int = 0) -> Program:
    inputs = channels or op.weight.shape[-1]
    return Program("p", (Tensor("x", inputs, source), Tensor("y", len(op.weight), target)), (op,))


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("source", [S8, U8, S16, U16], ids=str)
def test_linear_operation_proves_its_bound_and_refuses_one_more(source: IntFormat, sign: int) -> None:
    """The input at its largest magnitude meets weights of one sign, and the bias fills the format."""
    towards = -sign if source.signed else sign
    weight = towards * np.arange(1, 13).reshape(2, 6) * np.array([[1], [9]])
    total = int(np.abs(weight[1]).sum()) * source.magnitude
    bias = (1 << total.bit_length()) - 1 - total
    held = IntFormat(total.bit_length() + 1, True)
    fits = program(layer(weight, [0, sign * bias]), source, held)
    x = np.full((6, 1, 1), source.lo if source.signed else source.hi)
    assert fits.run(x)[1, 0, 0] == fits.run_plain(x)[1, 0, 0] == sign * (total + bias) == sign * held.hi
    assert fits.operations[0].bound(source) == total + bias
    with pytest.raises(ModelError, match=rf"y: the accumulator may reach {total + bias + 1}, {held}") as caught:
        program(layer(weight, [0, sign * (bias + 1)]), source, held)
    assert caught.value.code == "RC-MODEL-OVERFLOW"


def test_linear_operation_bounds_a_weight_whose_magnitude_16_bits_cannot_hold() -> None:
    assert layer([[-(2**15), 1]], [3]).bound(U8) == 255 * (2**15 + 1) + 3


@pytest.mark.parametrize(
    ("op", "source", "target", "code", "message"),
    [
        (layer([1, 2], [0]), S8, S32, "RC-MODEL-TENSOR", r"y: weight \(2,\) does not lead from 2 to 1"),
        (layer([[1, 2, 3]], [0]), S8, S32, "RC-MODEL-TENSOR", r"y: weight \(1, 3\) does not lead from 2 to 1"),
        (layer([[1, 2], [3, 4]], [0]), S8, S32, "RC-MODEL-TENSOR", r"y: weight \(2, 2\) does not lead from 2 to 1"),
        (layer([[1, 2]], [0, 0]), S8, S32, "RC-MODEL-TENSOR", r"y: bias \(2,\) for weight \(1, 2\)"),
        (layer([[128, 2]], [0], S8), S8, S32, "RC-MODEL-RANGE", r"y: y\.weight: values .* leave s8"),
        (layer([[1, 2]], [0], U8), S8, S32, "RC-MODEL-RANGE", r"y: signed weights .* got u8, s8"),
        (layer([[1, 2]], [0]), IntFormat(17, True), S32, "RC-MODEL-RANGE", r"y: .* got s16, s17"),
        (layer([[1, 2]], [0]), IntFormat(1, False), S32, "RC-MODEL-RANGE", r"y: .* got s16, u1"),
        (layer([[1, 2]], [2**31]), S8, S32, "RC-MODEL-RANGE", r"y: y\.bias: values .* leave s32"),
        (layer([[1, 2]], [0]), S8, IntFormat(32, False), "RC-MODEL-OVERFLOW", r"y: .* u32 holds"),
    ],
)
def test_linear_operation_refuses(op: Linear, source: IntFormat, target: IntFormat, code: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        Program("p", (Tensor("x", 2, source), Tensor("y", 1, target)), (op,))
    assert caught.value.code == code


def test_linear_operation_refuses_constants_that_their_storage_cannot_hold() -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-RANGE: y\.weight: int64 values do not fit int16$"):
        layer([[2**15]], [0])
    with pytest.raises(ModelError, match=r"^RC-MODEL-RANGE: y\.bias: float64 values do not fit int64$"):
        layer([[1]], [0.5])


@pytest.mark.parametrize("source", [S2, U2], ids=str)
def test_reach_of_a_linear_layer_is_attained(source: IntFormat, rng: np.random.Generator) -> None:
    op = layer(rng.integers(-9, 9, (4, 3)), rng.integers(-9, 9, 4))
    p = program(op, source, S32)
    every = np.array(list(product(range(source.lo, source.hi + 1), repeat=3))).T.reshape(3, 8, 8)
    found, reach = p.run(every), p.reaches()["y"]
    np.testing.assert_array_equal(reach.lo, found.min(axis=(1, 2)))
    np.testing.assert_array_equal(reach.hi, found.max(axis=(1, 2)))
    assert (reach.magnitude <= op.bound(source)).all()
    assert op.intermediates([p.reaches()["x"]]) == {}


@pytest.mark.parametrize("target", [S32, S48], ids=str)
def test_linear_operation_survives_a_model_file(target: IntFormat, rng: np.random.Generator) -> None:
    p = program(layer(rng.integers(-99, 99, (5, 3)), rng.integers(-99, 99, 5)), S8, target)
    read = model_from_bytes(model_to_bytes(Model("any", {}, {"p": p}, {}))).programs["p"]
    x = rng.integers(-128, 128, (3, 4, 6))
    found = read.run(x)
    assert found.dtype == read.run_plain(x).dtype == target.dtype
    np.testing.assert_array_equal(found, p.run_plain(x))
    assert p.sizes(4, 6) == read.sizes(4, 6) == {"x": (4, 6), "y": (4, 6)}
