"""What is told of tables, of multipliers and of frequencies, against mpmath, fractions and plain counts."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest

from refcodec.audit.bounds import audit_operation
from refcodec.audit.entropy import frequencies, model_frequencies
from refcodec.audit.scales import layer_scales
from refcodec.audit.tables import FUNCTIONS, TableError, table_error
from refcodec.entropy.rans import encode
from refcodec.entropy.tables import FrequencyTables
from refcodec.errors import ModelError
from refcodec.formats import IntFormat
from refcodec.program.model_file import Model
from refcodec.program.operations import (
    Add,
    Clip,
    InterpolatedTable,
    InverseGdn,
    LeakyRequantise,
    PositionalEncoding,
    Requantise,
    Table,
    Tensor,
)
from refcodec.program.program import Program
from refcodec.program.standard_tables import SINE, StandardTable, load_activation_table, standard_tables

S8, S16, S32, U4 = (IntFormat(b, s) for b, s in ((8, True), (16, True), (32, True), (4, False)))
EXACT = {
    "gelu": lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
}


def operation(known: StandardTable) -> Any:
    """The operation that holds a standard table."""
    entries = load_activation_table(known.name)
    if known.spacing:
        return InterpolatedTable("y", "x", "y", known.spacing, entries)
    return Table("y", "x", "y", entries)


@pytest.mark.parametrize("function", sorted(EXACT))
def test_functions_are_exact_to_far_below_a_step(function: str) -> None:
    for x in (-30.0, -4.5, -1e-9, 0.0, 0.3, 7.0, 31.9):
        assert abs(FUNCTIONS[function](x) - EXACT[function](mpmath.mpf(x))) < 2**-46


@pytest.mark.parametrize("known", standard_tables(), ids=lambda known: known.name)
def test_standard_tables_are_recognised_and_near_their_function(known: StandardTable) -> None:
    """A direct table is rounded once, half a step; between nodes a chord adds an eighth of step**2 * f'' <= 0.8."""
    source, target = Tensor("x", 1, known.source), Tensor("y", 1, known.target)
    op = operation(known)
    found = table_error(op, source, target)
    assert found is not None
    assert (found.name, found.entries) == (known.name, len(load_activation_table(known.name)))
    assert found.error is not None
    chord = 0.1 * 4.0 ** (known.spacing - known.source_fraction) * 2**known.target_fraction
    assert found.error <= (chord + 1 if known.spacing else 0.5)
    exact = EXACT[known.function](mpmath.mpf(found.at) / 2**known.source_fraction) * 2**known.target_fraction
    result = int(op.run([np.full((1, 1, 1), found.at, np.int16)], [source], target).item())
    assert abs(abs(result - exact) - found.error) < 1e-6


def test_an_own_table_tells_its_largest_step() -> None:
    entries = np.zeros(16, int)
    entries[7:] = 5
    found = table_error(Table("y", "x", "y", entries), Tensor("x", 1, IntFormat(4, True)), Tensor("y", 1, S8))
    assert found == TableError(None, None, None, 16, 5)


def test_the_sine_is_recognised() -> None:
    nodes = load_activation_table(SINE)
    source, target = Tensor("x", 1, U4), Tensor("y", 2, S16)
    found = table_error(PositionalEncoding("y", "x", "y", True, 10, np.array([5]), nodes), source, target)
    assert found is not None
    assert found.name == SINE
    assert 0.49 < found.error <= 0.5  # type: ignore[operator]
    other = nodes.copy()
    other[500] += 1
    found = table_error(PositionalEncoding("y", "x", "y", True, 10, np.array([5]), other), source, target)
    assert found is not None
    assert (found.name, found.error) == (None, None)


def test_operations_without_a_table_have_no_error() -> None:
    assert table_error(Clip("y", "x", "y", 0, 1), Tensor("x", 1, S8), Tensor("y", 1, S8)) is None


def scales(op: Any, source: IntFormat, target: IntFormat, channels: int = 2) -> Any:
    """The multipliers of one operation that reads x."""
    reads = [Tensor(name, channels, source) for name in op.reads]
    program = Program("p", (*reads, Tensor("y", channels, target)), (op,))
    return layer_scales(audit_operation(op, program, program.reaches()))


def test_multipliers_tell_their_resolution_and_error() -> None:
    """The error is that of a real scale half a unit away, at the largest accumulator that is not clipped."""
    multiplier, shift = np.array([1000, 37]), np.array([12, 20])
    (found,) = scales(Requantise("y", "x", "y", multiplier, shift), IntFormat(12, True), S8)
    assert (found.bits, found.declared, found.shifts, found.zeros) == (10, 31, (12, 20), ())
    assert (found.resolution, found.channel) == (1 / 74, 1)
    # channel 0 clips, beyond 128.5 / (1000 / 4096); channel 1 never does
    worst = max(Fraction(257, 2) / 2000, Fraction(2048, 1 << 21))
    assert found.error == pytest.approx(float(worst))


def test_zero_multipliers_are_told() -> None:
    (found,) = scales(Requantise("y", "x", "y", np.array([0, 5]), np.array([3, 3])), S16, S8)
    assert (found.zeros, found.channel) == ((0,), 1)
    (found,) = scales(Requantise("y", "x", "y", np.array([0, 0]), np.array([3, 3])), S16, S8)
    assert (found.zeros, found.channel, found.resolution, found.error) == ((0, 1), None, None, 0.0)


def test_leaky_and_inverse_multipliers_are_told() -> None:
    leaky = LeakyRequantise("y", "x", "y", np.array([9, 9]), np.array([2, 3]), np.array([20, 20]))
    above, below = scales(leaky, S16, S8)
    assert (above.column, below.column) == ("multiplier", "negative_multiplier")
    assert (above.resolution, below.resolution) == (1 / 18, 1 / 4)
    assert (above.error, below.error) == (32767 / 2**21, 32768 / 2**21)
    gamma, ones = np.eye(2, dtype=int), np.array([1, 1])
    op = InverseGdn("y", "x", "y", U4, S32, S32, False, 0, gamma, ones, ones, ones * 7, ones * 30)
    (found,) = scales(op, S8, S8)
    assert (found.bits, found.declared, found.resolution) == (3, 31, 1 / 14)
    assert found.error == (128 * 129 - 1) / 2**31


def test_an_addition_scales_only_where_it_shifts() -> None:
    assert scales(Add("y", ("a", "b"), "y", 0, np.array([1, 1])), S8, S8) == []
    first, second = scales(Add("y", ("a", "b"), "y", 4, np.array([-9, 5])), S8, S8)
    assert (first.bits, second.bits, first.shifts) == (4, 3, (4, 4))


def tables(*rows: list[int], offsets: list[int]) -> FrequencyTables:
    """Tables of some rows."""
    return FrequencyTables.from_rows([np.array(row) for row in rows], np.array(offsets, np.int32))


def test_frequencies_tell_the_dearest_symbols() -> None:
    found = frequencies(tables([0, 16, 65535, 65536], [0, 4096, 65280, 65536], offsets=[-3, 10]))
    assert (found.rows, found.entries, found.total, found.rising) == (2, 8, 65536, True)
    assert found.symbols == (-3, 11)
    assert (found.smallest, found.row, found.symbol) == (1, 0, None)
    assert (found.bits, found.escape_bits) == (16 - math.log2(16), 16 + 24)
    found = frequencies(tables([0, 16, 65000, 65536], offsets=[-3]))
    assert (found.smallest, found.symbol) == (16, -3)


@pytest.mark.parametrize(("offset", "farthest"), [(0, -32768), (-30000, 32767), (30000, -32768)])
def test_no_symbol_costs_more_than_is_told(offset: int, farthest: int) -> None:
    """What the coder spends on many of the dearest symbols, and of the farthest escapes."""
    table = tables([0, 16, 61440, 65536], offsets=[offset])
    found, count = frequencies(table), 4000
    for symbol, most in ((offset, found.bits), (farthest, found.escape_bits)):
        spent = 8 * len(encode(np.full(count, symbol), np.zeros(count, int), table)) / count
        assert most - 0.1 < spent < most + 0.1


def test_model_frequencies_need_whole_tables(tiny_model: Model) -> None:
    assert set(model_frequencies(tiny_model)) == {"z", "y"}
    partial = {name: table for name, table in tiny_model.tables.items() if name != "z/starts"}
    with pytest.raises(ModelError, match="RC-MODEL-TENSOR"):
        model_frequencies(Model(tiny_model.family, {}, tiny_model.programs, partial))
