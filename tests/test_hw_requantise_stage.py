"""The requantisation stage against the golden operation (SPEC HW-16, RQ-1)."""

from __future__ import annotations

import numpy as np
import pytest
from hw_stage_runs import (
    CONSTANT_MUTANTS,
    FLOW_MUTANTS,
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

from hw.checks import MAX_LANES
from hw.requantise_stage import RequantiseStage
from hw.stage import cycles
from hw.stimulus import Stimulus
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.datapath import photograph_latents
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat, multiplier_bits
from refcodec.models.shipped import DEFAULT_FLOAT, recipe_name, shipped_path
from refcodec.models.trained import load_trained
from refcodec.program.operations import Clip, Requantise
from refcodec.program.program import Program
from refcodec.quantize.integerise import integerise
from refcodec.quantize.recipe import load_recipe

NAME = "scale"
CASES = [*FORMATS, (S16, S8), (S25, S8), (S25, U8), (S32, S16), (IntFormat(48, True), S16), (IntFormat(47, False), S8)]
IDS = [f"{source}-{target}" for source, target in CASES]
CHANNELS, HEIGHT, WIDTH = 5, 3, 4
MUTANTS = {
    **FLOW_MUTANTS,
    **CONSTANT_MUTANTS,
    "no rounding constant": Mutant(r"total = \(total \+ 1\);", ""),
    "logical shift": Mutant(r"(doubled) >>> ", r"\1 >> "),
    "unsigned operands": Mutant(r"_operand <= \$signed\((\w+\[[^]]*\])\);", r"_operand <= \1 & 16'h7fff;"),
    "constants of the wrong group": Mutant(r"_cells\[\w+_group\]", "_cells[0]"),
    "upper clip": Mutant(r"_rounded > 127", "_rounded > 160"),
    "memories exchanged": Mutant(r"load_select == 1\b", "load_select == 0"),
}


def scales(source: IntFormat, target: IntFormat, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers that put half the values beyond the target's ends, halving ones that meet ties, and extremes."""
    bits = multiplier_bits(source)
    top = (1 << bits) - 1
    rows = [(1, 1), (1, 2), (top, 62)]
    for number in range(channels - len(rows)):
        shift = min(62, max(1, bits - 1 - number + source.hi.bit_length() - target.hi.bit_length()))
        rows.append((min(top, max(1, (2 * target.hi << shift) // source.hi)), shift))
    multiplier, shift = (np.array(column) for column in zip(*rows, strict=True))
    return multiplier, shift


def small_program(source: IntFormat, target: IntFormat, channels: int = CHANNELS) -> Program:
    return operation_program(Requantise(NAME, "x", "y", *scales(source, target, channels)), channels, source, target)


def stimulus_of(source: IntFormat, target: IntFormat, lanes: int = 2) -> Stimulus:
    x = values(source, (CHANNELS, HEIGHT, WIDTH), seed=source.bits)
    return operation_stimulus(RequantiseStage, small_program(source, target), NAME, lanes, x)


@pytest.mark.parametrize(("source", "target"), CASES, ids=IDS)
def test_stimuli_meet_both_ends_and_ties(source, target):
    stimulus = stimulus_of(source, target)
    x = stimulus.stage.sources[0].unpack(stimulus.sources[0])
    y = stimulus.stage.sink.unpack(stimulus.words)
    multiplier, shift = scales(source, target, CHANNELS)
    columns = zip(x.reshape(CHANNELS, -1).tolist(), multiplier.tolist(), shift.tolist(), strict=True)
    ties = [v * m for row, m, s in columns for v in row if v * m % (1 << s) * 2 == 1 << s]
    assert max(ties) > 0
    assert not source.signed or min(ties) < 0
    assert (y == target.hi).sum() > 1
    assert (y == (target.lo if source.signed else 0)).sum() > 1
    assert len(np.unique(y)) >= min(5, 1 << target.bits)


@pytest.mark.parametrize(("source", "target"), CASES, ids=IDS)
def test_stage_equals_the_golden_operation(source, target):
    assert_simulates(stimulus_of(source, target))


@pytest.mark.parametrize("lanes", [1, 3, 5, 16])
def test_every_number_of_lanes_is_the_same_tensor(lanes):
    assert_simulates(stimulus_of(S16, S8, lanes), reset_at=2)


@pytest.mark.hdl
@pytest.mark.parametrize(("source", "target"), CASES, ids=IDS)
def test_verilog_equals_the_golden_operation(source, target, tmp_path):
    assert_cosim(stimulus_of(source, target), tmp_path / "hdl")


@pytest.mark.hdl
@pytest.mark.parametrize(("source", "target"), [(S16, S8), (U8, S8), (S25, U8), (IntFormat(48, True), S16)])
def test_vhdl_equals_the_golden_operation(source, target, tmp_path):
    assert_cosim(stimulus_of(source, target), tmp_path / "hdl", "ghdl")


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(name, tmp_path):
    assert_mutant_fails(stimulus_of(S16, S8), MUTANTS[name], tmp_path / "hdl")


def test_stage_takes_a_word_a_cycle():
    stage = stimulus_of(S16, S8).stage
    assert cycles(stage) == HEIGHT * WIDTH * 3 - 1 + 11
    schedule = stage.schedule([[3, 4, 9]])
    assert (schedule.accepted, schedule.offered) == (((3, 4, 9),), (14, 15, 20))


def test_latents_of_a_shipped_image_codec():
    model = integerise(
        load_trained(shipped_path(DEFAULT_FLOAT)), load_recipe(shipped_path(recipe_name("w8a8"), ".json"))
    )
    program = ScaleHyperprior.from_model(model).g_s
    latents, _ = photograph_latents()
    stimulus = operation_stimulus(RequantiseStage, program, "y_hat", 8, latents[:, :1, :2])
    assert np.unique(stimulus.stage.sink.unpack(stimulus.words)).size > 4
    assert_simulates(stimulus)


def test_what_cannot_be_built_is_refused():
    wide = IntFormat(17, True)
    with pytest.raises(HardwareError, match=r"requantised values have 1\.\.16 bits, got s17") as caught:
        RequantiseStage(CHANNELS, HEIGHT, WIDTH, 2, S32, wide)
    assert caught.value.code == "RC-HW-CONFIG"
    with pytest.raises(HardwareError, match="no requantisation profile takes u48"):
        RequantiseStage(CHANNELS, HEIGHT, WIDTH, 2, IntFormat(48, False), S8)
    for field, wrong in (("lanes", MAX_LANES + 1), ("lanes", 0), ("channels", 1025), ("height", 0), ("width", 4097)):
        shape = {"channels": 1, "height": 1, "width": 1, "lanes": 1} | {field: wrong}
        with pytest.raises(HardwareError, match=f"{field} must be an integer 1\\.\\."):
            RequantiseStage(**shape, source=S16, target=S8)
    program = operation_program(Clip(NAME, "x", "y", 0, 5), 1, S8, S8)
    with pytest.raises(HardwareError, match="scale is of the kind clip, Requantise was wanted"):
        RequantiseStage.of(program, NAME, 1, 1, 1)
