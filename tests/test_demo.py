"""The demonstration: what it writes, what it says, and that it can fail."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from refcodec.cli import main
from refcodec.codecs.picture import write_picture
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.datapath import Taps, layer_input
from refcodec.demo import DIFFERENT, EQUAL, Check, _report, _text, check_definition, check_myhdl, overview
from refcodec.models.encoder import encode_picture
from refcodec.models.shipped import DEFAULT_MODEL, shipped_path
from refcodec.program.model_file import load_model

LAYERS = ["h_s.0", "h_s.2", "h_s.4", "g_s.0", "g_s.2", "g_s.4", "g_s.6"]


@pytest.fixture(scope="module")
def coded() -> tuple[ScaleHyperprior, bytes, np.ndarray, Taps]:
    """A decoder, a short stream, its picture and its tensors."""
    model = load_model(shipped_path(DEFAULT_MODEL, ".rcm"))
    ramp = np.arange(40 * 30 * 3).reshape(40, 30, 3) % 251
    codec, content = ScaleHyperprior.from_model(model), encode_picture(ramp.astype(np.uint8), model)
    taps: Taps = {}
    return codec, content, codec.decode(content, taps.__setitem__), taps


def test_demo_without_simulators_writes_everything_and_reports_what_it_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_picture(tmp_path / "dot.png", np.full((3, 5), 99, np.uint8))
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    out = tmp_path / "out"
    assert main(["demo", "--image", str(tmp_path / "dot.png"), "-o", str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {
        "SHA256SUMS", "hdl", "overview.png", "picture.png", "report.json", "stream.rcb", "taps", "vectors", "wave.vcd",
    }  # fmt: skip
    report = json.loads((out / "report.json").read_text())
    assert report["passed"]
    states = {(check["column"], check["status"]) for check in report["checks"]}
    assert states == {
        ("definition", "equal"), ("myhdl", "equal"),
        ("icarus", "skipped"), ("ghdl", "skipped"), ("verilator", "skipped"),
    }  # fmt: skip
    assert sorted({check["layer"] for check in report["checks"]}) == sorted(LAYERS)
    assert (out / "wave.vcd").stat().st_size > 1000
    assert len(list((out / "hdl").iterdir())) == 3 * len(LAYERS)
    printed = capsys.readouterr().out
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


@pytest.mark.parametrize("broken", ["layer", "vectors"])
def test_one_difference_fails_the_demonstration(
    broken: str, coded: tuple[ScaleHyperprior, bytes, np.ndarray, Taps]
) -> None:
    _, content, picture, _ = coded
    checks = [Check("h_s.0", column, EQUAL, 1, 1) for column in ("definition", "myhdl", "icarus", "ghdl", "verilator")]
    vectors = {"passed": True, "operations": {"clip": {"passed": 4, "failed": 0}}, "failures": []}
    assert _report(content, picture, picture, checks, vectors)["passed"]
    if broken == "layer":
        checks[3] = Check("h_s.0", "ghdl", DIFFERENT, 1, 1)
    else:
        vectors = {**vectors, "passed": False, "failures": ["operations/clip/x: y[0] is 1, expected 2"]}
    report = _report(content, picture, picture, checks, vectors)
    assert not report["passed"]
    text = _text(report, checks, "out")
    assert text.endswith("out: MISMATCH, see report.json")
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
