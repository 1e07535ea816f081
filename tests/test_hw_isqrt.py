"""The square root unit against `refcodec.fixed.isqrt` (SPEC HW-11, ISQRT-1)."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

import hw_units
import pytest
from hw_units import Row, Unit, convert_unit, run_ghdl, run_icarus, run_myhdl
from myhdl import always_comb, block, concat

from hw.elaboration import bit, unsigned
from hw.isqrt import isqrt
from refcodec import fixed
from refcodec.formats import IntFormat

ROOT_BITS = (2, 3, 4, 8, 13, 16, 31)
# name: (pattern, replacement)
MUTANTS = {
    "equal is not enough": (r"\(part >= trial\)", "(part > trial)"),
    "no end bit in the trial": (r"trial = \(trial \+ 1\);", ""),
    "remainder kept": (r"part = \(part - trial\);", ""),
    "wrong pair": (r"(pair = \w+rest\[\d+-1:)\d+\]", r"\g<1>1]"),
    "root not shifted": (r"longer = \(longer << 1\);", ""),
    "first bit always set": (r"\(pair == 0\)", "(0)"),
}


@block
def isqrt_unit(clock, reset, advance, valid, upper, lower, result_valid, result):
    """One lane, the radicand in halves, with its valid bit at the end of the line."""
    radicand = unsigned(2 * len(result))
    stages = [bit() for _ in range(len(result))]
    last = stages[len(result) - 1]
    radicands, results = [radicand], [result]
    roots = isqrt(clock, reset, advance, valid, radicands, stages, results)

    @always_comb
    def show():
        result_valid.next = last

    @always_comb
    def join():
        radicand.next = concat(upper, lower)

    return roots, show, join


def make_unit(bits: int) -> Unit:
    half = IntFormat(bits, False)
    return Unit(isqrt_unit, {"upper": half, "lower": half}, half, {})


def make_radicands(bits: int) -> list[int]:
    """Squares and both their neighbours, both ends, and random values of every length."""
    top = (1 << 2 * bits) - 1
    if bits <= 4:
        return list(range(top + 1))
    source = random.Random(bits)
    roots = {
        1,
        2,
        3,
        (1 << bits) - 1,
        (1 << bits) - 2,
        1 << bits - 1,
        *(source.randrange(1 << bits) for _ in range(25)),
    }
    squares = [root * root + d for root in sorted(roots) for d in (-1, 0, 1, root, 2 * root)]
    anything = [source.randrange(1 << length) for length in range(1, 2 * bits + 1) for _ in range(2)]
    return [0, top, *(min(max(0, value), top) for value in squares), *anything]


def rows_of(radicands: list[int], bits: int) -> list[Row]:
    """Radicands with idle and stalled cycles between them, then idle cycles that let everything out."""
    rows: list[Row] = []
    for position, value in enumerate(radicands):
        if position % 5 == 1:
            rows.append((1, 0, 0, 3))
        if position % 7 == 2:
            rows.append((0, 1, 0, 2))
        rows.append((1, 1, value >> bits, value % (1 << bits)))
    return rows + [(1, 0, 0, 0)] * (bits + 1)


def golden(radicands: list[int]) -> list[int]:
    return [fixed.isqrt(value) for value in radicands]


@pytest.mark.parametrize("bits", ROOT_BITS)
def test_isqrt_twin_equals_golden(bits):
    radicands = make_radicands(bits)
    expected = golden(radicands)
    assert {0, (1 << bits) - 1} <= set(expected)
    assert any(value == root * root for value, root in zip(radicands, expected, strict=True) if root > 1)
    results = run_myhdl(make_unit(bits), rows_of(radicands, bits))
    assert [result for _, result in results] == expected


@pytest.mark.parametrize("bits", ROOT_BITS)
def test_isqrt_latency_is_one_cycle_a_bit(bits):
    rows = [row for row in rows_of([9, 3, 0, 7, 1], bits) if row != (1, 0, 0, 3)]
    assert rows[2] == (0, 1, 0, 2)
    assert run_myhdl(make_unit(bits), rows) == [(bits + k, root) for k, root in enumerate((3, 1, 0, 2, 1))]


@pytest.mark.hdl
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")
@pytest.mark.parametrize("bits", ROOT_BITS)
def test_isqrt_verilog_equals_golden(bits, tmp_path):
    radicands = make_radicands(bits)
    assert run_icarus(make_unit(bits), rows_of(radicands, bits), tmp_path) == golden(radicands)


@pytest.mark.hdl
@pytest.mark.skipif(shutil.which("ghdl") is None, reason="ghdl is not installed")
@pytest.mark.parametrize("bits", [2, 8, 31])
def test_isqrt_vhdl_equals_golden(bits, tmp_path):
    radicands = make_radicands(bits)
    assert run_ghdl(make_unit(bits), rows_of(radicands, bits), tmp_path) == golden(radicands)


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")
@pytest.mark.parametrize("name", MUTANTS)
def test_isqrt_mutant_fails(name, tmp_path, monkeypatch):
    radicands = make_radicands(4)

    def convert_mutant(unit: Unit, hdl: str, folder: Path) -> None:
        convert_unit(unit, hdl, folder)
        text, count = re.subn(*MUTANTS[name], (folder / "unit.v").read_text())
        assert count > 0, f"nothing matches {MUTANTS[name][0]}"
        (folder / "unit.v").write_text(text)

    monkeypatch.setattr(hw_units, "convert_unit", convert_mutant)
    assert run_icarus(make_unit(4), rows_of(radicands, 4), tmp_path) != golden(radicands)
