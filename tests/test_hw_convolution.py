"""The engine on small layers: MyHDL, converted Verilog and VHDL, values and cycle counts (SPEC HW-5, HW-6)."""

from __future__ import annotations

import numpy as np
import pytest
from hw_random_layers import LAYER, Case, small_layer

from hw.convert import convert_layer
from hw.cosim import cosim, missing_tools
from hw.simulate import simulate_layer
from refcodec.formats import IntFormat

S32, S48 = IntFormat(32, True), IntFormat(48, True)


def unsigned(bits: int) -> IntFormat:
    return IntFormat(bits, False)


def signed(bits: int) -> IntFormat:
    return IntFormat(bits, True)


CASES = {
    "k1": Case(kernel=1, padding=0, in_channels=5, out_channels=3, lanes=(1, 1)),
    "k1 one step a word": Case(kernel=1, padding=0, in_channels=4, out_channels=10, lanes=(4, 4)),
    "k3": Case(lanes=(2, 4)),
    "k3 one lane": Case(tile=(3, 2), lanes=(1, 1)),
    "k3 padding 0": Case(padding=0, lanes=(4, 2)),
    "k3 padding 2": Case(padding=2, tile=(1, 2), lanes=(3, 5)),
    "k3 s2": Case(stride=2, tile=(5, 6), lanes=(4, 2)),
    "k5": Case(kernel=5, padding=2, in_channels=10, out_channels=7, tile=(3, 4), lanes=(8, 3)),
    "k5 s2": Case(kernel=5, stride=2, padding=2, tile=(6, 5), lanes=(2, 4)),
    "k9": Case(kernel=9, padding=4, in_channels=2, out_channels=2, tile=(3, 2), lanes=(1, 1)),
    "t5 s2": Case(kernel=5, stride=2, transposed=True, padding=2, output_padding=1, lanes=(2, 4)),
    "t5 s2 one lane": Case(5, 2, True, 2, 1, 2, 3, (2, 3), lanes=(1, 1)),
    "t5 s2 all lanes": Case(5, 2, True, 2, 1, 9, 3, (3, 2), lanes=(8, 8)),
    "t5 s2 odd": Case(kernel=5, stride=2, transposed=True, padding=2, tile=(3, 4), lanes=(4, 2)),
    "t4 s2": Case(kernel=4, stride=2, transposed=True, lanes=(4, 2)),
    "t3": Case(kernel=3, transposed=True, lanes=(2, 4)),
    "t5 s3": Case(kernel=5, stride=3, transposed=True, padding=1, output_padding=2, tile=(2, 3), lanes=(2, 2)),
    "t2 s2 one pixel": Case(kernel=2, stride=2, transposed=True, padding=0, tile=(1, 1), lanes=(2, 2)),
    "raw": Case(output=None, lanes=(2, 4)),
    "raw t5 s2": Case(5, 2, True, 2, 1, 3, 5, (2, 2), output=None, lanes=(3, 3)),
    "three groups of columns": Case(kernel=1, padding=0, out_channels=21, lanes=(2, 10)),
    "raw three groups of columns": Case(kernel=1, padding=0, out_channels=10, output=None, lanes=(2, 9)),
    "W4A4": Case(activation=unsigned(4), weight=signed(4), output=unsigned(4)),
    "W4A4 signed": Case(activation=signed(4), weight=signed(4), output=signed(4), lanes=(4, 4)),
    "W12A12": Case(activation=unsigned(12), weight=signed(12), output=unsigned(12)),
    "W16A16": Case(activation=unsigned(16), weight=signed(16), accumulator=S48, output=unsigned(16)),
    "W16A16 signed": Case(
        5, 2, True, 2, 1, 3, 5, (2, 2), signed(16), signed(16), accumulator=S48, output=signed(16), lanes=(4, 2)
    ),
    "W16A16 raw": Case(activation=unsigned(16), weight=signed(16), accumulator=S48, output=None),
    "W7A10": Case(activation=signed(10), weight=signed(7), output=unsigned(9), lanes=(3, 2)),
    "W10A7": Case(activation=unsigned(7), weight=signed(10), output=signed(5), lanes=(2, 3)),
    "W2A8": Case(activation=unsigned(8), weight=signed(2), accumulator=signed(20), output=unsigned(2), lanes=(5, 4)),
}  # fmt: skip
VHDL_CASES = (
    "k3",
    "t5 s2",
    "t5 s2 all lanes",
    "raw",
    "W4A4 signed",
    "W16A16 signed",
    "W7A10",
    "k1 one step a word",
    "three groups of columns",
)
VERILATOR_CASES = ("t5 s2", "W16A16")


