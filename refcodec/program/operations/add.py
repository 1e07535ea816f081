"""Addition as an operation (SPEC ADD-1, ADD-2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec import fixed
from refcodec.layers.add import SUM_LIMIT, add, add_plain, check_scales, largest_sum
from refcodec.program.operations.concatenate import common_size
from refcodec.program.operations.operation import Arrays, Reaches, Several, Size, Tensor, Tensors, freeze, require
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class Add(Several):
    """Sum of multiples of two tensors, rounded once and saturated (SPEC ADD-1).

    multipliers  (2,) of the first and of the second source, below 2**31 in magnitude;  shift  0..62.
    """

    kind: ClassVar[str] = "add"
    constants: ClassVar[dict[str, str]] = {"multipliers": "int64"}
    name: str
    sources: tuple[str, ...]
    target: str
    shift: int
    multipliers: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless the scales are legal and no sum leaves 64 bits (SPEC ADD-2)."""
        require(len(sources) == 2, "RC-MODEL-TENSOR", f"{self.name}: adds two tensors, not {len(sources)}")
        left, right = sources
        require(
            left.channels == right.channels == target.channels,
            "RC-MODEL-TENSOR",
            f"{self.name}: channels {left.channels}, {right.channels} and {target.channels} differ",
        )
        check_scales(self.multipliers, self.shift)
        bound = largest_sum(left.format.magnitude, right.format.magnitude, self.multipliers, self.shift)
        require(bound < SUM_LIMIT, "RC-MODEL-OVERFLOW", f"{self.name}: the sum may reach {bound}, beyond 64 bits")

    def size(self, *sizes: Size) -> Size:
        """The size of both sources.  Raises ShapeError where they differ."""
        return common_size(self.name, sizes)

    def _ends(self, reaches: Reaches) -> list[list[int]]:
        """The smallest sum of every channel, and the largest; check() has shown that int64 holds them."""
        sides = [(m * reach.lo, m * reach.hi) for m, reach in zip(self.multipliers, reaches, strict=True)]
        ends = [Reach.of_corners(*side) for side in sides]
        return [(ends[0].lo + ends[1].lo).tolist(), (ends[0].hi + ends[1].hi).tolist()]

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """What the smallest and the largest sum become, where the sources take their ends together."""
        lo, hi = target.format.lo, target.format.hi
        rounded = [
            [fixed.clip(fixed.rounding_shift(total, self.shift), lo, hi) for total in end]
            for end in self._ends(reaches)
        ]
        return Reach(*(np.array(end, np.int64) for end in rounded))

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """Both products, their sum, and the sum with the rounding constant."""
        smallest, largest = self._ends(reaches)
        half = 1 << self.shift >> 1
        left, right = (
            int(reach.magnitude.max()) * abs(m) for m, reach in zip(self.multipliers.tolist(), reaches, strict=True)
        )
        return {
            "left": left,
            "right": right,
            "sum": max(abs(total) for total in smallest + largest),
            "rounded": max(abs(total + half) for total in smallest + largest),
        }

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Sums by the compiled kernel."""
        left, right = inputs
        return add(left, right, self.multipliers, self.shift, target.format)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Sums by the definition."""
        left, right = inputs
        return add_plain(left, right, self.multipliers, self.shift, target.format)
