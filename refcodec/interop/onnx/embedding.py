"""Embeddings in integer ONNX (SPEC EMB-1)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.onnx.arithmetic import floor_division, joint
from refcodec.interop.onnx.graph import INT64, Wire
from refcodec.interop.onnx.translation import Held, Translation, storage, widen
from refcodec.layers.embedding import place
from refcodec.program.operations import Embedding


def embedding(t: Translation, op: Embedding) -> Held:
    """Gather one tensor, or weigh two neighbouring ones; the table is kept as the target is held."""
    graph, fmt, count, unit = t.graph, t.format(op.target), len(op.table), 2 * op.frames
    dtype, zero = storage(fmt)
    table = graph.constant(op.table.astype(np.int64) + zero, dtype)
    number = graph.reshape(t.wide(op.source), [1])
    if count == op.frames:
        return Held(graph.gather(table, number), zero)

    def tensor(index: Wire) -> Wire:
        return widen(graph, Held(graph.gather(table, graph.clip(index, 0, count - 1)), zero))

    offset = graph.add(graph.mul(number, 2 * count), place(0, count, op.frames, op.centred))
    first, part = graph.floor_div(offset, unit), graph.mod(offset, unit)
    early = graph.mul(tensor(first), graph.sub(graph.constant(unit, INT64), part))
    total = graph.add(early, graph.mul(tensor(graph.add(first, 1)), part))
    ends = joint(int(op.table.min()), int(op.table.max()), unit)
    half, divisor = (np.array([v], object) for v in (op.frames, unit))
    return t.narrow(floor_division(graph, total, ends, half, divisor), fmt)
