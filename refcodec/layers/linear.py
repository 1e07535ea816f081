"""Linear layers, applied to the channels of every sample (SPEC LIN-1, LIN-2)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import ShapeError
from refcodec.kernel import parallel_kernel, prange
from refcodec.layers.convolution import ACCUMULATOR_LIMIT, Pass, check_operands, fits

WHOLE = Pass(range(1), range(1), 0, 0, 0, 0)  # a kernel of one tap

FEW = 16  # samples that are too few to be added side by side
RUN = 1024  # samples whose sums stay in the nearest cache
INPUTS = 4  # channels that are added to them at once


@parallel_kernel
def _multiply(x, weight, bias, out):
    # The caller has shown that no partial sum reaches 2**47, so the order of the sums is free (SPEC ACC-2).
    for o in prange(weight.shape[0]):
        for n in range(x.shape[0]):
            acc = np.int64(bias[o])
            for c in range(weight.shape[1]):
                acc += np.int64(x[n, c]) * np.int64(weight[o, c])
            out[o, n] = acc


@parallel_kernel
def _multiply_runs(x, weight, bias, out):
    # The caller has shown that no partial sum leaves out.dtype, so the order of the sums is free (SPEC ACC-2). Sums of
    # neighbouring samples fill a vector, so that none is summed across.
    cast = out.dtype.type
    outputs = weight.shape[0]
    runs = (x.shape[1] + RUN - 1) // RUN
    for task in prange(runs * outputs):
        o, start = task % outputs, task // outputs * RUN
        stop = min(start + RUN, x.shape[1])
        sums = out[o, start:stop]
        sums[:] = cast(bias[o])
        for c in range(0, weight.shape[1], INPUTS):
            w0, w1, w2, w3 = cast(weight[o, c]), cast(weight[o, c + 1]), cast(weight[o, c + 2]), cast(weight[o, c + 3])
            x0, x1, x2, x3 = x[c, start:stop], x[c + 1, start:stop], x[c + 2, start:stop], x[c + 3, start:stop]
            for n in range(sums.size):
                near = cast(cast(cast(x0[n]) * w0) + cast(cast(x1[n]) * w1))
                far = cast(cast(cast(x2[n]) * w2) + cast(cast(x3[n]) * w3))
                sums[n] = cast(sums[n] + cast(near + far))


def _check(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> None:
    if x.ndim != 3 or weight.ndim != 2:
        raise ShapeError(f"expected x (C, H, W) and weight (O, C), got {x.shape} and {weight.shape}")
    check_operands(x, weight[:, :, None, None], bias, 1)
    largest, heaviest = (max(-int(array.min()), int(array.max())) for array in (x, weight))
    most = max(-int(bias.min()), int(bias.max()))
    if len(x) * largest * heaviest + most >= ACCUMULATOR_LIMIT:
        fits(x, weight[:, :, None, None], bias, [WHOLE])


def linear(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Multiply the channels of every sample by a matrix (SPEC LIN-1).

    x  (C, H, W) signed or unsigned activations of up to 16 bits, in a signed dtype
    weight  (O, C), -2**15 .. 2**15 - 1;  bias  (O,) accumulator LSBs.
    Returns accumulators (O, H, W) int32 or int64.  Raises ShapeError, RangeError (also where 48 bits are not proven
    enough).  Source: PyTorch Linear.
    """
    _check(x, weight, bias)
    multiplied = _few if x[0].size < FEW else _many
    return multiplied(x, weight, bias).reshape(len(weight), *x.shape[1:])


def _few(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Sample by sample, the weights as they lie, (O, N) int64."""
    narrow = np.int16 if x.dtype.itemsize <= 2 else np.int32  # 16 unsigned bits come in a wider dtype
    samples = np.ascontiguousarray(x.reshape(len(x), -1).T, narrow)
    out = np.empty((len(weight), len(samples)), np.int64)
    _multiply(samples, np.ascontiguousarray(weight, np.int16), bias.astype(np.int64), out)
    return out


def _many(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Many samples side by side, (O, N) int32 where that is proven wide enough, else int64."""
    narrow = fits(x, weight[:, :, None, None], bias, [WHOLE])
    operand, total = (np.int16, np.int32) if narrow else (np.int32, np.int64)
    missing = -len(x) % INPUTS
    samples = np.zeros((len(x) + missing, x[0].size), operand)
    samples[: len(x)] = x.reshape(len(x), -1)
    out = np.empty((len(weight), x[0].size), total)
    _multiply_runs(samples, np.pad(weight.astype(np.int16), ((0, 0), (0, missing))), bias.astype(np.int64), out)
    return out


def linear_plain(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The definition of `linear` on Python integers (SPEC LIN-1)."""
    _check(x, weight, bias)
    rows, biases = weight.tolist(), bias.tolist()
    samples = [fixed.linear(sample, rows, biases) for sample in x.reshape(len(x), -1).T.tolist()]
    return np.array(samples, np.int64).T.reshape(len(weight), *x.shape[1:])
