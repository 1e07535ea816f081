"""Corner cases of convolution and transposed convolution (SPEC VEC-2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from refcodec.formats import IntFormat
from refcodec.program.operations import (
    AnyOperation,
    Convolution,
    TransposedConvolution,
)
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.draw import draw, fill
from refcodec.vectorgen.operation_case import operation_case

WEIGHT = IntFormat(8, True)


def convolution_cases() -> Iterator[Case]:
    """Kernels 1 to 9, all strides, paddings and phases, one-hot inputs on ramp kernels, bound-attaining inputs."""
    for kernel, stride, padding in ((1, 1, 0), (2, 1, 1), (3, 1, 1), (3, 2, 1), (4, 3, 0), (5, 2, 2), (9, 4, 4)):
        make: Callable[..., AnyOperation] = partial(Convolution, "layer", "x", "accumulator", WEIGHT, stride, padding)
        yield from _convolution_pair(f"k{kernel}s{stride}p{padding}", kernel, make, ("CONV-1", "CONV-2", "ACC-1"))
    for kernel, stride, padding, output_padding in (
        (1, 2, 0, 1), (2, 2, 0, 0), (3, 1, 1, 0), (3, 2, 1, 1), (4, 2, 1, 0), (5, 2, 2, 1), (5, 3, 2, 0), (9, 4, 4, 3),
    ):  # fmt: skip
        make = partial(TransposedConvolution, "layer", "x", "accumulator", WEIGHT, stride, padding, output_padding)
        name = f"k{kernel}s{stride}p{padding}o{output_padding}"
        yield from _convolution_pair(name, kernel, make, ("TCONV-1", "TCONV-2", "TCONV-3", "ACC-1"))


def wide_convolution_cases() -> Iterator[Case]:
    """Activations and weights of 16 bits whose sums fill the accumulator, and a bias that is one too large."""
    source, weight_format = IntFormat(16, True), IntFormat(16, True)
    signs = np.ones((2, 3, 3, 3), np.int64) * np.array([-32767, 32767])[:, None, None, None]
    x = np.full((3, 4, 4), source.lo)
    for label, taps in (("convolution", 27), ("transposed_convolution", 12)):
        total = taps * 32767 * 32768
        bias, accumulator = fill(total), IntFormat(total.bit_length() + 1, True)
        for name, constants, error in (
            ("extreme-s16", np.array([bias, -bias]), None),
            ("invalid-overflow-s16", np.array([bias, -bias - 1]), "RC-MODEL-OVERFLOW"),
        ):
            op: AnyOperation
            if label == "convolution":
                op = Convolution("layer", "x", "accumulator", weight_format, 1, 1, signs, constants)
                clauses: tuple[str, ...] = ("CONV-2", "ACC-1", "INT-2")
            else:
                op = TransposedConvolution("layer", "x", "accumulator", weight_format, 2, 1, 1, signs, constants)
                clauses = ("TCONV-3", "ACC-1", "INT-2")
            formats = {"x": source, "accumulator": accumulator}
            comment = "both ends of the bound: catches accumulators and products that are too narrow"
            flags = ("ExtremeAccumulator",)
            yield operation_case(name, op, formats, {"x": x}, clauses, comment, flags, 2, error)


def _convolution_pair(
    name: str, kernel: int, make: Callable[..., AnyOperation], clauses: tuple[str, ...]
) -> Iterator[Case]:
    source, accumulator = IntFormat(8, False), IntFormat(32, True)
    size = (2, 5, 7) if kernel < 9 else (2, 9, 11)
    ramp = np.arange(3 * 2 * kernel**2).reshape(3, 2, kernel, kernel) % 251 - 125
    one_hot = np.zeros(size, np.int64)
    one_hot[1, 2, 3] = 1
    largest = np.full(size, source.hi)
    signs = np.where(draw(kernel, ramp.shape, IntFormat(1, False)) == 1, WEIGHT.hi, WEIGHT.lo)
    signs[0], signs[1] = WEIGHT.lo, WEIGHT.hi  # with a bias of the same sign these two attain the bound
    for label, x, weight, comment, flags in (
        ("onehot", one_hot, ramp, "one input sample on a ramp of weights: every tap in its place", ("TapOrder",)),
        ("extreme", largest, signs, "sums at both ends of the proven bound", ("ExtremeAccumulator",)),
    ):
        yield operation_case(
            f"{name}-{label}",
            make(weight, np.array([-1000, 77777, 0])),
            {"x": source, "accumulator": accumulator},
            {"x": x},
            clauses,
            comment,
            flags,
            channels=3,
        )


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from convolution_cases()
    yield from wide_convolution_cases()
