"""Positional encoding as an operation (SPEC PE-1 to PE-3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.errors import ShapeError
from refcodec.layers.positional_encoding import (
    INDEX_FORMAT,
    NODE_BITS,
    NODES,
    PART_BITS,
    TURN_BITS,
    check_fraction,
    check_increments,
    check_nodes,
    positional_encoding,
    positional_encoding_plain,
)
from refcodec.program.operations.operation import Arrays, Reaches, Size, Tensor, Tensors, Unary, freeze, require
from refcodec.program.reach import Reach

COUNTED = 4096  # frame numbers, up to which a reach is found by encoding them all


@dataclass(frozen=True, slots=True, eq=False)
class PositionalEncoding(Unary):
    """Sines and cosines of a frame number at many frequencies (SPEC PE-2).

    interleaved  sine and cosine of each increment in turn, otherwise all sines first;  fraction  0 .. 14
    increments  (L,) phase of one frame in units of 2**-40 turns
    nodes  (1025,) a quarter of a sine wave in units of 2**-24.
    """

    kind: ClassVar[str] = "positional_encoding"
    constants: ClassVar[dict[str, str]] = {"increments": "int64", "nodes": "int32"}
    name: str
    source: str
    target: str
    interleaved: bool
    fraction: int
    increments: np.ndarray
    nodes: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless a frame number comes in and the target holds every sine (SPEC PE-3)."""
        (source,) = sources
        require(
            self.increments.ndim == 1 and self.nodes.shape == (NODES,),
            "RC-MODEL-TENSOR",
            f"{self.name}: increments {self.increments.shape} and nodes {self.nodes.shape}",
        )
        require(
            source.channels == 1 and target.channels == 2 * len(self.increments),
            "RC-MODEL-TENSOR",
            f"{self.name}: {len(self.increments)} increments from {source.channels} to {target.channels} channels",
        )
        require(
            not source.format.signed and source.format.bits <= INDEX_FORMAT.bits,
            "RC-MODEL-RANGE",
            f"{self.name}: a frame number is unsigned with at most {INDEX_FORMAT.bits} bits, not {source.format}",
        )
        check_fraction(self.fraction)
        check_increments(self.increments)
        check_nodes(self.nodes)
        target.format.check(np.array([-1, 1]) << self.fraction, f"{self.name}: sines")

    def size(self, *sizes: Size) -> Size:
        """One sample, from one sample.  Raises ShapeError."""
        if sizes[0] != (1, 1):
            raise ShapeError(f"{self.name}: takes one frame number, not {sizes[0][0]} x {sizes[0][1]} of them")
        return 1, 1

    def _encode(self, frame: int) -> np.ndarray:
        """The encoding of one frame, (2L,) int64."""
        x = np.full((1, 1, 1), frame, INDEX_FORMAT.dtype)
        encoded = positional_encoding(x, self.increments, self.interleaved, self.nodes, self.fraction)
        return encoded.ravel().astype(np.int64)

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """The extremes over all frame numbers if there are few, otherwise the whole circle."""
        lo, hi = reaches[0].joint()
        if hi - lo >= COUNTED:
            unit = np.full(2 * len(self.increments), 1 << self.fraction, np.int64)
            return Reach(-unit, unit)
        return Reach.of_corners(*(self._encode(frame) for frame in range(lo, hi + 1)))

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """Frame number times increment, that with a quarter turn, the point of the wave, and that with its rounding."""
        product = reaches[0].joint()[1] * int(self.increments.max())
        point = 1 << NODE_BITS + PART_BITS
        return {
            "product": product,
            "phase": product + (1 << TURN_BITS - 2),
            "point": point,
            "rounded": point + (point >> self.fraction + 1),
        }

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Sines and cosines by the compiled kernel."""
        encoded = positional_encoding(inputs[0], self.increments, self.interleaved, self.nodes, self.fraction)
        return encoded.astype(target.format.dtype, copy=False)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Sines and cosines by the definition."""
        encoded = positional_encoding_plain(inputs[0], self.increments, self.interleaved, self.nodes, self.fraction)
        return encoded.astype(target.format.dtype, copy=False)
