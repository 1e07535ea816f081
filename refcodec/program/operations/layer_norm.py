"""Layer normalisation as an operation (SPEC LN-1, LN-2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec import fixed
from refcodec.layers.gdn import Affine, check_affine
from refcodec.layers.layer_norm import Spread, check_spread, layer_norm, layer_norm_fault, layer_norm_plain
from refcodec.program.operations.operation import (
    Arrays,
    Pointwise,
    Reaches,
    Tensor,
    Tensors,
    freeze,
    require,
    require_channels,
)
from refcodec.program.reach import Reach

GUARD = 32  # bits that a bound of a quotient keeps below the point


def ceiling_root(numerator: int, denominator: int) -> int:
    """The smallest integer not below the root of a fraction that is not negative."""
    return math.isqrt(-(-numerator // denominator) - 1) + 1 if numerator else 0


@dataclass(frozen=True, slots=True, eq=False)
class LayerNorm(Pointwise):
    """Normalisation of the channels of each sample by their exact mean and spread (SPEC LN-1).

    epsilon  1 or more;  root_shift  0..31;  scale, offset  (C,) in units of 2**-fraction;  fraction  0..16.
    """

    kind: ClassVar[str] = "layer_norm"
    constants: ClassVar[dict[str, str]] = {"scale": "int64", "offset": "int64"}
    name: str
    source: str
    target: str
    epsilon: int
    root_shift: int
    fraction: int
    scale: np.ndarray
    offset: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    @property
    def spread(self) -> Spread:
        """How the divisor is made."""
        return Spread(self.epsilon, self.root_shift)

    @property
    def affine(self) -> Affine:
        """What follows the division."""
        return Affine(self.scale, self.offset, self.fraction)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless no step can leave 64 bits (SPEC LN-2)."""
        (source,) = sources
        require_channels(self.name, source, target)
        require(
            self.scale.shape == self.offset.shape == (source.channels,),
            "RC-MODEL-TENSOR",
            f"{self.name}: scale {self.scale.shape}, offset {self.offset.shape} for {source.channels} channels",
        )
        require(
            2 <= source.format.bits <= 16 and target.format.bits <= 16,
            "RC-MODEL-RANGE",
            f"{self.name}: activations of 2..16 bits wanted, got {source.format}, {target.format}",
        )
        check_spread(self.spread)
        check_affine(self.affine, source.channels)
        fault = layer_norm_fault(source.format.lo, source.format.hi, self.spread, self.affine)
        require(fault is None, "RC-MODEL-OVERFLOW", f"{self.name}: {fault}")

    def _deviations(self, reach: Reach) -> tuple[list[int], list[int]]:
        """The smallest and the largest C * x - sum(x) of every channel: the sum of its differences to the others."""
        count, lows, highs = len(reach.lo), reach.lo.tolist(), reach.hi.tolist()
        low, high = sum(lows), sum(highs)
        return (
            [(count - 1) * lo - (high - hi) for lo, hi in zip(lows, highs, strict=True)],
            [(count - 1) * hi - (low - lo) for lo, hi in zip(lows, highs, strict=True)],
        )

    def _quotient(self, factor: int, deviation: int, largest: int) -> int:
        """An upper bound of factor * C-fold deviation / spread, in units of 2**-GUARD; either sign.

        Let u be the deviation, q the spread and E = epsilon << root_shift. Samuelson's inequality says that u**2 is at
        most (C - 1) * V, V being C**2 times the variance; (V << root_shift) + E < (q + 1)**2, so (V << root_shift) is
        at most q**2 + 2 * q - E, which is at most q**2 * (1 + 1 / E) for every q. Hence (u / q)**2 is at most
        (C - 1) * (1 + 1 / E) / 2**root_shift. Nor is q less than the root of E, nor more than `largest`.
        """
        product = factor * deviation
        if product <= 0:
            return -((-product << GUARD) // largest)
        added = self.epsilon << self.root_shift
        square = factor * factor * (len(self.scale) - 1) * (added + 1) << 2 * GUARD
        return min(-(-(product << GUARD) // math.isqrt(added)), ceiling_root(square, added << self.root_shift))

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """What the deviation from the mean allows, beside the spread that it brings about itself."""
        (reach,) = reaches
        largest = self._largest_spread(reach)
        ends = []
        for lo, hi, s, o in zip(*self._deviations(reach), self.scale.tolist(), self.offset.tolist(), strict=True):
            upper = self._quotient(s, hi if s > 0 else lo, largest)
            lower = -self._quotient(-s, lo if s > 0 else hi, largest)
            ends.append([fixed.rounding_shift(v + (o << GUARD), GUARD + self.fraction) for v in (lower, upper)])
        lo, hi = np.array([[fixed.clip(v, target.format.lo, target.format.hi) for v in pair] for pair in ends]).T
        return Reach(lo, hi)

    def _largest_spread(self, reach: Reach) -> int:
        lo, hi = reach.joint()
        return fixed.isqrt(self.spread.largest(len(self.scale), hi - lo))

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """Sums, radicand, spread, deviation, numerator, denominator, doubled numerator with the rounding constant."""
        (reach,) = reaches
        count, (lo, hi) = len(self.scale), reach.joint()
        largest = self._largest_spread(reach)
        deviations = [max(-low, high) for low, high in zip(*self._deviations(reach), strict=True)]
        rows = zip(deviations, self.scale.tolist(), self.offset.tolist(), strict=True)
        numerator = max(d * abs(s) + abs(o) * largest for d, s, o in rows)
        denominator = largest << self.fraction
        return {
            "total": int(reach.magnitude.sum()),
            "squares": sum(m * m for m in reach.magnitude.tolist()) * count,
            "radicand": self.spread.largest(count, hi - lo),
            "spread": largest,
            "deviation": max(deviations),
            "numerator": numerator,
            "denominator": denominator,
            "rounded": 2 * numerator + denominator,
        }

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Activations by the compiled kernel."""
        return layer_norm(inputs[0], self.spread, self.affine, target.format)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Activations by the definition."""
        return layer_norm_plain(inputs[0], self.spread, self.affine, target.format)
