"""Tables as operations (SPEC TAB-1 to TAB-3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refcodec.layers.table import (
    check_nodes,
    check_table,
    interpolated_lookup,
    interpolated_lookup_plain,
    table_lookup,
    table_lookup_plain,
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
from refcodec.program.reach import Reach


def _places(reach: Reach, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Lowest and highest place of every channel in a list of the results of `size` values, from the smallest on.

    A reach does not say whether its format is signed. A negative value tells that it is, a value of size / 2 or more
    that it is not; where there is neither, both are possible, and both come.
    """
    lo, hi = reach.joint()
    if hi < size >> 1:
        yield reach.lo + (size >> 1), reach.hi + (size >> 1)
    if lo >= 0:
        yield reach.lo, reach.hi


def _extremes(results: np.ndarray, reach: Reach) -> Reach:
    """The smallest and the largest of the results that each channel can meet."""
    corners = []
    for lo, hi in _places(reach, len(results)):
        met = [results[first : last + 1] for first, last in zip(lo.tolist(), hi.tolist(), strict=True)]
        corners += [np.array([extreme(row) for row in met], np.int64) for extreme in (np.min, np.max)]
    return Reach.of_corners(*corners)


@dataclass(frozen=True, slots=True, eq=False)
class Table(Pointwise):
    """A function of every value by a table of all its results (SPEC TAB-1).

    table  (2**bits,) in the target's format, from the smallest value of the source on.
    """

    kind: ClassVar[str] = "table"
    constants: ClassVar[dict[str, str]] = {"table": "int32"}
    name: str
    source: str
    target: str
    table: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless the table has an entry of the target for every value (SPEC TAB-3)."""
        (source,) = sources
        require_channels(self.name, source, target)
        require(
            self.table.shape == (1 << source.format.bits,),
            "RC-MODEL-TENSOR",
            f"{self.name}: {self.table.shape} entries for {source.format}",
        )
        check_table(self.table, source.format, target.format)

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """The extremes among the entries that each channel can meet."""
        return _extremes(self.table, reaches[0])

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Entries by the compiled kernel."""
        return table_lookup(inputs[0], self.table, sources[0].format, target.format)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Entries by the definition."""
        return table_lookup_plain(inputs[0], self.table, sources[0].format, target.format)


@dataclass(frozen=True, slots=True, eq=False)
class InterpolatedTable(Pointwise):
    """A function of every value by straight lines between nodes (SPEC TAB-2).

    spacing  nodes stand 2**spacing apart, 1 .. bits - 1
    nodes  (2**(bits - spacing) + 1,) in the target's format, from the smallest value of the source on.
    """

    kind: ClassVar[str] = "interpolated_table"
    constants: ClassVar[dict[str, str]] = {"nodes": "int32"}
    name: str
    source: str
    target: str
    spacing: int
    nodes: np.ndarray

    def __post_init__(self) -> None:
        freeze(self)

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless the nodes span the source and lie in the target (SPEC TAB-3)."""
        (source,) = sources
        require_channels(self.name, source, target)
        bits = source.format.bits
        require(1 <= self.spacing < bits, "RC-MODEL-RANGE", f"{self.name}: spacing {self.spacing} for {source.format}")
        require(
            self.nodes.shape == ((1 << bits - self.spacing) + 1,),
            "RC-MODEL-TENSOR",
            f"{self.name}: {self.nodes.shape} nodes with spacing {self.spacing} for {source.format}",
        )
        check_nodes(self.nodes, self.spacing, source.format, target.format)

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """The extremes among the points that each channel can meet, at most 2**16 in all."""
        nodes = self.nodes.astype(np.int64)
        rise = np.diff(nodes)[:, None] * np.arange(1 << self.spacing)
        points = nodes[:-1, None] + (rise + (1 << self.spacing - 1) >> self.spacing)
        return _extremes(points.ravel(), reaches[0])

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """The rise from node to node, its product with the part of the way, and that with the rounding constant."""
        rise = 0
        for lo, hi in _places(reaches[0], len(self.nodes) - 1 << self.spacing):
            met = self.nodes[lo.min() >> self.spacing : (hi.max() >> self.spacing) + 2].astype(np.int64)
            rise = max(rise, int(np.abs(np.diff(met)).max()))
        product = rise * ((1 << self.spacing) - 1)
        return {"rise": rise, "product": product, "rounded": product + (1 << self.spacing - 1)}

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Points by the compiled kernel."""
        return interpolated_lookup(inputs[0], self.nodes, self.spacing, sources[0].format, target.format)

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Points by the definition."""
        return interpolated_lookup_plain(inputs[0], self.nodes, self.spacing, sources[0].format, target.format)
