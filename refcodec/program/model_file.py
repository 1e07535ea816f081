"""The model file `.rcm`: a safetensors container of integers and one canonical JSON text (SPEC MODEL-1 to MODEL-4)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from refcodec.errors import ModelError, RangeError
from refcodec.files import read_bytes, write_bytes
from refcodec.formats import IntFormat
from refcodec.program.operations import KINDS, AnyOperation, Tensor
from refcodec.program.program import Program

SCHEMA = "refcodec-model/1"
TABLES = "tables/"
ENCODER = "encoder/"  # float tensors under this prefix serve the encoder only and are outside the identity
Arrays = Mapping[str, np.ndarray]
Parts = tuple[tuple[Tensor, ...], tuple[AnyOperation, ...]]  # of a program
# annotation of an operation's field -> type in the description
FIELD_TYPES = {"str": str, "int": int, "bool": bool, "IntFormat": dict, "tuple[str, ...]": list}


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """Everything a decoder needs, in integers, plus what an encoder may use (SPEC MODEL-1).

    family  which codec reads it;  settings  small integers of that codec;  programs  by name
    tables  integer arrays by name;  encoder  arrays by name, not part of the identity;  provenance  free text by key.
    """

    family: str
    settings: Mapping[str, int]
    programs: Mapping[str, Program]
    tables: Arrays
    encoder: Arrays = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """SHA-256, in hexadecimal, of what decides the decoded bytes (SPEC MODEL-3)."""
        described = _describe(self)
        tensors = {
            name: {"dtype": array.dtype.name, "shape": list(array.shape), "sha256": _sha256(array)}
            for name, array in _decoder_tensors(self).items()
        }
        return hashlib.sha256(canonical_json({**described, "tensors": tensors})).hexdigest()


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys, no white space, and integers as the only numbers (SPEC MODEL-2)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def narrowest(array: np.ndarray) -> np.ndarray:
    """The same values in the narrowest of int8, int16, int32 and int64 (SPEC MODEL-2)."""
    lo, hi = (int(array.min()), int(array.max())) if array.size else (0, 0)
    for dtype in (np.int8, np.int16, np.int32):
        if np.iinfo(dtype).min <= lo and hi <= np.iinfo(dtype).max:
            return np.ascontiguousarray(array, dtype)
    return np.ascontiguousarray(array, np.int64)


def _sha256(array: np.ndarray) -> str:
    return hashlib.sha256(array.astype(array.dtype.newbyteorder("<")).tobytes()).hexdigest()


def _describe(model: Model) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "family": model.family,
        "settings": dict(model.settings),
        "programs": {name: _describe_program(program) for name, program in model.programs.items()},
    }


def _describe_program(program: Program) -> dict[str, Any]:
    return {
        "tensors": [
            {"name": t.name, "channels": t.channels, "format": _describe_format(t.format)} for t in program.tensors
        ],
        "operations": [_describe_operation(op) for op in program.operations],
    }


def _describe_format(fmt: IntFormat) -> dict[str, Any]:
    return {"bits": fmt.bits, "signed": fmt.signed}


def _describe_operation(op: AnyOperation) -> dict[str, Any]:
    described: dict[str, Any] = {"kind": op.kind}
    for item in fields(op):
        if item.name not in op.constants:
            described[item.name] = _describe_value(getattr(op, item.name))
    return described


def _describe_value(value: Any) -> Any:
    if isinstance(value, IntFormat):
        return _describe_format(value)
    return list(value) if isinstance(value, tuple) else value


def _decoder_tensors(model: Model) -> dict[str, np.ndarray]:
    found = {f"{TABLES}{name}": narrowest(array) for name, array in model.tables.items()}
    for program_name, program in model.programs.items():
        for op in program.operations:
            for name in op.constants:
                found[f"programs/{program_name}/{op.name}/{name}"] = narrowest(getattr(op, name))
    return found


def model_to_bytes(model: Model) -> bytes:
    """Serialise; equal models give equal bytes (SPEC MODEL-2)."""
    document = {**_describe(model), "identity": model.identity, "provenance": dict(model.provenance)}
    tensors = _decoder_tensors(model) | {f"{ENCODER}{name}": array for name, array in model.encoder.items()}
    return safetensors.numpy.save(
        {name: np.ascontiguousarray(array) for name, array in tensors.items()},
        {"refcodec": canonical_json(document).decode()},
    )


def save_model(path: str | Path, model: Model) -> None:
    """Write a model file, whole or not at all (SPEC MODEL-1).  Raises FileError RC-FILE-WRITE."""
    write_bytes(path, model_to_bytes(model))


def load_model(path: str | Path) -> Model:
    """Read and check a model file (SPEC MODEL-4).

    Raises FileError RC-FILE-READ, ModelError RC-MODEL-FILE, -SCHEMA, -TENSOR, -RANGE, -OVERFLOW, -HASH.
    """
    return model_from_bytes(read_bytes(path), str(path))


def model_from_bytes(content: bytes, name: str = "model") -> Model:
    """Parse and check the bytes of a model file (SPEC MODEL-4)."""
    text, document, tensors = _open(content, name)
    model = _parse(document, tensors)
    if not _is_canonical(text, document):
        raise ModelError("RC-MODEL-SCHEMA", f"{name}: the description is not canonical JSON")
    if model.identity != document["identity"]:
        raise ModelError("RC-MODEL-HASH", f"{name}: content has identity {model.identity}, file says otherwise")
    return model


def unchecked_programs(content: bytes, name: str = "model") -> dict[str, Parts]:
    """Tensors and operations of every program as a file states them, whether or not they fit together.

    For a report on what a checker refuses: nothing may be run that is not a Program.  Raises ModelError.
    """
    _, document, tensors = _open(content, name)
    described = document.get("programs") if type(document) is dict else None
    if type(described) is not dict:
        raise ModelError("RC-MODEL-SCHEMA", f"{name}: the description has no programs")
    return {key: _parse_parts(key, program, tensors) for key, program in described.items()}


def _open(content: bytes, name: str) -> tuple[str, Any, dict[str, np.ndarray]]:
    """The text of the description, what it says, and all tensors.  Raises ModelError RC-MODEL-FILE."""
    try:
        tensors = safetensors.numpy.load(content)
        if any(array.dtype.isbuiltin != 1 for array in tensors.values()):
            raise ValueError("a dtype that NumPy lacks")
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        text = header["__metadata__"]["refcodec"]
        document = json.loads(text)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError("RC-MODEL-FILE", f"{name} is not a refcodec model file") from error
    return text, document, tensors


def _is_canonical(text: str, document: Any) -> bool:
    try:
        return canonical_json(document).decode() == text
    except ValueError:  # a number that JSON lacks, or a lone surrogate, which has no UTF-8 form
        return False


def _take(document: Any, shape: dict[str, type], where: str) -> list[Any]:
    """The values of exactly these keys, each of exactly this type."""
    if type(document) is not dict or set(document) != set(shape):
        raise ModelError("RC-MODEL-SCHEMA", f"{where}: expected exactly the keys {sorted(shape)}")
    for key, kind in shape.items():
        if type(document[key]) is not kind:
            raise ModelError("RC-MODEL-SCHEMA", f"{where}.{key}: expected {kind.__name__}")
    return [document[key] for key in shape]


def _parse(document: Any, tensors: dict[str, np.ndarray]) -> Model:
    schema, family, settings, described, _, provenance = _take(
        document,
        {"schema": str, "family": str, "settings": dict, "programs": dict, "identity": str, "provenance": dict},
        "model",
    )
    if schema != SCHEMA:
        raise ModelError("RC-MODEL-SCHEMA", f"schema {schema!r} is not {SCHEMA!r}")
    if any(type(value) is not int for value in settings.values()):
        raise ModelError("RC-MODEL-SCHEMA", "settings must be integers")
    if any(type(value) is not str for value in provenance.values()):
        raise ModelError("RC-MODEL-SCHEMA", "provenance must be text")
    remaining = dict(tensors)
    programs = {name: Program(name, *_parse_parts(name, program, remaining)) for name, program in described.items()}
    tables = {name[len(TABLES) :]: remaining.pop(name) for name in sorted(remaining) if name.startswith(TABLES)}
    encoder = {name[len(ENCODER) :]: remaining.pop(name) for name in sorted(remaining) if name.startswith(ENCODER)}
    if remaining:
        raise ModelError("RC-MODEL-TENSOR", f"surplus tensor {min(remaining)}")
    for name, array in tables.items():
        if array.dtype.kind != "i":
            raise ModelError("RC-MODEL-TENSOR", f"table {name} holds {array.dtype}, not signed integers")
    return Model(family, settings, programs, tables, encoder, provenance)


def _parse_parts(name: str, document: Any, tensors: dict[str, np.ndarray]) -> Parts:
    listed, operations = _take(document, {"tensors": list, "operations": list}, name)
    return (
        tuple(_parse_tensor(entry, name) for entry in listed),
        tuple(_parse_operation(entry, name, tensors) for entry in operations),
    )


def _parse_format(document: Any, where: str) -> IntFormat:
    bits, signed = _take(document, {"bits": int, "signed": bool}, where)
    try:
        return IntFormat(bits, signed)
    except RangeError as error:
        raise ModelError("RC-MODEL-SCHEMA", f"{where}: {error.message}") from error


def _parse_names(document: list[Any], where: str) -> tuple[str, ...]:
    if any(type(name) is not str for name in document):
        raise ModelError("RC-MODEL-SCHEMA", f"{where}: expected names of tensors")
    return tuple(document)


def _parse_tensor(document: Any, where: str) -> Tensor:
    name, channels, fmt = _take(document, {"name": str, "channels": int, "format": dict}, f"{where}.tensors")
    return Tensor(name, channels, _parse_format(fmt, name))


def _parse_operation(document: Any, program: str, tensors: dict[str, np.ndarray]) -> AnyOperation:
    kind = document.get("kind") if type(document) is dict else None
    if type(kind) is not str or kind not in KINDS:
        raise ModelError("RC-MODEL-SCHEMA", f"{program}: unknown operation {kind!r}")
    cls: Any = KINDS[kind]
    declared = {item.name: FIELD_TYPES[str(item.type)] for item in fields(cls) if item.name not in cls.constants}
    values = dict(zip(declared, _take({k: v for k, v in document.items() if k != "kind"}, declared, kind), strict=True))
    for name, value in values.items():
        if declared[name] is dict:
            values[name] = _parse_format(value, f"{values['name']}.{name}")
        elif declared[name] is list:
            values[name] = _parse_names(value, f"{values['name']}.{name}")
    for name in cls.constants:
        key = f"programs/{program}/{values['name']}/{name}"
        if key not in tensors or tensors[key].dtype.kind != "i":
            raise ModelError("RC-MODEL-TENSOR", f"missing integer tensor {key}")
        values[name] = tensors.pop(key)
    operation: AnyOperation = cls(**values)
    return operation
