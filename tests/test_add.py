"""Addition: kernel, definition, specification and fractions agree; the operation (SPEC ADD-1, ADD-2)."""

from __future__ import annotations

from itertools import product
from typing import Any

import naive_arrangement
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.add import add, add_plain
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations.add import Add
from refcodec.program.operations.operation import Tensor
from refcodec.program.program import Program
from refcodec.program.reach import Reach

S3, U3, S4, S8, U8, S16, S32, S48 = (
    IntFormat(b, s)
    for b, s in (
        (3, True), (3, False), (4, True), (8, True), (8, False), (16, True), (32, True), (48, True)
    )
)  # fmt: skip
MOST = 2**31 - 1


def agree(left: Any, right: Any, multipliers: Any, shift: int, target: IntFormat) -> list[int]:
    """The common result of kernel, definition, specification and fractions."""
    sides = [side if isinstance(side, np.ndarray) else np.array(side)[None, None] for side in (left, right)]
    scales = np.array(multipliers, np.int64)
    found, plain = add(*sides, scales, shift, target), add_plain(*sides, scales, shift, target)
    assert found.dtype == plain.dtype == target.dtype
    assert found.shape == sides[0].shape
    np.testing.assert_array_equal(found, plain)
    constants = scales.tolist(), shift, target.lo, target.hi
    pairs = list(zip(*(side.ravel().tolist() for side in sides), strict=True))
    wanted = [naive_arrangement.add(a, b, *constants) for a, b in pairs]
    assert [fixed.add(a, b, *constants) for a, b in pairs] == wanted
    assert found.ravel().tolist() == wanted
    return wanted


def exact(left: np.ndarray, right: np.ndarray, multipliers: Any, shift: int, target: IntFormat) -> np.ndarray:
    """All values at once in Python integers: floor((2 * sum + 2**shift) / 2**(shift + 1)), then the limits."""
    first, second = multipliers
    doubled = 2 * (left.astype(object) * int(first) + right.astype(object) * int(second))
    rounded = (doubled + 2**shift) // 2 ** (shift + 1)
    return np.minimum(np.maximum(rounded, target.lo), target.hi).astype(np.int64)


# --- values


@pytest.mark.parametrize("target", [S3, U3], ids=str)
def test_add_agrees_on_all_four_bit_pairs_small_multipliers_and_shifts(target: IntFormat) -> None:
    left, right = (v.astype(np.int16)[None] for v in np.meshgrid(np.arange(-8, 8), np.arange(-8, 8)))
    seen: set[int] = set()
    for first, second in product((-3, -1, 0, 2, 3), repeat=2):
        for shift in range(4):
            seen |= set(agree(left, right, [first, second], shift, target))
    assert seen == set(range(target.lo, target.hi + 1))


def test_add_rounds_ties_up_on_both_sides_of_zero_and_only_once() -> None:
    """Catches rounding to even, away from zero, towards zero, and a rounding of each side by itself."""
    assert agree([-7, -5, -3, -1, 1, 3, 5], [0] * 7, [1, 1], 1, S8) == [-3, -2, -1, 0, 1, 2, 3]
    assert agree([-8, -6, -4, -2, 0, 2, 4], [1] * 7, [1, 1], 1, S8) == [-3, -2, -1, 0, 1, 2, 3]
    assert agree([1, -1, 3], [1, -1, -1], [1, 1], 1, S8) == [1, -1, 1]
    assert agree([1, 1, 5], [2, 1, 1], [1, 1], 2, S8) == [1, 1, 2]


def test_add_gives_each_side_its_own_multiplier() -> None:
    """Catches multipliers that are exchanged, and a sign that is lost."""
    assert agree([10], [100], [2, 3], 0, S16) == [320]
    assert agree([10], [100], [2, -3], 0, S16) == [-280]
    assert agree([10], [100], [-2, 3], 0, S16) == [280]
    assert agree([10], [100], [0, 1], 0, S16) == [100]


