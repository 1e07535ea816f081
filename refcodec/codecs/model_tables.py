"""The frequency tables of a model file (SPEC HYP-5)."""

from __future__ import annotations

import numpy as np

from refcodec.entropy.tables import FrequencyTables
from refcodec.errors import ModelError
from refcodec.program.model_file import Model

TABLE_PARTS = ("values", "starts", "offsets")


def model_tables(model: Model, *names: str) -> list[FrequencyTables]:
    """The tables that a model file holds under these names, and it holds no others (SPEC HYP-5).

    Raises ModelError RC-MODEL-TENSOR, RC-MODEL-TABLE.
    """
    surplus = set(model.tables) - {f"{name}/{part}" for name in names for part in TABLE_PARTS}
    if surplus:
        raise ModelError("RC-MODEL-TENSOR", f"surplus table {min(surplus)}")
    return [_tables(model, name) for name in names]


def _tables(model: Model, name: str) -> FrequencyTables:
    limits = np.iinfo(np.int32)
    found = []
    for part in TABLE_PARTS:
        table = model.tables.get(f"{name}/{part}")
        if table is None:
            raise ModelError("RC-MODEL-TENSOR", f"missing table {name}/{part}")
        if table.size and (int(table.min()) < limits.min or int(table.max()) > limits.max):
            raise ModelError("RC-MODEL-TABLE", f"table {name}/{part} holds values beyond 32 bits")
        found.append(table.astype(np.int32))
    return FrequencyTables(*found)


def check_rows(z_tables: FrequencyTables, z_channels: int, y_tables: FrequencyTables, y_rows: int) -> None:
    """Raise ModelError RC-MODEL-TABLE unless z has a table for each channel, and y so many (SPEC HYP-1)."""
    if z_tables.rows != z_channels or y_tables.rows != y_rows:
        raise ModelError("RC-MODEL-TABLE", f"expected {z_channels} z tables and {y_rows} y tables")
