"""Foreign requantisation: definitions, fractions and the runtimes themselves agree (SPEC INTEROP-1 to INTEROP-12)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from fractions import Fraction
from itertools import combinations, product
from pathlib import Path

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from interop_oracles import Pointwise, litert, onnx_reference, onnxruntime, onnxruntime_rounding

from refcodec import fixed
from refcodec.interop import rounding

CHANNELS = 4096  # times 256 pixels: 2**20 values
BYTES = (-128, 127)
WORDS = (-(2**15), 2**15 - 1)
INT32 = (-(2**31), 2**31 - 1)
Requantise = Callable[[int, int, int, int, int, int], int]
# Functions of one accumulator, multiplier, shift, zero point and limits.
PROFILES: dict[str, Requantise] = {
    "half up": lambda a, m, s, z, lo, hi: fixed.requantise(a + (0 * z), m, s, lo - z, hi - z) + z,
    "half even": rounding.half_even_requantise_zero_point_after,
    "half even, zero point first": rounding.half_even_requantise_zero_point_before,
    "single precision": rounding.half_even_requantise_single_precision,
    "double, away": rounding.doubly_rounded_requantise_half_up_half_away,
    "double, up": rounding.doubly_rounded_requantise_half_up_half_up,
    "15-bit multiplier": lambda a, m, s, z, lo, hi: rounding.half_up_requantise_q15(a, m, s, lo - z, hi - z) + z,
    "floor": lambda a, m, s, z, lo, hi: rounding.floor_requantise(a, m, s, lo - z, hi - z) + z,
}


# --- oracles: fractions, C's truncating division, binary32


def half_away(value: Fraction) -> int:
    """The nearest integer, halves away from zero."""
    return math.floor(abs(value) + Fraction(1, 2)) * (1 if value >= 0 else -1)


def high_multiply(left: int, right: int, bits: int) -> int:
    """The published C code: a nudge that depends on the sign, then a division that truncates."""
    if left == right == -(2 ** (bits - 1)):
        return 2 ** (bits - 1) - 1
    nudge = 2 ** (bits - 2) if left * right >= 0 else 1 - 2 ** (bits - 2)
    return math.trunc(Fraction(left * right + nudge, 2 ** (bits - 1)))


def tosa_double_round(accumulator: int, multiplier: int, shift: int, bits: int) -> int:
    """One division whose rounding constant is moved by half of the first one's unit, by the accumulator's sign."""
    unit = 2 ** (bits - 2) if shift > bits - 1 else 0
    constant = Fraction(2**shift, 2) + (unit if accumulator >= 0 else -unit)
    return math.floor((accumulator * multiplier + constant) / 2**shift)


# --- scalars against fractions


def test_half_even_shift_equals_fractions_on_all_small_values() -> None:
    for value, shift in product(range(-1200, 1201), range(10)):
        assert rounding.half_even_shift(value, shift) == round(Fraction(value, 2**shift))


def test_half_away_shift_equals_fractions_on_all_small_values() -> None:
    for value, shift in product(range(-1200, 1201), range(10)):
        assert rounding.half_away_shift(value, shift) == half_away(Fraction(value, 2**shift))


@given(st.integers(-(2**80), 2**80), st.integers(0, 79))
def test_shifts_equal_fractions_on_ties_and_their_neighbours(quotient: int, shift: int) -> None:
    for value in (((2 * quotient + 1) << shift >> 1) + step for step in (-1, 0, 1)):
        assert rounding.half_even_shift(value, shift) == round(Fraction(value, 2**shift))
        assert rounding.half_away_shift(value, shift) == half_away(Fraction(value, 2**shift))


@pytest.mark.parametrize(
    ("value", "even", "away", "up"), [(1, 0, 1, 1), (3, 2, 2, 2), (5, 2, 3, 3), (-1, 0, -1, 0), (-3, -2, -2, -1)]
)
def test_shifts_differ_on_halves(value: int, even: int, away: int, up: int) -> None:
    found = rounding.half_even_shift(value, 1), rounding.half_away_shift(value, 1), fixed.rounding_shift(value, 1)
    assert found == (even, away, up)


@pytest.mark.parametrize("bits", range(2, 8))
def test_high_multiply_equals_the_published_code_at_every_small_width(bits: int) -> None:
    """The published code is said to round halves away from zero: it rounds them up."""
    every = range(-(2 ** (bits - 1)), 2 ** (bits - 1))
    for left, right in product(every, repeat=2):
        found = rounding.saturating_rounding_doubling_high_multiply(left, right, bits)
        assert found == high_multiply(left, right, bits)
        assert found in every


@pytest.mark.parametrize("bits", [16, 32])
def test_high_multiply_saturates_for_two_smallest_values_alone(bits: int) -> None:
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    multiply = rounding.saturating_rounding_doubling_high_multiply
    assert multiply(low, low, bits) == high
    assert fixed.rounding_shift(low * low, bits - 1) == high + 1
    corners = (low, low + 1, -1, 0, 1, high - 1, high)
    for left, right in product(corners, repeat=2):
        assert multiply(left, right, bits) == high_multiply(left, right, bits)
        if (left, right) != (low, low):
            assert multiply(left, right, bits) == naive.round_half_up(Fraction(left * right, 2 ** (bits - 1)))


@given(st.integers(*INT32), st.integers(*INT32))
def test_high_multiply_equals_the_published_code(left: int, right: int) -> None:
    assert rounding.saturating_rounding_doubling_high_multiply(left, right, 32) == high_multiply(left, right, 32)


@pytest.mark.parametrize("bits", range(1, 7))
def test_half_even_significand_is_the_nearest_short_integer(bits: int) -> None:
    short = sorted({sign * m << e for m in range(2**bits) for e in range(12) for sign in (-1, 1)})
    for value in range(-1000, 1001):
        found = rounding.half_even_significand(value, bits)
        nearest = min(abs(value - s) for s in short)
        assert found in short
        assert abs(value - found) == nearest


@given(st.integers(0, 62), st.integers(-(2**24), 2**24), st.integers(-3, 3))
def test_half_even_significand_of_24_bits_is_binary32(excess: int, significand: int, step: int) -> None:
    for value in ((significand << excess) + step, (significand << excess) + (1 << excess >> 1) + step):
        if abs(value) <= 2**63 - 1:
            assert rounding.half_even_significand(value, 24) == int(np.float32(np.int64(value)))


@given(st.integers(*INT32), st.integers(0, 2**24 - 1), st.integers(0, 126), st.integers(-128, 127))
def test_single_precision_equals_binary32(accumulator: int, significand: int, shift: int, zero_point: int) -> None:
    scale = np.ldexp(np.float32(significand), -shift)
    assert scale.dtype == np.float32
    scaled = np.rint(np.float32(np.int32(accumulator)) * scale)
    found = rounding.half_even_requantise_single_precision(accumulator, significand, shift, zero_point, *BYTES)
    assert found == naive.clip(int(scaled) + zero_point, *BYTES)


@given(st.integers(-(2**48), 2**48), st.integers(0, 2**31 - 1), st.integers(0, 62), st.integers(-200, 200))
def test_requantisers_equal_fractions(accumulator: int, multiplier: int, shift: int, zero_point: int) -> None:
    scaled = Fraction(accumulator * multiplier, 2**shift)
    arguments = (accumulator, multiplier, shift)
    after = rounding.half_even_requantise_zero_point_after(*arguments, zero_point, *BYTES)
    before = rounding.half_even_requantise_zero_point_before(*arguments, zero_point, *BYTES)
    assert after == naive.clip(round(scaled) + zero_point, *BYTES)
    assert before == naive.clip(round(scaled + zero_point), *BYTES)
    assert rounding.floor_requantise(*arguments, *BYTES) == naive.clip(math.floor(scaled), *BYTES)


@given(st.integers(-(2**47), 2**47 - 1), st.integers(0, 2**31 - 1), st.integers(24, 62))
def test_q15_equals_fractions(accumulator: int, multiplier: int, shift: int) -> None:
    reduced = min(naive.round_half_up(Fraction(multiplier, 2**16)), 2**15 - 1)
    rounded = naive.round_half_up(Fraction(accumulator * reduced, 2 ** (shift - 16)))
    assert rounding.half_up_requantise_q15(accumulator, multiplier, shift, *WORDS) == naive.clip(rounded, *WORDS)


@pytest.mark.parametrize(
    ("multiplier", "reduced"),
    [(0x7FFEFFFF, 0x7FFF), (0x7FFF0000, 0x7FFF), (0x7FFFFFFF, 0x7FFF), (0x40007FFF, 0x4000), (0x40008000, 0x4001)],
)
def test_q15_rounds_the_multiplier_and_keeps_it_within_15_bits(multiplier: int, reduced: int) -> None:
    assert rounding.half_up_requantise_q15(1 << 20, multiplier, 36, *INT32) == reduced


@pytest.mark.parametrize("second", ["away", "up"])
@given(st.integers(*INT32), st.integers(0, 2**31 - 1), st.integers(1, 62), st.integers(-128, 127))
def test_double_rounding_equals_two_fractions(second, accumulator, multiplier, shift, zero_point) -> None:  # type: ignore[no-untyped-def]
    accumulator >>= max(31 - shift, 0)
    high = naive.round_half_up(Fraction(accumulator * multiplier, 2 ** min(shift, 31)))
    rest = Fraction(high, 2 ** max(shift - 31, 0))
    rounded = half_away(rest) if second == "away" else naive.round_half_up(rest)
    found = PROFILES[f"double, {second}"](accumulator, multiplier, shift, zero_point, *BYTES)
    assert found == naive.clip(rounded + zero_point, *BYTES)


# --- lemmas


@pytest.mark.parametrize("bits", range(3, 8))
def test_double_rounding_is_tosas_at_every_small_width(bits: int) -> None:
    """The lemma of INTEROP-9, for all accumulators, multipliers and shifts beyond the first rounding."""
    differs = 0
    for accumulator, multiplier in product(range(-(2 ** (bits - 1)), 2 ** (bits - 1)), range(2 ** (bits - 1))):
        high = rounding.saturating_rounding_doubling_high_multiply(accumulator, multiplier, bits)
        for right in range(1, bits + 1):
            shift = bits - 1 + right
            found = rounding.half_away_shift(high, right)
            scaled = Fraction(accumulator * multiplier, 2**shift)
            assert found == tosa_double_round(accumulator, multiplier, shift, bits)
            assert abs(found - scaled) <= Fraction(1, 2) + Fraction(1, 2 ** (right + 1))
            differs += found != naive.round_half_up(scaled)
    assert differs > 0


@given(st.integers(*INT32), st.integers(0, 2**31 - 1), st.integers(2, 62))
def test_double_rounding_is_tosas(accumulator: int, multiplier: int, shift: int) -> None:
    accumulator >>= max(31 - shift, 0)
    found = rounding.doubly_rounded_requantise_half_up_half_away(accumulator, multiplier, shift, 0, *INT32)
    assert found == tosa_double_round(accumulator, multiplier, shift, 32)


def test_double_rounding_can_be_three_quarters_of_a_unit_off() -> None:
    """0.25 of a unit is taken to 0.5 by the first rounding and to 1 by the second."""
    found = [PROFILES[name](1, 2**30, 32, 0, *BYTES) for name in ("half up", "half even", "double, away", "double, up")]
    assert found == [0, 0, 1, 1]


@pytest.mark.parametrize("first", range(6))
def test_truncation_then_rounding_is_one_rounding_if_the_second_shift_is_not_zero(first: int) -> None:
    """The lemma of INTEROP-10."""
    for value, second in product(range(-600, 601), range(1, 6)):
        assert fixed.rounding_shift(value >> first, second) == fixed.rounding_shift(value, first + second)
    fails = [v for v in range(-600, 601) if fixed.rounding_shift(v >> first, 0) != fixed.rounding_shift(v, first)]
    assert bool(fails) == (first > 0)


def test_half_even_commutes_with_even_offsets_alone() -> None:
    """The lemma of INTEROP-4: only halves tell the two zero points apart, and only if the zero point is odd."""
    for value, shift, zero_point in product(range(-80, 81), range(5), range(-5, 6)):
        arguments = (value, 1, shift, zero_point, *BYTES)
        after = rounding.half_even_requantise_zero_point_after(*arguments)
        before = rounding.half_even_requantise_zero_point_before(*arguments)
        is_half = Fraction(value, 2**shift).denominator == 2
        assert (after != before) == (is_half and zero_point % 2 == 1)
        assert abs(after - before) <= 1


# --- stimuli


def inputs(dtype: type) -> np.ndarray:
    """256 inputs: all of 8 bits; of 16 bits the ends, and steps of one around zero."""
    if dtype is np.int16:
        return np.concatenate([np.arange(-100, 100), np.linspace(*WORDS, 56)]).astype(dtype)
    return np.arange(256).astype(np.uint8).view(dtype)


def scales(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Significands (O,) of 24 bits and shifts: many with few bits, for halves, others large; scales 2**-31 to 2**5."""
    few = 2 * rng.integers(0, 8, CHANNELS) + 1
    many = (2**24 - rng.integers(1, 2**23 >> 13 * rng.integers(0, 2, CHANNELS))) | 1
    significand = np.where(rng.random(CHANNELS) < 0.6, few, many)
    significand <<= 24 - np.frexp(significand.astype(np.float64))[1]
    return significand, 24 + rng.integers(-5, 31, CHANNELS)


