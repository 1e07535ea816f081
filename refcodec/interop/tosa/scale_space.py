"""TOSA recipe of the scale space (SPEC BLUR-3)."""

from __future__ import annotations

import numpy as np

from refcodec.fixed import GAUSSIAN
from refcodec.interop.tosa.concatenate import joined_channels
from refcodec.interop.tosa.graph import Graph, Value
from refcodec.interop.tosa.resize import resized
from refcodec.interop.tosa.signal import Signal, Step, kept, wide_value
from refcodec.program.operations import ScaleSpace

REACH = len(GAUSSIAN) // 2  # samples to either side of a blur
SPLIT = 15  # bits of the low part of a weighted row


def scale_space(step: Step, op: ScaleSpace) -> Signal:
    """Blurs and halvings in INT32, enlargements by RESIZE, all slices behind one another."""
    graph, fmt = step.graph, step.target.format
    low = blurred(graph, wide_value(graph, step.signals[0]))
    slices = [step.signals[0], kept(graph, low, fmt)]
    for level in range(1, op.levels):
        low = blurred(graph, halved(graph, low))
        slice_ = kept(graph, low, fmt)
        for _ in range(level):
            slice_ = resized(graph, slice_, (2, 2), fmt)
        slices.append(slice_)
    return joined_channels(graph, slices, fmt)


def blurred(graph: Graph, x: Value) -> Value:
    """Weighted sums of rows, then of columns, and one rounding of 28 bits; x has at most 16 bits.

    The row sums need 30 bits. They are split into high * 2**15 + low, the sums over columns of both stay below 2**30,
    and (high * 2**15 + low + 2**27) >> 28 == (high + ((low + 2**27) >> 15)) >> 13.
    """
    line = weighted(graph, x, 2)
    high = weighted(graph, graph.shift_right(line, np.array([SPLIT])), 1)
    low = weighted(graph, graph.low_bits(line, SPLIT), 1)
    carry = graph.shift_right(graph.add(low, graph.scalar(1 << 27, 4)), np.array([SPLIT]))
    total = graph.shift_right(graph.add(high, carry), np.array([28 - SPLIT]))
    return graph.tighten(total, x.lo, x.hi)  # a rounded mean


def weighted(graph: Graph, x: Value, axis: int) -> Value:
    """The Gaussian sum along an axis, the border repeated; equal weights are taken out of pairs."""
    size = x.shape[axis]
    ends = [_part(graph, x, axis, start, 1) for start in (0, size - 1)]
    wide = graph.concatenate([*[ends[0]] * REACH, x, *[ends[1]] * REACH], axis)
    total = graph.multiply(x, graph.scalar(GAUSSIAN[REACH], 4))
    for k in range(REACH):
        pair = graph.add(_part(graph, wide, axis, k, size), _part(graph, wide, axis, 2 * REACH - k, size))
        total = graph.add(total, graph.multiply(pair, graph.scalar(GAUSSIAN[k], 4)))
    return total


def _part(graph: Graph, x: Value, axis: int, start: int, length: int) -> Value:
    """`length` rows (axis 1) or columns (axis 2) from `start` on."""
    begin, size = [0] * len(x.shape), list(x.shape)
    begin[axis], size[axis] = start, length
    return graph.slice(x, tuple(begin), tuple(size))


def halved(graph: Graph, x: Value) -> Value:
    """The rounded mean of blocks of 2 x 2 samples."""
    _, height, width, channels = x.shape
    blocks = graph.reshape(x, (1, height // 2, 2, width // 2, 2 * channels))
    corners = [
        graph.slice(blocks, (0, 0, row, 0, column * channels), (1, height // 2, 1, width // 2, channels))
        for row in (0, 1)
        for column in (0, 1)
    ]
    total = graph.scalar(2, 5)
    for corner in corners:
        total = graph.add(total, corner)
    mean = graph.reshape(graph.shift_right(total, np.array([2])), (1, height // 2, width // 2, channels))
    return graph.tighten(mean, x.lo, x.hi)
