"""Whole programs and decoders as hardware: streams to pixels, estimates, refusals (SPEC HW-23)."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hw_stage_runs import need

from hw.assemble import Folding, program_network
from hw.cosim import cosim
from hw.estimate import estimate_part, interval
from hw.fold import Folded, fold, lane_choices
from hw.parameters import EngineParameters
from refcodec.cli import main
from refcodec.codecs.codec import Latents
from refcodec.codecs.inr.stream import pack
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.codecs.stream import Geometry
from refcodec.datapath import Taps
from refcodec.designs import convert_design, decoder_design, estimate, hyperprior_design, photograph_middle
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat
from refcodec.models.encoder import encode_picture
from refcodec.models.shipped import DEFAULT_FLOAT, DEFAULT_MODEL, recipe_name, shipped_path
from refcodec.models.trained import load_trained
from refcodec.program.model_file import load_model
from refcodec.quantize.integerise import integerise
from refcodec.quantize.recipe import load_recipe
from refcodec.vectorgen.tiny_videos import ARCHITECTURES, tiny_video

GDN = "balle2018-gdn-n32-m64-lambda0130-w8a8"


@pytest.fixture(scope="module")
def codec() -> ScaleHyperprior:
    return ScaleHyperprior.from_model(load_model(shipped_path(DEFAULT_MODEL, ".rcm")))


def at_precision(precision: str) -> ScaleHyperprior:
    recipe = load_recipe(shipped_path(recipe_name(precision), ".json"))
    return ScaleHyperprior.from_model(integerise(load_trained(shipped_path(DEFAULT_FLOAT)), recipe))


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What a command prints as JSON."""
    capsys.readouterr()
    main([*arguments, "--json"])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


# --- from the bytes of a stream to pixels


def check(design: Any, folder: Path, picture: np.ndarray) -> None:
    """The emitted decoder gives the picture, at the stated edges, in Verilator."""
    need("verilator")
    convert_design(design, "verilog", str(folder))
    (free,) = cosim(folder, ["verilator"])
    assert (free.status, free.reason, free.mismatches) == ("passed", "", 0)
    assert free.cycles == free.expected_cycles == design.stimulus.cycles_in_all
    words = [int(line.partition("_")[2], 16) for line in (folder / "expected.hex").read_text().split()]
    assert np.array_equal(design.network.sink.unpack(words).transpose(1, 2, 0), picture)


@pytest.mark.long
@pytest.mark.parametrize("name", [DEFAULT_MODEL, GDN])
def test_decoder_in_hardware_gives_the_pixels_that_decode_gives(name, tmp_path):
    model = load_model(shipped_path(name, ".rcm"))
    content = encode_picture(photograph_middle(), model)
    picture = ScaleHyperprior.from_model(model).decode(content)
    assert picture.shape == (64, 64, 3)
    check(decoder_design(name, None, None, Folding(2, 2)), tmp_path / "rtl", picture)


@pytest.mark.long
def test_decoder_of_mixed_widths_gives_the_pixels_that_decode_gives(codec, tmp_path):
    """A hyper-decoder of 12 bits before a synthesis of 4."""
    mixed = replace(at_precision("w4a4"), h_s=at_precision("w12a12").h_s)
    taps: Taps = {}
    codec.decode(encode_picture(photograph_middle(), load_model(shipped_path(DEFAULT_MODEL, ".rcm"))), taps.__setitem__)
    content = mixed.encode(Latents(taps["y"], taps["z"]), Geometry(64, 64, 3))
    design = hyperprior_design("mixed", mixed, content, Folding(2, 2))
    widths = {str(part.stage.weight) for part in design.network.parts if isinstance(part.stage, EngineParameters)}
    assert widths == {"s4", "s12"}
    check(design, tmp_path / "rtl", mixed.decode(content))


def test_program_is_simulated_from_the_command_line(tmp_path, capsys):
    clip = pack(tiny_video(ARCHITECTURES["nerv-concatenated"], 3, 6, False, IntFormat(8, True)))
    (tmp_path / "clip.rcv").write_bytes(clip)
    found = shown(capsys, "hw", "simulate", str(tmp_path / "clip.rcv"), "--program", "video", "--po", "3")
    assert found["passed"]
    assert found["values"] == 3 * 9 * 12
    assert found["cycles"] == found["expected_cycles"]


def test_whole_video_is_converted_from_the_command_line(tmp_path, capsys):
    (tmp_path / "clip.rcv").write_bytes(pack(tiny_video(ARCHITECTURES["hnerv"], 3)))
    arguments = ["hw", "convert", str(tmp_path / "clip.rcv"), "--frame", "2", "--to", "verilog", "--po", "4"]
    assert main([*arguments, "-o", str(tmp_path / "rtl")]) == 0
    manifest = json.loads((tmp_path / "rtl" / "manifest.json").read_text())
    assert manifest["streams"]["sink"]["channels"] == 3
    assert (tmp_path / "rtl" / "source.hex").read_text().split() == ["2"]
    assert f"{manifest['cycles']['run']} cycles" in capsys.readouterr().out


# --- estimates


