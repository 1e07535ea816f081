"""The clip unit against `refcodec.fixed.clip` (SPEC HW-4)."""

from __future__ import annotations

import shutil

import pytest
from hw_units import Unit, clip_unit, run_ghdl, run_icarus, run_myhdl

from refcodec import fixed
from refcodec.formats import IntFormat

FORMATS = [IntFormat(bits, signed) for bits in (2, 4, 7, 8, 10, 12, 16) for signed in (False, True)]
# A two-sided clip inside its format, as a calibrated activation has it.
LIMITS = [(form, form.lo, form.hi) for form in FORMATS] + [
    (IntFormat(8, True), -100, 77),
    (IntFormat(8, False), 3, 200),
]
VALUE = IntFormat(40, True)
LATENCY = 1


def make_unit(form: IntFormat, lo: int, hi: int) -> Unit:
    return Unit(clip_unit, {"value": VALUE}, form, {"lo": lo, "hi": hi})


def make_values(lo: int, hi: int) -> list[int]:
    near = [lo - 1, lo, lo + 1, -1, 0, 1, hi - 1, hi, hi + 1]
    far = [VALUE.lo, VALUE.hi, -(1 << 32), 1 << 32, hi + (1 << 16), lo - (1 << 16), hi | 1 << 20, (1 << 31) + 5]
    return near + far


def rows_of(values: list[int]) -> list[tuple[int, ...]]:
    """Values with idle and stalled cycles between them, then idle cycles that let everything out."""
    rows: list[tuple[int, ...]] = []
    for position, value in enumerate(values):
        if position % 3 == 1:
            rows.append((1, 0, VALUE.hi))
        if position % 4 == 2:
            rows.append((0, 1, VALUE.lo))
        rows.append((1, 1, value))
    return rows + [(1, 0, 0)] * (LATENCY + 1)


@pytest.mark.parametrize(("form", "lo", "hi"), LIMITS, ids=str)
def test_clip_twin_equals_golden(form, lo, hi):
    values = make_values(lo, hi)
    golden = [fixed.clip(value, lo, hi) for value in values]
    assert {lo, hi} <= set(golden)
    assert any(lo < value < hi for value in golden)
    results = run_myhdl(make_unit(form, lo, hi), rows_of(values))
    assert [result for _, result in results] == golden


def test_clip_latency_is_one_cycle():
    results = run_myhdl(make_unit(FORMATS[0], 0, 3), [(1, 1, 2), (1, 1, -7), (1, 0, 0)])
    assert results == [(LATENCY, 2), (LATENCY + 1, 0)]


@pytest.mark.hdl
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")
@pytest.mark.parametrize(("form", "lo", "hi"), LIMITS, ids=str)
def test_clip_verilog_equals_golden(form, lo, hi, tmp_path):
    values = make_values(lo, hi)
    found = run_icarus(make_unit(form, lo, hi), rows_of(values), tmp_path)
    assert found == [fixed.clip(value, lo, hi) for value in values]


@pytest.mark.hdl
@pytest.mark.skipif(shutil.which("ghdl") is None, reason="ghdl is not installed")
@pytest.mark.parametrize(("form", "lo", "hi"), LIMITS[4:8] + LIMITS[-4:], ids=str)
def test_clip_vhdl_equals_golden(form, lo, hi, tmp_path):
    values = make_values(lo, hi)
    found = run_ghdl(make_unit(form, lo, hi), rows_of(values), tmp_path)
    assert found == [fixed.clip(value, lo, hi) for value in values]
