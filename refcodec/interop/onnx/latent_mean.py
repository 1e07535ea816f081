"""Fixed-point means in integer ONNX (SPEC MEAN-1)."""

from __future__ import annotations

from refcodec.interop.onnx.graph import INT64
from refcodec.interop.onnx.translation import Held, Translation, per_channel
from refcodec.program.operations import LatentMean


def latent_mean(t: Translation, op: LatentMean) -> Held:
    """Shift the symbols by a multiplication and add the mean of each channel."""
    graph = t.graph
    shifted = graph.mul(t.wide(op.source), 1 << op.fraction)
    return t.narrow(graph.add(shifted, per_channel(graph, op.mean, INT64)), t.format(op.target))
