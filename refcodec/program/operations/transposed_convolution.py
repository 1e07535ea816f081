"""Transposed convolution as an operation (SPEC TCONV-1 to TCONV-4, ACC-1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec import fixed
from refcodec.formats import IntFormat
from refcodec.layers.transposed_convolution import transposed_convolution, transposed_convolution_plain
from refcodec.program.operations.convolution import (
    accumulated,
    check_accumulator,
    check_kernel,
    check_shape,
    check_size,
    check_weights,
)
from refcodec.program.operations.operation import Arrays, Reaches, Size, Tensor, Tensors, Unary, freeze, require
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class TransposedConvolution(Unary):
    """Transposed convolution into an accumulator (SPEC TCONV-3).

    weight  (O, C, K, K) in weight_format, output channel first;  bias  (O,) in the target's format.
    """

    kind: ClassVar[str] = "transposed_convolution"
    constants: ClassVar[dict[str, str]] = {"weight": "int16", "bias": "int64"}
    name: str
    source: str
    target: str
    weight_format: IntFormat
    stride: int
    padding: int
    output_padding: int
    weight: np.ndarray
    bias: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless the layer is legal and its accumulator cannot overflow (SPEC TCONV-4, ACC-1)."""
        (source,) = sources
        check_shape(self.name, self.weight, source, target)
        check_kernel(self.name, self.weight.shape, self.stride, self.padding)
        check_weights(self.name, self.weight, self.bias, self.weight_format, source, target)
        check_accumulator(self.name, self.bound(source.format), target)
        require(
            0 <= self.output_padding < self.stride,
            "RC-MODEL-RANGE",
            f"{self.name}: output padding {self.output_padding} with stride {self.stride}",
        )

    def _phases(self) -> list[tuple[list[int], list[int]]]:
        """Rows and columns of the kernel that each of the stride * stride phases uses (SPEC TCONV-2)."""
        phases = [
            [k for k, _ in fixed.phase_taps(self.weight.shape[2], self.stride, self.padding, phase)]
            for phase in range(self.stride)
        ]
        return [(rows, columns) for rows in phases for columns in phases]

    def bound(self, source: IntFormat) -> int:
        """Largest absolute accumulator value over all channels and phases (SPEC ACC-1)."""
        absolute = np.abs(self.weight.astype(np.int64)).sum(axis=1)
        sums = [absolute[:, rows][:, :, columns].sum(axis=(1, 2)) for rows, columns in self._phases()]
        return int((np.max(sums, axis=0) * source.magnitude + np.abs(self.bias)).max())

    def size(self, *sizes: Size) -> Size:
        """Output height and width (SPEC TCONV-1)."""
        height, width = (
            fixed.transposed_size(n, self.weight.shape[2], self.stride, self.padding, self.output_padding)
            for n in sizes[0]
        )
        return check_size(self.name, (height, width))

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """Accumulators of the worst phase, each tap at its worst (SPEC ACC-3)."""
        seen = reaches[0].with_zero()
        corners = []
        for rows, columns in self._phases():
            weight = self.weight[:, :, rows][:, :, :, columns]
            taps = len(rows) * len(columns)
            spread = Reach(np.repeat(seen.lo, taps), np.repeat(seen.hi, taps))
            phase = accumulated(weight.reshape(len(weight), -1), self.bias, spread)
            corners += [phase.lo, phase.hi]
        return Reach.of_corners(*corners)

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Accumulators by the compiled kernel."""
        out = transposed_convolution(inputs[0], self.weight, self.bias, self.stride, self.padding, self.output_padding)
        return out.astype(target.format.dtype, copy=False)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Accumulators by the definition."""
        return transposed_convolution_plain(
            inputs[0], self.weight, self.bias, self.stride, self.padding, self.output_padding
        )
