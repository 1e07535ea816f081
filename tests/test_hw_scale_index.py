"""The scale index stage against the golden operation (SPEC HW-14, SCALE-1)."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hw_stage_runs import (
    CONSTANT_MUTANTS,
    FLOW_MUTANTS,
    S4,
    S8,
    S12,
    S16,
    S25,
    S32,
    U8,
    U12,
    U16,
    Mutant,
    assert_cosim,
    assert_mutant_fails,
    assert_simulates,
    operation_program,
    operation_stimulus,
)

from hw.scale_index import INDEX_FORMAT, ScaleIndexStage
from hw.simulate import agrees, simulate
from hw.stage import cycles
from hw.stimulus import Stimulus
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat
from refcodec.models.shipped import shipped_path
from refcodec.program.model_file import load_model
from refcodec.program.operations import Clip, ScaleIndex

NAME = "indexes"
CHANNELS, HEIGHT, WIDTH = 7, 5, 6
S48, U47 = IntFormat(48, True), IntFormat(47, False)
FORMATS = [S4, S8, U8, S12, U12, S16, U16, IntFormat(22, True), S25, S32, U47, S48]


def thresholds_of(form: IntFormat, rng: np.random.Generator) -> np.ndarray:
    """Rows that spread, repeat, leave the accumulators at both ends, lie below all or above all, and are even."""
    inside = rng.integers(form.lo, form.hi + 1, (CHANNELS, 63))
    inside[1] = np.repeat(inside[1, :9], 7)
    inside[2, :20] = form.lo - rng.integers(1, 1 << 40, 20)
    inside[2, 43:] = form.hi + rng.integers(0, 1 << 40, 20)
    inside[3] = form.lo - 1
    inside[4] = form.hi
    inside[5] = np.linspace(form.lo, form.hi, 63).astype(np.int64)
    inside[6] = np.linspace(form.lo - 1, min(form.lo + 61, form.hi), 63).astype(np.int64)
    return np.sort(inside, axis=1)


@cache
def stimulus_of(form: IntFormat, lanes: int = 2) -> Stimulus:
    """Accumulators on thresholds, one above, one below, and at both ends."""
    rng = np.random.default_rng(form.bits)
    thresholds = thresholds_of(form, rng)
    count = HEIGHT * WIDTH
    near = np.stack([rng.choice(row, count) for row in thresholds]) + rng.integers(-1, 2, (CHANNELS, count))
    near[:, :2] = form.lo, form.hi
    x = near.clip(form.lo, form.hi).reshape(CHANNELS, HEIGHT, WIDTH)
    program = operation_program(ScaleIndex(NAME, "x", "y", thresholds), CHANNELS, form, INDEX_FORMAT)
    return operation_stimulus(ScaleIndexStage, program, NAME, lanes, x)


@cache
def every_index() -> Stimulus:
    """Each of 64 indexes, at its lowest and its highest accumulator, in a channel of its own thresholds."""
    thresholds = np.stack([np.arange(63) * 5 - 150, np.arange(63) * 3 - 31])
    x = np.stack([np.concatenate([row + 1, row, [row[0] - 40, row[-1] + 40]]) for row in thresholds]).reshape(2, 8, 16)
    program = operation_program(ScaleIndex(NAME, "x", "y", thresholds), 2, S12, INDEX_FORMAT)
    stimulus = operation_stimulus(ScaleIndexStage, program, NAME, 1, x)
    found = stimulus.stage.sink.unpack(stimulus.words)
    assert [np.unique(plane).tolist() for plane in found] == [list(range(64))] * 2
    return stimulus


@pytest.mark.parametrize("form", FORMATS, ids=map(str, FORMATS))
def test_stimuli_meet_thresholds_and_both_ends(form):
    stimulus = stimulus_of(form)
    x = stimulus.stage.sources[0].unpack(stimulus.sources[0])
    y = stimulus.stage.sink.unpack(stimulus.words)
    thresholds = thresholds_of(form, np.random.default_rng(form.bits))
    for step in (0, 1):
        assert any(np.isin(plane, row + step).sum() > 3 for plane, row in zip(x, thresholds, strict=True))
    assert y.min() == 0
    assert y.max() == 63
    assert (y[3] == 63).all()
    assert (y[4] == 0).all()
    assert len(np.unique(y)) > 20
    assert (x < 0).any() == form.signed


@pytest.mark.parametrize("form", FORMATS, ids=map(str, FORMATS))
def test_stage_equals_the_golden_operation(form):
    stimulus = stimulus_of(form)
    assert agrees(stimulus, simulate(stimulus), timed=True)


@pytest.mark.parametrize("lanes", [1, 3, 8])
def test_every_number_of_lanes_is_the_same_tensor(lanes):
    assert_simulates(stimulus_of(S16, lanes), reset_at=9)


def test_every_index():
    assert_simulates(every_index())


@pytest.mark.hdl
@pytest.mark.parametrize("form", FORMATS, ids=map(str, FORMATS))
def test_verilog_equals_the_golden_operation(form, tmp_path):
    assert_cosim(stimulus_of(form), tmp_path / "hdl")


@pytest.mark.hdl
@pytest.mark.parametrize("form", [S16, U8, S48], ids=map(str, [S16, U8, S48]))
def test_vhdl_equals_the_golden_operation(form, tmp_path):
    assert_cosim(stimulus_of(form), tmp_path / "hdl", "ghdl")


@pytest.mark.hdl
def test_accumulators_of_the_shipped_codec(tmp_path):
    """A corner of the photograph: 64 channels on eight lanes, real thresholds, s22."""
    codec = ScaleHyperprior.from_model(load_model(shipped_path("balle2018-relu-n32-m64-lambda0130-w8a8", ".rcm")))
    latents, _ = codec.decode_latents(shipped_path("photograph", ".rcb").read_bytes())
    taps = {}
    codec.h_s.run(latents.z, lambda name, x: taps.setdefault(name, x))
    operation = codec.h_s.operation(NAME)
    x = taps[operation.source][:, 6:9, 10:14]
    stimulus = operation_stimulus(ScaleIndexStage, codec.h_s, NAME, 8, x)
    indexes = stimulus.stage.sink.unpack(stimulus.words)
    assert np.array_equal(indexes, taps[operation.target][:, 6:9, 10:14])
    assert np.unique(indexes).size > 20
    assert_cosim(stimulus, tmp_path / "hdl")


@pytest.mark.parametrize("lanes", [1, 2])
def test_stage_takes_a_word_a_cycle(lanes):
    stage = stimulus_of(S16, lanes).stage
    assert cycles(stage) == stage.sink.words - 1 + 8
    schedule = stage.schedule([[3, 4, 9]])
    assert (schedule.accepted, schedule.offered) == (((3, 4, 9),), (11, 12, 17))


MUTANTS = {
    **FLOW_MUTANTS,
    **CONSTANT_MUTANTS,
    "not below but at": Mutant(r"(_above = \(\w+(?:\[\d\])?) > ", r"\1 >= "),
    "first level not below but at": Mutant(r"(search\d_index = \(\w+) > ", r"\1 >= "),
    "thresholds unsigned": Mutant(r"\$signed\((load_data\[)(\d+)-1:0\]\)", r"(\g<1>\2-2:0])"),
    "group of another word": Mutant(r"\{\w+_later_groups\[2\], ", "{count_below0_later_groups[1], "),
    "value of another word": Mutant(r"(_above = \(\w+_later)\[3\]", r"\1[2]"),
    "digit forgotten": Mutant(r"(_known) <= (\w+_next_level\d_index);", r"\1 <= \2 & ~1;"),
    "levels exchanged": Mutant(r"load_select == 4\b", "load_select == 5"),
    "result while held": Mutant(r"if \(\(\w+_advance && \w+_stages\[4\]\)\)", "if (count_below0_stages[4])", True),
}


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(name, tmp_path):
    assert_mutant_fails(stimulus_of(S16, 3), MUTANTS[name], tmp_path / "hdl")


def test_what_cannot_be_built_is_refused():
    with pytest.raises(HardwareError, match="scale indexes are u6, got s8") as caught:
        ScaleIndexStage(CHANNELS, HEIGHT, WIDTH, 2, S32, S8)
    assert caught.value.code == "RC-HW-CONFIG"
    for field, wrong in (("lanes", 33), ("lanes", 0), ("channels", 1025), ("height", 0), ("width", 4097)):
        shape = {"channels": 1, "height": 1, "width": 1, "lanes": 1} | {field: wrong}
        with pytest.raises(HardwareError, match=f"{field} must be an integer 1\\.\\."):
            ScaleIndexStage(**shape, source=S16, target=INDEX_FORMAT)
    program = operation_program(Clip(NAME, "x", "y", 0, 5), 1, S8, S8)
    with pytest.raises(HardwareError, match="indexes is of the kind clip, ScaleIndex was wanted"):
        ScaleIndexStage.of(program, NAME, 1, 1, 1)


def test_stage_describes_itself():
    stage = stimulus_of(S16).stage
    assert stage.title == "Scale indexes of 7 channels of 5x6 from s16"
    assert {name: (m.bits, m.depth, m.lanes) for name, m in stage.memories.items()} == {
        f"threshold_{level}": (17, 4 << level, 2) for level in range(6)
    }
