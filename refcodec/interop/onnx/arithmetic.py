"""Rounding, division and square root in integer ONNX (SPEC RND-1, DIV-1, ISQRT-1).

Every function takes what its operands can be, proves that nothing on the way leaves 64 bits, and refuses otherwise.
"""

from __future__ import annotations

import numpy as np

from refcodec.errors import ExportError
from refcodec.interop.onnx.graph import INT32, INT64, Graph, Wire
from refcodec.interop.onnx.translation import per_channel

LIMIT, SHORT = 1 << 63, 1 << 31
Ends = tuple[np.ndarray, np.ndarray]


def objects(values: np.ndarray) -> np.ndarray:
    """The same integers as Python integers, which cannot wrap."""
    return np.asarray(values).astype(object)


def joint(lo: int, hi: int, factor: int) -> Ends:
    """The ends, (1,), of sums of values of lo .. hi whose weights are not negative and sum to `factor`."""
    return np.array([lo * factor], object), np.array([hi * factor], object)


def require_bits(graph: Graph, magnitude: int, what: str) -> None:
    """Raise ExportError RC-EXPORT unless a magnitude fits 64 bits."""
    if magnitude >= LIMIT:
        raise ExportError("RC-EXPORT", f"{graph.scope}: {what} may need {magnitude.bit_length() + 1} bits, not 64")


def rounding_shift(graph: Graph, values: Wire, ends: Ends, shift: np.ndarray, offset: int = 0) -> Wire:
    """((values + 2**(shift-1)) >> shift) + offset (SPEC RND-1).

    values  int64;  ends  (C,) the smallest and the largest of them in each channel, or (1,) in all
    shift  (C,) or (1,), 0 .. 62.
    Returns int32 where the result provably fits, else int64.  Raises ExportError RC-EXPORT.
    """
    unit = np.array([1 << int(s) for s in shift], object)
    return floor_division(graph, values, ends, unit // 2, unit, offset)


def floor_division(
    graph: Graph, values: Wire, ends: Ends, addend: np.ndarray, unit: np.ndarray, offset: int = 0
) -> Wire:
    """(values + addend) // unit + offset, by constants of each channel (SPEC DIV-1).

    values, ends  as for `rounding_shift`;  addend, unit  (C,) or (1,) Python integers, 0 or more and 1 or more.
    Returns int32 where the result provably fits, else int64.  Raises ExportError RC-EXPORT.
    """
    least, largest = (objects(end) + addend for end in ends)
    # ONNX divides towards zero. `raised` whole units make the dividend positive, and leave the quotient again.
    raised = np.where(unit > 1, np.maximum(-(least // unit), 0), 0)
    if (np.maximum(largest, addend) + raised * unit).max() >= LIMIT:
        require_bits(graph, int(np.maximum(largest, -(least // unit * unit)).max()), "a dividend")
        rounded = graph.add(values, per_channel(graph, addend, INT64))
        return graph.add(graph.floor_div(rounded, per_channel(graph, unit, INT64)), offset)
    quotient = graph.add(values, per_channel(graph, addend + raised * unit, INT64))
    if (unit > 1).any():
        quotient = graph.div(quotient, per_channel(graph, unit, INT64))
    reached = [least // unit + raised, largest // unit + raised, least // unit + offset, largest // unit + offset]
    if max(int(np.abs(end).max()) for end in reached) < SHORT:
        quotient = graph.cast(quotient, INT32)
    return graph.sub(quotient, per_channel(graph, raised - offset, quotient.dtype))


def rounding_division(graph: Graph, numerator: Wire, denominator: Wire, bound: int, largest: int) -> Wire:
    """(2 * numerator + denominator) // (2 * denominator) for a denominator that is a tensor (SPEC DIV-1).

    bound  largest magnitude of the numerator;  largest  of the denominator, which is 1 or more.
    """
    require_bits(graph, 2 * bound + 3 * largest, "a doubled numerator")  # what the remainder takes off included
    doubled = graph.add(graph.mul(numerator, 2), denominator)
    return graph.floor_div(doubled, graph.mul(denominator, 2))


def isqrt(graph: Graph, values: Wire, largest: int) -> Wire:
    """Floor of the square root of int64 values of 0 .. largest, below 2**62, bit by bit (SPEC ISQRT-1)."""
    root = graph.constant(0, INT64)
    raised = graph.add(values, 1)  # candidate**2 <= value is value + 1 > candidate**2
    for bit in reversed(range(max((largest.bit_length() + 1) // 2, 1))):
        candidate = graph.add(root, 1 << bit)
        root = graph.select(graph.above(raised, graph.mul(candidate, candidate)), candidate, root)
    return root
