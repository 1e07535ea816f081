"""Convolutions in integer ONNX (SPEC CONV-2).

ConvInteger takes uint8 only and sums in int32, so wider activations and weights are split into bytes, and channels into
spans whose sums are proven to fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from refcodec.errors import ExportError
from refcodec.interop.onnx.graph import INT32, INT64, UINT8, Graph, Wire
from refcodec.interop.onnx.translation import SIGNED_ZERO, Held, Plane, Translation, per_channel
from refcodec.program.operations import Convolution

LIMIT = 1 << 31


@dataclass(frozen=True, slots=True)
class Window:
    """How a kernel moves: stride, padding (top, left, bottom, right), and channels in groups of one or in one group."""

    stride: int
    pads: tuple[int, int, int, int]
    depthwise: bool = False


POINT = Window(1, (0, 0, 0, 0))


@dataclass(frozen=True, slots=True)
class Part:
    """A byte of every weight, (O, C, K, K): the whole is the sum over the parts of values * weight."""

    values: np.ndarray
    zero: int
    weight: int


def weight_parts(weight: np.ndarray) -> list[Part]:
    """Weights as bytes, the uppermost one signed if any weight is negative."""
    whole, parts, unit = weight.astype(np.int64), [], 1
    zero = SIGNED_ZERO if whole.min() < 0 else 0
    while whole.min() < -zero or whole.max() > 255 - zero:
        parts.append(Part(whole & 255, 0, unit))
        whole, unit = whole >> 8, unit * 256
    return [*parts, Part(whole, zero, unit)]


def spans(bounds: np.ndarray, scope: str) -> Iterator[tuple[int, int]]:
    """Runs of input channels whose sums stay below 2**31 in every output channel.

    bounds  (O, C) largest magnitude that each input channel can contribute.
    """
    start, total = 0, np.zeros(len(bounds), np.int64)
    for channel in range(bounds.shape[1]):
        total = total + bounds[:, channel]
        if total.max() >= LIMIT:
            if channel == start:
                raise ExportError("RC-EXPORT", f"{scope}: one input channel alone may leave 32 bits")
            yield start, channel
            start, total = channel, bounds[:, channel].copy()
    yield start, bounds.shape[1]


def _one(graph: Graph, plane: Plane, part: Part, window: Window, span: tuple[int, int]) -> Wire:
    start, stop = span
    x, values = plane.wire, part.values
    if (start, stop) != (0, values.shape[1]):
        x, values = graph.slice(x, 1, start, stop), values[:, start:stop]
    zeros = [graph.constant(zero, UINT8) for zero in (plane.zero, part.zero)]
    attributes = {
        "kernel_shape": list(values.shape[2:]),
        "strides": [window.stride] * 2,
        "pads": list(window.pads),
        "group": len(values) if window.depthwise else 1,
    }
    return graph.call("ConvInteger", [x, graph.constant(values + part.zero, UINT8), *zeros], attributes, INT32)


def accumulate(graph: Graph, planes: list[Plane], weight: np.ndarray, bias: np.ndarray, window: Window) -> Wire:
    """Accumulators, int32 where one convolution and its bias provably fit, else int64.

    planes  of the source;  weight  (O, C, K, K), C = 1 if depthwise;  bias  (O,).  Raises ExportError RC-EXPORT.
    """
    parts = weight_parts(weight)
    sums, largest = [], 0
    for plane in planes:
        for part in parts:
            bounds = np.abs(part.values).sum(axis=(2, 3)) * _seen(plane.magnitude, window)
            largest = int((bounds.sum(axis=1) + np.abs(bias)).max())
            for span in spans(bounds, graph.scope):
                sums.append((_one(graph, plane, part, window, span), plane.weight * part.weight))
    if len(sums) == 1 and largest < LIMIT:
        return graph.add(sums[0][0], per_channel(graph, bias, INT32))
    total = graph.constant(bias.reshape(-1, 1, 1), INT64)
    for wire, scale in sums:
        total = graph.add(graph.mul(graph.cast(wire, INT64), scale), total)
    return total


def _seen(magnitude: np.ndarray, window: Window) -> np.ndarray:
    """Magnitudes of the channels (C,) as they meet weights (O, C, ...)."""
    return magnitude[:, None] if window.depthwise else magnitude[None, :]


def convolution(t: Translation, op: Convolution) -> Held:
    """One ConvInteger for each pair of bytes, and the bias."""
    return Held(accumulate(t.graph, t.planes(op.source), op.weight, op.bias, Window(op.stride, (op.padding,) * 4)))
