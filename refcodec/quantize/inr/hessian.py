"""Second derivatives of a network's error along changes of its parameters.

Source: NeuroQuant, Eq. 8 and 9: to second order a change dw of all weights raises the error by Omega / 2, where
Omega = dw^T H dw, and H dw is the gradient of (gradient . dw): reverse differentiation of reverse differentiation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from autograd import grad, make_vjp

from refcodec.quantize.inr.objective import Objective

Values = Mapping[str, np.ndarray]
Tick = Callable[[], None]  # called after each product


class Change(NamedTuple):
    """A change of one parameter, of its shape."""

    name: str
    change: np.ndarray


def hessian_products(
    objective: Objective, parameters: Values, numbers: Sequence[int], directions: Sequence[Values]
) -> Iterator[dict[str, np.ndarray]]:
    """H dw for each of some directions, by name.

    numbers  of the frames whose error it is;  directions  dw by name, zero where a name is missing.
    """
    values = dict(parameters)
    # A second call would differentiate the same gradient again: one record of it serves all directions.
    product, _ = make_vjp(grad(lambda given: objective.error(given, numbers)))(values)
    for direction in directions:
        yield product({name: direction.get(name, np.zeros_like(value)) for name, value in values.items()})


def omega(
    objective: Objective, parameters: Values, change: Values, batches: Sequence[Sequence[int]], tick: Tick | None = None
) -> float:
    """dw^T H dw of a change of several parameters, the mean over batches of frames."""
    found = []
    for numbers in batches:
        (product,) = hessian_products(objective, parameters, numbers, [change])
        found.append(sum(float(np.vdot(change[name], product[name])) for name in change))
        if tick:
            tick()
    return float(np.mean(found))


def curvature(
    objective: Objective,
    parameters: Values,
    changes: Sequence[Change],
    batches: Sequence[Sequence[int]],
    tick: Tick | None = None,
) -> np.ndarray:
    """a^T H b of each pair of changes, (D, D) float64, the mean over batches of frames.

    Omega of any sum of changes is the sum of the entries of its pairs: cross terms between parameters are exact.
    """
    total = np.zeros((len(changes), len(changes)))
    for numbers in batches:
        directions = [{name: change} for name, change in changes]
        for row, product in enumerate(hessian_products(objective, parameters, numbers, directions)):
            total[row] += [np.vdot(change, product[name]) for name, change in changes]
            if tick:
                tick()
    total /= len(batches)
    return (total + total.T) / 2