@pytest.mark.parametrize("target", [S8, U8, S16, S48, IntFormat(48, False)], ids=str)
def test_add_saturates_exactly_at_the_limits(target: IntFormat) -> None:
    around = [v + d for v in (target.lo, target.hi) for d in (-2, -1, 0, 1, 2)]
    wanted = [min(max(v, target.lo), target.hi) for v in around]
    left = np.array(around, np.int64)[None, None]
    assert agree(left, np.zeros_like(left), [1, 1], 0, target) == wanted
    assert agree(left - 5, np.full_like(left, 5), [1, 1], 0, target) == wanted
    assert agree(left, np.full_like(left, 3), [16, 2], 4, target) == wanted
    assert agree(left, np.full_like(left, 4), [16, 2], 4, target) == [
        min(max(v + 1, target.lo), target.hi) for v in around
    ]


@pytest.mark.parametrize("shift", [0, 1, 31, 32, 33, 47, 61, 62])
def test_add_agrees_at_the_ends_of_wide_formats_at_many_shifts(shift: int) -> None:
    """Catches a product, a sum or a rounding constant of 32 bits, and a shift that is taken modulo 32."""
    ends = [S32.lo, S32.lo + 1, -1, 0, 1, S32.hi]
    left, right = (v.astype(np.int32)[None] for v in np.meshgrid(ends, ends))
    for first, second in ((MOST, 1), (-MOST, 1), (1, -MOST), (2**30, 2**30 - 1), (-(2**29), -(2**29))):
        agree(left, right, [first, second], shift, S48)


@pytest.mark.parametrize(
    ("left", "multipliers", "shift"),
    [(2**32, (2**30, MOST), 0), (2**32, (2**29, MOST), 62), (2**31, (2**30 - 2**7, MOST), 40)],
)
def test_add_fills_63_bits_and_refuses_one_more(left: int, multipliers: tuple[int, int], shift: int) -> None:
    """The right side makes the sum, with its rounding constant, the largest number of 64 signed bits."""
    first, second = multipliers
    half = 2**shift // 2
    right = (2**63 - 1 - half - left * first) // second
    assert right > 2**30
    for sign in (1, -1):
        found = agree([sign * left], [sign * right], multipliers, shift, S48)
        assert shift or found == [S48.hi if sign > 0 else S48.lo]
    beyond = np.array([[[left]]]), np.array([[[right + 1]]])
    bound = left * first + (right + 1) * second + half
    assert bound >= 2**63 > bound - second
    for function in (add, add_plain):
        with pytest.raises(RangeError, match=rf"^RC-RANGE: the sum may reach {bound}, beyond 64 bits$"):
            function(*beyond, np.array([first, -second]), shift, S48)


def test_add_reaches_the_last_sum_of_64_bits() -> None:
    assert 2**32 * 2**30 + (2**31 + 1) * MOST == 2**63 - 1
    assert agree([2**32], [2**31 + 1], [2**30, MOST], 0, S48) == [S48.hi]
    assert 2**32 * 2**29 + (2**31 + 1) * MOST + 2**61 == 2**63 - 1
    assert agree([2**32], [2**31 + 1], [2**29, MOST], 62, S48) == [1]
    assert agree([-(2**32)], [-(2**31) - 1], [2**29, MOST], 62, S48) == [-1]
    side = np.array([[[2**32]]])
    for function in (add, add_plain):
        with pytest.raises(RangeError, match=rf"^RC-RANGE: the sum may reach {2**63}, beyond 64 bits$"):
            function(side, -side, np.array([2**30, 2**30]), 0, S48)


@pytest.mark.parametrize("dtypes", [(np.int16, np.int32), (np.uint8, np.int64), (np.uint32, np.int8)])
def test_add_takes_sides_of_different_dtypes(dtypes: tuple[type, type]) -> None:
    """Catches a product in the dtype of a side, and an unsigned side that makes the sum a float."""
    ends = [np.array([[[np.iinfo(d).min, np.iinfo(d).max, 1]]], d) for d in dtypes]
    ends[1] = ends[1].clip(-(2**40), 2**40) if dtypes[1] is np.int64 else ends[1]
    agree(*ends, [-3, 5], 1, S48)
    agree(*ends[::-1], [-3, 5], 1, S48)


