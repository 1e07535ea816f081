"""Linear layers, applied to the channels of every sample (SPEC LIN-1, LIN-2)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.kernel import parallel_kernel, prange
from refcodec.layers.convolution import ACCUMULATOR_LIMIT, check_operands


@parallel_kernel
def _multiply(x, weight, bias, out):
    # The caller has shown that no partial sum reaches 2**47, so the order of the sums is free (SPEC ACC-2).
    for o in prange(weight.shape[0]):
        for n in range(x.shape[0]):
            acc = np.int64(bias[o])
            for c in range(weight.shape[1]):
                acc += np.int64(x[n, c]) * np.int64(weight[o, c])
            out[o, n] = acc


def _check(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> None:
    if x.ndim != 3 or weight.ndim != 2:
        raise ShapeError(f"expected x (C, H, W) and weight (O, C), got {x.shape} and {weight.shape}")
    check_operands(x, weight[:, :, None, None], bias, 1)
    largest, heaviest = (max(-int(array.min()), int(array.max())) for array in (x, weight))
    most = max(-int(bias.min()), int(bias.max()))
    if len(x) * largest * heaviest + most < ACCUMULATOR_LIMIT:
        return
    magnitudes = np.abs(weight.astype(np.int32)).sum(axis=1, dtype=np.int64)
    bound = int((magnitudes * largest + np.abs(bias.astype(np.int64))).max())  # below C * 2**31 + 2**48: fits int64
    if bound >= ACCUMULATOR_LIMIT:
        raise RangeError(f"accumulator may reach {bound}, beyond 48 bits")


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Multiply the channels of every sample by a matrix (SPEC LIN-1).

    x  (C, H, W) signed or unsigned activations of up to 16 bits, in a signed dtype
    weight  (O, C), -2**15 .. 2**15 - 1;  bias  (O,) accumulator LSBs.
    Returns accumulators (O, H, W) int64.  Raises ShapeError, RangeError (also where 48 bits are not proven enough).
    Source: PyTorch Linear.
    """
    _check(x, weight, bias)
    narrow = np.int16 if x.dtype.itemsize <= 2 else np.int32  # 16 unsigned bits come in a wider dtype
    samples = np.ascontiguousarray(x.reshape(len(x), -1).T, narrow)
    out = np.empty((len(weight), len(samples)), np.int64)
    _multiply(samples, np.ascontiguousarray(weight, np.int16), bias.astype(np.int64), out)
    return out.reshape(len(weight), *x.shape[1:])


def linear_plain(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The definition of `linear` on Python integers (SPEC LIN-1)."""
    _check(x, weight, bias)
    rows, biases = weight.tolist(), bias.tolist()
    samples = [fixed.linear(sample, rows, biases) for sample in x.reshape(len(x), -1).T.tolist()]
    return np.array(samples, np.int64).T.reshape(len(weight), *x.shape[1:])
