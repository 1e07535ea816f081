"""What an architecture may ask for, found out before anything of its size is allocated (SPEC INR-10)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import singledispatch
from math import prod

from refcodec.codecs.inr import nodes
from refcodec.codecs.inr.architecture import Architecture, Hierarchical, Levels, Shuffled
from refcodec.codecs.inr.nodes import GELU, SIGMOID, SILU, TANH, Node
from refcodec.codecs.stream import MAX_PIXELS, MAX_SIDE, Geometry
from refcodec.errors import RangeError
from refcodec.layers.convolution import MAX_KERNEL
from refcodec.layers.embedding import MAX_FRAMES
from refcodec.layers.positional_encoding import TURN_BITS
from refcodec.layers.resize import MAX_FACTOR

MAX_WIDTH = 1 << 15  # channels of any tensor
MAX_LIST = 16  # levels, layers of a stem, blocks, stages, blocks of a stage
MAX_INCREMENTS = 256
MAX_BASE = 64
MAX_STRIDE = 64
MAX_PARAMETERS = 1 << 25
MAX_SAMPLES = 1 << 28  # of any tensor
MAX_MULTIPLICATIONS = 1 << 40  # for a frame
FORMS = (GELU, SILU)
HEADS = (TANH, SIGMOID)
Shape = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Load:
    """What a network costs: parameters, samples of its largest tensor, multiplications with weights for a frame."""

    parameters: int
    samples: int
    multiplications: int


def load(network: tuple[Node, ...]) -> Load:
    """What a network costs, its nodes in the order of computation.  Raises RangeError where they do not fit."""
    shapes: dict[str, Shape] = {nodes.FRAME: (1, 1, 1)}
    total, multiplications, samples = 0, 0, 1
    for node in network:
        shape = shape_of(node, [shapes[name] for name in node.reads])
        shapes[node.name] = shape
        samples = max(samples, prod(shape))
        for parameter in node.parameters():
            total += prod(parameter.shape)
            if parameter.kind == nodes.WEIGHT:
                multiplications += prod(parameter.shape) * shape[1] * shape[2]
    return Load(total, samples, multiplications)


@singledispatch
def shape_of(node: Node, sources: list[Shape]) -> Shape:
    """Channels, height and width of what a node gives."""
    return sources[0]


@shape_of.register
def _(node: nodes.Grid, sources: list[Shape]) -> Shape:
    return node.channels, node.height, node.width


@shape_of.register
def _(node: nodes.Encoding, sources: list[Shape]) -> Shape:
    return 2 * len(node.increments), 1, 1


@shape_of.register
def _(node: nodes.Convolution, sources: list[Shape]) -> Shape:
    return node.outputs, *sources[0][1:]


@shape_of.register
def _(node: nodes.Shuffle, sources: list[Shape]) -> Shape:
    channels, height, width = sources[0]
    if channels % (node.rows * node.columns):
        raise RangeError(f"{node.name}: {channels} channels do not make blocks of {node.rows} x {node.columns}")
    return channels // (node.rows * node.columns), height * node.rows, width * node.columns


@shape_of.register
def _(node: nodes.Resize, sources: list[Shape]) -> Shape:
    channels, height, width = sources[0]
    return channels, height * node.factor, width * node.factor


@shape_of.register
def _(node: nodes.Tile, sources: list[Shape]) -> Shape:
    channels, height, width = sources[0]
    return channels, height * node.rows, width * node.columns


@shape_of.register
def _(node: nodes.Join, sources: list[Shape]) -> Shape:
    return sum(channels for channels, _, _ in sources), *sources[0][1:]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RangeError(message)


def _between(name: str, value: int, lo: int, hi: int) -> None:
    _require(lo <= value <= hi, f"{name} must be {lo}..{hi}, got {value}")


def _kernel(name: str, kernel: int) -> None:
    _require(1 <= kernel <= MAX_KERNEL and kernel % 2 == 1, f"{name} must be odd, 1..{MAX_KERNEL}, got {kernel}")


def _levels(name: str, levels: tuple[Levels, ...], least: int, frames: int) -> None:
    _between(f"levels of {name}", len(levels), least, MAX_LIST)
    for level in levels:
        _between(f"tensors of {name}", level.tensors, 1, frames)


def check_architecture(architecture: Architecture) -> None:
    """Raise RangeError unless all numbers of an architecture are within their limits (SPEC INR-10)."""
    _between("frames", architecture.frames, 1, MAX_FRAMES)
    Geometry(architecture.width, architecture.height, 3)
    for side in architecture.base:
        _between("a side of the base", side, 1, MAX_BASE)
    _levels("the grids", architecture.grids, int(isinstance(architecture, Hierarchical)), architecture.frames)
    if isinstance(architecture, Shuffled):
        _check_shuffled(architecture)
    else:
        _check_hierarchical(architecture)
    _require(architecture.head in HEADS, f"the head must be one of {', '.join(HEADS)}, got {architecture.head!r}")
    height, width = architecture.size
    _require(
        architecture.height <= height <= MAX_SIDE and architecture.width <= width <= MAX_SIDE,
        f"a network of {height} x {width} does not give pictures of {architecture.height} x {architecture.width}",
    )
    _require(height * width <= MAX_PIXELS, f"a network gives at most {MAX_PIXELS} pixels, not {height} x {width}")
    network = architecture.nodes()
    for channels in _channels(network):
        _between("channels", channels, 1, MAX_WIDTH)
    asked = load(network)
    _between("parameters", asked.parameters, 1, MAX_PARAMETERS)
    _between("samples of a tensor", asked.samples, 1, MAX_SAMPLES)
    _between("multiplications for a frame", asked.multiplications, 1, MAX_MULTIPLICATIONS)


def _channels(network: tuple[Node, ...]) -> Iterator[int]:
    for node in network:
        if isinstance(node, nodes.Convolution):
            yield from (node.inputs, node.outputs)
        elif isinstance(node, nodes.Grid | nodes.Depthwise):
            yield node.channels


def _check_shuffled(architecture: Shuffled) -> None:
    increments = architecture.increments
    if architecture.grids:
        _require(not increments, "a network of grids has no increments")
    else:
        _between("the number of increments", len(increments), 1, MAX_INCREMENTS)
    for increment in increments:
        _between("an increment", increment, 0, (1 << TURN_BITS) - 1)
    _between("layers of the stem", len(architecture.stem), 0, MAX_LIST)
    _require(
        len(architecture.stem) == len(architecture.stem_activations),
        "every layer of the stem is with or without an activation",
    )
    _between("blocks", len(architecture.blocks), 0, MAX_LIST)
    for block in architecture.blocks:
        _kernel("the kernel of a block", block.kernel)
        _between("the stride of a block", block.stride, 1, MAX_STRIDE)
    _require(
        architecture.activation in FORMS,
        f"the activation must be one of {', '.join(FORMS)}, got {architecture.activation!r}",
    )
    _kernel("the kernel of the head", architecture.head_kernel)


def _check_hierarchical(architecture: Hierarchical) -> None:
    _kernel("the kernel of the stem", architecture.stem_kernel)
    _kernel("the kernel of the blocks", architecture.kernel)
    _between("stages", len(architecture.stages), 0, MAX_LIST)
    for stage in architecture.stages:
        _between("the factor of a stage", stage.factor, 1, MAX_FACTOR)
        _between("blocks of a stage", stage.depth, 0, MAX_LIST)
        _levels("a local grid", stage.grid, 0, architecture.frames)
