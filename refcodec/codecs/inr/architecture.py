"""Architectures of implicit video codecs, and the nodes that each one means (SPEC INR-1, INR-2)."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from refcodec.codecs.inr.nodes import (
    GELU,
    SIGMOID,
    Activation,
    Convolution,
    Depthwise,
    Encoding,
    Grid,
    Head,
    Join,
    Node,
    Norm,
    Parameter,
    Resize,
    Shuffle,
    Sum,
    Tile,
)

COLOURS = 3


class Levels(NamedTuple):
    """Tensors of a temporal grid: how many, and of how many channels each."""

    tensors: int
    channels: int


class Block(NamedTuple):
    """A convolution to channels * stride**2, a shuffle of that stride, an activation."""

    kernel: int
    stride: int
    channels: int


class Stage(NamedTuple):
    """An enlargement with a local grid, then ConvNeXt blocks.

    factor  of the enlargement;  channels  of its blocks' outputs;  grid  levels of the local grid
    depth  number of blocks;  hidden  channels within each.
    """

    factor: int
    channels: int
    grid: tuple[Levels, ...]
    depth: int
    hidden: int


@dataclass(frozen=True, slots=True)
class Shuffled:
    """NeRV, HNeRV and FFNeRV: something of the frame number, then blocks of convolution and pixel shuffle.

    frames  number of them;  height, width  of the picture, at most those of the base times all strides
    base  height and width of the tensor that the first block reads
    grids  levels of temporal grids of the base's size, joined; HNeRV's embeddings are one level of `frames` tensors
    centred  how grids are interpolated (SPEC EMB-1)
    increments  phases of a positional encoding, where there is no grid;  interleaved  how it is ordered
    stem  widths of the layers before the first block; the last one is that of the base, times its area without a grid
    stem_activations  which of them an activation follows
    blocks, activation  see Block, GELU or SILU;  head_kernel, head  of the last convolution, TANH or SIGMOID.
    """

    frames: int
    height: int
    width: int
    base: tuple[int, int]
    grids: tuple[Levels, ...]
    centred: bool
    increments: tuple[int, ...]
    interleaved: bool
    stem: tuple[int, ...]
    stem_activations: tuple[bool, ...]
    blocks: tuple[Block, ...]
    activation: str
    head_kernel: int
    head: str

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what the network computes, of which the picture is the top left part."""
        scale = prod(block.stride for block in self.blocks)
        return self.base[0] * scale, self.base[1] * scale

    def nodes(self) -> tuple[Node, ...]:
        """The network, in the order of computation."""
        found: list[Node] = []
        source, channels = self._source(found)
        for k, (width, activated) in enumerate(zip(self.stem, self.stem_activations, strict=True)):
            found.append(Convolution(f"stem.{k}", source, channels, width, 1, f"stem.{k}"))
            source, channels = found[-1].name, width
            if activated:
                source = _then(found, Activation(f"stem.{k}.act", source, self.activation))
        if not self.grids:
            source = _then(found, Shuffle("base", source, *self.base))
            channels //= self.base[0] * self.base[1]
        for k, block in enumerate(self.blocks):
            wide = block.channels * block.stride**2
            found.append(Convolution(f"blocks.{k}", source, channels, wide, block.kernel, f"blocks.{k}"))
            source = found[-1].name
            if block.stride > 1:
                source = _then(found, Shuffle(f"blocks.{k}.shuffle", source, block.stride, block.stride))
            source = _then(found, Activation(f"blocks.{k}.act", source, self.activation))
            channels = block.channels
        found.append(Convolution("head", source, channels, COLOURS, self.head_kernel, "head"))
        found.append(Head("picture", "head", self.head))
        return tuple(found)

    def _source(self, found: list[Node]) -> tuple[str, int]:
        if not self.grids:
            found.append(Encoding("encoding", self.interleaved, self.increments))
            return "encoding", 2 * len(self.increments)
        return _grids(found, "grids", self.grids, self.base, self.centred)


