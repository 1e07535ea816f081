"""Pad as an operation (SPEC PAD-1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.layers.crop import check_sides
from refcodec.layers.pad import pad, pad_plain
from refcodec.program.operations.concatenate import check_formats
from refcodec.program.operations.operation import Arrays, Reaches, Size, Tensor, Tensors, Unary, require_channels
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class Pad(Unary):
    """Add rows and columns of zeros at the four sides (SPEC PAD-1).

    top, bottom, left, right  0..65535.
    """

    kind: ClassVar[str] = "pad"
    constants: ClassVar[dict[str, str]] = {}
    name: str
    source: str
    target: str
    top: int
    bottom: int
    left: int
    right: int

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless channels and format stay and the counts are legal (SPEC PAD-1)."""
        require_channels(self.name, sources[0], target)
        check_formats(self.name, sources, target)
        check_sides(self.top, self.bottom, self.left, self.right)

    def size(self, *sizes: Size) -> Size:
        """Height and width with the zeros."""
        height, width = sizes[0]
        return self.top + height + self.bottom, self.left + width + self.right

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """That of the source, and zero where there is any."""
        return reaches[0].with_zero() if self.top or self.bottom or self.left or self.right else reaches[0]

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Source and zeros, by NumPy."""
        return pad(inputs[0], self.top, self.bottom, self.left, self.right)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Source and zeros, by the definition."""
        return pad_plain(inputs[0], self.top, self.bottom, self.left, self.right)
