"""The table stages against the golden operations (SPEC HW-18, TAB-1, TAB-2)."""

from __future__ import annotations

import numpy as np
import pytest
from hw_stage_runs import (
    S4,
    S8,
    S12,
    S16,
    S32,
    U4,
    U8,
    U12,
    U16,
    Mutant,
    assert_cosim,
    assert_mutant_fails,
    assert_simulates,
    clip,
    operation_program,
    operation_stimulus,
    values,
)

from hw.stage import cycles
from hw.stimulus import Stimulus
from hw.table import InterpolatedTableStage, TableStage, by_pattern
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat
from refcodec.program.operations import InterpolatedTable, Table

NAME = "curve"
S7, S10, U10 = IntFormat(7, True), IntFormat(10, True), IntFormat(10, False)
S2 = IntFormat(2, True)
# source, target
DIRECT = [(S4, U4), (U4, S4), (S8, S8), (U8, S16), (S7, S10), (S10, S7), (U10, S32), (S2, S8), (S8, S2)]
# source, target, spacing: two nodes only, up to as many as fit a small test
INTERPOLATED = [
    (S4, S4, 1),
    (U4, S8, 3),
    (S8, U8, 4),
    (S8, S8, 7),
    (S12, S12, 6),
    (U12, U12, 5),
    (S16, S16, 10),
    (U16, S16, 15),
    (S16, U16, 9),
    (S16, S32, 12),
    (S7, S10, 3),
    (S10, S7, 5),
    (S2, S8, 1),
]
CHANNELS, HEIGHT, WIDTH = 5, 3, 5
DIRECT_MUTANTS = {
    "lane never loaded": Mutant(r"load_lane == 1\b", "load_lane == 3"),
    "ready ignored": Mutant(r"advance = sink_ready;", "advance = 1'b1;", True),
    "address one bit short": Mutant(r"_cells\[(\w+)\]", r"_cells[\1 & 8'h7f]"),
    "table read too late": Mutant(r"_valid(\W[^;]*begin\s*\w+results\[\w+\] <= \w+cells)", r"_passes\1"),
}
MUTANTS = {
    "no rounding constant": Mutant(r"(_rounded <= )\((\w+_product) \+ 8\)", r"\1\2"),
    "wrong shift": Mutant(r"_rounded >>> 4", "_rounded >>> 3"),
    "nodes exchanged": Mutant(r"= \(second - first\)|<= \(second - first\)", "<= (first - second)"),
    "signed part": Mutant(r"(factor = )(\w+_rise_part);", r"\1$signed(\2);"),
    "node one cycle early": Mutant(r"total \+ \w+nodes\[1\]", lambda m: m[0].replace("[1]", "[0]")),
    "short product": Mutant(r"reg signed \[13:0\] (\w+_product);", r"reg signed [8:0] \1;"),
    "ready ignored": Mutant(r"advance = sink_ready;", "advance = 1'b1;", True),
}


def direct(source: IntFormat, target: IntFormat, lanes: int = 2) -> Stimulus:
    table = values(target, (1 << source.bits,), seed=1)
    program = operation_program(Table(NAME, "x", "y", table), CHANNELS, source, target)
    x = values(source, (CHANNELS, HEIGHT, WIDTH))
    return operation_stimulus(TableStage, program, NAME, lanes, x)


def interpolated(source: IntFormat, target: IntFormat, spacing: int, lanes: int = 2) -> Stimulus:
    """Nodes that jump from end to end of the target."""
    nodes = values(target, ((1 << (source.bits - spacing)) + 1,), seed=2)
    nodes[:2], nodes[-2:] = (target.hi, target.lo), (target.lo, target.hi)
    program = operation_program(InterpolatedTable(NAME, "x", "y", spacing, nodes), CHANNELS, source, target)
    x = values(source, (CHANNELS, HEIGHT, WIDTH))
    # On nodes, beside them, and at the ties that lie half-way
    steps = source.lo + (np.arange(10) << (spacing - 1))
    x.flat[20:30] = np.minimum(steps, source.hi)
    return operation_stimulus(InterpolatedTableStage, program, NAME, lanes, x)


def test_memory_begins_with_the_entry_of_zero():
    assert by_pattern([-2, -1, 0, 1], IntFormat(2, True)) == [0, 1, -2, -1]
    assert by_pattern([0, 1, 2, 3], IntFormat(2, False)) == [0, 1, 2, 3]


