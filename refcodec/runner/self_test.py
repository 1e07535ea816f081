"""The runner tests itself: implementations with known faults must be reported as what they are (SPEC RUN-9)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from refcodec.describe import table
from refcodec.errors import VectorError
from refcodec.runner import faulty_sut
from refcodec.runner.command import Command
from refcodec.runner.outcome import Outcome
from refcodec.runner.run import Plan, run_suite
from refcodec.runner.stdio import Stdio
from refcodec.runner.suite import Suite
from refcodec.runner.target import Target
from refcodec.vectorgen.case import Case

EACH = 2  # valid and invalid cases that every fault is tried on
TIMEOUT = 60.0
JOBS = 4
SHORT = 0.5  # for the fault that never answers
# fault -> kind of the problem that a valid and an invalid case must have, nothing where they must pass
COMMAND_FAULTS: dict[str, tuple[str, str]] = {
    "none": ("", ""),
    "constant": ("value", ""),
    "truncated": ("size", ""),
    "big-endian": ("byte-order", ""),
    "wide": ("dtype", ""),
    "doubled": ("size", ""),
    "huge": ("too-large", ""),
    "extra-file": ("extra", ""),
    "nothing": ("missing", ""),
    "reject-all": ("rejected", "wrong-code"),
    "accept-all": ("", "accepted"),
    "unknown-code": ("unknown-code", "unknown-code"),
    "bad-status": ("status", "status"),
    "silent": ("timeout", "timeout"),
    "crash": ("crash", "crash"),
    "exit": ("exit-status", "exit-status"),
}
STDIO_FAULTS: dict[str, tuple[str, str]] = {
    **{fault: COMMAND_FAULTS[fault] for fault in COMMAND_FAULTS if fault not in ("bad-status", "exit", "huge")},
    "exit": ("died", "died"),
    "garbage": ("protocol", "protocol"),
    "wrong-id": ("wrong-id", "wrong-id"),
}


@dataclass(frozen=True, slots=True)
class Trial:
    """What was found of an implementation whose fault is known: kinds that must be found, and those that were."""

    fault: str
    level: str
    wanted: tuple[str, ...]
    found: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every case was reported as what it is."""
        return self.wanted == self.found


def telling_cases(cases: Iterable[Case]) -> dict[str, bool]:
    """Ids of a few cases on which every fault shows, and whether they are valid."""
    valid: list[str] = []
    invalid: list[str] = []
    for case in cases:
        if case.error is not None:
            invalid += [case.id] if len(invalid) < EACH else []
        elif len(valid) < EACH and len(case.outputs) == 1 and _tells(case):
            valid.append(case.id)
    return {**dict.fromkeys(valid, True), **dict.fromkeys(invalid, False)}


def _tells(case: Case) -> bool:
    """Whether its output has several bytes a value, negative ones, and no symmetry."""
    (y,) = case.outputs.values()
    content = y.to_bytes()
    swapped = y.array.astype(y.storage.newbyteorder(">")).tobytes()
    return y.storage.itemsize in (2, 4) and y.array.size < 1000 and content != swapped and y.array.min(initial=0) < 0


def run_self_test(suite: Suite) -> list[Trial]:
    """Every fault at both levels, then the golden model.

    Raises VectorError RC-VECTOR-SUITE for a suite that is not sound, or on whose cases not every fault would show.
    """
    chosen = telling_cases(suite.cases())
    if set(chosen.values()) != {True, False}:
        raise VectorError(
            "RC-VECTOR-SUITE", "the self-test needs an invalid case and a valid one of wide, signed values"
        )
    small = replace(suite, entries={name: suite.entries[name] for name in sorted(chosen)})
    trials = [
        _trial(small, chosen, (level, fault), kinds)
        for level, faults in (("command", COMMAND_FAULTS), ("stdio", STDIO_FAULTS))
        for fault, kinds in faults.items()
    ]
    golden = [sys.executable, "-m", "refcodec.runner.golden_sut"]
    return [
        *trials,
        _tried("golden model", "stdio", small, Stdio([*golden, "--stdio"], TIMEOUT), ("",) * len(chosen)),
        _tried("golden model", "command", small, Command([*golden, "{case}", "{out}"], TIMEOUT), ("",) * len(chosen)),
    ]


def _trial(suite: Suite, chosen: dict[str, bool], what: tuple[str, str], kinds: tuple[str, str]) -> Trial:
    level, fault = what
    words = [sys.executable, "-S", str(Path(faulty_sut.__file__)), fault]
    timeout = SHORT if fault == "silent" else TIMEOUT
    target: Target = Stdio([*words, "--stdio"], timeout)
    if level == "command":
        target = Command([*words, "{case}", "{out}"], timeout)
    return _tried(fault, level, suite, target, tuple(kinds[0 if chosen[name] else 1] for name in suite.entries))


def _tried(fault: str, level: str, suite: Suite, target: Target, wanted: tuple[str, ...]) -> Trial:
    outcomes: Sequence[Outcome] = run_suite(suite, target, Plan(jobs=JOBS))
    return Trial(fault, level, wanted, tuple(outcome.kind for outcome in outcomes))


def self_test_text(trials: Sequence[Trial]) -> str:
    """A line for each implementation, and a verdict."""
    rows = [
        [trial.fault, trial.level, _kinds(trial.wanted), _kinds(trial.found), "yes" if trial.passed else "NO"]
        for trial in trials
    ]
    wrong = sum(not trial.passed for trial in trials)
    verdict = (
        f"{wrong} of {len(trials)} are misreported" if wrong else f"all {len(trials)} are reported as what they are"
    )
    return "\n".join([table(rows, ["implementation", "level", "must be found", "found", "right"]), "", verdict])


def _kinds(kinds: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(kind or "equal" for kind in kinds))
