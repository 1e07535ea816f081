"""rANS: our coder, plain Python and CompressAI's extension make and read the same bytes; damage is always noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import naive_entropy as naive
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcodec.entropy import rans
from refcodec.entropy.rans import Decoder, check_end, decode, encode
from refcodec.entropy.tables import FrequencyTables
from refcodec.errors import RangeError, ShapeError, StreamError
from refcodec.models.densities import gaussian_tables

INT16 = np.iinfo(np.int16)
CASES = 400


def make_tables(rows):
    cumulatives = [np.array(cumulative) for cumulative, _ in rows]
    return FrequencyTables.from_rows(cumulatives, np.array([offset for _, offset in rows], np.int32))


def random_row(rng):
    """Mostly short rows; narrow and wide intervals, offsets up to the ends of int16."""
    symbols = int(rng.choice([1, 2, 3, 5, 20, 300]))
    narrowest = np.arange(1, symbols + 1)
    spread = np.sort(rng.choice(65535, symbols, replace=False)) + 1
    cuts = narrowest if rng.random() < 0.3 else spread
    offset = int(rng.choice([-symbols // 2, 0, INT16.min, INT16.max - symbols + 1, 1000]))
    return [0, *cuts.tolist(), 65536], offset


def random_symbol(rng, row):
    """A regular symbol, one just outside the row, the row's `max`, or an end of int16."""
    cumulative, offset = row
    regular = len(cumulative) - 2
    inside = offset + int(rng.integers(regular))
    choice = rng.choice(
        [inside, inside, inside, offset - 1, offset + regular, offset + regular + 7, int(rng.integers(-40000, 40000))]
    )
    return int(np.clip(choice, INT16.min, INT16.max))


def random_case(seed):
    rng = np.random.default_rng(seed)
    rows = [random_row(rng) for _ in range(int(rng.integers(1, 5)))]
    indexes = rng.integers(len(rows), size=int(rng.choice([1, 2, 3, 10, 100]))).tolist()
    symbols = [random_symbol(rng, rows[i]) for i in indexes]
    if seed % 10 == 0:  # the far ends
        symbols[0] = INT16.min if seed % 20 else INT16.max
    return symbols, indexes, rows


def expect(code, payload, indexes, tables, position, offset=0):
    with pytest.raises(StreamError) as caught:
        decode(payload, np.array(indexes, np.int64), tables, offset)
    assert (caught.value.code, caught.value.offset) == (code, offset + position)
    return str(caught.value)


# --- the bytes


def test_encode_makes_the_published_bytes():
    symbols, indexes = np.array([0, 1, -1, 5]), np.array([0, 10, 20, 63])
    payload = encode(symbols, indexes, gaussian_tables())
    assert payload.hex() == "b75a81c91b3c0000"
    assert decode(payload, indexes, gaussian_tables()).tolist() == symbols.tolist()


