"""Range asymmetric numeral system: 64-bit state, 32-bit words, 4-bit escapes; the bytes of CompressAI's `ans` coder.

The state stays in 2**31 .. 2**63 - 1, so no operation wraps. A decoder step undoes an encoder step exactly: `decode`
accepts a payload if and only if `encode` makes it. The state in which encoding began vouches for what was decoded, but
for one thing: the four-bit nibbles of an escape pass through the state unmixed, so damage to them may change just that
symbol. Containers add a checksum.
"""

from __future__ import annotations

import numpy as np

from refcodec.entropy.tables import BUCKET_BITS, PRECISION, SYMBOL_HI, SYMBOL_LO, FrequencyTables
from refcodec.errors import RangeError, ShapeError, StreamError
from refcodec.kernel import kernel

WORD_BYTES = 4
STATE_WORDS = 2
INITIAL_STATE = 1 << 31
# An escape carries 2 * 65535 at most (symbol and offset are int16): 17 bits. So its nibble count never needs the
# base-15 continuation of the format, and a first nibble above this is an error.
ESCAPE_NIBBLES = 5

# Operands of the state; beside an int64, Numba would turn a uint64 into a float.
_LOWER = np.uint64(INITIAL_STATE)
_WORD_BITS = np.uint64(32)
_WORD_MASK = np.uint64(0xFFFFFFFF)
_SLOT_BITS = np.uint64(PRECISION)
_SLOT_MASK = np.uint64((1 << PRECISION) - 1)
_FULL_BITS = np.uint64(63 - PRECISION)
_NIBBLE_BITS = np.uint64(4)
_NIBBLE_MASK = np.uint64(15)
_NIBBLE_FULL = np.uint64(1 << 59)

_DONE, _TRUNCATED, _TOO_LONG, _NOT_SHORTEST, _OUT_OF_RANGE = range(5)


# --- encoder


@kernel
def _spill(x, limit, words, position):
    """Make room in the state: below `limit`, the coming step stays below 2**63."""
    if x >= limit:
        position -= 1
        words[position] = np.uint32(x & _WORD_MASK)
        x >>= _WORD_BITS
    return x, position


@kernel
def _put_nibble(x, nibble, words, position):
    x, position = _spill(x, _NIBBLE_FULL, words, position)
    return (x << _NIBBLE_BITS) | np.uint64(nibble), position


@kernel
def _put_escape(x, raw, words, position):
    count = 0
    while raw >> (4 * count):
        count += 1
    for k in range(count - 1, -1, -1):
        x, position = _put_nibble(x, (raw >> (4 * k)) & 15, words, position)
    return _put_nibble(x, count, words, position)


