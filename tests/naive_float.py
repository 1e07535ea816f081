"""The layers of trained networks as loops in float64 (PyTorch's definitions); imports nothing of ours."""

from __future__ import annotations

from itertools import product

import numpy as np


def naive_convolution(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int | None = None
) -> np.ndarray:
    """torch.nn.Conv2d: weight (O, C, k, k); padding k // 2 unless told."""
    outputs, channels, k, _ = weight.shape
    _, height, width = x.shape
    pad = k // 2 if padding is None else padding
    rows, columns = (height + 2 * pad - k) // stride + 1, (width + 2 * pad - k) // stride + 1
    out = np.zeros((outputs, rows, columns))
    for o, y, c in product(range(outputs), range(rows), range(columns)):
        total = float(bias[o])
        for i, ky, kx in product(range(channels), range(k), range(k)):
            iy, ix = y * stride + ky - pad, c * stride + kx - pad
            if 0 <= iy < height and 0 <= ix < width:
                total += float(x[i, iy, ix]) * float(weight[o, i, ky, kx])
        out[o, y, c] = total
    return out


def naive_transposed(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int) -> np.ndarray:
    """torch.nn.ConvTranspose2d, weight (C, O, k, k): every input scatters its taps; nothing of phases."""
    channels, outputs, k, _ = weight.shape
    _, height, width = x.shape
    out = np.zeros((outputs, height * stride, width * stride))
    for o in range(outputs):
        out[o] = bias[o]
    for i, y, c in product(range(channels), range(height), range(width)):
        for ky, kx in product(range(k), range(k)):
            oy, ox = y * stride + ky - k // 2, c * stride + kx - k // 2
            if 0 <= oy < out.shape[1] and 0 <= ox < out.shape[2]:
                for o in range(outputs):
                    out[o, oy, ox] += float(x[i, y, c]) * float(weight[i, o, ky, kx])
    return out


def naive_masked(weight: np.ndarray, mask: str) -> np.ndarray:
    """Weights (O, C, k, k) without the taps that a context model may not see.

    causal  rows above, and what is left in the middle row;  checkerboard  an odd distance, rows and columns added.
    """
    out, middle = weight.copy(), weight.shape[2] // 2
    for ky, kx in product(range(weight.shape[2]), repeat=2):
        before = ky < middle or (ky == middle and kx < middle)
        if not (before if mask == "causal" else (ky + kx - 2 * middle) % 2):
            out[:, :, ky, kx] = 0
    return out


def naive_norm(x: np.ndarray, beta: np.ndarray, gamma: np.ndarray, exponent: int) -> np.ndarray:
    """What GDN divides by."""
    out = np.zeros(x.shape)
    for i, y, c in product(*map(range, x.shape)):
        total = float(beta[i])
        for j in range(x.shape[0]):
            total += float(gamma[i, j]) * abs(float(x[j, y, c])) ** exponent
        out[i, y, c] = total if exponent == 1 else total**0.5
    return out


def naive_resolved(stored: np.ndarray, minimum: float) -> np.ndarray:
    """CompressAI: bound = sqrt(minimum + pedestal); max(p, bound)**2 - pedestal."""
    pedestal = 2.0**-36
    return np.array([max(float(p), (minimum + pedestal) ** 0.5) ** 2 - pedestal for p in stored.flat]).reshape(
        stored.shape
    )


def naive_leaky(x: np.ndarray) -> np.ndarray:
    """torch.nn.LeakyReLU with its own slope."""
    return np.array([v if v > 0 else 0.01 * v for v in x.ravel().tolist()]).reshape(x.shape)


def naive_shuffle(x: np.ndarray, factor: int) -> np.ndarray:
    """torch.nn.PixelShuffle."""
    channels, height, width = x.shape
    out = np.zeros((channels // factor**2, height * factor, width * factor))
    for c, y, i in product(*map(range, out.shape)):
        out[c, y, i] = x[c * factor**2 + y % factor * factor + i % factor, y // factor, i // factor]
    return out
