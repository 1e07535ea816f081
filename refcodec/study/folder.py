"""The folder of a study: what is done stays there, so that an interrupted study goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refcodec.errors import FileError, RefcodecError
from refcodec.files import read_bytes, write_bytes

MARKER = "study.json"
KEY_DIGITS = 16  # of a key, in the name of a file


def digest(document: object) -> str:
    """SHA-256 of plain values, in hexadecimal."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class ResultFolder:
    """A folder that holds a study and may hold other things, which stay as they are; make it with `open_folder`.

    Every file is written whole or not at all. Results carry in their names, and inside, a key of everything they
    depend on: what belongs to other inputs is not mistaken for a result of these.

    schema  what kind of study it is.
    """

    path: Path
    schema: str

    def rows(self, name: str, key: str) -> list[dict[str, Any]] | None:
        """The rows stored for a task, None where there are none that can be read."""
        path = self._result(name, key)
        try:
            document = json.loads(read_bytes(path)) if path.is_file() else None
        except (RefcodecError, ValueError, RecursionError):
            return None
        if type(document) is not dict or (document.get("schema"), document.get("key")) != (self.schema, key):
            return None
        rows = document.get("rows")
        return rows if type(rows) is list and all(type(row) is dict for row in rows) else None

    def keep_rows(self, name: str, key: str, rows: list[dict[str, Any]]) -> None:
        """Store the rows of a task.  Raises FileError RC-FILE-WRITE."""
        document = {"schema": self.schema, "key": key, "rows": rows}
        self.keep(self._result(name, key), (json.dumps(document, indent=1) + "\n").encode())

    def write(self, files: Mapping[str, bytes]) -> None:
        """Write the reports.  Raises FileError RC-FILE-WRITE."""
        for name, content in files.items():
            self.keep(self.path / name, content)

    def keep(self, path: Path, content: bytes) -> None:
        """Write one file below the folder.  Raises FileError RC-FILE-WRITE."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FileError("RC-FILE-WRITE", f"cannot write {path}: {error.strerror}") from error
        write_bytes(path, content)

    def _result(self, name: str, key: str) -> Path:
        return self.path / "results" / f"{name}-{key[:KEY_DIGITS]}.json"


def open_folder(path: str | Path, schema: str, what: str) -> ResultFolder:
    """The folder of a study: one that is missing or empty becomes one, one that is a study already is taken up again.

    schema  of the study;  what  its name for people.
    Raises FileError RC-FILE-WRITE for any other folder, which is not touched.
    """
    folder = Path(path)
    marker = folder / MARKER
    try:
        if folder.is_dir():
            first = next((entry.name for entry in sorted(folder.iterdir())), None)
            if first is not None and not _is_marker(marker, schema):
                raise FileError("RC-FILE-WRITE", f"{path} is no {what} to go on with: it holds {first}")
        elif folder.exists() or folder.is_symlink():
            raise FileError("RC-FILE-WRITE", f"{path} is no folder")
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError("RC-FILE-WRITE", f"cannot write {path}: {error.strerror}") from error
    if not marker.is_file():
        write_bytes(marker, (json.dumps({"schema": schema}) + "\n").encode())
    return ResultFolder(folder, schema)


def _is_marker(marker: Path, schema: str) -> bool:
    try:
        return json.loads(read_bytes(marker)) == {"schema": schema}
    except (RefcodecError, ValueError, RecursionError):
        return False
