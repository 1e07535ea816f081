"""Blur and scale space: kernel, definition, fractions, matrices and PyTorch's agree (SPEC BLUR-1 to BLUR-4)."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from typing import Any

import naive_resampling
import numpy as np
import pytest

from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.fixed import GAUSSIAN
from refcodec.formats import IntFormat
from refcodec.layers.scale_space import (
    blur,
    blur_plain,
    halve,
    halve_plain,
    scale_space,
    scale_space_plain,
)
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations import Tensor, check_operation
from refcodec.program.operations.scale_space import ScaleSpace
from refcodec.program.program import Program
from refcodec.program.reach import Reach
from refcodec.vectorgen.corners.resampling import scale_space_cases

S8, U8, S16, U16 = IntFormat(8, True), IntFormat(8, False), IntFormat(16, True), IntFormat(16, False)


def blur_matrix(size: int) -> np.ndarray:
    """(size, size) weights of one axis out of 2**14, the border's taps gathered on the outermost samples."""
    matrix = np.zeros((size, size), np.int64)
    for k, weight in enumerate(naive_resampling.gaussian()):
        np.add.at(matrix, (np.arange(size), np.clip(np.arange(size) + k - 5, 0, size - 1)), weight)
    return matrix


def enlarging_matrix(size: int) -> np.ndarray:
    """(2 * size, size) weights out of 4: three parts of the own sample, one of the neighbour."""
    matrix = np.zeros((2 * size, size), np.int64)
    for k in range(size):
        matrix[2 * k : 2 * k + 2, k] = 3
        matrix[2 * k, max(k - 1, 0)] += 1
        matrix[2 * k + 1, min(k + 1, size - 1)] += 1
    return matrix


def rounded(total: np.ndarray, shift: int) -> np.ndarray:
    """Divided by 2**shift, halves towards plus infinity."""
    return (2 * total + 2**shift) // 2 ** (shift + 1)


def blur_sums(x: np.ndarray) -> np.ndarray:
    """The exact weighted sums of a blur, out of 2**28."""
    return blur_matrix(x.shape[1]) @ x.astype(np.int64) @ blur_matrix(x.shape[2]).T


def block_sums(x: np.ndarray) -> np.ndarray:
    """The sums of blocks of 2 x 2 samples."""
    return x.astype(np.int64).reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2).sum(axis=(2, 4))


def exact(x: np.ndarray, levels: int) -> np.ndarray:
    """A scale space (levels + 1, C, H, W) by products of matrices."""
    low = rounded(blur_sums(x), 28)
    slices = [x, low]
    for level in range(1, levels):
        low = rounded(blur_sums(rounded(block_sums(low), 2)), 28)
        wide = low
        for _ in range(level):
            wide = rounded(enlarging_matrix(wide.shape[1]) @ wide @ enlarging_matrix(wide.shape[2]).T, 4)
        slices.append(wide)
    return np.stack(slices)


