"""Writing files and folders whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from refcodec.errors import FileError


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.partial")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file under a temporary name beside its target, then rename it.  Raises FileError RC-FILE-WRITE."""
    target = Path(path)
    partial = _partial(target)
    try:
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise FileError("RC-FILE-WRITE", f"cannot write {target}: {error.strerror}") from error


@contextmanager
def new_folder(path: str | Path, marker: str) -> Iterator[Path]:
    """Fill a temporary folder, then put it in the target's place; after an error nothing is left.

    marker  a file that only this command writes: an existing folder is replaced if it is empty or holds it.
    Raises FileError RC-FILE-WRITE.
    """
    target = Path(path).absolute()
    if target.exists() and not (target.is_dir() and (not any(target.iterdir()) or (target / marker).is_file())):
        raise FileError("RC-FILE-WRITE", f"{path} exists and was not written by this command")
    partial = _partial(target)
    try:
        partial.mkdir(parents=True)
        yield partial
        if target.exists():
            shutil.rmtree(target)
        partial.replace(target)
    except OSError as error:
        raise FileError("RC-FILE-WRITE", f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
