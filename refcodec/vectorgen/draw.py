"""Values for cases: drawn from counters, or put in order (SPEC VEC-2)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.formats import IntFormat


def draw_between(seed: int, shape: tuple[int, ...], lo: int, hi: int) -> np.ndarray:
    """Values of lo .. hi, both below 2**62 in magnitude, int64, from the sequence `seed`."""
    span = hi - lo + 1
    words = [
        fixed.counter_random(seed, 2 * n) << 32 | fixed.counter_random(seed, 2 * n + 1)
        for n in range(int(np.prod(shape)))
    ]
    return np.array([lo + word % span for word in words], np.int64).reshape(shape)


def draw(seed: int, shape: tuple[int, ...], fmt: IntFormat) -> np.ndarray:
    """Values of a format, int64, from the sequence `seed`."""
    return draw_between(seed, shape, fmt.lo, fmt.hi)


def draw_with_ends(seed: int, shape: tuple[int, ...], fmt: IntFormat) -> np.ndarray:
    """The same, but the first two are the format's largest and smallest."""
    values = draw(seed, shape, fmt)
    ends = [fmt.hi, fmt.lo][: values.size]
    values.flat[: len(ends)] = ends
    return values


def numbered(shape: tuple[int, ...], first: int) -> np.ndarray:
    """Rising integers, all different."""
    return np.arange(first, first + int(np.prod(shape))).reshape(shape)


def ramp(shape: tuple[int, ...]) -> np.ndarray:
    """Weights of 8 bits; neighbours, rows and channels differ."""
    return numbered(shape, 0) % 251 - 125


def one_hot(channels: int, height: int, width: int) -> np.ndarray:
    """A volume of zeros with a single one, in the last channel and off the diagonal."""
    x = np.zeros((channels, height, width), np.int64)
    x[-1, height // 2, (width + 1) // 2] = 1
    return x


def fill(total: int) -> int:
    """What brings a sum to the largest value of the narrowest format that holds it."""
    return (1 << total.bit_length()) - 1 - total
