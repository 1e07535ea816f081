"""The encoder: pictures of any size come back in their shape, by the decoder's own indexes, or it says why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from formula_codecs import formula
from small_codecs import ARCHITECTURES, label, small_model

from refcodec.codecs.family import codec_of
from refcodec.codecs.picture import padded_planes
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.codecs.stream import parse
from refcodec.entropy.rans import decode as rans_decode
from refcodec.entropy.rans import encode as rans_encode
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.models.architecture import Architecture
from refcodec.models.encoder import (
    analysis_of,
    analysis_shapes,
    architecture_of,
    encode_latents,
    encode_picture,
    encoder_parameters,
    fixed_latents,
    float_planes,
    padded_latent,
)
from refcodec.models.shipped import DEFAULT_FLOAT, DEFAULT_MODEL, shipped_path
from refcodec.models.trained import load_trained
from refcodec.program.model_file import Model, load_model, save_model

SIZES = [(1, 1), (17, 33), (64, 64), (65, 130)]
LATENTS = next(a for a in ARCHITECTURES if a.family == "entropy-parameters")


def photograph(height: int, width: int, *channels: int) -> np.ndarray:
    """Smooth colours with an edge, as photographs have."""
    y, x = np.mgrid[:height, :width] / 40
    planes = [120 + 90 * np.sin(x + 0.3), 120 + 90 * np.cos(y), np.where(x > y, 190.0, 60.0)]
    colour = np.rint(np.stack(planes, axis=2)).astype(np.uint8)
    return colour if channels else colour[:, :, 0]


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(shipped_path(DEFAULT_MODEL, ".rcm"))


@pytest.fixture(scope="module")
def codec(model: Model) -> ScaleHyperprior:
    return ScaleHyperprior.from_model(model)


# --- whole pictures


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "RGB"])
def test_encode_picture_comes_back_in_its_shape_and_alike(
    size: tuple[int, int], channels: tuple[int, ...], model: Model, codec: ScaleHyperprior
) -> None:
    picture = photograph(*size, *channels)
    stream = encode_picture(picture, model)
    geometry = parse(stream).geometry
    assert (geometry.height, geometry.width, geometry.channels) == (*size, 3 if channels else 1)
    decoded = codec.decode(stream)
    assert decoded.shape == picture.shape
    assert decoded.dtype == np.uint8
    assert np.abs(decoded.mean(axis=(0, 1)) - picture.mean(axis=(0, 1))).max() < 40
    if min(size) > 1:
        assert np.mean((decoded.astype(float) - picture) ** 2) < 200
    assert encode_picture(picture, model) == stream


def test_encode_picture_indexes_are_the_decoders(model: Model, codec: ScaleHyperprior) -> None:
    picture = photograph(65, 130, 3)
    stream = parse(encode_picture(picture, model))
    taps: dict[str, np.ndarray] = {}
    codec.decode(encode_picture(picture, model), taps.__setitem__)
    analysis = analysis_of(model)
    latents = fixed_latents(analysis, analysis.analysis(float_planes(picture, 64)), 0)
    assert latents.z is not None
    assert latents.y.dtype == latents.z.dtype == np.int16
    assert np.array_equal(taps["y"], latents.y)
    assert np.array_equal(taps["z"], latents.z)
    assert np.array_equal(taps["indexes"], codec.h_s.run_plain(latents.z))
    payload = stream.payloads["YSYM"]
    assert rans_encode(latents.y, taps["indexes"], codec.y_tables) == payload
    assert np.array_equal(rans_decode(payload, taps["indexes"], codec.y_tables).reshape(latents.y.shape), latents.y)


def test_encode_picture_codes_grey_as_three_equal_channels(model: Model) -> None:
    grey = photograph(20, 30)
    colour = np.repeat(grey[:, :, None], 3, axis=2)
    assert parse(encode_picture(grey, model)).payloads == parse(encode_picture(colour, model)).payloads
    assert encode_picture(grey, model) != encode_picture(colour, model)


@pytest.mark.parametrize("shape", [(5, 5, 4), (5, 5, 1), (5,), (0, 5), (65536, 1)])
def test_encode_picture_refuses_other_shapes(shape: tuple[int, ...], model: Model) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: a picture "):
        encode_picture(np.zeros(shape, np.uint8), model)


# --- its steps


@pytest.mark.parametrize("multiple", [16, 64, 128])
def test_float_planes_are_padded_planes_of_unit_range(multiple: int) -> None:
    picture = photograph(17, 33, 3)
    planes = float_planes(picture, multiple)
    assert planes.dtype == np.float32
    assert planes.shape == (3, -(-17 // multiple) * multiple, -(-33 // multiple) * multiple)
    assert np.array_equal(np.rint(planes * 255).astype(np.uint8), padded_planes(picture, multiple))
    white = float_planes(np.full((1, 1), 255, np.uint8), multiple)
    assert white.min() == white.max() == 1.0


class Shifted:
    """An analysis with a median and a hyper-latent of its own."""

    medians = np.array([0.25], np.float32)
    networks = ("g_a", "h_a")

    def hyper_analysis(self, y: np.ndarray) -> np.ndarray:
        return np.array([[[0.75, 1.75, 0.8]]], np.float32)


AWKWARD = np.array([[[0.5, 1.5, -0.5, -1.5, 2.4, 1e9, -1e9, 32767.4]]], np.float32)


def test_fixed_latents_without_a_fraction_are_symbols_halves_to_even_saturated() -> None:
    found = fixed_latents(Shifted(), AWKWARD, 0)  # type: ignore[arg-type]
    assert found.y.tolist() == [[[0, 2, 0, -2, 2, 32767, -32768, 32767]]]
    assert found.z is not None
    assert found.z.tolist() == [[[0, 2, 1]]]


def test_fixed_latents_with_a_fraction_keep_it() -> None:
    """Halves to even; no symbol needs more than 2**30, whatever its mean."""
    found = fixed_latents(Shifted(), AWKWARD, 3)  # type: ignore[arg-type]
    assert found.y.dtype == np.int64
    assert found.y.tolist() == [[[4, 12, -4, -12, 19, 1 << 30, -1 << 30, 262139]]]


def test_fixed_latents_of_a_factorised_codec_are_about_its_medians() -> None:
    class Factorised(Shifted):
        networks = ("g_a",)

    found = fixed_latents(Factorised(), AWKWARD, 0)  # type: ignore[arg-type]
    assert found.z is None
    assert found.y.tolist() == [[[0, 1, -1, -2, 2, 32767, -32768, 32767]]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_fixed_latents_refuse_what_overflowed(value: float) -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-ENCODER: the analysis transform overflows on this input"):
        fixed_latents(Shifted(), np.full((1, 1, 1), value, np.float32), 8)  # type: ignore[arg-type]


def test_encoder_parameters_are_those_of_the_analysis(model: Model) -> None:
    twin = load_trained(shipped_path(DEFAULT_FLOAT)).twin
    kept = encoder_parameters(twin.parameters, twin.architecture)
    assert set(kept) == set(model.encoder)
    assert {name.split(".")[0] for name in kept} == {"g_a", "h_a", "entropy_bottleneck"}
    for name, array in kept.items():
        assert np.array_equal(array, model.encoder[name])


# --- every family


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_architecture_of_a_model_is_that_of_its_checkpoint(architecture: Architecture) -> None:
    assert architecture_of(small_model(architecture)) == architecture


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_encoder_of_a_model_holds_the_analysis_and_nothing_of_the_decoder(architecture: Architecture) -> None:
    model = small_model(architecture)
    assert {name: array.shape for name, array in model.encoder.items()} == analysis_shapes(architecture)
    decoder = ("g_s", "h_s", "context", "entropy_parameters", "matrices", "hyper_decoder", "_decoder")
    assert not [name for name in model.encoder if any(part in name for part in decoder)]
    analysis = analysis_of(model)
    assert analysis.architecture == architecture
    assert ("h_a" in analysis.networks) == (architecture.hyper != "none")


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_a_stripped_model_says_that_it_can_only_decode(architecture: Architecture) -> None:
    stripped = replace(small_model(architecture), encoder={})
    message = r"^RC-MODEL-ENCODER: the model file holds no analysis transform, it can only decode"
    with pytest.raises(ModelError, match=message):
        architecture_of(stripped)
    with pytest.raises(ModelError, match=message):
        analysis_of(stripped)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_analysis_of_names_whatever_is_missing_or_wrong(architecture: Architecture) -> None:
    good = small_model(architecture)
    for name, array in good.encoder.items():
        holed = array.copy()
        holed.flat[array.size // 2] = np.nan
        broken: dict[str, np.ndarray | None] = {"found none": None, "is not finite": holed}
        broken |= {"found float64": array.astype(np.float64), "found": array[:, None]}
        for message, wrong in broken.items():
            encoder = {k: v for k, v in good.encoder.items() if k != name}
            if wrong is not None:
                encoder[name] = wrong
            with pytest.raises(ModelError, match=r"^RC-MODEL-ENCODER: ") as caught:
                analysis_of(replace(good, encoder=encoder))
            if name in str(caught.value):
                assert message in str(caught.value)
            else:  # without its first layer, an encoder is taken for another, which lacks something else
                assert wrong is None
                assert "found none" in str(caught.value)


# --- models that cannot encode


def edited(model: Model, **changes: np.ndarray | None) -> Model:
    """The model with some encoder parameters replaced, or removed where None; `__` stands for a dot."""
    encoder = dict(model.encoder)
    for name, array in changes.items():
        encoder.pop(name.replace("__", "."), None)
        if array is not None:
            encoder[name.replace("__", ".")] = array
    return replace(model, encoder=encoder)


def test_encode_picture_refuses_a_decoder_only_model_that_still_decodes(model: Model, tmp_path: Path) -> None:
    picture = photograph(17, 33, 3)
    stream = encode_picture(picture, model)
    save_model(tmp_path / "decoder.rcm", replace(model, encoder={}))
    decoder = load_model(tmp_path / "decoder.rcm")
    assert decoder.identity == model.identity
    decoded = ScaleHyperprior.from_model(decoder).decode(stream)
    assert np.array_equal(decoded, ScaleHyperprior.from_model(model).decode(stream))
    with pytest.raises(ModelError, match=r"^RC-MODEL-ENCODER: the model file holds no analysis transform") as caught:
        encode_picture(picture, decoder)
    assert caught.value.code == "RC-MODEL-ENCODER"


@pytest.mark.parametrize("name", ["g_a.0.weight", "g_a.6.bias", "h_a.4.weight", "entropy_bottleneck.quantiles"])
def test_encode_picture_refuses_missing_and_wrong_parameters(name: str, model: Model) -> None:
    good = model.encoder[name]
    holed = good.copy()
    holed.flat[good.size // 2] = np.nan
    endless = good.copy()
    endless.flat[-1] = -np.inf
    wrong = {
        r"found none": None,
        r"is not finite": holed,
        r" is not finite": endless,
        rf"found float64 \({good.shape[0]}": good.astype(np.float64),
        r"found int32": good.astype(np.int32),
        r"found float32 \(1, ": good[None],
        r"found float32 \(0": good[:0],
    }
    for message, array in wrong.items():
        broken = edited(model, **{name.replace(".", "__"): array})
        with pytest.raises(ModelError, match=f"^RC-MODEL-ENCODER: {name}.*{message}"):
            encode_picture(photograph(5, 5, 3), broken)


def test_encode_picture_refuses_surplus_parameters(model: Model) -> None:
    with pytest.raises(
        ModelError, match=r"^RC-MODEL-ENCODER: g_a\.1\.beta: wanted float32 None, found float32 \(32,\)"
    ):
        encode_picture(photograph(5, 5, 3), edited(model, g_a__1__beta=np.ones(32, np.float32)))


def test_encode_picture_refuses_another_family(model: Model) -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-FAMILY: "):
        encode_picture(photograph(5, 5, 3), replace(model, family="other"))


@pytest.mark.parametrize("missing", ["h_s", "g_s"])
def test_encode_picture_refuses_a_model_without_its_programs(missing: str, model: Model) -> None:
    programs = {name: program for name, program in model.programs.items() if name != missing}
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: "):
        encode_picture(photograph(5, 5, 3), replace(model, programs=programs))


def test_encode_picture_refuses_parameters_that_overflow(model: Model) -> None:
    large = {name: np.full_like(array, 3e38) for name, array in model.encoder.items()}
    with pytest.raises(ModelError, match=r"^RC-MODEL-ENCODER: "):
        encode_picture(photograph(5, 5, 3), replace(model, encoder=large))


# --- latents


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (9, 20)])
def test_encode_latents_come_back_within_half_a_step(size: tuple[int, int]) -> None:
    model = small_model(LATENTS)
    codec = codec_of(model)
    y = (3 * formula("y", (6, *size))).astype(np.float32)
    stream = encode_latents(y, model)
    assert encode_latents(y, model) == stream
    decoded = codec.decode(stream)
    assert decoded.shape == y.shape
    distance = np.abs(np.ldexp(decoded.astype(np.float64), -codec.fraction) - y)
    assert distance.max() <= 0.5 + 2.0**-codec.fraction
    assert distance.max() > 0.3


def test_encode_latents_and_encode_picture_refuse_each_others_models(model: Model) -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-ENCODER: the model codes pictures, not latents"):
        encode_latents(np.zeros((64, 4, 4), np.float32), model)
    with pytest.raises(ModelError, match=r"^RC-MODEL-ENCODER: the model codes latents, not pictures"):
        encode_picture(photograph(5, 5, 3), small_model(LATENTS))


@pytest.mark.parametrize("shape", [(5, 4, 4), (1, 4, 4), (6, 4), (6, 4, 4, 1), (6, 0, 4)])
def test_encode_latents_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: wanted a latent \(6, H, W\), got "):
        encode_latents(np.zeros(shape, np.float32), small_model(LATENTS))


def test_encode_latents_refuses_what_is_not_finite() -> None:
    y = np.zeros((6, 4, 4), np.float32)
    y[1, 2, 3] = np.inf
    with pytest.raises(ModelError, match=r"^RC-MODEL-ENCODER: the analysis transform overflows"):
        encode_latents(y, small_model(LATENTS))


def test_padded_latent_repeats_the_last_rows_and_columns() -> None:
    y = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
    assert padded_latent(y, 4).shape == (1, 4, 4)
    wide = padded_latent(y, 5)
    assert wide.shape == (1, 5, 5)
    assert np.array_equal(wide[:, :3, :4], y)
    assert wide[0, 2:, 3:].ravel().tolist() == [11] * 6
    assert wide[0, :3, 4].tolist() == [3, 7, 11]