def agree_blur(x: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """The common result of kernel, definition and fractions."""
    found = blur(x, fmt)
    assert found.dtype == fmt.dtype
    np.testing.assert_array_equal(found, blur_plain(x, fmt))
    assert found.tolist() == [naive_resampling.blur(plane) for plane in x.tolist()]
    return found


def agree_halve(x: np.ndarray, fmt: IntFormat) -> np.ndarray:
    """The common result of code, definition and fractions."""
    found = halve(x, fmt)
    assert found.dtype == fmt.dtype
    np.testing.assert_array_equal(found, halve_plain(x, fmt))
    assert found.tolist() == [naive_resampling.halve(plane) for plane in x.tolist()]
    return found


def agree(x: np.ndarray, levels: int, fmt: IntFormat) -> np.ndarray:
    """The common result of kernel, definition and fractions, (levels + 1, C, H, W)."""
    found = scale_space(x, levels, fmt)
    assert found.dtype == fmt.dtype
    np.testing.assert_array_equal(found, scale_space_plain(x, levels, fmt))
    slices = found.reshape(levels + 1, *x.shape)
    for c, plane in enumerate(x.tolist()):
        assert slices[:, c].tolist() == naive_resampling.scale_space(plane, levels)
    return slices


# --- the weights


def test_gaussian_is_correctly_rounded_and_sums_to_its_unit() -> None:
    """Catches a weight that is one off; the nearest to a half is 124.498."""
    assert naive_resampling.gaussian() == GAUSSIAN
    assert sum(GAUSSIAN) == 2**14
    assert GAUSSIAN[::-1] == GAUSSIAN
    line = np.exp(-(np.arange(-5, 6) ** 2) / 4.5)
    assert np.abs(2**14 * line / line.sum() - GAUSSIAN).max() < 0.4982


# --- blur


@pytest.mark.parametrize("value", [S16.lo, -1, 0, 1, S16.hi])
def test_blur_of_an_impulse_is_the_outer_product(value: int) -> None:
    """Catches any wrong, missing or misplaced weight."""
    x = np.zeros((1, 13, 15), np.int16)
    x[0, 6, 7] = value
    found = agree_blur(x, S16)[0]
    wanted = np.zeros((13, 15), np.int64)
    wanted[1:12, 2:13] = rounded(np.outer(GAUSSIAN, GAUSSIAN) * value, 28)
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("y", "i"), [(0, 0), (0, 8), (11, 0), (11, 8), (5, 0), (0, 4)])
def test_blur_repeats_the_border(y: int, i: int) -> None:
    """An impulse at the border is met by all the taps beyond it."""
    x = np.zeros((1, 12, 9), np.int16)
    x[0, y, i] = S16.lo
    found = agree_blur(x, S16)[0]
    np.testing.assert_array_equal(found, rounded(np.outer(blur_matrix(12)[:, y], blur_matrix(9)[:, i]) * S16.lo, 28))
    if (y, i) == (0, 0):
        assert found[0, 0] == rounded(np.array(sum(GAUSSIAN[:6]) ** 2 * S16.lo), 28)


def test_blur_keeps_every_flat_plane() -> None:
    """Catches weights that do not sum to their unit."""
    for fmt in (S8, U8, S16, U16, IntFormat(1, True)):
        values = np.unique(np.linspace(fmt.lo, fmt.hi, 512).astype(np.int64))
        assert {fmt.lo, fmt.hi} <= set(values.tolist())
        flat = np.repeat(values, 6).reshape(-1, 2, 3)
        np.testing.assert_array_equal(blur(flat, fmt), flat)
    agree_blur(np.array([S16.lo, S16.hi]).repeat(4).reshape(2, 2, 2), S16)
    agree_blur(np.full((1, 2, 2), U16.hi), U16)


@pytest.mark.parametrize("shape", [(3, 1, 1), (2, 1, 7), (2, 7, 1), (2, 3, 5), (1, 11, 11), (1, 13, 24), (0, 2, 2)])
@pytest.mark.parametrize("fmt", [S8, U16], ids=str)
def test_blur_agrees_on_planes_smaller_and_larger_than_its_kernel(
    shape: tuple[int, int, int], fmt: IntFormat, rng: np.random.Generator
) -> None:
    agree_blur(rng.integers(fmt.lo, fmt.hi, shape, endpoint=True), fmt)


def test_blur_agrees_on_all_planes_of_two_by_two_small_samples() -> None:
    every = np.array(list(product(range(-2, 2), repeat=4)), np.int16).reshape(-1, 2, 2)
    agree_blur(every, IntFormat(2, True))


