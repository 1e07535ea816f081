"""Corner cases of linear, depthwise and masked layers (SPEC VEC-2)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refcodec.formats import IntFormat
from refcodec.layers.masked_convolution import MASKS, live_taps
from refcodec.program.operations import (
    DepthwiseConvolution,
    Linear,
    MaskedConvolution,
)
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.draw import fill, numbered, one_hot, ramp
from refcodec.vectorgen.operation_case import operation_case, rejected_case

S8, S16, S24, S32, S48 = (IntFormat(bits, True) for bits in (8, 16, 24, 32, 48))
U8, U16 = (IntFormat(bits, False) for bits in (8, 16))
BYTES = {"x": U8, "y": S24}
ORDER = "one input sample on a ramp of weights: catches any tap, channel or output out of its place"
BOUND = "sums at both ends of the proven bound: catches accumulators that are too narrow"
Weighted = Linear | DepthwiseConvolution | MaskedConvolution


def linear_cases() -> Iterator[Case]:
    """Each input by itself, a vector, a picture, both ends of the bound in 16 and 48 bits, and one beyond them."""
    weight, bias, clauses = ramp((5, 3)), np.array([-1000, 77777, 0, 1, -1]), ("LIN-1", "LIN-2", "ACC-1")
    picture = np.zeros((3, 2, 3), np.int64)
    picture[[0, 1, 2], [0, 1, 0], [0, 0, 2]] = 1
    yield _weighted("onehot", _linear(weight, bias), BYTES, picture, clauses, ORDER, "TapOrder")
    vector, matrix = numbered((37, 1, 1), -18), ramp((6, 37))
    comment = "37 inputs fill no power of two: catches a sum that loses its last terms"
    yield _weighted("vector", _linear(matrix, ramp((6,))), {"x": S8, "y": S32}, vector, clauses, comment)
    for source, target in ((S8, S24), (U8, S24), (S16, S48), (U16, S48)):
        yield from _linear_bounds(source, target)
    comment = "a bias beyond the accumulator"
    op = _linear(weight, np.full(5, 1 << 23))
    yield rejected_case("bias", op, BYTES, picture, "LIN-2", comment, "RC-MODEL-RANGE")
    narrow, comment = _linear(weight, bias, IntFormat(4, True)), "weights beyond their format"
    yield rejected_case("weight-format", narrow, BYTES, picture, "LIN-2", comment, "RC-MODEL-RANGE")
    op = _linear(ramp((5, 2)), bias)
    yield rejected_case("shape", op, BYTES, picture, "LIN-2", "a matrix for two channels, not three", "RC-MODEL-TENSOR")


def _linear(weight: np.ndarray, bias: np.ndarray, fmt: IntFormat = S16) -> Linear:
    return Linear("linear", "x", "y", fmt, weight, bias)


def _linear_bounds(source: IntFormat, target: IntFormat) -> Iterator[Case]:
    """The input at its largest magnitude meets weights of one sign; a bias fills the format, or leaves it by one."""
    term = 32767 * source.magnitude
    inputs = min(63, target.hi // term)
    bias = target.hi - inputs * term
    towards = -1 if source.signed else 1
    weight = np.array([[towards * 32767], [-towards * 32767]]) * np.ones((1, inputs), np.int64)
    x = np.full((inputs, 1, 2), source.lo if source.signed else source.hi)
    x[:, 0, 1] = source.hi if source.signed else source.lo
    formats = {"x": source, "y": target}
    op = _linear(weight, np.array([bias, -bias]))
    yield _weighted(f"extreme-{source}-{target}", op, formats, x, ("LIN-1", "ACC-1"), BOUND, "ExtremeAccumulator")
    op = _linear(weight, np.array([bias, -bias - 1]))
    label, comment = f"overflow-{source}-{target}", "one more than the accumulator holds"
    yield rejected_case(label, op, formats, x, "ACC-1", comment, "RC-MODEL-OVERFLOW")


def depthwise_convolution_cases() -> Iterator[Case]:
    """Kernels 1 to 9, all strides, one-hot inputs on ramps of weights, both ends of the bound, and illegal layers."""
    clauses = ("DW-1", "CONV-1", "ACC-1")
    for kernel, stride, padding in (
        (1, 1, 0),
        (2, 1, 1),
        (3, 1, 1),
        (4, 3, 2),
        (5, 2, 2),
        (9, 4, 8),
    ):
        size = (2, 5, 6) if kernel < 7 else (2, 7, 9)
        weight, bias = ramp((2, kernel, kernel)), np.array([-1000, 77777])
        op = DepthwiseConvolution("depthwise", "x", "y", S16, stride, padding, weight, bias)
        x = one_hot(*size)
        x[0] = 2 * x[1, ::-1, ::-1]
        yield _weighted(f"k{kernel}s{stride}p{padding}-onehot", op, BYTES, x, clauses, ORDER, "TapOrder")
    yield from _depthwise_bounds(clauses)
    weight, bias, x = ramp((2, 3, 3)), np.zeros(2, np.int64), np.zeros((2, 5, 5), np.int64)
    for label, stride, padding in (("stride", 5, 1), ("padding", 1, 3)):
        op = DepthwiseConvolution("depthwise", "x", "y", S16, stride, padding, weight, bias)
        comment = "kernel, stride and padding are limited"
        yield rejected_case(label, op, BYTES, x, "DW-2", comment, "RC-MODEL-RANGE")
    op = DepthwiseConvolution("depthwise", "x", "y", S16, 1, 0, weight, bias)
    yield rejected_case("size", op, BYTES, x[:, :2], "CONV-1", "a picture smaller than the kernel", "RC-SHAPE")


def _depthwise_bounds(clauses: tuple[str, ...]) -> Iterator[Case]:
    for source in (U8, S16):
        towards = -1 if source.signed else 1
        weight = np.ones((2, 3, 3), np.int64) * np.array([towards * 32767, -towards * 32767])[:, None, None]
        total = 9 * 32767 * source.magnitude
        bias, target = fill(total), IntFormat(total.bit_length() + 1, True)
        x = np.full((2, 3, 3), source.lo if source.signed else source.hi)
        formats = {"x": source, "y": target}
        op = DepthwiseConvolution("depthwise", "x", "y", S16, 1, 1, weight, np.array([bias, -bias]))
        yield _weighted(f"extreme-{source}", op, formats, x, clauses, BOUND, "ExtremeAccumulator")
        op = DepthwiseConvolution("depthwise", "x", "y", S16, 1, 1, weight, np.array([bias, -bias - 1]))
        comment = "one more than the accumulator holds"
        yield rejected_case(f"overflow-{source}", op, formats, x, "ACC-1", comment, "RC-MODEL-OVERFLOW")


def masked_convolution_cases() -> Iterator[Case]:
    """Both masks with kernels 3 to 9 under one sample, both ends of the bound, and weights at dead taps."""
    for mask, clause in zip(MASKS, ("MASK-1", "MASK-2"), strict=True):
        clauses = (clause, "MASK-3", "CONV-2", "ACC-1")
        for kernel, padding in ((3, 1), (5, 2), (9, 3)):
            size = (2, 4, 5) if kernel < 9 else (2, 5, 7)
            weight = ramp((2, 2, kernel, kernel)) * live_taps(mask, kernel)
            op = _masked(mask, padding, weight, np.array([-1000, 77777]))
            label = f"{mask}-k{kernel}p{padding}-onehot"
            yield _weighted(label, op, BYTES, one_hot(*size), clauses, ORDER, "TapOrder")
        yield from _masked_bounds(mask, clauses)
        yield from _dead_taps(mask)
    x, bias = np.zeros((1, 5, 5), np.int64), np.zeros(1, np.int64)
    for label, op, comment in (
        ("even", _masked("causal", 1, np.zeros((1, 1, 4, 4), np.int64), bias), "an even kernel has no centre"),
        ("mask", _masked("diagonal", 1, np.zeros((1, 1, 3, 3), np.int64), bias), "an unknown mask"),
    ):
        yield rejected_case(label, op, BYTES, x, "MASK-3", comment, "RC-MODEL-RANGE")


def _masked(mask: str, padding: int, weight: np.ndarray, bias: np.ndarray) -> MaskedConvolution:
    return MaskedConvolution("masked", "x", "y", S16, mask, padding, weight, bias)


def _masked_bounds(mask: str, clauses: tuple[str, ...]) -> Iterator[Case]:
    """The bound of the live taps: an implementation that counts all taps would refuse the format."""
    weight = np.array([32767, -32767])[:, None, None, None] * live_taps(mask, 5)
    total = 12 * 32767 * U8.hi
    bias, target = fill(total), IntFormat(total.bit_length() + 1, True)
    formats, x = {"x": U8, "y": target}, np.full((1, 3, 4), U8.hi)
    op = _masked(mask, 2, weight, np.array([bias, -bias]))
    yield _weighted(f"{mask}-extreme", op, formats, x, clauses, BOUND, "ExtremeAccumulator")
    op = _masked(mask, 2, weight, np.array([bias, -bias - 1]))
    comment = "one more than the accumulator holds"
    yield rejected_case(f"{mask}-overflow", op, formats, x, "ACC-1", comment, "RC-MODEL-OVERFLOW", channels=2)


def _dead_taps(mask: str) -> Iterator[Case]:
    for label, ky, kx in (("centre", 2, 2), ("last", 4, 4)):
        weight = ramp((1, 1, 5, 5)) * live_taps(mask, 5)
        weight[0, 0, ky, kx] = 1
        op = _masked(mask, 2, weight, np.zeros(1, np.int64))
        comment, x = "a weight at a dead tap must be rejected, not masked", np.zeros((1, 3, 3), np.int64)
        yield rejected_case(f"{mask}-{label}", op, BYTES, x, "MASK-3", comment, "RC-MODEL-RANGE")


def _weighted(
    label: str,
    op: Weighted,
    formats: dict[str, IntFormat],
    x: np.ndarray,
    clauses: tuple[str, ...],
    comment: str,
    *flags: str,
) -> Case:
    return operation_case(label, op, formats, {"x": x}, clauses, comment, flags, len(op.bias))


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from linear_cases()
    yield from depthwise_convolution_cases()
    yield from masked_convolution_cases()
