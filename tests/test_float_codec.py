"""Float codecs equal CompressAI's own models, plain loops in float64, and PyTorch's figures on photographs."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import imageio.v3
import numpy as np
import pytest
from formula_codecs import formula_parameters, formula_picture
from naive_float import (
    naive_convolution,
    naive_leaky,
    naive_masked,
    naive_norm,
    naive_resolved,
    naive_transposed,
)
from small_codecs import ARCHITECTURES, label, latent_of, parameters_of, small_codec

from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.models.architecture import Architecture, part_of
from refcodec.models.checkpoint import load_parameters, read_metadata
from refcodec.models.densities import SCALE_TABLE_BITS
from refcodec.models.float_codec import Coded, FloatCodec, anchors, rounded, scale_indexes
from refcodec.models.float_layers import transposed_convolution
from refcodec.models.shipped import shipped_path

FIXTURES = Path(__file__).parent / "fixtures"
CHECKPOINT = FIXTURES / "hyperprior_n2_m3.pth.tar"
SHIPPED = "balle2018-relu-n32-m64-lambda0130"


# --- CompressAI's models with the same parameters (fixtures/make_compressai_reference.py)

SPARSE = 7  # of a picture, and of what ssf2020 has of channels, the reference keeps one in so many
LAYOUTS: dict[str, dict[str, list[int]]] = json.loads((FIXTURES / "compressai_layouts.json").read_text())


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    with np.load(FIXTURES / "compressai_outputs.npz") as archive:
        return dict(archive)


def compressai_codec(kind: str) -> FloatCodec:
    parameters = formula_parameters({name: tuple(shape) for name, shape in LAYOUTS[kind].items()})
    if kind == "ssf2020":
        parameters = part_of(parameters, "img")
    return FloatCodec(parameters, {"backbone": "GDN1"} if kind.endswith("gdn1") else None)


@pytest.mark.parametrize("kind", LAYOUTS)
def test_float_codec_computes_what_compressai_computes(kind: str, reference: dict[str, np.ndarray]) -> None:
    """y, z, scales, means and side information, what a decoder makes of a stream, and its picture."""
    codec = compressai_codec(kind)
    y = codec.analysis(formula_picture(128 if kind == "ssf2020" else 64, 128))
    coded = codec.code(y)
    found = {"y": y, "y_hat": coded.y_hat, "x_hat": codec.synthesis(coded.y_hat)[:, ::SPARSE, ::SPARSE]}
    if coded.z is not None:
        found["z"] = codec.hyper_analysis(y)
        found["h_s"] = np.concatenate(list(codec.hyper_synthesis(coded.z).values()))
    assert {f"{kind} {name}" for name in found} == {name for name in reference if name.startswith(kind + " ")}
    for name, array in found.items():
        wanted = reference[f"{kind} {name}"]
        if kind == "ssf2020" and name != "x_hat":
            array = array[::SPARSE]
        if name == "h_s" and "side" not in codec.networks["h_s"].outputs:  # CompressAI bounds the scales later
            scales = -(-192 // SPARSE) if kind == "ssf2020" else codec.architecture.m
            wanted = np.concatenate([np.maximum(wanted[:scales], np.float32(0.11)), wanted[scales:]])
        assert np.abs(wanted).max() > 0.2, "the comparison would be of zeros"
        np.testing.assert_allclose(array, wanted, rtol=0, atol=1e-5 * max(1.0, np.abs(wanted).max()), err_msg=name)


# --- the whole codec as plain loops, N = 2, M = 3


def tiny(backbone: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The fixture's parameters, smooth enough for every latent to live, with normalisation or without."""
    parameters = load_parameters(CHECKPOINT)
    for name in parameters:
        if name.startswith(("g_", "h_")) and name.endswith("bias"):
            parameters[name] = np.abs(parameters[name]) + np.float32(0.1)
        if name.endswith("beta"):  # away from its floor, where float32 divides by almost nothing
            parameters[name] = np.abs(parameters[name]) + np.float32(0.3)
    if backbone == "relu":
        kept = {"0", "2", "4", "6"}
        parameters = {
            n: a for n, a in parameters.items() if not n.startswith(("g_a", "g_s")) or n.split(".")[1] in kept
        }
    return parameters, {"backbone": backbone}


