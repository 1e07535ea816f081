"""Every family from checkpoint to picture on the command line, and the options of import and quantize."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from formula_codecs import formula
from small_codecs import ARCHITECTURES, label, metadata_of, parameters_of

from refcodec.cli import main
from refcodec.models.architecture import ENTROPY_PARAMETERS, FACTORISED, Architecture
from refcodec.models.checkpoint import save_parameters
from refcodec.program.model_file import load_model

Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command that must succeed; what it printed."""

    def call(*words: object, status: int = 0) -> str:
        assert main([str(word) for word in words]) == status
        found = capsys.readouterr()
        return found.out if status == 0 else found.err

    return call


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder with one small picture and one small latent."""
    folder = tmp_path / "photos"
    folder.mkdir()
    ramp = np.add.outer(np.arange(70) * 2, np.arange(90)) % 256
    imageio.imwrite(folder / "a.png", np.stack([ramp, ramp[::-1], 255 - ramp], axis=2).astype(np.uint8))
    np.save(folder / "a.npy", (4 * formula("latent", (6, 9, 11))).astype(np.float32))
    return folder


def checkpoint(architecture: Architecture, path: Path) -> Path:
    save_parameters(path, parameters_of(architecture), metadata_of(architecture))
    return path


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=label)
def test_every_family_goes_from_checkpoint_to_picture(architecture: Architecture, photos: Path, run: Run) -> None:
    work = photos.parent
    counted = ("--tables-from", photos) if architecture.density_channels == 0 else ()
    said = run("import", checkpoint(architecture, work / "c.safetensors"), *counted, "-o", work / "m.safetensors")
    assert said == f"{work}/m.safetensors: {architecture.text}\n"
    run("quantize", work / "m.safetensors", "--calibrate", photos, "-o", work / "m.rcm")
    assert load_model(work / "m.rcm").family == architecture.family
    is_latent = architecture.family == ENTROPY_PARAMETERS
    source, target = ("a.npy", "b.npy") if is_latent else ("a.png", "b.png")
    run("encode", photos / source, "--model", work / "m.rcm", "-o", work / "s.rcb")
    run("decode", work / "s.rcb", "--model", work / "m.rcm", "--taps", work / "taps", "-o", work / target)
    assert (work / "taps" / "case.json").is_file()
    if is_latent:
        y, decoded = np.load(photos / source), np.load(work / target)
        assert decoded.dtype == np.int32
        assert np.abs(decoded / 256 - y).max() < 0.51  # a symbol is rounded about its mean; 2**-8 are its units
    else:
        assert imageio.imread(work / target).shape == imageio.imread(photos / source).shape
    described = json.loads(run("info", work / "s.rcb", "--json"))
    assert described["model"] == load_model(work / "m.rcm").identity
    assert sum(described["sections"].values()) < described["bytes"]
    assert architecture.family in run("info", work / "m.rcm")


def test_import_takes_one_codec_of_ssf2020(tmp_path: Path, run: Run) -> None:
    parts = [a for a in ARCHITECTURES if a.stem]
    parameters = {name: array for a in parts for name, array in parameters_of(a).items()}
    save_parameters(tmp_path / "ssf.safetensors", parameters, {})
    for a in parts:
        part = a.stem if a.stem == "img" else f"{a.stem}_hyperprior"
        said = run("import", tmp_path / "ssf.safetensors", "--part", part, "-o", tmp_path / "part.safetensors")
        assert said.endswith(f"{a.text}\n")
    refused = run("import", tmp_path / "ssf.safetensors", "-o", tmp_path / "part.safetensors", status=2)
    assert "RC-MODEL-FAMILY: an ssf2020 checkpoint holds the codecs img, motion, res: choose a part" in refused


def test_tables_are_counted_for_factorised_codecs_alone(photos: Path, run: Run) -> None:
    work = photos.parent
    (scale,) = (a for a in ARCHITECTURES if a.text.startswith("scale-hyperprior, relu"))
    words = ("import", checkpoint(scale, work / "c.safetensors"), "--tables-from", photos, "-o", work / "m.safetensors")
    assert "RC-RANGE: tables are counted for factorised codecs" in run(*words, status=2)
    (bls,) = (a for a in ARCHITECTURES if a.backbone == "bls2017")
    assert bls.family == FACTORISED
    words = ("quantize", checkpoint(bls, work / "c.safetensors"), "--calibrate", photos, "-o", work / "m.rcm")
    assert "RC-CHECKPOINT-PARAMETER: entropy_bottleneck._quantized_cdf: found none" in run(*words, status=2)


@pytest.mark.parametrize(
    "options",
    [
        ("--observer", "minmax"),
        ("--observer", "percentile", "--percentile", "99"),
        ("--observer", "sigma", "--deviations", "2"),
        ("--observer", "sigma-upper", "--deviations", "2"),
        ("--weight-steps", "tensor"),
        ("--activation-steps", "tensor"),
        ("--activation-steps", "equalised"),
        ("--no-bias-correction",),
        ("--normalisation", "5"),
    ],
    ids="".join,
)
def test_every_option_of_quantize_changes_the_model(options: tuple[str, ...], photos: Path, run: Run) -> None:
    work = photos.parent
    (gdn,) = (a for a in ARCHITECTURES if a.text.startswith("scale-hyperprior, gdn1"))
    path = checkpoint(gdn, work / "c.safetensors")
    run("quantize", path, "--calibrate", photos, "-o", work / "plain.rcm")
    run("quantize", path, "--calibrate", photos, *options, "--save-recipe", work / "r.json", "-o", work / "m.rcm")
    assert load_model(work / "m.rcm").identity != load_model(work / "plain.rcm").identity
    run("quantize", path, "--recipe", work / "r.json", "-o", work / "again.rcm")
    assert (work / "again.rcm").read_bytes() == (work / "m.rcm").read_bytes()
    refused = run("quantize", path, "--recipe", work / "r.json", *options, "-o", work / "again.rcm", status=2)
    assert f"RC-USAGE: {options[0]} is already decided by --recipe" in refused


def test_study_calibration_has_a_row_for_every_choice(photos: Path, run: Run) -> None:
    work = photos.parent
    (gdn,) = (a for a in ARCHITECTURES if a.text.startswith("scale-hyperprior, gdn1"))
    path = checkpoint(gdn, work / "c.safetensors")
    words = ("study", "calibration", path, "--images", photos, "--precisions", "W4A4,W8A8")
    rows = json.loads(run(*words, "--json"))["rows"]
    choices = {row["choice"] for row in rows}
    assert len(rows) == 2 * len(choices) == 22
    losses = {(row["precision"], row["choice"]): row["loss_db"] for row in rows}
    default = next(choice for choice in choices if choice.startswith("default"))
    assert losses["W4A4", default] > losses["W8A8", default]
    assert default in run(*words)
