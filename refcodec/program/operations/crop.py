"""Crop as an operation (SPEC CROP-1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.errors import ShapeError
from refcodec.layers.crop import check_sides, crop, crop_plain
from refcodec.program.operations.concatenate import check_formats
from refcodec.program.operations.operation import Arrays, Reaches, Size, Tensor, Tensors, Unary, require_channels
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class Crop(Unary):
    """Leave out rows and columns at the four sides (SPEC CROP-1).

    top, bottom, left, right  0..65535.
    """

    kind: ClassVar[str] = "crop"
    constants: ClassVar[dict[str, str]] = {}
    name: str
    source: str
    target: str
    top: int
    bottom: int
    left: int
    right: int

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless channels and format stay and the counts are legal (SPEC CROP-1)."""
        require_channels(self.name, sources[0], target)
        check_formats(self.name, sources, target)
        check_sides(self.top, self.bottom, self.left, self.right)

    def size(self, *sizes: Size) -> Size:
        """What remains of height and width.  Raises ShapeError where that is nothing."""
        height, width = sizes[0]
        rows, columns = height - self.top - self.bottom, width - self.left - self.right
        if min(rows, columns) < 1:
            raise ShapeError(f"{self.name}: nothing of {height} x {width} remains")
        return rows, columns

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """That of the source."""
        return reaches[0]

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """What remains, by NumPy."""
        return crop(inputs[0], self.top, self.bottom, self.left, self.right)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """What remains, by the definition."""
        return crop_plain(inputs[0], self.top, self.bottom, self.left, self.right)
