"""Divisive normalisation, generalised divisive normalisation (GDN) and its inverse (SPEC GDN-1 to GDN-5)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.kernel import parallel_kernel, prange
from refcodec.layers.convolution import Pass, accumulate
from refcodec.layers.division import LIMIT as DIVISION_LIMIT
from refcodec.layers.division import divide
from refcodec.layers.isqrt import LIMIT as RADICAND_LIMIT
from refcodec.layers.isqrt import isqrt, root
from refcodec.layers.requantise import check_scales

GAMMA_FORMAT = IntFormat(16, False)
NORM_FORMAT = IntFormat(48, True)
MAX_SUM_SHIFT = 47
MAX_ROOT_SHIFT = 16
MAX_FRACTION = 16
NUMERATOR_LIMIT = 1 << 60
OPERAND_LIMIT = 1 << 31  # what the convolution kernel takes
POINT = Pass(range(1), range(1), 0, 0, 0, 0)


class Norm(NamedTuple):
    """How the divisor of every channel is made (SPEC GDN-1, GDN-2).

    gamma  (C, C) integers, 0 .. 2**16 - 1, output channel first;  beta  (C,) integers, 1 or more
    squared  root of a sum of squares, else sum of magnitudes;  shift  0..16 of the root's radicand, 0..47 of the sum.
    """

    gamma: np.ndarray
    beta: np.ndarray
    squared: bool
    shift: int

    def power(self, magnitude: int) -> int:
        """What a sample of that magnitude adds to a norm for each unit of gamma."""
        return magnitude * magnitude if self.squared else magnitude

    def bounds(self, magnitude: int) -> list[int]:
        """The largest norm of every channel where no sample exceeds that magnitude (SPEC GDN-5)."""
        sums = self.gamma.sum(axis=1, dtype=np.int64).tolist()
        return [b + s * self.power(magnitude) for b, s in zip(self.beta.tolist(), sums, strict=True)]

    def divisor(self, norm: int) -> int:
        """The divisor that belongs to a norm (SPEC GDN-2)."""
        return fixed.gdn_divisor(norm, self.squared, self.shift)


class Affine(NamedTuple):
    """What a normalised sample is multiplied by, and what is added to it (SPEC GDN-3, LN-1).

    scale, offset  (C,) integers in units of 2**-fraction target LSBs;  fraction  0..16.
    """

    scale: np.ndarray
    offset: np.ndarray
    fraction: int


# --- the domain


def check_norm(norm: Norm, channels: int) -> None:
    """Raise ShapeError or RangeError unless the constants of a norm are legal and no divisor is zero (SPEC GDN-5)."""
    gamma, beta, squared, shift = norm
    if gamma.shape != (channels, channels) or beta.shape != (channels,):
        raise ShapeError(
            f"expected gamma (C, C) and beta (C,) for {channels} channels, got {gamma.shape}, {beta.shape}"
        )
    GAMMA_FORMAT.check(gamma, "gamma")
    NORM_FORMAT.check(beta, "beta")
    smallest = int(beta.min())
    if smallest < 1:
        raise RangeError(f"beta must be 1 or more, got {smallest}")
    most = MAX_ROOT_SHIFT if squared else MAX_SUM_SHIFT
    if not 0 <= shift <= most:
        raise RangeError(f"norm shift must be 0..{most}, got {shift}")
    if norm.divisor(smallest) < 1:  # no norm is smaller than its beta
        raise RangeError(f"beta {smallest} shifted by {shift} gives a divisor of 0")


def norm_fault(norm: Norm, magnitude: int, fmt: IntFormat) -> str | None:
    """What is wrong with the widths of a norm of such samples, if anything (SPEC GDN-5)."""
    bound = max(norm.bounds(magnitude))
    if bound > fmt.hi:
        return f"the norm may reach {bound}, {fmt} holds {fmt.hi}"
    if norm.squared and bound << norm.shift >= RADICAND_LIMIT:
        return f"the radicand may reach {bound << norm.shift}, beyond 62 bits"
    return None


def check_affine(affine: Affine, channels: int) -> None:
    """Raise ShapeError or RangeError unless scale, offset and fraction are legal (SPEC GDN-5, LN-2)."""
    if affine.scale.shape != (channels,) or affine.offset.shape != (channels,):
        raise ShapeError(
            f"expected scale and offset of {channels} channels, got {affine.scale.shape}, {affine.offset.shape}"
        )
    for name, array in (("scale", affine.scale), ("offset", affine.offset)):
        if array.dtype.kind != "i":
            raise RangeError(f"{name}: expected signed integers, got {array.dtype}")
    if not 0 <= affine.fraction <= MAX_FRACTION:
        raise RangeError(f"fraction must be 0..{MAX_FRACTION}, got {affine.fraction}")


def gdn_fault(norm: Norm, magnitude: int, affine: Affine) -> str | None:
    """What is wrong with the widths of the division of such samples, if anything (SPEC GDN-5)."""
    largest = [norm.divisor(b) for b in norm.bounds(magnitude)]
    rows = zip(largest, affine.scale.tolist(), affine.offset.tolist(), strict=True)
    numerator = max(magnitude * abs(s) + d * abs(o) for d, s, o in rows)
    if numerator >= NUMERATOR_LIMIT:
        return f"the numerator may reach {numerator}, beyond 60 bits"
    denominator = max(largest) << affine.fraction
    if 2 * denominator >= DIVISION_LIMIT:
        return f"the denominator may reach {denominator}, beyond 62 bits"
    return None


def product_fault(norm: Norm, magnitude: int, offset: np.ndarray, fmt: IntFormat) -> str | None:
    """What is wrong with the width of the product of the inverse, if anything (SPEC GDN-5)."""
    largest = [norm.divisor(b) for b in norm.bounds(magnitude)]
    bound = max(magnitude * d + abs(o) for d, o in zip(largest, offset.tolist(), strict=True))
    return f"the product may reach {bound}, {fmt} holds {fmt.hi}" if bound > fmt.hi else None


def reject(fault: str | None) -> None:
    """Raise RangeError if there is a fault."""
    if fault:
        raise RangeError(fault)


def sample_range(x: np.ndarray) -> tuple[int, int]:
    """The smallest and the largest sample.  Raises ShapeError or RangeError unless there are any, of up to 16 bits."""
    if x.ndim != 3 or 0 in x.shape:
        raise ShapeError(f"expected x (C, H, W) with samples, got {x.shape}")
    if x.dtype.kind != "i":
        raise RangeError(f"x: expected signed integers, got {x.dtype}")
    lo, hi = int(x.min()), int(x.max())
    if lo < -(1 << 15) or hi >= 1 << 16:
        raise RangeError(f"x: values {lo} .. {hi} are wider than 16 bits")
    return lo, hi


def _magnitude(x: np.ndarray, norm: Norm) -> int:
    """The largest magnitude of a sample.  Raises ShapeError or RangeError unless the norms are in their domain."""
    lo, hi = sample_range(x)
    check_norm(norm, x.shape[0])
    magnitude = max(-lo, hi)
    reject(norm_fault(norm, magnitude, NORM_FORMAT))
    return magnitude


def _check_gdn(x: np.ndarray, norm: Norm, affine: Affine) -> None:
    magnitude = _magnitude(x, norm)
    check_affine(affine, x.shape[0])
    reject(gdn_fault(norm, magnitude, affine))


def _check_inverse(
    x: np.ndarray, norm: Norm, offset: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, product: IntFormat
) -> None:
    magnitude = _magnitude(x, norm)
    if not offset.shape == multiplier.shape == shift.shape == x.shape[:1]:
        raise ShapeError(
            f"expected offset, multiplier and shift of {x.shape[0]} channels, "
            f"got {offset.shape}, {multiplier.shape}, {shift.shape}"
        )
    if offset.dtype.kind != "i":
        raise RangeError(f"offset: expected signed integers, got {offset.dtype}")
    if not product.signed:
        raise RangeError(f"the product needs a signed format, got {product}")
    check_scales(multiplier, shift, product)
    reject(product_fault(norm, magnitude, offset, product))


# --- the norm and the divisor


def gdn_norm(x: np.ndarray, norm: Norm) -> np.ndarray:
    """Weighted sums of the magnitudes, or of the squares, of all channels of each sample (SPEC GDN-1).

    x  (C, H, W) signed or unsigned activations of up to 16 bits, in a signed dtype;  norm  for C channels.
    Returns (C, H, W) int32 or int64, 1 or more.  Raises ShapeError, RangeError (also where 48 bits are not proven
    enough).  Source: CompressAI GDN and GDN1, which convolve the powers with gamma as a 1 x 1 kernel.
    """
    magnitude = _magnitude(x, norm)
    wide: np.ndarray = x.astype(np.int64 if norm.squared else np.int32)
    power: np.ndarray = wide * wide if norm.squared else np.abs(wide)
    if norm.power(magnitude) < OPERAND_LIMIT:
        return _weigh(power, norm.gamma, norm.beta)
    # Squares of 16 bits without a sign: the upper halves' sums, shifted back, are a part of the proven norm.
    upper = _weigh(power >> 16, norm.gamma, np.zeros_like(norm.beta)).astype(np.int64)
    return (upper << 16) + _weigh(power & 0xFFFF, norm.gamma, norm.beta)


def _weigh(power: np.ndarray, gamma: np.ndarray, beta: np.ndarray) -> np.ndarray:
    return accumulate(power, gamma[:, :, None, None], beta, power.shape[1:], 0, [POINT], 1, 1)


def gdn_divisor(norms: np.ndarray, squared: bool, shift: int) -> np.ndarray:
    """What samples are divided or multiplied by: the norm, or the square root of its squares (SPEC GDN-2).

    norms  integers of any shape, 0 .. 2**47 - 1;  squared, shift  as in Norm, the shifted norms below 2**62.
    Returns int64 of that shape.  Raises RangeError.
    """
    NORM_FORMAT.check(norms, "norm")
    wide = norms.astype(np.int64)  # at most 47 bits, so the sum below and a radicand that is refused both fit
    return isqrt(wide << shift) if squared else (wide + (1 << shift >> 1)) >> shift


# --- division and multiplication


@parallel_kernel
def _gdn(x, norm, squared, norm_shift, scale, offset, fraction, lo, hi, out):
    half = np.int64(1) << norm_shift >> 1
    for c in prange(x.shape[0]):
        for y in range(x.shape[1]):
            for i in range(x.shape[2]):
                n = np.int64(norm[c, y, i])  # below 2**47, and below 2**62 when shifted for the root
                divisor = root(n << norm_shift) if squared else (n + half) >> norm_shift
                # SPEC GDN-5: |numerator| < 2**60, denominator < 2**62
                numerator = np.int64(x[c, y, i]) * scale[c] + offset[c] * divisor
                out[c, y, i] = min(max(divide(numerator, divisor << fraction), lo), hi)


@parallel_kernel
def _inverse_gdn(x, norm, squared, norm_shift, offset, multiplier, shift, lo, hi, out):
    half = np.int64(1) << norm_shift >> 1
    for c in prange(x.shape[0]):
        m = np.int64(multiplier[c])
        s = np.int64(shift[c])
        unit = np.int64(1) << (s - 1)
        for y in range(x.shape[1]):
            for i in range(x.shape[2]):
                n = np.int64(norm[c, y, i])
                divisor = root(n << norm_shift) if squared else (n + half) >> norm_shift
                # SPEC GDN-5 holds the product in its format, whose profile holds the rest (SPEC RQ-2)
                product = np.int64(x[c, y, i]) * divisor + offset[c]
                out[c, y, i] = min(max((product * m + unit) >> s, lo), hi)


def gdn(x: np.ndarray, norm: Norm, affine: Affine, target: IntFormat) -> np.ndarray:
    """Divide each sample by the divisor of its channel, scale, add an offset, round once, saturate (SPEC GDN-3).

    x  (C, H, W) signed or unsigned activations of up to 16 bits, in a signed dtype;  norm, affine  for C channels.
    Returns (C, H, W) in `target` LSBs and of its dtype.  Raises ShapeError, RangeError (also where 64 bits are not
    proven enough).  Source: CompressAI GDN and GDN1; Balle 2016, Eq. 3, with both exponents 1 or both 2.
    """
    _check_gdn(x, norm, affine)
    out = np.empty(x.shape, target.dtype)
    constants = affine.scale.astype(np.int64), affine.offset.astype(np.int64), affine.fraction, target.lo, target.hi
    _gdn(x, gdn_norm(x, norm), norm.squared, norm.shift, *constants, out)
    return out


def inverse_gdn(
    x: np.ndarray,
    norm: Norm,
    offset: np.ndarray,
    multiplier: np.ndarray,
    shift: np.ndarray,
    product: IntFormat,
    target: IntFormat,
) -> np.ndarray:
    """Multiply each sample by the divisor of its channel, add an offset, requantise (SPEC GDN-4).

    x  (C, H, W) signed or unsigned activations of up to 16 bits, in a signed dtype;  norm  for C channels
    offset  (C,) integers, LSBs of the product;  multiplier, shift  (C,) as for `requantise` from the format `product`,
    which holds every value * divisor + offset.
    Returns (C, H, W) in `target` LSBs and of its dtype.  Raises ShapeError, RangeError (also where the formats are
    not proven wide enough).  Source: CompressAI GDN and GDN1 with inverse=True, one multiplication.
    """
    _check_inverse(x, norm, offset, multiplier, shift, product)
    out = np.empty(x.shape, target.dtype)
    constants = offset.astype(np.int64), multiplier, shift, target.lo, target.hi
    _inverse_gdn(x, gdn_norm(x, norm), norm.squared, norm.shift, *constants, out)
    return out


# --- the definitions


def _apply_plain(x: np.ndarray, norm: Norm, target: IntFormat, function: Callable[[int, int, int], int]) -> np.ndarray:
    """function(c, value, divisor) of every sample, on Python integers."""
    gamma, beta = norm.gamma.tolist(), norm.beta.tolist()
    columns = []
    for column in x.reshape(x.shape[0], -1).T.tolist():
        norms = [fixed.gdn_norm(column, gamma[c], beta[c], norm.squared) for c in range(len(column))]
        columns.append([function(c, v, norm.divisor(n)) for c, (v, n) in enumerate(zip(column, norms, strict=True))])
    return np.array(columns, target.dtype).T.reshape(x.shape)


def gdn_plain(x: np.ndarray, norm: Norm, affine: Affine, target: IntFormat) -> np.ndarray:
    """The definition of `gdn` on Python integers, which cannot wrap (SPEC GDN-3)."""
    _check_gdn(x, norm, affine)
    scale, offset = affine.scale.tolist(), affine.offset.tolist()

    def divided(c: int, value: int, divisor: int) -> int:
        return fixed.gdn(value, divisor, scale[c], offset[c], affine.fraction, target.lo, target.hi)

    return _apply_plain(x, norm, target, divided)


def inverse_gdn_plain(
    x: np.ndarray,
    norm: Norm,
    offset: np.ndarray,
    multiplier: np.ndarray,
    shift: np.ndarray,
    product: IntFormat,
    target: IntFormat,
) -> np.ndarray:
    """The definition of `inverse_gdn` on Python integers, which cannot wrap (SPEC GDN-4)."""
    _check_inverse(x, norm, offset, multiplier, shift, product)
    offsets, multipliers, shifts = offset.tolist(), multiplier.tolist(), shift.tolist()

    def multiplied(c: int, value: int, divisor: int) -> int:
        return fixed.inverse_gdn(value, divisor, offsets[c], multipliers[c], shifts[c], target.lo, target.hi)

    return _apply_plain(x, norm, target, multiplied)
