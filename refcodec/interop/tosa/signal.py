"""How the tensors of a program are kept in a TOSA graph.

| format | kept as |
|---|---|
| u8 | INT8, less 128: the zero point is -128 |
| s1 .. s8, u1 .. u7 | INT8 |
| s9 .. s16, u8 .. u15 | INT16 |
| u16, s17 .. s32, u17 .. u31, and every accumulator of up to 32 bits | INT32 |
| wider | two INT32: high * 2**16 + low |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refcodec.formats import IntFormat
from refcodec.interop.tosa.graph import Graph, Value, limits, require
from refcodec.program.operations import Tensor

WORD = 16  # bits of the low part of a tensor that is kept in two


@dataclass(frozen=True, slots=True, eq=False)
class Signal:
    """A tensor (1, H, W, C): what is stored less the zero point, or high * 2**16 + low where there is a low part.

    low  INT32, 0 .. 65535, beside an INT32 value;  zero_point  -128 or 0, only of INT8.
    """

    value: Value
    zero_point: int = 0
    low: Value | None = None

    @property
    def lo(self) -> np.ndarray:
        """(C,) the smallest value of each channel."""
        return self.value.lo - self.zero_point if self.low is None else (self.value.lo << WORD) + self.low.lo

    @property
    def hi(self) -> np.ndarray:
        """(C,) the largest value of each channel."""
        return self.value.hi - self.zero_point if self.low is None else (self.value.hi << WORD) + self.low.hi


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """What a recipe works with: the graph, what its operation reads, as kept and as declared, and the target."""

    graph: Graph
    signals: tuple[Signal, ...]
    sources: tuple[Tensor, ...]
    target: Tensor


def fits(lo: int, hi: int, dtype: str) -> bool:
    """Whether a TOSA type holds lo .. hi."""
    low, high = limits(dtype)
    return low <= lo and hi <= high


def storage(fmt: IntFormat) -> tuple[str, int]:
    """Type and zero point in which a tensor of this format is kept; of a wider one that holds no more, INT32."""
    if (fmt.lo, fmt.hi) == (0, 255):
        return "INT8", -128
    return next((dtype for dtype in ("INT8", "INT16") if fits(fmt.lo, fmt.hi, dtype)), "INT32"), 0


def wide_value(graph: Graph, signal: Signal) -> Value:
    """The integers of a tensor as INT32.  Raises ExportError where they do not fit."""
    value = signal.value
    if signal.low is not None:
        require(
            fits(int(signal.lo.min()), int(signal.hi.max()), "INT32"),
            f"{graph.scope}: reads a tensor of more than 32 bits",
        )
        scaled = graph.multiply(value, graph.scalar(1 << WORD, 4))
        return graph.tighten(graph.add(scaled, signal.low), signal.lo, signal.hi)
    if signal.zero_point:
        return graph.rescale(value, np.array([1 << 30]), np.array([30]), "INT32", (signal.zero_point, 0))
    return graph.cast(value, "INT32")


def rearranged(signal: Signal, move: Callable[[Value, int], Value]) -> Signal:
    """A tensor after an operation that only moves values, given what is stored and how zero is stored."""
    low = None if signal.low is None else move(signal.low, 0)
    return Signal(move(signal.value, signal.zero_point), signal.zero_point, low)


def kept(graph: Graph, value: Value, fmt: IntFormat) -> Signal:
    """INT32 integers, all of which lie in `fmt`, in the storage of that format."""
    dtype, zero_point = storage(fmt)
    require(
        fmt.lo <= int(value.lo.min()) and int(value.hi.max()) <= fmt.hi,
        f"{graph.scope}: values {value.lo.min()} .. {value.hi.max()} may leave {fmt}",
    )
    if zero_point:
        value = graph.add(value, graph.scalar(zero_point, len(value.shape)))
    return Signal(graph.cast(value, dtype), zero_point)


def saturated(graph: Graph, value: Value, fmt: IntFormat) -> Signal:
    """INT32 integers, limited to `fmt`, in the storage of that format."""
    return kept(graph, graph.clamp(value, fmt.lo, fmt.hi), fmt)
