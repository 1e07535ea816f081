"""Encoder and decoder agree on every index, from one pixel to 1920x1080, in every family and at every precision."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from refcodec.codecs.codec import Codec
from refcodec.codecs.family import codec_of
from refcodec.codecs.stream import Geometry
from refcodec.models.encoder import encode_picture
from refcodec.models.shipped import FLOATS, RECIPES, shipped_path
from refcodec.models.trained import Trained, load_trained
from refcodec.quantize.integerise import integerise
from refcodec.quantize.recipe import load_recipe
from refcodec.vectorgen.tiny_models import HYPER, LATENT, TINY_MODELS, drawn_latents

SIZES = ((1, 1), (33, 17), (1080, 1920))


@cache
def trained(name: str) -> Trained:
    return load_trained(shipped_path(name))


def hills(height: int, width: int) -> np.ndarray:
    """A picture with smooth slopes, edges and noise, by formula."""
    y, x = np.ogrid[:height, :width]
    waves = 90 * np.sin(x / 31) * np.cos(y / 47) + 40 * ((x // 64 + y // 80) % 2) + (x * x * 7 + y * 13) % 11
    return np.clip(np.stack([128 + waves, 110 - waves, 60 + waves / 2], axis=2), 0, 255).astype(np.uint8)


def check_both_ends_agree(content: bytes, codec: Codec) -> None:
    """What a decoder finds, coded again, gives the same bytes only if every index was the same."""
    latents, geometry = codec.decode_latents(content)
    assert codec.encode(latents, geometry) == content


@pytest.mark.parametrize("precision", RECIPES)
@pytest.mark.parametrize("name", FLOATS)
def test_shipped_models_agree_at_every_size_and_precision(name: str, precision: str) -> None:
    model = integerise(trained(name), load_recipe(shipped_path(f"{name}-{precision}", ".json")))
    codec = codec_of(model)
    for size in SIZES:
        content = encode_picture(hills(*size), model)
        check_both_ends_agree(content, codec)
        picture = codec.decode(content)
        assert picture.shape == (*size, 3)
        assert picture.dtype == np.uint8


@pytest.mark.parametrize("family", [family for family in TINY_MODELS if family != "entropy-parameters"])
def test_every_family_agrees_at_1920x1080(family: str) -> None:
    codec = codec_of(TINY_MODELS[family]((8, 8), 3))
    geometry = Geometry(1920, 1080, 3)
    content = codec.encode(drawn_latents(codec, geometry, (HYPER, LATENT), 4), geometry)
    check_both_ends_agree(content, codec)
    assert codec.decode(content).shape == (1080, 1920, 3)
