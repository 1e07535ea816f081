"""`refcodec study drift`: every way to add up is what its name says, and what is counted is so."""

from __future__ import annotations

import csv
import json
import os
import platform
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from formula_codecs import formula_parameters, formula_picture

from refcodec.codecs.family import codec_of
from refcodec.codecs.mean_scale_hyperprior import MeanScaleHyperprior
from refcodec.codecs.picture import geometry_of_shape, read_picture, write_picture
from refcodec.entropy.rans import decode, encode
from refcodec.errors import FileError, ModelError, RangeError, RefcodecError, StreamError
from refcodec.layers import convolution as integer_convolution
from refcodec.layers import transposed_convolution as integer_transposed_convolution
from refcodec.metrics.psnr import psnr
from refcodec.models.architecture import Architecture
from refcodec.models.densities import factorised_tables, gaussian_tables
from refcodec.models.encoder import encode_picture, float_planes
from refcodec.models.float_codec import FloatCodec, scale_indexes
from refcodec.models.parameters import parameter_shapes
from refcodec.models.shipped import DEFAULT_FLOAT, shipped_path
from refcodec.models.trained import Trained, load_trained
from refcodec.quantize.calibrate import observe
from refcodec.quantize.choices import Choices, choose
from refcodec.quantize.integerise import integerise
from refcodec.quantize.photographs import find_pictures
from refcodec.study.drift import study as drift_study
from refcodec.study.drift.evaluations import (
    REFERENCE,
    Window,
    convolve,
    float_evaluations,
    fused,
    integer_evaluations,
    lanes,
    to_half,
    to_mantissa,
)
from refcodec.study.drift.figure import GAP, MARK, positions, side_by_side
from refcodec.study.drift.hyper_decoders import HyperDecoder, float_decoders, float_reference, integer_decoders
from refcodec.study.drift.measure import (
    BOUNDS,
    INTEGER,
    SPACING,
    HyperpriorCodec,
    Sent,
    check_family,
    drift_between,
    read,
    send_float,
    send_integer,
)
from refcodec.study.drift.summary import SIZES, exposures, nearer_than, total
from refcodec.study.drift.unchecked_rans import decode_unchecked

TAPS, CHANNELS = 3, 5  # 15 products: no power of two, no multiple of the lanes
FLOATS = {evaluation.name: evaluation for evaluation in float_evaluations(7)}
INTEGERS = {evaluation.name: evaluation for evaluation in integer_evaluations(7)}
PICTURE = np.rint(255 * formula_picture(120, 200)).astype(np.uint8).transpose(1, 2, 0)


# --- sums, against loops over scalars


def nearest_single(value: Fraction) -> np.float32:
    """The float32 nearest to a fraction, halves to even."""
    guess = np.float32(float(value))
    around = [np.nextafter(guess, np.float32(side)) for side in (-np.inf, np.inf)]
    return min([guess, *around], key=lambda c: (abs(Fraction(float(c)) - value), int(c.view(np.uint32)) & 1))


def added(numbers: list[np.float32]) -> np.float32:
    """One after another."""
    result = numbers[0]
    for number in numbers[1:]:
        result = np.float32(result + number)
    return result


