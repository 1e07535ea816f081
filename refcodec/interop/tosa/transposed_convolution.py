"""TOSA recipe of the transposed convolution (SPEC TCONV-3)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.tosa.convolution import accumulated
from refcodec.interop.tosa.graph import Pads, Value
from refcodec.interop.tosa.signal import Signal, Step
from refcodec.program.operations import TransposedConvolution
from refcodec.program.reach import Reach


def transposed_convolution(step: Step, op: TransposedConvolution) -> Signal:
    """TRANSPOSE_CONV2D, which scatters; a negative output pad crops what padding takes away."""
    graph, signal, weight = step.graph, step.signals[0], op.weight.transpose(0, 2, 3, 1)
    end = op.output_padding - op.padding
    pads: Pads = (-op.padding, end, -op.padding, end)

    def kernel(x: Value, x_zero: int, part: np.ndarray, w_zero: int, bias: np.ndarray) -> Value:
        return graph.transposed_convolution(x, x_zero, part, w_zero, bias, op.stride, pads)

    reach = op.reach([Reach(signal.lo, signal.hi)], step.target)
    return accumulated(graph, signal, weight, op.bias, kernel, reach)