@pytest.mark.parametrize(("source", "target"), DIRECT, ids=str)
def test_direct_table_equals_the_golden_operation(source, target):
    stimulus = direct(source, target)
    assert len(np.unique(stimulus.stage.sink.unpack(stimulus.words))) >= min(4, 1 << target.bits)
    assert_simulates(stimulus)


@pytest.mark.parametrize(("source", "target", "spacing"), INTERPOLATED, ids=str)
def test_interpolated_table_equals_the_golden_operation(source, target, spacing):
    stimulus = interpolated(source, target, spacing)
    y = stimulus.stage.sink.unpack(stimulus.words)
    assert (y == target.lo).any()
    assert (y > target.lo).any()
    assert (y == target.hi).any()
    assert len(np.unique(y)) >= min(6, (1 << source.bits) - 1)
    assert_simulates(stimulus)


def test_stimulus_meets_ties_of_both_signs():
    source, target, spacing = S8, U8, 4
    stimulus = interpolated(source, target, spacing)
    nodes = values(target, (17,), seed=2).astype(int)
    nodes[:2], nodes[-2:] = (target.hi, target.lo), (target.lo, target.hi)
    place = stimulus.stage.sources[0].unpack(stimulus.sources[0]) - source.lo
    products = np.diff(nodes)[place >> spacing] * (place % (1 << spacing))
    ties = products[products % 16 == 8]
    assert ties.min() < 0 < ties.max()


@pytest.mark.hdl
@pytest.mark.parametrize(("source", "target"), DIRECT, ids=str)
def test_verilog_of_a_direct_table_equals_the_golden_operation(source, target, tmp_path):
    assert_cosim(direct(source, target), tmp_path / "hdl")


@pytest.mark.hdl
@pytest.mark.parametrize(("source", "target", "spacing"), INTERPOLATED, ids=str)
def test_verilog_of_an_interpolated_table_equals_the_golden_operation(source, target, spacing, tmp_path):
    assert_cosim(interpolated(source, target, spacing, lanes=3), tmp_path / "hdl")


@pytest.mark.hdl
@pytest.mark.parametrize("case", [DIRECT[0], DIRECT[2], DIRECT[6], *INTERPOLATED[1:3], *INTERPOLATED[6:9]], ids=str)
def test_vhdl_equals_the_golden_operation(case, tmp_path):
    assert_cosim((direct if len(case) == 2 else interpolated)(*case), tmp_path / "hdl", "ghdl")


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.parametrize("name", DIRECT_MUTANTS)
def test_mutant_of_a_direct_table_fails(name, tmp_path):
    assert_mutant_fails(direct(S8, S8), DIRECT_MUTANTS[name], tmp_path / "hdl")


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_of_an_interpolated_table_fails(name, tmp_path):
    assert_mutant_fails(interpolated(S8, S8, 4), MUTANTS[name], tmp_path / "hdl")


def test_stages_take_a_word_a_cycle():
    words = HEIGHT * WIDTH * 3
    assert cycles(direct(S8, S8).stage) == words - 1 + 3
    assert cycles(interpolated(S8, S8, 4).stage) == words - 1 + 7


@pytest.mark.hdl
def test_tile_of_the_shipped_clip(tmp_path):
    program, taps = clip()
    x = taps["blocks.2.shuffle"][:, 10:12, 20:24]
    stimulus = operation_stimulus(InterpolatedTableStage, program, "blocks.2.act", 2, x)
    assert stimulus.stage.segments == 4096
    y = stimulus.stage.sink.unpack(stimulus.words)
    assert np.array_equal(y, taps["blocks.2.act"][:, 10:12, 20:24])
    assert y.min() < 0 < y.max()
    assert_cosim(stimulus, tmp_path / "hdl")


def test_what_cannot_be_built_is_refused():
    with pytest.raises(HardwareError, match=r"tables take 2\.\.16 bits, got s32") as caught:
        TableStage(1, 1, 1, 1, S32, S8)
    assert caught.value.code == "RC-HW-CONFIG"
    with pytest.raises(HardwareError, match=r"tables hold 1\.\.32 bits, got s33"):
        TableStage(1, 1, 1, 1, S8, IntFormat(33, True))
    for spacing in (0, 8):
        with pytest.raises(HardwareError, match=rf"spacing must be 1\.\.7, got {spacing}"):
            InterpolatedTableStage(1, 1, 1, 1, S8, S8, spacing)
