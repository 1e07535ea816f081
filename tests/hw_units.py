"""Runs one datapath unit cycle by cycle: in MyHDL, as converted Verilog in Icarus, as converted VHDL in GHDL.

Every unit here has the ports clock, reset, advance, valid, operands, result_valid and result. One row of the stimulus
holds advance, valid and the operands of one cycle; a result counts where result_valid and advance are high.
"""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myhdl import Signal, StopSimulation, always, block, delay, instance

from hw.clip import clip
from hw.elaboration import bit, bus, clean_elaboration, signed
from hw.mac_array import mac_array
from hw.requantise import requantise
from refcodec.formats import IntFormat

Row = tuple[int, ...]
BIT = IntFormat(1, False)


@block
def clip_unit(clock, reset, advance, valid, value, result_valid, result, lo, hi):
    """The clip unit with a valid bit of its own."""
    unit = clip(clock, advance, valid, value, result, lo, hi)

    @always(clock.posedge)
    def follow():
        if reset:
            result_valid.next = False
        elif advance:
            result_valid.next = valid

    return unit, follow


@block
def requantise_unit(clock, reset, advance, valid, accumulator, multiplier, shift, result_valid, result, lo, hi):
    """One lane of the requantiser."""
    accumulators, multipliers, shifts, results = [accumulator], [multiplier], [shift], [result]
    return requantise(clock, reset, advance, valid, accumulators, multipliers, shifts, result_valid, results, lo, hi)


@block
def mac_unit(
    clock, reset, advance, valid, first, last, in_picture, x_word, weight_word, bias,
    result_valid, result, pi, x_format, weight_bits,
):  # fmt: skip
    """One column of the MAC array; the bias is given with `first` and delayed to where the array samples it."""
    depth = (pi - 1).bit_length() + 1
    top = depth - 1
    line = [signed(len(bias)) for _ in range(depth)]
    weight_words, biases, accumulators = [weight_word], [line[top]], [result]
    array = mac_array(
        clock, reset, advance, valid, first, last, in_picture, x_word, weight_words,
        biases, result_valid, accumulators, pi, x_format, weight_bits,
    )  # fmt: skip

    @always(clock.posedge)
    def follow():
        if advance:
            line[0].next = bias
            for i in range(1, depth):
                line[i].next = line[i - 1]

    return array, follow


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit to run: its block, the formats of its operands and result, and its other arguments."""

    block: Callable[..., Any]
    operands: dict[str, IntFormat]
    result: IntFormat
    arguments: dict[str, Any]

    @property
    def inputs(self) -> dict[str, IntFormat]:
        """Formats of a row."""
        return {"advance": BIT, "valid": BIT, **self.operands}


def unit_signals(unit: Unit) -> dict[str, Signal]:
    """Fresh ports; an operand of one unsigned bit is a wire."""
    ports = {"clock": bit(), "reset": bit()}
    for name, form in unit.inputs.items():
        ports[name] = bit() if form == BIT else bus(form)
    return {**ports, "result_valid": bit(), "result": bus(unit.result)}


@block
def _myhdl_bench(unit, ports, rows, results):
    clock = ports["clock"]
    design = unit.block(**ports, **unit.arguments)

    @always(delay(5))
    def tick():
        clock.next = not clock

    @instance
    def drive():
        ports["reset"].next = True
        yield clock.negedge
        yield clock.negedge
        ports["reset"].next = False
        advances = 0
        for row in rows:
            for name, value in zip(unit.inputs, row, strict=True):
                ports[name].next = value
            yield delay(1)
            if ports["advance"]:
                if ports["result_valid"]:
                    results.append((advances, int(ports["result"])))
                advances += 1
            yield clock.negedge
        raise StopSimulation

    return design, tick, drive


def run_myhdl(unit: Unit, rows: Sequence[Row]) -> list[tuple[int, int]]:
    """(index of the cycle among those with advance, result) of every result."""
    results: list[tuple[int, int]] = []
    with clean_elaboration():
        bench = _myhdl_bench(unit, unit_signals(unit), rows, results)
        bench.run_sim(quiet=1)
        bench.quit_sim()
    return results


def convert_unit(unit: Unit, hdl: str, folder: Path) -> None:
    """Write unit.v, or unit.vhd with its package."""
    with clean_elaboration(), warnings.catch_warnings():
        warnings.simplefilter("error")
        design = unit.block(**unit_signals(unit), **unit.arguments)
        options = {"testbench": False} if hdl == "Verilog" else {}
        design.convert(hdl=hdl, path=str(folder), name="unit", no_myhdl_header=True, **options)


def _write_rows(unit: Unit, rows: Sequence[Row], folder: Path) -> int:
    """One hexadecimal line a row, the first input in the highest bits; returns the digits."""
    digits = -(-sum(form.bits for form in unit.inputs.values()) // 4)
    lines = []
    for row in rows:
        word = 0
        for form, value in zip(unit.inputs.values(), row, strict=True):
            word = (word << form.bits) | (int(value) & ((1 << form.bits) - 1))
        lines.append(f"{word:0{digits}x}\n")
    (folder / "rows.hex").write_text("".join(lines))
    return digits


def _read_results(unit: Unit, path: Path) -> list[int]:
    values = [int(line, 16) for line in path.read_text().split()]
    top = 1 << (unit.result.bits - 1)
    return [value - 2 * top if unit.result.signed and value >= top else value for value in values]


def _call(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def run_icarus(unit: Unit, rows: Sequence[Row], folder: Path) -> list[int]:
    """The results of the converted Verilog."""
    convert_unit(unit, "Verilog", folder)
    bits = 4 * _write_rows(unit, rows, folder)
    wires = [f"wire {f'[{form.bits - 1}:0]' if form != BIT else ''} {name};" for name, form in unit.inputs.items()]
    connections = [f".{name}({name})" for name in ["clock", "reset", *unit.inputs, "result_valid", "result"]]
    (folder / "bench.v").write_text(f"""
