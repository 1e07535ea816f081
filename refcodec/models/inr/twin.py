"""Float twins of implicit video codecs: the nodes of a network on float arrays, differentiable by autograd.

Arrays are (channel, frame, row, column): a network computes several frames at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache, singledispatch
from typing import Any

import autograd.numpy as anp
import numpy as np

from refcodec.codecs.inr import nodes
from refcodec.codecs.inr.nodes import FRAME, TANH, Node
from refcodec.fixed import line_taps
from refcodec.gradient.activations import ACTIVATIONS
from refcodec.gradient.arrangement import shuffle
from refcodec.gradient.convolution import convolution, depthwise
from refcodec.gradient.normalisation import normalise
from refcodec.layers.positional_encoding import TURN_BITS

Parameters = Mapping[str, Any]  # arrays, or what autograd puts in their place
Live = dict[str, Any]


def run(network: Sequence[Node], parameters: Parameters, frames: Sequence[int], total: int) -> Any:
    """What a network computes for some frames, before samples are rounded.

    network  all of its nodes;  parameters  float arrays by name;  frames  their numbers;  total  frames of the video.
    Returns (3, N, H, W) in 0 .. 1.
    """
    live: Live = {FRAME: (tuple(frames), total)}
    run_nodes(network, parameters, live)
    return live[network[-1].name]


def run_nodes(part: Sequence[Node], parameters: Parameters, live: Live) -> None:
    """Compute some nodes in order; `live` holds what they read, and then what they define."""
    for node in part:
        live[node.name] = run_node(node, parameters, [live[name] for name in node.reads])


@singledispatch
def run_node(node: Any, parameters: Parameters, inputs: list[Any]) -> Any:
    """Compute one node."""
    raise TypeError(f"no float twin of {type(node).__name__}")


def frame_weights(node: nodes.Grid, frames: Sequence[int], total: int) -> np.ndarray:
    """How much each tensor of a grid counts in each frame, (N, T) (SPEC EMB-1)."""
    weights = np.zeros((len(frames), node.count))
    for n, frame in enumerate(frames):
        offset = (2 * frame + 1) * node.count - total if node.centred else 2 * frame * node.count
        first, second, part = line_taps(offset, 2 * total, node.count)
        weights[n, first] += 1 - part / (2 * total)
        weights[n, second] += part / (2 * total)
    return weights


def grid_rows(network: Sequence[Node], frames: Sequence[int], total: int) -> dict[str, list[int]]:
    """Which tensors of every grid some frames read, by the grid's parameter."""
    found = {}
    for node in network:
        if isinstance(node, nodes.Grid):
            found[node.parameter] = np.flatnonzero(frame_weights(node, frames, total).any(axis=0)).tolist()
    return found


@run_node.register
def _(node: nodes.Grid, parameters: Parameters, inputs: list[Any]) -> Any:
    frames, total = inputs[0]
    grid = parameters[node.parameter]
    weights = frame_weights(node, frames, total).astype(grid.dtype)
    return anp.transpose(anp.tensordot(weights, grid, 1), (1, 0, 2, 3))


@run_node.register
def _(node: nodes.Encoding, parameters: Parameters, inputs: list[Any]) -> Any:
    turns = [[frame * step % (1 << TURN_BITS) / (1 << TURN_BITS) for frame in inputs[0][0]] for step in node.increments]
    angles = 2 * math.pi * np.array(turns)
    waves = np.stack([np.sin(angles), np.cos(angles)], 1 if node.interleaved else 0)
    dtype = parameters[next(iter(parameters))].dtype
    return waves.reshape(-1, len(inputs[0][0]), 1, 1).astype(dtype)


def _biased(x: Any, node: nodes.Convolution | nodes.Depthwise, parameters: Parameters) -> Any:
    return x + anp.reshape(parameters[f"{node.prefix}.bias"], (-1, 1, 1, 1)) if node.biased else x


@run_node.register
def _(node: nodes.Convolution, parameters: Parameters, inputs: list[Any]) -> Any:
    return _biased(convolution(inputs[0], parameters[f"{node.prefix}.weight"]), node, parameters)


@run_node.register
def _(node: nodes.Depthwise, parameters: Parameters, inputs: list[Any]) -> Any:
    weight = anp.reshape(parameters[f"{node.prefix}.weight"], (node.channels, node.kernel, node.kernel))
    return _biased(depthwise(inputs[0], weight), node, parameters)


@run_node.register
def _(node: nodes.Activation, parameters: Parameters, inputs: list[Any]) -> Any:
    return ACTIVATIONS[node.form](inputs[0])


@run_node.register
def _(node: nodes.Norm, parameters: Parameters, inputs: list[Any]) -> Any:
    return normalise(inputs[0])


@run_node.register
def _(node: nodes.Shuffle, parameters: Parameters, inputs: list[Any]) -> Any:
    return shuffle(inputs[0], node.rows, node.columns)


@lru_cache(maxsize=64)
def _enlargement(size: int, factor: int) -> np.ndarray:
    """The matrix (size * factor, size) of a linear enlargement (SPEC RES-2)."""
    matrix = np.zeros((size * factor, size))
    for y in range(size * factor):
        first, second, part = line_taps(2 * y + 1 - factor, 2 * factor, size)
        matrix[y, first] += 1 - part / (2 * factor)
        matrix[y, second] += part / (2 * factor)
    return matrix


@run_node.register
def _(node: nodes.Resize, parameters: Parameters, inputs: list[Any]) -> Any:
    height, width = inputs[0].shape[2:]
    down, right = (_enlargement(size, node.factor).astype(inputs[0].dtype) for size in (height, width))
    return anp.matmul(anp.matmul(down, inputs[0]), right.T)


@run_node.register
def _(node: nodes.Tile, parameters: Parameters, inputs: list[Any]) -> Any:
    return anp.tile(inputs[0], (1, 1, node.rows, node.columns))


@run_node.register
def _(node: nodes.Sum, parameters: Parameters, inputs: list[Any]) -> Any:
    return inputs[0] + inputs[1]


@run_node.register
def _(node: nodes.Join, parameters: Parameters, inputs: list[Any]) -> Any:
    return anp.concatenate(inputs, axis=0)


@run_node.register
def _(node: nodes.Head, parameters: Parameters, inputs: list[Any]) -> Any:
    # the sigmoid of x is (tanh(x / 2) + 1) / 2
    return 0.5 * anp.tanh(inputs[0] if node.form == TANH else 0.5 * inputs[0]) + 0.5
