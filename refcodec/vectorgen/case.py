"""One conformance case as values, as files, and back (SPEC VEC-1, VEC-5, VEC-6)."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from refcodec.errors import CODES, VectorError
from refcodec.formats import IntFormat
from refcodec.program.model_file import canonical_json
from refcodec.vectorgen.clauses import SPEC_VERSION, digests
from refcodec.vectorgen.signature import signature_crc, signature_words
from refcodec.vectorgen.values import Values

SCHEMA = "refcodec-case/2"
ROLES = ("inputs", "taps", "outputs")
KEYS = frozenset(
    {"schema", "spec", "id", "operation", "clauses", "clause_sha256", "comment", "flags", "parameters", "result"}
    | {"error", "accept", "signature", *ROLES}
)
PREFIX = {"inputs": "in", "taps": "tap", "outputs": "out"}


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """An operation with its inputs, and what must come of it (SPEC VEC-1, VEC-3).

    id  suite/operation/name;  clauses  what it exercises;  flags  corner families it reaches
    error  None for a valid case, otherwise the code with which it must be rejected;  accept  codes that are as good
    defined_by  the clause that defines each tap and output, by name (SPEC VEC-6)
    spec, clause_sha256  the text that the case is of: its version, and the SHA-256 of each clause (SPEC VEC-7).
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
    accept: tuple[str, ...] = ()
    defined_by: Mapping[str, str] = field(default_factory=dict)
    spec: str = SPEC_VERSION
    clause_sha256: Mapping[str, str] = field(default_factory=dict)


def case_files(case: Case, with_hex: bool = True) -> dict[str, bytes]:
    """Every file of a case, by name; `case.json` describes the others, `.hex` files may be left out."""
    files: dict[str, bytes] = {}
    for role in ROLES:
        for name, values in getattr(case, role).items():
            stem = f"{PREFIX[role]}.{name}"
            files[f"{stem}.le"] = values.to_bytes()
            if with_hex and values.array.size:
                files[f"{stem}.hex"] = values.to_hex()
    files["case.json"] = json.dumps(_describe(case, files), indent=1, sort_keys=True).encode() + b"\n"
    return files


def _describe(case: Case, files: Mapping[str, bytes]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "schema": SCHEMA,
        "spec": case.spec,
        "id": case.id,
        "operation": case.operation,
        "clauses": list(case.clauses),
        "clause_sha256": dict(case.clause_sha256 or digests(case.clauses)),
        "comment": case.comment,
        "flags": list(case.flags),
        "parameters": dict(case.parameters),
        "result": "valid" if case.error is None else "invalid",
    }
    if case.error is not None:
        described["error"] = case.error
        if case.accept:
            described["accept"] = list(case.accept)
    else:
        described["signature"] = {"words": signature_words(case.outputs).size, "crc32": signature_crc(case.outputs)}
    for role in ROLES:
        described[role] = [
            _describe_tensor(case, role, name, values, files) for name, values in getattr(case, role).items()
        ]
    return described


def _describe_tensor(case: Case, role: str, name: str, values: Values, files: Mapping[str, bytes]) -> dict[str, Any]:
    file = f"{PREFIX[role]}.{name}.le"
    entry = {
        "name": name,
        "dtype": values.storage.name,
        "bits": values.format.bits,
        "signed": values.format.signed,
        "shape": list(values.array.shape),
        "file": file,
        "sha256": hashlib.sha256(files[file]).hexdigest(),
    }
    if role != "inputs":
        entry |= {"clause": case.defined_by[name], "crc32": f"{zlib.crc32(files[file]):08x}"}
    return entry


def load_case(folder: Path) -> Case:
    """Read a case and check the files it names.  Raises VectorError RC-VECTOR-SUITE, RC-VECTOR-HASH."""
    try:
        described = json.loads((folder / "case.json").read_bytes())
        valid = described["result"] == "valid"
        if described["schema"] != SCHEMA or (described.get("error") is None) != valid:
            raise VectorError("RC-VECTOR-SUITE", f"{folder}: not a {SCHEMA} document")
        if unknown := sorted(set(described) - KEYS):
            raise VectorError("RC-VECTOR-SUITE", f"{folder}: {unknown[0]} is no key of {SCHEMA}")
        if bool(described["outputs"]) != valid or any(type(described[role]) is not list for role in ROLES):
            raise VectorError("RC-VECTOR-SUITE", f"{folder}: a valid case has outputs, an invalid one has none")
        for code in {described.get("error"), *described.get("accept", ())} - {None, *CODES}:
            raise VectorError("RC-VECTOR-SUITE", f"{folder}: unknown error code {code}")
        roles = {role: {entry["name"]: _load(folder, entry) for entry in described[role]} for role in ROLES}
        return Case(
            described["id"],
            described["operation"],
            tuple(described["clauses"]),
            described["comment"],
            described["parameters"],
            error=described.get("error"),
            flags=tuple(described["flags"]),
            accept=tuple(described.get("accept", ())),
            defined_by={entry["name"]: entry["clause"] for role in ROLES[1:] for entry in described[role]},
            spec=described["spec"],
            clause_sha256=described["clause_sha256"],
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
