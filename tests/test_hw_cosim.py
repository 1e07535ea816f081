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
    "no rounding constant": (r"total = \(total \+ 1\);", "", False),
    "rounding constant doubled": (r"total = \(total \+ 1\);", "total = (total + 2);", False),
    "logical shift": (r"(doubled) >>> ", r"\1 >> ", False),
    "fine shift one bit short": (r"places & 7\)", "places & 3)", False),
    "partial product forgotten": (r"(multiply_parts\d*[13]_near <= )\(.*\);", r"\g<1>0;", False),
    "sign of the upper part lost": (r"(_part <= )\$signed\((\w+_accumulator\[[^]]*\])\);", r"\1\2;", False),
    "overflow wraps": (r"\(\(upper == 0\) \|\| ", "(1 || ", False),
    "wrong phase base": (r"(row_length = )(\d+);", lambda m: f"{m[1]}{int(m[2]) - 1};", False),
    "phases share a base": (r"walker0_weight_counter0_row_base <= base;", "", False),
    "truncated product": (r"reg signed \[15:0\] (\w+_products)", r"reg signed [12:0] \1", False),
    "truncated accumulator": (r"reg signed \[33-1:0\] partial;", "reg signed [15-1:0] partial;", False),
    "off-by-one address": (r"address = \(address \+ term\);", "address = (address + term + 1);", False),
    "off-by-one border": (r"(axis1_position) < 4", r"\1 <= 4", False),
    "no border": (r"if \(\w+_in_picture\)", "if (1)", False),
    "unsigned weights": (r"reg signed (\[8-1:0\] w;)", r"reg \1", False),
    "unsigned activations": (r"x = \$signed\((\w+)(\[[^]]*\])\);", r"x = \1\2;", False),
    "bias forgotten": (r"partial = \w+_bias_operands\[\d\];", "partial = 0;", False),
    "sum never restarts": (r"if \(\w+_mac_array0_firsts\[[^]]*\]\)", "if (0)", False),
    "bias read late": (r"(lane_memories1_memory\d+_cells\[\w+_groups)\[3\]\]", r"\1[4]]", False),
    "upper clip": (r"_rounded > 127", "_rounded > 160", False),
    "lower limit": (r"(_limited <= )\(-256\);", r"\g<1>255;", False),
    "lanes reversed": (r"\[\(\(4 - 1\) - i\)\]", "[i]", False),
    "ready ignored": (r"_offered && \(!sink_ready\)", "_offered && 0", True),
    "word counted unaccepted": (r"\((\w+_offered) && sink_ready\)", r"(\1)", True),
    "last step not seen": (r"_channel_last <= \(\w+ == 1\);", lambda m: m[0].replace("== 1", "== 0"), False),
    "stale valid": (r"(\w+_mac_array0_valids\[0\]) <= (\w+_valid);", r"\1 <= \1 | \2;", False),
    "tile replaced while it is read": (r"(words_left <= )(\d+);", lambda m: f"{m[1]}{int(m[2]) // 2};", False),
}

# Of an engine that gives a word at every step.
DENSE_CASE = Case(kernel=1, padding=0, in_channels=4, out_channels=10, lanes=(4, 4))
DENSE_MUTANTS = {
    "shift of the word before": (r"_shifts\[4\];", "_shifts[5];", False),
    "multiplier of the word before": (r"(lane_memories2_memory\d+_cells\[\w+_groups)\[6\]\]", r"\1[5]]", False),
    "second word lost": (r"\w+_front <= \w+_back;", "", True),
    "never stalls": (r"(_advance <= )\(!\w+_word_valid\);", r"\g<1>1'b1;", True),
    "word offered twice": (r"(_offered <= )\w+_word_valid;", r"\g<1>1'b1;", False),
}


def need(simulator: str) -> None:
    missing = missing_tools(simulator)
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")


def emit(case: Case, folder: Path) -> Path:
    program, x = small_layer(case)
    convert_layer(program, LAYER, x, "verilog", folder, *case.lanes)
    return folder


@pytest.fixture(scope="module")
def design(tmp_path_factory) -> Path:
    """The Verilog of one layer."""
    return emit(CASE, tmp_path_factory.mktemp("design") / "hdl")


@pytest.fixture(scope="module")
def dense_design(tmp_path_factory) -> Path:
    """The Verilog of a layer of one step a word."""
    return emit(DENSE_CASE, tmp_path_factory.mktemp("dense") / "hdl")


def assert_fails(design: Path, mutant: tuple[str, object, bool], folder: Path) -> None:
    """Icarus refuses the changed engine; a mutant that changes nothing is an error of the test."""
    pattern, replacement, stress_only = mutant
    shutil.copytree(design, folder)
    path = folder / "layer_layer_0.v"
    text, count = re.subn(pattern, replacement, path.read_text())
    assert count > 0, f"nothing matches {pattern}"
    path.write_text(text)
    results = [cosim(folder, ["icarus"], stress=stress, runs=2)[0] for stress in (0, 11)]
    statuses = [result.status for result in results]
    assert statuses == (["passed", "failed"] if stress_only else ["failed", "failed"])
    assert all(result.reason for result in results if result.status == "failed")


@pytest.mark.hdl
@pytest.mark.parametrize("stress", [0, 11])
def test_unmutated_engine_passes(stress, design, dense_design):
    need("icarus")
    for folder in (design, dense_design):
        (result,) = cosim(folder, ["icarus"], stress=stress, runs=2)
        assert (result.status, result.reason, result.mismatches) == ("passed", "", 0)


@pytest.mark.hdl
@pytest.mark.parametrize("name", MUTANTS)
def test_mutant_fails(name, design, tmp_path):
    need("icarus")
    assert_fails(design, MUTANTS[name], tmp_path / "mutant")


@pytest.mark.hdl
@pytest.mark.parametrize("name", DENSE_MUTANTS)
def test_mutant_of_a_dense_engine_fails(name, dense_design, tmp_path):
    need("icarus")
    assert_fails(dense_design, DENSE_MUTANTS[name], tmp_path / "mutant")


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
    text, count = re.subn(r"total := \(total \+ 1\);", "", path.read_text())
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
