"""Bilinear enlargement as an operation (SPEC RES-1 to RES-3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.layers.resize import MAX_BITS, check_factors, resize, resize_plain
from refcodec.program.operations.operation import (
    Arrays,
    Reaches,
    Size,
    Tensor,
    Tensors,
    Unary,
    require,
    require_channels,
)
from refcodec.program.reach import Reach


def check_kept_format(name: str, source: Tensor, target: Tensor, bits: int) -> None:
    """Raise ModelError unless the target has the source's format, of at most `bits` bits (SPEC RES-3)."""
    require(
        source.format == target.format and source.format.bits <= bits,
        "RC-MODEL-RANGE",
        f"{name}: keeps a format of at most {bits} bits, does not lead from {source.format} to {target.format}",
    )


def weighted_sums(reach: Reach, unit: int) -> dict[str, int]:
    """Largest absolute sum of values whose weights sum to an even unit, and the same with the rounding constant."""
    lo, hi = reach.joint()
    half = unit >> 1
    return {"sum": unit * max(-lo, hi), "rounded": max(abs(unit * lo + half), abs(unit * hi + half))}


@dataclass(frozen=True, slots=True, eq=False)
class Resize(Unary):
    """Bilinear enlargement by whole factors (SPEC RES-2).

    rows, columns  factors of the height and of the width, 1..5.
    """

    kind: ClassVar[str] = "resize"
    constants: ClassVar[dict[str, str]] = {}
    name: str
    source: str
    target: str
    rows: int
    columns: int

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless factors and format are legal (SPEC RES-3)."""
        (source,) = sources
        require_channels(self.name, source, target)
        check_kept_format(self.name, source, target, MAX_BITS)
        check_factors(self.rows, self.columns)

    def size(self, *sizes: Size) -> Size:
        """Both lengths times their factors."""
        height, width = sizes[0]
        return height * self.rows, width * self.columns

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """A rounded weighted mean lies between the integers that it weighs: the reach of the source."""
        return reaches[0]

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """A weighted row, the weighted sum of both rows, and that sum with the rounding constant."""
        row = 2 * self.columns * int(reaches[0].magnitude.max())
        return {"row": row, **weighted_sums(reaches[0], 4 * self.rows * self.columns)}

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Enlarged planes by the compiled kernel."""
        return resize(inputs[0], self.rows, self.columns, target.format)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Enlarged planes by the definition."""
        return resize_plain(inputs[0], self.rows, self.columns, target.format)
