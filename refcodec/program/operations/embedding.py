"""Embedding as an operation (SPEC EMB-1, EMB-2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.errors import ShapeError
from refcodec.layers.embedding import check_embedding, embedding, embedding_plain, place
from refcodec.program.operations.operation import Arrays, Reaches, Size, Tensor, Tensors, Unary, freeze, require
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class Embedding(Unary):
    """The tensor of a frame, from as many or fewer tensors than frames (SPEC EMB-1).

    frames  1 .. 2**20;  centred  whether frames and tensors are centres of equal parts of time, or their beginnings
    table  (T, C, H, W) in the target's format, one tensor for each frame or fewer.
    """

    kind: ClassVar[str] = "embedding"
    constants: ClassVar[dict[str, str]] = {"table": "int32"}
    name: str
    source: str
    target: str
    frames: int
    centred: bool
    table: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless a frame number comes in and the tensors lie in the target (SPEC EMB-2)."""
        (source,) = sources
        require(
            self.table.ndim == 4
            and self.table.size > 0
            and (source.channels, target.channels) == (1, self.table.shape[1]),
            "RC-MODEL-TENSOR",
            f"{self.name}: table {self.table.shape} from {source.channels} to {target.channels} channels",
        )
        require(
            not source.format.signed, "RC-MODEL-RANGE", f"{self.name}: a frame number is unsigned, not {source.format}"
        )
        check_embedding(self.table, self.frames, target.format)

    def size(self, *sizes: Size) -> Size:
        """Height and width of the tensors, from one sample.  Raises ShapeError."""
        if sizes[0] != (1, 1):
            raise ShapeError(f"{self.name}: takes one frame number, not {sizes[0][0]} x {sizes[0][1]} of them")
        return self.table.shape[2], self.table.shape[3]

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """The extremes over the first and the last frame between each two neighbouring tensors.

        Between two neighbours every value moves one way, so its extremes are there.
        """
        lo, hi = (min(end, self.frames - 1) for end in reaches[0].joint())
        numbers = np.arange(lo, hi + 1)
        pair = place(numbers, len(self.table), self.frames, self.centred) // (2 * self.frames)
        turns = np.flatnonzero(np.diff(pair))
        met = numbers[np.unique([0, *turns, *(turns + 1), len(numbers) - 1])]
        corners = []
        for x in met.reshape(-1, 1, 1, 1):
            planes = embedding(x, self.table, self.frames, self.centred, target.format).astype(np.int64)
            corners += [planes.min(axis=(1, 2)), planes.max(axis=(1, 2))]
        return Reach.of_corners(*corners)

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """The weighted sum of two entries, and that with its rounding constant."""
        total = 2 * self.frames * int(np.abs(self.table.astype(np.int64)).max())
        return {"sum": total, "rounded": total + self.frames}

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """The tensor by the compiled kernel."""
        return embedding(inputs[0], self.table, self.frames, self.centred, target.format)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """The tensor by the definition."""
        return embedding_plain(inputs[0], self.table, self.frames, self.centred, target.format)
