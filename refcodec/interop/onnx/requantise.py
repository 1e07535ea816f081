"""Requantisation in integer ONNX (SPEC RQ-1)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from refcodec.errors import RefcodecError
from refcodec.interop.onnx.graph import INT64, Wire
from refcodec.interop.onnx.translation import Held, Translation, per_channel, scattered, storage, widen
from refcodec.program.operations import Requantise

LIMIT = 1 << 63


def objects(values: np.ndarray) -> np.ndarray:
    """The same integers as Python integers, which cannot wrap."""
    return values.astype(object)


def rounding_shift(
    t: Translation, values: Wire, lo: np.ndarray, hi: np.ndarray, shift: np.ndarray, offset: int = 0
) -> Wire:
    """((values + 2**(shift-1)) >> shift) + offset, for int64 values of lo .. hi in each channel (SPEC RND-1).

    lo, hi, shift  (C,) integers, C the channels of `values`; a shift of zero leaves its channel as it is.
    Raises RefcodecError RC-EXPORT where a value on the way does not fit 64 bits.
    """
    graph = t.graph
    half = np.array([1 << int(s) >> 1 for s in shift], object)
    unit = np.array([1 << int(s) for s in shift], object)
    least, largest = objects(lo) + half, objects(hi) + half
    # ONNX divides towards zero. `raised` whole units make the dividend positive, and leave the quotient again.
    raised = np.maximum(-(least // unit), 0)
    if (unit == 1).all():
        return graph.add(values, offset)
    if (np.maximum(largest, half) + raised * unit).max() < LIMIT:
        dividend = graph.add(values, per_channel(graph, half + raised * unit, INT64))
        quotient = graph.div(dividend, per_channel(graph, unit, INT64))
        return graph.sub(quotient, per_channel(graph, raised - offset, INT64))
    if (least // unit * unit).min() < -LIMIT or largest.max() >= LIMIT:
        raise RefcodecError("RC-EXPORT", f"{graph.scope}: sums before the shift may leave 64 bits")
    rounded = graph.add(values, per_channel(graph, half, INT64))
    return graph.add(graph.floor_div(rounded, per_channel(graph, unit, INT64)), offset)


def requantise(t: Translation, op: Requantise) -> Held:
    """Multiply, shift with one rounding, saturate; phases of a transposed convolution stay where they are."""
    held, reach, fmt = t.held[op.source], t.reaches[op.source], t.format(op.target)
    multiplier, shift = scattered(op.multiplier, held), scattered(op.shift, held)
    lo, hi = (objects(scattered(end, held)) * objects(multiplier) for end in (reach.lo, reach.hi))
    products = t.graph.mul(widen(t.graph, held), per_channel(t.graph, multiplier, INT64))
    _, zero = storage(fmt)
    return replace(held, wire=t.finish(rounding_shift(t, products, lo, hi, shift, zero), fmt), zero=zero)
