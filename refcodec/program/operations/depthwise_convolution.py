"""Depthwise convolution as an operation (SPEC DW-1, DW-2, ACC-1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec import fixed
from refcodec.formats import IntFormat
from refcodec.layers.depthwise_convolution import depthwise_convolution, depthwise_convolution_plain
from refcodec.program.operations.convolution import check_accumulator, check_kernel, check_size, check_weights
from refcodec.program.operations.operation import Arrays, Reaches, Size, Tensor, Tensors, Unary, freeze, require
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class DepthwiseConvolution(Unary):
    """Convolution of each channel with a kernel of its own, into an accumulator (SPEC DW-1).

    weight  (C, K, K) in weight_format;  bias  (C,) in the target's format;  stride, padding  as in CONV-3.
    """

    kind: ClassVar[str] = "depthwise_convolution"
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
        """Raise RefcodecError unless the layer is legal and its accumulator cannot overflow (SPEC DW-2, ACC-1)."""
        (source,) = sources
        shape = self.weight.shape
        require(
            len(shape) == 3 and shape[0] == source.channels == target.channels and shape[1] == shape[2],
            "RC-MODEL-TENSOR",
            f"{self.name}: weight {shape} does not lead from {source.channels} to {target.channels} channels",
        )
        check_kernel(self.name, shape, self.stride, self.padding)
        check_weights(self.name, self.weight, self.bias, self.weight_format, source, target)
        check_accumulator(self.name, self.bound(source.format), target)

    def bound(self, source: IntFormat) -> int:
        """Largest absolute accumulator value over all channels (SPEC ACC-1)."""
        sums = np.abs(self.weight.astype(np.int64)).sum(axis=(1, 2)) * source.magnitude
        return int((sums + np.abs(self.bias)).max())

    def size(self, *sizes: Size) -> Size:
        """Output height and width (SPEC CONV-1)."""
        height, width = (fixed.convolution_size(n, self.weight.shape[1], self.stride, self.padding) for n in sizes[0])
        return check_size(self.name, (height, width))

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """Accumulators, each tap at its worst (SPEC ACC-3)."""
        seen = reaches[0].with_zero() if self.padding else reaches[0]
        weight = self.weight.astype(np.int64)
        positive, negative = (np.sum(side, axis=(1, 2)) for side in (np.maximum(weight, 0), np.minimum(weight, 0)))
        return Reach(
            self.bias + positive * seen.lo + negative * seen.hi, self.bias + positive * seen.hi + negative * seen.lo
        )

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Accumulators by the compiled kernel."""
        out = depthwise_convolution(inputs[0], self.weight, self.bias, self.stride, self.padding)
        return out.astype(target.format.dtype, copy=False)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Accumulators by the definition."""
        out = depthwise_convolution_plain(inputs[0], self.weight, self.bias, self.stride, self.padding)
        return out.astype(target.format.dtype, copy=False)
