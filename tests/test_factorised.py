"""The factorised prior: one section, one table for each channel of y (SPEC FACT-1, FACT-2)."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from refcodec.codecs.codec import Latents
from refcodec.codecs.factorised import Factorised
from refcodec.codecs.stream import Geometry, parse
from refcodec.entropy.rans import encode as rans_encode
from refcodec.errors import ModelError
from refcodec.vectorgen.tiny_models import LATENT, tiny_factorised, tiny_mean_scale


def test_stream_has_one_section_with_the_table_of_each_channel() -> None:
    model = tiny_factorised((8, 8), 9)
    codec = Factorised.from_model(model)
    y = np.arange(LATENT * 2 * 3).reshape(LATENT, 2, 3) - 10
    stream = parse(codec.encode(Latents(y, None), Geometry(33, 32, 1)))
    channel = np.repeat(np.arange(LATENT), 6).reshape(y.shape)
    assert stream.payloads == {"YSYM": rans_encode(y, channel, codec.y_tables)}
    assert stream.offsets == {"YSYM": 52 + 12 + 4}


def test_codec_refuses_other_numbers_of_tables() -> None:
    model = tiny_factorised((8, 8), 9)
    tables = tiny_mean_scale((8, 8), 9).tables
    changed = dataclasses.replace(model, tables={k: v for k, v in tables.items() if k[0] == "y"})
    with pytest.raises(ModelError, match="RC-MODEL-TABLE: expected 4 y tables"):
        Factorised.from_model(changed)


def test_codec_refuses_the_models_of_other_families() -> None:
    with pytest.raises(ModelError, match="RC-MODEL-FAMILY: family 'mean-scale-hyperprior' is not 'factorised'"):
        Factorised.from_model(tiny_mean_scale((8, 8), 9))
