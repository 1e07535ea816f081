"""Exact heads: kernel, definition, specification and bisection agree; the operation (SPEC HEAD-1, HEAD-2)."""

from __future__ import annotations

from typing import Any

import naive_tables
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.threshold_head import check_thresholds, threshold_head, threshold_head_plain
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations.operation import Tensor, check_operation
from refcodec.program.operations.threshold_head import ThresholdHead
from refcodec.program.program import Program
from refcodec.program.reach import Reach

INT64 = np.iinfo(np.int64)
LIMIT = 2**47
U8, S8, S32, S48, U48 = (IntFormat(b, s) for b, s in ((8, False), (8, True), (32, True), (48, True), (48, False)))


def agree(accumulator: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The common result of kernel, definition, specification and bisection."""
    found = threshold_head(accumulator, thresholds)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, threshold_head_plain(accumulator, thresholds))
    for c, row in enumerate(thresholds.tolist()):
        flat = accumulator[c].ravel().tolist()
        wanted = [naive_tables.threshold_head(v, row) for v in flat]
        assert [fixed.scale_index(v, row) for v in flat] == wanted
        assert found[c].ravel().tolist() == wanted
    return found


def searched(accumulator: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """All samples at once, by NumPy's own search."""
    return np.stack([np.searchsorted(row, plane) for row, plane in zip(thresholds, accumulator, strict=True)])


def test_threshold_head_counts_thresholds_below_and_not_those_that_equal() -> None:
    """Every threshold, one below and one above; catches `>=`, and a search that misses an end."""
    thresholds = np.arange(-127, 128, dtype=np.int64)[None] * 10
    accumulator = (thresholds.ravel()[:, None] + np.array([-1, 0, 1]))[None]
    found = agree(accumulator, thresholds)
    assert found[0].tolist() == [[k, k, k + 1] for k in range(255)]
    assert set(found.ravel().tolist()) == set(range(256))


def test_threshold_head_agrees_on_all_small_values_with_repeated_thresholds(rng: np.random.Generator) -> None:
    thresholds = np.sort(rng.integers(-40, 40, (50, 255)), axis=1)
    assert (np.diff(thresholds, axis=1) == 0).any(axis=1).all()
    every = np.broadcast_to(np.arange(-64, 64, dtype=np.int32).reshape(1, 8, 16), (50, 8, 16)).copy()
    agree(every, thresholds)


def test_threshold_head_agrees_at_the_ends_of_48_and_64_bits() -> None:
    """Catches a difference of thresholds that wraps, and a comparison in another type."""
    rows = [
        [INT64.min] * 127 + [INT64.max] * 128,
        [INT64.min, *range(-126, 127), INT64.max],
        [INT64.min] + [-LIMIT] * 126 + [LIMIT - 1] * 127 + [INT64.max],
        [v + 2**53 for v in range(255)],
    ]
    accumulator = np.array([[[-LIMIT, -127, -1, 0, 1, 126, LIMIT - 1]]] * 4, np.int64)
    assert agree(accumulator, np.array(rows))[:, 0].tolist() == [
        [127] * 7,
        [1, 1, 126, 127, 128, 253, 254],
        [1, 127, 127, 127, 127, 127, 127],
        [0] * 7,
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.uint64])
def test_threshold_head_compares_unsigned_accumulators_with_negative_thresholds(dtype: type) -> None:
    """Catches a threshold that is taken for unsigned."""
    thresholds = np.array([[-1] * 100 + [5] * 100 + [200] * 55])
    accumulator = np.array([[[0, 5, 6, 200, 255]]], dtype)
    assert agree(accumulator, thresholds).tolist() == [[[100, 100, 200, 200, 255]]]


def test_threshold_head_takes_unsigned_accumulators_of_48_bits() -> None:
    accumulator = np.array([[[0, LIMIT, 2 * LIMIT - 1]]])
    assert agree(accumulator, np.array([[LIMIT] * 255])).tolist() == [[[0, 0, 255]]]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_threshold_head_agrees_on_a_million_values(dtype: type, rng: np.random.Generator) -> None:
    limit = 2**31 if dtype is np.int32 else LIMIT
    thresholds = np.sort(rng.integers(-limit, limit, (256, 255)) >> rng.integers(0, 40, (256, 255)), axis=1)
    near = thresholds[:, rng.integers(0, 255, 2048)] + rng.integers(-1, 2, (256, 2048))
    drawn = rng.integers(-limit, limit, (256, 2048)) >> rng.integers(0, 40, (256, 2048))
    accumulator = np.stack([near, drawn], axis=1).clip(-limit, limit - 1)
    found = threshold_head(accumulator.astype(dtype), thresholds)
    assert found.size >= 10**6
    np.testing.assert_array_equal(found, searched(accumulator, thresholds))
    assert set(found.ravel().tolist()) == set(range(256))
    picks = (rng.integers(0, 256, 2000), rng.integers(0, 2, 2000), rng.integers(0, 2048, 2000))
    for c, y, x in zip(*(p.tolist() for p in picks), strict=True):
        assert found[c, y, x] == naive_tables.threshold_head(int(accumulator[c, y, x]), thresholds[c].tolist())


def test_threshold_head_reads_any_layout_and_changes_nothing(rng: np.random.Generator) -> None:
    thresholds = np.sort(rng.integers(-99, 99, (4, 255)), axis=1)
    base = rng.integers(-100, 100, (4, 6, 8)).astype(np.int32)
    for view in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1]):
        kept = view.copy()
        np.testing.assert_array_equal(threshold_head(view, thresholds[::-1]), searched(view, thresholds[::-1]))
        np.testing.assert_array_equal(view, kept)
    assert threshold_head(base[:, :0], thresholds).shape == (4, 0, 8)


