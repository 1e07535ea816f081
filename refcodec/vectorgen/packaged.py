"""The smoke suite that the package holds, so that a runner needs no download (SPEC VEC-8)."""

from __future__ import annotations

import importlib.resources
import io
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from refcodec.files import folder_files

ARCHIVE = "smoke.zip"
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every member, so that equal suites give equal archives


@contextmanager
def smoke_suite() -> Iterator[Path]:
    """The folder of the packaged suite, for as long as it is wanted (SPEC VEC-8)."""
    content = importlib.resources.files("refcodec.vectorgen").joinpath(ARCHIVE).read_bytes()
    with tempfile.TemporaryDirectory(prefix="refcodec-smoke-") as folder:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            archive.extractall(folder)
        yield Path(folder)


def pack(folder: Path) -> bytes:
    """A suite's folder as an archive, files sorted, without dates."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted([*folder_files(folder), "SHA256SUMS"]):
            member = zipfile.ZipInfo(name, EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, (folder / name).read_bytes(), compresslevel=9)
    return out.getvalue()
