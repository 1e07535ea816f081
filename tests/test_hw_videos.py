"""Layers of implicit videos, on a frame's tensors, in every simulator: wide activations, narrow weights."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hw.convert import convert_layer
from hw.cosim import cosim, missing_tools
from hw.simulate import simulate_layer
from refcodec.codecs.inr.codec import InrVideo
from refcodec.datapath import Taps, layer_input, layers, video_taps
from refcodec.program.operations import Linear
from refcodec.vectorgen.tiny_videos import ARCHITECTURES, tiny_video

LANES = (4, 4)
# architecture, layer, weight bits, whether weights are levels of the trellis: kernels of 5, 3 and 1, and a head
CASES = [
    ("hnerv", "blocks.2", 4, False),
    ("hnerv", "blocks.1", 6, True),
    ("nerv", "stem.1", 4, False),
    ("hinerv", "stages.0.0.expand", 6, False),
    ("nerv", "head", 8, False),
]


@cache
def decoder(name: str, bits: int, dependent: bool) -> tuple[InrVideo, Taps]:
    """A small video and every tensor of one of its frames."""
    video = InrVideo.of(tiny_video(ARCHITECTURES[name], 3, bits, dependent))
    return video, video_taps(video, 2)


def stimulus(name: str, layer: str, bits: int, dependent: bool) -> tuple[InrVideo, np.ndarray]:
    """The video, and what the layer reads: as much of it as two rows and three columns hold."""
    video, taps = decoder(name, bits, dependent)
    height, width = layer_input(video, layer, taps, None).shape[1:]
    return video, layer_input(video, layer, taps, (min(2, height), min(3, width)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case[:3])))
def test_layer_of_a_video_equals_golden_in_myhdl(case: tuple[str, str, int, bool]) -> None:
    layer = case[1]
    video, x = stimulus(*case)
    operation = video.program.operation(layer)
    assert str(video.program.tensor(operation.reads[0]).format) == "s16"
    assert operation.weight_format.bits == case[2] + case[3]
    assert isinstance(operation, Linear) == (layer not in ("blocks.1", "blocks.2"))
    result = simulate_layer(video.program, layer, x, *LANES)
    assert result.equal
    assert result.mismatches == 0
    assert result.cycles == result.expected_cycles
    assert np.unique(result.outputs).size > 4


def test_layer_of_a_video_gives_the_frames_own_tensor() -> None:
    """The whole input, so that what the engine gives is what the decoder has."""
    video, taps = decoder("hinerv", 6, False)
    result = simulate_layer(video.program, "stages.0.0.expand", taps["stages.0.0.norm"][:, :2], *LANES)
    assert np.array_equal(result.outputs, taps["stages.0.0.expand"][:, :2])


@pytest.mark.hdl
@pytest.mark.parametrize(
    ("simulator", "case"),
    [("verilator", CASES[1]), *((simulator, case) for simulator in ("icarus", "ghdl") for case in CASES[:3])],
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value[:3])),
)
def test_layer_of_a_video_equals_golden_as_hdl(
    simulator: str, case: tuple[str, str, int, bool], tmp_path: Path
) -> None:
    missing = missing_tools(simulator)
    if missing:
        pytest.skip(f"{simulator} needs {', '.join(missing)}")
    language = "vhdl" if simulator == "ghdl" else "verilog"
    video, x = stimulus(*case)
    manifest = convert_layer(layers(video)[case[1]], case[1], x, language, tmp_path / "rtl", *LANES)
    (result,) = cosim(tmp_path / "rtl", [simulator])
    assert (result.status, result.mismatches, result.reason) == ("passed", 0, "")
    assert result.cycles == manifest["cycles"]["run"]