# --- refusals


@pytest.mark.parametrize("function", [threshold_head, threshold_head_plain])
@pytest.mark.parametrize(
    ("accumulator", "thresholds", "message"),
    [
        ((1, 1, 1), (1, 254), r"expected thresholds \(C, 255\), got \(1, 254\)"),
        ((1, 1, 1), (255,), r"expected thresholds \(C, 255\), got \(255,\)"),
        ((2, 1, 1), (1, 255), r"expected accumulator \(C, H, W\) and thresholds of C rows, got \(2, 1, 1\)"),
        ((1, 1), (1, 255), r"expected accumulator \(C, H, W\)"),
    ],
)
def test_threshold_head_refuses_shapes(function, accumulator, thresholds, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ShapeError, match=rf"^RC-SHAPE: {message}"):
        function(np.zeros(accumulator, np.int32), np.zeros(thresholds, np.int64))


@pytest.mark.parametrize("position", [0, 127, 253])
def test_check_thresholds_refuses_a_step_down_anywhere(position: int) -> None:
    thresholds = np.arange(510, dtype=np.int64).reshape(2, 255)
    check_thresholds(thresholds)
    thresholds[1, position] = thresholds[1, position + 1] + 1
    with pytest.raises(RangeError, match=r"^RC-RANGE: thresholds must be signed integers that never decrease"):
        check_thresholds(thresholds)


def test_check_thresholds_refuses_a_step_down_over_the_whole_range() -> None:
    """The difference -2**64 + 1 wraps to +1 in 64 bits."""
    with pytest.raises(RangeError, match=r"^RC-RANGE: thresholds must be signed integers that never decrease"):
        check_thresholds(np.array([[INT64.max] * 100 + [INT64.min] * 155]))


@pytest.mark.parametrize("dtype", [np.float64, np.uint64, np.bool_])
def test_check_thresholds_refuses_other_dtypes(dtype: type) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: thresholds must be signed integers"):
        check_thresholds(np.zeros((1, 255), dtype))


def test_threshold_head_refuses_accumulators_beyond_48_bits_and_floats() -> None:
    thresholds = np.zeros((1, 255), np.int64)
    for function in (threshold_head, threshold_head_plain):
        for values, message in (
            ([LIMIT, -1], "leave s48"),
            ([-LIMIT - 1, 0], "leave s48"),
            ([2 * LIMIT, 0], "leave u48"),
            ([0.5, 1.5], "expected integers, got float64"),
        ):
            with pytest.raises(RangeError, match=rf"^RC-RANGE: accumulator: .*{message}"):
                function(np.array([[values]]), thresholds)


# --- the operation


def head(channels: int = 2, **changes: Any) -> ThresholdHead:
    thresholds = np.arange(channels)[:, None] * 3 + np.arange(-127, 128)
    return ThresholdHead(**({"name": "h", "source": "a", "target": "b", "thresholds": thresholds} | changes))


def test_threshold_head_operation_is_refused() -> None:
    a, b = Tensor("a", 2, S48), Tensor("b", 2, U8)
    check_operation(head(), [a], b)
    check_operation(head(), [Tensor("a", 2, U48)], b)
    for op, target, code, message in (
        (head(), Tensor("b", 3, U8), "RC-MODEL-TENSOR", "h: 2 channels wanted, from 2 to 3 found"),
        (head(3), b, "RC-MODEL-TENSOR", r"h: thresholds \(3, 255\) for 2 channels"),
        (head(thresholds=np.zeros((2, 63), int)), b, "RC-MODEL-TENSOR", r"h: thresholds \(2, 63\) for 2 channels"),
        (head(thresholds=-np.ones((2, 255), int).cumsum(axis=1)), b, "RC-MODEL-RANGE", "h: thresholds must be"),
        (head(), Tensor("b", 2, S8), "RC-MODEL-RANGE", "h: the target must be u8"),
        (head(), Tensor("b", 2, IntFormat(9, False)), "RC-MODEL-RANGE", "h: the target must be u8"),
    ):
        with pytest.raises(ModelError, match=message) as caught:
            check_operation(op, [a], target)
        assert caught.value.code == code


def test_threshold_head_reach_is_what_brute_force_finds(rng: np.random.Generator) -> None:
    b = Tensor("b", 1, U8)
    every = np.arange(-16, 16).reshape(1, 1, -1)
    for _ in range(20):
        op = head(thresholds=np.sort(rng.integers(-20, 20, (1, 255)), axis=1))
        samples = threshold_head_plain(every, op.thresholds).ravel()
        for lo in range(-16, 16):
            for hi in range(lo, 16):
                found = op.reach([Reach(np.array([lo]), np.array([hi]))], b)
                met = samples[lo + 16 : hi + 17]
                assert (found.lo[0], found.hi[0]) == (met.min(), met.max())
        assert op.intermediates([Reach(np.array([-16]), np.array([15]))]) == {}


def test_threshold_head_passes_through_a_model_file_and_runs() -> None:
    program = Program("p", (Tensor("a", 2, S32), Tensor("b", 2, U8)), (head(),))
    model = Model("any", {}, {"p": program}, {})
    again = model_from_bytes(model_to_bytes(model))
    assert again.identity == model.identity
    x = np.arange(-200, 200).reshape(2, 10, 20)
    found = again.programs["p"].run(x)
    np.testing.assert_array_equal(found, program.run_plain(x))
    assert found.dtype == U8.dtype
    assert program.sizes(10, 20)["b"] == (10, 20)
    assert program.reaches()["b"].joint() == (0, 255)
