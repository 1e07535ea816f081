"""Nearest upsampling as an operation (SPEC NEAR-1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.layers.nearest import nearest, nearest_plain
from refcodec.layers.pixel_shuffle import check_factors
from refcodec.program.operations.concatenate import check_formats
from refcodec.program.operations.operation import Arrays, Reaches, Size, Tensor, Tensors, Unary, require_channels
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class Nearest(Unary):
    """Repeat every sample downwards and to the right (SPEC NEAR-1).

    rows, columns  how many times, 1..64.
    """

    kind: ClassVar[str] = "nearest"
    constants: ClassVar[dict[str, str]] = {}
    name: str
    source: str
    target: str
    rows: int
    columns: int

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless channels and format stay and the factors are legal (SPEC NEAR-1)."""
        require_channels(self.name, sources[0], target)
        check_formats(self.name, sources, target)
        check_factors(self.rows, self.columns)

    def size(self, *sizes: Size) -> Size:
        """Height and width, multiplied."""
        height, width = sizes[0]
        return height * self.rows, width * self.columns

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """That of the source."""
        return reaches[0]

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Repeated samples, by NumPy."""
        return nearest(inputs[0], self.rows, self.columns)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Repeated samples, by the definition."""
        return nearest_plain(inputs[0], self.rows, self.columns)
