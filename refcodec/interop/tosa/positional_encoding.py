"""TOSA recipe of the positional encoding (SPEC PE-2)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.tosa.graph import require
from refcodec.interop.tosa.signal import Signal, Step, storage, wide_value
from refcodec.layers.positional_encoding import positional_encoding as encode
from refcodec.program.operations import PositionalEncoding

ENTRIES = 1 << 22  # of the table that a file may carry


def positional_encoding(step: Step, op: PositionalEncoding) -> Signal:
    """A GATHER from the encodings of all frame numbers: phases have 40 bits, TOSA's products 32."""
    graph = step.graph
    frame = wide_value(graph, step.signals[0])
    count, channels = int(frame.hi.max()) + 1, step.target.channels
    require(
        count * channels <= ENTRIES,
        f"{step.target.name}: a table of {count} frame numbers and {channels} channels is too large to be written",
    )
    dtype, zero_point = storage(step.target.format)
    constants = op.increments, op.interleaved, op.nodes, op.fraction
    encoded = [encode(np.full((1, 1, 1), number, np.int32), *constants).ravel() for number in range(count)]
    rows = graph.constant(np.array(encoded, np.int64).reshape(1, count, channels) + zero_point, dtype)
    return Signal(graph.gather(rows, frame), zero_point)
