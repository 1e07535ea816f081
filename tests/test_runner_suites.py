"""Suites as the runner uses them: checked first; compared with each other; written as NumPy files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from runner_suite import CAT, CLIP, SHAPE, WIDE, WIDER, real_cases, tapped, write_suite

from refcodec.cli import main
from refcodec.errors import FileError, VectorError
from refcodec.files import SUMS, folder_sums
from refcodec.runner.diff import MAJOR, MINOR, NOTHING, PATCH, diff_suites
from refcodec.runner.export import export_npy
from refcodec.runner.run import Plan, run_suite
from refcodec.runner.suite import open_suite
from refcodec.runner.target import Recorded
from refcodec.vectorgen.case import Case, load_case
from refcodec.vectorgen.values import Values

Edit = Callable[[Path], object]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A suite that is not to be written to."""
    return write_suite(tmp_path_factory.mktemp("runner") / "suite", [*real_cases(), tapped()])


@pytest.fixture
def suite(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole, tmp_path / "suite")
    return tmp_path / "suite"


def edit_json(path: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_text())
    edit(document)
    path.write_text(json.dumps(document))


def test_open_suite_chooses_by_pattern(whole: Path) -> None:
    assert list(open_suite(whole, "*/clip/*").entries) == [CLIP]
    assert len(open_suite(whole).entries) == open_suite(whole, CLIP).total == 7
    with pytest.raises(VectorError, match=r"^RC-VECTOR-SUITE: no case of .* matches nothing"):
        open_suite(whole, "nothing")


