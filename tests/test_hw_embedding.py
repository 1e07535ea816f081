"""The embedding stage against the golden operation (SPEC HW-24, EMB-1)."""

from __future__ import annotations

import numpy as np
import pytest
from hw_stage_runs import (
    S8,
    U4,
    Mutant,
    assert_cosim,
    assert_mutant_fails,
    assert_simulates,
    golden,
    operation_program,
    values,
)

from hw.embedding import NO_SUCH_FRAME, EmbeddingStage
from hw.simulate import agrees, simulate
from hw.stage import cycles
from hw.stimulus import Stimulus
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat
from refcodec.program.operations import Embedding
from refcodec.program.program import Program

NAME = "grids.0"
FRAMES, CHANNELS, HEIGHT, WIDTH = 6, 5, 2, 3
MUTANTS = {
    "ready ignored": Mutant(r"advance = sink_ready;", "advance = 1'b1;", True),
    "frames a word apart": Mutant(r"(first = \(source_word \* )\d+", r"\g<1>17"),
    "a word too few": Mutant(r"_left == 1\)", "_left == 2)"),
    "reads while held": Mutant(r"\w+_advance && (\w+_read)", r"\1", True),
    "ready while reading": Mutant(r"assign source_ready = \(!\w+_running\);", "assign source_ready = 1'b1;", True),
}  # fmt: skip


def small_program(tables: int, form: IntFormat = S8, number: IntFormat = U4, centred: bool = False) -> Program:
    table = values(form, (tables, CHANNELS, HEIGHT, WIDTH), seed=tables)
    operation = Embedding(NAME, "t", "y", FRAMES, centred, table)
    return operation_program(operation, (1, CHANNELS), number, form)


def stimulus_of(frame: int, tables: int = FRAMES, form: IntFormat = S8, lanes: int = 2) -> Stimulus:
    program, number = small_program(tables, form, centred=tables == 4), np.full((1, 1, 1), frame)
    stage, images = EmbeddingStage.of(program, NAME, 1, 1, lanes)
    return Stimulus.of(stage, images, [number], golden(program, NAME, number))


@pytest.mark.parametrize("form", [IntFormat(bits, True) for bits in (4, 8, 12, 16, 7, 10, 2)], ids=str)
@pytest.mark.parametrize("frame", [0, FRAMES - 1])
def test_embedding_stage_equals_golden(form, frame, tmp_path):
    stimulus = stimulus_of(frame, form=form)
    expected = stimulus.stage.sink.unpack(stimulus.words)
    assert expected.min() < 0 < expected.max()
    assert_simulates(stimulus)
    assert_cosim(stimulus, tmp_path / "rtl", reset=7)


@pytest.mark.parametrize("tables", [1, 3, 4])
@pytest.mark.parametrize("frame", range(FRAMES))
def test_interpolated_embeddings_are_read_like_any_others(tables, frame):
    assert agrees(stimulus_of(frame, tables), simulate(stimulus_of(frame, tables)), timed=True)


@pytest.mark.parametrize("lanes", [1, 2, 3, 5])
def test_embedding_stage_in_ghdl(lanes, tmp_path):
    assert_cosim(stimulus_of(4, lanes=lanes), tmp_path / "rtl", "ghdl")


@pytest.mark.long
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_of_the_embedding_stage_fails(name, tmp_path):
    assert_mutant_fails(stimulus_of(3), MUTANTS[name], tmp_path / "rtl")


@pytest.mark.parametrize("frame", [FRAMES, 15])
def test_number_of_no_frame_is_a_fault_and_gives_nothing(frame):
    good = stimulus_of(0)
    bad = Stimulus(good.stage, good.images, ([frame],), [], [], NO_SUCH_FRAME)
    assert agrees(bad, simulate(bad), timed=True)


def test_cycles_of_an_embedding_in_numbers():
    assert cycles(stimulus_of(0).stage) == HEIGHT * WIDTH * 3 + 1


def test_embeddings_that_cannot_be_built_are_refused():
    with pytest.raises(HardwareError, match="6 frames have no numbers of u2"):
        EmbeddingStage.of(small_program(FRAMES, number=IntFormat(2, False)), NAME, 1, 1, 2)
    with pytest.raises(HardwareError, match=r"lanes must be an integer 1\.\.32, got 33"):
        EmbeddingStage.of(small_program(FRAMES), NAME, 1, 1, 33)
    assert np.unique(stimulus_of(0).words).size > 4
