"""A run: every chosen case asked, judged and counted, in the order of ids (SPEC RUN-1, RUN-4)."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from tqdm import tqdm

from refcodec.errors import FileError
from refcodec.program.model_file import load_model
from refcodec.runner.answer import UNSUPPORTED
from refcodec.runner.capabilities import Capabilities
from refcodec.runner.compare import judge
from refcodec.runner.outcome import FAILED, NOT_RUN, PASSED, SKIPPED, Outcome
from refcodec.runner.skip_list import Known, mark_known
from refcodec.runner.suite import Suite
from refcodec.runner.target import Job, Recorded, Target


@dataclass(frozen=True, slots=True)
class Plan:
    """How to run: jobs  cases at once;  fail_fast  stop after the first failure, in the order of ids

    keep  a new or empty folder for results, which are otherwise thrown away
    known, today  the skip list, and the day on which its entries must not be overdue.
    """

    jobs: int = 1
    fail_fast: bool = False
    keep: Path | None = None
    capabilities: Capabilities = field(default_factory=Capabilities)
    known: tuple[Known, ...] = ()
    today: date = date.max


def run_suite(suite: Suite, target: Target, plan: Plan) -> tuple[Outcome, ...]:
    """The outcome of every chosen case; equal for any number of jobs.  The target is closed.

    Raises VectorError, ModelError for a suite that is not sound; FileError RC-FILE-WRITE; RefcodecError RC-USAGE.
    """
    try:
        skipped = _exclusions(suite, plan.capabilities)
        with _results_folder(plan.keep) as folder:
            return tuple(_outcomes(suite, target, plan, Path(folder), skipped))
    finally:
        target.close()


def _exclusions(suite: Suite, capabilities: Capabilities) -> dict[str, str]:
    """Why cases are skipped, by id; reading every case also checks it."""
    families: dict[str, str] = {}

    def family(model: str) -> str:
        if model not in families:
            families[model] = load_model(suite.folder / "models" / f"{model}.rcm").family
        return families[model]

    return {case.id: reason for case in suite.cases() if (reason := capabilities.excludes(case, family))}


@contextmanager
def _results_folder(keep: Path | None) -> Iterator[Path]:
    """The folder for results: the user's, which stays, or a temporary one."""
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="refcodec-", ignore_cleanup_errors=True) as folder:
            yield Path(folder).resolve()
        return
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise FileError("RC-FILE-WRITE", f"{keep} is not a new or empty folder")
    yield keep.resolve()


def _outcomes(suite: Suite, target: Target, plan: Plan, folder: Path, skipped: Mapping[str, str]) -> Iterator[Outcome]:
    def once(identifier: str) -> Outcome:
        if identifier in skipped:
            return _without(suite, identifier, SKIPPED, skipped[identifier])
        outcome = run_case(suite, target, plan.capabilities, identifier, folder / identifier)
        if plan.keep is None:
            shutil.rmtree(folder / identifier, ignore_errors=True)
        return mark_known(outcome, plan.known, plan.today)

    executor = ThreadPoolExecutor(plan.jobs)
    finished = False
    try:
        futures = [(identifier, executor.submit(once, identifier)) for identifier in suite.entries]
        stopped = False
        for identifier, future in tqdm(futures, desc="run", unit="case", disable=None, leave=False):
            if stopped:
                future.cancel()
                yield _without(suite, identifier, NOT_RUN, "an earlier case failed")
                continue
            outcome = future.result()
            stopped = plan.fail_fast and outcome.verdict == FAILED
            yield outcome
        finished = not stopped
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        if not finished:
            target.close()  # so that no thread waits for a process to its timeout
        executor.shutdown(wait=True)


def _without(suite: Suite, identifier: str, verdict: str, reason: str) -> Outcome:
    entry = suite.entries[identifier]
    return Outcome(identifier, entry["operation"], tuple(entry["clauses"]), verdict, reason=reason)


def run_case(suite: Suite, target: Target, capabilities: Capabilities, identifier: str, out: Path) -> Outcome:
    """Ask for one case and judge the answer.  Raises VectorError, FileError RC-FILE-WRITE, RefcodecError RC-USAGE."""
    case = suite.load(identifier)
    if not isinstance(target, Recorded):
        try:
            out.mkdir(parents=True)
        except OSError as error:
            raise FileError("RC-FILE-WRITE", f"cannot make {out}: {error.strerror}") from error
    started = time.monotonic()
    answer = target.answer(Job(case, suite.folder / identifier, suite.folder, out))
    seconds = time.monotonic() - started
    if answer.status == UNSUPPORTED:
        return Outcome(case.id, case.operation, case.clauses, SKIPPED, reason="unsupported, as the implementation says")
    judged = judge(case, answer, capabilities.taps, capabilities.errors)
    verdict = FAILED if judged.problems else PASSED
    return Outcome(
        case.id, case.operation, case.clauses, verdict, judged.problems, symptom=judged.symptom, seconds=seconds
    )
