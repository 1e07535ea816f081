"""TOSA recipe of the addition (SPEC ADD-1)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.tosa.graph import Graph, Value
from refcodec.interop.tosa.requantise import rescaled
from refcodec.interop.tosa.signal import Signal, Step, fits, saturated, wide_value
from refcodec.interop.tosa.words import BYTE, joined
from refcodec.program.operations import Add
from refcodec.program.reach import Reach


def add(step: Step, op: Add) -> Signal:
    """Two products, their sum, and a requantisation with the multiplier 1."""
    graph, fmt = step.graph, step.target.format
    values = [wide_value(graph, signal) for signal in step.signals]
    multipliers = [int(m) for m in op.multipliers]
    sides = [Reach.of_corners(v.lo * m, v.hi * m) for v, m in zip(values, multipliers, strict=True)]
    reach = Reach(sides[0].lo + sides[1].lo, sides[0].hi + sides[1].hi)
    if all(fits(*ends.joint(), "INT32") for ends in (*sides, reach)):
        total = Signal(_weighted(graph, values, multipliers))
    else:
        total = _by_bytes(graph, values, multipliers, reach)
    if op.shift == 0:
        return saturated(graph, wide_value(graph, total), fmt)
    channels = step.target.channels
    return rescaled(graph, total, np.ones(channels, np.int64), np.full(channels, op.shift), fmt)


def _weighted(graph: Graph, values: list[Value], multipliers: list[int]) -> Value:
    left, right = (graph.multiply(v, graph.scalar(m, 4)) for v, m in zip(values, multipliers, strict=True))
    return graph.add(left, right)


def _by_bytes(graph: Graph, values: list[Value], multipliers: list[int], reach: Reach) -> Signal:
    """The sum of the products with each byte of the multipliers, the highest byte with the sign."""
    top = max(max(abs(m).bit_length() - 1, 0) // BYTE * BYTE for m in multipliers)
    planes = {}
    for scale in range(0, top + 1, BYTE):
        shares = [m >> scale if scale == top else (m >> scale) & 255 for m in multipliers]
        planes[scale] = _weighted(graph, values, shares)
    return joined(graph, planes, reach)
