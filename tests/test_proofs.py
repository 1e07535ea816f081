"""Proofs of the specification's lemmas: by exhaustion at small widths, by z3 at all others.

Each proof reads the text of the package. At the end of the file the proofs are given wrong texts, and have to fail.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from proofs import Clauses, counterexample, proven, unknowns, z3

from refcodec import fixed
from refcodec.errors import RangeError
from refcodec.formats import MAX_BITS, MAX_SHIFT, MIN_SHIFT, PROFILES, IntFormat, multiplier_bits
from refcodec.interop import rounding

FIXED_TEXT = inspect.getsource(fixed)
TEXT = FIXED_TEXT + inspect.getsource(rounding)
CLAUSES = Clauses(TEXT)
SHIFTS = range(MIN_SHIFT, MAX_SHIFT + 1)
SMALL = range(1, 9)


def in_bits(value: Any, bits: int) -> Any:
    """A value is one of the signed integers of a width."""
    return z3.And(-(2 ** (bits - 1)) <= value, value < 2 ** (bits - 1))


# --- every width up to 8 bits, exhaustively


@pytest.mark.parametrize("bits", SMALL)
def test_restoring_division_is_floor_division_at_small_widths(bits: int) -> None:
    """SPEC DIV-3."""
    for numerator, denominator in product(range(2**bits), range(1, 2**bits + 2)):
        quotient = fixed.restoring_division(numerator, denominator, bits)
        assert quotient * denominator <= numerator < (quotient + 1) * denominator


def test_isqrt_is_exact_at_small_widths() -> None:
    """SPEC ISQRT-1: each root r once for every value from r * r on and below (r + 1) * (r + 1)."""
    wanted = [root for root in range(2**8) for _ in range(2 * root + 1)]
    assert [fixed.isqrt(value) for value in range(2**16)] == wanted


def test_isqrt_is_exact_around_large_squares(rng: np.random.Generator) -> None:
    roots = {*(rng.integers(0, 2**31, 3000) >> rng.integers(0, 31, 3000)).tolist(), *range(2**31 - 99, 2**31)}
    for root in roots - {0}:
        found = [fixed.isqrt(value) for value in (root * root - 1, root * root, root * (root + 2))]
        assert found == [root - 1, root, root]


@pytest.mark.parametrize("bits", SMALL)
def test_roundings_are_half_up_at_small_widths(bits: int) -> None:
    """SPEC RND-1, DIV-1: the floor of the quotient plus one half."""
    every = range(-(2**bits), 2**bits)
    for numerator, denominator in product(every, range(1, 2**bits + 1)):
        rounded = fixed.rounding_division(numerator, denominator)
        assert 2 * denominator * rounded <= 2 * numerator + denominator < 2 * denominator * (rounded + 1)
    for value, shift in product(every, range(bits + 3)):
        assert fixed.rounding_shift(value, shift) == fixed.rounding_division(value, 2**shift)


@pytest.mark.parametrize(("accumulator_bits", "bits"), list(product(SMALL, SMALL)))
def test_requantisation_stays_within_its_width_at_small_widths(accumulator_bits: int, bits: int) -> None:
    """SPEC RQ-2 where the profile is (accumulator_bits, bits) and the machine has accumulator_bits + bits + 1 bits."""
    accumulator = np.arange(-(2 ** (accumulator_bits - 1)), 2 ** (accumulator_bits - 1))
    products = accumulator[:, None] * np.arange(2**bits)
    assert np.abs(products).max() < 2 ** (accumulator_bits + bits - 1)
    for shift in range(1, accumulator_bits + bits):
        total = products + 2 ** (shift - 1)
        assert -(2 ** (accumulator_bits + bits)) <= total.min() <= total.max() < 2 ** (accumulator_bits + bits)
        rounded = fixed.rounding_shift(products, shift)
        assert (rounded << shift <= total).all()
        assert (total < (rounded + 1) << shift).all()


# --- the declared intermediate width (SPEC RQ-2)


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_product_stays_below_62_bits(profile: tuple[int, int]) -> None:
    accumulator, multiplier = unknowns("accumulator multiplier")
    domain = [in_bits(accumulator, profile[0]), multiplier >= 0, multiplier < 2 ** profile[1]]
    product_ = accumulator * multiplier
    assert counterexample(z3.And(product_ > -(2**62), product_ < 2**62), *domain) is None
    assert counterexample(z3.And(product_ > -(2**61), product_ < 2**62), *domain)
    assert counterexample(z3.And(product_ > -(2**62), product_ < 2**61), *domain)


@pytest.mark.parametrize("wider", [(33, 31), (32, 32), (49, 15), (48, 16)], ids=str)
def test_product_of_one_bit_more_leaves_62_bits(wider: tuple[int, int]) -> None:
    accumulator, multiplier = unknowns("accumulator multiplier")
    domain = [in_bits(accumulator, wider[0]), multiplier >= 0, multiplier < 2 ** wider[1]]
    assert counterexample(accumulator * multiplier > -(2**62), *domain)


def test_every_format_has_a_profile_whose_ends_stay_below_62_bits() -> None:
    """An unsigned accumulator counts one bit more than its width; u48 would count 49."""
    refused = []
    for bits, signed in product(range(1, MAX_BITS + 1), (True, False)):
        accumulator = IntFormat(bits, signed)
        try:
            largest = 2 ** multiplier_bits(accumulator) - 1
        except RangeError:
            refused.append(str(accumulator))
            continue
        assert -(2**62) < accumulator.lo * largest <= accumulator.hi * largest < 2**62
        assert (largest == 2**31 - 1) == (bits + (not signed) <= 32)
    assert refused == ["u48"]


@pytest.mark.parametrize("shift", SHIFTS)
def test_rounding_of_a_product_stays_within_64_bits(shift: int) -> None:
    """The machine's sum and shift of 64 bits are those of the integers; the constant is at most 2**61."""
    assert 1 <= 2 ** (shift - 1) <= 2**61
    (product_,) = unknowns("product")
    total = product_ + 2 ** (shift - 1)
    bounded = z3.And(product_ > -(2**62), product_ < 2**62)
    assert counterexample(in_bits(total, 64), bounded) is None
    rounded = CLAUSES.call("rounding_shift", product_, shift)
    assert counterexample(z3.And(rounded * 2**shift <= total, total < (rounded + 1) * 2**shift), bounded) is None
    word = z3.BitVec("word", 64)
    machine, wide = fixed.rounding_shift(word, shift), fixed.rounding_shift(z3.SignExt(8, word), shift)
    assert counterexample(z3.SignExt(8, machine) == wide, word > -(2**62), word < 2**62) is None


