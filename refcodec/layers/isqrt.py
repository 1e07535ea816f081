"""Integer square root (SPEC ISQRT-1)."""

from __future__ import annotations

import numpy as np

from refcodec.errors import RangeError
from refcodec.fixed import isqrt as isqrt_scalar
from refcodec.kernel import kernel

LIMIT = 1 << 62

# Entry j is 2**24 / sqrt(j / 64), floored, for j of 64 .. 256. Of those below only the value 0 reads any.
RECIPROCAL_ROOTS = np.array([0] * 64 + [isqrt_scalar((1 << 54) // j) for j in range(64, 257)], np.int64)


@kernel
def root(value):
    # An even shift brings a value above 0 to 2**60 <= m < 2**62; floor(sqrt(m)) >> half is its root again.
    m = np.int64(value)
    half = np.int64(0)
    for step in (16, 8, 4, 2, 1):
        if m < np.int64(1) << (62 - 2 * step):
            m <<= 2 * step
            half += step
    # A line between two entries gives r = (1 + d) * 2**54 / q, where q = sqrt(m); r <= 2**24.
    j = m >> 54
    r = RECIPROCAL_ROOTS[j]
    r -= ((r - RECIPROCAL_ROOTS[j + 1]) * ((m >> 38) & 0xFFFF)) >> 16
    # s = q * (1 + d) - e with 0 <= e < 1 + 2**-6. Then one step of Newton's method, s + (m - s**2) * r / 2**55
    # = q * (1 - 3/2 * d**2 - d**3 / 2) + e * (2 * d + d**2) - e**2 * (1 + d) / (2 * q).
    s = ((m >> 24) * r) >> 30
    # For every r that the table gives, |d| < 2**-15 and q * (3/2 * d**2 + |d|**3 / 2) < 0.9 (a test visits them all).
    # Less 2**-8 from the constant and less than 2**-20 from the cut 10 bits, the step ends in q - 0.91 .. q, so its
    # floor is that of q or one less. |m - s**2| < 2**48, so the product fits int64; so does (s + 1)**2 <= 2**62.
    s += (((m - s * s) >> 10) * r - (1 << 37)) >> 45
    if (s + 1) * (s + 1) <= m:
        s += 1
    return s >> half


@kernel
def _isqrt(value, out):
    for n in range(value.size):
        out[n] = root(value[n])


def check_radicand(value: np.ndarray) -> None:
    """Raise RangeError unless every value has a root that the definition finds (SPEC ISQRT-1)."""
    if value.dtype.kind != "i":
        raise RangeError(f"radicand: expected signed integers, got {value.dtype}")
    if value.size and (int(value.min()) < 0 or int(value.max()) >= LIMIT):
        raise RangeError(f"radicand must be 0..2**62 - 1, got {value.min()}..{value.max()}")


def isqrt(value: np.ndarray) -> np.ndarray:
    """Floor of the square root (SPEC ISQRT-1).

    value  signed integers of any shape, 0 .. 2**62 - 1.
    Returns int64 of that shape, 0 .. 2**31 - 1.  Raises RangeError.
    Source: reciprocal root from a table and one step of Newton's method, in integers.
    """
    check_radicand(value)
    out = np.empty(value.shape, np.int64)
    _isqrt(value.astype(np.int64, copy=False).ravel(), out.reshape(-1))
    return out


def isqrt_plain(value: np.ndarray) -> np.ndarray:
    """The definition of `isqrt` on Python integers, bit by bit (SPEC ISQRT-1)."""
    check_radicand(value)
    return np.array([isqrt_scalar(v) for v in value.ravel().tolist()], np.int64).reshape(value.shape)
