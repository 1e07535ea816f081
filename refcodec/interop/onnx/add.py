"""Sums of two tensors in integer ONNX (SPEC ADD-1)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.onnx.arithmetic import objects, require_bits, rounding_shift
from refcodec.interop.onnx.translation import Held, Translation
from refcodec.program.operations import Add


def add(t: Translation, op: Add) -> Held:
    """Two products and their sum in int64, rounded once, saturated."""
    graph = t.graph
    sides, products = [], []
    for name, multiplier in zip(op.sources, op.multipliers.tolist(), strict=True):
        reach = t.reaches[name]
        corners = objects(reach.lo) * multiplier, objects(reach.hi) * multiplier
        sides.append((np.minimum(*corners), np.maximum(*corners)))
        products.append(graph.mul(t.wide(name), multiplier))
    lo, hi = sides[0][0] + sides[1][0], sides[0][1] + sides[1][1]
    require_bits(graph, int(np.maximum(-lo, hi).max()), "a sum")
    total = graph.add(*products)
    return t.saturate(rounding_shift(graph, total, (lo, hi), np.array([op.shift])), t.format(op.target))
