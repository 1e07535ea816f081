"""Clips in integer ONNX (SPEC CLIP-1)."""

from __future__ import annotations

from dataclasses import replace

from refcodec.interop.onnx.translation import Held, Translation
from refcodec.program.operations import Clip


def clip(t: Translation, op: Clip) -> Held:
    """Limit to lo .. hi in the source's form, then change to the target's."""
    held, graph = t.held[op.source], t.graph
    limited = replace(held, wire=graph.clip(held.wire, op.lo + held.zero, op.hi + held.zero))
    return t.converted(limited, t.format(op.target))
