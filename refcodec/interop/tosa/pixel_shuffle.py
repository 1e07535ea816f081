"""TOSA recipe of the pixel shuffle (SPEC PS-1)."""

from __future__ import annotations

from refcodec.interop.tosa.graph import Value
from refcodec.interop.tosa.signal import Signal, Step, rearranged
from refcodec.program.operations import PixelShuffle


def pixel_shuffle(step: Step, op: PixelShuffle) -> Signal:
    """RESHAPE, TRANSPOSE, RESHAPE: rows and columns of a block move behind those of the picture."""
    graph, channels = step.graph, step.target.channels

    def spread(x: Value, _: int) -> Value:
        _, height, width, _ = x.shape
        blocks = graph.reshape(x, (height, width, channels, op.rows, op.columns))
        ordered = graph.transpose(blocks, (0, 3, 1, 4, 2))
        return graph.reshape(ordered, (1, height * op.rows, width * op.columns, channels))

    return rearranged(step.signals[0], spread)