@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("shift", SHIFTS)
def test_requantisation_stays_within_the_limits_and_never_falls(shift: int, signed: bool) -> None:
    """SPEC RQ-1, CLIP-1, of the product of accumulator and multiplier."""
    smaller, larger = unknowns("smaller larger")
    lo, hi = IntFormat(8, signed).lo, IntFormat(8, signed).hi
    one, two = (CLAUSES.call("requantise", product_, 1, shift, lo, hi) for product_ in (smaller, larger))
    rounded = CLAUSES.call("rounding_shift", smaller, shift)
    assert proven(z3.And(lo <= one, one <= hi))
    assert proven(one == rounded, lo <= rounded, rounded <= hi)
    assert proven(one <= two, smaller <= larger)


@pytest.mark.parametrize("shift", [MIN_SHIFT, 2, 16, 31, 32, 47, MAX_SHIFT])
def test_leaky_requantisation_is_the_larger_of_two(shift: int) -> None:
    """The lemma of LEAKY-2, and that it needs the order of the multipliers."""
    accumulator, multiplier, negative = unknowns("accumulator multiplier negative")
    constants = shift, -128, 127
    found = CLAUSES.call("leaky_requantise", accumulator, multiplier, negative, *constants)
    one, other = (CLAUSES.call("requantise", accumulator, m, *constants) for m in (multiplier, negative))
    larger = z3.If(one > other, one, other)
    assert proven(found == larger, negative >= 0, negative <= multiplier, accumulator >= 0)
    assert proven(found == larger, negative >= 0, negative <= multiplier, accumulator < 0)
    assert counterexample(found == larger, multiplier >= 0, multiplier < negative)


# --- division and root, for all widths by induction


def division_is_floor(clauses: Clauses) -> Iterator[bool]:
    """DIV-3: the bits read so far are quotient * denominator + remainder, before and after every step."""
    numerator, denominator, quotient, remainder = unknowns("numerator denominator quotient remainder")

    def invariant(state: dict[str, Any], bits_left: int) -> Any:
        rest = state["remainder"]
        prefix = numerator / 2**bits_left
        return z3.And(prefix == state["quotient"] * denominator + rest, rest >= 0, rest < denominator)

    for bits in range(1, 64):
        known = {"numerator": numerator, "denominator": denominator, "bits": bits}
        start, order = clauses.before("restoring_division", known)
        yield order == list(range(bits - 1, -1, -1))
        yield proven(invariant(start, bits), numerator >= 0, numerator < 2**bits, denominator >= 1)
        state = {**known, "quotient": quotient, "remainder": remainder}
        for conditions, stepped in clauses.step("restoring_division", state, bits - 1):
            domain = [numerator >= 0, denominator >= 1, invariant(state, bits), *conditions]
            yield proven(invariant(stepped, bits - 1), *domain)
    result = clauses.after("restoring_division", state)
    floor = z3.And(result * denominator <= numerator, numerator < (result + 1) * denominator)
    yield proven(floor, denominator >= 1, invariant(state, 0))


