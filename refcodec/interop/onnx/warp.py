"""Warping in integer ONNX (SPEC WARP-1, WARP-2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcodec.interop.onnx.arithmetic import joint, rounding_shift
from refcodec.interop.onnx.graph import INT64, Graph, Wire
from refcodec.interop.onnx.translation import COLUMNS, ROWS, Held, Translation, widen
from refcodec.program.operations import Warp


@dataclass(frozen=True, slots=True)
class Taps:
    """The two samples beside each place of an axis, and the weights of both; int64, (1, 1, H, W) or less."""

    samples: tuple[Wire, Wire]
    weights: tuple[Wire, Wire]


def taps(graph: Graph, place: Wire, last: Wire, steps: int) -> Taps:
    """Limit places in units of 2**-steps to 0 .. last and split them (SPEC WARP-1)."""
    unit = 1 << steps
    limited = graph.at_least(graph.at_most(place, graph.mul(last, unit)), 0)
    first, part = graph.div(limited, unit), graph.mod(limited, unit)
    second = graph.at_most(graph.add(first, 1), last)
    return Taps((first, second), (graph.sub(graph.constant(unit, INT64), part), part))


def _coordinates(graph: Graph, length: Wire) -> Wire:
    """0, 1 .. length - 1 along the last axis."""
    return graph.call("Range", [graph.constant(0, INT64), length, graph.constant(1, INT64)])


def _axes(t: Translation, op: Warp, depth: int, height: Wire, width: Wire) -> tuple[Taps, Taps, Taps]:
    """Taps of slices, rows and columns for every sample."""
    graph, steps = t.graph, op.fraction + 1
    flow = t.wide(op.sources[1])
    right, down, deep = (graph.slice(flow, 1, k, k + 1) for k in range(3))
    x = graph.add(graph.mul(_coordinates(graph, width), 1 << steps), graph.mul(right, width))
    rows = graph.reshape(_coordinates(graph, height), [-1, 1])
    y = graph.add(graph.mul(rows, 1 << steps), graph.mul(down, height))
    z = graph.add(graph.mul(deep, depth), depth - 1 << op.fraction)
    return (
        taps(graph, z, graph.constant(depth - 1, INT64), steps),
        taps(graph, y, graph.sub(height, 1), steps),
        taps(graph, x, graph.sub(width, 1), steps),
    )


def warp(t: Translation, op: Warp) -> Held:
    """Gather the eight samples around each place from the flat volume, weigh them, round once."""
    graph, held = t.graph, t.settled(op.sources[0])
    channels = t.tensor(op.target).channels
    height, width = (graph.reshape(graph.lengths(held.wire, [axis]), []) for axis in (ROWS, COLUMNS))
    slices, rows, columns = _axes(t, op, t.tensor(op.sources[0]).channels // channels, height, width)
    flat = graph.reshape(held.wire, [-1])
    channel = graph.constant(np.arange(channels).reshape(-1, 1, 1), INT64)
    total = graph.constant(0, INT64)
    for z, deep in zip(slices.samples, slices.weights, strict=True):
        plane = graph.add(graph.mul(z, channels), channel)
        for y, down in zip(rows.samples, rows.weights, strict=True):
            line = graph.mul(graph.add(graph.mul(plane, height), y), width)
            for x, right in zip(columns.samples, columns.weights, strict=True):
                sample = widen(graph, Held(graph.gather(flat, graph.add(line, x)), held.zero))
                weight = graph.mul(graph.mul(deep, down), right)
                total = graph.add(graph.mul(sample, weight), total)
    shift = 3 * (op.fraction + 1)
    ends = joint(*t.reaches[op.sources[0]].joint(), 1 << shift)
    return t.narrow(rounding_shift(graph, total, ends, np.array([shift])), t.format(op.target))
