"""Latent means: array code, definition, specification and fractions agree (SPEC MEAN-1, MEAN-2)."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.layers.latent_mean import check_mean, latent_format, latent_mean, latent_mean_plain


def agree(symbols: np.ndarray, mean: np.ndarray, fraction: int) -> np.ndarray:
    """The common result of array code, definition, specification and fractions."""
    found = latent_mean(symbols, mean, fraction)
    assert found.dtype == latent_format(fraction).dtype
    np.testing.assert_array_equal(found, latent_mean_plain(symbols, mean, fraction))
    for c, m in enumerate(mean.tolist()):
        flat = symbols[c].ravel().tolist()
        wanted = [naive.latent_mean(v, m, fraction) for v in flat]
        assert [fixed.latent_mean(v, m, fraction) for v in flat] == wanted
        assert found[c].ravel().tolist() == wanted
    return found


@pytest.mark.parametrize("fraction", range(17))
def test_latent_mean_agrees_at_the_ends_of_every_fraction(fraction: int) -> None:
    """Catches a shift or a sum in 16 or 32 bits, and a result format that is one bit short."""
    symbols = np.array([[[-32768, -32767, -1, 0, 1, 32766, 32767]]] * 5, np.int16)
    limit = 2 ** (15 + fraction)
    mean = np.array([-limit, -1, 0, 1, limit - 1], np.int64)
    found = agree(symbols, mean, fraction)
    fmt = latent_format(fraction)
    assert fmt.bits == 17 + fraction
    assert fmt.signed
    fmt.check(found, "latents")
    assert found.min() == fmt.lo
    assert found.max() == 2 ** (16 + fraction) - 1 - 2**fraction


def test_latent_mean_agrees_on_all_small_symbols_and_means() -> None:
    symbols = np.broadcast_to(np.arange(-32, 32, dtype=np.int16).reshape(1, 8, 8), (33, 8, 8))
    for fraction in (0, 1, 3, 8):
        agree(symbols, np.arange(-16, 17), fraction)


def test_latent_mean_reads_any_layout_and_changes_nothing(rng: np.random.Generator) -> None:
    base = rng.integers(-32768, 32767, (3, 6, 8), np.int16)
    mean = rng.integers(-(2**23), 2**23, 3).astype(np.int32)
    kept_mean = mean.copy()
    for view in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1]):
        kept = view.copy()
        agree(view, mean[::-1], 8)
        np.testing.assert_array_equal(view, kept)
    np.testing.assert_array_equal(mean, kept_mean)


@pytest.mark.parametrize("function", [latent_mean, latent_mean_plain])
@pytest.mark.parametrize(
    ("symbols", "mean", "message"),
    [
        ((2, 1, 1), (2, 1), r"expected mean \(C,\), got \(2, 1\)"),
        ((2, 1, 1), (3,), r"expected symbols \(C, H, W\) and mean \(C,\), got \(2, 1, 1\) and \(3,\)"),
        ((2, 1), (2,), r"expected symbols \(C, H, W\)"),
        ((1, 2, 1, 1), (1,), r"expected symbols \(C, H, W\)"),
    ],
)
def test_latent_mean_refuses_shapes(function, symbols, mean, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ShapeError, match=rf"^RC-SHAPE: {message}"):
        function(np.zeros(symbols, np.int16), np.zeros(mean, np.int32), 8)


@pytest.mark.parametrize("function", [latent_mean, latent_mean_plain])
@pytest.mark.parametrize(
    ("symbol", "mean", "fraction", "message"),
    [
        (32768, 0, 8, r"symbols: values .* leave s16"),
        (-32769, 0, 8, r"symbols: values .* leave s16"),
        (0, 2**23, 8, r"mean: values .* leave s24"),
        (0, -(2**23) - 1, 8, r"mean: values .* leave s24"),
        (0, 2**15, 0, r"mean: values .* leave s16"),
        (0, 0, -1, r"fraction must be 0\.\.16, got -1"),
        (0, 0, 17, r"fraction must be 0\.\.16, got 17"),
    ],
)
def test_latent_mean_refuses_what_is_out_of_range(function, symbol, mean, fraction, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RangeError, match=rf"^RC-RANGE: {message}") as caught:
        function(np.full((1, 1, 1), symbol), np.array([mean]), fraction)
    assert caught.value.code == "RC-RANGE"


def test_latent_mean_refuses_floats() -> None:
    with pytest.raises(RangeError, match="symbols: expected integers, got float64"):
        latent_mean(np.zeros((1, 1, 1)), np.zeros(1, np.int32), 8)
    with pytest.raises(RangeError, match="mean: expected integers, got float64"):
        check_mean(np.zeros(1), 8)