def test_blur_rounds_ties_up_on_both_sides_of_zero(rng: np.random.Generator) -> None:
    """In planes of one row the sum is 2**14 times that of the row, so that halves can be found by drawing."""
    rows = rng.integers(-128, 128, (10**6, 11))
    sums = rows @ np.array(GAUSSIAN)
    ties = sums % 2**14 == 2**13
    assert min((ties & (sums < 0)).sum(), (ties & (sums > 0)).sum()) > 15
    found = agree_blur(rows[ties][:, None, :], S8)[:, 0, 5]
    assert found.tolist() == ((sums[ties] + 2**13) // 2**14).tolist()
    assert (2 * found > sums[ties] / 2**13).all()


# --- halving


def test_halve_agrees_on_all_blocks_of_small_samples_with_ties_on_both_sides_of_zero() -> None:
    every = np.array(list(product(range(-4, 4), repeat=4)), np.int16).reshape(-1, 2, 2)
    found = agree_halve(every, IntFormat(3, True)).ravel()
    sums = every.sum(axis=(1, 2))
    assert {-6, -2, 2, 6} <= set(sums.tolist())
    assert {s: int(v) for s, v in zip(sums.tolist(), found, strict=True) if s % 4 == 2} == {
        -14: -3, -10: -2, -6: -1, -2: 0, 2: 1, 6: 2, 10: 3,
    }  # fmt: skip


@pytest.mark.parametrize("fmt", [S16, U16, IntFormat(1, False)], ids=str)
def test_halve_agrees_at_the_ends_and_on_blocks_in_their_places(fmt: IntFormat, rng: np.random.Generator) -> None:
    agree_halve(np.resize([fmt.lo, fmt.hi, fmt.hi], (3, 2, 6)), fmt)
    agree_halve(np.array([fmt.lo, fmt.hi]).repeat(4).reshape(2, 2, 2), fmt)
    agree_halve(rng.integers(fmt.lo, fmt.hi, (2, 6, 4), endpoint=True), fmt)


# --- scale space


@pytest.mark.parametrize(
    ("levels", "shape"),
    [(1, (2, 1, 1)), (1, (2, 3, 5)), (2, (2, 2, 2)), (2, (1, 4, 6)), (3, (2, 4, 8)), (4, (1, 8, 8)), (4, (1, 16, 8)),
     (5, (1, 16, 16)), (5, (2, 16, 48)), (6, (1, 32, 32)), (6, (1, 64, 32))],
)  # fmt: skip
@pytest.mark.parametrize("fmt", [S8, U16], ids=str)
def test_scale_space_agrees_from_the_smallest_sizes_on(
    levels: int, shape: tuple[int, int, int], fmt: IntFormat, rng: np.random.Generator
) -> None:
    x = rng.integers(fmt.lo, fmt.hi, shape, endpoint=True)
    slices = agree(x, levels, fmt)
    np.testing.assert_array_equal(slices, exact(x, levels))
    np.testing.assert_array_equal(slices[0], x)
    if shape[1] == shape[2] == 1 << (levels - 1):
        assert all(np.unique(plane).size == 1 for plane in slices[-1])


@pytest.mark.parametrize("fmt", [S8, U8, S16, U16, IntFormat(1, True)], ids=str)
def test_scale_space_keeps_flat_planes(fmt: IntFormat) -> None:
    flat = np.repeat([fmt.lo, fmt.hi], 64).reshape(2, 8, 8)
    np.testing.assert_array_equal(agree(flat, 4, fmt), np.stack([flat] * 5))


def test_scale_space_puts_slices_before_channels(rng: np.random.Generator) -> None:
    """Plane d * C + c; catches channels outside and slices inside."""
    x = np.stack([np.full((2, 2), 10), np.full((2, 2), 20), np.full((2, 2), 30)])
    assert scale_space(x, 2, S8)[:, 0, 0].tolist() == [10, 20, 30] * 3
    assert scale_space_plain(x, 2, S8)[:, 0, 0].tolist() == [10, 20, 30] * 3


def test_scale_space_agrees_on_a_million_values(rng: np.random.Generator) -> None:
    """Also shows that the halvings and enlargements on the way meet ties."""
    x = rng.integers(-(2**15), 2**15, (28, 64, 96)) >> rng.integers(0, 15, (28, 1, 1))
    found = scale_space(x.astype(np.int16), 5, S16)
    assert found.size >= 10**6
    wanted = exact(x, 5)
    np.testing.assert_array_equal(found.reshape(wanted.shape), wanted)
    sums = block_sums(wanted[1])
    assert min((sums[sums < 0] % 4 == 2).sum(), (sums[sums > 0] % 4 == 2).sum()) > 1000


@pytest.mark.parametrize("fmt", [U8, S16], ids=str)
def test_scale_space_is_within_its_roundings_of_the_float_formula(fmt: IntFormat, rng: np.random.Generator) -> None:
    """Slice n is n blurs, n - 1 halvings and n - 1 enlargements away, of which none makes an error larger.

    Each adds half a step. A blur adds half the span of the format times the sum of all differences between its weights
    and the Gaussian: both sum to one, so only the deviation from the middle counts. 1e-8 is for float64.
    """
    x = rng.integers(fmt.lo, fmt.hi, (28, 64, 96), endpoint=True)
    x[:14] = np.where(x[:14] * 2 > fmt.lo + fmt.hi, fmt.hi, fmt.lo)  # the largest contrasts, in blocks and in noise
    x[:7] = x[:7, ::8, ::8].repeat(8, axis=1).repeat(8, axis=2)
    error = np.abs(scale_space(x, 5, fmt).reshape(6, *x.shape) - naive_resampling.float_scale_space(x * 1.0, 5))
    assert error.size >= 10**6
    weights = np.outer(GAUSSIAN, GAUSSIAN) / 2**28
    blurring = 0.5 + np.abs(weights - naive_resampling.float_gaussian()).sum() * (fmt.hi - fmt.lo) / 2
    worst = error.max(axis=(1, 2, 3))
    assert worst[0] == 0
    for number in range(1, 6):
        assert 0.45 < worst[number] <= number * blurring + (number - 1) + 1e-8


# --- arrays


def test_scale_space_reads_any_layout_and_dtype_and_changes_nothing(rng: np.random.Generator) -> None:
    base = rng.integers(0, 100, (5, 8, 8))
    for dtype in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint64, ">i4"):
        typed = base.astype(dtype)
        for view in (typed, typed.transpose(0, 2, 1), typed[:, ::2, ::-1], typed[::-1]):
            kept, wanted = view.copy(), exact(view, 3).reshape(-1, *view.shape[1:])
            np.testing.assert_array_equal(scale_space(view, 3, S8), wanted)
            np.testing.assert_array_equal(scale_space_plain(view, 3, S8), wanted)
            np.testing.assert_array_equal(view, kept)


