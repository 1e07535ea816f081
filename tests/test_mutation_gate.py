"""The gate: mutants reach the code, everything is put back, and the lists say what is so (SPEC GATE-1 to GATE-3)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from spec_executor import spec

from refcodec import fixed
from refcodec.cli import main
from refcodec.entropy import rans
from refcodec.entropy.tables import FrequencyTables, quantise_frequencies
from refcodec.mutation.catalogue import MUTANTS, SENTINEL
from refcodec.mutation.coverage import clause_data, coverage, watched
from refcodec.mutation.definitions import CODERS, PROGRAMS
from refcodec.mutation.edit import Edit, edited, function_of, replaced, source_of
from refcodec.mutation.matrix import equivalent, kill_matrix, smallest_suite
from refcodec.mutation.mutant import Mutant
from refcodec.mutation.points import POINTS
from refcodec.mutation.report import Score
from refcodec.mutation.suite import Suite, load_suite

COMMITTED = Path(__file__).parents[1] / "vectors"
KILL_MATRIX = Path(__file__).parents[1] / "refcodec" / "vectorgen" / "kill_matrix.json"
ROUNDING = [mutant for mutant in MUTANTS if mutant.id.startswith("rounding_shift/")]


@pytest.fixture(scope="module")
def clips() -> Suite:
    """The clip and requantise cases of the committed suite."""
    whole = load_suite(COMMITTED)
    kept = {name: case for name, case in whole.cases.items() if case.operation in ("clip", "requantise")}
    return Suite(kept, whole.codecs)


def test_sentinel_dies_and_a_tie_rule_is_noticed(clips: Suite) -> None:
    matrix = kill_matrix(clips, "", mutants=ROUNDING)
    assert not matrix.survivors
    assert all(len(seen) == 8 or seen == "crash" for kills in matrix.kills.values() for seen in kills.values())
    assert smallest_suite(matrix.kills)
    assert SENTINEL.id not in {mutant.id for mutant in MUTANTS}


def test_a_mutant_that_computes_the_same_survives(clips: Suite) -> None:
    same = Mutant("same", Edit("refcodec.fixed:clip", "return value", "return value + 0"), "", ())
    assert kill_matrix(clips, "", mutants=[same]).survivors == ["same"]


def test_replaced_code_is_put_back_after_an_error() -> None:
    before = fixed.clip.__code__
    mutant = next(mutant for mutant in MUTANTS if mutant.edit.target == "refcodec.fixed:clip")
    with contextlib.suppress(KeyError), replaced({mutant.edit.target: edited(mutant.edit)}, {"mistakes": object()}):
        assert fixed.clip.__code__ is not before
        raise KeyError
    assert fixed.clip.__code__ is before
    assert not hasattr(fixed, "mistakes")


def test_edits_apply_and_names_are_distinct() -> None:
    identifiers = [mutant.id for mutant in MUTANTS]
    assert len(set(identifiers)) == len(identifiers) >= 150
    assert all(mutant.mistake and mutant.clauses for mutant in MUTANTS)
    for edit in (*PROGRAMS, *CODERS, *(mutant.edit for mutant in MUTANTS)):
        edited(edit)
    with pytest.raises(ValueError, match=r"^refcodec\.fixed:clip holds 0 times, not once"):
        edited(Edit("refcodec.fixed:clip", "no such text", ""))
    assert source_of("refcodec.fixed:relu").startswith("def relu(")
    with pytest.raises(TypeError, match="is not a plain function"):
        function_of("refcodec.fixed:GAUSSIAN")


def test_points_compile_and_are_distinct() -> None:
    assert len({point.id for point in POINTS}) == len(POINTS) >= 150
    for point in POINTS:
        watched(point)


def test_a_corner_is_covered_only_where_it_shows(clips: Suite) -> None:
    chosen = [point for point in POINTS if point.id in ("clip:just-above", "relu:zero")]
    found = coverage(clips, chosen).points
    assert found["clip:just-above"] is not None
    assert found["relu:zero"] is None


def test_clauses_are_shown_or_have_a_reason() -> None:
    data = clause_data()
    assert not set(data["refusing"]) & set(data["elsewhere"])
    assert all(data["elsewhere"].values())


def test_equivalent_mutants_are_in_the_catalogue_and_survive() -> None:
    proven = equivalent()
    chosen = [mutant for mutant in MUTANTS if mutant.id in proven]
    assert {mutant.id for mutant in chosen} == set(proven)
    if chosen:
        assert set(kill_matrix(load_suite(COMMITTED), "", mutants=chosen).survivors) == set(proven)


def committed_matrix() -> dict[str, Mapping[str, str]]:
    document = json.loads(KILL_MATRIX.read_text())
    return {entry["id"]: entry["kills"] for entry in document["mutants"]}


@pytest.mark.long
def test_kill_matrix_is_current() -> None:
    chosen = MUTANTS[:: len(MUTANTS) // 25][:25]
    written = committed_matrix()
    assert list(written) == [mutant.id for mutant in MUTANTS]
    matrix = kill_matrix(load_suite(COMMITTED), "", mutants=chosen)
    assert matrix.kills == {mutant.id: written[mutant.id] for mutant in chosen}


def test_score_counts_only_functions_that_are_run(clips: Suite) -> None:
    chosen = [mutant for mutant in MUTANTS if mutant.id.startswith(("clip/", "warp/"))]
    score = Score.of(kill_matrix(clips, "", mutants=chosen))
    assert score.by_function["warp"][1] == 0 < score.by_function["clip"][1]
    assert 0 < score.killed <= score.reached < score.total
    assert "warp" not in score.rating(1.0)
    assert not score.passed


def test_score_refuses_a_folder_without_cases(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vectors", "score", "--vectors", str(tmp_path)]) == 2
    assert "RC-FILE-READ" in capsys.readouterr().err


# --- the definitions of the entropy coder


def test_rans_of_the_specification_equals_the_kernels(rng: np.random.Generator) -> None:
    for _ in range(20):
        rows = [spec.quantise_frequencies(rng.integers(0, 50, rng.integers(2, 12)).tolist()) for _ in range(3)]
        offsets = rng.integers(-5, 5, 3)
        tables = FrequencyTables.from_rows([np.array(row) for row in rows], offsets.astype(np.int32))
        indexes = rng.integers(0, 3, 40)
        symbols = np.where(rng.random(40) < 0.2, rng.integers(-32768, 32768, 40), rng.integers(-6, 6, 40))
        payload = rans.encode(symbols, indexes, tables)
        words = np.frombuffer(payload, "<u4").tolist()
        assert spec.rans_encode(symbols.tolist(), indexes.tolist(), rows, offsets.tolist()) == words
        assert spec.rans_decode(words, indexes.tolist(), rows, offsets.tolist()) == (0, symbols.tolist())


def test_quantise_frequencies_of_the_specification_equals_the_kernel(rng: np.random.Generator) -> None:
    for size in (2, 3, 17, 200):
        counts = rng.integers(0, 1 << int(rng.integers(2, 20)), size)
        counts[0] += 1
        assert spec.quantise_frequencies(counts.tolist()) == quantise_frequencies(counts).tolist()
