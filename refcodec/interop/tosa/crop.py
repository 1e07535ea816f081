"""TOSA recipe of the crop (SPEC CROP-1)."""

from __future__ import annotations

from refcodec.interop.tosa.graph import Value
from refcodec.interop.tosa.signal import Signal, Step, rearranged
from refcodec.program.operations import Crop


def crop(step: Step, op: Crop) -> Signal:
    """SLICE."""

    def cut(x: Value, _: int) -> Value:
        _, height, width, channels = x.shape
        size = (1, height - op.top - op.bottom, width - op.left - op.right, channels)
        return step.graph.slice(x, (0, op.top, op.left, 0), size)

    return rearranged(step.signals[0], cut)
