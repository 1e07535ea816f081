"""The command line as a user meets it: what works, and one line with a code for everything that does not."""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pytest
from peak_memory import DEFINITION

from refcodec import __version__
from refcodec.cli import build_parser, main
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.codecs.stream import Geometry, pack, parse
from refcodec.entropy.rans import encode as rans_encode
from refcodec.errors import CODES, StreamError
from refcodec.models.shipped import DEFAULT_FLOAT, DEFAULT_MODEL, recipe_name, shipped_path
from refcodec.program.model_file import load_model, save_model
from refcodec.vectorgen.decoder import broken_containers

ROOT = Path(__file__).parents[1]
CHECKPOINT = ROOT / "tests" / "fixtures" / "hyperprior_n2_m3.pth.tar"
TINY = "scale-hyperprior, gdn backbone of 2 channels, latent of 3 channels, balle2018 hyperprior of 2 channels"
LINE = re.compile(r"refcodec: (RC-[A-Z-]+): [^\n]+\n")
COMMANDS = (
    ("demo",), ("import",), ("encode",), ("decode",), ("info",), ("quantize",), ("audit",), ("vectors", "build"),
    ("vectors", "verify"), ("export",), ("bdrate",), ("study", "precision"), ("study", "calibration"),
    ("study", "drift"), ("hw", "simulate"), ("hw", "convert"), ("hw", "cosim"), ("hw", "synth"),
    ("hw", "estimate"),
)  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What a command left: exit status and both outputs."""

    status: int
    out: str
    err: str


Run = Callable[..., Outcome]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """A function that runs the command line in this process."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        try:
            status: Any = main([str(argument) for argument in arguments])
        except SystemExit as error:
            status = error.code
        printed = capsys.readouterr()
        return Outcome(status, printed.out, printed.err)

    return call


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, hidden files included: path -> bytes, or None for a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


@pytest.fixture
def refused(run: Run, work: Path) -> Callable[..., str]:
    """A function that runs a command which must be refused; returns the line that it printed.

    One line with a known code on standard error, status 2, nothing on standard output, and no file anywhere changed.
    """

    def call(code: str, *arguments: object) -> str:
        before = tree(work)
        found = run(*arguments)
        assert found.status == 2, found
        line = LINE.fullmatch(found.err)
        assert line, found.err
        assert line[1] == code, found.err
        assert code in CODES
        assert found.out == ""
        assert tree(work) == before
        return found.err

    return call


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture, its stream, another model and such, made once by the command line itself."""
    folder = tmp_path_factory.mktemp("made")
    y, x = np.mgrid[:40, :70]
    picture = np.stack([3 * x, 2 * x + y, 255 - 5 * y], axis=2).astype(np.uint8)
    imageio.imwrite(folder / "photo.png", picture)
    imageio.imwrite(folder / "grey.png", picture[:, :, 1])
    assert main(["encode", str(folder / "photo.png"), "-o", str(folder / "photo.rcb")]) == 0
    recipe = shipped_path(recipe_name("w4a4"), ".json")
    assert main(["quantize", "--recipe", str(recipe), "-o", str(folder / "w4a4.rcm")]) == 0
    return folder


@pytest.fixture
def work(made: Path, tmp_path: Path) -> Path:
    """A folder of a test's own, with what was made once."""
    folder = tmp_path / "work"
    shutil.copytree(made, folder)
    (folder / "photos").mkdir()
    shutil.copy(folder / "photo.png", folder / "photos")
    return folder


# --- what works


def test_encode_and_decode_give_a_picture_back(work: Path, run: Run) -> None:
    for name in ("photo", "grey"):
        encoded = run("encode", work / f"{name}.png", "-o", work / "new.rcb")
        size = (work / "new.rcb").stat().st_size
        assert encoded == Outcome(0, f"{work}/new.rcb: {size} bytes, {8 * size / 2800:.4f} bit per pixel\n", "")
        decoded = run("decode", work / "new.rcb", "-o", work / "new.png")
        assert decoded == Outcome(0, f"{work}/new.png: 70x40\n", "")
        before, after = imageio.imread(work / f"{name}.png"), imageio.imread(work / "new.png")
        assert before.shape == after.shape
        assert np.mean((before.astype(float) - after) ** 2) < 150


def test_encode_and_decode_take_a_model_by_file_and_by_name(work: Path, run: Run) -> None:
    assert run("encode", work / "photo.png", "--model", DEFAULT_MODEL, "-o", work / "a.rcb").status == 0
    assert (work / "a.rcb").read_bytes() == (work / "photo.rcb").read_bytes()
    assert run("encode", work / "photo.png", "--model", work / "w4a4.rcm", "-o", work / "b.rcb").status == 0
    assert run("decode", work / "b.rcb", "--model", work / "w4a4.rcm", "-o", work / "b.bmp").status == 0
    assert imageio.imread(work / "b.bmp").shape == (40, 70, 3)


