"""Level 1: a command for each case (SPEC RUN-1, RUN-2)."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Sequence

from refcodec.errors import RefcodecError
from refcodec.runner.answer import DONE, UNSUPPORTED, Answer, broken
from refcodec.runner.process import Child, ending
from refcodec.runner.results import STATUS, read_results
from refcodec.runner.target import Job

EXIT_DONE, EXIT_UNSUPPORTED, EXIT_REJECTED = 0, 3, 4


class Command:
    """A command in whose words {case}, {out} and {suite} stand for folders."""

    def __init__(self, words: Sequence[str], timeout: float) -> None:
        """Raises RefcodecError RC-USAGE where the words name neither the case nor the place for results."""
        for place in ("{case}", "{out}"):
            if not any(place in word for word in words):
                raise RefcodecError("RC-USAGE", f"the command does not say where {place} goes")
        self.words, self.timeout = list(words), timeout
        self._children: set[Child] = set()
        self._lock = threading.Lock()

    def answer(self, job: Job) -> Answer:
        """Run the command, then read what it wrote."""
        places = {"{case}": job.home, "{out}": job.out, "{suite}": job.suite}
        words = self.words
        for place, folder in places.items():
            words = [word.replace(place, str(folder)) for word in words]
        child = Child(words, talks=False)
        with self._lock:
            self._children.add(child)
        try:
            status = child.process.wait(self.timeout)
        except subprocess.TimeoutExpired:
            child.end()
            return broken("timeout", f"no result within {self.timeout:g} s{child.last_words()}")
        finally:
            child.close()
            with self._lock:
                self._children.discard(child)
        return _answer(status, job, child.last_words())

    def close(self) -> None:
        """End what still runs."""
        with self._lock:
            for child in self._children:
                child.end()


def _answer(status: int, job: Job, said: str) -> Answer:
    if status < 0:
        return broken("crash", f"{ending(status)}{said}")
    if status == EXIT_UNSUPPORTED:
        return Answer(UNSUPPORTED)
    if status not in (EXIT_DONE, EXIT_REJECTED):
        return broken("exit-status", f"exit status {status}, which the protocol does not have{said}")
    told = os.path.lexists(job.out / STATUS)
    if status == EXIT_DONE and told:
        return broken("status", f"exit status {EXIT_DONE} although there is a {STATUS}")
    if status == EXIT_REJECTED and not told:
        return broken("status", f"exit status {EXIT_REJECTED}, but there is no {STATUS}{said}")
    if status == EXIT_DONE and job.case.error is not None:
        return Answer(DONE)
    return read_results(job.out, job.case)
