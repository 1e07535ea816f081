"""TOSA recipe of the nearest enlargement (SPEC NEAR-1)."""

from __future__ import annotations

from refcodec.interop.tosa.graph import Value
from refcodec.interop.tosa.signal import Signal, Step, rearranged
from refcodec.program.operations import Nearest


def nearest(step: Step, op: Nearest) -> Signal:
    """TILE along axes of their own, one behind the rows and one behind the columns."""
    graph = step.graph

    def repeated(x: Value, _: int) -> Value:
        _, height, width, channels = x.shape
        apart = graph.reshape(x, (height, 1, width, 1, channels))
        tiled = graph.tile(apart, (1, op.rows, 1, op.columns, 1))
        return graph.reshape(tiled, (1, height * op.rows, width * op.columns, channels))

    return rearranged(step.signals[0], repeated)
