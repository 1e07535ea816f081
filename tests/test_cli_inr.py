"""Implicit videos on the command line: fit."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numba
import numpy as np
import pytest

from refcodec.cli import build_parser, main
from refcodec.codecs.video import write_clip
from refcodec.fit import video as fit_video_module
from refcodec.fit.design import FAMILIES, design, parameter_count
from refcodec.fit.loop import Schedule, begin, fit_epoch
from refcodec.models.inr.trained import load_video

ROOT = Path(__file__).parents[1]
FRAMES, HEIGHT, WIDTH = 3, 8, 12
SIZE = 15_000
ERROR = re.compile(r"refcodec: (RC-[A-Z-]+): [^\n]+\n")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def one_thread():
    """Tiny frames are quicker without threads that wait for each other."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


def moving_picture(frames: int = FRAMES) -> np.ndarray:
    t, y, x, c = np.meshgrid(*map(np.arange, (frames, HEIGHT, WIDTH, 3)), indexing="ij")
    return (40 + 9 * x + 7 * y + 20 * c + 5 * t).astype(np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A folder of three pictures."""
    write_clip(tmp_path / "clip", range(FRAMES), moving_picture())
    return tmp_path / "clip"


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """A function that runs the command line in this process: exit status, standard output, standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            status: Any = main([str(word) for word in words])
        except SystemExit as stopped:
            status = stopped.code
        found = capsys.readouterr()
        return status, found.out, found.err

    return call


# --- fit


@pytest.mark.parametrize("family", FAMILIES)
def test_fit_writes_a_trained_video_and_says_how_near_it_is(family: str, clip: Path, run: Run, tmp_path: Path) -> None:
    output = tmp_path / "out.safetensors"
    words = "fit", clip, "--arch", family, "--size", SIZE, "--strides", "2,2", "--epochs", 2, "--rate", 0.01
    status, out, err = run(*words, "-o", output)
    architecture = design(family, SIZE, (FRAMES, HEIGHT, WIDTH), (2, 2))
    found = load_video(output)
    assert (status, err) == (0, "")
    assert found.architecture == architecture
    count = parameter_count(architecture)
    assert out.splitlines() == [
        f"{family}: {count} parameters, 3 frames of 12x8",
        f"{output}: {found.provenance['psnr']} dB in the last pass",
    ]
    provenance = {key: text for key, text in found.provenance.items() if key != "psnr"}
    wanted = {"clip": "clip", "family": family, "epochs": "2", "rate": "0.01", "batch": "1", "seed": "0"}
    assert provenance == wanted
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip", "out.safetensors"]


def test_fit_does_what_the_functions_do(clip: Path, run: Run, tmp_path: Path) -> None:
    """Crop, kernels, batch and seed reach them."""
    output = tmp_path / "out.safetensors"
    words = "--crop", "6x8", "--strides", "2,2", "--kernels", "3,1", "--epochs", 2, "--batch", 2, "--seed", 7
    assert run("fit", clip, "--size", SIZE, *words, "-o", output)[0] == 0
    frames = moving_picture()[:, 1:7, 2:10]
    fit = begin(design("hnerv", SIZE, (FRAMES, 6, 8), (2, 2), (3, 1)), frames, 7)
    for _ in range(2):
        fit_epoch(fit, frames, Schedule(2, batch=2, seed=7), lambda _: None)
    found = load_video(output)
    assert found.architecture == fit.architecture
    for name, array in fit.parameters.items():
        np.testing.assert_array_equal(found.parameters[name], array)


def test_fit_of_a_moving_picture_in_a_file(run: Run, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.gif", range(FRAMES), moving_picture())
    status, out, _ = run("fit", tmp_path / "clip.gif", "--size", SIZE, "--epochs", 1, "-o", tmp_path / "out")
    assert status == 0
    assert "3 frames of 12x8" in out


def test_fit_has_the_defaults_that_its_help_states() -> None:
    args = build_parser().parse_args(["fit", "clip", "--size", "5", "-o", "out"])
    assert (args.arch, args.epochs, args.rate, args.batch, args.seed) == ("hnerv", 300, 2e-3, 1, 0)
    assert (args.crop, args.strides, args.kernels, args.resume) == (None, None, None, False)


WRONG = [
    ("RC-USAGE", ("--size", "many")), ("RC-USAGE", ("--size", "3.5")), ("RC-USAGE", ("--arch", "ffnerv")),
    ("RC-USAGE", ("--strides", "")), ("RC-USAGE", ("--strides", "5,,2")), ("RC-USAGE", ("--strides", "5x2")),
    ("RC-USAGE", ("--kernels", "3,five")), ("RC-USAGE", ("--crop", "8")), ("RC-USAGE", ("--epochs", "few")),
    ("RC-USAGE", ("--epochs", 0)), ("RC-USAGE", ("--batch", 0)), ("RC-USAGE", ("--batch", -1)),
    ("RC-USAGE", ("--rate", 0)), ("RC-USAGE", ("--rate", 1)), ("RC-USAGE", ("--rate", "nan")),
    ("RC-USAGE", ("--rate", "-0.1")), ("RC-USAGE", ("--seed", -1)), ("RC-USAGE", ("--strides", "2,0")),
    ("RC-USAGE", ("--strides", "2,2", "--kernels", "3")), ("RC-RANGE", ("--strides", "2,2", "--kernels", "3,4")),
    ("RC-RANGE", ("--strides", "65")), ("RC-RANGE", ("--size", 0)), ("RC-RANGE", ("--size", -3)),
    ("RC-RANGE", ("--size", 10)), ("RC-RANGE", ("--size", 10**9)), ("RC-VIDEO-FORMAT", ("--crop", "9x9")),
    ("RC-VIDEO-FORMAT", ("--crop", "0x0")),
]  # fmt: skip


@pytest.mark.parametrize(("code", "words"), WRONG, ids=lambda value: " ".join(map(str, value)) if value else "")
def test_fit_refuses_options_that_cannot_be(
    code: str, words: tuple[object, ...], clip: Path, run: Run, tmp_path: Path
) -> None:
    status, out, err = run("fit", clip, "--size", SIZE, "-o", tmp_path / "out", *words)
    assert (status, out) == (2, "")
    line = ERROR.fullmatch(err)
    assert line, err
    assert line[1] == code
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


def test_fit_wants_a_size_an_output_and_a_clip(clip: Path, run: Run, tmp_path: Path) -> None:
    for words in ((clip, "-o", tmp_path / "out"), (clip, "--size", SIZE), ("--size", SIZE, "-o", tmp_path / "out")):
        status, out, err = run("fit", *words)
        assert (status, out) == (2, "")
        assert err.startswith("refcodec: RC-USAGE: the following arguments are required")


def test_fit_refuses_what_is_no_clip(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.gif").write_text("no picture")
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for k, frame in enumerate((moving_picture()[0], moving_picture()[1, :7])):
        imageio.imwrite(mixed / f"{k}.png", frame)
    for name, code in (
        ("nowhere", "RC-FILE-READ"), ("empty", "RC-VIDEO-READ"), ("text.gif", "RC-VIDEO-READ"),
        ("mixed", "RC-VIDEO-FORMAT"),
    ):  # fmt: skip
        status, out, err = run("fit", tmp_path / name, "--size", SIZE, "-o", tmp_path / "out")
        assert (status, out) == (2, "")
        assert err.startswith(f"refcodec: {code}: "), err


def test_fit_refuses_an_output_that_cannot_be_written(clip: Path, run: Run, tmp_path: Path) -> None:
    for output in (tmp_path, tmp_path / "nowhere" / "out", ""):
        status, _, err = run("fit", clip, "--size", SIZE, "--epochs", 1, "-o", output)
        assert status == 2
        assert err.startswith("refcodec: RC-FILE-WRITE: "), err
    assert [path.name for path in tmp_path.iterdir()] == ["clip"]


def test_fit_interrupted_goes_on_where_it_stopped(
    clip: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = "fit", clip, "--size", SIZE, "--epochs", 3, "-o"
    assert run(*words, tmp_path / "whole")[0] == 0

    def stopped(fit: Any, *rest: Any) -> None:
        if fit.epoch == 2:
            raise KeyboardInterrupt
        fit_epoch(fit, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(fit_video_module, "fit_epoch", stopped)
        status, _, err = run(*words, tmp_path / "parts")
    assert (status, err) == (130, "refcodec: interrupted\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip", "parts.checkpoint", "whole"]

    status, _, err = run(*words, tmp_path / "parts")
    assert status == 2
    assert err.startswith("refcodec: RC-FILE-WRITE: ")
    assert "--resume" in err
    status, _, err = run(*words, tmp_path / "parts", "--resume", "--seed", 1)
    assert status == 2
    assert err.startswith("refcodec: RC-USAGE: ")
    assert run(*words, tmp_path / "parts", "--resume")[0] == 0
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip", "parts", "whole"]


def test_fit_resumes_nothing(clip: Path, run: Run, tmp_path: Path) -> None:
    status, _, err = run("fit", clip, "--size", SIZE, "--resume", "-o", tmp_path / "out")
    assert status == 2
    assert err.startswith("refcodec: RC-FILE-READ: ")


def test_fit_without_autograd_says_how_to_get_it(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['autograd'] = None; from refcodec.cli import main;"
        " sys.exit(main(['fit', 'clip', '--size', '5', '-o', 'out']))"
    )
    command = [sys.executable, "-W", "error", "-c", script]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "", "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=300)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "refcodec: RC-EXTRA: this needs autograd: pip install 'refcodec[calibrate]'\n"
