"""The threshold head stage against the golden operation (SPEC HW-19, HEAD-1)."""

from __future__ import annotations

import numpy as np
import pytest
from hw_stage_runs import (
    S8,
    S16,
    S25,
    S32,
    U8,
    U12,
    Mutant,
    assert_cosim,
    assert_mutant_fails,
    assert_simulates,
    clip,
    operation_program,
    operation_stimulus,
    values,
)

from hw.scale_index import threshold_images
from hw.stage import cycles
from hw.stimulus import Stimulus
from hw.threshold_head import ThresholdHeadStage
from refcodec.errors import HardwareError
from refcodec.fixed import scale_index
from refcodec.formats import IntFormat
from refcodec.program.operations import ThresholdHead

NAME = "picture"
SOURCES = [IntFormat(4, True), S8, U8, U12, S16, S25, S32, IntFormat(48, True), IntFormat(2, False)]
CHANNELS, HEIGHT, WIDTH = 3, 3, 5
MUTANTS = {
    "equal counts": Mutant(r"(_value|_operands?\w*|_later\[\d\]|_operand) > ", r"\1 >= "),
    "group ignored": Mutant(
        r"(threshold_search0_first_level0_memory0_cells|first_level\d+_memory\d+_cells)\[\w+\]", r"\1[0]"
    ),
    "ready ignored": Mutant(r"advance = sink_ready;", "advance = 1'b1;", True),
    "level exchanged": Mutant(r"load_select == 3\b", "load_select == 4"),
    "memory of a level too small": Mutant(r"load_select == 7\)", "load_select == 7) && (load_address < 200)"),
}


def thresholds_of(source: IntFormat, channels: int = CHANNELS) -> np.ndarray:
    """Sorted; equal ones, some beyond the ends of the format, some at them; one channel all below, one all above."""
    rng = np.random.default_rng(source.bits)
    margin = max(2, source.hi // 8)
    rows = np.sort(rng.integers(source.lo - margin, source.hi + margin, (channels, 255)), axis=1)
    rows[:, 100:103] = rows[:, 100:101]
    rows[0, 128:] = source.hi
    rows[1, :128] = source.lo - 1
    return np.sort(rows, axis=1)


def stimulus_of(source: IntFormat, lanes: int = 2) -> Stimulus:
    thresholds = thresholds_of(source)
    operation = ThresholdHead(NAME, "x", "y", thresholds)
    program = operation_program(operation, CHANNELS, source, U8)
    x = values(source, (CHANNELS, HEIGHT, WIDTH))
    # On thresholds and beside them
    near = thresholds[:, [127, 63, 191, 0, 254]] + np.array([0, 1, 0, 1, 0])
    x[:, 1, :3], x[:, 2, :2] = np.clip(near[:, :3], source.lo, source.hi), np.clip(near[:, 3:], source.lo, source.hi)
    return operation_stimulus(ThresholdHeadStage, program, NAME, lanes, x)


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_stage_equals_the_golden_operation(source):
    stimulus = stimulus_of(source)
    y = stimulus.stage.sink.unpack(stimulus.words)
    assert len(np.unique(y)) >= min(20, 1 << source.bits)
    assert_simulates(stimulus)


def test_levels_hold_the_middle_thresholds_of_what_is_left():
    thresholds = np.arange(10)[None] * 10
    images = threshold_images(thresholds, 1, S8)
    assert {name: len(words) for name, words in images.items()} == {f"threshold_{k}": 1 << k for k in range(4)}
    assert images["threshold_0"] == [70]
    assert images["threshold_1"] == [30, S8.hi]
    for value in range(-5, 110):
        place = 0
        for level in range(4):
            place = 2 * place + (value > images[f"threshold_{level}"][place])
        assert place == scale_index(value, thresholds[0].tolist())


@pytest.mark.hdl
@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_verilog_equals_the_golden_operation(source, tmp_path):
    assert_cosim(stimulus_of(source, lanes=1), tmp_path / "hdl")


@pytest.mark.hdl
@pytest.mark.parametrize("source", [S8, U12, S32], ids=str)
def test_vhdl_equals_the_golden_operation(source, tmp_path):
    assert_cosim(stimulus_of(source), tmp_path / "hdl", "ghdl")


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(name, tmp_path):
    assert_mutant_fails(stimulus_of(S16), MUTANTS[name], tmp_path / "hdl")


def test_stage_takes_a_word_a_cycle():
    assert cycles(stimulus_of(S16).stage) == HEIGHT * WIDTH * 2 - 1 + 10


def test_tile_of_the_shipped_clip():
    program, taps = clip()
    x = taps["head.accumulator"][:, 100:102, 150:155]
    stimulus = operation_stimulus(ThresholdHeadStage, program, "picture", 3, x)
    y = stimulus.stage.sink.unpack(stimulus.words)
    assert np.array_equal(y, taps["picture"][:, 100:102, 150:155])
    assert len(np.unique(y)) > 8
    assert_simulates(stimulus)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(HardwareError, match="samples are u8, got s8") as caught:
        ThresholdHeadStage(1, 1, 1, 1, S16, S8)
    assert caught.value.code == "RC-HW-CONFIG"
