"""Warping as an operation (SPEC WARP-1 to WARP-3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec import fixed
from refcodec.errors import ShapeError
from refcodec.layers.warp import FLOW_CHANNELS, MAX_BITS, check_fraction, warp, warp_plain
from refcodec.program.operations.operation import Arrays, Reaches, Several, Size, Tensor, Tensors, require
from refcodec.program.operations.resize import check_kept_format, weighted_sums
from refcodec.program.reach import Reach


def extreme_positions(lo: int, hi: int, depth: int, fraction: int) -> list[int]:
    """Positions of lo .. hi at which what is read between flat slices can be extreme (SPEC ACC-3).

    These are the last position before every slice and the first one behind it, limited to lo .. hi: between them the
    reading moves along one straight line, and beyond them all it stays.
    """
    found = set()
    for slice_index in range(depth):
        before = ((slice_index << (fraction + 1)) - ((depth - 1) << fraction)) // depth
        found |= {fixed.clip(position, lo, hi) for position in (before, before + 1)}
    return sorted(found)


@dataclass(frozen=True, slots=True, eq=False)
class Warp(Several):
    """Trilinear reading of a scale space at displaced places (SPEC WARP-2).

    sources  the volume, slice after slice with as many slices as fit its channels, and the flow of three channels
    fraction  0..14, the flow is in units of 2**-fraction.
    """

    kind: ClassVar[str] = "warp"
    constants: ClassVar[dict[str, str]] = {}
    name: str
    sources: tuple[str, ...]
    target: str
    fraction: int

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless channels, formats and fraction are legal (SPEC WARP-3).

        The formats alone then prove that no weighted sum leaves 62 bits.
        """
        require(len(sources) == 2, "RC-MODEL-TENSOR", f"{self.name}: reads a volume and a flow, not {len(sources)}")
        volume, flow = sources
        require(
            volume.channels % target.channels == 0 and flow.channels == FLOW_CHANNELS,
            "RC-MODEL-TENSOR",
            f"{self.name}: {volume.channels} channels are no slices of {target.channels}, "
            f"or {flow.channels} channels are no flow",
        )
        check_kept_format(self.name, volume, target, MAX_BITS)
        require(
            flow.format.bits <= MAX_BITS,
            "RC-MODEL-RANGE",
            f"{self.name}: a flow of at most {MAX_BITS} bits wanted, got {flow.format}",
        )
        check_fraction(self.fraction)

    def size(self, *sizes: Size) -> Size:
        """The size of the volume, which the flow must have too.  Raises ShapeError."""
        if sizes[0] != sizes[1]:
            raise ShapeError(f"{self.name}: the volume is {sizes[0]}, the flow {sizes[1]}")
        return sizes[0]

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """What flat slices give, at the positions where the reading between them can be extreme."""
        volume, flow = reaches
        lo, hi = volume.lo.reshape(-1, target.channels), volume.hi.reshape(-1, target.channels)
        depth, steps = len(lo), self.fraction + 1
        corners = []
        for position in extreme_positions(int(flow.lo[2]), int(flow.hi[2]), depth, self.fraction):
            place = (depth - 1 << self.fraction) + position * depth
            first, second, part = fixed.warp_taps(place, depth, steps)
            for end in (lo, hi):
                total = end[first] * ((1 << steps) - part) + end[second] * part
                corners.append((total + (1 << self.fraction)) >> steps)
        return Reach.of_corners(*corners)

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """A weighted row, the sum of all eight, and that with the rounding constant; places depend on the size."""
        row = int(reaches[0].magnitude.max()) << (self.fraction + 1)
        return {"row": row, **weighted_sums(reaches[0], 1 << 3 * (self.fraction + 1))}

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Warped planes by the compiled kernel."""
        return self._compute(warp, inputs, sources, target)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Warped planes by the definition."""
        return self._compute(warp_plain, inputs, sources, target)

    def _compute(self, function: Callable, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        volume, flow = sources
        return function(*inputs, volume.channels // target.channels, self.fraction, volume.format, flow.format)
