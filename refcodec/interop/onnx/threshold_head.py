"""Exact heads in integer ONNX (SPEC HEAD-1)."""

from __future__ import annotations

from refcodec.interop.onnx.scale_index import thresholds_below
from refcodec.interop.onnx.translation import Held, Translation
from refcodec.program.operations import ThresholdHead


def threshold_head(t: Translation, op: ThresholdHead) -> Held:
    """The sample, of 255 thresholds."""
    return thresholds_below(t, op)
