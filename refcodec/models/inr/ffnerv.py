"""Checkpoints of FFNeRV (Lee et al. 2023): temporal grids of several resolutions, blocks of convolution and shuffle."""

from __future__ import annotations

from collections.abc import Container

import numpy as np

from refcodec.codecs.inr.architecture import COLOURS
from refcodec.errors import RangeError
from refcodec.models.inr.chain import Chain
from refcodec.models.inr.options import ImportOptions
from refcodec.models.inr.tensors import Layer, Tensors, refusal
from refcodec.models.inr.trained import TrainedVideo

OPTIONS = frozenset({"frames", "size", "activation", "head", "bits", "independent"})


def is_ffnerv(names: Container[str]) -> bool:
    """Whether parameters are called as FFNeRV's."""
    return "video_field.0" in names


def quantised(array: np.ndarray, bits: int | None) -> np.ndarray:
    """Parameters as FFNeRV uses those trained for so many bits, float32; unchanged without.

    Source: its `qfn`, sign(tanh w) * floor(abs(tanh w) * n) / n with n = 2**(bits - 1) - 1.
    """
    if bits is None:
        return array
    steps, bent = (1 << bits - 1) - 1, np.tanh(array.astype(np.float64))
    return (np.sign(bent) * np.floor(np.abs(bent) * steps) / steps).astype(np.float32)


def _quantised_layer(layer: Layer, bits: int | None) -> Layer:
    return Layer(layer.name, quantised(layer.weight, bits), quantised(layer.bias, bits))


def import_ffnerv(tensors: Tensors, options: ImportOptions) -> TrainedVideo:
    """The video of a checkpoint's independent frames.

    Raises ModelError RC-CHECKPOINT-PARAMETER, RangeError RC-USAGE, RC-RANGE.
    """
    if tensors.numbers("layers.", ".conv.conv2.weight"):
        raise refusal("layers.*.conv.conv2.weight: a network of compact convolutions, in groups, has no integer form")
    grids = [tensors.take(f"video_field.{k}", 4) for k in tensors.numbers("video_field.", "")]
    if len({grid.shape[2:] for grid in grids}) != 1:
        raise refusal("video_field.*: wanted grids of one height and width")
    layers = tensors.layers("layers.", ".conv.conv1")
    *flows, head = tensors.layers("head_layers.", "")
    tensors.finish("FFNeRV's convolution with pixel shuffle, without normalisation,")
    independent = bool(flows) or head.outputs > COLOURS
    if independent and not options.independent:
        raise RangeError(
            "FFNeRV aggregates its frames from neighbours that it warps, which has no integer form; "
            "its independent frames can be imported alone (--independent-frames)",
            "RC-USAGE",
        )
    head = Layer(head.name, head.weight[:COLOURS], head.bias[:COLOURS])
    chain = Chain(
        (grids[0].shape[2], grids[0].shape[3]),
        [_quantised_layer(layer, options.bits) for layer in (*layers, head)],
        grids=[quantised(grid, options.bits) for grid in grids],
        centred=False,
    )
    return chain.video(options.known_frames, options, "FFNeRV's independent frames" if independent else "FFNeRV")
