"""Requantisation: kernel, definition, specification and fractions agree (SPEC RQ-1 to RQ-4)."""

from __future__ import annotations

from typing import Any

import naive
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.formats import IntFormat, multiplier_bits
from refcodec.layers.requantise import check_scales, requantise, requantise_plain

PROFILES = [(32, 31), (48, 15)]
VALUES = 2048  # to a channel, where a million are drawn


def scales(multiplier: Any, shift: Any) -> tuple[np.ndarray, np.ndarray]:
    """Constants as a program holds them: int32 multipliers, int8 shifts, read-only."""
    pair = np.array(multiplier, np.int32), np.array(shift, np.int8)
    for array in pair:
        array.setflags(write=False)
    return pair


def exact(accumulator: np.ndarray, multiplier: np.ndarray, shift: np.ndarray, target: IntFormat) -> np.ndarray:
    """All values at once in Python integers: floor((2am + 2**s) / 2**(s+1)), then the limits."""
    doubled = 2 * accumulator.astype(object) * multiplier.astype(object)[:, None, None]
    unit = np.array([2 ** int(s) for s in shift], object)[:, None, None]
    rounded = (doubled + unit) // (2 * unit)
    return np.minimum(np.maximum(rounded, target.lo), target.hi).astype(np.int64)


def agree(accumulator: np.ndarray, multiplier: Any, shift: Any, source: IntFormat, target: IntFormat) -> np.ndarray:
    """The common result of kernel, definition, specification and fractions, on values of one channel."""
    found = requantise(accumulator, *scales(multiplier, shift), source, target)
    assert found.dtype == target.dtype
    np.testing.assert_array_equal(found, requantise_plain(accumulator, *scales(multiplier, shift), source, target))
    for c, plane in enumerate(accumulator.tolist()):
        constants = int(multiplier[c]), int(shift[c]), target.lo, target.hi
        flat = [v for row in plane for v in row]
        wanted = [naive.requantise(v, *constants) for v in flat]
        assert [fixed.requantise(v, *constants) for v in flat] == wanted
        assert found[c].ravel().tolist() == wanted
    return found


# --- all values of small widths


@pytest.mark.parametrize("target", [IntFormat(4, True), IntFormat(3, False)], ids=str)
def test_requantise_agrees_on_all_six_bit_accumulators_small_multipliers_and_shifts(target: IntFormat) -> None:
    source = IntFormat(6, True)
    multiplier, shift = (v.ravel() for v in np.meshgrid(np.arange(16), np.arange(1, 63)))
    every = np.arange(-32, 32, dtype=np.int32).reshape(1, 8, 8)
    found = agree(np.repeat(every, len(shift), axis=0), multiplier, shift, source, target)
    assert {target.lo, target.hi} <= set(found.ravel().tolist())


# --- corners


@pytest.mark.parametrize(("bits", "factor_bits"), PROFILES)
def test_requantise_agrees_at_the_ends_of_both_profiles_at_every_shift(bits: int, factor_bits: int) -> None:
    """Catches products or rounding constants that leave 64 bits."""
    source, target = IntFormat(bits, True), IntFormat(16, True)
    ends = [source.lo, source.lo + 1, -1, 0, 1, source.hi - 1, source.hi]
    multipliers = [0, 1, 2**factor_bits - 2, 2**factor_bits - 1]
    multiplier, shift = (v.ravel() for v in np.meshgrid(multipliers, np.arange(1, 63)))
    accumulator = np.broadcast_to(np.array(ends, np.int64)[None, None, :], (len(shift), 1, len(ends))).copy()
    found = agree(accumulator, multiplier, shift, source, target)
    assert {target.lo, target.hi} <= set(found.ravel().tolist())
    last = found[(shift == 62) & (multiplier == 2**factor_bits - 1), 0]
    assert last.tolist() == [[-1, -1, 0, 0, 0, 1, 1]]


