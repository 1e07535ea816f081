"""Bilinear enlargement: kernel, definition, fractions, matrices and PyTorch's formula agree (SPEC RES-1 to RES-3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import naive_resampling
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.resize import axis_taps, resize, resize_plain
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations import Tensor, check_operation
from refcodec.program.operations.resize import Resize
from refcodec.program.program import Program
from refcodec.program.reach import Reach
from refcodec.vectorgen.corners.resampling import resize_cases

FACTORS = list(product(range(1, 6), repeat=2))
S8, S16, S32, U32 = IntFormat(8, True), IntFormat(16, True), IntFormat(32, True), IntFormat(32, False)


def matrix(size: int, factor: int) -> np.ndarray:
    """(size * factor, size) weights out of 2 * factor: triangles around the samples, places clamped."""
    unit = 2 * factor
    place = np.clip(2 * np.arange(size * factor) + 1 - factor, 0, (size - 1) * unit)
    return np.maximum(unit - np.abs(place[:, None] - unit * np.arange(size)), 0)


def numerators(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The exact weighted sums, out of 4 * rows * columns, as products of matrices."""
    return matrix(x.shape[1], rows) @ x.astype(np.int64) @ matrix(x.shape[2], columns).T


def exact(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Those sums divided by their unit, halves towards plus infinity."""
    unit = 4 * rows * columns
    return (2 * numerators(x, rows, columns) + unit) // (2 * unit)


def ties(x: np.ndarray, rows: int, columns: int) -> tuple[int, int]:
    """How many halves there are below zero, and how many above."""
    sums, unit = numerators(x, rows, columns), 4 * rows * columns
    half = sums % unit == unit // 2
    return int((half & (sums < 0)).sum()), int((half & (sums > 0)).sum())


def agree(x: np.ndarray, rows: int, columns: int, fmt: IntFormat) -> np.ndarray:
    """The common result of kernel, definition and fractions."""
    found = resize(x, rows, columns, fmt)
    assert found.dtype == fmt.dtype
    np.testing.assert_array_equal(found, resize_plain(x, rows, columns, fmt))
    assert found.tolist() == [naive_resampling.resize(plane, rows, columns) for plane in x.tolist()]
    return found


# --- all planes of small widths


@pytest.mark.parametrize(("rows", "columns"), FACTORS)
def test_resize_agrees_on_all_planes_of_two_by_two_small_samples(rows: int, columns: int) -> None:
    """All 256 planes of two bits by the fractions, all 4096 of three bits by matrices."""
    every = np.array(list(product(range(-2, 2), repeat=4)), np.int16).reshape(-1, 2, 2)
    agree(every, rows, columns, IntFormat(2, True))
    wide = np.array(list(product(range(-4, 4), repeat=4)), np.int16).reshape(-1, 2, 2)
    np.testing.assert_array_equal(resize(wide, rows, columns, IntFormat(3, True)), exact(wide, rows, columns))
    # With odd factors alone the unit has one factor of two left after cancelling, and no half is ever reached.
    below, above = ties(wide, rows, columns)
    assert (min(below, above) > 0) == (rows % 2 == 0 or columns % 2 == 0)


@pytest.mark.parametrize("factor", range(1, 6))
@pytest.mark.parametrize("size", [1, 2, 3])
def test_resize_agrees_on_all_lines_along_either_axis(factor: int, size: int) -> None:
    lines = np.array(list(product(range(-4, 4), repeat=size)), np.int16)
    found = agree(lines[:, None, :], 1, factor, IntFormat(3, True))
    np.testing.assert_array_equal(agree(lines[:, :, None], factor, 1, IntFormat(3, True))[:, :, 0], found[:, 0])


# --- corners


def test_resize_rounds_ties_up_on_both_sides_of_zero() -> None:
    """Catches rounding to even, away from zero and towards zero."""
    line = np.array([[[0, 2, 0, -2, 0, 6, 0, -6]]], np.int16)
    wanted = [0, 1, 2, 2, 1, 0, -1, -1, 0, 2, 5, 5, 2, -1, -4, -6]
    assert agree(line, 1, 2, S8).tolist() == [[wanted]]
    assert agree(line.transpose(0, 2, 1), 2, 1, S8).tolist() == [[[v] for v in wanted]]
    assert min(ties(line, 1, 2)) > 0


def test_resize_rounds_once() -> None:
    """Catches a rounding of the rows before that of the columns."""
    plane = np.array([[[1, 0, 2], [3, 0, -2]]], np.int16)
    found = agree(plane, 2, 2, S8)
    rows_first = exact(exact(plane, 1, 2), 2, 1)
    assert (found != rows_first).any()


@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (1, 5), (5, 1), (2, 3)])
@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 4), (2, 4, 1), (1, 3, 2)])
@pytest.mark.parametrize("fmt", [S32, U32, S16, IntFormat(1, False)], ids=str)
def test_resize_agrees_at_the_ends_of_formats_and_on_single_samples_rows_and_columns(
    rows: int, columns: int, shape: tuple[int, int, int], fmt: IntFormat
) -> None:
    ends = np.resize(np.array([fmt.lo, fmt.hi, fmt.hi, fmt.lo, fmt.lo], np.int64), shape)
    found = agree(ends, rows, columns, fmt)
    assert found.min() == ends.min()
    assert found.max() == ends.max()
    if shape[1:] == (1, 1):
        assert (found == ends).all()


def test_resize_by_one_changes_nothing(rng: np.random.Generator) -> None:
    x = rng.integers(S32.lo, S32.hi, (3, 5, 7))
    np.testing.assert_array_equal(agree(x, 1, 1, S32), x)


def test_resize_repeats_the_border_and_puts_one_sample_where_it_belongs() -> None:
    """A one-hot sample of 2**20: catches rows taken for columns, and zeros beyond the border."""
    x = np.zeros((1, 3, 4), np.int32)
    x[0, 0, 1] = 2**20
    found = agree(x, 2, 4, S32)[0]
    assert found[:, 0].tolist() == [0] * 6
    assert [Fraction(v, 2**20) for v in found[0, 2:10].tolist()] == [Fraction(n, 8) for n in (1, 3, 5, 7, 7, 5, 3, 1)]
    assert [Fraction(v, 2**20) for v in found[:, 5].tolist()] == [Fraction(n, 32) for n in (28, 21, 7, 0, 0, 0)]


@pytest.mark.parametrize(
    ("factor", "weights"),
    [
        (2, [Fraction(3, 4), Fraction(1, 4)]),
        (3, [Fraction(2, 3), Fraction(0), Fraction(1, 3)]),
        (4, [Fraction(n, 8) for n in (5, 7, 1, 3)]),
        (5, [Fraction(n, 5) for n in (3, 4, 0, 1, 2)]),
    ],
)
def test_axis_taps_are_halves_of_the_factor(factor: int, weights: list[Fraction]) -> None:
    """The weights of the second sample are whole parts of 2 * factor, for the outputs of one inner sample."""
    taps = axis_taps(6, factor)
    inner = [Fraction(w, 2 * factor) for w in taps[3, 2 * factor : 3 * factor].tolist()]
    assert inner == weights
    assert taps.shape == (4, 6 * factor)
    assert taps[2:].sum(axis=0).tolist() == [2 * factor] * (6 * factor)


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("factor", range(1, 6))
def test_axis_taps_are_those_of_the_specification(size: int, factor: int) -> None:
    taps = axis_taps(size, factor)
    for y, (first, second, near, far) in enumerate(taps.T.tolist()):
        assert (first, second, far) == fixed.line_taps(2 * y + 1 - factor, 2 * factor, size)
        assert near == 2 * factor - far


# --- a million values


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (4, 2), (3, 5), (5, 4), (1, 3)])
@pytest.mark.parametrize("fmt", [S8, S16, S32, U32], ids=str)
def test_resize_agrees_on_a_million_values(rows: int, columns: int, fmt: IntFormat, rng: np.random.Generator) -> None:
    channels = 1 + 10**6 // (15 * 17 * rows * columns)
    x = rng.integers(fmt.lo, fmt.hi, (channels, 15, 17), endpoint=True)
    x >>= rng.integers(0, fmt.bits, (channels, 1, 1))
    found = resize(x.astype(fmt.dtype), rows, columns, fmt)
    assert found.size >= 10**6
    np.testing.assert_array_equal(found, exact(x, rows, columns))
    if fmt.signed and (rows * columns) % 2 == 0:
        assert min(ties(x, rows, columns)) > 1000
    c = int(rng.integers(channels))
    assert found[c].tolist() == naive_resampling.resize(x[c].tolist(), rows, columns)


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (3, 3), (5, 4), (1, 5)])
def test_resize_is_within_half_a_step_of_the_float_formula(rows: int, columns: int, rng: np.random.Generator) -> None:
    """The exact value is within 1/2 of its rounding; the formula in float64 is within 1e-9 of the exact value."""
    channels = 1 + 10**6 // (15 * 17 * rows * columns)
    x = rng.integers(S16.lo, S16.hi, (channels, 15, 17), endpoint=True)
    wanted = naive_resampling.float_resize(x.astype(np.float64), rows, columns)
    error = np.abs(resize(x, rows, columns, S16) - wanted)
    assert error.size >= 10**6
    assert 0.39 < error.max() <= 0.5 + 1e-9


# --- arrays


def test_resize_reads_any_layout_and_dtype_and_changes_nothing(rng: np.random.Generator) -> None:
    base = rng.integers(0, 100, (5, 8, 6))
    for dtype in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint64, ">i4"):
        typed = base.astype(dtype)
        for view in (typed, typed.transpose(0, 2, 1), typed[:, ::2, ::-1], typed[::-1]):
            kept = view.copy()
            np.testing.assert_array_equal(resize(view, 2, 3, S8), exact(view, 2, 3))
            np.testing.assert_array_equal(resize_plain(view, 2, 3, S8), exact(view, 2, 3))
            np.testing.assert_array_equal(view, kept)


def test_resize_takes_no_channels() -> None:
    for function in (resize, resize_plain):
        assert function(np.zeros((0, 2, 2), np.int16), 3, 2, S8).shape == (0, 6, 4)


UNCOMPILED = """
import json, sys
import numpy as np
from refcodec.formats import IntFormat
from refcodec.layers.resize import resize
fmt = IntFormat(32, sys.argv[1] == "signed")
x = np.array([[[fmt.lo, fmt.hi, fmt.hi], [fmt.lo, fmt.hi, fmt.lo]]])
print(json.dumps(resize(x, 5, 4, fmt).tolist()))
"""


@pytest.mark.parametrize("fmt", [S32, U32], ids=str)
def test_resize_wraps_nowhere_at_the_ends_without_the_compiler(fmt: IntFormat, run_uncompiled: Callable) -> None:
    """NumPy warns where a scalar wraps, and warnings are errors."""
    x = np.array([[[fmt.lo, fmt.hi, fmt.hi], [fmt.lo, fmt.hi, fmt.lo]]])
    printed = run_uncompiled(UNCOMPILED, "signed" if fmt.signed else "unsigned")
    assert json.loads(printed) == resize(x, 5, 4, fmt).tolist() == exact(x, 5, 4).tolist()


# --- refusals


@pytest.mark.parametrize("function", [resize, resize_plain])
@pytest.mark.parametrize("shape", [(2, 2), (1, 0, 2), (1, 2, 0), (1, 1, 2, 2)])
def test_resize_refuses_shapes(function: Callable, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: expected x \(C, H, W\) of at least one sample, got \("):
        function(np.zeros(shape, np.int16), 2, 2, S8)


@pytest.mark.parametrize("function", [resize, resize_plain])
@pytest.mark.parametrize(
    ("factors", "fmt", "x", "message"),
    [
        ((0, 1), S8, 0, r"factors must be 1\.\.5, got 0 and 1"),
        ((1, 6), S8, 0, r"factors must be 1\.\.5, got 1 and 6"),
        ((-1, 2), S8, 0, r"factors must be 1\.\.5"),
        ((2, 2), IntFormat(33, True), 0, r"resizing takes at most 32 bits, got s33"),
        ((2, 2), S8, 128, r"x: values 128 \.\. 128 leave s8"),
        ((2, 2), S8, 0.5, r"x: expected integers, got float64"),
    ],
)
def test_resize_refuses(function: Callable, factors: tuple[int, int], fmt: IntFormat, x: Any, message: str) -> None:
    with pytest.raises(RangeError, match=rf"^RC-RANGE: {message}"):
        function(np.full((1, 2, 2), x), *factors, fmt)


# --- the operation


def one(rows: int, columns: int, fmt: IntFormat = S8, channels: int = 2) -> Program:
    """A program of one enlargement."""
    tensors = Tensor("x", channels, fmt), Tensor("y", channels, fmt)
    return Program("p", tensors, (Resize("r", "x", "y", rows, columns),))


def test_resize_operation_runs_and_sizes(rng: np.random.Generator) -> None:
    x = rng.integers(-128, 128, (2, 3, 4))
    program = one(3, 2)
    found = program.run(x)
    np.testing.assert_array_equal(found, exact(x, 3, 2))
    np.testing.assert_array_equal(program.run_plain(x), found)
    assert found.dtype == np.int16
    assert program.sizes(3, 4) == {"x": (3, 4), "y": (9, 8)}


@pytest.mark.parametrize(
    ("factors", "source", "target", "code", "message"),
    [
        ((0, 2), ("x", 2, S8), ("y", 2, S8), "RC-MODEL-RANGE", "r: factors must be 1..5, got 0 and 2"),
        ((2, 6), ("x", 2, S8), ("y", 2, S8), "RC-MODEL-RANGE", "r: factors must be 1..5, got 2 and 6"),
        ((2, 2), ("x", 2, S8), ("y", 3, S8), "RC-MODEL-TENSOR", "r: 2 channels wanted, from 2 to 3 found"),
        ((2, 2), ("x", 2, S8), ("y", 2, S16), "RC-MODEL-RANGE", "r: keeps a format of at most 32 bits, .* s8 to s16"),
        ((2, 2), ("x", 2, IntFormat(33, True)), ("y", 2, IntFormat(33, True)), "RC-MODEL-RANGE", "r: .* s33 to s33"),
    ],
)
def test_resize_operation_refuses(factors: Any, source: Any, target: Any, code: str, message: str) -> None:
    with pytest.raises(ModelError, match=rf"^{code}: {message}") as caught:
        check_operation(Resize("r", "x", "y", *factors), [Tensor(*source)], Tensor(*target))
    assert caught.value.code == code


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 1), (2, 2), (3, 2)])
@pytest.mark.parametrize(("lo", "hi"), [(-4, 1), (-1, 3)])
def test_resize_reach_and_intermediates_are_attained_and_never_passed(
    rows: int, columns: int, lo: int, hi: int
) -> None:
    """All planes of 2 x 2 samples lo .. hi in one channel and 0 .. 1 in another."""
    op, target = Resize("r", "x", "y", rows, columns), Tensor("y", 2, IntFormat(3, True))
    source = Reach(np.array([lo, 0]), np.array([hi, 1]))
    reach, largest = op.reach([source], target), op.intermediates([source])
    seen: dict[str, int] = {"row": 0, "sum": 0, "rounded": 0}
    unit = 4 * rows * columns
    for c, values in enumerate((range(lo, hi + 1), range(2))):
        planes = np.array(list(product(values, repeat=4))).reshape(-1, 2, 2)
        outputs, sums = resize(planes, rows, columns, IntFormat(3, True)), numerators(planes, rows, columns)
        assert (outputs.min(), outputs.max()) == (reach.lo[c], reach.hi[c])
        steps = {"row": planes @ matrix(2, columns).T, "sum": sums, "rounded": sums + unit // 2}
        seen = {name: max(seen[name], int(np.abs(step).max())) for name, step in steps.items()}
    assert largest == seen


def test_resize_survives_a_model_file() -> None:
    model = Model("any", {}, {"p": one(5, 3)}, {})
    read = model_from_bytes(model_to_bytes(model))
    (op,) = read.programs["p"].operations
    assert isinstance(op, Resize)
    assert (op.name, op.source, op.target, op.rows, op.columns) == ("r", "x", "y", 5, 3)
    assert read.identity == model.identity


# --- conformance cases


def test_resize_cases_are_small_distinct_and_their_flags_true() -> None:
    """Each result is also the one of the fractions."""
    cases = list(resize_cases())
    assert len({case.id for case in cases}) == len(cases)
    for case in (case for case in cases if case.error is None):
        x, y, p = case.inputs["x"].array, case.outputs["y"].array, case.parameters
        assert y.tolist() == [naive_resampling.resize(plane, p["rows"], p["columns"]) for plane in x.tolist()]
        if "Tie" in case.flags:
            assert min(ties(x, p["rows"], p["columns"])) > 0
        if "DoubleRounding" in case.flags:
            assert (exact(exact(x, 1, p["columns"]), p["rows"], 1) != y).any()
        if "ExtremeAccumulator" in case.flags:
            assert {case.inputs["x"].format.lo, case.inputs["x"].format.hi} <= set(y.ravel().tolist())
    assert {case.error for case in cases} == {None, "RC-MODEL-RANGE"}
