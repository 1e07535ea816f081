"""Wrong arithmetic, as implementers get it: what mutants compute with (SPEC GATE-1).

Each function is total, on Python integers, and is named by its whole behaviour.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence


def wrapped(value: int, bits: int) -> int:
    """The low bits, as a signed number."""
    return ((value + (1 << bits - 1)) % (1 << bits)) - (1 << bits - 1)


def wrapped_unsigned(value: int, bits: int) -> int:
    """The low bits, as a number without a sign."""
    return value % (1 << bits)


def wrapped_between(value: int, lo: int, hi: int) -> int:
    """The low bits of a format that holds lo .. hi."""
    return (value - lo) % (hi - lo + 1) + lo


def saturated(value: int, bits: int) -> int:
    """Limited to a signed format."""
    return max(-(1 << bits - 1), min((1 << bits - 1) - 1, value))


def truncated_shift(value: int, shift: int) -> int:
    """Divided by 2**shift, the rest cut towards zero."""
    return value >> shift if value >= 0 else -(-value >> shift)


def half_even_shift(value: int, shift: int) -> int:
    """Divided by 2**shift, halves to the even neighbour."""
    quotient, rest = value >> shift, 2 * (value - (value >> shift << shift))
    return quotient + (rest > 1 << shift or (rest == 1 << shift and quotient % 2 == 1))


def half_away_shift(value: int, shift: int) -> int:
    """Divided by 2**shift, halves away from zero."""
    half = 1 << shift >> 1
    return (value + half) >> shift if value >= 0 else -((-value + half) >> shift)


def half_down_shift(value: int, shift: int) -> int:
    """Divided by 2**shift, halves towards minus infinity."""
    return -((-value + (1 << shift >> 1)) >> shift)


def half_to_zero_shift(value: int, shift: int) -> int:
    """Divided by 2**shift, halves towards zero."""
    half = (1 << shift >> 1) - (shift > 0)
    return (value + half) >> shift if value >= 0 else -((-value + half) >> shift)


def half_odd_shift(value: int, shift: int) -> int:
    """Divided by 2**shift, halves to the odd neighbour."""
    quotient, rest = value >> shift, 2 * (value - (value >> shift << shift))
    return quotient + (rest > 1 << shift or (rest == 1 << shift and quotient % 2 == 0))


def truncated_division(numerator: int, denominator: int) -> int:
    """The quotient, the rest cut towards zero, as in C."""
    quotient = abs(numerator) // abs(denominator)
    return quotient if (numerator >= 0) == (denominator >= 0) else -quotient


def half_even_division(numerator: int, denominator: int) -> int:
    """The quotient, halves to the even neighbour."""
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))


def half_away_division(numerator: int, denominator: int) -> int:
    """The quotient, halves away from zero."""
    magnitude = (2 * abs(numerator) + denominator) // (2 * denominator)
    return magnitude if numerator >= 0 else -magnitude


def half_down_division(numerator: int, denominator: int) -> int:
    """The quotient, halves towards minus infinity."""
    return -((2 * -numerator + denominator) // (2 * denominator))


def as_float32(value: float) -> float:
    """The nearest binary32 number; the largest one for what lies beyond."""
    try:
        return float(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return math.copysign(3.4028234663852886e38, value)


def requantised_in_float32(accumulator: int, multiplier: int, shift: int) -> int:
    """A scale and products in binary32, rounded to the even neighbour."""
    scale = as_float32(multiplier / 2.0**shift)
    return round(as_float32(as_float32(float(accumulator)) * scale))


def requantised_in_float64(accumulator: int, multiplier: int, shift: int) -> int:
    """A product in binary64, rounded to the even neighbour."""
    return round(float(accumulator) * (multiplier / 2.0**shift))


def requantised_in_float64_half_up(accumulator: int, multiplier: int, shift: int) -> int:
    """A product in binary64, to which a half is added before it is floored."""
    return math.floor(float(accumulator) * (multiplier / 2.0**shift) + 0.5)


def high_multiplication(left: int, right: int) -> int:
    """The high half of twice a product of 32 bits, rounded: gemmlowp's SaturatingRoundingDoublingHighMul."""
    if left == right == -(1 << 31):
        return (1 << 31) - 1
    return (left * right + (1 << 30)) >> 31


def truncated_high_multiplication(left: int, right: int) -> int:
    """The same without rounding: SaturatingDoublingHighMul."""
    return (left * right) >> 31


def requantised_twice(accumulator: int, multiplier: int, shift: int) -> int:
    """High multiplication, then a shift with halves away from zero: TFLite's MultiplyByQuantizedMultiplier."""
    left, right = max(31 - shift, 0), max(shift - 31, 0)
    return half_away_shift(high_multiplication(wrapped(accumulator << left, 32), multiplier), right)


def requantised_twice_half_up(accumulator: int, multiplier: int, shift: int) -> int:
    """High multiplication, then a shift with halves towards plus infinity: NEON's VQRDMULH and VRSHL."""
    left, right = max(31 - shift, 0), max(shift - 31, 0)
    high = high_multiplication(wrapped(accumulator << left, 32), multiplier)
    return (high + (1 << right >> 1)) >> right


def requantised_truncated_then_rounded(accumulator: int, multiplier: int, shift: int) -> int:
    """High multiplication without rounding, then a rounding shift: MVE's VQDMULH and VRSHL."""
    left, right = max(31 - shift, 0), max(shift - 31, 0)
    high = truncated_high_multiplication(wrapped(accumulator << left, 32), multiplier)
    return (high + (1 << right >> 1)) >> right


def requantised_q15(accumulator: int, multiplier: int, shift: int) -> int:
    """The multiplier rounded to 15 bits first: TFLite's 16x8 layers, CMSIS."""
    if multiplier < 1 << 15:
        return (accumulator * multiplier + (1 << shift >> 1)) >> shift
    reduced = (multiplier + (1 << 15)) >> 16 if multiplier < 0x7FFF0000 else 0x7FFF
    if shift < 17:
        return (accumulator * reduced) << 16 - shift
    return (accumulator * reduced + (1 << shift - 17)) >> shift - 16


def requantised_wrapped_q15(accumulator: int, multiplier: int, shift: int) -> int:
    """The value before the last shift kept in 32 bits: CMSIS's requantize_s64."""
    return (wrapped((accumulator * multiplier) >> shift - 1, 32) + 1) >> 1


def float_root(value: int) -> int:
    """The square root in binary64, cut."""
    return int(math.sqrt(value))


def rounded_root(value: int) -> int:
    """The nearest integer to the square root."""
    root = math.isqrt(value)
    return root + (value > root * root + root)


def transposed(plane: Sequence[Sequence[int]]) -> list[list[int]]:
    """Rows taken for columns."""
    return [list(column) for column in zip(*plane, strict=True)]


def flipped(plane: Sequence[Sequence[int]]) -> list[list[int]]:
    """A kernel turned by half a turn, as a convolution in the sense of mathematics has it."""
    return [list(reversed(row)) for row in reversed(plane)]
