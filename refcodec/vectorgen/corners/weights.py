"""Payloads of integers: every mode, contexts that learn to their limits, and every broken payload (SPEC VEC-2)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refcodec import fixed
from refcodec.entropy import rans
from refcodec.entropy.adaptive_integers import Mode, encode_adaptive, largest_digits
from refcodec.entropy.static_integers import encode_static
from refcodec.entropy.tables import FrequencyTables
from refcodec.entropy.weight_coding import DIFFERENCES, MODES, WIDTH_BITS
from refcodec.formats import IntFormat
from refcodec.layers.latent_mean import SYMBOL_FORMAT
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.draw import draw_between
from refcodec.vectorgen.evaluate import Engine, evaluate
from refcodec.vectorgen.values import Values

BYTE = IntFormat(8, False)
OPERATION = "integers"
ADAPTIVE = ("ABIN-1", "ABIN-2", "ABIN-3", "ABIN-4", "ABIN-5", "WC-1", "WC-2", "WC-3", "WC-4", "WC-5", "WC-6")
MALFORMED, SYMBOL = "RC-STREAM-WEIGHTS", "RC-STREAM-SYMBOL"
TRUNCATED, TRAILING = "RC-STREAM-TRUNCATED", "RC-STREAM-TRAILING"
PADDING, REST = 0, 9  # bits from the end of a payload, lowest first, on which no integer of it depends
HIGHEST = np.array([[[0, 4, 0, -2]]])  # in mode 1 each bit but the last few is the less likely one
Shape = tuple[int, int, int]


def _parameters(shape: Shape, dependent: bool) -> dict[str, int | bool]:
    return {**dict(zip(("outputs", "inputs", "taps"), shape, strict=True)), "dependent": dependent}


def _bytes(payload: bytes) -> Values:
    return Values(np.frombuffer(payload, np.uint8).astype(np.int64), BYTE)


def _decoded(
    label: str, payload: bytes, shape: Shape, clauses: tuple[str, ...], comment: str, dependent: bool = False
) -> Case:
    parameters, inputs = _parameters(shape, dependent), {"payload": _bytes(payload)}
    arrays = {"payload": inputs["payload"].array}
    integers = evaluate(Engine(True, {}), OPERATION, parameters, arrays)["integers"]
    found = {"integers": Values(integers.astype(np.int64), SYMBOL_FORMAT)}
    identifier, defined = f"operations/{OPERATION}/{label}", {"integers": "WC-5"}
    return Case(identifier, OPERATION, clauses, comment, parameters, inputs, outputs=found, defined_by=defined)


def _rejected(label: str, payload: bytes, shape: Shape, clause: str, code: str, comment: str) -> Case:
    return Case(
        f"operations/{OPERATION}/invalid-{label}",
        OPERATION,
        (clause,),
        comment,
        _parameters(shape, False),
        {"payload": _bytes(payload)},
        error=code,
        flags=("Invalid",),
    )


def _with_mode(number: int, values: np.ndarray, dependent: bool = False) -> bytes:
    """The payload of a tensor in a mode of the adaptive coder."""
    width = largest_digits(values)
    coded = encode_adaptive(np.ascontiguousarray(values, np.int32), width, Mode(*MODES[number - 1], dependent))
    return bytes([number << WIDTH_BITS | width]) + coded


def _drawn(seed: int, shape: Shape, spread: int) -> np.ndarray:
    """Integers of both signs, small ones and zeros more often than large ones."""
    values = draw_between(seed, shape, -spread, spread)
    return values >> draw_between(seed + 1, shape, 0, max(1, spread.bit_length()))


def weight_cases() -> Iterator[Case]:
    """Tensors in every mode with and without the trellis, long ones, and the largest integers."""
    for number in range(1, 7):
        comment = "catches contexts, rates and neighbours of another mode"
        for dependent in (False, True):
            label = f"mode{number}{'-dependent' if dependent else ''}"
            values = _drawn(40 + number, (3, 5, 4), 400)
            clauses = (*ADAPTIVE, "DQ-1", "DQ-2", "DQ-3") if dependent else ADAPTIVE
            yield _decoded(label, _with_mode(number, values, dependent), values.shape, clauses, comment, dependent)
    for number in (1, 2, 3, 6):
        values = _drawn(60 + number, (5, 20, 10), 5)
        comment = "a thousand integers: catches rates and counts of contexts at their limits"
        yield _decoded(f"long-mode{number}", _with_mode(number, values), values.shape, ADAPTIVE, comment)
    yield from _constant_cases()
    ends = np.array([[[-32768, 32767, 0, 1]], [[-1, -32767, 16384, 2]]])
    yield _decoded("ends", _with_mode(4, ends), ends.shape, ADAPTIVE, "the largest magnitudes: catches 15 digits")
    zeros = np.zeros((2, 3, 1), np.int64)
    yield _decoded("zeros", bytes(1), zeros.shape, ("WC-1",), "a byte and nothing else")
    yield from _static_cases()
    rows = np.cumsum(draw_between(70, (6, 4, 3), -2, 2), axis=0) + 1000
    payload = bytes([DIFFERENCES << WIDTH_BITS | largest_digits(rows)]) + _with_mode(
        2, np.diff(rows, axis=0, prepend=0)
    )
    comment = "catches differences along another axis, and those that are taken for integers"
    yield _decoded("differences", payload, rows.shape, ("WC-6",), comment)
    levels = np.diff(rows, axis=0, prepend=0)
    levelled = bytes([DIFFERENCES << WIDTH_BITS | largest_digits(rows)]) + _with_mode(5, levels)
    comment = "differences of levels: catches a trellis that their contexts see"
    yield _decoded("differences-dependent", levelled, rows.shape, ("WC-6", "DQ-3"), comment, True)


def _constant_cases() -> Iterator[Case]:
    """A context that is used more often than any count holds, then sees the other bit; and the largest first value."""
    values = np.ones((1, 1, 640), np.int64)
    values[..., 530::10] = -1
    comment = "more uses of a context than counts of 8 bits hold: catches counts that begin again, and slower rates"
    yield _decoded("constant", _with_mode(3, values), values.shape, ADAPTIVE, comment)
    payload = _with_mode(1, HIGHEST)
    comment = "a first value of 509: catches one that is refused"
    yield _decoded("largest-first-value", payload, HIGHEST.shape, ADAPTIVE, comment)


# --- tables of their own


def _table(lo: int, hi: int, levels: list[int], fraction: int, width: int, surplus: int = 0) -> bytes:
    """The table of mode 0, whatever it says, with so many digits of a step more than there are (SPEC WC-7)."""
    steps = np.diff(np.array(levels), prepend=0).astype(np.int32).reshape(1, 1, -1)
    digits, mask = largest_digits(steps) + surplus, (2 << width) - 1
    header = ((lo & mask) << width + 1 | hi & mask) << 6 | fraction << 4 | digits
    coded = encode_adaptive(steps, max(1, digits), Mode(neighbours=False, slowest=7, dependent=False))
    return header.to_bytes((2 * (width + 1) + 13) >> 3, "big") + coded


def _static_cases() -> Iterator[Case]:
    values = np.ascontiguousarray(_drawn(80, (4, 6, 3), 6) * 2, np.int32)  # no odd integer: levels of zero between
    width = largest_digits(values)
    payload = bytes([width]) + (encode_static(values, width) or b"")
    comment = "a table with symbols that do not occur: catches a frequency for level 0, and ends that are exchanged"
    yield _decoded("static", payload, values.shape, ("WC-6", "WC-7", "WC-8", "CDF-2", "RANS-2"), comment)
    for fraction, levels in enumerate(([3, 0, 9, 1], [5, 18, 3, 7], [9, 37, 0, 12], [1, 66, 30, 17])):
        table = _table(-1, 2, levels, fraction, 2)
        values = np.array([[[-1, 2, -1, 0 if levels[1] else 2]]], np.int32)
        comment = "catches levels in another fraction of an octave"
        row = _row(levels, fraction)
        coded = rans.encode(values, np.zeros(values.shape, np.int32), row)
        label, clauses = f"static-fraction{fraction}", ("WC-7", "WC-8")
        yield _decoded(label, bytes([2]) + table + coded, values.shape, clauses, comment)


def _row(levels: list[int], fraction: int) -> FrequencyTables:
    row = fixed.quantise_frequencies([*(fixed.table_frequency(level, fraction) for level in levels), 0])
    return FrequencyTables.from_rows([np.array(row)], np.array([-1], np.int32))


# --- what must be rejected


def broken_cases() -> Iterator[Case]:
    """One payload for every way in which one is rejected."""
    values = _drawn(90, (2, 3, 4), 30)
    shape, payload = values.shape, _with_mode(5, values)
    for label, broken, clause, code, comment in (
        ("empty", b"", "WC-1", TRUNCATED, "no byte"),
        ("17-digits", b"\x31" + payload[1:], "WC-1", MALFORMED, "more digits than an integer has"),
        ("zero-digits", b"\xa0" + payload[1:], "WC-1", MALFORMED, "a mode that has no digits"),
        ("after-zeros", bytes(2), "WC-6", TRAILING, "a byte after a tensor of zeros"),
        ("after-integers", payload + b"\0", "WC-6", TRAILING, "a byte after the integers"),
        ("truncated", payload[:-1], "ABIN-5", TRUNCATED, "the last byte is missing"),
        ("truncated-much", payload[: len(payload) // 2], "ABIN-5", TRUNCATED, "half of the payload is missing"),
        ("first-value", payload[:1] + b"\xff\xff" + payload[3:], "ABIN-5", MALFORMED, "a first value beyond 509"),
        (
            "more-digits",
            bytes([payload[0] + 1]) + _one_digit_more(values),
            "WC-5",
            MALFORMED,
            "fewer digits than it says",
        ),
        ("large", _with_mode(3, np.array([[[40000]]])), "WC-5", SYMBOL, "an integer of 17 bits"),
        ("small", _with_mode(3, np.array([[[-40000]]])), "WC-5", SYMBOL, "a negative integer of 17 bits"),
    ):
        yield _rejected(label, broken, (1, 1, 1) if code == SYMBOL else shape, clause, code, comment)
    yield from _broken_ends()
    steep = np.array([[[20000]], [[20000]]])
    inner = bytes([DIFFERENCES << WIDTH_BITS | 16]) + _with_mode(1, steep)
    yield _rejected("sum", inner, steep.shape, "WC-6", SYMBOL, "differences that sum to 17 bits")
    rising = np.array([[[1]], [[0]], [[0]]])  # sums of one digit, and their sums, 1, 2 and 3, of two
    nested = bytes([DIFFERENCES << WIDTH_BITS | 2, DIFFERENCES << WIDTH_BITS | 1]) + _with_mode(1, rising)
    yield _rejected("nested", nested, rising.shape, "WC-6", MALFORMED, "differences of differences, right in all else")
    wrapping = np.array([[[40000, -32768]]])  # the first is -25536 in 16 bits, and the digits are those of the second
    comment = "an integer of 17 bits beside one of 16 digits: catches integers that wrap"
    yield _rejected("wrapping", _with_mode(3, wrapping), wrapping.shape, "WC-5", SYMBOL, comment)
    yield from _broken_tables()


def _one_digit_more(values: np.ndarray) -> bytes:
    """The integers coded as if the largest had one digit more."""
    return encode_adaptive(np.ascontiguousarray(values, np.int32), largest_digits(values) + 1, Mode(*MODES[4], False))


def _broken_ends() -> Iterator[Case]:
    """Payloads of which every integer can be read, but whose other bits are not those that the coder leaves."""
    values = np.array([[[5, -3, 2, 0, 1, 1, -7]]])
    good = _with_mode(1, values)
    for label, bit, comment in (
        ("padding", PADDING, "a bit that no integer takes"),
        ("rest", REST, "a value that is left"),
    ):
        broken = bytearray(good)
        broken[-1 - (bit >> 3)] ^= 1 << (bit & 7)
        yield _rejected(label, bytes(broken), values.shape, "ABIN-5", MALFORMED, comment)


def _broken_tables() -> Iterator[Case]:
    """Tables of mode 0 that no encoder makes; most are refused before their integers are read."""
    good, shape, rest = [3, 7, 1, 9], (1, 1, 4), bytes(8)
    values = np.array([[[-1, 2, 5, 0]]], np.int32)  # the third is no symbol of the table
    escaped = rans.encode(values, np.zeros(values.shape, np.int32), _row(good, 0))
    legal = rans.encode(values.clip(-1, 2), np.zeros(values.shape, np.int32), _row(good, 0))
    high = [3, 52, 2, 1]
    beyond = rans.encode(values.clip(-1, 2), np.zeros(values.shape, np.int32), _row(high, 1))
    surplus = bytearray(_table(-1, 2, good, 0, 2))
    surplus[0] |= 0x80  # the table begins with a number of 12 bits
    for label, payload, code, comment in (
        ("table-short", b"\2" + _table(-1, 2, good, 0, 2)[:1], TRUNCATED, "the table is cut off"),
        ("table-header", b"\2" + bytes(surplus) + legal, MALFORMED, "a bit above the table's ends, right in all else"),
        ("table-wide", b"\x0d" + _table(-4096, 4095, good, 0, 13) + rest, MALFORMED, "8192 symbols"),
        ("table-width", b"\3" + _table(-1, 2, good, 0, 3) + rest, MALFORMED, "ends of two digits where three are said"),
        (
            "table-order",
            b"\2" + _table(2, -1, good, 0, 2) + rest,
            MALFORMED,
            "the largest integer is below the smallest",
        ),
        ("table-empty", b"\2" + _table(-1, 2, [0, 0, 0, 0], 0, 2) + rest, MALFORMED, "no level at all"),
        (
            "table-digits",
            b"\2" + _table(-1, 2, good, 0, 2, 1) + legal,
            MALFORMED,
            "steps with fewer digits than the table says, right in all else",
        ),
        ("table-low", b"\2" + _table(-1, 2, [3, -1, 2, 1], 0, 2) + rest, MALFORMED, "a level below 0"),
        ("table-high", b"\2" + _table(-1, 2, high, 1, 2) + beyond, MALFORMED, "a level beyond the last, below 2**32"),
        ("table-first", b"\2" + _table(-1, 2, [0, 2, 2, 1], 0, 2) + rest, MALFORMED, "a first level of 0"),
        ("table-last", b"\2" + _table(-1, 2, [3, 2, 2, 0], 0, 2) + rest, MALFORMED, "a last level of 0"),
        ("table-total", b"\2" + _table(-1, 2, [26, 26, 1, 1], 0, 2) + rest, MALFORMED, "frequencies of 33 bits"),
        ("table-escape", b"\2" + _table(-1, 2, good, 0, 2) + escaped, SYMBOL, "an integer outside the table"),
    ):
        yield _rejected(label, payload, shape, "WC-8", code, comment)


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from weight_cases()
    yield from broken_cases()
