"""MyHDL simulation of a stage against golden words (SPEC HW-6, HW-8)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from myhdl import StopSimulation, always, block, delay, instance

from hw.elaboration import clean_elaboration, on_short_stack
from hw.layer import layer_stimulus
from hw.stimulus import Stimulus
from hw.top import Ports
from refcodec.errors import FileError
from refcodec.program.program import Program

HALF_PERIOD = 5
GAP_CHANCE = 0.3  # of a cycle in which nothing is loaded, offered or taken, under a seed
QUIET = 64  # cycles after the last word in which no other may come


@dataclass(slots=True)
class RunLog:
    """What one simulated run showed: the words that passed, at which edges, and the fault at its end."""

    words: list[int] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)
    fault: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class SimulationResult:
    """Outcome of `simulate_layer` (SPEC HW-5, HW-6).

    equal  values agree with the golden layer in every run and, where nothing was held back, edges with the formula
    mismatches  output values that differ;  cycles, expected_cycles  of the last word, measured and by the formula
    outputs, expected  (O, H', W') int64;  load_cycles  words loaded.
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
    ports: Ports, stimulus: Stimulus, logs: list[RunLog], seed: int | None, limit: int, reset_at: int | None, flow: bool
) -> Any:
    """Clock, load, runs and log around one stage.  Drives while the clock is low, samples just before it rises.

    With `flow` or under a seed the runs follow each other without a pause.
    """
    leave, flowing = _chooser(seed), flow or seed is not None
    stage = ports.stage
    clock, reset, sink = ports.clock, ports.reset, ports.sink
    unit = stage.block(clock, reset, ports.load, 0, ports.sources, sink, ports.fault, stage)

    @always(delay(HALF_PERIOD))
    def tick():
        clock.next = not clock

    def load() -> Any:
        port = ports.load
        for select, lane, address, data in stimulus.loads():
            while leave():
                port.valid.next = False
                yield clock.negedge
            port.valid.next = True
            port.select.next = select
            port.lane.next = lane
            port.address.next = address
            port.data.next = data
            yield clock.negedge
        port.valid.next = False

    def restart() -> Any:
        reset.next = True
        sink.ready.next = False
        for source in ports.sources:
            source.valid.next = False
        yield clock.negedge
        yield clock.negedge
        reset.next = False

    def run(log: RunLog, rest: list[RunLog], stop: int) -> Any:
        rounds = [len(rest)] * len(ports.sources)
        lengths = [len(words) for words in stimulus.sources]
        places = [0] * len(lengths)
        current = [log, *rest]
        offering = [False] * len(ports.sources)
        edge, quiet = None, 0
        for _ in range(stop):
            for number, source in enumerate(ports.sources):
                if not offering[number]:
                    offering[number] = places[number] < len(stimulus.sources[number]) and not leave()
                    source.valid.next = offering[number]
                    if offering[number]:
                        source.word.next = stimulus.sources[number][places[number]]
            sink.ready.next = not leave()
            yield delay(1)
            edge = None if edge is None else edge + 1
            for number, source in enumerate(ports.sources):
                if source.valid and source.ready:
                    places[number] += 1
                    offering[number] = False
                    if places[number] == len(stimulus.sources[number]) and rounds[number]:
                        places[number], rounds[number] = 0, rounds[number] - 1
                    edge = edge or 0
            if sink.valid and sink.ready:
                if len(log.words) == len(stimulus.words) and rest:
                    log = rest.pop(0)
                log.words.append(int(sink.word) & masks[(len(log.words)) % len(masks)])
                log.cycles.append(edge or 0)
            yield clock.negedge
            done = (
                len(log.words) >= len(stimulus.words)
                and not rest
                and places == [len(words) for words in stimulus.sources]
            )
            quiet = quiet + 1 if done else 0
            if quiet > QUIET:
                break
        for log in current:
            log.fault = int(ports.fault)

    masks = stage.sink.mask

    @instance
    def drive():
        yield restart()
        yield load()
        if reset_at is not None:
            yield run(RunLog(), [], reset_at)
            yield restart()
        if flowing:
            yield run(logs[0], logs[1:], limit * len(logs))
        else:
            for log in logs:
                yield run(log, [], limit)
        raise StopSimulation

    return unit, tick, drive


def simulate(
    stimulus: Stimulus,
    vcd: Path | None = None,
    seed: int | None = None,
    runs: int = 1,
    reset_at: int | None = None,
    flow: bool = False,
) -> list[RunLog]:
    """Load once, run `runs` times (SPEC HW-8).

    seed  of random gaps in loading, offering and taking;  flow  no pause between the runs, as always under a seed
    reset_at  edge of a run before, at which it is reset.
    """
    logs = [RunLog() for _ in range(runs)]
    limit = 8 * (stimulus.cycles_in_all + sum(map(len, stimulus.sources))) + 1000
    with clean_elaboration():
        ports = Ports(stimulus.stage)
        bench = on_short_stack(lambda: _bench(ports, stimulus, logs, seed, limit, reset_at, flow))
        if vcd is not None:
            vcd.parent.mkdir(parents=True, exist_ok=True)
            bench.config_sim(trace=True, directory=str(vcd.parent), filename=vcd.stem, tracebackup=False)
        bench.run_sim(quiet=1)
        bench.quit_sim()
    return logs


def agrees(stimulus: Stimulus, logs: list[RunLog], timed: bool) -> bool:
    """Whether every run gave the golden words and fault and, if nothing was held back, at the stated edges."""
    return all(
        log.words == stimulus.words and log.fault == stimulus.fault and (not timed or log.cycles == stimulus.cycles)
        for log in logs
    )


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
    seed  of random gaps and back-pressure, none of either without it;  runs  how often to run what was loaded.
    Raises HardwareError RC-HW-CONFIG, ShapeError, RangeError, FileError.
    """
    return simulate_and_judge(layer_stimulus(program, layer, x, pi, po), vcd, seed, runs)


def simulate_and_judge(
    stimulus: Stimulus, vcd: str | Path | None = None, seed: int | None = None, runs: int = 1
) -> SimulationResult:
    """Simulate a stage whose sink carries a tensor, and compare it with the golden one (SPEC HW-6).

    Arguments as of `simulate_layer`.  Raises HardwareError RC-HW-CONFIG, FileError.
    """
    try:
        logs = simulate(stimulus, Path(vcd) if vcd else None, seed, runs)
    except OSError as error:
        raise FileError("RC-FILE-WRITE", f"{vcd}: {error.strerror}") from error
    return judge(stimulus, logs, seed is None)


def judge(stimulus: Stimulus, logs: list[RunLog], timed: bool) -> SimulationResult:
    """Compare every run with the golden words and the cycle formula (SPEC HW-6)."""
    last, sink = logs[-1], stimulus.stage.sink
    missing = [0] * (sink.words - len(last.words))
    outputs, expected = (sink.unpack(words) for words in (last.words[: sink.words] + missing, stimulus.words))
    return SimulationResult(
        equal=agrees(stimulus, logs, timed),
        mismatches=int((outputs != expected).sum()),
        cycles=last.cycles[-1] if last.cycles else 0,
        expected_cycles=stimulus.cycles_in_all,
        outputs=outputs,
        expected=expected,
        load_cycles=sum(memory.words for memory in stimulus.stage.memories.values()),
    )
