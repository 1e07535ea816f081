"""Checkpoints of NeRV (Chen et al. 2021): a positional encoding, a perceptron, blocks of convolution and shuffle."""

from __future__ import annotations

from collections.abc import Container
from fractions import Fraction

import numpy as np

from refcodec.models.inr.chain import Chain, base_of, blocks_of, scale_of
from refcodec.models.inr.options import FREQUENCY_RATIO, ImportOptions
from refcodec.models.inr.phases import phase_increments
from refcodec.models.inr.tensors import Layer, Tensors, refusal
from refcodec.models.inr.trained import TrainedVideo

OPTIONS = frozenset({"frames", "size", "activation", "head", "ratio"})


def is_nerv(names: Container[str]) -> bool:
    """Whether parameters are called as NeRV's."""
    return "stem.0.weight" in names and any(f"layers.0.conv.{kind}.weight" in names for kind in ("conv", "up_scale"))


def levels_of(first: Layer) -> int:
    """How many frequencies the first layer reads, each as sine and cosine."""
    if first.inputs % 2 or first.kernel != 1:
        raise refusal(
            f"{first.name}.weight: wanted a layer that reads pairs of sines and cosines, got {first.weight.shape}"
        )
    return first.inputs // 2


def _angles(ratio: float, levels: int) -> list[Fraction]:
    """What a frame number in 0 .. 1 is multiplied with: a power of the ratio and pi, each a float32.

    Its code multiplies one after the other and rounds both products to float32, which no linear phase can follow:
    at the 40 levels of its models sines differ by up to 0.001, at 80 levels the last ones are arbitrary.
    """
    return [Fraction(float(np.float32(ratio**k))) * Fraction(float(np.float32(np.pi))) for k in range(levels)]


def import_nerv(tensors: Tensors, options: ImportOptions) -> TrainedVideo:
    """The video of a checkpoint; of several heads that of the full size.

    Raises ModelError RC-CHECKPOINT-PARAMETER, RangeError RC-USAGE, RC-RANGE.
    """
    stem, inner = tensors.layers("stem.", ""), tensors.layers("layers.", ".conv.conv")
    *_, head = tensors.layers("head_layers.", "")
    tensors.finish("NeRV's convolution with pixel shuffle, without normalisation,")
    increments = phase_increments(_angles(options.ratio or FREQUENCY_RATIO, levels_of(stem[0])), options.known_frames)
    layers = [*inner, head]
    base = base_of(options.known_size, scale_of(blocks_of(layers)), stem[-1], inner[0].inputs)
    chain = Chain(base, layers, stem, increments=tuple(increments.tolist()), interleaved=True)
    return chain.video(options.known_frames, options, "NeRV")
