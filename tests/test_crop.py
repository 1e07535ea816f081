"""Crop: array code, definition, specification and one-by-one removal agree; the operation (SPEC CROP-1)."""

from __future__ import annotations

from itertools import product
from typing import Any

import naive_arrangement
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.crop import crop, crop_plain
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations.crop import Crop
from refcodec.program.operations.operation import Tensor
from refcodec.program.program import Program
from refcodec.program.reach import Reach

S8, U8, S16 = IntFormat(8, True), IntFormat(8, False), IntFormat(16, True)
Sides = tuple[int, int, int, int]


def agree(x: np.ndarray, sides: Sides) -> np.ndarray:
    """The common result of array code, definition, specification and removal."""
    found, plain = crop(x, *sides), crop_plain(x, *sides)
    assert found.dtype == plain.dtype == x.dtype
    assert found.flags.c_contiguous
    assert not np.shares_memory(found, x)
    np.testing.assert_array_equal(found, plain)
    assert found.tolist() == fixed.crop(x.tolist(), *sides) == naive_arrangement.crop(x.tolist(), *sides)
    return found


def numbered(*shape: int) -> np.ndarray:
    """All values differ."""
    return np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape) - 7


def test_crop_agrees_for_all_small_sides() -> None:
    """Catches sides that are exchanged, and a count of zero that takes everything."""
    x = numbered(2, 4, 5)
    for sides in product(range(4), range(4), range(5), range(5)):
        top, bottom, left, right = sides
        if top + bottom < 4 and left + right < 5:
            assert agree(x, sides).shape == (2, 4 - top - bottom, 5 - left - right)


def test_crop_names_its_sides() -> None:
    x = np.array([[[1, 2, 3], [4, 5, 6]]], np.int16)
    assert agree(x, (1, 0, 0, 0)).tolist() == [[[4, 5, 6]]]
    assert agree(x, (0, 1, 0, 0)).tolist() == [[[1, 2, 3]]]
    assert agree(x, (0, 0, 1, 0)).tolist() == [[[2, 3], [5, 6]]]
    assert agree(x, (0, 0, 0, 1)).tolist() == [[[1, 2], [4, 5]]]


def test_crop_takes_the_largest_sides() -> None:
    x = np.zeros((1, 2, 2 * 65535 + 1), np.int8)
    x[0, 0, 65535] = 9
    assert crop(x, 0, 1, 65535, 65535).tolist() == [[[9]]]
    assert crop(x.transpose(0, 2, 1), 65535, 65535, 0, 1).tolist() == [[[9]]]


def test_crop_agrees_on_a_million_values() -> None:
    """By the places that remain."""
    x = numbered(5, 520, 480)
    for top, bottom, left, right in ((7, 11, 3, 5), (0, 12, 20, 0), (1, 0, 0, 1)):
        found = crop(x, top, bottom, left, right)
        rows, columns = (np.arange(n) for n in x.shape[1:])
        kept = x.take(rows[(rows >= top) & (rows < 520 - bottom)], 1)
        kept = kept.take(columns[(columns >= left) & (columns < 480 - right)], 2)
        assert found.size >= 10**6
        np.testing.assert_array_equal(found, kept)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_crop_keeps_the_ends_of_every_dtype(dtype: type) -> None:
    limits = np.iinfo(dtype)
    assert agree(np.array([[[5, limits.min, limits.max]]], dtype), (0, 0, 1, 0)).tolist() == [
        [[limits.min, limits.max]]
    ]


