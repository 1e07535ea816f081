"""TOSA recipe of the clip (SPEC CLIP-1)."""

from __future__ import annotations

from refcodec.interop.tosa.signal import Signal, Step, kept, storage, wide_value
from refcodec.program.operations import Clip


def clip(step: Step, op: Clip) -> Signal:
    """CLAMP where source and target are kept in INT8 alike, else MAXIMUM and MINIMUM of INT32."""
    graph, signal, target = step.graph, step.signals[0], step.target
    if storage(target.format) == (signal.value.dtype, signal.zero_point) and signal.value.dtype == "INT8":
        zero = signal.zero_point
        return Signal(graph.clamp(signal.value, op.lo + zero, op.hi + zero), zero)
    return kept(graph, graph.clamp(wide_value(graph, signal), op.lo, op.hi), target.format)
