"""What the frequency tables of a model cost at worst (SPEC CDF-1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from refcodec.codecs.model_tables import model_tables
from refcodec.entropy.tables import PRECISION, SYMBOL_HI, SYMBOL_LO, TOTAL, FrequencyTables
from refcodec.program.model_file import Model

NIBBLE = 4  # bits


@dataclass(frozen=True, slots=True)
class Frequencies:
    """All rows of one table (SPEC CDF-1).

    rows, entries  how many;  total  what the last entry of every row is;  rising  whether every row strictly rises
    symbols  the smallest and the largest regular symbol;  smallest  the smallest frequency, `row` and `symbol` where;
    symbol None for the escape;  bits  the most that a regular symbol costs;  escape_bits  the most that any other costs
    """

    rows: int
    entries: int
    total: int
    rising: bool
    symbols: tuple[int, int]
    smallest: int
    row: int
    symbol: int | None
    bits: float
    escape_bits: float


def _escape_bits(frequency: int, offset: int, symbols: int) -> float:
    """The most that a symbol outside a row costs: its escape, the number of its nibbles, and the nibbles (RANS-1)."""
    raw = max(2 * (offset - SYMBOL_LO) - 1, 2 * (SYMBOL_HI - offset - symbols), 0)
    nibbles = -(-raw.bit_length() // NIBBLE)
    return PRECISION - math.log2(frequency) + NIBBLE * (1 + nibbles)


def frequencies(tables: FrequencyTables) -> Frequencies:
    """The audit of checked tables."""
    steps = [np.diff(tables.row(row).astype(np.int64)) for row in range(tables.rows)]
    least = [(int(row.min()), r, int(row.argmin())) for r, row in enumerate(steps)]
    smallest, row, entry = min(least)
    regular = min(int(row[:-1].min()) for row in steps)
    escapes = zip(
        (int(row[-1]) for row in steps), tables.offsets.tolist(), (len(row) - 1 for row in steps), strict=True
    )
    ends = tables.offsets.astype(np.int64) + tables.lengths - 3
    return Frequencies(
        tables.rows,
        tables.values.size,
        TOTAL,
        all((row > 0).all() and int(row.sum()) == TOTAL for row in steps),
        (int(tables.offsets.min()), int(ends.max())),
        smallest,
        row,
        None if entry == len(steps[row]) - 1 else int(tables.offsets[row]) + entry,
        PRECISION - math.log2(regular),
        max(_escape_bits(*escape) for escape in escapes),
    )


def model_frequencies(model: Model) -> dict[str, Frequencies]:
    """The audit of every table of a model, by name.  Raises ModelError RC-MODEL-TENSOR, RC-MODEL-TABLE."""
    names = sorted({key.rpartition("/")[0] for key in model.tables})
    return {name: frequencies(table) for name, table in zip(names, model_tables(model, *names), strict=True)}
