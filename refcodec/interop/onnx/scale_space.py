"""The scale space in integer ONNX (SPEC BLUR-1 to BLUR-3)."""

from __future__ import annotations

import numpy as np

from refcodec.fixed import GAUSSIAN
from refcodec.interop.onnx.arithmetic import joint, rounding_shift
from refcodec.interop.onnx.graph import INT64, Graph, Wire
from refcodec.interop.onnx.resize import bordered, enlarged
from refcodec.interop.onnx.translation import COLUMNS, ROWS, Held, Translation
from refcodec.program.operations import ScaleSpace

BLUR_SHIFT = 28  # the weights of either axis sum to 2**14
Ends = tuple[int, int]


def _mean(graph: Graph, sums: Wire, ends: Ends, shift: int) -> Wire:
    """sums >> shift, rounded, where the weights of values of lo .. hi = ends sum to 2**shift; int64."""
    return graph.cast(rounding_shift(graph, sums, joint(*ends, 1 << shift), np.array([shift])), INT64)


def _weighted(graph: Graph, x: Wire, axis: int) -> Wire:
    """The Gaussian along one axis; its weights are symmetrical."""
    reach = len(GAUSSIAN) // 2
    wide = bordered(graph, x, axis, reach)
    total = graph.mul(x, GAUSSIAN[reach])
    for k in range(reach):
        end = k - 2 * reach
        pair = graph.add(graph.slice(wide, axis, k, end), graph.slice(wide, axis, 2 * reach - k, -k or None))
        total = graph.add(total, graph.mul(pair, GAUSSIAN[k]))
    return total


def blurred(graph: Graph, x: Wire, ends: Ends) -> Wire:
    """Both axes one after the other, rounded once: the weights of a tap are a product (SPEC BLUR-1)."""
    return _mean(graph, _weighted(graph, _weighted(graph, x, ROWS), COLUMNS), ends, BLUR_SHIFT)


def halved(graph: Graph, x: Wire, ends: Ends) -> Wire:
    """Means of blocks of 2 x 2 (SPEC BLUR-2)."""
    rows = graph.add(graph.slice(x, ROWS, 0, None, 2), graph.slice(x, ROWS, 1, None, 2))
    sums = graph.add(graph.slice(rows, COLUMNS, 0, None, 2), graph.slice(rows, COLUMNS, 1, None, 2))
    return _mean(graph, sums, ends, 2)


def scale_space(t: Translation, op: ScaleSpace) -> Held:
    """All slices, one after another along the channels (SPEC BLUR-3)."""
    graph, ends = t.graph, t.reaches[op.source].joint()
    x = t.wide(op.source)
    low = blurred(graph, x, ends)
    slices = [x, low]
    for level in range(1, op.levels):
        low = blurred(graph, halved(graph, low, ends), ends)
        wide = low
        for _ in range(level):
            wide = graph.cast(enlarged(graph, wide, 2, 2, ends), INT64)
        slices.append(wide)
    return t.narrow(graph.concat(slices, 1), t.format(op.target))
