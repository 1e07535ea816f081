"""The concatenation stage against the golden operation (SPEC HW-21, CAT-1)."""

from __future__ import annotations

import numpy as np
import pytest
from hw_stage_runs import (
    S4,
    S8,
    S12,
    S16,
    U8,
    Mutant,
    assert_cosim,
    assert_mutant_fails,
    assert_simulates,
    operation_program,
    operation_stimulus,
    values,
)

from hw.concatenate import ConcatenateStage
from hw.stage import cycles
from hw.stimulus import Stimulus
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat
from refcodec.program.operations import Concatenate

NAME = "both"
S2, S7, U10 = IntFormat(2, True), IntFormat(7, True), IntFormat(10, False)
# channels of both sources, lanes, format: whole words, a shared word, a word more than both need, one that ends in it
CASES = [
    (4, 6, 2, S8),
    (3, 4, 2, S8),
    (3, 5, 4, U8),
    (3, 3, 4, S16),
    (7, 6, 4, S12),
    (1, 1, 4, S4),
    (2, 3, 16, S7),
    (5, 1, 3, U10),
    (2, 3, 1, S2),
    (1, 7, 3, S8),
]
HEIGHT, WIDTH = 3, 4
MUTANTS = {
    "rest lost": Mutant(r"low = \w+_rest;", "low = 0;"),
    "first source ends late": Mutant(r"(if \(\(\w+_step == )1(\)\) begin\s*low)", r"\g<1>2\2"),
    "one lane too far": Mutant(r"wide << 24", "wide << 16"),
    "other taken from the start": Mutant(r"_step >= 1", "_step >= 0"),
    "flush takes a word": Mutant(r"_step < 3\)", "_step < 4)"),
    "first source not awaited": Mutant(r"(has_left = )\(?source_valid[^;]*;", r"\1 1'b1;"),
    "other not awaited": Mutant(r"(has_right = )\(?other_valid[^;]*;", r"\1 1'b1;", True),
    "ready ignored": Mutant(r"advance = sink_ready;", "advance = 1'b1;", True),
    "step kept in a reset": Mutant(r"\w+_step <= 0;(\s*\w+_word_valid <= 1'b0;)", r"\1"),
}


def stimulus_of(left: int, right: int, lanes: int, form: IntFormat) -> Stimulus:
    channels = (left, right, left + right)
    program = operation_program(Concatenate(NAME, ("a", "b"), "y"), channels, form, form, form)
    a, b = (values(form, (count, HEIGHT, WIDTH), seed) for seed, count in enumerate(channels[:2]))
    stimulus = operation_stimulus(ConcatenateStage, program, NAME, lanes, a, b)
    # Lanes without a channel hold ones
    sources = tuple(
        [word | ((1 << form.bits) - 1 & ~mask) for word, mask in zip(words, form.mask, strict=True)]
        for words, form in zip(stimulus.sources, stimulus.stage.sources, strict=True)
    )
    return Stimulus.of_words(stimulus.stage, {}, sources, stimulus.words)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_stage_equals_the_golden_operation(case):
    stimulus = stimulus_of(*case)
    assert len(np.unique(stimulus.stage.sink.unpack(stimulus.words))) >= 4
    assert_simulates(stimulus)


@pytest.mark.hdl
@pytest.mark.parametrize("case", CASES, ids=str)
def test_verilog_equals_the_golden_operation(case, tmp_path):
    assert_cosim(stimulus_of(*case), tmp_path / "hdl")


@pytest.mark.hdl
@pytest.mark.parametrize("case", CASES[:6], ids=str)
def test_vhdl_equals_the_golden_operation(case, tmp_path):
    assert_cosim(stimulus_of(*case), tmp_path / "hdl", "ghdl")


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(name, tmp_path):
    # One whole word, three channels beside one of the other's first word, a flush of two
    assert_mutant_fails(stimulus_of(7, 7, 4, S8), MUTANTS[name], tmp_path / "hdl")


def test_stage_gives_a_word_a_cycle():
    stage = stimulus_of(7, 7, 4, S8).stage
    assert (stage.full_words, stage.left_bits, stage.sink.groups) == (1, 24, 4)
    assert cycles(stage) == HEIGHT * WIDTH * 4 - 1 + 1
    schedule = ConcatenateStage(7, 7, 1, 1, 4, S8).schedule([[0, 5], [1, 2]])
    assert schedule.accepted == ((0, 5), (5, 6))
    assert schedule.offered == (1, 6, 7, 8)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(HardwareError, match=r"channels must be an integer 1\.\.1024, got 1025") as caught:
        ConcatenateStage(1000, 25, 1, 1, 1, S8)
    assert caught.value.code == "RC-HW-CONFIG"
    operation = Concatenate(NAME, ("a", "b", "c"), "y")
    program = operation_program(operation, (1, 1, 1, 3), S8, S8, S8, S8)
    with pytest.raises(HardwareError, match="both joins 3 tensors, a stage joins 2"):
        ConcatenateStage.of(program, NAME, 1, 1, 1)
