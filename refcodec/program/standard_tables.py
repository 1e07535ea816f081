"""The tables that come with refcodec: activations, places of exact heads, sines (SPEC TAB-5).

They are loaded here and built elsewhere: a decoder MUST NOT compute them (SPEC TAB-4).
"""

from __future__ import annotations

import hashlib
import importlib.resources
import json
from dataclasses import dataclass

import numpy as np
from safetensors.numpy import load

from refcodec.errors import ModelError
from refcodec.formats import IntFormat

TABLE_FILE, MANIFEST_FILE = "activation_tables.safetensors", "activation_tables.json"
MANIFEST_SHA256 = "5c5d99fa6a7f87d57e9b8e82cefe39b72434d878640231dc9324d90b6a059890"
SINE = "sine-1025"
RECTIFYING, BOUNDED = ("gelu", "silu"), ("tanh", "sigmoid")
# bits, fraction and spacing of tables of all four functions, then of those whose result has the fraction of its source
EVERY_FUNCTION = ((16, 10, 7), (16, 10, 4), (8, 4, 0), (10, 6, 0))
RECTIFYING_ONLY = ((12, 7, 3), (14, 9, 5), (14, 9, 4))
PLACE_FRACTION = 40


@dataclass(frozen=True, slots=True)
class StandardTable:
    """A table that comes with refcodec: a function between formats with steps of 2**-fraction (SPEC TAB-5).

    function  of RECTIFYING or BOUNDED;  spacing  of the nodes of an interpolated table, 0 for a direct one.
    """

    function: str
    source: IntFormat
    source_fraction: int
    target: IntFormat
    target_fraction: int
    spacing: int

    @property
    def name(self) -> str:
        """Such as `gelu-s16f10-s16f10-spacing7`, or `tanh-s8f4-s8f6` for a direct one."""
        formats = f"{self.source}f{self.source_fraction}-{self.target}f{self.target_fraction}"
        return f"{self.function}-{formats}" + (f"-spacing{self.spacing}" if self.spacing else "")


def standard_tables() -> tuple[StandardTable, ...]:
    """The shipped tables of functions, interpolated ones of 513 to 4097 nodes and direct ones of 8 and 10 bits.

    Values have 3 to 5 integer bits, the sign included not; results of tanh and sigmoid have one, which holds 1.
    """
    found = []
    for functions, formats in (((*RECTIFYING, *BOUNDED), EVERY_FUNCTION), (RECTIFYING, RECTIFYING_ONLY)):
        for bits, fraction, spacing in formats:
            fmt = IntFormat(bits, True)
            for function in functions:
                target_fraction = fraction if function in RECTIFYING else bits - 2
                found.append(StandardTable(function, fmt, fraction, fmt, target_fraction, spacing))
    return tuple(found)


def load_standard_table(name: str) -> np.ndarray:
    """The integers of a shipped table, of the narrowest signed type (SPEC TAB-5).

    name  of a StandardTable, `sine-1025`, `tanh-head` or `sigmoid-head`.
    Returns (n,).  Raises ModelError RC-MODEL-TENSOR naming those shipped, RC-MODEL-HASH.
    """
    folder = importlib.resources.files("refcodec.program")
    manifest = folder.joinpath(MANIFEST_FILE).read_bytes()
    found = hashlib.sha256(manifest).hexdigest()
    if found != MANIFEST_SHA256:
        raise ModelError("RC-MODEL-HASH", f"{MANIFEST_FILE}: wanted SHA-256 {MANIFEST_SHA256}, got {found}")
    described = json.loads(manifest)["tables"]
    if name not in described:
        raise ModelError("RC-MODEL-TENSOR", f"no shipped table {name!r}; there are: {', '.join(described)}")
    table = load(folder.joinpath(TABLE_FILE).read_bytes())[name]
    found = table_sha256(table)
    if found != described[name]["sha256"]:
        raise ModelError("RC-MODEL-HASH", f"{name}: wanted SHA-256 {described[name]['sha256']}, got {found}")
    return table


def load_activation_table(name: str) -> np.ndarray:
    """The entries or nodes of a shipped table of a function or of the sine, int32 (SPEC TAB-5).

    name  of a StandardTable, or `sine-1025`.  Raises ModelError as `load_standard_table`.
    """
    return load_standard_table(name).astype(np.int32)


def activation_nodes(form: str, bits: int) -> tuple[np.ndarray, int, int]:
    """The finest shipped table of an activation whose source and result have one signed format (SPEC TAB-5).

    form  gelu or silu;  bits  8, 10, 12, 14 or 16.
    Returns the entries or nodes, int32; the spacing, 0 for a direct table; the fraction of the format.
    Raises ModelError RC-MODEL-TENSOR if there is none.
    """
    tables = [t for t in standard_tables() if t.function == form and form in RECTIFYING and t.source.bits == bits]
    if not tables:
        raise ModelError("RC-MODEL-TENSOR", f"no shipped table of {form} in a format of {bits} bits")
    finest = min(tables, key=lambda table: table.spacing)
    return load_activation_table(finest.name), finest.spacing, finest.source_fraction


def head_places(form: str) -> np.ndarray:
    """Where each sample of an exact head begins, in units of 2**-40 (SPEC TAB-5).

    form  sigmoid, or tanh for (tanh(x) + 1) / 2.
    Returns (255,) int64, rising: element k - 1 is where it reaches (2k - 1) / 510.  Raises ModelError.
    """
    if form not in BOUNDED:
        raise ModelError("RC-MODEL-TENSOR", f"no shipped places of a head {form!r}; there are: tanh, sigmoid")
    return load_standard_table(f"{form}-head")


def table_sha256(table: np.ndarray) -> str:
    """SHA-256 of the little-endian bytes of a table, as the manifest states it."""
    return hashlib.sha256(table.astype(table.dtype.newbyteorder("<")).tobytes()).hexdigest()
