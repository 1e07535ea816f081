"""The integer program of an implicit video, from a frame number to a picture (SPEC INR-5 to INR-9)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatch

import numpy as np

from refcodec import fixed
from refcodec.codecs.inr import nodes
from refcodec.codecs.inr.nodes import Node
from refcodec.codecs.inr.quantised import Quantised, Video
from refcodec.codecs.picture import PIXEL_FORMAT
from refcodec.errors import ModelError
from refcodec.formats import MAX_BITS, IntFormat
from refcodec.program import operations as ops
from refcodec.program.operations import AnyOperation, Tensor
from refcodec.program.program import Program
from refcodec.program.standard_tables import SINE, activation_nodes, head_places, load_activation_table

Layer = nodes.Convolution | nodes.Depthwise
Sums = ops.Convolution | ops.DepthwiseConvolution | ops.Linear


@dataclass(slots=True)
class Builder:
    """A program in the making.

    heads  names of the layers whose accumulators a head reads;  weights  of each layer so far.
    """

    video: Video
    heads: frozenset[str]
    weights: dict[str, Quantised] = field(default_factory=dict)
    tensors: list[Tensor] = field(default_factory=list)
    operations: list[AnyOperation] = field(default_factory=list)

    def channels(self, name: str) -> int:
        """Those of a tensor."""
        return next(tensor.channels for tensor in self.tensors if tensor.name == name)

    def add(self, op: AnyOperation, channels: int, fmt: IntFormat | None = None) -> None:
        """Add an operation and the tensor that it writes, activations where no format is given."""
        self.operations.append(op)
        self.tensors.append(Tensor(op.target, channels, fmt or self.video.activations))


def accumulator(layer: str) -> str:
    """The name of the tensor of a layer's accumulators."""
    return f"{layer}.accumulator"


def program_of(video: Video) -> Program:
    """The program that decodes a frame of a video, from `t` (1, 1, 1) to `picture` (3, H, W) (SPEC INR-5).

    Raises ModelError RC-MODEL-OVERFLOW where an accumulator needs more than 48 bits.
    """
    network = video.architecture.nodes()
    heads = frozenset(node.source for node in network if isinstance(node, nodes.Head))
    builder = Builder(video, heads)
    last = video.architecture.frames - 1
    builder.tensors.append(Tensor(nodes.FRAME, 1, IntFormat(max(1, last.bit_length()), False)))
    for node in network:
        add_node(node, builder)
    return Program("video", tuple(builder.tensors), tuple(builder.operations))


@singledispatch
def add_node(node: Node, to: Builder) -> None:
    """Add the operations of one node.  Raises ModelError RC-MODEL-FAMILY for one that has no integer form."""
    raise ModelError("RC-MODEL-FAMILY", f"{node.name}: a decoder has no {type(node).__name__}")


@add_node.register
def _(node: nodes.Grid, to: Builder) -> None:
    """Entries become activations once, here (SPEC INR-7)."""
    grid, fmt = to.video.parameters[node.parameter], to.video.activations
    table = np.empty(grid.values.shape, np.int32)
    for c, (mantissa, exponent) in enumerate(grid.scales(node.channels)):
        table[:, c] = _activations(grid.integers[:, c].astype(np.int64) * mantissa, exponent + to.video.fraction, fmt)
    frames = to.video.architecture.frames
    to.add(ops.Embedding(node.name, nodes.FRAME, node.name, frames, node.centred, table), node.channels)


def _activations(products: np.ndarray, exponent: int, fmt: IntFormat) -> np.ndarray:
    """Products, below 2**28 in magnitude, times 2**exponent, rounded and saturated; the exponent is -24 .. 13."""
    shifted = products << exponent if exponent >= 0 else (products + (1 << -exponent >> 1)) >> -exponent
    return shifted.clip(fmt.lo, fmt.hi)


@add_node.register
def _(node: nodes.Encoding, to: Builder) -> None:
    increments, fraction = np.array(node.increments, np.int64), to.video.fraction
    constants = node.interleaved, fraction, increments, load_activation_table(SINE)
    to.add(ops.PositionalEncoding(node.name, nodes.FRAME, node.name, *constants), 2 * len(increments))


