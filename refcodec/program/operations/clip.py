"""Clip as an operation (SPEC CLIP-1 to CLIP-3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.layers.clip import clip, clip_plain
from refcodec.program.operations.operation import Arrays, Pointwise, Reaches, Tensor, Tensors, require
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class Clip(Pointwise):
    """Limit every value to lo .. hi (SPEC CLIP-1); a rectifier has lo = 0 (SPEC CLIP-2)."""

    kind: ClassVar[str] = "clip"
    constants: ClassVar[dict[str, str]] = {}
    name: str
    source: str
    target: str
    lo: int
    hi: int

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless the limits lie in both formats (SPEC CLIP-3)."""
        (source,) = sources
        require(source.channels == target.channels, "RC-MODEL-TENSOR", f"{self.name}: channel counts differ")
        limits = np.array([self.lo, self.hi])
        require(self.lo <= self.hi, "RC-MODEL-RANGE", f"{self.name}: lo {self.lo} exceeds hi {self.hi}")
        source.format.check(limits, f"{self.name} limits")
        target.format.check(limits, f"{self.name} limits")

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """The reach of the source, limited."""
        return reaches[0].clipped(self.lo, self.hi)

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Clipped values by the compiled kernel."""
        return clip(inputs[0], self.lo, self.hi).astype(target.format.dtype)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Clipped values by the definition."""
        return clip_plain(inputs[0], self.lo, self.hi).astype(target.format.dtype)