def naive_backbone(net: str, x: np.ndarray, parameters: dict[str, np.ndarray], backbone: str) -> np.ndarray:
    layer = naive_convolution if net == "g_a" else naive_transposed
    for index in (0, 2, 4, 6):
        x = layer(x, parameters[f"{net}.{index}.weight"], parameters[f"{net}.{index}.bias"], 2)
        if index < 6 and backbone == "relu":
            x = np.maximum(x, 0)
        elif index < 6:
            beta = naive_resolved(parameters[f"{net}.{index + 1}.beta"], 1e-6)
            gamma = naive_resolved(parameters[f"{net}.{index + 1}.gamma"], 0)
            norm = naive_norm(x, beta, gamma, {"gdn": 2, "gdn1": 1}[backbone])
            x = x / norm if net == "g_a" else x * norm
    return x


def naive_hyper(net: str, x: np.ndarray, parameters: dict[str, np.ndarray]) -> np.ndarray:
    def weights(index: int) -> tuple[np.ndarray, np.ndarray]:
        return parameters[f"{net}.{index}.weight"], parameters[f"{net}.{index}.bias"]

    if net == "h_a":
        x = np.maximum(naive_convolution(abs(x), *weights(0), 1), 0)
        x = np.maximum(naive_convolution(x, *weights(2), 2), 0)
        return naive_convolution(x, *weights(4), 2)
    x = np.maximum(naive_transposed(x, *weights(0), 2), 0)
    x = np.maximum(naive_transposed(x, *weights(2), 2), 0)
    return np.maximum(naive_convolution(x, *weights(4), 1), 0.11)


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    assert found.dtype == np.float32
    assert np.abs(wanted).max() > 0.01, "the comparison would be of zeros"
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("backbone", ["relu", "gdn", "gdn1"])
def test_float_codec_equals_plain_loops_as_a_whole(backbone: str) -> None:
    parameters, metadata = tiny(backbone)
    twin, rng = FloatCodec(parameters, metadata), np.random.default_rng(5)
    assert twin.architecture.backbone == backbone
    picture = rng.random((3, 64, 64), np.float32)
    close(twin.analysis(picture), naive_backbone("g_a", picture, parameters, backbone))
    y = rng.normal(0, 1, (3, 4, 4)).astype(np.float32)
    close(twin.synthesis(y), naive_backbone("g_s", y, parameters, backbone))


def test_float_codec_hyper_networks_equal_plain_loops() -> None:
    parameters, _ = tiny("relu")
    twin, rng = FloatCodec(parameters), np.random.default_rng(6)
    y, z = rng.normal(0, 9, (3, 8, 4)).astype(np.float32), rng.integers(-20, 20, (2, 2, 3)).astype(np.int16)
    close(twin.hyper_analysis(y), naive_hyper("h_a", y, parameters))
    z_hat = z + parameters["entropy_bottleneck.quantiles"][:, 0, 1][:, None, None]
    close(twin.hyper_synthesis(z)["scales"], naive_hyper("h_s", z_hat, parameters))
    np.testing.assert_array_equal(twin.hyper_analysis(-y), twin.hyper_analysis(y))


def test_float_codec_reads_magnitudes_in_balles_layout_only() -> None:
    twin = small_codec(Architecture("mean-scale-hyperprior", "relu", "mbt2018", 4, 6, 5))
    y = latent_of(twin)
    assert np.abs(twin.hyper_analysis(y) - twin.hyper_analysis(-y)).max() > 0.1


def test_float_codec_squares_where_the_metadata_do_not_say() -> None:
    parameters, _ = tiny("gdn")
    picture = np.full((3, 64, 64), 0.5, np.float32)
    twins = [FloatCodec(parameters, metadata) for metadata in (None, {"backbone": "GDN"}, {"backbone": "GDN1"})]
    latents = [twin.analysis(picture) for twin in twins]
    np.testing.assert_array_equal(latents[0], latents[1])
    assert np.abs(latents[0] - latents[2]).max() > 0.01


