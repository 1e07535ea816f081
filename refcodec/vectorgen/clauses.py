"""The text that the cases are of: its version and a SHA-256 of every clause (SPEC VEC-7)."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Iterable, Mapping

_RECORDED = json.loads(importlib.resources.files("refcodec.vectorgen").joinpath("clauses.json").read_bytes())
SPEC_VERSION: str = _RECORDED["version"]
CLAUSES: dict[str, str] = _RECORDED["clauses"]


def digests(clauses: Iterable[str]) -> dict[str, str]:
    """SHA-256 of the text of each clause, by its number.  Raises KeyError where there is no such clause."""
    return {clause: CLAUSES[clause] for clause in clauses}


def stale(recorded: Mapping[str, str]) -> list[str]:
    """The clauses among those recorded whose text is another one now, or is gone."""
    return [clause for clause, digest in recorded.items() if CLAUSES.get(clause) != digest]
