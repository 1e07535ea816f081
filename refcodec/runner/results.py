"""Reading the folder into which an implementation wrote its results; nothing in it is trusted (SPEC RUN-1, RUN-3)."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from refcodec.runner.answer import DONE, REJECTED, Answer, broken
from refcodec.runner.outcome import Problem
from refcodec.runner.signature import FILL, read_crc, read_words, words_limit
from refcodec.vectorgen.case import Case

STATUS, SIGNATURE = "status.json", "out.sig"
MOST_STATUS = 4096  # bytes
MOST_FILES = 1000
MOST_FILL = 1 << 24  # bytes of a signature that was only filled
WIDEST = 8  # bytes of a value, in whatever type it was written
PREFIXES = {"out": "outputs", "tap": "taps"}


class Unreadable(Exception):
    """A file that is not read: its kind of problem and why."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.problem = Problem(kind, message)


def read_limited(path: Path, limit: int) -> bytes:
    """A regular file of at most `limit` bytes.  Raises Unreadable."""
    try:
        # without O_NONBLOCK, opening a pipe would wait for its writer
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        raise Unreadable("extra", f"{path.name} cannot be read: {error}") from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unreadable("extra", f"{path.name} is not a regular file")
        with open(descriptor, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(descriptor)
    if len(content) > limit:
        raise Unreadable("too-large", f"{path.name} has more than {limit} bytes")
    return content


def _names(folder: Path) -> list[str]:
    """Sorted names in a folder, no more than MOST_FILES + 1 of them; none where there is no folder."""
    names: list[str] = []
    try:
        with os.scandir(folder) as found:
            for entry in found:
                names.append(entry.name)
                if len(names) > MOST_FILES:
                    break
    except (FileNotFoundError, NotADirectoryError):
        return []
    return sorted(names)


def read_results(folder: Path, case: Case) -> Answer:
    """The answer that a folder of level 0 or 1 holds: tensors, or `status.json` (SPEC RUN-1)."""
    names = _names(folder)
    if len(names) > MOST_FILES:
        return broken("too-large", f"the folder holds more than {MOST_FILES} files")
    if not names:
        return broken("missing", f"no result: {'the folder is empty' if folder.is_dir() else 'there is no folder'}")
    found: dict[str, dict[str, bytes]] = {"outputs": {}, "taps": {}}
    problems, unread = [], set()
    for name in names:
        if name == STATUS:
            continue
        prefix, _, tensor = name.removesuffix(".le").partition(".")
        role = PREFIXES.get(prefix, "")
        try:
            found[role][tensor] = read_limited(folder / name, _limit(case, role, tensor, name))
        except Unreadable as unreadable:
            problems.append(unreadable.problem)
            unread |= {tensor} if role == "outputs" else set()
    answer = Answer(DONE, found["outputs"], found["taps"], problems=tuple(problems), unread=frozenset(unread))
    return _with_status(folder, answer) if STATUS in names else answer


def _limit(case: Case, role: str, tensor: str, name: str) -> int:
    """The most bytes that a file can have as a tensor of the case.  Raises Unreadable where it is none."""
    known = getattr(case, role) if role else {}
    if not name.endswith(".le") or not role:
        raise Unreadable("extra", f"{name} is no file of the protocol")
    if case.error is not None and role == "outputs":
        return MOST_STATUS  # an invalid case is accepted by giving any output
    if tensor not in known:
        raise Unreadable("extra", f"{name} is no {role[:-1]} of the case")
    return tensor_limit(known[tensor].array.size)


def tensor_limit(size: int) -> int:
    """The most bytes that are read of a tensor of so many values: room to name the mistake, and no more."""
    return WIDEST * size + MOST_STATUS


def _with_status(folder: Path, answer: Answer) -> Answer:
    try:
        document = json.loads(read_limited(folder / STATUS, MOST_STATUS))
    except Unreadable as unreadable:
        return broken("status", str(unreadable))
    except (ValueError, RecursionError):
        return broken("status", f"{STATUS} is not JSON")
    if type(document) is not dict or set(document) != {"error"} or type(document["error"]) is not str:
        return broken("status", f'{STATUS} is not of the form {{"error": "RC-..."}}')
    return replace(answer, status=REJECTED, code=document["error"])


def read_signature(folder: Path, case: Case) -> Answer:
    """The answer that a folder of level 3 holds: `out.sig`, `out.crc` or `status.json` (SPEC RUN-1)."""
    names = _names(folder)
    given = [name for name in (STATUS, SIGNATURE, "out.crc") if name in names]
    if not given:
        return broken("missing", f"no result: there is neither {SIGNATURE} nor out.crc")
    strays = tuple(_strays(folder, names, given[0]))
    if given[0] == STATUS:
        return _with_status(folder, Answer(DONE, problems=strays))
    limit = words_limit(case.outputs) if given[0] == SIGNATURE else MOST_STATUS
    try:
        text = read_limited(folder / given[0], limit).decode("ascii", "replace")
    except Unreadable as unreadable:
        return broken(unreadable.problem.kind, str(unreadable))
    if case.error is not None:
        return Answer(DONE, problems=strays)
    answer = read_words(text, case.outputs) if given[0] == SIGNATURE else read_crc(text)
    return replace(answer, problems=(*answer.problems, *strays))


def _strays(folder: Path, names: list[str], expected: str) -> Iterator[Problem]:
    """What lies beside the answer; a signature that was filled and never written may lie beside a rejection."""
    for name in names:
        if name == SIGNATURE and expected == STATUS:
            if not _unwritten(folder / name):
                yield Problem("partial", f"{SIGNATURE} was written although the case is rejected (ERR-1)")
        elif name != expected:
            yield Problem("extra", f"{name} beside {expected}")


def _unwritten(path: Path) -> bool:
    with suppress(Unreadable):
        return set(read_limited(path, MOST_FILL).lower().split()) <= {f"{FILL:08x}".encode()}
    return False
