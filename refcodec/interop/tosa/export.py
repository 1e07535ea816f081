"""A program as a TOSA 1.0 file that computes the same integers (SPEC PROG-1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from refcodec.errors import ExportError
from refcodec.formats import IntFormat
from refcodec.interop.tosa.add import add
from refcodec.interop.tosa.clip import clip
from refcodec.interop.tosa.concatenate import concatenate
from refcodec.interop.tosa.convolution import convolution
from refcodec.interop.tosa.crop import crop
from refcodec.interop.tosa.depthwise_convolution import depthwise_convolution
from refcodec.interop.tosa.embedding import embedding
from refcodec.interop.tosa.gdn import gdn, inverse_gdn
from refcodec.interop.tosa.graph import Graph, require
from refcodec.interop.tosa.latent_mean import latent_mean, latent_means
from refcodec.interop.tosa.layer_norm import layer_norm
from refcodec.interop.tosa.leaky_requantise import leaky_requantise
from refcodec.interop.tosa.linear import linear
from refcodec.interop.tosa.masked_convolution import masked_convolution
from refcodec.interop.tosa.nearest import nearest
from refcodec.interop.tosa.pad import pad
from refcodec.interop.tosa.pixel_shuffle import pixel_shuffle
from refcodec.interop.tosa.positional_encoding import positional_encoding
from refcodec.interop.tosa.requantise import requantise
from refcodec.interop.tosa.resize import resize
from refcodec.interop.tosa.scale_index import scale_index
from refcodec.interop.tosa.scale_space import scale_space
from refcodec.interop.tosa.schema import VERSION, file_bytes
from refcodec.interop.tosa.signal import Signal, Step, storage
from refcodec.interop.tosa.table import interpolated_table, table
from refcodec.interop.tosa.threshold_head import threshold_head
from refcodec.interop.tosa.tile import tile
from refcodec.interop.tosa.transposed_convolution import transposed_convolution
from refcodec.interop.tosa.warp import warp
from refcodec.program.operations import AnyOperation, Size, Tensor
from refcodec.program.program import Program
from refcodec.program.reach import Reach

PROFILE = "PRO-INT"
Recipe = Callable[[Step, Any], Signal]
RECIPES: dict[str, Recipe] = {
    "add": add,
    "clip": clip,
    "concatenate": concatenate,
    "convolution": convolution,
    "crop": crop,
    "depthwise_convolution": depthwise_convolution,
    "embedding": embedding,
    "gdn": gdn,
    "interpolated_table": interpolated_table,
    "inverse_gdn": inverse_gdn,
    "latent_mean": latent_mean,
    "latent_means": latent_means,
    "layer_norm": layer_norm,
    "leaky_requantise": leaky_requantise,
    "linear": linear,
    "masked_convolution": masked_convolution,
    "nearest": nearest,
    "pad": pad,
    "pixel_shuffle": pixel_shuffle,
    "positional_encoding": positional_encoding,
    "requantise": requantise,
    "resize": resize,
    "scale_index": scale_index,
    "scale_space": scale_space,
    "table": table,
    "threshold_head": threshold_head,
    "tile": tile,
    "transposed_convolution": transposed_convolution,
    "warp": warp,
}
# What a recipe asks of a program beyond the specification, by kind.
LIMITS: dict[str, str] = {
    "add": "products beyond 32 bits need sources of 16 bits, a sum of 48 and a shift from 3",
    "clip": "a tensor of more than 32 bits can only be requantised, compared with thresholds or moved",
    "embedding": "the rise between two tensors times the number of frames must fit 32 bits",
    "gdn": "INTDIV has 32 bits, which twice the numerator and its denominator must fit",
    "inverse_gdn": "a square root can have at most 29 bits",
    "layer_norm": "INTDIV has 32 bits, which twice the numerator and its denominator must fit",
    "leaky_requantise": "an accumulator of more than 32 bits needs a shift from 17, with a multiplier of 15 bits",
    "positional_encoding": "the table of all frame numbers can have at most 2**22 entries",
    "requantise": "an accumulator of more than 32 bits needs a shift from 17, with a multiplier of 15 bits",
    "resize": "RESIZE takes at most 16 bits",
}


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the file.

    name    of the program's tensor;  format  of its integers
    dtype   NumPy's name for the stored type: int8, uint8, int16 or int32
    shape   (1, H, W, C).
    """

    name: str
    format: IntFormat
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TosaFile:
    """A TOSA file, and what it asks of whoever runs it.

    content  the bytes;  version  "1.0";  profile  "PRO-INT";  extensions  such as "EXT-INT16", sorted.
    """

    content: bytes
    version: str
    profile: str
    extensions: tuple[str, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]


