"""Layer normalisation: kernel, definition, specification and sums over pairs agree (SPEC LN-1, LN-2)."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import product
from typing import Any

import naive_normalisation as naive
import numpy as np
import pytest

from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.gdn import Affine
from refcodec.layers.layer_norm import Spread, layer_norm, layer_norm_plain
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations import Tensor, check_operation
from refcodec.program.operations.layer_norm import LayerNorm, ceiling_root
from refcodec.program.program import Program
from refcodec.program.reach import Reach
from refcodec.vectorgen.corners.normalisation import layer, layer_norm_cases

S2, S3, S8, S12, S16 = (IntFormat(bits, True) for bits in (2, 3, 8, 12, 16))
U2, U8, U16 = (IntFormat(bits, False) for bits in (2, 8, 16))
UNCOMPILED = """
import json, sys, numpy as np
from refcodec.formats import IntFormat
from refcodec.layers.gdn import Affine
from refcodec.layers.layer_norm import Spread, layer_norm
epsilon, shift, fraction, x, scale, offset = json.loads(sys.argv[1])
affine = Affine(np.array(scale), np.array(offset), fraction)
print(json.dumps(layer_norm(np.array(x), Spread(epsilon, shift), affine, IntFormat(16, True)).tolist()))
"""


def affine_of(scale: Any, offset: Any, fraction: int = 0) -> Affine:
    """Constants as a program holds them: int64, read-only."""
    arrays = np.array(scale, np.int64), np.array(offset, np.int64)
    for array in arrays:
        array.setflags(write=False)
    return Affine(*arrays, fraction)


def agree(x: np.ndarray, spread: Spread, affine: Affine, target: IntFormat) -> np.ndarray:
    """The common result of kernel, definition and fractions."""
    found = layer_norm(x, spread, affine, target)
    assert found.dtype == target.dtype
    np.testing.assert_array_equal(found, layer_norm_plain(x, spread, affine, target))
    constants = affine.scale.tolist(), affine.offset.tolist(), *spread, affine.fraction, target.lo, target.hi
    columns = x.reshape(len(x), -1).T.tolist()
    assert found.reshape(len(x), -1).T.tolist() == [naive.layer_norm(column, *constants) for column in columns]
    return found


def every_sample(fmt: IntFormat, channels: int) -> np.ndarray:
    """All samples of a small format, in one row."""
    return np.array(list(product(range(fmt.lo, fmt.hi + 1), repeat=channels)), np.int16).T[:, None, :].copy()


# --- values


@pytest.mark.parametrize("source", [S2, U2, S3], ids=str)
@pytest.mark.parametrize("spread", [Spread(1, 0), Spread(7, 3), Spread(100, 1)])
@pytest.mark.parametrize("channels", [1, 2, 3])
def test_layer_norm_agrees_on_all_small_samples(source: IntFormat, spread: Spread, channels: int) -> None:
    affine = affine_of([90, -70, 33][:channels], [-3, 5, 8][:channels], 2)
    found = agree(every_sample(source, channels), spread, affine, S3)
    assert channels == 1 or {S3.lo, S3.hi} <= set(found.ravel().tolist())


def test_layer_norm_rounds_ties_up_on_both_sides_of_zero() -> None:
    """Catches a quotient cut towards zero, and rounding away from zero or to even: quotients of +-1/2 and +-3/2."""
    x = np.array([[[1, 0]], [[0, 1]]], np.int16)
    assert agree(x, Spread(3, 0), affine_of([1, 3], [0, 0]), S8).tolist() == [[[1, 0]], [[-1, 2]]]
    assert agree(x, Spread(3, 0), affine_of([1, 3], [1, 1]), S8).tolist() == [[[2, 1]], [[0, 3]]]
    assert agree(x, Spread(3, 0), affine_of([2, 6], [2, 2], 1), S8).tolist() == [[[2, 1]], [[0, 3]]]


@pytest.mark.parametrize(("epsilon", "wanted"), [(14, 8), (15, 7), (16, 7)])
def test_layer_norm_takes_the_floor_of_the_root(epsilon: int, wanted: int) -> None:
    """Radicands of 63, 64 and 65 under 56 times the deviation."""
    x = np.array([[[3]], [[-4]]], np.int16)
    assert agree(x, Spread(epsilon, 0), affine_of([8, 8], [0, 0]), S8).ravel().tolist() == [wanted, -wanted]


def test_layer_norm_leaves_the_offset_of_equal_channels_and_of_a_single_one() -> None:
    """Catches a spread of zero."""
    for channels in (1, 3):
        x = np.tile(np.array([-128, 0, 127], np.int16), (channels, 1, 1))
        found = agree(x, Spread(1, 0), affine_of([1000] * channels, [-7] * channels, 1), S8)
        assert set(found.ravel().tolist()) == {-3}


def test_layer_norm_does_not_see_a_constant_added_to_all_channels(rng: np.random.Generator) -> None:
    x = rng.integers(0, 200, (5, 4, 4)).astype(np.int32)
    constants = Spread(9, 4), affine_of([900, -700, 500, 300, -100], [1, 2, 3, 4, 5], 3), S12
    for added in (-32768, 1, 65000):
        np.testing.assert_array_equal(layer_norm(x + added, *constants), layer_norm(x, *constants))


def widest(source: IntFormat, channels: int) -> tuple[np.ndarray, Spread, Affine]:
    """Half of the channels at either end, a radicand that reaches 62 bits, and sums about as wide as they may be."""
    x = np.full((channels, 1, 2), source.lo)
    x[: channels // 2] = source.hi
    x[1:, 0, 1] = source.lo
    largest = (channels // 2 * (source.hi - source.lo)) ** 2
    shift = min(62 - largest.bit_length(), 31)
    spread = Spread((1 << 62 - shift) - 1 - largest, shift)
    scale = (1 << 59) // (channels * (source.hi - source.lo))
    return x, spread, affine_of([scale, -scale] * (channels // 2), [1 << 28, -(1 << 28)] * (channels // 2), 14)


@pytest.mark.parametrize(("source", "channels"), [(S16, 2), (S16, 64), (S8, 320), (U16, 32), (U8, 2)], ids=str)
def test_layer_norm_agrees_at_the_ends_of_its_domain(source: IntFormat, channels: int) -> None:
    """Catches sums, squares, radicands and numerators of fewer bits."""
    x, spread, affine = widest(source, channels)
    assert spread.largest(channels, source.hi - source.lo) >> spread.shift == (1 << 62 - spread.shift) - 1
    found = agree(x, spread, affine, S16)
    assert abs(found.astype(int)).max() > 1000
    with pytest.raises(RangeError, match=r"the radicand may reach 4611686018427387904, beyond 62 bits"):
        layer_norm(x, spread._replace(epsilon=spread.epsilon + 1), affine, S16)


@pytest.mark.parametrize(("source", "channels"), [(S16, 4), (U16, 4), (S8, 32)], ids=str)
def test_layer_norm_wraps_nowhere_without_the_compiler(
    source: IntFormat, channels: int, run_uncompiled: Callable[..., str]
) -> None:
    """NumPy warns where a scalar wraps, and warnings are errors."""
    x, spread, affine = widest(source, channels)
    columns = [a.tolist() for a in (x, affine.scale, affine.offset)]
    printed = run_uncompiled(UNCOMPILED, json.dumps([*spread, affine.fraction, *columns]))
    assert json.loads(printed) == layer_norm(x, spread, affine, S16).tolist()


@pytest.mark.parametrize(("source", "channels"), [(S8, 64), (S16, 16), (U16, 8)], ids=str)
def test_layer_norm_agrees_on_a_million_values(source: IntFormat, channels: int, rng: np.random.Generator) -> None:
    side = 2**10 // channels
    x = rng.integers(source.lo, source.hi, (channels, side, 1024), endpoint=True)
    x >>= rng.integers(0, source.bits, (1, side, 1024))
    x[1::2, :2], x[::2, :2] = 0, 1  # C * C / 4 + epsilon is a square of an even root: halves
    epsilon, shift = 4 * (channels // 2) ** 2 - (channels // 2) ** 2, 2 if source is S8 else 0
    scale, offset = rng.integers(-(2**15), 2**15, channels), rng.integers(-(2**6), 2**6, channels)
    scale[::4] = 2 ** (2 + shift // 2) * 8 + 2 ** (shift // 2)
    total, squares = x.sum(axis=0), (x * x).sum(axis=0)
    radicand = (channels * squares - total * total + epsilon) << shift
    root = np.sqrt(radicand.astype(np.float64)).astype(np.int64)
    root += ((root + 1) * (root + 1) <= radicand).astype(np.int64) - (root * root > radicand)
    numerator = (channels * x - total) * scale[:, None, None] + offset[:, None, None] * root
    floor, remainder = np.divmod(numerator, root << 3)
    wanted = np.clip(floor + (2 * remainder >= root << 3), S12.lo, S12.hi)
    found = layer_norm(x, Spread(epsilon, shift), affine_of(scale, offset, 3), S12)
    assert found.size >= 10**6
    np.testing.assert_array_equal(found, wanted)
    tie, inside = 2 * remainder == root << 3, (wanted > S12.lo) & (wanted < S12.hi)
    assert min((tie & inside & (numerator < 0)).sum(), (tie & inside & (numerator > 0)).sum()) > 50
    assert min((wanted == S12.lo).sum(), (wanted == S12.hi).sum()) > 1000
    agree(x[:, ::7, ::171].copy(), Spread(epsilon, shift), affine_of(scale, offset, 3), S12)


def test_layer_norm_approximates_the_float_layer(rng: np.random.Generator) -> None:
    """The spread is off by less than one unit, the scale by half of one, and the result is rounded once."""
    x = np.round(rng.normal(3, 40, (48, 16, 16))).astype(np.int16)
    weight, bias = rng.normal(0, 20, 48), rng.normal(0, 10, 48)
    spread, fraction = Spread(5 * 48 * 48, 20), 8
    scale = np.round(weight * 2.0 ** (fraction + spread.shift // 2))
    found = layer_norm(x, spread, affine_of(scale, np.round(bias * 256), fraction), S12)
    variance = x.astype(np.float64).var(axis=0) + 5
    normal = (x - x.mean(axis=0)) / np.sqrt(variance)
    exact = normal * weight[:, None, None] + bias[:, None, None]
    doubt = 1 / (48 * np.sqrt(variance) * 2.0 ** (spread.shift // 2))
    factor = (np.abs(weight) * (1 / (1 - doubt.max()) - 1) + 2.0**-19)[:, None, None]
    error = np.abs(found - exact)
    assert (error <= 0.5 + 0.5 / 256 + np.abs(normal) * factor).all()
    assert 0.49 < error.max() < 0.503


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64])
def test_layer_norm_reads_any_layout_and_changes_nothing(dtype: type, rng: np.random.Generator) -> None:
    base = rng.integers(-100, 100, (3, 6, 8)).astype(dtype)
    affine = Affine(np.array([3000, -700, 50], np.int32)[::-1], np.array([1, 2, 3], np.int8), 2)
    for view in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1]):
        kept = view.copy()
        agree(view, Spread(3, 1), affine, S8)
        np.testing.assert_array_equal(view, kept)


# --- refusals

X, PLAIN = np.array([[[1]], [[-1]]], np.int16), affine_of([1, 1], [0, 0])


@pytest.mark.parametrize("function", [layer_norm, layer_norm_plain])
@pytest.mark.parametrize(
    ("x", "spread", "affine", "error", "message"),
    [
        (X[0], Spread(1, 0), PLAIN, ShapeError, r"expected x \(C, H, W\) with samples, got \(1, 1\)"),
        (X[:, :0], Spread(1, 0), PLAIN, ShapeError, r"expected x \(C, H, W\) with samples, got \(2, 0, 1\)"),
        (X * 1.5, Spread(1, 0), PLAIN, RangeError, "x: expected signed integers, got float64"),
        (X.astype(np.int32) * 65536, Spread(1, 0), PLAIN, RangeError, "x: values .* are wider than 16 bits"),
        (X.astype(np.int32) * -32769, Spread(1, 0), PLAIN, RangeError, "x: values .* are wider than 16 bits"),
        (X, Spread(0, 0), PLAIN, RangeError, "epsilon must be 1 or more, got 0"),
        (X, Spread(1, -1), PLAIN, RangeError, r"root shift must be 0\.\.31, got -1"),
        (X, Spread(1, 32), PLAIN, RangeError, r"root shift must be 0\.\.31, got 32"),
        (X, Spread(1 << 62, 0), PLAIN, RangeError, r"the radicand may reach 4611686018427387908, beyond 62 bits"),
        (X, Spread(1, 0), affine_of([1], [0]), ShapeError, "expected scale and offset of 2 channels"),
        (X, Spread(1, 0), affine_of([1, 1], [0, 0], 17), RangeError, r"fraction must be 0\.\.16, got 17"),
        (X, Spread(1, 0), affine_of([1 << 61, 1], [0, 0]), RangeError, "numerators up to 4611686018427387904 over"),
        (X, Spread(1, 0), affine_of([1, 1], [0, -(1 << 63)]), RangeError, "numerators up to .* leave 64 bits"),
    ],
)
def test_layer_norm_refuses(
    function: Callable, x: Any, spread: Spread, affine: Affine, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        function(x, spread, affine, S8)


def test_layer_norm_refuses_sums_of_squares_beyond_63_bits() -> None:
    x = np.full((46342, 1, 1), 65535, np.int32)
    affine = affine_of(np.ones(46342), np.zeros(46342))
    with pytest.raises(RangeError, match=r"the sum of squares times 46342 channels may reach \d+, beyond 63 bits"):
        layer_norm(x, Spread(1, 0), affine, S8)
    found = layer_norm(x[:46340], Spread(1, 0), affine_of(np.ones(46340), np.zeros(46340)), S8)
    assert not found.any()


# --- the operation


def one(op: LayerNorm, source: IntFormat, target: IntFormat) -> Program:
    channels = len(op.scale)
    return Program("p", (Tensor("x", channels, source), Tensor("y", channels, target)), (op,))


@pytest.mark.parametrize(
    ("op", "source", "target", "code", "message"),
    [
        (layer([1, 1], [0]), S8, S8, "RC-MODEL-TENSOR", r"scale \(2,\), offset \(1,\) for 2 channels"),
        (layer([1, 1], [0, 0]), S8, IntFormat(17, True), "RC-MODEL-RANGE", "activations of 2..16 bits wanted"),
        (layer([1, 1], [0, 0]), IntFormat(1, False), S8, "RC-MODEL-RANGE", "activations of 2..16 bits wanted"),
        (layer([1, 1], [0, 0], 0), S8, S8, "RC-MODEL-RANGE", "epsilon must be 1 or more"),
        (layer([1, 1], [0, 0], 1, 32), S8, S8, "RC-MODEL-RANGE", r"root shift must be 0\.\.31"),
        (layer([1, 1], [0, 0], 1, 0, 17), S8, S8, "RC-MODEL-RANGE", r"fraction must be 0\.\.16"),
        (layer([1, 1], [0, 0], 1 << 62), S8, S8, "RC-MODEL-OVERFLOW", "the radicand may reach"),
        (layer([1 << 56, 1], [0, 0]), S8, S8, "RC-MODEL-OVERFLOW", "numerators up to"),
    ],
)
def test_operation_refuses(op: LayerNorm, source: IntFormat, target: IntFormat, code: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        one(op, source, target)
    assert caught.value.code == code


def test_operation_refuses_other_channels_floats_and_too_many_squares() -> None:
    with pytest.raises(ModelError, match="2 channels wanted, from 2 to 3 found"):
        check_operation(layer([1, 1], [0, 0]), [Tensor("x", 2, S8)], Tensor("y", 3, S8))
    with pytest.raises(ModelError, match="float64 values do not fit int64"):
        layer(np.ones(2), [0, 0])
    many = layer(np.ones(46342, int), np.zeros(46342, int))
    with pytest.raises(ModelError, match="the sum of squares times 46342 channels") as caught:
        one(many, U16, S8)
    assert caught.value.code == "RC-MODEL-OVERFLOW"


@pytest.mark.parametrize("source", [S2, U2, S3], ids=str)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(6))
def test_operation_reaches_all_that_occurs_and_little_else(source: IntFormat, channels: int, seed: int) -> None:
    """Sound for every sample; beyond what occurs only by what the floor of a small root may still add."""
    rng = np.random.default_rng([seed, channels])
    scale, offset = rng.integers(-300, 300, channels), rng.integers(-90, 90, channels)
    op = layer(scale, offset, int(rng.integers(1, 20)), int(rng.integers(0, 9)), 2)
    x = every_sample(source, channels)
    y, reach = one(op, source, S16).run(x).astype(int), one(op, source, S16).reaches()["y"]
    lo, hi = y.min(axis=(1, 2)), y.max(axis=(1, 2))
    assert (reach.lo <= lo).all()
    assert (reach.hi >= hi).all()
    room = 1 + 0.45 * (hi - lo)
    assert (lo - reach.lo <= room).all()
    assert (reach.hi - hi <= room).all()


@pytest.mark.parametrize("box", [((-3, 1), (2, 3)), ((-4, -2), (-1, 3)), ((0, 0), (3, 3)), ((2, 3), (-4, -3))])
def test_operation_reaches_all_that_occurs_in_a_part_of_the_format(box: Any) -> None:
    """Catches deviations of the wrong sign and divisors of the wrong end."""
    x = np.array(list(product(*(range(lo, hi + 1) for lo, hi in box))), np.int16).T[:, None, :].copy()
    for scale in ([300, -200], [-300, 200]):
        op = layer(scale, [30, -20], 3, 2, 1)
        y, reach = one(op, S3, S16).run(x), op.reach([Reach(*np.array(box).T)], Tensor("y", 2, S16))
        assert (reach.lo <= y.min(axis=(1, 2))).all()
        assert (reach.hi >= y.max(axis=(1, 2))).all()
        signs = [np.unique(np.sign(row - o)) for row, o in zip(y, (15, -10), strict=True)]
        for c, sign in enumerate(signs):
            if sign.tolist() == [1]:
                assert reach.lo[c] > (15, -10)[c]
            if sign.tolist() == [-1]:
                assert reach.hi[c] < (15, -10)[c]


def test_operation_reaches_no_further_than_wide_samples_can() -> None:
    """With a spread of many units, the reach is the ratio that one channel against all others attains."""
    op = layer([1 << 16] * 5, [0] * 5, 1, 16)
    x = np.full((5, 1, 2), -128)
    x[0, 0, 0], x[:, 0, 1], x[0, 0, 1] = 127, 127, -128
    y, reach = one(op, S8, S16).run(x)[0, 0].tolist(), one(op, S8, S16).reaches()["y"]
    assert (y, reach.lo.tolist(), reach.hi.tolist()) == ([512, -512], [-512] * 5, [512] * 5)


@pytest.mark.parametrize("source", [S2, U2, S3], ids=str)
def test_operation_bounds_what_it_computes_on_the_way(source: IntFormat) -> None:
    x = every_sample(source, 3).astype(np.int64)
    op = layer([30, -20, 7], [-9, 4, 0], 3, 2, 1)
    found = op.intermediates([Reach.whole(source, 3)])
    total, squares = x.sum(axis=0), 3 * (x * x).sum(axis=0)
    radicand = (squares - total * total + 3) << 2
    root = np.sqrt(radicand).astype(int)
    deviation = 3 * x - total
    numerator = deviation * op.scale[:, None, None] + op.offset[:, None, None] * root
    exact = {"radicand": radicand, "spread": root, "deviation": deviation, "denominator": root << 1}
    exact |= {"total": total, "squares": squares}
    assert {name: found[name] for name in exact} == {name: int(abs(value).max()) for name, value in exact.items()}
    assert abs(numerator).max() <= found["numerator"] <= 1.2 * abs(numerator).max()
    assert found["rounded"] >= abs(2 * numerator + (root << 1)).max()


def test_ceiling_root_is_the_smallest_integer_not_below() -> None:
    for numerator, denominator in product(range(60), range(1, 9)):
        root = ceiling_root(numerator, denominator)
        assert root * root * denominator >= numerator
        assert root == 0 or (root - 1) ** 2 * denominator < numerator


def test_operation_returns_from_a_model_file() -> None:
    program = one(layer([2**40, -1], [-(2**30), 0], 2**33, 20, 9), S8, S8)
    content = model_to_bytes(Model("any", {}, {"p": program}, {}))
    again = model_from_bytes(content).programs["p"]
    assert model_to_bytes(Model("any", {}, {"p": again}, {})) == content
    x = np.array([[[-128, 5, 127]], [[-3, 0, 3]]])
    np.testing.assert_array_equal(again.run(x), program.run(x))
    np.testing.assert_array_equal(again.run_plain(x), program.run(x))


def test_cases_reach_their_corners() -> None:
    found = {case.id.rsplit("/", 1)[1]: case for case in layer_norm_cases()}
    assert {case.error for case in found.values()} == {None, "RC-MODEL-RANGE", "RC-MODEL-OVERFLOW", "RC-MODEL-TENSOR"}
    roots = [found[f"root-{name}"].outputs["y"].array.tolist() for name in ("below", "at", "above")]
    assert roots[0] != roots[1] == roots[2]
    ends = found["ends"].outputs["y"]
    assert {ends.format.lo, ends.format.hi} <= set(ends.array.ravel().tolist())
