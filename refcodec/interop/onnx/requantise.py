"""Requantisation in integer ONNX (SPEC RQ-1)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from refcodec.interop.onnx.arithmetic import Ends, objects, rounding_shift
from refcodec.interop.onnx.graph import INT64, Wire
from refcodec.interop.onnx.translation import Held, Translation, per_channel, scattered, storage, widen
from refcodec.program.operations import Requantise

Scales = tuple[np.ndarray, np.ndarray]


def scaled(t: Translation, values: Wire, reach: Ends, scales: Scales, held: Held, target: str) -> Held:
    """Multiply, shift with one rounding, saturate to the format of `target`.

    values  int64, lo .. hi of `reach` (C,) in each channel;  scales  multiplier and shift (C,)
    held  says where the phases of the values lie.
    """
    graph, fmt = t.graph, t.format(target)
    multiplier, shift = (scattered(constant, held) for constant in scales)
    lo, hi = (objects(scattered(end, held)) * objects(multiplier) for end in reach)
    _, zero = storage(fmt)
    products = graph.mul(values, per_channel(graph, multiplier, INT64))
    return replace(held, wire=t.finish(rounding_shift(graph, products, (lo, hi), shift, zero), fmt), zero=zero)


def requantise(t: Translation, op: Requantise) -> Held:
    """Requantise where the source lies: phases of a transposed convolution stay in channels."""
    held, reach = t.held[op.source], t.reaches[op.source]
    return scaled(t, widen(t.graph, held), (reach.lo, reach.hi), (op.multiplier, op.shift), held, op.target)