def root_is_exact(clauses: Clauses) -> Iterator[bool]:
    """ISQRT-1: root**2 <= value < (root + step)**2, before and after every step, and no square needs 63 bits."""
    value, root = unknowns("value root")

    def invariant(found: Any, step: int) -> Any:
        below = z3.And(found >= 0, found % step == 0, found + step <= 2**31)
        return z3.And(below, found * found <= value, value < (found + step) * (found + step))

    start, order = clauses.before("isqrt", {"value": value})
    yield order == list(range(30, -1, -1))
    yield proven(invariant(start["root"], 2**31), value >= 0, value < 2**62)
    for bit in order:
        for conditions, stepped in clauses.step("isqrt", {"value": value, "root": root}, bit):
            domain = [invariant(root, 2 ** (bit + 1)), *conditions]
            yield proven(invariant(stepped["root"], 2**bit), *domain)
            yield proven(stepped["candidate"] < 2**31, *domain)
    result = clauses.after("isqrt", {"value": value, "root": root})
    yield proven(z3.And(result * result <= value, value < (result + 1) * (result + 1)), invariant(root, 1))


def test_restoring_division_is_floor_division_at_every_width_of_a_machine() -> None:
    """SPEC DIV-3."""
    assert all(division_is_floor(CLAUSES))


def test_isqrt_is_exact_and_fits_64_bits() -> None:
    """SPEC ISQRT-1."""
    assert all(root_is_exact(CLAUSES))


# --- rounding division (SPEC DIV-1, DIV-2)


def division_is_half_up(clauses: Clauses) -> Iterator[bool]:
    """DIV-1: the result is the floor of the quotient plus one half, and a nearest integer."""
    numerator, denominator = unknowns("numerator denominator")
    result = clauses.call("rounding_division", numerator, denominator)
    yield proven(result == (2 * numerator + denominator) / (2 * denominator), denominator >= 1)
    error = 2 * numerator - 2 * denominator * result
    yield proven(z3.And(-denominator <= error, error < denominator), denominator >= 1)


def division_commutes(clauses: Clauses) -> Iterator[bool]:
    """The lemma of DIV-1: an integer offset may be added before or after."""
    numerator, denominator, offset = unknowns("numerator denominator offset")
    before = clauses.call("rounding_division", numerator + offset * denominator, denominator)
    after = clauses.call("rounding_division", numerator, denominator) + offset
    yield proven(before == after, denominator >= 1)


def test_rounding_division_rounds_halves_up() -> None:
    assert all(division_is_half_up(CLAUSES))


def test_rounding_division_commutes_with_offsets() -> None:
    assert all(division_commutes(CLAUSES))


@pytest.mark.parametrize("shift", range(MAX_SHIFT + 1))
def test_rounding_shift_is_rounding_division_and_commutes_with_offsets(shift: int) -> None:
    """The lemmas of RND-1 and DIV-1."""
    value, offset = unknowns("value offset")
    shifted = CLAUSES.call("rounding_shift", value, shift)
    assert counterexample(shifted == CLAUSES.call("rounding_division", value, 2**shift)) is None
    assert counterexample(CLAUSES.call("rounding_shift", value + offset * 2**shift, shift) == shifted + offset) is None


def test_rounding_division_stays_within_64_bits() -> None:
    """DIV-2: neither operand of its floor division leaves 64 bits, nor does the result."""
    numerator, denominator = unknowns("numerator denominator")
    size = z3.If(numerator < 0, -numerator, numerator)
    domain = [denominator >= 1, 2 * size + denominator < 2**63, 2 * denominator < 2**63]
    result = CLAUSES.call("rounding_division", numerator, denominator)
    for term in (2 * numerator + denominator, 2 * denominator, result):
        assert counterexample(in_bits(term, 64), *domain) is None


# --- lemmas of the informative annex


@pytest.mark.parametrize("second", range(1, 32))
def test_truncation_then_rounding_is_one_rounding(second: int) -> None:
    """The lemma of INTEROP-10, for a product of any size."""
    (value,) = unknowns("value")
    two_steps = CLAUSES.call("rounding_shift", value / 2**31, second)
    assert counterexample(two_steps == CLAUSES.call("rounding_shift", value, 31 + second)) is None


