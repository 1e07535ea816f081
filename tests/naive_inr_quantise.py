"""Quantisation of an implicit video's parameters by its formulas, one number at a time; imports nothing of refcodec."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product


def range_step(row: list[float], bits: int) -> Fraction:
    """NeuroQuant, Eq. 47."""
    return (max(Fraction(0), *map(Fraction, row)) - min(Fraction(0), *map(Fraction, row))) / (2**bits - 1)


def whole_step(row: list[float], bits: int) -> Fraction:
    """The smallest step with which no number of a row saturates."""
    top, bottom = max(map(Fraction, row)), min(map(Fraction, row))
    return max(top / (2 ** (bits - 1) - 1), -bottom / 2 ** (bits - 1), Fraction(0))


def integer(value: float, step: Fraction, bits: int) -> int:
    """NeuroQuant, Eq. 16, halves towards +infinity."""
    nearest = math.floor(Fraction(value) / step + Fraction(1, 2))
    return max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, nearest))


def squared_error(row: list[float], step: Fraction, bits: int) -> Fraction:
    """The sum of squared errors of a row."""
    return sum(((integer(value, step, bits) * step - Fraction(value)) ** 2 for value in row), Fraction(0))


def best_choice(
    omegas: list[list[list[list[float]]]], sizes: list[list[float]], least: float, most: float
) -> tuple[float, tuple[int, ...]] | None:
    """Of all choices of a size the one of least Omega, and that, by looking at each.

    omegas[l][b][m][c]  of layers l and m with the choices b and c;  sizes[l][b]  of layers.
    """
    found = []
    for picks in product(*(range(len(row)) for row in sizes)):
        if least <= sum(row[pick] for row, pick in zip(sizes, picks, strict=True)) <= most:
            pairs = product(enumerate(picks), repeat=2)
            found.append((sum(omegas[k][b][m][c] for (k, b), (m, c) in pairs), picks))
    return min(found) if found else None
