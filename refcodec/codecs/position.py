"""Programs at one position of a picture, run there again and again (SPEC AR-2, PROG-4).

A serial context model runs two small programs for every position, so what can be prepared is prepared once: the order
of the operations, and the weights of those that see their whole input at once. Every other operation runs as it does
in `Program.run_all`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numba
import numpy as np

from refcodec.kernel import kernel
from refcodec.program.operations import AnyOperation, Convolution, Linear, MaskedConvolution, Size, Tensor
from refcodec.program.program import Program

Arrays = Sequence[np.ndarray]


@kernel
def _weigh(x, weight, bias, out):
    # The program has shown that no partial sum leaves out.dtype, so the order of the sums is free (SPEC ACC-2).
    cast = out.dtype.type
    for o in range(weight.shape[0]):
        acc = cast(0)  # begun with the bias, the loop is not vectorised
        row = weight[o]
        for k in range(row.shape[0]):
            acc = cast(acc + cast(cast(x[k]) * cast(row[k])))
        out[o] = cast(acc + bias[o])


@dataclass(frozen=True, slots=True, eq=False)
class WholeSum:
    """A convolution or linear layer whose kernel covers its input, so that it has one output position (SPEC CONV-2).

    taps  (T,) where the live samples of an input of C * K * K values stand;  weight  (O, T);  bias  (O,) int64
    operand  a dtype of the input's values;  total  a dtype of all sums;  result  that of the target.
    """

    taps: np.ndarray
    weight: np.ndarray
    bias: np.ndarray
    operand: np.dtype
    total: np.dtype
    result: np.dtype

    @classmethod
    def of(
        cls, op: Convolution | Linear | MaskedConvolution, source: Tensor, size: Size, target: Tensor
    ) -> WholeSum | None:
        """The prepared form of an operation that reads `source` at this size; None if its kernel covers less."""
        weight = op.weight.reshape(*op.weight.shape[:2], -1)
        if weight.shape[2] != size[0] * size[1] or (not isinstance(op, Linear) and op.padding):
            return None
        flat = weight.reshape(len(weight), -1)
        live = np.flatnonzero(flat.any(axis=0))
        narrow = source.format.magnitude < 1 << 15
        operand = np.dtype(np.int16 if narrow else np.int32)
        total = np.dtype(np.int32 if target.format.bits <= 32 else np.int64)  # the format holds every sum (SPEC ACC-1)
        chosen = np.ascontiguousarray(flat[:, live], np.int16)
        return cls(live, chosen, op.bias.astype(np.int64), operand, total, target.format.dtype)

    def run(self, inputs: Arrays) -> np.ndarray:
        """Accumulators (O, 1, 1)."""
        out = np.empty(len(self.weight), self.total)
        _weigh(inputs[0].reshape(-1)[self.taps].astype(self.operand), self.weight, self.bias, out)
        return out.astype(self.result, copy=False)[:, None, None]


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operation of a prepared program: where it reads and writes among the tensors, and how it runs."""

    reads: tuple[int, ...]
    target: int
    run: Callable[[Arrays], np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class PositionProgram:
    """A checked program for inputs of fixed sizes; `run` gives what `Program.run_all` gives (SPEC AR-2)."""

    inputs: tuple[str, ...]
    outputs: Mapping[str, int]
    steps: tuple[Step, ...]
    tensors: int

    @classmethod
    def of(cls, program: Program, sizes: Mapping[str, Size]) -> PositionProgram:
        """Prepare a program for inputs of these sizes, by name.  Raises ShapeError where they do not fit."""
        found = program.all_sizes(sizes)
        places = {tensor.name: place for place, tensor in enumerate(program.tensors)}
        steps = [
            Step(
                tuple(places[name] for name in op.reads), places[op.target], _prepared(program, op, found[op.reads[0]])
            )
            for op in program.operations
        ]
        inputs = tuple(tensor.name for tensor in program.inputs)
        outputs = {tensor.name: places[tensor.name] for tensor in program.outputs}
        return cls(inputs, outputs, tuple(steps), len(places))

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Every output by name.

        inputs  (C, H, W) of the prepared sizes, in the formats and dtypes of the input tensors, which are not checked.
        """
        live: list[np.ndarray] = [inputs[name] for name in self.inputs]
        for step in self.steps:
            live.append(step.run([live[place] for place in step.reads]))
        return {name: live[place] for name, place in self.outputs.items()}


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep parallel loops on the calling thread: at one position, waking another costs more than it saves."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def _prepared(program: Program, op: AnyOperation, size: Size) -> Callable[[Arrays], np.ndarray]:
    """How an operation runs on arrays of a known size."""
    sources, target = [program.tensor(name) for name in op.reads], program.tensor(op.target)
    if isinstance(op, Convolution | Linear | MaskedConvolution):
        whole = WholeSum.of(op, sources[0], size, target)
        if whole is not None:
            return whole.run
    return partial(_run, op, sources, target)


def _run(op: AnyOperation, sources: Sequence[Tensor], target: Tensor, inputs: Arrays) -> np.ndarray:
    return op.run(inputs, sources, target)
