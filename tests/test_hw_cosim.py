"""Co-simulation finds a wrong engine, and says what it did not run (SPEC HW-7)."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from hw_random_layers import LAYER, Case, small_layer

from hw import cosim as cosim_module
from hw.convert import convert_layer
from hw.cosim import cosim, missing_tools
from refcodec.errors import FileError, HardwareError
from refcodec.formats import IntFormat

# Signed activations and weights, three phases' worth of tap counts, surplus channels on both sides.
CASE = Case(
    5, 2, True, 2, 1, 5, 6, (3, 4), IntFormat(8, True), IntFormat(8, True), output=IntFormat(8, True), lanes=(2, 4)
)

# name: (pattern, replacement, whether only stress shows it)
MUTANTS = {
    "no rounding constant": (r"(lane\d_rounded <= )\((\w+_product) \+ \w+_half\)", r"\1\2", False),
    "rounding constant doubled": (r"(lane\d_half <= )\$signed\(power >>> 1\)", r"\1power", False),
    "logical shift": (r"(lane\d_rounded) >>> ", r"\1 >> ", False),
    "wrong phase base": (r"(row_length = )(\d+);", lambda m: f"{m[1]}{int(m[2]) - 1};", False),
    "phases share a base": (r"walker0_weight_counter0_row_base <= base;", "", False),
    "truncated product": (r"reg signed \[15:0\] (\w+_products)", r"reg signed [12:0] \1", False),
    "truncated accumulator": (r"reg signed \[33-1:0\] partial;", "reg signed [15-1:0] partial;", False),
    "off-by-one address": (r"address = \(address \+ term\);", "address = (address + term + 1);", False),
    "off-by-one border": (r"(axis1_position) < 4", r"\1 <= 4", False),
    "no border": (r"if \(\w+_in_picture\)", "if (1)", False),
    "unsigned weights": (r"reg signed (\[8-1:0\] w;)", r"reg \1", False),
    "unsigned activations": (r"x = \$signed\((\w+)(\[[^]]*\])\);", r"x = \1\2;", False),
    "bias forgotten": (r"partial = \w+_lane_memories1_\w+;", "partial = 0;", False),
    "sum never restarts": (r"if \(\w+_mac_array0_firsts\[[^]]*\]\)", "if (0)", False),
    "bias read late": (r"(lane_memories1_memory\d+_cells\[\w+_groups)\[1\]\]", r"\1[2]]", False),
    "upper clip": (r"_scaled > 127", "_scaled > 160", False),
    "lower clip": (r"(results\[\d\] <= )\(-128\);", r"\g<1>127;", False),
    "lanes reversed": (r"\[\(\(4 - 1\) - i\)\]", "[i]", False),
    "ready ignored": (r"advance = sink_ready;", "advance = 1'b1;", True),
    "word counted unaccepted": (r"\((\w+_word_valid) && sink_ready\)", r"(\1)", True),
    "stale valid": (r"(\w+_mac_array0_valids\[0\]) <= (\w+_valid);", r"\1 <= \1 | \2;", False),
    "tile replaced while it is read": (r"(words_left <= )(\d+);", lambda m: f"{m[1]}{int(m[2]) // 2};", False),
}


def need(simulator: str) -> None:
    missing = missing_tools(simulator)
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


@pytest.fixture(scope="module")
def design(tmp_path_factory) -> Path:
    """The Verilog of one layer."""
    folder = tmp_path_factory.mktemp("design") / "hdl"
    program, x = small_layer(CASE)
    convert_layer(program, LAYER, x, "verilog", folder, *CASE.lanes)
    return folder


def mutate(folder: Path, name: str) -> None:
    """Change the engine in place; a mutant that changes nothing is an error of the test."""
    pattern, replacement, _ = MUTANTS[name]
    path = folder / "layer_layer_0.v"
    text, count = re.subn(pattern, replacement, path.read_text())
    assert count > 0, f"nothing matches {pattern}"
    path.write_text(text)


@pytest.mark.hdl
@pytest.mark.parametrize("stress", [0, 11])
def test_unmutated_engine_passes(stress, design):
    need("icarus")
    (result,) = cosim(design, ["icarus"], stress=stress, runs=2)
    assert (result.status, result.reason, result.mismatches) == ("passed", "", 0)


@pytest.mark.hdl
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(name, design, tmp_path):
    need("icarus")
    shutil.copytree(design, tmp_path / "mutant")
    mutate(tmp_path / "mutant", name)
    results = [cosim(tmp_path / "mutant", ["icarus"], stress=stress, runs=2)[0] for stress in (0, 11)]
    statuses = [result.status for result in results]
    assert statuses == (["passed", "failed"] if MUTANTS[name][2] else ["failed", "failed"])
    assert all(result.reason for result in results if result.status == "failed")


@pytest.mark.hdl
def test_wrong_cycle_count_fails_without_stress(design, tmp_path):
    need("icarus")
    shutil.copytree(design, tmp_path / "slow")
    path = tmp_path / "slow" / "expected.hex"
    lines = path.read_text().splitlines()
    lines[-1] = f"{int(lines[-1][:8], 16) - 1:08x}{lines[-1][8:]}"
    path.write_text("\n".join(lines) + "\n")
    (free,) = cosim(tmp_path / "slow", ["icarus"])
    assert (free.status, free.reason, free.mismatches) == ("failed", "cycle counts differ", 0)
    (held,) = cosim(tmp_path / "slow", ["icarus"], stress=1)
    assert held.status == "passed"


@pytest.mark.hdl
def test_hdl_that_does_not_compile_fails_with_the_tool_s_words(design, tmp_path):
    need("icarus")
    shutil.copytree(design, tmp_path / "broken")
    path = tmp_path / "broken" / "layer_layer_0.v"
    path.write_text(path.read_text().replace("endmodule", "nonsense"))
    (result,) = cosim(tmp_path / "broken", ["icarus"])
    assert result.status == "failed"
    assert result.cycles == 0
    assert result.reason


@pytest.mark.hdl
def test_mutated_vhdl_fails(tmp_path):
    need("ghdl")
    program, x = small_layer(CASE)
    convert_layer(program, LAYER, x, "vhdl", tmp_path / "hdl", *CASE.lanes)
    (good,) = cosim(tmp_path / "hdl", ["ghdl"])
    assert good.status == "passed"
    path = tmp_path / "hdl" / "layer_layer_0.vhd"
    text, count = re.subn(r"(lane\d_rounded <= )\((\w+_product) \+ \w+_half\)", r"\1\2", path.read_text())
    assert count == 4
    path.write_text(text)
    (bad,) = cosim(tmp_path / "hdl", ["ghdl"])
    assert bad.status == "failed"
    assert bad.mismatches > 0


def test_missing_simulator_is_skipped_by_name(design, monkeypatch):
    monkeypatch.setattr(cosim_module.shutil, "which", lambda tool: None if tool == "iverilog" else tool)
    (result,) = cosim(design, ["icarus"])
    assert (result.simulator, result.status, result.reason) == ("icarus", "skipped", "iverilog not installed")


def test_simulator_of_the_other_language_is_skipped(design):
    (result,) = cosim(design, ["ghdl"])
    assert (result.status, result.reason) == ("skipped", "reads vhdl, the folder holds verilog")


def test_cosim_writes_nothing_into_the_folder(design):
    assert sorted(path.name for path in design.iterdir()) == sorted(
        [
            "Makefile",
            "SHA256SUMS",
            "README.md",
            "bench.v",
            "expected.hex",
            "layer_layer_0.v",
            "main.cpp",
            "manifest.json",
            "timed_bench.v",
            "load.hex",
            "source.hex",
        ]
    )


def test_cosim_refuses_other_folders_and_simulators(design, tmp_path):
    for content in (None, "{}", "[]", "no json"):
        if content is not None:
            (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(FileError) as caught:
            cosim(tmp_path)
        assert caught.value.code == "RC-FILE-READ"
    with pytest.raises(HardwareError, match="simulator must be one of icarus, verilator, ghdl, got spice"):
        cosim(design, ["spice"])
