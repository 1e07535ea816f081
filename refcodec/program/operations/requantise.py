"""Requantisation as an operation (SPEC RQ-1 to RQ-4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec import fixed
from refcodec.formats import IntFormat
from refcodec.layers.requantise import check_scales, requantise, requantise_plain
from refcodec.program.operations.operation import Arrays, Pointwise, Reaches, Tensor, Tensors, freeze, require
from refcodec.program.reach import Reach


def requantised(values: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """What requantisation makes of one value of each channel, (C,) int64 (SPEC RQ-1)."""
    pairs = zip(values.tolist(), multiplier.tolist(), shift.tolist(), strict=True)
    return np.array([fixed.requantise(a, m, s, fmt.lo, fmt.hi) for a, m, s in pairs], np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Requantise(Pointwise):
    """Requantisation of an accumulator, or of any tensor, into a narrower format (SPEC RQ-1).

    multiplier  (C,);  shift  (C,), 1..62.  A rectifier is a target format without a sign (SPEC RQ-4).
    """

    kind: ClassVar[str] = "requantise"
    constants: ClassVar[dict[str, str]] = {"multiplier": "int32", "shift": "int8"}
    name: str
    source: str
    target: str
    multiplier: np.ndarray
    shift: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless multipliers and shifts belong to the source's profile (SPEC RQ-2)."""
        (source,) = sources
        require(
            source.channels == target.channels and self.multiplier.shape == self.shift.shape == (source.channels,),
            "RC-MODEL-TENSOR",
            f"{self.name}: multiplier {self.multiplier.shape}, shift {self.shift.shape}, {source.channels} channels",
        )
        require(target.format.bits <= 16, "RC-MODEL-RANGE", f"{self.name}: {target.format} is wider than 16 bits")
        check_scales(self.multiplier, self.shift, source.format)

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """Multipliers are not negative, so the ends lead to the ends."""
        (reach,) = reaches
        ends = [requantised(end, self.multiplier, self.shift, target.format) for end in (reach.lo, reach.hi)]
        return Reach(*ends)

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """The product of accumulator and multiplier, and the sum with the rounding constant."""
        product = reaches[0].magnitude.astype(object) * self.multiplier.astype(object)
        halves = np.array([1 << int(s) >> 1 for s in self.shift], object)
        return {"product": int(product.max()), "rounded": int((product + halves).max())}

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Activations by the compiled kernel."""
        return requantise(inputs[0], self.multiplier, self.shift, sources[0].format, target.format)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Activations by the definition."""
        return requantise_plain(inputs[0], self.multiplier, self.shift, sources[0].format, target.format)
