"""Frequency tables: what is accepted, what is refused and why, and how counts become rows."""

from __future__ import annotations

import ast
import hashlib
import re
import struct
from pathlib import Path

import naive_entropy as naive
import numpy as np
import pytest

import refcodec.entropy
from refcodec.entropy.tables import FrequencyTables, quantise_frequencies
from refcodec.errors import ModelError, RangeError

ROWS = [[0, 1, 65536], [0, 100, 256, 512, 40000, 65536], [0, 65535, 65536]]
OFFSETS = [5, -2, 32767]


def int32(numbers):
    return np.array(numbers, np.int32)


def make(rows=ROWS, offsets=OFFSETS):
    return FrequencyTables.from_rows([int32(row) for row in rows], int32(offsets))


# --- the tables


def test_rows_are_kept():
    tables = make()
    assert tables.rows == 3
    assert tables.starts.tolist() == [0, 3, 9, 12]
    assert tables.lengths.tolist() == [3, 6, 3]
    assert [tables.row(r).tolist() for r in range(3)] == ROWS


def test_arrays_are_copied_and_read_only():
    values, starts, offsets = int32(ROWS[0]), int32([0, 3]), int32([0])
    tables = FrequencyTables(values, starts, offsets)
    values[1], offsets[0] = 7, 7
    assert (tables.values[1], tables.offsets[0]) == (1, 0)
    for array in (tables.values, tables.starts, tables.offsets, tables.buckets):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


def test_padded_inverts_from_padded():
    cdf, lengths, offsets = make().padded()
    assert cdf.tolist() == [row + [0] * (6 - len(row)) for row in ROWS]
    assert {array.dtype for array in (cdf, lengths, offsets)} == {np.dtype(np.int32)}
    cdf[0, 3:] = 99  # padding is not read
    assert FrequencyTables.from_padded(cdf, lengths, offsets).digest() == make().digest()


def test_buckets_name_the_last_entry_not_above():
    tables = make()
    for r, row in enumerate(ROWS):
        for b in range(257):
            wanted = max(k for k, value in enumerate(row) if value <= 256 * b)
            assert tables.buckets[r, b] == wanted, (r, b)


def test_digest_is_over_little_endian_words():
    words = [3, 0, 3, 9, 12, *OFFSETS, *(value for row in ROWS for value in row)]
    assert make().digest() == hashlib.sha256(struct.pack(f"<{len(words)}i", *words)).hexdigest()


def test_digest_sees_every_part():
    others = [
        make([[0, 2, 65536], *ROWS[1:]]),
        make(offsets=[5, -3, 32767]),
        make(ROWS[:2], OFFSETS[:2]),
        make([ROWS[1], ROWS[0], ROWS[2]]),
    ]
    assert len({tables.digest() for tables in [make(), *others]}) == 5


BAD_ROWS = [
    ([0, 65536], 0, "row 1: wanted 3 entries or more, got 2"),
    ([1, 5, 65536], 0, "row 1: wanted the first entry 0, got 1"),
    ([-1, 5, 65536], 0, "row 1: wanted the first entry 0, got -1"),
    ([0, 5, 65535], 0, "row 1: wanted the last entry 65536, got 65535"),
    ([0, 5, 65537], 0, "row 1: wanted the last entry 65536, got 65537"),
    ([0, 5, 5, 65536], 0, "row 1: wanted strictly increasing entries, got 0"),
    ([0, 9, 5, 65536], 0, "row 1: wanted strictly increasing entries, got -4"),
    ([0, 0, 65536], 0, "row 1: wanted strictly increasing entries, got 0"),
    ([0, 65536, 65536], 0, "row 1: wanted strictly increasing entries, got 0"),
    ([0, -(2**31), 65536], 0, "row 1: wanted strictly increasing entries"),
    ([0, 5, 65536], -32769, "row 1: wanted the first symbol -32768 or more, got -32769"),
    ([0, 5, 65536], 32768, "row 1: wanted the last regular symbol 32767 or less, got 32768"),
    ([0, 5, 9, 65536], 32767, "row 1: wanted the last regular symbol 32767 or less, got 32768"),
    ([0, 5, 9, 65536], 2**31 - 1, "row 1: wanted the last regular symbol 32767 or less, got 2147483648"),
]


@pytest.mark.parametrize(("row", "offset", "message"), BAD_ROWS)
def test_bad_row_is_named(row, offset, message):
    with pytest.raises(ModelError, match=f"^RC-MODEL-TABLE: {re.escape(message)}"):
        make([ROWS[0], row, ROWS[2]], [0, offset, 0])


@pytest.mark.parametrize(
    ("values", "starts", "offsets", "message"),
    [
        (np.array(ROWS[0]), int32([0, 3]), int32([0]), "values: wanted one-dimensional int32, got int64"),
        (int32([ROWS[0]]), int32([0, 3]), int32([0]), "values: wanted one-dimensional int32"),
        (ROWS[0], int32([0, 3]), int32([0]), "values: wanted one-dimensional int32, got list"),
        (int32(ROWS[0]), np.array([0, 3]), int32([0]), "starts: wanted one-dimensional int32"),
        (int32(ROWS[0]), int32([0, 3]), np.zeros(1), "offsets: wanted one-dimensional int32, got float64"),
        (int32(ROWS[0]), int32([0, 3]), int32([0, 0]), "wanted R + 1 starts"),
        (int32([]), int32([0]), int32([]), "wanted R + 1 starts for R >= 1 offsets"),
        (int32(ROWS[0]), int32([0, 2]), int32([0]), "starts: wanted 0 to 3, got 0 to 2"),
        (int32(ROWS[0]), int32([1, 3]), int32([0]), "starts: wanted 0 to 3, got 1 to 3"),
        (int32(ROWS[0] * 2), int32([0, 7, 6]), int32([0, 0]), "row 1: wanted 3 entries or more, got -1"),
        (int32(ROWS[0] * 2), int32([0, -(2**31), 6]), int32([0, 0]), "row 0: wanted 3 entries or more"),
    ],
)
def test_bad_layout_is_refused(values, starts, offsets, message):
    with pytest.raises(ModelError, match=f"^RC-MODEL-TABLE: {re.escape(message)}"):
        FrequencyTables(values, starts, offsets)


