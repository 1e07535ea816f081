"""The study of implicit videos: its streams, its tables, and that it goes on where it stopped."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import imageio.v3 as imageio
import pytest
from tiny_trained import fitted, moving_picture

from refcodec.cli import main
from refcodec.errors import FileError, ModelError, RangeError
from refcodec.models.inr.trained import TrainedVideo, save_video
from refcodec.study.inr import study as module
from refcodec.study.inr.plan import Plan
from refcodec.study.inr.rows import CODERS, METHODS, RATES, SEPARATE, STEPS, Row, Timing
from refcodec.study.inr.study import study_inr

SAID = {"epochs": "60", "rate": "0.01", "batch": "1", "seed": "0"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    (folder / "clip").mkdir()
    for number, frame in enumerate(moving_picture()):
        imageio.imwrite(folder / "clip" / f"{number}.png", frame)
    trained = fitted()
    save_video(folder / "net.safetensors", TrainedVideo(trained.architecture, trained.parameters, SAID))
    save_video(folder / "other.safetensors", TrainedVideo(trained.architecture, fitted(epochs=2).parameters, SAID))
    return folder


def plan_of(inputs: Path, output: Path, **changes: object) -> Plan:
    asked = {"methods": ("naive", "neuroquant"), "bits": ("4", "2"), "rates": 2, "evaluations": 12, **changes}
    return Plan((inputs / "net.safetensors",), inputs / "clip", output, **asked)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def done(inputs: Path) -> Path:
    study_inr(plan_of(inputs, inputs / "done", separate=(inputs / "other.safetensors",)))
    return inputs / "done"


def test_study_measures_every_stream(done: Path) -> None:
    with open(done / "results.csv", newline="") as file:
        found = list(csv.DictReader(file))
    counted = {
        group: sum(row["group"] == group for row in found) for group in (METHODS, STEPS, RATES, SEPARATE, CODERS)
    }
    assert counted == {METHODS: 4, STEPS: 4, RATES: 2 + 6, SEPARATE: 2, CODERS: 5}
    for row in found:
        assert abs(float(row["psnr_db"]) - float(row["twin_db"])) < 0.1
        assert int(row["bytes"]) * 8 / (6 * 16 * 24) == pytest.approx(float(row["bpp"]), abs=1e-5)
    mixed = [row for row in found if row["group"] == METHODS and row["bits"] == "2"]
    assert all(float(row["weight_bits"]) < 2.6 for row in mixed)


def test_study_writes_tables_and_curves(done: Path) -> None:
    text = (done / "tables.md").read_text()
    for title in (
        "Methods at the same bits",
        "Steps for each",
        "Quantisation and coding",
        "Many rates",
        "Time to a new rate",
    ):
        assert title in text
    assert {"rd.png", "rd.svg", "summary.json"} <= {path.name for path in done.iterdir()}
    timing = json.loads((done / "summary.json").read_text())["timings"][0]
    assert timing["steps"] == 60 * 6
    assert timing["fit"] == pytest.approx(timing["step"] * timing["steps"])


def test_study_goes_on_where_it_stopped(inputs: Path, done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (done / "results.csv").read_bytes()

    def refuse(*_: object) -> Row:
        raise AssertionError("everything is there already")

    monkeypatch.setattr(module, "run_task", refuse)
    study_inr(plan_of(inputs, done, separate=(inputs / "other.safetensors",)))
    assert (done / "results.csv").read_bytes() == before
    with pytest.raises(AssertionError):
        study_inr(plan_of(inputs, done, evaluations=13))


@pytest.mark.parametrize(
    "changes",
    [{"methods": ()}, {"bits": ("1",)}, {"bits": ("4", "4")}, {"bits": ("x",)}, {"rates": -1}, {"evaluations": 0},
     {"methods": ("guessing",)}],
    ids=str,
)  # fmt: skip
def test_plan_refuses_what_cannot_be_studied(inputs: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(RangeError, match="RC-USAGE"):
        plan_of(inputs, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_study_refuses_another_clip_and_another_folder(inputs: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="was fitted to 6 frames of 24x16, not to this clip"):
        study_inr(plan_of(inputs, tmp_path / "out", crop=(8, 8)))
    assert not (tmp_path / "out").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(FileError, match=r"no study of implicit videos to go on with: it holds letter\.txt"):
        study_inr(plan_of(inputs, tmp_path / "mine"))


def test_timing_says_how_much_faster() -> None:
    assert Timing("net", 10.0, 0.5, 100).ratio == 5.0


def test_study_on_the_command_line(inputs: Path, done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["study", "inr", str(inputs / "net.safetensors"), "--clip", str(inputs / "clip")]
    options = ["--methods", "naive,neuroquant", "--bits", "4,2", "--rates", "2", "--evaluations", "12"]
    assert main([*arguments, *options, "-o", str(done)]) == 0
    assert "| naive |" in capsys.readouterr().out
    assert main([*arguments, "--methods", "guessing", "-o", str(inputs / "new")]) == 2
    assert "RC-USAGE: a method is one of neuroquant, naive," in capsys.readouterr().err
