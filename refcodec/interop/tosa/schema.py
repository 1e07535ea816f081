"""The numbers of the TOSA 1.0 file schema that the exporter writes, and the file itself.

A test compares every number with the schema that Arm's tools carry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refcodec.interop.tosa.flatbuffer import Field, Writer

VERSION = (1, 0, 0)
IDENTIFIER = b"TOSA"
DTYPES = {"BOOL": 1, "INT8": 3, "INT16": 4, "INT32": 5, "INT48": 6}
SINGLE_ROUND = 1  # RoundingMode
PROPAGATE = 1  # NanPropagationMode, which integers ignore
BILINEAR = 2  # ResizeMode

Attributes = Mapping[str, int | bool | bytes | Sequence[int]]

_CONVOLUTION = {"pad": "int32s", "stride": "int32s", "dilation": "int32s", "local_bound": "bool", "acc_type": "enum"}
_AXIS = {"axis": "int32"}
_NAN = {"nan_mode": "enum"}
# operator -> its number, which is also the number of its attribute table, and the fields of that table in order
OPERATORS: dict[str, tuple[int, dict[str, str]]] = {
    "CONV2D": (3, _CONVOLUTION),
    "DEPTHWISE_CONV2D": (5, _CONVOLUTION),
    "TRANSPOSE_CONV2D": (
        10,
        {"out_pad": "int32s", "stride": "int32s", "local_bound": "bool", "acc_type": "enum"},
    ),
    "CLAMP": (11, {"min_val": "bytes", "max_val": "bytes", "nan_mode": "enum"}),
    "ADD": (15, {}),
    "ARITHMETIC_RIGHT_SHIFT": (16, {"round": "bool"}),
    "BITWISE_AND": (17, {}),
    "INTDIV": (20, {}),
    "LOGICAL_AND": (21, {}),
    "LOGICAL_OR": (24, {}),
    "MAXIMUM": (26, _NAN),
    "MINIMUM": (27, _NAN),
    "MUL": (28, {}),
    "SUB": (30, {}),
    "TABLE": (31, {}),
    "ABS": (32, {}),
    "EQUAL": (46, {}),
    "GREATER": (47, {}),
    "CONCAT": (55, _AXIS),
    "PAD": (56, {}),
    "RESHAPE": (57, {}),
    "SLICE": (59, {}),
    "TILE": (60, {}),
    "TRANSPOSE": (61, {"perms": "int32s"}),
    "GATHER": (62, {}),
    "RESIZE": (64, {"mode": "enum"}),
    "CAST": (65, {}),
    "RESCALE": (
        66,
        {
            "scale32": "bool",
            "rounding_mode": "enum",
            "per_channel": "bool",
            "input_unsigned": "bool",
            "output_unsigned": "bool",
        },
    ),
    "CONST": (67, {}),
    "IDENTITY": (68, {}),
    "CONST_SHAPE": (75, {}),
}
KINDS = {"int32": "int32", "enum": "uint32", "bool": "uint8"}


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """A tensor as the file lists it; `content` holds the bytes of a constant."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    content: bytes | None = None


@dataclass(frozen=True, slots=True)
class ShapeEntry:
    """A constant list of lengths or positions, which operators read in place of a tensor."""

    name: str
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OperatorEntry:
    """An operator with the names of what it reads and writes."""

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Block:
    """Everything that a file holds: one region with one block."""

    tensors: tuple[TensorEntry, ...]
    shapes: tuple[ShapeEntry, ...]
    operators: tuple[OperatorEntry, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def constant_bytes(values: np.ndarray, dtype: str) -> bytes:
    """The bytes of a constant that fits its type, little-endian; INT48 has six to a value."""
    if dtype == "INT48":
        return np.ascontiguousarray(values, "<i8").reshape(-1, 1).view(np.uint8)[:, :6].tobytes()
    stored = {"BOOL": "u1", "INT8": "i1", "INT16": "<i2", "INT32": "<i4"}[dtype]
    return np.ascontiguousarray(values).astype(stored).tobytes()


def _names(writer: Writer, names: Sequence[str]) -> int:
    return writer.offset_vector([writer.string(name) for name in names])


def _tensor(writer: Writer, tensor: TensorEntry) -> int:
    fields = [
        Field(0, "offset", writer.string(tensor.name)),
        Field(1, "offset", writer.int32_vector(tensor.shape)),
        Field(2, "uint32", DTYPES[tensor.dtype]),
    ]
    if tensor.content is not None:
        fields.append(Field(3, "offset", writer.byte_vector(tensor.content)))
    return writer.table(fields)


def _shape(writer: Writer, shape: ShapeEntry) -> int:
    content = np.array(shape.values, "<i8").tobytes()
    return writer.table(
        [
            Field(0, "offset", writer.string(shape.name)),
            Field(1, "uint32", len(shape.values)),
            Field(2, "offset", writer.byte_vector(content)),
        ]
    )


def _attributes(writer: Writer, kind: str, attributes: Attributes) -> int:
    fields = []
    for number, (name, sort) in enumerate(OPERATORS[kind][1].items()):
        value = attributes[name]
        if isinstance(value, bytes):
            fields.append(Field(number, "offset", writer.byte_vector(value)))
        elif isinstance(value, Sequence):
            fields.append(Field(number, "offset", writer.int32_vector(value)))
        else:
            fields.append(Field(number, KINDS[sort], int(value)))
    return writer.table(fields)


def _operator(writer: Writer, operator: OperatorEntry) -> int:
    number = OPERATORS[operator.kind][0]
    return writer.table(
        [
            Field(0, "uint32", number),
            Field(1, "uint8", number),
            Field(2, "offset", _attributes(writer, operator.kind, operator.attributes)),
            Field(3, "offset", _names(writer, operator.inputs)),
            Field(4, "offset", _names(writer, operator.outputs)),
        ]
    )


def _block(writer: Writer, block: Block) -> int:
    return writer.table(
        [
            Field(0, "offset", writer.string("main")),
            Field(1, "offset", writer.offset_vector([_operator(writer, operator) for operator in block.operators])),
            Field(2, "offset", writer.offset_vector([_tensor(writer, tensor) for tensor in block.tensors])),
            Field(3, "offset", _names(writer, block.inputs)),
            Field(4, "offset", _names(writer, block.outputs)),
            Field(5, "offset", writer.offset_vector([_shape(writer, shape) for shape in block.shapes])),
        ]
    )


def file_bytes(block: Block) -> bytes:
    """The TOSA file of one block, stamped with version 1.0."""
    writer = Writer()
    version = writer.table(
        [*(Field(number, "int32", part) for number, part in enumerate(VERSION)), Field(3, "uint8", 0)]  # no draft
    )
    blocks = writer.offset_vector([_block(writer, block)])
    region = writer.table([Field(0, "offset", writer.string("main")), Field(1, "offset", blocks)])
    regions = writer.offset_vector([region])
    return writer.finish(writer.table([Field(0, "offset", version), Field(1, "offset", regions)]), IDENTIFIER)
