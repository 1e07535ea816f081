"""TOSA recipe of the scale index (SPEC SCALE-1)."""

from __future__ import annotations

import numpy as np

from refcodec.interop.tosa.graph import Graph, Value, require
from refcodec.interop.tosa.signal import WORD, Signal, Step, kept, wide_value
from refcodec.program.operations import ScaleIndex


def scale_index(step: Step, op: ScaleIndex) -> Signal:
    """A binary search among 63 thresholds."""
    return counted(step, op.thresholds)


def counted(step: Step, thresholds: np.ndarray) -> Signal:
    """How many of 2**n - 1 thresholds (C, 2**n - 1), which never decrease, an accumulator exceeds: n steps.

    Each step asks whether the accumulator exceeds threshold index + stride - 1 of its channel, which a GATHER from one
    list of all thresholds finds; the first step, where no index is known yet, reads a constant.
    """
    graph, signal = step.graph, step.signals[0]
    words = _words(graph, signal)
    split = len(words) == 2
    limited = _within(graph, signal, thresholds)
    channels, count = limited.shape
    stride = (count + 1) // 2
    middle = [graph.channels(part, 4) for part in _split(limited[:, stride - 1], split)]
    index = _advance(graph, words, middle, stride)
    start = np.arange(channels) * count - 1
    while stride > 1:
        stride //= 2
        place = graph.add(index, graph.channels(start + stride, 4))
        middle = [graph.look_up(part, "INT32", place) for part in _split(limited.ravel(), split)]
        index = graph.add(index, _advance(graph, words, middle, stride))
    return kept(graph, index, step.target.format)


def _advance(graph: Graph, words: list[Value], thresholds: list[Value], stride: int) -> Value:
    """The stride where the accumulator exceeds its threshold, else 0."""
    return graph.multiply(graph.cast(_exceeds(graph, words, thresholds), "INT32"), graph.scalar(stride, 4))


def _within(graph: Graph, signal: Signal, thresholds: np.ndarray) -> np.ndarray:
    """Thresholds at most one outside the reach of the accumulator, beyond which all are alike."""
    lowest = -(1 << 31) if signal.low is None else -(1 << 47)
    require(
        int(signal.lo.min()) > lowest or int(thresholds.min()) >= lowest,
        f"{graph.scope}: a threshold below everything that the accumulator's type holds",
    )
    return np.clip(thresholds, np.maximum(signal.lo - 1, lowest)[:, None], signal.hi[:, None])


def _words(graph: Graph, signal: Signal) -> list[Value]:
    """The accumulator as one INT32, or as high and low word."""
    if signal.low is None:
        return [wide_value(graph, signal)]
    return [signal.value, signal.low]


def _split(thresholds: np.ndarray, split: bool) -> list[np.ndarray]:
    """Thresholds as the accumulator is kept."""
    return [thresholds >> WORD, thresholds & ((1 << WORD) - 1)] if split else [thresholds]


def _exceeds(graph: Graph, words: list[Value], thresholds: list[Value]) -> Value:
    """Whether an accumulator is above its threshold; the low words decide where the high ones are equal."""
    greater = graph.compare("GREATER", words[0], thresholds[0])
    if len(words) == 1:
        return greater
    equal = graph.compare("EQUAL", words[0], thresholds[0])
    return graph.logical(
        "LOGICAL_OR", greater, graph.logical("LOGICAL_AND", equal, graph.compare("GREATER", words[1], thresholds[1]))
    )