def test_requantise_rounds_ties_up_on_both_sides_of_zero() -> None:
    """Catches rounding to even, away from zero, towards zero, and a missing rounding constant."""
    source, target = IntFormat(32, True), IntFormat(8, True)
    accumulator = np.array([[[-7, -5, -3, -1, 1, 3, 5, 7]]], np.int32)
    assert agree(accumulator, [1], [1], source, target).tolist() == [[[-3, -2, -1, 0, 1, 2, 3, 4]]]
    assert agree(accumulator * 2**20, [6], [22], source, target).tolist() == [[[-10, -7, -4, -1, 2, 5, 8, 11]]]


@pytest.mark.parametrize(
    ("bits", "accumulator", "multiplier", "shift", "wanted"),
    [
        (32, 2**29 + 1, 2**29 - 1, 59, 0),  # 2**58 - 1: just below one half
        (32, -(2**29 + 2**15 + 1), 2**29 - 2**15 + 1, 59, -1),  # -(2**58) - 1: just below minus one half
        (32, 3 * (2**29 + 1), 2**29 - 1, 59, 1),  # 3 * 2**58 - 3: just below one and a half
        (48, (2**14 + 1) * (2**28 + 1), 2**14 - 1, 57, 0),  # 2**56 - 1
        (48, -(2**54 + 1) // 7085, 7085, 55, -1),  # -(2**54) - 1
    ],
)
def test_requantise_tells_a_tie_from_its_neighbour_beyond_53_bits(
    bits: int, accumulator: int, multiplier: int, shift: int, wanted: int
) -> None:
    """Catches a product that goes through a double."""
    assert int(float(accumulator * multiplier) / 2.0 ** (shift - 1)) % 2 == 1, "as a double it is a tie"
    source, target = IntFormat(bits, True), IntFormat(8, True)
    found = agree(np.array([[[accumulator]]], np.int64), [multiplier], [shift], source, target)
    assert found.item() == wanted


@pytest.mark.parametrize("target", [IntFormat(8, True), IntFormat(8, False), IntFormat(2, True), IntFormat(16, False)])
def test_requantise_saturates_exactly_at_the_limits(target: IntFormat) -> None:
    source = IntFormat(32, True)
    around = np.array([[[v + d for v in (target.lo, target.hi) for d in (-2, -1, 0, 1, 2)]]], np.int32)
    wanted = [naive.clip(v, target.lo, target.hi) for v in around.ravel().tolist()]
    assert agree(around, [2], [1], source, target).ravel().tolist() == wanted
    assert agree(around * 16 + 7, [2**26], [30], source, target).ravel().tolist() == wanted
    up = [naive.clip(v + 1, target.lo, target.hi) for v in around.ravel().tolist()]
    assert agree(around * 16 + 8, [2**26], [30], source, target).ravel().tolist() == up


def test_requantise_into_an_unsigned_format_rectifies() -> None:
    """SPEC RQ-4."""
    accumulator = np.arange(-300, 301, dtype=np.int32).reshape(1, 1, -1)
    found = agree(accumulator, [1], [1], IntFormat(32, True), IntFormat(8, False)).ravel()
    assert (found[:300] == 0).all()
    assert found[-1] == 150


def test_requantise_gives_each_channel_its_own_scale() -> None:
    accumulator = np.full((3, 2, 2), 100, np.int32)
    found = agree(accumulator, [1, 2, 3], [1, 3, 2], IntFormat(32, True), IntFormat(16, True))
    assert found[:, 0, 0].tolist() == [50, 25, 75]


def test_requantise_takes_symbols_as_well_as_accumulators() -> None:
    symbols = np.array([[[-32768, -1, 0, 1, 32767]]], np.int16)
    found = agree(symbols, [2**30 + 1], [26], IntFormat(16, True), IntFormat(16, True))
    assert found.tolist() == [[[-32768, -16, 0, 16, 32767]]]


# --- a million values


def constructed(
    source: IntFormat, target: IntFormat, channels: int, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Accumulators (C, 1, VALUES) with multipliers and shifts, rich in ties and in values about to saturate."""
    bits = multiplier_bits(source)
    shift = rng.integers(1, 63, channels)
    multiplier = np.maximum(rng.integers(0, 2**bits, channels) >> rng.integers(0, bits, channels), 1)
    planes = []
    for m, s in zip(multiplier.tolist(), shift.tolist(), strict=True):
        twos = (m & -m).bit_length() - 1
        step = 2 ** (s - 1 - twos) if s > twos else 1  # a * m is an odd multiple of 2**(s - 1) at odd multiples of it
        odd = [(2 * k + 1) * step for k in (*range(-60, 60), *rng.integers(-(2**16), 2**16, 80).tolist())]
        limits = [(2 * v + 1) * 2 ** (s - 1) // m for v in (target.lo - 1, target.lo, target.hi - 1, target.hi)]
        near = [v + d for v in (*odd, *limits, source.lo, source.hi, 0) for d in (-1, 0, 1)]
        inside = [v for v in near if source.lo <= v <= source.hi]
        width = rng.integers(0, source.bits, VALUES - len(inside))
        drawn = rng.integers(source.lo, source.hi, len(width), endpoint=True) >> width
        planes.append([*inside, *drawn.tolist()])
    return np.array(planes, np.int64)[:, None, :], multiplier, shift


@pytest.mark.parametrize(("bits", "dtype"), [(32, np.int32), (48, np.int64)])
def test_requantise_agrees_on_a_million_constructed_values(bits: int, dtype: type, rng: np.random.Generator) -> None:
    source, target = IntFormat(bits, True), IntFormat(8, True)
    accumulator, multiplier, shift = constructed(source, target, 512, rng)
    found = requantise(accumulator.astype(dtype), *scales(multiplier, shift), source, target)
    wanted = exact(accumulator, multiplier, shift, target)
    assert found.size >= 10**6
    np.testing.assert_array_equal(found, wanted)

    remainder = (accumulator.astype(object) * multiplier.astype(object)[:, None, None]) % np.array(
        [2 ** int(s) for s in shift], object
    )[:, None, None]
    tie = remainder == np.array([2 ** (int(s) - 1) for s in shift], object)[:, None, None]
    unsaturated = (wanted > target.lo) & (wanted < target.hi)
    for sign in (accumulator < 0, accumulator > 0):
        assert (tie & sign & unsaturated).sum() > 1500
    assert (wanted == target.lo).sum() > 10_000
    assert (wanted == target.hi).sum() > 10_000
    for c, i in zip(rng.integers(0, 512, 2000).tolist(), rng.integers(0, VALUES, 2000).tolist(), strict=True):
        value = naive.requantise(int(accumulator[c, 0, i]), int(multiplier[c]), int(shift[c]), target.lo, target.hi)
        assert found[c, 0, i] == value


# --- arrays


def test_requantise_reads_any_layout_and_changes_nothing(rng: np.random.Generator) -> None:
    source, target = IntFormat(20, True), IntFormat(8, True)
    base = rng.integers(-(2**19), 2**19, (5, 8, 6)).astype(np.int32)
    multiplier, shift = np.array([3, 5, 7, 9, 11], np.int32), np.array([12, 13, 14, 15, 16], np.int8)
    for view in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1]):
        kept = view.copy()
        found = requantise(view, multiplier[::-1], shift[::-1], source, target)
        np.testing.assert_array_equal(found, exact(view, multiplier[::-1], shift[::-1], target))
        np.testing.assert_array_equal(view, kept)
    assert multiplier.tolist() == [3, 5, 7, 9, 11]
    assert shift.tolist() == [12, 13, 14, 15, 16]


def test_requantise_takes_empty_planes() -> None:
    found = requantise(np.zeros((1, 0, 4), np.int32), *scales([1], [1]), IntFormat(32, True), IntFormat(8, True))
    assert found.shape == (1, 0, 4)


# --- profiles and refusals


def test_multiplier_bits_belong_to_the_accumulator_width() -> None:
    for bits in range(1, 49):
        assert multiplier_bits(IntFormat(bits, True)) == (31 if bits <= 32 else 15)
    for bits in range(1, 48):
        assert multiplier_bits(IntFormat(bits, False)) == (31 if bits <= 31 else 15)


def test_multiplier_bits_refuses_an_unsigned_accumulator_of_48_bits() -> None:
    with pytest.raises(RangeError, match=r"^RC-FORMAT: no requantisation profile takes a u48 accumulator$") as caught:
        multiplier_bits(IntFormat(48, False))
    assert caught.value.code == "RC-FORMAT"


@pytest.mark.parametrize(
    ("shape", "multipliers", "shifts"), [((2, 2), 2, 2), ((2, 1, 1), 1, 2), ((2, 1, 1), 2, 3), ((1, 2, 1, 1), 1, 1)]
)
def test_requantise_refuses_shapes_that_disagree(shape: tuple[int, ...], multipliers: int, shifts: int) -> None:
    operands = np.zeros(shape, np.int32), np.ones(multipliers, np.int32), np.ones(shifts, np.int8)
    for function in (requantise, requantise_plain):
        with pytest.raises(ShapeError, match=r"^RC-SHAPE: expected accumulator \(C, H, W\), multiplier \(C,\)"):
            function(*operands, IntFormat(32, True), IntFormat(8, True))


@pytest.mark.parametrize(
    ("accumulator", "multiplier", "shift", "bits", "message"),
    [
        (2**31, 1, 1, 32, r"accumulator: values 2147483648 .* leave s32"),
        (-(2**31) - 1, 1, 1, 32, r"accumulator: .* leave s32"),
        (2**47, 1, 1, 48, r"accumulator: .* leave s48"),
        (64, 1, 1, 7, r"accumulator: .* leave s7"),
        (0, 2**31, 1, 32, r"multiplier: .* leave u31"),
        (0, -1, 1, 32, r"multiplier: .* leave u31"),
        (0, 2**15, 1, 33, r"multiplier: .* leave u15"),
        (0, 2**15, 1, 48, r"multiplier: .* leave u15"),
        (0, 1, 0, 32, r"shift must be 1\.\.62, got 0\.\.0"),
        (0, 1, 63, 32, r"shift must be 1\.\.62, got 63\.\.63"),
        (0, 1, -1, 48, r"shift must be 1\.\.62"),
        (0, 1, 200, 48, r"shift must be 1\.\.62"),
    ],
)
def test_requantise_refuses_what_is_outside_its_profile(
    accumulator: int, multiplier: int, shift: int, bits: int, message: str
) -> None:
    operands = np.full((1, 1, 1), accumulator, np.int64), np.array([multiplier], np.int64), np.array([shift], np.int64)
    for function in (requantise, requantise_plain):
        with pytest.raises(RangeError, match=rf"^RC-RANGE: {message}") as caught:
            function(*operands, IntFormat(bits, True), IntFormat(8, True))
        assert caught.value.code == "RC-RANGE"


@pytest.mark.parametrize("bits", [32, 48])
def test_requantise_accepts_the_largest_of_everything(bits: int) -> None:
    source = IntFormat(bits, True)
    check_scales(np.array([2 ** multiplier_bits(source) - 1]), np.array([62]), source)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_requantise_refuses_floats(position: int) -> None:
    """Catches a shift of 1.5 that is silently cut to 1."""
    operands = [np.ones((1, 1, 1), np.int64), np.ones(1, np.int64), np.ones(1, np.int64)]
    operands[position] = operands[position] * 1.5
    for function in (requantise, requantise_plain):
        with pytest.raises(RangeError, match="RC-RANGE"):
            function(*operands, IntFormat(32, True), IntFormat(8, True))
