"""TOSA recipes of divisive normalisation and its inverse (SPEC GDN-1 to GDN-4)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.tosa.convolution import pointwise
from refcodec.interop.tosa.division import rounded_quotient
from refcodec.interop.tosa.graph import Graph, Value
from refcodec.interop.tosa.isqrt import isqrt
from refcodec.interop.tosa.requantise import rescaled
from refcodec.interop.tosa.signal import Signal, Step, fits, saturated, wide_value
from refcodec.interop.tosa.words import BYTE, joined, shifted, split_constant
from refcodec.program.operations import Gdn, InverseGdn
from refcodec.program.reach import Reach


def gdn(step: Step, op: Gdn) -> Signal:
    """An INTDIV, where twice the numerator and its denominator fit INT32."""
    graph = step.graph
    value, divisor = _operands(graph, step.signals[0], op)
    numerator = graph.multiply(value, graph.channels(op.scale, 4))
    if op.offset.any():
        numerator = graph.add(numerator, graph.multiply(divisor, graph.channels(op.offset, 4)))
    denominator = graph.multiply(divisor, graph.scalar(1 << op.fraction, 4))
    return saturated(graph, rounded_quotient(graph, numerator, denominator), step.target.format)


def inverse_gdn(step: Step, op: InverseGdn) -> Signal:
    """A product and a requantisation."""
    graph = step.graph
    value, divisor = _operands(graph, step.signals[0], op)
    product = multiplied(graph, value, divisor, op.offset)
    return rescaled(graph, product, op.multiplier, op.shift, step.target.format)


def _operands(graph: Graph, signal: Signal, op: Gdn | InverseGdn) -> tuple[Value, Value]:
    """Samples and their divisors, INT32."""
    value = wide_value(graph, signal)
    power = graph.multiply(value, value) if op.squared else graph.absolute(value)
    near = np.maximum(np.maximum(value.lo, -value.hi), 0)
    far = np.maximum(-value.lo, value.hi)
    power = graph.tighten(power, near**2 if op.squared else near, far**2 if op.squared else far)
    norm = pointwise(graph, power, op.gamma.astype(np.int64), op.beta)
    return value, isqrt(graph, norm, op.norm_shift) if op.squared else shifted(graph, norm, op.norm_shift)


def multiplied(graph: Graph, value: Value, divisor: Value, offset: np.ndarray) -> Signal:
    """value * divisor + offset, of INT32 values of up to 16 bits and divisors of 0 or more; offset (C,)."""
    lo = np.minimum(value.lo * divisor.hi, value.lo * divisor.lo) + offset
    hi = np.maximum(value.hi * divisor.hi, value.hi * divisor.lo) + offset
    reach = Reach(lo, hi)
    if fits(*reach.joint(), "INT32") and fits(*Reach(lo - offset, hi - offset).joint(), "INT32"):
        return Signal(graph.add(graph.multiply(value, divisor), graph.channels(offset, 4)))
    scales = list(range(0, int(divisor.hi.max()).bit_length(), BYTE))
    shares = split_constant(offset, scales)
    planes = {}
    for scale in scales:
        rest = graph.shift_right(divisor, np.array([scale])) if scale else divisor
        digit = graph.low_bits(rest, BYTE) if scale != scales[-1] else rest
        planes[scale] = graph.add(graph.multiply(value, digit), graph.channels(shares[scale], 4))
    return joined(graph, planes, reach)
