"""From a float network and a recipe to an integer program, node by node."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import singledispatch

import numpy as np

from refcodec.errors import ModelError
from refcodec.formats import MAX_SHIFT, IntFormat, multiplier_bits
from refcodec.layers.scale_index import INDEX_FORMAT
from refcodec.models import network as nodes
from refcodec.models.network import LEAKY_SLOPE, QRELU_LIMIT, Network, Node, Parameters
from refcodec.program import operations as ops
from refcodec.program.operations import AnyOperation, Tensor
from refcodec.program.program import Program
from refcodec.quantize.dyadic import dyadic
from refcodec.quantize.layers import activation_format, folded_weight, integer_weights, round_half_up
from refcodec.quantize.normalisation import inverse_gdn
from refcodec.quantize.recipe import Recipe

SAMPLE_FORMAT = IntFormat(8, False)
SAMPLE_STEP = 1.0 / 255.0
MEAN_FORMAT = IntFormat(16, True)
INDEXES = "indexes"  # the tensor that scales become
SUM_BITS = 30  # of the larger multiplier of a sum


@dataclass(frozen=True, slots=True, eq=False)
class Scaled:
    """An integer tensor and the real value (C,) of one LSB of each of its channels."""

    tensor: Tensor
    steps: np.ndarray


@dataclass(slots=True)
class Compiler:
    """A program in the making.

    parameters, recipe, bounds  float parameters, every step, and the (64,) bounds of the scale table
    live  integer tensors by the name of the float tensor that they stand for.
    """

    parameters: Parameters
    recipe: Recipe
    bounds: np.ndarray
    live: dict[str, Scaled] = field(default_factory=dict)
    tensors: list[Tensor] = field(default_factory=list)
    operations: list[AnyOperation] = field(default_factory=list)

    def take(self, tensor: Tensor, steps: np.ndarray, stands_for: str) -> Scaled:
        """Add an input of the program."""
        self.tensors.append(tensor)
        return self.keep(tensor, steps, stands_for)

    def add(self, op: AnyOperation, channels: int, fmt: IntFormat) -> Tensor:
        """Add an operation and the tensor that it writes."""
        self.operations.append(op)
        self.tensors.append(Tensor(op.target, channels, fmt))
        return self.tensors[-1]

    def keep(self, tensor: Tensor, steps: np.ndarray, stands_for: str) -> Scaled:
        """Remember which float tensor an integer tensor stands for."""
        self.live[stands_for] = Scaled(tensor, steps)
        return self.live[stands_for]

    def requantise(self, source: Scaled, name: str, steps: np.ndarray, fmt: IntFormat) -> Tensor:
        """Bring a tensor to other steps and another format (SPEC RQ-1)."""
        scale = dyadic(source.steps / steps, multiplier_bits(source.tensor.format))
        return self.add(ops.Requantise(name, source.tensor.name, name, *scale), source.tensor.channels, fmt)

    def run(self, network: Network) -> None:
        """Add all nodes of a network whose inputs are live."""
        for node in network.nodes:
            compile_node(node, self)

    def program(self, name: str) -> Program:
        """What was added so far."""
        return Program(name, tuple(self.tensors), tuple(self.operations))


@singledispatch
def compile_node(node: Node, to: Compiler) -> None:
    """Add the operations of one node.  Raises ModelError RC-MODEL-FAMILY for one that has no integer form."""
    raise ModelError("RC-MODEL-FAMILY", f"{node.name}: a decoder has no {type(node).__name__}")


@compile_node.register
def _(node: nodes.Convolution, to: Compiler) -> None:
    """Integer weights, and an accumulator exactly as wide as its bound needs (SPEC ACC-1)."""
    source, fmt = to.live[node.source], IntFormat(to.recipe.weight_bits, True)
    steps, corrections = to.recipe.layer(node.name, node.outputs)
    weight = integer_weights(folded_weight(node.weight(to.parameters), source.steps), steps, fmt)
    unit = steps * source.steps.max()
    bias = round_half_up((node.bias(to.parameters).astype(np.float64) - corrections) / unit)
    op = _convolution(node, source.tensor.name, fmt, weight, bias)
    accumulator = IntFormat(op.bound(source.tensor.format).bit_length() + 1, True)
    to.keep(to.add(op, node.outputs, accumulator), unit, node.name)


def _convolution(
    node: nodes.Convolution, source: str, fmt: IntFormat, weight: np.ndarray, bias: np.ndarray
) -> ops.Convolution | ops.TransposedConvolution | ops.MaskedConvolution:
    name, padding = node.name, 0 if node.valid else node.kernel // 2
    if node.mask:
        return ops.MaskedConvolution(name, source, name, fmt, node.mask, padding, weight, bias)
    if node.transposed:
        stride = node.stride
        return ops.TransposedConvolution(name, source, name, fmt, stride, padding, stride - 1, weight, bias)
    return ops.Convolution(name, source, name, fmt, node.stride, padding, weight, bias)


@compile_node.register
def _(node: nodes.Activation, to: Compiler) -> None:
    source = to.live[node.source]
    channels = source.tensor.channels
    if node.form == "scale":
        _scale_index(node, source, to)
    elif node.form == "sample":
        steps = np.full(channels, SAMPLE_STEP)
        to.keep(to.requantise(source, node.name, steps, SAMPLE_FORMAT), steps, node.name)
    elif node.form == "mean":
        steps = np.full(channels, 2.0**-to.recipe.mean_fraction)
        to.keep(to.requantise(source, node.name, steps, MEAN_FORMAT), steps, node.name)
    else:
        steps, fmt = to.recipe.steps(node.name, channels), activation_format(node, to.recipe.activation_bits)
        rectify = {"leaky": _leaky, "qrelu": _clamped}.get(node.form, Compiler.requantise)
        to.keep(rectify(to, source, node.name, steps, fmt), steps, node.name)


def _scale_index(node: nodes.Activation, source: Scaled, to: Compiler) -> None:
    """scale > bound  <=>  accumulator * unit > bound  <=>  accumulator > floor(bound / unit); bounds are positive."""
    accumulator = source.tensor
    bounds = [Fraction(bound) for bound in to.bounds[:-1].tolist()]
    thresholds = [[bound // unit for bound in bounds] for unit in map(Fraction, source.steps.tolist())]
    limited = np.array([[min(t, accumulator.format.hi) for t in row] for row in thresholds], np.int64)
    op = ops.ScaleIndex(INDEXES, accumulator.name, INDEXES, limited)
    to.keep(to.add(op, accumulator.channels, INDEX_FORMAT), np.ones(accumulator.channels), node.name)


def _leaky(to: Compiler, source: Scaled, name: str, steps: np.ndarray, fmt: IntFormat) -> Tensor:
    scale = source.steps / steps
    multiplier, shift = dyadic(scale, multiplier_bits(source.tensor.format))
    negative = round_half_up(np.ldexp(scale * float(LEAKY_SLOPE), shift))
    op = ops.LeakyRequantise(name, source.tensor.name, name, multiplier, negative, shift)
    return to.add(op, source.tensor.channels, fmt)


def _clamped(to: Compiler, source: Scaled, name: str, steps: np.ndarray, fmt: IntFormat) -> Tensor:
    """A rectifier with an upper limit; the format's own may lie below it."""
    limit = round_half_up(np.float64(QRELU_LIMIT) / steps[0])
    if limit >= fmt.hi:
        return to.requantise(source, name, steps, fmt)
    wide = to.requantise(source, f"{name}.x", steps, fmt)
    return to.add(ops.Clip(name, wide.name, name, 0, int(limit)), wide.channels, fmt)


