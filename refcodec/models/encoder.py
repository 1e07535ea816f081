"""Encoding: float analysis, then the integer coder of the codec (SPEC HYP-3, PIC-4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refcodec.codecs.codec import Latents
from refcodec.codecs.family import codec_of
from refcodec.codecs.picture import geometry_of_shape, padded_planes
from refcodec.codecs.stream import Geometry
from refcodec.errors import ModelError, ShapeError
from refcodec.models.architecture import (
    AUTOREGRESSIVE,
    CHECKERBOARD,
    ENTROPY_PARAMETERS,
    FACTORISED,
    MAX_CHANNELS,
    MEAN_SCALE,
    SCALE,
    STEMS,
    Architecture,
)
from refcodec.models.float_codec import FloatAnalysis, rounded
from refcodec.models.layouts import networks
from refcodec.program.model_file import Model
from refcodec.program.operations import InverseGdn

Arrays = Mapping[str, np.ndarray]
HYPER = {SCALE: "balle2018", MEAN_SCALE: "mbt2018", CHECKERBOARD: "mbt2018", AUTOREGRESSIVE: "mbt2018"}
FIXED_LIMIT = 1 << 30  # a fixed-point latent beyond this saturates as a symbol whatever its mean


def analysis_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """The float parameters that encoding needs: those of g_a and h_a, and the medians."""
    found = networks(architecture)
    shapes = {k: v for net in ("g_a", "h_a") if net in found for k, v in found[net].shapes().items()}
    if architecture.density_channels:
        shapes[f"{architecture.bottleneck}quantiles"] = (architecture.density_channels, 1, 3)
    return shapes


def encoder_parameters(parameters: Arrays, architecture: Architecture) -> dict[str, np.ndarray]:
    """The float parameters that encoding needs, to be carried by a model file."""
    return {name: parameters[name] for name in analysis_shapes(architecture)}


def _unusable(message: str) -> ModelError:
    return ModelError("RC-MODEL-ENCODER", message)


def _outputs(model: Model, name: str) -> int:
    """Output channels of a convolution of the encoder."""
    array = model.encoder.get(f"{name}.weight")
    if array is None or array.ndim != 4 or not 1 <= len(array) <= MAX_CHANNELS:
        found = "none" if array is None else f"{array.dtype} {array.shape}"
        raise _unusable(f"{name}.weight: wanted the weight of a convolution, found {found}")
    return int(array.shape[0])


def _backbone(model: Model, first: str) -> str:
    """What the encoder's own names and shapes say, and how the normalisations of g_s work; g_a has the same."""
    if "g_a.0.conv1.weight" in model.encoder:
        return "cheng2020"
    weight = model.encoder.get(f"{first}.weight")
    if weight is not None and weight.ndim == 4 and weight.shape[2] == 9:
        return "bls2017"
    forms = {op.squared for op in model.programs["g_s"].operations if isinstance(op, InverseGdn)}
    return "relu" if not forms else "gdn" if True in forms else "gdn1"


def architecture_of(model: Model) -> Architecture:
    """The architecture of the analysis networks that a model file carries.

    Raises ModelError RC-MODEL-ENCODER where it has none, or lacks a layer.
    """
    if not model.encoder:
        raise _unusable("the model file holds no analysis transform, it can only decode")
    stem = next((stem for stem in STEMS if f"{stem}_hyperprior.hyper_encoder.0.weight" in model.encoder), "")
    if model.family == ENTROPY_PARAMETERS:
        m = _outputs(model, f"{stem}_hyperprior.hyper_encoder.0")
        return Architecture(ENTROPY_PARAMETERS, "none", "ssf2020", 1, m, m, stem)
    first, last = (f"{stem}_encoder.0", f"{stem}_encoder.6") if stem else ("g_a.0", "g_a.6")
    backbone = _backbone(model, first)
    n = _outputs(model, f"{first}.conv1" if backbone == "cheng2020" else first)
    m = _outputs(model, "g_a.4" if backbone == "bls2017" else last)
    if model.family == FACTORISED:
        return Architecture(FACTORISED, backbone, "none", n, m, 1)
    if stem or backbone == "cheng2020":
        return Architecture(model.family, backbone, "ssf2020" if stem else backbone, n, m, m, stem)
    home = "latent_codec.hyper.h_a.4" if model.family == CHECKERBOARD else "h_a.4"
    return Architecture(model.family, backbone, HYPER[model.family], n, m, _outputs(model, home))


