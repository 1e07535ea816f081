"""Adaptive binary arithmetic coder: 9-bit interval, contexts whose rate follows from their use (SPEC ABIN-1 to ABIN-5).

The steps take and return numbers only: Numba counts the references of an array that is passed to a function, which
costs more than a step does. So the caller moves bytes, by `write_bytes` and `read_bytes`, before many bits are pending
or few are ready. A context is one number, 256 times its probability plus its count.

The encoder writes the low end of its last interval and nothing more: a decoder that finds a value of zero, and zeros up
to the end of the byte, has read exactly what an encoder makes of the bits found.
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
NEW_CONTEXT = HALF << 8
SLOWEST_LO, SLOWEST_HI = 7, 9
LONGEST_BIN = 7  # doublings after one bit: from an interval of 2 to one of 256
MOST_PENDING = 60  # bits of the encoder's low end, which has one more for a carry
# bits that the decoder reads ahead at most, and at least after `read_bytes`
MOST_READY, LEAST_READY = 48, 41

# shift of a context by how often it was used; where a faster one is the slowest, it is limited to that
SHIFTS = np.array([max(2, n.bit_length()) for n in range(1, 1 + (1 << SLOWEST_HI - 1))], np.int64)

DONE, TRUNCATED, MALFORMED, OUT_OF_RANGE = range(4)


@kernel
def adapt(context, slowest, bit):
    """The context after a bit (SPEC ABIN-1)."""
    probability, count = context >> 8, context & 255
    probability += ((FULL if bit else 0) - probability) >> min(SHIFTS[count], slowest)
    return probability << 8 | min(count + 1, (1 << slowest - 1) - 1)


@kernel
def rare_width(probability, interval):
    """The part of an interval that the less likely bit gets (SPEC ABIN-2)."""
    rare = probability if probability < HALF else FULL - probability
    return max(2, (rare >> 6) * interval >> 10)


# --- encoder


@kernel
def put_bit(low, interval, pending, context, slowest, bit):
    """Low end, interval, pending bits and context after a bit with a context (SPEC ABIN-3).

    pending  9 .. 53.
    """
    width = rare_width(context >> 8, interval)
    interval -= width
    if bit != (context >> 8 >= HALF):
        low += interval
        interval = width
    while interval < LEAST_INTERVAL:
        interval <<= 1
        low <<= 1
        pending += 1
    return low, interval, pending, adapt(context, slowest, bit)


@kernel
def put_even_bit(low, interval, pending, bit):
    """Low end and pending bits after a bit of even chances (SPEC ABIN-4).

    pending  9 .. 59.
    """
    return (low << 1) + (interval if bit else 0), pending + 1


@kernel
def _put_byte(content, written, byte):
    """Append 0 .. 511; what exceeds a byte is carried into those before."""
    if byte > 255:
        carry = written - 1
        while content[carry] == 255:
            content[carry] = 0
            carry -= 1
        content[carry] += 1
    content[written] = byte & 255


@kernel
def write_bytes(content, written, low, pending):
    """Write the highest pending bits, of which 9 to 16 stay; bytes written, low end, pending bits.

    What stays is below 2**pending, and the interval below 2**9: until the next bytes are written, it carries once at
    most.
    """
    while pending >= START_BITS + 8:
        pending -= 8
        _put_byte(content, written, low >> pending)
        written += 1
        low &= (1 << pending) - 1
    return written, low, pending


@kernel
def finish_bytes(content, written, low, pending):
    """Write all that is pending, and zeros up to the end of a byte; the number of bytes (SPEC ABIN-5)."""
    written, low, pending = write_bytes(content, written, low, pending)
    low <<= 16 - pending
    _put_byte(content, written, low >> 8)
    _put_byte(content, written + 1, low & 255)
    return written + 2


# --- decoder: the value stands above the bits that are ready


@kernel
def read_bytes(content, place, value, ready):
    """Read until 41 to 48 bits are ready; the byte to read next, value, bits ready.

    Zeros follow the last byte, and `is_beyond` sees that they were taken.
    """
    while ready < LEAST_READY:
        value = value << 8 | (np.int64(content[place]) if place < content.size else 0)
        place += 1
        ready += 8
    return place, value, ready


@kernel
def start_bytes(content, place):
    """The same before the first bit (SPEC ABIN-5)."""
    place, value, ready = read_bytes(content, place, 0, 0)
    return place, value, ready - START_BITS


@kernel
def take_bit(value, interval, ready, context, slowest):
    """Bit, value, interval, bits ready and context after a bit with a context (SPEC ABIN-3).

    ready  7 or more.
    """
    bit = 1 if context >> 8 >= HALF else 0
    width = rare_width(context >> 8, interval)
    interval -= width
    if value >> ready >= interval:
        value -= interval << ready
        interval = width
        bit = 1 - bit
    while interval < LEAST_INTERVAL:
        interval <<= 1
        ready -= 1
    return bit, value, interval, ready, adapt(context, slowest, bit)


@kernel
def take_even_bit(value, interval, ready):
    """Bit, value and bits ready after a bit of even chances (SPEC ABIN-4).

    ready  1 or more.
    """
    ready -= 1
    if value >> ready < interval:
        return 0, value, ready
    return 1, value - (interval << ready), ready


@kernel
def is_beyond(content, place, ready):
    """Whether more bits were taken than there are."""
    return 8 * place - ready > 8 * content.size


@kernel
def end_of(place, ready):
    """The byte after the last one that a bit was taken from."""
    return place - (ready >> 3)


@kernel
def finish(content, place, value, ready):
    """TRUNCATED if more bits were taken than there are, MALFORMED if no encoder ends like this (SPEC ABIN-5)."""
    if is_beyond(content, place, ready):
        return TRUNCATED
    return DONE if value >> (ready & ~7) == 0 else MALFORMED


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
