"""Watching the float decoder on photographs, and choosing a recipe from what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from refcodec.errors import RangeError
from refcodec.formats import IntFormat
from refcodec.models.encoder import symbols
from refcodec.models.scale_hyperprior import FloatScaleHyperprior
from refcodec.quantize.layers import (
    G_S,
    H_S,
    LATENTS,
    Layer,
    activation_format,
    integer_weights,
    normalisations,
)
from refcodec.quantize.observers import observer, power_of_two_step
from refcodec.quantize.recipe import Recipe, check_widths

SAMPLES = 1 << 14  # values kept per picture and activation


@dataclass(frozen=True, slots=True)
class Observations:
    """What the decoder's activations looked like.

    samples  activation name -> (N,) float32, drawn evenly and always holding each picture's extremes
    means    activation name -> (C,) float64, mean of every channel
    columns  normalisation name -> (C, N) float32, samples of what it reads, channel by channel.
    """

    samples: Mapping[str, np.ndarray]
    means: Mapping[str, np.ndarray]
    columns: Mapping[str, np.ndarray]


def _sample(values: np.ndarray) -> np.ndarray:
    flat = values.ravel()
    stride = max(1, flat.size // SAMPLES) | 1  # odd, so that it does not fall into step with rows
    return np.concatenate([flat[::stride], [flat.min(), flat.max()]]).astype(np.float32)


def _columns(values: np.ndarray) -> np.ndarray:
    """Samples of every channel (C, N), its extremes among them."""
    return np.stack([_sample(plane) for plane in values])


def observe(twin: FloatScaleHyperprior, pictures: Iterable[np.ndarray]) -> Observations:
    """Run pictures through the float codec and keep samples of every decoder activation.

    pictures  (3, H, W) float32 0..1, sides multiples of 64.  Raises RangeError when there are none.
    """
    seen: dict[str, list[np.ndarray]] = {}
    means: dict[str, list[np.ndarray]] = {}
    columns: dict[str, list[np.ndarray]] = {}
    names = {layer.name: layer.source for layer in (*H_S, *G_S)}

    def watch(name: str, array: np.ndarray) -> None:
        if name in names:
            seen.setdefault(names[name], []).append(_sample(array))
            means.setdefault(names[name], []).append(array.mean(axis=(1, 2), dtype=np.float64))
        elif name in normalisations(twin.architecture):
            columns.setdefault(name, []).append(_columns(array))

    for picture in pictures:
        y, z = symbols(twin, picture)
        twin.hyper_synthesis((z + twin.medians[:, None, None]).astype(np.float32), watch)
        twin.synthesis(y.astype(np.float32), watch)
    if not seen:
        raise RangeError("calibration needs at least one picture")
    return Observations(
        {name: np.concatenate(parts) for name, parts in seen.items()},
        {name: np.mean(parts, axis=0) for name, parts in means.items()},
        {name: np.concatenate(parts, axis=1) for name, parts in columns.items()},
    )


def choose(
    twin: FloatScaleHyperprior, observations: Observations, weight_bits: int, activation_bits: int, method: str
) -> Recipe:
    """A recipe for these widths.

    method  "mse" or "minmax".  Raises RangeError.
    """
    check_widths(weight_bits, activation_bits)
    steps = {layer.name: _weight_steps(twin, layer, weight_bits, method) for layer in (*H_S, *G_S)}
    activations = {
        name: _activation_step(
            name, values.astype(np.float64), activation_format(name, activation_bits, twin.architecture), method
        )
        for name, values in observations.samples.items()
    }
    corrections = {
        layer.name: _correction(twin, layer, steps[layer.name], weight_bits, observations) for layer in (*H_S, *G_S)
    }
    norms = {
        name: _positive(observer(method)(rows.astype(np.float64), IntFormat(activation_bits, True)))
        for name, rows in observations.columns.items()
    }
    return Recipe(weight_bits, activation_bits, method, activations, norms, steps, corrections)


def _weight_steps(twin: FloatScaleHyperprior, layer: Layer, bits: int, method: str) -> list[float]:
    weight = layer.weight(twin.parameters)
    return _positive(observer(method)(weight.reshape(weight.shape[0], -1), IntFormat(bits, True)))


def _activation_step(name: str, values: np.ndarray, fmt: IntFormat, method: str) -> float:
    """Latents keep their integer grid; everything else follows the observer."""
    if name in LATENTS:
        return power_of_two_step(values, fmt, LATENTS[name])
    return _positive(observer(method)(values[None], fmt))[0]


def _correction(
    twin: FloatScaleHyperprior, layer: Layer, steps: list[float], bits: int, observations: Observations
) -> list[float]:
    weight, unit = layer.weight(twin.parameters), np.array(steps)
    error = integer_weights(weight, unit, IntFormat(bits, True)) * unit[:, None, None, None] - weight
    return [float(value) for value in layer.mean_response(error, observations.means[layer.source])]


def _positive(steps: np.ndarray) -> list[float]:
    """Steps as floats; a channel that is all zero takes the largest step of its layer, or one."""
    fallback = float(steps.max()) or 1.0
    return [float(step) if step > 0 else fallback for step in steps]
