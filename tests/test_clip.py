"""Clip and rectifier: kernel, definition, specification and oracle agree (SPEC CLIP-1, CLIP-2)."""

from __future__ import annotations

from itertools import product

import naive
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.layers.clip import clip, clip_plain, relu

DTYPES = [np.int16, np.int32, np.int64]


def agree(x: np.ndarray, lo: int, hi: int) -> np.ndarray:
    """The common result of kernel, definition, specification and oracle."""
    found = clip(x, lo, hi)
    assert found.dtype == x.dtype
    np.testing.assert_array_equal(found, clip_plain(x, lo, hi))
    wanted = [naive.clip(v, lo, hi) for v in x.ravel().tolist()]
    assert [fixed.clip(v, lo, hi) for v in x.ravel().tolist()] == wanted
    assert found.ravel().tolist() == wanted
    return found


def test_clip_agrees_on_all_five_bit_values_and_limits() -> None:
    x = np.arange(-16, 16, dtype=np.int16).reshape(2, 4, 4)
    for lo, hi in product(range(-17, 18, 2), repeat=2):
        if lo <= hi:
            agree(x, lo, hi)


@pytest.mark.parametrize("dtype", DTYPES)
def test_clip_agrees_at_the_ends_of_the_dtype(dtype: type) -> None:
    limits = np.iinfo(dtype)
    lowest, highest = int(limits.min), int(limits.max)
    x = np.array([[[lowest, lowest + 1, -1, 0, 1, highest - 1, highest]]], dtype)
    np.testing.assert_array_equal(agree(x, lowest, highest), x)
    assert set(agree(x, lowest, lowest).ravel().tolist()) == {lowest}
    assert set(agree(x, highest, highest).ravel().tolist()) == {highest}
    assert agree(x, -1, 1).tolist() == [[[-1, -1, -1, 0, 1, 1, 1]]]
    assert agree(x, lowest + 1, highest - 1).ravel()[[0, -1]].tolist() == [lowest + 1, highest - 1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_keeps_what_is_positive(dtype: type) -> None:
    limits = np.iinfo(dtype)
    x = np.array([[[int(limits.min), -2, -1, 0, 1, 2, int(limits.max)]]], dtype)
    assert relu(x).tolist() == [[[0, 0, 0, 0, 1, 2, int(limits.max)]]]
    assert relu(x).ravel().tolist() == [naive.relu(v) for v in x.ravel().tolist()]
    assert relu(x).dtype == dtype


def test_clip_reads_any_layout_and_changes_nothing(rng: np.random.Generator) -> None:
    base = rng.integers(-100, 100, (4, 6, 8)).astype(np.int16)
    for view in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1]):
        kept = view.copy()
        np.testing.assert_array_equal(clip(view, -50, 60), np.minimum(np.maximum(kept, -50), 60))
        np.testing.assert_array_equal(view, kept)


@pytest.mark.parametrize("function", [clip, clip_plain])
def test_clip_refuses_other_ranks(function) -> None:  # type: ignore[no-untyped-def]
    for shape in ((4,), (2, 2), (1, 1, 1, 1)):
        with pytest.raises(ShapeError, match=r"^RC-SHAPE: expected x \(C, H, W\), got "):
            function(np.zeros(shape, np.int16), 0, 1)
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: "):
        relu(np.zeros((2, 2), np.int16))


@pytest.mark.parametrize(
    ("dtype", "lo", "hi"),
    [
        (np.int16, 1, 0),
        (np.int16, -32769, 0),
        (np.int16, 0, 32768),
        (np.int64, 0, 2**63),
        (np.uint8, 0, 1),
        (np.float64, 0, 1),
    ],
)
def test_clip_refuses_limits_and_dtypes_it_cannot_hold(dtype: type, lo: int, hi: int) -> None:
    for function in (clip, clip_plain):
        with pytest.raises(
            RangeError, match=r"^RC-RANGE: clip needs signed integers and limits lo <= hi inside "
        ) as caught:
            function(np.zeros((1, 1, 1), dtype), lo, hi)
        assert caught.value.code == "RC-RANGE"


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_relu_refuses_what_has_no_sign_or_is_no_integer(dtype: type) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: "):
        relu(np.zeros((1, 1, 1), dtype))