def test_random_cases_equal_naive():
    escapes = 0
    for seed in range(CASES):
        symbols, indexes, rows = random_case(seed)
        tables = make_tables(rows)
        payload = encode(np.array(symbols), np.array(indexes), tables)
        assert payload == naive.encode(symbols, indexes, rows), seed
        assert naive.decode(payload, indexes, rows) == (symbols, naive.INITIAL, len(payload) // 4), seed
        assert decode(payload, np.array(indexes), tables).tolist() == symbols, seed
        escapes += sum(not 0 <= s - rows[i][1] < len(rows[i][0]) - 2 for s, i in zip(symbols, indexes, strict=True))
    assert escapes > 1000  # the cases do reach them


@pytest.mark.oracle
def test_random_cases_equal_compressai():
    ans = naive.load_extension("ans")
    compared = 0
    for seed in range(CASES):
        symbols, indexes, rows = random_case(seed)
        if len(symbols) < 3:  # it allots a word a symbol, and two symbols can need three: the heap is overwritten
            continue
        tables = make_tables(rows)
        payload = encode(np.array(symbols), np.array(indexes), tables)
        arguments = ([row for row, _ in rows], [len(row) for row, _ in rows], [offset for _, offset in rows])
        buffered = ans.BufferedRansEncoder()
        buffered.encode_with_indexes(symbols, indexes, *arguments)
        assert payload == ans.RansEncoder().encode_with_indexes(symbols, indexes, *arguments) == buffered.flush(), seed
        assert ans.RansDecoder().decode_with_indexes(payload, indexes, *arguments) == symbols, seed
        compared += 1
    assert compared > 200


@pytest.mark.oracle
def test_gaussian_latent_equals_compressai():
    """A whole latent through the 64 shipped rows, as a codec uses them."""
    ans = naive.load_extension("ans")
    tables = gaussian_tables()
    rng = np.random.default_rng(7)
    indexes = rng.integers(64, size=(3, 40, 60))
    symbols = np.rint(rng.standard_t(2, indexes.shape) * 0.11 * 1.13**indexes).clip(-3000, 3000).astype(np.int16)
    payload = encode(symbols, indexes, tables)
    cdf, lengths, offsets = tables.padded()
    arguments = (indexes.ravel().tolist(), cdf.tolist(), lengths.tolist(), offsets.tolist())
    assert payload == ans.RansEncoder().encode_with_indexes(symbols.ravel().tolist(), *arguments)
    assert np.array_equal(decode(payload, indexes, tables), symbols)


@pytest.mark.parametrize("offset", [INT16.min, -3, 0, INT16.max - 1])
@pytest.mark.parametrize("distance", [-131070, -256, -9, -8, -2, -1, 0, 1, 2, 3, 4, 9, 10, 2050, 131070])
def test_escape_lengths_equal_naive(offset, distance):
    """Around every nibble count; distance 2 is `max`, whose escape has no nibble at all."""
    rows = [([0, 1, 65535, 65536], offset)]
    symbols = [int(np.clip(offset + distance, INT16.min, INT16.max)), offset]
    payload = encode(np.array(symbols), np.zeros(2, np.int64), make_tables(rows))
    assert payload == naive.encode(symbols, [0, 0], rows)
    assert decode(payload, np.zeros(2, np.int64), make_tables(rows)).tolist() == symbols


def test_widest_row_codes_every_int16():
    """65535 regular symbols: no interval is wider than one but the last."""
    tables = make_tables([([*range(65535), 65536], -32768)])
    symbols = np.arange(INT16.min, INT16.max + 1)
    payload = encode(symbols, np.zeros_like(symbols), tables)
    assert np.array_equal(decode(payload, np.zeros_like(symbols), tables), symbols)


def test_costliest_symbols_fit():
    """40 bits each: an escape of probability 2**-16, its count and five nibbles."""
    rows, symbols = [([0, 65535, 65536], 32767)], [-32768] * 100
    payload = encode(np.array(symbols), np.zeros(100, int), make_tables(rows))
    assert len(payload) == 8 + 100 * 40 // 8
    assert payload == naive.encode(symbols, [0] * 100, rows)
    assert decode(payload, np.zeros(100, int), make_tables(rows)).tolist() == symbols


def test_no_symbols_leave_the_initial_state():
    empty = np.zeros((0, 3), np.int16)
    payload = encode(empty, empty, gaussian_tables())
    assert payload == (2**31).to_bytes(8, "little")
    assert decode(payload, empty, gaussian_tables()).shape == (0, 3)


def test_shape_and_dtype_do_not_matter():
    """C order whatever the memory layout, and every integer type."""
    rng = np.random.default_rng(1)
    indexes = np.broadcast_to(np.arange(4, dtype=np.uint8)[:, None], (4, 6)).T
    symbols = rng.integers(-3, 4, (4, 6)).astype(np.int8).T
    payload = encode(symbols, indexes, gaussian_tables())
    flat = encode(symbols.ravel().astype(np.int64), indexes.ravel().astype(np.uint64), gaussian_tables())
    decoded = decode(payload, indexes, gaussian_tables())
    assert payload == flat
    assert decoded.dtype == np.int16
    assert np.array_equal(decoded, symbols)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(INT16.min, INT16.max), st.integers(0, 63)), max_size=40))
def test_round_trip(pairs):
    symbols, indexes = np.array(pairs, np.int64).reshape(-1, 2).T
    payload = encode(symbols, indexes, gaussian_tables())
    assert np.array_equal(decode(payload, indexes, gaussian_tables()), symbols)


# --- piece by piece


