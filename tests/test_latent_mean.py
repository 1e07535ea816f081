"""Latent means: array code, definition, specification and fractions agree; the operation (SPEC MEAN-1 to MEAN-3)."""

from __future__ import annotations

import naive
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.latent_mean import (
    check_mean,
    latent_format,
    latent_mean,
    latent_mean_plain,
    latent_means,
    latent_means_plain,
)
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations.latent_mean import LatentMeans
from refcodec.program.operations.operation import Tensor
from refcodec.program.program import Program
from refcodec.program.reach import Reach


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


# --- a mean of its own for each symbol


def agree_each(symbols: np.ndarray, means: np.ndarray, fraction: int) -> np.ndarray:
    """The common result of array code, definition, specification and fractions."""
    found = latent_means(symbols, means, fraction)
    assert found.dtype == latent_format(fraction).dtype
    np.testing.assert_array_equal(found, latent_means_plain(symbols, means, fraction))
    pairs = list(zip(symbols.ravel().tolist(), means.ravel().tolist(), strict=True))
    wanted = [naive.latent_mean(symbol, mean, fraction) for symbol, mean in pairs]
    assert [fixed.latent_mean(symbol, mean, fraction) for symbol, mean in pairs] == wanted
    assert found.ravel().tolist() == wanted
    return found


@pytest.mark.parametrize("fraction", range(17))
def test_latent_means_agree_at_the_ends_of_every_fraction(fraction: int) -> None:
    """Every pair of extremes: catches a shift or a sum in 16 or 32 bits, and a mean taken for its whole channel."""
    limit = 2 ** (15 + fraction)
    means, symbols = np.meshgrid([-limit, -1, 0, 1, limit - 1], [-32768, -1, 0, 1, 32767])
    found = agree_each(symbols[None].astype(np.int16), means[None], fraction)
    latent_format(fraction).check(found, "latents")
    assert found.min() == latent_format(fraction).lo
    assert found.max() == 2 ** (16 + fraction) - 1 - 2**fraction
    np.testing.assert_array_equal(found, latent_means(symbols[None], means[None].astype(np.int64), fraction))


def test_latent_means_agree_on_all_small_symbols_and_means() -> None:
    symbols, means = np.meshgrid(np.arange(-32, 32), np.arange(-16, 17))
    for fraction in (0, 1, 3, 8):
        agree_each(symbols[None], means[None], fraction)


@pytest.mark.parametrize("fraction", [0, 8, 16])
def test_latent_means_agree_on_a_million_values(fraction: int, rng: np.random.Generator) -> None:
    limit = 2 ** (15 + fraction)
    symbols = rng.integers(-32768, 32768, (16, 256, 256), np.int16)
    means = rng.integers(-limit, limit, symbols.shape).astype(np.int32)
    found = latent_means(symbols, means, fraction)
    assert found.size >= 10**6
    np.testing.assert_array_equal(found, symbols.astype(np.int64) * 2**fraction + means)


def test_latent_means_read_any_layout_and_change_nothing(rng: np.random.Generator) -> None:
    base, means = rng.integers(-32768, 32767, (3, 6, 6), np.int16), rng.integers(-(2**23), 2**23, (3, 6, 6))
    for one, other in ((base.transpose(0, 2, 1), means), (base[:, ::2, ::-1], means[:, 1::2]), (base[::-1], means)):
        kept = one.copy(), other.copy()
        agree_each(one, other, 8)
        np.testing.assert_array_equal(one, kept[0])
        np.testing.assert_array_equal(other, kept[1])
    agree_each(np.array([[[5]]], np.uint8), np.array([[[7]]], np.uint64), 8)


