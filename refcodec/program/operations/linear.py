"""Linear layer as an operation (SPEC LIN-1, LIN-2, ACC-1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.formats import IntFormat
from refcodec.layers.linear import linear, linear_plain
from refcodec.program.operations.convolution import accumulated, check_accumulator, check_weights
from refcodec.program.operations.operation import Arrays, Pointwise, Reaches, Tensor, Tensors, freeze, require
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class Linear(Pointwise):
    """A matrix that meets the channels of every sample, into an accumulator (SPEC LIN-1).

    weight  (O, C) in weight_format;  bias  (O,) in the target's format.
    """

    kind: ClassVar[str] = "linear"
    constants: ClassVar[dict[str, str]] = {"weight": "int16", "bias": "int64"}
    name: str
    source: str
    target: str
    weight_format: IntFormat
    weight: np.ndarray
    bias: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless the layer is legal and its accumulator cannot overflow (SPEC LIN-2, ACC-1)."""
        (source,) = sources
        require(
            self.weight.shape == (target.channels, source.channels),
            "RC-MODEL-TENSOR",
            f"{self.name}: weight {self.weight.shape} does not lead from {source.channels} "
            f"to {target.channels} channels",
        )
        check_weights(self.name, self.weight, self.bias, self.weight_format, source, target)
        check_accumulator(self.name, self.bound(source.format), target)

    def bound(self, source: IntFormat) -> int:
        """Largest absolute accumulator value over all channels (SPEC ACC-1)."""
        sums = np.abs(self.weight.astype(np.int32)).sum(axis=1, dtype=np.int64) * source.magnitude
        return int((sums + np.abs(self.bias)).max())

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """Accumulators, each input at its worst (SPEC ACC-3)."""
        return accumulated(self.weight, self.bias, reaches[0])

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Accumulators by the compiled kernel."""
        return linear(inputs[0], self.weight, self.bias).astype(target.format.dtype, copy=False)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Accumulators by the definition."""
        return linear_plain(inputs[0], self.weight, self.bias).astype(target.format.dtype, copy=False)
