"""The stage that adds two tensors against the golden operation (SPEC HW-20, ADD-1)."""

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
    operation_program,
    operation_stimulus,
    values,
)

from hw.add import AddStage
from hw.stage import cycles
from hw.stimulus import Stimulus
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat
from refcodec.program.operations import Add

NAME = "join"
S7, S10, S2, S20 = (IntFormat(bits, True) for bits in (7, 10, 2, 20))
TOP = (1 << 31) - 1
# formats of both sources and of the target, multipliers, shift
CASES = [
    (S4, U4, S4, (6, 5), 2),
    (S8, S8, S8, (1, 1), 1),
    (U8, S8, S8, (-3, 7), 2),
    (S12, U12, S12, (5000, -2300), 12),
    (S16, S16, S16, (TOP, TOP), 31),
    (S16, U16, U16, (TOP, -TOP), 29),
    (S7, S10, S10, (40, 3), 2),
    (S10, S7, S7, (1, -9), 1),
    (S2, S8, S8, (100, 1), 0),
    (S32, S20, S20, (TOP, 1 << 30), 40),
    (S32, S16, S16, (TOP, TOP), 62),
]
CHANNELS, HEIGHT, WIDTH = 5, 3, 4
MUTANTS = {
    "no rounding constant": Mutant(r"\((\w+_total) \+ \w+half\)", r"\1"),
    "difference": Mutant(r"(\w+_left_product) \+ ", r"\1 - "),
    "unsigned multiplier": Mutant(r"reg signed (\[31:0\] \w+_right_multiplier;)", r"reg \1"),
    "logical shift": Mutant(r"(_rounded) >>> ", r"\1 >> "),
    "one source is enough": Mutant(
        r"&& \w*left_valid && \w*right_valid|&& source_valid && other_valid", "&& source_valid", True
    ),
    "other word lost": Mutant(r"(assign other_ready = )[^;]*;", r"\1 1'b1;", True),
    "ready ignored": Mutant(r"advance = sink_ready;", "advance = 1'b1;", True),
    "upper clip": Mutant(r"_scaled > 127", "_scaled > 160"),
}


def stimulus_of(left, right, target, multipliers, shift, lanes=2) -> Stimulus:
    program = operation_program(Add(NAME, ("a", "b"), "y", shift, np.array(multipliers)), CHANNELS, left, right, target)
    a, b = (values(form, (CHANNELS, HEIGHT, WIDTH), seed) for seed, form in enumerate((left, right)))
    signs = np.sign(multipliers)
    for place, end in ((0, 1), (1, -1)):  # both ends of the sum
        for x, form, sign in ((a, left, signs[0]), (b, right, signs[1])):
            x.flat[place] = form.hi if sign * end > 0 else form.lo
    return operation_stimulus(AddStage, program, NAME, lanes, a, b)


def sums(stimulus: Stimulus, multipliers: tuple[int, int]) -> list[int]:
    """The exact sums, before rounding."""
    a, b = (form.unpack(words) for form, words in zip(stimulus.stage.sources, stimulus.sources, strict=True))
    first, second = multipliers
    return [x * first + y * second for x, y in zip(a.ravel().tolist(), b.ravel().tolist(), strict=True)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_stage_equals_the_golden_operation(case):
    stimulus = stimulus_of(*case)
    target = case[2]
    y = stimulus.stage.sink.unpack(stimulus.words)
    exact = sums(stimulus, case[3])
    assert min(exact) < 0 < max(exact)
    if case[4] == 62:
        assert set(y.flat) == {-1, 0, 1}
    else:
        assert (y.min(), y.max()) == (target.lo, target.hi)
        assert len(np.unique(y)) >= 8
    assert_simulates(stimulus)


@pytest.mark.parametrize("case", [CASES[0], CASES[1], CASES[2]], ids=str)
def test_stimuli_meet_ties_of_both_signs(case):
    unit = 1 << case[4]
    ties = [total for total in sums(stimulus_of(*case), case[3]) if total % unit * 2 == unit]
    assert min(ties) < 0 < max(ties)


@pytest.mark.hdl
@pytest.mark.parametrize("case", CASES, ids=str)
def test_verilog_equals_the_golden_operation(case, tmp_path):
    assert_cosim(stimulus_of(*case, lanes=3), tmp_path / "hdl")


@pytest.mark.hdl
@pytest.mark.parametrize("case", [CASES[0], CASES[2], CASES[5], CASES[9], CASES[10]], ids=str)
def test_vhdl_equals_the_golden_operation(case, tmp_path):
    assert_cosim(stimulus_of(*case), tmp_path / "hdl", "ghdl")


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(name, tmp_path):
    assert_mutant_fails(stimulus_of(*CASES[2]), MUTANTS[name], tmp_path / "hdl")


def test_stage_waits_for_both_sources():
    stage = stimulus_of(*CASES[1]).stage
    assert cycles(stage) == HEIGHT * WIDTH * 3 - 1 + 7
    schedule = stage.schedule([[0, 1, 2, 9], [4, 5, 8, 10]])
    assert schedule.accepted == ((4, 5, 8, 10),) * 2
    assert schedule.offered == (11, 12, 15, 17)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(HardwareError, match=r"sums have 1\.\.30 bits, got s31") as caught:
        AddStage(1, 1, 1, 1, S8, IntFormat(31, True), S8)
    assert caught.value.code == "RC-HW-CONFIG"