def test_decode_taps_write_a_case_with_every_tensor(work: Path, run: Run) -> None:
    found = run("decode", work / "photo.rcb", "-o", work / "p.png", "--taps", work / "taps")
    assert found.status == 0
    case = json.loads((work / "taps" / "case.json").read_text())
    model = load_model(shipped_path(DEFAULT_MODEL, ".rcm"))
    tensors = {tensor.name for program in model.programs.values() for tensor in program.tensors}
    assert {entry["name"] for entry in case["taps"]} == tensors
    (picture,) = case["outputs"]
    stored = np.frombuffer((work / "taps" / picture["file"]).read_bytes(), np.uint8).reshape(picture["shape"])
    assert np.array_equal(stored, imageio.imread(work / "p.png"))
    assert run("decode", work / "photo.rcb", "-o", work / "p.png", "--taps", work / "taps").status == 0


def test_info_describes_a_stream(work: Path, run: Run) -> None:
    content = (work / "photo.rcb").read_bytes()
    found = run("info", work / "photo.rcb", "--json")
    described = json.loads(found.out)
    assert found.status == 0
    assert (described["width"], described["height"], described["channels"]) == (70, 40, 3)
    assert described["bytes"] == len(content)
    assert described["model"] == parse(content).identity
    assert f"70x40 RGB, {len(content)} bytes" in run("info", work / "photo.rcb").out


def test_info_describes_a_model(work: Path, run: Run) -> None:
    shipped = run("info", "--json")
    assert shipped == run("info", DEFAULT_MODEL, "--json") == run("info", shipped_path(DEFAULT_MODEL, ".rcm"), "--json")
    described = json.loads(shipped.out)
    assert described["identity"] == load_model(shipped_path(DEFAULT_MODEL, ".rcm")).identity
    assert described["settings"] == {"activation_bits": 8, "weight_bits": 8}
    assert json.loads(run("info", work / "w4a4.rcm", "--json").out)["settings"]["weight_bits"] == 4
    assert described["identity"] in run("info").out


def test_import_stores_a_checkpoint_as_safetensors(work: Path, run: Run) -> None:
    found = run("import", CHECKPOINT, "-o", work / "m.safetensors")
    assert found == Outcome(0, f"{work}/m.safetensors: {TINY}\n", "")
    first = (work / "m.safetensors").read_bytes()
    assert run("import", work / "m.safetensors", "-o", work / "n.safetensors").status == 0
    assert (work / "n.safetensors").read_bytes() == first
    named = run("import", CHECKPOINT, "--backbone", "GDN1", "-o", work / "g.safetensors")
    assert ", gdn1 backbone of 2 channels," in named.out
    assert ", gdn1 backbone of 2 channels," in run("import", work / "g.safetensors", "-o", work / "h.safetensors").out


def test_quantize_with_the_shipped_recipe_gives_the_shipped_model(work: Path, run: Run) -> None:
    for recipe in (recipe_name("w8a8"), shipped_path(recipe_name("w8a8"), ".json")):
        assert run("quantize", "--recipe", recipe, "-o", work / "m.rcm").status == 0
        assert (work / "m.rcm").read_bytes() == shipped_path(DEFAULT_MODEL, ".rcm").read_bytes()


def test_quantize_calibrates_and_its_recipe_does_the_same_again(work: Path, run: Run) -> None:
    chosen = ("--weights", "6", "--activations", "7", "--observer", "minmax")
    found = run(
        "quantize", DEFAULT_FLOAT, *chosen, "--calibrate", work / "photos", "--save-recipe", work / "r.json",
        "-o", work / "a.rcm",
    )  # fmt: skip
    assert found.status == 0
    assert found.err == ""
    assert found.out == f"{work}/a.rcm: W6A7, identity {load_model(work / 'a.rcm').identity}\n"
    assert json.loads((work / "r.json").read_text())["method"].startswith("minmax, weights per channel")
    floats = shipped_path(DEFAULT_FLOAT)
    assert run("quantize", floats, "--recipe", work / "r.json", "-o", work / "b.rcm").status == 0
    assert (work / "a.rcm").read_bytes() == (work / "b.rcm").read_bytes()
    assert run("encode", work / "photo.png", "--model", work / "a.rcm", "-o", work / "a.rcb").status == 0
    assert run("decode", work / "a.rcb", "--model", work / "a.rcm", "-o", work / "a.png").status == 0


def test_vectors_build_and_verify_agree(work: Path, run: Run) -> None:
    built = run("vectors", "build", "-o", work / "suite")
    assert built.status == 0
    assert re.fullmatch(rf"{work}/suite: [0-9]+ cases\n", built.out)
    found = run("vectors", "verify", work / "suite", "--json")
    assert found.status == 0
    assert json.loads(found.out)["passed"] is True
    assert json.loads(found.out)["failures"] == []
    assert not list(work.rglob("*partial*"))


