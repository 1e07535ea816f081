"""Integer programs: validation, sizes, and the golden executor (SPEC PROG-1 to PROG-4)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refcodec.errors import ModelError, ShapeError
from refcodec.program.operations import MAX_CHANNELS, AnyOperation, Size, Tensor, check_operation

Tap = Callable[[str, np.ndarray], None]
NAME = re.compile(r"[A-Za-z0-9_.]+")


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """A checked list of operations from one input tensor to one output tensor (SPEC PROG-1).

    Every operation reads a tensor defined before it and defines one new tensor (SPEC PROG-2).
    Raises ModelError: RC-MODEL-SCHEMA, RC-MODEL-TENSOR, RC-MODEL-RANGE, RC-MODEL-OVERFLOW.
    """

    name: str
    tensors: tuple[Tensor, ...]
    operations: tuple[AnyOperation, ...]

    def __post_init__(self) -> None:
        names = [tensor.name for tensor in self.tensors]
        if len(set(names)) != len(names) or len(names) != len(self.operations) + 1 or not self.operations:
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
        for position, op in enumerate(self.operations):
            if op.source not in names[: position + 1] or op.target != names[position + 1]:
                raise ModelError("RC-MODEL-SCHEMA", f"{op.name}: reads {op.source} or writes {op.target} out of order")
            check_operation(op, self.tensor(op.source), self.tensor(op.target))

    @property
    def input(self) -> Tensor:
        """The tensor that the caller provides."""
        return self.tensors[0]

    @property
    def output(self) -> Tensor:
        """The tensor that the last operation writes."""
        return self.tensors[-1]

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
        """Height and width of every tensor for one input size (SPEC PROG-2)."""
        found = {self.input.name: (height, width)}
        for op in self.operations:
            found[op.target] = op.size(*found[op.source])
        return found

    def run(self, x: np.ndarray, tap: Tap | None = None) -> np.ndarray:
        """Golden execution on the compiled kernels (SPEC PROG-4).

        x  (C, H, W) integers in the input tensor's format;  tap  called with every tensor's name and values.
        Returns the output tensor.  Raises ShapeError, RangeError.
        """
        return self._execute(x, tap, lambda op: op.run)

    def run_plain(self, x: np.ndarray, tap: Tap | None = None) -> np.ndarray:
        """The same by the plain definitions, much slower (SPEC PROG-4)."""
        return self._execute(x, tap, lambda op: op.run_plain)

    def _execute(self, x: np.ndarray, tap: Tap | None, method: Callable) -> np.ndarray:
        if x.ndim != 3 or x.shape[0] != self.input.channels:
            raise ShapeError(f"{self.name} takes ({self.input.channels}, H, W), got {x.shape}")
        self.input.format.check(x, self.input.name)
        live = {self.input.name: x.astype(self.input.format.dtype)}
        last_use = {op.source: position for position, op in enumerate(self.operations)}
        if tap:
            tap(self.input.name, live[self.input.name])
        for position, op in enumerate(self.operations):
            source, target = self.tensor(op.source), self.tensor(op.target)
            live[op.target] = method(op)(live[op.source], source, target)
            if tap:
                tap(op.target, live[op.target])
            if last_use[op.source] == position:
                del live[op.source]
        return live[self.output.name]
