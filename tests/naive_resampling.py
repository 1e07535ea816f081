"""Oracles for resampling: fractions and loops over Python integers, and PyTorch's functions in float64.

Nothing of refcodec. Each is put differently from the code that it judges: places are clamped fractions and weights are
triangles, the Gaussian comes from decimals, borders are repeated by copying, every slice of a scale space starts anew.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
from naive import Volume, round_half_up

Plane = list[list[int]]
Shares = list[tuple[int, Fraction]]
HALF = Fraction(1, 2)


def shares(place: Fraction, size: int) -> Shares:
    """The samples that have a share in a place of an axis, and their shares: triangles of width 2 around each."""
    held = sorted((Fraction(0), place, Fraction(size - 1)))[1]
    return [(k, 1 - abs(held - k)) for k in sorted({math.floor(held), math.ceil(held)})]


def resize(x: Plane, rows: int, columns: int) -> Plane:
    """Samples are squares: the middle of an output square, measured in input squares."""
    across = [shares(Fraction(2 * i + 1, 2 * columns) - HALF, len(x[0])) for i in range(columns * len(x[0]))]
    out = []
    for y in range(rows * len(x)):
        down = shares(Fraction(2 * y + 1, 2 * rows) - HALF, len(x))
        out.append(
            [round_half_up(sum((v * w * x[k][j] for k, v in down for j, w in row), Fraction(0))) for row in across]
        )
    return out


def gaussian() -> list[int]:
    """Exp(-k**2 / (2 * 1.5**2)) for k = -5 .. 5, scaled to a sum of 2**14 and each rounded, in sixty decimals."""
    with localcontext() as context:
        context.prec = 60
        bell = [(-Decimal(k * k) / (2 * Decimal("1.5") ** 2)).exp() for k in range(-5, 6)]
        return [int((2**14 * value / sum(bell)).to_integral_value()) for value in bell]


def blur(x: Plane) -> Plane:
    """Windows of a plane whose border was copied five times outwards, against the outer product of the bell."""
    bell = gaussian()
    wide = [[row[0]] * 5 + list(row) + [row[-1]] * 5 for row in x]
    wide = [wide[0]] * 5 + wide + [wide[-1]] * 5
    kernel = [v * w for v in bell for w in bell]
    out = []
    for top in range(len(x)):
        band = wide[top : top + 11]
        windows = ([v for row in band for v in row[left : left + 11]] for left in range(len(x[0])))
        out.append([round_half_up(Fraction(sum(map(int.__mul__, kernel, w)), 2**28)) for w in windows])
    return out


def halve(x: Plane) -> Plane:
    """The mean of every block."""
    pairs = [zip(upper, lower, strict=True) for upper, lower in zip(x[::2], x[1::2], strict=True)]
    sums = [[u + v for u, v in pair] for pair in pairs]
    return [[round_half_up(Fraction(a + b, 4)) for a, b in zip(row[::2], row[1::2], strict=True)] for row in sums]


def scale_slice(x: Plane, number: int) -> Plane:
    """Slice `number` from the beginning: blurred, then halved, blurred and enlarged number - 1 times."""
    if number == 0:
        return x
    coarse = blur(x)
    for _ in range(number - 1):
        coarse = blur(halve(coarse))
    for _ in range(number - 1):
        coarse = resize(coarse, 2, 2)
    return coarse


def scale_space(x: Plane, levels: int) -> list[Plane]:
    """All slices, each by itself."""
    return [scale_slice(x, number) for number in range(levels + 1)]


def normalised_shares(coordinate: Fraction, size: int) -> Shares:
    """Shares at a coordinate for which the outer edges of the first and the last sample are -1 and 1."""
    return shares(((coordinate + 1) * size - 1) / 2, size)


def warp(slices: list[Plane], flow: Volume, fraction: int) -> Plane:
    """Every sample's own normalised coordinate plus its displacement, the slices by the third coordinate alone."""
    depth, height, width = len(slices), len(slices[0]), len(slices[0][0])
    out = []
    for y in range(height):
        row = []
        for i in range(width):
            right, down, deep = (Fraction(plane[y][i], 2**fraction) for plane in flow)
            xs = normalised_shares(Fraction(2 * i + 1, width) - 1 + right, width)
            ys = normalised_shares(Fraction(2 * y + 1, height) - 1 + down, height)
            zs = normalised_shares(deep, depth)
            terms = (u * v * w * slices[d][k][j] for d, u in zs for k, v in ys for j, w in xs)
            row.append(round_half_up(sum(terms, Fraction(0))))
        out.append(row)
    return out


