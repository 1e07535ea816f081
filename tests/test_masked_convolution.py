"""Masked convolution: kernel, definition, specification and scattering agree; the operation (SPEC MASK-1 to MASK-3)."""

from __future__ import annotations

from itertools import product
from typing import Any

import naive_arrangement
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.masked_convolution import (
    check_dead_taps,
    live_taps,
    masked_convolution,
    masked_convolution_plain,
)
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations.masked_convolution import MaskedConvolution
from refcodec.program.operations.operation import Tensor
from refcodec.program.program import Program

S2, U2, S8, U8, S16, S32, S48 = (
    IntFormat(b, s) for b, s in ((2, True), (2, False), (8, True), (8, False), (16, True), (32, True), (48, True))
)
LIMIT = 2**47
MASKS = ("causal", "checkerboard")
both = pytest.mark.parametrize("mask", MASKS)


def live(mask: str, kernel: int) -> np.ndarray:
    """The live taps by their raster numbers."""
    found = np.zeros(kernel * kernel, bool)
    found[naive_arrangement.live_numbers(mask, kernel)] = True
    return found.reshape(kernel, kernel)


def drawn(rng: np.random.Generator, mask: str, kernel: int, outputs: int, inputs: int, bits: int = 8) -> np.ndarray:
    """Random weights at the live taps."""
    weight = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (outputs, inputs, kernel, kernel))
    return (weight * live(mask, kernel)).astype(np.int16)


def agree(x: np.ndarray, weight: np.ndarray, bias: Any, mask: str, padding: int) -> np.ndarray:
    """The common result of kernel, definition, specification and scattering through the live taps."""
    biases = np.array(bias, np.int64)
    found = masked_convolution(x, weight, biases, mask, padding)
    np.testing.assert_array_equal(found, masked_convolution_plain(x, weight, biases, mask, padding))
    operands = x.tolist(), weight.tolist(), biases.tolist()
    assert found.tolist() == naive_arrangement.masked_convolution(*operands, mask, padding)
    assert found.tolist() == fixed.convolution(*operands, 1, padding)
    return found


# --- which taps are live


def test_masks_of_five_have_twelve_live_taps() -> None:
    """Catches a causal mask that keeps its centre, and a board of the other colour."""
    rows = {
        "causal": ["#####", "#####", "##...", ".....", "....."],
        "checkerboard": [".#.#.", "#.#.#", ".#.#.", "#.#.#", ".#.#."],
    }
    for mask, drawing in rows.items():
        assert live_taps(mask, 5).tolist() == [[tap == "#" for tap in row] for row in drawing]
        assert live_taps(mask, 5).sum() == 12


@both
@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9])
def test_live_taps_agree_with_their_raster_numbers(mask: str, kernel: int) -> None:
    np.testing.assert_array_equal(live_taps(mask, kernel), live(mask, kernel))
    assert not live_taps(mask, kernel)[kernel // 2, kernel // 2]
    assert live_taps(mask, kernel).sum() == kernel**2 // 2
    for ky, kx in product(range(kernel), repeat=2):
        tap = fixed.causal_tap(kernel, ky, kx) if mask == "causal" else fixed.checkerboard_tap(ky, kx)
        assert tap == live(mask, kernel)[ky, kx]


def test_live_taps_refuse_other_masks_and_even_kernels() -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: mask must be causal or checkerboard, got 'Causal'$"):
        live_taps("Causal", 5)
    for kernel in (0, 2, 4, 8):
        with pytest.raises(RangeError, match=rf"^RC-RANGE: a masked kernel must be odd, got {kernel}$"):
            live_taps("causal", kernel)


# --- values


@both
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kernel", [1, 3, 5, 7, 9])
def test_masked_convolution_agrees_for_every_padding(
    mask: str, bits: int, kernel: int, rng: np.random.Generator
) -> None:
    for padding in range(kernel):
        smallest = max(kernel - 2 * padding, 1)
        for height, width in ((smallest, smallest + 3), (smallest + 4, smallest)):
            x = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (2, height, width))
            agree(x, drawn(rng, mask, kernel, 3, 2, bits), rng.integers(-(2**20), 2**20, 3), mask, padding)


