"""`refcodec export`: a folder that runs elsewhere with the same integers, and nothing half-written (SPEC EXP-1)."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import onnx_oracle
import pytest
import tosa_oracle

from refcodec.cli import main
from refcodec.codecs.family import codec_of
from refcodec.codecs.stream import Geometry
from refcodec.errors import ExportError
from refcodec.files import SUMS
from refcodec.interop.export import MANIFEST, NOTATIONS, export_model
from refcodec.models.shipped import DEFAULT_MODEL, DEFAULT_STREAM, shipped_path
from refcodec.program.model_file import load_model
from refcodec.vectorgen.tiny_models import HYPER, LATENT, TINY_MODELS, drawn_latents, tiny_autoregressive

STREAM = shipped_path(DEFAULT_STREAM, ".rcb")
SMALL = Path(__file__).parents[1] / "vectors" / "streams" / "scale_hyperprior" / "33x17" / "in.stream.le"
PROGRAMS = {"h_s": ("z", "indexes"), "g_s": ("y", "x_hat")}


@pytest.mark.parametrize("notation", sorted(NOTATIONS))
def test_an_exported_folder_is_described_by_its_manifest(notation: str, tmp_path: Path) -> None:
    assert main(["export", "--to", notation, "--stream", str(SMALL), "-o", str(tmp_path / "out")]) == 0
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    assert (manifest["schema"], manifest["notation"]) == ("refcodec-export/1", notation)
    assert manifest["model"] == load_model(shipped_path(DEFAULT_MODEL, ".rcm")).identity
    listed = {MANIFEST, SUMS}
    for name, (source, target) in PROGRAMS.items():
        described = manifest["programs"][name]
        content = (tmp_path / "out" / described["file"]).read_bytes()
        assert described["sha256"] == hashlib.sha256(content).hexdigest()
        assert [port["name"] for port in described["inputs"] + described["outputs"]] == [source, target]
        for port in described["inputs"] + described["outputs"]:
            values = np.load(tmp_path / "out" / f"{name}.{port['name']}.npy")
            assert values.dtype.name == port["dtype"]
            assert values.ndim == 4
            assert list(values.shape) == port.get("shape", list(values.shape))
        listed |= {described["file"], *described["tensors"]}
    assert {path.name for path in (tmp_path / "out").iterdir()} == listed


def test_exported_tosa_files_give_the_tensors_beside_them(tmp_path: Path) -> None:
    assert main(["export", "--to", "tosa", "--stream", str(SMALL), "-o", str(tmp_path / "out")]) == 0
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())["programs"]
    for name, (source, target) in PROGRAMS.items():
        content = (tmp_path / "out" / f"{name}.tosa").read_bytes()
        x, y = (np.load(tmp_path / "out" / f"{name}.{tensor}.npy") for tensor in (source, target))
        status, found = tosa_oracle.evaluate(content, {source: x}, [target])
        assert status == "TOSA_VALID"
        assert tosa_oracle.complaints(content, manifest[name]["extensions"], manifest[name]["version"]) == ""
        np.testing.assert_array_equal(found[target].astype(y.dtype), y)
        assert len(np.unique(y)) > 20


def test_exported_onnx_files_give_the_tensors_beside_them_at_any_size(tmp_path: Path) -> None:
    """The file made without a size runs on the tensors of the stream too."""
    assert main(["export", "--to", "onnx", "-o", str(tmp_path / "any")]) == 0
    assert main(["export", "--to", "onnx", "--stream", str(SMALL), "-o", str(tmp_path / "out")]) == 0
    assert not list((tmp_path / "any").glob("*.npy"))
    for name, (source, target) in PROGRAMS.items():
        x, y = (np.load(tmp_path / "out" / f"{name}.{tensor}.npy") for tensor in (source, target))
        for folder in ("any", "out"):
            content = (tmp_path / folder / f"{name}.onnx").read_bytes()
            np.testing.assert_array_equal(onnx_oracle.session(content)({source: x})[target], y)
            np.testing.assert_array_equal(onnx_oracle.reference(content)({source: x})[target], y)


REPORTED = {  # the programs whose inputs a decode reports
    "factorised": {"g_s"},
    "mean-scale-hyperprior": {"h_s", "g_s"},
    "entropy-parameters": {"h_s"},
    "checkerboard": {"h_s", "context", "entropy_parameters", "g_s"},
    "autoregressive": {"h_s", "g_s"},
}


@pytest.mark.parametrize("notation", sorted(NOTATIONS))
@pytest.mark.parametrize("family", TINY_MODELS)
def test_every_family_is_exported_with_the_tensors_of_a_stream(family: str, notation: str) -> None:
    model = TINY_MODELS[family]((8, 8), 5)
    codec = codec_of(model)
    geometry = Geometry(20, 17, 1)
    stream = codec.encode(drawn_latents(codec, geometry, (HYPER, LATENT), 6), geometry)
    files = export_model(model, notation, stream=stream)
    assert {name.split(".")[0] for name in files if name.endswith(".npy")} == REPORTED[family]
    manifest = json.loads(files[MANIFEST])["programs"]
    assert set(manifest) == {program.name for program in codec.programs}
    for program in codec.programs:
        content = files[manifest[program.name]["file"]]
        inputs, wanted = (
            {tensor.name: np.load(io.BytesIO(files[f"{program.name}.{tensor.name}.npy"])) for tensor in tensors}
            for tensors in ((program.inputs, program.outputs) if program.name in REPORTED[family] else ((), ()))
        )
        if notation == "onnx":
            found = onnx_oracle.session(content)(inputs) if inputs else {}
        else:
            facts = manifest[program.name]
            assert tosa_oracle.complaints(content, facts["extensions"], facts["version"]) == ""
            found = tosa_oracle.evaluate(content, inputs, list(wanted))[1] if inputs else {}
        for name, values in wanted.items():
            got = found[name].view(values.dtype)  # TOSA's ports know no sign; the bits are the same
            np.testing.assert_array_equal(got, values, err_msg=f"{program.name}.{name}")


def test_export_of_a_serial_scan_is_for_one_position() -> None:
    model = tiny_autoregressive((8, 8), 5)
    facts = json.loads(export_model(model, "tosa", (64, 128))[MANIFEST])["programs"]
    shapes = {name: [port["shape"] for port in described["inputs"]] for name, described in facts.items()}
    assert shapes["h_s"] == [[1, 1, 2, HYPER]]
    assert shapes["context"] == [[1, 5, 5, LATENT]]
    assert shapes["entropy_parameters"] == [[1, 1, 1, 6], [1, 1, 1, 6]]
    assert shapes["g_s"] == [[1, 4, 8, LATENT]]


def test_export_by_size_equals_export_by_stream() -> None:
    model = load_model(shipped_path(DEFAULT_MODEL, ".rcm"))
    by_stream = export_model(model, "tosa", stream=SMALL.read_bytes())
    by_size = export_model(model, "tosa", (17, 33))
    for name in PROGRAMS:
        assert by_size[f"{name}.tosa"] == by_stream[f"{name}.tosa"]


def test_export_refuses_tosa_without_a_size() -> None:
    model = load_model(shipped_path(DEFAULT_MODEL, ".rcm"))
    with pytest.raises(ExportError, match=r"^RC-EXPORT: TOSA knows fixed sizes only"):
        export_model(model, "tosa")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--to", "tosa"], "RC-EXPORT"),
        (["--to", "tosa", "--size", "16x16", "--stream", str(STREAM)], "RC-USAGE"),
        (["--to", "tosa", "--size", "0x16"], "RC-RANGE"),
        (["--to", "tosa", "--size", "70000x16"], "RC-RANGE"),
        (["--to", "onnx", "--stream", "absent.rcb"], "RC-FILE-READ"),
        (["--to", "onnx", "--stream", __file__], "RC-STREAM-MAGIC"),
        (["absent.rcm", "--to", "onnx"], "RC-FILE-READ"),
    ],
)
def test_export_refuses_and_leaves_nothing(
    arguments: list[str], code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", *arguments, "-o", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"refcodec: {code}: ")
    assert printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
