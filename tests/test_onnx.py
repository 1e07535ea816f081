"""Programs exported to ONNX give the same integers in onnxruntime and in the reference implementation of ONNX."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnx_oracle
import pytest
from onnx_cases import (
    MILLION,
    S4,
    S8,
    S12,
    S16,
    S32,
    S48,
    U6,
    U8,
    U16,
    Inputs,
    agree,
    agree_all,
    chain,
    differences,
    filled,
    near,
)

from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.errors import ExportError, RangeError
from refcodec.formats import IntFormat, multiplier_bits
from refcodec.interop.export import export_model
from refcodec.interop.onnx import arithmetic, export
from refcodec.interop.onnx.export import export_program
from refcodec.interop.onnx.graph import INT32, INT64, Graph, Wire
from refcodec.interop.onnx.translation import Translation
from refcodec.models.shipped import DEFAULT_FLOAT, DEFAULT_MODEL, DEFAULT_STREAM, recipe_name, shipped_path
from refcodec.models.trained import load_trained
from refcodec.program.model_file import Model, load_model
from refcodec.program.operations import (
    KINDS,
    Clip,
    Convolution,
    LatentMean,
    Requantise,
    ScaleIndex,
    Tensor,
    TransposedConvolution,
)
from refcodec.program.program import Program
from refcodec.quantize.integerise import integerise
from refcodec.quantize.recipe import load_recipe

# --- requantisation


def accumulators(
    source: IntFormat, target: IntFormat, channels: int, rng: np.random.Generator, per_channel: int = 1 << 14
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accumulators (C, 1, N), multipliers and shifts, rich in ties, in values about to saturate, and in extremes."""
    bits = multiplier_bits(source)
    shift = rng.integers(1, 63, channels)
    multiplier = np.maximum(rng.integers(0, 2**bits, channels) >> rng.integers(0, bits, channels), 1)
    multiplier[0], shift[0], multiplier[1], shift[1] = 2**bits - 1, 62, 0, 1
    planes = []
    for m, s in zip(multiplier.tolist(), shift.tolist(), strict=True):
        twos = (m & -m).bit_length() - 1
        step = 2 ** (s - 1 - twos) if s > twos else 1  # at odd multiples of it, products are odd multiples of a half
        odd = [(2 * k + 1) * step for k in (*range(-60, 60), *rng.integers(-(2**16), 2**16, 80).tolist())]
        limits = [(2 * v + 1) * 2 ** (s - 1) // max(m, 1) for v in (target.lo - 1, target.lo, target.hi - 1, target.hi)]
        corners = near([*odd, *limits, source.lo, source.hi, 0], source)
        width = rng.integers(0, source.bits, per_channel - len(corners))
        drawn = rng.integers(source.lo, source.hi, len(width), endpoint=True) >> width
        planes.append([*corners, *drawn.tolist()])
    return np.array(planes, np.int64)[:, None, :], multiplier, shift


def ties(x: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> tuple[int, int]:
    """How many products end in exactly a half, and how many of these are negative."""
    products = x.astype(np.int64) * multiplier[:, None, None]
    unit = np.int64(1) << shift.astype(np.int64)[:, None, None]
    tie = (products & (unit - 1)) == unit >> 1
    return int(tie.sum()), int((tie & (products < 0)).sum())


def requantisation(source: IntFormat, target: IntFormat, multiplier: Any, shift: Any) -> Program:
    channels = len(multiplier)
    op = Requantise("scale", "x", "y", np.array(multiplier), np.array(shift))
    return chain(Tensor("x", channels, source), (op, Tensor("y", channels, target)))


@pytest.mark.parametrize(("source", "target"), [(S32, S8), (S48, U8), (S32, S12), (S48, U16), (S16, S4)], ids=str)
def test_requantise_agrees_on_a_million_constructed_values(
    source: IntFormat, target: IntFormat, rng: np.random.Generator
) -> None:
    """Catches division towards zero, rounding to even or away from zero, wrapping casts and products beyond 64 bits."""
    x, multiplier, shift = accumulators(source, target, 64, rng)
    y = agree(requantisation(source, target, multiplier, shift), {"x": x})["y"]
    assert y.size >= MILLION
    halves, negative = ties(x, multiplier, shift)
    assert negative >= 500
    assert halves - negative >= 500
    assert (y == target.lo).sum() >= 1000
    assert (y == target.hi).sum() >= 1000
    assert {source.lo, source.hi} <= set(x[0].ravel().tolist())


@pytest.mark.parametrize("bits", [32, 48])
def test_requantise_agrees_where_the_dividend_cannot_be_raised_within_64_bits(bits: int) -> None:
    """The ends of both profiles at the largest shifts, where the export must fall back on remainders."""
    source = IntFormat(bits, True)
    largest = (1 << multiplier_bits(source)) - 1
    shifts = np.arange(55, 63)
    ends = np.array([near([source.lo, source.hi, -1, 1], source)] * len(shifts))[:, None, :]
    program = requantisation(source, S16, [largest] * len(shifts), shifts)
    assert "Mod" in onnx_oracle.operators(export_program(program))
    y = agree(program, {"x": ends})["y"]
    assert len(np.unique(y)) > 4


def test_requantise_raises_the_dividend_where_that_is_proven(rng: np.random.Generator) -> None:
    program = requantisation(IntFormat(22, True), S8, [2**30] * 4, [40, 41, 42, 43])
    assert "Mod" not in onnx_oracle.operators(export_program(program))
    agree(program, {"x": rng.integers(-(2**21), 2**21, (4, 16, 16))})


# --- clip


@pytest.mark.parametrize(
    ("source", "target", "lo", "hi"),
    [(S16, U8, 0, 255), (S8, U8, 0, 127), (U8, S8, 3, 100), (S32, S16, -32768, 32767), (S48, S8, -128, 127),
     (S8, S48, -5, 5), (S8, S8, -128, 127), (U16, U16, 1, 65534)],
    ids=str,
)  # fmt: skip
def test_clip_agrees_between_all_forms(
    source: IntFormat, target: IntFormat, lo: int, hi: int, rng: np.random.Generator
) -> None:
    """Catches a limit without the zero point, and a cast before the limit."""
    x = filled(source, (4, 512, 512), rng, lo, hi)
    program = chain(Tensor("x", 4, source), (Clip("limit", "x", "y", lo, hi), Tensor("y", 4, target)))
    y = agree(program, {"x": x})["y"]
    assert y.size >= MILLION
    assert (y == lo).sum() > 2
    assert (y == hi).sum() > 2


# --- latent mean


@pytest.mark.parametrize("fraction", [0, 8, 15, 16])
def test_latent_mean_agrees(fraction: int, rng: np.random.Generator) -> None:
    fmt = IntFormat(17 + fraction, True)
    half = 1 << 15 + fraction
    means = np.array([0, -half, half - 1, 37], np.int64)
    x = rng.integers(-32768, 32768, (4, 512, 512))
    x[:, 0, :2] = -32768, 32767
    op = LatentMean("mean", "x", "y", fraction, means)
    y = agree(chain(Tensor("x", 4, S16), (op, Tensor("y", 4, fmt))), {"x": x})["y"]
    assert y.size >= MILLION
    assert int(y.min()) == fmt.lo
    assert int(y.max()) == 2 * half - 1 - (1 << fraction)


# --- scale index


def test_scale_index_agrees_at_every_threshold(rng: np.random.Generator) -> None:
    """Catches >= for >, a step too few, thresholds of another channel, and thresholds cut to a width."""
    rows = np.sort(rng.integers(-(2**40), 2**40, (16, 63)), axis=1)
    rows[1] = 5
    rows[2, :20], rows[2, 43:] = -(2**63), 2**63 - 1
    rows[3, 10:50] = rows[3, 10]
    rows[4] = np.arange(-31, 32)
    corners = np.stack([np.concatenate([row + d for d in (-1, 0, 1)]).clip(-(2**47), 2**47 - 1) for row in rows])
    drawn = rng.integers(-(2**41), 2**41, (16, 256 * 256 - corners.shape[1]))
    x = np.concatenate([corners, drawn], axis=1).reshape(16, 256, 256)
    program = chain(Tensor("x", 16, S48), (ScaleIndex("rows", "x", "y", rows), Tensor("y", 16, U6)))
    y = agree(program, {"x": x})["y"]
    assert y.size >= MILLION
    assert set(y[0].ravel().tolist()) == set(range(64))
    assert set(y[4].ravel().tolist()) == set(range(64))
    assert set(y[2].ravel().tolist()) <= set(range(20, 44))


# --- convolution


def layer(weight: np.ndarray, bias: Any, source: IntFormat, bits: int = 48, **geometry: int) -> Program:
    """One convolution, or a transposed one if an output padding is given."""
    kind: Any = TransposedConvolution if "output_padding" in geometry else Convolution
    op = kind("conv", "x", "a", S16, weight=weight, bias=np.array(bias), **geometry)
    return chain(Tensor("x", weight.shape[1], source), (op, Tensor("a", len(weight), IntFormat(bits, True))))


FORMATS = [(S8, S8), (U8, S8), (S4, S4), (U16, S8), (S16, S16), (S12, S12), (U16, S16), (U8, S16)]


@pytest.mark.parametrize(("source", "weights"), FORMATS, ids=str)
@pytest.mark.parametrize("geometry", [(1, 1, 0), (3, 1, 1), (5, 2, 2)], ids=str)
def test_convolution_agrees_on_extreme_and_random_values(
    source: IntFormat, weights: IntFormat, geometry: tuple[int, int, int], rng: np.random.Generator
) -> None:
    """Catches bytes put together wrongly, a padding that is not zero, and a zero point of the wrong byte."""
    kernel, stride, padding = geometry
    weight = rng.integers(weights.lo, weights.hi, (8, 6, kernel, kernel), endpoint=True)
    weight[0], weight[1] = weights.lo, weights.hi
    bias = [0, 0, *rng.integers(-(2**20), 2**20, 6).tolist()]
    side = 208 * stride
    x = rng.integers(source.lo, source.hi, (6, side, side), endpoint=True)
    x[:, :24, :24], x[:, 24:48, :24] = source.lo, source.hi
    program = layer(weight, bias, source, stride=stride, padding=padding)
    a = agree(program, {"x": x}, settings=[(True, 2)])["a"]
    small = {"x": np.ascontiguousarray(x[:, 12:36, :20])}
    agree(program, small)
    taps = 6 * kernel * kernel
    products = [v * w * taps for v in (source.lo, source.hi) for w in (weights.lo, weights.hi)]
    assert int(a[:2].min()) == min(products)
    assert int(a[:2].max()) == max(products)
    assert MILLION <= 8 * 208 * 208 * 3  # of the three geometries together


def test_convolution_splits_channels_whose_bytes_could_leave_32_bits() -> None:
    """Catches the silent wrap of ConvInteger: all bytes at their largest."""
    weight = np.full((2, 700, 7, 7), 255, np.int64)
    weight[1] = -32768
    x = np.full((700, 7, 7), 32767)
    x[:, 3, 3] = 255
    program = layer(weight, [5, -5], S16, stride=1, padding=0)
    assert onnx_oracle.operators(export_program(program)).count("ConvInteger") == 5
    a = agree(program, {"x": x})["a"]
    assert a.ravel().tolist() == [255 * 700 * (48 * 32767 + 255) + 5, -32768 * 700 * (48 * 32767 + 255) - 5]
    assert 255 * 255 * 700 * 49 >= 2**31


@pytest.mark.parametrize("bias", [2**31 - 1 - 128 * 255, 2**31 - 128 * 255, -(2**40)])
def test_convolution_adds_large_biases_in_64_bits(bias: int) -> None:
    """Catches a bias that wraps in int32."""
    program = layer(np.full((1, 1, 1, 1), 128 - 1), [bias], U8, stride=1, padding=0)
    x = np.arange(256).reshape(1, 16, 16)
    a = agree(program, {"x": x})["a"]
    assert int(a.max()) == bias + 127 * 255


# --- transposed convolution


def geometries() -> list[tuple[int, int, int, int]]:
    """Kernels, strides, paddings and output paddings: corners of the legal ones and those of real codecs."""
    found = {(5, 2, 2, 1), (9, 4, 4, 3), (3, 2, 1, 1), (4, 2, 1, 0), (2, 4, 0, 3), (1, 3, 0, 0), (1, 1, 0, 0)}
    for kernel in (3, 4, 6):
        for stride in (1, 2, 3, 4):
            for padding in (0, kernel // 2, kernel - 1):
                found |= {(kernel, stride, padding, extra) for extra in {0, stride - 1}}
    return sorted(found)


def test_transposed_convolution_agrees_at_every_geometry_and_size(rng: np.random.Generator) -> None:
    """Catches phases in the wrong order, flipped taps, and rows or columns too many or too few."""
    for kernel, stride, padding, extra in geometries():
        weight = rng.integers(-128, 128, (3, 4, kernel, kernel))
        program = layer(weight, [7, -9, 0], S8, stride=stride, padding=padding, output_padding=extra)
        agree_all(
            program, [{"x": rng.integers(-128, 128, (4, *size))} for size in ((9, 7), (8, 11))], settings=[(True, 1)]
        )


@pytest.mark.parametrize(("source", "weights"), FORMATS, ids=str)
def test_transposed_convolution_agrees_on_extreme_and_random_values(
    source: IntFormat, weights: IntFormat, rng: np.random.Generator
) -> None:
    weight = rng.integers(weights.lo, weights.hi, (6, 5, 5, 5), endpoint=True)
    weight[0], weight[1] = weights.lo, weights.hi
    x = rng.integers(source.lo, source.hi, (5, 104, 104), endpoint=True)
    x[:, :12, :12], x[:, 12:24, :12] = source.lo, source.hi
    program = layer(weight, [0, 0, 1, -1, 2**30, -(2**30)], source, stride=2, padding=2, output_padding=1)
    a = agree(program, {"x": x}, settings=[(True, 2)])["a"]
    agree(program, {"x": np.ascontiguousarray(x[:, 6:18, :10])})
    products = [v * w * 45 for v in (source.lo, source.hi) for w in (weights.lo, weights.hi)]
    assert int(a[:2].min()) == min(products)
    assert int(a[:2].max()) == max(products)


def test_phases_stay_in_channels_until_something_else_than_a_requantisation_reads_them(
    rng: np.random.Generator,
) -> None:
    """Catches constants that do not follow their channels; the accumulator is read twice."""
    upper = TransposedConvolution("up", "x", "a", S8, 2, 2, 0, rng.integers(-128, 128, (3, 2, 5, 5)), np.arange(3))
    scale = Requantise("scale", "a", "b", np.array([2**20, 2**21, 3 * 2**19]), np.array([28, 29, 27]))
    limit = Clip("limit", "b", "c", -100, 90)
    last = Convolution("last", "c", "d", S8, 1, 1, rng.integers(-128, 128, (2, 3, 3, 3)), np.arange(2))
    index = ScaleIndex("index", "a", "i", np.sort(rng.integers(-(2**18), 2**18, (3, 63)), axis=1))
    program = chain(
        Tensor("x", 2, S8),
        (upper, Tensor("a", 3, S32)),
        (scale, Tensor("b", 3, S8)),
        (limit, Tensor("c", 3, S8)),
        (last, Tensor("d", 2, S32)),
        (index, Tensor("i", 3, U6)),
    )
    found = agree(program, {"x": rng.integers(-128, 128, (2, 33, 29))})
    assert set(found) == {"d", "i"}
    run, taps = onnx_oracle.session(export_program(program, taps=True)), {}
    x = rng.integers(-128, 128, (2, 4, 6))
    program.run_all({"x": x}, taps.__setitem__)
    del taps["x"]
    assert differences(run, program, {"x": x}, taps) == 0


# --- whole decoders


@pytest.fixture(scope="module")
def latents() -> tuple[np.ndarray, np.ndarray]:
    """The symbols y and z of the shipped stream."""
    codec = ScaleHyperprior.from_model(load_model(shipped_path(DEFAULT_MODEL, ".rcm")))
    decoded, _ = codec.decode_latents(shipped_path(DEFAULT_STREAM, ".rcb").read_bytes())
    return decoded.y, decoded.z


def quantised(precision: str) -> Model:
    """The shipped network at a precision."""
    trained = load_trained(shipped_path(DEFAULT_FLOAT))
    return integerise(trained, load_recipe(shipped_path(recipe_name(precision), ".json")))


@pytest.mark.parametrize("precision", ["w4a4", "w8a8", "w12a12", "w16a16"])
def test_decoder_agrees_on_the_latents_of_a_stream(precision: str, latents: tuple[np.ndarray, np.ndarray]) -> None:
    """Every output of h_s and g_s on a 768x512 picture; every tensor of both on a corner of it."""
    model = quantised(precision)
    for name, symbols in (("g_s", latents[0]), ("h_s", latents[1])):
        program = model.programs[name]
        inputs = {program.input.name: symbols}
        agree(program, inputs, reference=False)
        corner = {program.input.name: np.ascontiguousarray(symbols[:, 2:7, 3:7])}
        taps: Inputs = {}
        program.run_all(corner, taps.__setitem__)
        del taps[program.input.name]
        content = export_program(program, taps=True)
        assert differences(onnx_oracle.session(content), program, corner, taps) == 0
        assert differences(onnx_oracle.reference(content), program, corner, taps) == 0


# --- the files


def test_export_gives_one_file_for_each_program_with_the_same_bytes_every_time(tiny_model: Model) -> None:
    files = export_model(tiny_model, "onnx")
    assert sorted(files) == ["g_s.onnx", "h_s.onnx", "manifest.json"]
    assert files == export_model(tiny_model, "onnx")


def test_export_says_what_it_is(tiny_model: Model) -> None:
    model = onnx_oracle.load(export_model(tiny_model, "onnx")["h_s.onnx"])
    properties = {item.key: item.value for item in model.metadata_props}
    assert properties == {
        "refcodec.family": "scale-hyperprior",
        "refcodec.identity": tiny_model.identity,
        "refcodec.inputs": '{"z":"s16"}',
        "refcodec.outputs": '{"indexes":"u6"}',
        "refcodec.program": "h_s",
    }
    assert (model.ir_version, [(item.domain, item.version) for item in model.opset_import]) == (7, [("", 13)])
    assert model.producer_name == "refcodec"


def shape_of(port: Any) -> list[int | str]:
    """The axes of an input or output, open ones by name."""
    return [axis.dim_param or axis.dim_value for axis in port.type.tensor_type.shape.dim]


def test_export_leaves_sizes_open_or_fixes_them(tiny_model: Model) -> None:
    program = tiny_model.programs["h_s"]
    channels = program.output.channels
    graph = onnx_oracle.load(export_program(program)).graph
    assert shape_of(graph.input[0]) == [1, program.input.channels, "z_height", "z_width"]
    assert shape_of(graph.output[0]) == [1, channels, "indexes_height", "indexes_width"]
    graph = onnx_oracle.load(export_program(program, sizes={"z": (2, 3)})).graph
    assert shape_of(graph.input[0]) == [1, program.input.channels, 2, 3]
    assert shape_of(graph.output[0]) == [1, channels, 8, 12]


# --- refusals


def test_export_names_the_package_that_is_missing(tiny_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx.checker", None)
    with pytest.raises(ExportError, match=r"RC-EXTRA: ONNX needs the package onnx: pip install 'refcodec\[interop\]'"):
        export_model(tiny_model, "onnx")


def test_export_refuses_an_operation_without_a_recipe(tiny_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(export.RECIPES, "scale_index")
    with pytest.raises(ExportError, match="RC-EXPORT: indexes: no exact form of scale_index in ONNX is known"):
        export_model(tiny_model, "onnx")


def test_every_kind_of_operation_has_a_recipe() -> None:
    assert set(export.RECIPES) == set(KINDS)


def test_graph_refuses_types_that_runtimes_do_not_compute() -> None:
    graph = Graph("g")
    with pytest.raises(ExportError, match="RC-EXPORT: g: no exact ONNX Clip on int16"):
        graph.clip(Wire("x", np.dtype(np.int16)), 0, 5)
    with pytest.raises(ExportError, match="RC-EXPORT: g: no exact ONNX Max on int64"):
        graph.call("Max", [Wire("x", INT64), Wire("y", INT64)])
    with pytest.raises(ExportError, match="RC-EXPORT: g: no exact ONNX Sqrt on int32"):
        graph.call("Sqrt", [Wire("x", INT32)])
    with pytest.raises(ExportError, match="RC-EXPORT: g: Add of int32 and int64"):
        graph.add(Wire("x", INT32), Wire("y", INT64))


def test_graph_refuses_constants_that_do_not_fit() -> None:
    graph = Graph("g")
    with pytest.raises(RangeError, match=r"RC-RANGE: g: constant 300 \.\. 300 does not fit uint8"):
        graph.constant(300, np.dtype(np.uint8))
    with pytest.raises(RangeError, match="RC-RANGE: g: a constant of float64"):
        graph.constant(np.array([1.0]), INT64)
    assert graph.constant(3, INT64) is graph.constant(np.int64(3), INT64)


def test_shift_refuses_sums_beyond_64_bits() -> None:
    ends = np.array([-(2**62)], object), np.array([2**63 - 1], object)
    with pytest.raises(ExportError, match="RC-EXPORT: g: a dividend may need 65 bits, not 64"):
        arithmetic.rounding_shift(Graph("g"), Wire("x", INT64), ends, np.array([3]))


# --- the stimuli above would catch these mistakes


def plain_division(graph: Graph, values: Wire, ends: Any, addend: Any, unit: Any, offset: int = 0) -> Wire:
    """A division that forgets that ONNX rounds towards zero."""
    constants = [graph.constant(v.reshape(-1, 1, 1), INT64) for v in (addend, unit)]
    return graph.add(graph.div(graph.add(values, constants[0]), constants[1]), offset)


def no_limit(t: Translation, values: Wire, fmt: IntFormat) -> Wire:
    """A cast without the limits before it."""
    return t.graph.cast(values, np.dtype(np.uint8) if fmt.bits <= 8 else INT32)


@pytest.mark.parametrize(
    ("owner", "name", "mistake"),
    [(arithmetic, "floor_division", plain_division), (Translation, "finish", no_limit)],
    ids=["plain division", "no limit before the cast"],
)
@pytest.mark.parametrize("target", [S8, S12], ids=str)
def test_requantise_stimuli_catch(
    owner: Any, name: str, mistake: Any, target: IntFormat, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, multiplier, shift = accumulators(S32, target, 16, rng, 2048)
    multiplier, shift = multiplier[2:], np.clip(shift[2:], 20, 50)
    program, inputs = requantisation(S32, target, multiplier, shift), {"x": x[2:]}
    wanted = program.run_all(inputs)
    assert differences(onnx_oracle.session(export_program(program)), program, inputs, wanted) == 0
    monkeypatch.setattr(owner, name, mistake)
    assert differences(onnx_oracle.session(export_program(program)), program, inputs, wanted) > 0
