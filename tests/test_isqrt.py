"""Integer square roots: kernel, definition, specification and bisection agree (SPEC ISQRT-1)."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import naive_normalisation as naive
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import RangeError
from refcodec.layers.isqrt import RECIPROCAL_ROOTS, isqrt, isqrt_plain

MOST = 2**62 - 1
UNCOMPILED = """
import json, sys, numpy as np
from refcodec.layers.isqrt import isqrt
print(json.dumps(isqrt(np.array(json.loads(sys.argv[1]))).tolist()))
"""


def agree(value: np.ndarray) -> np.ndarray:
    """The common result of kernel, definition, specification and bisection."""
    found = isqrt(value)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, isqrt_plain(value))
    flat = value.ravel().tolist()
    wanted = [naive.root(v) for v in flat]
    assert [fixed.isqrt(v) for v in flat] == wanted == found.ravel().tolist() == [math.isqrt(v) for v in flat]
    return found


def check_floor(value: np.ndarray, found: np.ndarray) -> None:
    """The property that makes a floor of a root."""
    assert (found * found <= value).all()
    assert ((found + 1) * (found + 1) > value).all()


def test_isqrt_agrees_on_all_values_of_20_bits() -> None:
    value = np.arange(1 << 20)
    found = isqrt(value)
    np.testing.assert_array_equal(found, np.repeat(np.arange(1024), 2 * np.arange(1024) + 1))
    agree(value[:5000])


def test_isqrt_agrees_beside_powers_of_two_and_at_both_ends() -> None:
    near = {(1 << k) + d for k in range(63) for d in (-1, 0, 1)} | {MOST - 1, MOST}
    value = np.array(sorted(v for v in near if 0 <= v <= MOST))
    assert {0, 1, MOST} <= set(value.tolist())
    assert agree(value)[-1] == 2**31 - 1


def test_isqrt_agrees_beside_a_million_squares_of_every_width(rng: np.random.Generator) -> None:
    """Catches a root that goes through a double, and a correction that is missing."""
    base = np.maximum(rng.integers(1, 2**31, 1 << 19) >> rng.integers(0, 31, 1 << 19), 1)
    base[:1000] = 2**31 - 1 - np.arange(1000)
    square = base * base
    np.testing.assert_array_equal(isqrt(square - 1), base - 1)
    np.testing.assert_array_equal(isqrt(square), base)
    np.testing.assert_array_equal(isqrt(square + 1), base + (square == 0))
    np.testing.assert_array_equal(isqrt(square + 2 * base), base)
    agree(square[:2000] - 1)


def test_isqrt_agrees_on_a_million_values_of_every_width(rng: np.random.Generator) -> None:
    value = rng.integers(0, 2**62, 1 << 20) >> rng.integers(0, 62, 1 << 20)
    check_floor(value, isqrt(value))
    agree(value[:2000])


def test_isqrt_agrees_at_both_ends_of_every_interval_of_its_table() -> None:
    """Catches an entry that is off, at each of the shifts that bring a value up to 62 bits."""
    start = np.arange(64, 257) << 54
    value = np.concatenate([start[:-1], start[1:] - 1, (start[:-1] + start[1:]) >> 1])
    for shift in range(0, 62, 2):
        check_floor(value >> shift, isqrt(value >> shift))


def test_isqrt_is_proven_for_every_reciprocal_that_its_table_gives() -> None:
    """What the proof in the kernel assumes: the error d of 2**54 / sqrt(m) where it is constant, at both of its ends.

    Doubles are exact to 2**-52, the bounds have room for more.
    """
    worst_error, worst_step = 0.0, 0.0
    for j in range(64, 256):
        part = np.arange(1 << 16)
        r = RECIPROCAL_ROOTS[j] - ((RECIPROCAL_ROOTS[j] - RECIPROCAL_ROOTS[j + 1]) * part >> 16)
        assert 2**23 <= r.min() <= r.max() <= 2**24
        for ends in (0, 2**38 - 1):
            q = np.sqrt((j * 2.0**54) + part * 2.0**38 + ends)
            d = np.abs(r * q / 2.0**54 - 1)
            worst_error = max(worst_error, float(d.max()))
            worst_step = max(worst_step, float((q * (1.5 * d**2 + d**3 / 2)).max()))
    assert worst_error < 2.0**-15
    assert 0.8 < worst_step < 0.9


def test_isqrt_wraps_nowhere_without_the_compiler(run_uncompiled: Callable[..., str]) -> None:
    """NumPy warns where a scalar wraps, and warnings are errors."""
    value = [v for k in range(0, 63, 3) for v in ((1 << k) - 1, 1 << k)] + [MOST, (2**31 - 1) ** 2, 2**60 + 2**53]
    assert json.loads(run_uncompiled(UNCOMPILED, json.dumps(value))) == [math.isqrt(v) for v in value]


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.int64])
def test_isqrt_reads_any_layout_and_dtype_and_changes_nothing(dtype: type, rng: np.random.Generator) -> None:
    base = rng.integers(0, 128, (3, 4, 6)).astype(dtype)
    for view in (base, base.transpose(2, 0, 1), base[:, ::2, ::-1], base[:0]):
        kept = view.copy()
        assert agree(view).shape == view.shape
        np.testing.assert_array_equal(view, kept)


@pytest.mark.parametrize("function", [isqrt, isqrt_plain])
@pytest.mark.parametrize("value", [-1, -(2**63), 2**62, 2**63 - 1])
def test_isqrt_refuses_what_has_no_root_here(function: Callable, value: int) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: radicand must be 0\.\.2\*\*62 - 1, got") as caught:
        function(np.array([4, value]))
    assert caught.value.code == "RC-RANGE"


@pytest.mark.parametrize("function", [isqrt, isqrt_plain])
@pytest.mark.parametrize("dtype", [np.float64, np.uint64, np.bool_])
def test_isqrt_refuses_other_dtypes(function: Callable, dtype: type) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: radicand: expected signed integers, got"):
        function(np.ones(2, dtype))
