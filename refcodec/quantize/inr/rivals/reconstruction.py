"""Parts of a network reconstructed one after another: what AdaRound, BRECQ and QDrop share.

Each part learns how to round its parameters so that, from what the rounded parts before it give, it gives what it
gives in the float network. Weights have the steps of least squared error, biases and grids those of naive
quantisation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
from autograd import grad

from refcodec.codecs.inr.architecture import parameters as parameters_of
from refcodec.codecs.inr.nodes import FRAME, WEIGHT, Node, Parameter
from refcodec.codecs.inr.quantised import Quantised, Video
from refcodec.formats import IntFormat
from refcodec.gradient.arrangement import crop
from refcodec.models.inr.pictures import samples
from refcodec.models.inr.trained import TrainedVideo
from refcodec.models.inr.twin import Live, grid_rows, run_nodes
from refcodec.quantize.inr.objective import check_frames, spread_frames
from refcodec.quantize.inr.rivals.learning import learn
from refcodec.quantize.inr.rivals.settings import FORWARD, Settings
from refcodec.quantize.inr.rivals.tensors import Tensors, affordable_frames, batches, read_later
from refcodec.quantize.inr.rivals.units import Unit, node_shapes, node_shares, step_price
from refcodec.quantize.inr.rounding import Rounding
from refcodec.quantize.inr.uniform import (
    binary16_patterns,
    dequantise_parameter,
    first_steps,
    parameter_bits,
    rows,
)
from refcodec.quantize.observers import mse_step

DAMPING = 1.0


@dataclass(frozen=True, slots=True)
class Form:
    """What sets one method apart.

    cut  a network into units;  weighed  whether errors count by the squared gradient of the network's error
    quantised_part  of what a unit reads while it learns, sample by sample; the rest is that of the float network.
    """

    cut: Callable[[Sequence[Node]], list[Unit]]
    weighed: bool
    quantised_part: float


class Batch(NamedTuple):
    """What a unit learns from in one step: places of frames among those chosen, and what it reads of them."""

    places: list[int]
    live: Live


def least_error_patterns(parameter: Parameter, array: np.ndarray, bits: int, granularity: str) -> np.ndarray:
    """Steps of a weight with the least squared error, of a bias or a grid the first ones, (n,) uint16 patterns."""
    if parameter.kind != WEIGHT:
        return binary16_patterns(first_steps(parameter, array, bits, granularity))
    return binary16_patterns(mse_step(rows(parameter, array, granularity), IntFormat(bits, True)))


def reconstruct(
    trained: TrainedVideo, frames: np.ndarray, bits: int | Mapping[str, int], settings: Settings, form: Form
) -> Video:
    """Round a network part by part.

    frames  (T, H, W, 3) uint8, which only `weighed` looks at;  bits  as of `parameter_bits`.
    Raises ShapeError, RangeError.
    """
    check_frames(trained.architecture, frames)
    return _Reconstruction.begin(trained, frames, parameter_bits(trained.architecture, bits), settings, form).video()


@dataclass(slots=True)
class _Reconstruction:
    """One run.

    exact, quantised  tensors of the float network and of the one whose first units are rounded
    importance  what errors of each unit's output count, (C, N, H, W), by its name;  steps  for each unit.
    """

    trained: TrainedVideo
    bits: Mapping[str, int]
    settings: Settings
    form: Form
    units: list[Unit]
    exact: Tensors
    quantised: Tensors
    importance: dict[str, np.ndarray]
    steps: int

    @classmethod
    def begin(
        cls, trained: TrainedVideo, frames: np.ndarray, bits: Mapping[str, int], settings: Settings, form: Form
    ) -> _Reconstruction:
        architecture = trained.architecture
        units = form.cut(architecture.nodes())
        price = 2 * FORWARD * (1 + form.weighed)  # two forward passes, and the gradients of what layers read
        count = affordable_frames(units, 2, form.weighed, price, settings.evaluations)
        numbers = spread_frames(architecture.frames, count)
        importance = squared_gradients(trained, frames, numbers, [u.output for u in units]) if form.weighed else {}
        shares = node_shares(architecture.nodes())
        step = sum(step_price(unit.reconstructed, shares, {p.name for p in unit.learned}) for unit in units)
        left = settings.evaluations - price * len(numbers)
        steps = max(1, int(left / (step * min(settings.batch, len(numbers)))))
        exact, quantised = (Tensors(numbers, architecture.frames) for _ in range(2))
        return cls(trained, bits, settings, form, units, exact, quantised, importance, steps)

    def video(self) -> Video:
        """Round everything."""
        found: dict[str, Quantised] = {}
        values: dict[str, Any] = dict(self.trained.parameters)
        for number, unit in enumerate(self.units):
            later = read_later([node for rest in self.units[number + 1 :] for node in rest.nodes])
            held = self.exact.held
            self.exact.advance(unit.nodes, self.trained.parameters, later | {unit.output})
            roundings = {parameter.name: self._rounding(parameter) for parameter in parameters_of(unit.nodes)}
            chosen = {name: rounding.nearest() for name, rounding in roundings.items()}
            learned = {parameter.name: roundings[parameter.name] for parameter in unit.learned}
            for parameter in parameters_of(unit.nodes):
                values[parameter.name] = dequantise_parameter(parameter, chosen[parameter.name])
            chosen |= self._learn(number, unit, learned, held, values)
            for parameter in parameters_of(unit.nodes):
                values[parameter.name] = dequantise_parameter(parameter, chosen[parameter.name])
            found |= chosen
            self.quantised.advance(unit.nodes, values, later)
        return Video(self.trained.architecture, found, self.settings.activations)

    def _rounding(self, parameter: Parameter) -> Rounding:
        array, bits = self.trained.parameters[parameter.name], self.bits[parameter.name]
        patterns = least_error_patterns(parameter, array, bits, self.settings.granularity)
        return Rounding.of(parameter, array, patterns, bits)

    def _inputs(self, number: int, held: Mapping[str, np.ndarray]) -> Iterator[Batch]:
        """What a unit reads while it learns.  held  what it reads in the float network."""
        draw = np.random.default_rng((self.settings.seed, number))
        for places in batches(len(self.exact.numbers), self.settings.batch, self.steps, draw):
            live = self.quantised.picked(places)
            if self.form.quantised_part < 1:
                for name in held:
                    kept = draw.random(live[name].shape, np.float32) < self.form.quantised_part
                    live[name] = np.where(kept, live[name], held[name][:, places])
            yield Batch(places, live)

    def _learn(
        self,
        number: int,
        unit: Unit,
        roundings: Mapping[str, Rounding],
        held: Mapping[str, np.ndarray],
        values: Mapping[str, np.ndarray],
    ) -> dict[str, Quantised]:
        """The integers of a unit's parameters.  values  of all parameters, real."""
        part, wanted = unit.reconstructed, self.exact.held[unit.output]

        def error(variables: Mapping[str, Any], batch: Batch) -> Any:
            given = {**values, **{name: roundings[name].value(array) for name, array in variables.items()}}
            seen = dict(batch.live)
            run_nodes(part, given, seen)
            differences = seen[unit.output] - wanted[:, batch.places]
            squares = differences * differences  # autograd would differentiate a power in float64
            if self.form.weighed:
                squares = self.importance[unit.output][:, batch.places] * squares
            return anp.sum(squares) / (squares.size / squares.shape[0])  # summed over channels, else the mean

        variables = learn(
            roundings,
            error,
            self._inputs(number, held),
            self.steps,
            lambda batch: grid_rows(part, batch.live[FRAME][0], self.exact.total),
            lambda done: self.settings.report((number + done) / len(self.units)),
        )
        return {name: roundings[name].quantised(array) for name, array in variables.items()}


