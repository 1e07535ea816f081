"""Adaptive binary arithmetic coder: 9-bit interval, contexts whose rate follows from their use (SPEC ABIN-1 to ABIN-5).

Encoder and decoder keep their registers in int64 arrays, so that kernels of other modules can call the steps here. The
encoder writes the low end of its last interval and nothing more: a decoder that finds a value of zero, and zeros up to
the end of the byte, has read exactly what an encoder makes of the bits found.
"""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import StreamError
from refcodec.kernel import kernel

START_INTERVAL = 510
LEAST_INTERVAL = 256
START_BITS = 9
HALF = 1 << 15
FULL = (1 << 16) - 1
SLOWEST_LO, SLOWEST_HI = 7, 9
LONGEST_BIN = 7  # doublings after one bit: from an interval of 2 to one of 256
# Registers of the encoder: low end, interval, bits of the low end not yet written, bytes written.
LOW, INTERVAL, PENDING, WRITTEN = range(4)
# Registers of the decoder: value, interval, bits read.
VALUE, TAKEN = 0, 2
REGISTERS = 4

# shift of a context by how often it was used; where a faster one is the slowest, it is limited to that
SHIFTS = np.array([max(2, n.bit_length()) for n in range(1, 1 + (1 << SLOWEST_HI - 1))], np.int64)

DONE, TRUNCATED, MALFORMED, OUT_OF_RANGE = range(4)


@kernel
def reset(states):
    """Forget everything: even chances, never used (SPEC ABIN-1)."""
    states[:, 0] = HALF
    states[:, 1] = 0


@kernel
def adapt(states, context, slowest, bit):
    """Move a context towards a bit (SPEC ABIN-1)."""
    probability, count = states[context, 0], states[context, 1]
    states[context, 0] = probability + (((FULL if bit else 0) - probability) >> min(SHIFTS[count], slowest))
    states[context, 1] = min(count + 1, (1 << slowest - 1) - 1)


@kernel
def rare_width(probability, interval):
    """The part of an interval that the less likely bit gets (SPEC ABIN-2)."""
    rare = probability if probability < HALF else FULL - probability
    return max(2, (rare >> 6) * interval >> 10)


# --- encoder


@kernel
def start_encoder(registers):
    """The whole interval; nothing is written (SPEC ABIN-5)."""
    registers[LOW] = 0
    registers[INTERVAL] = START_INTERVAL
    registers[PENDING] = START_BITS
    registers[WRITTEN] = 0


@kernel
def _put_byte(registers, content, byte):
    """Append 0 .. 511; what exceeds a byte is carried into those before."""
    place = registers[WRITTEN]
    if byte > 255:
        carry = place - 1
        while content[carry] == 255:
            content[carry] = 0
            carry -= 1
        content[carry] += 1
    content[place] = byte & 255
    registers[WRITTEN] = place + 1


@kernel
def _shift(registers, content, upper):
    """Double the low end and add to it; when 17 bits of it are pending, the first eight are written.

    What stays is below 2**9, and so is the interval: until the next byte is written, the low end carries once at most.
    """
    registers[LOW] = 2 * registers[LOW] + upper
    registers[PENDING] += 1
    if registers[PENDING] == START_BITS + 8:
        _put_byte(registers, content, registers[LOW] >> START_BITS)
        registers[LOW] &= (1 << START_BITS) - 1
        registers[PENDING] = START_BITS


@kernel
def put_bit(registers, content, states, context, slowest, bit):
    """Code a bit with its context (SPEC ABIN-3)."""
    probability = states[context, 0]
    width = rare_width(probability, registers[INTERVAL])
    registers[INTERVAL] -= width
    if bit != (probability >= HALF):
        registers[LOW] += registers[INTERVAL]
        registers[INTERVAL] = width
    while registers[INTERVAL] < LEAST_INTERVAL:
        registers[INTERVAL] *= 2
        _shift(registers, content, 0)
    adapt(states, context, slowest, bit)


@kernel
def put_even_bit(registers, content, bit):
    """Code a bit of even chances (SPEC ABIN-4)."""
    _shift(registers, content, registers[INTERVAL] if bit else 0)


@kernel
def finish_encoder(registers, content):
    """Write the 9 to 16 bits that are pending, in two bytes; the number of all bytes (SPEC ABIN-5)."""
    low = registers[LOW] << (16 - registers[PENDING])
    _put_byte(registers, content, low >> 8)
    _put_byte(registers, content, low & 255)
    return registers[WRITTEN]


# --- decoder


@kernel
def _next_value(registers, content):
    """The value with one more bit; zeros follow the last byte, and `finish_decoder` sees that they were taken."""
    taken = registers[TAKEN]
    registers[TAKEN] = taken + 1
    bit = 0
    if taken >> 3 < content.size:
        bit = (content[taken >> 3] >> (7 - (taken & 7))) & 1
    return 2 * registers[VALUE] + bit


