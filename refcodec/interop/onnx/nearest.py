"""Repetition of samples in ONNX (SPEC NEAR-1)."""

from __future__ import annotations

from refcodec.interop.onnx.translation import COLUMNS, ROWS, Held, Translation, interleaved
from refcodec.program.operations import Nearest


def nearest(t: Translation, op: Nearest) -> Held:
    """Copies in turn along the rows, then along the columns."""
    held = t.settled(op.source)
    rows = interleaved(t.graph, [held.wire] * op.rows, ROWS)
    return Held(interleaved(t.graph, [rows] * op.columns, COLUMNS), held.zero)
