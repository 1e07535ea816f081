"""The scalars of the executable specification against fractions and loops (SPEC RND-1 to ACC-2, PIC-3, VEC-2)."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import combinations, product

import naive
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcodec import fixed

WIDE = st.integers(-(2**80), 2**80)
SHIFTS = st.integers(0, 62)
SMALL_KERNEL = st.lists(st.integers(-8, 7), min_size=1, max_size=7)


# --- rounding


def test_rounding_shift_equals_naive_on_all_small_values() -> None:
    for value, shift in product(range(-300, 301), range(10)):
        assert fixed.rounding_shift(value, shift) == naive.round_half_up(Fraction(value, 2**shift))


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(1, 1), (-1, 0), (3, 2), (-3, -1), (5, 3), (-5, -2)],
    ids=lambda v: str(v),
)
def test_rounding_shift_takes_halves_up_not_to_even_nor_away_from_zero(value: int, rounded: int) -> None:
    assert fixed.rounding_shift(value, 1) == rounded
    assert fixed.rounding_shift(value << 60, 61) == rounded


@given(WIDE, SHIFTS)
def test_rounding_shift_equals_naive(value: int, shift: int) -> None:
    assert fixed.rounding_shift(value, shift) == naive.round_half_up(Fraction(value, 2**shift))


@given(WIDE, st.integers(-(2**40), 2**40), SHIFTS)
def test_rounding_shift_commutes_with_offsets(value: int, offset: int, shift: int) -> None:
    assert fixed.rounding_shift(value + (offset << shift), shift) == fixed.rounding_shift(value, shift) + offset


@given(WIDE, SHIFTS)
def test_rounding_shift_is_a_nearest_integer(value: int, shift: int) -> None:
    error = fixed.rounding_shift(value, shift) - Fraction(value, 2**shift)
    assert -Fraction(1, 2) < error <= Fraction(1, 2) or (shift == 0 and error == 0)


# --- clip, requantise, latents


def test_clip_equals_naive_on_all_small_values() -> None:
    for value, lo, hi in product(range(-9, 10), range(-5, 6), range(-5, 6)):
        if lo <= hi:
            assert fixed.clip(value, lo, hi) == naive.clip(value, lo, hi)


def test_relu_equals_naive() -> None:
    assert [fixed.relu(v) for v in (-(2**50), -1, 0, 1, 2**50)] == [0, 0, 0, 1, 2**50]
    assert all(fixed.relu(v) == naive.relu(v) for v in range(-20, 21))


@given(st.integers(-(2**47), 2**47 - 1), st.integers(0, 2**31 - 1), st.integers(1, 62), st.booleans())
def test_requantise_equals_naive(accumulator: int, multiplier: int, shift: int, signed: bool) -> None:
    limits = naive.format_range(8, signed)
    wanted = naive.requantise(accumulator, multiplier, shift, *limits)
    assert fixed.requantise(accumulator, multiplier, shift, *limits) == wanted


def test_latent_mean_equals_naive_at_its_corners() -> None:
    for fraction in range(17):
        limit = 2 ** (15 + fraction)
        for symbol, mean in product((-(2**15), -1, 0, 1, 2**15 - 1), (-limit, -1, 0, 1, limit - 1)):
            found = fixed.latent_mean(symbol, mean, fraction)
            assert found == naive.latent_mean(symbol, mean, fraction)
            assert -(2 ** (16 + fraction)) <= found < 2 ** (16 + fraction)


@given(st.lists(st.integers(-40, 40), min_size=63, max_size=63), st.integers(-45, 45))
def test_scale_index_equals_naive(thresholds: list[int], accumulator: int) -> None:
    assert fixed.scale_index(accumulator, sorted(thresholds)) == naive.scale_index(accumulator, sorted(thresholds))


# --- sizes and taps


def test_convolution_size_counts_the_windows() -> None:
    for size, kernel, stride in product(range(1, 12), range(1, 10), range(1, 5)):
        for padding in range(kernel):
            windows = len(range(0, size + 2 * padding - kernel + 1, stride))
            assert max(fixed.convolution_size(size, kernel, stride, padding), 0) == windows


def test_transposed_size_reverses_convolution_size() -> None:
    """Every input size is restored by exactly the output padding that the convolution's floor dropped."""
    for size, kernel, stride in product(range(1, 14), range(1, 10), range(1, 5)):
        for padding in range(kernel):
            small = fixed.convolution_size(size, kernel, stride, padding)
            if small > 0:
                dropped = (size + 2 * padding - kernel) % stride
                assert fixed.transposed_size(small, kernel, stride, padding, dropped) == size


