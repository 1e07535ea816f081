"""Each operation as TOSA operators gives in Arm's reference model the integers of the golden executor (SPEC PROG-1).

Every comparison is exact. Where a recipe chooses its form by width, every form is driven to its ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import tosa_oracle

from refcodec.errors import ExportError
from refcodec.formats import IntFormat, multiplier_bits
from refcodec.interop.tosa.export import export_program
from refcodec.interop.tosa.graph import Graph
from refcodec.interop.tosa.requantise import rescaled
from refcodec.interop.tosa.scale_index import scale_index
from refcodec.interop.tosa.schema import file_bytes
from refcodec.interop.tosa.signal import Signal, Step
from refcodec.program.operations import (
    Add,
    Clip,
    Concatenate,
    Convolution,
    Crop,
    DepthwiseConvolution,
    Embedding,
    Gdn,
    InterpolatedTable,
    InverseGdn,
    LatentMean,
    LatentMeans,
    LayerNorm,
    LeakyRequantise,
    Linear,
    MaskedConvolution,
    Nearest,
    Pad,
    PixelShuffle,
    PositionalEncoding,
    Requantise,
    Resize,
    ScaleIndex,
    ScaleSpace,
    Table,
    Tensor,
    ThresholdHead,
    Tile,
    TransposedConvolution,
    Warp,
)
from refcodec.program.program import Program
from refcodec.program.reach import Reach

pytestmark = pytest.mark.oracle
MILLION = 10**6
WORD = 1 << 16


def stored(x: np.ndarray, dtype: str) -> np.ndarray:
    """(C, H, W) as the file takes it; bytes without a sign go in as INT8."""
    array = np.ascontiguousarray(x.transpose(1, 2, 0)[None]).astype(dtype)
    return array.view(np.int8) if dtype == "uint8" else array


def agree(program: Program, *inputs: np.ndarray, extensions: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """All tensors up to 32 bits, int64, on which the executor and the reference model agree; the file is validated."""
    given = {tensor.name: x for tensor, x in zip(program.inputs, inputs, strict=True)}
    exported = export_program(program, {name: x.shape[1:] for name, x in given.items()}, taps=True)
    assert exported.extensions == extensions
    assert tosa_oracle.complaints(exported.content, extensions) == ""
    arrays = {port.name: stored(given[port.name], port.dtype) for port in exported.inputs}
    status, found = tosa_oracle.evaluate(exported.content, arrays, [port.name for port in exported.outputs])
    assert status == "TOSA_VALID"
    wanted: dict[str, np.ndarray] = {}
    program.run_all(given, wanted.__setitem__)
    planes = {}
    for port in exported.outputs:
        assert found[port.name].shape == port.shape
        planes[port.name] = found[port.name].view(port.dtype)[0].transpose(2, 0, 1).astype(np.int64)
        np.testing.assert_array_equal(planes[port.name], wanted[port.name])
    return planes


def single(op: Any, source: IntFormat, channels: int, target: IntFormat, outputs: int | None = None) -> Program:
    """One operation, from x to y."""
    tensors = Tensor("x", channels, source), Tensor("y", outputs or channels, target)
    return Program("single", tensors, (op,))


def ends(rng: np.random.Generator, fmt: IntFormat, shape: tuple[int, ...]) -> np.ndarray:
    """Integers of a format, a quarter of them at its ends."""
    values = rng.integers(fmt.lo, fmt.hi, shape, endpoint=True)
    return np.where(rng.random(shape) < 0.25, rng.choice([fmt.lo, fmt.hi], shape), values)


# --- requantise


def scales(bits: int, channels: int, rng: np.random.Generator, shifts: range) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers of every magnitude up to `bits` bits, zero and the largest among them, and shifts."""
    multiplier = rng.integers(0, 2**bits, channels) >> rng.integers(0, bits, channels)
    multiplier[:4] = 0, 1, 2**bits - 1, 2 ** (bits - 1)
    shift = rng.integers(shifts.start, shifts.stop, channels)
    shift[:6] = shifts[-1], shifts[0], shifts[0], shifts[-1], shifts[0], shifts[0]
    multiplier[4:6] = 2**bits - 1, 2 ** (bits - 1) + 1
    return multiplier, shift


def accumulators(
    source: IntFormat, target: IntFormat, multiplier: np.ndarray, shift: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """(C, 32, 64) of `source`: ties on both sides of zero, values about to saturate, both ends, random magnitudes."""
    planes = []
    for m, s in zip(multiplier.tolist(), shift.tolist(), strict=True):
        twos = max((m & -m).bit_length() - 1, 0)
        step = 2 ** (s - 1 - twos) if s > twos else 1  # an odd multiple of this times m is a tie
        ties = [(2 * k + 1) * step for k in (*range(-60, 60), *rng.integers(-(2**16), 2**16, 200).tolist())]
        edges = (target.lo - 1, target.lo, target.hi - 1, target.hi)
        limits = [(2 * v + 1) * 2 ** (s - 1) // max(m, 1) for v in edges]
        caught = [sign * 2 ** min(s - 1, 47) for sign in (-1, 1)]  # where TOSA begins to be undefined
        near = [v + d for v in (*ties, *limits, *caught, source.lo, source.hi, 0) for d in (-1, 0, 1)]
        inside = [v for v in near if source.lo <= v <= source.hi]
        count = 2048 - len(inside)
        drawn = rng.integers(source.lo, source.hi, count, endpoint=True) >> rng.integers(0, source.bits, count)
        planes.append([*inside, *drawn.tolist()])
    return np.array(planes, np.int64).reshape(-1, 32, 64)


def assert_rich(
    x: np.ndarray, y: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, source: IntFormat, target: IntFormat
) -> None:
    """The stimulus reached ties of both signs that did not saturate, both limits and both ends of the source."""
    product = x * multiplier[:, None, None]  # below 2**62
    unit = (np.int64(1) << shift)[:, None, None]
    tie = (product & (unit - 1)) == unit >> 1
    open_range = (y > target.lo) & (y < target.hi)
    assert (tie & open_range & (x > 0)).sum() > 300
    if target.signed:
        assert (tie & open_range & (x < 0)).sum() > 300
    assert (y == target.lo).sum() > 1000
    assert (y == target.hi).sum() > 1000
    assert x.min() == source.lo
    assert x.max() == source.hi
    assert x.size >= MILLION


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (IntFormat(32, True), IntFormat(8, True)),
        (IntFormat(32, True), IntFormat(8, False)),
        (IntFormat(32, True), IntFormat(16, True)),
        (IntFormat(32, True), IntFormat(16, False)),
        (IntFormat(22, True), IntFormat(12, False)),
        (IntFormat(16, True), IntFormat(5, True)),
    ],
    ids=str,
)
def test_tosa_requantise_agrees_on_a_million_constructed_values(
    source: IntFormat, target: IntFormat, rng: np.random.Generator
) -> None:
    multiplier, shift = scales(31, 512, rng, range(1, 63))
    x = accumulators(source, target, multiplier, shift, rng)
    found = agree(single(Requantise("r", "x", "y", multiplier, shift), source, 512, target), x)
    assert_rich(x, found["y"], multiplier, shift, source, target)


