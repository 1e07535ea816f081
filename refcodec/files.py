"""Files and folders, read within limits, written whole or not at all, never over what someone else put there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from refcodec.errors import FileError

SUMS = "SHA256SUMS"
MAX_FILE = 1 << 30  # bytes of any file that is read whole


def read_bytes(path: str | Path) -> bytes:
    """A whole file of at most MAX_FILE bytes, whatever kind of file it is.  Raises FileError RC-FILE-READ."""
    try:
        with open(path, "rb") as file:
            declared = os.fstat(file.fileno()).st_size  # zero for what is no regular file
            content = file.read(MAX_FILE + 1) if declared <= MAX_FILE else b""
    except OSError as error:
        raise FileError("RC-FILE-READ", f"cannot read {path}: {error.strerror}") from error
    if max(declared, len(content)) > MAX_FILE:
        raise FileError("RC-FILE-READ", f"{path} is larger than {MAX_FILE} bytes")
    return content


def _partial(target: Path) -> Path:
    if not target.name:
        raise FileError("RC-FILE-WRITE", f"{str(target)!r} names no file")
    return target.with_name(f".{target.name}.{os.getpid()}.partial")


def write_bytes(path: str | Path, content: bytes) -> None:
    """Write a file under a temporary name beside its target, then rename it.  Raises FileError RC-FILE-WRITE."""
    write_files({path: content})


def write_files(contents: Mapping[str | Path, bytes]) -> None:
    """Write several files: all temporary ones first, then the renames.  Raises FileError RC-FILE-WRITE."""
    partials = {Path(path): _partial(Path(path)) for path in contents}
    try:
        for (target, partial), content in zip(partials.items(), contents.values(), strict=True):
            if target.is_dir():
                raise FileError("RC-FILE-WRITE", f"cannot write {target}: it is a folder")
            partial.write_bytes(content)
        for target, partial in partials.items():
            partial.replace(target)
    except OSError as error:
        raise FileError("RC-FILE-WRITE", f"cannot write {target}: {error.strerror}") from error
    finally:
        for partial in partials.values():
            with suppress(OSError):
                partial.unlink()


def folder_files(folder: Path) -> list[str]:
    """Every file below a folder but its own sums, relative and sorted."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return sorted(name for name in found if name != SUMS)


def folder_sums(folder: Path) -> str:
    """The text of a folder's SHA256SUMS, as `sha256sum -c` reads it."""
    return "".join(
        f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in folder_files(folder)
    )


def _foreign(target: Path) -> str | None:
    """What stands in a new folder's way: a file, a link, or the first file that its own sums do not list."""
    if not os.path.lexists(target):
        return None
    if target.is_symlink() or not target.is_dir():
        return "it is no folder"
    try:
        listed = {line[66:] for line in (target / SUMS).read_text().splitlines()}
    except (OSError, ValueError):
        listed = set()
    return next((f"it holds {name}" for name in folder_files(target) if name not in listed), None)


def fill_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files, by name, into a folder that is made where it is missing; for use within `new_folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


@contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Fill a temporary folder, add SHA256SUMS, then put it in the target's place; after an error nothing is left.

    An existing folder is replaced only if it is empty or holds no file that its own SHA256SUMS does not list.
    Raises FileError RC-FILE-WRITE.
    """
    target = Path(path).absolute()
    partial = _partial(target)
    if reason := _foreign(target):
        raise FileError("RC-FILE-WRITE", f"{path} was not written by this command: {reason}")
    missing = [folder for folder in partial.parents if not folder.exists()]
    try:
        partial.mkdir(parents=True)
        yield partial
        (partial / SUMS).write_text(folder_sums(partial))
        if target.exists():
            shutil.rmtree(target)
        partial.replace(target)
    except OSError as error:
        raise FileError("RC-FILE-WRITE", f"cannot write {path}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        for folder in missing:
            with suppress(OSError):  # the target stands in it
                folder.rmdir()
