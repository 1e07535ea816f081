"""Layer normalisation over the channels of each sample (SPEC LN-1, LN-2)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError
from refcodec.formats import IntFormat
from refcodec.kernel import parallel_kernel, prange
from refcodec.layers.division import LIMIT as DIVISION_LIMIT
from refcodec.layers.division import divide
from refcodec.layers.gdn import Affine, check_affine, reject, sample_range
from refcodec.layers.isqrt import LIMIT as RADICAND_LIMIT
from refcodec.layers.isqrt import root

MAX_ROOT_SHIFT = 31
SUM_LIMIT = 1 << 63


class Spread(NamedTuple):
    """How the standard deviation of a sample's channels is made (SPEC LN-1).

    epsilon  1 or more, added to C**2 times the variance;  shift  0..31, of the root's radicand.
    """

    epsilon: int
    shift: int

    def largest(self, channels: int, span: int) -> int:
        """The largest radicand where no two values are further than `span` apart (SPEC LN-2).

        C * sum(x**2) - sum(x)**2 is the sum of (x[i] - x[j])**2 over all pairs. It is convex in every value, so it is
        largest with every value at one of the two ends, k here and C - k there: k * (C - k) * span**2.
        """
        return channels * channels // 4 * span * span + self.epsilon << self.shift


@parallel_kernel
def _layer_norm(x, scale, offset, epsilon, shift, fraction, lo, hi, out):
    count = np.int64(x.shape[0])
    for y in prange(x.shape[1]):
        total = np.zeros(x.shape[2], np.int64)
        spread = np.zeros(x.shape[2], np.int64)
        for c in range(count):
            for i in range(x.shape[2]):
                v = np.int64(x[c, y, i])
                total[i] += v
                spread[i] += v * v
        for i in range(x.shape[2]):
            # SPEC LN-2: count * squares < 2**63, and so is total**2, which is not larger; the radicand is below 2**62
            spread[i] = root((count * spread[i] - total[i] * total[i] + epsilon) << shift)
        for c in range(count):
            for i in range(x.shape[2]):
                # SPEC LN-2: 2 * |numerator| + denominator < 2**63
                numerator = (count * np.int64(x[c, y, i]) - total[i]) * scale[c] + offset[c] * spread[i]
                out[c, y, i] = min(max(divide(numerator, spread[i] << fraction), lo), hi)


def check_spread(spread: Spread) -> None:
    """Raise RangeError unless epsilon and shift are legal (SPEC LN-2)."""
    if spread.epsilon < 1:
        raise RangeError(f"epsilon must be 1 or more, got {spread.epsilon}")
    if not 0 <= spread.shift <= MAX_ROOT_SHIFT:
        raise RangeError(f"root shift must be 0..{MAX_ROOT_SHIFT}, got {spread.shift}")


def layer_norm_fault(lo: int, hi: int, spread: Spread, affine: Affine) -> str | None:
    """What is wrong with the widths of the normalisation of samples of lo .. hi, if anything (SPEC LN-2)."""
    channels, span = len(affine.scale), hi - lo
    squares = (channels * max(-lo, hi)) ** 2
    if squares >= SUM_LIMIT:
        return f"the sum of squares times {channels} channels may reach {squares}, beyond 63 bits"
    radicand = spread.largest(channels, span)
    if radicand >= RADICAND_LIMIT:
        return f"the radicand may reach {radicand}, beyond 62 bits"
    divisor = fixed.isqrt(radicand)
    # C * x - sum(x) is the sum of C - 1 differences
    pairs = zip(affine.scale.tolist(), affine.offset.tolist(), strict=True)
    numerator = max((channels - 1) * span * abs(s) + divisor * abs(o) for s, o in pairs)
    denominator = divisor << affine.fraction  # below 2**47, so its double needs no check
    if 2 * numerator + denominator >= DIVISION_LIMIT:
        return f"numerators up to {numerator} over denominators up to {denominator} leave 64 bits"
    return None


def _check(x: np.ndarray, spread: Spread, affine: Affine) -> None:
    lo, hi = sample_range(x)
    check_spread(spread)
    check_affine(affine, x.shape[0])
    reject(layer_norm_fault(lo, hi, spread, affine))


def layer_norm(x: np.ndarray, spread: Spread, affine: Affine, target: IntFormat) -> np.ndarray:
    """Subtract the mean of each sample's channels, divide by their spread, scale, add, round once (SPEC LN-1).

    x  (C, H, W) signed or unsigned activations of up to 16 bits, in a signed dtype;  affine  for C channels.
    Returns (C, H, W) in `target` LSBs and of its dtype, saturated.  Raises ShapeError, RangeError (also where 64 bits
    are not proven enough).  Source: PyTorch LayerNorm over the channels, both sides of the fraction times C.
    """
    _check(x, spread, affine)
    out = np.empty(x.shape, target.dtype)
    constants = affine.scale.astype(np.int64), affine.offset.astype(np.int64), *spread, affine.fraction
    _layer_norm(x, *constants, target.lo, target.hi, out)
    return out


def layer_norm_plain(x: np.ndarray, spread: Spread, affine: Affine, target: IntFormat) -> np.ndarray:
    """The definition of `layer_norm` on Python integers, which cannot wrap (SPEC LN-1)."""
    _check(x, spread, affine)
    constants = affine.scale.tolist(), affine.offset.tolist(), *spread, affine.fraction, target.lo, target.hi
    columns = [fixed.layer_norm(column, *constants) for column in x.reshape(x.shape[0], -1).T.tolist()]
    return np.array(columns, target.dtype).T.reshape(x.shape)
