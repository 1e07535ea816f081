"""Exact head as an operation (SPEC HEAD-1, HEAD-2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.layers.threshold_head import (
    SAMPLE_FORMAT,
    THRESHOLDS,
    check_thresholds,
    threshold_head,
    threshold_head_plain,
)
from refcodec.program.operations.operation import (
    Arrays,
    Pointwise,
    Reaches,
    Tensor,
    Tensors,
    freeze,
    require,
    require_channels,
)
from refcodec.program.operations.scale_index import counted
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class ThresholdHead(Pointwise):
    """An 8-bit sample from the accumulator of the last layer (SPEC HEAD-1).

    thresholds  (C, 255), never decreasing within a channel.
    """

    kind: ClassVar[str] = "threshold_head"
    constants: ClassVar[dict[str, str]] = {"thresholds": "int64"}
    name: str
    source: str
    target: str
    thresholds: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless the thresholds are ordered and the target is a sample (SPEC HEAD-2)."""
        (source,) = sources
        require_channels(self.name, source, target)
        require(
            self.thresholds.shape == (source.channels, THRESHOLDS),
            "RC-MODEL-TENSOR",
            f"{self.name}: thresholds {self.thresholds.shape} for {source.channels} channels",
        )
        check_thresholds(self.thresholds)
        require(target.format == SAMPLE_FORMAT, "RC-MODEL-RANGE", f"{self.name}: the target must be {SAMPLE_FORMAT}")

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """The samples of both ends."""
        return counted(self.thresholds, reaches[0])

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Samples by the compiled kernel."""
        return threshold_head(inputs[0], self.thresholds)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Samples by the definition."""
        return threshold_head_plain(inputs[0], self.thresholds)
