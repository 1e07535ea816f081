"""Concatenation as an operation (SPEC CAT-1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.errors import ShapeError
from refcodec.layers.concatenate import concatenate, concatenate_plain
from refcodec.program.operations.operation import Arrays, Reaches, Several, Size, Tensor, Tensors, require
from refcodec.program.reach import Reach


def check_formats(name: str, sources: Tensors, target: Tensor) -> None:
    """Raise ModelError unless an operation that only moves values keeps their format."""
    for source in sources:
        require(
            source.format == target.format,
            "RC-MODEL-RANGE",
            f"{name}: {source.name} is {source.format}, {target.name} is {target.format}",
        )


def common_size(name: str, sizes: tuple[Size, ...]) -> Size:
    """The height and width that all sources share.  Raises ShapeError RC-SHAPE where they differ."""
    if any(size != sizes[0] for size in sizes):
        raise ShapeError(f"{name}: the sources differ in height or width: {', '.join(f'{h} x {w}' for h, w in sizes)}")
    return sizes[0]


@dataclass(frozen=True, slots=True, eq=False)
class Concatenate(Several):
    """The channels of two or more tensors, one after another (SPEC CAT-1)."""

    kind: ClassVar[str] = "concatenate"
    constants: ClassVar[dict[str, str]] = {}
    name: str
    sources: tuple[str, ...]
    target: str

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless all formats are the same and the channels add up (SPEC CAT-1)."""
        require(len(sources) >= 2, "RC-MODEL-TENSOR", f"{self.name}: two or more sources wanted, got {len(sources)}")
        channels = [source.channels for source in sources]
        require(
            sum(channels) == target.channels,
            "RC-MODEL-TENSOR",
            f"{self.name}: {' + '.join(map(str, channels))} channels are not {target.channels}",
        )
        check_formats(self.name, sources, target)

    def size(self, *sizes: Size) -> Size:
        """The size of every source.  Raises ShapeError where they differ."""
        return common_size(self.name, sizes)

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """The reaches of all sources, one after another."""
        return Reach(np.concatenate([reach.lo for reach in reaches]), np.concatenate([reach.hi for reach in reaches]))

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """Nothing is computed on the way."""
        return {}

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """All channels, by NumPy."""
        return concatenate(inputs)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """All channels, by the definition."""
        return concatenate_plain(inputs)