def test_tosa_requantise_agrees_on_every_byte_at_every_scale(rng: np.random.Generator) -> None:
    """Catches a zero point that is forgotten, and the limit 2**(shift - 1) where it is lowest."""
    multiplier, shift = scales(31, 512, rng, range(1, 63))
    shift[6:128] = rng.integers(1, 9, 122)
    for source, target in ((IntFormat(8, False), IntFormat(8, True)), (IntFormat(8, True), IntFormat(8, False))):
        x = np.broadcast_to(np.arange(source.lo, source.hi + 1).reshape(1, 16, 16), (512, 16, 16))
        found = agree(single(Requantise("r", "x", "y", multiplier, shift), source, 512, target), x)
        assert {0, target.hi, target.lo if source.signed else 1} <= set(found["y"].ravel().tolist())


def test_tosa_requantise_shares_one_scale_among_equal_channels(rng: np.random.Generator) -> None:
    source, target = IntFormat(20, True), IntFormat(8, True)
    x = ends(rng, source, (3, 8, 8))
    op = Requantise("r", "x", "y", np.full(3, 5), np.full(3, 14))
    assert len(set(agree(single(op, source, 3, target), x)["y"].ravel().tolist())) > 60


# --- recipes on two words


def words_agree(
    accumulator: np.ndarray, recipe: Callable[[Graph, Signal], Signal], wanted: np.ndarray, zero_point: int = 0
) -> None:
    """A recipe that reads an accumulator (C, H, W) as high and low word gives `wanted`."""
    graph = Graph()
    graph.scope = "test"
    channels, height, width = accumulator.shape
    shape = (1, height, width, channels)
    high, low = accumulator >> 16, accumulator & (WORD - 1)
    ports = (
        graph.input("high", shape, "INT32", int(high.min()), int(high.max())),
        graph.input("low", shape, "INT32", 0, WORD - 1),
    )
    signal = recipe(graph, Signal(ports[0], 0, ports[1]))
    assert signal.zero_point == zero_point
    graph.output(signal.value, "y")
    content = file_bytes(graph.block())
    assert tosa_oracle.complaints(content, sorted(graph.extensions)) == ""
    assert not graph.extensions
    inputs = {"high": stored(high, "int32"), "low": stored(low, "int32")}
    status, found = tosa_oracle.evaluate(content, inputs, ["y"])
    assert status == "TOSA_VALID"
    np.testing.assert_array_equal(found["y"][0].transpose(2, 0, 1) - np.int64(zero_point), wanted)


@pytest.mark.parametrize("target", [IntFormat(16, False), IntFormat(16, True), IntFormat(8, False)], ids=str)
def test_tosa_requantise_of_two_words_agrees_on_a_million_values(target: IntFormat, rng: np.random.Generator) -> None:
    """Catches lost carries between words and every off-by-one among the shifts 17 .. 62."""
    source = IntFormat(48, True)
    multiplier, shift = scales(15, 512, rng, range(17, 63))
    x = accumulators(source, target, multiplier, shift, rng)
    shift[0] = 1  # the multiplier is zero
    half = (np.int64(1) << (shift - 1))[:, None, None]
    wanted = np.clip((x * multiplier[:, None, None] + half) >> shift[:, None, None], target.lo, target.hi)
    words_agree(
        x,
        lambda graph, signal: rescaled(graph, signal, multiplier, shift, target),
        wanted,
        -128 if target.bits == 8 else 0,
    )
    assert_rich(x, wanted, multiplier, shift, source, target)


