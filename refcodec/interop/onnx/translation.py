"""How the tensors of a program are held in a graph, and the conversions between those forms.

Activations of up to 8 bits are held as uint8 with a zero point, for runtimes multiply uint8 by uint8 exactly on every
processor; everything wider is held as int32 or int64 without one. Tensors are (1, C, H, W).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from refcodec.formats import IntFormat
from refcodec.interop.onnx.graph import INT32, INT64, UINT8, Graph, Operand, Wire
from refcodec.program.operations import Size, Tensor
from refcodec.program.program import Program
from refcodec.program.reach import Reach

ROWS, COLUMNS = 2, 3  # axes of rows and columns
SIGNED_ZERO = 128  # uint8 that stands for zero in a signed tensor


@dataclass(frozen=True, slots=True)
class Held:
    """A tensor of a program in a graph: a value v is stored as v + zero.

    phases  of a transposed convolution along each axis that still lie in channels, (c, phase row, phase column)
    surplus  rows and columns that the last phases have too many.
    """

    wire: Wire
    zero: int = 0
    phases: int = 1
    surplus: Size = (0, 0)


@dataclass(frozen=True, slots=True)
class Plane:
    """One part of a tensor or a constant, uint8: the whole is the sum over the parts of (u - zero) * weight.

    magnitude  (C,) largest |u - zero| of every channel.
    """

    wire: Wire
    zero: int
    weight: int
    magnitude: np.ndarray


def storage(fmt: IntFormat) -> tuple[np.dtype, int]:
    """Element type and zero point in which activations of a format are held."""
    if fmt.bits <= 8:
        return UINT8, SIGNED_ZERO if fmt.signed else 0
    return (INT32 if fmt.magnitude <= np.iinfo(np.int32).max + fmt.signed else INT64), 0


def port_dtype(fmt: IntFormat) -> np.dtype:
    """The element type in which a graph takes or gives a format: the narrowest of 8, 16, 32 and 64 bits."""
    kinds = "bhiq" if fmt.signed else "BHiq"
    return next(d for d in map(np.dtype, kinds) if np.iinfo(d).min <= fmt.lo and fmt.hi <= np.iinfo(d).max)


def scattered(values: np.ndarray, held: Held) -> np.ndarray:
    """Constants of the channels (C, ...) for a tensor whose phases still lie in channels (C * phases**2, ...)."""
    return np.repeat(values, held.phases**2, axis=0)


def per_channel(graph: Graph, values: np.ndarray, dtype: np.dtype) -> Operand:
    """Constants of the channels, (C, 1, 1), or a single one where they are all equal."""
    if values.size and (values == values.flat[0]).all():
        return int(values.flat[0])
    return graph.constant(values.reshape(-1, 1, 1), dtype)


@dataclass(frozen=True, slots=True)
class Translation:
    """A program on its way into a graph.

    reaches  what values each tensor can take;  held  the tensors that the graph has so far;  sizes  heights and widths
    where they are fixed, else empty.
    """

    program: Program
    graph: Graph
    reaches: Mapping[str, Reach]
    sizes: Mapping[str, Size]
    held: dict[str, Held] = field(default_factory=dict)

    def tensor(self, name: str) -> Tensor:
        """The tensor of that name."""
        return self.program.tensor(name)

    def format(self, name: str) -> IntFormat:
        """Format of the tensor of that name."""
        return self.program.tensor(name).format

    def settled(self, name: str) -> Held:
        """A tensor with its phases in place."""
        self.held[name] = settle(self.graph, self.held[name])
        return self.held[name]

    def wide(self, name: str, dtype: np.dtype = INT64) -> Wire:
        """The values of a tensor themselves, phases in place, int32 or int64."""
        return widen(self.graph, self.settled(name), dtype)

    def narrow(self, values: Wire, fmt: IntFormat) -> Held:
        """Hold int32 or int64 values that are known to lie in a format."""
        dtype, zero = storage(fmt)
        return Held(self.graph.cast(self.graph.add(values, zero), dtype), zero)

    def finish(self, values: Wire, fmt: IntFormat) -> Wire:
        """Limit int32 or int64 values, to which the zero point is added already, and hold them: a cast would wrap."""
        dtype, zero = storage(fmt)
        return self.graph.cast(self.graph.clip(values, fmt.lo + zero, fmt.hi + zero), dtype)

    def saturate(self, values: Wire, fmt: IntFormat) -> Held:
        """Limit int32 or int64 values to a format and hold them."""
        _, zero = storage(fmt)
        return Held(self.finish(self.graph.add(values, zero), fmt), zero)

    def converted(self, held: Held, fmt: IntFormat) -> Held:
        """Hold the same values, known to lie in a format, in the form of that format."""
        dtype, zero = storage(fmt)
        if (held.wire.dtype, held.zero) == (dtype, zero):
            return held
        wire = self.graph.cast(self.graph.add(widen(self.graph, held), zero), dtype)
        return replace(held, wire=wire, zero=zero)

    def planes(self, name: str) -> list[Plane]:
        """A tensor of up to 16 bits as planes of uint8: one, or the upper and the lower byte."""
        held, reach, graph = self.settled(name), self.reaches[name], self.graph
        if held.wire.dtype == UINT8:
            return [Plane(held.wire, held.zero, 1, reach.magnitude)]
        signed = self.format(name).signed
        offset = graph.add(held.wire, 1 << 15 if signed else 0)  # never negative, so that Div is a floor
        upper, lower = byte(graph, offset, 1, True), byte(graph, offset, 0, False)
        largest = np.maximum(np.abs(reach.lo >> 8), np.abs(reach.hi >> 8))
        return [
            Plane(upper, SIGNED_ZERO if signed else 0, 256, largest),
            Plane(lower, 0, 1, np.full(len(reach.lo), 255, np.int64)),
        ]


def byte(graph: Graph, values: Wire, position: int, last: bool) -> Wire:
    """One byte of values that are not negative, uint8; `last` where no byte above it is in use."""
    shifted = graph.div(values, 1 << 8 * position) if position else values
    return graph.cast(shifted if last else graph.mod(shifted, 256), UINT8)


def byte_planes(graph: Graph, values: Wire, largest: np.ndarray) -> list[Plane]:
    """Values that are not negative as planes of uint8, one for each byte in use.

    values  int32 or int64, at most `largest` (C,) in each channel.
    """
    count = max(-(-int(largest.max()).bit_length() // 8), 1)
    planes = []
    for k in range(count):
        magnitude = np.where(largest >> 8 * (k + 1) > 0, 255, largest >> 8 * k)
        planes.append(Plane(byte(graph, values, k, k == count - 1), 0, 1 << 8 * k, magnitude))
    return planes


def widen(graph: Graph, held: Held, dtype: np.dtype = INT64) -> Wire:
    """The values that a held tensor stands for, int32 or int64, phases left where they are."""
    return graph.sub(graph.cast(held.wire, dtype), held.zero)


def settle(graph: Graph, held: Held) -> Held:
    """Move the phases of a transposed convolution from channels into rows and columns."""
    if held.phases == 1 and held.surplus == (0, 0):
        return held
    wire = shuffled(graph, held.wire, held.phases, held.phases) if held.phases > 1 else held.wire
    for axis, surplus in zip((ROWS, COLUMNS), held.surplus, strict=True):
        if surplus:
            wire = graph.slice(wire, axis, 0, -surplus)
    return Held(wire, held.zero)


def shuffled(graph: Graph, wire: Wire, rows: int, columns: int) -> Wire:
    """(1, C * rows * columns, H, W) -> (1, C, H * rows, W * columns), for any H and W."""
    size = graph.lengths(wire, [ROWS, COLUMNS])
    apart = graph.concat([graph.constant([-1, rows, columns], INT64), size], 0)
    spread = graph.transpose(graph.reshape(wire, apart), [0, 3, 1, 4, 2])
    larger = graph.mul(size, np.array([rows, columns]))
    return graph.reshape(spread, graph.concat([graph.constant([1, -1], INT64), larger], 0))


def interleaved(graph: Graph, phases: list[Wire], axis: int) -> Wire:
    """Tensors of one shape, sample by sample in turn along rows or columns."""
    if len(phases) == 1:
        return phases[0]
    stacked = graph.concat([graph.unsqueeze(phase, axis + 1) for phase in phases], axis + 1)
    if axis == COLUMNS:
        return graph.reshape(stacked, [0, 0, 0, -1])
    shape = [graph.lengths(stacked, [0, 1]), graph.constant([-1], INT64), graph.lengths(stacked, [4])]
    return graph.reshape(stacked, graph.concat(shape, 0))
