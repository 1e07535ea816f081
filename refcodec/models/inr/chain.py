"""Networks of blocks with a pixel shuffle, put together from the layers of a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt, prod

import numpy as np

from refcodec.codecs.inr.architecture import COLOURS, Block, Levels, Shuffled
from refcodec.codecs.inr.limits import check_architecture
from refcodec.codecs.inr.nodes import GELU, TANH
from refcodec.models.inr.options import ImportOptions
from refcodec.models.inr.tensors import Layer, refusal
from refcodec.models.inr.trained import TrainedVideo


def blocks_of(layers: Sequence[Layer]) -> tuple[Block, ...]:
    """The blocks that some layers and the one after them make.

    layers  those of the blocks, then the head's.  A block gives as many channels as the next layer reads, so the
    stride is the root of how many times as many its layer has.  Raises ModelError RC-CHECKPOINT-PARAMETER.
    """
    found = []
    for layer, following in pairwise(layers):
        stride = isqrt(layer.outputs // following.inputs)
        if stride == 0 or following.inputs * stride**2 != layer.outputs:
            raise refusal(
                f"{layer.name}.weight: {layer.outputs} outputs are no square number of times "
                f"the {following.inputs} inputs of {following.name}"
            )
        found.append(Block(layer.kernel, stride, following.inputs))
    return tuple(found)


def scale_of(blocks: Sequence[Block]) -> int:
    """How many times as high and wide the picture is."""
    return prod(block.stride for block in blocks)


def base_of(size: tuple[int, int], scale: int, last: Layer, channels: int) -> tuple[int, int]:
    """Height and width of what the first block reads, where one layer makes all samples of it.

    size  of a picture;  last  the layer that makes them;  channels  that the first block reads.
    Raises ModelError RC-CHECKPOINT-PARAMETER.
    """
    base = -(-size[0] // scale), -(-size[1] // scale)
    if base[0] * base[1] * channels != last.outputs:
        raise refusal(
            f"{last.name}.weight: {last.outputs} outputs are not the {channels} channels of {base[0]} x {base[1]} "
            f"samples that pictures of {size[0]} x {size[1]} and strides of {scale} ask for"
        )
    return base


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """The layers of a network and what comes before them.

    grids  arrays (T, C, H, W), or none, and then `increments` of a positional encoding that may be `interleaved`
    centred  how grids are spread;  base  height and width of what the first block reads
    stem  layers before the blocks;  activated  whether activations follow them
    layers  of the blocks, then of the head.
    """

    base: tuple[int, int]
    layers: Sequence[Layer]
    stem: Sequence[Layer] = ()
    activated: bool = True
    grids: Sequence[np.ndarray] = ()
    centred: bool = True
    increments: tuple[int, ...] = ()
    interleaved: bool = False

    def video(self, frames: int, options: ImportOptions, origin: str) -> TrainedVideo:
        """The video of a chain; the picture is all that it computes where no size is said.

        Raises ModelError RC-CHECKPOINT-PARAMETER, RangeError.
        """
        *inner, head = self.layers
        if head.outputs != COLOURS:
            raise refusal(f"{head.name}.weight: a head has {COLOURS} outputs, not {head.outputs}")
        blocks = blocks_of(self.layers)
        scale = scale_of(blocks)
        height, width = options.size or (self.base[0] * scale, self.base[1] * scale)
        architecture = Shuffled(
            frames, height, width, self.base, tuple(Levels(*grid.shape[:2]) for grid in self.grids), self.centred,
            self.increments, self.interleaved, tuple(layer.outputs for layer in self.stem),
            (self.activated,) * len(self.stem), blocks, options.activation or GELU, head.kernel, options.head or TANH,
        )  # fmt: skip
        check_architecture(architecture)
        named = {f"stem.{k}": layer for k, layer in enumerate(self.stem)}
        named |= {f"blocks.{k}": layer for k, layer in enumerate(inner)} | {"head": head}
        found = {f"grids.{k}": grid for k, grid in enumerate(self.grids)}
        for name, layer in named.items():
            found |= {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}
        return TrainedVideo(architecture, found, {"origin": origin})
