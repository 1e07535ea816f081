"""TOSA recipes of tables (SPEC TAB-1, TAB-2)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.tosa.graph import Graph, Value
from refcodec.interop.tosa.signal import Signal, Step, fits, kept, storage, wide_value
from refcodec.program.operations import InterpolatedTable, Table


def table(step: Step, op: Table) -> Signal:
    """TABLE from INT8 to INT8, else a GATHER."""
    graph, signal, lo = step.graph, step.signals[0], step.sources[0].format.lo
    dtype, zero_point = storage(step.target.format)
    entries = op.table.astype(np.int64) + zero_point
    if signal.value.dtype == dtype == "INT8":
        places = np.arange(-128, 128) - signal.zero_point - lo
        return Signal(graph.table(signal.value, entries[np.clip(places, 0, entries.size - 1)]), zero_point)
    return Signal(graph.look_up(entries, dtype, place(graph, signal, lo)), zero_point)


def place(graph: Graph, signal: Signal, lo: int) -> Value:
    """How far a value lies above lo, INT32."""
    value = wide_value(graph, signal)
    return graph.subtract(value, graph.scalar(lo, 4)) if lo else value


def interpolated_table(step: Step, op: InterpolatedTable) -> Signal:
    """GATHERs for a node and the rise behind it, and the line between them in INT32.

    rise * part may need 48 bits; where rise = steep * 2**spacing + rest, a point is steep * part further up than that
    of a rise of rest.
    """
    graph, signal, spacing = step.graph, step.signals[0], op.spacing
    nodes, shift = op.nodes.astype(np.int64), np.array([spacing])
    way = place(graph, signal, step.sources[0].format.lo)
    index, part = graph.shift_right(way, shift), graph.low_bits(way, spacing)
    point, rise = graph.look_up(nodes[:-1], "INT32", index), np.diff(nodes)
    if not fits(int(rise.min()) << spacing, int(rise.max() + 1) << spacing, "INT32"):
        point = graph.add(point, graph.multiply(graph.look_up(rise >> spacing, "INT32", index), part))
        rise = rise & ((1 << spacing) - 1)
    product = graph.multiply(graph.look_up(rise, "INT32", index), part)
    rounded = graph.shift_right(graph.add(product, graph.scalar(1 << spacing >> 1, 4)), shift)
    ends = np.array([nodes.min()]), np.array([nodes.max()])  # a point of a line lies between its ends
    return kept(graph, graph.tighten(graph.add(point, rounded), *ends), step.target.format)
