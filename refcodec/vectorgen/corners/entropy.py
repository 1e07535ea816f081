"""Corner cases of the generator, of frequency tables and of rANS (SPEC VEC-2)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refcodec import fixed
from refcodec.entropy.rans import encode as rans_encode
from refcodec.entropy.tables import FrequencyTables
from refcodec.formats import IntFormat
from refcodec.layers.latent_mean import SYMBOL_FORMAT
from refcodec.layers.scale_index import INDEX_FORMAT
from refcodec.vectorgen.case import Case, Values
from refcodec.vectorgen.function_case import function_case

BYTE = IntFormat(8, False)
COUNT = IntFormat(32, False)
ENTRY = IntFormat(32, True)


def random_cases() -> Iterator[Case]:
    """The generator itself."""
    for seed in (0, 1, 2**63 - 1):
        yield function_case(
            f"seed{seed}", "counter_random", ("VEC-2",), "the first values of a sequence",
            {"seed": seed, "first": 0, "count": 16}, {}, {"y": COUNT},
        )  # fmt: skip


def _rows() -> tuple[dict[str, Values], int]:
    """Three frequency tables: narrow, lopsided, and one whose only regular symbol is nearly certain."""
    rows = [[0, 20000, 40000, 60000, 65536], [0, 1, 2, 65000, 65535, 65536], [0, 65535, 65536]]
    starts = np.cumsum([0] + [len(row) for row in rows])
    values = {
        "values": Values(np.concatenate(rows), ENTRY),
        "starts": Values(starts, ENTRY),
        "offsets": Values(np.array([-1, -2, 7]), ENTRY),
    }
    return values, len(rows)


def rans_cases() -> Iterator[Case]:
    """Regular symbols, escapes at both ends and of every length, no symbols, and every kind of broken payload."""
    tables, count = _rows()
    wide = [0, 1, 2, 3, -1, -2, 7, 8, 15, 16, 100, -100, 2047, -2048, 32767, -32768]
    for name, symbols in (("none", []), ("one", [7]), ("escapes", wide * count), ("certain", [7] * 200)):
        indexes = [2 if name == "certain" else number % count for number in range(len(symbols))]
        inputs = {
            "symbols": Values(np.array(symbols, np.int64), SYMBOL_FORMAT),
            "indexes": Values(np.array(indexes, np.int64), INDEX_FORMAT),
            **tables,
        }
        flags = ("Escape",) if name == "escapes" else ()
        encoded = function_case(
            name, "rans_encode", ("RANS-1",), "symbols to bytes", {}, inputs, {"payload": BYTE}, flags
        )
        yield encoded
        decoding = {"payload": encoded.outputs["payload"], "indexes": inputs["indexes"], **tables}
        yield function_case(
            name, "rans_decode", ("RANS-2", "RANS-3"), "bytes to symbols", {}, decoding, {"symbols": SYMBOL_FORMAT}
        )
    yield from _edges(tables)
    yield from _broken_payloads(tables)
    yield from _broken_rows()


def _edges(tables: dict[str, Values]) -> Iterator[Case]:
    """A state that is exactly the limit above which a word is given up."""
    symbols, indexes = np.array([-2, -2, -1, -2]), np.ones(4, np.int64)  # of frequency 1, the first from 0 on
    inputs = {"symbols": Values(symbols, SYMBOL_FORMAT), "indexes": Values(indexes, INDEX_FORMAT), **tables}
    comment = "a state of frequency * 2**47: catches a word that is given up one state too late"
    encoded = function_case("limit", "rans_encode", ("RANS-1",), comment, {}, inputs, {"payload": BYTE})
    yield encoded
    decoding = {"payload": encoded.outputs["payload"], "indexes": inputs["indexes"], **tables}
    clauses = ("RANS-2", "RANS-3", "CDF-1")
    yield function_case("limit", "rans_decode", clauses, comment, {}, decoding, {"symbols": SYMBOL_FORMAT})


def _words(*words: int) -> bytes:
    return np.array(words, "<u4").tobytes()


def _escaped(digits: list[int], count: int) -> bytes:
    """A payload of one escape of the last table, with digits that no encoder writes."""
    words: list[int] = []
    state = 1 << 31
    for digit in (*reversed(digits), count):
        state = fixed.rans_push(state, words, digit, 1, 4)
    state = fixed.rans_push(state, words, 65535, 1, 16)
    return _words(state % (1 << 32), state >> 32, *reversed(words))


def _broken_payloads(tables: dict[str, Values]) -> Iterator[Case]:
    symbols, indexes = np.array([0, 1, 5, -300, 7] * 4), np.array([0, 1, 2, 1, 2] * 4)
    three = [tables[name].array for name in ("values", "starts", "offsets")]
    payload = rans_encode(symbols, indexes, FrequencyTables(*(array.astype(np.int32) for array in three)))
    # In the last table the escape has the frequency 1, so the state's upper bits are the escape's digits, count first.
    long, padded = ((1 << 40 | digits) << 16 | 65535 for digits in (15, 1))
    broken = {
        "empty": (b"", indexes, "RC-STREAM-TRUNCATED"),
        "half-word": (payload[:-2], indexes, "RC-STREAM-TRUNCATED"),
        "short": (payload[:-4], indexes, "RC-STREAM-TRUNCATED"),
        "trailing": (payload + bytes(4), indexes, "RC-STREAM-TRAILING"),
        "low-state": (bytes(8) + payload[8:], indexes, "RC-STREAM-RANS"),
        "long-escape": (long.to_bytes(8, "little"), indexes[2:3], "RC-STREAM-SYMBOL"),
        "zero-digit": (padded.to_bytes(8, "little"), indexes[2:3], "RC-STREAM-SYMBOL"),
        "last-digit-zero": (_escaped([5, 0], 2), indexes[2:3], "RC-STREAM-SYMBOL"),
        "six-digits": (_escaped([1, 1, 1, 1, 1, 1], 6), indexes[2:3], "RC-STREAM-SYMBOL"),
        "large-symbol": (_escaped([0, 0, 0, 0, 1], 5), indexes[2:3], "RC-STREAM-SYMBOL"),
        "small-symbol": (_escaped([15, 0, 0, 0, 1], 5), indexes[2:3], "RC-STREAM-SYMBOL"),
        # states that no encoder leaves, from which decoding would end as it should
        "first-state-low": (_words(20000, 0, 1 << 31), indexes[:1], "RC-STREAM-RANS"),
        "first-state-high": (_words(0, 1 << 31), indexes[1:2].repeat(2), "RC-STREAM-RANS"),
        "final-state": (_words((1 << 31) + 1, 0), indexes[:0], "RC-STREAM-RANS"),
        "surplus-half-word": (payload + bytes(2), indexes, "RC-STREAM-TRUNCATED"),
    }
    for length in range(1, len(payload)):
        broken[f"cut-{length}"] = payload[:length], indexes, "RC-STREAM-TRUNCATED"
    for name, (content, chosen, code) in broken.items():
        yield Case(
            f"operations/rans_decode/invalid-{name}",
            "rans_decode",
            ("RANS-2", "RANS-3"),
            "must be rejected",
            {},
            {
                "payload": Values(np.frombuffer(content, np.uint8).astype(np.int64), BYTE),
                "indexes": Values(chosen, INDEX_FORMAT),
                **tables,
            },
            error=code,
            flags=("Invalid",),
        )


def _broken_rows() -> Iterator[Case]:
    """Tables that are none, beside a legal one (SPEC CDF-1)."""
    for label, row, offset, comment in (
        ("short", [0, 65536], 0, "no regular symbol"),
        ("begin", [1, 5, 65536], 0, "a first entry of 1"),
        ("end", [0, 5, 65535], 0, "a last entry of 65535"),
        ("equal", [0, 5, 5, 65536], 0, "an empty interval"),
        ("falling", [0, 6, 5, 65536], 0, "an entry below the one before"),
        ("low", [0, 5, 65536], -32769, "a symbol below 16 bits"),
        ("high", [0, 5, 6, 65536], 32767, "a symbol beyond 16 bits"),
    ):
        values = [*row, 0, 9, 65536]
        inputs = {
            "payload": Values(np.frombuffer(_words(0, 0), np.uint8).astype(np.int64), BYTE),
            "indexes": Values(np.zeros(0, np.int64), INDEX_FORMAT),
            "values": Values(np.array(values), ENTRY),
            "starts": Values(np.array([0, len(row), len(values)]), ENTRY),
            "offsets": Values(np.array([offset, 0]), ENTRY),
        }
        identifier = f"operations/rans_decode/invalid-table-{label}"
        yield Case(
            identifier, "rans_decode", ("CDF-1",), comment, {}, inputs, error="RC-MODEL-TABLE", flags=("Invalid",)
        )


def frequency_cases() -> Iterator[Case]:
    """Counts that need empty intervals filled, at the front, in the middle and at the end."""
    for name, counts in (
        ("plain", [10, 20, 30, 5]),
        ("empty", [0, 0, 65536, 0, 0, 3, 0]),
        ("escape-only", [0, 0, 1]),
        ("long", [1] * 300 + [100000]),
    ):
        yield function_case(
            name, "frequencies", ("CDF-1", "CDF-2"), "counts to a cumulative row", {},
            {"counts": Values(np.array(counts), COUNT)}, {"row": ENTRY}, ("EmptyInterval",) if 0 in counts else (),
        )  # fmt: skip


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from random_cases()
    yield from frequency_cases()
    yield from rans_cases()
