"""TOSA recipe of the leaky rectifier (SPEC LEAKY-1)."""

from __future__ import annotations

from refcodec.interop.tosa.requantise import scaled
from refcodec.interop.tosa.signal import Signal, Step, saturated
from refcodec.program.operations import LeakyRequantise


def leaky_requantise(step: Step, op: LeakyRequantise) -> Signal:
    """The larger of both scalings: the negative multiplier is the smaller one, so it wins exactly below zero."""
    graph, signal = step.graph, step.signals[0]
    above = scaled(graph, signal, op.multiplier, op.shift)
    below = scaled(graph, signal, op.negative_multiplier, op.shift)
    return saturated(graph, graph.maximum(above, below), step.target.format)
