"""Scale indexes and exact heads in integer ONNX: thresholds counted by bisection (SPEC SCALE-1, HEAD-1)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from refcodec.interop.onnx.graph import INT32, INT64
from refcodec.interop.onnx.translation import Held, Translation, scattered, storage, widen
from refcodec.program.operations import ScaleIndex, ThresholdHead


def thresholds_below(t: Translation, op: ScaleIndex | ThresholdHead) -> Held:
    """How many of the 2**n - 1 thresholds of its channel lie below each accumulator.

    One gather for each of the n steps, whatever the size of the picture. Thresholds that the accumulator cannot reach
    are moved to the ends of its reach, so that 32 bits do where they hold the accumulator.
    """
    graph, held = t.graph, t.held[op.source]
    lo, hi = t.reaches[op.source].joint()
    limits = np.iinfo(np.int32)
    dtype = INT32 if limits.min < lo and hi <= limits.max else INT64
    rows = scattered(np.clip(op.thresholds, lo - 1, hi), held)
    accumulator = widen(graph, held, dtype)
    flat = graph.constant(rows.reshape(-1), dtype)
    first = graph.constant((np.arange(len(rows)) * rows.shape[1]).reshape(-1, 1, 1), dtype)  # place of each channel's
    place, step = first, (rows.shape[1] + 1) // 2
    while step:
        threshold = graph.gather(flat, graph.add(place, step - 1))
        taken = graph.cast(graph.above(accumulator, threshold), dtype)
        place = graph.add(place, graph.mul(taken, step))
        step //= 2
    stored, zero = storage(t.format(op.target))
    counts = graph.add(graph.sub(place, first), zero)
    return replace(held, wire=graph.cast(counts, stored), zero=zero)


def scale_index(t: Translation, op: ScaleIndex) -> Held:
    """The row of the scale table, of 63 thresholds."""
    return thresholds_below(t, op)
