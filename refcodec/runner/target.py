"""What the runner asks for answers: a folder of results, a command, or processes that stay."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from refcodec.runner.answer import Answer
from refcodec.runner.results import read_results, read_signature
from refcodec.vectorgen.case import Case


@dataclass(frozen=True, slots=True)
class Job:
    """A case to be answered: its folder, its suite's, and an empty folder for results."""

    case: Case
    home: Path
    suite: Path
    out: Path


class Target(Protocol):
    """An implementation that is tested; `answer` is called from several threads at once."""

    def answer(self, job: Job) -> Answer:
        """What it makes of a case; nothing that it does raises."""

    def close(self) -> None:
        """End every process."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Results that were written earlier, one folder a case (SPEC RUN-1)."""

    folder: Path
    signatures: bool

    def answer(self, job: Job) -> Answer:
        """What the folder of the case holds."""
        folder = self.folder / job.case.id
        return read_signature(folder, job.case) if self.signatures else read_results(folder, job.case)

    def close(self) -> None:
        """Nothing runs."""
