"""Integer division with one rounding (SPEC DIV-1, DIV-2)."""

from __future__ import annotations

import numpy as np

from refcodec.errors import RangeError, ShapeError
from refcodec.fixed import rounding_division as rounding_division_scalar
from refcodec.kernel import kernel

LIMIT = 1 << 63  # 2 * |numerator| + denominator and 2 * denominator stay below it (SPEC DIV-2)


@kernel
def divide(numerator, denominator):
    # SPEC DIV-2 holds, so neither the sum nor the doubled denominator leaves int64. A machine divides fastest without
    # signs, and for a < 0 the floor of a / b is -1 - (-1 - a) // b: flip all bits before and after.
    doubled = 2 * np.int64(numerator) + np.int64(denominator)
    flip = doubled >> 63
    return np.int64(np.uint64(doubled ^ flip) // np.uint64(2 * np.int64(denominator))) ^ flip


@kernel
def _rounding_division(numerator, denominator, out):
    for n in range(numerator.size):
        out[n] = divide(numerator[n], denominator[n])


def check_division(numerator: np.ndarray, denominator: np.ndarray) -> None:
    """Raise ShapeError or RangeError unless every pair is in the domain of the division (SPEC DIV-2)."""
    if numerator.shape != denominator.shape:
        raise ShapeError(f"numerator {numerator.shape} and denominator {denominator.shape} differ in shape")
    for name, array in (("numerator", numerator), ("denominator", denominator)):
        if array.dtype.kind != "i":
            raise RangeError(f"{name}: expected signed integers, got {array.dtype}")
    if not numerator.size:
        return
    smallest, largest = int(denominator.min()), int(denominator.max())
    if smallest < 1 or 2 * largest >= LIMIT:
        raise RangeError(f"denominator must be 1..2**62 - 1, got {smallest}..{largest}")
    magnitude = max(-int(numerator.min()), int(numerator.max()))
    if 2 * magnitude + largest < LIMIT:
        return
    room = (LIMIT - 1 - denominator.astype(np.int64)) >> 1
    if ((numerator > room) | (numerator < -room)).any():
        raise RangeError(f"2 * |numerator| + denominator must stay below 2**63, got numerators up to {magnitude}")


def rounding_division(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Divide and round once, halves towards +infinity (SPEC DIV-1).

    numerator, denominator  signed integers of one shape;  denominators 1 or more, 2 * |numerator| + denominator and
    2 * denominator below 2**63, as |numerator| < 2**61 and denominator <= 2**61 ensure.
    Returns int64 of that shape.  Raises ShapeError, RangeError.
    """
    check_division(numerator, denominator)
    out = np.empty(numerator.shape, np.int64)
    above, below = (array.astype(np.int64, copy=False).ravel() for array in (numerator, denominator))
    _rounding_division(above, below, out.reshape(-1))
    return out


def rounding_division_plain(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The definition of `rounding_division` on Python integers, which cannot wrap (SPEC DIV-1)."""
    check_division(numerator, denominator)
    pairs = zip(numerator.ravel().tolist(), denominator.ravel().tolist(), strict=True)
    return np.array([rounding_division_scalar(n, d) for n, d in pairs], np.int64).reshape(numerator.shape)
