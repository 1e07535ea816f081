"""Integer formats (SPEC INT-1, INT-2)."""

from __future__ import annotations

import dataclasses
from typing import Any

import naive
import numpy as np
import pytest

from refcodec.errors import RangeError
from refcodec.formats import MAX_BITS, IntFormat

EVERY = [IntFormat(bits, signed) for bits in range(1, MAX_BITS + 1) for signed in (False, True)]


@pytest.mark.parametrize("fmt", EVERY, ids=str)
def test_format_limits_equal_naive(fmt: IntFormat) -> None:
    lo, hi = naive.format_range(fmt.bits, fmt.signed)
    assert (fmt.lo, fmt.hi) == (lo, hi)
    assert hi - lo + 1 == 2**fmt.bits
    assert fmt.magnitude == max(abs(lo), abs(hi))


@pytest.mark.parametrize("fmt", EVERY, ids=str)
def test_format_dtype_is_the_smallest_signed_one_that_holds_the_format(fmt: IntFormat) -> None:
    bits = fmt.bits if fmt.signed else fmt.bits + 1
    assert fmt.dtype == np.dtype("int16" if bits <= 16 else "int32" if bits <= 32 else "int64")


@pytest.mark.parametrize("fmt", EVERY, ids=str)
def test_format_check_accepts_its_limits_and_nothing_beyond(fmt: IntFormat) -> None:
    fmt.check(np.array([fmt.lo, fmt.hi]), "x")
    for outside in (fmt.lo - 1, fmt.hi + 1):
        with pytest.raises(RangeError, match=rf"^RC-RANGE: x: values .* leave {fmt} \({fmt.lo} \.\. {fmt.hi}\)$"):
            fmt.check(np.array([0, outside]), "x")


def test_format_check_reads_every_dtype_and_position() -> None:
    for dtype in (np.int8, np.uint8, np.int32, np.uint64):
        values = np.zeros((3, 4, 5), dtype)
        IntFormat(4, False).check(values, "x")
        for position in ((0, 0, 0), (1, 2, 3), (2, 3, 4)):
            outside = values.copy()
            outside[position] = 16
            with pytest.raises(RangeError, match=r"values 0 \.\. 16 leave u4"):
                IntFormat(4, False).check(outside, "x")
    IntFormat(4, False).check(np.zeros((3, 0), np.int8), "x")


@pytest.mark.parametrize("dtype", [np.float64, np.bool_, np.complex64, object])
def test_format_check_refuses_what_is_no_integer(dtype: type) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: weight: expected integers, got ") as caught:
        IntFormat(8, True).check(np.zeros(2, dtype), "weight")
    assert caught.value.code == "RC-RANGE"


@pytest.mark.parametrize(
    ("bits", "signed"),
    [
        (0, True),
        (49, True),
        (-1, False),
        (8.0, True),
        (True, True),
        (8, 1),
        (8, None),
        ("8", True),
        (np.int64(8), True),
    ],
)
def test_format_refuses_other_widths_and_signs(bits: Any, signed: Any) -> None:
    with pytest.raises(RangeError, match=r"^RC-FORMAT: format needs 1 to 48 bits and a boolean sign, got ") as caught:
        IntFormat(bits, signed)
    assert caught.value.code == "RC-FORMAT"


def test_format_is_written_with_a_letter_and_a_width() -> None:
    assert [str(IntFormat(8, True)), str(IntFormat(48, False))] == ["s8", "u48"]


def test_format_is_a_frozen_value() -> None:
    assert IntFormat(8, True) == IntFormat(8, True) != IntFormat(8, False)
    assert len({IntFormat(8, True), IntFormat(8, True), IntFormat(9, True)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        IntFormat(8, True).bits = 9  # type: ignore[misc]