@compile_node.register
def _(node: nodes.Normalisation, to: Compiler) -> None:
    if not node.inverse:
        raise ModelError("RC-MODEL-FAMILY", f"{node.name}: a decoder has no forward normalisation")
    source = to.live[node.source]
    steps = to.recipe.steps(node.name, node.channels)
    beta, gamma = (to.parameters[f"{node.prefix}.{part}"].astype(np.float64) for part in ("beta", "gamma"))
    squared = node.exponent == 2
    op = inverse_gdn(node.name, source.tensor, beta, gamma, squared, source.steps, steps, to.recipe.normalisation_bits)
    fmt = activation_format(node, to.recipe.activation_bits)
    to.keep(to.add(op, node.channels, fmt), steps, node.name)


@compile_node.register
def _(node: nodes.Shuffle, to: Compiler) -> None:
    source = to.live[node.source]
    if np.ptp(source.steps):
        raise ModelError("RC-MODEL-SCHEMA", f"{node.source}: a shuffle needs one step for all channels")
    channels = source.tensor.channels // node.factor**2
    op = ops.PixelShuffle(node.name, source.tensor.name, node.name, node.factor, node.factor)
    to.keep(to.add(op, channels, source.tensor.format), source.steps[:channels], node.name)


@compile_node.register
def _(node: nodes.Sum, to: Compiler) -> None:
    left, right = (to.live[name] for name in node.reads)
    channels = left.tensor.channels
    steps = to.recipe.steps(node.name, channels)
    if any(np.ptp(row) for row in (left.steps, right.steps, steps)):
        raise ModelError("RC-MODEL-SCHEMA", f"{node.name}: a sum needs one step for all channels")
    scales = np.array([left.steps[0], right.steps[0]]) / steps[0]
    shift = int(np.clip(SUM_BITS - np.frexp(scales.max())[1], 0, MAX_SHIFT))
    multipliers = round_half_up(np.ldexp(scales, shift))
    op = ops.Add(node.name, (left.tensor.name, right.tensor.name), node.name, shift, multipliers)
    to.keep(to.add(op, channels, activation_format(node, to.recipe.activation_bits)), steps, node.name)


@compile_node.register
def _(node: nodes.Join, to: Compiler) -> None:
    sources = [to.live[name] for name in node.reads]
    op = ops.Concatenate(node.name, tuple(source.tensor.name for source in sources), node.name)
    channels = sum(source.tensor.channels for source in sources)
    steps = np.concatenate([source.steps for source in sources])
    to.keep(to.add(op, channels, sources[0].tensor.format), steps, node.name)
