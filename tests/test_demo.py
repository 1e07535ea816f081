"""The demonstration: what it writes, what it says, and that it can fail."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from small_codecs import ARCHITECTURES, small_codec, small_trained

from refcodec.cli import main
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.stream import pack
from refcodec.codecs.picture import read_picture, write_picture
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.codecs.video import read_clip
from refcodec.datapath import Taps, layer_input, video_taps
from refcodec.demo import (
    DIFFERENT,
    EQUAL,
    Check,
    _report,
    _text,
    check_definition,
    check_frame,
    check_myhdl,
    decode_clip,
    overview,
    run_demo,
)
from refcodec.models.architecture import SCALE
from refcodec.models.encoder import encode_picture, float_planes
from refcodec.models.shipped import DEFAULT_MODEL, shipped_path
from refcodec.program.model_file import Model, load_model, save_model
from refcodec.quantize.calibrate import observe
from refcodec.quantize.choices import Choices, choose
from refcodec.quantize.integerise import integerise
from refcodec.vectorgen.tiny_videos import HINERV, HNERV, tiny_video

LAYERS = ["h_s.0", "h_s.2", "h_s.4", "g_s.0", "g_s.2", "g_s.4", "g_s.6", "blocks.2"]
CLIP = {
    "frames": 132, "width": 320, "height": 160, "bytes": 123456, "bits_per_pixel": 0.14618,
    "frames_per_second": 21.5, "sha256": "0" * 64,
}  # fmt: skip


@pytest.fixture(scope="module")
def coded() -> tuple[ScaleHyperprior, bytes, np.ndarray, Taps]:
    """A decoder, a short stream, its picture and its tensors."""
    model = load_model(shipped_path(DEFAULT_MODEL, ".rcm"))
    ramp = np.arange(40 * 30 * 3).reshape(40, 30, 3) % 251
    codec, content = ScaleHyperprior.from_model(model), encode_picture(ramp.astype(np.uint8), model)
    taps: Taps = {}
    return codec, content, codec.decode(content, taps.__setitem__), taps


@pytest.fixture
def small_model() -> Model:
    """The layers of the shipped model with few channels, so that the simulated engines are soon done."""
    (architecture,) = (a for a in ARCHITECTURES if (a.family, a.backbone) == (SCALE, "relu"))
    trained = small_trained(small_codec(architecture))
    latent = trained.twin.analysis(float_planes(np.full((64, 64), 99, np.uint8), trained.twin.multiple))
    return integerise(trained, choose(trained.twin, observe(trained.twin, [latent]), Choices()))


def test_demo_without_simulators_writes_everything_and_reports_what_it_skipped(
    small_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_picture(tmp_path / "dot.png", np.full((3, 5), 99, np.uint8))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    out = tmp_path / "out"
    clip = pack(tiny_video(HNERV, 1))
    (tmp_path / "clip.rcv").write_bytes(clip)
    save_model(tmp_path / "small.rcm", small_model)
    assert run_demo(out, str(tmp_path / "dot.png"), str(tmp_path / "small.rcm"), str(tmp_path / "clip.rcv"))
    assert {path.name for path in out.iterdir()} == {
        "SHA256SUMS", "clip.gif", "clip.rcv", "frame.png", "hdl", "overview.png", "picture.png", "report.json",
        "stream.rcb", "taps", "vectors", "wave.vcd",
    }  # fmt: skip
    report = json.loads((out / "report.json").read_text())
    assert report["passed"]
    assert (report["clip"]["frames"], report["clip"]["bytes"]) == (5, len(clip))
    assert (out / "clip.rcv").read_bytes() == clip
    assert np.array_equal(read_picture(out / "frame.png"), InrVideo.from_bytes(clip).decode(2))
    states = {(check["column"], check["status"]) for check in report["checks"]}
    assert states == {
        ("definition", "equal"), ("myhdl", "equal"),
        ("icarus", "skipped"), ("ghdl", "skipped"), ("verilator", "skipped"),
    }  # fmt: skip
    assert sorted({check["layer"] for check in report["checks"]}) == sorted(LAYERS)
    assert (out / "wave.vcd").stat().st_size > 1000
    assert len(list((out / "hdl").iterdir())) == 3 * len(LAYERS)
    printed = capsys.readouterr().out
    assert f"clip: 5 frames of 17x12, {len(clip)} bytes (" in printed
    assert "skipped ghdl: make, ghdl not installed" in printed
    assert printed.endswith(f"{out}: everything that ran agrees to the bit\n")
    assert main(["vectors", "verify", str(out / "vectors")]) == 0


def test_check_definition_finds_a_changed_value(coded: tuple[ScaleHyperprior, bytes, np.ndarray, Taps]) -> None:
    codec, _, _, taps = coded
    assert {check.status for check in check_definition(codec, taps)} == {EQUAL}
    wrong = {name: values.copy() for name, values in taps.items()}
    wrong["g_s.3"].flat[7] ^= 1
    found = {check.layer: check.status for check in check_definition(codec, wrong)}
    assert {layer for layer, status in found.items() if status == DIFFERENT} == {"g_s.2"}


def test_check_myhdl_reports_what_it_compared(coded: tuple[ScaleHyperprior, bytes, np.ndarray, Taps]) -> None:
    codec, _, _, taps = coded
    (check,) = check_myhdl(codec, "g_s.6", layer_input(codec, "g_s.6", taps, (1, 2)), None)
    assert (check.layer, check.column, check.status, check.values) == ("g_s.6", "myhdl", EQUAL, 24)


def test_check_frame_finds_a_changed_value_in_any_tensor() -> None:
    video = InrVideo.of(tiny_video(HINERV, 1))
    taps = video_taps(video, 3)
    (check,) = check_frame(video, "stem", 3, taps)
    assert (check.layer, check.column, check.status) == ("stem", "definition", EQUAL)
    assert check.values == sum(values.size for values in taps.values())
    for name in ("t", "stages.0.tile", "picture"):
        wrong = {**taps, name: taps[name] + 1}
        assert [check.status for check in check_frame(video, "stem", 3, wrong)] == [DIFFERENT], name


def test_decode_clip_writes_all_frames_and_says_which_bytes_they_are(tmp_path: Path) -> None:
    video = InrVideo.of(tiny_video(HNERV, 4))
    found = decode_clip(video, tmp_path)
    frames = np.stack([video.decode(number) for number in range(5)])
    assert found["sha256"] == hashlib.sha256(frames.tobytes()).hexdigest()
    assert found["frames_per_second"] > 0
    assert np.array_equal(read_picture(tmp_path / "frame.png"), frames[2])
    assert read_clip(tmp_path / "clip.gif").shape == frames.shape


@pytest.mark.parametrize("broken", ["layer", "vectors"])
def test_one_difference_fails_the_demonstration(
    broken: str, coded: tuple[ScaleHyperprior, bytes, np.ndarray, Taps]
) -> None:
    _, content, picture, _ = coded
    checks = [Check("h_s.0", column, EQUAL, 1, 1) for column in ("definition", "myhdl", "icarus", "ghdl", "verilator")]
    vectors = {"passed": True, "operations": {"clip": {"passed": 4, "failed": 0}}, "failures": []}
    assert _report(content, picture, picture, CLIP, checks, vectors)["passed"]
    if broken == "layer":
        checks[3] = Check("h_s.0", "ghdl", DIFFERENT, 1, 1)
    else:
        vectors = {**vectors, "passed": False, "failures": ["operations/clip/x: y[0] is 1, expected 2"]}
    report = _report(content, picture, picture, CLIP, checks, vectors)
    assert not report["passed"]
    text = _text(report, checks, "out")
    assert text.endswith("out: MISMATCH, see report.json")
    clip = "clip: 132 frames of 320x160, 123456 bytes (0.1462 bit per pixel), 21.5 frames decoded a second"
    assert clip in text.splitlines()
    assert ("1 DIFFERENT" in text) == (broken == "layer")


def test_demo_exits_with_one_when_something_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refcodec.demo.run_demo", lambda *arguments: False)
    assert main(["demo", "-o", "anywhere"]) == 1


@pytest.mark.parametrize("grey", [False, True])
def test_overview_puts_two_maps_beside_the_picture(
    grey: bool, coded: tuple[ScaleHyperprior, bytes, np.ndarray, Taps]
) -> None:
    _, _, picture, taps = coded
    shown = overview(picture[:, :, 0] if grey else picture, taps)
    assert (shown.shape, shown.dtype) == ((40, 90, 3), np.uint8)
    assert np.array_equal(shown[:, :30], picture if not grey else np.repeat(picture[:, :, :1], 3, axis=2))
    assert shown[:, 30:].max() > 100
