"""Linear layers in integer ONNX (SPEC LIN-1)."""

from __future__ import annotations

from refcodec.interop.onnx.convolution import POINT, accumulate
from refcodec.interop.onnx.translation import Held, Translation
from refcodec.program.operations import Linear


def linear(t: Translation, op: Linear) -> Held:
    """A convolution with a kernel of one."""
    return Held(accumulate(t.graph, t.planes(op.source), op.weight[:, :, None, None], op.bias, POINT))
