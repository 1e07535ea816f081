"""Adam, for arrays of which a step may use only some rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refcodec.kernel import kernel

FIRST_DECAY, SECOND_DECAY, EPSILON = 0.9, 0.999, 1e-8


@kernel
def _adam(value, gradient, first, second, rate, first_share, second_share):
    for k in range(value.size):
        g = gradient[k]
        m = FIRST_DECAY * first[k] + (1 - FIRST_DECAY) * g
        v = SECOND_DECAY * second[k] + (1 - SECOND_DECAY) * g * g
        first[k] = m
        second[k] = v
        value[k] -= rate * (m / first_share) / (np.sqrt(v / second_share) + EPSILON)


@dataclass(slots=True)
class Adam:
    """Moments of every array, and how often each of its rows has been updated.

    first, second  of the arrays' shapes and dtypes;  steps  (rows,) int64, by name.
    Source: Kingma and Ba 2015, Algorithm 1; rows that a step leaves out keep their moments, as in lazy Adam.
    """

    first: dict[str, np.ndarray]
    second: dict[str, np.ndarray]
    steps: dict[str, np.ndarray]

    @classmethod
    def begin(cls, values: Mapping[str, np.ndarray]) -> Adam:
        """No step yet."""
        return cls(
            {name: np.zeros_like(value) for name, value in values.items()},
            {name: np.zeros_like(value) for name, value in values.items()},
            {name: np.zeros(len(value), np.int64) for name, value in values.items()},
        )

    def update(
        self, name: str, value: np.ndarray, gradient: np.ndarray, rate: float, rows: Sequence[int] | None = None
    ) -> None:
        """Change one array in place, or only some of its rows.

        value, gradient  (R, ...), the first contiguous;  rate  learning rate
        rows  their numbers, all at once by default.  Raises ValueError for what cannot be changed in place.
        """
        for row in [slice(None)] if rows is None else rows:
            self.steps[name][row] += 1
            count = int(np.ravel(self.steps[name][row])[0])
            _adam(
                np.reshape(value[row], -1, copy=False),
                np.ascontiguousarray(gradient[row]).reshape(-1),
                np.reshape(self.first[name][row], -1, copy=False),
                np.reshape(self.second[name][row], -1, copy=False),
                value.dtype.type(rate),
                value.dtype.type(1 - FIRST_DECAY**count),
                value.dtype.type(1 - SECOND_DECAY**count),
            )
