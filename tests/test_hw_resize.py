"""The stage that enlarges bilinearly against the golden operation (SPEC HW-22, RES-1, RES-2)."""

from __future__ import annotations

import numpy as np
import pytest
from hw_stage_runs import (
    S4,
    S8,
    S12,
    S16,
    U8,
    U16,
    Mutant,
    assert_cosim,
    assert_mutant_fails,
    assert_simulates,
    operation_program,
    operation_stimulus,
    values,
)

from hw.checks import MAX_DEPTH
from hw.resize import Division, ResizeStage, axis_weights
from hw.simulate import agrees, simulate
from hw.stage import cycles
from hw.stimulus import Stimulus
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat
from refcodec.program.operations import Resize

NAME = "enlarge"
S7, U10, S2 = IntFormat(7, True), IntFormat(10, False), IntFormat(2, True)
# channels, rows, columns, height, width, lanes, format
CASES = [
    (3, 2, 2, 2, 3, 2, S8),
    (1, 3, 2, 3, 2, 1, S16),
    (2, 2, 3, 2, 2, 2, U8),
    (3, 5, 5, 1, 2, 4, U16),
    (2, 4, 1, 2, 2, 1, S12),
    (1, 1, 4, 2, 2, 2, S4),
    (1, 1, 1, 2, 2, 1, S7),
    (3, 3, 5, 1, 1, 2, U10),
    (1, 5, 4, 2, 2, 1, S16),
    (1, 2, 5, 2, 3, 1, S2),
]
IDS = ["-".join(map(str, case)) for case in CASES]
MUTANT_CASE = (3, 3, 2, 2, 3, 2, S8)
MUTANTS = {
    "rounds down": Mutant(r"(partial = )3084;", r"\g<1>3072;"),
    "sum never restarts": Mutant(r"if \(\w+_firsts\[1\]\)", "if (0)"),
    "unsigned samples": Mutant(r"reg signed (\[9-1:0\] x;)", r"reg \1"),
    "border not repeated": Mutant(r"_here != 6\) && ", "_here != 12) && "),
    "upper border not repeated": Mutant(r"_here != 0\) && ", "_here != 9) && "),
    "wrong reciprocal": Mutant(r"(factor = )(\d+);", lambda m: f"{m[1]}{int(m[2]) - 7};"),
    "rows weigh as columns": Mutant(r"\w+_row_weight \* ", lambda m: m[0].replace("row_", "column_")),
    "ready ignored": Mutant(r"advance = sink_ready;", "advance = 1'b1;", True),
    "tap kept in a reset": Mutant(r"\w+_tap <= 0;(\s*\w+_group <= 0;\s*end\s*else if)", r"\1"),
}


def stimulus_of(channels, rows, columns, height, width, lanes, form) -> Stimulus:
    program = operation_program(Resize(NAME, "x", "y", rows, columns), channels, form, form)
    x = values(form, (channels, height, width), seed=rows)
    x[0, 0, 0], x[0, -1, -1] = form.lo, form.hi
    return operation_stimulus(ResizeStage, program, NAME, lanes, x)


@pytest.mark.parametrize("factor", range(1, 6))
def test_weights_are_those_of_interpolation_at_half_pixel_centres(factor):
    weights = np.array(axis_weights(factor)).reshape(factor, 2)
    assert (weights.sum(axis=1) == 2 * factor).all()
    assert weights[:, 1].tolist() == [(2 * phase + 1 - factor) % (2 * factor) for phase in range(factor)]


@pytest.mark.parametrize("divisor", sorted({4 * rows * columns for rows in range(1, 6) for columns in range(1, 6)}))
def test_division_is_exact_at_every_multiple(divisor):
    for bits in (2, 7, 16):
        top = divisor << bits
        division = Division.by(divisor, (top - 1).bit_length())
        assert division.multiplier < 1 << 30
        multiples = range(0, top + 1, divisor)
        for dividend in {0, top - 1, *(m - 1 for m in multiples if m), *(m for m in multiples if m < top)}:
            rest = dividend >> division.first_shift
            assert rest * division.multiplier >> division.second_shift == dividend // divisor


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_stage_equals_the_golden_operation(case):
    stimulus = stimulus_of(*case)
    y = stimulus.stage.sink.unpack(stimulus.words)
    assert (y.min(), y.max()) == (case[6].lo, case[6].hi) or case[3:5] == (1, 1)
    assert_simulates(stimulus)


@pytest.mark.hdl
@pytest.mark.parametrize("reset", [3, 40])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_verilog_equals_the_golden_operation(case, reset, tmp_path):
    assert_cosim(stimulus_of(*case), tmp_path / "hdl", reset=reset)


@pytest.mark.hdl
@pytest.mark.parametrize("case", CASES[:5], ids=IDS[:5])
def test_vhdl_equals_the_golden_operation(case, tmp_path):
    assert_cosim(stimulus_of(*case), tmp_path / "hdl", "ghdl", reset=30)


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(name, tmp_path):
    assert_mutant_fails(stimulus_of(*MUTANT_CASE), MUTANTS[name], tmp_path / "hdl", reset=31)


def test_stage_gives_a_word_in_four_cycles():
    stage = stimulus_of(*MUTANT_CASE).stage
    assert (stage.sources[0].words, stage.sink.words) == (12, 72)
    assert cycles(stage) == 11 + 4 * 72 + 7
    assert stage.schedule([[3, *range(10, 21)]]).offered[:2] == (31, 35)


def test_tensors_follow_each_other_without_a_pause():
    stimulus = stimulus_of(*MUTANT_CASE)
    logs = simulate(stimulus, runs=3, flow=True)
    assert agrees(stimulus, logs, timed=False)
    first, second, third = (log.cycles[0] for log in logs)
    assert second - first == third - second == stimulus.stage.interval


def test_what_cannot_be_built_is_refused():
    with pytest.raises(HardwareError, match=r"samples need 2\.\.16 bits, got s17") as caught:
        ResizeStage(1, 1, 1, 1, 1, 1, IntFormat(17, True))
    assert caught.value.code == "RC-HW-CONFIG"
    with pytest.raises(HardwareError, match=r"columns must be an integer 1\.\.5, got 6"):
        ResizeStage(1, 1, 1, 1, 6, 1, S8)
    with pytest.raises(HardwareError, match=f"the sample memory needs {1 << 32} words, {MAX_DEPTH} is the limit"):
        ResizeStage(256, 4096, 4096, 1, 1, 1, S8)
