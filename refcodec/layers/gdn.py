"""Divisive normalisation, generalised divisive normalisation (GDN) and its inverse (SPEC GDN-1 to GDN-5)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.kernel import parallel_kernel, prange
from refcodec.layers.division import divide
from refcodec.layers.isqrt import root
from refcodec.layers.requantise import check_scales

MAX_NORM = IntFormat(48, True)
MAX_FRACTION = 16
MAX_ROOT_SHIFT = 16
LIMIT = 1 << 61  # numerators below this, and shifted norms below twice this, keep every step within 64 bits


class Norm(NamedTuple):
    """How the divisor of every channel is made (SPEC GDN-1, GDN-2).

    gamma  (C, C) integers, 0 or more, output channel first;  beta  (C,) integers, 1 or more
    squared  root of a sum of squares, else sum of magnitudes;  shift  0..16 of the root's radicand, 0..47 of the sum.
    """

    gamma: np.ndarray
    beta: np.ndarray
    squared: bool
    shift: int


@parallel_kernel
def _divisors(x, gamma, beta, squared, shift, out):
    for y in prange(x.shape[1]):
        for i in range(x.shape[2]):
            for o in range(gamma.shape[0]):
                norm = beta[o]
                for c in range(x.shape[0]):
                    v = np.int64(x[c, y, i])
                    norm += gamma[o, c] * (v * v if squared else abs(v))
                if squared:
                    out[o, y, i] = root(norm << shift)
                else:
                    out[o, y, i] = (norm + (np.int64(1) << shift >> 1)) >> shift
