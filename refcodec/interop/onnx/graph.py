"""A thin checked builder of ONNX graphs: integers only, and only types that runtimes compute exactly (SPEC EXP-1).

Every node is looked up in TYPES before it is added, every constant is checked against its type, and equal constants are
stored once. The `onnx` package is needed only to serialise.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refcodec import __version__
from refcodec.errors import ExportError, RangeError

OPSET, IR_VERSION = 13, 7
UINT8, INT32, INT64 = np.dtype(np.uint8), np.dtype(np.int32), np.dtype(np.int64)
BOOL = np.dtype(np.bool_)
WIDE = (INT32, INT64)
STORED = (UINT8, INT32, INT64)
# operator -> element types of its first input that a graph of ours may use
TYPES: dict[str, tuple[np.dtype, ...]] = {
    **dict.fromkeys(("Abs", "Add", "Div", "Greater", "Mod", "Mul", "Range", "ReduceSum", "Sub"), WIDE),
    **dict.fromkeys(("Concat", "Gather", "Pad", "Reshape", "Slice", "Tile", "Transpose", "Unsqueeze"), STORED),
    # Not int64: onnxruntime from 1.21 to 1.31 at least, built for SSE2, takes 2**31 .. 2**32 for a negative number.
    "Clip": (UINT8, INT32),
    "ConvInteger": (UINT8,),
    "Where": (BOOL,),
    **dict.fromkeys(("Cast", "Identity", "Shape"), tuple(np.dtype(kind) for kind in "?bBhHiq")),
}
Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Wire:
    """One tensor of a graph: its name and element type."""

    name: str
    dtype: np.dtype


@dataclass(frozen=True, slots=True)
class Node:
    """One operator of a graph: the names that it reads, the name that it writes, its attributes."""

    operator: str
    reads: tuple[str, ...]
    writes: str
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of a graph; an axis is a length, or a name where the length is open."""

    wire: Wire
    shape: tuple[int | str, ...]


Operand = Wire | int | np.ndarray


