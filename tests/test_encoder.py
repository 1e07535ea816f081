"""The encoder: pictures of any size come back in their shape, by the decoder's own indexes, or it says why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from refcodec.codecs.picture import padded_planes
from refcodec.codecs.scale_hyperprior import ScaleHyperprior, decode
from refcodec.codecs.stream import parse
from refcodec.entropy.rans import decode as rans_decode
from refcodec.entropy.rans import encode as rans_encode
from refcodec.errors import ModelError, RangeError
from refcodec.models.encoder import analysis_of, encode_picture, encoder_parameters, float_planes, symbols
from refcodec.models.shipped import DEFAULT_FLOAT, DEFAULT_MODEL, shipped_path
from refcodec.models.trained import load_trained
from refcodec.program.model_file import Model, load_model, save_model

SIZES = [(1, 1), (17, 33), (64, 64), (65, 130)]


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
    decoded = decode(stream, codec)
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
    decode(encode_picture(picture, model), codec, taps.__setitem__)
    y, z = symbols(analysis_of(model), float_planes(picture))
    assert y.dtype == z.dtype == np.int16
    assert np.array_equal(taps["y"], y)
    assert np.array_equal(taps["z"], z)
    assert np.array_equal(taps["indexes"], codec.h_s.run_plain(z))
    assert rans_encode(y, taps["indexes"], codec.y_tables) == stream.payloads[1]
    assert np.array_equal(rans_decode(stream.payloads[1], taps["indexes"], codec.y_tables).reshape(y.shape), y)


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


def test_float_planes_are_padded_planes_of_unit_range() -> None:
    picture = photograph(17, 33, 3)
    planes = float_planes(picture)
    assert planes.dtype == np.float32
    assert planes.shape == (3, 64, 64)
    assert np.array_equal(np.rint(planes * 255).astype(np.uint8), padded_planes(picture, 64))
    white = float_planes(np.full((1, 1), 255, np.uint8))
    assert white.min() == white.max() == 1.0


def test_symbols_round_halves_to_even_and_saturate() -> None:
    class Latents:
        medians = np.array([0.25], np.float32)

        def analysis(self, planes: np.ndarray) -> np.ndarray:
            return np.array([[[0.5, 1.5, -0.5, -1.5, 2.4, 1e9, -1e9, 32767.4]]], np.float32)

        def hyper_analysis(self, y: np.ndarray) -> np.ndarray:
            return np.array([[[0.75, 1.75, 0.8]]], np.float32)

    y, z = symbols(Latents(), np.zeros((3, 64, 64), np.float32))  # type: ignore[arg-type]
    assert y.tolist() == [[[0, 2, 0, -2, 2, 32767, -32768, 32767]]]
    assert z.tolist() == [[[0, 2, 1]]]


def test_encoder_parameters_are_those_of_the_analysis(model: Model) -> None:
    parameters = load_trained(shipped_path(DEFAULT_FLOAT)).twin.parameters
    kept = encoder_parameters(parameters)
    assert set(kept) == set(model.encoder)
    assert {name.split(".")[0] for name in kept} == {"g_a", "h_a", "entropy_bottleneck"}
    for name, array in kept.items():
        assert np.array_equal(array, model.encoder[name])


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
    decoded = decode(stream, ScaleHyperprior.from_model(decoder))
    assert np.array_equal(decoded, decode(stream, ScaleHyperprior.from_model(model)))
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
