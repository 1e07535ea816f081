"""Pixel shuffle as an operation (SPEC PS-1, PS-2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.layers.pixel_shuffle import check_factors, pixel_shuffle, pixel_shuffle_plain
from refcodec.program.operations.concatenate import check_formats
from refcodec.program.operations.operation import Arrays, Reaches, Size, Tensor, Tensors, Unary, require
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class PixelShuffle(Unary):
    """Spread groups of rows * columns channels over blocks of samples (SPEC PS-1).

    rows, columns  of a block, 1..64.
    """

    kind: ClassVar[str] = "pixel_shuffle"
    constants: ClassVar[dict[str, str]] = {}
    name: str
    source: str
    target: str
    rows: int
    columns: int

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless the factors are legal and the channels belong to them (SPEC PS-2)."""
        (source,) = sources
        check_factors(self.rows, self.columns)
        require(
            source.channels == target.channels * self.rows * self.columns,
            "RC-MODEL-TENSOR",
            f"{self.name}: {source.channels} channels are not {target.channels} x {self.rows} x {self.columns}",
        )
        check_formats(self.name, sources, target)

    def size(self, *sizes: Size) -> Size:
        """Height and width in blocks."""
        height, width = sizes[0]
        return height * self.rows, width * self.columns

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """That of all channels of a group together."""
        lo, hi = (end.reshape(target.channels, -1) for end in (reaches[0].lo, reaches[0].hi))
        return Reach(lo.min(axis=1), hi.max(axis=1))

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Samples in their new places, by NumPy."""
        return pixel_shuffle(inputs[0], self.rows, self.columns)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Samples in their new places, by the definition."""
        return pixel_shuffle_plain(inputs[0], self.rows, self.columns)
