"""Networks cut into the parts that are reconstructed one after another, and what each part costs."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import prod

from refcodec.codecs.inr.limits import Shape, shape_of
from refcodec.codecs.inr.nodes import FRAME, WEIGHT, Activation, Convolution, Depthwise, Head, Node, Parameter, Shuffle
from refcodec.quantize.inr.rivals.settings import FORWARD

LAYER = (Convolution, Depthwise)
BLOCK_NAME = re.compile(r"[a-z]+(\.\d+)*")  # what the names of a block's nodes begin with


@dataclass(frozen=True, slots=True)
class Unit:
    """Consecutive nodes of a network.

    nodes  all of them, those before the first weight of the network among them;  output  the tensor to reconstruct
    learned  the parameters to learn.
    """

    nodes: tuple[Node, ...]
    output: str
    learned: tuple[Parameter, ...]

    @property
    def reconstructed(self) -> tuple[Node, ...]:
        """The nodes up to the one that gives the output."""
        last = next(k for k, node in enumerate(self.nodes) if node.name == self.output)
        return self.nodes[: last + 1]


def _has_weights(part: Sequence[Node]) -> bool:
    return any(isinstance(node, LAYER) for node in part)


def _join_bare(parts: Sequence[tuple[Node, ...]]) -> list[tuple[Node, ...]]:
    """Parts without weights joined to the next one, and the last of them to the one before."""
    found: list[tuple[Node, ...]] = []
    waiting: tuple[Node, ...] = ()
    for part in parts:
        waiting += part
        if _has_weights(waiting):
            found.append(waiting)
            waiting = ()
    return [*found[:-1], found[-1] + waiting]


def _block_parts(network: Sequence[Node]) -> list[tuple[Node, ...]]:
    def name(node: Node) -> str:
        match = BLOCK_NAME.match(node.name)
        return match.group() if match else node.name

    return _join_bare([tuple(part) for _, part in groupby(network, name)])


def block_units(network: Sequence[Node]) -> list[Unit]:
    """Blocks: a convolution with its shuffle and activation, a ConvNeXt block, an enlargement with its local grid.

    The grids of the network belong to the first of them, the picture to the last.
    """
    return [
        Unit(part, part[-1].name, tuple(parameter for node in part for parameter in node.parameters()))
        for part in _block_parts(network)
    ]


def layer_units(network: Sequence[Node]) -> list[Unit]:
    """Layers: a convolution, reconstructed with the activation that follows it, if one does.

    Grids are no layers: each is its own output, so that the nearest integers are its best reconstruction.
    """
    parts: list[list[Node]] = [[]]
    for node in network:
        if isinstance(node, LAYER) and _has_weights(parts[-1]):
            parts.append([])
        parts[-1].append(node)
    return [_layer_unit(tuple(part)) for part in parts]


def _layer_unit(part: tuple[Node, ...]) -> Unit:
    place = next(k for k, node in enumerate(part) if isinstance(node, LAYER))
    last = place
    while last + 1 < len(part) and isinstance(part[last + 1], Shuffle | Activation | Head):
        last += 1
    return Unit(part, part[last].name, part[place].parameters())


def node_shapes(network: Sequence[Node]) -> dict[str, Shape]:
    """Channels, height and width of every tensor of a network, by name."""
    shapes: dict[str, Shape] = {FRAME: (1, 1, 1)}
    for node in network:
        shapes[node.name] = shape_of(node, [shapes[name] for name in node.reads])
    return shapes


def node_shares(network: Sequence[Node]) -> dict[str, float]:
    """The part of a network's multiplications that each node does, by name."""
    shapes = node_shapes(network)
    found = {}
    for node in network:
        weights = sum(prod(parameter.shape) for parameter in node.parameters() if parameter.kind == WEIGHT)
        found[node.name] = weights * prod(shapes[node.name][1:])
    total = sum(found.values())
    return {name: count / total for name, count in found.items()}


def step_price(part: Sequence[Node], shares: Mapping[str, float], learned: Collection[str]) -> float:
    """What one step of learning some nodes costs for a frame, in evaluations.

    shares  as of `node_shares`;  learned  names of the parameters to learn.

    A layer costs itself, the gradient of its weights where they are learned, and that of its input where anything
    before it is.
    """
    moving: set[str] = set()
    price = 0.0
    for node in part:
        own = {parameter.name for parameter in node.parameters()} & set(learned)
        moved = bool(moving & set(node.reads))
        weights = any(parameter.name in own for parameter in node.parameters() if parameter.kind == WEIGHT)
        price += FORWARD * shares[node.name] * (1 + weights + moved)
        if own or moved:
            moving.add(node.name)
    return price