def analysis_of(model: Model) -> FloatAnalysis:
    """The analysis networks that a model file carries.  Raises ModelError RC-MODEL-ENCODER naming what is wrong."""
    architecture = architecture_of(model)
    wanted = analysis_shapes(architecture)
    for name in sorted({*wanted, *model.encoder}):
        array = model.encoder.get(name)
        if array is None or array.shape != wanted.get(name) or array.dtype.name != "float32":
            found = "none" if array is None else f"{array.dtype} {array.shape}"
            raise _unusable(f"{name}: wanted float32 {wanted.get(name)}, found {found}")
        if not np.isfinite(array).all():
            raise _unusable(f"{name} is not finite")
    return FloatAnalysis(architecture, model.encoder)


def float_planes(picture: np.ndarray, multiple: int) -> np.ndarray:
    """A picture as the float networks take it: (3, H', W') float32, 0..1, sides extended to multiples of `multiple`.

    picture  (H, W, 3) or (H, W) uint8.
    """
    return padded_planes(picture, multiple).astype(np.float32) / np.float32(255)


def fixed_latents(analysis: FloatAnalysis, y: np.ndarray, fraction: int) -> Latents:
    """Latents as a codec takes them: y in units of 2**-fraction, or symbols where that is 0; z symbols.

    y  (M, h, w) float32, sides multiples of the hyper stride.
    Raises ModelError RC-MODEL-ENCODER where the networks overflow.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        z = None if "h_a" not in analysis.networks else analysis.hyper_analysis(y)
    if not (np.isfinite(y).all() and (z is None or np.isfinite(z).all())):
        raise _unusable("the analysis transform overflows on this input")
    symbols = None if z is None else rounded(z - analysis.medians[:, None, None])
    if fraction:
        fixed = np.rint(np.ldexp(y.astype(np.float64), fraction))
        return Latents(np.clip(fixed, -FIXED_LIMIT, FIXED_LIMIT).astype(np.int64), symbols)
    return Latents(rounded(y - analysis.medians[:, None, None] if z is None else y), symbols)


def encode_picture(picture: np.ndarray, model: Model) -> bytes:
    """Code a picture into a stream.

    picture  (H, W, 3) or (H, W) uint8.  Returns the bytes of a `.rcb` stream.
    Raises RangeError for sizes beyond the limits, ModelError RC-MODEL-ENCODER.
    """
    geometry = geometry_of_shape(picture.shape)
    codec, analysis = codec_of(model), analysis_of(model)
    if "g_a" not in analysis.networks:
        raise _unusable("the model codes latents, not pictures")
    with np.errstate(over="ignore", invalid="ignore"):
        y = analysis.analysis(float_planes(picture, analysis.multiple))
    return codec.encode(fixed_latents(analysis, y, codec.fraction), geometry)


def padded_latent(y: np.ndarray, multiple: int) -> np.ndarray:
    """A latent (M, h, w) whose sides are extended to multiples, last rows and columns repeated."""
    height, width = (-(-n // multiple) * multiple - n for n in y.shape[1:])
    return np.pad(y, ((0, 0), (0, height), (0, width)), mode="edge")


def encode_latents(y: np.ndarray, model: Model) -> bytes:
    """Code a latent with the hyperprior of a model that has no transforms.

    y  (M, h, w) float32 of any size.  Returns the bytes of a `.rcb` stream.
    Raises ModelError RC-MODEL-ENCODER, ShapeError, RangeError for sizes beyond the limits.
    """
    codec, analysis = codec_of(model), analysis_of(model)
    if "g_a" in analysis.networks:
        raise _unusable("the model codes pictures, not latents")
    if y.ndim != 3 or y.shape[0] != analysis.architecture.m or 0 in y.shape:
        raise ShapeError(f"wanted a latent ({analysis.architecture.m}, H, W), got {y.shape}")
    height, width = y.shape[1:]
    latents = fixed_latents(analysis, padded_latent(y, analysis.hyper_stride), codec.fraction)
    return codec.encode(Latents(latents.y[:, :height, :width], latents.z), Geometry(width, height, 1))
