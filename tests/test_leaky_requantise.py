"""Leaky rectifiers: kernel, definition, specification and the larger of two scalings agree (SPEC LEAKY-1, LEAKY-2)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import naive_normalisation as naive
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.leaky_requantise import leaky_requantise, leaky_requantise_plain
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations import Tensor, check_operation
from refcodec.program.operations.leaky_requantise import LeakyRequantise
from refcodec.program.program import Program
from refcodec.program.reach import Reach
from refcodec.vectorgen.corners.normalisation import leaky_requantise_cases

PROFILES = [(32, 31), (48, 15)]
S4, S6, S8, U3, S16, S32, S48 = (
    IntFormat(4, True),
    IntFormat(6, True),
    IntFormat(8, True),
    IntFormat(3, False),
    *(IntFormat(bits, True) for bits in (16, 32, 48)),
)
UNCOMPILED = """
import json, sys, numpy as np
from refcodec.formats import IntFormat
from refcodec.layers.leaky_requantise import leaky_requantise
bits, *columns = json.loads(sys.argv[1])
accumulator, *constants = (np.array(column) for column in columns)
print(json.dumps(leaky_requantise(accumulator, *constants, IntFormat(bits, True), IntFormat(16, True)).tolist()))
"""


def slopes(multiplier: Any, negative: Any, shift: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Constants as a program holds them, read-only."""
    arrays = np.array(multiplier, np.int32), np.array(negative, np.int32), np.array(shift, np.int8)
    for array in arrays:
        array.setflags(write=False)
    return arrays


