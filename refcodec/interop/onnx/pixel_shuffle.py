"""Pixel shuffling in ONNX (SPEC PS-1)."""

from __future__ import annotations

from refcodec.interop.onnx.translation import Held, Translation, shuffled
from refcodec.program.operations import PixelShuffle


def pixel_shuffle(t: Translation, op: PixelShuffle) -> Held:
    """Reshape, transpose, reshape, for a picture of any size."""
    held = t.settled(op.source)
    return Held(shuffled(t.graph, held.wire, op.rows, op.columns), held.zero)
