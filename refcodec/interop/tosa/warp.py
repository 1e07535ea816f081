"""TOSA recipe of the warp (SPEC WARP-2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcodec.interop.tosa.graph import Graph, Value
from refcodec.interop.tosa.signal import Signal, Step, kept, wide_value
from refcodec.program.operations import Warp


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """The two samples of an axis beside a place, and the weight of the second."""

    first: Value
    second: Value
    part: Value


def warp(step: Step, op: Warp) -> Signal:
    """Eight GATHERs and their trilinear mean.

    The weights of an axis have s = fraction + 1 bits, so the mean of 16-bit values needs up to 61. After the first
    axis it is one INT32; after the second two words, high * 2**s + low; after the third three, of which only the
    carries of the lower two matter.
    """
    graph, bits = step.graph, op.fraction + 1
    volume, flow = (wide_value(graph, signal) for signal in step.signals)
    _, height, width, planes = volume.shape
    depth = planes // step.target.channels
    rows = graph.reshape(volume, (1, height * width * depth, step.target.channels))
    origins = [
        graph.constant(np.arange(width).reshape(1, 1, -1, 1) << bits, "INT32"),
        graph.constant(np.arange(height).reshape(1, -1, 1, 1) << bits, "INT32"),
        graph.scalar(depth - 1 << op.fraction, 4),
    ]
    lengths = width, height, depth
    right, down, deep = (_taps(graph, flow, axis, origins[axis], lengths[axis], bits) for axis in range(3))
    sides = [_slice(graph, rows, (right, down, z), (width, depth), bits) for z in (deep.first, deep.second)]
    words = [graph.mix(front, back, deep.part, bits) for front, back in zip(*sides, strict=True)]
    return kept(graph, _rounded_words(graph, words, rows, bits), step.target.format)


def _taps(graph: Graph, flow: Value, axis: int, origin: Value, length: int, bits: int) -> Taps:
    """The place on an axis, in units of 2**-bits samples, limited to the axis and split."""
    _, height, width, _ = flow.shape
    moved = graph.slice(flow, (0, 0, 0, axis), (1, height, width, 1))
    place = graph.add(graph.multiply(moved, graph.scalar(length, 4)), origin)
    place = graph.clamp(place, 0, (length - 1) << bits)
    first = graph.shift_right(place, np.array([bits]))
    second = graph.clamp(graph.add(first, graph.scalar(1, 4)), 0, length - 1)
    return Taps(first, second, graph.low_bits(place, bits))


def _slice(
    graph: Graph, rows: Value, place: tuple[Taps, Taps, Value], sizes: tuple[int, int], bits: int
) -> list[Value]:
    """The bilinear mean within one slice, times 2**(2 * bits), in three words of `bits` bits, the highest first."""
    right, down, z = place
    width, depth = sizes
    lines = []
    for y in (down.first, down.second):
        line = graph.multiply(y, graph.scalar(width, 4))
        left, right_ = (
            graph.gather(rows, graph.add(graph.multiply(graph.add(line, x), graph.scalar(depth, 4)), z))
            for x in (right.first, right.second)
        )
        lines.append(graph.mix(left, right_, right.part, bits))
    shift = np.array([bits])
    upper, lower = lines
    high = graph.mix(graph.shift_right(upper, shift), graph.shift_right(lower, shift), down.part, bits)
    low = graph.mix(graph.low_bits(upper, bits), graph.low_bits(lower, bits), down.part, bits)
    high = graph.add(high, graph.shift_right(low, shift))
    high = graph.tighten(high, rows.lo << bits, rows.hi << bits)  # the floor of a mean of rows times 2**bits
    return [graph.shift_right(high, shift), graph.low_bits(high, bits), graph.low_bits(low, bits)]


def _rounded_words(graph: Graph, words: list[Value], rows: Value, bits: int) -> Value:
    """(top * 2**(2s) + middle * 2**s + bottom + 2**(3s - 1)) >> 3s for s = bits."""
    shift = np.array([bits])
    top, middle, bottom = words
    carry = graph.shift_right(graph.add(middle, graph.shift_right(bottom, shift)), shift)
    total = graph.add(graph.add(top, carry), graph.scalar(1 << bits >> 1, 4))
    return graph.tighten(graph.shift_right(total, shift), rows.lo, rows.hi)  # a rounded mean of rows
