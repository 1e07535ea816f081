"""Convolutions of context models in integer ONNX (SPEC MASK-3)."""

from __future__ import annotations

from refcodec.interop.onnx.convolution import Window, accumulate
from refcodec.interop.onnx.translation import Held, Translation
from refcodec.program.operations import MaskedConvolution


def masked_convolution(t: Translation, op: MaskedConvolution) -> Held:
    """A convolution: the weights of dead taps are zero."""
    window = Window(1, (op.padding,) * 4)
    return Held(accumulate(t.graph, t.planes(op.source), op.weight, op.bias, window))
