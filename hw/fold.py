"""Finds the lanes with which a program keeps up with a rate, at the fewest multipliers (SPEC HW-25)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hw import gdn
from hw.assemble import ENGINES, NORMALISATIONS, SINGLE, Folding, in_line, layer_engine, steps
from hw.checks import MAX_LANES
from hw.embedding import FUNCTIONS
from hw.estimate import interval
from refcodec.errors import HardwareError
from refcodec.program.operations import AnyOperation
from refcodec.program.program import Program

BANKS = 2  # pictures follow each other without a gap


@dataclass(frozen=True, slots=True)
class Folded:
    """The outcome of a search.

    folding  that keeps up, or the widest there is;  interval  edges between pictures with it, that of `slowest`
    multipliers  of all engines and normalisations.
    """

    folding: Folding
    interval: int
    slowest: str
    multipliers: int


@dataclass(frozen=True, slots=True)
class _Path:
    """The cheapest way to a stream of some lanes: multipliers so far, and the lanes that were chosen."""

    multipliers: int
    layers: dict[str, int]
    interval: int
    slowest: str

    def step(self, name: str, multipliers: int, edges: int, chosen: dict[str, int]) -> _Path:
        """One part further."""
        slower = edges > self.interval
        return _Path(
            self.multipliers + multipliers,
            self.layers | chosen,
            max(self.interval, edges),
            name if slower else self.slowest,
        )


def lane_choices(channels: int) -> list[int]:
    """Powers of two, and all channels where these are few."""
    choices = [1 << k for k in range(MAX_LANES.bit_length()) if 1 << k <= min(channels, MAX_LANES)]
    return sorted({*choices, *([channels] if channels <= MAX_LANES else [])})


def fold(program: Program, height: int, width: int, limit: int) -> Folded:
    """The folding whose parts all take a picture every `limit` edges, at the fewest multipliers (SPEC HW-25).

    height, width  of the program's input.  Where none does, the fastest of those with the widest words.
    Raises HardwareError RC-HW-CONFIG for a program that is not built whole.
    """
    in_line(program)
    tensor = program.input
    paths = {
        lanes: _Path(0, {tensor.name: lanes}, height * width * -(-tensor.channels // lanes), tensor.name)
        for lanes in lane_choices(tensor.channels)
    }
    size = (height, width)
    for operations in steps(program):
        paths = _advance(program, operations, size, paths, limit)
        for operation in operations:
            size = operation.size(size)
    return _result(min(paths.values(), key=lambda path: (max(path.interval, limit), path.multipliers)))


def _advance(
    program: Program, operations: Sequence[AnyOperation], size: tuple[int, int], paths: dict[int, _Path], limit: int
) -> dict[int, _Path]:
    """The cheapest ways after one step, by the lanes of what it gives."""
    first = operations[0]
    channels = program.tensor(operations[-1].target).channels
    found: dict[int, list[_Path]] = {}
    if not isinstance(first, (*ENGINES, *FUNCTIONS)):
        return {lanes: path.step(first.name, *_kept(program, first, size, lanes), {}) for lanes, path in paths.items()}
    for lanes, path in paths.items():
        for given in lane_choices(channels):
            multipliers, edges = _taken(program, operations, size, (lanes, given))
            found.setdefault(given, []).append(path.step(first.name, multipliers, edges, {first.name: given}))
    return {
        given: min(ways, key=lambda way: (max(way.interval, limit), way.multipliers)) for given, ways in found.items()
    }


def _taken(
    program: Program, operations: Sequence[AnyOperation], size: tuple[int, int], lanes: tuple[int, int]
) -> tuple[int, int]:
    """Multipliers and interval of a layer."""
    first = operations[0]
    if isinstance(first, FUNCTIONS):
        rows, columns = first.size(size)
        return 0, rows * columns * -(-program.tensor(first.target).channels // lanes[1])
    stage, _ = layer_engine(program, operations, size, lanes, BANKS)
    return stage.multipliers, stage.interval


def _kept(program: Program, operation: AnyOperation, size: tuple[int, int], lanes: int) -> tuple[int, int]:
    """Multipliers and interval of what changes no lanes."""
    if isinstance(operation, NORMALISATIONS):
        norm, _ = gdn.of(program, operation.name, *size, lanes, lanes)
        return norm.multipliers, interval(norm)
    if type(operation) not in SINGLE:
        raise HardwareError("RC-HW-CONFIG", f"{operation.name}: no stage computes a {operation.kind}")
    stage, _ = SINGLE[type(operation)](program, operation.name, *size, lanes)
    return stage.multipliers, interval(stage)


def _result(path: _Path) -> Folded:
    return Folded(Folding(layers=path.layers, banks=BANKS), path.interval, path.slowest, path.multipliers)
