"""Uniform quantisation of the parameters of an implicit video: bits, steps, rounding to the nearest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refcodec.codecs.inr.architecture import Architecture, parameters
from refcodec.codecs.inr.nodes import BIAS, GRID, WEIGHT, Parameter
from refcodec.codecs.inr.quantised import (
    ACTIVATIONS,
    LARGEST_STEP,
    MAX_BITS,
    MIN_BITS,
    Quantised,
    Video,
    step_channels,
)
from refcodec.errors import RangeError
from refcodec.formats import IntFormat
from refcodec.models.inr.trained import TrainedVideo
from refcodec.quantize.layers import round_half_up
from refcodec.quantize.observers import minmax_step, squared_error

CHANNEL, TENSOR = "channel", "tensor"
GRANULARITIES = (CHANNEL, TENSOR)
BIAS_BITS = GRID_BITS = 8


def weight_names(architecture: Architecture) -> list[str]:
    """The weights of a network, in its order."""
    return [parameter.name for parameter in parameters(architecture.nodes()) if parameter.kind == WEIGHT]


def parameter_bits(
    architecture: Architecture,
    weights: int | Mapping[str, int],
    biases: int = BIAS_BITS,
    grids: int = GRID_BITS,
) -> dict[str, int]:
    """Bits of every parameter, by name.

    weights  bits of all weights, or of each by name; the mapping may name biases and grids too
    biases, grids  bits of those that it does not name.  Raises RangeError.
    """
    named = weights if isinstance(weights, Mapping) else dict.fromkeys(weight_names(architecture), weights)
    given = {BIAS: biases, GRID: grids}
    found = {}
    for parameter in parameters(architecture.nodes()):
        bits = named.get(parameter.name, given.get(parameter.kind))
        if bits is None:
            raise RangeError(f"no bits are given for {parameter.name}")
        if not MIN_BITS <= bits <= MAX_BITS:
            raise RangeError(f"{parameter.name}: wanted {MIN_BITS}..{MAX_BITS} bits, got {bits}")
        found[parameter.name] = bits
    for name in sorted(set(named) - set(found)):
        raise RangeError(f"bits are given for {name}, which the network lacks")
    return found


def rows(parameter: Parameter, array: np.ndarray, granularity: str = CHANNEL) -> np.ndarray:
    """A parameter as (n, N), a row for each of its steps: output channels of a weight, channels of a grid, or one."""
    if granularity not in GRANULARITIES:
        raise RangeError(f"granularity: wanted {' or '.join(GRANULARITIES)}, got {granularity!r}")
    if granularity == TENSOR or step_channels(parameter) == 1:
        return array.reshape(1, -1)
    return np.moveaxis(array, 1, 0).reshape(array.shape[1], -1) if parameter.kind == GRID else _flat(array)


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1)


def spread_steps(parameter: Parameter, steps: np.ndarray) -> np.ndarray:
    """Something for each step, (n,), in a shape that broadcasts to the parameter's."""
    if len(steps) == 1:
        return steps.reshape((1,) * len(parameter.shape))
    return steps.reshape([-1 if axis == (parameter.kind == GRID) else 1 for axis in range(len(parameter.shape))])


def range_steps(array: np.ndarray, bits: int) -> np.ndarray:
    """Steps that share the range of each row, zero included, among all codes.

    array  (n, N) float.  Returns (n,) float64, 0 for a row of zeros.
    Source: NeuroQuant, Eq. 47: (max(w, 0) - min(w, 0)) / (2**bits - 1).
    """
    reach = np.maximum(array.max(axis=1), 0) - np.minimum(array.min(axis=1), 0)
    return reach.astype(np.float64) / ((1 << bits) - 1)


