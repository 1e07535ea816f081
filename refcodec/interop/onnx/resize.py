"""Bilinear enlargement in integer ONNX (SPEC RES-2)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.onnx.arithmetic import floor_division, joint
from refcodec.interop.onnx.graph import Graph, Wire
from refcodec.interop.onnx.translation import COLUMNS, ROWS, Held, Translation, interleaved
from refcodec.program.operations import Resize


def bordered(graph: Graph, x: Wire, axis: int, count: int) -> Wire:
    """`count` copies of the first and of the last sample of an axis before and behind it."""
    first, last = graph.slice(x, axis, 0, 1), graph.slice(x, axis, -1)
    return graph.concat([first] * count + [x] + [last] * count, axis)


def _along(graph: Graph, x: Wire, axis: int, factor: int) -> Wire:
    """Weighted sums of neighbours along an axis, the weights out of 2 * factor, for each of the factor's phases."""
    if factor == 1:
        return x
    wide = bordered(graph, x, axis, 1)
    samples = {-1: graph.slice(wide, axis, 0, -2), 0: x, 1: graph.slice(wide, axis, 2)}
    phases = []
    for phase in range(factor):
        first, part = divmod(2 * phase + 1 - factor, 2 * factor)
        sums = graph.mul(samples[first], 2 * factor - part)
        phases.append(graph.add(sums, graph.mul(samples[first + 1], part)) if part else sums)
    return interleaved(graph, phases, axis)


def enlarged(graph: Graph, x: Wire, rows: int, columns: int, ends: tuple[int, int]) -> Wire:
    """Bilinear enlargement of int64 values of lo .. hi = ends, rounded once; int32 or int64."""
    unit = (2 * rows if rows > 1 else 1) * (2 * columns if columns > 1 else 1)
    sums = _along(graph, _along(graph, x, ROWS, rows), COLUMNS, columns)
    return floor_division(graph, sums, joint(*ends, unit), np.array([unit // 2], object), np.array([unit], object))


def resize(t: Translation, op: Resize) -> Held:
    """Rows first, then columns, for a picture of any size."""
    ends = t.reaches[op.source].joint()
    return t.narrow(enlarged(t.graph, t.wide(op.source), op.rows, op.columns, ends), t.format(op.target))
