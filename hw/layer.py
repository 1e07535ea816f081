"""The engine of one layer of a program, what its memories hold, and its stimulus (SPEC HW-5)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hw.parameters import EngineParameters, layer_operations
from hw.requantise import SHIFT_BITS
from hw.stage import Images
from hw.stimulus import Stimulus
from hw.stream import pack_lanes, pad_channels
from refcodec.errors import ShapeError
from refcodec.program.operations import Convolution, Requantise, TransposedConvolution
from refcodec.program.program import Program


def weight_image(stage: EngineParameters, weight: np.ndarray) -> list[int]:
    """All lanes, lane after lane: [lane][row phase][column phase][output group][row tap][column tap][channel group].

    weight  (O, C, K, K) integers in the weight format.
    """
    pi, po = stage.pi, stage.po
    wide = pad_channels(pad_channels(weight, po).swapaxes(0, 1), pi).swapaxes(0, 1)
    # (output group, lane, channel group, input lane, ky, kx)
    split = wide.reshape(stage.out_groups, po, stage.in_groups, pi, stage.kernel, stage.kernel)
    words: list[int] = []
    for p in range(po):
        for rows in stage.plan.kernel_taps:
            for columns in stage.plan.kernel_taps:
                block = split[:, p][:, :, :, list(rows)][:, :, :, :, list(columns)]
                visit = block.transpose(0, 3, 4, 1, 2).reshape(-1, pi)
                words += [pack_lanes(word, stage.weight.bits) for word in visit.tolist()]
    return words


def channel_image(values: np.ndarray, lanes: int, bits: int) -> list[int]:
    """Constants of channels (C,), lane after lane: channel group * lanes + p at lane p, address group (SPEC HW-8)."""
    by_lane = pad_channels(values, lanes).reshape(-1, lanes).T
    return [pack_lanes([value], bits) for value in by_lane.ravel().tolist()]


def engine_images(
    stage: EngineParameters, operation: Convolution | TransposedConvolution, requantise: Requantise | None
) -> Images:
    """The words of every memory of an engine; those of padded channels are zero (SPEC HW-5)."""
    images = {
        "weight": weight_image(stage, operation.weight),
        "bias": channel_image(operation.bias, stage.po, stage.accumulator.bits),
    }
    if requantise is not None:
        images["multiplier"] = channel_image(requantise.multiplier, stage.po, stage.multiplier_bits)
        images["shift"] = channel_image(requantise.shift, stage.po, SHIFT_BITS)
    return images


def run_layer(program: Program, names: Sequence[str], x: np.ndarray) -> np.ndarray:
    """The golden result of operations that follow each other, from what the first reads.

    Raises ShapeError, RangeError.
    """
    source = program.tensor(program.operation(names[0]).reads[0])
    if x.ndim != 3 or x.shape[0] != source.channels:
        raise ShapeError(f"{names[0]} takes ({source.channels}, H, W), got {x.shape}")
    source.format.check(x, source.name)
    x = x.astype(source.format.dtype)
    for name in names:
        operation = program.operation(name)
        target = program.tensor(operation.target)
        x, source = operation.run([x], [source], target), target
    return x


def layer_stimulus(program: Program, layer: str, x: np.ndarray, pi: int, po: int) -> Stimulus:
    """Run the golden layer on a tile and state what the engine must do (SPEC HW-5).

    x  (C, H, W) integers, the layer's input or a tile of it; outside the tile is zero.
    Raises HardwareError RC-HW-CONFIG, ShapeError, RangeError.
    """
    operation, requantise = layer_operations(program, layer)
    y = run_layer(program, [layer, *([requantise.name] if requantise else [])], x)
    stage = EngineParameters.from_program(program, layer, int(x.shape[1]), int(x.shape[2]), pi, po)
    return Stimulus.of(stage, engine_images(stage, operation, requantise), [x], y)
