"""The divider against `refcodec.fixed.restoring_division` and `rounding_division` (SPEC HW-10, DIV-1, DIV-3)."""

from __future__ import annotations

import random
import re
import shutil
from pathlib import Path

import hw_units
import pytest
from hw_units import Row, Unit, convert_unit, run_ghdl, run_icarus, run_myhdl
from myhdl import always, always_comb, block, concat

from hw.division import restoring_division, rounding_division, rounding_latency
from hw.elaboration import bit, unsigned
from refcodec import fixed
from refcodec.formats import IntFormat

Pair = tuple[int, int]
# bits of numerator, denominator and quotient
RESTORING = [(5, 3, 4), (9, 4, 8), (17, 12, 16), (20, 16, 7), (12, 16, 2), (8, 2, 1), (48, 30, 15), (30, 34, 29)]
# bits of numerator and denominator, fraction, result: the activations of every width configuration
ROUNDING = [
    (8, 5, 0, IntFormat(4, True)),
    (20, 12, 5, IntFormat(8, True)),
    (20, 12, 5, IntFormat(8, False)),
    (30, 20, 16, IntFormat(12, True)),
    (48, 30, 3, IntFormat(16, True)),
    (48, 47, 14, IntFormat(16, False)),
    (24, 9, 1, IntFormat(7, True)),
    (24, 9, 8, IntFormat(10, True)),
    (12, 6, 2, IntFormat(2, True)),
    (4, 12, 0, IntFormat(8, True)),
]
# name: (pattern, replacement)
MUTANTS = {
    "equal is not enough": (r"\(part >= (\w+)\)", r"(part > \1)"),
    "remainder kept": (r"part = \(part - \w+\);", ""),
    "no rounding constant": (r"total = \(total \+ half\);", ""),
    "numerator not doubled": (r"total = \(?\$?(signed)?\(?total <<<? 1\)+;", ""),
    "magnitude without the bit below": (r"flipped = \(-1\);", "flipped = 0;"),
    "sign late": (r"(late_negative <= \w+_line\[)\d+\]", r"\g<1>0]"),
    "never too long": (r"if \(\w+_over\)", "if (0)"),
    "too long early": (r"(lane0_over <= \w+_line\[)\d+\]", r"\g<1>0]"),
}


@block
def restoring_unit(clock, reset, advance, valid, numerator, denominator, result_valid, result):
    """One division; the result has `over` above the quotient."""
    bits = len(result) - 1
    stages = [bit() for _ in range(bits + 1)]
    valids = [valid, *stages[:-1]]
    last = stages[bits]
    quotient, over = unsigned(bits), bit()
    division = restoring_division(clock, advance, valids, numerator, denominator, quotient, over)

    @always_comb
    def show():
        result_valid.next = last
        result.next = concat(over, quotient)

    @always(clock.posedge)
    def follow():
        if reset:
            for i in range(bits + 1):
                stages[i].next = False
        elif advance:
            stages[0].next = valid
            for i in range(1, bits + 1):
                stages[i].next = stages[i - 1]

    return division, show, follow


@block
def rounding_unit(clock, reset, advance, valid, numerator, denominator, result_valid, result, fraction):
    """One lane of the rounding division."""
    numerators, denominators, results = [numerator], [denominator], [result]
    return rounding_division(clock, reset, advance, valid, numerators, denominators, result_valid, results, fraction)


def rows_of(pairs: list[Pair], latency: int) -> list[Row]:
    """Operands with idle and stalled cycles between them, then idle cycles that let everything out."""
    rows: list[Row] = []
    for position, pair in enumerate(pairs):
        if position % 5 == 1:
            rows.append((1, 0, 1, 1))
        if position % 7 == 2:
            rows.append((0, 1, 2, 1))
        rows.append((1, 1, *pair))
    return rows + [(1, 0, 0, 1)] * (latency + 1)


