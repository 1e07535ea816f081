"""The clip stage against the golden operation (SPEC HW-16, CLIP-1)."""

from __future__ import annotations

import pytest
from hw_stage_runs import (
    FORMATS,
    S8,
    S16,
    S25,
    S32,
    U8,
    Mutant,
    assert_cosim,
    assert_mutant_fails,
    assert_simulates,
    operation_program,
    operation_stimulus,
    values,
)

from hw.clip_stage import ClipStage
from hw.stage import cycles
from hw.stimulus import Stimulus
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat
from refcodec.program.operations import Clip

NAME = "limit"
CASES = [*FORMATS, (S25, U8), (S16, S32), (U8, IntFormat(9, True))]
IDS = [f"{source}-{target}" for source, target in CASES]
CHANNELS, HEIGHT, WIDTH = 5, 3, 4
MUTANTS = {
    "upper end": Mutant(r"> 50\)", "> 51)"),
    "lower end": Mutant(r"<= \(-100\);", "<= 100;"),
    "unsigned": Mutant(r"_operand <= \$signed\((\w+\[[^]]*\])\);", r"_operand <= \1 & 8'h7f;"),
    "ready ignored": Mutant(r"advance = sink_ready;", "advance = 1'b1;", True),
}


def stimulus_of(source: IntFormat, target: IntFormat, lo: int, hi: int, lanes: int = 2) -> Stimulus:
    program = operation_program(Clip(NAME, "x", "y", lo, hi), CHANNELS, source, target)
    x = values(source, (CHANNELS, HEIGHT, WIDTH), seed=source.bits)
    x[0, 0, 0], x[-1, -1, -1] = min(hi + 1, source.hi), max(lo - 1, source.lo)
    stimulus = operation_stimulus(ClipStage, program, NAME, lanes, x)
    assert (x > hi).any() or hi == source.hi
    assert (x < lo).any() or lo == source.lo
    assert ((x > lo) & (x < hi)).any()
    return stimulus


def inner(source: IntFormat, target: IntFormat) -> tuple[int, int]:
    """Limits that both formats hold and most values pass, lo odd."""
    lo, hi = max(source.lo, target.lo), min(source.hi, target.hi)
    return lo * 3 // 4, hi - hi // 4


@pytest.mark.parametrize(("source", "target"), CASES, ids=IDS)
def test_stage_equals_the_golden_operation(source, target):
    assert_simulates(stimulus_of(source, target, *inner(source, target)))


@pytest.mark.parametrize("target", [S8, U8])
def test_rectifier_has_the_limit_zero(target):
    assert_simulates(stimulus_of(S16, target, 0, 127, lanes=3), reset_at=3)


@pytest.mark.hdl
@pytest.mark.parametrize(("source", "target"), CASES, ids=IDS)
def test_verilog_equals_the_golden_operation(source, target, tmp_path):
    assert_cosim(stimulus_of(source, target, *inner(source, target)), tmp_path / "hdl")


@pytest.mark.hdl
@pytest.mark.parametrize(("source", "target"), [(S25, U8), (U8, S8), (S16, S32)])
def test_vhdl_equals_the_golden_operation(source, target, tmp_path):
    assert_cosim(stimulus_of(source, target, *inner(source, target)), tmp_path / "hdl", "ghdl")


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(name, tmp_path):
    assert_mutant_fails(stimulus_of(S8, S8, -100, 50), MUTANTS[name], tmp_path / "hdl")


def test_stage_takes_a_word_a_cycle():
    stage = stimulus_of(S8, S8, -100, 50).stage
    assert (cycles(stage), stage.memories) == (HEIGHT * WIDTH * 3 - 1 + 3, {})


def test_what_cannot_be_built_is_refused():
    with pytest.raises(HardwareError, match=r"limits -1 \.\. 5 leave u8 or s8") as caught:
        ClipStage(CHANNELS, HEIGHT, WIDTH, 2, U8, S8, -1, 5)
    assert caught.value.code == "RC-HW-CONFIG"
    with pytest.raises(HardwareError, match=r"limits must be below 2\*\*30"):
        ClipStage(CHANNELS, HEIGHT, WIDTH, 2, S32, S32, 0, 1 << 30)
