"""The leaky requantisation stage against the golden operation (SPEC HW-16, LEAKY-1)."""

from __future__ import annotations

import numpy as np
import pytest
from hw_stage_runs import (
    FORMATS,
    S8,
    S16,
    S25,
    U8,
    Mutant,
    assert_cosim,
    assert_mutant_fails,
    assert_simulates,
    operation_program,
    operation_stimulus,
    values,
)

from hw.leaky_requantise import LeakyRequantiseStage
from hw.stage import cycles
from hw.stimulus import Stimulus
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat, multiplier_bits
from refcodec.program.operations import LeakyRequantise, Requantise

NAME = "leak"
CASES = [*FORMATS, (S25, S8), (IntFormat(48, True), S16)]
IDS = [f"{source}-{target}" for source, target in CASES]
CHANNELS, HEIGHT, WIDTH = 5, 3, 4
MUTANTS = {
    "sign ignored": Mutant(r"_operand < 0", "_operand < -1000000"),
    "zero counts as negative": Mutant(r"_operand < 0\)\)", "_operand <= 0)) begin end else if (0)"),
    "no rounding constant": Mutant(r"total = \(total \+ 1\);", ""),
    "shift one cycle early": Mutant(r"_shifts\[0\] <= \w+_factor_shift;", "_shifts[0] <= 7;"),
    "memories exchanged": Mutant(r"load_select == 1\b", "load_select == 0"),
    "ready ignored": Mutant(r"advance = sink_ready;", "advance = 1'b1;", True),
}


def constants(source: IntFormat, target: IntFormat) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A channel each: halves, no slope, the largest, half of the values beyond the ends, both slopes equal."""
    bits = multiplier_bits(source)
    top = (1 << bits) - 1
    shift = min(62, max(1, bits - 3 + source.hi.bit_length() - target.hi.bit_length()))
    ratio = min(top, max(1, (2 * target.hi << shift) // source.hi))
    rows = [(1, 1, 1), (3, 0, 2), (top, top // 2, 62), (ratio, ratio * 3 // 4, shift), (ratio, ratio, shift)]
    multiplier, negative, shifts = (np.array(column) for column in zip(*rows, strict=True))
    return multiplier, negative, shifts


def stimulus_of(source: IntFormat, target: IntFormat, lanes: int = 2) -> Stimulus:
    operation = LeakyRequantise(NAME, "x", "y", *constants(source, target))
    program = operation_program(operation, CHANNELS, source, target)
    x = values(source, (CHANNELS, HEIGHT, WIDTH), seed=source.bits)
    return operation_stimulus(LeakyRequantiseStage, program, NAME, lanes, x)


@pytest.mark.parametrize(("source", "target"), CASES, ids=IDS)
def test_stage_equals_the_golden_operation(source, target):
    stimulus = stimulus_of(source, target)
    y = stimulus.stage.sink.unpack(stimulus.words)
    assert (y == target.hi).any()
    assert (y == (target.lo if source.signed else 0)).any()
    assert len(np.unique(y)) >= min(5, 1 << target.bits)
    assert_simulates(stimulus)


def test_stimulus_tells_both_slopes_apart():
    program = operation_program(Requantise(NAME, "x", "y", *constants(S16, S8)[::2]), CHANNELS, S16, S8)
    x = values(S16, (CHANNELS, HEIGHT, WIDTH), seed=16).astype(np.int16)
    plain = program.run(x)
    leaky = stimulus_of(S16, S8)
    y = leaky.stage.sink.unpack(leaky.words)
    assert np.array_equal(plain[x >= 0], y[x >= 0])
    assert (plain[x < 0] != y[x < 0]).sum() > 4


@pytest.mark.hdl
@pytest.mark.parametrize(("source", "target"), CASES, ids=IDS)
def test_verilog_equals_the_golden_operation(source, target, tmp_path):
    assert_cosim(stimulus_of(source, target), tmp_path / "hdl")


@pytest.mark.hdl
@pytest.mark.parametrize(("source", "target"), [(S25, S8), (U8, S8), (IntFormat(48, True), S16)])
def test_vhdl_equals_the_golden_operation(source, target, tmp_path):
    assert_cosim(stimulus_of(source, target), tmp_path / "hdl", "ghdl")


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(name, tmp_path):
    assert_mutant_fails(stimulus_of(S16, S8), MUTANTS[name], tmp_path / "hdl")


def test_stage_takes_a_word_a_cycle():
    assert cycles(stimulus_of(S16, S8).stage) == HEIGHT * WIDTH * 3 - 1 + 12


def test_what_cannot_be_built_is_refused():
    with pytest.raises(HardwareError, match=r"requantised values have 1\.\.16 bits, got s17") as caught:
        LeakyRequantiseStage(CHANNELS, HEIGHT, WIDTH, 2, S25, IntFormat(17, True))
    assert caught.value.code == "RC-HW-CONFIG"
