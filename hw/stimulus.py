"""Memory images and expected output words of one engine run, from golden operations (SPEC HW-5, HW-6)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from hw.parameters import MEMORIES, EngineParameters, layer_operations
from refcodec.errors import ShapeError
from refcodec.program.operations import Convolution, Requantise, TransposedConvolution
from refcodec.program.program import Program


def pack_lanes(values: Iterable[int], bits: int) -> int:
    """One word from its lanes, lane 0 in the lowest bits, each in two's complement."""
    mask = (1 << bits) - 1
    word = 0
    for lane, value in enumerate(values):
        word |= (int(value) & mask) << (lane * bits)
    return word


def unpack_lanes(word: int, bits: int, lanes: int, signed: bool) -> list[int]:
    """The lanes of one word."""
    mask = (1 << bits) - 1
    values = [(word >> (lane * bits)) & mask for lane in range(lanes)]
    return [value - (1 << bits) if signed and value >> (bits - 1) else value for value in values]


def _pad(array: np.ndarray, axis: int, multiple: int) -> np.ndarray:
    """Zeros behind an axis, up to a multiple."""
    widths = [(0, 0)] * array.ndim
    widths[axis] = (0, -array.shape[axis] % multiple)
    return np.pad(array, widths)


def _activation_image(parameters: EngineParameters, x: np.ndarray) -> list[int]:
    words = _pad(x, 0, parameters.pi).transpose(1, 2, 0).reshape(-1, parameters.pi)
    return [pack_lanes(word, parameters.activation.bits) for word in words.tolist()]


def _weight_image(parameters: EngineParameters, weight: np.ndarray) -> list[int]:
    """All lanes, lane after lane: [lane][row phase][column phase][output group][row tap][column tap][channel group]."""
    pi, po = parameters.pi, parameters.po
    wide = _pad(_pad(weight, 0, po), 1, pi)
    kernel = parameters.kernel
    # (output group, lane, channel group, input lane, ky, kx)
    split = wide.reshape(parameters.out_groups, po, parameters.in_groups, pi, kernel, kernel)
    words: list[int] = []
    for p in range(po):
        for rows in parameters.plan.kernel_taps:
            for columns in parameters.plan.kernel_taps:
                block = split[:, p][:, :, :, list(rows)][:, :, :, :, list(columns)]
                visit = block.transpose(0, 3, 4, 1, 2).reshape(-1, pi)
                words += [pack_lanes(word, parameters.weight.bits) for word in visit.tolist()]
    return words


def _channel_image(parameters: EngineParameters, values: np.ndarray, bits: int) -> list[int]:
    """All lanes, lane after lane: channel group * PO + p at lane p, address group."""
    lanes = _pad(values, 0, parameters.po).reshape(-1, parameters.po).T
    return [pack_lanes([value], bits) for value in lanes.ravel().tolist()]


def memory_images(
    parameters: EngineParameters,
    operation: Convolution | TransposedConvolution,
    requantise: Requantise | None,
    x: np.ndarray,
) -> dict[str, list[int]]:
    """The words of every memory, lane after lane, in load order (SPEC HW-5).

    x  (C, H, W) integers in the activation format.  Padded channels hold zeros.
    """
    images = {
        "activation": _activation_image(parameters, x),
        "weight": _weight_image(parameters, operation.weight),
        "bias": _channel_image(parameters, operation.bias, parameters.accumulator.bits),
    }
    if requantise is not None:
        widths = parameters.widths
        images["multiplier"] = _channel_image(parameters, requantise.multiplier, widths["multiplier"])
        images["shift"] = _channel_image(parameters, requantise.shift, widths["shift"])
    return images


def output_words(parameters: EngineParameters, y: np.ndarray) -> list[int]:
    """The words of a golden output (O, H', W') in the order in which the engine offers them (SPEC HW-5)."""
    words = _pad(y, 0, parameters.po).transpose(1, 2, 0).reshape(-1, parameters.po)
    return [pack_lanes(word, parameters.out_format.bits) for word in words.tolist()]


def output_tensor(parameters: EngineParameters, words: list[int]) -> np.ndarray:
    """The output (O, H', W') int64 from the engine's words, the inverse of `output_words` (SPEC HW-5)."""
    form = parameters.out_format
    lanes = [unpack_lanes(word, form.bits, parameters.po, form.signed) for word in words]
    shape = (parameters.out_height, parameters.out_width, parameters.out_groups * parameters.po)
    return np.array(lanes, np.int64).reshape(shape).transpose(2, 0, 1)[: parameters.out_channels]


def output_cycles(parameters: EngineParameters) -> Iterator[int]:
    """The cycle at which each output word is accepted when nothing holds it back (SPEC HW-6)."""
    taps = parameters.plan.taps
    cycle = parameters.latency
    for y in range(parameters.out_height):
        for x in range(parameters.out_width):
            for _ in range(parameters.out_groups):
                cycle += taps[y % len(taps)] * taps[x % len(taps)] * parameters.in_groups
                yield cycle


@dataclass(frozen=True, slots=True, eq=False)
class Stimulus:
    """One run of an engine: its parameters, what to load, what must come out (SPEC HW-5).

    images  words by memory;  words  expected output words;  cycles  of their acceptance;  expected  (O, H', W').
    """

    parameters: EngineParameters
    images: dict[str, list[int]]
    words: list[int]
    cycles: list[int]
    expected: np.ndarray

    def loads(self) -> Iterator[tuple[int, int, int, int]]:
        """(select, lane, address, data) of every word, in load order."""
        for name, image in self.images.items():
            depth = self.parameters.depths[name]
            for position, word in enumerate(image):
                yield MEMORIES.index(name), position // depth, position % depth, word


def layer_stimulus(program: Program, layer: str, x: np.ndarray, pi: int, po: int) -> Stimulus:
    """Run the golden layer on a tile and state what the engine must do (SPEC HW-5).

    x  (C, H, W) integers, the layer's input or a tile of it; outside the tile is zero.
    Raises HardwareError RC-HW-CONFIG, ShapeError, RangeError.
    """
    operation, requantise = layer_operations(program, layer)
    source, target = program.tensor(operation.source), program.tensor(operation.target)
    if x.ndim != 3 or x.shape[0] != source.channels:
        raise ShapeError(f"{layer} takes ({source.channels}, H, W), got {x.shape}")
    source.format.check(x, source.name)
    parameters = EngineParameters.from_program(program, layer, int(x.shape[1]), int(x.shape[2]), pi, po)
    y = program.operation(layer).run([x.astype(source.format.dtype)], [source], target)
    if requantise is not None:
        y = requantise.run([y], [target], program.tensor(requantise.target))
    return Stimulus(
        parameters,
        memory_images(parameters, operation, requantise, x),
        output_words(parameters, y),
        list(output_cycles(parameters)),
        y.astype(np.int64),
    )
