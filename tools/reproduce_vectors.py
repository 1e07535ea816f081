"""Build the committed suite with other Pythons and other NumPys, and compare its sums.

The interpreters are those of 3.10 to 3.13 that stand on the path or under pyenv: the oldest with the oldest NumPy, the
newest with the newest, or with --all every one with both. Each gets a virtual environment in a temporary folder.
"""

from __future__ import annotations

import configparser
import glob
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
OLDEST, NEWEST = "numpy==2.1.*", "numpy"  # the first series that setup.cfg allows, and what pip finds
BUILD = "import sys; from refcodec.vectorgen.suite import build_suite; build_suite(sys.argv[1])"
ASK = "import sys, numpy; print('Python', sys.version.split()[0], 'NumPy', numpy.__version__)"


def interpreters() -> list[str]:
    """One interpreter of each version at hand, oldest first."""
    folders = [*os.get_exec_path(), *glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin"))]
    found = []
    for version in VERSIONS:
        paths = [Path(folder) / f"python{version}" for folder in folders]
        found += [str(path) for path in paths if _runs(path)][:1]
    return found or [sys.executable]


def _runs(path: Path) -> bool:
    """Whether this is an interpreter, and not a stand-in for one that is not installed."""
    return path.is_file() and subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0


def requirements() -> list[str]:
    """What the package needs, as setup.cfg says."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    return config["options"]["install_requires"].split()


def build(python: str, numpy: str, folder: Path) -> tuple[str, str]:
    """The sums of a suite built with an interpreter and a NumPy, and the versions of both."""
    subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
    own = str(folder / "venv" / "bin" / "python")
    install = [own, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *requirements(), numpy]
    subprocess.run(install, check=True)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([own, "-c", BUILD, folder / "suite"], check=True, env=environment, cwd=folder)
    asked = subprocess.run([own, "-c", ASK], check=True, capture_output=True, text=True)
    return (folder / "suite" / "SHA256SUMS").read_text(), asked.stdout.strip()


def main() -> int:
    """Print each comparison; 1 if one differs."""
    committed = (ROOT / "vectors" / "SHA256SUMS").read_text()
    found = interpreters()
    pairs = [(found[0], OLDEST), (found[-1], NEWEST)]
    if "--all" in sys.argv[1:]:
        pairs = [(python, numpy) for python in found for numpy in (OLDEST, NEWEST)]
    different = 0
    for python, numpy in pairs:
        with tempfile.TemporaryDirectory() as folder:
            built, versions = build(python, numpy, Path(folder))
        different += built != committed
        print(f"{versions}: {'the same bytes' if built == committed else 'DIFFERENT'}", flush=True)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
