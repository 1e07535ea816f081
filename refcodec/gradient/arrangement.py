"""Moves of samples that autograd can differentiate as often as it likes: each pair are adjoints of one another.

All arrays are (channel, frame, row, column); what is returned is contiguous.
"""

from __future__ import annotations

import numpy as np
from autograd.extend import defvjp, primitive

from refcodec.kernel import parallel_kernel, prange


@parallel_kernel
def _shuffle(x, rows, columns, out):
    for c in prange(out.shape[0]):
        for n in range(x.shape[1]):
            for y in range(x.shape[2]):
                for r in range(rows):
                    for q in range(columns):
                        source = x[(c * rows + r) * columns + q, n, y]
                        into = out[c, n, y * rows + r, q::columns]
                        for i in range(source.size):
                            into[i] = source[i]


@parallel_kernel
def _unshuffle(x, rows, columns, out):
    for c in prange(x.shape[0]):
        for n in range(out.shape[1]):
            for y in range(out.shape[2]):
                for r in range(rows):
                    for q in range(columns):
                        source = x[c, n, y * rows + r, q::columns]
                        into = out[(c * rows + r) * columns + q, n, y]
                        for i in range(into.size):
                            into[i] = source[i]


@primitive
def shuffle(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Groups of rows * columns channels become blocks of samples.

    x  (C * rows * columns, N, H, W).  Returns (C, N, H * rows, W * columns).
    """
    channels, frames, height, width = x.shape
    out = np.empty((channels // (rows * columns), frames, height * rows, width * columns), x.dtype)
    _shuffle(np.ascontiguousarray(x), rows, columns, out)
    return out


@primitive
def unshuffle(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Blocks of samples become groups of rows * columns channels.

    x  (C, N, H * rows, W * columns).  Returns (C * rows * columns, N, H, W).
    """
    channels, frames, height, width = x.shape
    out = np.empty((channels * rows * columns, frames, height // rows, width // columns), x.dtype)
    _unshuffle(np.ascontiguousarray(x), rows, columns, out)
    return out


defvjp(shuffle, lambda ans, x, rows, columns: lambda g: unshuffle(g, rows, columns))
defvjp(unshuffle, lambda ans, x, rows, columns: lambda g: shuffle(g, rows, columns))


@primitive
def crop(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """The top left part, (C, N, height, width)."""
    return np.ascontiguousarray(x[:, :, :height, :width])


@primitive
def pad(x: np.ndarray, height: int, width: int) -> np.ndarray:
    """Zeros below and to the right, up to (C, N, height, width)."""
    out = np.zeros((*x.shape[:2], height, width), x.dtype)
    out[:, :, : x.shape[2], : x.shape[3]] = x
    return out


# autograd's own derivative of a slice adds sample by sample
defvjp(crop, lambda ans, x, height, width: lambda g: pad(g, *x.shape[2:]))
defvjp(pad, lambda ans, x, height, width: lambda g: crop(g, *x.shape[2:]))
