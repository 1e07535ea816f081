"""TOSA recipe of layer normalisation (SPEC LN-1)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.tosa.convolution import pointwise
from refcodec.interop.tosa.division import rounded_quotient
from refcodec.interop.tosa.isqrt import isqrt
from refcodec.interop.tosa.signal import Signal, Step, saturated, wide_value
from refcodec.program.operations import LayerNorm


def layer_norm(step: Step, op: LayerNorm) -> Signal:
    """Sums by 1x1 convolutions, a root bit by bit, and an INTDIV, where everything fits INT32."""
    graph, count = step.graph, step.target.channels
    x = wide_value(graph, step.signals[0])
    ones, none = np.ones((1, count), np.int64), np.zeros(1, np.int64)
    total = wide_value(graph, pointwise(graph, x, ones, none))
    squares = wide_value(graph, pointwise(graph, graph.multiply(x, x), ones, none))
    scaled = graph.multiply(squares, graph.scalar(count, 4))
    variance = graph.subtract(scaled, graph.multiply(total, total))
    variance = graph.tighten(variance, np.zeros(1, np.int64), scaled.hi)  # Cauchy and Schwarz: S**2 <= C * Q
    raised = graph.add(variance, graph.scalar(op.epsilon, 4))
    spread = isqrt(graph, Signal(raised), op.root_shift)
    deviation = graph.subtract(graph.multiply(x, graph.scalar(count, 4)), total)
    numerator = graph.multiply(deviation, graph.channels(op.scale, 4))
    if op.offset.any():
        numerator = graph.add(numerator, graph.multiply(spread, graph.channels(op.offset, 4)))
    denominator = graph.multiply(spread, graph.scalar(1 << op.fraction, 4))
    return saturated(graph, rounded_quotient(graph, numerator, denominator), step.target.format)
