"""Float32 layers of the trained networks, in NumPy: what the integer layers approximate.

Convolutions are matrix products over taps. The taps of one strip of output rows are gathered at a time, so the memory
beyond input and output does not grow with the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcodec.errors import RangeError, ShapeError

GATHER_LIMIT = 1 << 20  # float32 numbers gathered at once: 4 MiB, about a second-level cache

# CompressAI's NonNegativeParametrizer: stored p stands for max(p, bound)**2 - PEDESTAL.
PEDESTAL = np.float32(2.0**-36)
BETA_BOUND = np.float32((1e-6 + 2.0**-36) ** 0.5)
GAMMA_BOUND = np.float32(2.0**-18)


def _check_convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, inputs: int, outputs: int) -> None:
    square = weight.ndim == 4 and weight.shape[2] == weight.shape[3] and weight.shape[2] % 2 == 1
    if x.ndim != 3 or not square or x.shape[0] != weight.shape[inputs] or bias.shape != (weight.shape[outputs],):
        raise ShapeError(f"convolution of {x.shape} with weight {weight.shape} and bias {bias.shape}")


def _tap_products(
    padded: np.ndarray, kernel: np.ndarray, taps: Sequence[tuple[int, int]], stride: int, out: np.ndarray
) -> None:
    """out[o, y, x] = sum over t, c of kernel[o, t, c] * padded[c, stride*y + dy, stride*x + dx], (dy, dx) = taps[t]."""
    outputs, rows, columns = out.shape
    channels = padded.shape[0]
    matrix = np.ascontiguousarray(kernel.reshape(outputs, -1))
    strip = max(1, GATHER_LIMIT // max(1, len(taps) * channels * columns))
    for top in range(0, rows, strip):
        height = min(strip, rows - top)
        gathered = np.empty((len(taps), channels, height, columns), np.float32)
        for t, (dy, dx) in enumerate(taps):
            y = top * stride + dy
            gathered[t] = padded[:, y : y + height * stride : stride, dx : dx + columns * stride : stride]
        product = matrix @ gathered.reshape(len(taps) * channels, height * columns)
        out[:, top : top + height] = product.reshape(outputs, height, columns)


def convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    """Cross-correlation with zero padding k // 2, as torch.nn.Conv2d.

    x       (C, H, W) float32;  weight (O, C, k, k) float32, k odd;  bias (O,) float32;  stride >= 1
    Returns (O, ceil(H / stride), ceil(W / stride)) float32.  Raises ShapeError.
    """
    _check_convolution(x, weight, bias, inputs=1, outputs=0)
    outputs, channels, k, _ = weight.shape
    height, width = (-(-extent // stride) for extent in x.shape[1:])
    padded = np.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    taps = [(dy, dx) for dy in range(k) for dx in range(k)]
    kernel = weight.transpose(0, 2, 3, 1).reshape(outputs, k * k, channels)
    out = np.empty((outputs, height, width), np.float32)
    _tap_products(padded, kernel, taps, stride, out)
    out += bias[:, None, None]
    return out


def _phase_taps(phase: int, k: int, stride: int) -> list[tuple[int, int]]:
    """(kernel index, input offset) of the taps that reach outputs o with o % stride == phase.

    Output o takes input i through tap t when o = stride*i - k//2 + t; with o = stride*m + phase, i = m + offset.
    """
    reach = phase + k // 2
    return [(t, (reach - t) // stride) for t in range(k) if (reach - t) % stride == 0]


def transposed_convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    """Upsampling convolution, as torch.nn.ConvTranspose2d with padding k // 2 and output padding stride - 1.

    x       (C, H, W) float32;  weight (C, O, k, k) float32, k odd;  bias (O,) float32;  stride >= 1
    Returns (O, stride * H, stride * W) float32, computed phase by phase.  Raises ShapeError.
    """
    _check_convolution(x, weight, bias, inputs=0, outputs=1)
    channels, outputs, k, _ = weight.shape
    border = k // 2  # no tap of any phase reaches further
    padded = np.pad(x, ((0, 0), (border, border), (border, border)))
    out = np.empty((outputs, stride * x.shape[1], stride * x.shape[2]), np.float32)
    phases = [_phase_taps(phase, k, stride) for phase in range(stride)]
    for row, row_taps in enumerate(phases):
        for column, column_taps in enumerate(phases):
            taps = [(border + dy, border + dx) for _, dy in row_taps for _, dx in column_taps]
            live = weight[:, :, [ky for ky, _ in row_taps]][:, :, :, [kx for kx, _ in column_taps]]
            kernel = live.transpose(1, 2, 3, 0).reshape(outputs, len(taps), channels)
            _tap_products(padded, kernel, taps, 1, out[:, row::stride, column::stride])
    out += bias[:, None, None]
    return out


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0), of any shape and dtype."""
    return np.maximum(x, 0)


def resolve_parametrisation(stored: np.ndarray, bound: np.float32) -> np.ndarray:
    """The value CompressAI's layer uses for a stored `beta` (BETA_BOUND) or `gamma` (GAMMA_BOUND).

    stored  float32, any shape.  Returns max(stored, bound)**2 - PEDESTAL, float32 >= 0
    (CompressAI ops/parametrizers.py).
    """
    held = np.maximum(stored.astype(np.float32), bound)
    return held * held - PEDESTAL


def _norm(x: np.ndarray, beta: np.ndarray, gamma: np.ndarray, exponent: int) -> np.ndarray:
    channels = x.shape[0]
    if x.ndim != 3 or beta.shape != (channels,) or gamma.shape != (channels, channels):
        raise ShapeError(f"normalisation of {x.shape} with beta {beta.shape} and gamma {gamma.shape}")
    if exponent not in (1, 2):
        raise RangeError(f"the exponent of a normalisation is 1 or 2, got {exponent}")
    powers = np.abs(x) if exponent == 1 else x * x
    norm = (gamma @ powers.reshape(channels, -1)).reshape(x.shape)
    norm += beta[:, None, None]
    return norm if exponent == 1 else np.sqrt(norm)


def gdn(x: np.ndarray, beta: np.ndarray, gamma: np.ndarray, exponent: int) -> np.ndarray:
    """Divisive normalisation: x / n, n = beta + gamma @ |x| (exponent 1), or x / sqrt(n), n = beta + gamma @ x**2 (2).

    x       (C, H, W) float32;  beta (C,) float32 > 0;  gamma (C, C) float32 >= 0, [output, input], both resolved
    Returns (C, H, W) float32.  Raises ShapeError, RangeError.  Source: CompressAI GDN1 and GDN; Balle 2016, Eq. 3.
    """
    return x / _norm(x, beta, gamma, exponent)


def inverse_gdn(x: np.ndarray, beta: np.ndarray, gamma: np.ndarray, exponent: int) -> np.ndarray:
    """The synthesis counterpart of `gdn`: x * n (exponent 1) or x * sqrt(n) (exponent 2), n as there.

    One multiplication, not the exact inverse.  Shapes, dtypes and errors as `gdn`.
    """
    return x * _norm(x, beta, gamma, exponent)