@dataclass(frozen=True, slots=True)
class Hierarchical:
    """HiNeRV: temporal grids, a stem, and stages of bilinear enlargement, local grids and ConvNeXt blocks.

    frames, height, width, base  as in Shuffled;  grids  levels of the base grids;  channels  of the stem
    normed  whether a layer normalisation precedes each enlargement;  stages  see Stage
    kernel  of the depthwise convolutions;  head  SIGMOID or TANH.
    """

    frames: int
    height: int
    width: int
    base: tuple[int, int]
    grids: tuple[Levels, ...]
    channels: int
    stem_kernel: int
    normed: bool
    kernel: int
    stages: tuple[Stage, ...]
    head: str = SIGMOID

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what the network computes, of which the picture is the top left part."""
        scale = prod(stage.factor for stage in self.stages)
        return self.base[0] * scale, self.base[1] * scale

    def nodes(self) -> tuple[Node, ...]:
        """The network, in the order of computation."""
        found: list[Node] = []
        source, channels = _grids(found, "grids", self.grids, self.base, True)
        source = _then(found, Convolution("stem", source, channels, self.channels, self.stem_kernel, "stem"))
        channels, (height, width) = self.channels, self.base
        for k, stage in enumerate(self.stages):
            name = f"stages.{k}"
            if self.normed:
                source = _then(found, Norm(f"{name}.norm", source, channels))
            source = _then(found, Resize(f"{name}.resize", source, stage.factor))
            if stage.grid:
                local = self._local(found, name, stage, channels, (height, width))
                source = _then(found, Sum(f"{name}.sum", (source, local)))
            height, width = height * stage.factor, width * stage.factor
            for j in range(stage.depth):
                source = self._block(found, f"{name}.{j}", source, channels, stage)
                channels = stage.channels
        found.append(Convolution("head", source, channels, COLOURS, 1, "head"))
        found.append(Head("picture", "head", self.head))
        return tuple(found)

    def _local(self, found: list[Node], name: str, stage: Stage, channels: int, size: tuple[int, int]) -> str:
        """A grid of factor x factor samples, brought to the stage's channels and repeated over the plane."""
        window = (stage.factor, stage.factor)
        source, inputs = _grids(found, f"{name}.grids", stage.grid, window, True)
        source = _then(found, Convolution(f"{name}.local", source, inputs, channels, 1, f"{name}.local"))
        return _then(found, Tile(f"{name}.tile", source, *size))

    def _block(self, found: list[Node], name: str, source: str, channels: int, stage: Stage) -> str:
        """ConvNeXt: depthwise convolution, normalisation, two linear layers; added to its input if that is as wide."""
        entry = source
        source = _then(found, Depthwise(f"{name}.depthwise", source, channels, self.kernel, f"{name}.depthwise"))
        source = _then(found, Norm(f"{name}.norm", source, channels))
        source = _then(
            found, Convolution(f"{name}.expand", source, channels, stage.hidden, 1, f"{name}.expand", biased=False)
        )
        source = _then(found, Activation(f"{name}.act", source, GELU))
        source = _then(
            found,
            Convolution(f"{name}.reduce", source, stage.hidden, stage.channels, 1, f"{name}.reduce", biased=False),
        )
        return _then(found, Sum(f"{name}.sum", (entry, source))) if channels == stage.channels else source


Architecture = Shuffled | Hierarchical


def _then(found: list[Node], node: Node) -> str:
    found.append(node)
    return node.name


def _grids(
    found: list[Node], name: str, levels: tuple[Levels, ...], size: tuple[int, int], centred: bool
) -> tuple[str, int]:
    """Grids of several levels, joined; the name of the tensor and its channels."""
    names = []
    for k, level in enumerate(levels):
        names.append(_then(found, Grid(f"{name}.{k}", f"{name}.{k}", level.tensors, level.channels, *size, centred)))
    channels = sum(level.channels for level in levels)
    return (names[0] if len(names) == 1 else _then(found, Join(name, tuple(names)))), channels


def parameters(nodes: tuple[Node, ...]) -> tuple[Parameter, ...]:
    """Every trained tensor of a network, in the order of its nodes, which is that of a stream."""
    return tuple(parameter for node in nodes for parameter in node.parameters())