def test_pieces_of_any_size_equal_the_whole():
    """SPEC RANS-2: the state passes from piece to piece, escapes, empty pieces and single symbols included."""
    for seed in range(60):
        symbols, indexes, rows = random_case(seed)
        tables, rng = make_tables(rows), np.random.default_rng(seed)
        payload = encode(np.array(symbols), np.array(indexes), tables)
        decoder, position, found = Decoder(payload, tables), 0, []
        while position < len(indexes):
            step = int(rng.integers(0, 5))
            found += decoder.take(np.array(indexes[position : position + step], np.int64)).tolist()
            position += step
        decoder.finish()
        assert found == symbols, seed


def test_pieces_keep_their_shape():
    indexes = np.array([[3, 4, 5], [6, 7, 8]])
    payload = encode(np.concatenate([indexes, indexes]), np.concatenate([indexes, indexes]), gaussian_tables())
    decoder = Decoder(payload, gaussian_tables())
    for _ in range(2):
        found = decoder.take(indexes)
        assert found.dtype == np.int16
        assert np.array_equal(found, indexes)
    decoder.finish()


def test_finish_refuses_what_was_not_taken():
    payload, _, indexes = short_stream()
    for taken in range(len(indexes)):
        decoder = Decoder(payload, gaussian_tables(), 40)
        decoder.take(indexes[:taken])
        with pytest.raises(StreamError, match=r"RC-STREAM-(RANS|TRAILING)") as caught:
            decoder.finish()
        assert 48 <= caught.value.offset <= 40 + len(payload)


def test_piece_beyond_the_end_is_truncated():
    payload, _, indexes = short_stream()
    for length in range(8, len(payload), 4):
        decoder, found = Decoder(payload[:length], gaussian_tables(), 7), []
        with pytest.raises(StreamError, match="RC-STREAM-TRUNCATED") as caught:
            found += [decoder.take(indexes[k : k + 1]) for k in range(len(indexes))]
        assert caught.value.offset == 7 + length


def test_decoder_refuses_at_once_what_is_no_payload():
    for payload, code in ((b"", "TRUNCATED"), (bytes(9), "TRUNCATED"), (bytes(8), "RANS")):
        with pytest.raises(StreamError, match=f"RC-STREAM-{code}"):
            Decoder(payload, gaussian_tables())
    with pytest.raises(RangeError, match=r"RC-RANGE: indexes: wanted 0 .. 63"):
        Decoder((2**31).to_bytes(8, "little"), gaussian_tables()).take(np.array([64]))


# --- damage


def short_stream():
    """30 symbols of three rows, a few of them escaped."""
    rng = np.random.default_rng(3)
    indexes = rng.choice([5, 30, 50], 30)
    symbols = np.rint(rng.normal(size=30) * 3).astype(np.int16)
    symbols[4], symbols[20] = 900, -900
    return encode(symbols, indexes, gaussian_tables()), symbols, indexes


def test_truncation_is_noticed():
    payload, _, indexes = short_stream()
    for length in range(len(payload)):
        expect("RC-STREAM-TRUNCATED", payload[:length], indexes, gaussian_tables(), length, 100)


def test_truncation_inside_an_escape_is_noticed():
    """The words run out between an escape's nibbles, for every number of nibbles already read."""
    symbols, indexes = np.full(12, -30000), np.zeros(12, int)
    payload = encode(symbols, indexes, gaussian_tables())
    for length in range(8, len(payload), 4):
        expect("RC-STREAM-TRUNCATED", payload[:length], indexes, gaussian_tables(), length)


def test_flipped_bit_is_noticed_outside_escapes():
    """The bits of an escape belong to one symbol alone, so the end of the stream cannot vouch for them."""
    payload, symbols, indexes = short_stream()
    entries = symbols - gaussian_tables().offsets[indexes]
    escaped = (entries < 0) | (entries >= gaussian_tables().lengths[indexes] - 2)
    positions = []
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            decoded = decode(bytes(damaged), indexes, gaussian_tables())
        except StreamError as error:
            positions.append(error.offset)
        else:
            changed = np.flatnonzero(decoded != symbols)
            assert changed.size == 1, bit
            assert escaped[changed[0]], bit
            assert encode(decoded, indexes, gaussian_tables()) == damaged, bit
    assert len(positions) > 8 * len(payload) * 0.9
    assert 0 <= min(positions) <= max(positions) <= len(payload)


