"""Repetition of planes in ONNX (SPEC TILE-1)."""

from __future__ import annotations

from refcodec.interop.onnx.graph import INT64
from refcodec.interop.onnx.translation import Held, Translation
from refcodec.program.operations import Tile


def tile(t: Translation, op: Tile) -> Held:
    """Copies behind one another along rows and columns."""
    held = t.settled(op.source)
    return Held(t.graph.call("Tile", [held.wire, t.graph.constant([1, 1, op.rows, op.columns], INT64)]), held.zero)