# --- what PyTorch computes, in float64; arrays instead of lists


def float_axis(size: int, factor: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source samples and weight of the second, as F.interpolate(bilinear, align_corners=False) finds them."""
    place = np.maximum((np.arange(size * factor) + 0.5) / factor - 0.5, 0.0)
    first = place.astype(np.int64)
    return first, np.minimum(first + 1, size - 1), place - first


def float_resize(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """F.interpolate(x, scale_factor=(rows, columns), mode="bilinear", align_corners=False) of (..., H, W)."""
    y0, y1, down = float_axis(x.shape[-2], rows)
    tall = x[..., y0, :] * (1 - down)[:, None] + x[..., y1, :] * down[:, None]
    x0, x1, right = float_axis(x.shape[-1], columns)
    return tall[..., x0] * (1 - right) + tall[..., x1] * right


def float_gaussian() -> np.ndarray:
    """The outer product of a Gaussian of deviation 1.5 over 11 samples, its sum 1."""
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    return np.outer(line, line) / line.sum() ** 2


def float_blur(x: np.ndarray) -> np.ndarray:
    """F.conv2d of each plane of (C, H, W) with the Gaussian, after F.pad with mode replicate."""
    wide = np.pad(x, ((0, 0), (5, 5), (5, 5)), mode="edge")
    kernel, (_, height, width) = float_gaussian(), x.shape
    taps = ((ky, kx) for ky in range(11) for kx in range(11))
    return sum(kernel[ky, kx] * wide[:, ky : ky + height, kx : kx + width] for ky, kx in taps)


def float_scale_space(x: np.ndarray, levels: int) -> np.ndarray:
    """CompressAI's gaussian_volume of (C, H, W), as (levels + 1, C, H, W)."""
    low = float_blur(x)
    slices = [x, low]
    for level in range(1, levels):
        low = low.reshape(low.shape[0], low.shape[1] // 2, 2, low.shape[2] // 2, 2).mean(axis=(2, 4))  # F.avg_pool2d
        low = float_blur(low)
        wide = low
        for _ in range(level):
            wide = float_resize(wide, 2, 2)
        slices.append(wide)
    return np.stack(slices)


def float_samples(grid: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Samples beside normalised coordinates, align_corners=False and padding_mode="border", and the second's weight."""
    place = np.clip(((grid + 1) * size - 1) / 2, 0, size - 1)
    first = np.floor(place).astype(np.int64)
    return first, np.minimum(first + 1, size - 1), place - first


def float_warp(volume: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """F.grid_sample of (D, C, H, W) at the identity grid plus flow[:2], and at the third coordinate flow[2]."""
    depth, _, height, width = volume.shape
    x0, x1, right = float_samples((2 * np.arange(width) + 1) / width - 1 + flow[0], width)
    y0, y1, down = float_samples((2 * np.arange(height)[:, None] + 1) / height - 1 + flow[1], height)
    z0, z1, deep = float_samples(flow[2], depth)
    planes = volume.transpose(1, 0, 2, 3)
    out = np.zeros((volume.shape[1], height, width))
    for z, near in ((z0, 1 - deep), (z1, deep)):
        for y, above in ((y0, 1 - down), (y1, down)):
            for x, left in ((x0, 1 - right), (x1, right)):
                out += near * above * left * planes[:, z, y, x]
    return out
