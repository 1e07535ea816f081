"""TOSA recipe of the exact head (SPEC HEAD-1)."""

from __future__ import annotations

from refcodec.interop.tosa.scale_index import counted
from refcodec.interop.tosa.signal import Signal, Step
from refcodec.program.operations import ThresholdHead


def threshold_head(step: Step, op: ThresholdHead) -> Signal:
    """A binary search among 255 thresholds."""
    return counted(step, op.thresholds)
