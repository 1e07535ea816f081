"""TOSA recipe of the pad (SPEC PAD-1)."""

from __future__ import annotations

from refcodec.interop.tosa.graph import Value
from refcodec.interop.tosa.signal import Signal, Step, rearranged
from refcodec.program.operations import Pad


def pad(step: Step, op: Pad) -> Signal:
    """PAD with the stored form of zero."""

    def widen(x: Value, zero: int) -> Value:
        return step.graph.pad(x, (op.top, op.bottom, op.left, op.right), zero)

    return rearranged(step.signals[0], widen)
