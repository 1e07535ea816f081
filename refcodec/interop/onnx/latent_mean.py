"""Fixed-point means in integer ONNX (SPEC MEAN-1, MEAN-3)."""

from __future__ import annotations

from refcodec.interop.onnx.graph import INT64
from refcodec.interop.onnx.translation import Held, Translation, per_channel
from refcodec.program.operations import LatentMean, LatentMeans


def latent_mean(t: Translation, op: LatentMean) -> Held:
    """Shift the symbols by a multiplication and add the mean of each channel."""
    shifted = t.graph.mul(t.wide(op.source), 1 << op.fraction)
    return t.narrow(t.graph.add(shifted, per_channel(t.graph, op.mean, INT64)), t.format(op.target))


def latent_means(t: Translation, op: LatentMeans) -> Held:
    """Shift the symbols by a multiplication and add the mean of each."""
    symbols, means = op.sources
    shifted = t.graph.mul(t.wide(symbols), 1 << op.fraction)
    return t.narrow(t.graph.add(shifted, t.wide(means)), t.format(op.target))
