"""Cumulative frequency tables of the entropy coder, 16 bits, integers only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from refcodec.errors import ModelError, RangeError
from refcodec.kernel import kernel

PRECISION = 16
TOTAL = 1 << PRECISION  # the last entry of every row
SYMBOL_LO, SYMBOL_HI = -(1 << 15), (1 << 15) - 1  # every coded symbol is an int16
SHORTEST = 3  # entries of a row with one regular symbol: 0, its end, the escape's end
BUCKET_BITS = 8  # a bucket is 256 neighbouring cumulative values


def _malformed(message: str) -> ModelError:
    return ModelError("RC-MODEL-TABLE", message)


def _check_layout(values: np.ndarray, starts: np.ndarray, offsets: np.ndarray) -> None:
    for name, array in (("values", values), ("starts", starts), ("offsets", offsets)):
        if not isinstance(array, np.ndarray) or array.dtype != np.int32 or array.ndim != 1:
            got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
            raise _malformed(f"{name}: wanted one-dimensional int32, got {got}")
    if offsets.size == 0 or starts.size != offsets.size + 1:
        raise _malformed(f"wanted R + 1 starts for R >= 1 offsets, got {starts.size} for {offsets.size}")
    if starts[0] != 0 or starts[-1] != values.size:
        raise _malformed(f"starts: wanted 0 to {values.size}, got {starts[0]} to {starts[-1]}")


def _refuse_first(bad: np.ndarray, what: str, got: np.ndarray) -> None:
    """Raise for the first row that is marked in `bad`."""
    if bad.any():
        row = int(np.argmax(bad))
        raise _malformed(f"row {row}: {what}, got {got[row]}")


def _check_rows(values: np.ndarray, starts: np.ndarray, offsets: np.ndarray) -> None:
    lengths = np.diff(starts.astype(np.int64))
    _refuse_first(lengths < SHORTEST, f"wanted {SHORTEST} entries or more", lengths)
    first, last = values[starts[:-1]], values[starts[1:] - 1]
    _refuse_first(first != 0, "wanted the first entry 0", first)
    _refuse_first(last != TOTAL, f"wanted the last entry {TOTAL}", last)
    # all rows rise from 0 to TOTAL, so exactly the steps from one row to the next may fall
    steps = np.append(np.diff(values.astype(np.int64)), 1)
    steps[starts[1:] - 1] = 1
    smallest = np.minimum.reduceat(steps, starts[:-1])
    _refuse_first(smallest <= 0, "wanted strictly increasing entries", smallest)
    _refuse_first(offsets < SYMBOL_LO, f"wanted the first symbol {SYMBOL_LO} or more", offsets)
    final = offsets.astype(np.int64) + lengths - SHORTEST
    _refuse_first(final > SYMBOL_HI, f"wanted the last regular symbol {SYMBOL_HI} or less", final)


def _bucket_entries(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """For each row and b = 0 .. 256: the last entry that is not above 256 * b."""
    rows = np.arange(starts.size - 1, dtype=np.int64)
    shifted = values + np.repeat(rows, np.diff(starts)) * (2 * TOTAL)  # the rows follow each other, so all is sorted
    limits = np.arange((TOTAL >> BUCKET_BITS) + 1, dtype=np.int64) << BUCKET_BITS
    found = np.searchsorted(shifted, rows[:, None] * (2 * TOTAL) + limits, side="right") - 1
    return (found - starts[:-1, None]).astype(np.int32)


@dataclass(frozen=True, slots=True, eq=False)
class FrequencyTables:
    """Rows of cumulative frequencies for rANS (SPEC CDF-1).

    values   (V,) int32, the rows one after another. Each begins with 0, ends with 65536 and strictly increases; entry k
             and its successor bound symbol k, and the last interval is the escape.
    starts   (R + 1,) int32, row r is values[starts[r] : starts[r + 1]], three entries or more.
    offsets  (R,) int32, symbol value of a row's entry 0; this and the last regular symbol are int16.
    buckets  (R, 257) int32, derived: the last entry of row r that is not above 256 * b.
    The arrays are copied and read-only.  Raises ModelError RC-MODEL-TABLE naming the row.
    Source: CompressAI `EntropyModel` (`_quantized_cdf`, `_cdf_length`, `_offset`).
    """

    values: np.ndarray
    starts: np.ndarray
    offsets: np.ndarray
    buckets: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        _check_layout(self.values, self.starts, self.offsets)
        _check_rows(self.values, self.starts, self.offsets)
        object.__setattr__(self, "buckets", _bucket_entries(self.values, self.starts))
        for name in ("values", "starts", "offsets", "buckets"):
            owned = getattr(self, name).copy()
            owned.setflags(write=False)
            object.__setattr__(self, name, owned)

    @classmethod
    def from_rows(cls, rows: list[np.ndarray], offsets: np.ndarray) -> FrequencyTables:
        """Join single rows (SPEC CDF-1).

        rows  R arrays of integers, each a cumulative row;  offsets (R,) int32.  Raises ModelError RC-MODEL-TABLE.
        """
        if not rows:
            raise _malformed("wanted one row or more, got none")
        starts = np.cumsum([0] + [len(row) for row in rows]).astype(np.int32)
        return cls(np.concatenate(rows).astype(np.int32), starts, offsets)

    @classmethod
    def from_padded(cls, cdf: np.ndarray, lengths: np.ndarray, offsets: np.ndarray) -> FrequencyTables:
        """The tables of CompressAI's three arrays (SPEC CDF-1).

        cdf      (R, L) int32 `_quantized_cdf`; what follows a row's length is padding and not read
        lengths  (R,)   int32 `_cdf_length`, 3 .. L;  offsets (R,) int32 `_offset`
        Raises ModelError RC-MODEL-TABLE.
        """
        if cdf.ndim != 2 or cdf.dtype != np.int32 or lengths.dtype != np.int32 or lengths.shape != cdf.shape[:1]:
            got = f"{cdf.dtype} {cdf.shape}, {lengths.dtype} {lengths.shape}"
            raise _malformed(f"wanted an int32 (R, L) table and int32 (R,) lengths, got {got}")
        width = cdf.shape[1]
        _refuse_first((lengths < SHORTEST) | (lengths > width), f"wanted a length of {SHORTEST} .. {width}", lengths)
        return cls.from_rows([row[:length] for row, length in zip(cdf, lengths, strict=True)], offsets)

    @property
    def rows(self) -> int:
        """The number of rows R."""
        return self.offsets.size

    @property
    def lengths(self) -> np.ndarray:
        """The entries of each row, (R,) int32."""
        return np.diff(self.starts)

    def row(self, index: int) -> np.ndarray:
        """The cumulative frequencies of one row, (length,) int32, read-only."""
        return self.values[self.starts[index] : self.starts[index + 1]]

    def padded(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """CompressAI's `_quantized_cdf` (R, L), `_cdf_length` (R,) and `_offset` (R,), int32, rows filled with 0."""
        lengths = self.lengths
        cdf = np.zeros((self.rows, int(lengths.max())), np.int32)
        cdf[np.arange(cdf.shape[1]) < lengths[:, None]] = self.values
        return cdf, lengths, self.offsets.copy()

    def digest(self) -> str:
        """SHA-256 in hexadecimal over R, starts, offsets and values, each number four bytes little-endian (SPEC CDF-1).

        Tables are equal exactly when their digests are.
        """
        parts = (np.array([self.rows]), self.starts, self.offsets, self.values)
        return hashlib.sha256(b"".join(part.astype("<i4").tobytes() for part in parts)).hexdigest()


