"""Integers of a tensor as bits of an adaptive binary coder, with contexts from their neighbours (SPEC WC-1 to WC-5)."""

from __future__ import annotations

import numpy as np

from refcodec.entropy.adaptive_binary import (
    LONGEST_BIN,
    REGISTERS,
    finish_decoder,
    finish_encoder,
    put_bit,
    put_plain_bit,
    reset,
    start_decoder,
    start_encoder,
    take_bit,
    take_plain_bit,
)
from refcodec.entropy.tables import SYMBOL_HI, SYMBOL_LO
from refcodec.entropy.trellis import TRANSITIONS
from refcodec.kernel import kernel

LONGEST = 16  # bits of a magnitude: that of -32768
MAGNITUDES = 12  # classes of a neighbourhood
SIGNS = 9  # classes of two neighbours' signs
# Contexts, by what they say: zero, sign, digits, the two highest digits below the leading one.
ZERO = 0
SIGN = ZERO + 2 * MAGNITUDES
DIGITS = SIGN + SIGNS
FIRST = DIGITS + 2 * MAGNITUDES * LONGEST
SECOND = FIRST + LONGEST + 1
CONTEXTS = SECOND + 2 * (LONGEST + 1)
BINS = 1 + 1 + (LONGEST - 1) + 2  # bits with a context in one integer
MARGIN = 4

DONE, TRUNCATED, BAD_START, BAD_END, OUT_OF_RANGE = range(5)


@kernel
def bit_length(value):
    """The number of binary digits (SPEC WC-1)."""
    length = 0
    while value >> length:
        length += 1
    return length


@kernel
def sign_class(value):
    """0, 1 or 2 for zero, negative, positive (SPEC WC-2)."""
    return 0 if value == 0 else 1 if value < 0 else 2


@kernel
def _neighbours(values, i, row, taps):
    """Left, input-before and output-before of integer i; zero where there is none."""
    place = i % row
    left = values[i - 1] if place > 0 else 0
    inner = values[i - taps] if place >= taps else 0
    outer = values[i - row] if i >= row else 0
    return np.int64(left), np.int64(inner), np.int64(outer)


@kernel
def _contexts(values, i, row, taps, spatial):
    """Magnitude class and sign class of the neighbourhood (SPEC WC-3, WC-4)."""
    left, inner, outer = _neighbours(values, i, row, taps)
    if not spatial:
        return 0, sign_class(left)
    total = abs(left) + abs(inner) + 2 * abs(outer)
    return min(MAGNITUDES - 1, bit_length(total + (total >> 1))), 3 * sign_class(outer) + sign_class(left)


@kernel
def _put(registers, content, states, slowest, value, width, near, sign, odd):
    """Code one integer (SPEC WC-5)."""
    put_bit(registers, content, states, ZERO + odd * MAGNITUDES + near, slowest, 1 if value else 0)
    if value == 0:
        return
    put_bit(registers, content, states, SIGN + sign, slowest, 1 if value < 0 else 0)
    magnitude = abs(value)
    length = bit_length(magnitude)
    base = DIGITS + (odd * MAGNITUDES + near) * LONGEST
    for q in range(1, width):
        more = 1 if length > q else 0
        put_bit(registers, content, states, base + q, slowest, more)
        if not more:
            break
    first = 0
    for place in range(length - 2, -1, -1):
        digit = (magnitude >> place) & 1
        if place == length - 2:
            put_bit(registers, content, states, FIRST + length, slowest, digit)
            first = digit
        elif place == length - 3:
            put_bit(registers, content, states, SECOND + 2 * length + first, slowest, digit)
        else:
            put_plain_bit(registers, content, digit)


@kernel
def _take(registers, content, states, slowest, width, near, sign, odd):
    """Decode one integer (SPEC WC-5)."""
    if not take_bit(registers, content, states, ZERO + odd * MAGNITUDES + near, slowest):
        return 0
    negative = take_bit(registers, content, states, SIGN + sign, slowest)
    length = 1
    base = DIGITS + (odd * MAGNITUDES + near) * LONGEST
    while length < width and take_bit(registers, content, states, base + length, slowest):
        length += 1
    magnitude, first = 1, 0
    for place in range(length - 2, -1, -1):
        if place == length - 2:
            digit = first = take_bit(registers, content, states, FIRST + length, slowest)
        elif place == length - 3:
            digit = take_bit(registers, content, states, SECOND + 2 * length + first, slowest)
        else:
            digit = take_plain_bit(registers, content)
        magnitude = 2 * magnitude + digit
    return -magnitude if negative else magnitude


@kernel
def _encode(values, row, taps, width, spatial, slowest, dependent, content, begin):
    registers = np.zeros(REGISTERS, np.int64)
    states = np.empty((CONTEXTS, 2), np.int64)
    reset(states)
    start_encoder(registers)
    state = 0
    for i in range(values.size):
        near, sign = _contexts(values, i, row, taps, spatial)
        value = np.int64(values[i])
        _put(registers, content[begin:], states, slowest, value, width, near, sign, state & 1)
        if dependent:
            state = TRANSITIONS[state, value & 1]
    return begin + finish_encoder(registers, content[begin:])


@kernel
def _decode(content, begin, row, taps, width, spatial, slowest, dependent, values):
    """Status, and the byte where the payload ends."""
    registers = np.zeros(REGISTERS, np.int64)
    states = np.empty((CONTEXTS, 2), np.int64)
    reset(states)
    if not start_decoder(registers, content, begin):
        return (BAD_START if begin + 2 <= content.size else TRUNCATED), begin
    state = 0
    for i in range(values.size):
        near, sign = _contexts(values, i, row, taps, spatial)
        value = _take(registers, content, states, slowest, width, near, sign, state & 1)
        if registers[2] > 8 * content.size:
            return TRUNCATED, content.size
        if value < SYMBOL_LO or value > SYMBOL_HI:
            return OUT_OF_RANGE, (registers[2] + 7) >> 3
        values[i] = value
        if dependent:
            state = TRANSITIONS[state, value & 1]
    end = finish_decoder(registers, content)
    if end < 0:
        return (TRUNCATED if end == -1 else BAD_END), min(content.size, (registers[2] + 7) >> 3)
    return DONE, end


def longest_payload(count: int, width: int) -> int:
    """Bytes that integers of that bit length cannot exceed."""
    return (count * (LONGEST_BIN * BINS + width) >> 3) + MARGIN
