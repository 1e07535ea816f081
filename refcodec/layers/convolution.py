"""Convolution with a square kernel (SPEC CONV-1, CONV-2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from refcodec.errors import RangeError, ShapeError
from refcodec.fixed import convolution_size
from refcodec.formats import IntFormat
from refcodec.kernel import parallel_kernel, prange

MAX_KERNEL = 9
MAX_STRIDE = 4
LANES = 4  # output channels that one pass of the kernel computes side by side
VECTOR = 32  # products that a loop adds at once: its length is a multiple, so that nothing is left over
ACCUMULATOR_LIMIT = 1 << 47


@parallel_kernel
def _correlate(x, weight, bias, taps, stride, row, column, out, out_stride, out_row, out_column):
    # The caller has shown that no partial sum leaves out.dtype, so the order of the sums is free (SPEC ACC-2). The
    # windows of two outputs at a time are gathered, so that their sums with four rows of weights are long loops over
    # whole vectors; biases come last, since loops that begin with one were seen not to be vectorised.
    cast = out.dtype.type
    channels = x.shape[2]
    span = taps[1] * channels
    rows = (out.shape[1] - out_row + out_stride - 1) // out_stride
    columns = (out.shape[2] - out_column + out_stride - 1) // out_stride
    for y in prange(rows):
        left = np.zeros(weight.shape[1], x.dtype)
        right = np.zeros(weight.shape[1], x.dtype)
        for i in range(0, columns, 2):
            both = i + 1 < columns
            for t in range(taps[0]):
                line = x[row + y * stride + t].reshape(-1)
                start = (column + i * stride) * channels
                window = line[start : start + span]
                place = left[t * span : (t + 1) * span]
                for k in range(span):
                    place[k] = window[k]
                if both:
                    start += stride * channels
                    window = line[start : start + span]
                    place = right[t * span : (t + 1) * span]
                    for k in range(span):
                        place[k] = window[k]
            oy = out_row + y * out_stride
            ox = out_column + i * out_stride
            for o in range(0, weight.shape[0], LANES):
                w0, w1, w2, w3 = weight[o], weight[o + 1], weight[o + 2], weight[o + 3]
                s0 = s1 = s2 = s3 = r0 = r1 = r2 = r3 = cast(0)
                for k in range(w0.size):
                    v, u = cast(left[k]), cast(right[k])
                    p0, p1, p2, p3 = cast(w0[k]), cast(w1[k]), cast(w2[k]), cast(w3[k])
                    s0 = cast(s0 + cast(v * p0))
                    s1 = cast(s1 + cast(v * p1))
                    s2 = cast(s2 + cast(v * p2))
                    s3 = cast(s3 + cast(v * p3))
                    r0 = cast(r0 + cast(u * p0))
                    r1 = cast(r1 + cast(u * p1))
                    r2 = cast(r2 + cast(u * p2))
                    r3 = cast(r3 + cast(u * p3))
                out[o, oy, ox] = s0 + bias[o]
                out[o + 1, oy, ox] = s1 + bias[o + 1]
                out[o + 2, oy, ox] = s2 + bias[o + 2]
                out[o + 3, oy, ox] = s3 + bias[o + 3]
                if both:
                    ox2 = ox + out_stride
                    out[o, oy, ox2] = r0 + bias[o]
                    out[o + 1, oy, ox2] = r1 + bias[o + 1]
                    out[o + 2, oy, ox2] = r2 + bias[o + 2]
                    out[o + 3, oy, ox2] = r3 + bias[o + 3]


class Pass(NamedTuple):
    """One correlation: which taps of the kernel, where it reads, and which outputs it writes.

    kernel_rows, kernel_columns  tap indexes in the order of rising input coordinates
    row, column  input coordinates of the first tap of the first output, relative to the unpadded input
    out_row, out_column  first output; later ones follow at the output stride.
    """

    kernel_rows: Sequence[int]
    kernel_columns: Sequence[int]
    row: int
    column: int
    out_row: int
    out_column: int


def accumulate(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    size: tuple[int, int],
    pad: int,
    passes: Sequence[Pass],
    stride: int,
    out_stride: int,
) -> np.ndarray:
    """Run correlation passes over one zero-bordered copy of the input (SPEC ACC-2).

    x  (C, H, W) integers;  weight  (O, C, K, K);  bias  (O,);  size  output (H', W')
    pad  zeros on every side;  passes  together write every output;  stride, out_stride  input and output
    step of all passes.
    Returns (O, H', W') int32 where that is proven wide enough, else int64.  Raises RangeError.
    """
    narrow = fits(x, weight, bias, passes)
    operand, total = (np.int16, np.int32) if narrow else (np.int32, np.int64)
    outputs = weight.shape[0]
    lanes = -outputs % LANES
    bordered = np.zeros((x.shape[1] + 2 * pad, x.shape[2] + 2 * pad, x.shape[0]), operand)
    bordered[pad : pad + x.shape[1], pad : pad + x.shape[2]] = x.transpose(1, 2, 0)
    biases = np.pad(bias.astype(np.int64), (0, lanes))
    out = np.zeros((outputs + lanes, *size), total)
    for kernel_rows, kernel_columns, row, column, out_row, out_column in passes:
        taps = weight[:, :, kernel_rows][:, :, :, kernel_columns].transpose(0, 2, 3, 1)
        length = taps[0].size
        packed = np.zeros((outputs + lanes, length + -length % VECTOR), operand)
        packed[:outputs, :length] = taps.reshape(outputs, length)
        place = (row + pad, column + pad)
        _correlate(bordered, packed, biases, taps.shape[1:3], stride, *place, out, out_stride, out_row, out_column)
    return out[:outputs]


def fits(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, passes: Sequence[Pass]) -> bool:
    """Whether 16-bit operands and 32-bit sums hold every partial sum; RangeError if 48 bits may not (SPEC ACC-1)."""
    largest = max(-int(x.min()), int(x.max()))
    absolute = np.abs(weight.astype(np.int64)).sum(axis=1)
    sums = [absolute[:, p.kernel_rows][:, :, p.kernel_columns].sum(axis=(1, 2)) for p in passes]
    bound = int((np.max(sums, axis=0) * largest + np.abs(bias.astype(np.int64))).max())
    if bound >= ACCUMULATOR_LIMIT:
        raise RangeError(f"accumulator may reach {bound}, beyond 48 bits")
    heaviest = max(-int(weight.min()), int(weight.max()))
    return bound < 1 << 31 and largest < 1 << 15 and heaviest < 1 << 15


def check_operands(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int) -> None:
    """Raise ShapeError or RangeError unless the operands can be convolved (SPEC CONV-3)."""
    if x.ndim != 3 or weight.ndim != 4 or weight.shape[2] != weight.shape[3]:
        raise ShapeError(f"expected x (C, H, W) and weight (O, C, K, K), got {x.shape} and {weight.shape}")
    if weight.shape[1] != x.shape[0] or bias.shape != (weight.shape[0],):
        raise ShapeError(f"x {x.shape}, weight {weight.shape} and bias {bias.shape} disagree about channels")
    if 0 in x.shape or 0 in weight.shape:
        raise ShapeError(f"empty operand: x {x.shape}, weight {weight.shape}")
    if not 1 <= weight.shape[2] <= MAX_KERNEL or not 1 <= stride <= MAX_STRIDE:
        raise RangeError(f"kernel must be 1..{MAX_KERNEL} and stride 1..{MAX_STRIDE}, got {weight.shape[2]}, {stride}")
    for name, array in (("x", x), ("weight", weight), ("bias", bias)):
        if array.dtype.kind != "i":
            raise RangeError(f"{name}: expected signed integers, got {array.dtype}")
    for name, array in (("x", x), ("weight", weight)):
        hi = 1 << (16 if name == "x" else 15)
        if int(array.min()) < -(1 << 15) or int(array.max()) >= hi:
            raise RangeError(f"{name}: values {array.min()} .. {array.max()} are wider than 16 bits")
    IntFormat(48, True).check(bias, "bias")


def output_size(x: np.ndarray, weight: np.ndarray, stride: int, padding: int) -> tuple[int, int]:
    """Output height and width.  Raises ShapeError, RangeError (SPEC CONV-1, CONV-3)."""
    kernel = weight.shape[2]
    if not 0 <= padding < kernel:
        raise RangeError(f"padding must be 0..{kernel - 1}, got {padding}")
    height, width = (convolution_size(n, kernel, stride, padding) for n in x.shape[1:])
    if height < 1 or width < 1:
        raise ShapeError(f"input {x.shape} is smaller than the kernel {kernel} with padding {padding}")
    return height, width


def convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """Correlate with a square kernel, zeros outside the input (SPEC CONV-2).

    x  (C, H, W) signed or unsigned activations of up to 16 bits, in a signed dtype
    weight  (O, C, K, K), -2**15 .. 2**15 - 1, K 1..9;  bias  (O,) accumulator LSBs
    stride  1..4;  padding  0..K-1.
    Returns accumulators (O, H', W') int32 or int64, H' = (H + 2 * padding - K) // stride + 1.
    Raises ShapeError, RangeError (also where 48 bits are not proven enough).  Source: PyTorch Conv2d.
    """
    check_operands(x, weight, bias, stride)
    size = output_size(x, weight, stride, padding)
    taps = range(weight.shape[2])
    return accumulate(x, weight, bias, size, padding, [Pass(taps, taps, -padding, -padding, 0, 0)], stride, 1)


def convolution_plain(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int) -> np.ndarray:
    """The definition of `convolution` in NumPy int64, tap by tap (SPEC CONV-2)."""
    check_operands(x, weight, bias, stride)
    height, width = output_size(x, weight, stride, padding)
    wide = np.pad(x.astype(np.int64), ((0, 0), (padding, padding), (padding, padding)))
    out = np.broadcast_to(bias.astype(np.int64)[:, None, None], (weight.shape[0], height, width)).copy()
    for ky in range(weight.shape[2]):
        for kx in range(weight.shape[2]):
            window = wide[:, ky : ky + stride * height : stride, kx : kx + stride * width : stride]
            out += np.tensordot(weight[:, :, ky, kx].astype(np.int64), window[:, :height, :width], 1)
    return out