def tie_rich_layer(
    rng: np.random.Generator,
    dtype: type,
    accumulator_bits: int,
    y_scale: float = 1.0,
    zero_points: tuple[int, int] = (0, 0),
) -> Pointwise:
    """A layer whose biases put its outputs next to a half; one channel in eight reaches an end of the accumulator."""
    x = inputs(dtype)
    significand, shift = scales(rng)
    weight = rng.choice([-1, 1], CHANNELS) * np.where(rng.random(CHANNELS) < 0.6, 1, rng.integers(2, 128, CHANNELS))
    products = weight[:, None] * (x.astype(np.int64) - zero_points[0])
    limit = 2 ** (accumulator_bits - 1)
    lowest, highest = -limit - products.min(axis=1), limit - 1 - products.max(axis=1)
    centre = rng.integers(-x.size // 2 - 12, x.size // 2 + 12, CHANNELS) * (2 ** (8 * x.itemsize) // 256)
    scale = np.ldexp(significand.astype(np.float64), -shift)
    near = np.floor((centre + 0.5) * y_scale / scale).clip(-limit, limit - 1).astype(np.int64)
    bias = (near + rng.integers(-9, 10, CHANNELS)).clip(lowest, highest)
    ends = (rng.random(CHANNELS) < 0.125) & (scale < 2.0 ** (20 - accumulator_bits))
    bias = np.where(ends, np.where(rng.random(CHANNELS) < 0.5, lowest, highest), bias)
    return Pointwise(
        x=x,
        x_zero_point=zero_points[0],
        weight=weight.astype(np.int8),
        bias=bias.astype(np.int32 if accumulator_bits == 32 else np.int64),
        scale=scale.astype(np.float32),
        y_scale=y_scale,
        y_zero_point=zero_points[1],
    )


def accumulators(layer: Pointwise) -> np.ndarray:
    """(O, P) int64."""
    return layer.bias[:, None] + layer.weight[:, None].astype(np.int64) * (
        layer.x.astype(np.int64) - layer.x_zero_point
    )


def quantised_multiplier(scale: float) -> tuple[int, int]:
    """A scale as multiplier / 2**shift, the multiplier of 31 bits, halves away from zero: TensorFlow Lite's way."""
    fraction, exponent = math.frexp(scale)
    multiplier = half_away(Fraction(fraction) * 2**31)
    return (multiplier, 31 - exponent) if multiplier < 2**31 else (multiplier >> 1, 30 - exponent)


def significands(layer: Pointwise) -> list[tuple[int, int]]:
    """Every channel's scale as significand / 2**shift, exactly; the output's scale is 1."""
    return [(int(f * 2**24), 24 - int(e)) for f, e in zip(*np.frexp(layer.scale.astype(np.float64)), strict=True)]


def multipliers(layer: Pointwise) -> list[tuple[int, int]]:
    """Every channel's scale over that of the output."""
    return [quantised_multiplier(scale / layer.y_scale) for scale in layer.scale.tolist()]


def predicted(name: str, layer: Pointwise, constants: list[tuple[int, int]], limits: tuple[int, int]) -> np.ndarray:
    """The layer's outputs (O, P) by one of the profiles."""
    function, zero_point = PROFILES[name], layer.y_zero_point
    return np.array(
        [
            [function(a, m, s, zero_point, *limits) for a in row]
            for row, (m, s) in zip(accumulators(layer).tolist(), constants, strict=True)
        ]
    )


def assert_telling(layer: Pointwise, constants: list[tuple[int, int]], limits: tuple[int, int]) -> None:
    """Halves of both signs and parities that are not clipped, both saturations, and both ends of the accumulator."""
    accumulator = accumulators(layer)
    multiplier, shift = (np.array(column)[:, None] for column in zip(*constants, strict=True))
    product_, unit = accumulator * multiplier, np.int64(1) << shift
    floor = product_ >> shift
    inside = (floor + layer.y_zero_point > limits[0]) & (floor + layer.y_zero_point < limits[1])
    half = inside & (2 * (product_ - (floor << shift)) == unit)
    for negative, odd in product((False, True), repeat=2):
        assert (half & ((floor < 0) == negative) & (floor % 2 == odd)).sum() > 1000
    assert (floor + layer.y_zero_point < limits[0]).sum() > 10_000
    assert (floor + layer.y_zero_point > limits[1]).sum() > 10_000
    assert inside.sum() > accumulator.size // 2
    bits = 32 if layer.bias.dtype == np.int32 else 48
    assert (accumulator.min(), accumulator.max()) == (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    assert (inside & (np.abs(accumulator) > 2 ** (bits - 3))).sum() > 1000


# --- live runtimes, a million values each


@pytest.mark.parametrize("y_scale", [1.0, float(np.float32(0.7310586))])
@pytest.mark.parametrize("resolver", ["BUILTIN_REF", "BUILTIN_WITHOUT_DEFAULT_DELEGATES"])
def test_litert_rounds_by_its_kernels(resolver: str, y_scale: float, rng: np.random.Generator) -> None:
    """Its reference kernels as INTEROP-9; its optimised ones as INTEROP-10 with AVX, and as RQ-1 without."""
    name = "double, away" if resolver == "BUILTIN_REF" else optimised_profile()
    layer = tie_rich_layer(rng, np.int8, 32, y_scale, (-5, 3))
    constants = multipliers(layer)
    np.testing.assert_array_equal(litert(layer, resolver), predicted(name, layer, constants, BYTES))
    if y_scale == 1.0:
        assert_telling(layer, constants, BYTES)
    else:
        assert sum(m % 2 for m, _ in constants) > CHANNELS // 3


def optimised_profile() -> str:
    """The profile of LiteRT's optimised kernels on this processor; skips the test where none was ever seen."""
    flags = Path("/proc/cpuinfo")
    words = flags.read_text(encoding="utf-8").split() if flags.is_file() else []
    if "sse4_2" not in words:
        pytest.skip("the optimised kernels were seen on x86-64 alone")
    return "double, up" if "avx" in words else "half up"


@pytest.mark.parametrize(("dtype", "zero_points"), [(np.int8, (-5, 3)), (np.int8, (7, -2)), (np.uint8, (117, 131))])
def test_onnxruntime_rounds_in_single_precision(
    dtype: type, zero_points: tuple[int, int], rng: np.random.Generator
) -> None:
    """Its QLinearConv as INTEROP-6."""
    layer = tie_rich_layer(rng, dtype, 32, zero_points=zero_points)
    limits = (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    wanted = predicted("single precision", layer, significands(layer), limits)
    np.testing.assert_array_equal(onnxruntime(layer), wanted)
    assert_telling(layer, significands(layer), limits)


def test_litert_rounds_in_single_precision_by_default(rng: np.random.Generator) -> None:
    """XNNPACK as INTEROP-6, so as INTEROP-3 where no product needs more than 24 bits."""
    layer = tie_rich_layer(rng, np.int8, 32, zero_points=(-5, 3))
    found = litert(layer, "AUTO")
    np.testing.assert_array_equal(found, predicted("single precision", layer, significands(layer), BYTES))
    assert_telling(layer, significands(layer), BYTES)
    exact = predicted("half even", layer, significands(layer), BYTES)
    odd_part = np.array([m >> 20 << 20 == m for m, _ in significands(layer)])
    short = (np.abs(accumulators(layer)) < 2**20) & odd_part[:, None]
    assert short.sum() > 200_000
    np.testing.assert_array_equal(found[short], exact[short])
    assert (found != exact).sum() > 1000


def test_onnx_reference_adds_the_zero_point_before_it_rounds(rng: np.random.Generator) -> None:
    """Its QLinearConv as INTEROP-4, in binary64, where onnxruntime adds it after."""
    layer = tie_rich_layer(rng, np.int8, 32, zero_points=(-5, 3))
    found = onnx_reference(layer)
    constants = significands(layer)
    np.testing.assert_array_equal(found, predicted("half even, zero point first", layer, constants, BYTES))
    assert_telling(layer, constants, BYTES)
    assert (found != predicted("half even", layer, constants, BYTES)).sum() > 1000


@pytest.mark.parametrize(("operator", "name"), [("Round", "half even"), ("Floor", "floor")])
def test_onnxruntime_rounds_exactly_in_double_precision(operator: str, name: str, rng: np.random.Generator) -> None:
    """`Round` as INTEROP-3 and `Floor` as INTEROP-12, where binary64 holds the product."""
    layer = tie_rich_layer(rng, np.int8, 32)
    constants = [(m >> 3, s - 3) for m, s in significands(layer)]  # 32 and 21 bits
    scale = np.array([[math.ldexp(m, -s)] for m, s in constants])
    found = onnxruntime_rounding(operator, accumulators(layer), scale).clip(*BYTES)
    np.testing.assert_array_equal(found, predicted(name, layer, constants, BYTES))
    assert_telling(layer, constants, BYTES)


@pytest.mark.parametrize("resolver", ["AUTO", "BUILTIN_REF"])
def test_litert_of_16_bits_rounds_its_multipliers_to_15_bits(resolver: str, rng: np.random.Generator) -> None:
    """As INTEROP-11 if the bias has 64 bits."""
    layer = tie_rich_layer(rng, np.int16, 48)
    constants = multipliers(layer)
    assert (np.abs(accumulators(layer)) * layer.scale.astype(np.float64)[:, None] < 2**30).all()
    np.testing.assert_array_equal(litert(layer, resolver), predicted("15-bit multiplier", layer, constants, WORDS))
    assert_telling(layer, [(min((m + 2**15) // 2**16, 2**15 - 1), s - 16) for m, s in constants], WORDS)
    assert sum(m * 2 % 2**17 != 0 for m, _ in constants) > 1000


# --- the profiles are different, and no decoder has them


def test_every_two_profiles_differ_on_the_stimuli(rng: np.random.Generator) -> None:
    """So each comparison above would fail with any other profile in the place of its own."""
    layer = tie_rich_layer(rng, np.int8, 32, zero_points=(-5, 3))
    constants = {name: significands(layer) if name == "single precision" else multipliers(layer) for name in PROFILES}
    picks = rng.permutation(CHANNELS)[:512]
    results = {name: predicted(name, layer, constants[name], BYTES)[picks] for name in PROFILES}
    for one, other in combinations(PROFILES, 2):
        assert (results[one] != results[other]).sum() > 20, (one, other)


def test_no_other_part_of_the_package_imports_the_foreign_profiles() -> None:
    """SPEC INTEROP-1: a decoder rounds halves up and nothing else."""
    root = Path(rounding.__file__).parents[2]
    texts = {
        path: path.read_text(encoding="utf-8") for top in ("refcodec", "hw") for path in (root / top).rglob("*.py")
    }
    assert len(texts) > 40
    importing = re.compile(r"refcodec\.interop(\.| import .*\b)rounding\b")
    assert importing.search("from refcodec.interop import rounding")
    assert [path for path, text in texts.items() if importing.search(text)] == []
