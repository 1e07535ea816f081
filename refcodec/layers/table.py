"""Tables of a function of one value: direct, and interpolated between nodes (SPEC TAB-1 to TAB-3)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.kernel import kernel

MIN_BITS = 2
MAX_DIRECT_BITS = 10
MAX_INTERPOLATED_BITS = 16
MAX_ENTRY_BITS = 32


@kernel
def _look_up(x, lo, table, out):
    for c in range(x.shape[0]):
        for y in range(x.shape[1]):
            for i in range(x.shape[2]):
                out[c, y, i] = table[np.int64(x[c, y, i]) - lo]


@kernel
def _interpolate(x, lo, spacing, nodes, out):
    mask = (np.int64(1) << spacing) - 1
    half = np.int64(1) << (spacing - 1)
    for c in range(x.shape[0]):
        for y in range(x.shape[1]):
            for i in range(x.shape[2]):
                place = np.int64(x[c, y, i]) - lo
                index = place >> spacing
                node = np.int64(nodes[index])
                rise = np.int64(nodes[index + 1]) - node  # below 2**32, and the part below 2**15: below 2**47 together
                out[c, y, i] = node + ((rise * (place & mask) + half) >> spacing)


def check_source(source: IntFormat, most: int) -> None:
    """Raise RangeError unless a table of the kind that takes `most` bits takes this source (SPEC TAB-3)."""
    if not MIN_BITS <= source.bits <= most:
        raise RangeError(f"a table of this kind takes {MIN_BITS}..{most} bits, not {source}")


def check_spacing(spacing: int, source: IntFormat) -> None:
    """Raise RangeError unless nodes 2**spacing apart divide the source format (SPEC TAB-3)."""
    check_source(source, MAX_INTERPOLATED_BITS)
    if not 1 <= spacing < source.bits:
        raise RangeError(f"spacing must be 1..{source.bits - 1} for {source}, got {spacing}")


def _check_entries(entries: np.ndarray, name: str, count: int, target: IntFormat) -> None:
    if entries.shape != (count,):
        raise ShapeError(f"expected {name} ({count},), got {entries.shape}")
    if target.bits > MAX_ENTRY_BITS:
        raise RangeError(f"{name} have at most {MAX_ENTRY_BITS} bits, not {target}")
    target.check(entries, name)


def check_table(table: np.ndarray, source: IntFormat, target: IntFormat) -> None:
    """Raise ShapeError or RangeError unless a direct table has an entry of `target` for each value (SPEC TAB-3)."""
    check_source(source, MAX_DIRECT_BITS)
    _check_entries(table, "entries", 1 << source.bits, target)


def check_nodes(nodes: np.ndarray, spacing: int, source: IntFormat, target: IntFormat) -> None:
    """Raise ShapeError or RangeError unless nodes 2**spacing apart span the source format (SPEC TAB-3)."""
    check_spacing(spacing, source)
    _check_entries(nodes, "nodes", (1 << source.bits - spacing) + 1, target)


def _check_values(x: np.ndarray, source: IntFormat) -> None:
    if x.ndim != 3:
        raise ShapeError(f"expected x (C, H, W), got {x.shape}")
    source.check(x, "x")


def table_lookup(x: np.ndarray, table: np.ndarray, source: IntFormat, target: IntFormat) -> np.ndarray:
    """The entry of every value (SPEC TAB-1).

    x  (C, H, W) integers in `source`, 2..10 bits;  table  (2**bits,) integers in `target`, from the smallest value on.
    Returns (C, H, W) in `target` and of its dtype.  Raises ShapeError, RangeError.
    Source: TOSA TABLE of 8 bits.
    """
    check_table(table, source, target)
    _check_values(x, source)
    out = np.empty(x.shape, target.dtype)
    _look_up(x, source.lo, table, out)
    return out


def table_lookup_plain(x: np.ndarray, table: np.ndarray, source: IntFormat, target: IntFormat) -> np.ndarray:
    """The definition of `table_lookup` on Python integers (SPEC TAB-1)."""
    check_table(table, source, target)
    _check_values(x, source)
    entries = table.tolist()
    values = [fixed.table_lookup(v, source.lo, entries) for v in x.ravel().tolist()]
    return np.array(values, target.dtype).reshape(x.shape)


def interpolated_lookup(
    x: np.ndarray, nodes: np.ndarray, spacing: int, source: IntFormat, target: IntFormat
) -> np.ndarray:
    """A point of the line between the two nodes beside every value (SPEC TAB-2).

    x  (C, H, W) integers in `source`, 2..16 bits;  nodes  (2**(bits - spacing) + 1,) integers in `target`, at the
    smallest value, then 2**spacing apart, the last one beyond the largest value;  spacing  1..bits - 1.
    Returns (C, H, W) in `target` and of its dtype.  Raises ShapeError, RangeError.
    Source: TOSA TABLE of 16 bits, rounded.
    """
    check_nodes(nodes, spacing, source, target)
    _check_values(x, source)
    out = np.empty(x.shape, target.dtype)
    _interpolate(x, source.lo, spacing, nodes, out)
    return out


def interpolated_lookup_plain(
    x: np.ndarray, nodes: np.ndarray, spacing: int, source: IntFormat, target: IntFormat
) -> np.ndarray:
    """The definition of `interpolated_lookup` on Python integers (SPEC TAB-2)."""
    check_nodes(nodes, spacing, source, target)
    _check_values(x, source)
    entries = nodes.tolist()
    values = [fixed.interpolated_lookup(v, source.lo, spacing, entries) for v in x.ravel().tolist()]
    return np.array(values, target.dtype).reshape(x.shape)
