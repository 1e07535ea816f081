"""TOSA recipe of the masked convolution (SPEC MASK-3)."""

from __future__ import annotations

from refcodec.interop.tosa.convolution import convolved
from refcodec.interop.tosa.signal import Signal, Step
from refcodec.program.operations import MaskedConvolution


def masked_convolution(step: Step, op: MaskedConvolution) -> Signal:
    """A convolution: the weights of dead taps are zero."""
    return convolved(step, op, op.weight, 1, op.padding)
