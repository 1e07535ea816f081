"""Concatenation: array code, definition, specification and lists agree; the operation (SPEC CAT-1)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import naive_arrangement
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.concatenate import concatenate, concatenate_plain
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations.concatenate import Concatenate
from refcodec.program.operations.operation import Tensor
from refcodec.program.program import Program
from refcodec.program.reach import Reach

S8, U8, S16 = IntFormat(8, True), IntFormat(8, False), IntFormat(16, True)


def agree(volumes: list[np.ndarray]) -> np.ndarray:
    """The common result of array code, definition, specification and lists."""
    found, plain = concatenate(volumes), concatenate_plain(volumes)
    assert found.dtype == plain.dtype == volumes[0].dtype
    assert not any(np.shares_memory(found, volume) for volume in volumes)
    np.testing.assert_array_equal(found, plain)
    lists = [volume.tolist() for volume in volumes]
    assert found.tolist() == fixed.concatenate(lists) == naive_arrangement.concatenate(lists)
    return found


def numbered(channels: list[int], height: int, width: int) -> list[np.ndarray]:
    """Volumes in which all values differ."""
    ends = np.cumsum([0, *channels])
    every = np.arange(int(ends[-1]) * height * width, dtype=np.int32).reshape(-1, height, width) - 7
    return [every[a:b].copy() for a, b in pairwise(ends)]


@pytest.mark.parametrize("channels", [[1, 1], [2, 1], [1, 2], [3, 2, 1], [1, 3, 2, 5], [1] * 9])
def test_concatenate_keeps_the_order_of_volumes_and_channels(channels: list[int]) -> None:
    """Catches volumes that are exchanged or interleaved, and a width taken for channels."""
    for height, width in ((1, 1), (2, 3), (3, 2)):
        found = agree(numbered(channels, height, width))
        assert found.ravel().tolist() == list(range(-7, sum(channels) * height * width - 7))


def test_concatenate_takes_one_volume_twice() -> None:
    x = numbered([2], 2, 3)[0]
    assert agree([x, x]).tolist() == [*x.tolist(), *x.tolist()]


def test_concatenate_agrees_on_a_million_values() -> None:
    volumes = numbered([5, 9, 2], 250, 257)
    found = concatenate(volumes)
    assert found.size >= 10**6
    np.testing.assert_array_equal(found.ravel(), np.arange(found.size) - 7)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint32, np.int64, np.uint64])
def test_concatenate_keeps_the_ends_of_every_dtype(dtype: type) -> None:
    limits = np.iinfo(dtype)
    volumes = [np.array([[[end]]], dtype) for end in (limits.max, limits.min)]
    assert agree(volumes).ravel().tolist() == [limits.max, limits.min]


def test_concatenate_reads_any_layout_and_changes_nothing() -> None:
    base = numbered([3], 6, 6)[0]
    views = [base.transpose(0, 2, 1), base[:, :, ::-1], base[::-1], np.asfortranarray(base), base[::2, ::-1]]
    kept = [view.copy() for view in views]
    agree(views)
    for view, before in zip(views, kept, strict=True):
        np.testing.assert_array_equal(view, before)


@pytest.mark.parametrize(
    ("shapes", "dtypes", "error", "message"),
    [
        ([], [], ShapeError, r"RC-SHAPE: expected two or more volumes, got 0"),
        ([(1, 2, 3)], [int], ShapeError, r"RC-SHAPE: expected two or more volumes, got 1"),
        ([(1, 2, 3), (2, 3)], [int, int], ShapeError, r"RC-SHAPE: expected volume 1 \(C, H, W\) of at least one"),
        ([(1, 0, 3), (1, 0, 3)], [int, int], ShapeError, r"RC-SHAPE: expected volume 0"),
        ([(1, 2, 3), (1, 3, 3)], [int, int], ShapeError, r"RC-SHAPE: volumes \(1, 2, 3\) and \(1, 3, 3\) differ"),
        ([(1, 2, 3), (1, 2, 3), (1, 2, 2)], [int] * 3, ShapeError, r"RC-SHAPE: volumes .* differ in height or width"),
        ([(1, 2, 3), (1, 2, 3)], [int, float], RangeError, r"RC-RANGE: volume 1: expected integers, got float64"),
        ([(1, 2, 3), (1, 2, 3)], [np.int16, np.int32], RangeError, r"RC-RANGE: volumes of int16 and int32"),
    ],
)
def test_concatenate_refuses(shapes: Any, dtypes: Any, error: type, message: str) -> None:
    volumes = [np.zeros(shape, dtype) for shape, dtype in zip(shapes, dtypes, strict=True)]
    for function in (concatenate, concatenate_plain):
        with pytest.raises(error, match=rf"^{message}"):
            function(volumes)


# --- the operation


def program(*tensors: Any) -> Program:
    """Tensors a, b, ... of (channels, format), the last one the target."""
    *sources, target = [Tensor(name, *tensor) for name, tensor in zip("abcdefg", tensors, strict=False)]
    op = Concatenate("cat", tuple(source.name for source in sources), target.name)
    return Program("p", (*sources, target), (op,))


@pytest.mark.parametrize(
    ("tensors", "code", "message"),
    [
        ([(2, S8), (2, S8)], "RC-MODEL-TENSOR", r"cat: two or more sources wanted, got 1"),
        ([(2, S8), (3, S8), (4, S8)], "RC-MODEL-TENSOR", r"cat: 2 \+ 3 channels are not 4"),
        ([(2, S8), (3, S8), (1, S8), (5, S8)], "RC-MODEL-TENSOR", r"cat: 2 \+ 3 \+ 1 channels are not 5"),
        ([(2, S8), (3, U8), (5, S8)], "RC-MODEL-RANGE", r"cat: b is u8, c is s8"),
        ([(2, S8), (3, S8), (5, S16)], "RC-MODEL-RANGE", r"cat: a is s8, c is s16"),
    ],
)
def test_concatenate_operation_refuses(tensors: Any, code: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        program(*tensors)
    assert caught.value.code == code


def test_concatenate_operation_refuses_sizes_that_differ() -> None:
    p = program((1, S8), (2, S8), (3, S8))
    assert p.all_sizes({"a": (4, 5), "b": (4, 5)})["c"] == (4, 5)
    for other in ((5, 4), (4, 4), (5, 5)):
        with pytest.raises(ShapeError, match=r"^RC-SHAPE: cat: the sources differ in height or width: 4 x 5, . x .$"):
            p.all_sizes({"a": (4, 5), "b": other})


def test_reach_of_a_concatenation_is_that_of_each_channel() -> None:
    reaches = [Reach(np.array([1, -2]), np.array([3, 4])), Reach(np.array([-7]), np.array([-6]))]
    op = program((2, S8), (1, S8), (3, S8)).operations[0]
    reach = op.reach(reaches, Tensor("c", 3, S8))
    assert (reach.lo.tolist(), reach.hi.tolist()) == ([1, -2, -7], [3, 4, -6])
    assert op.intermediates(reaches) == {}


def test_concatenate_operation_survives_a_model_file(rng: np.random.Generator) -> None:
    p = program((2, S16), (1, S16), (3, S16), (6, S16))
    read = model_from_bytes(model_to_bytes(Model("any", {}, {"p": p}, {}))).programs["p"]
    assert read.operations[0].reads == ("a", "b", "c")
    inputs = {name: rng.integers(-32768, 32768, (c, 4, 5)) for name, c in (("a", 2), ("b", 1), ("c", 3))}
    found = read.run_all(inputs)["d"]
    assert found.dtype == read.run_all_plain(inputs)["d"].dtype == S16.dtype
    np.testing.assert_array_equal(found, np.vstack(list(inputs.values())))
    np.testing.assert_array_equal(found, read.run_all_plain(inputs)["d"])


def test_concatenate_operation_may_read_a_tensor_twice() -> None:
    op = Concatenate("cat", ("a", "a"), "b")
    p = Program("p", (Tensor("a", 1, S8), Tensor("b", 2, S8)), (op,))
    assert p.run(np.array([[[5, -6]]])).tolist() == [[[5, -6]], [[5, -6]]]
