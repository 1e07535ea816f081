"""Adaptive binary arithmetic coder: 9-bit interval, contexts whose rate follows from their use (SPEC ABIN-1 to ABIN-5).

Encoder and decoder keep their registers in int64 arrays, so that kernels of other modules can call the steps here. The
encoder writes the low end of its last interval and nothing more: a decoder accepts a payload exactly if it is what the
encoder makes of the bits found.
"""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import StreamError
from refcodec.kernel import kernel

START_INTERVAL = 510
START_BITS = 9
HALF = 1 << 15
LONGEST_BIN = 8  # bits that one bit may add to a payload: the narrowest part is 2 of at most 510
# Registers: the encoder's low end and the bits of it not yet written; the decoder's value and the bits it has read.
LOW, INTERVAL, PENDING, POSITION = range(4)
VALUE, TAKEN = 0, 2
REGISTERS = 4


def _shifts(slowest: int) -> list[int]:
    return [min(slowest, max(2, (count + 1).bit_length())) for count in range(1 << (slowest - 1))]


FASTEST_LIMIT, SLOWEST_LIMIT = 7, 9
# shift of a context that was used so often, for any limit: the limit is applied to it
SHIFTS = np.array(_shifts(SLOWEST_LIMIT), np.int64)


@kernel
def rare_width(probability, interval):
    """The part of the interval that the less likely bit gets (SPEC ABIN-2)."""
    rare = probability if probability < HALF else 65535 - probability
    return max(2, ((rare >> 6) * interval) >> 10)


@kernel
def adapt(states, context, slowest, bit):
    """Move a context towards a bit (SPEC ABIN-1)."""
    probability, count = states[context, 0], states[context, 1]
    states[context, 0] = probability + (((65535 if bit else 0) - probability) >> min(SHIFTS[count], slowest))
    states[context, 1] = min(count + 1, (1 << (slowest - 1)) - 1)


@kernel
def reset(states):
    """Forget everything: equal chances, never used (SPEC ABIN-1)."""
    states[:, 0] = HALF
    states[:, 1] = 0


# --- encoder


@kernel
def start_encoder(registers):
    """The whole interval, nothing written."""
    registers[LOW] = 0
    registers[INTERVAL] = START_INTERVAL
    registers[PENDING] = START_BITS
    registers[POSITION] = 0


@kernel
def _put_byte(registers, content, byte):
    """Append a byte of 0 .. 511; what exceeds 255 is a carry into the bytes before."""
    position = registers[POSITION]
    if byte > 255:
        k = position - 1
        while content[k] == 255:
            content[k] = 0
            k -= 1
        content[k] += 1
    content[position] = byte & 255
    registers[POSITION] = position + 1


@kernel
def _double(registers, content, upper):
    """Double the low end and add to it; of its bits, all but the last nine are written when they fill a byte.

    After that the low end and the interval are less than 2**9 each, so later sums carry once at most.
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
    likely = 1 if probability >= HALF else 0
    registers[INTERVAL] -= width
    if bit != likely:
        registers[LOW] += registers[INTERVAL]
        registers[INTERVAL] = width
    while registers[INTERVAL] < 256:
        registers[INTERVAL] <<= 1
        _double(registers, content, 0)
    adapt(states, context, slowest, bit)


@kernel
def put_plain_bit(registers, content, bit):
    """Code a bit of even chances (SPEC ABIN-4)."""
    _double(registers, content, registers[INTERVAL] if bit else 0)


@kernel
def finish_encoder(registers, content):
    """Write what is pending, and zeros to the end of the byte; the number of bytes (SPEC ABIN-5)."""
    pending = registers[PENDING]
    whole = registers[LOW] << (-pending & 7)
    rest = pending + (-pending & 7)
    while rest > 0:
        rest -= 8
        _put_byte(registers, content, whole >> rest)
        whole &= (1 << rest) - 1
    return registers[POSITION]


# --- decoder


@kernel
def _take_raw(registers, content):
    """The next bit of the payload; zeros follow its end, and the caller sees that too many were taken."""
    taken = registers[TAKEN]
    registers[TAKEN] = taken + 1
    if taken >> 3 >= content.size:
        return 0
    return (content[taken >> 3] >> (7 - (taken & 7))) & 1


@kernel
def start_decoder(registers, content, begin):
    """Read the first nine bits from a byte on; whether an encoder can have left them (SPEC ABIN-5)."""
    registers[VALUE] = 0
    registers[INTERVAL] = START_INTERVAL
    registers[TAKEN] = 8 * begin
    for _ in range(START_BITS):
        registers[VALUE] = 2 * registers[VALUE] + _take_raw(registers, content)
    return registers[VALUE] < START_INTERVAL


@kernel
def take_bit(registers, content, states, context, slowest):
    """Decode a bit with its context (SPEC ABIN-3)."""
    probability = states[context, 0]
    width = rare_width(probability, registers[INTERVAL])
    bit = 1 if probability >= HALF else 0
    registers[INTERVAL] -= width
    if registers[VALUE] >= registers[INTERVAL]:
        registers[VALUE] -= registers[INTERVAL]
        registers[INTERVAL] = width
        bit = 1 - bit
    while registers[INTERVAL] < 256:
        registers[INTERVAL] <<= 1
        registers[VALUE] = 2 * registers[VALUE] + _take_raw(registers, content)
    adapt(states, context, slowest, bit)
    return bit


@kernel
def take_plain_bit(registers, content):
    """Decode a bit of even chances (SPEC ABIN-4)."""
    registers[VALUE] = 2 * registers[VALUE] + _take_raw(registers, content)
    if registers[VALUE] >= registers[INTERVAL]:
        registers[VALUE] -= registers[INTERVAL]
        return 1
    return 0


@kernel
def finish_decoder(registers, content):
    """The byte after the payload; -1 where it ended early, -2 where no encoder ends like this (SPEC ABIN-5)."""
    taken = registers[TAKEN]
    end = (taken + 7) >> 3
    if end > content.size:
        return -1
    padding = content[end - 1] & ((1 << (-taken & 7)) - 1)
    if registers[VALUE] != 0 or padding != 0:
        return -2
    return end
