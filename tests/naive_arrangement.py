"""Oracles for layers that rearrange, add or weigh samples: loops over Python integers, nothing of refcodec, no NumPy.

Each one is put differently from the code that it judges: linear and depthwise layers by scattering, masked kernels by
the raster number of a tap, arrangements by writing each source sample to its places, sums by fractions.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product

from naive import clip, round_half_up

Plane = list[list[int]]
Volume = list[Plane]


def linear(x: list[int], weight: list[list[int]], bias: list[int]) -> list[int]:
    """Scatter: every input adds its multiple of its column to the outputs."""
    out = list(bias)
    for value, column in zip(x, zip(*weight, strict=True), strict=True):
        out = [total + value * w for total, w in zip(out, column, strict=True)]
    return out


def _scattered(plane: Plane, kernel: dict[tuple[int, int], int], size: int, stride: int, padding: int) -> Plane:
    """What one plane adds to one output: every sample goes to the outputs whose windows hold it."""
    rows, columns = ((len(side) + 2 * padding - size) // stride + 1 for side in (plane, plane[0]))
    out = [[0] * columns for _ in range(rows)]
    for i, row in enumerate(plane):
        for j, value in enumerate(row):
            for (ky, kx), w in kernel.items():
                y, down = divmod(i + padding - ky, stride)
                x, right = divmod(j + padding - kx, stride)
                if down == right == 0 and 0 <= y < rows and 0 <= x < columns:
                    out[y][x] += value * w
    return out


def _total(bias: int, planes: list[Plane]) -> Plane:
    return [[bias + sum(values) for values in zip(*rows, strict=True)] for rows in zip(*planes, strict=True)]


def depthwise_convolution(x: Volume, weight: Volume, bias: list[int], stride: int, padding: int) -> Volume:
    """Scatter, one channel at a time."""
    out = []
    for plane, kernel, b in zip(x, weight, bias, strict=True):
        taps = {(ky, kx): w for ky, row in enumerate(kernel) for kx, w in enumerate(row)}
        out.append(_total(b, [_scattered(plane, taps, len(kernel), stride, padding)]))
    return out


def live_numbers(mask: str, size: int) -> list[int]:
    """Raster numbers of the live taps: those before the middle one, or every second one."""
    count = size * size
    return list(range(count // 2)) if mask == "causal" else list(range(1, count, 2))


def masked_convolution(x: Volume, weight: list[Volume], bias: list[int], mask: str, padding: int) -> Volume:
    """Scatter through the live taps only, whatever stands at the others."""
    size = len(weight[0][0])
    live = [divmod(number, size) for number in live_numbers(mask, size)]
    out = []
    for kernels, b in zip(weight, bias, strict=True):
        taps = [{(ky, kx): kernel[ky][kx] for ky, kx in live} for kernel in kernels]
        out.append(
            _total(b, [_scattered(plane, kernel, size, 1, padding) for plane, kernel in zip(x, taps, strict=True)])
        )
    return out


def _blank(channels: int, rows: int, columns: int) -> Volume:
    return [[[0] * columns for _ in range(rows)] for _ in range(channels)]


def pixel_shuffle(x: Volume, rows: int, columns: int) -> Volume:
    """Every source channel goes to one place of every block."""
    out = _blank(len(x) // (rows * columns), len(x[0]) * rows, len(x[0][0]) * columns)
    for channel, plane in enumerate(x):
        c, place = divmod(channel, rows * columns)
        a, b = divmod(place, columns)
        for y, row in enumerate(plane):
            for i, value in enumerate(row):
                out[c][y * rows + a][i * columns + b] = value
    return out


def nearest(x: Volume, rows: int, columns: int) -> Volume:
    """Every sample goes to all places of its block."""
    out = _blank(len(x), len(x[0]) * rows, len(x[0][0]) * columns)
    for c, plane in enumerate(x):
        for y, row in enumerate(plane):
            for i, value in enumerate(row):
                for a, b in product(range(rows), range(columns)):
                    out[c][y * rows + a][i * columns + b] = value
    return out


def tile(x: Volume, rows: int, columns: int) -> Volume:
    """Every sample goes to its place in every copy."""
    height, width = len(x[0]), len(x[0][0])
    out = _blank(len(x), height * rows, width * columns)
    for c, plane in enumerate(x):
        for y, row in enumerate(plane):
            for i, value in enumerate(row):
                for a, b in product(range(rows), range(columns)):
                    out[c][a * height + y][b * width + i] = value
    return out


def concatenate(volumes: list[Volume]) -> Volume:
    """One volume after another onto the end of a list."""
    out: Volume = []
    for volume in volumes:
        out += volume
    return out


def pad(x: Volume, top: int, bottom: int, left: int, right: int) -> Volume:
    """Every sample goes to its place among zeros."""
    out = _blank(len(x), top + len(x[0]) + bottom, left + len(x[0][0]) + right)
    for c, plane in enumerate(x):
        for y, row in enumerate(plane):
            for i, value in enumerate(row):
                out[c][y + top][i + left] = value
    return out


def crop(x: Volume, top: int, bottom: int, left: int, right: int) -> Volume:
    """Take one row or column away as often as wanted."""
    out = [[list(row) for row in plane] for plane in x]
    for plane in out:
        for count, place in ((top, 0), (bottom, -1)):
            for _ in range(count):
                plane.pop(place)
        for row in plane:
            for count, place in ((left, 0), (right, -1)):
                for _ in range(count):
                    row.pop(place)
    return out


def add(left: int, right: int, multipliers: list[int], shift: int, lo: int, hi: int) -> int:
    """Two exact quotients, their sum rounded, then limited."""
    total = Fraction(left * multipliers[0], 2**shift) + Fraction(right * multipliers[1], 2**shift)
    return clip(round_half_up(total), lo, hi)
