"""Depthwise convolutions in integer ONNX (SPEC DW-1)."""

from __future__ import annotations

from refcodec.interop.onnx.convolution import Window, accumulate
from refcodec.interop.onnx.translation import Held, Translation
from refcodec.program.operations import DepthwiseConvolution


def depthwise_convolution(t: Translation, op: DepthwiseConvolution) -> Held:
    """A convolution of as many groups as channels."""
    window = Window(op.stride, (op.padding,) * 4, depthwise=True)
    return Held(accumulate(t.graph, t.planes(op.source), op.weight[:, None], op.bias, window))
