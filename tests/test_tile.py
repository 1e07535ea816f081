"""Repeated planes: array code, definition, specification and scattering agree; the operation (SPEC TILE-1, TILE-2)."""

from __future__ import annotations

from itertools import product
from typing import Any

import naive_arrangement
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.tile import tile, tile_plain
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations.operation import Tensor
from refcodec.program.operations.tile import Tile
from refcodec.program.program import Program

S2, S8, U8, S16 = IntFormat(2, True), IntFormat(8, True), IntFormat(8, False), IntFormat(16, True)


def agree(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The common result of array code, definition, specification and scattering."""
    found, plain = tile(x, rows, columns), tile_plain(x, rows, columns)
    assert found.dtype == plain.dtype == x.dtype
    assert found.flags.c_contiguous
    assert not np.shares_memory(found, x)
    np.testing.assert_array_equal(found, plain)
    assert found.tolist() == [fixed.tile(plane, rows, columns) for plane in x.tolist()]
    assert found.tolist() == naive_arrangement.tile(x.tolist(), rows, columns)
    return found


def numbered(*shape: int) -> np.ndarray:
    """All values differ."""
    return np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape) - 7


@pytest.mark.parametrize(("rows", "columns"), list(product(range(1, 5), repeat=2)))
def test_tile_agrees_for_all_counts(rows: int, columns: int) -> None:
    for shape in ((1, 1, 1), (3, 2, 5), (2, 4, 1)):
        agree(numbered(*shape), rows, columns)


def test_tile_repeats_rows_and_columns_by_their_own_counts() -> None:
    """Catches counts that are exchanged, and repetitions of samples in the place of tiles."""
    x = np.array([[[1, 2], [3, 4]]], np.int16)
    assert agree(x, 1, 3).tolist() == [[[1, 2, 1, 2, 1, 2], [3, 4, 3, 4, 3, 4]]]
    assert agree(x, 2, 1).tolist() == [[[1, 2], [3, 4], [1, 2], [3, 4]]]


@pytest.mark.parametrize(("rows", "columns"), [(4096, 1), (1, 4096), (65, 66)])
def test_tile_takes_the_largest_counts(rows: int, columns: int) -> None:
    agree(numbered(2, 1, 2), rows, columns)


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (3, 5), (1, 64)])
def test_tile_agrees_on_a_million_values(rows: int, columns: int) -> None:
    """Every copy by itself."""
    x = numbered(4, 640 // rows, 640 // columns)
    found = tile(x, rows, columns)
    assert found.size >= 10**6
    height, width = x.shape[1:]
    for a, b in product(range(rows), range(columns)):
        part = found[:, a * height : (a + 1) * height, b * width : (b + 1) * width]
        np.testing.assert_array_equal(part, x)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_tile_repeats_the_ends_of_every_dtype(dtype: type) -> None:
    limits = np.iinfo(dtype)
    assert agree(np.array([[[limits.min, limits.max]]], dtype), 1, 2).tolist() == [
        [[limits.min, limits.max, limits.min, limits.max]]
    ]


def test_tile_reads_any_layout_and_changes_nothing() -> None:
    base = numbered(3, 8, 6)
    for x in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1], np.asfortranarray(base)):
        kept = x.copy()
        agree(x, 2, 3)
        agree(x, 1, 1)
        np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize(
    ("x", "rows", "columns", "error", "message"),
    [
        (np.zeros((4, 1), int), 2, 2, ShapeError, r"RC-SHAPE: expected x \(C, H, W\) of at least one sample"),
        (np.zeros((4, 1, 0), int), 2, 2, ShapeError, r"RC-SHAPE: expected x \(C, H, W\) of at least one sample"),
        (np.zeros((4, 1, 1)), 2, 2, RangeError, r"RC-RANGE: x: expected integers, got float64"),
        (np.zeros((4, 1, 1), int), 0, 2, RangeError, r"RC-RANGE: repeats must be 1\.\.4096, got 0 and 2"),
        (np.zeros((4, 1, 1), int), 2, -1, RangeError, r"RC-RANGE: repeats must be 1\.\.4096, got 2 and -1"),
        (np.zeros((4, 1, 1), int), 4097, 1, RangeError, r"RC-RANGE: repeats must be 1\.\.4096, got 4097 and 1"),
        (np.zeros((4, 1, 1), int), 1, 4097, RangeError, r"RC-RANGE: repeats must be 1\.\.4096, got 1 and 4097"),
    ],
)
def test_tile_refuses(x: np.ndarray, rows: int, columns: int, error: type, message: str) -> None:
    for function in (tile, tile_plain):
        with pytest.raises(error, match=rf"^{message}"):
            function(x, rows, columns)


# --- the operation


def program(rows: int, columns: int, source: Any = (2, S8), target: Any = (2, S8)) -> Program:
    return Program("p", (Tensor("x", *source), Tensor("y", *target)), (Tile("y", "x", "y", rows, columns),))


@pytest.mark.parametrize(
    ("rows", "columns", "source", "target", "code", "message"),
    [
        (2, 2, (2, S8), (3, S8), "RC-MODEL-TENSOR", r"y: 2 channels wanted, from 2 to 3 found"),
        (2, 2, (2, S8), (2, S16), "RC-MODEL-RANGE", r"y: x is s8, y is s16"),
        (2, 2, (2, S8), (2, U8), "RC-MODEL-RANGE", r"y: x is s8, y is u8"),
        (0, 2, (2, S8), (2, S8), "RC-MODEL-RANGE", r"y: repeats must be 1\.\.4096, got 0 and 2"),
        (2, 4097, (2, S8), (2, S8), "RC-MODEL-RANGE", r"y: repeats must be 1\.\.4096, got 2 and 4097"),
    ],
)
def test_tile_operation_refuses(rows: int, columns: int, source: Any, target: Any, code: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        program(rows, columns, source, target)
    assert caught.value.code == code


def test_reach_of_tile_is_attained() -> None:
    p = program(2, 3, (2, S2), (2, S2))
    found, reach = p.run(np.array([[[-2, -1, 0, 1]]] * 2)), p.reaches()["y"]
    np.testing.assert_array_equal(reach.lo, found.min(axis=(1, 2)))
    np.testing.assert_array_equal(reach.hi, found.max(axis=(1, 2)))
    assert p.operations[0].intermediates([reach]) == {}


def test_tile_operation_survives_a_model_file(rng: np.random.Generator) -> None:
    p = program(2, 3, (2, S16), (2, S16))
    read = model_from_bytes(model_to_bytes(Model("any", {}, {"p": p}, {}))).programs["p"]
    x = rng.integers(-32768, 32768, (2, 4, 5))
    found = read.run(x)
    assert found.dtype == read.run_plain(x).dtype == S16.dtype
    np.testing.assert_array_equal(found, p.run_plain(x))
    assert read.sizes(4, 5)["y"] == found.shape[1:] == (8, 15)
