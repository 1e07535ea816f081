"""Integers of up to 48 bits in TOSA's 32: bytes, and sums of values that count a power of 256.

Nothing is rounded here, and no sum can overflow: carries go up byte by byte.
"""

from __future__ import annotations

import numpy as np

from refcodec.formats import IntFormat
from refcodec.interop.tosa.graph import Graph, Value, require
from refcodec.interop.tosa.signal import WORD, Signal, fits, kept
from refcodec.program.reach import Reach

BYTE = 8
U8 = IntFormat(BYTE, False)


def byte_signals(graph: Graph, value: Value) -> list[tuple[Signal, int]]:
    """The bytes of INT32, each kept as INT8, with the power of two that it counts; the highest, which has the sign,
    comes first."""
    rest, parts, scale = value, [], 0
    while not (fits(lo := int(rest.lo.min()), hi := int(rest.hi.max()), "INT8") or (lo >= 0 and hi <= U8.hi)):
        parts.append((kept(graph, graph.low_bits(rest, BYTE), U8), scale))
        rest = graph.shift_right(rest, np.array([BYTE]))
        scale += BYTE
    return [(kept(graph, rest, IntFormat(BYTE, int(rest.lo.min()) < 0)), scale), *reversed(parts)]


def split_constant(values: np.ndarray, scales: list[int]) -> dict[int, np.ndarray]:
    """What each scale contributes to a constant: all but the largest in 0 .. 2**(distance to the next one) - 1."""
    shares, rest = {}, values.astype(np.int64)
    for scale in sorted(scales, reverse=True):
        shares[scale] = rest >> scale
        rest = rest - (shares[scale] << scale)
    return shares


def joined(graph: Graph, planes: dict[int, Value], reach: Reach) -> Signal:
    """The sum of plane * 2**scale over INT32 planes of the scales 0, 8, 16, ..., which is known to lie in `reach`.

    Kept as INT32 where that is enough, else as a high and a low word.
    """
    if not _direct(planes):
        return _carried(graph, planes, reach)
    total = planes[0]
    for scale in sorted(set(planes) - {0}):
        total = graph.add(total, graph.multiply(planes[scale], graph.scalar(1 << scale, 4)))
    return Signal(graph.tighten(total, reach.lo, reach.hi))


def _direct(planes: dict[int, Value]) -> bool:
    """Whether the planes, each at its worst, can be scaled and added within 32 bits."""
    lo, hi = 0, 0
    for scale, plane in sorted(planes.items()):
        ends = int(plane.lo.min()) << scale, int(plane.hi.max()) << scale
        lo, hi = lo + ends[0], hi + ends[1]
        if not (fits(*ends, "INT32") and fits(lo, hi, "INT32")):
            return False
    return True


def _carried(graph: Graph, planes: dict[int, Value], reach: Reach) -> Signal:
    """`joined` byte by byte: what exceeds a byte of one scale is carried to the next."""
    top = max(*planes, WORD)
    digits: list[Value] = []
    rest = planes[0]
    for scale in range(BYTE, top + 1, BYTE):
        digits.append(graph.low_bits(rest, BYTE))
        rest = graph.shift_right(rest, np.array([BYTE]))
        rest = graph.add(rest, planes[scale]) if scale in planes else rest
    rest = graph.tighten(rest, reach.lo >> top, reach.hi >> top)
    low = _assembled(graph, digits[:2])
    high = _assembled(graph, [*digits[2:], rest])
    high = graph.tighten(high, reach.lo >> WORD, reach.hi >> WORD)
    if not fits(*reach.joint(), "INT32"):
        return Signal(high, 0, low)
    total = graph.add(graph.multiply(high, graph.scalar(1 << WORD, 4)), low)
    return Signal(graph.tighten(total, reach.lo, reach.hi))


def _assembled(graph: Graph, digits: list[Value]) -> Value:
    """Bytes, the lowest first, as one INT32; the last one may have a sign and more bits."""
    total = digits[0]
    for number, digit in enumerate(digits[1:], 1):
        total = graph.add(total, graph.multiply(digit, graph.scalar(1 << (BYTE * number), 4)))
    return total


def shifted(graph: Graph, signal: Signal, shift: int) -> Value:
    """(value + 2**(shift - 1)) >> shift as INT32, and the value itself for a shift of 0; zero points are not taken."""
    half = 1 << shift >> 1
    if signal.low is None:
        if shift == 0:
            return signal.value
        return graph.shift_right(graph.add(signal.value, graph.scalar(half, 4)), np.array([shift]))
    require(shift > 0, f"{graph.scope}: an integer of more than 32 bits where one of 32 is wanted")
    if shift > WORD:  # half is a multiple of 2**16
        raised = graph.add(signal.value, graph.scalar(half >> WORD, 4))
        return graph.shift_right(raised, np.array([shift - WORD]))
    carry = graph.shift_right(graph.add(signal.low, graph.scalar(half, 4)), np.array([shift]))
    return graph.add(graph.multiply(signal.value, graph.scalar(1 << (WORD - shift), 4)), carry)