def halved(numbers: list[np.float32]) -> np.float32:
    """The two halves, each added so."""
    if len(numbers) == 1:
        return numbers[0]
    return np.float32(halved(numbers[: len(numbers) // 2]) + halved(numbers[len(numbers) // 2 :]))


def in_lanes(count: int, numbers: list[np.float32]) -> np.float32:
    """Every count-th one, then neighbours of the lanes."""
    parts = [added(numbers[lane::count]) for lane in range(min(count, len(numbers)))]
    while len(parts) > 1:
        parts = [added(parts[i : i + 2]) for i in range(0, len(parts), 2)]
    return parts[0]


def scalar_sum(name: str, w: np.ndarray, x: np.ndarray, bias: np.float32) -> np.float32:
    """The sum of products of w and x, (taps, channels), with a bias, by the name of an evaluation."""
    products = [[np.float32(a * b) for a, b in zip(*rows, strict=True)] for rows in zip(w, x, strict=True)]
    flat = [product for row in products for product in row]
    if name == "bias first":
        return added([bias, *flat])
    if name == "fused":
        total_so_far = np.float32(0)
        for a, b in zip(w.ravel(), x.ravel(), strict=True):
            exact = Fraction(float(total_so_far)) + Fraction(float(a)) * Fraction(float(b))
            total_so_far = nearest_single(exact)
        return np.float32(total_so_far + bias)
    sums = {
        "one after another": lambda: added(flat),
        "channels first": lambda: added([products[t][c] for c in range(CHANNELS) for t in range(TAPS)]),
        "backwards": lambda: added(flat[::-1]),
        "pairwise": lambda: halved(flat),
        "4 lanes": lambda: in_lanes(4, flat),
        "8 lanes": lambda: in_lanes(8, flat),
        "16 lanes": lambda: in_lanes(16, flat),
        "scattered groups": lambda: added([added(products[t]) for t in np.random.default_rng(7).permutation(TAPS)]),
    }
    return np.float32(sums[name]() + bias)


@pytest.mark.parametrize(
    "name",
    ["one after another", "channels first", "backwards", "bias first", "pairwise", "4 lanes", "8 lanes", "16 lanes",
     "scattered groups", "fused"],
)  # fmt: skip
def test_evaluation_adds_in_the_order_of_its_name(name, rng):
    weights = rng.normal(size=(TAPS, CHANNELS, 4)).astype(np.float32)
    x = (rng.normal(size=(TAPS, CHANNELS, 60)) * 2.0 ** rng.integers(-12, 3, (TAPS, CHANNELS, 60))).astype(np.float32)
    bias = rng.normal(size=4).astype(np.float32)
    got = {**FLOATS, REFERENCE.name: REFERENCE}[name].sums(weights, x, bias)
    wanted = [[scalar_sum(name, weights[:, :, o], x[:, :, n], bias[o]) for n in range(60)] for o in range(4)]
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.array(wanted))


def test_orders_disagree_in_floats(rng):
    """Were two evaluations the same sum, the study would count one twice."""
    weights, x = (rng.normal(size=(9, 32, n)).astype(np.float32) for n in (8, 200))
    bias = rng.normal(size=8).astype(np.float32)
    sums = [evaluation.sums(weights, x, bias) for evaluation in (REFERENCE, *FLOATS.values())]
    for number, one in enumerate(sums):
        for other in sums[:number]:
            assert (one != other).any()


def test_fused_rounds_once():
    """1 + 2**-23 + 2**-24 - 2**-70 lies below the middle of two float32; float64 rounds it to the middle, then up."""
    one = np.float32(1)
    w = np.array([1 + 2.0**-23, 1 + 2.0**-23], np.float32).reshape(1, 2, 1)
    x = np.array([1, (1 - 2.0**-23) * 2.0**-24], np.float32).reshape(1, 2, 1)
    twice = np.float32(np.float64(w[0, 0, 0]) + np.float64(w[0, 1, 0]) * np.float64(x[0, 1, 0]))
    assert twice == np.float32(1 + 2.0**-22)
    assert fused(w, x)[0, 0] == np.float32(1 + 2.0**-23)
    assert fused(-w, x)[0, 0] == -np.float32(1 + 2.0**-23)
    assert fused(one.reshape(1, 1, 1), one.reshape(1, 1, 1))[0, 0] == 1


@pytest.mark.parametrize("name", INTEGERS)
def test_integer_sums_do_not_depend_on_their_order(name, rng):
    weights, x = (rng.integers(-(2**15), 2**15, (9, 7, n)) for n in (4, 30))
    bias = rng.integers(-(2**40), 2**40, 4)
    got = INTEGERS[name].sums(weights, x, bias)
    wanted = [
        [sum(int(a) * int(b) for a, b in zip(weights[..., o].flat, x[..., n].flat, strict=True)) + int(bias[o])
         for n in range(30)] for o in range(4)
    ]  # fmt: skip
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, wanted)


def test_lanes_beyond_the_products_are_left_out():
    assert lanes(16)(np.full((1, 3, 1), 2.0), np.full((1, 3, 1), 5.0)) == 30


@pytest.mark.parametrize("bits", [10, 7])
def test_mantissa_is_rounded_to_nearest_even(bits, rng):
    x = (rng.normal(size=5000) * 2.0 ** rng.integers(-20, 20, 5000)).astype(np.float32)
    ties = np.float32(1) + np.arange(64, dtype=np.float32) * np.float32(2.0 ** -(bits + 1))
    for values in (x, ties, -ties):
        fraction, exponent = np.frexp(values.astype(np.float64))
        wanted = np.ldexp(np.rint(np.ldexp(fraction, bits + 1)), exponent - bits - 1)
        np.testing.assert_array_equal(to_mantissa(bits)(values), wanted.astype(np.float32))


def test_half_overflows_to_infinity():
    np.testing.assert_array_equal(to_half(np.array([70000, 0.1], np.float32)), [np.inf, np.float32(np.float16(0.1))])


@pytest.mark.parametrize("by", [REFERENCE, *FLOATS.values()], ids=lambda by: by.name)
@pytest.mark.parametrize(("kernel", "stride", "transposed"), [(3, 1, False), (5, 2, False), (5, 2, True), (3, 2, True)])
def test_convolution_of_small_integers_is_exact_however_evaluated(kernel, stride, transposed, by, rng):
    x, weight = rng.integers(-4, 5, (3, 7, 6)), rng.integers(-4, 5, (2, 3, kernel, kernel))
    bias = rng.integers(-9, 10, 2)
    window = Window(stride, kernel // 2, transposed, stride - 1 if transposed else 0)
    operands = (x.astype(np.int16), weight.astype(np.int16), bias)
    if transposed:
        layer = integer_transposed_convolution.transposed_convolution_plain
        wanted = layer(*operands, stride, kernel // 2, stride - 1)
    else:
        wanted = integer_convolution.convolution_plain(*operands, stride, kernel // 2)
    got = convolve(x.astype(np.float32), weight.astype(np.float32), bias.astype(np.float32), window, by)
    if by.name == "bfloat16":
        wanted = to_mantissa(7)(wanted.astype(np.float32))
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.parametrize("transposed", [False, True])
def test_reference_convolution_adds_row_by_row_of_the_kernel(transposed, rng):
    """So that what an encoder writes does not depend on the machine that runs the study."""
    x, weight = rng.normal(size=(3, 4, 4)).astype(np.float32), rng.normal(size=(1, 3, 5, 5)).astype(np.float32)
    got = convolve(x, weight, np.zeros(1, np.float32), Window(2, 2, transposed, int(transposed)), REFERENCE)[0]
    for row, column in np.ndindex(got.shape):
        products = []
        for ky, kx, c in np.ndindex(5, 5, 3):
            y, i = (row + 2 - ky, column + 2 - kx) if transposed else (2 * row + ky - 2, 2 * column + kx - 2)
            if transposed and (y % 2 or i % 2):
                continue
            y, i = (y // 2, i // 2) if transposed else (y, i)
            inside = 0 <= y < 4 and 0 <= i < 4
            products.append(np.float32(weight[0, c, ky, kx] * x[c, y, i]) if inside else np.float32(0))
        assert got[row, column] == added(products)


# --- the entropy decoder that checks nothing


def naive_symbols(payload: bytes, indexes: np.ndarray, rows: list[list[int]], offsets: list[int]) -> list[int]:
    """rANS on Python integers; what follows the payload is zero."""
    words = [int.from_bytes(payload[i : i + 4], "little") for i in range(0, len(payload), 4)]
    state, left, found = words[0] | words[1] << 32, words[2:], []

    def refill(state: int) -> int:
        return state << 32 | (left.pop(0) if left else 0) if state < 1 << 31 else state

    def nibble() -> int:
        nonlocal state
        value, state = state & 15, refill(state >> 4)
        return value

    for index in indexes.flat:
        row, slot = rows[index], state & 0xFFFF
        entry = max(k for k in range(len(row) - 1) if row[k] <= slot)
        state = refill((row[entry + 1] - row[entry]) * (state >> 16) + slot - row[entry])
        if entry == len(row) - 2:
            count = value = nibble()
            while value == 15:
                value = nibble()
                count += value
            raw = sum(nibble() << 4 * k for k in range(count)) & 0xFFFFFFFF
            entry = -(raw >> 1) - 1 if raw & 1 else (raw >> 1) + entry
        found.append(min(max(entry + offsets[index], -(1 << 15)), (1 << 15) - 1))
    return found


@pytest.fixture(scope="module")
def coded():
    """Symbols with many escapes, their indexes, and the payload."""
    rng = np.random.default_rng(5)
    indexes = rng.integers(0, 64, (3, 20, 30))
    symbols = np.rint(rng.standard_t(1.5, indexes.shape) * 3).clip(-30000, 30000).astype(np.int16)
    return symbols, indexes, encode(symbols, indexes, gaussian_tables())


def test_unchecked_decoder_reads_what_the_checked_one_reads(coded):
    symbols, indexes, payload = coded
    np.testing.assert_array_equal(decode_unchecked(payload, indexes, gaussian_tables()), symbols)


@pytest.mark.parametrize("change", ["indexes", "cut", "words"])
def test_unchecked_decoder_reads_on_where_the_checked_one_stops(coded, change, rng):
    _, indexes, payload = coded
    tables = gaussian_tables()
    if change == "indexes":
        indexes = indexes.copy()
        indexes[0, 3, 4] ^= 1
    payload = payload[: len(payload) // 8 * 4] if change == "cut" else payload
    if change == "words":
        payload = payload[:80] + rng.bytes(400) + payload[480:]
    with pytest.raises(StreamError):
        decode(payload, indexes, tables)
    rows = [tables.values[a:b].tolist() for a, b in zip(tables.starts, tables.starts[1:], strict=False)]
    got = decode_unchecked(payload, indexes, tables)
    assert got.dtype == np.int16
    assert got.ravel().tolist() == naive_symbols(payload, indexes, rows, tables.offsets.tolist())


# --- codecs


def made(architecture: Architecture) -> Trained:
    parameters = formula_parameters(parameter_shapes(architecture))
    z_tables = factorised_tables(parameters, architecture.bottleneck)
    return Trained(FloatCodec(parameters), z_tables, gaussian_tables(), {"source": "a rule"})


@pytest.fixture(scope="module")
def shipped() -> Trained:
    return load_trained(shipped_path(DEFAULT_FLOAT))


@pytest.fixture(scope="module")
def mean_scale() -> Trained:
    return made(Architecture("mean-scale-hyperprior", "relu", "mbt2018", 4, 6, 4))


@pytest.fixture(scope="module", params=["shipped", "mean_scale"])
def trained(request: pytest.FixtureRequest) -> Trained:
    found: Trained = request.getfixturevalue(request.param)
    return found


def latent(trained: Trained, picture: np.ndarray = PICTURE) -> np.ndarray:
    return trained.twin.analysis(float_planes(picture, trained.twin.multiple))


@pytest.fixture(scope="module")
def sent(trained: Trained) -> Sent:
    return send_float(trained, "picture", PICTURE, latent(trained))


def test_float_stream_read_as_written_is_right(trained, sent):
    outcome = read(sent, float_reference(trained.twin)).outcome
    assert (outcome.differing, outcome.flips, outcome.first_flip, outcome.wrong) == (0, 0, None, 0)
    assert not outcome.refused
    assert outcome.read_psnr_db == outcome.psnr_db


def test_reference_agrees_with_the_float_codec(trained, sent):
    """The same network: nearly its scales, all but a few of its symbols, and the same picture where they are equal."""
    coded_latent = trained.twin.code(latent(trained))
    assert np.count_nonzero(coded_latent.y != sent.symbols) <= 2
    assert np.count_nonzero(coded_latent.indexes != sent.parameters.indexes) <= 2
    planes = trained.twin.synthesis((sent.symbols + sent.parameters.means).astype(np.float32))
    picture = np.rint(255 * planes).clip(0, 255)[:, : PICTURE.shape[0], : PICTURE.shape[1]].transpose(1, 2, 0)
    np.testing.assert_array_equal(sent.decoded, picture)


def flipping(sent: Sent, position: int, tensors: dict[str, np.ndarray]) -> tuple[Sent, HyperDecoder]:
    """A decoder that gives the tensors of the encoder, and one index of another row."""

    def interpret(found):
        known = sent.interpret(found)
        indexes = known.indexes.copy()
        indexes.flat[position] += 1
        return known._replace(indexes=indexes)

    return replace(sent, interpret=interpret), HyperDecoder("flips one", "a test", lambda z: tensors)


def test_one_flipped_index_breaks_what_follows(shipped):
    sent = send_float(shipped, "picture", PICTURE, latent(shipped))
    position = int(np.flatnonzero(np.abs(sent.symbols.ravel()) > 1)[5])
    other, decoder = flipping(sent, position, float_reference(shipped.twin).run(sent.z))
    reading = read(other, decoder)
    outcome = reading.outcome
    assert (outcome.flips, outcome.first_flip, outcome.refused) == (1, position, True)
    np.testing.assert_array_equal(reading.symbols.ravel()[:position], sent.symbols.ravel()[:position])
    assert outcome.wrong == np.count_nonzero(reading.symbols != sent.symbols) > sent.symbols.size // 10
    assert outcome.read_psnr_db == psnr(PICTURE, reading.picture) < outcome.psnr_db - 3
    assert np.argwhere(reading.flipped.ravel()).tolist() == [[position]]


def test_narrow_formats_flip_indexes(shipped):
    """As many as the drift lets expect, but for chance."""
    sent = send_float(shipped, "picture", PICTURE, latent(shipped))
    with float_decoders(shipped.twin, 0) as decoders:
        found = {decoder.name: read(sent, decoder).outcome for decoder in decoders}
    for name in ("TF32", "float16", "bfloat16"):
        outcome = found[name]
        assert outcome.wrong > 0
        assert outcome.refused
        assert abs(outcome.flips - outcome.expected_flips) < 5 * outcome.expected_flips**0.5
    assert 10 * found["TF32"].mean_difference < found["bfloat16"].mean_difference
    for name in set(found) - {"TF32", "float16", "bfloat16"}:
        assert found[name].mean_difference < 1e-5
        assert found[name].flips <= 2


def test_scales_need_no_lower_bound_to_give_indexes(shipped):
    """What the lower bound lifts to 0.11 is index 0 anyway."""
    values = np.array([-1, 0.05, BOUNDS[0], np.nextafter(BOUNDS[0], 1), 1e9])
    sent = send_float(shipped, "picture", PICTURE, latent(shipped))
    found = sent.interpret({"h_s.4": values})
    assert found.indexes.tolist() == [0, 0, 0, 1, 63] == scale_indexes(np.maximum(values, BOUNDS[0])).tolist()


@pytest.fixture(scope="module")
def integer(trained):
    y = latent(trained)
    model = integerise(trained, choose(trained.twin, observe(trained.twin, [y]), Choices()))
    codec = codec_of(model)
    assert isinstance(codec, HyperpriorCodec)
    return model, codec, send_integer(codec, trained.twin, "picture", PICTURE, y)


def test_integer_stream_is_the_one_of_the_codec(integer):
    model, codec, sent = integer
    assert sent.arithmetic == INTEGER
    np.testing.assert_array_equal(codec.decode(encode_picture(PICTURE, model)), sent.decoded)


def test_integer_decoders_agree_to_the_bit(integer):
    _, codec, sent = integer
    names = []
    for decoder in integer_decoders(codec.h_s, 3):
        outcome = read(sent, decoder).outcome
        names.append(decoder.name)
        assert outcome.values > 3 * outcome.indexes
        assert (outcome.differing, outcome.flips, outcome.wrong, outcome.refused) == (0, 0, 0, False), decoder.name
        assert outcome.read_psnr_db == outcome.psnr_db
    assert len(set(names)) == len(names)
    assert {"Numba, 1 thread", "NumPy", "pairwise", "scattered groups", "float64 BLAS"} <= set(names)


def test_integer_decoder_that_is_wrong_is_counted(integer):
    """One weight of the last layer, one step larger."""
    _, codec, sent = integer
    last = [op for op in codec.h_s.operations if op.kind == "convolution"][-1]
    weight = last.weight.copy()
    weight[0, 0, 1, 1] += 1 if weight[0, 0, 1, 1] < 127 else -1
    operations = tuple(replace(op, weight=weight) if op is last else op for op in codec.h_s.operations)
    for decoder in integer_decoders(replace(codec.h_s, operations=operations), 3):
        assert read(sent, decoder).outcome.differing > 0, decoder.name


def test_integer_picture_of_wrong_symbols_is_rendered_by_the_program(integer):
    _, codec, sent = integer
    tensors: dict[str, np.ndarray] = {}
    codec.h_s.run_all({codec.h_s.input.name: sent.z}, tensors.__setitem__)
    other, decoder = flipping(sent, int(np.flatnonzero(sent.symbols.ravel())[0]), tensors)
    reading = read(other, decoder)
    latents = reading.symbols
    if isinstance(codec, MeanScaleHyperprior):
        latents = (reading.symbols.astype(np.int64) << codec.fraction) + tensors["means"]
    planes = codec.g_s.run(latents)[:, : PICTURE.shape[0], : PICTURE.shape[1]]
    np.testing.assert_array_equal(reading.picture, planes.transpose(1, 2, 0))
    assert geometry_of_shape(reading.picture.shape) == geometry_of_shape(PICTURE.shape)


def test_families_whose_scales_need_a_context_are_refused():
    for architecture in (
        Architecture("checkerboard", "gdn1", "mbt2018", 4, 6, 4),
        Architecture("factorised", "relu", "none", 4, 6, 1),
    ):
        parameters = formula_parameters(parameter_shapes(architecture))
        twin = FloatCodec(parameters, {"backbone": architecture.backbone})
        with pytest.raises(ModelError, match=f"whose scales need z alone, got {architecture.family}") as error:
            check_family(twin)
        assert error.value.code == "RC-MODEL-FAMILY"


# --- other processes


def test_blas_settings_reach_other_processes_only(shipped, monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    before = dict(os.environ)
    with float_decoders(shipped.twin, 0) as decoders:
        assert dict(os.environ) == before
        runs = {decoder.name: decoder.run for decoder in decoders if isinstance(decoder.run, partial)}
        executors = {name: run.keywords["executor"] for name, run in runs.items() if run.keywords}
        threads = {name: e.submit(os.getenv, "OPENBLAS_NUM_THREADS").result() for name, e in executors.items()}
        cores = {name: e.submit(os.getenv, "OPENBLAS_CORETYPE").result() for name, e in executors.items()}
    assert (threads["BLAS, 1 thread"], threads["BLAS, 2 threads"]) == ("1", "2")
    if platform.machine().lower() in ("x86_64", "amd64"):
        assert (cores["BLAS, Prescott"], cores["BLAS, Nehalem"]) == ("Prescott", "Nehalem")
    assert len(executors) >= 2


# --- figures of merit


def test_drift_counts_the_bounds_between():
    before = np.array([1.0, 2.0, 0.01, 400.0, -1.0])
    after = before * np.exp([SPACING, -SPACING / 2, 1, 1, 1])
    drift = drift_between(before, after)
    assert drift.mean == pytest.approx(0.75 * SPACING)
    assert drift.largest == pytest.approx(SPACING)
    assert drift.expected_flips == pytest.approx(1.5)
    assert drift_between(before[2:], after[2:]) == (0, 0, 0)


def test_nearness_is_counted_at_every_bound():
    scales = np.concatenate([BOUNDS * np.exp(2e-5), BOUNDS[[0, 7, 62]] * np.exp(-2e-3), [-3.0, 0.0, 1e6]])
    counts = dict(zip(SIZES, nearer_than(scales.astype(np.float64)), strict=True))
    assert [counts[size] for size in SIZES] == [63 * (size > 2e-5) + 3 * (size > 2e-3) for size in SIZES]


def test_curve_gives_each_near_scale_an_even_chance():
    one, two = np.zeros(len(SIZES), np.int64), np.zeros(len(SIZES), np.int64)
    one[5:], two[8:] = 1, 3
    curve = exposures([one, two])
    assert [point.size for point in curve] == list(SIZES)
    assert [point.exposed for point in curve] == [0] * 5 + [0.5] * 3 + [1] * (len(SIZES) - 8)
    assert [point.damaged for point in curve][4:9] == [0, 0.25, 0.25, 0.25, (0.5 + 0.875) / 2]
    assert curve[8].nearer == 2


def test_total_averages_over_broken_pictures_alone(shipped):
    sent = send_float(shipped, "picture", PICTURE, latent(shipped))
    right = read(sent, float_reference(shipped.twin)).outcome
    wrong = replace(right, flips=2, wrong=right.indexes // 2, refused=True, read_psnr_db=9.0, psnr_db=30.0)
    found = total([right, wrong, right], "a test")
    assert (found.pictures, found.broken, found.refused, found.flips) == (3, 1, 1, 2)
    assert found.flips_per_million == pytest.approx(2e6 / (3 * right.indexes))
    assert (found.wrong, found.psnr_db, found.read_psnr_db) == (0.5, 30.0, 9.0)
    assert total([right], "a test").wrong is None


def test_figure_marks_flips_and_shades_wrong_symbols():
    right = np.full((40, 50, 3), 90, np.uint8)
    flipped, wrong = np.zeros((2, 4, 4), bool), np.zeros((2, 4, 4), bool)
    flipped[1, 0, 1], wrong[:, 2, 2] = True, True
    panel = positions(right, flipped, wrong)
    assert panel.shape == right.shape
    assert (panel[:10, 13:26] == MARK).all()
    assert (panel[20:30, 26:39] == [120, 120, 230]).all()
    assert (panel[30:] == 30).all()
    wide = side_by_side(right[..., 0], right[..., 0], flipped, wrong)
    assert wide.shape == (40, 150 + 2 * GAP, 3)
    np.testing.assert_array_equal(wide[:, -50:], panel)


# --- the whole study


def test_study_writes_what_it_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(drift_study, "CALIBRATION", 1)
    paths = [tmp_path / "one.png", tmp_path / "two.png"]
    write_picture(paths[0], PICTURE)
    write_picture(paths[1], PICTURE[::-1, :90, 0])
    document, text = drift_study.run_study(shipped_path(DEFAULT_FLOAT), paths, 1, tmp_path / "out")
    out = tmp_path / "out"
    rows = list(csv.DictReader((out / "drift.csv").read_text().splitlines()))
    assert document == json.loads((out / "summary.json").read_text())
    assert (out / "table.txt").read_text() == f"{text}\n"
    floats = {row["decoder"] for row in rows if row["arithmetic"] == "float"}
    integers = {row["decoder"] for row in rows if row["arithmetic"] == "integer"}
    assert len(rows) == 2 * (len(floats) + len(integers))
    assert {row["picture"] for row in rows} == {"one.png", "two.png"}
    for row in rows:
        if row["arithmetic"] == "integer":
            assert (row["differing"], row["flips"], row["first_flip"], row["wrong"]) == ("0", "0", "", "0")
    assert document["exact"] is True
    assert f"Integer decoders: 0 of {2 * len(integers)} readings differ in anything." in text
    totals = {(found["arithmetic"], found["decoder"]): found for found in document["totals"]}
    tf32 = [row for row in rows if row["decoder"] == "TF32"]
    assert totals["float", "TF32"]["flips"] == sum(int(row["flips"]) for row in tf32) > 0
    shown = document["shown"]
    candidates = [row for row in rows if int(row["wrong"])]
    assert shown["flips"] == min(int(row["flips"]) for row in candidates)
    assert f"Shown: {shown['picture']} by {shown['decoder']}" in text
    height, width = PICTURE.shape[0], PICTURE.shape[1] if shown["picture"] == "one.png" else 90
    assert read_picture(out / "drift.png").shape == (height, 3 * width + 2 * GAP, 3)
    lines = (out / "curve.csv").read_text().splitlines()
    assert len(lines) == len(SIZES) + 1
    assert (out / "table.md").read_text().count("\n| ") >= len(totals)


def test_study_goes_without_matplotlib(tmp_path, monkeypatch):
    def missing(*_):
        raise RefcodecError("RC-EXTRA", "the plot needs the package matplotlib")

    monkeypatch.setattr(drift_study, "curve_png", missing)
    monkeypatch.setattr(drift_study, "float_decoders", _none)
    write_picture(tmp_path / "one.png", PICTURE[:64, :64])
    _, text = drift_study.run_study(shipped_path(DEFAULT_FLOAT), [tmp_path / "one.png"], 1, Path(tmp_path / "out"))
    assert "the plot needs the package matplotlib" in text
    assert "No picture broke" in text
    assert not {"curve.png", "drift.png"} & {path.name for path in (tmp_path / "out").iterdir()}


class _none:
    """No float decoders at all."""

    def __init__(self, *_: object) -> None:
        pass

    def __enter__(self) -> tuple[HyperDecoder, ...]:
        return ()

    def __exit__(self, *_: object) -> None:
        pass


def test_study_tells_when_integers_differ(shipped):
    sent = send_float(shipped, "picture", PICTURE, latent(shipped))
    right = replace(read(sent, float_reference(shipped.twin)).outcome, arithmetic=INTEGER)
    study = drift_study.Study((right, replace(right, differing=1), replace(right, arithmetic="float")), (), (), None)
    assert study.differing == (1, 2)
    assert drift_study.document_of(study, shipped, 0)["exact"] is False


def test_pictures_of_a_folder_are_found_or_refused(tmp_path):
    with pytest.raises(FileError, match="holds no picture"):
        find_pictures(tmp_path)
    for name in ("b.png", "a.JPG", "c.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in find_pictures(tmp_path)] == ["a.JPG", "b.png"]


def test_seed_below_zero_is_refused(shipped):
    with pytest.raises(RangeError, match="a seed is 0 or more, got -1"):
        drift_study.study_drift(shipped, [], -1)


def test_study_leaves_the_folders_of_others_alone(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(FileError, match=r"was not written by this command: it holds mine\.txt"):
        drift_study.run_study(shipped_path(DEFAULT_FLOAT), [], 0, tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"


def test_float_streams_break_on_photographs_and_integers_do_not(data, shipped):
    """Where the smallest float formats are used, every photograph breaks."""
    picture = read_picture(data / "kodak" / "kodim23.png")
    sent = send_float(shipped, "kodim23.png", picture, latent(shipped, picture))
    tf32 = HyperDecoder("TF32", "", next(d.run for d in _in_process(shipped.twin) if d.name == "TF32"))
    outcome = read(sent, tf32).outcome
    assert outcome.refused
    assert outcome.wrong > outcome.indexes // 4
    assert outcome.read_psnr_db < outcome.psnr_db - 10


def _in_process(twin: FloatCodec) -> list[HyperDecoder]:
    with float_decoders(twin, 0) as decoders:
        return [decoder for decoder in decoders if not decoder.name.startswith("BLAS,")]
