"""Scale indexes: kernel, definition, specification and bisection agree (SPEC SCALE-1, SCALE-2)."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.layers.scale_index import check_thresholds, scale_index, scale_index_plain

INT64 = np.iinfo(np.int64)
LIMIT = 2**47


def searched(accumulator: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """All indexes at once, by NumPy's own search."""
    return np.stack(
        [np.searchsorted(row, plane, side="left") for row, plane in zip(thresholds, accumulator, strict=True)]
    )


def agree(accumulator: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The common result of kernel, definition, specification and bisection."""
    found = scale_index(accumulator, thresholds)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, scale_index_plain(accumulator, thresholds))
    for c, row in enumerate(thresholds.tolist()):
        flat = accumulator[c].ravel().tolist()
        wanted = [naive.scale_index(v, row) for v in flat]
        assert [fixed.scale_index(v, row) for v in flat] == wanted
        assert found[c].ravel().tolist() == wanted
    return found


def test_scale_index_counts_thresholds_below_and_not_those_that_equal() -> None:
    """Every threshold, one below and one above; catches `>=`, and a search that misses an end."""
    thresholds = np.arange(63, dtype=np.int64)[None] * 10
    accumulator = (thresholds.ravel()[:, None] + np.array([-1, 0, 1])).astype(np.int64)[None]
    found = agree(accumulator, thresholds)
    assert found[0].tolist() == [[k, k, k + 1] for k in range(63)]
    assert set(found.ravel().tolist()) == set(range(64))


def test_scale_index_agrees_on_all_small_values_with_repeated_thresholds(rng: np.random.Generator) -> None:
    thresholds = np.sort(rng.integers(-20, 20, (200, 63)), axis=1)
    assert (np.diff(thresholds, axis=1) == 0).any(axis=1).all()
    every = np.broadcast_to(np.arange(-32, 32, dtype=np.int32).reshape(1, 8, 8), (200, 8, 8)).copy()
    agree(every, thresholds)


def test_scale_index_agrees_where_all_thresholds_are_equal() -> None:
    thresholds = np.array([[v] * 63 for v in (-LIMIT, -1, 0, 1, LIMIT - 1, INT64.min, INT64.max)])
    accumulator = np.array([[[-LIMIT, -LIMIT + 1, -2, -1, 0, 1, 2, LIMIT - 2, LIMIT - 1]]] * 7, np.int64)
    assert set(agree(accumulator, thresholds).ravel().tolist()) == {0, 63}


def test_scale_index_agrees_with_thresholds_at_the_ends_of_64_bits() -> None:
    """Catches a difference of thresholds that wraps, and a comparison in another type."""
    rows = [
        [INT64.min] * 31 + [INT64.max] * 32,
        [INT64.min, *range(-30, 31), INT64.max],
        [INT64.min] + [-LIMIT] * 30 + [LIMIT - 1] * 31 + [INT64.max],
    ]
    accumulator = np.array([[[-LIMIT, -31, -1, 0, 1, 30, LIMIT - 1]]] * 3, np.int64)
    assert agree(accumulator, np.array(rows))[:, 0].tolist() == [
        [31] * 7,
        [1, 1, 30, 31, 32, 61, 62],
        [1, 31, 31, 31, 31, 31, 31],
    ]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_scale_index_agrees_on_a_million_values(dtype: type, rng: np.random.Generator) -> None:
    limit = 2**31 if dtype is np.int32 else LIMIT
    thresholds = np.sort(rng.integers(-limit, limit, (256, 63)) >> rng.integers(0, 40, (256, 63)), axis=1)
    near = thresholds[:, rng.integers(0, 63, 2048)] + rng.integers(-1, 2, (256, 2048))
    drawn = rng.integers(-limit, limit, (256, 2048)) >> rng.integers(0, 40, (256, 2048))
    accumulator = np.stack([near, drawn], axis=1).clip(-limit, limit - 1)
    found = scale_index(accumulator.astype(dtype), thresholds)
    assert found.size >= 10**6
    np.testing.assert_array_equal(found, searched(accumulator, thresholds))
    assert set(found.ravel().tolist()) == set(range(64))
    assert (near[:, :, None] == thresholds[:, None, :]).any(axis=2).sum() > 100_000
    picks = (rng.integers(0, 256, 2000), rng.integers(0, 2, 2000), rng.integers(0, 2048, 2000))
    for c, y, x in zip(*(p.tolist() for p in picks), strict=True):
        assert found[c, y, x] == naive.scale_index(int(accumulator[c, y, x]), thresholds[c].tolist())


def test_scale_index_reads_any_layout_and_changes_nothing(rng: np.random.Generator) -> None:
    thresholds = np.sort(rng.integers(-99, 99, (4, 63)), axis=1)
    base = rng.integers(-100, 100, (4, 6, 8)).astype(np.int32)
    for view in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1]):
        kept = view.copy()
        np.testing.assert_array_equal(scale_index(view, thresholds[::-1]), searched(view, thresholds[::-1]))
        np.testing.assert_array_equal(view, kept)


# --- refusals


@pytest.mark.parametrize("function", [scale_index, scale_index_plain])
@pytest.mark.parametrize(
    ("accumulator", "thresholds", "message"),
    [
        ((1, 1, 1), (1, 62), r"expected thresholds \(C, 63\), got \(1, 62\)"),
        ((1, 1, 1), (1, 64), r"expected thresholds \(C, 63\), got \(1, 64\)"),
        ((1, 1, 1), (63,), r"expected thresholds \(C, 63\)"),
        ((2, 1, 1), (1, 63), r"expected accumulator \(C, H, W\) and thresholds of C rows, got \(2, 1, 1\)"),
        ((1, 1), (1, 63), r"expected accumulator \(C, H, W\)"),
    ],
)
def test_scale_index_refuses_shapes(function, accumulator, thresholds, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ShapeError, match=rf"^RC-SHAPE: {message}"):
        function(np.zeros(accumulator, np.int32), np.zeros(thresholds, np.int64))


@pytest.mark.parametrize("position", [0, 31, 61])
def test_check_thresholds_refuses_a_step_down_anywhere(position: int) -> None:
    thresholds = np.arange(126, dtype=np.int64).reshape(2, 63)
    check_thresholds(thresholds)
    thresholds[1, position] = thresholds[1, position + 1] + 1
    with pytest.raises(RangeError, match=r"^RC-RANGE: thresholds must be integers that never decrease"):
        check_thresholds(thresholds)


def test_check_thresholds_refuses_a_step_down_over_the_whole_range() -> None:
    """The difference -2**64 + 1 wraps to +1 in 64 bits."""
    thresholds = np.array([[INT64.max] * 30 + [INT64.min] * 33])
    with pytest.raises(RangeError, match=r"^RC-RANGE: thresholds must be integers that never decrease"):
        check_thresholds(thresholds)


@pytest.mark.parametrize("dtype", [np.float64, np.uint64, np.bool_])
def test_check_thresholds_refuses_other_dtypes(dtype: type) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: thresholds must be integers"):
        check_thresholds(np.zeros((1, 63), dtype))


@pytest.mark.parametrize("value", [LIMIT, -LIMIT - 1])
def test_scale_index_refuses_accumulators_beyond_48_bits(value: int) -> None:
    for function in (scale_index, scale_index_plain):
        with pytest.raises(RangeError, match=r"^RC-RANGE: accumulator: values .* leave s48"):
            function(np.full((1, 1, 1), value), np.zeros((1, 63), np.int64))
