"""Scale index as an operation (SPEC SCALE-1, SCALE-2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.layers.scale_index import INDEX_FORMAT, check_thresholds, scale_index, scale_index_plain
from refcodec.program.operations.operation import Arrays, Pointwise, Reaches, Tensor, Tensors, freeze, require
from refcodec.program.reach import Reach


def counted(thresholds: np.ndarray, reach: Reach) -> Reach:
    """How many thresholds lie below both ends; the count rises with the accumulator."""
    lo, hi = ((thresholds < end[:, None]).sum(axis=1) for end in (reach.lo, reach.hi))
    return Reach(lo, hi)


@dataclass(frozen=True, slots=True, eq=False)
class ScaleIndex(Pointwise):
    """Row of the scale table from the accumulator of the last scale layer (SPEC SCALE-1).

    thresholds  (C, 63), never decreasing within a channel.
    """

    kind: ClassVar[str] = "scale_index"
    constants: ClassVar[dict[str, str]] = {"thresholds": "int64"}
    name: str
    source: str
    target: str
    thresholds: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless the thresholds are ordered (SPEC SCALE-2)."""
        (source,) = sources
        check_thresholds(self.thresholds)
        require(
            self.thresholds.shape[0] == source.channels == target.channels,
            "RC-MODEL-TENSOR",
            f"{self.name}: thresholds {self.thresholds.shape} for {source.channels} channels",
        )
        require(target.format == INDEX_FORMAT, "RC-MODEL-RANGE", f"{self.name}: the target must be {INDEX_FORMAT}")

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """The indexes of both ends."""
        return counted(self.thresholds, reaches[0])

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Indexes by the compiled kernel."""
        return scale_index(inputs[0], self.thresholds)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Indexes by the definition."""
        return scale_index_plain(inputs[0], self.thresholds)
