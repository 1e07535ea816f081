"""Oracles for tables, the exact head, positional encodings and embeddings: fractions and loops, nothing of refcodec.

Each one is put differently from the code that it judges: a table as a mapping, a line as a weighted mean of its ends,
the head by bisection, the sine on nodes of a whole turn, the embedding by PyTorch's formula of sampling positions.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from fractions import Fraction

Volume = list[list[list[int]]]


def round_half_up(value: Fraction) -> int:
    """The nearest integer, halves towards plus infinity."""
    return math.floor(value + Fraction(1, 2))


def table_lookup(value: int, bits: int, signed: bool, table: list[int]) -> int:
    """The entry that a mapping of all values in rising order gives."""
    values = range(-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else range(2**bits)
    return dict(zip(values, table, strict=True))[value]


def interpolated_lookup(value: int, bits: int, signed: bool, spacing: int, nodes: list[int]) -> int:
    """The weighted mean of the two nodes around a value, rounded once."""
    smallest = -(2 ** (bits - 1)) if signed else 0
    place = Fraction(value - smallest, 2**spacing)
    left = math.floor(place)
    weight = place - left
    return round_half_up((1 - weight) * nodes[left] + weight * nodes[left + 1])


def threshold_head(accumulator: int, thresholds: list[int]) -> int:
    """Where the accumulator belongs among sorted thresholds, before those that equal it."""
    return bisect_left(thresholds, accumulator)


def whole_turn(nodes: list[int]) -> list[int]:
    """The nodes of a whole turn and its end, 4097 of them, from those of a quarter."""
    half = nodes[:-1] + nodes[::-1]
    return half[:-1] + [-v for v in half]


def sine(turns: Fraction, wave: list[int], fraction: int) -> int:
    """The point of a whole wave at so many turns, in units of 2**-fraction, rounded once."""
    place = (turns - math.floor(turns)) * 4096
    left = math.floor(place)
    weight = place - left
    return round_half_up(((1 - weight) * wave[left] + weight * wave[left + 1]) / 2 ** (24 - fraction))


def positional_encoding(
    index: int, increments: list[int], interleaved: bool, nodes: list[int], fraction: int
) -> list[int]:
    """Sine and cosine of each frequency in pairs, then put in order; the cosine is a sine a quarter turn ahead."""
    wave, turns = whole_turn(nodes), [Fraction(index * step, 2**40) for step in increments]
    pairs = [tuple(sine(t + Fraction(ahead, 4), wave, fraction) for ahead in (0, 1)) for t in turns]
    return [v for pair in pairs for v in pair] if interleaved else [pair[k] for k in (0, 1) for pair in pairs]


def embedding(tables: list[Volume], index: int, frames: int, centred: bool) -> Volume:
    """Linear interpolation at the source position of PyTorch's `interpolate`, half-pixel centres, ends repeated; or at
    that of FFNeRV, which multiplies the normalised time by the number of tensors."""
    if centred:
        position = max(Fraction(len(tables), frames) * (index + Fraction(1, 2)) - Fraction(1, 2), Fraction(0))
    else:
        position = min(Fraction(index, frames) * len(tables), Fraction(len(tables) - 1))
    left = math.floor(position)
    right = left + (left < len(tables) - 1)
    weight = position - left
    return [
        [
            [round_half_up((1 - weight) * a + weight * b) for a, b in zip(*rows, strict=True)]
            for rows in zip(*planes, strict=True)
        ]
        for planes in zip(tables[left], tables[right], strict=True)
    ]
