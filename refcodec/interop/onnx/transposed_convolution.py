"""Transposed convolutions in integer ONNX, as one dense convolution for all phases (SPEC TCONV-2, TCONV-3)."""

from __future__ import annotations

import numpy as np

from refcodec.fixed import phase_taps
from refcodec.interop.onnx.convolution import Window, accumulate
from refcodec.interop.onnx.translation import Held, Translation
from refcodec.program.operations import TransposedConvolution


def polyphase(weight: np.ndarray, stride: int, padding: int) -> tuple[np.ndarray, int, int]:
    """Weights (O, C, K, K) -> (O * stride**2, C, T, T), output channel (o, phase row, phase column).

    Also returns the input offset of the first and of the last of the T taps.
    """
    kernel = weight.shape[2]
    taps = [phase_taps(kernel, stride, padding, phase) for phase in range(stride)]
    offsets = [offset for phase in taps for _, offset in phase]
    first, last = min(offsets), max(offsets)
    width = last - first + 1
    dense = np.zeros((len(weight), stride, stride, weight.shape[1], width, width), np.int64)
    for a, rows in enumerate(taps):
        for b, columns in enumerate(taps):
            for ky, y in rows:
                for kx, x in columns:
                    dense[:, a, b, :, y - first, x - first] = weight[:, :, ky, kx]
    return dense.reshape(-1, weight.shape[1], width, width), first, last


def transposed_convolution(t: Translation, op: TransposedConvolution) -> Held:
    """All phases at the input's size, left in channels until something other than a pointwise operation reads them."""
    weight, first, last = polyphase(op.weight, op.stride, op.padding)
    # of n inputs, the output has stride * n + longer rows, and the phases give stride * (n + more)
    longer = op.weight.shape[2] - op.stride - 2 * op.padding + op.output_padding
    more = -(-longer // op.stride)
    before, after = -first, last + more
    bias = np.repeat(op.bias, op.stride**2)
    wire = accumulate(t.graph, t.planes(op.source), weight, bias, Window(1, (before, before, after, after)))
    surplus = op.stride * more - longer
    return Held(wire, 0, op.stride, (surplus, surplus))
