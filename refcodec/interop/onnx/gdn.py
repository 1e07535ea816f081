"""Divisive normalisation and its inverse in integer ONNX (SPEC GDN-1 to GDN-4)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.onnx.arithmetic import isqrt, rounding_division, rounding_shift
from refcodec.interop.onnx.convolution import POINT, accumulate
from refcodec.interop.onnx.graph import INT32, INT64, Wire
from refcodec.interop.onnx.requantise import scaled
from refcodec.interop.onnx.translation import Held, Translation, byte_planes, per_channel
from refcodec.program.operations import Gdn, InverseGdn


def divisor(t: Translation, op: Gdn | InverseGdn) -> Wire:
    """What each sample is divided or multiplied by, int64: a 1 x 1 convolution of magnitudes or of squares."""
    graph, magnitude = t.graph, t.reaches[op.source].magnitude
    x = t.wide(op.source, INT64 if op.squared else INT32)
    power = graph.mul(x, x) if op.squared else graph.call("Abs", [x])
    planes = byte_planes(graph, power, magnitude * magnitude if op.squared else magnitude)
    norm = graph.cast(accumulate(graph, planes, op.gamma[:, :, None, None], op.beta, POINT), INT64)
    bounds = op.intermediates([t.reaches[op.source]])
    if op.squared:
        return isqrt(graph, graph.mul(norm, 1 << op.norm_shift), bounds["radicand"])
    largest = np.array([bounds["norm"]])
    return graph.cast(rounding_shift(graph, norm, (0 * largest, largest), np.array([op.norm_shift])), INT64)


def gdn(t: Translation, op: Gdn) -> Held:
    """Divide each sample by its divisor, with scale and offset, round once, saturate."""
    graph, bounds = t.graph, op.intermediates([t.reaches[op.source]])
    below = divisor(t, op)
    numerator = graph.add(
        graph.mul(t.wide(op.source), per_channel(graph, op.scale, INT64)),
        graph.mul(below, per_channel(graph, op.offset, INT64)),
    )
    denominator = graph.mul(below, 1 << op.fraction)
    quotient = rounding_division(graph, numerator, denominator, bounds["numerator"], bounds["denominator"])
    return t.saturate(quotient, t.format(op.target))


def inverse_gdn(t: Translation, op: InverseGdn) -> Held:
    """Multiply each sample by its divisor, add the offset, requantise."""
    graph = t.graph
    product = graph.mul(t.wide(op.source), divisor(t, op))
    product = graph.add(product, per_channel(graph, op.offset, INT64))
    bound = np.full(len(op.beta), op.intermediates([t.reaches[op.source]])["product"], object)
    return scaled(t, product, (-bound, bound), (op.multiplier, op.shift), Held(product), op.target)
