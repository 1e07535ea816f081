"""Pad: array code, definition, specification and scattering agree; the operation (SPEC PAD-1)."""

from __future__ import annotations

from itertools import product
from typing import Any

import naive_arrangement
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.pad import pad, pad_plain
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations.operation import Tensor
from refcodec.program.operations.pad import Pad
from refcodec.program.program import Program
from refcodec.program.reach import Reach

S8, U8, S16 = IntFormat(8, True), IntFormat(8, False), IntFormat(16, True)
Sides = tuple[int, int, int, int]


def agree(x: np.ndarray, sides: Sides) -> np.ndarray:
    """The common result of array code, definition, specification and scattering."""
    found, plain = pad(x, *sides), pad_plain(x, *sides)
    assert found.dtype == plain.dtype == x.dtype
    assert found.flags.c_contiguous
    assert not np.shares_memory(found, x)
    np.testing.assert_array_equal(found, plain)
    assert found.tolist() == fixed.pad(x.tolist(), *sides) == naive_arrangement.pad(x.tolist(), *sides)
    return found


def numbered(*shape: int) -> np.ndarray:
    """All values differ, and none is zero."""
    return np.arange(1, int(np.prod(shape)) + 1, dtype=np.int32).reshape(shape)


def test_pad_agrees_for_all_small_sides() -> None:
    """Catches sides that are exchanged."""
    for sides in product(range(3), repeat=4):
        top, bottom, left, right = sides
        assert agree(numbered(2, 2, 3), sides).shape == (2, top + 2 + bottom, left + 3 + right)


def test_pad_names_its_sides_and_adds_zeros() -> None:
    x = np.array([[[1, 2]]], np.int16)
    assert agree(x, (1, 0, 0, 0)).tolist() == [[[0, 0], [1, 2]]]
    assert agree(x, (0, 1, 0, 0)).tolist() == [[[1, 2], [0, 0]]]
    assert agree(x, (0, 0, 1, 0)).tolist() == [[[0, 1, 2]]]
    assert agree(x, (0, 0, 0, 1)).tolist() == [[[1, 2, 0]]]


def test_pad_takes_the_largest_sides() -> None:
    found = pad(np.array([[[9]]], np.int8), 0, 0, 65535, 65535)
    assert (found.shape, found[0, 0, 65535], found.sum()) == ((1, 1, 131071), 9, 9)
    found = pad(np.array([[[9]]], np.int8), 65535, 65535, 0, 0)
    assert (found.shape, found[0, 65535, 0], found.sum()) == ((1, 131071, 1), 9, 9)


def test_pad_agrees_on_a_million_values() -> None:
    x = numbered(5, 470, 450)
    for top, bottom, left, right in ((7, 11, 3, 5), (0, 12, 20, 0), (1, 0, 0, 1)):
        found = pad(x, top, bottom, left, right)
        assert found.size >= 10**6
        np.testing.assert_array_equal(found, np.pad(x, ((0, 0), (top, bottom), (left, right))))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_pad_keeps_the_ends_of_every_dtype(dtype: type) -> None:
    limits = np.iinfo(dtype)
    assert agree(np.array([[[limits.min, limits.max]]], dtype), (0, 0, 1, 0)).tolist() == [
        [[0, limits.min, limits.max]]
    ]


def test_pad_reads_any_layout_and_changes_nothing() -> None:
    base = numbered(3, 8, 6)
    for x in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1], np.asfortranarray(base)):
        kept = x.copy()
        agree(x, (1, 0, 2, 3))
        agree(x, (0, 0, 0, 0))
        np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize(
    ("shape", "dtype", "sides", "error", "message"),
    [
        ((4, 3), int, (0, 0, 0, 0), ShapeError, r"RC-SHAPE: expected x \(C, H, W\) of at least one sample"),
        ((1, 0, 3), int, (0, 0, 0, 0), ShapeError, r"RC-SHAPE: expected x \(C, H, W\) of at least one sample"),
        ((1, 3, 3), float, (0, 0, 0, 0), RangeError, r"RC-RANGE: x: expected integers, got float64"),
        ((1, 4, 5), int, (-1, 0, 0, 0), RangeError, r"RC-RANGE: sides must be 0\.\.65535, got -1, 0, 0, 0"),
        ((1, 4, 5), int, (0, -1, 0, 0), RangeError, r"RC-RANGE: sides must be"),
        ((1, 4, 5), int, (0, 0, -1, 0), RangeError, r"RC-RANGE: sides must be"),
        ((1, 4, 5), int, (0, 0, 0, 65536), RangeError, r"RC-RANGE: sides must be 0\.\.65535, got 0, 0, 0, 65536"),
    ],
)
def test_pad_refuses(shape: Any, dtype: type, sides: Sides, error: type, message: str) -> None:
    for function in (pad, pad_plain):
        with pytest.raises(error, match=rf"^{message}"):
            function(np.zeros(shape, dtype), *sides)


# --- the operation


def program(sides: Sides, source: Any = (2, S8), target: Any = (2, S8)) -> Program:
    return Program("p", (Tensor("x", *source), Tensor("y", *target)), (Pad("y", "x", "y", *sides),))


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
def test_pad_operation_refuses(sides: Sides, source: Any, target: Any, code: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        program(sides, source, target)
    assert caught.value.code == code


@pytest.mark.parametrize("side", range(4))
def test_reach_of_a_pad_takes_in_zero_where_there_is_one(side: int) -> None:
    source, target = Reach(np.array([3, -5, -1]), np.array([4, -2, 1])), Tensor("y", 3, S8)
    sides = [0, 0, 0, 0]
    same = program(tuple(sides), (3, S8), (3, S8)).operations[0].reach([source], target)
    assert (same.lo.tolist(), same.hi.tolist()) == ([3, -5, -1], [4, -2, 1])
    sides[side] = 1
    op = program(tuple(sides), (3, S8), (3, S8)).operations[0]
    wide, found = op.reach([source], target), pad(np.stack([source.lo, source.hi], 1)[:, None], *sides)
    assert (wide.lo.tolist(), wide.hi.tolist()) == ([0, -5, -1], [4, 0, 1])
    assert (found.min(axis=(1, 2)).tolist(), found.max(axis=(1, 2)).tolist()) == ([0, -5, -1], [4, 0, 1])
    assert op.intermediates([source]) == {}


def test_pad_operation_survives_a_model_file(rng: np.random.Generator) -> None:
    p = program((1, 2, 0, 3), (2, S16), (2, S16))
    read = model_from_bytes(model_to_bytes(Model("any", {}, {"p": p}, {}))).programs["p"]
    x = rng.integers(-32768, 32768, (2, 5, 7))
    found = read.run(x)
    assert found.dtype == read.run_plain(x).dtype == S16.dtype
    np.testing.assert_array_equal(found, np.pad(x, ((0, 0), (1, 2), (0, 3))))
    np.testing.assert_array_equal(found, read.run_plain(x))
    assert read.sizes(5, 7)["y"] == found.shape[1:] == (8, 10)