BROKEN: dict[str, tuple[Edit, str]] = {
    "changed byte": (lambda s: (s / CLIP / "out.y.le").write_bytes(bytes(22)), "RC-VECTOR-HASH"),
    "stray file": (lambda s: (s / "stray").touch(), "RC-VECTOR-SUITE"),
    "missing file": (lambda s: (s / CLIP / "out.y.le").unlink(), "RC-VECTOR-SUITE"),
    "no suite": (shutil.rmtree, "RC-FILE-READ"),
}
RESEALED: dict[str, Edit] = {
    "index of another schema": lambda s: edit_json(s / "index.json", lambda d: d.update(schema="refcodec-index/9")),
    "index with an unknown key": lambda s: edit_json(s / "index.json", lambda d: d.update(more=1)),
    "case of another schema": lambda s: edit_json(s / CLIP / "case.json", lambda d: d.update(schema="refcodec-case/1")),
    "case with an unknown key": lambda s: edit_json(s / CLIP / "case.json", lambda d: d.update(more=1)),
    "another version": lambda s: edit_json(s / "VERSION.json", lambda d: d.update(schema="refcodec-suite/9")),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_open_suite_checks_files_before_use(broken: str, suite: Path) -> None:
    edit, code = BROKEN[broken]
    edit(suite)
    with pytest.raises((VectorError, FileError), match=f"^{code}: "):
        open_suite(suite)


@pytest.mark.parametrize("broken", RESEALED)
def test_run_suite_refuses_unknown_schemas_and_keys(broken: str, suite: Path, tmp_path: Path) -> None:
    RESEALED[broken](suite)
    (suite / SUMS).write_text(folder_sums(suite))
    with pytest.raises(VectorError, match=r"^RC-VECTOR-SUITE: "):
        run_suite(open_suite(suite), Recorded(tmp_path, signatures=False), Plan())


# --- differences of suites


def changed(case: Case, edit: str) -> Case:
    if edit == "comment":
        return replace(case, comment="other words")
    if edit == "flags":
        return replace(case, flags=("Tie",))
    if edit == "parameter":
        return replace(case, parameters={**case.parameters, "lo": -7})
    if edit == "error":
        return replace(case, error="RC-RANGE")
    if edit == "accept":
        return replace(case, accept=("RC-RANGE",))
    role = {"input": "inputs", "output": "outputs", "tap": "taps", "clause": "outputs"}[edit]
    if edit == "clause":
        return replace(case, defined_by={**case.defined_by, "y": "RND-1"})
    tensors = dict(getattr(case, role))
    name, values = next(iter(tensors.items()))
    array = values.array.copy()
    array.flat[0] ^= 1
    return replace(case, **{role: {**tensors, name: Values(array, values.format)}})


@pytest.mark.parametrize(
    ("identifier", "edit", "aspect", "bump"),
    [
        (CLIP, "comment", "text", PATCH),
        (CLIP, "flags", "text", PATCH),
        (CLIP, "clause", "text", PATCH),
        (CLIP, "parameter", "inputs", MAJOR),
        (CLIP, "input", "inputs", MAJOR),
        (CLIP, "output", "expectations", PATCH),
        (tapped().id, "tap", "expectations", PATCH),
        (SHAPE, "error", "expectations", PATCH),
        (SHAPE, "accept", "expectations", PATCH),
    ],
)
def test_diff_suites_tells_what_changed_in_a_case(
    identifier: str, edit: str, aspect: str, bump: str, whole: Path, tmp_path: Path
) -> None:
    cases = [changed(case, edit) if case.id == identifier else case for case in [*real_cases(), tapped()]]
    found = diff_suites(whole, write_suite(tmp_path / "new", cases))
    assert getattr(found, aspect) == (identifier,)
    assert sum(len(getattr(found, name)) for name in ("added", "removed", "inputs", "expectations", "text")) == 1
    assert found.asked[0] == bump
    assert ("erratum" in found.asked[1]) is (aspect == "expectations")
    assert not found.equal


def test_diff_suites_tells_added_and_removed_cases(whole: Path, tmp_path: Path) -> None:
    fewer = write_suite(tmp_path / "fewer", [case for case in real_cases() if case.id != CAT])
    found = diff_suites(fewer, whole)
    assert (found.added, found.removed, found.asked[0]) == ((CAT, tapped().id), (), MINOR)
    found = diff_suites(whole, fewer)
    assert (found.added, found.removed, found.asked[0]) == ((), (CAT, tapped().id), MAJOR)
    assert f"removed: {CAT}" in found.as_text()
    mixed = [changed(case, "output") if case.id == CLIP else case for case in [*real_cases(), tapped()]]
    found = diff_suites(fewer, write_suite(tmp_path / "mixed", mixed))
    assert found.asked == (MINOR, "cases were added, and an erratum for every changed expectation")


def test_diff_suites_of_equal_suites_asks_for_nothing(whole: Path, suite: Path) -> None:
    found = diff_suites(whole, suite)
    assert (found.equal, found.asked[0]) == (True, NOTHING)


def test_diff_suites_reads_another_form(suite: Path, whole: Path) -> None:
    for path in suite.rglob("case.json"):
        edit_json(path, lambda d: d.update(schema="refcodec-case/1"))
    (suite / SUMS).write_text(folder_sums(suite))
    found = diff_suites(suite, whole)
    assert found.asked[0] == MAJOR
    assert "refcodec-case/1 -> refcodec-case/2" in found.form


def test_diff_suites_checks_sums_and_form(whole: Path, suite: Path, tmp_path: Path) -> None:
    (suite / CLIP / "out.y.le").write_bytes(bytes(22))
    with pytest.raises(VectorError, match=r"^RC-VECTOR-HASH: "):
        diff_suites(whole, suite)
    (suite / "index.json").write_text("[]")
    (suite / SUMS).write_text(folder_sums(suite))
    with pytest.raises(VectorError, match=r"^RC-VECTOR-SUITE: "):
        diff_suites(whole, suite)
    edit_json(suite / WIDE / "case.json", lambda d: d.pop("outputs"))
    shutil.copy(whole / "index.json", suite)
    (suite / SUMS).write_text(folder_sums(suite))
    with pytest.raises(VectorError, match=r"^RC-VECTOR-SUITE: a case of .* is malformed"):
        diff_suites(whole, suite)
    with pytest.raises(FileError, match=r"^RC-FILE-READ: "):
        diff_suites(whole, tmp_path / "none")


def test_diff_command_exits_with_one_where_suites_differ(
    whole: Path, suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["vectors", "diff", str(whole), str(suite)]) == 0
    assert capsys.readouterr().out == "2.0.0 -> 2.0.0: no difference\nversion: none (nothing differs)\n"
    other = write_suite(tmp_path / "other", real_cases())
    assert main(["vectors", "diff", str(whole), str(other), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["removed"], document["bump"]) == ([tapped().id], "major")


# --- NumPy files


def test_export_npy_writes_every_tensor(whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vectors", "export", "--npy", str(whole), "-o", str(tmp_path / "npy")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'npy'}: 7 cases\n"
    for identifier in (tapped().id, SHAPE, WIDER):
        case = load_case(whole / identifier)
        described = json.loads((tmp_path / "npy" / identifier / "case.json").read_text())
        entries = [(role, entry) for role in ("inputs", "taps", "outputs") for entry in described[role]]
        assert len(entries) == len(case.inputs) + len(case.taps) + len(case.outputs)
        for role, entry in entries:
            array = np.load(tmp_path / "npy" / identifier / entry["file"], allow_pickle=False)
            values = getattr(case, role)[entry["name"]]
            assert array.dtype == values.storage
            assert np.array_equal(array, values.array)
            assert array.shape == tuple(entry["shape"])


def test_export_npy_gives_the_same_bytes_again(whole: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        export_npy(whole, tmp_path / name)
    assert (tmp_path / "a" / SUMS).read_bytes() == (tmp_path / "b" / SUMS).read_bytes()
