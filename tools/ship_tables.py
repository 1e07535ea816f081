"""Write the tables that refcodec ships: `python tools/ship_tables.py`.

Builds every standard table, the sine nodes and the places of heads, measures the largest error of each over all values
of its source, and writes the integers and their manifest. The SHA-256 of the manifest, printed last, is pinned in
`refcodec/program/standard_tables.py`; those of the tables stand in SPEC.md. The integers are the same on every machine.
"""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from refcodec.enclosures import Enclosure
from refcodec.files import write_files
from refcodec.formats import IntFormat
from refcodec.layers.positional_encoding import NODE_BITS, NODES
from refcodec.layers.table import interpolated_lookup, table_lookup
from refcodec.program.model_file import narrowest
from refcodec.program.standard_tables import (
    BOUNDED,
    MANIFEST_FILE,
    PLACE_FRACTION,
    SINE,
    TABLE_FILE,
    StandardTable,
    standard_tables,
    table_sha256,
)
from refcodec.quantize.activations import (
    FUNCTIONS,
    build_places,
    build_table,
    place,
    sine_node,
    sine_nodes,
)

TARGET = Path(__file__).parents[1] / "refcodec" / "program"
SCHEMA = "refcodec-tables/1"
DIGITS = 20  # of the function, for an error that is stated with PLACES
PLACES = 9


def middle(enclosure: Enclosure) -> Fraction:
    """A number within 10**-DIGITS."""
    return sum(enclosure, Fraction(0)) / 2


@lru_cache
def real_values(function: str, source: IntFormat, fraction: int) -> list[Fraction]:
    """The function at every value of a format."""
    values = range(source.lo, source.hi + 1)
    return [middle(FUNCTIONS[function](Fraction(value, 1 << fraction), DIGITS)) for value in values]


def table_error(standard: StandardTable, table: np.ndarray) -> Fraction:
    """The largest error over all values of the source, in units of the target."""
    source, target = standard.source, standard.target
    every = np.arange(source.lo, source.hi + 1).reshape(1, 1, -1)
    if standard.spacing:
        found = interpolated_lookup(every, table, standard.spacing, source, target)
    else:
        found = table_lookup(every, table, source, target)
    unit = 1 << standard.target_fraction
    real = real_values(standard.function, source, standard.source_fraction)
    return max(abs(y - unit * value) for y, value in zip(found.ravel().tolist(), real, strict=True))


def sine_error(nodes: np.ndarray) -> Fraction:
    """The largest error of a node, in its units; the first and the last are exact."""
    return max(abs(int(nodes[k]) - middle(sine_node(k, DIGITS))) for k in range(1, NODES - 1))


def place_error(form: str, places: np.ndarray) -> Fraction:
    """The largest error of a place of a head, in its units."""
    unit = Fraction(1 if form == "sigmoid" else 2, 1 << PLACE_FRACTION)
    return max(abs(found - middle(place(k, unit, DIGITS + 13))) for k, found in enumerate(places.tolist(), 1))


def decimal_text(error: Fraction) -> str:
    """Rounded to PLACES decimal places."""
    text = f"{round(error * 10**PLACES):0{PLACES + 1}d}"
    return f"{text[:-PLACES]}.{text[-PLACES:]}"


def entry(table: np.ndarray, error: Fraction, **parameters: Any) -> dict[str, Any]:
    """What the manifest says of a table."""
    return {
        "dtype": table.dtype.name,
        "entries": len(table),
        "max_error": decimal_text(error),
        "sha256": table_sha256(table),
        **parameters,
    }


def main() -> None:
    """Build, measure, write and report everything."""
    tables, described = {}, {}
    for standard in standard_tables():
        tables[standard.name] = table = narrowest(build_table(standard))
        described[standard.name] = entry(
            table,
            table_error(standard, table),
            function=standard.function,
            source=str(standard.source),
            source_fraction=standard.source_fraction,
            target=str(standard.target),
            target_fraction=standard.target_fraction,
            spacing=standard.spacing,
        )
    tables[SINE] = nodes = narrowest(sine_nodes())
    described[SINE] = entry(nodes, sine_error(nodes), function="sine", target_fraction=NODE_BITS)
    for form in BOUNDED:
        tables[f"{form}-head"] = places = narrowest(build_places(FUNCTIONS[form]))
        error = place_error(form, places)
        described[f"{form}-head"] = entry(places, error, function=form, target_fraction=PLACE_FRACTION)
    manifest = json.dumps({"schema": SCHEMA, "tables": described}, indent=1, sort_keys=True).encode() + b"\n"
    write_files({TARGET / TABLE_FILE: save(tables), TARGET / MANIFEST_FILE: manifest})
    for name, fields in described.items():
        print(f"{fields['sha256']}  {fields['max_error']:>15}  {name}")
    print(f"{hashlib.sha256(manifest).hexdigest()}  {MANIFEST_FILE}")


if __name__ == "__main__":
    main()
