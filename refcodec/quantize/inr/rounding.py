"""Rounding up or down as a variable to learn, which ends as one of the two integers beside a real value.

Source: AdaRound (Nagel et al. 2020), Eq. 21 to 25; NeuroQuant, Eq. 15 and 16.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
from autograd.extend import defvjp, primitive

from refcodec.codecs.inr.nodes import Parameter
from refcodec.codecs.inr.quantised import Quantised
from refcodec.formats import IntFormat
from refcodec.quantize.inr.uniform import spread_steps, step_values

HALF_RANGE = 0.6  # the rectified sigmoid clip(1.2 * sigmoid(v) - 0.1, 0, 1) is clip(0.6 * tanh(v / 2) + 0.5, 0, 1)


def rise(variables: Any) -> Any:
    """How far each value is rounded up, 0 .. 1; autograd can differentiate it."""
    return anp.clip(HALF_RANGE * anp.tanh(0.5 * variables) + 0.5, 0, 1)


@primitive
def _undecided(up: np.ndarray, beta: float) -> Any:
    """The sum of 1 - |2h - 1|**beta, in the precision of h: a wider one would go on through the network."""
    return np.sum(1 - np.abs(2 * up - 1) ** beta)


def _undecided_slopes(up: np.ndarray, beta: float) -> np.ndarray:
    apart = 2 * up - 1
    return -2 * beta * np.abs(apart) ** (beta - 1) * np.sign(apart)


defvjp(_undecided, lambda ans, up, beta: lambda g: g * _undecided_slopes(up, beta), argnums=(0,))


def indecision(variables: Iterable[Any], beta: float) -> Any:
    """The regulariser: the sum of 1 - |2h - 1|**beta, nothing where every rounding is decided."""
    return sum(_undecided(rise(array), beta) for array in variables)


class Annealing(NamedTuple):
    """How undecided roundings become decided ones.

    travel      rate of learning times the number of steps: how far a variable can go
    worth       what indecision counts beside the error
    warm_up     part of the steps before which nothing is said for or against undecided roundings
    first, last  beta, which falls in a line.
    """

    travel: float = 20.0
    worth: float = 0.01
    warm_up: float = 0.2
    first: float = 20.0
    last: float = 2.0

    def beta(self, done: float) -> float | None:
        """Beta after a part of all steps; None while warming up."""
        if done < self.warm_up:
            return None
        return self.first + (self.last - self.first) * (done - self.warm_up) / (1 - self.warm_up)


@dataclass(frozen=True, slots=True, eq=False)
class Rounding:
    """A parameter on the grid of its steps, each value between two integers.

    patterns  (n,) uint16 of its steps;  bits  of its integers
    below  float32 of the parameter's shape, the integer at or below each value, before saturation
    steps  float32, in a shape that broadcasts to the parameter's;  first  variables with which nothing is rounded.
    """

    parameter: Parameter
    patterns: np.ndarray
    bits: int
    below: np.ndarray
    steps: np.ndarray
    first: np.ndarray

    @classmethod
    def of(cls, parameter: Parameter, array: np.ndarray, patterns: np.ndarray, bits: int) -> Rounding:
        """The grid of a float parameter."""
        steps = spread_steps(parameter, step_values(patterns))
        scaled = array.astype(np.float64) / steps
        below = np.floor(scaled)
        first = 2 * np.arctanh((scaled - below - 0.5) / HALF_RANGE)
        return cls(parameter, patterns, bits, below.astype(np.float32), steps, first.astype(np.float32))

    def integers(self, up: Any) -> Any:
        """The lower integers plus what is added to each, saturated."""
        fmt = IntFormat(self.bits, True)
        return anp.clip(self.below + up, fmt.lo, fmt.hi)

    def value(self, variables: Any) -> Any:
        """The real values between the two integers; autograd can differentiate them."""
        return self.steps * self.integers(rise(variables))

    def nearest(self) -> Quantised:
        """The nearest integers, halves upwards."""
        return self.quantised(self.first)

    def quantised(self, variables: np.ndarray) -> Quantised:
        """The integers that the variables are nearer to, halves upwards."""
        chosen = self.integers((rise(variables) >= 0.5).astype(np.float32))
        return Quantised(chosen.astype(np.int32), self.patterns, self.bits)
