"""TOSA recipes of convolutions (SPEC CONV-2).

TOSA multiplies INT8 by INT8, and INT16 by INT8 with the extension EXT-INT16. Anything wider is split into bytes: a
value is 256 * high + low, and the partial accumulators of the bytes are put together again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refcodec.interop.tosa.graph import Graph, Pads, Value
from refcodec.interop.tosa.signal import Signal, Step, fits, wide_value
from refcodec.interop.tosa.words import BYTE, byte_signals, joined, split_constant
from refcodec.program.operations import Convolution, Linear, MaskedConvolution
from refcodec.program.reach import Reach

# x, its zero point, weight, its zero point, bias -> accumulators
Kernel = Callable[[Value, int, np.ndarray, int, np.ndarray], Value]


@dataclass(frozen=True, slots=True, eq=False)
class WeightPart:
    """Weights in INT8, less their zero point, that count 2**scale."""

    weight: np.ndarray
    zero_point: int
    scale: int


def weight_parts(weight: np.ndarray) -> list[WeightPart]:
    """Weights of up to 8 bits, with or without a sign, as they are, wider ones as two bytes."""
    if fits(int(weight.min()), int(weight.max()), "INT8"):
        return [WeightPart(weight, 0, 0)]
    if int(weight.min()) >= 0 and int(weight.max()) <= 255:
        return [WeightPart(weight - 128, -128, 0)]
    high = weight_parts(weight >> 8)[0]
    return [WeightPart(high.weight, high.zero_point, 8), WeightPart((weight & 255) - 128, -128, 0)]


def convolution(step: Step, op: Convolution) -> Signal:
    """CONV2D, on bytes where it must be."""
    return convolved(step, op, op.weight, op.stride, op.padding)


def convolved(
    step: Step, op: Convolution | MaskedConvolution | Linear, weight: np.ndarray, stride: int, padding: int
) -> Signal:
    """Accumulators of anything that is a convolution with weights (O, C, K, K)."""
    graph, kernels = step.graph, weight.transpose(0, 2, 3, 1)
    signal, pads = exact_windows(graph, step.signals[0], kernels.shape[1], stride, padding)

    def kernel(x: Value, x_zero: int, part: np.ndarray, w_zero: int, bias: np.ndarray) -> Value:
        return graph.convolution(x, x_zero, part, w_zero, bias, stride, pads)

    reach = op.reach([Reach(signal.lo, signal.hi)], step.target)
    return accumulated(graph, signal, kernels, op.bias, kernel, reach)


def exact_windows(graph: Graph, signal: Signal, kernel: int, stride: int, padding: int) -> tuple[Signal, Pads]:
    """The pads with which the last windows end at the border, and the input without what no window reads."""
    pads, kept = [], []
    for length in signal.value.shape[1:3]:
        spare = (length + 2 * padding - kernel) % stride
        pads += [padding, max(padding - spare, 0)]
        kept.append(length - max(spare - padding, 0))
    _, _, _, channels = signal.value.shape
    value = graph.slice(signal.value, (0, 0, 0, 0), (1, kept[0], kept[1], channels))
    low = graph.slice(signal.low, (0, 0, 0, 0), (1, kept[0], kept[1], channels)) if signal.low else None
    return Signal(value, signal.zero_point, low), (pads[0], pads[1], pads[2], pads[3])


def accumulated(
    graph: Graph,
    signal: Signal,
    weight: np.ndarray,
    bias: np.ndarray,
    kernel: Kernel,
    reach: Reach,
) -> Signal:
    """The accumulators of a linear layer, which lie in `reach`.

    weight  as the kernel takes it;  bias  (O,).
    """
    parts = weight_parts(weight)
    if signal.value.dtype == "INT16" and len(parts) == 1 and fits(*reach.joint(), "INT32"):
        accumulator = kernel(signal.value, 0, parts[0].weight, parts[0].zero_point, bias)  # INT48, for RESCALE only
        return Signal(graph.rescale(accumulator, np.array([1 << 14]), np.array([14]), "INT32"))
    activations = [(signal, 0)] if signal.value.dtype == "INT8" else byte_signals(graph, wide_value(graph, signal))
    scales = sorted({scale + part.scale for _, scale in activations for part in parts})
    while not fits(*reach.joint(), "INT32") and int(np.abs(bias >> scales[-1]).max()) >> 24:
        scales.append(scales[-1] + BYTE)  # a bias that would leave the sums of products no room has planes of its own
    biases = split_constant(bias, scales)
    planes: dict[int, Value] = {}
    for x, scale in activations:
        for part in parts:
            total = scale + part.scale
            share = np.zeros_like(bias) if total in planes else biases[total]
            plane = kernel(x.value, x.zero_point, part.weight, part.zero_point, share)
            planes[total] = graph.add(planes[total], plane) if total in planes else plane
    planes |= {scale: graph.channels(biases[scale], 4) for scale in scales if scale not in planes}
    return joined(graph, planes, reach)


def pointwise(graph: Graph, x: Value, weight: np.ndarray, bias: np.ndarray) -> Signal:
    """Sums over the channels of INT32: weight (O, I) of up to 16 bits, bias (O,)."""
    positive, negative = np.maximum(weight, 0), np.minimum(weight, 0)
    reach = Reach(bias + positive @ x.lo + negative @ x.hi, bias + positive @ x.hi + negative @ x.lo)

    def kernel(part: Value, x_zero: int, shares: np.ndarray, w_zero: int, added: np.ndarray) -> Value:
        return graph.convolution(part, x_zero, shares, w_zero, added, 1, (0, 0, 0, 0))

    return accumulated(graph, Signal(x), weight[:, None, None, :], bias, kernel, reach)