def test_random_payload_is_refused_unless_encode_makes_it():
    """Also judged by the unchecked decoder: refused for its end exactly when that one ends elsewhere."""
    rng = np.random.default_rng(5)
    rows = [([0, 20000, 40000, 65000, 65536], -1)]
    tables, accepted, refused = make_tables(rows), 0, set()
    for _ in range(3000):
        payload = rng.bytes(8) if rng.random() < 0.5 else int(rng.integers(2**31, 2**40)).to_bytes(8, "little")
        indexes = np.zeros(int(rng.integers(8)), int)
        try:
            decoded = decode(payload, indexes, tables)
        except StreamError as error:
            refused.add(error.code)
            if error.code == "RC-STREAM-TRUNCATED":
                with pytest.raises(IndexError):
                    naive.decode(payload, indexes, rows)
        else:
            accepted += 1
            assert encode(decoded, indexes, tables) == payload
    assert refused == {"RC-STREAM-TRUNCATED", "RC-STREAM-RANS", "RC-STREAM-SYMBOL"}
    assert accepted < 30


@pytest.mark.parametrize("length", [0, 1, 4, 7, 9, 10, 11])
def test_length_must_be_whole_words(length):
    payload = (2**31).to_bytes(8, "little") + bytes(3)
    assert "multiple of 4" in expect("RC-STREAM-TRUNCATED", payload[:length], [], gaussian_tables(), length, 5)


def test_trailing_words_are_noticed():
    payload, _, indexes = short_stream()
    message = expect("RC-STREAM-TRAILING", payload + bytes(8), indexes, gaussian_tables(), len(payload), 64)
    assert message == f"RC-STREAM-TRAILING: 8 bytes follow the last symbol (byte {64 + len(payload)})"


@pytest.mark.parametrize("state", [2**31 + 1, 2**32, 2**62])
def test_wrong_final_state_is_noticed(state):
    """An encoder that begins elsewhere; every symbol decodes all the same."""
    tables = gaussian_tables()
    rows = [(tables.row(i).tolist(), int(tables.offsets[i])) for i in range(2)]
    steps = [step for symbol in (0, 1, -1) for step in naive.symbol_steps(symbol, rows[1])]
    payload = naive.encode_steps(steps, state)
    assert "final state 2**31" in expect("RC-STREAM-RANS", payload, [1, 1, 1], tables, len(payload))


@pytest.mark.parametrize("state", [0, 1, 2**31 - 1, 2**63, 2**64 - 1])
def test_first_state_must_be_one_an_encoder_leaves(state):
    payload = state.to_bytes(8, "little")
    assert "first state" in expect("RC-STREAM-RANS", payload, [0], gaussian_tables(), 0, 12)


ESCAPE_ROW = ([0, 60000, 65536], 0)


def escape_payload(nibbles):
    """One escaped symbol with these nibbles, then a regular one."""
    steps = [(60000, 5536, 16), *nibbles, (0, 60000, 16)]
    return naive.encode_steps(steps)


@pytest.mark.parametrize("extra", range(1, 6))
def test_escape_longer_than_needed_is_refused(extra):
    """The same symbol has a shorter stream; two streams for one meaning would hide damage."""
    payload = escape_payload(naive.escape_steps(0, extra))
    assert naive.decode(payload, [0, 0], [ESCAPE_ROW])[0] == [1, 0]
    with pytest.raises(StreamError, match="RC-STREAM-SYMBOL: an escape with a leading zero nibble"):
        decode(payload, np.zeros(2, int), make_tables([ESCAPE_ROW]))


@pytest.mark.parametrize("count", [6, 8, 14, 15, 30, 300])
def test_escape_of_too_many_nibbles_is_refused(count):
    payload = escape_payload(naive.escape_steps(16 ** (count - 1)))
    with pytest.raises(StreamError, match="RC-STREAM-SYMBOL: an escape of more than 5 nibbles") as caught:
        decode(payload, np.zeros(2, int), make_tables([ESCAPE_ROW]))
    assert caught.value.offset <= 12  # at once: one word after the first state at most


@pytest.mark.parametrize(("symbol", "good"), [(32767, True), (32768, False), (-32768, True), (-32769, False)])
def test_escaped_symbol_must_be_int16(symbol, good):
    payload = naive.encode([symbol, 0], [0, 0], [ESCAPE_ROW])
    if good:
        assert decode(payload, np.zeros(2, int), make_tables([ESCAPE_ROW])).tolist() == [symbol, 0]
    else:
        with pytest.raises(StreamError, match=r"RC-STREAM-SYMBOL: a symbol outside -32768 .. 32767"):
            decode(payload, np.zeros(2, int), make_tables([ESCAPE_ROW]))


