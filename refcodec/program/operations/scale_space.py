"""The scale space as an operation (SPEC BLUR-1 to BLUR-4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.layers.scale_space import (
    BLUR_SHIFT,
    MAX_BITS,
    check_levels,
    check_multiple,
    scale_space,
    scale_space_plain,
)
from refcodec.program.operations.operation import Arrays, Pointwise, Reaches, Size, Tensor, Tensors, require
from refcodec.program.operations.resize import check_kept_format, weighted_sums
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class ScaleSpace(Pointwise):
    """All channels beside their blurred forms, slice after slice (SPEC BLUR-3).

    levels  1..6; the target has levels + 1 times the channels of the source.
    """

    kind: ClassVar[str] = "scale_space"
    constants: ClassVar[dict[str, str]] = {}
    name: str
    source: str
    target: str
    levels: int

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless levels, channels and format are legal (SPEC BLUR-4)."""
        (source,) = sources
        check_levels(self.levels)
        require(
            target.channels == (self.levels + 1) * source.channels,
            "RC-MODEL-TENSOR",
            f"{self.name}: {self.levels + 1} slices of {source.channels} channels do not make {target.channels}",
        )
        check_kept_format(self.name, source, target, MAX_BITS)

    def size(self, *sizes: Size) -> Size:
        """The same height and width, which must bear all halvings (SPEC BLUR-4).  Raises ShapeError."""
        check_multiple(*sizes[0], 1 << (self.levels - 1))
        return sizes[0]

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """Every slice is made of rounded weighted means: each has the reach of the source."""
        (reach,) = reaches
        return Reach(np.tile(reach.lo, self.levels + 1), np.tile(reach.hi, self.levels + 1))

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """The weighted sums of blur, halving and enlargement, each also with its rounding constant."""
        found = {"blur_row": int(reaches[0].magnitude.max()) << (BLUR_SHIFT // 2)}
        steps = {"blur": 1 << BLUR_SHIFT} | ({"halve": 4, "resize": 16} if self.levels > 1 else {})
        for step, unit in steps.items():
            found |= {f"{step}_{name}": value for name, value in weighted_sums(reaches[0], unit).items()}
        return found

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """All slices by the compiled kernels."""
        return scale_space(inputs[0], self.levels, target.format)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """All slices by the definition."""
        return scale_space_plain(inputs[0], self.levels, target.format)
