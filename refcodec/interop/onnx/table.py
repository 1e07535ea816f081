"""Tables in integer ONNX (SPEC TAB-1, TAB-2)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from refcodec.interop.onnx.arithmetic import joint, rounding_shift
from refcodec.interop.onnx.graph import INT32, INT64
from refcodec.interop.onnx.translation import Held, Translation, storage, widen
from refcodec.program.operations import InterpolatedTable, Table


def table(t: Translation, op: Table) -> Held:
    """One gather among the entries as the target holds them; phases stay where they are."""
    graph, held = t.graph, t.held[op.source]
    place = graph.sub(graph.cast(held.wire, INT32), held.zero + t.format(op.source).lo)
    dtype, zero = storage(t.format(op.target))
    entries = graph.constant(op.table.astype(np.int64) + zero, dtype)
    return replace(held, wire=graph.gather(entries, place), zero=zero)


def interpolated_table(t: Translation, op: InterpolatedTable) -> Held:
    """Gather a node and the rise to the next one, and round the point between them once; phases stay."""
    graph, held = t.graph, t.held[op.source]
    place = graph.sub(widen(graph, held, INT32), t.format(op.source).lo)
    index, part = graph.div(place, 1 << op.spacing), graph.mod(place, 1 << op.spacing)
    nodes = op.nodes.astype(np.int64)
    node = graph.gather(graph.constant(nodes[:-1] << op.spacing, INT64), index)
    rise = graph.gather(graph.constant(np.diff(nodes), INT64), index)
    points = graph.add(node, graph.mul(rise, graph.cast(part, INT64)))
    ends = joint(int(nodes.min()), int(nodes.max()), 1 << op.spacing)
    values = rounding_shift(graph, points, ends, np.array([op.spacing]))
    narrowed = t.narrow(values, t.format(op.target))
    return replace(held, wire=narrowed.wire, zero=narrowed.zero)
