"""Fetch the third-party coders that the tests compare with: `python tools/fetch_oracles.py`.

Of the CompressAI wheel that pip downloads, only the two extension modules are kept in `.oracles`: `ans` (rANS) and
`_CXX` (table quantisation), which import without PyTorch. They are run by tests, never by refcodec. Where no wheel can
be had, one line says so, and those tests are skipped.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path

REQUIREMENT = "compressai==1.2.8"
MODULES = ("ans", "_CXX")
TARGET = Path(__file__).parents[1] / ".oracles"


def module_files() -> list[Path]:
    """Where the extension modules for this Python belong."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    return [TARGET / f"{module}{suffix}" for module in MODULES]


def download(folder: str) -> Path | None:
    """The wheel for this Python, or None where there is none or the registry cannot be reached."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    limits = ["--retries", "1", "--timeout", "15", "--no-deps", "--only-binary", ":all:"]
    subprocess.run([*pip, *limits, "--dest", folder, REQUIREMENT], capture_output=True, check=False)
    return next(Path(folder).glob("*.whl"), None)


def extract(wheel: Path) -> bool:
    """Write the modules, each whole or not at all; False if the wheel lacks one."""
    with zipfile.ZipFile(wheel) as archive:
        members = {Path(name).name: name for name in archive.namelist()}
        if not all(path.name in members for path in module_files()):
            return False
        TARGET.mkdir(exist_ok=True)
        for path in module_files():
            temporary = path.with_suffix(".tmp")
            temporary.write_bytes(archive.read(members[path.name]))
            temporary.replace(path)
    return True


def main() -> None:
    """Fetch what is missing and say in one line what came of it."""
    if all(path.is_file() for path in module_files()):
        print(f"oracles: present, {REQUIREMENT}")
        return
    with tempfile.TemporaryDirectory() as folder:
        wheel = download(folder)
        fetched = wheel is not None and extract(wheel)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    failure = f"skipped, no usable wheel of {REQUIREMENT} for Python {version} on this platform or no registry reached"
    print(f"oracles: {f'fetched, {REQUIREMENT}' if fetched else failure}")


if __name__ == "__main__":
    main()
