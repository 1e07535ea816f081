"""Learning the steps of a network's parameters, before their roundings and after, by the error of its pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from autograd import grad

from refcodec.codecs.inr.architecture import parameters
from refcodec.codecs.inr.nodes import GRID, Parameter
from refcodec.codecs.inr.quantised import Video
from refcodec.formats import IntFormat
from refcodec.gradient.optimiser import Adam
from refcodec.models.inr.trained import TrainedVideo
from refcodec.quantize.inr.objective import Objective
from refcodec.quantize.inr.uniform import binary16_patterns, spread_steps, step_values

RATE = 0.01  # largest change of a step in one go, in octaves

Patterns = dict[str, np.ndarray]  # (n,) uint16 binary16 patterns of steps, by name
Followed = tuple[np.ndarray, np.ndarray]


class Schedule(NamedTuple):
    """How many iterations, and how fast.

    rate  of Adam in octaves, which falls to nothing by half a cosine;  tick  told how many are done.
    """

    iterations: int
    rate: float
    tick: Callable[[int], None]


def rounded(parameter: Parameter, array: np.ndarray, octaves: np.ndarray, bits: int) -> Followed:
    """The real values that steps leave of a parameter, and how they follow the steps.

    octaves  (n,) float32, logarithms of the steps to the base of 2.
    Returns two float32 arrays of the parameter's shape: integers times steps, and their derivatives in octaves, as if
    rounding were the identity: what is lost by rounding scales with the step, what is saturated follows it.
    Source: Esser et al. 2020, "Learned Step Size Quantization", Eq. 3.
    """
    fmt, steps = IntFormat(bits, True), spread_steps(parameter, np.exp2(octaves))
    scaled = array / steps
    nearest = np.floor(scaled + np.float32(0.5))
    integers = nearest.clip(fmt.lo, fmt.hi)
    slope = np.where(nearest == integers, integers - scaled, integers)
    return integers * steps, slope * steps * np.float32(math.log(2))


def learn_steps(
    trained: TrainedVideo,
    objective: Objective,
    patterns: Mapping[str, np.ndarray],
    bits: Mapping[str, int],
    inputs: Iterable[Sequence[int]],
    schedule: Schedule,
) -> Patterns:
    """Steps that lower the error of the nearest integers.

    patterns  those to begin with;  inputs  the frames of each iteration.
    """

    def made(parameter: Parameter, octaves: np.ndarray) -> Followed:
        return rounded(parameter, trained.parameters[parameter.name], octaves, bits[parameter.name])

    return _descended(objective, patterns, made, inputs, schedule)


def settle_steps(video: Video, objective: Objective, inputs: Iterable[Sequence[int]], schedule: Schedule) -> Video:
    """The same integers on steps that lower their error.  inputs  the frames of each iteration."""
    integers = {name: quantised.integers.astype(np.float32) for name, quantised in video.parameters.items()}

    def made(parameter: Parameter, octaves: np.ndarray) -> Followed:
        values = integers[parameter.name] * spread_steps(parameter, np.exp2(octaves))
        return values, values * np.float32(math.log(2))

    first = {name: quantised.steps for name, quantised in video.parameters.items()}
    patterns = _descended(objective, first, made, inputs, schedule)
    found = {name: replace(quantised, steps=patterns[name]) for name, quantised in video.parameters.items()}
    return Video(video.architecture, found, video.activations)


def _descended(
    objective: Objective,
    patterns: Mapping[str, np.ndarray],
    made: Callable[[Parameter, np.ndarray], Followed],
    inputs: Iterable[Sequence[int]],
    schedule: Schedule,
) -> Patterns:
    """Steps after gradient descent.

    made  the real values of a parameter and their derivatives in octaves, from octaves (n,).
    """
    wanted = parameters(objective.architecture.nodes())
    octaves = {name: np.log2(step_values(steps)) for name, steps in patterns.items()}
    adam, slope = Adam.begin(octaves), grad(objective.error)
    for iteration, numbers in enumerate(inputs):
        followed = {p.name: made(p, octaves[p.name]) for p in wanted}
        gradients = slope({name: values for name, (values, _) in followed.items()}, numbers)
        now = schedule.rate * (0.5 + 0.5 * math.cos(math.pi * iteration / schedule.iterations))
        for p in wanted:
            share = _summed(p, gradients[p.name] * followed[p.name][1], octaves[p.name].size)
            adam.update(p.name, octaves[p.name], share, now)
        schedule.tick(iteration + 1)
    return {name: binary16_patterns(np.exp2(values)) for name, values in octaves.items()}


def _summed(parameter: Parameter, array: np.ndarray, count: int) -> np.ndarray:
    """The sum over all values of each step, (n,) float32."""
    kept = None if count == 1 else int(parameter.kind == GRID)
    axes = tuple(axis for axis in range(array.ndim) if axis != kept)
    return array.sum(axis=axes, dtype=np.float64).reshape(count).astype(np.float32)