@pytest.mark.parametrize(
    ("bits", "dtype", "multipliers", "shift"),
    [(16, np.int16, (3, -5), 9), (16, np.int16, (1, 1), 1), (32, np.int32, (2**29 + 1, -(2**28) - 3), 54)],
)
def test_add_agrees_on_a_million_constructed_values(
    bits: int, dtype: type, multipliers: tuple[int, int], shift: int, rng: np.random.Generator
) -> None:
    """A third are ties: the right side makes up what the left side lacks, as far as its range allows."""
    lo, hi = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    left, right = rng.integers(lo, hi + 1, (2, 16, 256, 256))
    first, second = multipliers
    inverse = pow(second, -1, 2**shift)
    half = 2 ** (shift - 1)
    tied = np.array([(half - a * first) * inverse % 2**shift for a in left[:6].ravel().tolist()], object)
    tied = np.where(tied > hi, tied - 2**shift, tied).reshape(left[:6].shape)
    inside = (tied >= lo) & (tied <= hi)
    right[:6] = np.where(inside, tied, right[:6])
    found = add(left.astype(dtype), right.astype(dtype), np.array(multipliers), shift, S8)
    wanted = exact(left, right, multipliers, shift, S8)
    assert found.size >= 10**6
    np.testing.assert_array_equal(found, wanted)
    total = left.astype(object) * first + right.astype(object) * second
    unsaturated = (wanted > S8.lo) & (wanted < S8.hi)
    ties = unsaturated & (total % 2**shift == half)
    if bits == 16:
        assert min((ties & (total < 0)).sum(), (ties & (total > 0)).sum()) > 100
        assert min((wanted == S8.lo).sum(), (wanted == S8.hi).sum()) > 1000
    else:
        assert unsaturated.sum() > 10**6


def test_add_reads_any_layout_and_changes_nothing(rng: np.random.Generator) -> None:
    base, scales = rng.integers(-99, 99, (3, 6, 6)), np.array([3, 9, -2])[::2]
    for left, right in ((base.transpose(0, 2, 1), base), (base[::-1], base[:, ::-1]), (base, np.asfortranarray(base))):
        kept = left.copy(), right.copy()
        agree(left, right, scales, 2, S8)
        np.testing.assert_array_equal(left, kept[0])
        np.testing.assert_array_equal(right, kept[1])
    assert scales.tolist() == [3, -2]


# --- refusals


@pytest.mark.parametrize(
    ("left", "right", "multipliers", "shift", "error", "message"),
    [
        ((2, 2), (2, 2), [1, 1], 1, ShapeError, r"RC-SHAPE: expected left \(C, H, W\) of at least one sample"),
        ((1, 2, 2), (2, 2), [1, 1], 1, ShapeError, r"RC-SHAPE: expected right \(C, H, W\)"),
        ((0, 2, 2), (0, 2, 2), [1, 1], 1, ShapeError, r"RC-SHAPE: expected left"),
        ((1, 2, 2), (1, 2, 3), [1, 1], 1, ShapeError, r"RC-SHAPE: left \(1, 2, 2\) and right \(1, 2, 3\) differ"),
        ((2, 2, 2), (1, 2, 2), [1, 1], 1, ShapeError, r"RC-SHAPE: left .* and right .* differ"),
        ((1, 1, 1), (1, 1, 1), [1], 1, ShapeError, r"RC-SHAPE: expected multipliers \(2,\), got \(1,\)"),
        ((1, 1, 1), (1, 1, 1), [1, 1, 1], 1, ShapeError, r"RC-SHAPE: expected multipliers \(2,\), got \(3,\)"),
        ((1, 1, 1), (1, 1, 1), [2**31, 1], 1, RangeError, r"RC-RANGE: multipliers must be .* below 2\*\*31"),
        ((1, 1, 1), (1, 1, 1), [1, -(2**31)], 1, RangeError, r"RC-RANGE: multipliers must be"),
        ((1, 1, 1), (1, 1, 1), [1, -(2**63)], 1, RangeError, r"RC-RANGE: multipliers must be"),
        ((1, 1, 1), (1, 1, 1), [1.5, 1], 1, RangeError, r"RC-RANGE: multipliers must be integers"),
        ((1, 1, 1), (1, 1, 1), [1, 1], -1, RangeError, r"RC-RANGE: shift must be 0\.\.62, got -1"),
        ((1, 1, 1), (1, 1, 1), [1, 1], 63, RangeError, r"RC-RANGE: shift must be 0\.\.62, got 63"),
    ],
)
def test_add_refuses(left: Any, right: Any, multipliers: Any, shift: int, error: type, message: str) -> None:
    operands = np.zeros(left, np.int16), np.zeros(right, np.int16), np.array(multipliers)
    for function in (add, add_plain):
        with pytest.raises(error, match=rf"^{message}"):
            function(*operands, shift, S8)