def test_estimate_sums_up_what_its_parts_take(capsys):
    found = shown(capsys, "hw", "estimate", "--po", "4", "--pi", "4")
    total, parts = found["total"], found["parts"]
    assert total["macs"] == sum(part["macs"] for part in parts)
    assert total["multipliers"] == sum(part["multipliers"] for part in parts) == 16 * 6 + 12
    assert total["interval"] == total["cycles"] + 1
    engines = {part["name"]: part for part in parts if part["multipliers"]}
    assert list(engines) == ["h_s.0", "h_s.2", "h_s.4", "g_s.0", "g_s.2", "g_s.4", "g_s.6"]
    assert engines["g_s.4"]["macs"] == 32 * 32 * (9 + 6 + 6 + 4) * 16 * 16


def test_transposed_convolution_of_five_keeps_its_multipliers_busy():
    found = {part.name: part for part in estimate(DEFAULT_MODEL, "g_s", None, Folding(8, 8), 200.0, None).parts}
    for layer in ("g_s.0", "g_s.2", "g_s.4"):
        utilisation = found[layer].utilisation
        assert utilisation is not None
        assert 0.99 < utilisation <= 1


def test_estimate_finds_lanes_for_a_rate(capsys):
    found = shown(capsys, "hw", "estimate", "--fps", "30", "--size", "720x1280", "--clock", "200")
    assert found["passed"]
    assert found["total"]["interval"] <= found["wanted_interval"] == 6_666_666
    assert found["total"]["pictures_per_second"] >= 30
    assert set(found["folding"]) == {"h_s", "g_s"}


def test_estimate_says_what_a_rate_would_take(capsys):
    assert main(["hw", "estimate", "--program", "g_s", "--fps", "60", "--size", "1088x1920", "--clock", "100"]) == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("too slow: g_s.6 takes 13056")
    assert "decoders side by side would do" in last


def test_fold_finds_the_fewest_multipliers_of_all(codec):
    """Against every choice of lanes for the last three layers, the others as they were found."""
    limit = 30_000
    found = fold(codec.g_s, 2, 2, limit)
    assert found.interval <= limit
    best = None
    for a in lane_choices(32):
        for b in lane_choices(32):
            for c in lane_choices(3):
                layers = {**found.folding.layers, "g_s.2": a, "g_s.4": b, "g_s.6": c}
                network, _ = program_network(codec.g_s, 2, 2, Folding(layers=layers, banks=2))
                if max(interval(part.stage) for part in network.parts) <= limit:
                    best = min(network.multipliers, best or network.multipliers)
    assert best == found.multipliers
    network, _ = program_network(codec.g_s, 2, 2, found.folding)
    assert network.multipliers == found.multipliers
    assert max(estimate_part(part.name, part.stage).interval for part in network.parts) == found.interval


def test_fold_beyond_reach_is_the_fastest_there_is(codec):
    found: Folded = fold(codec.g_s, 2, 2, 1)
    assert found.interval > 1
    assert found.folding.layers["g_s.4"] == 32
    assert found.slowest == "g_s.6"


# --- what is refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("convert", "--program", "f_s", "--to", "vhdl"), "RC-HW-CONFIG: no program 'f_s'; there are h_s, g_s"),
        (("convert", "--tile", "2x2", "--to", "vhdl"), "RC-USAGE: --tile goes with --layer or --program"),
        (("convert", "--frame", "1", "--to", "vhdl"), "RC-USAGE: --frame is for implicit videos"),
        (("convert", "bunny", "--stream", "x", "--to", "vhdl"), "RC-USAGE: --stream is for models"),
        (("convert", "--program", "g_s", "--tile", "99x1", "--to", "vhdl"), "RC-HW-CONFIG: tile 99x1 does not fit"),
        (("convert", "--po", "0", "--to", "vhdl"), "RC-HW-CONFIG: PO must be an integer 1..32, got 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_refused_designs_write_nothing(arguments, message, tmp_path, capsys):
    assert main(["hw", *arguments, "-o", str(tmp_path / "rtl")]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fold", "g_s.0"), "'g_s.0' is not of the form LAYER=LANES, lanes 1..32"),
        (("--fold", "g_s.0=33"), "'g_s.0=33' is not of the form"),
        (("--clock", "0"), "'0' is not a number above 0"),
        (("--fps", "fast"), "'fast' is not a number above 0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_refused_numbers(arguments, message, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["hw", "estimate", *arguments])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_estimate_of_a_video_has_one_size(capsys):
    assert main(["hw", "estimate", "bunny", "--size", "64x64"]) == 2
    assert "RC-USAGE: the pictures of an implicit video have one size" in capsys.readouterr().err
    assert estimate("bunny", None, None, Folding(), 200.0, None).totals()["macs"] > 394_209_184


def test_only_scale_hyperpriors_are_built_whole():
    from refcodec.codecs.family import codec_of
    from refcodec.designs import hyperprior_of
    from refcodec.vectorgen.family_streams import family_models

    with pytest.raises(HardwareError, match="decoders of the family checkerboard are not built whole"):
        hyperprior_of(codec_of(family_models()["tiny-checkerboard"]))
