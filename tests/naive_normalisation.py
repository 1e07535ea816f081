"""Oracles for division, roots and normalisation: fractions and loops over Python integers, nothing of refcodec.

Each one is put differently from the code that it judges: quotients by fractions, the leaky rectifier as the larger of
two requantisations, the root by bisection, the spread by all pairs of values. A sample is a list of its channels.
"""

from __future__ import annotations

from fractions import Fraction
from operator import mul

from naive import clip, requantise, round_half_up


def rounding_division(numerator: int, denominator: int) -> int:
    """The exact quotient, rounded."""
    return round_half_up(Fraction(numerator, denominator))


def root(value: int) -> int:
    """The largest integer whose square is not above the value, by bisection."""
    low, high = 0, 1 << 32
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**2 <= value else (low, middle)
    return low


def leaky_requantise(accumulator: int, multiplier: int, negative_multiplier: int, shift: int, lo: int, hi: int) -> int:
    """The larger of both requantisations, for a slope of 0 .. 1 below zero."""
    return max(requantise(accumulator, m, shift, lo, hi) for m in (multiplier, negative_multiplier))


def divisors(sample: list[int], gamma: list[list[int]], beta: list[int], squared: bool, shift: int) -> list[int]:
    """The divisor of every channel of a sample."""
    powers = [v**2 if squared else max(v, -v) for v in sample]
    norms = [b + sum(map(mul, row, powers)) for row, b in zip(gamma, beta, strict=True)]
    return [root(n * 2**shift) if squared else round_half_up(Fraction(n, 2**shift)) for n in norms]


def gdn(
    sample: list[int], divisors: list[int], scale: list[int], offset: list[int], fraction: int, lo: int, hi: int
) -> list[int]:
    """Exact quotients with their scale, plus the offsets, rounded once, then limited."""
    exact = [Fraction(v * s, d) + o for v, d, s, o in zip(sample, divisors, scale, offset, strict=True)]
    return [clip(round_half_up(value / 2**fraction), lo, hi) for value in exact]


def inverse_gdn(
    sample: list[int], divisors: list[int], offset: list[int], multiplier: list[int], shift: list[int], lo: int, hi: int
) -> list[int]:
    """Products with their offsets, scaled as fractions, rounded once, then limited."""
    products = [v * d + o for v, d, o in zip(sample, divisors, offset, strict=True)]
    exact = [Fraction(p * m, 2**s) for p, m, s in zip(products, multiplier, shift, strict=True)]
    return [clip(round_half_up(value), lo, hi) for value in exact]


def layer_norm(
    sample: list[int],
    scale: list[int],
    offset: list[int],
    epsilon: int,
    root_shift: int,
    fraction: int,
    lo: int,
    hi: int,
) -> list[int]:
    """Differences to all other channels, over the root of the sum of all squared differences."""
    pairs = sum((a - b) ** 2 for i, a in enumerate(sample) for b in sample[:i])
    spread = root((pairs + epsilon) * 2**root_shift)
    found = []
    for value, s, o in zip(sample, scale, offset, strict=True):
        exact = Fraction(sum(value - other for other in sample) * s, spread) + o
        found.append(clip(round_half_up(exact / 2**fraction), lo, hi))
    return found
