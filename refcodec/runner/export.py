"""A suite as NumPy files, for those whose tools read nothing else (SPEC VEC-1)."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

from refcodec.files import fill_folder, new_folder
from refcodec.runner.suite import open_suite
from refcodec.vectorgen.case import PREFIX, ROLES, Case

SCHEMA = "refcodec-npy-case/1"


def export_npy(suite: str | Path, folder: str | Path) -> int:
    """Write every tensor of every case as .npy beside a case.json; returns the number of cases.

    Raises FileError RC-FILE-READ, RC-FILE-WRITE, VectorError RC-VECTOR-SUITE, RC-VECTOR-HASH.
    """
    opened = open_suite(suite)
    with new_folder(folder) as target:
        for case in opened.cases():
            described = json.loads((opened.folder / case.id / "case.json").read_bytes())
            fill_folder(target / case.id, _files(case, described))
    return len(opened.entries)


def _files(case: Case, described: dict[str, Any]) -> dict[str, bytes]:
    described["schema"] = SCHEMA
    files = {}
    for role in ROLES:
        for entry in described[role]:
            values = getattr(case, role)[entry["name"]]
            entry["file"] = f"{PREFIX[role]}.{entry['name']}.npy"
            del entry["sha256"]  # SHA256SUMS has those of the new files
            files[entry["file"]] = _npy(values.array.astype(values.storage))
    return {**files, "case.json": json.dumps(described, indent=1, sort_keys=True).encode() + b"\n"}


def _npy(array: np.ndarray) -> bytes:
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue()
