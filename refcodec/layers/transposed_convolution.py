"""Transposed convolution in polyphase form (SPEC TCONV-1 to TCONV-3)."""

from __future__ import annotations

import numpy as np

from refcodec.errors import RangeError, ShapeError
from refcodec.fixed import phase_taps, transposed_size
from refcodec.layers.convolution import Pass, accumulate, check_operands


def _output_size(x: np.ndarray, weight: np.ndarray, stride: int, padding: int, output_padding: int) -> tuple[int, int]:
    kernel = weight.shape[2]
    if not 0 <= padding < kernel or not 0 <= output_padding < stride:
        raise RangeError(
            f"padding must be 0..{kernel - 1} and output padding 0..{stride - 1}, got {padding}, {output_padding}"
        )
    height, width = (transposed_size(n, kernel, stride, padding, output_padding) for n in x.shape[1:])
    if height < 1 or width < 1:
        raise ShapeError(f"input {x.shape} gives an empty output with kernel {kernel}, padding {padding}")
    return height, width


def _first(taps: list[tuple[int, int]]) -> int:
    """Input offset of the first tap; a phase without taps reads nothing."""
    return taps[0][1] if taps else 0


def transposed_convolution(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int, output_padding: int
) -> np.ndarray:
    """Transposed convolution, one dense pass per output phase, zeros outside the input (SPEC TCONV-3).

    x  (C, H, W) activations of up to 16 bits, in a signed dtype
    weight  (O, C, K, K), -2**15 .. 2**15 - 1, K 1..9, output channel first;  bias  (O,) accumulator LSBs
    stride  1..4;  padding  0..K-1;  output_padding  0..stride-1.
    Returns accumulators (O, H', W') int32 or int64, H' = (H - 1) * stride - 2 * padding + K + output_padding.
    Raises ShapeError, RangeError.  Source: PyTorch ConvTranspose2d, with its first two weight axes exchanged.
    """
    check_operands(x, weight, bias, stride)
    size = _output_size(x, weight, stride, padding, output_padding)
    kernel = weight.shape[2]
    # A tap's offset falls as k rises, so the taps are reversed to make each window contiguous.
    phases = [phase_taps(kernel, stride, padding, phase)[::-1] for phase in range(stride)]
    passes = [
        Pass([k for k, _ in rows], [k for k, _ in columns], _first(rows), _first(columns), y, x0)
        for y, rows in enumerate(phases)
        for x0, columns in enumerate(phases)
        if y < size[0] and x0 < size[1]
    ]
    # Offsets lie in -(K-1) .. K-1 and outputs reach at most one input beyond the last, so K zeros suffice.
    return accumulate(x, weight, bias, size, kernel, passes, 1, stride)


def transposed_convolution_plain(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, stride: int, padding: int, output_padding: int
) -> np.ndarray:
    """The definition of `transposed_convolution` in NumPy int64, tap by tap (SPEC TCONV-3)."""
    check_operands(x, weight, bias, stride)
    height, width = _output_size(x, weight, stride, padding, output_padding)
    kernel = weight.shape[2]
    wide = np.pad(x.astype(np.int64), ((0, 0), (kernel, kernel), (kernel, kernel)))
    out = np.broadcast_to(bias.astype(np.int64)[:, None, None], (weight.shape[0], height, width)).copy()
    for py in range(min(stride, height)):
        for px in range(min(stride, width)):
            phase = out[:, py::stride, px::stride]
            for ky, dy in phase_taps(kernel, stride, padding, py):
                for kx, dx in phase_taps(kernel, stride, padding, px):
                    window = wide[:, kernel + dy :, kernel + dx :][:, : phase.shape[1], : phase.shape[2]]
                    phase += np.tensordot(weight[:, :, ky, kx].astype(np.int64), window, 1)
    return out