@kernel
def start_decoder(registers, content, begin):
    """Read nine bits from a byte on; MALFORMED if no encoder can have left them (SPEC ABIN-5)."""
    registers[VALUE] = 0
    registers[INTERVAL] = START_INTERVAL
    registers[TAKEN] = 8 * begin
    for _ in range(START_BITS):
        registers[VALUE] = _next_value(registers, content)
    return DONE if registers[VALUE] < START_INTERVAL else MALFORMED


@kernel
def take_bit(registers, content, states, context, slowest):
    """Decode a bit with its context (SPEC ABIN-3)."""
    probability = states[context, 0]
    bit = 1 if probability >= HALF else 0
    width = rare_width(probability, registers[INTERVAL])
    registers[INTERVAL] -= width
    if registers[VALUE] >= registers[INTERVAL]:
        registers[VALUE] -= registers[INTERVAL]
        registers[INTERVAL] = width
        bit = 1 - bit
    while registers[INTERVAL] < LEAST_INTERVAL:
        registers[INTERVAL] *= 2
        registers[VALUE] = _next_value(registers, content)
    adapt(states, context, slowest, bit)
    return bit


@kernel
def take_even_bit(registers, content):
    """Decode a bit of even chances (SPEC ABIN-4)."""
    registers[VALUE] = _next_value(registers, content)
    if registers[VALUE] < registers[INTERVAL]:
        return 0
    registers[VALUE] -= registers[INTERVAL]
    return 1


@kernel
def is_beyond(registers, content):
    """Whether more bits were taken than there are."""
    return registers[TAKEN] > 8 * content.size


@kernel
def end_byte(registers):
    """The byte after the last one that bits were taken from."""
    return (registers[TAKEN] + 7) >> 3


@kernel
def finish_decoder(registers, content):
    """TRUNCATED if more bits were taken than there are, MALFORMED if no encoder ends like this (SPEC ABIN-5)."""
    if is_beyond(registers, content):
        return TRUNCATED
    padding = content[end_byte(registers) - 1] & ((1 << (-registers[TAKEN] & 7)) - 1)
    return DONE if registers[VALUE] == 0 and padding == 0 else MALFORMED


def refuse(status: int, position: int) -> None:
    """Raise StreamError for a status that is not DONE, at a byte."""
    if status == TRUNCATED:
        raise StreamError("RC-STREAM-TRUNCATED", "the payload ends before its last integer", position)
    if status == MALFORMED:
        raise StreamError("RC-STREAM-WEIGHTS", "not the bits that the encoder leaves", position)
    if status == OUT_OF_RANGE:
        raise StreamError("RC-STREAM-SYMBOL", "an integer out of its range", position)


class PlainDecoder:
    """The definition of the decoder in Python integers (SPEC ABIN-1 to ABIN-5).

    content  the bytes, after which zeros are taken;  begin  the byte to begin at;  slowest  rate of all contexts, 7..9.
    """

    __slots__ = ("_contexts", "_interval", "_slowest", "_value", "content", "taken")

    def __init__(self, content: bytes, begin: int, slowest: int) -> None:
        self.content, self.taken = content, 8 * begin
        self._contexts: dict[object, tuple[int, int]] = {}
        self._value, self._interval, self._slowest = 0, START_INTERVAL, slowest
        for _ in range(START_BITS):
            self._read()
        refuse(DONE if self._value < START_INTERVAL else MALFORMED, begin)

    def _read(self) -> None:
        byte = self.content[self.taken >> 3] if self.taken >> 3 < len(self.content) else 0
        self._value = 2 * self._value + (byte >> (7 - self.taken % 8) & 1)
        self.taken += 1

    def bit(self, context: object) -> int:
        """A bit with its context, whatever names that (SPEC ABIN-3)."""
        probability, count = self._contexts.get(context, (HALF, 0))
        bit, self._value, self._interval = fixed.decide(self._value, self._interval, probability)
        while self._interval < LEAST_INTERVAL:
            self._interval *= 2
            self._read()
        self._contexts[context] = fixed.adapt(probability, count, self._slowest, bit)
        return bit

    def even_bit(self) -> int:
        """A bit of even chances (SPEC ABIN-4)."""
        self._read()
        bit, self._value = fixed.decide_evenly(self._value, self._interval)
        return bit

    @property
    def end(self) -> int:
        """The byte after the last one that bits were taken from."""
        return (self.taken + 7) >> 3

    def finish(self) -> None:
        """Refuse an end that no encoder makes (SPEC ABIN-5).  Raises StreamError RC-STREAM-TRUNCATED, -WEIGHTS."""
        refuse(TRUNCATED if self.end > len(self.content) else DONE, len(self.content))
        padding = self.content[self.end - 1] & ((1 << (-self.taken & 7)) - 1)
        refuse(MALFORMED if self._value or padding else DONE, self.end)
