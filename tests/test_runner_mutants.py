"""Mutants of the definitions as implementations under test: each fails where it must, and is named."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from refcodec.cli import main
from refcodec.errors import RefcodecError
from refcodec.mutation.catalogue import MUTANTS
from refcodec.runner.mistaken import Naming, mistake, namings_text, run_mutants
from refcodec.runner.suite import open_suite
from refcodec.vectorgen.packaged import smoke_suite

HALF_EVEN = "rounding_shift/half-even"


def test_golden_sut_with_a_mistake_fails_and_the_mistake_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sut = f"{sys.executable} -m refcodec.runner.golden_sut --stdio --mutant {HALF_EVEN}"
    run = ["vectors", "run", "--level", "stdio", "--sut", sut, "--filter", "operations/*", "--json"]
    assert main([*run, str(tmp_path / "report.json")]) == 1
    report = json.loads((tmp_path / "report.json").read_text())
    assert HALF_EVEN in report["diagnosis"][0]["mutants"]
    assert report["diagnosis"][0]["contradicted"] == 0
    assert f"looks like {HALF_EVEN} (halves to the even neighbour)" in capsys.readouterr().out


def test_every_mutant_of_a_sample_fails_where_it_must_and_is_named() -> None:
    with smoke_suite() as folder:
        namings = list(run_mutants(open_suite(folder), every=29))
    assert len(namings) >= len(MUTANTS) // 29 - 3
    assert [naming for naming in namings if not naming.passed] == []


def test_namings_tell_of_a_mutant_that_is_not_reported() -> None:
    good, bad = Naming("a/b", 2, 2, ("a/b", "a/c")), Naming("a/d", 3, 2, ())
    assert (good.passed, bad.passed) == (True, False)
    assert Naming("a/b", 2, 2, ("a/c",)).passed is False
    assert namings_text([good]) == "all 1 mutants fail where they must, and are named"
    assert namings_text([good, bad]).splitlines() == [
        "a/d: fails 2 of 3 cases as recorded, named nothing",
        "1 of 2 mutants are misreported",
    ]


def test_mistake_refuses_an_unknown_mutant() -> None:
    with pytest.raises(RefcodecError, match=r"^RC-USAGE: there is no mutant 'no/such'"), mistake("no/such"):
        pass
