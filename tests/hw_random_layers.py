"""Small random layers for the engine, with multipliers that make their outputs saturate at both ends."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcodec.formats import IntFormat, multiplier_bits
from refcodec.program.operations import Convolution, Requantise, Tensor, TransposedConvolution
from refcodec.program.program import Program

LAYER = "layer.0"
U8, S8, S32 = IntFormat(8, False), IntFormat(8, True), IntFormat(32, True)


@dataclass(frozen=True, slots=True)
class Case:
    """One layer, its tile and its lanes; output None for raw accumulators."""

    kernel: int = 3
    stride: int = 1
    transposed: bool = False
    padding: int = 1
    output_padding: int = 0
    in_channels: int = 3
    out_channels: int = 5
    tile: tuple[int, int] = (4, 5)
    activation: IntFormat = U8
    weight: IntFormat = S8
    accumulator: IntFormat = S32
    output: IntFormat | None = U8
    lanes: tuple[int, int] = (2, 4)


def _operation(case: Case, rng: np.random.Generator) -> Convolution | TransposedConvolution:
    shape = (case.out_channels, case.in_channels, case.kernel, case.kernel)
    weight = rng.integers(case.weight.lo, case.weight.hi + 1, shape)
    weight.flat[0], weight.flat[-1] = case.weight.lo, case.weight.hi
    bias = rng.integers(-1000, 1001, case.out_channels)
    if case.transposed:
        return TransposedConvolution(
            LAYER, "x", "accumulator", case.weight, case.stride, case.padding, case.output_padding, weight, bias
        )
    return Convolution(LAYER, "x", "accumulator", case.weight, case.stride, case.padding, weight, bias)


def _scales(sums: np.ndarray, form: IntFormat, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """A multiplier and shift for each channel that map the larger half of the sums out of the format."""
    multipliers, shifts = [], []
    for channel in np.abs(sums.astype(np.int64)).reshape(sums.shape[0], -1):
        median = max(1, int(np.median(channel)))
        shift = min(62, bits - 1 + max(0, median.bit_length() - form.hi.bit_length()))
        multipliers.append(min((1 << bits) - 1, max(1, (form.hi << shift) // median)))
        shifts.append(shift)
    return np.array(multipliers), np.array(shifts)


def small_layer(case: Case, seed: int = 0) -> tuple[Program, np.ndarray]:
    """The layer's program and its input tile."""
    rng = np.random.default_rng(seed)
    operation = _operation(case, rng)
    form = case.activation
    x = rng.integers(form.lo, form.hi + 1, (case.in_channels, *case.tile))
    x.flat[0], x.flat[-1] = form.lo, form.hi
    tensors = [Tensor("x", case.in_channels, form), Tensor("accumulator", case.out_channels, case.accumulator)]
    if case.output is None:
        return Program("small", tuple(tensors), (operation,)), x
    sums = operation.run([x.astype(form.dtype)], tensors[:1], tensors[1])
    multiplier, shift = _scales(sums, case.output, multiplier_bits(case.accumulator))
    tensors.append(Tensor("y", case.out_channels, case.output))
    requantise = Requantise("scale", "accumulator", "y", multiplier, shift)
    return Program("small", tuple(tensors), (operation, requantise)), x
