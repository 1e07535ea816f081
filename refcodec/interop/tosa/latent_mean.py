"""TOSA recipes of latent means (SPEC MEAN-1, MEAN-3)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.tosa.graph import Value
from refcodec.interop.tosa.signal import Signal, Step, kept, wide_value
from refcodec.program.operations import LatentMean, LatentMeans


def latent_mean(step: Step, op: LatentMean) -> Signal:
    """A product with 2**fraction and a sum, INT32."""
    return _with_mean(step, op.fraction, step.graph.channels(op.mean.astype(np.int64), 4))


def latent_means(step: Step, op: LatentMeans) -> Signal:
    """The same with a tensor of means."""
    return _with_mean(step, op.fraction, wide_value(step.graph, step.signals[1]))


def _with_mean(step: Step, fraction: int, mean: Value) -> Signal:
    graph = step.graph
    scaled = graph.multiply(wide_value(graph, step.signals[0]), graph.scalar(1 << fraction, 4))
    return kept(graph, graph.add(scaled, mean), step.target.format)
