"""Oracles for the arithmetic: fractions and loops over Python integers, nothing of refcodec and no NumPy.

Each one is put differently from the code that it judges: rounding by fractions, the clip by sorting, the scale index
by bisection, the transposed convolution by scattering. Tensors are nested lists [C][H][W], weights [O][C][K][K].
"""

from __future__ import annotations

import math
from bisect import bisect_left
from fractions import Fraction
from itertools import product
from operator import mul

Volume = list[list[list[int]]]


def round_half_up(value: Fraction) -> int:
    """The nearest integer, halves towards plus infinity."""
    return math.floor(value + Fraction(1, 2))


def format_range(bits: int, signed: bool) -> tuple[int, int]:
    """The smallest and the largest of the 2**bits values of a format."""
    return (-(2**bits) // 2, 2**bits // 2 - 1) if signed else (0, 2**bits - 1)


def clip(value: int, lo: int, hi: int) -> int:
    """The middle one of the three."""
    return sorted((lo, value, hi))[1]


def relu(value: int) -> int:
    """The value, or zero if that is larger."""
    return max(value, 0)


def requantise(accumulator: int, multiplier: int, shift: int, lo: int, hi: int) -> int:
    """The exact quotient, rounded, then limited."""
    return clip(round_half_up(Fraction(accumulator * multiplier, 2**shift)), lo, hi)


def latent_mean(symbol: int, mean: int, fraction: int) -> int:
    """A symbol and a mean in units of 2**-fraction, added as fractions."""
    total = (symbol + Fraction(mean, 2**fraction)) * 2**fraction
    assert total.denominator == 1
    return total.numerator


def scale_index(accumulator: int, thresholds: list[int]) -> int:
    """Where the accumulator belongs among sorted thresholds, before those that equal it."""
    return bisect_left(thresholds, accumulator)


def convolution(x: Volume, weight: list[Volume], bias: list[int], stride: int, padding: int) -> Volume:
    """Gather: the dot product of each kernel with each window of the zero-bordered input."""
    kernel = len(weight[0][0])
    border, width = [0] * padding, len(x[0][0]) + 2 * padding
    wide = [
        [[0] * width] * padding + [border + list(row) + border for row in plane] + [[0] * width] * padding
        for plane in x
    ]
    flat = [[w for plane in kernels for row in plane for w in row] for kernels in weight]
    out: Volume = [[] for _ in weight]
    for top in range(0, len(wide[0]) - kernel + 1, stride):
        for plane in out:
            plane.append([])
        for left in range(0, width - kernel + 1, stride):
            window = [v for plane in wide for row in plane[top : top + kernel] for v in row[left : left + kernel]]
            for o, weights in enumerate(flat):
                out[o][-1].append(bias[o] + sum(map(mul, weights, window)))
    return out


def transposed_convolution(
    x: Volume, weight: list[Volume], bias: list[int], stride: int, padding: int, output_padding: int
) -> Volume:
    """Scatter: every input adds its multiple of every kernel to the output, which is then cropped."""
    kernel = len(weight[0][0])
    height, width = len(x[0]), len(x[0][0])
    rows, columns = ((n - 1) * stride + kernel + output_padding for n in (height, width))
    out = [[[b] * columns for _ in range(rows)] for b in bias]
    taps = [
        (out[o], ky, kx, [plane[ky][kx] for plane in kernels])
        for o, kernels in enumerate(weight)
        for ky, kx in product(range(kernel), repeat=2)
    ]
    for i, j in product(range(height), range(width)):
        pixel = [plane[i][j] for plane in x]
        for plane, ky, kx, weights in taps:
            plane[i * stride + ky][j * stride + kx] += sum(map(mul, weights, pixel))
    return [[row[padding : columns - padding] for row in plane[padding : rows - padding]] for plane in out]


def accumulator_bound(weights: list[int], bias: int, magnitude: int) -> int:
    """The largest magnitude over both signs of every input and of the bias, each sign taken at its worst."""
    return max(bias, -bias) + sum(max(w * magnitude, -w * magnitude) for w in weights)


def grey(red: int, green: int, blue: int) -> int:
    """The weighted mean, green counting twice."""
    return round_half_up(Fraction(red + green + green + blue, 4))


def counter_random(seed: int, count: int) -> int:
    """The low half of splitmix64's finaliser of a counter, shifts written as divisions."""
    z = (seed * 0x9E3779B97F4A7C15 + (count + 1) * 0xD1B54A32D192ED03) % 2**64
    for shift, multiplier in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ z // 2**shift) * multiplier % 2**64
    return (z ^ z // 2**31) % 2**32
