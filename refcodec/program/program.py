"""Integer programs: validation, sizes, bounds, and the golden executor (SPEC PROG-1 to PROG-5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from refcodec.errors import ModelError, ShapeError
from refcodec.program.operations import MAX_CHANNELS, AnyOperation, Size, Tensor, check_operation
from refcodec.program.reach import Reach

Tap = Callable[[str, np.ndarray], None]
NAME = re.compile(r"[A-Za-z0-9_.]+")


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A checked list of operations (SPEC PROG-1).

    The inputs come first among the tensors, then one tensor for each operation, in order. Every operation reads
    tensors defined before it (SPEC PROG-2); a tensor that nothing reads is an output (SPEC PROG-5).
    Raises ModelError: RC-MODEL-SCHEMA, RC-MODEL-TENSOR, RC-MODEL-RANGE, RC-MODEL-OVERFLOW.
    """

    name: str
    tensors: tuple[Tensor, ...]
    operations: tuple[AnyOperation, ...]

    def __post_init__(self) -> None:
        names = [tensor.name for tensor in self.tensors]
        if len(set(names)) != len(names) or len(names) <= len(self.operations) or not self.operations:
            raise ModelError("RC-MODEL-SCHEMA", f"{self.name}: needs one distinct tensor more than operations")
        for name in (self.name, *names, *(op.name for op in self.operations)):
            if not NAME.fullmatch(name):
                raise ModelError("RC-MODEL-SCHEMA", f"{name!r} is not a name of letters, digits, dots and underscores")
        for tensor in self.tensors:
            if not 1 <= tensor.channels <= MAX_CHANNELS:
                raise ModelError("RC-MODEL-RANGE", f"{tensor.name}: {tensor.channels} channels, not 1..{MAX_CHANNELS}")
        labels = [op.name for op in self.operations]
        if len(set(labels)) != len(labels):
            raise ModelError("RC-MODEL-SCHEMA", f"{self.name}: operation names repeat")
        for position, op in enumerate(self.operations, len(self.inputs)):
            if not set(op.reads) <= set(names[:position]) or op.target != names[position]:
                reads = " and ".join(op.reads)
                raise ModelError("RC-MODEL-SCHEMA", f"{op.name}: reads {reads} or writes {op.target} out of order")
            check_operation(op, [self.tensor(name) for name in op.reads], self.tensor(op.target))
        unread = [tensor.name for tensor in self.inputs if tensor in self.outputs]
        if unread:
            raise ModelError("RC-MODEL-SCHEMA", f"{self.name}: nothing reads the input {unread[0]}")

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The tensors that the caller provides (SPEC PROG-2)."""
        return self.tensors[: len(self.tensors) - len(self.operations)]

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """The tensors that no operation reads (SPEC PROG-5)."""
        read = {name for op in self.operations for name in op.reads}
        return tuple(tensor for tensor in self.tensors if tensor.name not in read)

    @property
    def input(self) -> Tensor:
        """The only input.  Raises ModelError RC-MODEL-SCHEMA where there are several."""
        return self._only(self.inputs, "inputs")

    @property
    def output(self) -> Tensor:
        """The only output.  Raises ModelError RC-MODEL-SCHEMA where there are several."""
        return self._only(self.outputs, "outputs")

    def _only(self, tensors: tuple[Tensor, ...], what: str) -> Tensor:
        if len(tensors) != 1:
            raise ModelError("RC-MODEL-SCHEMA", f"{self.name} has {len(tensors)} {what}, not one")
        return tensors[0]

    def tensor(self, name: str) -> Tensor:
        """The tensor of that name.  Raises ModelError RC-MODEL-TENSOR."""
        for tensor in self.tensors:
            if tensor.name == name:
                return tensor
        raise ModelError("RC-MODEL-TENSOR", f"{self.name} has no tensor {name}")

    def operation(self, name: str) -> AnyOperation:
        """The operation of that name.  Raises ModelError RC-MODEL-TENSOR."""
        for op in self.operations:
            if op.name == name:
                return op
        raise ModelError("RC-MODEL-TENSOR", f"{self.name} has no operation {name}")

    def sizes(self, height: int, width: int) -> dict[str, Size]:
        """Height and width of every tensor for one size of the only input (SPEC PROG-2).  Raises ShapeError."""
        return self.all_sizes({self.input.name: (height, width)})

    def all_sizes(self, inputs: Mapping[str, Size]) -> dict[str, Size]:
        """Height and width of every tensor for the sizes of all inputs (SPEC PROG-2).  Raises ShapeError."""
        found = {tensor.name: inputs[tensor.name] for tensor in self.inputs}
        for op in self.operations:
            found[op.target] = op.size(*(found[name] for name in op.reads))
        return found

    def reaches(self) -> dict[str, Reach]:
        """What values every tensor can take, for any inputs in their formats (SPEC ACC-3)."""
        found = {tensor.name: Reach.whole(tensor.format, tensor.channels) for tensor in self.inputs}
        for op in self.operations:
            found[op.target] = op.reach([found[name] for name in op.reads], self.tensor(op.target))
        return found

    def run(self, x: np.ndarray, tap: Tap | None = None) -> np.ndarray:
        """Golden execution on the compiled kernels, from the only input to the only output (SPEC PROG-4).

        x  (C, H, W) integers in the input tensor's format;  tap  called with every tensor's name and values.
        Returns the output tensor.  Raises ShapeError, RangeError, ModelError.
        """
        return self.run_all({self.input.name: x}, tap)[self.output.name]

    def run_plain(self, x: np.ndarray, tap: Tap | None = None) -> np.ndarray:
        """The same by the plain definitions, much slower (SPEC PROG-4)."""
        return self.run_all_plain({self.input.name: x}, tap)[self.output.name]

    def run_all(self, inputs: Mapping[str, np.ndarray], tap: Tap | None = None) -> dict[str, np.ndarray]:
        """Golden execution on the compiled kernels (SPEC PROG-4).

        inputs  (C, H, W) integers for every input tensor, by name;  tap  as for `run`.
        Returns every output tensor by name.  Raises ShapeError, RangeError.
        """
        return self._execute(inputs, tap, lambda op: op.run)

    def run_all_plain(self, inputs: Mapping[str, np.ndarray], tap: Tap | None = None) -> dict[str, np.ndarray]:
        """The same by the plain definitions, much slower (SPEC PROG-4)."""
        return self._execute(inputs, tap, lambda op: op.run_plain)

    def accept(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The inputs, checked, in the dtypes of their formats (SPEC PROG-4).  Raises ShapeError, RangeError."""
        if set(inputs) != {tensor.name for tensor in self.inputs}:
            raise ShapeError(f"{self.name} takes {', '.join(t.name for t in self.inputs)}, got {', '.join(inputs)}")
        accepted = {}
        for tensor in self.inputs:
            x = inputs[tensor.name]
            if x.ndim != 3 or x.shape[0] != tensor.channels or 0 in x.shape:
                raise ShapeError(f"{self.name} takes ({tensor.channels}, H, W), H and W at least 1, got {x.shape}")
            tensor.format.check(x, tensor.name)
            accepted[tensor.name] = x.astype(tensor.format.dtype)
        return accepted

    def _execute(self, inputs: Mapping[str, np.ndarray], tap: Tap | None, method: Callable) -> dict[str, np.ndarray]:
        live = self.accept(inputs)
        self.all_sizes({name: (x.shape[1], x.shape[2]) for name, x in live.items()})
        last_use = {name: position for position, op in enumerate(self.operations) for name in op.reads}
        if tap:
            for tensor in self.inputs:
                tap(tensor.name, live[tensor.name])
        for position, op in enumerate(self.operations):
            read = [live[name] for name in op.reads]
            sources, target = [self.tensor(name) for name in op.reads], self.tensor(op.target)
            live[op.target] = method(op)(read, sources, target)
            if tap:
                tap(op.target, live[op.target])
            del read
            for name in set(op.reads):
                if last_use[name] == position:
                    del live[name]
        return live