def exact(accumulator: np.ndarray, constants: tuple[np.ndarray, ...], target: IntFormat) -> np.ndarray:
    """All values at once in Python integers: the larger floor of (2am + 2**s) / 2**(s+1), then the limits."""
    multiplier, negative, shift = (c.astype(object)[:, None, None] for c in constants)
    unit, a = 2**shift, accumulator.astype(object)
    rounded = np.maximum(*((2 * a * m + unit) // (2 * unit) for m in (multiplier, negative)))
    return np.minimum(np.maximum(rounded, target.lo), target.hi).astype(np.int64)


def agree(
    accumulator: np.ndarray, constants: tuple[np.ndarray, ...], source: IntFormat, target: IntFormat
) -> np.ndarray:
    """The common result of kernel, definition, specification and fractions."""
    found = leaky_requantise(accumulator, *constants, source, target)
    assert found.dtype == target.dtype
    np.testing.assert_array_equal(found, leaky_requantise_plain(accumulator, *constants, source, target))
    for c, row in enumerate(zip(*(column.tolist() for column in constants), strict=True)):
        flat = accumulator[c].ravel().tolist()
        wanted = [naive.leaky_requantise(v, *row, target.lo, target.hi) for v in flat]
        assert [fixed.leaky_requantise(v, *row, target.lo, target.hi) for v in flat] == wanted
        assert found[c].ravel().tolist() == wanted
    return found


# --- values


@pytest.mark.parametrize("target", [S4, U3], ids=str)
def test_leaky_requantise_agrees_on_all_six_bit_accumulators_and_small_slopes(target: IntFormat) -> None:
    grid = np.meshgrid(np.arange(8), np.arange(8), [1, 2, 3, 5, 62])
    multiplier, negative, shift = (v.ravel()[(grid[1] <= grid[0]).ravel()] for v in grid)
    every = np.repeat(np.arange(-32, 32, dtype=np.int32).reshape(1, 8, 8), len(shift), axis=0)
    found = agree(every, slopes(multiplier, negative, shift), S6, target)
    assert {target.lo, target.hi} <= set(found.ravel().tolist())


def test_leaky_requantise_takes_each_multiplier_on_its_side() -> None:
    """Catches the slopes exchanged, the slope of zero, and a product that is scaled twice."""
    accumulator = np.array([[[-60, -16, -1, 0, 1, 16, 60]]], np.int32)
    found = agree(accumulator, slopes([8], [2], [4]), S32, S8)
    assert found.tolist() == [[[-7, -2, 0, 0, 1, 8, 30]]]


def test_leaky_requantise_rounds_ties_up_below_zero_too() -> None:
    """Catches rounding of the magnitude, which leaky rectifiers in software do by negating."""
    accumulator = np.array([[[-14, -10, -6, -2, 2, 6, 10]]], np.int32)
    assert agree(accumulator, slopes([2], [1], [2]), S32, S8).tolist() == [[[-3, -2, -1, 0, 1, 3, 5]]]


@pytest.mark.parametrize(("bits", "factor_bits"), PROFILES)
def test_leaky_requantise_agrees_at_the_ends_of_both_profiles_at_every_shift(bits: int, factor_bits: int) -> None:
    """Catches products or rounding constants that leave 64 bits."""
    source, most = IntFormat(bits, True), 2**factor_bits - 1
    ends = np.array([source.lo, source.lo + 1, -1, 0, 1, source.hi - 1, source.hi])
    pairs = [(most, most), (most, most - 1), (most, 1), (most, 0), (1, 0), (0, 0)]
    rows = [(m, n, s) for m, n in pairs for s in range(1, 63)]
    accumulator = np.broadcast_to(ends, (len(rows), 1, len(ends))).copy()
    found = agree(accumulator, slopes(*zip(*rows, strict=True)), source, S16)
    assert {S16.lo, S16.hi} <= set(found.ravel().tolist())


@pytest.mark.parametrize(("bits", "factor_bits"), PROFILES)
def test_leaky_requantise_wraps_nowhere_without_the_compiler(
    bits: int, factor_bits: int, run_uncompiled: Callable[..., str]
) -> None:
    """NumPy warns where a scalar wraps, and warnings are errors."""
    source, most = IntFormat(bits, True), 2**factor_bits - 1
    accumulator = np.array([[[source.lo, -1, 0, 1, source.hi]]] * 2)
    constants = slopes([most, most], [most, 1], [1, 62])
    printed = run_uncompiled(UNCOMPILED, json.dumps([bits, accumulator.tolist(), *(c.tolist() for c in constants)]))
    assert json.loads(printed) == leaky_requantise(accumulator, *constants, source, S16).tolist()


@pytest.mark.parametrize("bits", [32, 48])
def test_leaky_requantise_agrees_on_a_million_values(bits: int, rng: np.random.Generator) -> None:
    source, factor_bits = IntFormat(bits, True), dict(PROFILES)[bits]
    channels, count = 512, 2048
    shift = rng.integers(1, 63, channels)
    multiplier = np.maximum(rng.integers(0, 2**factor_bits, channels) >> rng.integers(0, factor_bits, channels), 1)
    negative = multiplier >> rng.integers(0, 9, channels)
    accumulator = rng.integers(source.lo, source.hi, (channels, 1, count), endpoint=True)
    accumulator >>= rng.integers(0, bits, (channels, 1, count))
    step = np.minimum(shift, bits - 2)  # a * m is an odd multiple of half an output step where m is one or odd
    odd = 2 * rng.integers(-20, 20, (channels, 1, count // 4)) + 1
    accumulator[:, :, : count // 4] = (odd << (step - 1)[:, None, None]).clip(source.lo, source.hi)
    multiplier[::2], negative[::2] = 1, 1 - (np.arange(channels // 2) & 1)
    constants = slopes(multiplier, negative, shift)
    found, wanted = leaky_requantise(accumulator, *constants, source, S8), exact(accumulator, constants, S8)
    assert found.size >= 10**6
    np.testing.assert_array_equal(found, wanted)
    factor = np.where(accumulator < 0, negative[:, None, None], multiplier[:, None, None]).astype(object)
    unit = 2 ** shift.astype(object)[:, None, None]
    tie = accumulator.astype(object) * factor * 2 % (2 * unit) == unit
    for sign in (accumulator < 0, accumulator > 0):
        assert (tie & sign & (wanted > S8.lo) & (wanted < S8.hi)).sum() > 5000
    assert min((wanted == S8.lo).sum(), (wanted == S8.hi).sum()) > 10_000
    agree(accumulator[:, :, rng.integers(0, count, 4)], constants, source, S8)


def test_leaky_requantise_reads_any_layout_and_changes_nothing(rng: np.random.Generator) -> None:
    base = rng.integers(-(2**19), 2**19, (3, 8, 6)).astype(np.int32)
    constants = tuple(c[::-1] for c in slopes([11, 9, 7], [3, 2, 7], [12, 13, 14]))
    for view in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1], base[:, :0]):
        kept = view.copy()
        agree(view, constants, IntFormat(20, True), S8)
        np.testing.assert_array_equal(view, kept)


# --- refusals

BOTH = pytest.mark.parametrize("function", [leaky_requantise, leaky_requantise_plain])


@BOTH
@pytest.mark.parametrize(
    ("shape", "sizes", "message"),
    [
        ((2, 2), (2, 2, 2), r"expected accumulator \(C, H, W\)"),
        ((2, 1, 1), (1, 2, 2), r"expected accumulator \(C, H, W\)"),
        ((2, 1, 1), (2, 2, 3), r"expected accumulator \(C, H, W\)"),
        ((2, 1, 1), (2, 1, 2), r"multiplier \(2,\) and negative multiplier \(1,\) differ"),
    ],
)
def test_leaky_requantise_refuses_shapes(function: Callable, shape: Any, sizes: Any, message: str) -> None:
    constants = [np.ones(n, np.int64) for n in sizes]
    with pytest.raises(ShapeError, match=rf"^RC-SHAPE: {message}"):
        function(np.zeros(shape, np.int32), *constants, S32, S8)


@BOTH
@pytest.mark.parametrize(
    ("accumulator", "constants", "bits", "message"),
    [
        (2**31, (1, 1, 1), 32, r"accumulator: .* leave s32"),
        (0, (2**31, 1, 1), 32, r"multiplier: .* leave u31"),
        (0, (2**15, 2**15 - 1, 1), 33, r"multiplier: .* leave u15"),
        (0, (1, -1, 1), 32, r"multiplier: .* leave u31"),
        (0, (1, 1, 0), 32, r"shift must be 1\.\.62"),
        (0, (1, 1, 63), 32, r"shift must be 1\.\.62"),
        (0, (5, 6, 1), 32, r"a negative multiplier exceeds that of the positive accumulators$"),
    ],
)
def test_leaky_requantise_refuses_what_is_outside_its_profile(
    function: Callable, accumulator: int, constants: tuple[int, ...], bits: int, message: str
) -> None:
    columns = [np.array([value]) for value in constants]
    with pytest.raises(RangeError, match=rf"^RC-RANGE: {message}"):
        function(np.full((1, 1, 1), accumulator), *columns, IntFormat(bits, True), S8)


# --- the operation


def leaky(multiplier: Any = (6, 9), negative: Any = (2, 9), shift: Any = (3, 4)) -> LeakyRequantise:
    return LeakyRequantise("y", "x", "y", np.array(multiplier), np.array(negative), np.array(shift))


def one(op: LeakyRequantise, source: IntFormat, target: IntFormat) -> Program:
    return Program("p", (Tensor("x", 2, source), Tensor("y", 2, target)), (op,))


@pytest.mark.parametrize(
    ("op", "source", "target", "code", "message"),
    [
        (leaky([1], [1], [1]), S32, S8, "RC-MODEL-TENSOR", r"multipliers and shift \[\(1,\), \(1,\), \(1,\)\] for 2"),
        (leaky(shift=[1]), S32, S8, "RC-MODEL-TENSOR", r"for 2 channels$"),
        (leaky(), S32, IntFormat(17, True), "RC-MODEL-RANGE", "s17 is wider than 16 bits"),
        (leaky([6, 2**15]), S48, S8, "RC-MODEL-RANGE", "leave u15"),
        (leaky(negative=[7, 1]), S32, S8, "RC-MODEL-RANGE", "a negative multiplier exceeds"),
        (leaky(negative=[-1, 1]), S32, S8, "RC-MODEL-RANGE", "leave u31"),
        (leaky(shift=[0, 1]), S32, S8, "RC-MODEL-RANGE", r"shift must be 1\.\.62"),
    ],
)
def test_operation_refuses(op: LeakyRequantise, source: IntFormat, target: IntFormat, code: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        one(op, source, target)
    assert caught.value.code == code


def test_operation_refuses_other_channels() -> None:
    with pytest.raises(ModelError, match="2 channels wanted, from 2 to 3 found") as caught:
        check_operation(leaky(), [Tensor("x", 2, S32)], Tensor("y", 3, S8))
    assert caught.value.code == "RC-MODEL-TENSOR"


@pytest.mark.parametrize("source", [S6, IntFormat(6, False)], ids=str)
@pytest.mark.parametrize("target", [S4, IntFormat(5, False), S16], ids=str)
def test_operation_reaches_exactly_what_occurs(source: IntFormat, target: IntFormat) -> None:
    every = np.tile(np.arange(source.lo, source.hi + 1), (2, 1, 1))
    program = one(leaky(), source, target)
    y, reach = program.run(every), program.reaches()["y"]
    assert (reach.lo.tolist(), reach.hi.tolist()) == (y.min(axis=(1, 2)).tolist(), y.max(axis=(1, 2)).tolist())
    np.testing.assert_array_equal(y, program.run_plain(every))


@pytest.mark.parametrize(("lo", "hi"), [(-7, 5), (-9, -3), (2, 6), (0, 0)])
def test_operation_bounds_what_it_computes_on_the_way(lo: int, hi: int) -> None:
    op = leaky()
    found = op.intermediates([Reach(np.array([lo, lo]), np.array([hi, hi]))])
    products = [
        (a * (m if a >= 0 else n), 1 << s >> 1) for m, n, s in ((6, 2, 3), (9, 9, 4)) for a in range(lo, hi + 1)
    ]
    assert found["product"] == max(abs(p) for p, _ in products)
    assert found["rounded"] >= max(abs(p + half) for p, half in products)


def test_operation_returns_from_a_model_file() -> None:
    program = one(leaky([2**31 - 1, 9], [5, 0], [62, 1]), S32, S8)
    content = model_to_bytes(Model("any", {}, {"p": program}, {}))
    again = model_from_bytes(content).programs["p"]
    assert model_to_bytes(Model("any", {}, {"p": again}, {})) == content
    x = np.array([[[S32.lo, -5, S32.hi]], [[-3, 0, 3]]])
    np.testing.assert_array_equal(again.run(x), program.run(x))


def test_cases_reach_their_corners() -> None:
    cases = list(leaky_requantise_cases())
    valid = [case for case in cases if case.error is None]
    assert len({case.id for case in cases}) == len(cases) > len(valid)
    outputs = {case.id: next(iter(case.outputs.values())) for case in valid}
    assert all({v.format.lo, v.format.hi} <= set(v.array.ravel().tolist()) for v in outputs.values())
