"""Answers of level 2: a JSON object a line, each tensor a file or hexadecimal digits (SPEC RUN-1)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refcodec.runner.answer import DONE, REJECTED, UNSUPPORTED, Answer
from refcodec.runner.outcome import Problem
from refcodec.runner.results import Unreadable, read_limited, tensor_limit
from refcodec.runner.target import Job
from refcodec.vectorgen.case import Case

MOST_LINE = 1 << 16  # bytes of an answer without its tensors
KEYS = {"ok": {"outputs", "taps"}, "rejected": {"error", "taps"}, "unsupported": set()}


class Broken(Exception):
    """The process gave no answer of the protocol: the kind of problem and a sentence."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def line_limit(case: Case) -> int:
    """The most bytes of an answer: every tensor in hexadecimal, in the widest type."""
    return MOST_LINE + sum(2 * tensor_limit(v.array.size) for v in (*case.outputs.values(), *case.taps.values()))


def parse_line(line: bytes, asked: int) -> dict[str, Any]:
    """The object of a line that answers a request.  Raises Broken."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise Broken("protocol", f"the answer is not JSON: {line[:60]!r}") from None
    if type(document) is not dict or type(document.get("status")) is not str:
        raise Broken("protocol", "the answer is no object with a status")
    if type(document.get("id")) is not int or document["id"] != asked:
        raise Broken("wrong-id", f"the answer has the id {document.get('id')!r}, the request had {asked}")
    if document["status"] not in KEYS:
        raise Broken("protocol", f"the answer has the unknown status {document['status'][:40]!r}")
    surplus = set(document) - {"id", "status"} - KEYS[document["status"]]
    if surplus:
        raise Broken("protocol", f"the answer has an unknown key {min(surplus)[:40]!r}")
    return document


def read_answer(document: Mapping[str, Any], job: Job) -> Answer:
    """What a well-formed answer says.  Raises Broken."""
    if document["status"] == "unsupported":
        return Answer(UNSUPPORTED)
    if document["status"] == "rejected" and type(document.get("error")) is not str:
        raise Broken("protocol", "a rejection names no code")
    problems: list[Problem] = []
    taps = _tensors(document.get("taps", {}), "tap", job, problems)
    if document["status"] == "rejected":
        return Answer(REJECTED, taps=taps, code=document["error"], problems=tuple(problems))
    outputs = _tensors(document.get("outputs"), "output", job, problems)
    unread = frozenset(document["outputs"]) - frozenset(outputs)
    return Answer(DONE, outputs, taps, problems=tuple(problems), unread=unread)


def _tensors(entries: Any, role: str, job: Job, problems: list[Problem]) -> dict[str, bytes]:
    if type(entries) is not dict:
        raise Broken("protocol", f"the answer has no {role}s")
    known = {"output": job.case.outputs, "tap": job.case.taps}[role]
    tensors = {}
    for name, entry in entries.items():
        if name not in known:
            problems.append(Problem("extra", f"{name[:40]!r} is no {role} of the case"))
            continue
        try:
            tensors[name] = _content(entry, f"{role} {name}", job.out, tensor_limit(known[name].array.size))
        except Unreadable as unreadable:
            problems.append(unreadable.problem)
    return tensors


def _content(entry: Any, tensor: str, out: Path, limit: int) -> bytes:
    """The bytes of a tensor.  Raises Broken, Unreadable."""
    if type(entry) is not dict or len(entry) != 1 or type(next(iter(entry.values()))) is not str:
        raise Broken("protocol", f'{tensor} is neither {{"file": name}} nor {{"hex": digits}}')
    if "hex" in entry:
        try:
            return bytes.fromhex(entry["hex"])
        except ValueError:
            raise Broken("protocol", f"{tensor} is not hexadecimal") from None
    if "file" not in entry:
        raise Broken("protocol", f'{tensor} is neither {{"file": name}} nor {{"hex": digits}}')
    path = out / entry["file"]
    try:
        inside = out.resolve() in path.resolve().parents
    except (OSError, ValueError):
        inside = False
    if not inside:
        raise Broken("protocol", f"{tensor}: {entry['file'][:80]} lies outside the folder for results")
    try:
        return read_limited(path, limit)
    except Unreadable as unreadable:
        kind = "missing" if unreadable.problem.kind == "extra" else unreadable.problem.kind
        raise Unreadable(kind, f"{tensor}: {unreadable}") from None
