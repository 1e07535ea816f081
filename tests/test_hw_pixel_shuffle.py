"""The pixel shuffle stage against the golden operation (SPEC HW-17, PS-1)."""

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
    clip,
    golden,
    operation_program,
    values,
)

from hw.checks import MAX_DEPTH
from hw.pixel_shuffle import PixelShuffleStage, arranged, shuffled_channels
from hw.simulate import agrees, simulate
from hw.stage import cycles
from hw.stimulus import Stimulus
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat
from refcodec.program.operations import PixelShuffle
from refcodec.program.program import Program

NAME = "shuffle"
# channels of the target, rows, columns, height, width, lanes, format
CASES = [
    (3, 2, 2, 3, 2, 2, S8),
    (3, 3, 2, 2, 3, 4, S16),
    (5, 1, 2, 2, 2, 2, S4),
    (2, 2, 1, 4, 1, 2, S12),
    (1, 1, 1, 3, 1, 1, U8),
    (4, 5, 5, 2, 1, 1, IntFormat(7, True)),
    (7, 2, 2, 1, 2, 16, IntFormat(10, False)),
    (2, 2, 3, 2, 2, 1, IntFormat(2, True)),
]
IDS = ["-".join(map(str, case)) for case in CASES]
MUTANTS = {
    "one buffer": Mutant(r"(\w+at_second_end\) begin\s*\w+store_address <= )0;", r"\g<1>8;"),
    "reader starts early": Mutant(r"advance && \(\w+rows_full != 0\)", "advance"),
    "columns before rows": Mutant(r"(_address \+ )3\)", r"\g<1>1)"),
    "strip forgotten": Mutant(r"_address <= \(\w+strip_start \+ (\d+)\);", r"_address <= 0;"),
    "ready ignored": Mutant(r"advance = sink_ready;", "advance = 1'b1;", True),
    "row counted twice": Mutant(r"(\w+row_stored) && \(!\w+row_fetched\)", r"\1"),
    "second half kept in a reset": Mutant(r"\w+in_second <= 1'b0;", ""),
}
MUTANT_CASE = (1, 2, 2, 9, 2, 1, S8)


def stimulus_of(channels, rows, columns, height, width, lanes, form) -> Stimulus:
    operation = PixelShuffle(NAME, "x", "y", rows, columns)
    program = operation_program(operation, (channels * rows * columns, channels), form, form)
    return shuffle_stimulus(program, NAME, lanes, values(form, (channels * rows * columns, height, width)))


def shuffle_stimulus(program: Program, name: str, lanes: int, x: np.ndarray) -> Stimulus:
    """The source has its channels in the order of the stage, and rubbish in their padding."""
    stage, images = PixelShuffleStage.of(program, name, *map(int, x.shape[1:]), lanes)
    source = arranged(x, stage.order)
    source[[channel is None for channel in stage.order]] = -1 if stage.format.signed else 1
    return Stimulus.of(stage, images, [source], golden(program, name, x))


def test_channels_of_the_source_come_block_by_block():
    assert shuffled_channels(3, 2, 1, 2) == [0, 2, 4, None, 1, 3, 5, None]
    assert shuffled_channels(2, 1, 3, 2) == [0, 3, 1, 4, 2, 5]
    order = shuffled_channels(23, 5, 5, 8)
    assert len(order) == 25 * 24
    assert sorted(channel for channel in order if channel is not None) == list(range(575))


def test_arranged_rows_are_those_of_the_order():
    assert arranged(np.array([[1, 2], [3, 4]]), [1, None, 0]).tolist() == [[3, 4], [0, 0], [1, 2]]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_stage_equals_the_golden_operation(case):
    assert_simulates(stimulus_of(*case), reset_at=6)


@pytest.mark.hdl
@pytest.mark.parametrize("reset", [7, 29])
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_verilog_equals_the_golden_operation(case, reset, tmp_path):
    assert_cosim(stimulus_of(*case), tmp_path / "hdl", reset=reset)


@pytest.mark.hdl
@pytest.mark.parametrize("case", CASES[:5], ids=IDS[:5])
def test_vhdl_equals_the_golden_operation(case, tmp_path):
    assert_cosim(stimulus_of(*case), tmp_path / "hdl", "ghdl", reset=13)


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(name, tmp_path):
    # A reset while the reader is in the second row of the buffer
    assert_mutant_fails(stimulus_of(*MUTANT_CASE), MUTANTS[name], tmp_path / "hdl", reset=21)


@pytest.mark.hdl
def test_writer_that_never_waits_fails(tmp_path):
    mutant = Mutant(r"rows_full != 2", "rows_full != 3", True)
    assert_mutant_fails(stimulus_of(1, 1, 2, 30, 1, 1, S8), mutant, tmp_path / "hdl")


def test_no_source_is_ever_held_up():
    stage = stimulus_of(*MUTANT_CASE).stage
    words = stage.sources[0].words
    assert words == stage.sink.words == 9 * 2 * 4
    schedule = stage.schedule([range(words)])
    assert schedule.accepted == (tuple(range(words)),)
    assert schedule.offered == tuple(range(8 + 1, 8 + 1 + words))
    assert cycles(stage) == words + stage.row_words


def test_tile_of_the_shipped_clip():
    program, taps = clip()
    stimulus = shuffle_stimulus(program, "blocks.2.shuffle", 8, taps["blocks.2"][:, 7:10, 11:14])
    y = stimulus.stage.sink.unpack(stimulus.words)
    assert np.array_equal(y, taps["blocks.2.shuffle"][:, 14:20, 22:28])
    assert_simulates(stimulus)


def test_tensors_follow_each_other_without_a_pause():
    stimulus = stimulus_of(*MUTANT_CASE)
    logs = simulate(stimulus, runs=3, flow=True)
    assert agrees(stimulus, logs, timed=False)
    first, second, third = (log.cycles[0] for log in logs)
    assert second - first == third - second == stimulus.stage.sources[0].words


def test_what_cannot_be_built_is_refused():
    with pytest.raises(HardwareError, match="height must be an integer") as caught:
        PixelShuffleStage(3, 1000, 1, 5, 1, 2, S8)
    assert caught.value.code == "RC-HW-CONFIG"
    with pytest.raises(HardwareError, match=f"the row buffer needs {1 << 27} words, {MAX_DEPTH} is the limit"):
        PixelShuffleStage(1024, 1, 4096, 16, 1, 1, S8)
    with pytest.raises(HardwareError, match="rows must be an integer"):
        PixelShuffleStage(1, 1, 1, 0, 1, 1, S8)
