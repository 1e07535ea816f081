"""Every other kind of operation exported to ONNX, on a million constructed and random values each."""

from __future__ import annotations

import math

import numpy as np
import onnx_oracle
import pytest
from onnx_cases import (
    MILLION,
    S4,
    S8,
    S10,
    S12,
    S16,
    S32,
    S48,
    U8,
    U10,
    U16,
    agree,
    agree_all,
    filled,
    single,
)

from refcodec.formats import IntFormat
from refcodec.interop.onnx.arithmetic import isqrt
from refcodec.interop.onnx.graph import INT64, Graph
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
    ScaleSpace,
    Table,
    Tensor,
    ThresholdHead,
    Tile,
    TransposedConvolution,
    Warp,
)
from refcodec.program.program import Program

FAST = [(True, 2)]
WIDE_NORM = IntFormat(48, True)


def saturates(y: np.ndarray, fmt: IntFormat) -> None:
    """Both ends of the format occur often."""
    assert (y == fmt.lo).sum() >= 100
    assert (y == fmt.hi).sum() >= 100


# --- leaky requantisation


@pytest.mark.parametrize(("source", "target", "bits"), [(S32, S8, 31), (S48, S16, 15), (S16, U8, 31)], ids=str)
def test_leaky_requantise_agrees(source: IntFormat, target: IntFormat, bits: int, rng: np.random.Generator) -> None:
    """Catches the multiplier of the other sign, one chosen after the rounding, and division towards zero."""
    above = np.maximum(rng.integers(0, 2**bits, 64) >> rng.integers(0, bits, 64), 1)
    below = (above * rng.integers(0, 101, 64)) // 100
    above[0] = below[0] = 2**bits - 1
    above[1], below[1] = 6, 3
    shift = np.clip(rng.integers(1, 63, 64), 1, 62)
    shift[0], shift[1] = 62, 4
    x = filled(source, (64, 128, 128), rng, -40, 40)
    x[1, 0, :80] = np.arange(-40, 40)
    op = LeakyRequantise("leak", "x", "y", above, below, shift)
    y = agree(single(op, Tensor("y", 64, target), Tensor("x", 64, source)), {"x": x})["y"]
    assert y.size >= MILLION
    assert ((x[1] % 16 == 8) & (x[1] < 0)).sum() >= 3  # x * 3 / 16 is a negative tie
    saturates(y, target)


# --- tables