def test_scale_space_takes_no_channels() -> None:
    for function in (scale_space, scale_space_plain):
        assert function(np.zeros((0, 4, 2), np.int16), 2, S8).shape == (0, 4, 2)
    for function in (halve, halve_plain):
        assert function(np.zeros((0, 4, 2), np.int16), S8).shape == (0, 2, 1)


UNCOMPILED = """
import json, sys
import numpy as np
from refcodec.formats import IntFormat
from refcodec.layers.scale_space import scale_space
fmt = IntFormat(16, sys.argv[1] == "signed")
x = np.array([[[fmt.lo] * 4] * 4, [[fmt.hi] * 4] * 4, [[fmt.lo, fmt.hi] * 2] * 4])
print(json.dumps(scale_space(x, 3, fmt).tolist()))
"""


@pytest.mark.parametrize("fmt", [S16, U16], ids=str)
def test_scale_space_wraps_nowhere_at_the_ends_without_the_compiler(fmt: IntFormat, run_uncompiled: Callable) -> None:
    """NumPy warns where a scalar wraps, and warnings are errors."""
    x = np.array([[[fmt.lo] * 4] * 4, [[fmt.hi] * 4] * 4, [[fmt.lo, fmt.hi] * 2] * 4])
    printed = run_uncompiled(UNCOMPILED, "signed" if fmt.signed else "unsigned")
    assert json.loads(printed) == scale_space(x, 3, fmt).tolist() == exact(x, 3).reshape(-1, 4, 4).tolist()


# --- refusals


