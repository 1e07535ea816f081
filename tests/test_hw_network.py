"""Networks of stages: whole programs and decoders against the golden ones, in every simulator (SPEC HW-23)."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from formula_codecs import formula_picture
from hw_stage_runs import S8, Mutant, assert_mutant_fails, emit, need
from small_codecs import ARCHITECTURES as ARCHITECTURES_OF_CODECS
from small_codecs import small_model

from hw.assemble import Folding, program_network
from hw.clip_stage import ClipStage
from hw.cosim import cosim
from hw.estimate import estimate_part
from hw.layer import engine_images
from hw.network import Network, Part
from hw.parameters import EngineParameters
from hw.rans import RansStage
from hw.simulate import agrees, simulate
from hw.stage import back_to_back
from hw.stimulus import Stimulus
from hw.stream import StreamFormat
from hw.transpose import ToPixels, ToPlanes
from refcodec.codecs.family import codec_of
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.datapath import Taps, middle
from refcodec.designs import hyperprior_design
from refcodec.errors import HardwareError
from refcodec.models.architecture import SCALE
from refcodec.models.encoder import encode_picture
from refcodec.program.operations import Convolution
from refcodec.program.program import Program
from refcodec.vectorgen.tiny_videos import ARCHITECTURES, tiny_video

FRAME = 3
MUTANTS = {
    "ready ignored": Mutant(r"(shuffle_stage0_advance) = \w+_sink_ready;", r"\1 = 1'b1;", True),
    "memories exchanged": Mutant(r"load_select == 1\b", "load_select == 2"),
    "shuffle begins a word late": Mutant(r"(shuffle_stage0_fetch_address <= )0;", r"\g<1>1;"),
    "lane of a table looks beside": Mutant(r"(memory13_cells\[)(\w+_operand)\]", r"\1\2 ^ 8'd1]"),
}


@cache
def video(name: str) -> InrVideo:
    return InrVideo.of(tiny_video(ARCHITECTURES[name], 3, 6, False, S8))


@cache
def frame_stimulus(name: str, lanes: int = 3, banks: int = 1, frame: int = FRAME) -> Stimulus:
    """A whole tiny implicit video and one frame of it."""
    program = video(name).program
    network, images = program_network(program, 1, 1, Folding(lanes, lanes, banks=banks))
    number = np.full((1, 1, 1), frame)
    return Stimulus.of(network, images, [number], program.run(number.astype(program.input.format.dtype)))


@cache
def hyperprior(backbone: str) -> tuple[ScaleHyperprior, bytes]:
    """A tiny scale hyperprior, and a stream of a picture of 64x64."""
    architecture = next(a for a in ARCHITECTURES_OF_CODECS if (a.family, a.backbone) == (SCALE, backbone))
    model = small_model(architecture)
    codec = codec_of(model)
    assert isinstance(codec, ScaleHyperprior)
    picture = (255 * formula_picture(64, 64)).astype(np.uint8).transpose(1, 2, 0)
    return codec, encode_picture(picture, model)


def test_frames_are_black_and_white_too():
    for name in ("hnerv", "nerv-concatenated"):
        picture = frame_stimulus(name).stage.sink.unpack(frame_stimulus(name).words)
        assert (picture.min(), picture.max()) == (0, 255)


def check(stimulus: Stimulus, folder: Path, simulator: str, **options: int) -> None:
    """The emitted network agrees; to the edge where nothing is held back."""
    need(simulator)
    if not folder.exists():
        emit(stimulus, folder, "vhdl" if simulator == "ghdl" else "verilog")
    (result,) = cosim(folder, [simulator], **options)
    assert (result.status, result.reason) == ("passed", "")
    if "stress" not in options:
        assert result.cycles == stimulus.cycles_in_all


def test_network_of_a_video_equals_golden_in_icarus(tmp_path):
    check(frame_stimulus("nerv-concatenated"), tmp_path / "rtl", "icarus", stress=3, runs=2, reset=900)


@pytest.mark.long
@pytest.mark.parametrize("name", ["hnerv", "nerv"])
def test_network_of_a_video_equals_golden_in_verilator(name, tmp_path):
    check(frame_stimulus(name), tmp_path / "rtl", "verilator", reset=3000)


def test_network_of_a_video_equals_golden_in_myhdl():
    stimulus = frame_stimulus("nerv-concatenated")
    assert agrees(stimulus, simulate(stimulus, reset_at=900), timed=True)
    assert agrees(stimulus, simulate(stimulus, seed=4), timed=False)


@pytest.mark.parametrize("name", ["h_s", "g_s"])
@pytest.mark.parametrize("backbone", ["relu", "gdn1"])
def test_programs_of_a_decoder_equal_golden_in_myhdl(backbone, name):
    codec, content = hyperprior(backbone)
    program = getattr(codec, name)
    taps: Taps = {}
    codec.decode(content, taps.__setitem__)
    x = middle(taps[program.input.name], (1, 1))
    network, images = program_network(program, 1, 1, Folding(4, 4))
    stimulus = Stimulus.of(network, images, [x], program.run(x))
    assert len(set(stimulus.words)) > 4
    assert agrees(stimulus, simulate(stimulus), timed=True)


def test_network_of_a_video_equals_golden_in_ghdl(tmp_path):
    check(frame_stimulus("nerv-concatenated"), tmp_path / "rtl", "ghdl", reset=500)


def test_pictures_do_not_depend_on_lanes():
    pictures = []
    for lanes in (1, 2, 5):
        stimulus = frame_stimulus("hnerv", lanes)
        pictures.append(stimulus.stage.sink.unpack(stimulus.words))
    assert all(np.array_equal(picture, pictures[0]) for picture in pictures)
    assert len({frame_stimulus("hnerv", lanes).cycles_in_all for lanes in (1, 2, 5)}) == 3


@pytest.mark.long
def test_pictures_follow_each_other_at_the_estimated_interval(tmp_path):
    stimulus = frame_stimulus("nerv-concatenated", banks=2)
    need("icarus")
    emit(stimulus, tmp_path / "rtl")
    (result,) = cosim(tmp_path / "rtl", ["icarus"], runs=3, flow=True)
    assert result.status == "passed"
    slowest = max(estimate_part(part.name, part.stage).interval for part in stimulus.stage.parts)
    assert result.cycles == stimulus.cycles_in_all + 2 * slowest


@pytest.mark.long
@pytest.mark.parametrize("backbone", ["relu", "gdn1"])
def test_decoder_gives_the_picture_of_a_stream(backbone, tmp_path):
    codec, content = hyperprior(backbone)
    stimulus = hyperprior_design("tiny", codec, content, Folding(4, 4)).stimulus
    assert len(stimulus.sources) == 2
    check(stimulus, tmp_path / "rtl", "verilator", reset=stimulus.cycles_in_all // 2)


@pytest.mark.long
def test_damaged_payload_is_a_fault_of_the_decoder():
    codec, content = hyperprior("relu")
    stimulus = hyperprior_design("tiny", codec, content, Folding(4, 4)).stimulus
    z, y = stimulus.sources
    faulty = replace(stimulus, sources=([*z[:-1], z[-1] ^ 0x70000000], y), words=[], cycles=[])
    (log,) = simulate(faulty)
    assert log.fault != 0
    assert log.words == []


@pytest.mark.long
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_of_a_network_fails(name, tmp_path):
    assert_mutant_fails(frame_stimulus("nerv-concatenated"), MUTANTS[name], tmp_path / "rtl", reset=500)


# --- what is refused


def part(name: str, stage, *feeds: int) -> Part:
    return Part(name, stage, feeds)


FORM = StreamFormat(2, 2, 2, 2, S8)
PLANES = ToPlanes(2, 2, 2, 2, S8)
PIXELS = ToPixels(2, 2, 2, 2, S8)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((part("a", PLANES, -1), part("b", PLANES, 0)), "b takes .* and is fed"),
        ((part("a", PLANES, -1), part("b", PIXELS, 0), part("c", PLANES, -1)), "every stream must feed one part"),
        ((part("a", PLANES, 1), part("b", PIXELS, 0)), "a is fed by a later part"),
    ],
    ids=["format", "two readers", "order"],
)
def test_networks_that_do_not_fit_together_are_refused(parts, message):
    with pytest.raises(HardwareError, match=message) as caught:
        Network("refused", (FORM,), parts)
    assert caught.value.code == "RC-HW-CONFIG"


def test_program_with_branches_is_refused():
    program = video("hnerv").program
    branching = InrVideo.of(tiny_video(ARCHITECTURES["hinerv"], 3)).program
    with pytest.raises(HardwareError, match="only programs whose operations follow each other are built whole"):
        program_network(branching, 1, 1, Folding())
    with pytest.raises(HardwareError, match="lanes must be an integer"):
        program_network(program, 1, 1, Folding(0, 0))


def test_slow_part_is_refused_by_its_name():
    """What takes a word every other edge cannot follow a stage that gives one at each."""
    codec, _ = hyperprior("relu")
    table = RansStage.of(codec.y_tables, 4)[0].at_most()
    rows = StreamFormat(1, 1, 4, 1, table.sources[1].format)
    pass_on = ClipStage(1, 1, 4, 1, rows.format, rows.format, 0, 63)
    slow = Network("slow", (table.sources[0], rows), (part("clip", pass_on, -2), part("y", table, -1, 0)))
    with pytest.raises(HardwareError, match="y is slower than clip, which feeds it; give it more lanes"):
        slow.schedule([back_to_back(10), back_to_back(4)])


def test_network_names_memories_by_their_part():
    stage = frame_stimulus("hnerv").stage
    first = stage.parts[1]
    assert list(stage.memories)[1] == f"{first.name}/weight"
    assert sum(memory.words for memory in stage.memories.values()) == len(list(frame_stimulus("hnerv").loads()))
    assert stage.selects[2] == len(first.stage.memories) + 1
    schedule = stage.schedule([back_to_back(1)])
    assert len(schedule.offered) == stage.sink.words


def test_layers_of_a_network_are_those_of_the_program():
    program: Program = video("hnerv").program
    stage = frame_stimulus("hnerv").stage
    engines = [p.name for p in stage.parts if isinstance(p.stage, EngineParameters)]
    assert engines == ["stem.0", "blocks.0", "blocks.1", "blocks.2", "head"]
    head = program.operation("head")
    assert isinstance(head, Convolution)
    images = frame_stimulus("hnerv").images
    own = next(p.stage for p in stage.parts if p.name == "head")
    assert images["head/weight"] == engine_images(own, head, None)["weight"]
