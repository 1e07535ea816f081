"""TOSA recipes of requantisation (SPEC RQ-1)."""

from __future__ import annotations

import numpy as np

from refcodec.formats import IntFormat
from refcodec.interop.tosa.graph import Graph, Value, limits, require
from refcodec.interop.tosa.signal import WORD, Signal, Step, fits, saturated, storage, wide_value
from refcodec.program.operations import Requantise

MAX_SHIFT = 62


def normalised(multiplier: np.ndarray, shift: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """The same scales with multipliers as large as `bits` bits allow; zero multipliers get the largest shift.

    Doubling multiplier and shift together, (2 m a + 2**s) >> (s + 1), changes no result.
    """
    m, s = multiplier.astype(np.int64), shift.astype(np.int64)
    s[m == 0] = MAX_SHIFT
    for _ in range(bits - 1):
        small = (m < 1 << (bits - 1)) & (s < MAX_SHIFT)
        m, s = np.where(small, 2 * m, m), np.where(small, s + 1, s)
    return m, s


def merged(multiplier: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One scale where all channels have the same."""
    same = (multiplier == multiplier[0]).all() and (shift == shift[0]).all()
    return (multiplier[:1], shift[:1]) if same else (multiplier, shift)


def requantise(step: Step, op: Requantise) -> Signal:
    """One RESCALE, with a clamp before it where TOSA would leave it undefined, and one after it for odd widths."""
    return rescaled(step.graph, step.signals[0], op.multiplier, op.shift, step.target.format)


def rescaled(graph: Graph, signal: Signal, multiplier: np.ndarray, shift: np.ndarray, fmt: IntFormat) -> Signal:
    """A tensor scaled by multiplier / 2**shift (C,), halves upwards, limited to a format of up to 16 bits."""
    dtype, zero_point = storage(fmt)
    if _is_wide(signal) or ((fmt.lo, fmt.hi) != limits(dtype) and dtype != "INT8"):
        return saturated(graph, scaled(graph, signal, multiplier, shift), fmt)
    signal, m, s = _scale32(graph, signal, multiplier, shift)
    value = graph.rescale(signal.value, *merged(m, s), dtype, (signal.zero_point, zero_point))
    return Signal(graph.clamp(value, fmt.lo + zero_point, fmt.hi + zero_point), zero_point)


def scaled(graph: Graph, signal: Signal, multiplier: np.ndarray, shift: np.ndarray) -> Value:
    """The same as INT32 without the limits: exact up to 17 bits, and of the right sign and beyond 16 bits above."""
    if signal.low is not None and _is_wide(signal):
        return _scaled_words(graph, (signal.value, signal.low), multiplier, shift)
    signal, m, s = _scale32(graph, signal, multiplier, shift)
    return graph.rescale(signal.value, *merged(m, s), "INT32", (signal.zero_point, 0))


def _is_wide(signal: Signal) -> bool:
    return signal.low is not None and not fits(int(signal.lo.min()), int(signal.hi.max()), "INT32")


def _scale32(
    graph: Graph, signal: Signal, multiplier: np.ndarray, shift: np.ndarray
) -> tuple[Signal, np.ndarray, np.ndarray]:
    """Scales, and the tensor limited to -2**(s - 1) .. 2**(s - 1) - 1 where it could leave that, as TOSA demands.

    A multiplier below 2**30 has s = 62, and no INT32 leaves the limits. For others, |a| = 2**(s - 1) - 1 >= 1 already
    scales to 2**28 or more, beyond every format of 16 bits, as does -2**(s - 1). So does everything but zero if a shift
    of 2 stands for one of 1.
    """
    if signal.low is not None:
        signal = Signal(wide_value(graph, signal))
    m, s = normalised(multiplier, shift, 31)
    s = np.maximum(s, 2)
    half = np.int64(1) << (s - 1)
    if ((signal.lo >= -half) & (signal.hi < half)).all():
        return signal, m, s
    value = wide_value(graph, signal)
    half = np.minimum(half, 1 << 31)
    low, high = (graph.channels(end, 4) for end in (-half, half - 1))
    return Signal(graph.minimum(graph.maximum(value, low), high)), m, s


def _scaled_words(graph: Graph, words: tuple[Value, Value], multiplier: np.ndarray, shift: np.ndarray) -> Value:
    """The accumulator of a high and a low word, scaled, as INT32, by long multiplication in words of 16 bits.

    The accumulator is (a2, a1, a0), the product (q2, q1, q0), a2 and q2 with a sign. The multiplier
    is below 2**15 and the accumulator below 2**47, so every term stays below 2**31.
    """
    m, s = normalised(multiplier, shift, 15)
    require(int(s.min()) > WORD, f"{graph.scope}: a shift of {s.min()} after an accumulator of more than 32 bits")
    require(int(m.max()) < 1 << 15, f"{graph.scope}: a multiplier of more than 15 bits after one of more than 32 bits")
    (high, low), word = words, np.array([WORD])
    factor = graph.channels(m, 4)
    a1, a2 = graph.low_bits(high, WORD), graph.shift_right(high, word)
    p0 = graph.multiply(low, factor)
    p1 = graph.add(graph.multiply(a1, factor), graph.shift_right(p0, word))
    q1 = graph.low_bits(p1, WORD)
    q2 = graph.add(graph.multiply(a2, factor), graph.shift_right(p1, word))
    twice = _shifted_words(graph, q2, q1, s - 1)  # rounding: half of one more than this
    return graph.shift_right(graph.add(twice, graph.scalar(1, 4)), np.array([1]))


def _shifted_words(graph: Graph, q2: Value, q1: Value, shift: np.ndarray) -> Value:
    """floor((q2 * 2**32 + q1 * 2**16 + q0) / 2**shift) for shifts of 16 .. 61, q2 limited where the result is huge.

    From 32 on only q2 matters. Below, the result is q2 * 2**(32 - shift) + q1 >> (shift - 16), and q2 is limited to
    +-2**(shift - 13), where it alone makes 2**19.
    """
    small = shift < 32
    top = graph.shift_right(q2, np.where(small, 0, shift - 32))
    if not small.any():
        return top
    bound = np.where(small, np.int64(1) << np.maximum(shift - 13, 0), (1 << 31) - 1)
    top = graph.minimum(graph.maximum(top, graph.channels(-bound, 4)), graph.channels(bound, 4))
    top = graph.multiply(top, graph.channels(np.where(small, np.int64(1) << np.maximum(32 - shift, 0), 1), 4))
    rest = graph.shift_right(q1, np.where(small, shift - WORD, WORD))
    return graph.add(top, rest)
