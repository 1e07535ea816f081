"""Checkpoints of HNeRV (Chen et al. 2023), of its NeRV with a positional encoding, and of NeuroQuant's (2025)."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

import numpy as np

from refcodec.errors import RangeError
from refcodec.models.inr.chain import Chain, base_of, blocks_of, scale_of
from refcodec.models.inr.nerv import levels_of
from refcodec.models.inr.options import FREQUENCY_RATIO, ImportOptions
from refcodec.models.inr.phases import phase_increments
from refcodec.models.inr.tensors import Layer, Tensors, refusal
from refcodec.models.inr.trained import TrainedVideo

OPTIONS = frozenset({"frames", "size", "embeddings", "activation", "head", "ratio"})


def is_hnerv(names: Container[str]) -> bool:
    """Whether parameters are called as those of HNeRV's decoder."""
    return "decoder.0.conv.downconv.weight" in names and "head_layer.weight" in names


def is_neuroquant(names: Container[str]) -> bool:
    """Whether parameters are called as those of NeuroQuant's decoders."""
    return "decoder.0.weight" in names and "head_layer.weight" in names


def import_hnerv(tensors: Tensors, options: ImportOptions) -> TrainedVideo:
    """The video of HNeRV's code, where an activation follows the first layer.

    Raises ModelError RC-CHECKPOINT-PARAMETER, RangeError RC-USAGE, RC-RANGE.
    """
    layers = [tensors.layer("decoder.0.conv.downconv"), *tensors.layers("decoder.", ".conv.upconv.0")]
    return _import(tensors, layers, True, options)


def import_neuroquant(tensors: Tensors, options: ImportOptions) -> TrainedVideo:
    """The video of NeuroQuant's code, where none does; raises as `import_hnerv`."""
    layers = [tensors.layer("decoder.0"), *tensors.layers("decoder.", ".conv.0")]
    return _import(tensors, layers, False, options)


def _import(tensors: Tensors, decoder: list[Layer], activated: bool, options: ImportOptions) -> TrainedVideo:
    """decoder  its layers without the head."""
    first, *layers = decoder
    layers.append(tensors.layer("head_layer"))
    has_encoder = tensors.drop("encoder.")
    origin = "HNeRV" if activated else "NeuroQuant"
    tensors.finish(f"{origin}'s convolution with pixel shuffle, without normalisation,")
    embeddings = options.embeddings
    if embeddings is None:
        if has_encoder or first.outputs == layers[0].inputs:
            raise refusal("embed: the checkpoint has none; give what its encoder computes of each frame (--embeddings)")
    elif options.frames in (None, len(embeddings)):
        options = replace(options, frames=len(embeddings))
    else:
        raise RangeError(f"there are embeddings of {len(embeddings)} frames, not {options.frames}", "RC-USAGE")
    if embeddings is None or _is_encoding(embeddings, first, layers[0]):
        return _encoded(layers, first, activated, options).video(options.known_frames, options, f"{origin}'s NeRV")
    return _embedded(layers, first, activated, embeddings).video(options.known_frames, options, origin)


def _is_encoding(embeddings: np.ndarray, first: Layer, following: Layer) -> bool:
    """Whether embeddings are those of a network that makes all samples of its base from one vector."""
    return embeddings.shape[2:] == (1, 1) and first.outputs > following.inputs


def _angles(ratio: float, levels: int) -> list[float]:
    """What a frame number in 0 .. 1 is multiplied with, in double precision: powers of the ratio times pi, in float32.

    The powers are rounded to the nearest; PyTorch's own, by 1.25 to the 79, differ in the last place at 1.25 to the 45.
    """
    powers = np.array([float(np.float32(ratio)) ** k for k in range(levels)]).astype(np.float32)
    return (powers * np.float32(np.pi)).tolist()


def _encoded(layers: list[Layer], first: Layer, activated: bool, options: ImportOptions) -> Chain:
    """A network that reads a positional encoding, all sines first."""
    angles = _angles(options.ratio or FREQUENCY_RATIO, levels_of(first))
    increments = tuple(phase_increments(angles, options.known_frames).tolist())
    base = base_of(options.known_size, scale_of(blocks_of(layers)), first, layers[0].inputs)
    return Chain(base, layers, [first], activated, increments=increments)


def _embedded(layers: list[Layer], first: Layer, activated: bool, embeddings: np.ndarray) -> Chain:
    """A network that reads embeddings.

    Where its first layer enlarges, it is a block: the activation of each sample does not mind where that stands.
    """
    if embeddings.ndim != 4 or embeddings.shape[1] != first.inputs or embeddings.dtype.kind != "f":
        wanted = f"floating point (frames, {first.inputs}, height, width)"
        raise refusal(f"embed: wanted {wanted}, got {embeddings.dtype} {embeddings.shape}")
    grid = np.ascontiguousarray(embeddings, np.float32)
    base = embeddings.shape[2], embeddings.shape[3]
    if first.outputs == layers[0].inputs:
        return Chain(base, layers, [first], activated, [grid])
    if not activated:
        raise refusal(f"{first.name}.weight: a layer that enlarges is read only where an activation follows it")
    return Chain(base, [first, *layers], grids=[grid])
