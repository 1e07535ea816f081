"""Naming the likely mistake: which known mutant gives exactly the wrong outputs that were got (SPEC RUN-8)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from refcodec.errors import VectorError
from refcodec.runner.outcome import FAILED, KNOWN, PASSED, Outcome

SCHEMA = "refcodec-mutants/1"
MUTANTS = "mutants.json"
EVERYTHING = "all operations"
KEYS = {"id", "target", "mistake", "clauses", "kills"}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A mistake, and what comes out of each case that shows it."""

    id: str
    mistake: str
    clauses: tuple[str, ...]
    kills: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Mutants that cannot be told apart by this run, and how well they explain it.

    scope  one operation, or all;  failures  how many cases failed there
    explained  of those, with exactly the mutants' outputs;  otherwise  where the mutants fail too, with other outputs
    contradicted  cases that passed though the mutants fail them.
    """

    scope: str
    mutants: tuple[str, ...]
    mistakes: tuple[str, ...]
    clauses: tuple[str, ...]
    failures: int
    explained: int
    otherwise: int
    contradicted: int

    def __str__(self) -> str:
        names = " or ".join(
            f"{name} ({mistake})" if mistake else name
            for name, mistake in zip(self.mutants, self.mistakes, strict=True)
        )
        scope = "" if self.scope == EVERYTHING else f"{self.scope}: "
        return (
            f"{scope}looks like {names} [{', '.join(self.clauses)}]: {self.explained} of {self.failures} failures are "
            f"exactly its outputs, {self.contradicted} cases contradict it"
        )

    def as_json(self) -> dict[str, Any]:
        """The diagnosis for machines."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


def read_mutants(folder: Path) -> tuple[Mutant, ...]:
    """The kill matrix of a suite; none where it has no such file.  Raises VectorError RC-VECTOR-SUITE."""
    path = folder / MUTANTS
    if not path.exists():
        return ()
    try:
        document = json.loads(path.read_bytes())
        if set(document) != {"schema", "mutants"} or document["schema"] != SCHEMA:
            raise VectorError("RC-VECTOR-SUITE", f"{path} is not a {SCHEMA} document")
        if any(set(mutant) != KEYS for mutant in document["mutants"]):
            raise VectorError("RC-VECTOR-SUITE", f"{path} has a mutant with other keys than {', '.join(sorted(KEYS))}")
        return tuple(Mutant(m["id"], m["mistake"], tuple(m["clauses"]), dict(m["kills"])) for m in document["mutants"])
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise VectorError("RC-VECTOR-SUITE", f"{path} is malformed: {error!r}") from error


def diagnose(outcomes: Sequence[Outcome], mutants: Sequence[Mutant]) -> tuple[Diagnosis, ...]:
    """The likeliest mistakes: one for all failures, then one for each operation that it leaves unexplained."""
    found = _best(EVERYTHING, outcomes, mutants)
    kills = [mutant.kills for mutant in mutants for best in found if mutant.id in best.mutants]
    for operation in sorted({outcome.operation for outcome in outcomes}):
        own = [outcome for outcome in outcomes if outcome.operation == operation]
        if any(not any(_explains(kill, outcome) for kill in kills) for outcome in _failures(own)):
            found += _best(operation, own, mutants)
    return tuple(found)


def _failures(outcomes: Iterable[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.verdict in (FAILED, KNOWN)]


def _explains(kills: Mapping[str, str], outcome: Outcome) -> bool:
    return outcome.symptom is not None and kills.get(outcome.id) == outcome.symptom


def _best(scope: str, outcomes: Sequence[Outcome], mutants: Sequence[Mutant]) -> list[Diagnosis]:
    """The best explanation of the failures in a scope, if one explains half of them and is seldom contradicted."""
    tried = {outcome.id for outcome in outcomes if outcome.verdict in (FAILED, KNOWN, PASSED)}
    alike: dict[tuple[tuple[str, str], ...], list[Mutant]] = {}
    for mutant in mutants:
        seen = tuple(sorted((case, what) for case, what in mutant.kills.items() if case in tried))
        alike.setdefault(seen, []).append(mutant)
    candidates = [_weigh(scope, outcomes, group, dict(seen)) for seen, group in alike.items()]
    likely = [c for c in candidates if c.explained > c.contradicted and 2 * c.explained >= c.failures]
    if not likely:
        return []
    rank = min((-c.explained + c.contradicted, c.otherwise) for c in likely)
    return [c for c in likely if (-c.explained + c.contradicted, c.otherwise) == rank]


def _weigh(scope: str, outcomes: Sequence[Outcome], group: Sequence[Mutant], kills: Mapping[str, str]) -> Diagnosis:
    failures = _failures(outcomes)
    explained = sum(_explains(kills, outcome) for outcome in failures)
    return Diagnosis(
        scope,
        tuple(mutant.id for mutant in group),
        tuple(mutant.mistake for mutant in group),
        tuple(sorted({clause for mutant in group for clause in mutant.clauses})),
        len(failures),
        explained,
        sum(outcome.id in kills for outcome in failures) - explained,
        sum(outcome.id in kills for outcome in outcomes if outcome.verdict == PASSED),
    )