@both
def test_masked_convolution_of_one_sample_reads_one_tap(mask: str) -> None:
    """A ramp of weights under one sample: catches taps exchanged, reversed, or cut off with the dead rows."""
    weight = np.where(live(mask, 5), np.arange(1, 26).reshape(5, 5), 0).astype(np.int16)[None, None]
    found = agree(np.array([[[10]]], np.int16), weight, [7], mask, 4)
    assert found.tolist() == (10 * weight[0, :, ::-1, ::-1] + 7).tolist()


@pytest.mark.parametrize("place", [(0, 0), (3, 4), (6, 8)])
def test_a_causal_convolution_reads_only_what_comes_before(place: tuple[int, int], rng: np.random.Generator) -> None:
    x, weight = rng.integers(-99, 99, (2, 7, 9)), drawn(rng, "causal", 5, 3, 2)
    y, i = place
    before = masked_convolution(x, weight, np.zeros(3, np.int64), "causal", 2)
    x[:, y, i:] += 1
    x[:, y + 1 :] += 1
    after = masked_convolution(x, weight, np.zeros(3, np.int64), "causal", 2)
    np.testing.assert_array_equal(after.reshape(3, -1)[:, : y * 9 + i + 1], before.reshape(3, -1)[:, : y * 9 + i + 1])
    if place != (6, 8):
        assert (after.reshape(3, -1)[:, y * 9 + i + 1] != before.reshape(3, -1)[:, y * 9 + i + 1]).all()


@pytest.mark.parametrize("colour", [0, 1])
def test_a_checkerboard_convolution_reads_only_the_other_colour(colour: int, rng: np.random.Generator) -> None:
    x, weight = rng.integers(-99, 99, (2, 7, 9)), drawn(rng, "checkerboard", 5, 3, 2)
    own = np.indices((7, 9)).sum(axis=0) % 2 == colour
    before = masked_convolution(x, weight, np.zeros(3, np.int64), "checkerboard", 2)
    x[:, own] = rng.integers(-99, 99, (2, int(own.sum())))
    after = masked_convolution(x, weight, np.zeros(3, np.int64), "checkerboard", 2)
    np.testing.assert_array_equal(after[:, own], before[:, own])
    assert (after[:, ~own] != before[:, ~own]).any(axis=1).all()


@both
def test_masked_convolution_agrees_on_all_pairs_of_four_bit_values_in_each_live_tap(
    mask: str, rng: np.random.Generator
) -> None:
    every = np.arange(-8, 8)
    steps = np.array([[1, 3, 5], [7, 9, 11], [13, 15, 17]]) * live(mask, 3)
    weight = ((every[:, None, None] * steps + 8) % 16 - 8) * live(mask, 3)
    x = np.stack([rng.permutation(np.arange(324) % 16 - 8).reshape(18, 18)])
    agree(x, weight[:, None], rng.integers(-9, 9, 16), mask, 1)
    for ky, kx in np.argwhere(live(mask, 3)).tolist():
        assert len(np.unique(weight[:, ky, kx])) == len(np.unique(x[0, ky : ky + 16, kx : kx + 16])) == 16


@both
@pytest.mark.parametrize("sign", [1, -1])
def test_masked_convolution_takes_64_bits_from_the_first_sum_that_32_may_not_hold(mask: str, sign: int) -> None:
    x, weight = np.full((1, 5, 5), 32767, np.int16), np.where(live(mask, 5), sign * 5461, 0)[None, None]
    bias = 2**31 - 1 - 12 * 5461 * 32767
    last = agree(x, weight, [sign * bias], mask, 0)
    assert (last.dtype, last.item()) == (np.int32, sign * (2**31 - 1))
    first = agree(x, weight, [sign * (bias + 1)], mask, 0)
    assert (first.dtype, first.item()) == (np.int64, sign * 2**31)