def squared_gradients(
    trained: TrainedVideo, frames: np.ndarray, numbers: Sequence[int], outputs: Sequence[str]
) -> dict[str, np.ndarray]:
    """The diagonal of the empirical Fisher information of some tensors of a float network.

    frames  (T, H, W, 3) uint8, to which its error is taken;  numbers  of N frames;  outputs  names of the tensors
    Returns (C, N, H, W) float32 by name: squared gradients divided by their mean, plus DAMPING.
    """
    architecture = trained.architecture
    network, shapes = architecture.nodes(), node_shapes(architecture.nodes())

    def error(pushes: Mapping[str, Any], number: int) -> Any:
        live: Live = {FRAME: ((number,), architecture.frames)}
        for node in network:
            run_nodes([node], trained.parameters, live)
            if node.name in pushes:
                live[node.name] = live[node.name] + pushes[node.name]
        seen = crop(live[network[-1].name], architecture.height, architecture.width)
        differences = seen - samples(frames, [number])
        return anp.sum(differences * differences)

    still = {name: np.zeros((shapes[name][0], 1, *shapes[name][1:]), np.float32) for name in outputs}
    found = {name: np.repeat(array, len(numbers), axis=1) for name, array in still.items()}
    for place, number in enumerate(numbers):
        for name, gradient in grad(error)(still, number).items():
            found[name][:, place] = gradient[:, 0] ** 2
    return {name: squares / max(float(squares.mean()), 1e-30) + DAMPING for name, squares in found.items()}
