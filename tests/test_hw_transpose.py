"""The stages between coding order and pixel order (SPEC HW-13)."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hw_stage_runs import (
    S4,
    S8,
    S12,
    S16,
    S25,
    STRESS,
    U8,
    U16,
    Mutant,
    assert_cosim,
    assert_mutant_fails,
    assert_simulates,
    values,
)

from hw.checks import MAX_DEPTH
from hw.simulate import agrees, simulate
from hw.stage import cycles
from hw.stimulus import Stimulus
from hw.transpose import ToPixels, ToPlanes, Transpose
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat

KINDS = (ToPixels, ToPlanes)
INDEX = IntFormat(6, False)
# channels, height, width, lanes: surplus lanes, none, one lane, one pixel, one row, few channels, a single value
SHAPES = [(7, 3, 4, 2), (6, 2, 3, 3), (5, 2, 2, 1), (9, 1, 1, 4), (4, 1, 5, 2), (3, 2, 2, 4), (1, 1, 1, 1)]
FORMATS = [S4, S8, U8, S12, S16, U16, INDEX, IntFormat(7, True), IntFormat(10, True), IntFormat(2, True), S25]
FORMATS += [IntFormat(1, False), IntFormat(48, True)]


def stimulus_of(kind: type[Transpose], shape: tuple[int, int, int, int], form: IntFormat) -> Stimulus:
    """A random tensor; its planes in C order are what the entropy coder codes."""
    x = values(form, shape[:3], seed=form.bits)
    planes = x.reshape(1, 1, -1)
    stage = kind(*shape, form)
    return Stimulus.of(stage, {}, *(([planes], x) if kind is ToPixels else ([x], planes)))


@cache
def small(kind: type[Transpose]) -> Stimulus:
    return stimulus_of(kind, SHAPES[0], S8)


@pytest.mark.parametrize("kind", KINDS)
def test_order_is_that_of_the_codec(kind):
    """Sources and sink spelt out: channel, row, column on one side, row, column, group of lanes on the other."""
    x = np.arange(3 * 2 * 2).reshape(3, 2, 2)
    words = [x[0, y, i] + 16 * x[1, y, i] for y in range(2) for i in range(2)]
    thirds = [int(x[2, y, i]) for y in range(2) for i in range(2)]
    pixels = [int(word) for pair in zip(words, thirds, strict=True) for word in pair]
    stage = kind(3, 2, 2, 2, IntFormat(4, False))
    source, sink = (list(range(12)), pixels) if kind is ToPixels else (pixels, list(range(12)))
    assert_simulates(Stimulus.of_words(stage, {}, (source,), sink), reset_at=9)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_comes_out_whole(shape, kind):
    assert_simulates(stimulus_of(kind, shape, S8), reset_at=shape[0] * 3 // 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMATS, ids=map(str, FORMATS))
def test_every_width_comes_out_whole(form, kind):
    stimulus = stimulus_of(kind, (5, 2, 3, 2), form)
    assert len(np.unique(stimulus.stage.sink.unpack(stimulus.words))) >= min(12, 1 << form.bits)
    assert agrees(stimulus, simulate(stimulus, seed=STRESS), timed=False)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reset_at", [1, 20, 40, 60, 86, 90])
def test_reset_while_taking_and_while_giving(reset_at, kind):
    stimulus = small(kind)
    assert agrees(stimulus, simulate(stimulus, reset_at=reset_at), timed=True)


@pytest.mark.hdl
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_verilog_of_every_shape(shape, kind, tmp_path):
    assert_cosim(stimulus_of(kind, shape, S16), tmp_path / "hdl")


@pytest.mark.hdl
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMATS, ids=map(str, FORMATS))
def test_verilog_of_every_width(form, kind, tmp_path):
    assert_cosim(stimulus_of(kind, (5, 2, 3, 2), form), tmp_path / "hdl", reset=40)


@pytest.mark.hdl
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("shape", "form"), [(SHAPES[0], S8), (SHAPES[2], INDEX), (SHAPES[3], IntFormat(48, True))])
def test_vhdl(shape, form, kind, tmp_path):
    assert_cosim(stimulus_of(kind, shape, form), tmp_path / "hdl", "ghdl", reset=40)


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_each_cycle_after_the_last_is_taken(kind):
    stage = small(kind).stage
    taken, given = stage.sources[0].words, stage.sink.words
    assert {taken, given} == {84, 48}
    assert cycles(stage) == taken - 1 + 3 + given - 1
    schedule = stage.schedule([[2 * k for k in range(taken)]])
    assert schedule.accepted == (tuple(range(0, 2 * taken, 2)),)
    assert schedule.offered == tuple(range(2 * taken + 1, 2 * taken + 1 + given))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_tensors_follow_each_other_at_the_interval(shape, kind):
    stimulus = stimulus_of(kind, shape, S8)
    stage = stimulus.stage
    assert stage.interval == stage.sources[0].words + stage.sink.words
    for number, log in enumerate(simulate(stimulus, runs=3, flow=True)):
        assert log.words == stimulus.words
        assert log.cycles == [edge + number * stage.interval for edge in stimulus.cycles]


MUTANTS = {
    ToPixels: {
        "places of one group": Mutant(r"(_place <= \(\w+_place \+ )4", r"\g<1>1"),
        "first place of a channel": Mutant(r"(_place) <= \w+_walker0_group;", r"\1 <= 0;"),
        "lane after the last": Mutant(r"(_lane == )1\)\) begin\s*(\w+_lane) <= 0;", r"\g<1>1)) begin \2 <= 1;"),
        "every lane in every bank": Mutant(r"(bank\d_own = ).*;", r"\1to_pixels0_store;"),
        "walker goes on in a reset": Mutant(r"_restart = reset;", "_restart = 0;"),
        "gives on in a reset": Mutant(r"(_valid <= 1'b0;\s*)\w+_reading <= 1'b0;", r"\1"),
        "taken while giving": Mutant(r"source_ready = .*;", "source_ready = 1;", True),
        "stops one word early": Mutant(r"(_address == )47", r"\g<1>46"),
        "reads on while held": Mutant(r"(_fetch = \()\w+_advance && ", r"\1", True),
        "ready ignored": Mutant(r"advance = sink_ready;", "advance = 1'b1;", True),
    },
    ToPlanes: {
        "places of one group": Mutant(r"(_place <= \(\w+_place \+ )4", r"\g<1>1"),
        "group not counted": Mutant(r"(_walker0_group <= )\(.*\);", r"\g<1>1;"),
        "lane of a cycle later": Mutant(r"words\[to_planes0_read_lane\]", "words[to_planes0_lane]"),
        "lane 0 everywhere": Mutant(r"(_part = source_word)\[16-1:8\]", r"\1[8-1:0]"),
        "walker goes on in a reset": Mutant(r"_restart = reset;", "_restart = 0;"),
        "gives on in a reset": Mutant(r"\w+_reading <= 1'b0;(\s*\w+_read_valid)", r"\1"),
        "stops one value early": Mutant(r"(_pixel == 11\) && \(\w+_channel == )6", r"\g<1>5"),
        "ready ignored": Mutant(r"(_advance = )\(.*\);", r"\g<1>1'b1;", True),
        "reads on while held": Mutant(r"(_fetch = \(\w+_reading) && .*;", r"\1);", True),
    },
}


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, mutants in MUTANTS.items() for name in mutants])
def test_mutant_fails(kind, name, tmp_path):
    assert_mutant_fails(small(kind), MUTANTS[kind][name], tmp_path / "hdl", reset=90 if "gives on" in name else 40)


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_built_is_refused(kind):
    for field, wrong in (("lanes", 0), ("lanes", 33), ("channels", 1025), ("height", 0), ("width", 4097)):
        shape = {"channels": 1, "height": 1, "width": 1, "lanes": 1} | {field: wrong}
        with pytest.raises(HardwareError, match=f"{field} must be an integer 1\\.\\.") as caught:
            kind(**shape, format=S8)
        assert caught.value.code == "RC-HW-CONFIG"
    with pytest.raises(HardwareError, match=f"{MAX_DEPTH} is the limit"):
        kind(1024, 4096, 4096, 1, S8)


def test_stages_describe_themselves():
    stage = ToPlanes(7, 3, 4, 2, S8)
    assert stage.title == "7 channels of 3x4 in s8 from words of 2 lanes to single values"
    assert ToPixels(7, 3, 4, 2, S8).title == "7 channels of 3x4 in s8 from single values to words of 2 lanes"
    assert (stage.memories, stage.macs, stage.multipliers, stage.clauses) == ({}, 0, 0, ())
    assert [(m.bits, m.depth, m.lanes) for m in stage.buffers.values()] == [(8, 48, 2)]
    assert stage.describe() == {"channels": 7, "height": 3, "width": 4, "lanes": 2, "format": "s8"}
