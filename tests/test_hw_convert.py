"""Emitted HDL: the same bytes everywhere, complete or absent, clean under lint (SPEC HW-7)."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hw_random_layers import LAYER, Case, small_layer

from hw.convert import convert_layer, module_name
from hw.simulate import simulate_layer
from refcodec.errors import FileError
from refcodec.formats import IntFormat

ROOT = Path(__file__).parents[1]
CASE = Case(kernel=5, stride=2, transposed=True, padding=2, output_padding=1, tile=(2, 3), lanes=(3, 2))
RAW = Case(output=None, activation=IntFormat(10, True), weight=IntFormat(7, True))
LANGUAGES = ("verilog", "vhdl")
SCRIPT = f"""
import sys
from hw_random_layers import LAYER, small_layer
from hw_random_layers import Case
from hw.convert import convert_layer
program, x = small_layer({CASE!r})
for language in {LANGUAGES!r}:
    convert_layer(program, LAYER, x, language, sys.argv[1] + language, *{CASE.lanes!r})
""".replace("IntFormat(", "__import__('refcodec.formats').formats.IntFormat(")


def emit(folder: Path, language: str, case: Case = CASE) -> dict:
    program, x = small_layer(case)
    return convert_layer(program, LAYER, x, language, folder, *case.lanes)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def emitted(tmp_path_factory) -> dict[str, dict[str, bytes]]:
    """The files of both languages, made once."""
    base = tmp_path_factory.mktemp("emitted")
    for language in LANGUAGES:
        emit(base / language, language)
    return {language: contents(base / language) for language in LANGUAGES}


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_conversion_ignores_the_hash_seed(seed, emitted, tmp_path):
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    command = [sys.executable, "-c", SCRIPT, f"{tmp_path}{os.sep}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert {language: contents(tmp_path / language) for language in LANGUAGES} == emitted


@pytest.mark.parametrize("language", LANGUAGES)
def test_conversion_ignores_what_ran_before(language, emitted, tmp_path):
    program, x = small_layer(RAW)
    simulate_layer(program, LAYER, x[:, :2, :2], 2, 2)
    emit(tmp_path / "other", "vhdl" if language == "verilog" else "verilog", RAW)
    for name in ("again", "and again"):
        emit(tmp_path / name, language)
        assert contents(tmp_path / name) == emitted[language]


@pytest.mark.parametrize("language", LANGUAGES)
def test_manifest_lists_every_file_with_its_digest(language, emitted):
    files = emitted[language]
    manifest = json.loads(files["manifest.json"])
    digests = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in files.items()
        if name not in ("manifest.json", "SHA256SUMS")
    }
    assert manifest["files"] == digests
    assert manifest["parameters"]["activation"] == "u8"
    assert manifest["parameters"]["pi"] == 3
    assert manifest["clauses"] == ["TCONV-3", "RQ-1"]
    assert manifest["memories"]["weight"] == {"select": 0, "bits": 24, "words": 75, "lanes": 2}
    assert manifest["streams"]["source"] == {
        "channels": 3, "height": 2, "width": 3, "lanes": 3, "format": "u8", "words": 6, "word_bits": 24,
    }  # fmt: skip
    suffix = "v" if language == "verilog" else "vhd"
    assert f"layer_layer_0.{suffix}" in files
    assert any(name.startswith("pck_myhdl_") for name in files) == (language == "vhdl")


def test_images_are_complete(emitted):
    files = emitted["verilog"]
    manifest = json.loads(files["manifest.json"])
    places = [(line[:2], line[2:4], line[4:10]) for line in files["load.hex"].decode().split()]
    assert len(set(places)) == len(places) == manifest["cycles"]["load"]
    for memory in manifest["memories"].values():
        mine = [place for place in places if int(place[0], 16) == memory["select"]]
        assert len(mine) == memory["words"] * memory["lanes"]
        assert max(int(place[1], 16) for place in mine) == memory["lanes"] - 1
        assert max(int(place[2], 16) for place in mine) == memory["words"] - 1
    widest = max(memory["bits"] for memory in manifest["memories"].values())
    assert {len(line) for line in files["load.hex"].split()} == {10 + -(-widest // 4)}
    assert len(files["source.hex"].split()) == manifest["streams"]["source"]["words"]
    expected = files["expected.hex"].decode().split()
    assert len(expected) == manifest["streams"]["sink"]["words"]
    assert int(expected[-1].split("_")[0], 16) == manifest["cycles"]["run"]
    assert len(set(expected)) == len(expected)


def test_raw_layer_has_no_scale_memories(tmp_path):
    manifest = emit(tmp_path / "raw", "verilog", RAW)
    assert set(manifest["memories"]) == {"weight", "bias"}
    assert "{{" not in "".join((tmp_path / "raw" / name).read_text() for name in ("bench.v", "Makefile", "README.md"))


def test_readme_names_every_port(emitted):
    header = emitted["verilog"]["layer_layer_0.v"].decode().split(");")[0]
    ports = re.findall(r"^    (\w+),?$", header, re.MULTILINE)
    assert len(ports) == 14
    readme = emitted["verilog"]["README.md"].decode()
    assert [port for port in ports if port not in readme] == []


def test_emitted_folder_replaces_only_its_own_kind(tmp_path):
    target = tmp_path / "out"
    emit(target, "verilog", RAW)
    emit(target, "vhdl", RAW)
    assert not list(target.glob("*.v"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").write_text("precious")
    with pytest.raises(FileError) as caught:
        emit(other, "verilog", RAW)
    assert caught.value.code == "RC-FILE-WRITE"
    assert contents(other) == {"thesis.txt": b"precious"}


def test_failed_conversion_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hw.convert._write_words", fail)
    with pytest.raises(FileError, match="No space left"):
        emit(tmp_path / "out", "verilog", RAW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("layer", "module"),
    [("g_s.6", "layer_g_s_6"), ("h_s.0", "layer_h_s_0"), ("a--b", "layer_a_b"), ("Ünit 1", "layer_nit_1")],
)
def test_module_names_are_legal_in_both_languages(layer, module):
    assert module_name(layer) == module


@pytest.mark.hdl
@pytest.mark.skipif(shutil.which("verilator") is None, reason="verilator is not installed")
@pytest.mark.parametrize("case", [CASE, RAW], ids=["requantised", "raw"])
def test_emitted_verilog_is_clean_under_lint(case, tmp_path):
    emit(tmp_path / "out", "verilog", case)
    done = subprocess.run(["make", "lint"], cwd=tmp_path / "out", capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "%Warning" not in done.stderr
