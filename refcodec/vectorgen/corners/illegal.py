"""Operations that a checker refuses, for reasons that the other groups do not show (SPEC VEC-2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from refcodec.formats import IntFormat
from refcodec.program.operations import (
    Add,
    AnyOperation,
    Convolution,
    Embedding,
    Gdn,
    PositionalEncoding,
    Resize,
    TransposedConvolution,
    Warp,
)
from refcodec.program.standard_tables import SINE, load_activation_table
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.operation_case import operation_case

S8, S16, S17, S24, S48 = (IntFormat(bits, True) for bits in (8, 16, 17, 24, 48))
U8, U20, U22, U23, U24 = (IntFormat(bits, False) for bits in (8, 20, 22, 23, 24))
RANGE, TENSOR, OVERFLOW = "RC-MODEL-RANGE", "RC-MODEL-TENSOR", "RC-MODEL-OVERFLOW"
SCHEMA = "RC-MODEL-SCHEMA"
ONE = np.ones(1, np.int64)


def layer_cases() -> Iterator[Case]:
    """Kernels, biases, formats and paddings of convolutions."""
    x = {"x": np.zeros((1, 9, 9), np.int64)}

    def weight(kernel: int) -> np.ndarray:
        return np.ones((1, 1, kernel, kernel), np.int64)

    layer: tuple[str, str, str] = ("layer", "x", "y")
    for label, op, formats, clause, code, comment in (
        ("kernel", Convolution(*layer, S8, 1, 0, weight(10), ONE), (S8, S24), "CONV-3", RANGE, "a kernel of 10"),
        ("stride", Convolution(*layer, S8, 5, 0, weight(3), ONE), (S8, S24), "CONV-3", RANGE, "a stride of 5"),
        ("padding", Convolution(*layer, S8, 1, 3, weight(3), ONE), (S8, S24), "CONV-3", RANGE, "a kernel of padding"),
        (
            "biases",
            Convolution(*layer, S8, 1, 0, weight(3), np.ones(2, np.int64)),
            (S8, S24),
            "CONV-2",
            TENSOR,
            "two biases for one output",
        ),
        ("weights", Convolution(*layer, S17, 1, 0, weight(3), ONE), (S8, S24), "INT-2", RANGE, "weights of 17 bits"),
        (
            "large-weight",
            Convolution(*layer, IntFormat(4, True), 1, 0, 8 * weight(3), ONE),
            (S8, S24),
            "INT-1",
            RANGE,
            "a weight of 8 in four bits",
        ),
        (
            "small-weight",
            Convolution(*layer, IntFormat(4, True), 1, 0, -9 * weight(3), ONE),
            (S8, S24),
            "INT-1",
            RANGE,
            "a weight of -9 in four bits",
        ),
        (
            "activations",
            Convolution(*layer, S8, 1, 0, weight(3), ONE),
            (S17, S48),
            "INT-2",
            RANGE,
            "activations of 17 bits",
        ),
        (
            "unsigned",
            Convolution(*layer, S8, 1, 0, weight(3), ONE),
            (S8, U24),
            "INT-2",
            OVERFLOW,
            "sums without a sign",
        ),
        (
            "output-padding",
            TransposedConvolution(*layer, S8, 2, 0, 2, weight(3), ONE),
            (S8, S24),
            "TCONV-4",
            RANGE,
            "an output padding of a whole stride",
        ),
        (
            "transposed-padding",
            TransposedConvolution(*layer, S8, 2, 3, 0, weight(3), ONE),
            (S8, S24),
            "TCONV-4",
            RANGE,
            "a padding of a whole kernel",
        ),
        ("format", Resize("layer", "x", "y", 2, 2), (S8, S16), "RES-3", RANGE, "another format of the result"),
        (
            "denominator",
            Gdn(
                "layer",
                "x",
                "y",
                IntFormat(1, False),
                S48,
                False,
                0,
                16,
                np.zeros((1, 1), np.int64),
                ONE << 46,
                ONE,
                0 * ONE,
            ),
            (S8, S8),
            "GDN-5",
            OVERFLOW,
            "a denominator of 62 bits",
        ),
        (
            "signed-gamma",
            Gdn("layer", "x", "y", S8, S48, False, 0, 0, np.zeros((1, 1), np.int64), ONE, ONE, 0 * ONE),
            (S8, S8),
            "GDN-5",
            RANGE,
            "gamma with a sign",
        ),
    ):
        yield _illegal(label, op, dict(zip("xy", formats, strict=True)), x, clause, code, comment, 1)


def other_cases() -> Iterator[Case]:
    """Sources that do not belong together, frame numbers and nodes."""
    a, b = np.zeros((2, 1, 1), np.int64), np.zeros((1, 1, 1), np.int64)
    op: AnyOperation = Add("layer", ("a", "b"), "y", 1, np.ones(2, np.int64))
    formats = dict.fromkeys("aby", S8)
    yield _illegal("channels", op, formats, {"a": a, "b": b}, "ADD-2", TENSOR, "two channels and one")
    op = Add("layer", ("a", "a"), "y", 1, np.ones(2, np.int64))
    yield _illegal("twice", op, {"a": S8, "y": S8}, {"a": a}, "PROG-2", SCHEMA, "one tensor read twice", 2)
    flow, formats = np.zeros((3, 1, 1), np.int64), {"a": S8, "b": S17, "y": S8}
    op = Warp("layer", ("a", "b"), "y", 1)
    yield _illegal("wide-flow", op, formats, {"a": b, "b": flow}, "WARP-3", RANGE, "displacements of 17 bits")
    nodes, steps = load_activation_table(SINE), np.array([1])
    falling = nodes.copy()
    falling[7] = falling[9]
    for label, source, fraction, increments, wave, comment in (
        ("frames", U23, 4, steps, nodes, "frame numbers of 23 bits"),
        ("fraction", U22, 15, steps, nodes, "a fraction of 15 bits"),
        ("increment", U22, 4, np.array([1 << 40]), nodes, "an increment of a whole turn"),
        ("falling", U22, 4, steps, falling, "nodes that fall"),
    ):
        op = PositionalEncoding("layer", "x", "y", False, fraction, increments, wave)
        yield _illegal(label, op, {"x": source, "y": S24}, {"x": b}, "PE-3", RANGE, comment, 2)
    for label, frames, target, comment in (
        ("most-frames", (1 << 20) + 1, S8, "more frames than 2^20"),
        ("entries", 3, IntFormat(2, True), "entries beyond the target"),
    ):
        op = Embedding("layer", "x", "y", frames, True, np.full((1, 1, 1, 1), 5))
        yield _illegal(label, op, {"x": U20, "y": target}, {"x": b}, "EMB-2", RANGE, comment, 1)


def _illegal(
    label: str,
    op: AnyOperation,
    formats: Mapping[str, IntFormat],
    inputs: Mapping[str, np.ndarray],
    clause: str,
    code: str,
    comment: str,
    channels: int | None = None,
) -> Case:
    return operation_case(f"invalid-illegal-{label}", op, formats, inputs, (clause,), comment, (), channels, code)


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from layer_cases()
    yield from other_cases()
