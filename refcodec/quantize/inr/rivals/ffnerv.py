"""FFNeRV's quantisation-aware training: weights are what tanh leaves of trained values, cut off to a grid.

Source: Lee et al. 2023, "FFNeRV: Flow-Guided Frame-Wise Neural Representations for Videos", and its code: with n =
2**(bits - 1) - 1 a weight is sign(u) * floor(|tanh u| * n) / n, for weights, biases and grids, and gradients pass the
floor as if it were not there. NeuroQuant's Eq. 49 has 2**bits - 1 for n, which with a sign needs a bit more than it
says.

There a network is trained in this form from the start, so that all weights are within 1. To begin with a float network
each row has a scale: a weight is scale * sign(u) * floor(|tanh u| * n) / n, so its integer is sign(u) * floor(|tanh u|
* n) and its step scale / n, of which scale is made so that this is a binary16 number. Of the fractions of the largest
weight, the scale is the one with the least squared error. Weights beyond it begin where tanh is 1 in float32: they
have no gradient and stay. Codes of size n are only theirs, since tanh is below 1 elsewhere; at 2 bits, n = 1, so that
no weight can move.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive

from refcodec.codecs.inr.architecture import parameters
from refcodec.codecs.inr.nodes import Parameter
from refcodec.codecs.inr.quantised import Quantised, Video
from refcodec.models.inr.trained import TrainedVideo
from refcodec.quantize.inr.rivals.settings import Settings
from refcodec.quantize.inr.rivals.training import fine_tune
from refcodec.quantize.inr.uniform import binary16_patterns, parameter_bits, rows, spread_steps, step_values

RATE = 0.06  # of a code: what tanh is taken of is a part of the scale, n codes
FRACTIONS = np.linspace(0.2, 1.5, 53)  # of the largest weight, tried as scales
SATURATED = 12.0  # its tanh is 1 in float32
LARGEST_TANH = 1 - 2.0**-20


@primitive
def cut(values: np.ndarray, n: int) -> np.ndarray:
    """sign(v) * floor(|v| * n) / n of values within 1; its gradient is that of v."""
    return np.sign(values) * np.floor(np.abs(values) * values.dtype.type(n)) / values.dtype.type(n)


defvjp(cut, lambda ans, values, n: lambda g: g, argnums=(0,))


def scale_patterns(array: np.ndarray, bits: int) -> np.ndarray:
    """Steps with which cutting weights off leaves the least squared error.  array  (n, N).  Returns (n,) uint16."""
    n = (1 << bits - 1) - 1
    largest = np.abs(array).max(axis=1).astype(np.float64)
    best, least = largest, np.full(len(array), np.inf)
    for fraction in FRACTIONS:
        step = np.where(largest > 0, fraction * largest, 1.0) / n
        codes = np.minimum(np.floor(np.abs(array) / step[:, None]), n)
        error = ((codes * step[:, None] - np.abs(array)) ** 2).sum(axis=1)
        best, least = np.where(error < least, step, best), np.minimum(error, least)
    return binary16_patterns(np.where(largest > 0, best, 0.0))


def _inverse(parameter: Parameter, array: np.ndarray, patterns: np.ndarray, n: int) -> np.ndarray:
    """What tanh and the scale turn into the weights."""
    part = array / (spread_steps(parameter, step_values(patterns)) * n)
    inside = np.arctanh(np.clip(part, -LARGEST_TANH, LARGEST_TANH))
    return np.where(np.abs(part) < 1, inside, SATURATED * np.sign(part)).astype(np.float32)


def ffnerv(trained: TrainedVideo, frames: np.ndarray, bits: int | Mapping[str, int], settings: Settings) -> Video:
    """Fine-tune a network in FFNeRV's form.

    frames  (T, H, W, 3) uint8;  bits  as of `parameter_bits`.  Raises ShapeError, RangeError.
    """
    chosen = parameter_bits(trained.architecture, bits)
    wanted = parameters(trained.architecture.nodes())
    largest = {parameter.name: (1 << chosen[parameter.name] - 1) - 1 for parameter in wanted}
    patterns = {
        p.name: scale_patterns(rows(p, trained.parameters[p.name], settings.granularity), chosen[p.name])
        for p in wanted
    }
    scales = {p.name: spread_steps(p, step_values(patterns[p.name])) * np.float32(largest[p.name]) for p in wanted}

    def quantiser(given: Mapping[str, Any], draw: np.random.Generator) -> dict[str, Any]:
        return {name: scales[name] * cut(anp.tanh(array), largest[name]) for name, array in given.items()}

    start = {p.name: _inverse(p, trained.parameters[p.name], patterns[p.name], largest[p.name]) for p in wanted}
    rates = {name: RATE / n for name, n in largest.items()}
    variables = fine_tune(trained, frames, settings, start, quantiser, rates)
    found = {}
    for name, array in variables.items():
        codes = cut(np.tanh(array), largest[name]) * np.float32(largest[name])
        found[name] = Quantised(np.rint(codes).astype(np.int32), patterns[name], chosen[name])
    return Video(trained.architecture, found, settings.activations)
