"""Masked convolution as an operation (SPEC MASK-1 to MASK-3, ACC-1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec import fixed
from refcodec.formats import IntFormat
from refcodec.layers.masked_convolution import check_dead_taps, masked_convolution, masked_convolution_plain
from refcodec.program.operations.convolution import (
    accumulated,
    check_accumulator,
    check_kernel,
    check_shape,
    check_size,
    check_weights,
)
from refcodec.program.operations.operation import Arrays, Reaches, Size, Tensor, Tensors, Unary, freeze
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class MaskedConvolution(Unary):
    """Convolution of a context model, which reads only a part of its window, into an accumulator (SPEC MASK-3).

    weight  (O, C, K, K) in weight_format, K odd, zero at dead taps;  bias  (O,) in the target's format
    mask  "causal" or "checkerboard";  padding  as in CONV-3.
    """

    kind: ClassVar[str] = "masked_convolution"
    constants: ClassVar[dict[str, str]] = {"weight": "int16", "bias": "int64"}
    name: str
    source: str
    target: str
    weight_format: IntFormat
    mask: str
    padding: int
    weight: np.ndarray
    bias: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless the layer is legal and its accumulator cannot overflow (SPEC MASK-3, ACC-1)."""
        (source,) = sources
        check_shape(self.name, self.weight, source, target)
        check_kernel(self.name, self.weight.shape, 1, self.padding)
        check_dead_taps(self.weight, self.mask)
        check_weights(self.name, self.weight, self.bias, self.weight_format, source, target)
        check_accumulator(self.name, self.bound(source.format), target)

    def bound(self, source: IntFormat) -> int:
        """Largest absolute accumulator value over all channels (SPEC ACC-1)."""
        sums = np.abs(self.weight.astype(np.int64)).sum(axis=(1, 2, 3)) * source.magnitude
        return int((sums + np.abs(self.bias)).max())

    def size(self, *sizes: Size) -> Size:
        """Output height and width (SPEC CONV-1)."""
        height, width = (fixed.convolution_size(n, self.weight.shape[2], 1, self.padding) for n in sizes[0])
        return check_size(self.name, (height, width))

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """Accumulators, each tap at its worst (SPEC ACC-3)."""
        seen = reaches[0].with_zero() if self.padding else reaches[0]
        taps = self.weight.shape[2] * self.weight.shape[3]
        spread = Reach(np.repeat(seen.lo, taps), np.repeat(seen.hi, taps))
        return accumulated(self.weight.reshape(len(self.weight), -1), self.bias, spread)

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Accumulators by the compiled kernel."""
        out = masked_convolution(inputs[0], self.weight, self.bias, self.mask, self.padding)
        return out.astype(target.format.dtype, copy=False)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Accumulators by the definition."""
        out = masked_convolution_plain(inputs[0], self.weight, self.bias, self.mask, self.padding)
        return out.astype(target.format.dtype, copy=False)
