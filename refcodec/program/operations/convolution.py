"""Convolution as an operation (SPEC CONV-1 to CONV-3, ACC-1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec import fixed
from refcodec.errors import ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.convolution import MAX_KERNEL, MAX_STRIDE, convolution, convolution_plain
from refcodec.program.operations.operation import Arrays, Reaches, Size, Tensor, Tensors, Unary, freeze, require
from refcodec.program.reach import Reach


def check_shape(name: str, weight: np.ndarray, source: Tensor, target: Tensor) -> None:
    """Raise ModelError unless a weight (O, C, K, K) is square and leads from the source's to the target's channels."""
    require(
        weight.ndim == 4
        and weight.shape[:2] == (target.channels, source.channels)
        and weight.shape[2] == weight.shape[3],
        "RC-MODEL-TENSOR",
        f"{name}: weight {weight.shape} does not lead from {source.channels} to {target.channels} channels",
    )


def check_kernel(name: str, shape: tuple[int, ...], stride: int, padding: int) -> None:
    """Raise ModelError unless kernel, stride and padding are legal (SPEC CONV-3)."""
    require(
        1 <= shape[-1] <= MAX_KERNEL and 1 <= stride <= MAX_STRIDE and 0 <= padding < shape[-1],
        "RC-MODEL-RANGE",
        f"{name}: kernel {shape[-1]}, stride {stride}, padding {padding}",
    )


def check_weights(
    name: str, weight: np.ndarray, bias: np.ndarray, fmt: IntFormat, source: Tensor, target: Tensor
) -> None:
    """Raise RefcodecError unless weights, biases and activations are of legal formats (SPEC INT-2)."""
    require(bias.shape == weight.shape[:1], "RC-MODEL-TENSOR", f"{name}: bias {bias.shape} for weight {weight.shape}")
    require(
        2 <= fmt.bits <= 16 and fmt.signed and 2 <= source.format.bits <= 16,
        "RC-MODEL-RANGE",
        f"{name}: signed weights and activations of 2..16 bits wanted, got {fmt}, {source.format}",
    )
    fmt.check(weight, f"{name}.weight")
    target.format.check(bias, f"{name}.bias")


def check_accumulator(name: str, bound: int, target: Tensor) -> None:
    """Raise ModelError unless an accumulator's format holds its bound (SPEC ACC-1)."""
    require(
        bound <= target.format.hi and target.format.signed,
        "RC-MODEL-OVERFLOW",
        f"{name}: the accumulator may reach {bound}, {target.format} holds {target.format.hi}",
    )


def check_size(name: str, size: Size) -> Size:
    """The size itself.  Raises ShapeError RC-SHAPE where it is empty."""
    if min(size) < 1:
        raise ShapeError(f"{name}: the input is too small, the output would be {size[0]} x {size[1]}")
    return size


def accumulated(weight: np.ndarray, bias: np.ndarray, reach: Reach) -> Reach:
    """Where sums of products can lie (SPEC ACC-3).

    weight  (O, C);  bias  (O,);  reach  of the C sources.
    """
    positive, negative = np.maximum(weight, 0).astype(np.int64), np.minimum(weight, 0).astype(np.int64)
    return Reach(
        bias + positive @ reach.lo + negative @ reach.hi,
        bias + positive @ reach.hi + negative @ reach.lo,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Convolution(Unary):
    """Convolution into an accumulator (SPEC CONV-2).

    weight  (O, C, K, K) in weight_format;  bias  (O,) in the target's format;  stride, padding  as in CONV-3.
    """

    kind: ClassVar[str] = "convolution"
    constants: ClassVar[dict[str, str]] = {"weight": "int16", "bias": "int64"}
    name: str
    source: str
    target: str
    weight_format: IntFormat
    stride: int
    padding: int
    weight: np.ndarray
    bias: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless the layer is legal and its accumulator cannot overflow (SPEC CONV-3, ACC-1)."""
        (source,) = sources
        check_shape(self.name, self.weight, source, target)
        check_kernel(self.name, self.weight.shape, self.stride, self.padding)
        check_weights(self.name, self.weight, self.bias, self.weight_format, source, target)
        check_accumulator(self.name, self.bound(source.format), target)

    def bound(self, source: IntFormat) -> int:
        """Largest absolute accumulator value over all channels (SPEC ACC-1)."""
        sums = np.abs(self.weight.astype(np.int64)).sum(axis=(1, 2, 3)) * source.magnitude
        return int((sums + np.abs(self.bias)).max())

    def size(self, *sizes: Size) -> Size:
        """Output height and width (SPEC CONV-1)."""
        height, width = (fixed.convolution_size(n, self.weight.shape[2], self.stride, self.padding) for n in sizes[0])
        return check_size(self.name, (height, width))

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """Accumulators, each tap at its worst (SPEC ACC-3)."""
        (reach,) = reaches
        taps = self.weight.shape[2] * self.weight.shape[3]
        seen = reach.with_zero() if self.padding else reach
        spread = Reach(np.repeat(seen.lo, taps), np.repeat(seen.hi, taps))
        return accumulated(self.weight.reshape(len(self.weight), -1), self.bias, spread)

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Accumulators by the compiled kernel."""
        out = convolution(inputs[0], self.weight, self.bias, self.stride, self.padding)
        return out.astype(target.format.dtype, copy=False)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Accumulators by the definition."""
        return convolution_plain(inputs[0], self.weight, self.bias, self.stride, self.padding)