@kernel
def _fill_empty(row):
    """Widen each empty interval by one, taken from the first of the narrowest intervals that can spare it."""
    n = row.size - 1
    for i in range(n):
        if row[i] != row[i + 1]:
            continue
        donor, least = -1, TOTAL + 1
        for j in range(n):
            width = row[j + 1] - row[j]
            if 1 < width < least:
                donor, least = j, width
        if donor < i:
            row[donor + 1 : i + 1] -= 1
        else:
            row[i + 1 : donor + 1] += 1


def quantise_frequencies(counts: np.ndarray) -> np.ndarray:
    """A cumulative row from counts; no interval is empty (SPEC CDF-2).

    counts  (n,) integers >= 0, sum 1 .. 2**32 - 1, 2 <= n <= 65536; the last one belongs to the escape.
    Returns (n + 1,) int32 from 0 to 65536. The escape gets what scaling every count down by itself leaves over.
    Raises RangeError.  Source: CompressAI `pmf_to_quantized_cdf` after its first rounding.
    """
    counts = np.asarray(counts)
    if counts.dtype.kind not in "iu" or counts.ndim != 1 or not 2 <= counts.size <= TOTAL:
        raise RangeError(f"counts: wanted 2 to {TOTAL} integers, got {counts.dtype} {counts.shape}")
    if int(counts.min()) < 0 or int(counts.max()) >> 32:
        raise RangeError(f"counts: wanted 0 .. 2**32 - 1, got {counts.min()} .. {counts.max()}")
    total = int(counts.sum(dtype=np.int64))  # fewer than 2**48
    if total == 0 or total >> 32:
        raise RangeError(f"counts: wanted a sum of 1 .. 2**32 - 1, got {total}")
    row = np.zeros(counts.size + 1, np.int64)
    np.cumsum(counts.astype(np.int64) * TOTAL // total, out=row[1:])
    row[-1] = TOTAL
    _fill_empty(row)  # finds a donor: an empty interval among n <= 65536 leaves another one wider than 1
    return row.astype(np.int32)