@pytest.mark.parametrize(
    ("backbone", "between"),
    [("relu", ("g_s.{}",)), ("gdn", ("g_s.{}.x", "g_s.{}")), ("gdn1", ("g_s.{}.x", "g_s.{}"))],
)
def test_float_codec_shows_every_tensor_of_its_synthesis(backbone: str, between: tuple[str, ...]) -> None:
    twin, seen = FloatCodec(*tiny(backbone)), {}
    y = np.random.default_rng(7).normal(0, 1, (3, 2, 2)).astype(np.float32)
    picture = twin.synthesis(y, lambda name, array: seen.update({name: array.copy()}))
    inner = [name for i in (1, 3, 5) for name in (f"g_s.{i - 1}", *(b.format(i) for b in between))]
    assert list(seen) == ["y_hat", *inner, "g_s.6", "x_hat"]
    np.testing.assert_array_equal(seen["y_hat"], y)
    np.testing.assert_array_equal(seen["x_hat"], picture)
    for index in (1, 3, 5):
        assert seen[f"g_s.{index}"].shape == (2, 2 * 2 ** (index // 2 + 1), 2 * 2 ** (index // 2 + 1))
        assert backbone != "relu" or seen[f"g_s.{index}"].min() == 0  # after the ReLU
    weight, bias = twin.parameters["g_s.6.weight"], twin.parameters["g_s.6.bias"]
    np.testing.assert_array_equal(transposed_convolution(seen["g_s.5"], weight, bias, 2), picture)
    np.testing.assert_array_equal(twin.synthesis(y), picture)


def test_float_codec_shows_every_tensor_of_its_hyper_synthesis() -> None:
    twin, seen = FloatCodec(*tiny("relu")), {}
    z = np.random.default_rng(8).integers(-9, 9, (2, 2, 2)).astype(np.int16)
    scales = twin.hyper_synthesis(z, lambda name, array: seen.update({name: array.copy()}))["scales"]
    assert {name: array.shape for name, array in seen.items()} == {
        "z_hat": (2, 2, 2),
        "h_s.0": (2, 4, 4),
        "h_s.1": (2, 4, 4),
        "h_s.2": (2, 8, 8),
        "h_s.3": (2, 8, 8),
        "h_s.4": (3, 8, 8),
        "scales": (3, 8, 8),
    }
    np.testing.assert_array_equal(seen["z_hat"], (z + twin.medians[:, None, None]).astype(np.float32))
    np.testing.assert_array_equal(seen["scales"], scales)
    assert all(seen[name].min() >= 0 for name in ("h_s.1", "h_s.3"))
    assert scales.min() == np.float32(0.11)
    np.testing.assert_array_equal(twin.hyper_synthesis(z)["scales"], scales)


def test_float_codec_takes_medians_from_the_middle_quantile() -> None:
    parameters, _ = tiny("relu")
    twin = FloatCodec(parameters)
    np.testing.assert_array_equal(twin.medians, [parameters["entropy_bottleneck.quantiles"][n, 0, 1] for n in (0, 1)])
    assert twin.medians.shape == (2,)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_float_codec_takes_medians_of_the_density_of_its_family(architecture: Architecture) -> None:
    parameters = parameters_of(architecture)
    prefix = {"checkerboard": "latent_codec.hyper."}.get(architecture.family, "")
    prefix = f"{architecture.stem}_hyperprior." if architecture.stem else prefix
    quantiles = parameters.get(f"{prefix}entropy_bottleneck.quantiles")
    if quantiles is None:  # bls2017 has no density: symbols without shift
        assert architecture.backbone == "bls2017"
        quantiles = np.zeros((architecture.m, 1, 3), np.float32)
    np.testing.assert_array_equal(small_codec(architecture).medians, quantiles[:, 0, 1])


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_float_codec_strides_are_those_of_its_layers(architecture: Architecture) -> None:
    codec = small_codec(architecture)
    hyper = {"none": 1, "ssf2020": 8}.get(architecture.hyper, 4)
    assert (codec.hyper_stride, codec.multiple) == (hyper, 16 * hyper)
    y = latent_of(codec, (1, 2))
    assert y.shape == (architecture.m, hyper, 2 * hyper)
    coded = codec.code(y)
    assert coded.y.shape == coded.y_hat.shape == y.shape
    assert (coded.y.dtype, coded.y_hat.dtype) == (np.int16, np.float32)
    if architecture.hyper != "none":
        assert coded.z.shape == (architecture.z, 1, 2)
        assert coded.indexes.shape == y.shape
        assert (coded.z.dtype, coded.indexes.dtype) == (np.int16, np.uint8)
    else:
        assert coded.z is coded.indexes is None
    if architecture.backbone != "none":
        assert codec.synthesis(coded.y_hat).shape == (3, 16 * hyper, 32 * hyper)


def test_float_codec_refuses_incomplete_parameters() -> None:
    parameters, _ = tiny("relu")
    del parameters["h_a.2.bias"]
    with pytest.raises(ModelError, match=r"RC-CHECKPOINT-PARAMETER: h_a\.2\.bias"):
        FloatCodec(parameters)


def test_float_codec_refuses_wrong_inputs() -> None:
    twin, one = FloatCodec(*tiny("relu")), np.float32(1)
    for function, shape in (
        (twin.analysis, (3, 64, 65)),
        (twin.analysis, (1, 64, 64)),
        (twin.analysis, (3, 0, 64)),
        (twin.analysis, (64, 64)),
        (twin.hyper_analysis, (3, 4, 6)),
        (twin.hyper_analysis, (2, 4, 4)),
        (twin.hyper_synthesis, (3, 1, 1)),
        (twin.hyper_synthesis, (1, 1, 1)),
        (twin.hyper_synthesis, (1, 2, 1, 1)),
        (twin.synthesis, (2, 1, 1)),
        (twin.synthesis, (3, 1)),
        (twin.code, (3, 4, 5)),
        (twin.code, (1, 4, 4)),
        (small_codec(ARCHITECTURES[0]).code, (1, 4, 4)),
    ):
        with pytest.raises(ShapeError, match=r"^RC-SHAPE: \w+: wanted (float32 )?\((C|\d), H, W\)"):
            function(np.full(shape, one))
    with pytest.raises(ShapeError, match="got float64"):
        twin.analysis(np.zeros((3, 64, 64)))
    for wrong in (-0.1, 1.1, np.nan):
        with pytest.raises(RangeError, match=r"RC-RANGE: picture: wanted 0 \.\. 1"):
            twin.analysis(np.full((3, 64, 64), wrong, np.float32))


# --- symbols and rows of the scale table


def test_rounded_takes_halves_to_even_and_saturates() -> None:
    values = np.array([0.5, 1.5, -0.5, -1.5, 2.4, 1e9, -1e9, 32767.4, -32768.4, np.inf], np.float32)
    found = rounded(values)
    assert found.dtype == np.int16
    assert found.tolist() == [0, 2, 0, -2, 2, 32767, -32768, 32767, -32768, 32767]


@pytest.mark.parametrize("row", range(63))
def test_scale_indexes_at_every_bound(row: int) -> None:
    """A scale at a bound belongs to its row, the next float32 above it to the next one (CompressAI build_indexes)."""
    bound = np.array(SCALE_TABLE_BITS, np.uint32).view(np.float32)[row]
    around = np.array([np.nextafter(bound, np.float32(0)), bound, np.nextafter(bound, np.float32(999))], np.float32)
    found = scale_indexes(around)
    assert found.dtype == np.uint8
    assert found.tolist() == [row, row, row + 1]


def test_scale_indexes_beyond_the_bounds() -> None:
    extremes = np.array([-np.inf, -1, 0, 0.11, 226.4, 256, 1e30, np.inf, np.nan], np.float32)
    assert scale_indexes(extremes).tolist() == [0, 0, 0, 0, 63, 63, 63, 63, 63]


# --- contexts

CHECKERBOARDS = [a for a in ARCHITECTURES if a.family == "checkerboard"]
RASTERS = [a for a in ARCHITECTURES if a.family == "autoregressive"]
SMALLEST = float(np.float32(0.11))  # CompressAI's bound, the first of the scale table


def naive_parameters(codec: FloatCodec, context: np.ndarray, side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scales and means at one position, from context and side (2 M,), by CompressAI's three pointwise layers."""
    a = codec.architecture
    x = np.concatenate([context, side] if a.family == "checkerboard" else [side, context])
    for index in (0, 2, 4):
        weight = codec.parameters[f"{a.parameters_prefix}.{index}.weight"][:, :, 0, 0].astype(np.float64)
        x = weight @ x + codec.parameters[f"{a.parameters_prefix}.{index}.bias"]
        x = naive_leaky(x) if index < 4 else x
    return np.maximum(x[: a.m], SMALLEST), x[a.m :]


def naive_context(codec: FloatCodec, y_hat: np.ndarray, mask: str) -> np.ndarray:
    weight = codec.parameters[f"{codec.architecture.context_prefix}.weight"]
    bias = codec.parameters[f"{codec.architecture.context_prefix}.bias"]
    return naive_convolution(y_hat, naive_masked(weight, mask), bias, 1)


def agree(coded: Coded, symbols: np.ndarray, y_hat: np.ndarray, scales: np.ndarray) -> None:
    """A naive recursion in float64 gives the same symbols and indexes; it must not come near a bound."""
    bounds = np.array(SCALE_TABLE_BITS, np.uint32).view(np.float32)[:63]
    above = scales[scales > SMALLEST]
    assert np.abs(np.log(above[:, None] / bounds)).min() > 1e-6
    np.testing.assert_array_equal(coded.indexes, (scales[..., None] > bounds).sum(axis=3))
    np.testing.assert_array_equal(coded.y, symbols)
    np.testing.assert_allclose(coded.y_hat, y_hat, rtol=0, atol=1e-5)
    assert len(np.unique(symbols)) > 3
    assert len(np.unique(coded.indexes)) > 3


@pytest.mark.parametrize("architecture", CHECKERBOARDS, ids=label)
def test_checkerboard_equals_two_naive_passes(architecture: Architecture) -> None:
    codec = small_codec(architecture)
    y = latent_of(codec, (1, 2))
    coded = codec.code(y)
    side = codec.hyper_synthesis(coded.z)["side"]
    symbols, y_hat, scales = (np.zeros(y.shape) for _ in range(3))
    for parity in (0, 1):
        context = naive_context(codec, y_hat, "checkerboard")
        for r, c in product(*map(range, y.shape[1:])):
            if (r + c) % 2 == parity:
                here = np.zeros(2 * architecture.m) if parity == 0 else context[:, r, c]
                scales[:, r, c], means = naive_parameters(codec, here, side[:, r, c])
                symbols[:, r, c] = np.rint(y[:, r, c] - means)
                y_hat[:, r, c] = symbols[:, r, c] + means
    agree(coded, symbols, y_hat, scales)


@pytest.mark.parametrize("architecture", RASTERS, ids=label)
def test_raster_equals_a_naive_recursion(architecture: Architecture) -> None:
    codec = small_codec(architecture)
    y = latent_of(codec, (1, 2))
    coded = codec.code(y)
    side = codec.hyper_synthesis(coded.z)["side"]
    symbols, y_hat, scales = (np.zeros(y.shape) for _ in range(3))
    for r, c in product(*map(range, y.shape[1:])):
        context = naive_context(codec, y_hat, "causal")[:, r, c]  # of the whole latent, every time
        scales[:, r, c], means = naive_parameters(codec, context, side[:, r, c])
        symbols[:, r, c] = np.rint(y[:, r, c] - means)
        y_hat[:, r, c] = symbols[:, r, c] + means
    agree(coded, symbols, y_hat, scales)


@pytest.mark.parametrize("architecture", CHECKERBOARDS, ids=label)
def test_checkerboard_anchors_see_no_context_not_even_its_bias(architecture: Architecture) -> None:
    parameters = parameters_of(architecture)
    plain = small_codec(architecture)
    y = latent_of(plain, (1, 2))
    parameters["latent_codec.y.context_prediction.bias"] = np.full(2 * architecture.m, 50, np.float32)
    known, biased = plain.code(y), FloatCodec(parameters).code(y)
    first = anchors(*y.shape[1:], 0)
    assert first.sum() * 2 == first.size
    assert first[0, 0]
    for name in ("y", "indexes", "y_hat"):
        before, after = getattr(known, name), getattr(biased, name)
        np.testing.assert_array_equal(before[:, first], after[:, first])
    assert np.abs(known.y_hat[:, ~first] - biased.y_hat[:, ~first]).max() > 0.1


@pytest.mark.parametrize("architecture", CHECKERBOARDS, ids=label)
def test_checkerboard_others_know_the_anchors_and_not_each_other(architecture: Architecture) -> None:
    codec = small_codec(architecture)
    y = latent_of(codec, (1, 2))
    first = anchors(*y.shape[1:], 0)
    z = codec.code(y).z
    known = with_hyper_latent(codec, z, y)
    changed = with_hyper_latent(codec, z, y + 5 * ((np.indices(y.shape[1:]) == [[[1]], [[2]]]).all(axis=0)))
    assert not first[1, 2]
    differing = (known.y_hat != changed.y_hat).any(axis=0)
    assert np.argwhere(differing).tolist() == [[1, 2]]
    changed = with_hyper_latent(codec, z, y + 5 * ((np.indices(y.shape[1:]) == [[[1]], [[3]]]).all(axis=0)))
    differing = (known.y_hat != changed.y_hat).any(axis=0)
    assert {(1, 3), (1, 2), (1, 4), (0, 3), (2, 3)} <= {tuple(p) for p in np.argwhere(differing).tolist()}
    assert np.argwhere(differing & first).tolist() == [[1, 3]]


class Fixed(FloatCodec):
    """A codec whose hyper-latent does not follow y, so that only the context carries what changes."""

    __slots__ = ("z",)

    def hyper_symbols(self, y: np.ndarray) -> np.ndarray | None:
        return self.z


def with_hyper_latent(codec: FloatCodec, z: np.ndarray, y: np.ndarray) -> Coded:
    fixed = Fixed.__new__(Fixed)
    for name in ("architecture", "medians", "networks", "parameters"):
        setattr(fixed, name, getattr(codec, name))
    fixed.z = z
    return fixed.code(y.astype(np.float32))


@pytest.mark.parametrize("architecture", RASTERS, ids=label)
@pytest.mark.parametrize("place", [(0, 0), (1, 3), (2, 7), (3, 7)])
def test_raster_is_causal(architecture: Architecture, place: tuple[int, int]) -> None:
    codec = small_codec(architecture)
    y = latent_of(codec, (1, 2))
    z = codec.code(y).z
    known = with_hyper_latent(codec, z, y)
    changed_y = y.copy()
    changed_y[:, place[0], place[1]] += 5
    changed = with_hyper_latent(codec, z, changed_y)
    differing = np.flatnonzero((known.y_hat != changed.y_hat).any(axis=0))
    assert differing.min() == place[0] * y.shape[2] + place[1]
    if place == (1, 3):
        assert differing.size > 5, "what is decoded later hears of it"
    assert (np.flatnonzero((known.indexes != changed.indexes).any(axis=0)) > differing.min()).all()


@pytest.mark.parametrize("architecture", RASTERS, ids=label)
def test_context_of_a_whole_latent_is_that_of_its_windows(architecture: Architecture) -> None:
    codec = small_codec(architecture)
    y_hat = codec.code(latent_of(codec, (1, 2))).y_hat
    found = codec.context(y_hat)
    assert found.shape == (2 * architecture.m, *y_hat.shape[1:])
    np.testing.assert_allclose(found, naive_context(codec, y_hat, "causal"), rtol=0, atol=1e-5)


def test_means_are_taken_out_before_rounding_and_put_back() -> None:
    codec = small_codec(Architecture("mean-scale-hyperprior", "relu", "mbt2018", 4, 6, 5))
    y = latent_of(codec)
    coded = codec.code(y)
    found = codec.hyper_synthesis(coded.z)
    np.testing.assert_array_equal(coded.y, np.rint(y - found["means"]))
    np.testing.assert_array_equal(coded.y_hat, coded.y + found["means"])
    np.testing.assert_array_equal(coded.indexes, scale_indexes(found["scales"]))
    assert np.abs(found["means"]).max() > 0.1


def test_symbols_of_a_factorised_codec_are_about_its_medians() -> None:
    codec = small_codec(replace(ARCHITECTURES[0], backbone="gdn"))
    y, medians = latent_of(codec), codec.medians[:, None, None]
    coded = codec.code(y)
    assert np.abs(medians).max() > 0.1
    np.testing.assert_array_equal(coded.y, np.rint(y - medians))
    np.testing.assert_array_equal(coded.y_hat, coded.y + medians)


# --- the shipped model on a photograph


@pytest.mark.parametrize(("name", "wanted"), [("kodim03.png", 31.600), ("kodim19.png", 28.717)])
def test_shipped_model_reaches_the_psnr_measured_with_pytorch(name: str, wanted: float, data: Path) -> None:
    """Figures of CompressAI's float decoder for these pictures, 768x512 and 512x768 (shipped/PROVENANCE.md)."""
    path = data / "kodak" / name
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    pixels = imageio.v3.imread(path)
    twin = FloatCodec(load_parameters(shipped_path(SHIPPED)), read_metadata(shipped_path(SHIPPED)))
    y = twin.analysis(np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / np.float32(255))
    assert twin.hyper_synthesis(twin.hyper_symbols(y))["scales"].shape == y.shape
    decoded = np.round(np.clip(twin.synthesis(np.round(y)), 0, 1) * 255).transpose(1, 2, 0)
    psnr = 10 * np.log10(255**2 / np.mean((decoded - pixels.astype(np.float64)) ** 2))
    assert abs(psnr - wanted) < 0.01
