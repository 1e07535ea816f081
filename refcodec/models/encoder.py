"""Encoding a picture: float analysis, then the integer coder of the codec (SPEC HYP-3, PIC-4)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refcodec.codecs.picture import geometry_of_shape, padded_planes
from refcodec.codecs.scale_hyperprior import ScaleHyperprior, encode
from refcodec.errors import ModelError
from refcodec.layers.latent_mean import SYMBOL_FORMAT
from refcodec.models.analysis import PICTURE_MULTIPLE, FloatAnalysis
from refcodec.models.architecture import Architecture, parameter_shapes
from refcodec.program.model_file import Model
from refcodec.program.operations import InverseGdn

QUANTILES = "entropy_bottleneck.quantiles"


def _is_analysis(name: str) -> bool:
    return name.startswith(("g_a.", "h_a.")) or name == QUANTILES


def encoder_parameters(parameters: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The float parameters that encoding needs, to be carried by a model file."""
    return {name: array for name, array in parameters.items() if _is_analysis(name)}


def _backbone(model: Model) -> str:
    """The backbone that the normalisations of g_s belong to; g_a has the same."""
    forms = {op.squared for op in model.programs["g_s"].operations if isinstance(op, InverseGdn)}
    return "relu" if not forms else "gdn" if True in forms else "gdn1"


def analysis_of(model: Model) -> FloatAnalysis:
    """The analysis networks that a model file carries.  Raises ModelError RC-MODEL-ENCODER naming what is wrong."""
    if not model.encoder:
        raise ModelError("RC-MODEL-ENCODER", "the model file holds no analysis transform, it can only decode")
    n, m = model.programs["h_s"].input.channels, model.programs["g_s"].input.channels
    architecture = Architecture(model.family, _backbone(model), n, m)
    wanted = {name: shape for name, shape in parameter_shapes(architecture).items() if _is_analysis(name)}
    for name in sorted({*wanted, *model.encoder}):
        array = model.encoder.get(name)
        if array is None or array.shape != wanted.get(name) or array.dtype.name != "float32":
            found = "none" if array is None else f"{array.dtype} {array.shape}"
            raise ModelError("RC-MODEL-ENCODER", f"{name}: wanted float32 {wanted.get(name)}, found {found}")
        if not np.isfinite(array).all():
            raise ModelError("RC-MODEL-ENCODER", f"{name} is not finite")
    return FloatAnalysis(architecture, model.encoder)


def float_planes(picture: np.ndarray) -> np.ndarray:
    """A picture as the float networks take it: (3, H', W') float32, 0..1, sides extended to multiples of 64.

    picture  (H, W, 3) or (H, W) uint8.
    """
    return padded_planes(picture, PICTURE_MULTIPLE).astype(np.float32) / np.float32(255)


def symbols(analysis: FloatAnalysis, planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rounded latents y (M, 4h, 4w) and z (N, h, w) of planes (3, H', W'), int16, halves to even as when trained.

    Raises ModelError RC-MODEL-ENCODER where the networks overflow.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        y = analysis.analysis(planes)
        z = analysis.hyper_analysis(y) - analysis.medians[:, None, None]
    if not (np.isfinite(y).all() and np.isfinite(z).all()):
        raise ModelError("RC-MODEL-ENCODER", "the analysis transform overflows on this picture")
    return _rounded(y), _rounded(z)


def _rounded(latent: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(latent), SYMBOL_FORMAT.lo, SYMBOL_FORMAT.hi).astype(SYMBOL_FORMAT.dtype)


def encode_picture(picture: np.ndarray, model: Model) -> bytes:
    """Code a picture into a stream.

    picture  (H, W, 3) or (H, W) uint8.  Returns the bytes of a `.rcb` stream.
    Raises RangeError for sizes beyond the limits, ModelError RC-MODEL-ENCODER.
    """
    geometry = geometry_of_shape(picture.shape)
    codec = ScaleHyperprior.from_model(model)
    y, z = symbols(analysis_of(model), float_planes(picture))
    return encode(y, z, geometry, codec)