@pytest.mark.parametrize("function", [latent_means, latent_means_plain])
@pytest.mark.parametrize(
    ("symbols", "means"), [((2, 1, 1), (2,)), ((2, 1, 1), (2, 1, 2)), ((2, 1, 1), (1, 1, 1)), ((2, 1), (2, 1))]
)
def test_latent_means_refuse_shapes(function, symbols, means) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: expected symbols and means \(C, H, W\), got \(2, "):
        function(np.zeros(symbols, np.int16), np.zeros(means, np.int32), 8)


@pytest.mark.parametrize("function", [latent_means, latent_means_plain])
@pytest.mark.parametrize(
    ("symbol", "mean", "fraction", "message"),
    [
        (32768, 0, 8, r"symbols: values .* leave s16"),
        (-32769, 0, 8, r"symbols: values .* leave s16"),
        (0, 2**23, 8, r"means: values .* leave s24"),
        (0, -(2**23) - 1, 8, r"means: values .* leave s24"),
        (0, 2**15, 0, r"means: values .* leave s16"),
        (0, 0, -1, r"fraction must be 0\.\.16, got -1"),
        (0, 0, 17, r"fraction must be 0\.\.16, got 17"),
        (0.5, 0, 8, r"symbols: expected integers, got float64"),
        (0, 0.5, 8, r"means: expected integers, got float64"),
    ],
)
def test_latent_means_refuse_what_is_out_of_range(function, symbol, mean, fraction, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(RangeError, match=rf"^RC-RANGE: {message}"):
        function(np.full((1, 1, 1), symbol), np.full((1, 1, 1), mean), fraction)


def means_program(fraction: int, *tensors: tuple[int, IntFormat]) -> Program:
    """Tensors q, m and y of (channels, format)."""
    named = tuple(Tensor(name, *tensor) for name, tensor in zip("qmy", tensors, strict=True))
    return Program("p", named, (LatentMeans("sum", ("q", "m"), "y", fraction),))


S16, S20, S24, S25 = (IntFormat(bits, True) for bits in (16, 20, 24, 25))


@pytest.mark.parametrize(
    ("fraction", "tensors", "code", "message"),
    [
        (8, [(2, S16), (1, S24), (2, S25)], "RC-MODEL-TENSOR", r"sum: channels 2, 1 and 2 differ"),
        (8, [(2, S16), (2, S24), (1, S25)], "RC-MODEL-TENSOR", r"sum: channels 2, 2 and 1 differ"),
        (8, [(2, S16), (2, S25), (2, S25)], "RC-MODEL-RANGE", r"sum: the means are s25, s24 or narrower wanted"),
        (8, [(2, S16), (2, IntFormat(8, False)), (2, S25)], "RC-MODEL-RANGE", r"sum: the means are u8, s24 or"),
        (8, [(2, IntFormat(15, True)), (2, S24), (2, S25)], "RC-MODEL-RANGE", r"from s16 to s25, not from s15 to s25"),
        (8, [(2, S16), (2, S24), (2, S24)], "RC-MODEL-RANGE", r"from s16 to s25, not from s16 to s24"),
        (17, [(2, S16), (2, S24), (2, S25)], "RC-MODEL-RANGE", r"sum: fraction must be 0\.\.16, got 17"),
        (-1, [(2, S16), (2, S16), (2, S16)], "RC-MODEL-RANGE", r"sum: fraction must be 0\.\.16, got -1"),
    ],
)
def test_latent_means_operation_refuses(fraction, tensors, code, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ModelError, match=message) as caught:
        means_program(fraction, *tensors)
    assert caught.value.code == code


@pytest.mark.parametrize("names", [("q",), ("q", "q", "q")])
def test_latent_means_operation_reads_two_tensors(names: tuple[str, ...]) -> None:
    tensors = Tensor("q", 1, S16), Tensor("y", 1, S25)
    with pytest.raises(ModelError, match=rf"^RC-MODEL-TENSOR: sum: reads symbols and means, not {len(names)}$"):
        Program("p", tensors, (LatentMeans("sum", names, "y", 8),))


def test_latent_means_operation_refuses_sizes_that_differ() -> None:
    p = means_program(8, (1, S16), (1, S20), (1, S25))
    assert p.all_sizes({"q": (4, 5), "m": (4, 5)})["y"] == (4, 5)
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: sum: the sources differ in height or width: 4 x 5, 5 x 4$"):
        p.all_sizes({"q": (4, 5), "m": (5, 4)})


def test_reach_of_latent_means_is_attained_by_channel() -> None:
    reaches = [Reach(np.array([-3, 2]), np.array([4, 9])), Reach(np.array([-7, 1]), np.array([5, 6]))]
    op = means_program(4, (2, S16), (2, S20), (2, IntFormat(21, True))).operations[0]
    reach = op.reach(reaches, Tensor("y", 2, IntFormat(21, True)))
    for c in range(2):
        ends = [(int(r.lo[c]), int(r.hi[c])) for r in reaches]
        found = [naive.latent_mean(s, m, 4) for s in range(*ends[0]) for m in range(*ends[1])]
        found += [naive.latent_mean(ends[0][1], ends[1][1], 4)]
        assert (reach.lo[c], reach.hi[c]) == (min(found), max(found))
    assert op.intermediates(reaches) == {"shifted": 9 * 16}


def test_latent_means_operation_survives_a_model_file(rng: np.random.Generator) -> None:
    p = means_program(8, (2, S16), (2, S20), (2, S25))
    read = model_from_bytes(model_to_bytes(Model("any", {}, {"p": p}, {}))).programs["p"]
    assert read.operations[0].reads == ("q", "m")
    inputs = {"q": rng.integers(-32768, 32768, (2, 4, 5)), "m": rng.integers(-(2**19), 2**19, (2, 4, 5))}
    found = read.run_all(inputs)["y"]
    assert found.dtype == read.run_all_plain(inputs)["y"].dtype == S25.dtype
    np.testing.assert_array_equal(found, inputs["q"] * 256 + inputs["m"])
    np.testing.assert_array_equal(found, read.run_all_plain(inputs)["y"])
