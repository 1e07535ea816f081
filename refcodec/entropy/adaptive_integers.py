"""Integers as bits of the adaptive binary coder, with contexts from their neighbours (SPEC WC-2 to WC-5)."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import numpy as np

from refcodec import fixed
from refcodec.entropy.adaptive_binary import (
    DONE,
    LONGEST_BIN,
    OUT_OF_RANGE,
    REGISTERS,
    TRUNCATED,
    PlainDecoder,
    end_byte,
    finish_decoder,
    finish_encoder,
    is_beyond,
    put_bit,
    put_even_bit,
    refuse,
    reset,
    start_decoder,
    start_encoder,
    take_bit,
    take_even_bit,
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
LONGEST_INTEGER = (1 + 1 + (WIDEST - 1) + 2) * LONGEST_BIN + WIDEST - 3  # bits
ENDING = 3  # bytes that are written beside those of the integers, at most


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
def _put(registers, content, states, slowest, width, near, sign, odd, value):
    """Code one integer (SPEC WC-5)."""
    put_bit(registers, content, states, ZERO + 2 * near + odd, slowest, value != 0)
    if value == 0:
        return
    put_bit(registers, content, states, SIGN + sign, slowest, value < 0)
    magnitude = abs(value)
    count = digits(magnitude)
    for candidate in range(width, 1, -1):
        put_bit(registers, content, states, _length_context(near, odd, candidate), slowest, count < candidate)
        if count >= candidate:
            break
    if count > 1:
        first = magnitude >> (count - 2) & 1
        put_bit(registers, content, states, FIRST + count, slowest, first)
        if count > 2:
            second = magnitude >> (count - 3) & 1
            put_bit(registers, content, states, SECOND + 2 * count + first, slowest, second)
    for place in range(count - 4, -1, -1):
        put_even_bit(registers, content, magnitude >> place & 1)


@kernel
def _take(registers, content, states, slowest, width, near, sign, odd):
    """Decode one integer (SPEC WC-5)."""
    if not take_bit(registers, content, states, ZERO + 2 * near + odd, slowest):
        return 0
    negative = take_bit(registers, content, states, SIGN + sign, slowest)
    count = width
    while count > 1 and take_bit(registers, content, states, _length_context(near, odd, count), slowest):
        count -= 1
    magnitude = 1
    if count > 1:
        magnitude = 2 + take_bit(registers, content, states, FIRST + count, slowest)
        if count > 2:
            context = SECOND + 2 * count + (magnitude & 1)
            magnitude = 2 * magnitude + take_bit(registers, content, states, context, slowest)
    for _ in range(count - 3):
        magnitude = 2 * magnitude + take_even_bit(registers, content)
    return -magnitude if negative else magnitude


@kernel
def _encode(values, row, taps, width, neighbours, slowest, dependent, content):
    """The number of bytes."""
    registers, states = np.zeros(REGISTERS, np.int64), np.empty((CONTEXTS, 2), np.int64)
    reset(states)
    start_encoder(registers)
    state = 0
    for i in range(values.size):
        near, sign = _classes(values, i, row, taps, neighbours)
        value = np.int64(values[i])
        _put(registers, content, states, slowest, width, near, sign, state & 1, value)
        if dependent:
            state = TRANSITIONS[state, value & 1]
    return finish_encoder(registers, content)


@kernel
def _decode(content, begin, row, taps, width, neighbours, slowest, dependent, values):
    """Status, and the byte after the last one taken."""
    registers, states = np.zeros(REGISTERS, np.int64), np.empty((CONTEXTS, 2), np.int64)
    reset(states)
    status = start_decoder(registers, content, begin)
    if status != DONE:
        return status, begin
    state = 0
    for i in range(values.size):
        near, sign = _classes(values, i, row, taps, neighbours)
        value = _take(registers, content, states, slowest, width, near, sign, state & 1)
        if is_beyond(registers, content):
            return TRUNCATED, content.size
        if value < SYMBOL_LO or value > SYMBOL_HI:
            return OUT_OF_RANGE, end_byte(registers)
        values[i] = value
        if dependent:
            state = TRANSITIONS[state, value & 1]
    return finish_decoder(registers, content), min(content.size, end_byte(registers))


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
