"""Leaky requantisation in integer ONNX (SPEC LEAKY-1)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from refcodec.interop.onnx.arithmetic import objects, rounding_shift
from refcodec.interop.onnx.graph import INT64, Wire
from refcodec.interop.onnx.translation import Held, Translation, per_channel, scattered, storage, widen
from refcodec.program.operations import LeakyRequantise


def leaky_requantise(t: Translation, op: LeakyRequantise) -> Held:
    """Choose the multiplier by the sign, then requantise; phases stay where they are."""
    graph, held, reach, fmt = t.graph, t.held[op.source], t.reaches[op.source], t.format(op.target)
    above, below = (scattered(m, held) for m in (op.multiplier, op.negative_multiplier))
    lo, hi = (
        np.where(end < 0, objects(end) * objects(below), objects(end) * objects(above))
        for end in (scattered(reach.lo, held), scattered(reach.hi, held))
    )
    accumulator = widen(graph, held)
    negative = graph.above(graph.constant(0, INT64), accumulator)
    multiplier = graph.select(negative, per_channel(graph, below, INT64), _wire(t, above))
    _, zero = storage(fmt)
    products = graph.mul(accumulator, multiplier)
    shifted = rounding_shift(graph, products, (lo, hi), scattered(op.shift, held), zero)
    return replace(held, wire=t.finish(shifted, fmt), zero=zero)


def _wire(t: Translation, values: np.ndarray) -> Wire:
    return t.graph.constant(values.reshape(-1, 1, 1), INT64)
