"""Layer normalisation in integer ONNX (SPEC LN-1)."""

from __future__ import annotations

from refcodec.interop.onnx.arithmetic import isqrt, rounding_division
from refcodec.interop.onnx.graph import INT64
from refcodec.interop.onnx.translation import Held, Translation, per_channel
from refcodec.program.operations import LayerNorm


def layer_norm(t: Translation, op: LayerNorm) -> Held:
    """Sums over the channels, the root of their spread, and one rounded division; all in int64."""
    graph, bounds, count = t.graph, op.intermediates([t.reaches[op.source]]), len(op.scale)
    x = t.wide(op.source)
    total, squares = graph.sum(x, 1), graph.sum(graph.mul(x, x), 1)
    variance = graph.sub(graph.mul(squares, count), graph.mul(total, total))
    radicand = graph.mul(graph.add(variance, op.epsilon), 1 << op.root_shift)
    spread = isqrt(graph, radicand, bounds["radicand"])
    deviation = graph.sub(graph.mul(x, count), total)
    numerator = graph.add(
        graph.mul(deviation, per_channel(graph, op.scale, INT64)),
        graph.mul(spread, graph.constant(op.offset.reshape(-1, 1, 1), INT64)),
    )
    denominator = graph.mul(spread, 1 << op.fraction)
    quotient = rounding_division(graph, numerator, denominator, bounds["numerator"], bounds["denominator"])
    return t.saturate(quotient, t.format(op.target))
