"""NeuroQuant: steps first, then roundings, by the error of the whole network's pictures.

Source: "On Quantizing Neural Representation for Variable-Rate Video Coding" (ICLR 2025), Eq. 11 to 16 and 47. Unlike in
its published code, codes have no zero point, biases and grids are quantised with the weights and end as integers, and
beta has fallen all the way when learning ends. The last iterations learn the steps once more, for the integers found:
that costs no byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from refcodec.quantize.inr.steps import RATE, Patterns, Schedule, learn_steps, settle_steps
from refcodec.quantize.inr.uniform import binary16_patterns, first_steps, nearest_integers, parameter_bits

Bits = tuple[tuple[str, int], ...]

COLOURS = 3  # the error that indecision is weighed against is summed over them, and a mean elsewhere


class Recipe(NamedTuple):
    """How it learns.

    step_part, settle_part  of the iterations, for the steps before the roundings and after them
    step_rate, settle_rate  of Adam for steps, in octaves
    annealing  of the roundings; its travel is that of the paper, a rate of 3e-3 in 21000 iterations.
    """

    step_part: float = 0.1
    settle_part: float = 0.15
    step_rate: float = RATE
    settle_rate: float = RATE
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
    def iterations(self) -> tuple[int, int, int]:
        """Those for steps, for roundings and for steps again, from what is left of the evaluations."""
        total = self.trained.architecture.frames
        spent = FORWARD * total if self.settings.target == FLOAT else 0
        count = max(2, int((self.settings.evaluations - spent) / min(self.settings.batch, total)))
        first, last = int(count * self.recipe.step_part), int(count * self.recipe.settle_part)
        return first, count - first - last, last

    def probe(self, bits: Mapping[str, int]) -> Video:
        """The video of the nearest integers on learned steps: nearly the size of the whole run's, and soon made."""
        return self.nearest(bits, self.steps(bits))

    def make(self, bits: Mapping[str, int]) -> Video:
        """The video of a whole run.  bits  of every parameter."""
        return self.settled(self.rounded(bits, self.steps(bits)))

    def steps(self, bits: Mapping[str, int]) -> Patterns:
        """Steps after the first part of a run.  bits  of every parameter."""
        key = tuple(sorted(bits.items()))
        if key not in self.known:
            self.known[key] = self._learned_steps(bits)
        return self.known[key]

    def _learned_steps(self, bits: Mapping[str, int]) -> Patterns:
        trained, granularity = self.trained, self.settings.granularity
        patterns = {
            p.name: binary16_patterns(first_steps(p, trained.parameters[p.name], bits[p.name], granularity))
            for p in self._parameters
        }
        count, schedule = self.iterations[0], self._schedule(0, self.recipe.step_rate)
        return learn_steps(trained, self.objective, patterns, bits, self._batches(0, count), schedule)

    @property
    def _parameters(self) -> tuple[Parameter, ...]:
        return parameters(self.trained.architecture.nodes())

    def _batches(self, part: int, count: int) -> Iterator[list[int]]:
        draw = np.random.default_rng((self.settings.seed, part))
        return batches(self.trained.architecture.frames, self.settings.batch, count, draw)

    def _schedule(self, part: int, rate: float) -> Schedule:
        iterations = self.iterations
        before, total = sum(iterations[:part]), sum(iterations)
        return Schedule(iterations[part], rate, lambda done: self.settings.report((before + done) / total))

    def nearest(self, bits: Mapping[str, int], patterns: Patterns) -> Video:
        """The video of the nearest integers on some steps."""
        found = {}
        for p in self._parameters:
            integers = nearest_integers(p, self.trained.parameters[p.name], patterns[p.name], bits[p.name])
            found[p.name] = Quantised(integers, patterns[p.name], bits[p.name])
        return Video(self.trained.architecture, found, self.settings.activations)

    def rounded(self, bits: Mapping[str, int], patterns: Patterns) -> Video:
        """The video of the integers that the second part of a run finds on some steps."""
        architecture, iterations = self.trained.architecture, self.iterations
        network, total = architecture.nodes(), architecture.frames
        roundings = {
            p.name: Rounding.of(p, self.trained.parameters[p.name], patterns[p.name], bits[p.name])
            for p in self._parameters
        }

        def error(variables: Mapping[str, Any], numbers: list[int]) -> Any:
            values = {name: roundings[name].value(array) for name, array in variables.items()}
            return COLOURS * self.objective.error(values, numbers)

        def tick(done: float) -> None:
            self.settings.report((iterations[0] + done * iterations[1]) / sum(iterations))

        variables = learn(
            roundings, error, self._batches(1, iterations[1]), iterations[1],
            lambda numbers: grid_rows(network, numbers, total), tick, self.recipe.annealing,
        )  # fmt: skip
        found = {name: rounding.quantised(variables[name]) for name, rounding in roundings.items()}
        return Video(architecture, found, self.settings.activations)

    def settled(self, video: Video) -> Video:
        """The same integers on the steps that the last part of a run finds for them."""
        count, schedule = self.iterations[2], self._schedule(2, self.recipe.settle_rate)
        return settle_steps(video, self.objective, self._batches(2, count), schedule) if count else video


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
