"""The latent mean stage against the golden operation (SPEC HW-15, MEAN-1)."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hw_stage_runs import (
    CONSTANT_MUTANTS,
    FLOW_MUTANTS,
    S8,
    S16,
    S25,
    S32,
    Mutant,
    assert_cosim,
    assert_mutant_fails,
    assert_simulates,
    operation_program,
    operation_stimulus,
    values,
)

from hw.latent_mean import LatentMeanStage
from hw.simulate import agrees, simulate
from hw.stage import cycles
from hw.stimulus import Stimulus
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat
from refcodec.layers.latent_mean import latent_format, mean_format
from refcodec.models.shipped import shipped_path
from refcodec.program.model_file import load_model
from refcodec.program.operations import Clip, LatentMean

NAME = "mean"
CHANNELS, HEIGHT, WIDTH = 7, 3, 4
FRACTIONS = range(17)


@cache
def stimulus_of(fraction: int, lanes: int = 2) -> Stimulus:
    """Means of every sign and both ends, each with symbols of both ends."""
    mean = values(mean_format(fraction), (CHANNELS,), seed=fraction).astype(np.int32)
    x = values(S16, (CHANNELS, HEIGHT, WIDTH), seed=fraction)
    x[:, 0, :2] = S16.lo, S16.hi
    operation = LatentMean(NAME, "x", "y", fraction, mean)
    return operation_stimulus(
        LatentMeanStage, operation_program(operation, CHANNELS, S16, latent_format(fraction)), NAME, lanes, x
    )


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_stimuli_reach_both_ends_of_the_latents(fraction):
    stimulus = stimulus_of(fraction)
    y = stimulus.stage.sink.unpack(stimulus.words)
    target = latent_format(fraction)
    assert y.min() == target.lo
    assert y.max() == (S16.hi << fraction) + mean_format(fraction).hi > target.hi - (1 << fraction) - 1
    assert len(np.unique(y)) > 50


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_stage_equals_the_golden_operation(fraction):
    stimulus = stimulus_of(fraction)
    assert agrees(stimulus, simulate(stimulus), timed=True)


@pytest.mark.parametrize("lanes", [1, 2, 3, 8])
def test_every_number_of_lanes_is_the_same_tensor(lanes):
    assert_simulates(stimulus_of(8, lanes), reset_at=4)


@pytest.mark.hdl
@pytest.mark.parametrize("fraction", FRACTIONS)
def test_verilog_equals_the_golden_operation(fraction, tmp_path):
    assert_cosim(stimulus_of(fraction), tmp_path / "hdl")


@pytest.mark.hdl
@pytest.mark.parametrize("fraction", [0, 8, 16])
def test_vhdl_equals_the_golden_operation(fraction, tmp_path):
    assert_cosim(stimulus_of(fraction), tmp_path / "hdl", "ghdl")


def test_hyper_latents_of_the_photograph():
    codec = ScaleHyperprior.from_model(load_model(shipped_path("balle2018-relu-n32-m64-lambda0130-w8a8", ".rcm")))
    latents, _ = codec.decode_latents(shipped_path("photograph", ".rcb").read_bytes())
    stimulus = operation_stimulus(LatentMeanStage, codec.h_s, "z_mean", 8, latents.z[:, 2:4, 3:6])
    assert (stimulus.stage.fraction, stimulus.stage.channels) == (8, 32)
    assert_simulates(stimulus)


def test_stage_takes_a_word_a_cycle():
    stage = stimulus_of(8).stage
    assert cycles(stage) == stage.sink.words - 1 + 3
    schedule = stage.schedule([[3, 4, 9]])
    assert (schedule.accepted, schedule.offered) == (((3, 4, 9),), (6, 7, 12))


MUTANTS = {
    **FLOW_MUTANTS,
    **CONSTANT_MUTANTS,
    "mean forgotten": Mutant(r"wide = \(wide \+ \w+\);", ""),
    "fraction one short": Mutant(r"wide << 8", "wide << 7"),
    "sum in the width of the mean": Mutant(r"reg signed \[25-1:0\] wide;", "reg signed [24-1:0] wide;"),
    "symbols unsigned": Mutant(r"\$signed\((source_word\[\d+-1:\d+\])\)", r"\1 & 16'h7fff"),
    "means unsigned": Mutant(r"\$signed\(load_data\[24-1:0\]\)", "load_data[23-1:0]"),
    "mean of the first group": Mutant(r"_cells\[\w+_group\]", "_cells[0]"),
    "mean of the first lane": Mutant(r"load_lane == 1\b", "load_lane == 0"),
    "sum while held": Mutant(
        r"if \(\(\w+_advance && latent_mean_stage0_valid\)\)", "if (latent_mean_stage0_valid)", True
    ),
}


@pytest.mark.long
@pytest.mark.hdl
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(name, tmp_path):
    assert_mutant_fails(stimulus_of(8, 3), MUTANTS[name], tmp_path / "hdl")


def test_what_cannot_be_built_is_refused():
    for source, target, message in (
        (S8, S25, "symbols are s16, got s8"),
        (S16, S16, "latents are s17 to s33, got s16"),
        (S16, IntFormat(34, True), "latents are s17 to s33, got s34"),
        (S16, IntFormat(25, False), "latents are s17 to s33, got u25"),
    ):
        with pytest.raises(HardwareError, match=message) as caught:
            LatentMeanStage(CHANNELS, HEIGHT, WIDTH, 2, source, target)
        assert caught.value.code == "RC-HW-CONFIG"
    for field, wrong in (("lanes", 33), ("lanes", 0), ("channels", 1025), ("height", 0), ("width", 4097)):
        shape = {"channels": 1, "height": 1, "width": 1, "lanes": 1} | {field: wrong}
        with pytest.raises(HardwareError, match=f"{field} must be an integer 1\\.\\."):
            LatentMeanStage(**shape, source=S16, target=S32)
    program = operation_program(Clip(NAME, "x", "y", 0, 5), 1, S8, S8)
    with pytest.raises(HardwareError, match="mean is of the kind clip, LatentMean was wanted"):
        LatentMeanStage.of(program, NAME, 1, 1, 1)


def test_stage_describes_itself():
    stage = stimulus_of(8).stage
    assert stage.title == "Latent means of 7 channels of 3x4, to s25"
    assert {name: (m.bits, m.depth, m.lanes) for name, m in stage.memories.items()} == {"mean": (24, 4, 2)}