@pytest.mark.parametrize("position", [0, 1])
def test_add_refuses_floats(position: int) -> None:
    sides = [np.ones((1, 1, 1), np.int16), np.ones((1, 1, 1), np.int16)]
    sides[position] = sides[position] * 0.5
    with pytest.raises(RangeError, match=rf"^RC-RANGE: {('left', 'right')[position]}: expected integers, got float64"):
        add(*sides, np.array([1, 1]), 1, S8)


# --- the operation


def program(multipliers: Any, shift: int, left: Any = (1, S8), right: Any = (1, S8), target: Any = (1, S8)) -> Program:
    tensors = Tensor("a", *left), Tensor("b", *right), Tensor("y", *target)
    return Program("p", tensors, (Add("sum", ("a", "b"), "y", shift, np.array(multipliers)),))


@pytest.mark.parametrize(
    ("multipliers", "shift", "left", "right", "target", "code", "message"),
    [
        ([1, 1], 1, (2, S8), (1, S8), (2, S8), "RC-MODEL-TENSOR", r"sum: channels 2, 1 and 2 differ"),
        ([1, 1], 1, (2, S8), (2, S8), (1, S8), "RC-MODEL-TENSOR", r"sum: channels 2, 2 and 1 differ"),
        ([1], 1, (1, S8), (1, S8), (1, S8), "RC-MODEL-TENSOR", r"sum: expected multipliers \(2,\), got \(1,\)"),
        ([2**31, 1], 1, (1, S8), (1, S8), (1, S8), "RC-MODEL-RANGE", r"sum: multipliers must be"),
        ([1, -(2**31)], 1, (1, S8), (1, S8), (1, S8), "RC-MODEL-RANGE", r"sum: multipliers must be"),
        ([1, 1], 63, (1, S8), (1, S8), (1, S8), "RC-MODEL-RANGE", r"sum: shift must be 0\.\.62, got 63"),
        ([1, 1], -1, (1, S8), (1, S8), (1, S8), "RC-MODEL-RANGE", r"sum: shift must be 0\.\.62, got -1"),
        ([2**15, 2**15], 0, (1, S48), (1, S48), (1, S48), "RC-MODEL-OVERFLOW", rf"sum: the sum may reach {2**63}, "),
        ([-(2**15), 2**15], 0, (1, S48), (1, S48), (1, S48), "RC-MODEL-OVERFLOW", r"sum: the sum may reach"),
    ],
)
def test_add_operation_refuses(
    multipliers: Any, shift: int, left: Any, right: Any, target: Any, code: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        program(multipliers, shift, left, right, target)
    assert caught.value.code == code


@pytest.mark.parametrize("names", [("a",), ("a", "b", "b")])
def test_add_operation_adds_two_tensors(names: tuple[str, ...]) -> None:
    tensors = tuple(Tensor(name, 1, S8) for name in dict.fromkeys(names))
    with pytest.raises(ModelError, match=rf"^RC-MODEL-TENSOR: sum: adds two tensors, not {len(names)}$"):
        Program("p", (*tensors, Tensor("y", 1, S8)), (Add("sum", names, "y", 0, np.array([1, 1])),))


def test_add_operation_proves_its_sum_with_the_rounding_constant() -> None:
    """2**62 from one side, and the largest other one: one more in a multiplier, or in the shift, is refused."""
    wide = (1, IntFormat(33, True))
    sources = {"left": wide, "right": wide, "target": (1, S48)}
    program([2**30, 2**30 - 1], 32, **sources)
    for multipliers, shift in (([2**30, 2**30], 0), ([2**30, 2**30 - 1], 34), ([2**30, 1 - 2**30], 34)):
        with pytest.raises(ModelError, match=r"^RC-MODEL-OVERFLOW: sum: the sum may reach \d+, beyond 64 bits$"):
            program(multipliers, shift, **sources)


def test_add_operation_refuses_sizes_that_differ() -> None:
    p = program([1, 1], 0)
    assert p.all_sizes({"a": (4, 5), "b": (4, 5)})["y"] == (4, 5)
    for other in ((5, 4), (4, 4), (5, 5)):
        with pytest.raises(ShapeError, match=r"^RC-SHAPE: sum: the sources differ in height or width: 4 x 5, . x .$"):
            p.all_sizes({"a": (4, 5), "b": other})


@pytest.mark.parametrize("target", [S3, U3, S8], ids=str)
@pytest.mark.parametrize(("multipliers", "shift"), [((1, 1), 0), ((-3, 2), 2), ((5, -7), 3), ((0, -1), 1)])
def test_reach_of_an_addition_is_attained(multipliers: Any, shift: int, target: IntFormat) -> None:
    p = program(multipliers, shift, (1, S4), (1, U3), (1, target))
    left, right = np.meshgrid(np.arange(-8, 8), np.arange(8))
    found, reach = p.run_all({"a": left[None], "b": right[None]})["y"], p.reaches()["y"]
    assert reach.joint() == (found.min(), found.max())


def test_reach_of_an_addition_goes_by_channel_and_tells_its_intermediates() -> None:
    reaches = [Reach(np.array([-3, 10]), np.array([2, 20])), Reach(np.array([1, -4]), np.array([5, -4]))]
    op = program([2, -3], 2, (2, S8), (2, S8), (2, S8)).operations[0]
    reach = op.reach(reaches, Tensor("y", 2, S8))
    assert (reach.lo.tolist(), reach.hi.tolist()) == ([-5, 8], [0, 13])
    assert op.intermediates(reaches) == {"left": 40, "right": 15, "sum": 52, "rounded": 54}
    ends = [Reach(np.array([-(2**47)]), np.array([2**47 - 1]))] * 2
    op = program([2**14, -(2**14)], 62, (1, S48), (1, S48), (1, S48)).operations[0]
    assert op.intermediates(ends)["sum"] == 2**61 + 2**14 * (2**47 - 1)


def test_add_operation_survives_a_model_file(rng: np.random.Generator) -> None:
    p = program([2**30, -(2**29)], 31, (2, S16), (2, U8), (2, S16))
    read = model_from_bytes(model_to_bytes(Model("any", {}, {"p": p}, {}))).programs["p"]
    assert read.operations[0].reads == ("a", "b")
    inputs = {"a": rng.integers(-32768, 32768, (2, 4, 5)), "b": rng.integers(0, 256, (2, 4, 5))}
    found = read.run_all(inputs)["y"]
    assert found.dtype == read.run_all_plain(inputs)["y"].dtype == S16.dtype
    np.testing.assert_array_equal(found, exact(inputs["a"], inputs["b"], (2**30, -(2**29)), 31, S16))
    np.testing.assert_array_equal(found, read.run_all_plain(inputs)["y"])
