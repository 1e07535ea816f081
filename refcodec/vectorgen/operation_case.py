"""A single operation of a program as a conformance case, and back (SPEC VEC-1, VEC-4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from refcodec.errors import VectorError
from refcodec.formats import IntFormat
from refcodec.program.operations import KINDS, AnyOperation, Tensor
from refcodec.program.program import Program
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.defining_clauses import DEFINING
from refcodec.vectorgen.values import Values

NAMES = ("name", "source", "sources", "target")  # fields that a case says otherwise
FORMAT = "format_"  # the parameter `format_x` is the format of tensor x


def read_format(text: str) -> IntFormat:
    """`s8` as a format.  Raises VectorError RC-VECTOR-SUITE."""
    if text[:1] not in {"s", "u"} or not text[1:].isdigit():
        raise VectorError("RC-VECTOR-SUITE", f"{text!r} is not a format")
    return IntFormat(int(text[1:]), text[0] == "s")


def narrowest_format(array: np.ndarray) -> IntFormat:
    """The narrowest signed format that holds the values."""
    lo, hi = (int(array.min()), int(array.max())) if array.size else (0, 0)
    return IntFormat(max((-lo - 1).bit_length() if lo < 0 else 0, hi.bit_length()) + 1, True)


def _parameters(op: AnyOperation, formats: Mapping[str, IntFormat], channels: int) -> dict[str, Any]:
    found: dict[str, Any] = {"reads": " ".join(op.reads), "target": op.target, "channels": channels}
    for item in fields(op):
        if item.name not in op.constants and item.name not in NAMES:
            value = getattr(op, item.name)
            found[item.name] = str(value) if isinstance(value, IntFormat) else value
    return found | {f"{FORMAT}{name}": str(fmt) for name, fmt in formats.items()}


def operation_program(kind: str, parameters: Mapping[str, Any], inputs: Mapping[str, np.ndarray]) -> Program:
    """The program of one operation that a case describes (SPEC VEC-4).

    Raises ModelError where the program is illegal, and KeyError, TypeError, ValueError where the case is malformed.
    """
    cls: Any = KINDS[kind]
    reads, target = parameters["reads"].split(), parameters["target"]
    scalars = {item.name for item in fields(cls)} - {*cls.constants, *NAMES}
    expected = {"reads", "target", "channels", *scalars, *(f"{FORMAT}{name}" for name in (*reads, target))}
    if set(parameters) != expected or set(inputs) != {*reads, *cls.constants}:
        raise VectorError("RC-VECTOR-SUITE", f"{kind}: parameters or inputs are missing or surplus")
    values: dict[str, Any] = {"name": kind, "source": reads[0], "sources": tuple(reads), "target": target}
    for item in fields(cls):
        if item.name in cls.constants:
            values[item.name] = inputs[item.name]
        elif item.name not in NAMES:
            value = parameters[item.name]
            values[item.name] = read_format(value) if str(item.type) == "IntFormat" else value
    channels = {name: inputs[name].shape[0] for name in reads} | {target: parameters["channels"]}
    tensors = [Tensor(name, channels[name], read_format(parameters[f"{FORMAT}{name}"])) for name in (*reads, target)]
    operation = cls(**{item.name: values[item.name] for item in fields(cls)})
    return Program(kind, tuple(tensors), (operation,))


def operation_case(
    label: str,
    op: AnyOperation,
    formats: Mapping[str, IntFormat],
    inputs: Mapping[str, np.ndarray],
    clauses: tuple[str, ...],
    comment: str,
    flags: tuple[str, ...] = (),
    channels: int | None = None,
    error: str | None = None,
) -> Case:
    """A case of one operation: a valid one with the result that the definition gives, or one to reject (SPEC VEC-4).

    formats  of every tensor that the operation reads and of its target, by name;  inputs  (C, H, W) by name
    channels  of the target, where not as many as biases or as channels of the first source
    error     the code of the rejection.
    """
    constants = {name: getattr(op, name).astype(np.int64) for name in op.constants}
    width = channels
    if width is None:
        width = len(constants["bias"] if "bias" in constants else inputs[op.reads[0]])
    values = {name: Values(inputs[name].astype(np.int64), formats[name]) for name in op.reads}
    values |= {name: Values(array, narrowest_format(array)) for name, array in constants.items()}
    parameters = _parameters(op, formats, width)
    outputs = {}
    if error is None:
        program = operation_program(op.kind, parameters, {name: value.array for name, value in values.items()})
        y = program.run_all_plain(inputs)[op.target]
        outputs = {op.target: Values(y.astype(np.int64), formats[op.target])}
    return Case(
        f"operations/{op.kind}/{label}",
        op.kind,
        clauses,
        comment,
        parameters,
        values,
        outputs=outputs,
        error=error,
        flags=("Invalid", *flags) if error else flags,
        defined_by=dict.fromkeys(outputs, DEFINING[op.kind]),
    )


def rejected_case(
    label: str,
    op: AnyOperation,
    formats: Mapping[str, IntFormat],
    x: np.ndarray,
    clause: str,
    comment: str,
    code: str,
    channels: int | None = None,
) -> Case:
    """A case of an operation that reads the tensor `x` alone and is to be rejected with a code (SPEC VEC-4)."""
    return operation_case(f"invalid-{label}", op, formats, {"x": x}, (clause,), comment, (), channels, code)