def thresholds_and_accumulators(bits: int, channels: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Thresholds (C, 63), some equal, some out of reach, and accumulators at, below and above each."""
    source = IntFormat(bits, True)
    width = rng.integers(0, bits, (channels, 1))
    thresholds = np.sort(rng.integers(source.lo, source.hi, (channels, 63), endpoint=True) >> width, axis=1)
    thresholds[:, 20:23] = thresholds[:, 20:21]
    thresholds[0, :5], thresholds[0, -5:] = -(2**62), 2**62
    thresholds[1] = thresholds[1, 0]
    if bits > 32:
        thresholds[2:, 30:40] = np.sort((thresholds[2:, 30:31] >> 16 << 16) + rng.integers(0, WORD, (channels - 2, 10)))
        thresholds = np.sort(thresholds, axis=1)
    near = np.clip(thresholds[:, None] + np.array([-1, 0, 1])[:, None], source.lo + 1, source.hi)
    drawn = rng.integers(source.lo + 1, source.hi, (channels, 1835), endpoint=True) >> width
    edges = np.broadcast_to([source.lo + 1, source.hi, 0, -1] * 6, (channels, 24))
    return thresholds, np.concatenate([near.reshape(channels, -1), drawn, edges], axis=1).reshape(channels, 32, 64)


def test_tosa_scale_index_agrees_on_a_million_values(rng: np.random.Generator) -> None:
    thresholds, x = thresholds_and_accumulators(31, 512, rng)
    op = ScaleIndex("s", "x", "y", thresholds)
    found = agree(single(op, IntFormat(31, True), 512, IntFormat(6, False)), x)["y"]
    assert set(range(64)) - set(found.ravel().tolist()) == {21, 22}  # between equal thresholds there is nothing
    assert found.size >= MILLION


def test_tosa_scale_index_of_two_words_agrees_on_a_million_values(rng: np.random.Generator) -> None:
    """Catches a comparison of low words that ignores or mistakes the high ones."""
    thresholds, x = thresholds_and_accumulators(47, 512, rng)
    op = ScaleIndex("s", "x", "y", thresholds)
    target = Tensor("y", 512, IntFormat(6, False))
    wanted = np.stack([np.searchsorted(row, plane) for row, plane in zip(thresholds, x, strict=True)])
    words_agree(x, lambda graph, signal: scale_index(Step(graph, (signal,), (), target), op), wanted)
    assert set(range(64)) - set(wanted.ravel().tolist()) <= {21, 22}
    pairs = zip(thresholds >> 16, x >> 16, strict=True)
    assert sum(int(np.isin(plane, row).sum()) for row, plane in pairs) > 10_000, "the low words decide"


# --- clip, latent mean


@pytest.mark.parametrize(
    ("source", "target", "lo", "hi"),
    [
        (IntFormat(8, True), IntFormat(8, True), -100, 90),
        (IntFormat(8, False), IntFormat(8, False), 3, 250),
        (IntFormat(8, True), IntFormat(8, False), 0, 127),
        (IntFormat(16, True), IntFormat(8, True), -128, 127),
        (IntFormat(16, True), IntFormat(12, True), -2000, 2047),
        (IntFormat(16, False), IntFormat(16, False), 5, 65000),
        (IntFormat(32, True), IntFormat(8, False), 0, 255),
        (IntFormat(32, True), IntFormat(32, True), -(2**31), 2**31 - 2),
    ],
    ids=str,
)
def test_tosa_clip_agrees_from_every_storage_to_every_other(
    source: IntFormat, target: IntFormat, lo: int, hi: int, rng: np.random.Generator
) -> None:
    x = ends(rng, source, (16, 64, 64)) >> rng.integers(0, 12, (16, 64, 64))
    x[0, 0] = np.clip(np.resize([lo - 1, lo, lo + 1, hi - 1, hi, hi + 1], 64), source.lo, source.hi)
    x[0, 1, :2] = source.lo, source.hi
    found = agree(single(Clip("c", "x", "y", lo, hi), source, 16, target), x)["y"]
    assert (found.min(), found.max()) == (max(lo, source.lo), min(hi, source.hi))


@pytest.mark.parametrize("fraction", [0, 8, 15])
def test_tosa_latent_mean_agrees_on_every_symbol(fraction: int, rng: np.random.Generator) -> None:
    symbols = np.broadcast_to(np.arange(-(2**15), 2**15).reshape(256, 256), (16, 256, 256))
    mean = IntFormat(16 + fraction, True)
    means = np.concatenate([[mean.lo, mean.hi, 0], rng.integers(mean.lo, mean.hi, 13)])
    op = LatentMean("m", "x", "y", fraction, means)
    program = single(op, IntFormat(16, True), 16, IntFormat(17 + fraction, True))
    found = agree(program, symbols)["y"]
    assert found.size >= MILLION
    assert found.min() == 2 * mean.lo


# --- convolutions


def drawn_layer(
    rng: np.random.Generator, fmt: IntFormat, shape: tuple[int, int, int, int], spread: int
) -> tuple[np.ndarray, np.ndarray]:
    """Weights at the ends of their format as often as not, the first two outputs all at one end; biases."""
    weight = ends(rng, fmt, shape)
    weight[0], weight[1] = fmt.lo, fmt.hi
    bias = rng.integers(-spread, spread, shape[0], endpoint=True)
    bias[:2] = -spread, spread
    return weight, bias


def with_extremes(x: np.ndarray, weight: np.ndarray, fmt: IntFormat, stride: int) -> np.ndarray:
    """Put into x the windows that drive four outputs of a convolution without padding to both ends of their reach."""
    kernel = weight.shape[-1]
    x = x.copy()
    for number, o in enumerate((0, 1, 2, 3)):
        left = -(-kernel // stride) * stride * number
        largest, smallest = np.where(weight[o] > 0, fmt.hi, fmt.lo), np.where(weight[o] > 0, fmt.lo, fmt.hi)
        x[:, :kernel, left : left + kernel] = largest
        x[:, 2 * stride * kernel : (2 * stride + 1) * kernel, left : left + kernel] = smallest
    return x


CONVOLUTIONS = [  # activation, weight bits, kernel, stride, padding, size, extensions
    (IntFormat(8, True), 8, 3, 1, 1, (130, 130), ()),
    (IntFormat(8, False), 8, 5, 2, 2, (250, 251), ()),
    (IntFormat(8, False), 4, 1, 3, 0, (380, 382), ()),
    (IntFormat(4, False), 8, 5, 4, 1, (520, 519), ()),
    (IntFormat(16, True), 8, 3, 1, 1, (130, 130), ("EXT-INT16",)),
    (IntFormat(16, False), 8, 3, 1, 2, (130, 130), ()),
    (IntFormat(8, True), 16, 3, 2, 1, (250, 250), ()),
    (IntFormat(12, False), 12, 3, 1, 1, (130, 130), ()),
]


@pytest.mark.parametrize(("fmt", "bits", "kernel", "stride", "padding", "size", "extensions"), CONVOLUTIONS, ids=str)
def test_tosa_convolution_agrees_on_a_million_accumulators(
    fmt: IntFormat,
    bits: int,
    kernel: int,
    stride: int,
    padding: int,
    size: tuple[int, int],
    extensions: tuple[str, ...],
    rng: np.random.Generator,
) -> None:
    channels = 64
    weight, bias = drawn_layer(rng, IntFormat(bits, True), (channels, 2, kernel, kernel), 10**6)
    op = Convolution("c", "x", "y", IntFormat(bits, True), stride, padding, weight, bias)
    x = ends(rng, fmt, (2, *size))
    inner = np.s_[:, stride - padding % stride :, stride - padding % stride :] if padding % stride else np.s_[:, :, :]
    x[inner] = with_extremes(x[inner], weight, fmt, stride)
    target = IntFormat(op.bound(fmt).bit_length() + 1, True)
    found = agree(single(op, fmt, 2, target, channels), x, extensions=extensions)["y"]
    reach = op.reach([Reach.whole(fmt, 2)], Tensor("y", channels, target))
    assert found.size >= MILLION
    for o in range(4):
        assert (found[o].min(), found[o].max()) == (reach.lo[o], reach.hi[o])


@pytest.mark.parametrize("fmt", [IntFormat(16, True), IntFormat(16, False)], ids=str)
def test_tosa_convolution_beyond_32_bits_agrees_after_requantisation(fmt: IntFormat, rng: np.random.Generator) -> None:
    """Four byte convolutions, joined with carries: an error of one in the accumulator moves ties."""
    weight, bias = drawn_layer(rng, IntFormat(16, True), (64, 8, 3, 3), 2**36)
    op = Convolution("c", "x", "a", IntFormat(16, True), 1, 1, weight, bias)
    accumulator = IntFormat(op.bound(fmt).bit_length() + 1, True)
    assert accumulator.bits > 32
    multiplier, shift = scales(multiplier_bits(accumulator), 64, rng, range(24, 36))
    tensors = Tensor("x", 8, fmt), Tensor("a", 64, accumulator), Tensor("y", 64, IntFormat(16, True))
    program = Program("wide", tensors, (op, Requantise("r", "a", "y", multiplier, shift)))
    x = with_extremes(ends(rng, fmt, (8, 92, 92)), weight, fmt, 1)
    found = agree(program, x)["y"]
    assert found.size >= MILLION // 2
    assert {-(2**15), 2**15 - 1} <= set(found.ravel().tolist())
    assert len(np.unique(found)) > 20_000


TRANSPOSED = [  # activation, weight bits, kernel, stride, padding, output padding, size, extensions
    (IntFormat(8, True), 8, 5, 2, 2, 1, (65, 64), ()),
    (IntFormat(8, False), 8, 9, 4, 4, 3, (32, 33), ()),
    (IntFormat(8, False), 8, 3, 1, 1, 0, (130, 129), ()),
    (IntFormat(8, True), 8, 2, 3, 1, 2, (44, 44), ()),
    (IntFormat(8, False), 8, 5, 2, 4, 0, (66, 67), ()),
    (IntFormat(16, True), 8, 5, 2, 2, 1, (65, 64), ("EXT-INT16",)),
    (IntFormat(12, False), 12, 5, 2, 2, 1, (65, 64), ()),
]


@pytest.mark.parametrize(
    ("fmt", "bits", "kernel", "stride", "padding", "extra", "size", "extensions"), TRANSPOSED, ids=str
)
def test_tosa_transposed_convolution_agrees_on_a_million_accumulators(
    fmt: IntFormat,
    bits: int,
    kernel: int,
    stride: int,
    padding: int,
    extra: int,
    size: tuple[int, int],
    extensions: tuple[str, ...],
    rng: np.random.Generator,
) -> None:
    """Catches flipped kernels, rows exchanged with columns, and crops at the wrong end."""
    channels = 64
    weight, bias = drawn_layer(rng, IntFormat(bits, True), (channels, 2, kernel, kernel), 10**6)
    op = TransposedConvolution("t", "x", "y", IntFormat(bits, True), stride, padding, extra, weight, bias)
    x = ends(rng, fmt, (2, *size))
    middle = np.s_[:, size[0] // 2 - 5 : size[0] // 2 + 5]
    x[middle], x[:, :10] = fmt.lo, fmt.hi
    target = IntFormat(op.bound(fmt).bit_length() + 1, True)
    found = agree(single(op, fmt, 2, target, channels), x, extensions=extensions)["y"]
    reach = op.reach([Reach.whole(fmt, 2)], Tensor("y", channels, target))
    assert found.size >= MILLION
    assert {int(found[:2].min()), int(found[:2].max())} == {int(reach.lo[:2].min()), int(reach.hi[:2].max())}


def test_tosa_convolution_of_bytes_agrees_with_biases_of_46_bits(rng: np.random.Generator) -> None:
    """Catches a bias that is cut, and accumulators beyond 32 bits that a single plane of products belongs to."""
    fmt = IntFormat(8, True)
    weight, bias = drawn_layer(rng, fmt, (64, 4, 3, 3), 2**46)
    bias[2:40] >>= rng.integers(0, 40, 38)
    op = Convolution("c", "x", "a", fmt, 1, 1, weight, bias)
    shift = np.clip([int(v).bit_length() - 2 for v in np.abs(bias)], 17, 62)
    tensors = Tensor("x", 4, fmt), Tensor("a", 64, IntFormat(48, True)), Tensor("y", 64, IntFormat(16, True))
    last = Requantise("r", "a", "y", np.resize([2**15 - 1, 2**14, 9999], 64), shift)
    found = agree(Program("biased", tensors, (op, last)), ends(rng, fmt, (4, 64, 64)))["y"]
    assert len(np.unique(found)) > 1000


def test_tosa_transposed_convolution_beyond_32_bits_agrees_after_requantisation(rng: np.random.Generator) -> None:
    fmt = IntFormat(16, False)
    weight, bias = drawn_layer(rng, IntFormat(16, True), (32, 8, 5, 5), 2**36)
    op = TransposedConvolution("t", "x", "a", IntFormat(16, True), 2, 2, 1, weight, bias)
    accumulator = IntFormat(op.bound(fmt).bit_length() + 1, True)
    multiplier, shift = scales(15, 32, rng, range(24, 36))
    tensors = Tensor("x", 8, fmt), Tensor("a", 32, accumulator), Tensor("y", 32, IntFormat(16, False))
    program = Program("wide", tensors, (op, Requantise("r", "a", "y", multiplier, shift)))
    found = agree(program, ends(rng, fmt, (8, 52, 53)))["y"]
    assert found.size >= MILLION // 3
    assert {0, 2**16 - 1} <= set(found.ravel().tolist())


# --- leaky rectifier, tables, heads


@pytest.mark.parametrize("target", [IntFormat(8, True), IntFormat(12, True)], ids=str)
def test_tosa_leaky_requantise_agrees_on_a_million_constructed_values(
    target: IntFormat, rng: np.random.Generator
) -> None:
    """Catches the wrong one of both scalings near zero, where they round differently."""
    source = IntFormat(32, True)
    multiplier, shift = scales(31, 512, rng, range(1, 63))
    negative = np.minimum(multiplier >> rng.integers(0, 10, 512), rng.integers(0, 2**31, 512))
    x = accumulators(source, target, multiplier, shift, rng)
    x[:, 16:] = accumulators(source, target, negative, shift, rng)[:, :16]
    found = agree(single(LeakyRequantise("l", "x", "y", multiplier, negative, shift), source, 512, target), x)["y"]
    assert {target.lo, target.hi} <= set(found.ravel().tolist())
    product = x * negative[:, None, None]
    tie = (product & ((np.int64(1) << shift) - 1)[:, None, None]) == (np.int64(1) << (shift - 1))[:, None, None]
    assert (tie & (x < 0) & (found > target.lo)).sum() > 1000


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (IntFormat(8, True), IntFormat(8, True)),
        (IntFormat(8, False), IntFormat(8, False)),
        (IntFormat(8, False), IntFormat(8, True)),
        (IntFormat(5, True), IntFormat(8, False)),
        (IntFormat(8, True), IntFormat(16, False)),
        (IntFormat(10, False), IntFormat(8, False)),
        (IntFormat(10, True), IntFormat(32, True)),
    ],
    ids=str,
)
def test_tosa_table_agrees_on_every_value(source: IntFormat, target: IntFormat, rng: np.random.Generator) -> None:
    entries = ends(rng, target, (1 << source.bits,))
    entries[0], entries[-1] = target.lo, target.hi
    every = np.arange(source.lo, source.hi + 1)
    x = np.stack([rng.permutation(np.resize(every, 65536)) for _ in range(16)]).reshape(16, 256, 256)
    found = agree(single(Table("t", "x", "y", entries), source, 16, target), x)["y"]
    assert found.size >= MILLION
    assert set(found.ravel().tolist()) == set(entries.tolist())


@pytest.mark.parametrize(
    ("source", "target", "spacing"),
    [
        (IntFormat(16, True), IntFormat(16, True), 7),
        (IntFormat(16, False), IntFormat(16, False), 15),
        (IntFormat(12, True), IntFormat(8, False), 1),
        (IntFormat(16, True), IntFormat(30, True), 12),
    ],
    ids=str,
)
def test_tosa_interpolated_table_agrees_on_every_value(
    source: IntFormat, target: IntFormat, spacing: int, rng: np.random.Generator
) -> None:
    """The steepest rises, from one end of the target to the other, need more than 32 bits on the way."""
    nodes = rng.permutation(np.resize([target.lo, target.hi, 0, 1], (1 << source.bits - spacing) + 1))
    nodes[2::3] = rng.integers(target.lo, target.hi, nodes[2::3].size)
    nodes[:2] = target.lo, target.hi
    x = np.resize(np.arange(source.lo, source.hi + 1), (16, 256, 256))
    found = agree(single(InterpolatedTable("t", "x", "y", spacing, nodes), source, 16, target), x)["y"]
    assert found.size >= MILLION
    assert found.min() == target.lo
    part = (x - source.lo) & ((1 << spacing) - 1)
    rise = np.diff(nodes)[(x - source.lo) >> spacing]
    assert ((rise * part) % (1 << spacing) == 1 << (spacing - 1)).sum() > 30, "ties"


def test_tosa_threshold_head_agrees_on_a_million_values(rng: np.random.Generator) -> None:
    source = IntFormat(31, True)
    thresholds = np.sort(rng.integers(source.lo, source.hi, (512, 255)) >> rng.integers(0, 31, (512, 1)), axis=1)
    thresholds[0, :9], thresholds[0, -9:] = -(2**62), 2**62
    near = np.clip(thresholds[:, None] + np.array([-1, 0, 1])[:, None], source.lo, source.hi).reshape(512, -1)
    drawn = rng.integers(source.lo, source.hi, (512, 2048 - near.shape[1])) >> rng.integers(0, 31, (512, 1))
    x = np.concatenate([near, drawn], axis=1).reshape(512, 32, 64)
    found = agree(single(ThresholdHead("h", "x", "y", thresholds), source, 512, IntFormat(8, False)), x)["y"]
    assert set(found.ravel().tolist()) == set(range(256))


# --- enlargement, scale space, warp


@pytest.mark.parametrize(
    ("fmt", "rows", "columns", "extensions"),
    [
        (IntFormat(8, True), 2, 2, ()),
        (IntFormat(8, False), 4, 1, ()),
        (IntFormat(8, False), 3, 5, ()),
        (IntFormat(5, True), 5, 3, ()),
        (IntFormat(16, True), 2, 4, ("EXT-INT16",)),
        (IntFormat(16, False), 3, 3, ("EXT-INT16",)),
        (IntFormat(11, False), 1, 5, ("EXT-INT16",)),
    ],
    ids=str,
)
def test_tosa_resize_agrees_on_a_million_samples(
    fmt: IntFormat, rows: int, columns: int, extensions: tuple[str, ...], rng: np.random.Generator
) -> None:
    size = (-(-260 // rows), -(-260 // columns))
    x = ends(rng, fmt, (16, *size))
    x[0] = x[0] & 3
    found = agree(single(Resize("r", "x", "y", rows, columns), fmt, 16, fmt), x, extensions=extensions)["y"]
    assert found.size >= MILLION
    assert (found.min(), found.max()) == (fmt.lo, fmt.hi)


@pytest.mark.parametrize(
    ("fmt", "levels", "size", "extensions"),
    [
        (IntFormat(8, False), 5, (96, 80), ()),
        (IntFormat(16, True), 2, (128, 96), ("EXT-INT16",)),
        (IntFormat(16, False), 1, (200, 170), ()),
        (IntFormat(8, True), 3, (4, 8), ()),
    ],
    ids=str,
)
def test_tosa_scale_space_agrees(
    fmt: IntFormat, levels: int, size: tuple[int, int], extensions: tuple[str, ...], rng: np.random.Generator
) -> None:
    """Flat and noisy parts, the ends of the format side by side, and planes smaller than the blur."""
    channels = max(MILLION // (size[0] * size[1] * (levels + 1)) + 1, 1) if min(size) > 8 else 3
    x = ends(rng, fmt, (channels, *size))
    x[0, :, : size[1] // 2], x[0, :, size[1] // 2 :] = fmt.lo, fmt.hi
    op = ScaleSpace("s", "x", "y", levels)
    found = agree(single(op, fmt, channels, fmt, channels * (levels + 1)), x, extensions=extensions)["y"]
    assert found.size >= MILLION or min(size) <= 8
    assert (found.min(), found.max()) == (fmt.lo, fmt.hi)


@pytest.mark.parametrize(
    ("fmt", "flow", "fraction", "depth"),
    [
        (IntFormat(8, False), IntFormat(12, True), 8, 6),
        (IntFormat(16, True), IntFormat(16, True), 14, 6),
        (IntFormat(8, True), IntFormat(8, True), 0, 1),
        (IntFormat(15, False), IntFormat(16, True), 14, 2),
    ],
    ids=str,
)
def test_tosa_warp_agrees_on_a_quarter_of_a_million_samples(
    fmt: IntFormat, flow: IntFormat, fraction: int, depth: int, rng: np.random.Generator
) -> None:
    """Places within and far beyond all six sides, and between samples at every weight."""
    height, width = 100, 110
    channels = MILLION // (4 * height * width) + 1
    volume = ends(rng, fmt, (depth * channels, height, width))
    volume[:, 40:60, 40:60] = fmt.hi
    move = ends(rng, flow, (3, height, width)) >> rng.integers(0, flow.bits, (3, height, width))
    tensors = Tensor("v", depth * channels, fmt), Tensor("f", 3, flow), Tensor("y", channels, fmt)
    found = agree(Program("warp", tensors, (Warp("w", ("v", "f"), "y", fraction),)), volume, move)["y"]
    assert found.size >= MILLION // 4
    assert (found.min(), found.max()) == (fmt.lo, fmt.hi)


# --- embedding, positional encoding


@pytest.mark.parametrize(
    ("frames", "count", "centred"), [(7, 7, True), (100, 9, True), (601, 8, True), (7, 7, False), (100, 9, False)]
)
def test_tosa_embedding_agrees_for_every_kind_of_frame(
    frames: int, count: int, centred: bool, rng: np.random.Generator
) -> None:
    fmt = IntFormat(16, True)
    table = ends(rng, fmt, (count, 64, 55, 50))
    op = Embedding("e", "x", "y", frames, centred, table)
    program = single(op, IntFormat(10, False), 1, fmt, 64)
    compared = 0
    for frame in sorted({0, 1, frames // 3, frames // 2, frames - 2, frames - 1}):
        compared += agree(program, np.full((1, 1, 1), frame))["y"].size
    assert compared >= MILLION


@pytest.mark.parametrize(
    ("interleaved", "fraction", "bits", "frequencies", "frames"),
    [(True, 14, 9, 40, (0, 1, 300, 511)), (False, 7, 3, 32768, range(8)), (True, 14, 3, 32768, range(8))],
    ids=str,
)
def test_tosa_positional_encoding_agrees(
    interleaved: bool, fraction: int, bits: int, frequencies: int, frames: Iterable[int], rng: np.random.Generator
) -> None:
    """With the widest tensor, every frame of a few: more than a million values together."""
    nodes = np.rint(np.sin(np.arange(1025) * np.pi / 2048) * 2**24).astype(np.int64)
    increments = rng.integers(0, 2**40, frequencies)
    op = PositionalEncoding("p", "x", "y", interleaved, fraction, increments, nodes)
    program = single(op, IntFormat(bits, False), 1, IntFormat(fraction + 2, True), 2 * frequencies)
    for frame in frames:
        assert len(np.unique(agree(program, np.full((1, 1, 1), frame))["y"])) > (0 if frame == 0 else 30)


# --- normalisations


def normalisation(
    fmt: IntFormat, channels: int, gamma_bits: int, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples (C, H, W), `count` of them, with all channels at one end here and there; gamma and beta."""
    x = ends(rng, fmt, (channels, 60, -(-count // (60 * channels))))
    x[:, :4], x[:, 4:8], x[:, 8:12] = fmt.lo, fmt.hi, 0
    gamma = rng.integers(0, 1 << gamma_bits, (channels, channels)) >> rng.integers(0, gamma_bits, (channels, channels))
    gamma[0], gamma[1] = 0, (1 << gamma_bits) - 1
    beta = rng.integers(1, 1 << gamma_bits, channels)
    beta[0] = 1
    return x, gamma, beta


@pytest.mark.parametrize(
    ("fmt", "gamma_bits", "squared", "norm_shift", "product_bits"),
    [
        (IntFormat(8, True), 8, False, 0, 32),
        (IntFormat(8, True), 16, True, 4, 40),
        (IntFormat(8, False), 12, True, 11, 42),
        (IntFormat(16, True), 16, False, 5, 48),
        (IntFormat(12, True), 10, True, 7, 44),
        (IntFormat(16, True), 9, False, 17, 36),
    ],
    ids=str,
)
def test_tosa_inverse_gdn_agrees(
    fmt: IntFormat, gamma_bits: int, squared: bool, norm_shift: int, product_bits: int, rng: np.random.Generator
) -> None:
    channels = 16
    x, gamma, beta = normalisation(fmt, channels, gamma_bits, MILLION // (12 if squared else 4), rng)
    beta[0] = 1 << norm_shift  # the smallest norm whose divisor is one
    beta = np.maximum(beta, beta[0]) if not squared else beta
    formats = IntFormat(gamma_bits, False), IntFormat(48, True), IntFormat(product_bits, True)
    offset = rng.integers(-(2**20), 2**20, channels)
    multiplier, shift = scales(multiplier_bits(formats[2]), channels, rng, range(max(product_bits - 16, 17), 40))
    op = InverseGdn("n", "x", "y", *formats, squared, norm_shift, gamma, beta, offset, multiplier, shift)
    found = agree(single(op, fmt, channels, IntFormat(16, True)), x)["y"]
    assert len(np.unique(found)) > 1000
    assert {-(2**15), 2**15 - 1} & set(found.ravel().tolist())


@pytest.mark.parametrize(("squared", "norm_shift"), [(False, 8), (True, 0)])
def test_tosa_gdn_agrees(squared: bool, norm_shift: int, rng: np.random.Generator) -> None:
    """Quotients of both signs, ties among them."""
    fmt, channels = IntFormat(8, True), 16
    x, gamma, beta = normalisation(fmt, channels, 8, MILLION // (8 if squared else 1), rng)
    beta = beta + 256
    scale, offset = rng.integers(-(2**14), 2**14, channels), rng.integers(-100, 100, channels)
    constants = squared, norm_shift, 3, gamma, beta, scale, offset
    op = Gdn("n", "x", "y", IntFormat(8, False), IntFormat(40, True), *constants)
    found = agree(single(op, fmt, channels, IntFormat(12, True)), x)["y"]
    assert found.min() < -100
    assert found.max() > 100


def test_tosa_layer_norm_agrees(rng: np.random.Generator) -> None:
    fmt, channels = IntFormat(8, True), 24
    x, _, _ = normalisation(fmt, channels, 8, MILLION, rng)
    scale, offset = rng.integers(-(2**11), 2**11, channels), rng.integers(-(2**8), 2**8, channels)
    x[:, 12:16], x[5, 12:16] = 0, 1  # a radicand of 23 and epsilon: catches the wrong epsilon
    op = LayerNorm("n", "x", "y", 12, 0, 4, scale, offset)
    found = agree(single(op, fmt, channels, IntFormat(9, True)), x)["y"]
    assert len(np.unique(found)) > 300


# --- the other linear layers


@pytest.mark.parametrize(
    ("fmt", "bits", "extensions"),
    [(IntFormat(8, False), 8, ()), (IntFormat(16, True), 6, ("EXT-INT16",)), (IntFormat(14, True), 10, ())],
    ids=str,
)
def test_tosa_linear_agrees_on_a_million_accumulators(
    fmt: IntFormat, bits: int, extensions: tuple[str, ...], rng: np.random.Generator
) -> None:
    weight, bias = drawn_layer(rng, IntFormat(bits, True), (64, 12, 1, 1), 10**5)
    op = Linear("l", "x", "y", IntFormat(bits, True), weight[:, :, 0, 0], bias)
    x = ends(rng, fmt, (12, 128, 124))
    for o in range(4):
        x[:, o, 0] = np.where(weight[o, :, 0, 0] > 0, fmt.hi, fmt.lo)
        x[:, o, 1] = np.where(weight[o, :, 0, 0] > 0, fmt.lo, fmt.hi)
    found = agree(single(op, fmt, 12, IntFormat(32, True), 64), x, extensions=extensions)["y"]
    reach = op.reach([Reach.whole(fmt, 12)], Tensor("y", 64, IntFormat(32, True)))
    for o in range(4):
        assert (found[o].min(), found[o].max()) == (reach.lo[o], reach.hi[o])


@pytest.mark.parametrize(("mask", "kernel"), [("causal", 5), ("checkerboard", 5), ("causal", 3)])
def test_tosa_masked_convolution_agrees_on_a_million_accumulators(
    mask: str, kernel: int, rng: np.random.Generator
) -> None:
    fmt = IntFormat(8, True)
    weight, bias = drawn_layer(rng, fmt, (64, 3, kernel, kernel), 10**5)
    for ky in range(kernel):
        for kx in range(kernel):
            middle = kernel // 2
            live = (ky, kx) < (middle, middle) if mask == "causal" else (ky + kx) % 2 == 1
            weight[:, :, ky, kx] *= live
    op = MaskedConvolution("m", "x", "y", fmt, mask, kernel // 2, weight, bias)
    found = agree(single(op, fmt, 3, IntFormat(24, True), 64), ends(rng, fmt, (3, 126, 126)))
    assert found["y"].size >= MILLION


@pytest.mark.parametrize(
    ("fmt", "bits", "kernel", "stride", "padding", "extensions"),
    [
        (IntFormat(8, False), 8, 5, 2, 2, ()),
        (IntFormat(16, True), 8, 3, 1, 1, ("EXT-INT16",)),
        (IntFormat(12, False), 12, 4, 1, 1, ()),
        (IntFormat(8, True), 4, 2, 3, 0, ()),
    ],
    ids=str,
)
def test_tosa_depthwise_convolution_agrees_on_a_million_accumulators(
    fmt: IntFormat,
    bits: int,
    kernel: int,
    stride: int,
    padding: int,
    extensions: tuple[str, ...],
    rng: np.random.Generator,
) -> None:
    """Catches kernels that meet the wrong channel."""
    weight, bias = drawn_layer(rng, IntFormat(bits, True), (64, 1, kernel, kernel), 10**5)
    op = DepthwiseConvolution("d", "x", "y", IntFormat(bits, True), stride, padding, weight[:, 0], bias)
    x = ends(rng, fmt, (64, 126 * stride + kernel, 127 * stride))
    x[:, 30:50, 30:50], x[:, 60:80, 30:50] = fmt.lo, fmt.hi
    found = agree(single(op, fmt, 64, IntFormat(32, True)), x, extensions=extensions)["y"]
    reach = op.reach([Reach.whole(fmt, 64)], Tensor("y", 64, IntFormat(32, True)))
    assert found.size >= MILLION
    assert {int(found[:2].min()), int(found[:2].max())} == {int(reach.lo[:2].min()), int(reach.hi[:2].max())}


def test_tosa_depthwise_convolution_beyond_32_bits_agrees_after_requantisation(rng: np.random.Generator) -> None:
    fmt = IntFormat(16, True)
    weight, bias = drawn_layer(rng, IntFormat(16, True), (64, 1, 5, 5), 2**37)
    op = DepthwiseConvolution("d", "x", "a", IntFormat(16, True), 1, 2, weight[:, 0], bias)
    multiplier, shift = scales(15, 64, rng, range(24, 36))
    tensors = Tensor("x", 64, fmt), Tensor("a", 64, IntFormat(40, True)), Tensor("y", 64, IntFormat(16, True))
    program = Program("wide", tensors, (op, Requantise("r", "a", "y", multiplier, shift)))
    assert agree(program, ends(rng, fmt, (64, 73, 74)))["y"].size >= MILLION // 3


# --- sums and moves

MOVED = [IntFormat(8, False), IntFormat(16, True), IntFormat(16, False), IntFormat(4, True)]


@pytest.mark.parametrize(
    ("left", "right", "multipliers", "shift", "target"),
    [
        (IntFormat(8, True), IntFormat(8, False), (8192, -12288), 14, IntFormat(8, True)),
        (IntFormat(8, False), IntFormat(8, False), (1, 1), 0, IntFormat(8, False)),
        (IntFormat(8, True), IntFormat(16, True), (2**22 + 1, 2**15), 23, IntFormat(8, False)),
        (IntFormat(16, True), IntFormat(16, False), (2**30, -(2**29) - 5), 31, IntFormat(16, True)),
        (IntFormat(16, True), IntFormat(16, True), (2**30, 2**30 - 1), 40, IntFormat(6, True)),
    ],
    ids=str,
)
def test_tosa_add_agrees(
    left: IntFormat,
    right: IntFormat,
    multipliers: tuple[int, int],
    shift: int,
    target: IntFormat,
    rng: np.random.Generator,
) -> None:
    shape = (16, 256, 256) if shift < 30 else (16, 96, 96)
    sides = [ends(rng, fmt, shape) >> rng.integers(0, fmt.bits, shape) for fmt in (left, right)]
    sides[1][0] = 0
    tensors = Tensor("l", 16, left), Tensor("r", 16, right), Tensor("y", 16, target)
    op = Add("a", ("l", "r"), "y", shift, np.array(multipliers))
    found = agree(Program("add", tensors, (op,)), *sides)["y"]
    assert len(np.unique(found)) > 50
    if shift:
        total = sides[0] * multipliers[0] + sides[1] * multipliers[1]
        assert ((total & ((1 << shift) - 1)) == 1 << (shift - 1)).sum() > 10, "ties"


@pytest.mark.parametrize("fmt", MOVED, ids=str)
def test_tosa_moves_agree_on_a_million_values(fmt: IntFormat, rng: np.random.Generator) -> None:
    """Crop, pad, pixel shuffle, nearest, tile and concatenation; every sample differs from its neighbours."""
    formats = [
        Tensor(name, channels, fmt) for name, channels in zip("xwcpsntk", (36, 2, 36, 36, 6, 6, 6, 8), strict=True)
    ]
    program = Program(
        "moves",
        tuple(formats),
        (
            Crop("crop", "x", "c", 1, 0, 2, 5),
            Pad("pad", "c", "p", 3, 1, 0, 2),
            PixelShuffle("shuffle", "p", "s", 2, 3),
            Nearest("nearest", "s", "n", 2, 1),
            Tile("tile", "n", "t", 1, 3),
            Concatenate("concatenate", ("w", "t"), "k"),
        ),
    )
    x = ends(rng, fmt, (36, 60, 70))
    w = ends(rng, fmt, (2, 63 * 4, 65 * 9))
    found = agree(program, x, w)
    assert sum(found[name].size for name in "cpsntk") >= MILLION
    assert (found["p"][:, :3] == 0).all()


@pytest.mark.parametrize("fraction", [0, 10])
def test_tosa_latent_means_agree_on_a_million_pairs(fraction: int, rng: np.random.Generator) -> None:
    mean = IntFormat(16 + fraction, True)
    symbols, means = ends(rng, IntFormat(16, True), (16, 256, 256)), ends(rng, mean, (16, 256, 256))
    tensors = (
        Tensor("s", 16, IntFormat(16, True)),
        Tensor("m", 16, mean),
        Tensor("y", 16, IntFormat(17 + fraction, True)),
    )
    found = agree(Program("means", tensors, (LatentMeans("m", ("s", "m"), "y", fraction),)), symbols, means)["y"]
    assert (found.min(), found.max()) == (2 * mean.lo, 2**fraction * (2**15 - 1) + mean.hi)


# --- refusals


def refused(op: Any, source: IntFormat, channels: int, target: IntFormat, outputs: int | None = None) -> str:
    """The message with which an export is refused."""
    with pytest.raises(ExportError) as caught:
        export_program(single(op, source, channels, target, outputs), {"x": (8, 8)})
    assert caught.value.code == "RC-EXPORT"
    return caught.value.message


def test_tosa_export_refuses_what_32_bits_cannot_hold(rng: np.random.Generator) -> None:
    wide, byte = IntFormat(16, True), IntFormat(8, True)
    gamma, beta = np.full((4, 4), 2**15), np.full(4, 2**20)
    constants = False, 0, 8, gamma, beta, np.full(4, 2**20), np.zeros(4, np.int64)
    message = refused(Gdn("n", "x", "y", IntFormat(16, False), IntFormat(48, True), *constants), byte, 4, byte)
    assert re.fullmatch(r"TOSA cannot express n, gdn: y\.\d+: values .* may leave INT32; INTDIV has 32 bits.*", message)
    message = refused(LayerNorm("n", "x", "y", 5, 0, 4, np.full(4, 2**9), np.full(4, 3)), wide, 4, byte)
    assert re.fullmatch(r"TOSA cannot express n, layer_norm: y: reads .* more than 32 bits.*; INTDIV has 32.*", message)


def test_tosa_export_refuses_a_root_of_30_bits() -> None:
    gamma, beta = np.zeros((2, 2), np.int64), np.full(2, 2**43)
    formats = IntFormat(1, False), IntFormat(48, True), IntFormat(48, True)
    scale = np.zeros(2, np.int64), np.ones(2, np.int64), np.full(2, 40)
    message = refused(
        InverseGdn("n", "x", "y", *formats, True, 16, gamma, beta, *scale), IntFormat(8, True), 2, IntFormat(8, True)
    )
    assert message.startswith("TOSA cannot express n, inverse_gdn: y: a square root of 30 bits; a square root can have")


def test_tosa_export_refuses_small_shifts_after_wide_accumulators() -> None:
    weight = np.full((1, 8, 1, 1), 2**15 - 1)
    op = Convolution("c", "x", "a", IntFormat(16, True), 1, 0, weight, np.zeros(1, np.int64))
    fmt, wide = IntFormat(16, True), IntFormat(40, True)
    tensors = Tensor("x", 8, fmt), Tensor("a", 1, wide), Tensor("y", 1, fmt)
    for last in (
        Requantise("r", "a", "y", np.array([2**14]), np.array([16])),
        LeakyRequantise("r", "a", "y", np.array([2**14]), np.array([7]), np.array([16])),
        Clip("r", "a", "y", -5, 5),
    ):
        with pytest.raises(ExportError, match=r"^RC-EXPORT: TOSA cannot express r, .*more than 32 bits"):
            export_program(Program("small", tensors, (op, last)), {"x": (4, 4)})


def test_tosa_export_refuses_tensors_that_no_file_can_give_back() -> None:
    weight = np.full((1, 8, 1, 1), 2**15 - 1)
    op = Convolution("c", "x", "y", IntFormat(16, True), 1, 0, weight, np.zeros(1, np.int64))
    program = single(op, IntFormat(16, True), 8, IntFormat(40, True), 1)
    with pytest.raises(ExportError, match=r"^RC-EXPORT: y: TOSA outputs have no format as wide as s40$"):
        export_program(program, {"x": (4, 4)})
    wide = single(Requantise("r", "x", "y", np.array([1]), np.array([40])), IntFormat(40, True), 1, IntFormat(8, True))
    with pytest.raises(ExportError, match=r"^RC-EXPORT: x: TOSA inputs have no format as wide as s40$"):
        export_program(wide, {"x": (4, 4)})


def test_tosa_export_refuses_resizing_17_bits_and_endless_tables() -> None:
    fmt = IntFormat(17, True)
    assert refused(Resize("r", "x", "y", 2, 2), fmt, 3, fmt).endswith(
        "at most 16 bits, not s17; RESIZE takes at most 16 bits"
    )
    nodes = np.linspace(0, 2**24, 1025).astype(np.int64)
    op = PositionalEncoding("p", "x", "y", True, 7, np.arange(2), nodes)
    program = single(op, IntFormat(22, False), 1, IntFormat(9, True), 4)
    with pytest.raises(ExportError, match="a table of 4194304 frame numbers and 4 channels is too large"):
        export_program(program, {"x": (1, 1)})


def test_tosa_scale_index_refuses_a_threshold_that_its_type_cannot_hold() -> None:
    thresholds = np.sort(np.arange(63)[None])
    thresholds[0, 0] = -(2**31) - 1
    message = refused(ScaleIndex("s", "x", "y", thresholds), IntFormat(32, True), 1, IntFormat(6, False))
    assert message.endswith("a threshold below everything that the accumulator's type holds")
