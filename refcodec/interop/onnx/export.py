"""Programs as standard ONNX models of integer operators (SPEC EXP-1).

One model for each program: the entropy decoder of a codec stands between its programs, so a user calls them one by one.
Each computes, in onnxruntime and in the reference implementation of ONNX, exactly the integers of `Program.run`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from refcodec.errors import ExportError
from refcodec.interop.onnx.add import add
from refcodec.interop.onnx.clip import clip
from refcodec.interop.onnx.concatenate import concatenate
from refcodec.interop.onnx.convolution import convolution
from refcodec.interop.onnx.crop import crop
from refcodec.interop.onnx.depthwise_convolution import depthwise_convolution
from refcodec.interop.onnx.embedding import embedding
from refcodec.interop.onnx.gdn import gdn, inverse_gdn
from refcodec.interop.onnx.graph import Graph, Wire
from refcodec.interop.onnx.latent_mean import latent_mean, latent_means
from refcodec.interop.onnx.layer_norm import layer_norm
from refcodec.interop.onnx.leaky_requantise import leaky_requantise
from refcodec.interop.onnx.linear import linear
from refcodec.interop.onnx.masked_convolution import masked_convolution
from refcodec.interop.onnx.nearest import nearest
from refcodec.interop.onnx.pad import pad
from refcodec.interop.onnx.pixel_shuffle import pixel_shuffle
from refcodec.interop.onnx.positional_encoding import positional_encoding
from refcodec.interop.onnx.requantise import requantise
from refcodec.interop.onnx.resize import resize
from refcodec.interop.onnx.scale_index import scale_index
from refcodec.interop.onnx.scale_space import scale_space
from refcodec.interop.onnx.table import interpolated_table, table
from refcodec.interop.onnx.threshold_head import threshold_head
from refcodec.interop.onnx.tile import tile
from refcodec.interop.onnx.translation import Held, Translation, port_dtype
from refcodec.interop.onnx.transposed_convolution import transposed_convolution
from refcodec.interop.onnx.warp import warp
from refcodec.program.operations import Size, Tensor
from refcodec.program.program import Program

Recipe = Callable[[Translation, Any], Held]
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


def export_program(
    program: Program,
    about: Mapping[str, str] | None = None,
    sizes: Mapping[str, Size] | None = None,
    taps: bool = False,
) -> bytes:
    """A program as the bytes of an `.onnx` file of opset 13; equal programs give equal bytes.

    about  metadata by key, stored as `refcodec.<key>`
    sizes  heights and widths of the inputs, by name, where they are to be fixed; else any size will do
    taps  whether every tensor becomes an output.
    Inputs and outputs have the names of the program's tensors, the shape (1, C, H, W) and the narrowest integer type
    that holds their format. The caller keeps to the formats of the inputs, as `Program.run` demands.
    Raises ExportError RC-EXPORT.
    """
    graph = Graph(program.name)
    translation = Translation(program, graph, program.reaches(), program.all_sizes(sizes) if sizes else {})
    for tensor in program.inputs:
        wire = graph.input(tensor.name, port_dtype(tensor.format), _shape(translation, tensor))
        translation.held[tensor.name] = translation.converted(Held(wire), tensor.format)
    for op in program.operations:
        graph.scope = op.name
        translation.held[op.target] = recipe(op.kind, op.name)(translation, op)
    graph.scope = "outputs"
    for tensor in program.tensors[len(program.inputs) :] if taps else program.outputs:
        graph.output(_given(translation, tensor), tensor.name, _shape(translation, tensor))
    return graph.to_bytes(_metadata(program, about or {}))


def recipe(kind: str, name: str) -> Recipe:
    """The recipe of a kind of operation.  Raises ExportError RC-EXPORT naming the operation."""
    if kind not in RECIPES:
        raise ExportError("RC-EXPORT", f"{name}: no exact form of {kind} in ONNX is known")
    return RECIPES[kind]


def _given(translation: Translation, tensor: Tensor) -> Wire:
    """The values of a tensor in the type in which the graph gives them."""
    held, dtype = translation.settled(tensor.name), port_dtype(tensor.format)
    if held.wire.dtype == dtype and not held.zero:
        return held.wire
    return translation.graph.cast(translation.wide(tensor.name), dtype)


def _shape(translation: Translation, tensor: Tensor) -> tuple[int | str, ...]:
    size = translation.sizes.get(tensor.name, (f"{tensor.name}_height", f"{tensor.name}_width"))
    return (1, tensor.channels, *size)


def _metadata(program: Program, about: Mapping[str, str]) -> dict[str, str]:
    document = {
        **about,
        "program": program.name,
        "inputs": _formats(program.inputs),
        "outputs": _formats(program.outputs),
    }
    return {f"refcodec.{key}": value for key, value in document.items()}


def _formats(tensors: tuple[Tensor, ...]) -> str:
    return json.dumps({tensor.name: str(tensor.format) for tensor in tensors}, separators=(",", ":"))