def restoring_case(bits: int, denominator_bits: int, quotient_bits: int) -> tuple[Unit, list[Pair]]:
    """Both ends, multiples and their neighbours, the longest quotient and the next, random values."""
    operands = {"numerator": IntFormat(bits, False), "denominator": IntFormat(denominator_bits, False)}
    unit = Unit(restoring_unit, operands, IntFormat(quotient_bits + 1, False), {})
    top, largest = (1 << bits) - 1, (1 << denominator_bits) - 1
    if bits + denominator_bits <= 9:
        return unit, [(n, d) for d in range(1, largest + 1) for n in range(top + 1)]
    source = random.Random(bits)
    pairs: list[Pair] = []
    for length in range(1, denominator_bits + 1, max(1, denominator_bits // 8)):
        d = source.randrange(1 << length - 1, 1 << length)
        exact = d * source.randrange(1 << quotient_bits)
        limit = d << quotient_bits
        pairs += [(n, d) for n in (0, d - 1, d, exact - 1, exact, exact + 1, limit - 1, limit, limit + 1, top)]
        pairs += [(source.randrange(top + 1), d), (top, largest), (source.randrange(top + 1) >> length, d)]
    return unit, [(min(max(0, n), top), d) for n, d in pairs]


def restored(pairs: list[Pair], bits: int, quotient_bits: int) -> list[int | None]:
    """The golden quotients, None for one of more bits."""
    quotients = [fixed.restoring_division(n, d, bits) for n, d in pairs]
    return [q if q < 1 << quotient_bits else None for q in quotients]


def seen(results: list[int], quotient_bits: int) -> list[int | None]:
    """What the unit gave, None where it said that the quotient has more bits."""
    return [None if result >> quotient_bits else result for result in results]


@pytest.mark.parametrize("widths", RESTORING, ids=str)
def test_restoring_division_twin_equals_golden(widths):
    bits, _, quotient_bits = widths
    unit, pairs = restoring_case(*widths)
    expected = restored(pairs, bits, quotient_bits)
    assert {None, 0, (1 << quotient_bits) - 1} <= set(expected)
    results = run_myhdl(unit, rows_of(pairs, quotient_bits + 1))
    assert seen([result for _, result in results], quotient_bits) == expected


@pytest.mark.parametrize("widths", RESTORING, ids=str)
def test_restoring_division_latency_is_a_cycle_more_than_bits(widths):
    unit, _ = restoring_case(*widths)
    rows = [(1, 1, 1, 1), (0, 1, 2, 1), (1, 1, 0, 1), *[(1, 0, 1, 1)] * (widths[2] + 2)]
    assert run_myhdl(unit, rows) == [(widths[2] + 1, 1), (widths[2] + 2, 0)]


@pytest.mark.hdl
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")
@pytest.mark.parametrize("widths", RESTORING, ids=str)
def test_restoring_division_verilog_equals_golden(widths, tmp_path):
    unit, pairs = restoring_case(*widths)
    results = run_icarus(unit, rows_of(pairs, widths[2] + 1), tmp_path)
    assert seen(results, widths[2]) == restored(pairs, widths[0], widths[2])


@pytest.mark.hdl
@pytest.mark.skipif(shutil.which("ghdl") is None, reason="ghdl is not installed")
@pytest.mark.parametrize("widths", RESTORING[2:6], ids=str)
def test_restoring_division_vhdl_equals_golden(widths, tmp_path):
    unit, pairs = restoring_case(*widths)
    results = run_ghdl(unit, rows_of(pairs, widths[2] + 1), tmp_path)
    assert seen(results, widths[2]) == restored(pairs, widths[0], widths[2])


def rounding_case(bits: int, denominator_bits: int, fraction: int, form: IntFormat) -> tuple[Unit, list[Pair]]:
    """Ties and their neighbours, quotients next to both ends of the result, both ends of the operands."""
    operands = {"numerator": IntFormat(bits, True), "denominator": IntFormat(denominator_bits, False)}
    unit = Unit(rounding_unit, operands, form, {"fraction": fraction})
    lo, hi = -(1 << bits - 1), (1 << bits - 1) - 1
    source = random.Random(bits + fraction)
    pairs: list[Pair] = []
    for length in range(1, denominator_bits + 1, max(1, denominator_bits // 6)):
        d = source.randrange(1 << length - 1, 1 << length) & ~(length > 1)  # even, so that there are ties
        whole = d << fraction
        ends = [q * whole for q in (form.lo - 1, form.lo, form.hi, form.hi + 1)]
        inside = [source.randint(form.lo, form.hi) * whole for _ in range(2)]
        ties = [q * whole + whole // 2 for q in (-3, -2, -1, 0, 1, 2)]
        pairs += [(n + delta, d) for n in (*ends, *inside, *ties, -whole // 2) for delta in (-1, 0, 1)]
        pairs += [(n, d) for n in (0, lo, hi, source.randint(lo, hi))]
    pairs += [(n, (1 << denominator_bits) - 1) for n in (lo, hi, 0, -1)]
    return unit, [(n, d) for n, d in pairs if lo <= n <= hi]


def rounded(pairs: list[Pair], fraction: int, form: IntFormat) -> list[int]:
    return [fixed.clip(fixed.rounding_division(n, d << fraction), form.lo, form.hi) for n, d in pairs]


def latency_of(form: IntFormat) -> int:
    return rounding_latency(form.hi.bit_length())


@pytest.mark.parametrize("case", ROUNDING, ids=str)
def test_rounding_division_twin_equals_golden(case):
    _, _, fraction, form = case
    unit, pairs = rounding_case(*case)
    exact = [fixed.rounding_division(n, d << fraction) for n, d in pairs]
    if case != ROUNDING[-1]:
        assert min(exact) < form.lo
        assert max(exact) > form.hi
        assert {form.lo, form.hi, 0} <= set(exact)
    ties = {n > 0 for n, d in pairs if 2 * n % (2 * d << fraction) == d << fraction}
    assert ties == {False, True}
    results = run_myhdl(unit, rows_of(pairs, latency_of(form)))
    assert [result for _, result in results] == rounded(pairs, fraction, form)


@pytest.mark.parametrize("case", ROUNDING, ids=str)
def test_rounding_division_latency_is_four_cycles_more_than_bits(case):
    _, _, fraction, form = case
    unit, _ = rounding_case(*case)
    pairs = [(2, 1), (-2, 1)]
    rows = [(1, 1, *pairs[0]), (0, 1, 3, 1), (1, 1, *pairs[1]), *[(1, 0, 1, 1)] * (latency_of(form) + 1)]
    first = form.hi.bit_length() + 4
    assert run_myhdl(unit, rows) == list(zip((first, first + 1), rounded(pairs, fraction, form), strict=True))


@pytest.mark.hdl
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")
@pytest.mark.parametrize("case", ROUNDING, ids=str)
def test_rounding_division_verilog_equals_golden(case, tmp_path):
    unit, pairs = rounding_case(*case)
    assert run_icarus(unit, rows_of(pairs, latency_of(case[3])), tmp_path) == rounded(pairs, case[2], case[3])


@pytest.mark.hdl
@pytest.mark.skipif(shutil.which("ghdl") is None, reason="ghdl is not installed")
@pytest.mark.parametrize("case", [ROUNDING[k] for k in (0, 2, 4, 9)], ids=str)
def test_rounding_division_vhdl_equals_golden(case, tmp_path):
    unit, pairs = rounding_case(*case)
    assert run_ghdl(unit, rows_of(pairs, latency_of(case[3])), tmp_path) == rounded(pairs, case[2], case[3])


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")
@pytest.mark.parametrize("name", MUTANTS)
def test_rounding_division_mutant_fails(name, tmp_path, monkeypatch):
    def convert_mutant(unit: Unit, hdl: str, folder: Path) -> None:
        convert_unit(unit, hdl, folder)
        text, count = re.subn(*MUTANTS[name], (folder / "unit.v").read_text())
        assert count > 0, f"nothing matches {MUTANTS[name][0]}"
        (folder / "unit.v").write_text(text)

    monkeypatch.setattr(hw_units, "convert_unit", convert_mutant)
    case = ROUNDING[1]
    unit, pairs = rounding_case(*case)
    assert run_icarus(unit, rows_of(pairs, latency_of(case[3])), tmp_path) != rounded(pairs, case[2], case[3])