@pytest.mark.parametrize("length", [-1, 0, 2, 7])
def test_padded_length_must_fit(length):
    cdf, lengths, offsets = make().padded()
    lengths[1] = length
    with pytest.raises(ModelError, match=f"row 1: wanted a length of 3 .. 6, got {length}"):
        FrequencyTables.from_padded(cdf, lengths, offsets)


def test_padded_arrays_must_be_int32_and_agree():
    cdf, lengths, offsets = make().padded()
    for arrays in ((cdf.astype(np.int64), lengths), (cdf[0], lengths), (cdf, lengths[:2]), (cdf, lengths.astype("i8"))):
        with pytest.raises(ModelError, match="RC-MODEL-TABLE: wanted an int32"):
            FrequencyTables.from_padded(*arrays, offsets)
    with pytest.raises(ModelError, match="RC-MODEL-TABLE: wanted one row or more"):
        FrequencyTables.from_padded(cdf[:0], lengths[:0], offsets[:0])


# --- counts to rows


def random_counts(rng):
    """Peaked, flat, mostly empty and long ones: many rows need intervals widened on both sides."""
    n = int(rng.choice([2, 3, 10, 60, 700]))
    peak = np.exp(-np.abs(np.arange(n) - rng.integers(n)) / rng.choice([0.3, 2, 40]))
    counts = np.floor(peak * rng.choice([3, 1000, 65536, 2**24])).astype(np.int64)
    counts[rng.random(n) < rng.choice([0, 0.5, 0.95])] = 0
    counts[rng.integers(n)] += 1
    return counts


def test_quantise_equals_naive():
    rng = np.random.default_rng(2)
    for case in range(200):
        counts = random_counts(rng)
        row = quantise_frequencies(counts)
        assert row.dtype == np.int32
        assert row.tolist() == naive.quantise(counts.tolist()), case
        assert row[0] == 0
        assert row[-1] == 65536
        assert np.diff(row).min() >= 1


@pytest.mark.oracle
def test_quantise_equals_compressai():
    extension = naive.load_extension("_CXX")
    rng = np.random.default_rng(4)
    for case in range(200):
        counts = random_counts(rng)
        probabilities = (counts / counts.sum()).astype(np.float32)
        rounded = np.array(naive.round_probabilities(probabilities.astype(float).tolist()))
        wanted = extension.pmf_to_quantized_cdf(probabilities.tolist(), 16)
        assert quantise_frequencies(rounded).tolist() == wanted, case


@pytest.mark.parametrize(
    ("counts", "wanted"),
    [
        ([1, 1], [0, 32768, 65536]),
        ([1, 0], [0, 65535, 65536]),
        ([0, 1], [0, 1, 65536]),
        ([1, 1, 1], [0, 21845, 43690, 65536]),  # the escape takes the remainder
        ([5, 0, 5, 0], [0, 32766, 32767, 65535, 65536]),  # the first of two equal donors, then the narrower
        ([2**32 - 2, 1], [0, 65535, 65536]),  # 65536 * 2**32 needs more than 32 bits
    ],
)
def test_quantise_small_cases(counts, wanted):
    assert naive.quantise(counts) == wanted
    assert quantise_frequencies(np.array(counts)).tolist() == wanted


def test_quantise_longest_row_leaves_every_interval_one():
    counts = np.zeros(65536, np.int64)
    counts[30] = 1
    assert np.array_equal(quantise_frequencies(counts[:2000])[:31], np.arange(31))
    counts[:] = 1
    assert np.array_equal(quantise_frequencies(counts), np.arange(65537))


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        (np.array([1]), "wanted 2 to 65536 integers"),
        (np.ones(65537, int), "wanted 2 to 65536 integers"),
        (np.ones((2, 2), int), "wanted 2 to 65536 integers"),
        (np.ones(3), "wanted 2 to 65536 integers, got float64"),
        (np.array([3, -1]), "wanted 0 .. 2**32 - 1, got -1 .. 3"),
        (np.array([3, 2**32]), "wanted 0 .. 2**32 - 1"),
        (np.array([0, 0]), "wanted a sum of 1 .. 2**32 - 1, got 0"),
        (np.array([2**32 - 1, 1]), "wanted a sum of 1 .. 2**32 - 1"),
    ],
)
def test_quantise_refuses_bad_counts(counts, message):
    with pytest.raises(RangeError, match=f"^RC-RANGE: counts: {re.escape(message)}"):
        quantise_frequencies(counts)


# --- the promise of the folder


def test_entropy_folder_has_no_float():
    """No float constant, no true division, no floating type by name."""
    files = sorted(Path(refcodec.entropy.__file__).parent.glob("*.py"))
    assert len(files) >= 3
    for path in files:
        for node in ast.walk(ast.parse(path.read_text())):
            found = (
                isinstance(node, ast.Div)
                or (isinstance(node, ast.Constant) and isinstance(node.value, float))
                or (isinstance(node, ast.Attribute) and node.attr.startswith("float"))
                or (isinstance(node, ast.Name) and node.id == "float")
            )
            assert not found, f"{path.name}: line {getattr(node, 'lineno', '?')}"