class Graph:
    """A graph under construction.  Nodes are named after `scope`, the operation that they belong to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.scope = name
        self.nodes: list[Node] = []
        self.inputs: list[Port] = []
        self.outputs: list[Port] = []
        self._constants: dict[tuple[str, tuple[int, ...], bytes], tuple[Wire, np.ndarray]] = {}

    # ---- inputs, constants, outputs

    def input(self, name: str, dtype: np.dtype, shape: tuple[int | str, ...]) -> Wire:
        """Declare an input of the graph."""
        wire = Wire(name, dtype)
        self.inputs.append(Port(wire, shape))
        return wire

    def output(self, source: Wire, name: str, shape: tuple[int | str, ...]) -> None:
        """Declare an output of the graph that carries the values of `source`."""
        wire = Wire(name, source.dtype)
        self.nodes.append(Node("Identity", (source.name,), name, {}))
        self.outputs.append(Port(wire, shape))

    def constant(self, values: np.ndarray | Sequence[int] | int, dtype: np.dtype) -> Wire:
        """A constant of the graph.  Raises RangeError where a value does not fit the type."""
        array = np.asarray(values)
        limits = np.iinfo(dtype)
        if array.dtype.kind not in "iuO" or (array.dtype.kind == "O" and any(type(v) is not int for v in array.flat)):
            raise RangeError(f"{self.scope}: a constant of {array.dtype} in a graph of integers")
        if array.size and not (limits.min <= int(array.min()) and int(array.max()) <= limits.max):
            raise RangeError(f"{self.scope}: constant {array.min()} .. {array.max()} does not fit {dtype}")
        typed = np.ascontiguousarray(array, dtype).reshape(array.shape)
        key = (dtype.name, typed.shape, typed.tobytes())
        if key not in self._constants:
            self._constants[key] = (Wire(f"{self.scope}/constant_{len(self._constants)}", dtype), typed)
        return self._constants[key][0]

    # ---- nodes

    def call(
        self, operator: str, inputs: Sequence[Wire], attributes: Attributes | None = None, dtype: np.dtype | None = None
    ) -> Wire:
        """Add a node; its output has the type of the first input unless `dtype` says otherwise.

        Raises ExportError RC-EXPORT for an operator or type outside TYPES.
        """
        first = inputs[0].dtype
        if first not in TYPES.get(operator, ()):
            raise ExportError("RC-EXPORT", f"{self.scope}: no exact ONNX {operator} on {first}")
        wire = Wire(f"{self.scope}/{operator}_{len(self.nodes)}", first if dtype is None else dtype)
        self.nodes.append(Node(operator, tuple(item.name for item in inputs), wire.name, attributes or {}))
        return wire

    def _binary(self, operator: str, a: Wire, b: Operand, dtype: np.dtype | None = None) -> Wire:
        other = b if isinstance(b, Wire) else self.constant(b, a.dtype)
        if other.dtype != a.dtype:
            raise ExportError("RC-EXPORT", f"{self.scope}: {operator} of {a.dtype} and {other.dtype}")
        return self.call(operator, [a, other], dtype=dtype)

    def add(self, a: Wire, b: Operand) -> Wire:
        """a + b; adding zero adds no node."""
        return a if isinstance(b, int) and b == 0 else self._binary("Add", a, b)

    def sub(self, a: Wire, b: Operand) -> Wire:
        """a - b; subtracting zero adds no node."""
        return a if isinstance(b, int) and b == 0 else self._binary("Sub", a, b)

    def mul(self, a: Wire, b: Operand) -> Wire:
        """a * b; multiplying by one adds no node."""
        return a if isinstance(b, int) and b == 1 else self._binary("Mul", a, b)

    def div(self, a: Wire, b: Operand) -> Wire:
        """a / b truncated towards zero: a floor only where a is known not to be negative and b to be positive."""
        return self._binary("Div", a, b)

    def mod(self, a: Wire, b: Operand) -> Wire:
        """The remainder of the floor of a / b, which has the sign of b."""
        return self._binary("Mod", a, b)

    def above(self, a: Wire, b: Operand) -> Wire:
        """Whether a > b."""
        return self._binary("Greater", a, b, BOOL)

    def select(self, condition: Wire, a: Operand, b: Wire) -> Wire:
        """a where the condition holds, else b."""
        first = a if isinstance(a, Wire) else self.constant(a, b.dtype)
        return self.call("Where", [condition, first, b], dtype=b.dtype)

    def at_most(self, a: Wire, limit: Operand) -> Wire:
        """a, or the limit where a is larger."""
        return self.select(self.above(a, limit), limit, a)

    def at_least(self, a: Wire, limit: Operand) -> Wire:
        """a, or the limit where a is smaller."""
        other = limit if isinstance(limit, Wire) else self.constant(limit, a.dtype)
        return self.select(self.above(other, a), other, a)

    def clip(self, a: Wire, lo: int, hi: int) -> Wire:
        """a limited to lo .. hi."""
        if a.dtype == INT64:
            return self.at_least(self.at_most(a, hi), lo)
        limits = np.iinfo(a.dtype)
        ends = max(lo, int(limits.min)), min(hi, int(limits.max))
        return self.call("Clip", [a, *(self.constant(end, a.dtype) for end in ends)])

    def cast(self, a: Wire, dtype: np.dtype) -> Wire:
        """The same values in another type, which must hold them: a runtime wraps what does not fit."""
        return a if a.dtype == dtype else self.call("Cast", [a], {"to": dtype}, dtype)

    def floor_div(self, a: Wire, b: Operand) -> Wire:
        """The floor of a / b for any a: what the remainder leaves divides exactly."""
        return self.div(self.sub(a, self.mod(a, b)), b)

    def gather(self, values: Wire, indices: Wire, axis: int = 0) -> Wire:
        """values[indices] along one axis; indices int32 or int64, from zero."""
        return self.call("Gather", [values, indices], {"axis": axis})

    def concat(self, parts: Sequence[Wire], axis: int) -> Wire:
        """The parts one after another along one axis; one part adds no node."""
        return parts[0] if len(parts) == 1 else self.call("Concat", parts, {"axis": axis})

    def slice(self, a: Wire, axis: int, start: int, end: int | None = None, step: int = 1) -> Wire:
        """a[start:end:step] along one axis; a negative bound counts from the end."""
        if (start, end, step) == (0, None, 1):
            return a
        bounds = start, np.iinfo(np.int64).max if end is None else end, axis, step
        return self.call("Slice", [a, *(self.constant([v], INT64) for v in bounds)])

    def unsqueeze(self, a: Wire, axis: int) -> Wire:
        """A new axis of length one."""
        return self.call("Unsqueeze", [a, self.constant([axis], INT64)])

    def sum(self, a: Wire, axis: int) -> Wire:
        """The sum along one axis, which stays with length one."""
        return self.call("ReduceSum", [a, self.constant([axis], INT64)], {"keepdims": 1})

    def transpose(self, a: Wire, perm: Sequence[int]) -> Wire:
        """The axes in another order."""
        return self.call("Transpose", [a], {"perm": list(perm)})

    def reshape(self, a: Wire, shape: Wire | Sequence[int]) -> Wire:
        """The same values in another shape; one axis may be -1, and 0 keeps the length of that axis."""
        wanted = shape if isinstance(shape, Wire) else self.constant(np.array(shape, np.int64), INT64)
        return self.call("Reshape", [a, wanted])

    def lengths(self, a: Wire, axes: Sequence[int]) -> Wire:
        """The lengths of some axes, one-dimensional int64."""
        return self.gather(self.call("Shape", [a], dtype=INT64), self.constant(list(axes), INT64))

    # ---- the file

    def to_bytes(self, metadata: Mapping[str, str]) -> bytes:
        """The checked model as the bytes of an `.onnx` file; equal graphs give equal bytes.

        Raises ExportError RC-EXTRA where the package `onnx` is missing.
        """
        onnx = import_onnx()
        helper, from_array = onnx.helper, onnx.numpy_helper.from_array
        graph = helper.make_graph(
            [self._node(helper, node) for node in self.nodes],
            self.name,
            [self._port(helper, port) for port in self.inputs],
            [self._port(helper, port) for port in self.outputs],
            [from_array(array, wire.name) for wire, array in self._constants.values()],
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="refcodec")
        model.producer_version = __version__
        helper.set_model_props(model, dict(sorted(metadata.items())))
        onnx.checker.check_model(model, full_check=True)
        content: bytes = model.SerializeToString(deterministic=True)
        return content

    @staticmethod
    def _node(helper: Any, node: Node) -> Any:
        attributes = {
            name: helper.np_dtype_to_tensor_dtype(value) if isinstance(value, np.dtype) else value
            for name, value in node.attributes.items()
        }
        return helper.make_node(node.operator, node.reads, [node.writes], name=node.writes, **attributes)

    @staticmethod
    def _port(helper: Any, port: Port) -> Any:
        return helper.make_tensor_value_info(
            port.wire.name, helper.np_dtype_to_tensor_dtype(port.wire.dtype), port.shape
        )


def import_onnx() -> Any:
    """The `onnx` package of the extra `interop`.  Raises ExportError RC-EXTRA where it is missing."""
    try:
        for part in ("checker", "helper", "numpy_helper"):
            importlib.import_module(f"onnx.{part}")
        return importlib.import_module("onnx")
    except ImportError as error:
        raise ExportError("RC-EXTRA", "ONNX needs the package onnx: pip install 'refcodec[interop]'") from error
