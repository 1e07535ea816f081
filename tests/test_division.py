"""Division: kernel, definition, specification, fractions and the bitwise divider agree (SPEC DIV-1 to DIV-3)."""

from __future__ import annotations

import json
from collections.abc import Callable

import naive_normalisation as naive
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.layers.division import rounding_division, rounding_division_plain

MOST = 2**62 - 1  # the largest denominator
UNCOMPILED = """
import json, sys, numpy as np
from refcodec.layers.division import rounding_division
pairs = np.array(json.loads(sys.argv[1]))
print(json.dumps(rounding_division(pairs[:, 0], pairs[:, 1]).tolist()))
"""


def ends() -> np.ndarray:
    """Pairs at the limits of the domain, and beside zero."""
    pairs = []
    for d in (1, 2, 3, 2**31, 2**61 - 1, 2**61, MOST - 1, MOST):
        room = (2**63 - 1 - d) // 2
        pairs += [(n, d) for n in (-room, 1 - room, -1, 0, 1, room - 1, room)]
    return np.array(pairs)


def quotients(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """All at once: the floor, and one more where the remainder is half of the denominator or above."""
    floor, remainder = np.divmod(numerator, denominator)
    return floor + (2 * remainder >= denominator)


def agree(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The common result of kernel, definition, specification and fractions."""
    found = rounding_division(numerator, denominator)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, rounding_division_plain(numerator, denominator))
    pairs = list(zip(numerator.ravel().tolist(), denominator.ravel().tolist(), strict=True))
    wanted = [naive.rounding_division(n, d) for n, d in pairs]
    assert [fixed.rounding_division(n, d) for n, d in pairs] == wanted == found.ravel().tolist()
    return found


def test_division_agrees_on_all_small_pairs() -> None:
    numerator, denominator = np.meshgrid(np.arange(-70, 71), np.arange(1, 33))
    found = agree(numerator, denominator)
    tie = 2 * numerator % (2 * denominator) == denominator
    assert ((tie & (numerator < 0)).sum(), (tie & (numerator > 0)).sum()) == (120, 120)
    assert (found[tie] * 2 * denominator[tie] > 2 * numerator[tie]).all()


def test_division_rounds_ties_up_on_both_sides_of_zero() -> None:
    """Catches rounding to even, away from zero, towards zero, and a floor that truncates."""
    numerator = np.array([-7, -5, -3, -1, 1, 3, 5, 7])
    assert agree(numerator, np.full(8, 2)).tolist() == [-3, -2, -1, 0, 1, 2, 3, 4]
    assert agree(numerator * 5 - 1, np.full(8, 10)).tolist() == [-4, -3, -2, -1, 0, 1, 2, 3]
    assert agree(numerator * 5 + 1, np.full(8, 10)).tolist() == [-3, -2, -1, 0, 1, 2, 3, 4]


def test_division_agrees_at_the_limits_of_its_domain() -> None:
    """Catches sums that leave 64 bits, and a sign bit taken for a magnitude."""
    pairs = ends()
    found = agree(pairs[:, 0], pairs[:, 1])
    assert {int(found.min()), int(found.max())} == {1 - 2**62, 2**62 - 1}


def test_division_wraps_nowhere_without_the_compiler(run_uncompiled: Callable[..., str]) -> None:
    """NumPy warns where a scalar wraps, and warnings are errors."""
    pairs = ends()
    printed = run_uncompiled(UNCOMPILED, json.dumps(pairs.tolist()))
    assert json.loads(printed) == rounding_division(pairs[:, 0], pairs[:, 1]).tolist()


@pytest.mark.parametrize(
    ("numerator", "denominator", "wanted"),
    [(2**58 - 1, 2**59, 0), (-(2**58) - 1, 2**59, -1), (3 * 2**57 - 3, 2**58, 1), (2**60 + 1, 2**61 + 1, 1)],
)
def test_division_tells_a_tie_from_its_neighbour_beyond_53_bits(numerator: int, denominator: int, wanted: int) -> None:
    """Catches a quotient that goes through a double."""
    assert float(numerator) / float(denominator) * 2 % 2 == 1, "as a double it is a tie"
    assert agree(np.array([numerator]), np.array([denominator])).tolist() == [wanted]


def test_division_agrees_on_a_million_constructed_pairs(rng: np.random.Generator) -> None:
    count = 1 << 20
    denominator = np.maximum(rng.integers(1, 2**61, count) >> rng.integers(0, 61, count), 1)
    quotient = rng.integers(-(2**61), 2**61, count) >> rng.integers(0, 62, count)
    limit = (2**61 - 1) // denominator - 1
    numerator = np.clip(quotient, -limit, limit) * denominator + denominator // 2 + rng.integers(-1, 2, count)
    numerator[::4] = rng.integers(-(2**61) + 1, 2**61, count // 4) >> rng.integers(0, 61, count // 4)
    found = rounding_division(numerator, denominator)
    np.testing.assert_array_equal(found, quotients(numerator, denominator))
    tie = 2 * (numerator % denominator) == denominator
    assert (tie & (numerator < 0)).sum() > 50_000
    assert (tie & (numerator > 0)).sum() > 50_000
    picked = rng.integers(0, count, 2000)
    agree(numerator[picked], denominator[picked])


def test_restoring_division_finds_every_floor_and_the_rounded_quotient() -> None:
    """SPEC DIV-3, and how a divider without signs serves DIV-1."""
    for numerator in range(64):
        for denominator in range(1, 20):
            assert fixed.restoring_division(numerator, denominator, 6) == numerator // denominator
            doubled = fixed.restoring_division(2 * numerator + denominator, 2 * denominator, 8)
            assert doubled == fixed.rounding_division(numerator, denominator)
            below = -1 - fixed.restoring_division(2 * numerator - denominator - 1, 2 * denominator, 8)
            if 2 * numerator > denominator:
                assert below == fixed.rounding_division(-numerator, denominator)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_division_reads_any_layout_and_dtype_and_changes_nothing(dtype: type, rng: np.random.Generator) -> None:
    numerator = rng.integers(-128, 128, (3, 5, 4)).astype(dtype)
    denominator = rng.integers(1, 128, (3, 4, 5)).astype(dtype).transpose(0, 2, 1)
    for rows in (slice(None), slice(None, None, -1), slice(0, 3, 2), slice(0, 0)):
        above, below = numerator[rows], denominator[rows]
        kept = above.copy(), below.copy()
        found = agree(above, below)
        assert found.shape == above.shape
        np.testing.assert_array_equal(above, kept[0])
        np.testing.assert_array_equal(below, kept[1])


# --- refusals

BOTH = pytest.mark.parametrize("function", [rounding_division, rounding_division_plain])


@BOTH
def test_division_refuses_shapes_that_differ(function: Callable) -> None:
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: numerator \(2,\) and denominator \(1,\) differ in shape$"):
        function(np.ones(2, np.int64), np.ones(1, np.int64))


@BOTH
@pytest.mark.parametrize(
    ("numerator", "denominator", "message"),
    [
        (0, 0, r"denominator must be 1\.\.2\*\*62 - 1, got 0\.\.5"),
        (0, -1, r"denominator must be .* got -1\.\.5"),
        (0, 2**62, r"denominator must be .* got 5\.\.4611686018427387904"),
        (
            2**62,
            1,
            r"2 \* \|numerator\| \+ denominator must stay below 2\*\*63, got numerators up to 4611686018427387904",
        ),
        (-(2**62), 1, r"2 \* \|numerator\| \+ denominator must stay below"),
        (-(2**63), 1, r"2 \* \|numerator\| \+ denominator must stay below"),
        (2**61 + 1, 2**62 - 1, r"2 \* \|numerator\| \+ denominator must stay below"),
    ],
)
def test_division_refuses_what_is_outside_its_domain(
    function: Callable, numerator: int, denominator: int, message: str
) -> None:
    with pytest.raises(RangeError, match=rf"^RC-RANGE: {message}") as caught:
        function(np.array([0, numerator]), np.array([5, denominator]))
    assert caught.value.code == "RC-RANGE"


@BOTH
@pytest.mark.parametrize("dtype", [np.float64, np.uint64, np.bool_])
@pytest.mark.parametrize("position", [0, 1])
def test_division_refuses_other_dtypes(function: Callable, dtype: type, position: int) -> None:
    operands = [np.ones(1, np.int64), np.ones(1, np.int64)]
    operands[position] = operands[position].astype(dtype)
    with pytest.raises(RangeError, match=r"^RC-RANGE: (numerator|denominator): expected signed integers, got"):
        function(*operands)
