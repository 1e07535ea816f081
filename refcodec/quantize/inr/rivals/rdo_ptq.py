"""RDO-PTQ: each layer's steps and roundings chosen by what they do to the pictures and to the rate.

Source: Shi, Lu and Ma 2022, "Rate-Distortion Optimized Post-Training Quantization for Learned Image Compression":
layers are quantised one after another, and what decides is the loss D + lambda R of the whole codec with the layers
that follow in floats, not the error of the layer's own output. There R is the rate of an image's latents. An implicit
video has none: its rate is that of its weights, so here R is what the layer's integers cost. In detail, for each layer
in turn, the ones before it rounded:

    steps      the steps of least squared error times the one of RATIOS with the least J, weights rounded to the nearest
    roundings  learned as in AdaRound, by the gradient of J
    J          D / D0 + WORTH * R, with D the mean squared error of pictures, D0 what it is where J chose the steps, and
               R bits of a weight by the entropy of the layer's integers, a weight between two of them being both in
               part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from autograd.extend import defvjp, primitive

from refcodec.codecs.inr.architecture import parameters as parameters_of
from refcodec.codecs.inr.nodes import FRAME, WEIGHT, Node, Parameter
from refcodec.codecs.inr.quantised import Quantised, Video
from refcodec.formats import IntFormat
from refcodec.gradient.arrangement import crop
from refcodec.gradient.distance import mean_square
from refcodec.models.inr.trained import TrainedVideo
from refcodec.models.inr.twin import grid_rows, run_nodes
from refcodec.quantize.inr.objective import FLOAT, Objective, spread_frames
from refcodec.quantize.inr.rivals.learning import learn
from refcodec.quantize.inr.rivals.reconstruction import least_error_patterns
from refcodec.quantize.inr.rivals.settings import FORWARD, Settings
from refcodec.quantize.inr.rivals.tensors import Tensors, affordable_frames, batches, read_later
from refcodec.quantize.inr.rivals.units import Unit, layer_units, node_shares, step_price
from refcodec.quantize.inr.rounding import Rounding, rise
from refcodec.quantize.inr.uniform import binary16_patterns, dequantise_parameter, parameter_bits, step_values

RATIOS = (0.8, 0.9, 1.0, 1.1, 1.25)
TRIED_FRAMES = 4  # that decide among them
WORTH = 0.05  # what a bit of every weight counts beside the distortion
LEAST_DISTORTION = 1e-12  # what counts as none
UNSEEN = 0.5  # how often an integer that does not occur is taken to occur


def rdo_ptq(trained: TrainedVideo, frames: np.ndarray, bits: int | Mapping[str, int], settings: Settings) -> Video:
    """Quantise layer by layer.

    frames  (T, H, W, 3) uint8;  bits  as of `parameter_bits`.  Raises ShapeError, RangeError.
    """
    return _Run.begin(trained, frames, parameter_bits(trained.architecture, bits), settings).video()


def code_lengths(expected: np.ndarray) -> np.ndarray:
    """Bits of each integer by how often it occurs.  expected  (K,) counts, 0 or more.  Returns (K,)."""
    filled = np.maximum(expected, UNSEEN)
    return np.log2(filled.sum()) - np.log2(filled)


class Between(NamedTuple):
    """The two integers beside each weight, (N,) from 0 for the lowest one, and how many kinds there are."""

    lower: np.ndarray
    upper: np.ndarray
    kinds: int

    @classmethod
    def of(cls, rounding: Rounding) -> Between:
        """Those of a parameter."""
        fmt = IntFormat(rounding.bits, True)
        lower, upper = (rounding.integers(up).ravel().astype(np.int64) - fmt.lo for up in (0, 1))
        return cls(lower, upper, fmt.hi - fmt.lo + 1)

    def expected(self, up: np.ndarray) -> np.ndarray:
        """How often each integer occurs, (K,) float64.  up  how far each weight is rounded up, 0 .. 1."""
        flat = up.ravel()
        return np.bincount(self.lower, 1 - flat, self.kinds) + np.bincount(self.upper, flat, self.kinds)


@primitive
def rate(up: np.ndarray, between: Between) -> Any:
    """Bits of a weight in the mean, by the entropy of its tensor, in the precision of what is given.

    up  how far each weight is rounded up, 0 .. 1.
    """
    expected = between.expected(up)
    return up.dtype.type(expected @ code_lengths(expected) / up.size)


def _rate_slopes(up: np.ndarray, between: Between) -> np.ndarray:
    """What the rate gains by rounding up: code lengths follow the counts, which to first order changes nothing."""
    lengths = code_lengths(between.expected(up))
    slopes = (lengths[between.upper] - lengths[between.lower]) / up.size
    return slopes.astype(up.dtype).reshape(up.shape)


defvjp(rate, lambda ans, up, between: lambda g: g * _rate_slopes(up, between), argnums=(0,))


@dataclass(slots=True)
class _Run:
    """One run.

    quantised  tensors of the network whose first layers are rounded, of the chosen frames;  steps  for each layer.
    """

    trained: TrainedVideo
    objective: Objective
    bits: Mapping[str, int]
    settings: Settings
    units: list[Unit]
    quantised: Tensors
    steps: int

    @classmethod
    def begin(cls, trained: TrainedVideo, frames: np.ndarray, bits: Mapping[str, int], settings: Settings) -> _Run:
        objective = Objective.of(trained, frames, settings.target)
        units = layer_units(trained.architecture.nodes())
        numbers = spread_frames(
            trained.architecture.frames, affordable_frames(units, 1, False, FORWARD, settings.evaluations)
        )
        shares = node_shares(trained.architecture.nodes())
        rests = [[node for later in units[k:] for node in later.nodes] for k in range(len(units))]
        trial = sum(step_price(rest, shares, ()) for rest in rests) * len(RATIOS) * min(TRIED_FRAMES, len(numbers))
        step = sum(
            step_price(rest, shares, {p.name for p in unit.learned}) for rest, unit in zip(rests, units, strict=True)
        )
        left = settings.evaluations - trial - FORWARD * (len(numbers) + len(frames) * (settings.target == FLOAT))
        steps = max(1, int(left / (step * min(settings.batch, len(numbers)))))
        quantised = Tensors(numbers, trained.architecture.frames)
        return cls(trained, objective, bits, settings, units, quantised, steps)

    def video(self) -> Video:
        """Quantise everything."""
        found: dict[str, Quantised] = {}
        values: dict[str, np.ndarray] = dict(self.trained.parameters)
        for number, unit in enumerate(self.units):
            rest = [node for later in self.units[number:] for node in later.nodes]
            chosen = {p.name: self._rounding(p, 1.0) for p in parameters_of(unit.nodes)}
            for parameter in parameters_of(unit.nodes):
                values[parameter.name] = dequantise_parameter(parameter, chosen[parameter.name].nearest())
            ratio, distortion = self._best_ratio(unit, rest, values)
            learned = {p.name: self._rounding(p, ratio) for p in unit.learned}
            decided = {name: rounding.nearest() for name, rounding in chosen.items()}
            decided |= self._learn(number, learned, rest, values, distortion)
            for parameter in parameters_of(unit.nodes):
                values[parameter.name] = dequantise_parameter(parameter, decided[parameter.name])
            found |= decided
            self.quantised.advance(unit.nodes, values, read_later(rest[len(unit.nodes) :]))
        return Video(self.trained.architecture, found, self.settings.activations)

    def _rounding(self, parameter: Parameter, ratio: float) -> Rounding:
        """A parameter on its grid.  ratio  of a weight's steps to those of least squared error."""
        array, bits = self.trained.parameters[parameter.name], self.bits[parameter.name]
        patterns = least_error_patterns(parameter, array, bits, self.settings.granularity)
        if parameter.kind == WEIGHT:
            patterns = binary16_patterns(step_values(patterns).astype(np.float64) * ratio)
        return Rounding.of(parameter, array, patterns, bits)

    def _distortion(self, rest: Sequence[Node], values: Mapping[str, Any], places: list[int]) -> Any:
        """Mean squared error of the pictures of some of the frames, computed from where the rounded layers end."""
        architecture = self.trained.architecture
        live = self.quantised.picked(places)
        wanted = self.objective.wanted[:, list(live[FRAME][0])]
        run_nodes(rest, values, live)
        return mean_square(crop(live[rest[-1].name], architecture.height, architecture.width) - wanted)

    def _best_ratio(self, unit: Unit, rest: Sequence[Node], values: Mapping[str, Any]) -> tuple[float, float]:
        """The ratio with the least J for a layer, rounded to the nearest, and the distortion with it."""
        places = spread_frames(len(self.quantised.numbers), TRIED_FRAMES)
        weight = next(parameter for parameter in unit.learned if parameter.kind == WEIGHT)
        tried = []
        for ratio in RATIOS:
            rounding = self._rounding(weight, ratio)
            given = {**values, weight.name: dequantise_parameter(weight, rounding.nearest())}
            price = rate((rise(rounding.first) >= 0.5).astype(np.float32), Between.of(rounding))
            tried.append((max(float(self._distortion(rest, given, places)), LEAST_DISTORTION), float(price), ratio))
        least = min(distortion for distortion, _, _ in tried)
        distortion, _, ratio = min(tried, key=lambda entry: entry[0] / least + WORTH * entry[1])
        return ratio, distortion

    def _learn(
        self,
        number: int,
        roundings: Mapping[str, Rounding],
        rest: Sequence[Node],
        values: Mapping[str, Any],
        distortion: float,
    ) -> dict[str, Quantised]:
        """The integers of a layer's parameters.  rest  its nodes and all later ones."""
        priced = {name: Between.of(r) for name, r in roundings.items() if r.parameter.kind == WEIGHT}

        def error(variables: Mapping[str, Any], places: list[int]) -> Any:
            given = {**values, **{name: roundings[name].value(array) for name, array in variables.items()}}
            cost = self._distortion(rest, given, places) / distortion
            return cost + WORTH * sum(rate(rise(variables[name]), between) for name, between in priced.items())

        draw = np.random.default_rng((self.settings.seed, number))
        variables = learn(
            roundings,
            error,
            batches(len(self.quantised.numbers), self.settings.batch, self.steps, draw),
            self.steps,
            lambda places: grid_rows(rest, [self.quantised.numbers[place] for place in places], self.quantised.total),
            lambda done: self.settings.report((number + done) / len(self.units)),
        )
        return {name: roundings[name].quantised(array) for name, array in variables.items()}
