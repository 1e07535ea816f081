"""Scale indexes in integer ONNX (SPEC SCALE-1)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.onnx.graph import INT64
from refcodec.interop.onnx.translation import Held, Translation, storage
from refcodec.program.operations import ScaleIndex

STEPS = (32, 16, 8, 4, 2, 1)  # of a search among 63 thresholds that never decrease


def scale_index(t: Translation, op: ScaleIndex) -> Held:
    """Count the thresholds below the accumulator by bisection: six gathers, whatever the size of the picture."""
    graph = t.graph
    accumulator = t.wide(op.source)
    rows, columns = op.thresholds.shape
    flat = graph.constant(op.thresholds.reshape(-1), INT64)
    place = graph.constant((np.arange(rows) * columns).reshape(1, rows, 1, 1), INT64)  # of each channel's first one
    start = place
    for step in STEPS:
        threshold = graph.gather(flat, graph.add(place, step - 1))
        place = graph.add(place, graph.mul(graph.greater(accumulator, threshold), step))
    _, zero = storage(t.format(op.target))
    return Held(t.finish(graph.add(graph.sub(place, start), zero), t.format(op.target)), zero)