def export_program(program: Program, sizes: Mapping[str, Size], taps: bool = False) -> TosaFile:
    """Express a program in TOSA for inputs of fixed sizes; the same program and sizes give the same bytes.

    sizes  height and width of every input tensor, by name
    taps   whether every tensor of up to 32 bits becomes an output.
    Raises ShapeError, and ExportError where TOSA cannot compute the same integers.
    """
    check_kinds(program)
    found = program.all_sizes(sizes)
    graph = Graph()
    reaches = program.reaches()
    signals: dict[str, Signal] = {}
    inputs = []
    for tensor in program.inputs:
        port, signals[tensor.name] = _input(graph, tensor, found[tensor.name])
        inputs.append(port)
    for op in program.operations:
        graph.scope = op.target
        target = program.tensor(op.target)
        sources = tuple(program.tensor(name) for name in op.reads)
        step = Step(graph, tuple(signals[name] for name in op.reads), sources, target)
        signals[op.target] = _checked(step, _apply(step, op), found[op.target], reaches[op.target])
    made = [tensor for tensor in program.tensors[len(program.inputs) :] if signals[tensor.name].low is None]
    wanted = made if taps else program.outputs
    graph.scope = "outputs"
    outputs = tuple(_output(graph, tensor, signals[tensor.name]) for tensor in wanted)
    version = f"{VERSION[0]}.{VERSION[1]}"
    return TosaFile(
        file_bytes(graph.block()), version, PROFILE, tuple(sorted(graph.extensions)), tuple(inputs), outputs
    )


def check_kinds(program: Program) -> None:
    """Raise ExportError for the first operation that has no recipe."""
    for op in program.operations:
        require(op.kind in RECIPES, f"{program.name}: there is no TOSA recipe for {op.name} ({op.kind})")


def _apply(step: Step, op: AnyOperation) -> Signal:
    """The target by the operation's recipe.  Raises ExportError with the reason and what the recipe asks for."""
    try:
        return RECIPES[op.kind](step, op)
    except ExportError as error:
        reason = "; ".join([error.message, *([LIMITS[op.kind]] if op.kind in LIMITS else [])])
        raise ExportError("RC-EXPORT", f"TOSA cannot express {op.name}, {op.kind}: {reason}") from error


def _input(graph: Graph, tensor: Tensor, size: Size) -> tuple[Port, Signal]:
    """A graph input; 8-bit values without a sign come in as such."""
    dtype, zero_point = storage(tensor.format)
    require(tensor.format.hi < 1 << 31, f"{tensor.name}: TOSA inputs have no format as wide as {tensor.format}")
    shape = (1, *size, tensor.channels)
    graph.scope = tensor.name
    if zero_point:
        value = graph.signed(graph.input(tensor.name, shape, "INT8", -128, 127), tensor.format.lo, tensor.format.hi)
        return Port(tensor.name, tensor.format, "uint8", shape), Signal(value, zero_point)
    value = graph.input(tensor.name, shape, dtype, tensor.format.lo, tensor.format.hi)
    return Port(tensor.name, tensor.format, dtype.lower(), shape), Signal(value)


def _output(graph: Graph, tensor: Tensor, signal: Signal) -> Port:
    """A graph output; 8-bit values without a sign leave as such."""
    require(signal.low is None, f"{tensor.name}: TOSA outputs have no format as wide as {tensor.format}")
    value = graph.unsigned(signal.value) if signal.zero_point else signal.value
    graph.output(value, tensor.name)
    dtype = "uint8" if signal.zero_point else value.dtype.lower()
    return Port(tensor.name, tensor.format, dtype, value.shape)


def _checked(step: Step, signal: Signal, size: Size, reach: Reach) -> Signal:
    """The signal, with the proven reach of its tensor; raises if a recipe made something of another shape."""
    shape = (1, *size, step.target.channels)
    require(signal.value.shape == shape, f"{step.target.name}: {signal.value.shape} instead of {shape}")
    if signal.low is not None:
        return signal
    zero = signal.zero_point
    return replace(signal, value=step.graph.tighten(signal.value, reach.lo + zero, reach.hi + zero))
