"""TOSA recipe of the embedding (SPEC EMB-1)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.tosa.division import rounded_fraction
from refcodec.interop.tosa.signal import Signal, Step, kept, wide_value
from refcodec.layers.embedding import place
from refcodec.program.operations import Embedding


def embedding(step: Step, op: Embedding) -> Signal:
    """GATHERs of the earlier and the later tensor, and their mean; which ones, and the weight, come from a table.

    The weighted mean of a and b is a + round((b - a) * part / unit): a whole number may be added after the rounding.
    """
    graph, fmt = step.graph, step.target.format
    count, channels, height, width = op.table.shape
    frames, unit = np.arange(op.frames), 2 * op.frames
    offset = place(frames, count, op.frames, op.centred)
    first, part = offset // unit, offset % unit
    frame = graph.clamp(wide_value(graph, step.signals[0]), 0, op.frames - 1)
    rows = graph.constant(op.table.astype(np.int64).transpose(0, 2, 3, 1).reshape(1, count, -1), "INT32")
    shape = (1, height, width, channels)
    early, late = (
        graph.reshape(graph.gather(rows, graph.look_up(np.clip(index, 0, count - 1), "INT32", frame)), shape)
        for index in (first, first + 1)
    )
    if not part.any():
        return kept(graph, early, fmt)
    rise = graph.multiply(graph.subtract(late, early), graph.look_up(part, "INT32", frame))
    mean = graph.add(early, rounded_fraction(graph, rise, unit))
    ends = op.table.astype(np.int64).min(axis=(0, 2, 3)), op.table.astype(np.int64).max(axis=(0, 2, 3))
    return kept(graph, graph.tighten(mean, *ends), fmt)
