"""Real numbers between two fractions, narrowed until both ends round to the same integer (SPEC TAB-4)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor

from refcodec.errors import RangeError

Step = float | Fraction
Enclosure = tuple[Fraction, Fraction]  # a number lies strictly between the two, or equals both

HALF = Fraction(1, 2)
FIRST_DIGITS = 40
LAST_DIGITS = 2560
# Digits computed beyond those asked for. A result takes a few thousand operations on numbers below 10**4, each wrong by
# half a unit of its last digit at most, and no difference of large numbers: less than half of these digits are lost.
SPARE_DIGITS = 20


def exact(number: Step, name: str) -> Fraction:
    """A number as the fraction that it is.  Raises RangeError for one that is not finite."""
    try:
        return Fraction(*number.as_integer_ratio())
    except (ValueError, OverflowError) as error:  # neither nan nor an infinity has a ratio
        raise RangeError(f"{name} must be a number, got {number}") from error


def around(centre: Fraction, digits: int) -> Enclosure:
    """What lies within 10**-digits of a number."""
    radius = Fraction(1, 10**digits)
    return centre - radius, centre + radius


@lru_cache(maxsize=16)
def pi(digits: int) -> Enclosure:
    """The ratio of circumference and diameter, within 10**-digits.

    Source: Machin, 16 arctan(1/5) - 4 arctan(1/239).
    """
    unit = 10 ** (digits + SPARE_DIGITS)
    total = 0
    for factor, inverse in ((16, 5), (-4, 239)):
        power, odd = factor * unit // inverse, 1
        while abs(power) > 1:
            total += power // odd
            power, odd = -power // inverse**2, odd + 2
    return around(Fraction(total, unit), digits)


def nearest(enclose: Callable[[int], Enclosure]) -> int:
    """The integer nearest to a number, halves towards +infinity (SPEC TAB-4).

    enclose  gives, for a number of digits, bounds that close in on the number as the digits grow.
    Raises RangeError where it cannot be told from a tie.
    """
    digits = FIRST_DIGITS
    while digits <= LAST_DIGITS:
        lo, hi = enclose(digits)
        rounded = floor(lo + HALF)
        if lo == hi or rounded == ceil(hi + HALF) - 1:  # the number is below hi, which may itself be a tie
            return rounded
        digits *= 2
    raise RangeError(f"a number cannot be told from {rounded} + 1/2 by {LAST_DIGITS} digits")
