"""The requantiser against `refcodec.fixed.requantise` (SPEC HW-3, RQ-1)."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from hw_units import Unit, requantise_unit, run_ghdl, run_icarus, run_myhdl

from refcodec import fixed
from refcodec.formats import IntFormat

LATENCY = 9
SHIFTS = (1, 2, 7, 15, 30, 31, 32, 33, 47, 61, 62)
# accumulator bits, multiplier bits, output: both profiles, and an odd accumulator
CONFIGURATIONS = [
    (32, 31, IntFormat(4, False)),
    (32, 31, IntFormat(8, False)),
    (32, 31, IntFormat(8, True)),
    (32, 31, IntFormat(12, True)),
    (48, 15, IntFormat(16, False)),
    (48, 15, IntFormat(16, True)),
    (32, 31, IntFormat(10, True)),
    (20, 15, IntFormat(7, False)),
    (24, 31, IntFormat(2, True)),
    (16, 47, IntFormat(8, True)),
    (40, 23, IntFormat(8, False)),
    (36, 27, IntFormat(16, True)),
]
Operands = tuple[int, int, int]


def make_unit(bits: int, multiplier_bits: int, form: IntFormat) -> Unit:
    operands = {
        "accumulator": IntFormat(bits, True),
        "multiplier": IntFormat(multiplier_bits, False),
        "shift": IntFormat(6, False),
    }
    return Unit(requantise_unit, operands, form, {"lo": form.lo, "hi": form.hi})


def make_ties(bits: int, multiplier_bits: int, shift: int) -> list[Operands]:
    """Operands whose product is an odd multiple of half the divisor."""
    power = min(shift - 1, multiplier_bits - 1)
    rest = shift - 1 - power
    odd = [value << rest for value in (-5, -3, -1, 1, 3, 5, 7, 11)]
    return [(a, 1 << power, shift) for a in odd if -(1 << (bits - 1)) <= a < 1 << (bits - 1)]


def make_operands(bits: int, multiplier_bits: int, form: IntFormat) -> list[Operands]:
    """Ties, their neighbours, extremes and random values at every shift."""
    rng = np.random.default_rng(bits)
    lo, hi = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    top = (1 << multiplier_bits) - 1
    found: list[Operands] = []
    for shift in SHIFTS:
        ties = make_ties(bits, multiplier_bits, shift)
        near = [(min(hi, max(lo, a + d)), m, s) for a, m, s in ties for d in (-1, 1)]
        extremes = [(a, m, shift) for a in (lo, lo + 1, -1, 0, 1, hi) for m in (0, 1, top)]
        # An accumulator that lands inside the output format, at any shift that allows it.
        inside = [
            (min(hi, max(lo, (int(v) << shift) // max(1, m))), m, shift)
            for v, m in zip(rng.integers(form.lo, form.hi + 1, 6), rng.integers(1, top + 1, 6).tolist(), strict=True)
        ]
        anything = [(a, m, shift) for a, m in rng.integers((lo, 0), (hi + 1, top + 1), (6, 2)).tolist()]
        found += ties + near + extremes + inside + anything
    return found


def assert_bites(operands: list[Operands], bits: int, form: IntFormat) -> None:
    """Every corner that the unit can get wrong occurs."""
    exact = [fixed.rounding_shift(a * m, s) for a, m, s in operands]
    ties = [a * m for a, m, s in operands if (a * m + (1 << s >> 1)) % (1 << s) == 0]
    assert min(ties) < 0 < max(ties)
    assert min(exact) < form.lo
    assert max(exact) > form.hi
    assert any(form.lo < value < form.hi for value in exact)
    assert {1, 31, 32, 33, 62} <= {s for _, _, s in operands}
    accumulators = {a for a, _, _ in operands}
    assert {-(1 << (bits - 1)), (1 << (bits - 1)) - 1} <= accumulators
    assert len({fixed.clip(value, form.lo, form.hi) for value in exact}) >= min(4, 1 << form.bits)


def rows_of(operands: list[Operands]) -> list[tuple[int, ...]]:
    """Operands with idle and stalled cycles between them, then idle cycles that let everything out."""
    rows: list[tuple[int, ...]] = []
    for position, row in enumerate(operands):
        if position % 5 == 1:
            rows.append((1, 0, -1, 1, 62))
        if position % 7 == 2:
            rows.append((0, 1, -1, 1, 1))
        rows.append((1, 1, *row))
    return rows + [(1, 0, 0, 0, 1)] * (LATENCY + 1)


def golden(operands: list[Operands], form: IntFormat) -> list[int]:
    return [fixed.requantise(a, m, s, form.lo, form.hi) for a, m, s in operands]


@pytest.mark.parametrize(("bits", "multiplier_bits", "form"), CONFIGURATIONS, ids=str)
def test_requantise_twin_equals_golden(bits, multiplier_bits, form):
    operands = make_operands(bits, multiplier_bits, form)
    assert_bites(operands, bits, form)
    results = run_myhdl(make_unit(bits, multiplier_bits, form), rows_of(operands))
    assert [result for _, result in results] == golden(operands, form)


def test_requantise_latency_is_nine_cycles():
    rows = [(1, 1, 3, 1, 1), (0, 1, 9, 9, 9), (1, 1, -3, 1, 1), *[(1, 0, 0, 0, 1)] * (LATENCY + 1)]
    results = run_myhdl(make_unit(32, 31, IntFormat(8, True)), rows)
    assert results == [(LATENCY, 2), (LATENCY + 1, -1)]


@pytest.mark.hdl
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")
@pytest.mark.parametrize(("bits", "multiplier_bits", "form"), CONFIGURATIONS, ids=str)
def test_requantise_verilog_equals_golden(bits, multiplier_bits, form, tmp_path):
    operands = make_operands(bits, multiplier_bits, form)
    found = run_icarus(make_unit(bits, multiplier_bits, form), rows_of(operands), tmp_path)
    assert found == golden(operands, form)


@pytest.mark.hdl
@pytest.mark.skipif(shutil.which("ghdl") is None, reason="ghdl is not installed")
@pytest.mark.parametrize(("bits", "multiplier_bits", "form"), CONFIGURATIONS, ids=str)
def test_requantise_vhdl_equals_golden(bits, multiplier_bits, form, tmp_path):
    operands = make_operands(bits, multiplier_bits, form)
    found = run_ghdl(make_unit(bits, multiplier_bits, form), rows_of(operands), tmp_path)
    assert found == golden(operands, form)
