"""Cropping in ONNX (SPEC CROP-1)."""

from __future__ import annotations

from refcodec.interop.onnx.translation import COLUMNS, ROWS, Held, Translation
from refcodec.program.operations import Crop


def crop(t: Translation, op: Crop) -> Held:
    """A slice of rows and one of columns."""
    held = t.settled(op.source)
    rows = t.graph.slice(held.wire, ROWS, op.top, -op.bottom or None)
    return Held(t.graph.slice(rows, COLUMNS, op.left, -op.right or None), held.zero)