module bench;
    reg clock = 0, reset = 1;
    reg [{bits - 1}:0] rows [0:{len(rows) - 1}];
    reg [{bits - 1}:0] row = 0;
    {" ".join(wires)}
    wire result_valid;
    wire [{unit.result.bits - 1}:0] result;
    integer i, log;
    assign {{{", ".join(unit.inputs)}}} = row;
    unit unit ({", ".join(connections)});
    initial begin
        $readmemh("rows.hex", rows);
        log = $fopen("results", "w");
        repeat (2) begin #5 clock = 1; #5 clock = 0; end
        reset = 0;
        for (i = 0; i < {len(rows)}; i = i + 1) begin
            row = rows[i];
            #1 if (result_valid && advance) $fwrite(log, "%h\\n", result);
            #4 clock = 1;
            #5 clock = 0;
        end
        $fclose(log);
        $finish;
    end
endmodule
""")
    _call(folder, "iverilog", "-g2005", "-o", "bench.vvp", "bench.v", "unit.v")
    _call(folder, "vvp", "-n", "bench.vvp")
    return _read_results(unit, folder / "results")


def _vhdl_assignments(unit: Unit, bits: int) -> tuple[list[str], list[str]]:
    """Declarations and concurrent assignments that split a row into its inputs."""
    declarations, assignments = [], []
    top = sum(form.bits for form in unit.inputs.values())
    for name, form in unit.inputs.items():
        kind = "signed" if form.signed else "unsigned"
        bottom = top - form.bits
        if form == BIT:
            declarations.append(f"signal {name}: std_logic;")
            assignments.append(f"{name} <= row({bottom});")
        else:
            declarations.append(f"signal {name}: {kind}({form.bits - 1} downto 0);")
            assignments.append(f"{name} <= {kind}(row({top - 1} downto {bottom}));")
        top = bottom
    return declarations, assignments


def run_ghdl(unit: Unit, rows: Sequence[Row], folder: Path) -> list[int]:
    """The results of the converted VHDL."""
    convert_unit(unit, "VHDL", folder)
    bits = 4 * _write_rows(unit, rows, folder)
    declarations, assignments = _vhdl_assignments(unit, bits)
    connections = [f"{name} => {name}" for name in ["clock", "reset", *unit.inputs, "result_valid", "result"]]
    newline = "\n    "
    (folder / "bench.vhd").write_text(f"""
library ieee;
use ieee.std_logic_1164.all;
use ieee.numeric_std.all;
use std.textio.all;
entity bench is end entity;
architecture simulation of bench is
    signal clock: std_logic := '0';
    signal reset: std_logic := '1';
    signal row: std_logic_vector({bits - 1} downto 0) := (others => '0');
    {newline.join(declarations)}
    signal result_valid: std_logic;
    signal result: {"signed" if unit.result.signed else "unsigned"}({unit.result.bits - 1} downto 0);
begin
    {newline.join(assignments)}
    design: entity work.unit port map ({", ".join(connections)});
    drive: process
        file rows: text open read_mode is "rows.hex";
        file log: text open write_mode is "results";
        variable source, target: line;
        variable word: std_logic_vector({bits - 1} downto 0);
    begin
        for i in 1 to 2 loop
            wait for 5 ns; clock <= '1'; wait for 5 ns; clock <= '0';
        end loop;
        reset <= '0';
        while not endfile(rows) loop
            readline(rows, source);
            hread(source, word);
            row <= word;
            wait for 1 ns;
            if result_valid = '1' and advance = '1' then
                hwrite(target, std_logic_vector(result));
                writeline(log, target);
            end if;
            wait for 4 ns; clock <= '1'; wait for 5 ns; clock <= '0';
        end loop;
        wait;
    end process;
end architecture;
""")
    sources = [*(path.name for path in folder.glob("pck_myhdl_*.vhd")), "unit.vhd", "bench.vhd"]
    _call(folder, "ghdl", "-a", "--std=08", *sources)
    _call(folder, "ghdl", "-e", "--std=08", "bench")
    _call(folder, "ghdl", "-r", "--std=08", "bench", "--ieee-asserts=disable")
    return _read_results(unit, folder / "results")
