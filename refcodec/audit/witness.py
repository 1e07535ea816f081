"""Inputs that attain the bounds of the audit (SPEC AUD-2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refcodec.audit.sums import (
    ACCUMULATOR,
    HI,
    LO,
    NORM,
    PRODUCT,
    SUM,
    WeightedSum,
    axis_windows,
    shaped_weight,
    window_sums,
)
from refcodec.audit.windows import Window
from refcodec.errors import RangeError
from refcodec.program.operations import Add, AnyOperation, DepthwiseConvolution, Gdn, InverseGdn
from refcodec.program.program import Program
from refcodec.program.reach import Reach


@dataclass(frozen=True, slots=True, eq=False)
class Witness:
    """Samples for which a quantity takes one of its ends (SPEC AUD-2).

    inputs  (C, H, W) int64 for each tensor that the operation reads, in the order in which it reads them
    channel, row, column  of the output at which the quantity has this value;  phase  row * stride + column of the
    output modulo the stride of a transposed convolution, 0 for every other operation;  end  `lo` or `hi`.
    """

    operation: str
    quantity: str
    inputs: tuple[np.ndarray, ...]
    channel: int
    phase: int
    end: str
    row: int
    column: int
    value: int


def accumulator_witness(program: Program, operation: str, channel: int, phase: int, end: str) -> Witness:
    """An input of a weighted sum for which its accumulator takes an end of its proven interval (SPEC AUD-2).

    operation  the name of a convolution of any kind or of a linear layer;  channel  of its output
    phase  0, of a transposed convolution 0 .. stride**2 - 1;  end  `lo` or `hi`.
    The input lies in the source's reach.  Raises ModelError RC-MODEL-TENSOR, RangeError.
    """
    op = program.operation(operation)
    found = program.reaches()
    return witness(op, [found[name] for name in op.reads], ACCUMULATOR, channel, phase, end)


def witness(
    op: AnyOperation, reaches: Sequence[Reach], quantity: str, channel: int, phase: int = 0, end: str = HI
) -> Witness:
    """An input for which a quantity of an operation takes an end of its proven interval (SPEC AUD-2).

    reaches  of the sources;  quantity  `accumulator`, `norm`, `product` or `sum`.  Raises RangeError.
    """
    if end not in (LO, HI):
        raise RangeError(f"the end of an interval is lo or hi, not {end!r}")
    if quantity == ACCUMULATOR and isinstance(op, WeightedSum):
        phases = len(axis_windows(op)) ** 2
        _require(op, 0 <= channel < len(op.bias) and 0 <= phase < phases, channel, phase)
        return _weighted(op, reaches[0], channel, phase, end)
    channels = len(reaches[0].lo)
    _require(op, 0 <= channel < channels and phase == 0, channel, phase)
    if quantity == NORM and isinstance(op, Gdn | InverseGdn):
        return _norm(op, reaches[0], channel, end)
    if quantity == PRODUCT and isinstance(op, InverseGdn):
        return _product(op, reaches[0], channel, end)
    if quantity == SUM and isinstance(op, Add):
        return _sum(op, reaches, channel, end)
    raise RangeError(f"{op.name}: a {op.kind} has no {quantity}")


def _require(op: AnyOperation, holds: bool, channel: int, phase: int) -> None:
    if not holds:
        raise RangeError(f"{op.name} has no channel {channel} with phase {phase}")


def _between(reach: Reach) -> np.ndarray:
    """(C,) the value next to zero: for samples that do not matter."""
    return np.clip(0, reach.lo, reach.hi)


def _window_pair(
    taps: np.ndarray, rows: Sequence[Window], columns: Sequence[Window], end: str
) -> tuple[Window, Window]:
    """The windows over which the sum of taps (K, K) is extreme; the largest windows among equal ones."""
    rows, columns = (sorted(axis, key=lambda window: -len(window.taps)) for axis in (rows, columns))
    sums = window_sums(taps[None], rows, columns)[0]
    place = int(sums.argmax() if end == HI else sums.argmin())
    row, column = divmod(place, len(columns))
    return rows[row], columns[column]


def _weighted(op: WeightedSum, reach: Reach, channel: int, phase: int, end: str) -> Witness:
    weight = shaped_weight(op)[channel].astype(np.int64)
    seen = Reach(reach.lo[[channel]], reach.hi[[channel]]) if isinstance(op, DepthwiseConvolution) else reach
    lo, hi = (side[:, None, None] for side in (seen.lo, seen.hi))
    chosen = np.where((weight > 0) == (end == HI), hi, lo)
    chosen = np.where(weight == 0, _between(seen)[:, None, None], chosen)
    windows = axis_windows(op)
    pair = windows[phase // len(windows)], windows[phase % len(windows)]
    rows, columns = _window_pair((weight * chosen).sum(axis=0), *pair, end)
    inside = np.ix_(rows.taps, columns.taps)
    value = int((weight * chosen).sum(axis=0)[inside].sum()) + int(op.bias[channel])
    x = np.empty((len(reach.lo), rows.size, columns.size), np.int64)
    x[:] = _between(reach)[:, None, None]
    own = [channel] if isinstance(op, DepthwiseConvolution) else list(range(len(x)))
    x[np.ix_(own, rows.samples, columns.samples)] = chosen[np.ix_(range(len(own)), rows.taps, columns.taps)]
    return Witness(op.name, ACCUMULATOR, (x,), channel, phase, end, rows.position, columns.position, value)


def _far(reach: Reach) -> np.ndarray:
    """(C,) the value farthest from zero."""
    return np.where(-reach.lo > reach.hi, reach.lo, reach.hi)


def _norm(op: Gdn | InverseGdn, reach: Reach, channel: int, end: str) -> Witness:
    x = _far(reach) if end == HI else _between(reach)
    value = _norm_of(op, x, channel)
    return Witness(op.name, NORM, (_column(x),), channel, 0, end, 0, 0, value)


def _norm_of(op: Gdn | InverseGdn, x: np.ndarray, channel: int) -> int:
    powers = [op.norm.power(abs(v)) for v in x.tolist()]
    return int(op.beta[channel]) + sum(g * p for g, p in zip(op.gamma[channel].tolist(), powers, strict=True))


def _product(op: InverseGdn, reach: Reach, channel: int, end: str) -> Witness:
    own = int((reach.hi if end == HI else reach.lo)[channel])
    outward = own > 0 if end == HI else own < 0
    x = (_far(reach) if outward else _between(reach)).copy()
    x[channel] = own
    value = own * op.norm.divisor(_norm_of(op, x, channel)) + int(op.offset[channel])
    return Witness(op.name, PRODUCT, (_column(x),), channel, 0, end, 0, 0, value)


def _sum(op: Add, reaches: Sequence[Reach], channel: int, end: str) -> Witness:
    multipliers = op.multipliers.tolist()
    sides = [
        _column(np.where((m > 0) == (end == HI), reach.hi, reach.lo))
        for m, reach in zip(multipliers, reaches, strict=True)
    ]
    value = sum(m * int(side[channel, 0, 0]) for m, side in zip(multipliers, sides, strict=True))
    return Witness(op.name, SUM, tuple(sides), channel, 0, end, 0, 0, value)


def _column(x: np.ndarray) -> np.ndarray:
    """(C, 1, 1) one sample of every channel."""
    return x.astype(np.int64)[:, None, None]
