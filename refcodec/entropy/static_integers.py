"""The integers of a tensor by rANS with one table of their own, which goes before them (SPEC WC-7, WC-8)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.entropy import rans
from refcodec.entropy.adaptive_integers import Mode, decode_adaptive, encode_adaptive, largest_digits
from refcodec.entropy.tables import FrequencyTables, quantise_frequencies
from refcodec.errors import StreamError

WIDEST_TABLE = 1 << 12  # symbols
SPARSE_TABLE = 16  # an encoder makes no table with more symbols than these and four for each integer
OCTAVES = 25
FRACTIONS = range(4)
LEVELS = Mode(neighbours=False, slowest=7, dependent=False)  # how the levels of a table are coded
# How far an encoder may average the counts of a magnitude: no further, or 1/8 or 1/4 of it to either side.
REACHES = (None, 3, 2)
# by fraction, what every level stands for
FREQUENCIES = tuple(
    np.array([fixed.table_frequency(k, fraction) for k in range(2 + (OCTAVES << fraction))], np.int64)
    for fraction in FRACTIONS
)


def _header_bytes(width: int) -> int:
    return (2 * (width + 1) + 6 + 7) >> 3


def _frequencies(levels: np.ndarray, fraction: int) -> np.ndarray:
    """The frequencies of a table's levels, and the escape's, int64 (SPEC WC-7)."""
    return np.append(FREQUENCIES[fraction][levels], 0)


# --- encoder


def _averaged(counts: np.ndarray, lo: int, reach: int | None) -> np.ndarray:
    """64 times the counts, each averaged with its neighbours; none that was there becomes nothing."""
    sums = np.concatenate([[0], np.cumsum(64 * counts.astype(np.int64))])
    index = np.arange(counts.size)
    far = np.zeros_like(index) if reach is None else np.abs(index + lo) >> reach
    begin, end = np.maximum(index - far, 0), np.minimum(index + far, counts.size - 1) + 1
    return np.maximum((sums[end] - sums[begin]) // (end - begin), np.minimum(counts, 1))


def _levels(counts: np.ndarray, fraction: int) -> np.ndarray:
    """The level that comes nearest to each of 64 times a count; 0 for none."""
    frequencies = FREQUENCIES[fraction]
    return np.where(counts > 0, 1 + np.searchsorted((frequencies[1:-1] + frequencies[2:]) >> 1, counts), 0)


def _log2(values: np.ndarray) -> np.ndarray:
    """Binary logarithms of 1 .. 2**16, in units of 2**-16, each one less than a unit too small: int64."""
    whole = (values[:, None] >> np.arange(1, 17) > 0).sum(axis=1)
    power, found = values.astype(np.int64) << (30 - whole), whole
    for _ in range(16):  # squaring doubles the logarithm of a power of 1 .. 2 in units of 2**30: 62 bits at most
        power = power * power >> 30
        carry = power >> 31
        power, found = power >> carry, 2 * found + carry
    return found


def _size(counts: np.ndarray, row: np.ndarray, table: bytes) -> int:
    """About how long a table and the integers that it codes are, in units of 2**-16 bits."""
    return int((counts * ((16 << 16) - _log2(np.diff(row)[:-1]))).sum()) + (len(table) << 19)


def _coded_table(lo: int, levels: np.ndarray, fraction: int, width: int) -> bytes:
    steps = np.diff(levels, prepend=0).astype(np.int32).reshape(1, 1, -1)
    step_width, mask = largest_digits(steps), (2 << width) - 1
    header = ((lo & mask) << width + 1 | lo + levels.size - 1 & mask) << 6 | fraction << 4 | step_width
    return header.to_bytes(_header_bytes(width), "big") + encode_adaptive(steps, step_width, LEVELS)


def _trial(
    counts: np.ndarray, lo: int, width: int, averaged: np.ndarray, fraction: int
) -> tuple[int, bytes, list[int]]:
    """The size with a table of levels that come nearest to averaged counts, the table's bytes, and its row."""
    levels = _levels(averaged, fraction)
    row = quantise_frequencies(_frequencies(levels, fraction))
    table = _coded_table(lo, levels, fraction, width)
    return _size(counts, row, table), table, row.tolist()


