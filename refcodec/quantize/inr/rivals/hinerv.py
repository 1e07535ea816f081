"""HiNeRV's quantisation-aware training: most weights, drawn anew in each step, are quantised while it trains.

Source: Kwan et al. 2023, "HiNeRV: Video Compression with Hierarchical Encoding-based Neural Representation", and its
code, after Quant-Noise (Fan et al. 2021): a parameter is w * mask + q(w) * (1 - mask), of which a weight is in the
mask with probability 1 - NOISE; q(w) is scale * clip(round(w / scale)), scale = 2 * max|w| / (2**bits - 1) + 1e-6. By
default nothing passes the rounding: gradients reach weights in the mask, and the largest ones by way of the scale.

There the maximum is over the longest axis, often that of output channels, so that each input channel and tap has a
scale of its own. A stream has a step for each output channel or for the tensor, so here the maximum is over each of
those; of a grid that is the same. Biases, which the source stores in 16 bits, are quantised as the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive

from refcodec.codecs.inr.architecture import parameters
from refcodec.codecs.inr.nodes import GRID, Parameter
from refcodec.codecs.inr.quantised import Quantised, Video, step_channels
from refcodec.formats import IntFormat
from refcodec.models.inr.trained import TrainedVideo
from refcodec.quantize.inr.rivals.settings import Settings
from refcodec.quantize.inr.rivals.training import fine_tune
from refcodec.quantize.inr.uniform import CHANNEL, binary16_patterns, nearest_integers, parameter_bits

NOISE = 0.9
RATE = 1e-3  # the published fine-tuning has a fifth of it, and some hundred times the steps
LEAST_SCALE = 1e-6


@primitive
def nearest(values: np.ndarray, bits: int) -> np.ndarray:
    """Nearest integers, halves to even ones, saturated; nothing passes backwards."""
    fmt = IntFormat(bits, True)
    return np.clip(np.rint(values), fmt.lo, fmt.hi)


defvjp(nearest, lambda ans, values, bits: lambda g: np.zeros_like(g), argnums=(0,))


def largest_steps(parameter: Parameter, array: Any, bits: int, granularity: str) -> Any:
    """Steps by the largest size in each row, in a shape that broadcasts to the parameter's; differentiable."""
    kept = 1 if parameter.kind == GRID else 0
    several = granularity == CHANNEL and step_channels(parameter) > 1
    axes = tuple(axis for axis in range(len(parameter.shape)) if not (several and axis == kept))
    return 2 * anp.max(anp.abs(array), axis=axes, keepdims=True) / ((1 << bits) - 1) + LEAST_SCALE


def hinerv_qat(trained: TrainedVideo, frames: np.ndarray, bits: int | Mapping[str, int], settings: Settings) -> Video:
    """Fine-tune a network with HiNeRV's noise.

    frames  (T, H, W, 3) uint8;  bits  as of `parameter_bits`.  Raises ShapeError, RangeError.
    """
    chosen = parameter_bits(trained.architecture, bits)
    wanted = {parameter.name: parameter for parameter in parameters(trained.architecture.nodes())}

    def quantiser(given: Mapping[str, Any], draw: np.random.Generator) -> dict[str, Any]:
        found = {}
        for name, array in given.items():
            steps = largest_steps(wanted[name], array, chosen[name], settings.granularity)
            mask = (draw.random(wanted[name].shape, np.float32) > NOISE).astype(np.float32)
            found[name] = array * mask + nearest(array / steps, chosen[name]) * steps * (1 - mask)
        return found

    rates = dict.fromkeys(wanted, RATE)
    variables = fine_tune(trained, frames, settings, trained.parameters, quantiser, rates)
    found = {}
    for name, parameter in wanted.items():
        steps = largest_steps(parameter, variables[name], chosen[name], settings.granularity)
        patterns = binary16_patterns(np.ravel(steps))
        integers = nearest_integers(parameter, variables[name], patterns, chosen[name])
        found[name] = Quantised(integers, patterns, chosen[name])
    return Video(trained.architecture, found, settings.activations)
