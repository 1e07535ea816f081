"""Padding in ONNX (SPEC PAD-1)."""

from __future__ import annotations

from refcodec.interop.onnx.graph import INT64
from refcodec.interop.onnx.translation import Held, Translation
from refcodec.program.operations import Pad


def pad(t: Translation, op: Pad) -> Held:
    """Rows and columns of what stands for zero."""
    graph, held = t.graph, t.settled(op.source)
    counts = graph.constant([0, 0, op.top, op.left, 0, 0, op.bottom, op.right], INT64)
    zero = graph.constant(held.zero, held.wire.dtype)
    return Held(graph.call("Pad", [held.wire, counts, zero], {"mode": "constant"}), held.zero)