@both
def test_masked_convolution_accepts_48_bits_and_nothing_beyond(mask: str) -> None:
    x, weight = np.full((1, 9, 9), 2**16 - 1, np.int32), np.where(live(mask, 9), -(2**15), 0)[None, None]
    bias = 40 * (2**16 - 1) * 2**15 - LIMIT + 1
    assert agree(x, weight, [bias], mask, 0).item() == bias - 40 * (2**16 - 1) * 2**15
    with pytest.raises(RangeError, match=rf"^RC-RANGE: accumulator may reach {LIMIT}, beyond 48 bits$"):
        masked_convolution(x, weight, np.array([LIMIT - 40 * (2**16 - 1) * 2**15]), mask, 0)
    most = LIMIT - 1 - 40 * (2**16 - 1) * 2**15
    assert agree(x, weight, [-most], mask, 0).item() == 1 - LIMIT


@both
@pytest.mark.parametrize(("bits", "dtype"), [(8, np.int32), (16, np.int64)])
def test_masked_convolution_agrees_on_a_million_values(
    mask: str, bits: int, dtype: type, rng: np.random.Generator
) -> None:
    lo, hi = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    x, weight = rng.integers(lo, hi + 1, (3, 132, 132)), drawn(rng, mask, 5, 64, 3, bits)
    x[:, :8, :8], weight[0], weight[1] = lo, lo * live(mask, 5), hi * live(mask, 5)
    bias = rng.integers(-(2**20), 2**20, 64)
    found = masked_convolution(x.astype(np.int16), weight, bias, mask, 0)
    wanted = np.zeros((64, 128, 128), np.int64) + bias[:, None, None]
    for number in naive_arrangement.live_numbers(mask, 5):
        ky, kx = divmod(number, 5)
        wanted += np.einsum("oc,cyx->oyx", weight[:, :, ky, kx].astype(np.int64), x[:, ky : ky + 128, kx : kx + 128])
    assert (found.size >= 10**6, found.dtype) == (True, dtype)
    np.testing.assert_array_equal(found, wanted)
    assert found[0].max() - bias[0] == 36 * lo * lo
    assert found[1].min() - bias[1] == 36 * lo * hi


@both
def test_masked_convolution_reads_any_layout_and_changes_nothing(mask: str, rng: np.random.Generator) -> None:
    base, kernels, biases = rng.integers(-8, 8, (3, 8, 6)), drawn(rng, mask, 3, 5, 3), np.arange(10)[::2]
    for x in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1], base.astype(np.int8)):
        for weight in (np.asfortranarray(kernels), kernels[:, ::-1], kernels.astype(np.int64)[::-1]):
            kept = x.copy(), weight.copy(), biases.copy()
            agree(x, weight, biases, mask, 1)
            for array, before in zip((x, weight, biases), kept, strict=True):
                np.testing.assert_array_equal(array, before)


# --- refusals


@both
def test_masked_convolution_refuses_a_weight_at_any_dead_tap(mask: str) -> None:
    x, bias = np.zeros((2, 5, 5), np.int16), np.zeros(3, np.int64)
    for ky, kx in np.argwhere(~live(mask, 5)).tolist():
        weight = np.zeros((3, 2, 5, 5), np.int16)
        weight[2, 1, ky, kx] = -1
        for function in (masked_convolution, masked_convolution_plain):
            with pytest.raises(
                RangeError, match=rf"^RC-RANGE: weight: 1 weights at dead taps of the {mask} mask are not zero$"
            ):
                function(x, weight, bias, mask, 2)
    check_dead_taps(np.where(live(mask, 5), 9, 0)[None, None], mask)


