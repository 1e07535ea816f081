"""Leaky requantisation as an operation (SPEC LEAKY-1, LEAKY-2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec import fixed
from refcodec.layers.leaky_requantise import check_slopes, leaky_requantise, leaky_requantise_plain
from refcodec.program.operations.operation import (
    Arrays,
    Pointwise,
    Reaches,
    Tensor,
    Tensors,
    freeze,
    require,
    require_channels,
)
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class LeakyRequantise(Pointwise):
    """Requantisation with a multiplier of its own for negative accumulators (SPEC LEAKY-1).

    multiplier, negative_multiplier  (C,), the second not above the first;  shift  (C,), 1..62.
    """

    kind: ClassVar[str] = "leaky_requantise"
    constants: ClassVar[dict[str, str]] = {"multiplier": "int32", "negative_multiplier": "int32", "shift": "int8"}
    name: str
    source: str
    target: str
    multiplier: np.ndarray
    negative_multiplier: np.ndarray
    shift: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless both multipliers belong to the source's profile (SPEC LEAKY-2)."""
        (source,) = sources
        require_channels(self.name, source, target)
        shapes = [self.multiplier.shape, self.negative_multiplier.shape, self.shift.shape]
        require(
            shapes == [(source.channels,)] * 3,
            "RC-MODEL-TENSOR",
            f"{self.name}: multipliers and shift {shapes} for {source.channels} channels",
        )
        require(target.format.bits <= 16, "RC-MODEL-RANGE", f"{self.name}: {target.format} is wider than 16 bits")
        check_slopes(self.multiplier, self.negative_multiplier, self.shift, source.format)

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """Neither multiplier is negative, so the ends lead to the ends."""
        (reach,) = reaches
        return Reach(*(self._scaled(end, target) for end in (reach.lo, reach.hi)))

    def _scaled(self, values: np.ndarray, target: Tensor) -> np.ndarray:
        """What becomes of one value of each channel, (C,) int64."""
        columns = values, self.multiplier, self.negative_multiplier, self.shift
        lo, hi = target.format.lo, target.format.hi
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return np.array([fixed.leaky_requantise(a, m, n, s, lo, hi) for a, m, n, s in rows], np.int64)

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """The product of accumulator and multiplier, and the sum with the rounding constant."""
        (reach,) = reaches
        above = np.maximum(reach.hi, 0).astype(object) * self.multiplier.astype(object)
        below = -np.minimum(reach.lo, 0).astype(object) * self.negative_multiplier.astype(object)
        product = np.maximum(above, below)
        halves = np.array([1 << int(s) >> 1 for s in self.shift], object)
        return {"product": int(product.max()), "rounded": int(np.maximum(above + halves, below - halves).max())}

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Activations by the compiled kernel."""
        constants = self.multiplier, self.negative_multiplier, self.shift
        return leaky_requantise(inputs[0], *constants, sources[0].format, target.format)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Activations by the definition."""
        constants = self.multiplier, self.negative_multiplier, self.shift
        return leaky_requantise_plain(inputs[0], *constants, sources[0].format, target.format)
