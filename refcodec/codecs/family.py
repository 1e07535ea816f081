"""Which codec reads a model (SPEC FAM-1)."""

from __future__ import annotations

from collections.abc import Callable

from refcodec.codecs import (
    autoregressive,
    checkerboard,
    entropy_parameters,
    factorised,
    mean_scale_hyperprior,
    scale_hyperprior,
)
from refcodec.codecs.codec import Codec
from refcodec.errors import ModelError
from refcodec.program.model_file import Model

FAMILIES: dict[str, Callable[[Model], Codec]] = {
    factorised.FAMILY: factorised.Factorised.from_model,
    scale_hyperprior.FAMILY: scale_hyperprior.ScaleHyperprior.from_model,
    mean_scale_hyperprior.FAMILY: mean_scale_hyperprior.MeanScaleHyperprior.from_model,
    entropy_parameters.FAMILY: entropy_parameters.EntropyParameters.from_model,
    checkerboard.FAMILY: checkerboard.Checkerboard.from_model,
    autoregressive.FAMILY: autoregressive.Autoregressive.from_model,
}


def codec_of(model: Model) -> Codec:
    """The codec of a model's family (SPEC FAM-1).

    Raises ModelError RC-MODEL-FAMILY for an unknown one, and whatever the codec refuses the model with.
    """
    if model.family not in FAMILIES:
        raise ModelError("RC-MODEL-FAMILY", f"family {model.family!r} is none of {', '.join(FAMILIES)}")
    return FAMILIES[model.family](model)
