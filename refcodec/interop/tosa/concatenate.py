"""TOSA recipe of the concatenation (SPEC CAT-1)."""

from __future__ import annotations

from collections.abc import Sequence

from refcodec.formats import IntFormat
from refcodec.interop.tosa.graph import Graph
from refcodec.interop.tosa.signal import Signal, Step, kept, storage, wide_value
from refcodec.program.operations import Concatenate


def concatenate(step: Step, op: Concatenate) -> Signal:
    """CONCAT along the channels."""
    return joined_channels(step.graph, step.signals, step.target.format)


def joined_channels(graph: Graph, signals: Sequence[Signal], fmt: IntFormat) -> Signal:
    """Tensors of one format behind one another: CONCAT of INT8 as it is, of anything else as INT32."""
    dtype, zero_point = storage(fmt)
    if dtype == "INT8" and all(signal.value.dtype == dtype for signal in signals):
        return Signal(graph.concatenate([signal.value for signal in signals], 3), zero_point)
    return kept(graph, graph.concatenate([wide_value(graph, signal) for signal in signals], 3), fmt)
