"""NeuroQuant: steps first, then roundings, by the error of the whole network's pictures.

Source: "On Quantizing Neural Representation for Variable-Rate Video Coding" (ICLR 2025), Eq. 11 to 16 and 47. Unlike in
its published code, codes have no zero point, biases and grids are quantised with the weights and end as integers, and
beta has fallen all the way when learning ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from refcodec.codecs.inr.architecture import parameters
from refcodec.codecs.inr.nodes import Parameter
from refcodec.codecs.inr.quantised import Quantised, Video
from refcodec.models.inr.trained import TrainedVideo
from refcodec.models.inr.twin import grid_rows
from refcodec.quantize.inr.objective import FLOAT, Objective
from refcodec.quantize.inr.rivals.learning import learn
from refcodec.quantize.inr.rivals.settings import FORWARD, Settings
from refcodec.quantize.inr.rivals.tensors import batches
from refcodec.quantize.inr.rounding import Annealing, Rounding
from refcodec.quantize.inr.steps import RATE, learn_steps
from refcodec.quantize.inr.uniform import binary16_patterns, first_steps, nearest_integers, parameter_bits

Bits = tuple[tuple[str, int], ...]
Patterns = dict[str, np.ndarray]

COLOURS = 3  # the error that indecision is weighed against is summed over them, and a mean elsewhere


class Recipe(NamedTuple):
    """How it learns.

    step_part  of the iterations, for the steps;  step_rate  of Adam for steps, in octaves
    annealing  of the roundings; its travel is that of the paper, a rate of 3e-3 in 21000 iterations.
    """

    step_part: float = 0.1
    step_rate: float = RATE
    annealing: Annealing = Annealing(travel=63.0)


RECIPE = Recipe()


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """A network about to be quantised, at as many rates as one likes.

    objective  of the whole network;  settings, recipe  of every run;  known  steps already learned, by bits.
    """

    trained: TrainedVideo
    objective: Objective
    settings: Settings
    recipe: Recipe
    known: dict[Bits, Patterns] = field(default_factory=dict)

    @classmethod
    def of(cls, trained: TrainedVideo, frames: np.ndarray, settings: Settings, recipe: Recipe = RECIPE) -> Calibration:
        """Compute what pictures should be.  frames  (T, H, W, 3) uint8.  Raises ShapeError, RangeError."""
        objective = Objective.of(trained, frames, settings.target)
        return cls(trained, objective, settings, recipe)

    @property
    def iterations(self) -> tuple[int, int]:
        """Those for steps and for roundings, from what is left of the evaluations."""
        total = self.trained.architecture.frames
        spent = FORWARD * total if self.settings.target == FLOAT else 0
        count = max(2, int((self.settings.evaluations - spent) / min(self.settings.batch, total)))
        first = int(count * self.recipe.step_part)
        return first, count - first

    def probe(self, bits: Mapping[str, int]) -> Video:
        """The video of the nearest integers on learned steps: nearly the size of the whole run's, and soon made."""
        return self.nearest(bits, self.steps(bits))

    def make(self, bits: Mapping[str, int]) -> Video:
        """The video of a whole run.  bits  of every parameter."""
        return self.rounded(bits, self.steps(bits))

    def steps(self, bits: Mapping[str, int]) -> Patterns:
        """Steps after the first part of a run, as binary16 patterns.  bits  of every parameter."""
        key = tuple(sorted(bits.items()))
        if key not in self.known:
            self.known[key] = self._learned_steps(bits)
        return self.known[key]

    def _learned_steps(self, bits: Mapping[str, int]) -> Patterns:
        trained, settings, (count, rest) = self.trained, self.settings, self.iterations
        patterns = {
            p.name: binary16_patterns(first_steps(p, trained.parameters[p.name], bits[p.name], settings.granularity))
            for p in self._parameters
        }
        if not count:
            return patterns
        done = 0

        def tick() -> None:
            nonlocal done
            done += 1
            settings.report(done / (count + rest))

        chosen = batches(trained.architecture.frames, settings.batch, count, np.random.default_rng(settings.seed))
        return learn_steps(trained, self.objective, patterns, bits, chosen, count, tick, self.recipe.step_rate)

    @property
    def _parameters(self) -> tuple[Parameter, ...]:
        return parameters(self.trained.architecture.nodes())

    def nearest(self, bits: Mapping[str, int], patterns: Mapping[str, np.ndarray]) -> Video:
        """The video of the nearest integers on some steps."""
        found = {}
        for p in self._parameters:
            integers = nearest_integers(p, self.trained.parameters[p.name], patterns[p.name], bits[p.name])
            found[p.name] = Quantised(integers, patterns[p.name], bits[p.name])
        return Video(self.trained.architecture, found, self.settings.activations)

    def rounded(self, bits: Mapping[str, int], patterns: Mapping[str, np.ndarray]) -> Video:
        """The video of the integers that the second part of a run finds on some steps."""
        architecture, settings, (before, count) = self.trained.architecture, self.settings, self.iterations
        network, total = architecture.nodes(), architecture.frames
        roundings = {
            p.name: Rounding.of(p, self.trained.parameters[p.name], patterns[p.name], bits[p.name])
            for p in self._parameters
        }

        def error(variables: Mapping[str, Any], numbers: list[int]) -> Any:
            values = {name: roundings[name].value(array) for name, array in variables.items()}
            return COLOURS * self.objective.error(values, numbers)

        def tick(done: float) -> None:
            settings.report((before + done * count) / (before + count))

        chosen = batches(total, settings.batch, count, np.random.default_rng((settings.seed, 1)))
        variables = learn(
            roundings, error, chosen, count, lambda numbers: grid_rows(network, numbers, total), tick,
            self.recipe.annealing,
        )  # fmt: skip
        found = {name: rounding.quantised(variables[name]) for name, rounding in roundings.items()}
        return Video(architecture, found, settings.activations)


def neuroquant(
    trained: TrainedVideo,
    frames: np.ndarray,
    bits: int | Mapping[str, int],
    settings: Settings,
    recipe: Recipe = RECIPE,
) -> Video:
    """Quantise a network by the pictures that it computes.

    frames  (T, H, W, 3) uint8;  bits  of all weights, or of parameters by name, as of `parameter_bits`.
    Raises ShapeError, RangeError.
    """
    return Calibration.of(trained, frames, settings, recipe).make(parameter_bits(trained.architecture, bits))
