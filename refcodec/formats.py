"""Declared integer formats, and the multipliers that belong to them (SPEC INT-1, INT-2, RQ-2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcodec.errors import RangeError

MAX_BITS = 48  # the widest accumulator (SPEC INT-2)
# (accumulator bits, multiplier bits) of the two requantisation profiles: both products fit 63 bits (SPEC RQ-2)
PROFILES = ((32, 31), (48, 15))
MIN_SHIFT, MAX_SHIFT = 1, 62


@dataclass(frozen=True, slots=True)
class IntFormat:
    """A two's complement or unsigned integer of a declared width (SPEC INT-1).

    bits    1 .. 48;  signed  True for two's complement, False for non-negative values.
    Raises RangeError RC-FORMAT.
    """

    bits: int
    signed: bool

    def __post_init__(self) -> None:
        if type(self.bits) is not int or type(self.signed) is not bool or not 1 <= self.bits <= MAX_BITS:
            raise RangeError(
                f"format needs 1 to {MAX_BITS} bits and a boolean sign, got {self.bits!r}, {self.signed!r}", "RC-FORMAT"
            )

    @property
    def lo(self) -> int:
        """The smallest value."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        """The largest value."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def magnitude(self) -> int:
        """The largest absolute value."""
        return max(-self.lo, self.hi)

    @property
    def dtype(self) -> np.dtype:
        """The smallest of int16, int32 and int64 that holds every value."""
        for candidate in (np.int16, np.int32):
            if self.lo >= np.iinfo(candidate).min and self.hi <= np.iinfo(candidate).max:
                return np.dtype(candidate)
        return np.dtype(np.int64)

    def __str__(self) -> str:
        return f"{'s' if self.signed else 'u'}{self.bits}"

    def check(self, values: np.ndarray, name: str) -> None:
        """Raise RangeError unless every integer of `values` lies in the format (SPEC INT-1)."""
        if values.dtype.kind not in "iu":
            raise RangeError(f"{name}: expected integers, got {values.dtype}")
        if values.size and (int(values.min()) < self.lo or int(values.max()) > self.hi):
            raise RangeError(f"{name}: values {values.min()} .. {values.max()} leave {self} ({self.lo} .. {self.hi})")


def multiplier_bits(accumulator: IntFormat) -> int:
    """Width of the multipliers that belong to an accumulator format (SPEC RQ-2).  Raises RangeError RC-FORMAT."""
    for accumulator_bits, bits in PROFILES:
        if accumulator.bits + (not accumulator.signed) <= accumulator_bits:
            return bits
    raise RangeError(f"no requantisation profile takes a {accumulator} accumulator", "RC-FORMAT")
