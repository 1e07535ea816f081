"""Convolutions that autograd can differentiate as often as it likes.

All arrays are (channel, frame, row, column), float32 or float64. A convolution is linear in its input and in its
weights, so three functions are closed under differentiation: the derivatives of each are two of the others.

    convolution(x, w)   out[o] = sum over c, tap of w[o, c, tap] * x[c] at the tap, zeros outside
    spread(g, w)        its adjoint in x, which is a convolution by turned weights
    weigh(x, g, kernel) its adjoint in w

Each is a matrix product on the taps of one tensor, gathered before it or scattered after it: always those of the
tensor of fewer channels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from autograd.extend import defvjp, primitive

from refcodec.kernel import kernel, parallel_kernel, prange

GATHER_LIMIT = 1 << 18  # numbers gathered at once: a part of a second-level cache, which holds what they become too


@kernel
def _overlap(move, width):
    # the columns i for which i + move is a column too
    first = min(max(0, -move), width)
    return first, max(min(width, width - move), first)


@parallel_kernel
def _gather(x, begin, taps, out):
    # out[c, ky, kx, y, i] = x[c, n, row + ky - taps // 2, i + kx - taps // 2] for row `row` of frame n, which is row
    # begin + y of all frames
    height, width, half = x.shape[2], x.shape[3], taps // 2
    for c in prange(x.shape[0]):
        for ky in range(taps):
            for kx in range(taps):
                first, last = _overlap(kx - half, width)
                for y in range(out.shape[3]):
                    frame, row = divmod(begin + y, height)
                    row += ky - half
                    into = out[c, ky, kx, y]
                    if 0 <= row < height:
                        into[:first] = 0
                        into[first:last] = x[c, frame, row, first + kx - half : last + kx - half]
                        into[last:] = 0
                    else:
                        into[:] = 0


@parallel_kernel
def _scatter(columns, begin, taps, out):
    # the adjoint of _gather, added to `out`
    height, width, half = out.shape[2], out.shape[3], taps // 2
    for c in prange(out.shape[0]):
        for ky in range(taps):
            for kx in range(taps):
                first, last = _overlap(kx - half, width)
                for y in range(columns.shape[3]):
                    frame, row = divmod(begin + y, height)
                    row += ky - half
                    if 0 <= row < height:
                        into = out[c, frame, row, first + kx - half : last + kx - half]
                        source = columns[c, ky, kx, y, first:last]
                        for i in range(last - first):
                            into[i] += source[i]


def _strips(channels: int, taps: int, shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows to gather at a time, counted through all frames (N, H, W)."""
    frames, height, width = shape
    total = frames * height
    rows = max(1, GATHER_LIMIT // (channels * taps * taps * width)) if taps > 1 else total
    return (slice(top, min(top + rows, total)) for top in range(0, total, rows))


def _gathered(x: np.ndarray, rows: slice, taps: int) -> np.ndarray:
    """The taps of some rows of all frames, (C * K * K, rows * W)."""
    channels, _, _, width = x.shape
    if taps == 1:
        return x.reshape(channels, -1)
    out = np.empty((channels, taps, taps, rows.stop - rows.start, width), x.dtype)
    _gather(x, rows.start, taps, out)
    return out.reshape(channels * taps * taps, -1)


def _columns(x: np.ndarray, rows: slice) -> np.ndarray:
    """Some rows of all frames, (C, rows * W)."""
    width = x.shape[3]
    return x.reshape(len(x), -1)[:, rows.start * width : rows.stop * width]


def _turned(weight: np.ndarray) -> np.ndarray:
    """The weights (C, O, K, K) of the adjoint of a convolution."""
    return weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3)