def test_hw_simulate_prints_a_report(work: Path, run: Run) -> None:
    found = run("hw", "simulate", "--layer", "h_s.0", "--tile", "1x1", "--stream", work / "photo.rcb", "--json")
    report = json.loads(found.out)
    assert found.status == 0
    assert report["passed"] is True
    assert report["different"] == 0
    assert report["cycles"] == report["expected_cycles"]


def test_hw_convert_writes_a_manifest(work: Path, run: Run) -> None:
    layer = ("--layer", "h_s.0", "--tile", "1x1", "--stream", work / "photo.rcb")
    found = run("hw", "convert", *layer, "--to", "verilog", "-o", work / "rtl")
    assert found.status == 0
    manifest = json.loads((work / "rtl" / "manifest.json").read_text())
    assert found.out.startswith(f"{work}/rtl: {len(manifest['files'])} files for h_s.0, ")
    assert all((work / "rtl" / name).is_file() for name in manifest["files"])


@pytest.mark.parametrize(
    ("states", "status"), [(("passed", "skipped"), 0), (("failed", "passed"), 1), (("skipped",), 1)]
)
def test_hw_cosim_passes_when_all_that_ran_agree(
    states: tuple[str, ...], status: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hw.cosim import CosimResult
    from refcodec import datapath

    results = [CosimResult("icarus", state, "", 0, 5, 5, 0.1) for state in states]
    monkeypatch.setattr(datapath, "cosim", lambda folder, simulators: results)
    found = run("hw", "cosim", "rtl", "--json")
    assert found.status == status
    assert json.loads(found.out)["passed"] is (status == 0)
    assert [entry["status"] for entry in json.loads(found.out)["simulators"]] == list(states)
    assert "icarus" in run("hw", "cosim", "rtl").out


def test_hw_cosim_runs_the_simulators_that_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from refcodec import datapath

    named: list[list[str] | None] = []
    monkeypatch.setattr(datapath, "cosim", lambda folder, simulators: named.append(simulators) or [])
    run("hw", "cosim", "rtl", "--simulator", "ghdl", "--simulator", "icarus")
    run("hw", "cosim", "rtl")
    assert named == [["ghdl", "icarus"], None]


def test_hw_synth_prints_what_was_counted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from hw.synthesis import SynthesisResult
    from refcodec import datapath

    def counted(folder: str, target: str) -> SynthesisResult:
        return SynthesisResult("engine", target, 1, 2, 3, 4, 101.5, (), 9.0, {"yosys": "0.70"})

    monkeypatch.setattr(datapath, "synthesise", counted)
    found = run("hw", "synth", "rtl", "--json")
    assert found.status == 0
    assert json.loads(found.out)["fmax"] == 101.5
    assert "UltraScale+" in run("hw", "synth", "rtl", "--target", "xilinx").out


@pytest.mark.parametrize(("agreed", "status"), [(True, 0), (False, 1)])
def test_demo_hands_over_its_arguments_and_outcome(
    agreed: bool, status: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refcodec import demo

    seen = []
    monkeypatch.setattr(demo, "run_demo", lambda *arguments: seen.append(arguments) or agreed)
    assert run("demo").status == status
    assert run("demo", "--image", "a.png", "--model", "m.rcm", "-o", "out").status == status
    assert seen == [("refcodec-demo", None, DEFAULT_MODEL), ("out", "a.png", "m.rcm")]


def test_hw_simulate_mismatch_exits_with_one(work: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from refcodec import datapath

    class Different:
        equal, mismatches, cycles, expected_cycles, load_cycles = False, 3, 7, 7, 9
        expected = np.zeros(5)

    monkeypatch.setattr(datapath, "simulate_layer", lambda *args, **options: Different)
    found = run("hw", "simulate", "--layer", "h_s.0", "--json")
    assert found.status == 1
    assert json.loads(found.out)["different"] == 3
    assert "3 different" in run("hw", "simulate", "--layer", "h_s.0").out


# --- help and usage


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command_shows_an_example_that_parses(command: tuple[str, ...], run: Run) -> None:
    found = run(*command, "--help")
    assert found.status == 0
    assert found.err == ""
    example = re.search(r"example:\n  refcodec (.+)\n", found.out)
    assert example, found.out
    words = example[1].split()
    assert tuple(words[: len(command)]) == command
    assert build_parser().parse_args(words).run


def test_help_lists_every_command(run: Run) -> None:
    found = run("--help")
    assert found.status == 0
    assert all(f" {command[0]} " in found.out for command in COMMANDS)
    for group in ("vectors", "study", "hw"):
        listed = run(group, "--help").out
        assert all(f" {command[1]} " in listed for command in COMMANDS if command[0] == group)


def test_version_is_the_packages(run: Run) -> None:
    assert run("--version") == Outcome(0, f"refcodec {__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("vectors",),
        ("hw",),
        ("compress",),
        ("--nothing",),
        ("encode",),
        ("encode", "a.png"),
        ("encode", "a.png", "b.png", "-o", "c"),
        ("decode", "a.rcb"),
        ("info", "a", "b"),
        ("import", "c", "-o", "d", "--backbone", "tanh"),
        ("quantize", "-o", "m", "--weights", "eight"),
        ("quantize", "-o", "m", "--observer", "median"),
        ("quantize", "-o", "m", "--pictures", "many"),
        ("quantize", "-o", "m"),
        ("hw", "simulate"),
        ("hw", "simulate", "--layer", "h_s.0", "--tile", "2"),
        ("hw", "simulate", "--layer", "h_s.0", "--tile", "2x-1"),
        ("hw", "simulate", "--layer", "h_s.0", "--tile", "axb"),
        ("hw", "simulate", "--layer", "h_s.0", "--pi", "x"),
        ("hw", "convert", "--layer", "h_s.0", "-o", "d"),
        ("hw", "convert", "--layer", "h_s.0", "-o", "d", "--to", "systemc"),
        ("hw", "cosim"),
        ("hw", "cosim", "rtl", "--simulator", "spice"),
        ("hw", "synth"),
        ("hw", "synth", "rtl", "--target", "gowin"),
        ("vectors", "build"),
        ("vectors", "verify"),
    ],
    ids=" ".join,
)
def test_usage_errors_are_one_line(arguments: tuple[str, ...], refused: Callable[..., str]) -> None:
    refused("RC-USAGE", *arguments)


# --- bad streams


def test_decode_refuses_a_stream_cut_anywhere(work: Path, run: Run) -> None:
    content = (work / "photo.rcb").read_bytes()
    before = set(tree(work)) | {"cut.rcb"}
    for length in [*range(84), *range(84, len(content), 43), len(content) - 1]:
        (work / "cut.rcb").write_bytes(content[:length])
        found = run("decode", work / "cut.rcb", "-o", work / "p.png")
        code = "RC-STREAM-TRUNCATED" if length else "RC-STREAM-MAGIC"
        assert found.status == 2
        assert re.fullmatch(rf"refcodec: {code}: .* \(byte [0-9]+\)\n", found.err), (length, found.err)
        assert found.out == ""
    assert set(tree(work)) == before


def test_decode_refuses_a_stream_with_any_bit_flipped(work: Path, run: Run) -> None:
    content = (work / "photo.rcb").read_bytes()
    before = set(tree(work)) | {"bad.rcb"}
    seen = set()
    for bit in range(0, 8 * len(content), 50):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        (work / "bad.rcb").write_bytes(damaged)
        found = run("decode", work / "bad.rcb", "-o", work / "p.png", "--taps", work / "taps")
        assert found.status == 2, bit
        line = LINE.fullmatch(found.err)
        assert line, found.err
        seen.add(line[1])
    # the number of sections says where the header's checksum stands, so it is looked at first
    assert seen == {"RC-STREAM-MAGIC", "RC-STREAM-SECTION", "RC-STREAM-CRC"}
    assert set(tree(work)) == before


def test_decode_refuses_every_broken_stream(work: Path, refused: Callable[..., str]) -> None:
    for kind, (code, content) in broken_containers((work / "photo.rcb").read_bytes()).items():
        (work / "bad.rcb").write_bytes(content)
        if kind in ("y-flipped", "larger"):  # where damaged symbols lead depends on the stream
            with pytest.raises(StreamError, match=r"^RC-STREAM-") as caught:
                ScaleHyperprior.from_model(load_model(shipped_path(DEFAULT_MODEL, ".rcm"))).decode(content)
            code = caught.value.code
        refused(code, "decode", work / "bad.rcb", "-o", work / "p.png")


def test_decode_refuses_a_stream_of_another_model(work: Path, refused: Callable[..., str]) -> None:
    line = refused("RC-STREAM-MODEL", "decode", work / "photo.rcb", "--model", work / "w4a4.rcm", "-o", work / "p.png")
    assert load_model(work / "w4a4.rcm").identity[:16] in line


@pytest.mark.parametrize("command", ["decode", "info"])
def test_stream_commands_refuse_missing_files_and_folders(
    command: str, work: Path, refused: Callable[..., str]
) -> None:
    output = ("-o", work / "p.png") if command == "decode" else ()
    refused("RC-FILE-READ", command, work / "none.rcb", *output)
    refused("RC-FILE-READ", command, work / "photos", *output)


def test_info_refuses_what_is_neither_model_nor_stream(work: Path, refused: Callable[..., str]) -> None:
    (work / "empty").write_bytes(b"")
    refused("RC-MODEL-FILE", "info", work / "empty")
    refused("RC-MODEL-FILE", "info", work / "photo.png")
    refused("RC-MODEL-FILE", "info", shipped_path(DEFAULT_FLOAT))
    (work / "cut.rcb").write_bytes((work / "photo.rcb").read_bytes()[:60])
    refused("RC-STREAM-TRUNCATED", "info", work / "cut.rcb")


# --- bad models


def test_model_options_refuse_what_is_no_model(work: Path, refused: Callable[..., str]) -> None:
    content = shipped_path(DEFAULT_MODEL, ".rcm").read_bytes()
    (work / "empty.rcm").write_bytes(b"")
    (work / "cut.rcm").write_bytes(content[:-100])
    (work / "flipped.rcm").write_bytes(content[:-70] + bytes([content[-70] ^ 1]) + content[-69:])
    (work / "huge.rcm").write_bytes(struct.pack("<Q", 2**63) + content[8:])
    picture, stream = (work / "photo.png", "-o", work / "n.rcb"), (work / "photo.rcb", "-o", work / "n.png")
    for name, code in (
        ("none.rcm", "RC-FILE-READ"),
        ("photos", "RC-FILE-READ"),
        ("empty.rcm", "RC-MODEL-FILE"),
        ("cut.rcm", "RC-MODEL-FILE"),
        ("huge.rcm", "RC-MODEL-FILE"),
        ("photo.png", "RC-MODEL-FILE"),
        ("photo.rcb", "RC-MODEL-FILE"),
    ):
        refused(code, "encode", *picture, "--model", work / name)
        refused(code, "decode", *stream, "--model", work / name)
        refused(code, "hw", "simulate", work / name, "--layer", "h_s.0")
        refused(code, "hw", "convert", work / name, "--layer", "h_s.0", "--to", "vhdl", "-o", work / "rtl")
        refused(code, "demo", "--model", work / name, "-o", work / "out")
    refused("RC-MODEL-HASH", "decode", *stream, "--model", flipped_decoder(work))


def flipped_decoder(work: Path) -> Path:
    """The shipped model with one bit of its last integer tensor changed."""
    save_model(work / "d.rcm", replace(load_model(shipped_path(DEFAULT_MODEL, ".rcm")), encoder={}))
    content = bytearray((work / "d.rcm").read_bytes())
    content[-1] ^= 1
    (work / "d.rcm").write_bytes(content)
    return work / "d.rcm"


def test_encode_refuses_a_model_without_an_encoder(work: Path, refused: Callable[..., str]) -> None:
    save_model(work / "d.rcm", replace(load_model(shipped_path(DEFAULT_MODEL, ".rcm")), encoder={}))
    refused("RC-MODEL-ENCODER", "encode", work / "photo.png", "--model", work / "d.rcm", "-o", work / "n.rcb")


# --- bad pictures


def test_encode_refuses_unreadable_pictures(work: Path, refused: Callable[..., str]) -> None:
    whole = (work / "photo.png").read_bytes()
    (work / "empty.png").write_bytes(b"")
    (work / "words.png").write_text("words")
    (work / "cut.png").write_bytes(whole[: len(whole) // 2])
    imageio.imwrite(work / "deep.png", np.zeros((4, 4), np.uint16))
    imageio.imwrite(work / "alpha.png", np.zeros((4, 4, 4), np.uint8))
    header = b"IHDR" + struct.pack(">IIBBBBB", 8000, 8000, 8, 2, 0, 0, 0)
    (work / "large.png").write_bytes(whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:])
    for name, code in (
        ("none.png", "RC-FILE-READ"),
        ("photos", "RC-FILE-READ"),
        ("empty.png", "RC-IMAGE-READ"),
        ("words.png", "RC-IMAGE-READ"),
        ("cut.png", "RC-IMAGE-READ"),
        ("photo.rcb", "RC-IMAGE-READ"),
        ("deep.png", "RC-IMAGE-FORMAT"),
        ("alpha.png", "RC-IMAGE-FORMAT"),
        ("large.png", "RC-IMAGE-FORMAT"),
    ):
        refused(code, "encode", work / name, "-o", work / "n.rcb")
        refused(code, "demo", "--image", work / name, "-o", work / "out")


# --- bad quantisations


@pytest.mark.parametrize("widths", [("1", "8"), ("8", "17"), ("-3", "8"), ("0", "0"), ("8", "1000000")])
def test_quantize_refuses_bad_widths(widths: tuple[str, str], work: Path, refused: Callable[..., str]) -> None:
    chosen = ("--weights", widths[0], "--activations", widths[1])
    refused("RC-RANGE", "quantize", *chosen, "--calibrate", work / "photos", "-o", work / "m.rcm")


def test_quantize_refuses_bad_photographs(work: Path, refused: Callable[..., str]) -> None:
    (work / "bad").mkdir()
    (work / "bad" / "words.png").write_text("words")
    (work / "bare").mkdir()
    for folder, code in (("none", "RC-FILE-READ"), ("bare", "RC-FILE-READ"), ("photo.png", "RC-FILE-READ"),
                         ("bad", "RC-IMAGE-READ")):  # fmt: skip
        refused(code, "quantize", "--calibrate", work / folder, "-o", work / "m.rcm")
    refused("RC-FILE-READ", "quantize", "--calibrate", work / "photos", "--pictures", "0", "-o", work / "m.rcm")


@pytest.mark.parametrize(
    "option",
    [("--weights", "4"), ("--activations", "4"), ("--observer", "mse"), ("--pictures", "3"), ("--calibrate", ".")],
)
def test_quantize_refuses_what_the_recipe_decides(
    option: tuple[str, str], work: Path, refused: Callable[..., str]
) -> None:
    refused("RC-USAGE", "quantize", "--recipe", recipe_name("w8a8"), *option, "-o", work / "m.rcm")


def test_quantize_refuses_to_write_model_and_recipe_into_one_file(work: Path, refused: Callable[..., str]) -> None:
    target = ("-o", work / "m.rcm", "--save-recipe", work / "." / "m.rcm")
    refused("RC-USAGE", "quantize", "--recipe", recipe_name("w8a8"), *target)


def test_quantize_refuses_to_choose_without_photographs(work: Path, refused: Callable[..., str]) -> None:
    refused("RC-USAGE", "quantize", "-o", work / "m.rcm")


def test_quantize_refuses_bad_recipes(work: Path, refused: Callable[..., str]) -> None:
    good = json.loads(shipped_path(recipe_name("w8a8"), ".json").read_text())
    steps = {**good["activation_steps"], "g_s.1": -1.0}
    wrong = {
        "empty": "",
        "words": "words",
        "other": json.dumps({"schema": "other"}),
        "negative": json.dumps({**good, "activation_steps": steps}),
        "lacking": json.dumps({**good, "weight_steps": {}}),
        "short": json.dumps({**good, "bias_corrections": {**good["bias_corrections"], "g_s.0": [0.0]}}),
    }
    for name, text in wrong.items():
        (work / name).write_text(text)
        refused("RC-MODEL-SCHEMA", "quantize", "--recipe", work / name, "-o", work / "m.rcm")
    for name in ("none", "photos"):
        refused("RC-FILE-READ", "quantize", "--recipe", work / name, "-o", work / "m.rcm")


def test_quantize_and_import_refuse_bad_checkpoints(work: Path, refused: Callable[..., str]) -> None:
    (work / "empty").write_bytes(b"")
    (work / "cut").write_bytes(CHECKPOINT.read_bytes()[:5000])
    (work / "half").write_bytes(shipped_path(DEFAULT_FLOAT).read_bytes()[:5000])
    for name in ("empty", "cut", "half", "photo.png"):
        refused("RC-CHECKPOINT-FILE", "import", work / name, "-o", work / "n.safetensors")
        refused("RC-CHECKPOINT-FILE", "quantize", work / name, "--recipe", recipe_name("w8a8"), "-o", work / "m.rcm")
    for name in ("none", "photos"):
        refused("RC-FILE-READ", "import", work / name, "-o", work / "n.safetensors")
        refused("RC-FILE-READ", "quantize", work / name, "--recipe", recipe_name("w8a8"), "-o", work / "m.rcm")
    refused("RC-MODEL-SCHEMA", "quantize", CHECKPOINT, "--recipe", recipe_name("w8a8"), "-o", work / "m.rcm")
    refused("RC-MODEL-FAMILY", "import", CHECKPOINT, "--backbone", "ReLU", "-o", work / "n.safetensors")
    refused("RC-MODEL-FAMILY", "import", shipped_path(DEFAULT_MODEL, ".rcm"), "-o", work / "n.safetensors")


# --- bad hardware requests


@pytest.mark.parametrize("command", [("simulate",), ("convert", "--to", "verilog")], ids=lambda words: words[0])
@pytest.mark.parametrize(
    "options",
    [
        ("--layer", "g_s.9"),
        ("--layer", "h_s.1"),
        ("--layer", ""),
        ("--layer", "h_s.0", "--tile", "0x1"),
        ("--layer", "h_s.0", "--tile", "2x2000"),
        ("--layer", "h_s.0", "--pi", "0"),
        ("--layer", "h_s.0", "--po", "-1"),
        ("--layer", "h_s.0", "--pi", "1000"),
    ],
    ids=" ".join,
)
def test_hw_commands_refuse_impossible_configurations(
    command: tuple[str, ...], options: tuple[str, ...], work: Path, refused: Callable[..., str]
) -> None:
    output = ("-o", work / "rtl") if command[0] == "convert" else ("--vcd", work / "wave.vcd")
    refused("RC-HW-CONFIG", "hw", *command, *options, *output)


def test_hw_commands_refuse_bad_streams_and_folders(work: Path, refused: Callable[..., str]) -> None:
    (work / "cut.rcb").write_bytes((work / "photo.rcb").read_bytes()[:-1])
    for name, code in (("none", "RC-FILE-READ"), ("photos", "RC-FILE-READ"), ("cut.rcb", "RC-STREAM-TRUNCATED")):
        refused(code, "hw", "simulate", "--layer", "h_s.0", "--stream", work / name)
    for name in ("none", "photos", "photo.png"):
        refused("RC-FILE-READ", "hw", "cosim", work / name)
        refused("RC-FILE-READ", "hw", "synth", work / name)


def test_vectors_verify_refuses_what_is_no_suite(work: Path, refused: Callable[..., str]) -> None:
    for name in ("none", "photos", "photo.png"):
        refused("RC-FILE-READ", "vectors", "verify", work / name)


# --- bad outputs


def test_outputs_into_a_missing_folder_or_onto_a_folder_are_refused(work: Path, refused: Callable[..., str]) -> None:
    for target in (work / "none" / "file", work / "photos"):
        refused("RC-FILE-WRITE", "encode", work / "photo.png", "-o", target)
        refused("RC-FILE-WRITE", "import", CHECKPOINT, "-o", target)
        refused("RC-FILE-WRITE", "quantize", "--recipe", recipe_name("w8a8"), "-o", target)
    (work / "folder.png").mkdir()
    for target in (work / "none" / "p.png", work / "folder.png"):
        refused("RC-FILE-WRITE", "decode", work / "photo.rcb", "-o", target)


def test_outputs_that_are_lossy_are_refused(work: Path, refused: Callable[..., str]) -> None:
    for name in ("p.jpg", "p", "p.webp"):
        refused("RC-IMAGE-FORMAT", "decode", work / "photo.rcb", "-o", work / name)


def test_output_folders_that_hold_something_else_are_refused(work: Path, refused: Callable[..., str]) -> None:
    for target in (work / "photos", work / "photo.png"):
        refused("RC-FILE-WRITE", "vectors", "build", "-o", target)
        refused("RC-FILE-WRITE", "decode", work / "photo.rcb", "-o", work / "p.png", "--taps", target)
        refused("RC-FILE-WRITE", "demo", "-o", target)
        layer = ("--layer", "h_s.0", "--tile", "1x1", "--stream", work / "photo.rcb")
        refused("RC-FILE-WRITE", "hw", "convert", *layer, "--to", "verilog", "-o", target)


def test_output_that_cannot_be_written_leaves_the_old_file(
    work: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[:1])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    refused("RC-FILE-WRITE", "encode", work / "photo.png", "-o", work / "photo.rcb")
    refused("RC-FILE-WRITE", "decode", work / "photo.rcb", "-o", work / "photo.png")


def test_decode_refused_for_its_picture_leaves_no_taps(work: Path, refused: Callable[..., str]) -> None:
    refused("RC-IMAGE-FORMAT", "decode", work / "photo.rcb", "-o", work / "p.jpg", "--taps", work / "taps")


def test_quantize_refused_for_its_recipe_leaves_no_model(work: Path, refused: Callable[..., str]) -> None:
    saved = ("--save-recipe", work / "none" / "r.json")
    refused("RC-FILE-WRITE", "quantize", "--recipe", recipe_name("w8a8"), *saved, "-o", work / "m.rcm")


@pytest.mark.parametrize("target", [".", "/", ""])
def test_outputs_without_a_file_name_are_refused(target: str, work: Path, refused: Callable[..., str]) -> None:
    refused("RC-FILE-WRITE", "encode", work / "photo.png", "-o", target)


@pytest.mark.parametrize(
    ("marker", "arguments"),
    [
        ("index.json", ("vectors", "build", "-o")),
        ("case.json", ("decode", "photo.rcb", "-o", "p.png", "--taps")),
    ],
)
def test_output_folders_with_more_than_this_command_wrote_are_kept(
    marker: str, arguments: tuple[str, ...], work: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (work / "mine").mkdir()
    (work / "mine" / marker).write_text("{}")
    (work / "mine" / "thesis.txt").write_text("years of work")
    monkeypatch.chdir(work)
    run(*arguments, "mine")
    assert (work / "mine" / "thesis.txt").is_file()


def test_endless_inputs_are_refused(work: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    if not Path("/dev/zero").exists():
        pytest.skip("this system has no /dev/zero")
    monkeypatch.setattr("refcodec.files.MAX_FILE", 1 << 20)
    refused("RC-FILE-READ", "decode", "/dev/zero", "-o", work / "p.png")
    refused("RC-FILE-READ", "info", "/dev/zero")


# --- the process around it


def launch(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **options.pop("environment", {})}
    command = [sys.executable, "-m", "refcodec", *map(str, arguments)]
    return subprocess.run(command, env=environment, text=True, timeout=120, check=False, **options)


def test_process_prints_results_and_exits(work: Path) -> None:
    done = launch("decode", work / "photo.rcb", "-o", work / "p.png", capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{work}/p.png: 70x40\n", "")
    done = launch("--version", capture_output=True)
    assert (done.returncode, done.stdout) == (0, f"refcodec {__version__}\n")


def test_process_refuses_with_one_line_and_no_traceback(work: Path) -> None:
    (work / "words.png").write_text("words")
    for arguments in (("decode", work / "none", "-o", "p.png"), ("encode", work / "words.png", "-o", "n.rcb"), ()):
        done = launch(*arguments, capture_output=True, cwd=work)
        assert done.returncode == 2
        assert LINE.fullmatch(done.stderr), done.stderr
        assert done.stdout == ""


def test_process_needs_no_heavy_library_to_start() -> None:
    heavy = "numba scipy imageio PIL myhdl llvmlite tqdm safetensors"
    script = (
        "import sys, time\nstart = time.perf_counter()\n"
        "import refcodec, refcodec.cli\n"
        "try:\n    refcodec.cli.main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print(time.perf_counter() - start, file=sys.stderr)\n"
        f"print(*[name for name in {heavy.split()} if name in sys.modules], file=sys.stderr)\n"
    )
    for arguments in (["--help"], ["--version"], ["encode", "--help"], ["nonsense"]):
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=60)
        seconds, names = done.stderr.splitlines()[-2:]
        assert names == ""
        assert float(seconds) < 1.0


def test_process_stays_silent_when_its_reader_goes_away() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = launch("info", stdout=writer, stderr=subprocess.PIPE, environment={"PYTHONUNBUFFERED": ""})
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_process_reports_standard_output_that_cannot_be_written() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    with open("/dev/full", "w") as full:
        done = launch("info", stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert LINE.fullmatch(done.stderr)


def hostile_streams(content: bytes) -> dict[str, bytes]:
    """Well-formed streams that declare the largest picture and hold few bytes; the last one has a sound first half."""
    codec = ScaleHyperprior.from_model(load_model(shipped_path(DEFAULT_MODEL, ".rcm")))
    stream = parse(content)
    largest = Geometry(5792, 5792, 3)
    shape = (codec.h_s.input.channels, 91, 91)
    likely = np.zeros(shape, np.int64)
    channels = np.broadcast_to(np.arange(shape[0])[:, None, None], shape)
    z = rans_encode(likely, channels, codec.z_tables)
    return {
        "short z": pack(largest, stream.identity, {"ZSYM": bytes(8), "YSYM": bytes(8)}),
        "another picture": pack(largest, stream.identity, stream.payloads),
        "short y": pack(largest, stream.identity, {"ZSYM": z, "YSYM": stream.payloads["YSYM"][:16]}),
    }


def test_decode_of_hostile_streams_stays_within_bounded_memory(work: Path) -> None:
    script = DEFINITION + "import sys\nfrom refcodec.cli import main\nprint(main(sys.argv[1:]), peak())\n"
    for name, content in hostile_streams((work / "photo.rcb").read_bytes()).items():
        (work / "hostile.rcb").write_bytes(content)
        arguments = ["decode", str(work / "hostile.rcb"), "-o", str(work / "p.png")]
        done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=120)
        status, kilobytes = map(int, done.stdout.split())
        assert status == 2, name
        assert LINE.fullmatch(done.stderr), done.stderr
        assert "RC-STREAM-" in done.stderr
        assert kilobytes < 700_000, f"{name}: {kilobytes} kB, where the picture would take several GB"
        assert not (work / "p.png").exists()


def test_main_reports_too_little_memory(work: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(path: str) -> bytes:
        raise MemoryError

    monkeypatch.setattr("refcodec.cli.codec.read_bytes", exhausted)
    found = run("decode", work / "photo.rcb", "-o", work / "p.png")
    assert found == Outcome(2, "", "refcodec: RC-RANGE: not enough memory for this input\n")


def test_main_reports_an_interruption(work: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(path: str) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("refcodec.cli.codec.read_bytes", interrupted)
    assert run("info", work / "photo.rcb") == Outcome(130, "", "refcodec: interrupted\n")


def test_error_messages_of_several_lines_become_one(work: Path, refused: Callable[..., str]) -> None:
    refused("RC-FILE-READ", "encode", work / "two\nlines.png", "-o", work / "n.rcb")
    refused("RC-HW-CONFIG", "hw", "simulate", "--layer", "a\nb")
