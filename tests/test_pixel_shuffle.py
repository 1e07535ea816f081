"""Pixel shuffle: array code, definition, specification and scattering agree; the operation (SPEC PS-1, PS-2)."""

from __future__ import annotations

from itertools import product
from typing import Any

import naive_arrangement
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.pixel_shuffle import pixel_shuffle, pixel_shuffle_plain
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations.operation import Tensor
from refcodec.program.operations.pixel_shuffle import PixelShuffle
from refcodec.program.program import Program
from refcodec.program.reach import Reach

S8, U8, S16 = IntFormat(8, True), IntFormat(8, False), IntFormat(16, True)


def agree(x: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The common result of array code, definition, specification and scattering."""
    found, plain = pixel_shuffle(x, rows, columns), pixel_shuffle_plain(x, rows, columns)
    assert found.dtype == plain.dtype == x.dtype
    assert found.flags.c_contiguous
    assert not np.shares_memory(found, x)
    np.testing.assert_array_equal(found, plain)
    assert found.tolist() == fixed.pixel_shuffle(x.tolist(), rows, columns)
    assert found.tolist() == naive_arrangement.pixel_shuffle(x.tolist(), rows, columns)
    return found


def numbered(*shape: int) -> np.ndarray:
    """All values differ."""
    return np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape) - 7


@pytest.mark.parametrize(("rows", "columns"), list(product(range(1, 5), repeat=2)))
def test_pixel_shuffle_agrees_for_every_block(rows: int, columns: int) -> None:
    for channels, height, width in ((1, 1, 1), (3, 2, 5), (4, 3, 1)):
        agree(numbered(channels * rows * columns, height, width), rows, columns)


def test_pixel_shuffle_keeps_channel_row_and_column_in_this_order() -> None:
    """Several target channels tell CRD from DCR, blocks of 2 x 3 tell rows from columns."""
    x = np.arange(12, dtype=np.int16).reshape(12, 1, 1)
    assert agree(x, 2, 3).tolist() == [[[0, 1, 2], [3, 4, 5]], [[6, 7, 8], [9, 10, 11]]]
    other = x.reshape(2, 3, 2).transpose(2, 0, 1)
    assert other.tolist() == [[[0, 2, 4], [6, 8, 10]], [[1, 3, 5], [7, 9, 11]]], "the order that ONNX names DCR"
    assert (agree(x, 2, 3) != other).any()


def test_pixel_shuffle_reshapes_a_vector_into_planes() -> None:
    x = numbered(5 * 3 * 4, 1, 1)
    np.testing.assert_array_equal(agree(x, 3, 4), x.reshape(5, 3, 4))


@pytest.mark.parametrize(("rows", "columns"), [(64, 1), (1, 64), (64, 64)])
def test_pixel_shuffle_takes_the_largest_blocks(rows: int, columns: int) -> None:
    agree(numbered(2 * rows * columns, 1, 2), rows, columns)


@pytest.mark.parametrize(("rows", "columns"), [(2, 2), (5, 3), (1, 8)])
def test_pixel_shuffle_agrees_on_a_million_values(rows: int, columns: int) -> None:
    """By the place where each output comes from."""
    x = numbered(6 * rows * columns, 420 // rows, 420 // columns)
    found = pixel_shuffle(x, rows, columns)
    c, y, i = np.indices(found.shape)
    assert found.size >= 10**6
    np.testing.assert_array_equal(found, x[(c * rows + y % rows) * columns + i % columns, y // rows, i // columns])
    assert len(np.unique(found)) == x.size


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_pixel_shuffle_moves_the_ends_of_every_dtype(dtype: type) -> None:
    limits = np.iinfo(dtype)
    x = np.array([limits.min, limits.max, 1, 0], dtype).reshape(4, 1, 1)
    assert agree(x, 2, 2).tolist() == [[[limits.min, limits.max], [1, 0]]]


def test_pixel_shuffle_reads_any_layout_and_changes_nothing() -> None:
    base = numbered(12, 8, 6)
    for x in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1], np.asfortranarray(base), base[::2]):
        kept = x.copy()
        agree(x, 2, 3)
        np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize(
    ("x", "rows", "columns", "error", "message"),
    [
        (np.zeros((4, 1)), 2, 2, ShapeError, r"RC-SHAPE: expected x \(C, H, W\) of at least one sample, got \(4, 1\)"),
        (np.zeros((4, 0, 1), int), 2, 2, ShapeError, r"RC-SHAPE: expected x \(C, H, W\) of at least one sample"),
        (np.zeros((0, 1, 1), int), 2, 2, ShapeError, r"RC-SHAPE: expected x"),
        (np.zeros((6, 1, 1), int), 2, 2, ShapeError, r"RC-SHAPE: 6 channels are no groups of 2 x 2"),
        (np.zeros((2, 1, 1), int), 2, 2, ShapeError, r"RC-SHAPE: 2 channels are no groups of 2 x 2"),
        (np.zeros((4, 1, 1)), 2, 2, RangeError, r"RC-RANGE: x: expected integers, got float64"),
        (np.zeros((4, 1, 1), bool), 2, 2, RangeError, r"RC-RANGE: x: expected integers, got bool"),
        (np.zeros((4, 1, 1), int), 0, 2, RangeError, r"RC-RANGE: factors must be 1\.\.64, got 0 and 2"),
        (np.zeros((4, 1, 1), int), 2, 0, RangeError, r"RC-RANGE: factors must be 1\.\.64, got 2 and 0"),
        (np.zeros((4, 1, 1), int), 2, -2, RangeError, r"RC-RANGE: factors must be 1\.\.64, got 2 and -2"),
        (np.zeros((65, 1, 1), int), 65, 1, RangeError, r"RC-RANGE: factors must be 1\.\.64, got 65 and 1"),
        (np.zeros((65, 1, 1), int), 1, 65, RangeError, r"RC-RANGE: factors must be 1\.\.64, got 1 and 65"),
    ],
)
def test_pixel_shuffle_refuses(x: np.ndarray, rows: int, columns: int, error: type, message: str) -> None:
    for function in (pixel_shuffle, pixel_shuffle_plain):
        with pytest.raises(error, match=rf"^{message}"):
            function(x, rows, columns)


# --- the operation


def program(rows: int, columns: int, source: Any = (6, S8), target: Any = (1, S8)) -> Program:
    tensors = Tensor("x", *source), Tensor("y", *target)
    return Program("p", tensors, (PixelShuffle("y", "x", "y", rows, columns),))


@pytest.mark.parametrize(
    ("rows", "columns", "source", "target", "code", "message"),
    [
        (2, 2, (6, S8), (1, S8), "RC-MODEL-TENSOR", r"y: 6 channels are not 1 x 2 x 2"),
        (2, 3, (6, S8), (2, S8), "RC-MODEL-TENSOR", r"y: 6 channels are not 2 x 2 x 3"),
        (2, 3, (6, S8), (1, S16), "RC-MODEL-RANGE", r"y: x is s8, y is s16"),
        (2, 3, (6, S8), (1, U8), "RC-MODEL-RANGE", r"y: x is s8, y is u8"),
        (0, 3, (6, S8), (1, S8), "RC-MODEL-RANGE", r"y: factors must be 1\.\.64, got 0 and 3"),
        (65, 1, (65, S8), (1, S8), "RC-MODEL-RANGE", r"y: factors must be 1\.\.64, got 65 and 1"),
    ],
)
def test_pixel_shuffle_operation_refuses(
    rows: int, columns: int, source: Any, target: Any, code: str, message: str
) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        program(rows, columns, source, target)
    assert caught.value.code == code


def test_reach_of_a_pixel_shuffle_is_that_of_each_group() -> None:
    """Catches groups of the other order: every channel has a reach of its own."""
    op, source = program(2, 1, (6, S8), (3, S8)).operations[0], np.array([5, -3, 9, 2, -8, 0])
    reach = op.reach([Reach(source - 1, source + 2)], Tensor("y", 3, S8))
    assert (reach.lo.tolist(), reach.hi.tolist()) == ([-4, 1, -9], [7, 11, 2])
    x = np.stack([source - 1, source + 2], axis=1)[:, None]
    found = pixel_shuffle(x, 2, 1)
    assert (found.min(axis=(1, 2)).tolist(), found.max(axis=(1, 2)).tolist()) == ([-4, 1, -9], [7, 11, 2])
    assert op.intermediates([reach]) == {}


def test_pixel_shuffle_operation_survives_a_model_file(rng: np.random.Generator) -> None:
    p = program(2, 3, (12, S16), (2, S16))
    read = model_from_bytes(model_to_bytes(Model("any", {}, {"p": p}, {}))).programs["p"]
    x = rng.integers(-32768, 32768, (12, 4, 5))
    found = read.run(x)
    assert found.dtype == read.run_plain(x).dtype == S16.dtype
    np.testing.assert_array_equal(found, p.run_plain(x))
    assert read.sizes(4, 5)["y"] == found.shape[1:] == (8, 15)
