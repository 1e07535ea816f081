"""Checkpoints of HiNeRV (Kwan et al. 2023): grids, bilinear enlargement, local grids and ConvNeXt blocks."""

from __future__ import annotations

from collections.abc import Container
from math import isqrt, prod

import numpy as np

from refcodec.codecs.inr.architecture import COLOURS, Hierarchical, Levels, Stage
from refcodec.codecs.inr.limits import check_architecture
from refcodec.codecs.inr.nodes import SIGMOID
from refcodec.models.inr.options import ImportOptions
from refcodec.models.inr.tensors import Layer, Tensors, refusal
from refcodec.models.inr.trained import TrainedVideo

OPTIONS = frozenset({"frames", "size", "head", "normed"})
Arrays = dict[str, np.ndarray]


def is_hinerv(names: Container[str]) -> bool:
    """Whether parameters are called as HiNeRV's."""
    return "decoder.stem.conv.weight" in names and "decoder.head.linear.weight" in names


def import_hinerv(tensors: Tensors, options: ImportOptions) -> TrainedVideo:
    """The video of a checkpoint, whose local grids tell how much each stage enlarges.

    Raises ModelError RC-CHECKPOINT-PARAMETER, RangeError RC-USAGE, RC-RANGE.
    """
    stem, head = tensors.layer("decoder.stem.conv"), tensors.layer("decoder.head.linear")
    if head.outputs != COLOURS or head.kernel != 1:
        raise refusal(f"{head.name}.weight: a head is a linear layer of {COLOURS} outputs, got {head.weight.shape}")
    found: Arrays = {
        "stem.weight": stem.weight, "stem.bias": stem.bias, "head.weight": head.weight, "head.bias": head.bias,
    }  # fmt: skip
    stages, kernels, channels = [], set(), stem.outputs
    for k in tensors.numbers("decoder.blocks.", ".2.fc1.weight"):
        stage, kernel = _take_stage(tensors, k, channels, found)
        stages.append(stage)
        kernels.add(kernel)
        channels = stage.channels
    if len(kernels) != 1:
        raise refusal(f"decoder.blocks.*.dconv.weight: wanted one size of kernels, got {sorted(kernels)}")
    scale = prod(stage.factor for stage in stages)
    height, width = options.known_size
    base = -(-height // scale), -(-width // scale)
    grids = _take_base(tensors, base, found)
    tensors.finish("HiNeRV of ConvNeXt blocks without biases and affine normalisation, enlarged bilinearly,")
    architecture = Hierarchical(
        options.known_frames, height, width, base, grids, stem.outputs, stem.kernel, options.normed is not False,
        kernels.pop(), tuple(stages), options.head or SIGMOID,
    )  # fmt: skip
    check_architecture(architecture)
    return TrainedVideo(architecture, found, {"origin": "HiNeRV"})


def _take_grids(tensors: Tensors, prefix: str) -> list[tuple[str, np.ndarray]]:
    """Names and arrays of the levels of a grid, which are parameters or modules that hold one."""
    suffix = ".weight" if tensors.numbers(prefix, ".weight") else ""
    names = [f"{prefix}{k}{suffix}" for k in tensors.numbers(prefix, suffix)]
    if not names:
        raise refusal(f"{prefix}0: found none")
    return [(name, tensors.take(name, 2)) for name in names]


def _take_base(tensors: Tensors, base: tuple[int, int], found: Arrays) -> tuple[Levels, ...]:
    """The base grids: rows of (time, height, width), columns of channels."""
    levels = []
    for k, (name, array) in enumerate(_take_grids(tensors, "encoding.grids.")):
        count, rest = divmod(len(array), base[0] * base[1])
        if rest or not count:
            raise refusal(f"{name}: {len(array)} rows are no tensors of {base[0]} x {base[1]} samples")
        found[f"grids.{k}"] = _channels_first(array.reshape(count, *base, -1))
        levels.append(Levels(*found[f"grids.{k}"].shape[:2]))
    return tuple(levels)


def _channels_first(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(0, 3, 1, 2))


def _take_stage(tensors: Tensors, number: int, channels: int, found: Arrays) -> tuple[Stage, int]:
    """One stage and the kernel of its blocks; its arrays are added to those found."""
    source, target = f"decoder.blocks.{number}.", f"stages.{number}."
    local = tensors.layer(f"{source}1.enc.linear")
    if local.outputs != channels or local.kernel != 1:
        raise refusal(f"{local.name}.weight: wanted a linear layer of {channels} outputs, got {local.weight.shape}")
    factor, levels = _take_local(tensors, f"{source}1.enc.grids.", local, f"{target}grids.", found)
    found |= {f"{target}local.weight": local.weight, f"{target}local.bias": local.bias}
    shapes = set()
    numbers = tensors.numbers(source, ".fc1.weight")
    for j, n in enumerate(numbers):
        shapes.add(_take_block(tensors, f"{source}{n}.", f"{target}{j}.", found))
    if len(shapes) != 1:
        raise refusal(f"{source}*: wanted blocks of one kernel, one hidden and one outer width, got {sorted(shapes)}")
    kernel, hidden, outputs = shapes.pop()
    return Stage(factor, outputs, levels, len(numbers), hidden), kernel


def _take_local(
    tensors: Tensors, prefix: str, local: Layer, target: str, found: Arrays
) -> tuple[int, tuple[Levels, ...]]:
    """The local grids: rows of time, columns of (height, width, channels); and how much the stage enlarges."""
    arrays = _take_grids(tensors, prefix)
    columns = sum(array.shape[1] for _, array in arrays)
    factor = isqrt(columns // local.inputs)
    if factor < 2 or factor**2 * local.inputs != columns:
        raise refusal(
            f"{prefix}*: {columns} columns are no window for each of the {local.inputs} inputs of {local.name}; "
            "only grids over time and the place in a window are read"
        )
    levels = []
    for k, (name, array) in enumerate(arrays):
        if array.shape[1] % factor**2:
            raise refusal(f"{name}: {array.shape[1]} columns are no windows of {factor} x {factor}")
        found[f"{target}{k}"] = _channels_first(array.reshape(len(array), factor, factor, -1))
        levels.append(Levels(*found[f"{target}{k}"].shape[:2]))
    return factor, tuple(levels)


def _take_block(tensors: Tensors, source: str, target: str, found: Arrays) -> tuple[int, int, int]:
    """One block; its kernel, hidden and outer width.  A scale of its outputs becomes part of its last weights."""
    depthwise = tensors.take(f"{source}dconv.weight", 4)
    expand, reduce = (tensors.take(f"{source}{name}.weight", 2) for name in ("fc1", "fc2"))
    if depthwise.shape[1] != 1 or depthwise.shape[2] != depthwise.shape[3]:
        raise refusal(f"{source}dconv.weight: wanted (channels, 1, kernel, kernel), got {depthwise.shape}")
    if f"{source}layerscale" in tensors:
        reduce = reduce * _scale(tensors.take(f"{source}layerscale", 1), source, reduce)
    found |= {
        f"{target}depthwise.weight": depthwise,
        f"{target}expand.weight": expand[:, :, None, None],
        f"{target}reduce.weight": reduce[:, :, None, None],
    }
    return depthwise.shape[2], len(expand), len(reduce)


def _scale(scale: np.ndarray, source: str, reduce: np.ndarray) -> np.ndarray:
    if scale.shape != reduce.shape[:1]:
        raise refusal(f"{source}layerscale: wanted {reduce.shape[:1]}, got {scale.shape}")
    return scale[:, None]
