"""MyHDL simulation of one layer against the golden layer (SPEC HW-5, HW-6)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from myhdl import StopSimulation, always, block, delay, instance

from hw.convolution import EnginePorts, convolution_engine, engine_ports
from hw.elaboration import clean_elaboration, on_short_stack
from hw.stimulus import Stimulus, layer_stimulus, output_tensor
from refcodec.errors import FileError
from refcodec.program.program import Program

HALF_PERIOD = 5
GAP_CHANCE = 0.3  # of an idle load cycle, and of a cycle in which the output is not accepted, under a seed


@dataclass(slots=True)
class RunLog:
    """What one simulated run showed: the accepted words, their cycles, and the cycles in which a word was held."""

    words: list[int] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)
    held: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class SimulationResult:
    """Outcome of `simulate_layer` (SPEC HW-5, HW-6).

    equal  values and cycle counts agree with the golden layer and the formula, in every run
    mismatches  output values that differ;  cycles  measured, held cycles included;  expected_cycles  formula + held
    outputs, expected  (O, H', W') int64;  load_cycles  of the load phase.
    """

    equal: bool
    mismatches: int
    cycles: int
    expected_cycles: int
    outputs: np.ndarray
    expected: np.ndarray
    load_cycles: int


def _chooser(seed: int | None) -> Callable[[], bool]:
    """True where a cycle is left unused: never without a seed."""
    if seed is None:
        return lambda: False
    source = random.Random(seed)
    return lambda: source.random() < GAP_CHANCE


@block
def _bench(
    ports: EnginePorts,
    stimulus: Stimulus,
    logs: list[RunLog],
    load_log: list[int],
    leave: Callable[[], bool],
    limit: int,
) -> Any:
    """Clock, load, runs and log around one engine.  Drives while the clock is low, samples just before it rises."""
    clock = ports.clock
    engine = convolution_engine(**ports.connect(), parameters=stimulus.parameters)

    @always(delay(HALF_PERIOD))
    def tick():
        clock.next = not clock

    def load() -> Any:
        for select, lane, address, data in stimulus.loads():
            while leave():
                ports.load_valid.next = False
                load_log.append(0)
                yield clock.negedge
            ports.load_valid.next = True
            ports.load_select.next = select
            ports.load_lane.next = lane
            ports.load_address.next = address
            ports.load_data.next = data
            load_log.append(1)
            yield clock.negedge
        ports.load_valid.next = False

    def run(log: RunLog) -> Any:
        ports.start.next = True
        yield clock.negedge
        ports.start.next = False
        cycle = 0
        while ports.busy and cycle < limit:
            cycle += 1
            ready = not leave()
            ports.out_ready.next = ready
            if ports.out_valid and ready:
                log.words.append(int(ports.out_word))
                log.cycles.append(cycle)
            elif ports.out_valid:
                log.held += 1
            yield clock.negedge

    @instance
    def drive():
        ports.reset.next = True
        yield clock.negedge
        yield clock.negedge
        ports.reset.next = False
        yield load()
        for log in logs:
            yield run(log)
        raise StopSimulation

    return engine, tick, drive


def simulate(
    stimulus: Stimulus, vcd: Path | None = None, seed: int | None = None, runs: int = 1
) -> tuple[list[RunLog], int]:
    """Load once, run `runs` times; returns the logs and the load cycles (SPEC HW-5)."""
    logs = [RunLog() for _ in range(runs)]
    load_log: list[int] = []
    limit = 4 * stimulus.parameters.cycles + 100
    with clean_elaboration():
        ports = engine_ports(stimulus.parameters)
        bench = on_short_stack(lambda: _bench(ports, stimulus, logs, load_log, _chooser(seed), limit))
        if vcd is not None:
            vcd.parent.mkdir(parents=True, exist_ok=True)
            bench.config_sim(trace=True, directory=str(vcd.parent), filename=vcd.stem, tracebackup=False)
        bench.run_sim(quiet=1)
        bench.quit_sim()
    return logs, len(load_log)


def simulate_layer(
    program: Program,
    layer: str,
    x: np.ndarray,
    pi: int,
    po: int,
    vcd: str | Path | None = None,
    seed: int | None = None,
    runs: int = 1,
) -> SimulationResult:
    """Simulate one layer's engine on a tile and compare it with the golden layer (SPEC HW-5, HW-6).

    x  (C, H, W) integers, the layer's input or a tile of it;  vcd  file for the waveforms
    seed  of random load gaps and back-pressure, none of either without it;  runs  how often to run what was loaded.
    Raises HardwareError RC-HW-CONFIG, ShapeError, RangeError, FileError.
    """
    stimulus = layer_stimulus(program, layer, x, pi, po)
    try:
        logs, load_cycles = simulate(stimulus, Path(vcd) if vcd else None, seed, runs)
    except OSError as error:
        raise FileError("RC-FILE-WRITE", f"{vcd}: {error.strerror}") from error
    return judge(stimulus, logs, load_cycles)


def judge(stimulus: Stimulus, logs: list[RunLog], load_cycles: int) -> SimulationResult:
    """Compare every run with the golden words and the cycle formula (SPEC HW-6)."""
    parameters = stimulus.parameters
    equal = True
    for log in logs:
        cycles = log.cycles[-1] if log.cycles else 0
        equal = equal and log.words == stimulus.words and cycles == parameters.cycles + log.held
        if not log.held:
            equal = equal and log.cycles == stimulus.cycles
    last = logs[-1]
    missing = [0] * (parameters.words - len(last.words))
    outputs = output_tensor(parameters, last.words[: parameters.words] + missing)
    return SimulationResult(
        equal=equal,
        mismatches=int((outputs != stimulus.expected).sum()),
        cycles=last.cycles[-1] if last.cycles else 0,
        expected_cycles=parameters.cycles + last.held,
        outputs=outputs,
        expected=stimulus.expected,
        load_cycles=load_cycles,
    )
