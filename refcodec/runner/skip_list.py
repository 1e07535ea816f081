"""Failures that are known, each until a date; one that is overdue fails (SPEC RUN-4, RUN-7)."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from refcodec.errors import RefcodecError
from refcodec.runner.document import check_keys, check_text, read_document
from refcodec.runner.outcome import FAILED, KNOWN, PASSED, Outcome

SCHEMA = "refcodec-skip/1"
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Known:
    """A failure that is expected of the cases that a pattern names, up to a day and on it."""

    pattern: str
    reason: str
    until: date

    def matches(self, identifier: str) -> bool:
        """Whether the pattern names the case."""
        return fnmatch.fnmatchcase(identifier, self.pattern)


def read_skip_list(path: str | Path) -> tuple[Known, ...]:
    """A skip list (SPEC RUN-7).  Raises FileError RC-FILE-READ, RefcodecError RC-USAGE."""
    document = read_document(path, SCHEMA, ("entries",), ())
    if type(document["entries"]) is not list:
        raise RefcodecError("RC-USAGE", f"{path}: entries is no list")
    return tuple(_known(entry, f"{path}: entry {number}") for number, entry in enumerate(document["entries"], 1))


def _known(entry: Any, where: str) -> Known:
    if type(entry) is not dict:
        raise RefcodecError("RC-USAGE", f"{where} is no object: {entry!r}")
    check_keys(entry, ("case", "reason", "until"), (), where)
    pattern, reason, until = (check_text(entry[key], f"{where}: {key}") for key in ("case", "reason", "until"))
    with suppress(ValueError):  # the form may be right, and the day none
        if _DAY.fullmatch(until):
            return Known(pattern, reason, date.fromisoformat(until))
    raise RefcodecError("RC-USAGE", f"{where}: until is no date such as 2030-01-31: {until!r}")


def skip_list_notes(outcomes: Sequence[Outcome], known: Sequence[Known], today: date) -> tuple[str, ...]:
    """A line for every entry that is overdue or of no use, given the marked outcomes."""
    return tuple(line for entry in known for line in _notes(entry, outcomes, today))


def mark_known(outcome: Outcome, known: Sequence[Known], today: date) -> Outcome:
    """The outcome, as known if it failed and an entry that is not overdue names the case (SPEC RUN-4, RUN-7)."""
    entries = [entry for entry in known if outcome.verdict == FAILED and entry.matches(outcome.id)]
    valid = [entry for entry in entries if today <= entry.until]
    if valid:
        return replace(outcome, verdict=KNOWN, reason=f"{valid[0].reason} (until {valid[0].until})")
    if entries:
        return replace(outcome, reason=f"{entries[0].reason} (was to be mended by {entries[0].until})")
    return outcome


def _notes(entry: Known, outcomes: Sequence[Outcome], today: date) -> list[str]:
    matched = [outcome for outcome in outcomes if entry.matches(outcome.id)]
    passing = sum(outcome.verdict == PASSED for outcome in matched)
    failing = sum(outcome.verdict == FAILED for outcome in matched)
    if not matched:
        return [f"{entry.pattern} ({entry.reason}): matches no case of this run"]
    notes = []
    if passing:
        notes.append(f"{entry.pattern} ({entry.reason}): {passing} of {len(matched)} cases pass")
    if failing and today > entry.until:
        notes.append(f"{entry.pattern} ({entry.reason}): expired on {entry.until}, {failing} cases fail")
    return notes
