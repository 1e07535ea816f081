"""TOSA recipe of the bilinear enlargement (SPEC RES-2)."""

from __future__ import annotations

import numpy as np

from refcodec.formats import IntFormat
from refcodec.interop.tosa.division import rounded_fraction
from refcodec.interop.tosa.graph import Graph, Value, require
from refcodec.interop.tosa.signal import Signal, Step, fits, kept, wide_value
from refcodec.program.operations import Resize


def resize(step: Step, op: Resize) -> Signal:
    """RESIZE, which weighs without rounding, and one rounding.

    Both weights of an axis sum to a constant, so an offset of all samples is one of the result: bytes stay less 128,
    and 16 bits without a sign are resized less 2**15.
    """
    return resized(step.graph, step.signals[0], (op.rows, op.columns), step.target.format)


def resized(graph: Graph, signal: Signal, factors: tuple[int, int], fmt: IntFormat) -> Signal:
    """A tensor of a format of up to 16 bits, enlarged by factors of rows and columns."""
    require(fmt.bits <= 16, f"{graph.scope}: RESIZE takes at most 16 bits, not {fmt}")
    if signal.value.dtype == "INT8":
        value = enlarged(graph, signal.value, *factors)
        return Signal(graph.cast(value, "INT8"), signal.zero_point)
    offset = graph.scalar(0 if fits(fmt.lo, fmt.hi, "INT16") else 1 << 15, 4)
    value = graph.subtract(wide_value(graph, signal), offset)
    return kept(graph, graph.add(enlarged(graph, graph.cast(value, "INT16"), *factors), offset), fmt)


def enlarged(graph: Graph, x: Value, rows: int, columns: int) -> Value:
    """INT8 or INT16, enlarged and rounded, INT32: the results lie between the samples that they weigh."""
    total = graph.enlarge(x, rows, columns)
    if total.dtype == "INT48":
        total = graph.rescale(total, np.array([1 << 14]), np.array([14]), "INT32")
    return graph.tighten(rounded_fraction(graph, total, 4 * rows * columns), x.lo, x.hi)
