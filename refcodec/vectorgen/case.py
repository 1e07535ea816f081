"""One conformance case as values, as files, and back (SPEC VEC-1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from refcodec.errors import CODES, VectorError
from refcodec.formats import IntFormat
from refcodec.program.model_file import canonical_json

SCHEMA = "refcodec-case/1"
ROLES = ("inputs", "taps", "outputs")
PREFIX = {"inputs": "in", "taps": "tap", "outputs": "out"}


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Integers with their declared format."""

    array: np.ndarray
    format: IntFormat

    @property
    def storage(self) -> np.dtype:
        """Little-endian type of the file: the narrowest of 8, 16, 32 and 64 bits with the format's sign."""
        width = next(bits for bits in (8, 16, 32, 64) if self.format.bits <= bits)
        return np.dtype(f"<{'i' if self.format.signed else 'u'}{width // 8}")

    def to_bytes(self) -> bytes:
        """Row-major little-endian bytes."""
        return np.ascontiguousarray(self.array).astype(self.storage).tobytes()

    def to_hex(self) -> bytes:
        """One two's complement word a line, as `$readmemh` reads it."""
        digits, mask = -(-self.format.bits // 4), (1 << self.format.bits) - 1
        words = (self.array.ravel().astype(np.int64) & mask).astype(">u8").tobytes().hex().encode()
        lines = np.full((self.array.size, digits + 1), ord("\n"), np.uint8)
        lines[:, :-1] = np.frombuffer(words, np.uint8).reshape(-1, 16)[:, 16 - digits :]
        return lines.tobytes()


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """An operation with its inputs, and what must come of it (SPEC VEC-1, VEC-3).

    id  suite/operation/name;  clauses  what it exercises;  flags  corner families it reaches
    error  None for a valid case, otherwise the code with which it must be rejected.
    """

    id: str
    operation: str
    clauses: tuple[str, ...]
    comment: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, Values]
    taps: Mapping[str, Values] = field(default_factory=dict)
    outputs: Mapping[str, Values] = field(default_factory=dict)
    error: str | None = None
    flags: tuple[str, ...] = ()


def case_files(case: Case, with_hex: bool = True) -> dict[str, bytes]:
    """Every file of a case, by name; `case.json` describes the others, `.hex` files may be left out."""
    files: dict[str, bytes] = {}
    described: dict[str, Any] = {
        "schema": SCHEMA,
        "id": case.id,
        "operation": case.operation,
        "clauses": list(case.clauses),
        "comment": case.comment,
        "flags": list(case.flags),
        "parameters": dict(case.parameters),
        "result": "valid" if case.error is None else "invalid",
    }
    if case.error is not None:
        described["error"] = case.error
    for role in ROLES:
        described[role] = []
        for name, values in getattr(case, role).items():
            stem = f"{PREFIX[role]}.{name}"
            content = values.to_bytes()
            files[f"{stem}.le"] = content
            if with_hex and values.array.size:
                files[f"{stem}.hex"] = values.to_hex()
            described[role].append(_describe(name, values, f"{stem}.le", content))
    files["case.json"] = json.dumps(described, indent=1, sort_keys=True).encode() + b"\n"
    return files


def _describe(name: str, values: Values, file: str, content: bytes) -> dict[str, Any]:
    return {
        "name": name,
        "dtype": values.storage.name,
        "bits": values.format.bits,
        "signed": values.format.signed,
        "shape": list(values.array.shape),
        "file": file,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


def load_case(folder: Path) -> Case:
    """Read a case and check the files it names.  Raises VectorError RC-VECTOR-SUITE, RC-VECTOR-HASH."""
    try:
        described = json.loads((folder / "case.json").read_bytes())
        valid = described["result"] == "valid"
        if described["schema"] != SCHEMA or (described.get("error") is None) != valid:
            raise VectorError("RC-VECTOR-SUITE", f"{folder}: not a {SCHEMA} document")
        if bool(described["outputs"]) != valid or any(type(described[role]) is not list for role in ROLES):
            raise VectorError("RC-VECTOR-SUITE", f"{folder}: a valid case has outputs, an invalid one has none")
        if described.get("error") not in {None, *CODES}:
            raise VectorError("RC-VECTOR-SUITE", f"{folder}: unknown error code {described['error']}")
        roles = {role: {entry["name"]: _load(folder, entry) for entry in described[role]} for role in ROLES}
        return Case(
            described["id"],
            described["operation"],
            tuple(described["clauses"]),
            described["comment"],
            described["parameters"],
            error=described.get("error"),
            flags=tuple(described["flags"]),
            **roles,
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise VectorError("RC-VECTOR-SUITE", f"{folder}: {error!r}") from error


def _load(folder: Path, entry: dict[str, Any]) -> Values:
    if Path(entry["file"]).name != entry["file"]:
        raise VectorError("RC-VECTOR-SUITE", f"{folder}: {entry['file']} is not a plain file name")
    content = (folder / entry["file"]).read_bytes()
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise VectorError("RC-VECTOR-HASH", f"{folder / entry['file']} does not match its SHA-256")
    fmt = IntFormat(entry["bits"], entry["signed"])
    stored = np.frombuffer(content, np.dtype(entry["dtype"]).newbyteorder("<"))
    values = Values(stored.astype(np.int64).reshape(entry["shape"]), fmt)
    if values.storage.name != entry["dtype"]:
        raise VectorError("RC-VECTOR-SUITE", f"{folder}: {entry['file']} is {entry['dtype']} but holds {fmt}")
    fmt.check(values.array, entry["file"])
    return values


def index_entry(case: Case, files: Mapping[str, bytes]) -> dict[str, Any]:
    """What the suite's index says of a case."""
    return {
        "id": case.id,
        "operation": case.operation,
        "clauses": list(case.clauses),
        "flags": list(case.flags),
        "result": "valid" if case.error is None else "invalid",
        "bytes": sum(map(len, files.values())),
        "sha256": hashlib.sha256(
            canonical_json({name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
        ).hexdigest(),
    }