@kernel
def _encode(symbols, indexes, values, starts, offsets, words):
    """Code the symbols last to first and fill `words` from its end; the number of unused words."""
    x = _LOWER
    position = words.size
    for i in range(symbols.size - 1, -1, -1):
        row = indexes[i]
        escape = starts[row + 1] - starts[row] - 2
        entry = symbols[i] - offsets[row]
        if entry < 0 or entry >= escape:
            raw = -2 * entry - 1 if entry < 0 else 2 * (entry - escape)
            x, position = _put_escape(x, raw, words, position)
            entry = escape
        start = np.uint64(values[starts[row] + entry])
        frequency = np.uint64(values[starts[row] + entry + 1]) - start
        x, position = _spill(x, frequency << _FULL_BITS, words, position)
        x = ((x // frequency) << _SLOT_BITS) + x % frequency + start
    words[position - 1] = np.uint32(x >> _WORD_BITS)
    words[position - 2] = np.uint32(x & _WORD_MASK)
    return position - STATE_WORDS


def encode(symbols: np.ndarray, indexes: np.ndarray, tables: FrequencyTables) -> bytes:
    """The payload of symbols, each coded with the row its index names (SPEC RANS-1).

    symbols  any shape, integers, -32768 .. 32767; taken in C order. One outside its row is escaped.
    indexes  the same shape, integers, 0 .. tables.rows - 1
    Returns little-endian 32-bit words, at least two.  Raises ShapeError, RangeError.
    Source: CompressAI `BufferedRansEncoder.encode_with_indexes`; ryg_rans `rans64.h`.
    """
    if symbols.shape != indexes.shape:
        raise ShapeError(f"wanted symbols and indexes of one shape, got {symbols.shape} and {indexes.shape}")
    _check_integers("symbols", symbols, SYMBOL_LO, SYMBOL_HI)
    _check_integers("indexes", indexes, 0, tables.rows - 1)
    # an escape adds at most 16 + 6 * 4 = 40 bits and a little rounding, under two words a symbol
    words = np.empty(2 * symbols.size + STATE_WORDS, np.uint32)
    unused = _encode(_flat(symbols), _flat(indexes), tables.values, tables.starts, tables.offsets, words)
    return words[unused:].astype("<u4").tobytes()


# --- decoder


@kernel
def _refill(x, words, position):
    """Take a word if the state asks for one; past the end the position still moves, and the caller sees it."""
    if x < _LOWER:
        if position < words.size:
            x = (x << _WORD_BITS) | np.uint64(words[position])
        position += 1
    return x, position


@kernel
def _get_escape(x, words, position):
    """status, raw, state, position of an escape, which costs no more than its six nibbles whatever the input."""
    count = np.int64(x & _NIBBLE_MASK)
    x, position = _refill(x >> _NIBBLE_BITS, words, position)
    if count > ESCAPE_NIBBLES:
        return _TOO_LONG, 0, x, position
    raw, nibble = np.int64(0), np.int64(1)
    for k in range(count):
        nibble = np.int64(x & _NIBBLE_MASK)
        raw |= nibble << (4 * k)
        x, position = _refill(x >> _NIBBLE_BITS, words, position)
    return (_DONE if nibble else _NOT_SHORTEST), raw, x, position


@kernel
def _find(values, base, low, high, slot):
    """The last entry of low .. high that is not above the slot."""
    while low < high:
        middle = (low + high + 1) >> 1
        if values[base + middle] <= slot:
            low = middle
        else:
            high = middle - 1
    return low


@kernel
def _decode(words, x, position, indexes, values, starts, offsets, buckets, symbols):
    """status, words taken, state."""
    for i in range(indexes.size):
        row = indexes[i]
        base = starts[row]
        slot = np.int64(x & _SLOT_MASK)
        bucket = slot >> BUCKET_BITS
        entry = _find(values, base, buckets[row, bucket], buckets[row, bucket + 1], slot)
        start = values[base + entry]
        frequency = np.uint64(values[base + entry + 1] - start)
        x, position = _refill(frequency * (x >> _SLOT_BITS) + np.uint64(slot - start), words, position)
        status, symbol, escape = _DONE, entry + offsets[row], starts[row + 1] - base - 2
        if entry == escape:
            status, raw, x, position = _get_escape(x, words, position)
            symbol = (-(raw >> 1) - 1 if raw & 1 else (raw >> 1) + escape) + offsets[row]
        if position > words.size:
            return _TRUNCATED, words.size, x
        if status == _DONE and not SYMBOL_LO <= symbol <= SYMBOL_HI:
            status = _OUT_OF_RANGE
        if status != _DONE:
            return status, position, x
        symbols[i] = symbol
    return _DONE, position, x


class Decoder:
    """A payload that is decoded piece by piece (SPEC RANS-2).

    payload  little-endian 32-bit words, at least two, as `encode` makes them;  tables  that the indexes name rows of
    offset   where the payload stands in its container, added to the position that an error names.
    Raises StreamError RC-STREAM-TRUNCATED, RC-STREAM-RANS for a payload without a first state.
    """

    __slots__ = ("_length", "_offset", "_position", "_state", "_tables", "_words")

    def __init__(self, payload: bytes, tables: FrequencyTables, offset: int = 0) -> None:
        self._words, self._state = _payload_words(payload, offset)
        self._position = STATE_WORDS
        self._tables, self._offset, self._length = tables, offset, len(payload)

    def take(self, indexes: np.ndarray) -> np.ndarray:
        """The next symbols, each decoded with the row its index names.

        indexes  any shape, integers, 0 .. tables.rows - 1; taken in C order
        Returns int16 of the shape of indexes.
        Raises RangeError; StreamError RC-STREAM-TRUNCATED, RC-STREAM-SYMBOL (an escape outside int16 or longer than it
        needs to be), after which the decoder is of no more use.
        """
        _check_integers("indexes", indexes, 0, self._tables.rows - 1)
        return self._next(indexes)

    def _next(self, indexes: np.ndarray) -> np.ndarray:
        tables, symbols = self._tables, np.empty(indexes.size, np.int16)
        status, self._position, state = _decode(
            self._words, np.uint64(self._state), self._position, _flat(indexes),
            tables.values, tables.starts, tables.offsets, tables.buckets, symbols,
        )  # fmt: skip
        self._state = int(state)
        if status != _DONE:
            raise _decode_error(status, self._offset + WORD_BYTES * self._position)
        return symbols.reshape(indexes.shape)

    def finish(self) -> None:
        """Refuse a payload that holds more, or other, than what was taken (SPEC RANS-3).

        Raises StreamError RC-STREAM-RANS, RC-STREAM-TRAILING.
        """
        check_end(self._state, WORD_BYTES * self._position, self._length, self._offset)


def decode(payload: bytes, indexes: np.ndarray, tables: FrequencyTables, offset: int = 0) -> np.ndarray:
    """The symbols of a whole payload, each decoded with the row its index names (SPEC RANS-2).

    payload, offset  as of `Decoder`;  indexes  any shape, integers, 0 .. tables.rows - 1; taken in C order
    Returns int16 of the shape of indexes.
    Raises RangeError; StreamError RC-STREAM-TRUNCATED, RC-STREAM-SYMBOL (an escape outside int16 or longer than it
    needs to be), RC-STREAM-RANS, RC-STREAM-TRAILING.
    Source: CompressAI `RansDecoder.decode_with_indexes`, which checks none of these.
    """
    _check_integers("indexes", indexes, 0, tables.rows - 1)
    decoder = Decoder(payload, tables, offset)
    symbols = decoder._next(indexes)
    decoder.finish()
    return symbols


def check_end(state: int, taken: int, length: int, offset: int = 0) -> None:
    """Refuse a payload that does not end as every encoder begins (SPEC RANS-3).

    state  after the last symbol, wanted 2**31;  taken  bytes read, wanted `length`, the bytes of the payload
    offset  where the payload stands in its container.  Raises StreamError RC-STREAM-RANS, RC-STREAM-TRAILING.
    """
    if state != INITIAL_STATE:
        raise StreamError("RC-STREAM-RANS", f"wanted the final state 2**31, got {state}", offset + taken)
    if taken != length:
        raise StreamError("RC-STREAM-TRAILING", f"{length - taken} bytes follow the last symbol", offset + taken)


def _payload_words(payload: bytes, offset: int) -> tuple[np.ndarray, int]:
    """The words of a payload and its first state, which is one that an encoder can leave."""
    if len(payload) < WORD_BYTES * STATE_WORDS or len(payload) % WORD_BYTES:
        wanted = f"wanted a multiple of {WORD_BYTES} bytes, {WORD_BYTES * STATE_WORDS} or more"
        raise StreamError("RC-STREAM-TRUNCATED", f"{wanted}, got {len(payload)}", offset + len(payload))
    words = np.frombuffer(payload, "<u4").astype(np.uint32)
    state = int(words[0]) | int(words[1]) << 32
    if not INITIAL_STATE <= state < 1 << 63:
        raise StreamError("RC-STREAM-RANS", f"wanted a first state of 2**31 .. 2**63 - 1, got {state}", offset)
    return words, state


def _decode_error(status: int, position: int) -> StreamError:
    if status == _TRUNCATED:
        return StreamError("RC-STREAM-TRUNCATED", "the payload ends before its last symbol", position)
    reasons = {
        _TOO_LONG: f"an escape of more than {ESCAPE_NIBBLES} nibbles",
        _NOT_SHORTEST: "an escape with a leading zero nibble",
        _OUT_OF_RANGE: f"a symbol outside {SYMBOL_LO} .. {SYMBOL_HI}",
    }
    return StreamError("RC-STREAM-SYMBOL", reasons[status], position)


def _check_integers(name: str, array: np.ndarray, lo: int, hi: int) -> None:
    if array.dtype.kind not in "iu":
        raise RangeError(f"{name}: wanted integers, got {array.dtype}")
    if array.size and (int(array.min()) < lo or int(array.max()) > hi):
        raise RangeError(f"{name}: wanted {lo} .. {hi}, got {array.min()} .. {array.max()}")


def _flat(array: np.ndarray) -> np.ndarray:
    """A contiguous int32 copy, so that each kernel is compiled for one type only."""
    return np.array(array, dtype=np.int32, order="C").reshape(-1)