@pytest.mark.parametrize(
    ("x", "weight", "bias", "padding", "error", "message"),
    [
        ((4, 4), (3, 2, 3, 3), 3, 1, ShapeError, r"RC-SHAPE: expected x \(C, H, W\)"),
        ((2, 4, 4), (3, 2, 3, 5), 3, 1, ShapeError, r"RC-SHAPE: expected x \(C, H, W\)"),
        ((2, 4, 4), (3, 1, 3, 3), 3, 1, ShapeError, r"RC-SHAPE: .*disagree about channels"),
        ((2, 4, 4), (3, 2, 3, 3), 2, 1, ShapeError, r"RC-SHAPE: .*disagree about channels"),
        ((2, 1, 9), (3, 2, 5, 5), 3, 1, ShapeError, r"RC-SHAPE: input \(2, 1, 9\) is smaller"),
        ((2, 4, 4), (3, 2, 4, 4), 3, 1, RangeError, r"RC-RANGE: a masked kernel must be odd, got 4"),
        ((2, 4, 4), (3, 2, 11, 11), 3, 1, RangeError, r"RC-RANGE: kernel must be 1\.\.9"),
        ((2, 4, 4), (3, 2, 3, 3), 3, 3, RangeError, r"RC-RANGE: padding must be 0\.\.2, got 3"),
        ((2, 4, 4), (3, 2, 3, 3), 3, -1, RangeError, r"RC-RANGE: padding must be 0\.\.2, got -1"),
    ],
)
def test_masked_convolution_refuses_operands(
    x: Any, weight: Any, bias: Any, padding: int, error: type, message: str
) -> None:
    operands = np.zeros(x, np.int16), np.zeros(weight, np.int16), np.zeros(bias, np.int64)
    for function in (masked_convolution, masked_convolution_plain):
        with pytest.raises(error, match=rf"^{message}"):
            function(*operands, "causal", padding)


# --- the operation


def layer(weight: Any, bias: Any, mask: str = "causal", fmt: IntFormat = S16, padding: int = 0) -> MaskedConvolution:
    return MaskedConvolution("y", "x", "y", fmt, mask, padding, np.array(weight), np.array(bias))


def program(op: MaskedConvolution, source: IntFormat, target: IntFormat) -> Program:
    outputs, inputs = op.weight.shape[:2]
    return Program("p", (Tensor("x", inputs, source), Tensor("y", outputs, target)), (op,))


@both
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("source", [S8, U8], ids=str)
def test_masked_operation_proves_its_bound_and_refuses_one_more(mask: str, source: IntFormat, sign: int) -> None:
    towards = -sign if source.signed else sign
    weight = towards * np.arange(1, 51).reshape(1, 2, 5, 5) * live(mask, 5)
    total = int(np.abs(weight).sum()) * source.magnitude
    bias = (1 << total.bit_length()) - 1 - total
    held = IntFormat(total.bit_length() + 1, True)
    fits = program(layer(weight, [sign * bias], mask), source, held)
    x = np.full((2, 5, 5), source.lo if source.signed else source.hi)
    assert fits.run(x).item() == fits.run_plain(x).item() == sign * (total + bias) == sign * held.hi
    with pytest.raises(ModelError, match=rf"y: the accumulator may reach {total + bias + 1}, {held}") as caught:
        program(layer(weight, [sign * (bias + 1)], mask), source, held)
    assert caught.value.code == "RC-MODEL-OVERFLOW"


@both
def test_masked_operation_refuses_weights_at_dead_taps(mask: str) -> None:
    for ky, kx in product(range(3), repeat=2):
        weight = np.zeros((1, 1, 3, 3), np.int64)
        weight[0, 0, ky, kx] = 1
        if live(mask, 3)[ky, kx]:
            program(layer(weight, [0], mask), S8, S32)
            continue
        with pytest.raises(ModelError, match=rf"^RC-MODEL-RANGE: y: weight: 1 weights at dead taps of the {mask} mask"):
            program(layer(weight, [0], mask), S8, S32)


ZEROS = np.zeros((1, 2, 3, 3), np.int64)


