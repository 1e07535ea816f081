"""Whether the parameters of a checkpoint are complete, and what they stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

import numpy as np

from refcodec.errors import ModelError
from refcodec.models.architecture import Architecture
from refcodec.models.densities import WIDTHS
from refcodec.models.float_layers import BETA_BOUND, GAMMA_BOUND, resolve_parametrisation
from refcodec.models.layouts import networks

# Buffers that CompressAI registers beside the parameters: constants, and tables that are rebuilt.
_BUFFER = re.compile(
    r"(.+\.)?gaussian_conditional\..+"
    r"|(.+\.)?entropy_bottleneck\.(_quantized_cdf|_cdf_length|_offset|target|likelihood_lower_bound\.bound)"
    r"|(.+\.)?context_prediction\.mask"
    r"|(.+\.)?lower_bound_scale\.bound"
)


def density_shapes(prefix: str, channels: int) -> dict[str, tuple[int, ...]]:
    """The parameters of a factorised density (Balle 2018, appendix 6.1) under `prefix`."""
    shapes: dict[str, tuple[int, ...]] = {f"{prefix}quantiles": (channels, 1, 3)}
    for index, (inputs, outputs) in enumerate(pairwise(WIDTHS)):
        shapes[f"{prefix}matrices.{index}"] = (channels, outputs, inputs)
        shapes[f"{prefix}biases.{index}"] = (channels, outputs, 1)
        if index < len(WIDTHS) - 2:
            shapes[f"{prefix}factors.{index}"] = (channels, outputs, 1)
    return shapes


def parameter_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """The name and shape of every trained parameter, as CompressAI's models have them."""
    shapes: dict[str, tuple[int, ...]] = {}
    for network in networks(architecture).values():
        shapes |= network.shapes()
    if architecture.density_channels:
        shapes |= density_shapes(architecture.bottleneck, architecture.density_channels)
    return shapes


def _is_buffer(name: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    owner, _, rest = name.rpartition(".beta_reparam.")
    if not owner:
        owner, _, rest = name.rpartition(".gamma_reparam.")
    if owner:
        return f"{owner}.beta" in shapes and rest in ("pedestal", "lower_bound.bound")
    return _BUFFER.fullmatch(name) is not None


def check_parameter(name: str, array: np.ndarray | None, shape: tuple[int, ...]) -> None:
    """Raise ModelError RC-CHECKPOINT-PARAMETER unless an array is floating point, of that shape and finite."""
    wanted = f"{name}: wanted floating point {shape}"
    if array is None:
        raise ModelError("RC-CHECKPOINT-PARAMETER", f"{wanted}, found none")
    if array.dtype.kind != "f" or array.shape != shape:
        raise ModelError("RC-CHECKPOINT-PARAMETER", f"{wanted}, found {array.dtype} {array.shape}")
    if not np.isfinite(array).all():
        first = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ModelError("RC-CHECKPOINT-PARAMETER", f"{wanted}, found {array[first]} at {first}")


def check(parameters: Mapping[str, np.ndarray], architecture: Architecture) -> None:
    """Verify that every parameter is there, floating point, of the right shape and finite, and that none is surplus.

    CompressAI's buffers (bounds, pedestals, masks, entropy tables) may be there or not and are not looked at.
    Raises ModelError RC-CHECKPOINT-PARAMETER naming the parameter, what was wanted and what was found.
    """
    shapes = parameter_shapes(architecture)
    for name, shape in shapes.items():
        check_parameter(name, parameters.get(name), shape)
    for name in sorted(parameters.keys() - shapes.keys()):
        if not _is_buffer(name, shapes):
            found = f"{parameters[name].dtype} {parameters[name].shape}"
            raise ModelError("RC-CHECKPOINT-PARAMETER", f"{name!r:.120}: wanted none, found {found}")


def resolved(parameters: Mapping[str, np.ndarray], architecture: Architecture) -> dict[str, np.ndarray]:
    """The parameters as the layers use them: float32, normalisations without their reparametrisation, no buffers."""
    return {
        name: _resolved(name, parameters[name], architecture.is_reparametrised)
        for name in parameter_shapes(architecture)
    }


def _resolved(name: str, array: np.ndarray, reparametrised: bool) -> np.ndarray:
    if reparametrised and name.endswith(".beta"):
        return resolve_parametrisation(array, BETA_BOUND)
    if reparametrised and name.endswith(".gamma"):
        return resolve_parametrisation(array, GAMMA_BOUND)
    return array.astype(np.float32)
