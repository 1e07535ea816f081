"""Integers as bits of the adaptive binary coder, with contexts from their neighbours (SPEC WC-2 to WC-5)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

from refcodec import fixed
from refcodec.entropy.adaptive_binary import (
    DONE,
    LONGEST_BIN,
    MALFORMED,
    MOST_PENDING,
    NEW_CONTEXT,
    OUT_OF_RANGE,
    START_BITS,
    START_INTERVAL,
    TRUNCATED,
    PlainDecoder,
    end_of,
    finish,
    finish_bytes,
    is_beyond,
    put_bit,
    put_even_bit,
    read_bytes,
    refuse,
    start_bytes,
    take_bit,
    take_even_bit,
    write_bytes,
)
from refcodec.entropy.tables import SYMBOL_HI, SYMBOL_LO
from refcodec.entropy.trellis import TRANSITIONS
from refcodec.kernel import kernel

WIDEST = 16  # digits of the largest magnitude, that of -32768
MAGNITUDES = 12  # classes of the neighbours' magnitudes
SIGNS = 9  # classes of two neighbours' signs
# Where the contexts of each kind begin (SPEC WC-4).
ZERO = 0
SIGN = ZERO + 2 * MAGNITUDES
LENGTH = SIGN + SIGNS
SHORTEST = LENGTH + MAGNITUDES * (WIDEST + 1)
FIRST = SHORTEST + 2 * MAGNITUDES
SECOND = FIRST + WIDEST + 1
CONTEXTS = SECOND + 2 * (WIDEST + 1)
EVEN_BITS = WIDEST - 3  # of one integer
LONGEST_INTEGER = (1 + 1 + (WIDEST - 1) + 2) * LONGEST_BIN + EVEN_BITS  # bits
ENDING = 3  # bytes that are written beside those of the integers, at most
# Bits that may be taken between two moments at which bytes are read or written: a question about the number of digits,
# the two highest digits below the leading one, and the others. Before such a moment there are no more than two.
STRETCH = 3 * LONGEST_BIN + EVEN_BITS
FULLEST = MOST_PENDING - STRETCH


class Mode(NamedTuple):
    """How a tensor is coded (SPEC WC-3, WC-6).

    neighbours  whether contexts see the magnitudes around an integer;  slowest  rate of all contexts, 7..9
    dependent  whether the integers are levels of the trellis of DQ-3, whose state contexts then see.
    """

    neighbours: bool
    slowest: int
    dependent: bool


@kernel
def digits(magnitude):
    """The number of binary digits (SPEC WC-3)."""
    count = 0
    while magnitude >> count:
        count += 1
    return count


@kernel
def sign_class(value):
    """0, 1 or 2 for zero, negative, positive (SPEC WC-2)."""
    return 0 if value == 0 else 1 if value < 0 else 2


@kernel
def _classes(values, i, row, taps, neighbours):
    """Magnitude class and sign class of what surrounds integer i (SPEC WC-2, WC-3)."""
    place = i % row
    left = np.int64(values[i - 1]) if place > 0 else np.int64(0)
    if not neighbours:
        return 0, sign_class(left)
    inner = np.int64(values[i - taps]) if place >= taps else np.int64(0)
    outer = np.int64(values[i - row]) if i >= row else np.int64(0)
    total = abs(left) + abs(inner) + 2 * abs(outer)
    return min(MAGNITUDES - 1, digits(total + (total >> 1))), 3 * sign_class(outer) + sign_class(left)


@kernel
def _length_context(near, odd, count):
    """The context of the question whether a magnitude has fewer than `count` digits (SPEC WC-4)."""
    return SHORTEST + 2 * near + odd if count == 2 else LENGTH + near * (WIDEST + 1) + count


@kernel
def _put(content, contexts, coder, slowest, width, classes, integer):
    """Code an integer (SPEC WC-5); bytes written, low end, interval, pending bits."""
    written, low, interval, pending = coder
    near, sign, odd = classes
    if pending > FULLEST:
        written, low, pending = write_bytes(content, written, low, pending)
    c = ZERO + 2 * near + odd
    low, interval, pending, contexts[c] = put_bit(low, interval, pending, contexts[c], slowest, integer != 0)
    if integer == 0:
        return written, low, interval, pending
    c = SIGN + sign
    low, interval, pending, contexts[c] = put_bit(low, interval, pending, contexts[c], slowest, integer < 0)
    magnitude = abs(integer)
    count = digits(magnitude)
    for n in range(width, max(count, 2) - 1, -1):
        if pending > FULLEST:
            written, low, pending = write_bytes(content, written, low, pending)
        c = _length_context(near, odd, n)
        low, interval, pending, contexts[c] = put_bit(low, interval, pending, contexts[c], slowest, count < n)
    if count > 1:
        c, bit = FIRST + count, magnitude >> (count - 2) & 1
        low, interval, pending, contexts[c] = put_bit(low, interval, pending, contexts[c], slowest, bit == 1)
        if count > 2:
            c, bit = SECOND + 2 * count + bit, magnitude >> (count - 3) & 1
            low, interval, pending, contexts[c] = put_bit(low, interval, pending, contexts[c], slowest, bit == 1)
    for place in range(count - 4, -1, -1):
        low, pending = put_even_bit(low, interval, pending, magnitude >> place & 1)
    return written, low, interval, pending


@kernel
def _take(content, contexts, coder, slowest, width, classes):
    """Decode an integer (SPEC WC-5); it, and the byte to read next, value, interval, bits ready."""
    place, value, interval, ready = coder
    near, sign, odd = classes
    if ready < STRETCH:
        place, value, ready = read_bytes(content, place, value, ready)
    c = ZERO + 2 * near + odd
    bit, value, interval, ready, contexts[c] = take_bit(value, interval, ready, contexts[c], slowest)
    if not bit:
        return 0, (place, value, interval, ready)
    c = SIGN + sign
    negative, value, interval, ready, contexts[c] = take_bit(value, interval, ready, contexts[c], slowest)
    count, magnitude = width, 1
    while count > 1 and bit:
        if ready < STRETCH:
            place, value, ready = read_bytes(content, place, value, ready)
        c = _length_context(near, odd, count)
        bit, value, interval, ready, contexts[c] = take_bit(value, interval, ready, contexts[c], slowest)
        count -= bit
    if count > 1:
        c = FIRST + count
        bit, value, interval, ready, contexts[c] = take_bit(value, interval, ready, contexts[c], slowest)
        magnitude = 2 + bit
        if count > 2:
            c = SECOND + 2 * count + bit
            bit, value, interval, ready, contexts[c] = take_bit(value, interval, ready, contexts[c], slowest)
            magnitude = 2 * magnitude + bit
    for _ in range(count - 3):
        bit, value, ready = take_even_bit(value, interval, ready)
        magnitude = 2 * magnitude + bit
    return -magnitude if negative else magnitude, (place, value, interval, ready)


@kernel
def _encode(values, row, taps, width, neighbours, slowest, dependent, content):
    """The number of bytes."""
    contexts = np.full(CONTEXTS, NEW_CONTEXT, np.int64)
    coder, state = (0, 0, START_INTERVAL, START_BITS), 0
    for i in range(values.size):
        near, sign = _classes(values, i, row, taps, neighbours)
        integer = np.int64(values[i])
        coder = _put(content, contexts, coder, slowest, width, (near, sign, state & 1), integer)
        if dependent:
            state = TRANSITIONS[state, integer & 1]
    written, low, _, pending = coder
    return finish_bytes(content, written, low, pending)


@kernel
def _decode(content, begin, row, taps, width, neighbours, slowest, dependent, values):
    """Status, and the byte after the last one taken."""
    contexts = np.full(CONTEXTS, NEW_CONTEXT, np.int64)
    place, value, ready = start_bytes(content, begin)
    if value >> ready >= START_INTERVAL:
        return MALFORMED, begin
    coder, state = (place, value, START_INTERVAL, ready), 0
    for i in range(values.size):
        near, sign = _classes(values, i, row, taps, neighbours)
        integer, coder = _take(content, contexts, coder, slowest, width, (near, sign, state & 1))
        place, value, _, ready = coder
        if is_beyond(content, place, ready):
            return TRUNCATED, content.size
        if integer < SYMBOL_LO or integer > SYMBOL_HI:
            return OUT_OF_RANGE, end_of(place, ready)
        values[i] = integer
        if dependent:
            state = TRANSITIONS[state, integer & 1]
    return finish(content, place, value, ready), min(content.size, end_of(place, ready))


def largest_digits(values: np.ndarray) -> int:
    """The number of binary digits of the largest magnitude (SPEC WC-1)."""
    return max(-int(values.min()), int(values.max())).bit_length()


def encode_adaptive(values: np.ndarray, width: int, mode: Mode) -> bytes:
    """The bytes of the integers of a tensor (SPEC WC-5).

    values  (O, I, K) contiguous int32, -32768 .. 32767, not all zero;  width  digits of the largest magnitude.
    """
    content = np.empty((values.size * LONGEST_INTEGER >> 3) + ENDING, np.uint8)
    row, taps = values.shape[1] * values.shape[2], values.shape[2]
    return content[: _encode(values.reshape(-1), row, taps, width, *mode, content)].tobytes()


def decode_adaptive(
    payload: bytes, begin: int, shape: tuple[int, int, int], width: int, mode: Mode, offset: int
) -> tuple[np.ndarray, int]:
    """The integers of a tensor, int32, and the byte of the payload after them (SPEC WC-5).

    begin  byte of the payload where they begin;  offset  of the payload in its container, for errors.
    Raises StreamError RC-STREAM-TRUNCATED, RC-STREAM-WEIGHTS, RC-STREAM-SYMBOL.
    """
    values = np.empty(shape, np.int32)
    content, row = np.frombuffer(payload, np.uint8), shape[1] * shape[2]
    status, end = _decode(content, begin, row, shape[2], width, *mode, values.reshape(-1))
    refuse(status, offset + end)
    return values, end


# --- definition


def _take_plain(decoder: PlainDecoder, width: int, near: int, sign: int, odd: int) -> int:
    """One integer (SPEC WC-5)."""
    if not decoder.bit(("zero", near, odd)):
        return 0
    negative = decoder.bit(("sign", sign))
    count = width
    while count > 1 and decoder.bit(_length_name(near, odd, count)):
        count -= 1
    magnitude = 1
    if count > 1:
        magnitude = 2 * magnitude + decoder.bit(("first", count))
    if count > 2:
        magnitude = 2 * magnitude + decoder.bit(("second", count, magnitude % 2))
    for _ in range(count - 3):
        magnitude = 2 * magnitude + decoder.even_bit()
    return -magnitude if negative else magnitude


def _length_name(near: int, odd: int, count: int) -> Hashable:
    return ("length", near, count, odd if count == 2 else 0)


def decode_adaptive_plain(
    payload: bytes, begin: int, shape: tuple[int, int, int], width: int, mode: Mode
) -> tuple[np.ndarray, int]:
    """The definition of `decode_adaptive` on Python integers (SPEC WC-5)."""
    decoder = PlainDecoder(payload, begin, mode.slowest)
    values = np.zeros(shape, np.int32)
    state = 0
    for o, i, k in np.ndindex(shape):
        left = int(values[o, i, k - 1]) if k else int(values[o, i - 1, -1]) if i else 0
        inner = int(values[o, i - 1, k]) if i else 0
        outer = int(values[o - 1, i, k]) if o else 0
        near = fixed.magnitude_class(left, inner, outer) if mode.neighbours else 0
        sign = fixed.sign_class(left) + 3 * (fixed.sign_class(outer) if mode.neighbours else 0)
        value = _take_plain(decoder, width, near, sign, state % 2)
        refuse(OUT_OF_RANGE if not SYMBOL_LO <= value <= SYMBOL_HI else DONE, min(decoder.end, len(payload)))
        values[o, i, k] = value
        state = fixed.trellis_state(state, value) if mode.dependent else 0
    decoder.finish()
    return values, decoder.end
