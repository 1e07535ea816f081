"""Learning roundings by gradient descent, whatever the error."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
from autograd import grad

from refcodec.gradient.optimiser import Adam
from refcodec.quantize.inr.rounding import Annealing, Rounding, indecision

ADAROUND = Annealing()  # its travel is that of a rate of 1e-3 in 20000 steps
LARGEST_RATE = 0.1

Batch = TypeVar("Batch")
Error = Callable[[Mapping[str, Any], Batch], Any]  # of variables by name, which autograd can differentiate
Rows = Callable[[Batch], Mapping[str, list[int]]]  # of grids, those that a batch reads
Tick = Callable[[float], None]  # called after each step with the part of all that is done


def learn(
    roundings: Mapping[str, Rounding],
    error: Error[Batch],
    inputs: Iterable[Batch],
    steps: int,
    rows: Rows[Batch],
    tick: Tick,
    annealing: Annealing = ADAROUND,
) -> dict[str, np.ndarray]:
    """The variables after some steps.

    error  for variables and a batch;  inputs  a batch for each step.
    """
    variables = {name: rounding.first.copy() for name, rounding in roundings.items()}
    adam, rate = Adam.begin(variables), min(annealing.travel / steps, LARGEST_RATE)

    def loss(given: dict[str, Any], batch: Batch, beta: float | None) -> Any:
        found = error(given, batch)
        return found if beta is None else found + annealing.worth * indecision(given.values(), beta)

    for step, batch in enumerate(inputs):
        gradients = grad(loss)(variables, batch, annealing.beta(step / steps))
        read = rows(batch)
        for name, array in variables.items():
            adam.update(name, array, gradients[name], rate, read.get(name))
        tick((step + 1) / steps)
    return variables
