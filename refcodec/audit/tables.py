"""How far the tables of a program are from the functions that they stand for.

Only a standard table says which function it is (SPEC TAB-5); of every other one the largest step is told. The functions
are taken in float64, whose own error is below 2**-30 of any unit in these tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refcodec.layers.positional_encoding import NODE_BITS, NODES
from refcodec.layers.table import interpolated_lookup, table_lookup
from refcodec.program.operations import AnyOperation, InterpolatedTable, PositionalEncoding, Table, Tensor
from refcodec.program.standard_tables import SINE, StandardTable, load_activation_table, standard_tables


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "gelu": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "silu": lambda x: x * _sigmoid(x),
    "tanh": math.tanh,
    "sigmoid": _sigmoid,
}


@dataclass(frozen=True, slots=True)
class TableError:
    """What is known of a table.

    name  of the standard table that it is, else None;  error  the largest distance of a result from the function, in
    LSBs of the target, at the source's value `at`; None where the function is not known
    entries  of the table;  step  the largest difference of neighbouring entries.
    """

    name: str | None
    error: float | None
    at: int | None
    entries: int
    step: int


def standard_name(op: Table | InterpolatedTable, source: Tensor, target: Tensor) -> StandardTable | None:
    """The standard table that an operation holds."""
    entries, spacing = (op.table, 0) if isinstance(op, Table) else (op.nodes, op.spacing)
    for known in standard_tables():
        shape = known.source, known.target, known.spacing
        if shape == (source.format, target.format, spacing) and np.array_equal(
            load_activation_table(known.name), entries
        ):
            return known
    return None


def _results(op: Table | InterpolatedTable, source: Tensor, target: Tensor, values: np.ndarray) -> np.ndarray:
    x = values.reshape(1, 1, -1)
    if isinstance(op, Table):
        return table_lookup(x, op.table, source.format, target.format).ravel()
    return interpolated_lookup(x, op.nodes, op.spacing, source.format, target.format).ravel()


def function_error(
    op: Table | InterpolatedTable, known: StandardTable, source: Tensor, target: Tensor
) -> tuple[float, int]:
    """The largest error over all values of the source, and the value."""
    values = np.arange(source.format.lo, source.format.hi + 1, dtype=np.int64)
    function, step = FUNCTIONS[known.function], 2.0**-known.source_fraction
    exact = np.array([function(value * step) for value in values.tolist()]) * 2.0**known.target_fraction
    errors = np.abs(_results(op, source, target, values.astype(source.format.dtype)) - exact)
    place = int(errors.argmax())
    return float(errors[place]), int(values[place])


def _sine_error(op: PositionalEncoding) -> TableError:
    nodes = op.nodes.astype(np.int64)
    step = int(np.abs(np.diff(nodes)).max())
    if not np.array_equal(nodes, load_activation_table(SINE)):
        return TableError(None, None, None, NODES, step)
    exact = [math.sin(math.pi / 2 * k / (NODES - 1)) * 2**NODE_BITS for k in range(NODES)]
    errors = [abs(node - value) for node, value in zip(nodes.tolist(), exact, strict=True)]
    return TableError(SINE, max(errors), errors.index(max(errors)), NODES, step)


def table_error(op: AnyOperation, source: Tensor, target: Tensor) -> TableError | None:
    """What is known of the table of an operation; None for an operation without one."""
    if isinstance(op, PositionalEncoding):
        return _sine_error(op)
    if not isinstance(op, Table | InterpolatedTable):
        return None
    entries = op.table if isinstance(op, Table) else op.nodes
    step = int(np.abs(np.diff(entries.astype(np.int64))).max())
    known = standard_name(op, source, target)
    if known is None:
        return TableError(None, None, None, len(entries), step)
    error, at = function_error(op, known, source, target)
    return TableError(known.name, error, at, len(entries), step)