def test_phase_taps_are_those_that_scatter_to_the_phase() -> None:
    for kernel, stride in product(range(1, 10), range(1, 5)):
        for padding in range(kernel):
            reached = {phase: [] for phase in range(stride)}  # type: dict[int, list[tuple[int, int]]]
            m = 100  # far from every border
            for k, i in product(range(kernel), range(80, 120)):
                output = stride * i - padding + k
                if output // stride == m:
                    reached[output % stride].append((k, i - m))
            assert reached == {phase: fixed.phase_taps(kernel, stride, padding, phase) for phase in range(stride)}


def test_phase_taps_of_the_usual_layer_are_nine_six_six_and_four() -> None:
    rows = [len(fixed.phase_taps(5, 2, 2, phase)) for phase in range(2)]
    assert [a * b for a, b in product(rows, rows)] == [9, 6, 6, 4]


# --- accumulator bound


@given(SMALL_KERNEL, st.integers(-50, 50), st.integers(0, 9), st.randoms(use_true_random=False))
def test_accumulator_bound_holds_for_every_partial_sum(
    weights: list[int], bias: int, magnitude: int, shuffled: random.Random
) -> None:
    bound = fixed.accumulator_bound([[weights]], bias, magnitude)
    assert bound == naive.accumulator_bound(weights, bias, magnitude)
    terms = [bias] + [w * shuffled.randint(-magnitude, magnitude) for w in weights]
    for count in range(len(terms) + 1):
        assert all(abs(sum(subset)) <= bound for subset in combinations(terms, count))


@given(SMALL_KERNEL, st.integers(-50, 50), st.integers(0, 9))
def test_accumulator_bound_is_attained(weights: list[int], bias: int, magnitude: int) -> None:
    sign = 1 if bias >= 0 else -1
    witness = [magnitude * sign * (1 if w >= 0 else -1) for w in weights]
    total = bias + sum(w * x for w, x in zip(weights, witness, strict=True))
    assert abs(total) == fixed.accumulator_bound([[weights]], bias, magnitude)


# --- grey, random numbers


def test_grey_equals_naive_on_every_rounding_and_every_extreme() -> None:
    levels = (0, 1, 2, 3, 127, 128, 252, 253, 254, 255)
    for rgb in product(levels, repeat=3):
        assert fixed.grey(*rgb) == naive.grey(*rgb)
    assert [fixed.grey(v, v, v) for v in range(256)] == list(range(256))


def test_grey_weighs_green_twice_and_rounds_halves_up() -> None:
    assert [fixed.grey(4, 0, 0), fixed.grey(0, 4, 0), fixed.grey(0, 0, 4)] == [1, 2, 1]
    assert [fixed.grey(2, 0, 0), fixed.grey(1, 0, 0), fixed.grey(0, 1, 0), fixed.grey(0, 0, 3)] == [1, 0, 1, 1]


@settings(max_examples=500)
@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_counter_random_equals_naive(seed: int, count: int) -> None:
    assert fixed.counter_random(seed, count) == naive.counter_random(seed, count)


def test_counter_random_finishes_like_splitmix64() -> None:
    """The published outputs of splitmix64 from the state 0; counter -1 leaves seed * the golden gamma."""
    published = (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC)
    assert [fixed.counter_random(n + 1, -1) for n in range(4)] == [value & 0xFFFFFFFF for value in published]


def test_counter_random_has_no_repeats_nor_bias_among_small_arguments() -> None:
    drawn = [fixed.counter_random(seed, count) for seed, count in product(range(40), repeat=2)]
    assert len(set(drawn)) == len(drawn)
    for bit in range(32):
        assert 700 < sum(value >> bit & 1 for value in drawn) < 900
