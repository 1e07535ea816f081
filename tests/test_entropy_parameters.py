"""A hyperprior alone: the geometry is that of the latent, and limits what is allotted (SPEC EPAR-1 to EPAR-3)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from refcodec.codecs.codec import Latents
from refcodec.codecs.entropy_parameters import MAX_POSITIONS, EntropyParameters
from refcodec.codecs.picture import write_picture
from refcodec.codecs.stream import Geometry, pack, parse
from refcodec.entropy.rans import encode as rans_encode
from refcodec.errors import ImageError, ModelError, RangeError, StreamError
from refcodec.vectorgen.tiny_models import HYPER, LATENT, drawn_latents, tiny_entropy_parameters


@pytest.fixture(scope="module")
def codec() -> EntropyParameters:
    return EntropyParameters.from_model(tiny_entropy_parameters((8, 8), 17))


def test_y_is_cropped_before_it_is_coded(codec: EntropyParameters) -> None:
    """SPEC EPAR-3: 11 x 9 symbols of each channel, not 16 x 16."""
    geometry = Geometry(11, 9, 1)
    latents = drawn_latents(codec, geometry, (HYPER, LATENT), 5)
    content = codec.encode(latents, geometry)
    taps: dict[str, np.ndarray] = {}
    found = codec.decode(content, taps.__setitem__)
    assert taps["indexes"].shape == taps["means"].shape == (LATENT, 16, 16)
    assert taps["y"].shape == found.shape == latents.y.shape == (LATENT, 9, 11)
    kept = taps["indexes"][:, :9, :11]
    assert parse(content).payloads["YSYM"] == rans_encode(taps["y"], kept, codec.y_tables)
    np.testing.assert_array_equal(found, taps["y"].astype(int) * 256 + taps["means"][:, :9, :11])


def test_geometry_must_be_that_of_a_latent(codec: EntropyParameters) -> None:
    """SPEC EPAR-2: one channel, and no more positions than the largest picture has."""
    assert MAX_POSITIONS == 2**25 // 256
    content = codec.encode(drawn_latents(codec, Geometry(1, 1, 1), (HYPER, LATENT), 5), Geometry(1, 1, 1))
    stream = parse(content)
    for geometry in (Geometry(1, 1, 3), Geometry(513, 256, 1), Geometry(65535, 3, 1)):
        with pytest.raises(StreamError, match="a latent has one channel and at most 131072 positions") as caught:
            codec.decode(pack(geometry, stream.identity, stream.payloads), lambda name, _: pytest.fail(name))
        assert (caught.value.code, caught.value.offset) == ("RC-STREAM-LIMIT", 6)
        with pytest.raises(RangeError, match="RC-RANGE: a latent has one channel and at most 131072 positions"):
            codec.encode(Latents(np.zeros((LATENT, geometry.height, geometry.width), int), np.zeros(1)), geometry)


def test_largest_latent_is_coded() -> None:
    codec = EntropyParameters.from_model(tiny_entropy_parameters((8, 8), 17))
    geometry = Geometry(512, 256, 1)
    z_size, y_size = codec.latent_sizes(geometry)
    assert (z_size, y_size) == ((32, 64), (256, 512))
    latents = Latents(np.zeros((LATENT, *y_size), np.int32), np.zeros((HYPER, *z_size), np.int16))
    assert codec.decode(codec.encode(latents, geometry)).shape == (LATENT, 256, 512)


def test_latent_is_no_picture_file(codec: EntropyParameters, tmp_path) -> None:
    content = codec.encode(drawn_latents(codec, Geometry(3, 2, 1), (HYPER, LATENT), 5), Geometry(3, 2, 1))
    with pytest.raises(ImageError, match=r"RC-IMAGE-FORMAT: .*int32 \(4, 2, 3\) is a latent, not a picture"):
        write_picture(tmp_path / "y.png", codec.decode(content))
    assert not (tmp_path / "y.png").exists()


def test_codec_has_no_synthesis(codec: EntropyParameters) -> None:
    model = tiny_entropy_parameters((8, 8), 17)
    programs = {"h_s": model.programs["h_s"], "g_s": model.programs["h_s"]}
    with pytest.raises(ModelError, match=r"expected the program h_s, found \['g_s', 'h_s'\]"):
        EntropyParameters.from_model(dataclasses.replace(model, programs=programs))
