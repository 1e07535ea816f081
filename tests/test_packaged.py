"""The three sizes of the suite: their budgets, what is in them, and the one that the package holds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ship_smoke
from refcodec.errors import VectorError
from refcodec.mutation.catalogue import MUTANTS
from refcodec.program.operations import KINDS
from refcodec.vectorgen import suite
from refcodec.vectorgen.evaluate import OPERATIONS
from refcodec.vectorgen.extensive import FOLDER
from refcodec.vectorgen.packaged import pack, smoke_suite
from refcodec.vectorgen.suite import BUDGETS, INDEX, build_suite
from refcodec.vectorgen.verify import verify_suite

COMMITTED = Path(__file__).parents[1] / "vectors"


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def listed(folder: Path) -> list[dict]:
    return json.loads((folder / INDEX).read_text())["cases"]


def test_smoke_suite_is_what_a_build_gives(tmp_path: Path) -> None:
    build_suite(tmp_path / "built", "smoke")
    with smoke_suite() as folder:
        assert files(folder) == files(tmp_path / "built")
        assert verify_suite(folder).passed
    assert not folder.exists()


def test_smoke_suite_holds_every_operation_and_result_within_its_budget() -> None:
    with smoke_suite() as folder:
        assert sum(map(len, files(folder).values())) <= BUDGETS["smoke"]
        found = {(case["operation"], case["result"]) for case in listed(folder)}
    assert {operation for operation, _ in found} == {*OPERATIONS, *KINDS}
    assert found == {(case["operation"], case["result"]) for case in listed(COMMITTED)}


def test_smoke_suite_kills_nine_mutants_in_ten() -> None:
    with smoke_suite() as folder:
        kept = json.loads((folder / "mutants.json").read_text())["mutants"]
    whole = json.loads((COMMITTED / "mutants.json").read_text())["mutants"]
    assert len(whole) == len(MUTANTS)
    assert all(mutant["kills"] for mutant in kept)
    assert len(kept) >= 0.9 * len(whole)


def test_smoke_choice_is_that_of_the_committed_vectors() -> None:
    entries = [entry for entry in listed(COMMITTED) if ship_smoke.light(entry)]
    mutants = json.loads((COMMITTED / "mutants.json").read_text())["mutants"]
    with smoke_suite() as folder:
        assert ship_smoke.choose(entries, mutants) == [entry["id"] for entry in listed(folder)]


def test_pack_gives_the_same_bytes_whatever_the_dates(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for file in ("b", "a", "SHA256SUMS"):
            (tmp_path / name / file).write_text(file)
    assert pack(tmp_path / "one") == pack(tmp_path / "two")


def test_minimal_suite_keeps_its_budget() -> None:
    assert sum(map(len, files(COMMITTED).values())) <= BUDGETS["minimal"]


@pytest.mark.long
def test_full_suite_keeps_its_budget_and_holds_the_minimal_one(tmp_path: Path) -> None:
    build_suite(tmp_path / "full", "full")
    cases = {case["id"]: case for case in listed(tmp_path / "full")}
    assert {case["id"] for case in listed(COMMITTED)} <= set(cases)
    extensive = [case for name, case in cases.items() if name.startswith(f"{FOLDER}/")]
    assert len(extensive) > 4000
    assert {"stream", "video", "layer"} <= {case["operation"] for case in extensive}
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) <= BUDGETS["full"]


def test_build_suite_refuses_to_exceed_a_budget(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = list(suite.CORNERS[0].cases())
    monkeypatch.setattr(suite, "preset_cases", lambda preset: iter(few))
    monkeypatch.setattr(suite, "BUDGETS", {**BUDGETS, "smoke": 10_000})
    with pytest.raises(VectorError, match=r"^RC-VECTOR-SUITE: smoke: \d+ bytes, more than 10000"):
        build_suite(tmp_path / "built", "smoke")
    monkeypatch.setattr(suite, "BUDGETS", BUDGETS)
    monkeypatch.setattr(suite, "FILE_BUDGET", 1_000)
    with pytest.raises(VectorError, match=r"^RC-VECTOR-SUITE: .*: \d+ bytes, more than 1000"):
        build_suite(tmp_path / "built", "smoke")
    assert not (tmp_path / "built").exists()
