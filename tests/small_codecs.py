"""Float codecs of every family and layout, a few channels wide, with parameters by rule; nothing was trained."""

from __future__ import annotations

from functools import cache

import numpy as np
from formula_codecs import formula, formula_parameters, formula_picture

from refcodec.models.architecture import (
    AUTOREGRESSIVE,
    CHECKERBOARD,
    ENTROPY_PARAMETERS,
    FACTORISED,
    MEAN_SCALE,
    SCALE,
    Architecture,
)
from refcodec.models.densities import factorised_tables, gaussian_tables
from refcodec.models.float_codec import FloatCodec
from refcodec.models.latent_tables import counted_tables
from refcodec.models.parameters import parameter_shapes
from refcodec.models.trained import Trained
from refcodec.program.model_file import Model
from refcodec.quantize.calibrate import Observations, observe
from refcodec.quantize.choices import Choices, choose
from refcodec.quantize.integerise import integerise

ARCHITECTURES = (
    Architecture(FACTORISED, "relu", "none", 4, 6, 1),
    Architecture(FACTORISED, "gdn", "none", 4, 6, 1),
    Architecture(FACTORISED, "bls2017", "none", 4, 6, 1),
    Architecture(SCALE, "relu", "balle2018", 4, 6, 5),
    Architecture(SCALE, "gdn", "balle2018", 4, 6, 5),
    Architecture(SCALE, "gdn1", "balle2018", 4, 6, 5),
    Architecture(MEAN_SCALE, "gdn1", "mbt2018", 4, 6, 5),
    Architecture(MEAN_SCALE, "relu", "ssf2020", 4, 6, 6, "img"),
    Architecture(ENTROPY_PARAMETERS, "none", "ssf2020", 1, 6, 6, "motion"),
    Architecture(ENTROPY_PARAMETERS, "none", "ssf2020", 1, 6, 6, "res"),
    Architecture(CHECKERBOARD, "gdn", "mbt2018", 4, 6, 5),
    Architecture(CHECKERBOARD, "cheng2020", "cheng2020", 6, 6, 6),
    Architecture(AUTOREGRESSIVE, "relu", "mbt2018", 4, 6, 5),
    Architecture(AUTOREGRESSIVE, "cheng2020", "cheng2020", 6, 6, 6),
)


def label(architecture: Architecture) -> str:
    """A name for a test."""
    parts = (architecture.family, architecture.backbone, architecture.hyper, architecture.stem)
    return "-".join(part for part in parts if part)


def metadata_of(architecture: Architecture) -> dict[str, str]:
    """What a checkpoint must say besides its parameters."""
    return {"backbone": "GDN1"} if architecture.backbone == "gdn1" else {}


def parameters_of(architecture: Architecture) -> dict[str, np.ndarray]:
    """A checkpoint."""
    return formula_parameters(parameter_shapes(architecture))


@cache
def small_codec(architecture: Architecture) -> FloatCodec:
    """Its float twin."""
    return FloatCodec(parameters_of(architecture), metadata_of(architecture))


def latent_of(codec: FloatCodec, blocks: tuple[int, int] = (1, 1)) -> np.ndarray:
    """A latent y of so many blocks: of a picture, or by rule where the codec has no transforms."""
    height, width = (codec.hyper_stride * count for count in blocks)
    if "g_a" in codec.networks:
        return codec.analysis(formula_picture(16 * height, 16 * width))
    return (3 * formula("latent", (codec.architecture.m, height, width))).astype(np.float32)


def small_trained(codec: FloatCodec) -> Trained:
    """The twin with the tables of its density, or with tables counted on a picture."""
    if codec.architecture.density_channels:
        tables = factorised_tables(codec.parameters, codec.architecture.bottleneck)
    else:
        tables = counted_tables(codec, [formula_picture(64, 96)])
    if codec.architecture.family == FACTORISED:
        return Trained(codec, None, tables, {})
    return Trained(codec, tables, gaussian_tables(), {})


_WATCHED: dict[Architecture, Observations] = {}


def watched(codec: FloatCodec) -> Observations:
    """What a calibration on one latent sees, kept for each architecture."""
    if codec.architecture not in _WATCHED:
        _WATCHED[codec.architecture] = observe(codec, [latent_of(codec, (1, 2))])
    return _WATCHED[codec.architecture]


@cache
def small_model(architecture: Architecture, bits: int = 8) -> Model:
    """Its integer model."""
    codec = small_codec(architecture)
    return integerise(small_trained(codec), choose(codec, watched(codec), Choices(bits, bits, bits)))