@pytest.mark.parametrize(
    ("function", "arguments"),
    [(blur, ()), (blur_plain, ()), (halve, ()), (halve_plain, ()), (scale_space, (2,)), (scale_space_plain, (2,))],
)
@pytest.mark.parametrize("shape", [(2, 2), (1, 0, 2), (1, 2, 0), (1, 1, 2, 2)])
def test_blur_halve_and_scale_space_refuse_shapes(
    function: Callable, arguments: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: expected x \(C, H, W\) of at least one sample, got \("):
        function(np.zeros(shape, np.int16), *arguments, S8)


@pytest.mark.parametrize("function", [scale_space, scale_space_plain])
@pytest.mark.parametrize(
    ("levels", "height", "width"), [(2, 3, 2), (2, 2, 3), (2, 1, 1), (3, 6, 4), (5, 16, 8), (6, 32, 16), (6, 48, 32)]
)
def test_scale_space_refuses_sides_that_cannot_be_halved(
    function: Callable, levels: int, height: int, width: int
) -> None:
    multiple = 2 ** (levels - 1)
    message = rf"^RC-SHAPE: height and width must be multiples of {multiple}, got {height} x {width}$"
    with pytest.raises(ShapeError, match=message):
        function(np.zeros((1, height, width), np.int16), levels, S8)
    with pytest.raises(ShapeError, match=message):
        one(levels).sizes(height, width)


@pytest.mark.parametrize("function", [halve, halve_plain])
@pytest.mark.parametrize("shape", [(1, 3, 2), (1, 2, 3), (1, 1, 1)])
def test_halve_refuses_odd_sides(function: Callable, shape: tuple[int, int, int]) -> None:
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: height and width must be multiples of 2, got"):
        function(np.zeros(shape, np.int16), S8)


@pytest.mark.parametrize("function", [scale_space, scale_space_plain])
@pytest.mark.parametrize(
    ("levels", "fmt", "x", "message"),
    [
        (0, S8, 0, r"levels must be 1\.\.6, got 0"),
        (7, S8, 0, r"levels must be 1\.\.6, got 7"),
        (-1, S8, 0, r"levels must be 1\.\.6"),
        (2, IntFormat(17, True), 0, r"a scale space takes at most 16 bits, got s17"),
        (2, S8, -129, r"x: values -129 \.\. -129 leave s8"),
        (2, S8, 0.5, r"x: expected integers, got float64"),
    ],
)
def test_scale_space_refuses(function: Callable, levels: int, fmt: IntFormat, x: Any, message: str) -> None:
    with pytest.raises(RangeError, match=rf"^RC-RANGE: {message}"):
        function(np.full((1, 64, 64), x), levels, fmt)


# --- the operation


def one(levels: int, fmt: IntFormat = S8, channels: int = 2) -> Program:
    """A program of one scale space."""
    tensors = Tensor("x", channels, fmt), Tensor("y", channels * (levels + 1), fmt)
    return Program("p", tensors, (ScaleSpace("s", "x", "y", levels),))


@pytest.mark.parametrize("levels", [1, 3, 6])
def test_scale_space_operation_runs_and_sizes(levels: int, rng: np.random.Generator) -> None:
    x = rng.integers(-128, 128, (2, 32, 64))
    program = one(levels)
    found = program.run(x)
    np.testing.assert_array_equal(found, exact(x, levels).reshape(found.shape))
    np.testing.assert_array_equal(program.run_plain(x[:, :, :32]), scale_space(x[:, :, :32], levels, S8))
    assert found.dtype == np.int16
    assert program.sizes(32, 64) == {"x": (32, 64), "y": (32, 64)}


@pytest.mark.parametrize(
    ("levels", "source", "target", "code", "message"),
    [
        (0, ("x", 2, S8), ("y", 2, S8), "RC-MODEL-RANGE", "s: levels must be 1..6, got 0"),
        (7, ("x", 2, S8), ("y", 16, S8), "RC-MODEL-RANGE", "s: levels must be 1..6, got 7"),
        (2, ("x", 2, S8), ("y", 4, S8), "RC-MODEL-TENSOR", "s: 3 slices of 2 channels do not make 4"),
        (2, ("x", 2, S8), ("y", 6, U8), "RC-MODEL-RANGE", "s: keeps a format of at most 16 bits, .* s8 to u8"),
        (2, ("x", 2, IntFormat(17, True)), ("y", 6, IntFormat(17, True)), "RC-MODEL-RANGE", "s: .* s17 to s17"),
    ],
)
def test_scale_space_operation_refuses(levels: int, source: Any, target: Any, code: str, message: str) -> None:
    with pytest.raises(ModelError, match=rf"^{code}: {message}") as caught:
        check_operation(ScaleSpace("s", "x", "y", levels), [Tensor(*source)], Tensor(*target))
    assert caught.value.code == code


def test_scale_space_reach_and_intermediates_are_attained_and_never_passed() -> None:
    """All planes of 2 x 2 samples -3 .. 1 in one channel and 2 .. 3 in another."""
    op, fmt = ScaleSpace("s", "x", "y", 2), IntFormat(3, True)
    source = Reach(np.array([-3, 2]), np.array([1, 3]))
    reach, largest = op.reach([source], Tensor("y", 6, fmt)), op.intermediates([source])
    seen = dict.fromkeys(largest, 0)
    for c, values in enumerate((range(-3, 2), range(2, 4))):
        planes = np.array(list(product(values, repeat=4))).reshape(-1, 2, 2)
        slices = scale_space(planes, 2, fmt).reshape(3, -1, 2, 2)
        for number in range(3):
            found = slices[number].min(), slices[number].max()
            assert found == (reach.lo[2 * number + c], reach.hi[2 * number + c])
        blurs, blocks = blur_sums(planes), block_sums(slices[1])
        halved = rounded(blur_sums(rounded(blocks, 2)), 28)
        wide = enlarging_matrix(1) @ halved @ enlarging_matrix(1).T
        steps = {"blur_row": planes @ blur_matrix(2).T, "blur_sum": blurs, "blur_rounded": blurs + 2**27}
        steps |= {"halve_sum": blocks, "halve_rounded": blocks + 2, "resize_sum": wide, "resize_rounded": wide + 8}
        seen = {name: max(seen[name], int(np.abs(step).max())) for name, step in steps.items()}
    assert largest == seen
    assert set(ScaleSpace("s", "x", "y", 1).intermediates([source])) == {"blur_row", "blur_sum", "blur_rounded"}


def test_scale_space_survives_a_model_file() -> None:
    model = Model("any", {}, {"p": one(5)}, {})
    read = model_from_bytes(model_to_bytes(model))
    (op,) = read.programs["p"].operations
    assert isinstance(op, ScaleSpace)
    assert (op.name, op.source, op.target, op.levels) == ("s", "x", "y", 5)
    assert read.identity == model.identity


# --- conformance cases


def test_scale_space_cases_are_distinct_and_their_results_those_of_the_fractions() -> None:
    cases = list(scale_space_cases())
    assert len({case.id for case in cases}) == len(cases)
    assert {case.error for case in cases} == {None, "RC-SHAPE", "RC-MODEL-RANGE"}
    for case in (case for case in cases if case.error is None):
        x, y, levels = case.inputs["x"].array, case.outputs["y"].array, case.parameters["levels"]
        slices = y.reshape(levels + 1, *x.shape)
        for c, plane in enumerate(x.tolist()):
            assert slices[:, c].tolist() == naive_resampling.scale_space(plane, levels)
        if "Negative" in case.flags:
            assert (x < 0).any()
        if "Tie" in case.flags:
            sums, unit = (block_sums(slices[1]), 4) if levels > 1 else (blur_sums(x), 2**28)
            assert set((sums[sums % unit == unit // 2] > 0).tolist()) == {False, True}
        if "ExtremeAccumulator" in case.flags:
            assert {S16.lo, S16.hi} <= set(slices[1:].ravel().tolist())
        if "Border" in case.flags:
            padded = np.pad(x, ((0, 0), (5, 5), (5, 5)))
            assert (rounded(blur_sums(padded), 28)[:, 5:-5, 5:-5] != slices[1]).any()