@pytest.mark.parametrize(
    ("op", "source", "target", "code", "message"),
    [
        (layer(ZEROS[:, :1], [0]), S8, S32, "RC-MODEL-TENSOR", r"y: weight \(1, 1, 3, 3\) does not lead from 2 to 1"),
        (layer(ZEROS[0], [0]), S8, S32, "RC-MODEL-TENSOR", r"y: weight \(2, 3, 3\) does not lead"),
        (layer(ZEROS[..., :2], [0]), S8, S32, "RC-MODEL-TENSOR", r"y: weight \(1, 2, 3, 2\) does not lead"),
        (layer(ZEROS, [0, 0]), S8, S32, "RC-MODEL-TENSOR", r"y: bias \(2,\) for weight"),
        (layer(ZEROS[..., :2, :2], [0]), S8, S32, "RC-MODEL-RANGE", r"y: a masked kernel must be odd, got 2"),
        (layer(np.zeros((1, 2, 11, 11), int), [0]), S8, S32, "RC-MODEL-RANGE", r"y: kernel 11"),
        (layer(ZEROS, [0], padding=3), S8, S32, "RC-MODEL-RANGE", r"y: kernel 3, stride 1, padding 3"),
        (layer(ZEROS, [0], "diagonal"), S8, S32, "RC-MODEL-RANGE", r"y: mask must be .*, got 'diagonal'"),
        (layer(ZEROS, [0], fmt=U8), S8, S32, "RC-MODEL-RANGE", r"y: signed weights .* got u8, s8"),
        (layer(ZEROS, [0]), IntFormat(17, True), S32, "RC-MODEL-RANGE", r"y: .* got s16, s17"),
        (layer(ZEROS, [2**31]), S8, S32, "RC-MODEL-RANGE", r"y: y\.bias: values .* leave s32"),
        (layer(ZEROS, [0]), S8, IntFormat(32, False), "RC-MODEL-OVERFLOW", r"y: .* u32 holds"),
    ],
)
def test_masked_operation_refuses(
    op: MaskedConvolution, source: IntFormat, target: IntFormat, code: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        Program("p", (Tensor("x", 2, source), Tensor("y", 1, target)), (op,))
    assert caught.value.code == code


@both
@pytest.mark.parametrize("source", [S2, U2], ids=str)
@pytest.mark.parametrize("padding", [0, 1])
def test_reach_of_a_masked_convolution_is_attained(
    mask: str, source: IntFormat, padding: int, rng: np.random.Generator
) -> None:
    """All values of the four live taps around one sample."""
    weight = rng.integers(-9, 9, (3, 1, 3, 3)) * live(mask, 3)
    op = layer(weight, [5, -7, 0], mask, padding=padding)
    p = program(op, source, S32)
    x, found = np.zeros((1, 3, 3), np.int64), []
    for values in product(range(source.lo, source.hi + 1), repeat=4):
        x[0, live(mask, 3)] = values
        found.append(p.run(x))
    outputs, reach = np.concatenate(found, axis=1), p.reaches()["y"]
    np.testing.assert_array_equal(reach.lo, outputs.min(axis=(1, 2)))
    np.testing.assert_array_equal(reach.hi, outputs.max(axis=(1, 2)))
    assert op.intermediates([p.reaches()["x"]]) == {}


@both
def test_masked_operation_survives_a_model_file(mask: str, rng: np.random.Generator) -> None:
    p = program(layer(drawn(rng, mask, 5, 4, 3), rng.integers(-99, 99, 4), mask, padding=2), S8, S48)
    read = model_from_bytes(model_to_bytes(Model("any", {}, {"p": p}, {}))).programs["p"]
    x = rng.integers(-128, 128, (3, 4, 7))
    found = read.run(x)
    assert found.dtype == read.run_plain(x).dtype == S48.dtype
    np.testing.assert_array_equal(found, p.run_plain(x))
    assert read.sizes(4, 7)["y"] == found.shape[1:] == (4, 7)
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: y: the input is too small, the output would be 0 x 1"):
        program(layer(ZEROS, [0]), S8, S32).sizes(2, 3)
