"""Runs what `write_design` emitted in every simulator found (SPEC HW-7)."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw.convert import CYCLE_DIGITS, FORMAT
from refcodec.errors import FileError, HardwareError

# simulator -> the language it reads, the programs it needs; each name is also a target of the emitted Makefile
SIMULATORS: dict[str, tuple[str, tuple[str, ...]]] = {
    "icarus": ("verilog", ("make", "iverilog", "vvp")),
    "verilator": ("verilog", ("make", "verilator", "g++")),
    "ghdl": ("vhdl", ("make", "ghdl")),
}
TIMEOUT = 3600


@dataclass(frozen=True, slots=True)
class CosimResult:
    """Outcome of one simulator (SPEC HW-7).

    status  passed, failed or skipped;  reason  why it was not passed;  mismatches  output words that differ
    cycles  of the last run, 0 where none was seen;  expected_cycles  by the formula;  seconds  build and run.
    """

    simulator: str
    status: str
    reason: str
    mismatches: int
    cycles: int
    expected_cycles: int
    seconds: float


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an emitted folder (SPEC HW-7).  Raises FileError RC-FILE-READ."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileError("RC-FILE-READ", f"{folder}/manifest.json cannot be read") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise FileError("RC-FILE-READ", f"{folder}/manifest.json was not written by this tool")
    return manifest


def missing_tools(simulator: str) -> list[str]:
    """Programs that the simulator needs and that are not installed (SPEC HW-7)."""
    return [tool for tool in SIMULATORS[simulator][1] if shutil.which(tool) is None]


def _compare(log: list[str], expected: list[str], with_cycles: bool) -> tuple[int, str]:
    """Words that differ, and what is wrong."""
    found = log if with_cycles else [line[CYCLE_DIGITS:] for line in log]
    wanted = expected if with_cycles else [line[CYCLE_DIGITS:] for line in expected]
    if found == wanted:
        return 0, ""
    words = [line[CYCLE_DIGITS:] for line in log]
    expected_words = [line[CYCLE_DIGITS:] for line in expected]
    shared = zip(words, expected_words, strict=False)
    mismatches = sum(a != b for a, b in shared) + abs(len(words) - len(expected_words))
    return mismatches, "output words differ" if mismatches else "cycle counts differ"


def _run(
    folder: Path, simulator: str, manifest: dict[str, Any], stress: int, runs: int, reset: int, flow: bool
) -> CosimResult:
    expected_cycles = int(manifest["cycles"]["run"])
    begin = time.monotonic()
    try:
        done = subprocess.run(
            ["make", "-s", simulator, f"STRESS={stress}", f"RUNS={runs}", f"RESET={reset}", f"FLOW={int(flow)}"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        passed, output = done.returncode == 0, done.stdout + done.stderr
    except subprocess.TimeoutExpired:
        passed, output = False, f"no end after {TIMEOUT} s"
    seconds = time.monotonic() - begin
    path = folder / f"{simulator}.out"
    log = path.read_text(encoding="utf-8", errors="replace").split() if path.exists() else []
    expected = (folder / "expected.hex").read_text(encoding="utf-8").split() * runs
    mismatches, reason = _compare(log, expected, stress == 0 and not flow)
    if not passed and not reason:
        lines = [line for line in output.splitlines() if line.strip()]
        reason = lines[-1].strip() if lines else "the bench reported no success"
    try:
        cycles = int(log[-1][:CYCLE_DIGITS], 16) if log else 0
    except ValueError:
        cycles = 0
    return CosimResult(
        simulator, "failed" if reason else "passed", reason, mismatches, cycles, expected_cycles, round(seconds, 3)
    )


def cosim(
    directory: str | Path,
    simulators: Sequence[str] | None = None,
    stress: int = 0,
    runs: int = 1,
    reset: int = 0,
    flow: bool = False,
) -> list[CosimResult]:
    """Run an emitted folder in its simulators and compare the whole output with the golden words (SPEC HW-7).

    simulators  some of icarus, verilator, ghdl; those that read the folder's language without it.  One that is not
    installed, or reads the other language, is reported as skipped.
    stress  seed of gaps and back-pressure, 0 for none: only without them is the cycle of every word compared
    runs  how often to run what was loaded;  flow  without a pause between the runs, as always under stress
    reset  cycles of a run before, which a reset ends, 0 for none.
    The folder is copied, nothing is written into it.  Raises HardwareError RC-HW-CONFIG, FileError RC-FILE-READ.
    """
    folder = Path(directory)
    manifest = read_manifest(folder)
    if simulators is None:
        simulators = [name for name, (language, _) in SIMULATORS.items() if language == manifest["language"]]
    results = []
    for simulator in simulators:
        if simulator not in SIMULATORS:
            raise HardwareError("RC-HW-CONFIG", f"simulator must be one of {', '.join(SIMULATORS)}, got {simulator}")
        language = SIMULATORS[simulator][0]
        missing = missing_tools(simulator)
        reason = f"{', '.join(missing)} not installed" if missing else ""
        if language != manifest["language"]:
            reason = f"reads {language}, the folder holds {manifest['language']}"
        if reason:
            results.append(CosimResult(simulator, "skipped", reason, 0, 0, int(manifest["cycles"]["run"]), 0.0))
            continue
        with tempfile.TemporaryDirectory(prefix="refcodec-cosim-") as workplace:
            copy = Path(workplace) / "design"
            shutil.copytree(folder, copy)
            results.append(_run(copy, simulator, manifest, int(stress), int(runs), int(reset), flow))
    return results
