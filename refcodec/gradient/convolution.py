"""Convolutions that autograd can differentiate as often as it likes.

All arrays are (channel, frame, row, column), float32 or float64. A convolution is linear in its input and in its
weights, so three functions are closed under differentiation: the derivatives of each are two of the others.

    convolution(x, w)   out[o] = sum over c, tap of w[o, c, tap] * x[c] at the tap, zeros outside
    spread(g, w)        its adjoint in x
    weigh(x, g, kernel) its adjoint in w
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from autograd.extend import defvjp, primitive

from refcodec.kernel import kernel, parallel_kernel, prange

GATHER_LIMIT = 1 << 19  # numbers gathered at once, about a second-level cache


@parallel_kernel
def _gather(x, top, taps, out):
    # out[c, ky, kx, n, y, i] = x[c, n, top + y + ky - taps // 2, i + kx - taps // 2]
    height, width, half = x.shape[2], x.shape[3], taps // 2
    for c in prange(x.shape[0]):
        for ky in range(taps):
            for kx in range(taps):
                first = max(0, half - kx)
                last = min(width, width + half - kx)
                for n in range(x.shape[1]):
                    for y in range(out.shape[4]):
                        row = top + y + ky - half
                        if 0 <= row < height:
                            for i in range(first):
                                out[c, ky, kx, n, y, i] = 0
                            for i in range(first, last):
                                out[c, ky, kx, n, y, i] = x[c, n, row, i + kx - half]
                            for i in range(last, width):
                                out[c, ky, kx, n, y, i] = 0
                        else:
                            for i in range(width):
                                out[c, ky, kx, n, y, i] = 0


@parallel_kernel
def _scatter(columns, top, taps, out):
    # the adjoint of _gather, added to `out`
    height, width, half = out.shape[2], out.shape[3], taps // 2
    for c in prange(out.shape[0]):
        for ky in range(taps):
            for kx in range(taps):
                first = max(0, half - kx)
                last = min(width, width + half - kx)
                for n in range(out.shape[1]):
                    for y in range(columns.shape[4]):
                        row = top + y + ky - half
                        if 0 <= row < height:
                            for i in range(first, last):
                                out[c, n, row, i + kx - half] += columns[c, ky, kx, n, y, i]


def _strips(channels: int, taps: int, shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows to gather at a time, of frames (N, H, W)."""
    frames, height, width = shape
    rows = max(1, GATHER_LIMIT // (channels * taps * taps * frames * width))
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def _gathered(x: np.ndarray, rows: slice, taps: int) -> np.ndarray:
    """The taps of some output rows, (C * K * K, N * rows * W)."""
    channels, frames, _, width = x.shape
    if taps == 1:
        return np.ascontiguousarray(x[:, :, rows]).reshape(channels, -1)
    out = np.empty((channels, taps, taps, frames, rows.stop - rows.start, width), x.dtype)
    _gather(x, rows.start, taps, out)
    return out.reshape(channels * taps * taps, -1)


@primitive
def convolution(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Cross-correlation of stride 1 and zero padding K // 2.

    x  (C, N, H, W);  weight  (O, C, K, K), K odd.  Returns (O, N, H, W).
    """
    outputs, channels, taps, _ = weight.shape
    frames, height, width = x.shape[1:]
    matrix = weight.reshape(outputs, -1)
    out = np.empty((outputs, frames, height, width), x.dtype)
    for rows in _strips(channels, taps, x.shape[1:]):
        out[:, :, rows] = (matrix @ _gathered(x, rows, taps)).reshape(outputs, frames, -1, width)
    return out


@primitive
def spread(gradient: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The adjoint of `convolution` in its input.

    gradient  (O, N, H, W);  weight  (O, C, K, K).  Returns (C, N, H, W).
    """
    outputs, channels, taps, _ = weight.shape
    frames, height, width = gradient.shape[1:]
    matrix = weight.reshape(outputs, -1).T
    if taps == 1:
        return (matrix @ gradient.reshape(outputs, -1)).reshape(channels, frames, height, width)
    out = np.zeros((channels, frames, height, width), gradient.dtype)
    for rows in _strips(channels, taps, gradient.shape[1:]):
        columns = matrix @ np.ascontiguousarray(gradient[:, :, rows]).reshape(outputs, -1)
        _scatter(columns.reshape(channels, taps, taps, frames, -1, width), rows.start, taps, out)
    return out


@primitive
def weigh(x: np.ndarray, gradient: np.ndarray, taps: int) -> np.ndarray:
    """The adjoint of `convolution` in its weights.

    x  (C, N, H, W);  gradient  (O, N, H, W);  taps  K.  Returns (O, C, K, K).
    """
    channels, outputs = x.shape[0], gradient.shape[0]
    out = np.zeros((outputs, channels * taps * taps), x.dtype)
    for rows in _strips(channels, taps, x.shape[1:]):
        out += np.ascontiguousarray(gradient[:, :, rows]).reshape(outputs, -1) @ _gathered(x, rows, taps).T
    return out.reshape(outputs, channels, taps, taps)


defvjp(
    convolution,
    lambda ans, x, weight: lambda g: spread(g, weight),
    lambda ans, x, weight: lambda g: weigh(x, g, weight.shape[2]),
)
defvjp(
    spread,
    lambda ans, gradient, weight: lambda g: convolution(g, weight),
    lambda ans, gradient, weight: lambda g: weigh(g, gradient, weight.shape[2]),
)
defvjp(
    weigh,
    lambda ans, x, gradient, taps: lambda g: spread(gradient, g),
    lambda ans, x, gradient, taps: lambda g: convolution(x, g),
    argnums=(0, 1),
)


# --- a kernel of its own for each channel


@parallel_kernel
def _depthwise(x, weight, out):
    height, width, taps = x.shape[2], x.shape[3], weight.shape[1]
    half = taps // 2
    for c in prange(x.shape[0]):
        for n in range(x.shape[1]):
            for y in range(height):
                for i in range(width):
                    out[c, n, y, i] = 0
                for ky in range(max(0, half - y), min(taps, height + half - y)):
                    for kx in range(taps):
                        w = weight[c, ky, kx]
                        for i in range(max(0, half - kx), min(width, width + half - kx)):
                            out[c, n, y, i] += w * x[c, n, y + ky - half, i + kx - half]


@kernel
def _product(x, gradient, c, dy, dx):
    # sum of gradient[c] * x[c] moved by (dy, dx)
    height, width = x.shape[2], x.shape[3]
    total = 0.0
    for n in range(x.shape[1]):
        for y in range(max(0, -dy), min(height, height - dy)):
            row = x.dtype.type(0)
            for i in range(max(0, -dx), min(width, width - dx)):
                row += gradient[c, n, y, i] * x[c, n, y + dy, i + dx]
            total += row
    return total


@parallel_kernel
def _depthwise_weigh(x, gradient, out):
    taps = out.shape[1]
    for c in prange(x.shape[0]):
        for ky in range(taps):
            for kx in range(taps):
                out[c, ky, kx] = _product(x, gradient, c, ky - taps // 2, kx - taps // 2)


@primitive
def depthwise(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Cross-correlation of each channel with a kernel of its own, zero padding K // 2.

    x  (C, N, H, W);  weight  (C, K, K), K odd.  Returns (C, N, H, W).
    """
    out = np.empty_like(x)
    _depthwise(x, weight, out)
    return out


@primitive
def depthwise_weigh(x: np.ndarray, gradient: np.ndarray, taps: int) -> np.ndarray:
    """The adjoint of `depthwise` in its weights.  Returns (C, K, K)."""
    out = np.empty((x.shape[0], taps, taps), x.dtype)
    _depthwise_weigh(x, gradient, out)
    return out


# The adjoint in the input is the same function with the kernel turned.
defvjp(
    depthwise,
    lambda ans, x, weight: lambda g: depthwise(g, weight[:, ::-1, ::-1]),
    lambda ans, x, weight: lambda g: depthwise_weigh(x, g, weight.shape[1]),
)
defvjp(
    depthwise_weigh,
    lambda ans, x, gradient, taps: lambda g: depthwise(gradient, g[:, ::-1, ::-1]),
    lambda ans, x, gradient, taps: lambda g: depthwise(x, g),
    argnums=(0, 1),
)