@pytest.mark.parametrize(
    ("source", "target"), [(S8, S8), (U8, S16), (S10, S10), (U10, U8), (S4, S32), (IntFormat(2, False), S4)], ids=str
)
def test_table_agrees_on_every_value(source: IntFormat, target: IntFormat, rng: np.random.Generator) -> None:
    """Catches an index without its offset, entries cut to a byte, and a zero point too much or too few."""
    entries = rng.integers(target.lo, target.hi, 1 << source.bits, endpoint=True)
    entries[0], entries[-1] = target.lo, target.hi
    x = np.arange(source.lo, source.hi + 1)
    x = rng.permutation(np.tile(x, (1 << 20) // len(x))).reshape(4, 512, 512)
    op = Table("table", "x", "y", entries)
    y = agree(single(op, Tensor("y", 4, target), Tensor("x", 4, source)), {"x": x})["y"]
    assert y.size >= MILLION
    assert {target.lo, target.hi} <= set(y.ravel().tolist())


@pytest.mark.parametrize(
    ("source", "target", "spacing"), [(S16, S16, 7), (U16, S32, 4), (S16, S32, 15), (S12, U8, 5), (S8, S8, 1)], ids=str
)
def test_interpolated_table_agrees_on_every_value(
    source: IntFormat, target: IntFormat, spacing: int, rng: np.random.Generator
) -> None:
    """Catches falling lines rounded towards zero, rises beyond 32 bits, and the node behind the last value."""
    nodes = rng.integers(target.lo, target.hi, (1 << source.bits - spacing) + 1, endpoint=True)
    nodes[:2], nodes[-2:] = (target.lo, target.hi), (target.hi, target.lo)
    every = np.arange(source.lo, source.hi + 1)
    x = np.tile(every, (1 << 20) // len(every)).reshape(16, 256, 256)
    op = InterpolatedTable("table", "x", "y", spacing, nodes)
    y = agree(single(op, Tensor("y", 16, target), Tensor("x", 16, source)), {"x": x})["y"]
    assert y.size >= MILLION
    part = (every - source.lo) % (1 << spacing)
    rise = np.diff(nodes)[(every - source.lo) >> spacing]
    assert ((rise * part) % (1 << spacing) == 1 << spacing - 1).sum() >= 2
    assert {target.lo, target.hi} <= set(y.ravel().tolist())


# --- exact head


def test_threshold_head_agrees_at_every_threshold(rng: np.random.Generator) -> None:
    """Catches >= for >, a step too few, and thresholds of another channel; both widths of the comparison."""
    for source, limit in ((S48, 2**46), (IntFormat(24, True), 2**22)):
        rows = np.sort(rng.integers(-limit, limit, (8, 255)), axis=1)
        rows[1], rows[2, :100], rows[2, 200:] = -7, -(2**63), 2**63 - 1
        rows[3] = np.arange(-100, 155)
        near = np.stack([np.concatenate([row + d for d in (-1, 0, 1)]).clip(source.lo, source.hi) for row in rows])
        x = np.concatenate([near, rng.integers(-2 * limit, 2 * limit, (8, 360 * 365 - near.shape[1]))], axis=1)
        op = ThresholdHead("head", "x", "y", rows)
        program = single(op, Tensor("y", 8, U8), Tensor("x", 8, source))
        y = agree(program, {"x": x.reshape(8, 360, 365)})["y"]
        assert y.size >= MILLION
        assert set(y[0].ravel().tolist()) == set(y[3].ravel().tolist()) == set(range(256))


# --- divisive normalisation

NORMS = [(squared, shift) for squared in (False, True) for shift in (0, 6)]
ACTIVATIONS = [(S8, S8), (U8, S12), (S12, S8), (S16, S16), (U16, U16)]


def norm_of(
    channels: int, largest: int, rng: np.random.Generator, squared: bool, shift: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Gamma, beta, and the divisor of the first four channels, which is the same for all samples."""
    gamma = rng.integers(0, largest, (channels, channels), endpoint=True)
    gamma[4] = largest
    gamma[:4] = 0
    beta = rng.integers(1 << shift, 1 << 16, channels)
    beta[:4] = 16 if squared else 2 << shift
    return gamma, beta, 4 << shift // 2 if squared else 2


@pytest.mark.parametrize(("squared", "shift"), NORMS)
@pytest.mark.parametrize(("source", "target"), ACTIVATIONS, ids=str)
def test_gdn_agrees(source: IntFormat, target: IntFormat, squared: bool, shift: int, rng: np.random.Generator) -> None:
    """Catches division towards zero, squares cut to their lower bytes, a root that is one off, and a lost offset."""
    gamma, beta, constant = norm_of(8, 40 if squared and source.bits == 16 else 4000, rng, squared, shift)
    scale = rng.integers(-(2**20), 2**20, 8)
    offset = rng.integers(-(2**6), 2**6, 8)
    half, most = constant << 2, constant * target.magnitude << 3  # halves of all samples; all samples saturate
    scale[:4], offset[:4] = (half, -half, most, -most), 0
    x = filled(source, (8, 368, 368) if source == S8 else (8, 96, 96), rng)
    op = Gdn("gdn", "x", "y", IntFormat(16, False), WIDE_NORM, squared, shift, 3, gamma, beta, scale, offset)
    y = agree(single(op, Tensor("y", 8, target), Tensor("x", 8, source)), {"x": x})["y"]
    assert int((x[:2] % 2 == 1).sum()) > 1000
    assert y.size >= MILLION or source != S8
    saturates(y, target)


@pytest.mark.parametrize(("squared", "shift"), NORMS)
@pytest.mark.parametrize(("source", "target"), ACTIVATIONS, ids=str)
def test_inverse_gdn_agrees(
    source: IntFormat, target: IntFormat, squared: bool, shift: int, rng: np.random.Generator
) -> None:
    """Catches division towards zero, the offset after the scale, and bytes of the squares put together wrongly."""
    gamma, beta, _ = norm_of(8, 40 if squared and source.bits == 16 else 4000, rng, squared, shift)
    offset = rng.integers(-(2**20), 2**20, 8)
    offset[:2] = 0
    multiplier, shifts = rng.integers(1, 2**15, 8), np.clip(rng.integers(source.bits + 14, 40, 8) - 14, 1, 62)
    multiplier[:2], shifts[:2] = 1, (4, 3)
    x = filled(source, (8, 368, 368) if source == S8 else (8, 96, 96), rng)
    formats = IntFormat(16, False), WIDE_NORM, IntFormat(48, True)
    op = InverseGdn("igdn", "x", "y", *formats, squared, shift, gamma, beta, offset, multiplier, shifts)
    y = agree(single(op, Tensor("y", 8, target), Tensor("x", 8, source)), {"x": x})["y"]
    assert y.size >= MILLION or source != S8
    saturates(y, target)


def test_isqrt_agrees_beside_every_square_at_every_width(rng: np.random.Generator) -> None:
    """Catches a root that is one off, and a first bit too few at radicands of an odd width."""
    total = 0
    for bits in range(1, 63):
        largest = 2**bits - 1
        roots = [*rng.integers(0, math.isqrt(largest), 5500, endpoint=True).tolist(), math.isqrt(largest)]
        near = [root * root + d for root in roots for d in (-1, 0, 1)]
        values = np.array([[0, *(v for v in near if 0 <= v <= largest), largest]], np.int64)
        graph = Graph("g")
        graph.output(isqrt(graph, graph.input("x", INT64, (1, "n")), largest), "y", (1, "n"))
        content = graph.to_bytes({})
        wanted = np.array([[math.isqrt(v) for v in values[0].tolist()]])
        for run in (onnx_oracle.session(content), onnx_oracle.reference(content)):
            assert int((run({"x": values})["y"] != wanted).sum()) == 0
        total += values.size
    assert total >= MILLION


# --- layer normalisation


@pytest.mark.parametrize(("source", "target"), ACTIVATIONS, ids=str)
def test_layer_norm_agrees(source: IntFormat, target: IntFormat, rng: np.random.Generator) -> None:
    """Catches division towards zero, a spread of zero, sums beyond 32 bits, and a mean rounded on its own."""
    x = filled(source, (6, 416, 416) if source == S8 else (6, 96, 96), rng)
    x[:, 0] = x[:1, 0]  # nothing but the mean: the spread is that of epsilon
    x[:3, 1], x[3:, 1] = source.lo, source.hi
    scale = rng.integers(-(2**14), 2**14, 6) << max(target.bits - 8, 0)
    scale[0] = 2**14 << max(target.bits - 8, 0)
    op = LayerNorm("norm", "x", "y", 5, 6, 3, scale, rng.integers(-(2**8), 2**8, 6))
    y = agree(single(op, Tensor("y", 6, target), Tensor("x", 6, source)), {"x": x})["y"]
    assert y.size >= MILLION or source != S8
    saturates(y, target)


# --- sizes


def test_resize_agrees_at_every_factor_and_size(rng: np.random.Generator) -> None:
    """Catches a lost border, weights of the wrong phase, and a division towards zero."""
    total = 0
    for rows in range(1, 6):
        for columns in range(1, 6):
            for fmt in (S8, S32) if rows == columns else (U16,):
                sizes = [(1, 1), (1, 5), (6, 1), (96, 97)]
                program = single(Resize("up", "x", "y", rows, columns), Tensor("y", 2, fmt), Tensor("x", 2, fmt))
                cases = [{"x": filled(fmt, (2, *size), rng)} for size in sizes]
                total += sum(found["y"].size for found in agree_all(program, cases, settings=FAST))
    assert total >= MILLION


def test_resize_agrees_on_ties_of_both_signs(rng: np.random.Generator) -> None:
    x = rng.integers(-3, 3, (4, 260, 250))
    program = single(Resize("up", "x", "y", 2, 2), Tensor("y", 4, S8), Tensor("x", 4, S8))
    y = agree(program, {"x": x})["y"]
    sums = 9 * x[:, 1:, 1:] + 3 * x[:, :-1, 1:] + 3 * x[:, 1:, :-1] + x[:, :-1, :-1]
    assert ((sums % 16 == 8) & (sums < 0)).sum() > 1000
    assert y.size >= MILLION


@pytest.mark.parametrize("levels", range(1, 7))
def test_scale_space_agrees(levels: int, rng: np.random.Generator) -> None:
    """Catches a border of zeros, one rounding too many, and slices in another order."""
    unit = 1 << levels - 1
    for fmt in (U8, S16):
        program = single(ScaleSpace("space", "x", "y", levels), Tensor("y", 3 * (levels + 1), fmt), Tensor("x", 3, fmt))
        sizes = [(unit, unit), (unit, 5 * unit), (6 * unit, 7 * unit), (192, 160)]
        found = agree_all(program, [{"x": filled(fmt, (3, *size), rng)} for size in sizes], settings=FAST)
        assert {fmt.lo, fmt.hi} <= set(found[-1]["y"].ravel().tolist())
    assert 2 * sum(3 * (k + 1) * 192 * 160 for k in range(1, 7)) >= MILLION


@pytest.mark.parametrize(
    ("depth", "fraction", "volume", "flow"),
    [(6, 8, U8, S16), (1, 0, S16, S8), (3, 14, U16, U16), (2, 4, S8, S12), (6, 14, S16, S16)],
    ids=str,
)
def test_warp_agrees(depth: int, fraction: int, volume: IntFormat, flow: IntFormat, rng: np.random.Generator) -> None:
    """Catches places beyond the border, width for height, slices for channels, and a rounding towards zero."""
    sources = Tensor("v", 3 * depth, volume), Tensor("f", 3, flow)
    program = single(Warp("warp", ("v", "f"), "y", fraction), Tensor("y", 3, volume), *sources)
    cases = [
        {"v": filled(volume, (3 * depth, *size), rng), "f": rng.permutation(filled(flow, (3, *size), rng), axis=0)}
        for size in ((1, 1), (1, 7), (9, 2), (260, 264))
    ]
    cases[3]["v"][:, :30, :30], cases[3]["v"][:, -30:, -30:] = volume.lo, volume.hi
    small = rng.integers(max(flow.lo, -8), 8, (3, 64, 96))  # places that differ from their own by less than a sample
    cases.append({"v": filled(volume, (3 * depth, 64, 96), rng), "f": small})
    found = agree_all(program, cases, settings=FAST)
    assert {volume.lo, volume.hi} <= set(found[3]["y"].ravel().tolist())
    assert MILLION <= 5 * 3 * 260 * 264


@pytest.mark.parametrize("fmt", [S8, U16, S48], ids=str)
def test_samples_agree_in_their_new_places(fmt: IntFormat, rng: np.random.Generator) -> None:
    """Catches rows for columns, sides exchanged, and a padding that is not zero."""
    x, name = Tensor("x", 12, fmt), ("x", "y")
    cases = {
        "shuffle": (PixelShuffle("op", *name, 2, 3), 2),
        "rows": (PixelShuffle("op", *name, 1, 4), 3),
        "nearest": (Nearest("op", *name, 3, 2), 12),
        "same": (Nearest("op", *name, 1, 1), 12),
        "tile": (Tile("op", *name, 2, 3), 12),
        "crop": (Crop("op", *name, 1, 2, 3, 0), 12),
        "pad": (Pad("op", *name, 3, 0, 1, 2), 12),
    }
    total = 0
    for op, channels in cases.values():
        inputs = [{"x": filled(fmt, (12, *size), rng)} for size in ((4, 5), (122, 123))]
        total += sum(y["y"].size for y in agree_all(single(op, Tensor("y", channels, fmt), x), inputs, settings=FAST))
    assert total >= MILLION


# --- two sources


@pytest.mark.parametrize(("source", "target"), [(S8, S8), (S16, U8), (S32, S16), (U8, S48)], ids=str)
@pytest.mark.parametrize(("multipliers", "shift"), [((3, -5), 4), ((2**30, 2**30 - 1), 20), ((1, 1), 0)], ids=str)
def test_add_agrees(
    source: IntFormat, target: IntFormat, multipliers: tuple[int, int], shift: int, rng: np.random.Generator
) -> None:
    """Catches division towards zero, sources exchanged, and two roundings for one."""
    tensors = Tensor("a", 4, source), Tensor("b", 4, S12)
    program = single(Add("sum", ("a", "b"), "y", shift, np.array(multipliers)), Tensor("y", 4, target), *tensors)
    shape = (4, 300, 300)
    inputs = {"a": filled(source, shape, rng), "b": rng.permutation(filled(S12, shape, rng), axis=1)}
    y = agree(program, inputs)["y"]
    total = inputs["a"] * multipliers[0] + inputs["b"] * multipliers[1]
    if shift == 4:
        assert ((total % 16 == 8) & (total < 0)).sum() > 1000
    if target.bits < 32 and (shift, source) != (4, S8):
        assert {target.lo, target.hi} <= set(y.ravel().tolist())
    assert 4 * 3 * y.size >= MILLION


def test_latent_means_agree(rng: np.random.Generator) -> None:
    for fraction, means in ((0, S8), (8, S16), (16, S32)):
        tensors = Tensor("s", 4, S16), Tensor("m", 4, means)
        target = Tensor("y", 4, IntFormat(17 + fraction, True))
        shape = (4, 300, 300)
        inputs = {"s": filled(S16, shape, rng), "m": filled(means, shape, rng)}
        agree(single(LatentMeans("mean", ("s", "m"), "y", fraction), target, *tensors), inputs)
    assert MILLION <= 3 * 4 * 300 * 300


def test_concatenation_agrees_on_tensors_held_in_different_ways(rng: np.random.Generator) -> None:
    """Catches parts of different types: an accumulator summed in 64 bits, a clipped input and an input, all s32."""
    weight = rng.integers(-1000, 1001, (5, 2, 3, 3))
    upper = TransposedConvolution("up", "x", "a", S12, 2, 1, 1, weight, np.arange(5))
    limit = Clip("limit", "x", "c", -100, 100)
    wide = Nearest("wide", "c", "w", 2, 2)
    join = Concatenate("join", ("a", "w", "z"), "y")
    tensors = [Tensor("x", 2, S12), Tensor("z", 3, S32), Tensor("a", 5, S32), Tensor("c", 2, S32), Tensor("w", 2, S32)]
    program = Program("p", (*tensors, Tensor("y", 10, S32)), (upper, limit, wide, join))
    agree(program, {"x": filled(S12, (2, 180, 160), rng), "z": filled(S32, (3, 360, 320), rng)})
    assert MILLION <= 10 * 360 * 320


# --- other accumulators


@pytest.mark.parametrize(("source", "weights"), [(S8, S8), (U8, S4), (S16, S8), (U16, S16), (S12, S12)], ids=str)
def test_linear_depthwise_and_masked_accumulators_agree(
    source: IntFormat, weights: IntFormat, rng: np.random.Generator
) -> None:
    """Catches groups, bytes and padding; the extremes of every accumulator are reached."""
    x = rng.integers(source.lo, source.hi, (6, 120, 124), endpoint=True)
    x[:, :24, :24], x[:, 24:48, :24] = source.lo, source.hi
    shape = {"linear": (8, 6), "depthwise": (6, 5, 5), "masked": (4, 6, 5, 5)}
    weight = {kind: rng.integers(weights.lo, weights.hi, s, endpoint=True) for kind, s in shape.items()}
    for array in weight.values():
        array[0], array[1] = weights.lo, weights.hi
    live = np.array([[(ky, kx) < (2, 2) for kx in range(5)] for ky in range(5)])
    weight["masked"] *= live
    bias = {kind: np.append([0, 0], rng.integers(-1000, 1000, len(w) - 2)) for kind, w in weight.items()}
    constants = {kind: (weight[kind], bias[kind]) for kind in shape}
    ops = {
        "linear": (Linear("op", "x", "a", S16, *constants["linear"]), 6),
        "depthwise": (DepthwiseConvolution("op", "x", "a", S16, 1, 2, *constants["depthwise"]), 25),
        "masked": (MaskedConvolution("op", "x", "a", S16, "causal", 2, *constants["masked"]), 6 * 12),
    }
    for kind, (op, taps) in ops.items():
        program = single(op, Tensor("a", len(weight[kind]), S48), Tensor("x", 6, source))
        a = agree(program, {"x": x}, settings=FAST)["a"]
        products = [v * w * taps for v in (source.lo, source.hi) for w in (weights.lo, weights.hi)]
        assert int(a[:2].min()) == min(products)
        assert int(a[:2].max()) == max(products)
    assert MILLION <= 5 * (8 + 6 + 4) * 120 * 124


def test_depthwise_convolution_agrees_with_a_stride(rng: np.random.Generator) -> None:
    weight = rng.integers(-128, 128, (6, 3, 3))
    op = DepthwiseConvolution("op", "x", "a", S8, 2, 1, weight, np.arange(6))
    agree(single(op, Tensor("a", 6, S32), Tensor("x", 6, U8)), {"x": filled(U8, (6, 31, 40), rng)})


# --- frames


@pytest.mark.parametrize("interleaved", [False, True])
def test_positional_encoding_agrees(interleaved: bool, rng: np.random.Generator) -> None:
    """Catches a quarter turn the wrong way, a mirrored quarter, phases cut to 32 bits, and the order of channels."""
    nodes = np.round(2.0**24 * np.sin(np.arange(1025) * np.pi / 2048)).astype(np.int64)
    increments = rng.integers(0, 2**40, 8192) >> rng.integers(0, 40, 8192)
    increments[:6] = 2**40 - 1, 2**39, 2**38, 2**38 + 1, 0, 2**28
    frames = [0, 1, 2, 3, 2**22 - 1, 2**21, *rng.integers(0, 2**22, 58).tolist()]
    op = PositionalEncoding("phase", "x", "y", interleaved, 14, increments, nodes)
    program = single(op, Tensor("y", 16384, S16), Tensor("x", 1, IntFormat(22, False)))
    found = agree_all(program, [{"x": np.full((1, 1, 1), frame)} for frame in frames])
    values = np.concatenate([y["y"].ravel() for y in found])
    assert values.size >= MILLION
    assert {-(2**14), 2**14, 0} <= set(values.tolist())


@pytest.mark.parametrize(
    ("fmt", "count", "frames", "centred"),
    [(S8, 7, 64, True), (U16, 64, 64, True), (S16, 5, 33, True), (S12, 1, 64, True), (S16, 5, 33, False)],
    ids=str,
)
def test_embedding_agrees_on_every_frame(
    fmt: IntFormat, count: int, frames: int, centred: bool, rng: np.random.Generator
) -> None:
    """Catches a first index below zero, one beyond the last, and a division towards zero."""
    table = rng.integers(fmt.lo, fmt.hi, (count, 8, 32, 32), endpoint=True)
    table[0, 0], table[-1, 1] = fmt.lo, fmt.hi
    program = single(Embedding("frame", "x", "y", frames, centred, table), Tensor("y", 8, fmt), Tensor("x", 1, U8))
    found = agree_all(program, [{"x": np.full((1, 1, 1), frame)} for frame in range(frames)], settings=FAST)
    assert {fmt.lo, fmt.hi} <= set(np.concatenate([y["y"].ravel() for y in found]).tolist())
    assert MILLION <= 4 * 33 * 8 * 32 * 32


# --- phases of a transposed convolution in front of other operations


def test_pointwise_operations_keep_phases_apart(rng: np.random.Generator) -> None:
    """Catches constants that do not follow their channels into the phases, and phases that are not cut off."""
    upper = TransposedConvolution("up", "x", "a", S8, 3, 1, 0, rng.integers(-128, 128, (3, 2, 4, 4)), np.arange(3))
    leak = LeakyRequantise("leak", "a", "b", np.array([900, 800, 700]), np.array([9, 80, 600]), np.array([18, 17, 16]))
    curve = Table("curve", "b", "c", rng.integers(-128, 128, 256))
    line = InterpolatedTable("line", "c", "d", 3, rng.integers(-(2**15), 2**15, 33))
    head = ThresholdHead("head", "a", "h", np.sort(rng.integers(-(2**17), 2**17, (3, 255)), axis=1))
    tensors = [Tensor(name, 3, fmt) for name, fmt in (("a", S32), ("b", S8), ("c", S8), ("d", S16), ("h", U8))]
    program = Program("p", (Tensor("x", 2, S8), *tensors), (upper, leak, curve, line, head))
    found = agree(program, {"x": rng.integers(-128, 128, (2, 41, 39))})
    assert set(found) == {"d", "h"}


def test_network_of_many_kinds_agrees(rng: np.random.Generator) -> None:
    """Convolution, inverse normalisation, shuffling, a second branch and their sum, as a decoder has them."""
    weight = rng.integers(-128, 128, (8, 3, 3, 3))
    gamma, beta = rng.integers(0, 255, (8, 8)), rng.integers(1, 2**12, 8)
    ones = np.ones(8, np.int64)
    formats = IntFormat(8, False), S32, S32
    ops = (
        Convolution("conv", "x", "a", S8, 1, 1, weight, np.arange(8)),
        Requantise("down", "a", "b", ones * 3, ones * 10),
        InverseGdn("igdn", "b", "c", *formats, False, 0, gamma, beta, 0 * ones, ones, ones * 18),
        PixelShuffle("shuffle", "c", "d", 2, 2),
        TransposedConvolution("up", "x", "e", S8, 2, 2, 1, weight[:2].repeat(2, 2)[:, :, :5].repeat(2, 3)[..., :5],
                              np.arange(2)),
        Requantise("scale", "e", "f", ones[:2] * 5, ones[:2] * 12),
        Add("sum", ("d", "f"), "g", 3, np.array([5, -3])),
        Table("gelu", "g", "h", rng.integers(-128, 128, 256)),
    )  # fmt: skip
    channels = {"a": (8, S32), "b": (8, S8), "c": (8, S8), "d": (2, S8), "e": (2, S32), "f": (2, S8), "g": (2, S8)}
    tensors = [Tensor(name, count, fmt) for name, (count, fmt) in {**channels, "h": (2, S8)}.items()]
    program = Program("p", (Tensor("x", 3, S8), *tensors), ops)
    inputs = [{"x": rng.integers(-128, 128, (3, *size))} for size in ((5, 7), (160, 96))]
    agree_all(program, inputs)
