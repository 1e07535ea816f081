"""Naming the likely mistake: only by outputs that a known mutant gives exactly, and never against the evidence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from runner_suite import real_cases, write_suite

from refcodec.errors import VectorError
from refcodec.runner.diagnose import EVERYTHING, MUTANTS, Mutant, diagnose, read_mutants
from refcodec.runner.outcome import FAILED, KNOWN, PASSED, SKIPPED, Outcome, Problem


def outcome(name: str, symptom: str | None, verdict: str = "", operation: str = "rq") -> Outcome:
    verdict = verdict or (FAILED if symptom else PASSED)
    problems = (Problem("value", "wrong"),) if symptom else ()
    return Outcome(name, operation, ("RQ-1",), verdict, problems, symptom=symptom)


def mutant(name: str, kills: Mapping[str, str], mistake: str = "halves to even") -> Mutant:
    return Mutant(name, mistake, ("RND-1",), kills)


EVEN = mutant("half-even", {"a": "00000001", "b": "00000002", "c": "RC-SHAPE"})
FLOOR = mutant("floor", {"a": "0000000a", "b": "0000000b", "c": "shape", "d": "0000000d"}, "floors")


def test_diagnose_names_the_mutant_whose_outputs_were_got() -> None:
    outcomes = [outcome("a", "00000001"), outcome("b", "00000002"), outcome("c", "RC-SHAPE"), outcome("d", None)]
    (found,) = diagnose(outcomes, [FLOOR, EVEN])
    assert (found.scope, found.mutants, found.mistakes, found.clauses) == (
        EVERYTHING,
        ("half-even",),
        ("halves to even",),
        ("RND-1",),
    )
    assert (found.failures, found.explained, found.otherwise, found.contradicted) == (3, 3, 0, 0)
    assert str(found) == (
        "looks like half-even (halves to even) [RND-1]: 3 of 3 failures are exactly its outputs, 0 cases contradict it"
    )


def test_diagnose_is_silent_without_evidence() -> None:
    assert diagnose([outcome("a", "deadbeef"), outcome("b", "deadbeef")], [EVEN, FLOOR]) == ()
    assert diagnose([outcome("a", None), outcome("b", None)], [EVEN]) == ()
    assert diagnose([outcome("a", "00000001")], []) == ()
    assert diagnose([], [EVEN]) == ()


def test_diagnose_is_silent_where_passed_cases_contradict() -> None:
    assert diagnose([outcome("a", "00000001"), outcome("b", None), outcome("c", None)], [EVEN]) == ()


def test_diagnose_needs_half_of_the_failures() -> None:
    others = [outcome(name, "12345678") for name in "xyz"]
    assert diagnose([outcome("a", "00000001"), outcome("b", "00000002"), *others], [EVEN]) == ()
    assert len(diagnose([outcome("a", "00000001"), outcome("b", "00000002"), *others[:2]], [EVEN])) == 2


def test_diagnose_counts_what_fails_otherwise() -> None:
    found = diagnose([outcome("a", "00000001"), outcome("b", "timeout"), outcome("c", "RC-SHAPE")], [EVEN])
    assert (found[0].explained, found[0].otherwise, found[0].contradicted) == (2, 1, 0)


def test_diagnose_does_not_count_what_was_skipped() -> None:
    outcomes = [outcome("a", "00000001"), outcome("b", None, SKIPPED), outcome("c", None, SKIPPED)]
    (found,) = diagnose(outcomes, [EVEN])
    assert (found.failures, found.explained, found.contradicted) == (1, 1, 0)


def test_diagnose_takes_known_failures_as_evidence() -> None:
    (found,) = diagnose([outcome("a", "00000001", KNOWN), outcome("b", "00000002", KNOWN)], [EVEN])
    assert found.explained == 2


def test_diagnose_reports_mutants_together_that_the_run_cannot_tell_apart() -> None:
    twin = mutant("half-odd", {**EVEN.kills, "not in this run": "00000009"}, "halves to odd")
    outcomes = [outcome("a", "00000001"), outcome("b", "00000002"), outcome("c", "RC-SHAPE")]
    (found,) = diagnose(outcomes, [EVEN, FLOOR, twin])
    assert found.mutants == ("half-even", "half-odd")
    assert "half-even (halves to even) or half-odd (halves to odd)" in str(found)


def test_diagnose_prefers_the_mutant_that_explains_more_and_is_contradicted_less() -> None:
    weaker = mutant("weaker", {"a": "00000001"})
    bolder = mutant("bolder", {**EVEN.kills, "d": "00000004"})
    outcomes = [outcome("a", "00000001"), outcome("b", "00000002"), outcome("c", "RC-SHAPE"), outcome("d", None)]
    (found,) = diagnose(outcomes, [weaker, bolder, EVEN])
    assert found.mutants == ("half-even",)


def test_diagnose_looks_at_each_operation_that_is_left_unexplained() -> None:
    clip = mutant("clip-late", {"k": "0000000c", "l": "0000000d"}, "clips late")
    outcomes = [outcome("a", "00000001"), outcome("b", "00000002"), outcome("c", "RC-SHAPE")]
    outcomes += [outcome("k", "0000000c", operation="clip"), outcome("l", "0000000d", operation="clip")]
    found = diagnose(outcomes, [EVEN, FLOOR, clip])
    assert [(d.scope, d.mutants, d.explained, d.failures) for d in found] == [
        (EVERYTHING, ("half-even",), 3, 5),
        ("clip", ("clip-late",), 2, 2),
    ]
    assert str(found[1]).startswith("clip: looks like clip-late (clips late)")


def test_read_mutants_takes_a_suites_kill_matrix(tmp_path: Path) -> None:
    entry = {"id": "m", "target": "t", "mistake": "w", "clauses": ["RQ-1"], "kills": {"a": "shape"}}
    folder = write_suite(tmp_path / "suite", real_cases(), [entry])
    assert read_mutants(folder) == (Mutant("m", "w", ("RQ-1",), {"a": "shape"}),)
    (folder / MUTANTS).unlink()
    assert read_mutants(folder) == ()


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"schema": "refcodec-mutants/1"},
        {"schema": "refcodec-mutants/2", "mutants": []},
        {"schema": "refcodec-mutants/1", "mutants": [], "more": 1},
        {"schema": "refcodec-mutants/1", "mutants": [{"id": "m"}]},
        {"schema": "refcodec-mutants/1", "mutants": 3},
        {"schema": "refcodec-mutants/1", "mutants": [3]},
        {
            "schema": "refcodec-mutants/1",
            "mutants": [{"id": "m", "target": "t", "mistake": "w", "clauses": ["RQ-1"], "kills": 3}],
        },
    ],
)
def test_read_mutants_refuses_wrong_documents(document: Any, tmp_path: Path) -> None:
    (tmp_path / MUTANTS).write_text(json.dumps(document))
    with pytest.raises(VectorError, match=r"^RC-VECTOR-SUITE: "):
        read_mutants(tmp_path)
