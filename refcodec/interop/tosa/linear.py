"""TOSA recipe of the linear layer (SPEC LIN-1)."""

from __future__ import annotations

from refcodec.interop.tosa.convolution import convolved
from refcodec.interop.tosa.signal import Signal, Step
from refcodec.program.operations import Linear


def linear(step: Step, op: Linear) -> Signal:
    """A convolution with a kernel of 1."""
    return convolved(step, op, op.weight[:, :, None, None], 1, 0)
