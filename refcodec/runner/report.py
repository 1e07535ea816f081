"""What a run found, for people and for machines (SPEC RUN-4, RUN-5)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from refcodec.describe import table
from refcodec.runner.diagnose import Diagnosis
from refcodec.runner.outcome import FAILED, KINDS, KNOWN, NOT_RUN, PASSED, SKIPPED, VERDICTS, Outcome
from refcodec.runner.suite import Suite

SCHEMA = "refcodec-result/1"
COMPOSED = ("layer", "stream", "video")
MOST_EACH, MOST_LINES = 4, 60  # failures that are printed, of an operation and altogether; JSON has all


@dataclass(frozen=True, slots=True)
class Report:
    """A run of an implementation on a suite.

    name  of the implementation;  level  of the protocol;  notes  on the skip list
    threshold  the percentage of cases, among those that ran, that must pass.
    """

    suite: Suite
    name: str
    level: str
    outcomes: tuple[Outcome, ...]
    diagnoses: tuple[Diagnosis, ...] = ()
    notes: tuple[str, ...] = ()
    threshold: int = 100

    @property
    def totals(self) -> Counter[str]:
        """How many cases have each verdict."""
        return Counter(outcome.verdict for outcome in self.outcomes)

    @property
    def failures(self) -> list[Outcome]:
        """Every failure, the known ones among them, single operations before what is made of them."""
        failures = [outcome for outcome in self.outcomes if outcome.verdict in (FAILED, KNOWN)]
        return sorted(failures, key=lambda outcome: (outcome.operation in COMPOSED, outcome.id))

    @property
    def conforms(self) -> bool:
        """Whether cases ran and all that ran passed, whatever a skip list or a threshold allows."""
        totals = self.totals
        return totals[PASSED] > 0 and not totals[FAILED] + totals[KNOWN] + totals[NOT_RUN]

    @property
    def complete(self) -> bool:
        """Whether every case of the suite ran."""
        totals = self.totals
        return totals[PASSED] + totals[FAILED] + totals[KNOWN] == self.suite.total

    @property
    def succeeded(self) -> bool:
        """Whether the run is good enough: something passed, and nothing failed that may not (SPEC RUN-4)."""
        totals = self.totals
        tried = totals[PASSED] + totals[FAILED]
        return totals[PASSED] > 0 and not totals[NOT_RUN] and 100 * totals[PASSED] >= self.threshold * tried

    def as_json(self) -> dict[str, Any]:
        """The report for machines; equal runs give equal documents."""
        return {
            "schema": SCHEMA,
            "suite": {"version": self.suite.version, "sha256": self.suite.sha256, "cases": self.suite.total},
            "implementation": self.name,
            "level": self.level,
            "conforms": self.conforms,
            "complete": self.complete,
            "succeeded": self.succeeded,
            "threshold": self.threshold,
            "totals": _counts(self.outcomes),
            "operations": _grouped(self.outcomes, lambda outcome: [outcome.operation]),
            "clauses": _grouped(self.outcomes, lambda outcome: outcome.clauses),
            "skipped_because": dict(sorted(skip_reasons(self.outcomes).items())),
            "skip_list": list(self.notes),
            "diagnosis": [diagnosis.as_json() for diagnosis in self.diagnoses],
            "cases": [outcome.as_json() for outcome in self.outcomes],
        }

    def as_text(self) -> str:
        """The report for people: totals, the first failures, the likely mistake, a verdict."""
        return "\n".join(
            [
                counts_table(self.as_json()["operations"], "operation"),
                "",
                *_failure_lines(self.failures),
                *(f"skip list: {note}" for note in self.notes),
                *map(str, self.diagnoses),
                *(f"{count} skipped: {reason}" for reason, count in skip_reasons(self.outcomes).most_common()),
                self.verdict(),
            ]
        )

    def verdict(self) -> str:
        """The last line: every count, and what follows."""
        totals = self.totals
        told = ", ".join(f"{totals[verdict]} {verdict}" for verdict in VERDICTS if totals[verdict] or verdict == PASSED)
        chosen = len(self.outcomes)
        scope = f"all {chosen}" if chosen == self.suite.total else f"{chosen} of {self.suite.total}"
        if self.conforms:
            judged = "conforms" if self.complete else "everything that ran conforms"
        elif not totals[PASSED] + totals[FAILED] + totals[KNOWN]:
            judged = "nothing ran"
        else:
            judged = "does not conform"
        return f"{self.name}: {scope} cases of suite {self.suite.version}: {told}: {judged}"


def _failure_lines(failures: Sequence[Outcome]) -> list[str]:
    """The first failures of each operation, then how many there are of each kind."""
    lines: list[str] = []
    shown: Counter[str] = Counter()
    for outcome in failures:
        if shown[outcome.operation] < MOST_EACH and shown.total() < MOST_LINES:
            shown[outcome.operation] += 1
            lines.append(_failure_line(outcome))
    if len(failures) > shown.total():
        lines.append(f"... and {len(failures) - shown.total()} failures more; --json and --html list all")
    kinds = Counter(outcome.kind for outcome in failures)
    lines += [f"{count} failed [{kind}]: {KINDS[kind]}" for kind, count in kinds.most_common()]
    return [*lines, ""] if lines else []


def _failure_line(outcome: Outcome) -> str:
    first, *more = outcome.problems
    rest = f" (and {len(more)} more)" if more else ""
    reason = f" -- {outcome.reason}" if outcome.reason else ""
    return f"{outcome.id}: {outcome.verdict} [{first.kind}] {first.message}{rest}{reason}"


def skip_reasons(outcomes: Iterable[Outcome]) -> Counter[str]:
    """How many cases were skipped for each reason."""
    return Counter(outcome.reason for outcome in outcomes if outcome.verdict == SKIPPED)


def _counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    counted = Counter(outcome.verdict for outcome in outcomes)
    return {verdict.replace(" ", "_"): counted[verdict] for verdict in VERDICTS}


def _grouped(outcomes: Iterable[Outcome], keys: Callable[[Outcome], Iterable[str]]) -> dict[str, dict[str, int]]:
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        for key in keys(outcome):
            groups.setdefault(key, []).append(outcome)
    return {key: _counts(groups[key]) for key in sorted(groups)}


def counts_table(groups: dict[str, dict[str, int]], head: str) -> str:
    """Counts of verdicts, a line for each group; verdicts that no case has are left out."""
    verdicts = [name for name in next(iter(groups.values())) if any(counts[name] for counts in groups.values())]
    rows = [[key, *(counts[name] for name in verdicts)] for key, counts in groups.items()]
    return table(rows, [head, *(name.replace("_", " ") for name in verdicts)])
