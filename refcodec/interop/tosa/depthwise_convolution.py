"""TOSA recipe of the depthwise convolution (SPEC DW-1)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.tosa.convolution import accumulated, exact_windows
from refcodec.interop.tosa.graph import Value
from refcodec.interop.tosa.signal import Signal, Step
from refcodec.program.operations import DepthwiseConvolution
from refcodec.program.reach import Reach


def depthwise_convolution(step: Step, op: DepthwiseConvolution) -> Signal:
    """DEPTHWISE_CONV2D, on bytes where it must be."""
    graph, weight = step.graph, op.weight.transpose(1, 2, 0)[..., None]
    signal, pads = exact_windows(graph, step.signals[0], weight.shape[0], op.stride, op.padding)

    def kernel(x: Value, x_zero: int, part: np.ndarray, w_zero: int, bias: np.ndarray) -> Value:
        return graph.depthwise(x, x_zero, part, w_zero, bias, op.stride, pads)

    reach = op.reach([Reach(signal.lo, signal.hi)], step.target)
    return accumulated(graph, signal, weight, op.bias, kernel, reach)