def test_crop_reads_any_layout_and_changes_nothing() -> None:
    base = numbered(3, 8, 6)
    for x in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1], np.asfortranarray(base)):
        kept = x.copy()
        agree(x, (1, 0, 2, 1))
        agree(x, (0, 0, 0, 0))
        np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize(
    ("shape", "dtype", "sides", "error", "message"),
    [
        ((4, 3), int, (0, 0, 0, 0), ShapeError, r"RC-SHAPE: expected x \(C, H, W\) of at least one sample"),
        ((1, 0, 3), int, (0, 0, 0, 0), ShapeError, r"RC-SHAPE: expected x \(C, H, W\) of at least one sample"),
        ((1, 3, 3), float, (0, 0, 0, 0), RangeError, r"RC-RANGE: x: expected integers, got float64"),
        ((1, 4, 5), int, (4, 0, 0, 0), ShapeError, r"RC-SHAPE: nothing of x \(1, 4, 5\) remains without 4, 0 rows"),
        ((1, 4, 5), int, (2, 2, 0, 0), ShapeError, r"RC-SHAPE: nothing of x"),
        ((1, 4, 5), int, (0, 0, 3, 2), ShapeError, r"RC-SHAPE: nothing of x .* and 3, 2 columns"),
        ((1, 4, 5), int, (0, 0, 0, 6), ShapeError, r"RC-SHAPE: nothing of x"),
        ((1, 4, 5), int, (-1, 0, 0, 0), RangeError, r"RC-RANGE: sides must be 0\.\.65535, got -1, 0, 0, 0"),
        ((1, 4, 5), int, (0, -1, 0, 0), RangeError, r"RC-RANGE: sides must be"),
        ((1, 4, 5), int, (0, 0, -1, 0), RangeError, r"RC-RANGE: sides must be"),
        ((1, 4, 5), int, (0, 0, 0, 65536), RangeError, r"RC-RANGE: sides must be 0\.\.65535, got 0, 0, 0, 65536"),
    ],
)
def test_crop_refuses(shape: Any, dtype: type, sides: Sides, error: type, message: str) -> None:
    for function in (crop, crop_plain):
        with pytest.raises(error, match=rf"^{message}"):
            function(np.zeros(shape, dtype), *sides)


# --- the operation


def program(sides: Sides, source: Any = (2, S8), target: Any = (2, S8)) -> Program:
    return Program("p", (Tensor("x", *source), Tensor("y", *target)), (Crop("y", "x", "y", *sides),))


@pytest.mark.parametrize(
    ("sides", "source", "target", "code", "message"),
    [
        ((0, 0, 0, 0), (2, S8), (3, S8), "RC-MODEL-TENSOR", r"y: 2 channels wanted, from 2 to 3 found"),
        ((0, 0, 0, 0), (2, S8), (2, S16), "RC-MODEL-RANGE", r"y: x is s8, y is s16"),
        ((0, 0, 0, 0), (2, S8), (2, U8), "RC-MODEL-RANGE", r"y: x is s8, y is u8"),
        ((0, 0, -1, 0), (2, S8), (2, S8), "RC-MODEL-RANGE", r"y: sides must be 0\.\.65535, got 0, 0, -1, 0"),
        ((0, 65536, 0, 0), (2, S8), (2, S8), "RC-MODEL-RANGE", r"y: sides must be 0\.\.65535"),
    ],
)
def test_crop_operation_refuses(sides: Sides, source: Any, target: Any, code: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        program(sides, source, target)
    assert caught.value.code == code


@pytest.mark.parametrize(("height", "width"), [(3, 9), (9, 7)])
def test_crop_operation_refuses_sizes_of_which_nothing_remains(height: int, width: int) -> None:
    p = program((1, 2, 3, 4))
    assert p.sizes(4, 8)["y"] == (1, 1)
    with pytest.raises(ShapeError, match=rf"^RC-SHAPE: y: nothing of {height} x {width} remains$"):
        p.sizes(height, width)
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: y: nothing of"):
        p.run(np.zeros((2, height, width), np.int16))


def test_reach_of_a_crop_is_that_of_its_source() -> None:
    op = program((1, 0, 0, 0)).operations[0]
    reach = op.reach([Reach(np.array([3, -5]), np.array([4, -1]))], Tensor("y", 2, S8))
    assert (reach.lo.tolist(), reach.hi.tolist()) == ([3, -5], [4, -1])
    assert op.intermediates([reach]) == {}


def test_crop_operation_survives_a_model_file(rng: np.random.Generator) -> None:
    p = program((1, 2, 0, 3), (2, S16), (2, S16))
    read = model_from_bytes(model_to_bytes(Model("any", {}, {"p": p}, {}))).programs["p"]
    x = rng.integers(-32768, 32768, (2, 5, 7))
    found = read.run(x)
    assert found.dtype == read.run_plain(x).dtype == S16.dtype
    np.testing.assert_array_equal(found, x[:, 1:3, :4])
    np.testing.assert_array_equal(found, read.run_plain(x))
    assert read.sizes(5, 7)["y"] == found.shape[1:] == (2, 4)