def test_check_end_accepts_only_the_initial_state_at_the_end():
    check_end(2**31, 12, 12)
    with pytest.raises(StreamError, match=r"RC-STREAM-TRAILING: 4 bytes follow .* \(byte 18\)"):
        check_end(2**31, 8, 12, 10)
    with pytest.raises(StreamError, match=r"RC-STREAM-RANS: .* got 2147483649 \(byte 22\)"):
        check_end(2**31 + 1, 12, 12, 10)


# --- the caller's mistakes


@pytest.mark.parametrize("symbol", [-32769, 32768, 2**40])
def test_encode_refuses_symbols_outside_int16(symbol):
    with pytest.raises(RangeError, match=r"RC-RANGE: symbols: wanted -32768 .. 32767"):
        encode(np.array([0, symbol]), np.array([0, 0]), gaussian_tables())


@pytest.mark.parametrize("index", [-1, 64, 2**32])
def test_index_must_name_a_row(index):
    with pytest.raises(RangeError, match=r"RC-RANGE: indexes: wanted 0 .. 63"):
        encode(np.array([0, 0]), np.array([0, index]), gaussian_tables())
    with pytest.raises(RangeError, match=r"RC-RANGE: indexes: wanted 0 .. 63"):
        decode((2**31).to_bytes(8, "little"), np.array([index]), gaussian_tables())


def test_arguments_must_be_integers_of_one_shape():
    with pytest.raises(ShapeError, match=r"RC-SHAPE: .* \(2,\) and \(3,\)"):
        encode(np.zeros(2, int), np.zeros(3, int), gaussian_tables())
    with pytest.raises(ShapeError, match=r"\(2, 3\) and \(3, 2\)"):
        encode(np.zeros((2, 3), int), np.zeros((3, 2), int), gaussian_tables())
    with pytest.raises(RangeError, match="symbols: wanted integers, got float64"):
        encode(np.zeros(2), np.zeros(2, int), gaussian_tables())
    with pytest.raises(RangeError, match="indexes: wanted integers, got bool"):
        decode(bytes(8), np.zeros(2, bool), gaussian_tables())


# --- the compiled kernels


@pytest.mark.parametrize("kernel", [rans._encode, rans._decode], ids=["encode", "decode"])
def test_compiled_kernels_hold_no_float(kernel):
    """Numba adds a uint64 and an int64 as doubles; small numbers come out right, so no result would show it."""
    encode(np.zeros(1, int), np.zeros(1, int), gaussian_tables())
    decode((2**31).to_bytes(8, "little"), np.zeros(0, int), gaussian_tables())
    (signature,) = kernel.signatures  # one type of every argument, so compiled once
    fresh = numba.njit(kernel.py_func)
    fresh.compile(signature)
    assert "double" not in fresh.inspect_llvm(fresh.signatures[0])


UNCOMPILED = """
import sys
import numba
import numpy as np
from refcodec.entropy.rans import decode, encode
from refcodec.errors import StreamError
from refcodec.models.densities import gaussian_tables
assert numba.config.DISABLE_JIT
symbols, indexes = np.array(eval(sys.stdin.read()))
payload = encode(symbols, indexes, gaussian_tables())
assert np.array_equal(decode(payload, indexes, gaussian_tables()), symbols)
for bit in range(8 * len(payload)):
    damaged = bytearray(payload)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        outcome = decode(bytes(damaged), indexes, gaussian_tables()).tolist()
    except StreamError as error:
        outcome = str(error)
    print(outcome)
print(payload.hex())
"""


def test_plain_python_kernels_equal_compiled():
    """Same bytes, symbols and errors with warnings as errors: nothing wraps on the way."""
    rng = np.random.default_rng(11)
    indexes = rng.integers(64, size=60)
    symbols = np.rint(rng.normal(size=60) * 20).astype(int)
    symbols[::9] = rng.integers(INT16.min, INT16.max, symbols[::9].size)
    payload = encode(symbols, indexes, gaussian_tables())
    expected = []
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            expected.append(str(decode(bytes(damaged), indexes, gaussian_tables()).tolist()))
        except StreamError as error:
            expected.append(str(error))
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", UNCOMPILED],
        input=str([symbols.tolist(), indexes.tolist()]),
        env=os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines() == [*expected, payload.hex()]
