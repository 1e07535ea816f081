"""A rectangle of a program's output, computed without the rest of it (SPEC PATCH-1 to PATCH-5).

Every operation runs on a part of what it reads and gives a part of its result, in which what is wanted begins after
as many rows and columns as the part of its source was begun too early.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import singledispatch
from typing import Any, NamedTuple

import numpy as np

from refcodec import fixed
from refcodec.errors import ModelError, RangeError
from refcodec.program import operations as ops
from refcodec.program.operations import AnyOperation, Size
from refcodec.program.program import Program


class Rectangle(NamedTuple):
    """A part of a plane: its first row and column, and how many there are of each."""

    top: int
    left: int
    height: int
    width: int


Span = tuple[int, int]  # first sample of an axis, and the one after the last
Window = tuple[Span, Span]  # of rows and of columns
FACTORS = ("rows", "columns")
SIDES = (("top", "bottom"), ("left", "right"))


@dataclass(frozen=True, slots=True)
class Part:
    """How an operation gives a part of its result, along one axis.

    span  what it reads;  origin  which sample of the whole result its result begins with
    changes  fields of the operation that differ for the part.
    """

    span: Span
    origin: int
    changes: Mapping[str, int] = field(default_factory=dict)


@singledispatch
def part_of(op: AnyOperation, axis: int, wanted: Span, size: int) -> Part:
    """What an operation reads of an axis of its sources to give a part of its result (SPEC PATCH-2 to PATCH-5).

    axis  0 for rows, 1 for columns;  size  of the axis in the sources.
    Raises ModelError RC-MODEL-FAMILY for an operation whose result cannot be computed in part.
    """
    raise ModelError("RC-MODEL-FAMILY", f"{op.name}: {op.kind} cannot be computed in part")


@part_of.register(ops.Clip)
@part_of.register(ops.Gdn)
@part_of.register(ops.InterpolatedTable)
@part_of.register(ops.InverseGdn)
@part_of.register(ops.LatentMean)
@part_of.register(ops.LayerNorm)
@part_of.register(ops.LeakyRequantise)
@part_of.register(ops.Linear)
@part_of.register(ops.Requantise)
@part_of.register(ops.ScaleIndex)
@part_of.register(ops.Table)
@part_of.register(ops.ThresholdHead)
@part_of.register(ops.Add)
@part_of.register(ops.Concatenate)
@part_of.register(ops.LatentMeans)
def _(op: AnyOperation, axis: int, wanted: Span, size: int) -> Part:
    """Each sample by itself (SPEC PATCH-5)."""
    return Part(wanted, wanted[0])


@part_of.register(ops.Convolution)
@part_of.register(ops.DepthwiseConvolution)
def _(op: ops.Convolution | ops.DepthwiseConvolution, axis: int, wanted: Span, size: int) -> Part:
    """Samples under the kernel (SPEC PATCH-2)."""
    span = fixed.convolution_span(*wanted, size, op.weight.shape[-1], op.stride, op.padding)
    return Part(span, span[0] // op.stride)


@part_of.register
def _(op: ops.MaskedConvolution, axis: int, wanted: Span, size: int) -> Part:
    """Samples under the kernel, its dead taps included (SPEC PATCH-2)."""
    span = fixed.convolution_span(*wanted, size, op.weight.shape[-1], 1, op.padding)
    return Part(span, span[0])


@part_of.register
def _(op: ops.TransposedConvolution, axis: int, wanted: Span, size: int) -> Part:
    """Samples that a tap brings there (SPEC PATCH-3)."""
    span = fixed.transposed_span(*wanted, size, op.weight.shape[-1], op.stride, op.padding, op.output_padding)
    return Part(span, span[0] * op.stride)


@part_of.register(ops.Nearest)
@part_of.register(ops.PixelShuffle)
def _(op: ops.Nearest | ops.PixelShuffle, axis: int, wanted: Span, size: int) -> Part:
    """Samples whose blocks are met (SPEC PATCH-4)."""
    factor = getattr(op, FACTORS[axis])
    span = fixed.enlarged_span(*wanted, factor)
    return Part(span, span[0] * factor)


@part_of.register
def _(op: ops.Resize, axis: int, wanted: Span, size: int) -> Part:
    """Samples on both sides (SPEC PATCH-4)."""
    factor = getattr(op, FACTORS[axis])
    span = fixed.resized_span(*wanted, size, factor)
    return Part(span, span[0] * factor)


@part_of.register
def _(op: ops.Tile, axis: int, wanted: Span, size: int) -> Part:
    """The whole plane, repeated no more often than is wanted (SPEC PATCH-5)."""
    first = wanted[0] // size
    return Part((0, size), first * size, {FACTORS[axis]: (wanted[1] - 1) // size + 1 - first})


@part_of.register
def _(op: ops.Crop, axis: int, wanted: Span, size: int) -> Part:
    """The same samples, none of them left out (SPEC PATCH-5)."""
    before, after = SIDES[axis]
    skipped = getattr(op, before)
    return Part((wanted[0] + skipped, wanted[1] + skipped), wanted[0], {before: 0, after: 0})


@part_of.register
def _(op: ops.Pad, axis: int, wanted: Span, size: int) -> Part:
    """The same samples, among the zeros that are wanted (SPEC PATCH-5)."""
    before, after = SIDES[axis]
    zeros = getattr(op, before)
    first = fixed.clip(wanted[0] - zeros, 0, size - 1)  # one sample at least, even where only zeros are wanted
    end = fixed.clip(wanted[1] - zeros, first + 1, size)
    missing = max(zeros - wanted[0], 0), max(wanted[1] - zeros - size, 0)
    return Part((first, end), zeros + first - missing[0], {before: missing[0], after: missing[1]})


@part_of.register(ops.Embedding)
@part_of.register(ops.PositionalEncoding)
def _(op: AnyOperation, axis: int, wanted: Span, size: int) -> Part:
    """The frame number, for a whole result (SPEC PATCH-5)."""
    return Part((0, size), 0)


def run_patch(program: Program, inputs: Mapping[str, np.ndarray], rectangle: Rectangle) -> dict[str, np.ndarray]:
    """One rectangle of the only output, the same integers as those of the whole run (SPEC PATCH-1).

    inputs  whole, (C, H, W) integers for every input tensor, by name.
    Returns the output tensor (C, height, width) by name.  Raises ShapeError, RangeError where the rectangle leaves the
    output, and ModelError RC-MODEL-SCHEMA for several outputs, RC-MODEL-FAMILY for a scale space or a warp.
    """
    live = program.accept(inputs)
    sizes = program.all_sizes({name: (x.shape[1], x.shape[2]) for name, x in live.items()})
    windows = _windows(program, sizes, rectangle)
    live = {name: _cut(x, ((0, x.shape[1]), (0, x.shape[2])), windows[name]) for name, x in live.items()}
    last_use = {name: position for position, op in enumerate(program.operations) for name in op.reads}
    for position, op in enumerate(program.operations):
        rows, columns = _parts(op, sizes, windows[op.target])
        read = [_cut(live[name], windows[name], (rows.span, columns.span)) for name in op.reads]
        for name in set(op.reads):
            if last_use[name] == position:
                del live[name]
        local = _changed(op, {**rows.changes, **columns.changes})
        found = local.run(read, [program.tensor(name) for name in op.reads], program.tensor(op.target))
        del read
        held = (rows.origin, rows.origin + found.shape[1]), (columns.origin, columns.origin + found.shape[2])
        live[op.target] = _cut(found, held, windows[op.target])
    return live


def _windows(program: Program, sizes: Mapping[str, Size], rectangle: Rectangle) -> dict[str, Window]:
    """Where each tensor is needed."""
    output, (top, left, height, width) = program.output.name, rectangle
    rows, columns = sizes[output]
    if not (0 <= top < top + height <= rows and 0 <= left < left + width <= columns):
        raise RangeError(f"{program.name}: no {rectangle} within {rows} rows and {columns} columns")
    found = {output: ((top, top + height), (left, left + width))}
    for op in reversed(program.operations):
        window = tuple(part.span for part in _parts(op, sizes, found[op.target]))
        for name in op.reads:
            known = found.get(name, window)
            found[name] = _hull(known[0], window[0]), _hull(known[1], window[1])
    return found


def _hull(one: Span, other: Span) -> Span:
    return min(one[0], other[0]), max(one[1], other[1])


def _parts(op: AnyOperation, sizes: Mapping[str, Size], window: Window) -> tuple[Part, Part]:
    """Rows and columns; the sources of an operation that reads several have one size."""
    size = sizes[op.reads[0]]
    return part_of(op, 0, window[0], size[0]), part_of(op, 1, window[1], size[1])


def _changed(op: Any, changes: Mapping[str, int]) -> AnyOperation:
    return replace(op, **changes) if changes else op


def _cut(x: np.ndarray, held: Window, wanted: Window) -> np.ndarray:
    """The wanted part of a tensor of which a part is held."""
    rows, columns = (slice(w[0] - h[0], w[1] - h[0]) for h, w in zip(held, wanted, strict=True))
    return np.ascontiguousarray(x[:, rows, columns])
