"""Concatenation in ONNX (SPEC CAT-1)."""

from __future__ import annotations

from refcodec.interop.onnx.translation import Held, Translation
from refcodec.program.operations import Concatenate


def concatenate(t: Translation, op: Concatenate) -> Held:
    """All channels, held alike."""
    parts = [t.converted(t.settled(name), t.format(op.target)) for name in op.sources]
    return Held(t.graph.concat([part.wire for part in parts], 1), parts[0].zero)