@add_node.register
def _(node: nodes.Convolution, to: Builder) -> None:
    weight, bias = _constants(node, node.outputs, to)
    name, fmt, integers = accumulator(node.name), weight.format, weight.integers
    op: Sums
    if node.kernel == 1:
        op = ops.Linear(node.name, node.source, name, fmt, integers[:, :, 0, 0], bias)
    else:
        op = ops.Convolution(node.name, node.source, name, fmt, 1, node.kernel // 2, integers, bias)
    _add_layer(node, op, node.outputs, to)


@add_node.register
def _(node: nodes.Depthwise, to: Builder) -> None:
    weight, bias = _constants(node, node.channels, to)
    name, padding = accumulator(node.name), node.kernel // 2
    constants = weight.integers[:, 0], bias
    op = ops.DepthwiseConvolution(node.name, node.source, name, weight.format, 1, padding, *constants)
    _add_layer(node, op, node.channels, to)


def _constants(node: Layer, outputs: int, to: Builder) -> tuple[Quantised, np.ndarray]:
    """The weight of a layer, and its bias in units of the accumulator (SPEC INR-6)."""
    weight = to.weights[node.name] = to.video.parameters[f"{node.prefix}.weight"]
    if not node.biased:
        return weight, np.zeros(outputs, np.int64)
    bias = to.video.parameters[f"{node.prefix}.bias"]
    steps = np.broadcast_to(weight.steps, outputs).tolist()
    values = [
        fixed.accumulator_bias(value, int(bias.steps[0]), step, to.video.fraction)
        for value, step in zip(bias.integers.tolist(), steps, strict=True)
    ]
    largest = max(map(abs, values))
    if largest.bit_length() >= MAX_BITS:
        raise ModelError("RC-MODEL-OVERFLOW", f"{node.name}: a bias of {largest} needs more than {MAX_BITS} bits")
    return weight, np.array(values, np.int64)


def _add_layer(node: Layer, op: Sums, outputs: int, to: Builder) -> None:
    """Sums in a format exactly as wide as their bound needs (SPEC ACC-1), requantised unless a head reads them."""
    bits = op.bound(to.video.activations).bit_length() + 1
    if bits > MAX_BITS:
        raise ModelError("RC-MODEL-OVERFLOW", f"{node.name}: the accumulator needs {bits} bits, not {MAX_BITS}")
    to.add(op, outputs, IntFormat(bits, True))
    if node.name not in to.heads:
        multiplier, exponent = np.array(to.weights[node.name].scales(outputs)).T
        to.add(ops.Requantise(f"{node.name}.requantise", op.target, node.name, multiplier, -exponent), outputs)


@add_node.register
def _(node: nodes.Activation, to: Builder) -> None:
    entries, spacing, _ = activation_nodes(node.form, to.video.activations.bits)
    op: AnyOperation
    if spacing:
        op = ops.InterpolatedTable(node.name, node.source, node.name, spacing, entries)
    else:
        op = ops.Table(node.name, node.source, node.name, entries)
    to.add(op, to.channels(node.source))


@add_node.register
def _(node: nodes.Norm, to: Builder) -> None:
    constants = fixed.norm_constants(node.channels, to.video.activations.bits, to.video.fraction)
    epsilon, root_shift, scale = constants
    scales, offsets = np.full(node.channels, scale), np.zeros(node.channels, np.int64)
    op = ops.LayerNorm(node.name, node.source, node.name, epsilon, root_shift, 0, scales, offsets)
    to.add(op, node.channels)


@add_node.register
def _(node: nodes.Shuffle, to: Builder) -> None:
    op = ops.PixelShuffle(node.name, node.source, node.name, node.rows, node.columns)
    to.add(op, to.channels(node.source) // (node.rows * node.columns))


@add_node.register
def _(node: nodes.Resize, to: Builder) -> None:
    op = ops.Resize(node.name, node.source, node.name, node.factor, node.factor)
    to.add(op, to.channels(node.source))


@add_node.register
def _(node: nodes.Tile, to: Builder) -> None:
    to.add(ops.Tile(node.name, node.source, node.name, node.rows, node.columns), to.channels(node.source))


@add_node.register
def _(node: nodes.Sum, to: Builder) -> None:
    op = ops.Add(node.name, node.reads, node.name, 0, np.ones(2, np.int64))
    to.add(op, to.channels(node.reads[0]))


@add_node.register
def _(node: nodes.Join, to: Builder) -> None:
    to.add(ops.Concatenate(node.name, node.reads, node.name), sum(map(to.channels, node.reads)))


@add_node.register
def _(node: nodes.Head, to: Builder) -> None:
    """The sample whose place the accumulator has reached (SPEC INR-8)."""
    source = accumulator(node.source)
    channels, places = to.channels(source), head_places(node.form).tolist()
    steps = np.broadcast_to(to.weights[node.source].steps, channels).tolist()
    thresholds = [[fixed.head_threshold(place, step, to.video.fraction) for place in places] for step in steps]
    op = ops.ThresholdHead(node.name, source, node.name, np.array(thresholds, np.int64))
    to.add(op, channels, PIXEL_FORMAT)
