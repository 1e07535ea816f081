"""Positional encodings in integer ONNX (SPEC PE-1, PE-2)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.onnx.arithmetic import joint, rounding_shift
from refcodec.interop.onnx.graph import INT64, Graph, Wire
from refcodec.interop.onnx.translation import Held, Translation
from refcodec.program.operations import PositionalEncoding

TURN_BITS, NODE_BITS, PART_BITS = 40, 24, 28


def sine(graph: Graph, phase: Wire, nodes: np.ndarray, fraction: int) -> Wire:
    """The sine of phases of 0 .. 2**40 - 1, of which 2**40 are a turn, in units of 2**-fraction (SPEC PE-1)."""
    half, quarter = 1 << TURN_BITS - 1, 1 << TURN_BITS - 2
    place = graph.mod(phase, half)
    mirrored = graph.sub(graph.constant(half, INT64), place)
    place = graph.select(graph.above(place, quarter), mirrored, place)
    index, part = graph.div(place, 1 << PART_BITS), graph.mod(place, 1 << PART_BITS)
    entries = nodes.astype(np.int64)
    node = graph.gather(graph.constant(entries << PART_BITS, INT64), index)
    rise = graph.gather(graph.constant(np.append(np.diff(entries), 0), INT64), index)
    value = graph.add(node, graph.mul(rise, part))
    negative = graph.sub(graph.constant(0, INT64), value)
    value = graph.select(graph.above(phase, half - 1), negative, value)
    ends = joint(-1, 1, 1 << NODE_BITS + PART_BITS)
    return rounding_shift(graph, value, ends, np.array([NODE_BITS + PART_BITS - fraction]))


def positional_encoding(t: Translation, op: PositionalEncoding) -> Held:
    """Phases of all sines and cosines in the order of the channels, a cosine a quarter of a turn ahead."""
    graph, count = t.graph, len(op.increments)
    ahead = np.array([0, 1 << TURN_BITS - 2])
    steps = np.repeat(op.increments, 2) if op.interleaved else np.tile(op.increments, 2)
    start = np.tile(ahead, count) if op.interleaved else np.repeat(ahead, count)
    product = graph.mul(t.wide(op.source), graph.constant(steps.reshape(-1, 1, 1), INT64))
    phase = graph.add(product, graph.constant(start.reshape(-1, 1, 1), INT64))
    values = sine(graph, graph.mod(phase, 1 << TURN_BITS), op.nodes, op.fraction)
    return t.narrow(values, t.format(op.target))