def encode_static(values: np.ndarray, width: int) -> bytes | None:
    """A short table with the integers that are coded by it; None where no table holds or suits them (SPEC WC-7).

    values  (O, I, K) contiguous int32, not all zero;  width  digits of the largest magnitude.
    """
    lo, hi = int(values.min()), int(values.max())
    if hi - lo >= min(WIDEST_TABLE, SPARSE_TABLE + 4 * values.size) or values.size >> OCTAVES:
        return None
    counts = np.bincount((values - lo).reshape(-1))
    trials = [(_averaged(counts, lo, reach), fraction) for reach in REACHES for fraction in FRACTIONS]
    _, table, row = min(_trial(counts, lo, width, *trial) for trial in trials)
    tables = FrequencyTables.from_rows([np.array(row)], np.array([lo], np.int32))
    return table + rans.encode(values, np.broadcast_to(np.int32(0), values.shape), tables)


# --- decoder


def _signed(field: int, width: int) -> int:
    field &= (2 << width) - 1
    return field - (2 << width) if field >> width else field


def _take_levels(payload: bytes, begin: int, size: int, header: int, offset: int) -> tuple[np.ndarray, int]:
    """The levels of a table, and the byte after them."""
    fraction, width = header >> 4 & 3, header & 15
    if width == 0:
        raise StreamError("RC-STREAM-WEIGHTS", "a table without a level", offset + begin)
    steps, end = decode_adaptive(payload, begin, (1, 1, size), width, LEVELS, offset)
    levels = np.cumsum(steps.reshape(-1), dtype=np.int64)
    if largest_digits(steps) != width:
        raise StreamError("RC-STREAM-WEIGHTS", f"wanted levels whose steps have {width} digits", offset + begin)
    if levels.min() < 0 or levels.max() > 1 + (OCTAVES << fraction) or not levels[0] or not levels[-1]:
        raise StreamError("RC-STREAM-WEIGHTS", "a table with a level out of its range", offset + begin)
    return levels, end


def decode_static(payload: bytes, begin: int, shape: tuple[int, int, int], width: int, offset: int) -> np.ndarray:
    """The integers of a tensor, int32 (SPEC WC-7, WC-8).

    begin  byte of the payload where the table begins;  offset  of the payload in its container, for errors.
    Raises StreamError RC-STREAM-TRUNCATED, -TRAILING, -WEIGHTS, -RANS, -SYMBOL.
    """
    start = begin + _header_bytes(width)
    if len(payload) < start:
        raise StreamError("RC-STREAM-TRUNCATED", "the payload ends in its table", offset + len(payload))
    header = int.from_bytes(payload[begin:start], "big")
    lo, hi = _signed(header >> 7 + width, width), _signed(header >> 6, width)
    if header >> 8 + 2 * width or not lo <= hi < lo + WIDEST_TABLE or max(-lo, hi).bit_length() != width:
        raise StreamError("RC-STREAM-WEIGHTS", f"no table holds {lo} .. {hi}", offset + begin)
    levels, end = _take_levels(payload, start, hi - lo + 1, header, offset)
    frequencies = _frequencies(levels, header >> 4 & 3)
    if int(frequencies.sum()) >> 32:
        raise StreamError("RC-STREAM-WEIGHTS", "the frequencies of a table exceed 2**32 - 1", offset + start)
    indexes = np.broadcast_to(np.int32(0), shape)
    tables = FrequencyTables.from_rows([quantise_frequencies(frequencies)], np.array([lo], np.int32))
    values = rans.decode(payload[end:], indexes, tables, offset + end)
    if int(values.min()) < lo or int(values.max()) > hi:
        raise StreamError("RC-STREAM-SYMBOL", f"wanted integers of {lo} .. {hi}", offset + len(payload))
    return values.astype(np.int32)