def _gathering(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """A convolution: taps of the input are gathered, then multiplied."""
    outputs, channels, taps, _ = weight.shape
    matrix = np.ascontiguousarray(weight).reshape(outputs, -1)
    out = np.empty((outputs, *x.shape[1:]), x.dtype)
    for rows in _strips(channels, taps, x.shape[1:]):
        np.matmul(matrix, _gathered(x, rows, taps), out=_columns(out, rows))
    return out


def _scattering(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The adjoint in its input of a convolution (O, C, K, K): products are scattered to the taps of the output."""
    outputs, channels, taps, _ = weight.shape
    matrix = np.ascontiguousarray(weight).reshape(outputs, -1).T
    if taps == 1:
        return (matrix @ x.reshape(outputs, -1)).reshape(channels, *x.shape[1:])
    out = np.zeros((channels, *x.shape[1:]), x.dtype)
    for rows in _strips(channels, taps, x.shape[1:]):
        columns = matrix @ _columns(x, rows)
        _scatter(columns.reshape(channels, taps, taps, -1, x.shape[3]), rows.start, taps, out)
    return out


@primitive
def convolution(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Cross-correlation of stride 1 and zero padding K // 2.

    x  (C, N, H, W);  weight  (O, C, K, K), K odd.  Returns (O, N, H, W).
    """
    x = np.ascontiguousarray(x)
    return _gathering(x, weight) if weight.shape[1] <= weight.shape[0] else _scattering(x, _turned(weight))


@primitive
def spread(gradient: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The adjoint of `convolution` in its input.

    gradient  (O, N, H, W);  weight  (O, C, K, K).  Returns (C, N, H, W).
    """
    gradient = np.ascontiguousarray(gradient)
    fewer_inputs = weight.shape[1] <= weight.shape[0]
    return _scattering(gradient, weight) if fewer_inputs else _gathering(gradient, _turned(weight))


@primitive
def weigh(x: np.ndarray, gradient: np.ndarray, taps: int) -> np.ndarray:
    """The adjoint of `convolution` in its weights.

    x  (C, N, H, W);  gradient  (O, N, H, W);  taps  K.  Returns (O, C, K, K).
    """
    x, gradient = np.ascontiguousarray(x), np.ascontiguousarray(gradient)
    return _weighed(x, gradient, taps) if len(x) <= len(gradient) else _turned(_weighed(gradient, x, taps))


def _weighed(x: np.ndarray, gradient: np.ndarray, taps: int) -> np.ndarray:
    channels, outputs = len(x), len(gradient)
    out = np.zeros((outputs, channels * taps * taps), x.dtype)
    for rows in _strips(channels, taps, x.shape[1:]):
        out += _columns(gradient, rows) @ _gathered(x, rows, taps).T
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
                out[c, n, y] = 0
                for ky in range(max(0, half - y), min(taps, height + half - y)):
                    for kx in range(taps):
                        first, last = _overlap(kx - half, width)
                        factor = weight[c, ky, kx]
                        source = x[c, n, y + ky - half, first + kx - half : last + kx - half]
                        into = out[c, n, y, first:last]
                        for i in range(last - first):
                            into[i] += factor * source[i]


@parallel_kernel
def _depthwise_weigh(x, gradient, out):
    height, width, taps = x.shape[2], x.shape[3], out.shape[1]
    half = taps // 2
    for c in prange(x.shape[0]):
        columns = np.empty(width, x.dtype)  # sums of the products of each column
        for ky in range(taps):
            for kx in range(taps):
                first, last = _overlap(kx - half, width)
                columns[:] = 0
                into = columns[first:last]
                for n in range(x.shape[1]):
                    for y in range(max(0, half - ky), min(height, height + half - ky)):
                        source = x[c, n, y + ky - half, first + kx - half : last + kx - half]
                        factors = gradient[c, n, y, first:last]
                        for i in range(last - first):
                            into[i] += factors[i] * source[i]
                total = 0.0
                for i in range(width):
                    total += columns[i]
                out[c, ky, kx] = total


@primitive
def depthwise(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Cross-correlation of each channel with a kernel of its own, zero padding K // 2.

    x  (C, N, H, W);  weight  (C, K, K), K odd.  Returns (C, N, H, W).
    """
    x = np.ascontiguousarray(x)
    out = np.empty_like(x)
    _depthwise(x, np.ascontiguousarray(weight), out)
    return out


@primitive
def depthwise_weigh(x: np.ndarray, gradient: np.ndarray, taps: int) -> np.ndarray:
    """The adjoint of `depthwise` in its weights.  Returns (C, K, K)."""
    out = np.empty((x.shape[0], taps, taps), x.dtype)
    _depthwise_weigh(np.ascontiguousarray(x), np.ascontiguousarray(gradient), out)
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
