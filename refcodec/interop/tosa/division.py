"""TOSA recipes of divisions (SPEC DIV-1)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.tosa.graph import Graph, Value


def floor_quotient(graph: Graph, numerator: Value, denominator: Value) -> Value:
    """floor(numerator / denominator), INT32, for denominators of 1 or more.

    INTDIV truncates. The floor of a negative a is -1 - (-1 - a) // b, and of a and -1 - a the one that is not negative
    is the larger.
    """
    rank = len(numerator.shape)
    if int(numerator.lo.min()) >= 0:
        return graph.divide(numerator, denominator)
    one = graph.scalar(1, rank)
    magnitude = graph.maximum(numerator, graph.subtract(graph.scalar(-1, rank), numerator))
    quotient = graph.divide(graph.tighten(magnitude, np.zeros(1, np.int64), magnitude.hi), denominator)
    negative = graph.cast(graph.compare("GREATER", graph.scalar(0, rank), numerator), "INT32")
    sign = graph.subtract(one, graph.multiply(negative, graph.scalar(2, rank)))
    floored = graph.subtract(graph.multiply(quotient, sign), negative)
    corners = np.broadcast_arrays(
        *(end // side for end in (numerator.lo, numerator.hi) for side in (denominator.lo, denominator.hi))
    )
    return graph.tighten(floored, np.min(corners, axis=0), np.max(corners, axis=0))


def rounded_quotient(graph: Graph, numerator: Value, denominator: Value) -> Value:
    """numerator / denominator, halves upwards, INT32: floor of (2 * numerator + denominator) / (2 * denominator)."""
    two = graph.scalar(2, len(numerator.shape))
    raised = graph.add(graph.multiply(numerator, two), denominator)
    return floor_quotient(graph, raised, graph.multiply(denominator, two))


def rounded_fraction(graph: Graph, numerator: Value, unit: int) -> Value:
    """numerator / unit, halves upwards, INT32, for an even constant."""
    rank = len(numerator.shape)
    raised = graph.add(numerator, graph.scalar(unit >> 1, rank))
    if unit & (unit - 1) == 0:
        return graph.shift_right(raised, np.array([unit.bit_length() - 1]))
    return floor_quotient(graph, raised, graph.scalar(unit, rank))
