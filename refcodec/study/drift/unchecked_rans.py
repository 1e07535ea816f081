"""An rANS decoder that believes whatever it reads, as those in use do: to show what a wrong index does to a picture."""

from __future__ import annotations

import numpy as np

from refcodec.entropy.rans import INITIAL_STATE, STATE_WORDS, _find
from refcodec.entropy.tables import PRECISION, SYMBOL_HI, SYMBOL_LO, FrequencyTables
from refcodec.kernel import kernel

LAST_NIBBLE = 15  # more of the count follows
LONGEST = 8  # nibbles of a 32-bit value; later ones are lost

_LOWER = np.uint64(INITIAL_STATE)
_WORD_BITS = np.uint64(32)
_SLOT_BITS = np.uint64(PRECISION)
_SLOT_MASK = np.uint64((1 << PRECISION) - 1)
_NIBBLE_BITS = np.uint64(4)
_NIBBLE_MASK = np.uint64(15)


@kernel
def _refill(x, words, position):
    """Take a word if the state asks for one, zero past the end."""
    if x < _LOWER:
        x <<= _WORD_BITS
        if position < words.size:
            x |= np.uint64(words[position])
        position += 1
    return x, position


@kernel
def _take_nibble(x, words, position):
    nibble = np.int64(x & _NIBBLE_MASK)
    x, position = _refill(x >> _NIBBLE_BITS, words, position)
    return nibble, x, position


@kernel
def _take_raw(x, words, position):
    """An escape of any length; past the end of the words all nibbles become 0, so it ends."""
    count, nibble = np.int64(0), np.int64(LAST_NIBBLE)
    while nibble == LAST_NIBBLE:
        nibble, x, position = _take_nibble(x, words, position)
        count += nibble
    raw = np.int64(0)
    for k in range(count):
        nibble, x, position = _take_nibble(x, words, position)
        if k < LONGEST:
            raw |= nibble << (4 * k)
    return raw, x, position


@kernel
def _decode(words, x, indexes, values, starts, offsets, symbols):
    position = STATE_WORDS
    for i in range(indexes.size):
        row = indexes[i]
        base = starts[row]
        escape = starts[row + 1] - base - 2
        slot = np.int64(x & _SLOT_MASK)
        entry = _find(values, base, 0, escape, slot)
        start = values[base + entry]
        frequency = np.uint64(values[base + entry + 1] - start)
        x, position = _refill(frequency * (x >> _SLOT_BITS) + np.uint64(slot - start), words, position)
        symbol = entry + offsets[row]
        if entry == escape:
            raw, x, position = _take_raw(x, words, position)
            symbol = (-(raw >> 1) - 1 if raw & 1 else (raw >> 1) + escape) + offsets[row]
        symbols[i] = min(max(symbol, SYMBOL_LO), SYMBOL_HI)


def decode_unchecked(payload: bytes, indexes: np.ndarray, tables: FrequencyTables) -> np.ndarray:
    """The symbols of a payload, right or wrong: no end is checked, no escape refused, zero words follow the last one.

    payload  as `entropy.rans.encode` makes it;  indexes  any shape, integers, 0 .. tables.rows - 1; taken in C order
    Returns int16 of the shape of indexes, symbols beyond saturated.  Never for a decoder: it accepts every stream.
    Source: CompressAI `RansDecoder.decode_with_indexes`, which reads whatever memory follows the last word.
    """
    words = np.frombuffer(payload, "<u4").astype(np.uint32)
    state = np.uint64(int(words[0]) | int(words[1]) << 32)
    flat = np.array(indexes, dtype=np.int32, order="C").reshape(-1)
    symbols = np.empty(flat.size, np.int16)
    _decode(words, state, flat, tables.values, tables.starts, tables.offsets, symbols)
    return symbols.reshape(indexes.shape)