def assert_bites(case: Case, expected: np.ndarray) -> None:
    """The outputs differ from each other and, where they are requantised, saturate at both ends."""
    assert len(np.unique(expected)) >= 4
    if case.output is not None:
        assert expected.min() == case.output.lo
        assert expected.max() == case.output.hi
    else:
        assert expected.min() < 0 < expected.max()


@pytest.mark.parametrize("name", CASES)
def test_engine_twin_equals_golden(name):
    case = CASES[name]
    program, x = small_layer(case)
    result = simulate_layer(program, LAYER, x, *case.lanes)
    assert_bites(case, result.expected)
    assert result.mismatches == 0
    assert result.cycles == result.expected_cycles
    assert result.equal
    assert np.array_equal(result.outputs, result.expected)


@pytest.mark.parametrize("name", ["k1 one step a word", "k3 s2", "t5 s2 odd", "raw"])
def test_engine_twin_ignores_gaps_and_back_pressure(name):
    case = CASES[name]
    program, x = small_layer(case)
    free = simulate_layer(program, LAYER, x, *case.lanes)
    for seed in (1, 2):
        held = simulate_layer(program, LAYER, x, *case.lanes, seed=seed, runs=2)
        assert held.equal
        assert held.cycles > free.cycles  # the output was indeed held back
        assert np.array_equal(held.outputs, free.outputs)


def test_engine_result_does_not_depend_on_lanes():
    program, x = small_layer(CASES["t5 s2"])
    results = [simulate_layer(program, LAYER, x[:, :2, :2], *lanes) for lanes in ((1, 1), (2, 4), (4, 2), (8, 8))]
    assert all(result.equal for result in results)
    assert all(np.array_equal(result.outputs, results[0].outputs) for result in results)
    assert len({result.cycles for result in results}) == 4


def test_simulation_writes_waveforms(tmp_path):
    program, x = small_layer(CASES["t2 s2 one pixel"])
    assert simulate_layer(program, LAYER, x, 2, 2, vcd=tmp_path / "new" / "wave.vcd").equal
    assert "sink_word" in (tmp_path / "new" / "wave.vcd").read_text()


def check_cosim(name: str, simulator: str, language: str, folder) -> None:
    """Emitted HDL passes at full speed, with exact cycles, and under stress in two runs."""
    missing = missing_tools(simulator)
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    case = CASES[name]
    program, x = small_layer(case)
    manifest = convert_layer(program, LAYER, x, language, folder, *case.lanes)
    (free,) = cosim(folder, [simulator])
    assert (free.status, free.reason, free.mismatches) == ("passed", "", 0)
    assert free.cycles == free.expected_cycles == manifest["cycles"]["run"]
    if simulator != "verilator":
        (held,) = cosim(folder, [simulator], stress=7, runs=2, reset=manifest["cycles"]["run"] // 2)
        assert (held.status, held.reason) == ("passed", "")


@pytest.mark.hdl
@pytest.mark.parametrize("name", CASES)
def test_engine_verilog_equals_golden_in_icarus(name, tmp_path):
    check_cosim(name, "icarus", "verilog", tmp_path / "hdl")


@pytest.mark.hdl
@pytest.mark.parametrize("name", VERILATOR_CASES)
def test_engine_verilog_equals_golden_in_verilator(name, tmp_path):
    check_cosim(name, "verilator", "verilog", tmp_path / "hdl")


@pytest.mark.hdl
@pytest.mark.parametrize("name", VHDL_CASES)
def test_engine_vhdl_equals_golden_in_ghdl(name, tmp_path):
    check_cosim(name, "ghdl", "vhdl", tmp_path / "hdl")
