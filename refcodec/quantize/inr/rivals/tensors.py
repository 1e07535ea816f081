"""What a part of a network reads, for many frames at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from refcodec.codecs.inr.nodes import FRAME, Node
from refcodec.models.inr.twin import Live, Parameters, run_nodes
from refcodec.quantize.inr.rivals.units import Unit, node_shapes

CHUNK = 4  # frames computed at once
BUDGET_BYTES = 2 << 30
BUDGET_PART = 0.25  # of the evaluations, at most, to compute what is held


@dataclass(slots=True)
class Tensors:
    """Tensors of a network that its next nodes read.

    numbers  of N frames, of which there are `total`;  held  by name, (C, N, H, W) float32.
    """

    numbers: list[int]
    total: int
    held: dict[str, np.ndarray] = field(default_factory=dict)

    def picked(self, places: Sequence[int]) -> Live:
        """The tensors of some of the frames, by their places among them."""
        chosen = list(places)
        live: Live = {name: array[:, chosen] for name, array in self.held.items()}
        live[FRAME] = (tuple(self.numbers[place] for place in chosen), self.total)
        return live

    def advance(self, part: Sequence[Node], parameters: Parameters, kept: Collection[str]) -> None:
        """Compute some nodes for all frames; of all tensors, hold those whose names are `kept` from now on."""
        defined = {node.name for node in part}
        found = {name: array for name, array in self.held.items() if name in kept}
        for places in _chunks(len(self.numbers)):
            live = self.picked(places)
            run_nodes(part, parameters, live)
            for name in defined & set(kept):
                array = live[name]
                if name not in found:
                    found[name] = np.empty((array.shape[0], len(self.numbers), *array.shape[2:]), array.dtype)
                found[name][:, places] = array
        self.held = found


def _chunks(count: int) -> Iterator[list[int]]:
    return (list(range(first, min(first + CHUNK, count))) for first in range(0, count, CHUNK))


def batches(count: int, size: int, steps: int, draw: np.random.Generator) -> Iterator[list[int]]:
    """Places of frames for each of some steps: every frame once before any comes again, in an order drawn anew."""
    order: list[int] = []
    for _ in range(steps):
        if len(order) < min(size, count):
            order += draw.permutation(count).tolist()
        yield order[:size]
        order = order[size:]


def read_later(part: Sequence[Node]) -> set[str]:
    """The tensors that some nodes read and do not define themselves."""
    return {name for node in part for name in node.reads} - {node.name for node in part} - {FRAME}


def affordable_frames(units: Sequence[Unit], sets: int, whole: bool, price: float, evaluations: int) -> int:
    """How many frames to learn from: as many as memory and evaluations allow, which may be more than there are.

    sets  how often what a unit reads is held at once;  whole  whether something of the size of every unit's output is,
    too;  price  evaluations that a frame costs before anything is learnt.
    """
    network = [node for unit in units for node in unit.nodes]
    sizes = {name: 4 * prod(shape) for name, shape in node_shapes(network).items()}
    busiest = 0
    for number, unit in enumerate(units):
        rest = [node for later in units[number:] for node in later.nodes]
        busiest = max(busiest, sets * sum(sizes[name] for name in read_later(rest)) + sizes[unit.output])
    kept = sum(sizes[unit.output] for unit in units) if whole else 0
    return max(1, int(min(BUDGET_BYTES / (busiest + kept), BUDGET_PART * evaluations / price)))