def test_truncation_then_no_rounding_is_not_one_rounding() -> None:
    (value,) = unknowns("value")
    two_steps = CLAUSES.call("rounding_shift", value / 2**31, 0)
    found = counterexample(two_steps == CLAUSES.call("rounding_shift", value, 31))
    assert found is not None
    assert fixed.rounding_shift(found["value"] >> 31, 0) != fixed.rounding_shift(found["value"], 31)


@pytest.mark.parametrize("right", range(1, 32))
def test_double_rounding_is_tosas_for_every_product(right: int) -> None:
    """The lemma of INTEROP-9: of the accumulator only its sign counts, which is the product's unless that is zero."""
    value, sign = unknowns("value sign")
    domain = z3.Or(z3.And(sign == 1, value >= 0), z3.And(sign == -1, value <= 0))
    high = CLAUSES.call("rounding_shift", value, 31)
    found = CLAUSES.call("half_away_shift", high, right)
    unit = 2 ** (31 + right)
    assert counterexample(found == (value + unit // 2 + sign * 2**30) / unit, domain) is None
    error = 2 * (found * unit - value)
    assert counterexample(z3.And(-(unit + 2**31) <= error, error <= unit + 2**31), domain) is None
    assert counterexample(found == CLAUSES.call("rounding_shift", value, 31 + right), domain)


@pytest.mark.parametrize("shift", range(1, MAX_SHIFT + 1))
def test_half_even_is_nearest_and_commutes_with_even_offsets_alone(shift: int) -> None:
    """INTEROP-2, and the lemma of INTEROP-4."""
    value, offset = unknowns("value offset")
    before = CLAUSES.call("half_even_shift", value + offset * 2**shift, shift)
    after = CLAUSES.call("half_even_shift", value, shift) + offset
    is_half = value % 2**shift == 2 ** (shift - 1)
    error = 2 * (CLAUSES.call("half_even_shift", value, shift) * 2**shift - value)
    assert proven(z3.And(-(2**shift) <= error, error <= 2**shift))
    assert proven(CLAUSES.call("half_even_shift", value, shift) % 2 == 0, is_half)
    assert counterexample(before == after, offset % 2 == 0) is None
    assert counterexample((before == after) == z3.Not(is_half), offset % 2 == 1) is None
    assert counterexample(z3.And(before - after >= -1, before - after <= 1)) is None


# --- the proofs fail with wrong texts


@pytest.mark.parametrize(
    ("proof", "right", "wrong"),
    [
        (division_is_floor, "if remainder >= denominator", "if remainder > denominator"),
        (division_is_floor, "remainder = remainder - denominator", "remainder = remainder - denominator + 1"),
        (division_is_floor, "range(bits - 1, -1, -1)", "range(bits - 1, 0, -1)"),
        (division_is_floor, "range(bits - 1, -1, -1)", "range(bits - 2, -1, -1)"),
        (division_is_floor, "((numerator >> bit) & 1)", "((numerator >> bit) & 3)"),
        (division_is_floor, "quotient = 2 * quotient\n", "quotient = quotient\n"),
        (division_is_floor, "return quotient\n\n\ndef isqrt", "return quotient + 1\n\n\ndef isqrt"),
        (root_is_exact, "candidate * candidate <= value", "candidate * candidate < value"),
        (root_is_exact, "candidate = root + (1 << bit)", "candidate = root + (1 << bit) - 1"),
        (root_is_exact, "range(30, -1, -1)", "range(29, -1, -1)"),
        (root_is_exact, "range(30, -1, -1)", "range(31, -1, -1)"),
        (root_is_exact, "return root\n", "return root + 1\n"),
        (division_is_half_up, "(2 * numerator + denominator) //", "(2 * numerator + denominator - 1) //"),
        (division_is_half_up, "(2 * numerator + denominator) //", "(2 * numerator) //"),
        (division_commutes, "(2 * numerator + denominator) //", "(3 * numerator + denominator) //"),
    ],
)
def test_proofs_fail_with_wrong_texts(proof: Callable[[Clauses], Iterator[bool]], right: str, wrong: str) -> None:
    assert FIXED_TEXT.count(right) == 1
    assert not all(proof(Clauses(TEXT.replace(right, wrong))))


def test_rounding_shift_with_a_wrong_constant_is_refuted() -> None:
    wrong = Clauses(TEXT.replace("(1 << shift >> 1)", "((1 << shift >> 1) - 1)"))
    (value,) = unknowns("value")
    for shift in (1, 31, 62):
        found = counterexample(
            wrong.call("rounding_shift", value, shift) == CLAUSES.call("rounding_shift", value, shift)
        )
        assert found is not None
        assert found["value"] % 2**shift == 2 ** (shift - 1)
