"""What values a tensor can take, channel by channel, proven from the constants of a program (SPEC ACC-3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcodec.formats import IntFormat


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """The smallest and the largest value that each channel can take (SPEC ACC-3).

    lo, hi  (C,) int64, lo <= hi.
    """

    lo: np.ndarray
    hi: np.ndarray

    @classmethod
    def whole(cls, fmt: IntFormat, channels: int) -> Reach:
        """Every value of a format."""
        return cls(np.full(channels, fmt.lo, np.int64), np.full(channels, fmt.hi, np.int64))

    @classmethod
    def of_corners(cls, *corners: np.ndarray) -> Reach:
        """From the values at which a function that is monotonic in each argument takes its extremes."""
        return cls(np.min(corners, axis=0), np.max(corners, axis=0))

    @property
    def magnitude(self) -> np.ndarray:
        """(C,) the largest absolute value."""
        return np.maximum(np.abs(self.lo), np.abs(self.hi))

    def clipped(self, lo: int, hi: int) -> Reach:
        """After a saturation to lo .. hi."""
        return Reach(np.clip(self.lo, lo, hi), np.clip(self.hi, lo, hi))

    def with_zero(self) -> Reach:
        """With the zero that stands outside a picture."""
        return Reach(np.minimum(self.lo, 0), np.maximum(self.hi, 0))

    def joint(self) -> tuple[int, int]:
        """The smallest and the largest value over all channels."""
        return int(self.lo.min()), int(self.hi.max())
