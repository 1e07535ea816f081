"""Planes repeated side by side as an operation (SPEC TILE-1, TILE-2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.layers.tile import check_repeats, tile, tile_plain
from refcodec.program.operations.concatenate import check_formats
from refcodec.program.operations.operation import Arrays, Reaches, Size, Tensor, Tensors, Unary, require_channels
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class Tile(Unary):
    """Repeat every plane downwards and to the right (SPEC TILE-1).

    rows, columns  how many times, 1..4096.
    """

    kind: ClassVar[str] = "tile"
    constants: ClassVar[dict[str, str]] = {}
    name: str
    source: str
    target: str
    rows: int
    columns: int

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless channels and format stay and the counts are legal (SPEC TILE-2)."""
        require_channels(self.name, sources[0], target)
        check_formats(self.name, sources, target)
        check_repeats(self.rows, self.columns)

    def size(self, *sizes: Size) -> Size:
        """Height and width, multiplied."""
        height, width = sizes[0]
        return height * self.rows, width * self.columns

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """That of the source."""
        return reaches[0]

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Repeated planes, by NumPy."""
        return tile(inputs[0], self.rows, self.columns)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Repeated planes, by the definition."""
        return tile_plain(inputs[0], self.rows, self.columns)