def first_steps(parameter: Parameter, array: np.ndarray, bits: int, granularity: str = CHANNEL) -> np.ndarray:
    """Steps to begin with: the smallest that saturate nothing, or by range where that has less squared error.

    array  float of the parameter's shape.  Returns (n,) float64.

    Codes have no zero point, so sharing a range that is not centred saturates one end. Weights of few bits gain by
    that, others lose more than by rounding. What is not a weight never saturates: the few outliers of an embedding are
    what it says of a frame.
    """
    fmt, split = IntFormat(bits, True), rows(parameter, array, granularity).astype(np.float64)
    whole = _step_above(minmax_step(split, fmt))
    if parameter.kind != WEIGHT:
        return whole
    shared = range_steps(split, bits)
    return np.where(squared_error(split, shared, fmt) < squared_error(split, whole, fmt), shared, whole)


def _step_above(steps: np.ndarray) -> np.ndarray:
    """The smallest binary16 numbers that are no smaller than steps, (n,) float64; 0 stays 0."""
    patterns = binary16_patterns(steps)
    above = step_values(np.minimum(patterns + (step_values(patterns) < steps), LARGEST_STEP))
    return np.where(steps > 0, above, 0.0)


def binary16_patterns(steps: np.ndarray) -> np.ndarray:
    """The nearest steps that a stream holds, as bit patterns of positive binary16 numbers (SPEC INR-4).

    steps  (n,) float, 0 or more; what is 0 becomes the largest of them, or 1 where all are.  Returns (n,) uint16.
    """
    largest = steps.max()
    filled = np.where(steps > 0, steps, largest if largest > 0 else 1.0)
    patterns = filled.clip(0, step_values(np.array([LARGEST_STEP])).item()).astype(np.float16).view(np.uint16)
    return np.maximum(patterns, 1).astype(np.uint16)


def step_values(patterns: np.ndarray) -> np.ndarray:
    """The steps of binary16 patterns, float32."""
    return patterns.astype(np.uint16).view(np.float16).astype(np.float32)


def nearest_integers(parameter: Parameter, array: np.ndarray, patterns: np.ndarray, bits: int) -> np.ndarray:
    """The nearest integers of a parameter within its bits, int32 of its shape; halves towards +infinity.

    array  float;  patterns  (n,) of its steps.  Source: NeuroQuant, Eq. 16.
    """
    fmt = IntFormat(bits, True)
    scaled = array.astype(np.float64) / spread_steps(parameter, step_values(patterns))
    return round_half_up(scaled).clip(fmt.lo, fmt.hi).astype(np.int32)


def quantise_parameter(parameter: Parameter, array: np.ndarray, bits: int, granularity: str = CHANNEL) -> Quantised:
    """A parameter by its first steps and nearest integers: naive quantisation.

    array  float of the parameter's shape;  granularity  whether each channel or the tensor has a step of its own.
    """
    patterns = binary16_patterns(first_steps(parameter, array, bits, granularity))
    return Quantised(nearest_integers(parameter, array, patterns, bits), patterns, bits)


def quantise(
    trained: TrainedVideo,
    bits: int | Mapping[str, int],
    granularity: str = CHANNEL,
    activations: IntFormat = ACTIVATIONS,
) -> Video:
    """An implicit video by naive quantisation.

    bits  of all weights, or of parameters by name, as of `parameter_bits`.  Raises RangeError.
    """
    chosen = parameter_bits(trained.architecture, bits)
    quantised = {
        parameter.name: quantise_parameter(
            parameter, trained.parameters[parameter.name], chosen[parameter.name], granularity
        )
        for parameter in parameters(trained.architecture.nodes())
    }
    return Video(trained.architecture, quantised, activations)


def dequantise_parameter(parameter: Parameter, quantised: Quantised) -> np.ndarray:
    """The real values of a parameter, float32: integers times steps, rounded once."""
    steps = spread_steps(parameter, step_values(quantised.steps)).astype(np.float64)
    return (quantised.integers * steps).astype(np.float32)


def dequantise(video: Video) -> dict[str, np.ndarray]:
    """The real values of all parameters, float32 by name, for a float twin."""
    return {
        parameter.name: dequantise_parameter(parameter, video.parameters[parameter.name])
        for parameter in parameters(video.architecture.nodes())
    }
