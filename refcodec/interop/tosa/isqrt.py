"""TOSA recipe of the integer square root (SPEC ISQRT-1)."""

from __future__ import annotations

import math

import numpy as np

from refcodec.interop.tosa.graph import Graph, Value, require
from refcodec.interop.tosa.signal import WORD, Signal

MAX_ROOT_BITS = 29  # a remainder is at most twice the root, and four times it is wanted


def isqrt(graph: Graph, signal: Signal, shift: int) -> Value:
    """Floor of the root of value << shift, INT32, two bits of the radicand in each step.

    The remainder so far is that of the root so far. A step appends two bits to the radicand and one to the root: with
    remainder r and root t, the bit is 1 if 4r + bits >= 4t + 1. After the step r <= 2t.
    """
    roots = [np.array([math.isqrt(v << shift) for v in end.tolist()], np.int64) for end in (signal.lo, signal.hi)]
    steps = int(roots[1].max()).bit_length()
    require(steps <= MAX_ROOT_BITS, f"{graph.scope}: a square root of {steps} bits")
    four, two, one = (graph.scalar(v, 4) for v in (4, 2, 1))
    root = remainder = None
    for place in range(2 * steps - 2, -1, -2):
        bits = _pair(graph, signal, place - shift)
        if root is None or remainder is None:
            root = graph.cast(graph.compare("GREATER", bits, graph.scalar(0, 4)), "INT32")
            remainder = graph.subtract(bits, root)
            continue
        trial = graph.multiply(root, four)
        remainder = graph.add(graph.multiply(remainder, four), bits)
        bit = graph.cast(graph.compare("GREATER", remainder, trial), "INT32")
        remainder = graph.subtract(remainder, graph.multiply(bit, graph.add(trial, one)))
        largest = roots[1] >> (place >> 1)
        root = graph.tighten(graph.add(graph.multiply(root, two), bit), np.zeros_like(largest), largest)
        remainder = graph.tighten(remainder, np.zeros_like(largest), 2 * largest)
    if root is None:
        return graph.multiply(signal.value, graph.scalar(0, 4))  # all radicands are zero
    return graph.tighten(root, *roots)


def _pair(graph: Graph, signal: Signal, place: int) -> Value:
    """Bits place + 1 and place of an integer of 0 or more; those of negative places are zeros."""
    if place < -1:
        return graph.scalar(0, 4)
    if place == -1:
        word = signal.value if signal.low is None else signal.low
        return graph.multiply(graph.low_bits(word, 1), graph.scalar(2, 4))
    if signal.low is None:
        return _bits(graph, signal.value, place, 2)
    if place >= WORD:
        return _bits(graph, signal.value, place - WORD, 2)
    if place < WORD - 1:
        return _bits(graph, signal.low, place, 2)
    upper = graph.multiply(graph.low_bits(signal.value, 1), graph.scalar(2, 4))
    return graph.add(_bits(graph, signal.low, place, 1), upper)


def _bits(graph: Graph, word: Value, place: int, count: int) -> Value:
    if place > 31:
        return graph.scalar(0, 4)
    return graph.low_bits(graph.shift_right(word, np.array([place])), count)
