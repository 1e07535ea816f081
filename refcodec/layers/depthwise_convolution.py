"""Convolution of each channel with a kernel of its own (SPEC DW-1, DW-2)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import ShapeError
from refcodec.formats import IntFormat
from refcodec.kernel import parallel_kernel, prange
from refcodec.layers.convolution import Pass, check_operands, fits, output_size


@parallel_kernel
def _correlate_planes(x, weight, bias, stride, out):
    # The caller has shown that no partial sum leaves out.dtype, so the order of the sums is free (SPEC ACC-2). A stride
    # of one has a loop of its own, which reads neighbours, a vector at a time.
    cast = out.dtype.type
    for c in prange(out.shape[0]):
        for y in range(out.shape[1]):
            row = out[c, y]
            row[:] = cast(bias[c])
            for ky in range(weight.shape[1]):
                line = x[c, y * stride + ky]
                for kx in range(weight.shape[2]):
                    w = cast(weight[c, ky, kx])
                    if stride == 1:
                        near = line[kx : kx + row.size]
                        for i in range(row.size):
                            row[i] = cast(row[i] + cast(w * cast(near[i])))
                    else:
                        for i in range(row.size):
                            row[i] = cast(row[i] + cast(w * cast(line[i * stride + kx])))


def _check(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> tuple[int, int]:
    """Output height and width.  Raises ShapeError or RangeError unless the operands are legal (SPEC DW-2)."""
    if x.ndim != 3 or weight.ndim != 3 or bias.shape != x.shape[:1]:
        raise ShapeError(
            f"expected x (C, H, W), weight (C, K, K) and bias (C,), got {x.shape}, {weight.shape}, {bias.shape}"
        )
    # One output channel that reads all planes has the same limits for its operands; each bias is limited below.
    check_operands(x, weight[None], bias[:1], stride)
    IntFormat(48, True).check(bias, "bias")
    return output_size(x, weight[None], stride, padding)


def depthwise_convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Correlate each channel with a kernel of its own, zeros outside the input (SPEC DW-1).

    x  (C, H, W) signed or unsigned activations of up to 16 bits, in a signed dtype
    weight  (C, K, K), -2**15 .. 2**15 - 1, K 1..9;  bias  (C,) accumulator LSBs
    stride  1..4;  padding  0..K-1.
    Returns accumulators (C, H', W') int32 where that is proven wide enough, else int64, H' as for a convolution.
    Raises ShapeError, RangeError (also where 48 bits are not proven enough).
    Source: PyTorch Conv2d with as many groups as channels.
    """
    size = _check(x, weight, bias, stride, padding)
    taps = range(weight.shape[1])
    narrow = fits(x, weight[:, None], bias, [Pass(taps, taps, 0, 0, 0, 0)])
    operand, total = (np.int16, np.int32) if narrow else (np.int32, np.int64)
    bordered = np.zeros((len(x), x.shape[1] + 2 * padding, x.shape[2] + 2 * padding), operand)
    bordered[:, padding : padding + x.shape[1], padding : padding + x.shape[2]] = x
    out = np.empty((len(x), *size), total)
    _correlate_planes(bordered, weight.astype(np.int16), bias.astype(np.int64), stride, out)
    return out


def depthwise_convolution_plain(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int
) -> np.ndarray:
    """The definition of `depthwise_convolution` on Python integers (SPEC DW-1)."""
    _check(x, weight, bias, stride, padding)
    out = fixed.depthwise_convolution(x.tolist(), weight.tolist(), bias.tolist(), stride, padding)
    return np.array(out, np.int64)
