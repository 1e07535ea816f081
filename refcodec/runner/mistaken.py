"""Mutants of the definitions as implementations under test, in this process (SPEC RUN-9, GATE-1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date

from refcodec.codecs.codec import Codec
from refcodec.errors import RefcodecError
from refcodec.mutation.catalogue import MUTANTS
from refcodec.mutation.definitions import CODERS, PROGRAMS
from refcodec.mutation.edit import edited
from refcodec.mutation.evaluation import CRASH, by_definition, results
from refcodec.mutation.suite import load_suite
from refcodec.runner import diagnose
from refcodec.runner.answer import DONE, REJECTED, Answer, broken
from refcodec.runner.run import Plan, run_suite
from refcodec.runner.suite import Suite
from refcodec.runner.target import Job
from refcodec.vectorgen.values import Values


@contextmanager
def mistake(name: str) -> Iterator[None]:
    """Within, the definitions have the mistake of a mutant.  Raises RefcodecError RC-USAGE where there is none."""
    found = [mutant for mutant in MUTANTS if mutant.id == name]
    if not found:
        raise RefcodecError("RC-USAGE", f"there is no mutant {name!r}")
    with by_definition((*PROGRAMS, *CODERS), {found[0].edit.target: edited(found[0].edit)}):
        yield


@dataclass(frozen=True, slots=True)
class Mistaken:
    """The definitions with one mistake; cases must come one at a time, since code is replaced while one is answered."""

    mutant: str
    codecs: Mapping[str, Codec]

    def answer(self, job: Job) -> Answer:
        """What the mutant makes of a case."""
        with mistake(self.mutant):
            found = results(job.case, self.codecs)
        if found == CRASH:
            return broken("crash", "the mutant crashes")
        if isinstance(found, str):
            return Answer(REJECTED, code=found)
        wanted = {name: found[name] for name in job.case.outputs if name in found}
        return Answer(
            DONE, {name: Values(array, job.case.outputs[name].format).to_bytes() for name, array in wanted.items()}
        )

    def close(self) -> None:
        """Nothing runs."""


@dataclass(frozen=True, slots=True)
class Naming:
    """How a mutant was reported: the cases that it must fail and failed, and whether it was named, with its likes."""

    mutant: str
    wanted: int
    failed: int
    named: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether it failed where it must, and nothing but itself, or what gives the same, was named."""
        return self.failed == self.wanted and self.mutant in self.named


def namings_text(namings: Sequence[Naming]) -> str:
    """A line for every mutant that is not reported as what it is, and a verdict."""
    wrong = [naming for naming in namings if not naming.passed]
    lines = [
        f"{naming.mutant}: fails {naming.failed} of {naming.wanted} cases as recorded, named "
        f"{', '.join(naming.named) or 'nothing'}"
        for naming in wrong
    ]
    verdict = (
        f"{len(wrong)} of {len(namings)} mutants are misreported"
        if wrong
        else (f"all {len(namings)} mutants fail where they must, and are named")
    )
    return "\n".join([*lines, verdict])


def run_mutants(suite: Suite, every: int = 1) -> Iterator[Naming]:
    """Each mutant that some case kills on the cases that kill it, or one mutant in `every`.

    Raises VectorError, ModelError for a suite that is not sound.
    """
    codecs = load_suite(suite.folder).codecs
    mutants = diagnose.read_mutants(suite.folder)
    for mutant in mutants[::every]:
        cases = {name: entry for name, entry in suite.entries.items() if name in mutant.kills}
        if not cases:
            continue
        outcomes = run_suite(replace(suite, entries=cases), Mistaken(mutant.id, codecs), Plan(jobs=1, today=date.max))
        failed = sum(outcome.symptom == mutant.kills[outcome.id] for outcome in outcomes)
        found = diagnose.diagnose(outcomes, mutants)
        named = found[0].mutants if found and found[0].scope == diagnose.EVERYTHING else ()
        yield Naming(mutant.id, len(cases), failed, named)
