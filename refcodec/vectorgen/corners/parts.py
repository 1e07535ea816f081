"""Rectangles of results, and functions that no operation shows by itself (SPEC VEC-2)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refcodec.formats import IntFormat
from refcodec.program.operations import (
    AnyOperation,
    Clip,
    Convolution,
    Crop,
    Nearest,
    Pad,
    PixelShuffle,
    Resize,
    ScaleSpace,
    Tile,
    TransposedConvolution,
)
from refcodec.program.patches import Rectangle
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.defining_clauses import DEFINING
from refcodec.vectorgen.draw import draw_with_ends, ramp
from refcodec.vectorgen.evaluate import Engine, evaluate
from refcodec.vectorgen.operation_case import operation_case
from refcodec.vectorgen.values import Values

S8, S16, S24, S48 = (IntFormat(bits, True) for bits in (8, 16, 24, 48))
U8 = IntFormat(8, False)
PLAIN = Engine(True, {})


# --- rectangles


def patch_cases() -> Iterator[Case]:
    """Rectangles in the middle, at both ends and of one sample, of every operation that reads beside its sample."""
    x, weight, bias = draw_with_ends(1, (2, 9, 7), S8), ramp((3, 2, 3, 3)), np.array([5, -7, 1])
    corners = Rectangle(0, 0, 2, 3), Rectangle(3, 2, 1, 1)
    for op, clause, channels, fmt, rectangles in (
        (Convolution("layer", "x", "y", S8, 1, 1, weight, bias), "PATCH-2", 3, S24, (*corners, Rectangle(7, 5, 2, 2))),
        (Convolution("layer", "x", "y", S8, 2, 2, weight, bias), "PATCH-2", 3, S24, (*corners, Rectangle(4, 3, 2, 2))),
        (Convolution("layer", "x", "y", S8, 3, 0, weight, bias), "PATCH-2", 3, S24, (Rectangle(1, 1, 2, 1),)),
        (Convolution("odd", "x", "y", S8, 2, 1, weight, bias), "PATCH-2", 3, S24, (Rectangle(1, 1, 2, 2),)),
        (TransposedConvolution("holes", "x", "y", S8, 4, 2, 0, weight, bias), "PATCH-3", 3, S24, (corners[0],)),
        (
            TransposedConvolution("layer", "x", "y", S8, 2, 1, 1, weight, bias),
            "PATCH-3",
            3,
            S24,
            (*corners, Rectangle(15, 11, 3, 3), Rectangle(17, 13, 1, 1)),
        ),
        (
            TransposedConvolution("layer", "x", "y", S8, 4, 0, 3, weight, bias),
            "PATCH-3",
            3,
            S24,
            (*corners, Rectangle(35, 27, 3, 3), Rectangle(37, 29, 1, 1)),
        ),
        (PixelShuffle("shuffle", "x", "y", 2, 1), "PATCH-4", 1, S8, (*corners, Rectangle(15, 5, 3, 2))),
        (
            Nearest("nearest", "x", "y", 3, 2),
            "PATCH-4",
            2,
            S8,
            (*corners, Rectangle(5, 3, 2, 2), Rectangle(26, 12, 1, 2)),
        ),
        (
            Resize("resize", "x", "y", 3, 2),
            "PATCH-4",
            2,
            S8,
            (*corners, Rectangle(5, 3, 3, 2), Rectangle(24, 11, 3, 3)),
        ),
        (Tile("tile", "x", "y", 2, 3), "PATCH-5", 2, S8, (*corners, Rectangle(8, 6, 2, 9))),
        (Crop("crop", "x", "y", 1, 2, 3, 0), "PATCH-5", 2, S8, (*corners, Rectangle(4, 2, 2, 2))),
        (Pad("pad", "x", "y", 2, 3, 1, 2), "PATCH-5", 2, S8, (*corners, Rectangle(9, 6, 5, 4), Rectangle(12, 0, 2, 1))),
        (Clip("clip", "x", "y", -9, 99), "PATCH-1", 2, S8, (Rectangle(1, 2, 3, 4),)),
    ):
        for number, rectangle in enumerate(rectangles):
            yield _patch(f"{_label(op)}-{number}", op, clause, x, (channels, fmt), rectangle)
    levels = ScaleSpace("scale_space", "x", "y", 1)
    comment = "a scale space is never computed in part"
    yield _patch("invalid-scale_space", levels, "PATCH-5", x, (4, S8), corners[0], comment, "RC-MODEL-FAMILY")
    op, outside = Clip("clip", "x", "y", -9, 99), Rectangle(8, 0, 2, 1)
    yield _patch("invalid-outside", op, "PATCH-1", x, (2, S8), outside, "a row below the last", "RC-RANGE")


def _label(op: AnyOperation) -> str:
    stride = getattr(op, "stride", None)
    if op.name in ("odd", "holes"):
        return f"{op.kind}-{op.name}"
    return op.kind if stride is None else f"{op.kind}-s{stride}"


def _patch(
    label: str,
    op: AnyOperation,
    clause: str,
    x: np.ndarray,
    target: tuple[int, IntFormat],
    rectangle: Rectangle,
    comment: str = "catches a sample too few beside a rectangle, and a result that begins elsewhere",
    error: str | None = None,
) -> Case:
    formats = {"x": S8, "y": target[1]}
    whole = operation_case(label, op, formats, {"x": x}, (clause,), comment, (), target[0])
    sides = {f"patch_{name}": side for name, side in rectangle._asdict().items()}
    parameters = {**whole.parameters, "kind": op.kind, **sides}
    outputs = {}
    if error is None:
        arrays = {name: values.array for name, values in whole.inputs.items()}
        outputs = {"y": Values(evaluate(PLAIN, "patch", parameters, arrays)["y"].astype(np.int64), target[1])}
    return Case(
        f"operations/patch/{label}",
        "patch",
        ("PATCH-1", clause) if clause != "PATCH-1" else (clause,),
        comment,
        parameters,
        whole.inputs,
        outputs=outputs,
        error=error,
        flags=("Invalid",) if error else (),
        defined_by=dict.fromkeys(outputs, DEFINING[op.kind]),
    )


# --- functions


def function_cases() -> Iterator[Case]:
    """Functions of integers at the edges of their domains."""
    tanh = [-1, 0, 1, -(1 << 40), (1 << 40) + 1, 4242424242, -4242424242]
    for name, clause, fmt, rows in (
        (
            "restoring_division",
            "DIV-3",
            S48,
            [(n, d, 8) for n in (0, 1, 127, 128, 254, 255) for d in (1, 2, 3, 85, 255)],
        ),
        ("binary16", "INR-3", S24, [(p,) for p in (1, 2, 0x3FF, 0x400, 0x401, 0x7FF, 0x800, 0x3C00, 0x63FF)]),
        (
            "accumulator_bias",
            "INR-6",
            S48,
            [
                (b, s, w, f)
                for b in (-4000, -3, -1, 1, 2, 4000)
                for s, w in ((1, 0x3C00), (0x3C01, 1), (0x4401, 0x3BFF), (0x401, 0x1403))
                for f in (4, 10)
            ],
        ),
        (
            "grid_entry",
            "INR-7",
            S16,
            [
                (v, s, f, -128, 127)
                for v in (-32768, -5, -1, 1, 5, 32767)
                for s in (1, 0x3FF, 0x400, 0x2C00, 0x3C01, 0x63FF)
                for f in (4, 10)
            ],
        ),
        ("head_threshold", "INR-8", S48, [(p, w, f) for p in tanh for w in (1, 0x3FF, 0x400, 0x3C01) for f in (4, 10)]),
        (
            "norm_constants",
            "INR-9",
            S48,
            [(c, b, f) for c in (1, 2, 3, 64, 1000, 32768) for b, f in ((8, 4), (10, 6), (12, 7), (14, 9), (16, 10))],
        ),
        ("grey", "PIC-3", U8, [(r, g, b) for r in (0, 1, 254, 255) for g in (0, 1, 255) for b in (0, 2, 3, 255)]),
    ):
        arguments = Values(np.array(rows, np.int64), S48)
        parameters = {"name": name}
        found = evaluate(PLAIN, "function", parameters, {"arguments": arguments.array})["values"]
        yield Case(
            f"operations/function/{name}",
            "function",
            (clause,),
            "a row of arguments gives a row of values: catches what only the edges of a domain show",
            parameters,
            {"arguments": arguments},
            outputs={"values": Values(found.astype(np.int64), fmt)},
            defined_by={"values": clause},
        )


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from patch_cases()
    yield from function_cases()
