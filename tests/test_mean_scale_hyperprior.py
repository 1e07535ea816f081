"""Symbols about means: what is coded, and how the encoder rounds (SPEC MSH-1, MSH-2, MSH-3, MSH-4)."""

from __future__ import annotations

from fractions import Fraction

import naive
import numpy as np
import pytest

from refcodec.codecs.latent_coding import symbols_about
from refcodec.codecs.mean_scale_hyperprior import MeanScaleHyperprior
from refcodec.codecs.stream import Geometry, parse
from refcodec.entropy.rans import encode as rans_encode
from refcodec.vectorgen.tiny_models import HYPER, LATENT, drawn_latents, tiny_mean_scale


def test_symbols_are_differences_from_the_means() -> None:
    """SPEC MSH-2, MSH-3: each coded with the table that its index names, in the order channel, row, column."""
    codec = MeanScaleHyperprior.from_model(tiny_mean_scale((8, 8), 31))
    geometry = Geometry(70, 60, 3)
    latents = drawn_latents(codec, geometry, (HYPER, LATENT), 5)
    content = codec.encode(latents, geometry)
    taps: dict[str, np.ndarray] = {}
    codec.decode(content, taps.__setitem__)
    assert parse(content).payloads["YSYM"] == rans_encode(taps["y"], taps["indexes"], codec.y_tables)
    np.testing.assert_array_equal(taps["y_hat"], taps["y"].astype(int) * 256 + taps["means"])
    assert len(np.unique(taps["means"])) > 50
    found, _ = codec.decode_latents(content)
    np.testing.assert_array_equal(found.y, taps["y_hat"])


@pytest.mark.parametrize("fraction", [0, 1, 8, 16])
def test_symbols_about_rounds_halves_up_and_saturates(fraction: int, rng: np.random.Generator) -> None:
    """SPEC MSH-4, judged by fractions; halves on both sides of zero, both ends, and the widest latent."""
    half = 1 << fraction >> 1
    latent = np.array([half, -half, 3 * half, -3 * half, 0, 2**47 - 1, -(2**47), *rng.integers(-(2**36), 2**36, 200)])
    latent = np.concatenate([latent, rng.integers(-9 << fraction, 9 << fraction, 200, endpoint=True)])
    means = np.concatenate([np.zeros(7, int), rng.integers(-(2**15), 2**15, 400)])
    found = symbols_about(latent, means, fraction)
    assert found.dtype == np.int16
    for value, mean, symbol in zip(latent.tolist(), means.tolist(), found.tolist(), strict=True):
        exact = naive.round_half_up(Fraction(value - mean, 2**fraction))
        assert symbol == naive.clip(exact, -32768, 32767)
    assert {-32768, 32767} <= set(found.tolist())
