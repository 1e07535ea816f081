"""A suite that is checked before it is used: sums, strays, schemas, and every chosen case (SPEC VEC-1, RUN-3)."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refcodec.errors import VectorError
from refcodec.files import SUMS
from refcodec.vectorgen.case import Case, load_case
from refcodec.vectorgen.suite import INDEX
from refcodec.vectorgen.verify import check_files, read_case

INDEX_SCHEMA = "refcodec-index/1"


@dataclass(frozen=True, slots=True)
class Suite:
    """A folder whose files are all as recorded.

    version  as VERSION.json writes it;  entries  of the index by id, those of the chosen cases only
    total  how many cases the whole suite has;  sha256  of its SHA256SUMS, which names every byte of it.
    """

    folder: Path
    version: str
    entries: Mapping[str, Mapping[str, Any]]
    total: int
    sha256: str

    def cases(self) -> Iterator[Case]:
        """Every chosen case, in the order of ids, checked against the index.  Raises VectorError."""
        for entry in self.entries.values():
            yield read_case(self.folder, dict(entry))

    def load(self, identifier: str) -> Case:
        """One case, which `cases` has checked.  Raises VectorError."""
        return load_case(self.folder / identifier)


def open_suite(path: str | Path, pattern: str = "*") -> Suite:
    """Check a suite's files and choose the cases whose ids match a pattern.

    Raises FileError RC-FILE-READ, VectorError RC-VECTOR-SUITE, RC-VECTOR-HASH.
    """
    folder = Path(path).resolve()
    entries = check_files(folder)
    index = json.loads((folder / INDEX).read_text())
    if set(index) != {"schema", "cases"} or index["schema"] != INDEX_SCHEMA:
        raise VectorError("RC-VECTOR-SUITE", f"{folder / INDEX} is not a {INDEX_SCHEMA} document")
    chosen = {name: entry for name, entry in entries.items() if fnmatch.fnmatchcase(name, pattern)}
    if not chosen:
        raise VectorError("RC-VECTOR-SUITE", f"no case of {path} matches {pattern}")
    version = json.loads((folder / "VERSION.json").read_text())["suite"]
    digest = hashlib.sha256((folder / SUMS).read_bytes()).hexdigest()
    return Suite(folder, str(version), chosen, len(entries), digest)
