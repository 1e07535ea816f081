"""TOSA recipe of planes repeated side by side (SPEC TILE-1)."""

from __future__ import annotations

from refcodec.interop.tosa.signal import Signal, Step, rearranged
from refcodec.program.operations import Tile


def tile(step: Step, op: Tile) -> Signal:
    """TILE along rows and columns."""
    return rearranged(step.signals[0], lambda x, _: step.graph.tile(x, (1, op.rows, op.columns, 1)))
