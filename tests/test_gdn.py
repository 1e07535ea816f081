"""Divisive normalisation, four forms: kernels, definition, specification and fractions agree (SPEC GDN-1 to GDN-5)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import naive_normalisation as naive
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.gdn import (
    Affine,
    Norm,
    gdn,
    gdn_divisor,
    gdn_fault,
    gdn_norm,
    gdn_plain,
    inverse_gdn,
    inverse_gdn_plain,
    norm_fault,
    product_fault,
)
from refcodec.models import float_layers
from refcodec.models.checkpoint import load_parameters
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations import Tensor, check_operation
from refcodec.program.operations.gdn import Gdn, InverseGdn
from refcodec.program.program import Program
from refcodec.program.reach import Reach
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.corners.normalisation import forward, gdn_cases, inverse, inverse_gdn_cases

S2, S3, S4, S8, S12, S16, S32, S48 = (IntFormat(bits, True) for bits in (2, 3, 4, 8, 12, 16, 32, 48))
U2, U3, U8, U16 = (IntFormat(bits, False) for bits in (2, 3, 8, 16))
TOP = 2**47 - 1
BOTH = pytest.mark.parametrize("squared", [False, True], ids=["sum", "root"])
UNCOMPILED = """
import json, sys, numpy as np
from refcodec.formats import IntFormat
from refcodec.layers.gdn import Affine, Norm, gdn, inverse_gdn
kind, gamma, beta, squared, shift, fraction, bits, x, *columns = json.loads(sys.argv[1])
norm, columns = Norm(np.array(gamma), np.array(beta), squared, shift), [np.array(column) for column in columns]
if kind == "gdn":
    y = gdn(np.array(x), norm, Affine(*columns, fraction), IntFormat(16, True))
else:
    y = inverse_gdn(np.array(x), norm, *columns, IntFormat(bits, True), IntFormat(16, True))
print(json.dumps(y.tolist()))
"""


def norm_of(gamma: Any, beta: Any, squared: bool, shift: int = 0) -> Norm:
    """Constants as a program holds them: int32 gamma, int64 beta, read-only."""
    arrays = np.array(gamma, np.int32), np.array(beta, np.int64)
    for array in arrays:
        array.setflags(write=False)
    return Norm(*arrays, squared, shift)


def affine_of(scale: Any, offset: Any, fraction: int = 0) -> Affine:
    return Affine(np.array(scale, np.int64), np.array(offset, np.int64), fraction)


def samples(x: np.ndarray) -> list[list[int]]:
    """The channels of every sample, in row-major order."""
    return x.reshape(len(x), -1).T.tolist()


def naive_divisors(x: np.ndarray, norm: Norm) -> list[list[int]]:
    constants = norm.gamma.tolist(), norm.beta.tolist(), norm.squared, norm.shift
    return [naive.divisors(sample, *constants) for sample in samples(x)]


def agree(x: np.ndarray, norm: Norm, affine: Affine, target: IntFormat) -> np.ndarray:
    """The common result of kernel, definition and fractions."""
    found = gdn(x, norm, affine, target)
    assert found.dtype == target.dtype
    np.testing.assert_array_equal(found, gdn_plain(x, norm, affine, target))
    constants = affine.scale.tolist(), affine.offset.tolist(), affine.fraction, target.lo, target.hi
    pairs = zip(samples(x), naive_divisors(x, norm), strict=True)
    assert samples(found) == [naive.gdn(sample, divisors, *constants) for sample, divisors in pairs]
    return found


def agree_inverse(x: np.ndarray, norm: Norm, tail: Any, width: IntFormat, target: IntFormat) -> np.ndarray:
    """The common result of kernel, definition and fractions; tail is offset, multiplier and shift."""
    columns = np.array(tail[0], np.int64), np.array(tail[1], np.int32), np.array(tail[2], np.int8)
    found = inverse_gdn(x, norm, *columns, width, target)
    assert found.dtype == target.dtype
    np.testing.assert_array_equal(found, inverse_gdn_plain(x, norm, *columns, width, target))
    constants = *(column.tolist() for column in columns), target.lo, target.hi
    pairs = zip(samples(x), naive_divisors(x, norm), strict=True)
    assert samples(found) == [naive.inverse_gdn(sample, divisors, *constants) for sample, divisors in pairs]
    return found


def every_sample(fmt: IntFormat, channels: int) -> np.ndarray:
    """All samples of a small format, in one row."""
    return np.array(list(product(range(fmt.lo, fmt.hi + 1), repeat=channels)), np.int16).T[:, None, :].copy()


# --- all samples of small widths


@BOTH
@pytest.mark.parametrize("source", [S4, U3], ids=str)
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_gdn_agrees_on_all_pairs_of_small_samples(squared: bool, source: IntFormat, shift: int) -> None:
    norm = norm_of([[1, 3], [0, 2]], [5, 4], squared, shift)
    found = agree(every_sample(source, 2), norm, affine_of([80, -200], [-3, 5], 2), S3)
    assert {S3.lo, S3.hi} <= set(found.ravel().tolist())


@BOTH
@pytest.mark.parametrize("source", [S4, U3], ids=str)
@pytest.mark.parametrize("shift", [0, 1, 3])
def test_inverse_agrees_on_all_pairs_of_small_samples(squared: bool, source: IntFormat, shift: int) -> None:
    norm = norm_of([[1, 3], [0, 2]], [5, 4], squared, shift)
    found = agree_inverse(every_sample(source, 2), norm, ([-9, 4], [3, 7], [3, 4]), S32, S3)
    assert S3.hi in found
    assert source is U3 or S3.lo in found


@pytest.mark.parametrize("squared", [False, True])
def test_definition_of_a_sample_is_that_of_the_specification(squared: bool, rng: np.random.Generator) -> None:
    x, gamma, beta = rng.integers(-128, 128, 5).tolist(), rng.integers(0, 99, (5, 5)), rng.integers(1, 99, 5)
    wanted = naive.divisors(x, gamma.tolist(), beta.tolist(), squared, 2)
    for c in range(5):
        norm = fixed.gdn_norm(x, gamma[c].tolist(), int(beta[c]), squared)
        assert fixed.gdn_divisor(norm, squared, 2) == wanted[c]
        assert [fixed.gdn(x[c], wanted[c], 77, -5, 3, -99, 99)] == naive.gdn(
            [x[c]], [wanted[c]], [77], [-5], 3, -99, 99
        )
        found = fixed.inverse_gdn(x[c], wanted[c], -5, 77, 9, -99, 99)
        assert [found] == naive.inverse_gdn([x[c]], [wanted[c]], [-5], [77], [9], -99, 99)


# --- corners


def test_gdn_rounds_ties_up_on_both_sides_of_zero() -> None:
    """Catches a quotient cut towards zero, and rounding away from zero or to even."""
    x = np.arange(-7, 8, dtype=np.int16).reshape(1, 1, -1)
    wanted = [-3, -3, -2, -2, -1, -1, 0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert agree(x, norm_of([[0]], [2], False), affine_of([1], [0]), S8).ravel().tolist() == wanted
    assert agree(x, norm_of([[0]], [4], True), affine_of([1], [0]), S8).ravel().tolist() == wanted
    assert agree(x, norm_of([[0]], [1], False), affine_of([1], [0], 1), S8).ravel().tolist() == wanted


def test_gdn_rounds_once() -> None:
    """Catches an offset that is added after a first rounding."""
    x = np.array([[[1, -1]]], np.int16)
    found = agree(x, norm_of([[0]], [4], False), affine_of([1], [1], 2), S8)
    assert found.tolist() == [[[0, 0]]]
    assert agree(x, norm_of([[0]], [4], False), affine_of([5], [3], 2), S8).tolist() == [[[1, 0]]]


@BOTH
def test_gdn_divides_by_one_and_saturates_exactly_at_the_limits(squared: bool) -> None:
    x = np.array([[[S8.lo, S4.lo - 1, S4.lo, S4.lo + 1, 0, S4.hi - 1, S4.hi, S4.hi + 1, S8.hi]]], np.int16)
    wanted = [-8, -8, -8, -7, 0, 6, 7, 7, 7]
    assert agree(x, norm_of([[0]], [1], squared), affine_of([1], [0]), S4).ravel().tolist() == wanted
    assert agree_inverse(x, norm_of([[0]], [1], squared), ([0], [2], [1]), S32, S4).ravel().tolist() == wanted


@pytest.mark.parametrize("n", [2, 3, 1000, 2**23 - 2])
def test_norms_beside_a_square_have_neighbouring_roots(n: int) -> None:
    """Catches a root that is rounded; 10.5 lies between the quotients."""
    norm = norm_of(np.zeros((3, 3)), [n * n - 1, n * n, n * n + 1], True)
    x = np.tile(np.array([-1, 1], np.int16), (3, 1, 1))
    found = agree(x, norm, affine_of([(21 * n - 1) // 2] * 3, [0] * 3), S8)
    assert found[1, 0].tolist() == found[2, 0].tolist() == [-10, 10]
    assert found[0, 0, 1] > 10
    missing = agree_inverse(x, norm, ([-n] * 3, [1] * 3, [1] * 3), S32, S8)[:, 0, 1]
    assert missing.tolist() == [0, 0, 0]
    assert agree_inverse(x, norm, ([-n] * 3, [2] * 3, [1] * 3), S32, S8)[:, 0, 1].tolist() == [-1, 0, 0]


def test_a_root_of_62_bits_is_not_found_in_a_double() -> None:
    m = 2**17 - 1
    beta, n = (m * m << 13) + m, (m << 14) + 1
    assert beta << 15 == n * n - 1
    assert int(float(beta << 15) ** 0.5) == n
    x = np.array([[[1]]], np.int16)
    found = agree(x, norm_of([[0]], [beta], True, 15), affine_of([(21 * n - 1) // 2], [0]), S8)
    assert found.item() == 11
    assert agree_inverse(x, norm_of([[0]], [beta], True, 15), ([-n], [2], [1]), S48, S8).item() == -1


def test_norms_half_way_between_two_divisors_go_up() -> None:
    norms = np.array([8, 24, 40, 7, 23, 9, 25, TOP])
    assert gdn_divisor(norms, False, 4).tolist() == [1, 2, 3, 0, 1, 1, 2, 2**43]
    assert gdn_divisor(norms, False, 0).tolist() == norms.tolist()
    assert gdn_divisor(np.array([TOP, 2**46, 2**46 - 1]), False, 47).tolist() == [1, 1, 0]
    assert gdn_divisor(np.array([99, 100, 101]), True, 0).tolist() == [9, 10, 10]
    assert gdn_divisor(np.array([99, 100, 101]), True, 3).tolist() == [28, 28, 28]


def widest() -> Iterator[tuple[Norm, IntFormat]]:
    """Norms that reach 2**47 - 1, and for the root 62 bits, at the lower end of the source."""
    for source in (S16, U16, S8):
        for squared in (False, True):
            magnitude = source.magnitude
            gamma = min(65535, 2**45 // magnitude**2) if squared else 65535
            beta = TOP - gamma * (magnitude**2 if squared else magnitude)
            yield norm_of([[gamma]], [beta], squared, 15 if squared else 3), source


@pytest.mark.parametrize(("norm", "source"), list(widest()), ids=lambda v: str(v) if isinstance(v, IntFormat) else "")
def test_norms_reach_the_end_of_their_width(norm: Norm, source: IntFormat) -> None:
    """Catches sums, squares, radicands, numerators and products of fewer bits."""
    x = np.array([[[source.lo, source.lo + 1, 0, 1, source.hi - 1, source.hi]]], np.int32)
    found = gdn_norm(x, norm)
    assert found.max() == TOP
    power = x.astype(object) ** 2 if norm.squared else abs(x.astype(object))
    assert (found == int(norm.gamma[0, 0]) * power + int(norm.beta[0])).all()
    scale = (2**60 - 1) // source.magnitude
    ends = agree(x, norm, affine_of([scale], [0], 16 if norm.squared else 0), S16)
    assert abs(ends).max() > 3
    divisor = int(gdn_divisor(np.array([TOP]), norm.squared, norm.shift)[0])
    if source.magnitude * divisor <= TOP:
        bits = divisor.bit_length() + source.bits
        offset = TOP - source.magnitude * divisor
        agree_inverse(x, norm, ([offset], [32767], [bits]), S48, S16)
        agree_inverse(x, norm, ([-offset], [32767], [bits]), S48, S16)


def test_numerators_and_denominators_reach_the_ends_of_their_domain() -> None:
    x = np.array([[[-32768, -1, 0, 1, 32767]]], np.int16)
    norm, divisor = norm_of([[0]], [2**46 - 1], False), 2**46 - 1
    rest = (2**60 - 1 - 32768) // divisor
    for scale, offset in ((1, rest), (1, -rest), (-1, rest), (2**45 - 1, 0), (1 - 2**45, 0)):
        agree(x, norm, affine_of([scale], [offset], 16 if offset else 0), S16)
    with pytest.raises(RangeError, match=r"the numerator may reach \d+, beyond 60 bits"):
        gdn(x, norm, affine_of([1], [rest + 1]), S16)
    with pytest.raises(RangeError, match="the denominator may reach 4611686018427387904, beyond 62 bits"):
        gdn(x, norm_of([[0]], [2**46], False), affine_of([1], [0], 16), S16)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("kind", ["gdn", "inverse"])
def test_nothing_wraps_at_the_ends_without_the_compiler(
    squared: bool, kind: str, run_uncompiled: Callable[..., str]
) -> None:
    """NumPy warns where a scalar wraps, and warnings are errors."""
    x = np.array([[[-32768, -1, 0, 1, 32767]]], np.int16)
    gamma = 65535 if squared else 1
    beta = TOP - gamma * (2**30 if squared else 2**15) if squared or kind == "gdn" else 2**32 - 1 - 2**15
    norm = norm_of([[gamma]], [beta], squared, 15 if squared else 0)
    common = [norm.gamma.tolist(), norm.beta.tolist(), squared, norm.shift]
    if kind == "gdn":
        affine = affine_of([2**44], [2**12], 14)
        wanted = agree(x, norm, affine, S16)
        columns = [affine.scale.tolist(), affine.offset.tolist()]
    else:
        divisor = int(gdn_divisor(np.array([beta + gamma * (2**30 if squared else 2**15)]), squared, norm.shift)[0])
        tail = [TOP - divisor * 2**15], [32767], [62]
        wanted, columns = agree_inverse(x, norm, tail, S48, S16), list(tail)
    printed = run_uncompiled(UNCOMPILED, json.dumps([kind, *common, 14, 48, x.tolist(), *columns]))
    assert json.loads(printed) == wanted.tolist()


# --- a million values


def exact_norms(x: np.ndarray, norm: Norm) -> np.ndarray:
    """By a matrix product in int64, which holds what GDN-5 allows."""
    wide = x.astype(np.int64).reshape(len(x), -1)
    power = wide * wide if norm.squared else np.abs(wide)
    return (norm.gamma.astype(np.int64) @ power + norm.beta[:, None]).reshape(x.shape)


def drawn(bits: int, squared: bool, rng: np.random.Generator) -> tuple[np.ndarray, Norm]:
    """64 channels of 128 x 128 samples, sparse gamma, divisors of all sizes, but 2**(bits - 3) of the first eight."""
    x = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (64, 128, 128)) >> rng.integers(0, bits, (64, 128, 128))
    gamma = rng.integers(0, 2**8, (64, 64)) * (rng.random((64, 64)) < 0.3)
    beta = np.maximum(rng.integers(1, 2**30, 64) >> rng.integers(0, 28, 64), 4)
    gamma[:8], beta[:8] = 0, 2 * 4 ** (bits - 6) if squared else 2**bits
    return x.astype(np.int16), norm_of(gamma, beta, squared, 5 if squared else 3)


@BOTH
@pytest.mark.parametrize("bits", [8, 16])
def test_gdn_agrees_on_a_million_values(bits: int, squared: bool, rng: np.random.Generator) -> None:
    x, norm = drawn(bits, squared, rng)
    norms = exact_norms(x, norm)
    np.testing.assert_array_equal(gdn_norm(x, norm), norms)
    divisor = np.sqrt(norms * 32.0).astype(np.int64) if squared else (norms + 4) // 8
    assert norms.max() * 32 < 2**52, "so that the root of a double is exact"
    scale = rng.integers(-(2**16), 2**16, 64) * int(divisor.mean() // 2 ** (bits + 2) + 1)
    offset = rng.integers(-(2**7), 2**7, 64)
    scale[:8], offset[:8] = 2 ** (bits + 2) * np.array([1, -1] * 4), 0  # half a step for each unit of x
    affine = affine_of(scale, offset, 6)
    numerator = x * affine.scale[:, None, None] + affine.offset[:, None, None] * divisor
    denominator = divisor << 6
    floor, remainder = np.divmod(numerator, denominator)
    wanted = np.clip(floor + (2 * remainder >= denominator), S8.lo, S8.hi)
    found = gdn(x, norm, affine, S8)
    assert found.size >= 10**6
    np.testing.assert_array_equal(found, wanted)
    tie, inside = 2 * remainder == denominator, (wanted > S8.lo) & (wanted < S8.hi)
    assert min((tie & inside & (numerator < 0)).sum(), (tie & inside & (numerator > 0)).sum()) > 1000
    assert min((wanted == S8.lo).sum(), (wanted == S8.hi).sum()) > 1000
    agree(x[:, :1, :4].copy(), norm, affine, S8)


@BOTH
@pytest.mark.parametrize("bits", [8, 16])
def test_inverse_agrees_on_a_million_values(bits: int, squared: bool, rng: np.random.Generator) -> None:
    x, norm = drawn(bits, squared, rng)
    norms = exact_norms(x, norm)
    divisor = np.sqrt(norms * 32.0).astype(np.int64) if squared else (norms + 4) // 8
    offset, multiplier = rng.integers(-(2**14), 2**14, 64), rng.integers(1, 2**15, 64) >> rng.integers(0, 15, 64)
    shift = np.full(64, 12 + bits)
    offset[:8], multiplier[:8] = 0, 2**14  # half a step for each unit of x
    product = (x * divisor + offset[:, None, None]) * multiplier[:, None, None]
    wanted = np.clip((product + (1 << 11 + bits)) >> (12 + bits), S8.lo, S8.hi)
    columns = offset, multiplier.astype(np.int32), shift.astype(np.int8)
    np.testing.assert_array_equal(inverse_gdn(x, norm, *columns, S48, S8), wanted)
    tie, inside = product % (1 << 12 + bits) == 1 << 11 + bits, (wanted > S8.lo) & (wanted < S8.hi)
    assert min((tie & inside & (product < 0)).sum(), (tie & inside & (product > 0)).sum()) > 1000
    assert min((wanted == S8.lo).sum(), (wanted == S8.hi).sum()) > 1000
    agree_inverse(x[:, :1, :4].copy(), norm, columns, S48, S8)


# --- what the integers stand for

TRAINED = "balle2018-gdn-n32-m64-lambda0130.safetensors"
LARGEST_BOUND = {8: 0.55, 12: 1.5, 16: 17.0}  # LSB; gamma has 16 bits at most, which 16-bit activations show


def layer_of(name: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Resolved beta (32,) and gamma (32, 32), float64: a trained layer, or one drawn like it."""
    if name == "drawn":
        rng = np.random.default_rng(7)
        gamma = np.exp(rng.normal(-5, 1.5, (32, 32))) * (rng.random((32, 32)) < 0.6) + np.diag(rng.uniform(0, 0.3, 32))
        return rng.uniform(0.01, 2, 32), gamma
    path = folder.parent / "models" / TRAINED
    if not path.is_file():
        pytest.skip(f"no trained model {TRAINED}")
    stored = load_parameters(path)
    beta = float_layers.resolve_parametrisation(stored[f"{name}.beta"], float_layers.BETA_BOUND)
    gamma = float_layers.resolve_parametrisation(stored[f"{name}.gamma"], float_layers.GAMMA_BOUND)
    return beta.astype(np.float64), gamma.astype(np.float64)


class Approximation:
    """One float layer, its integer constants, and how far the two may be apart (docs in the test below)."""

    def __init__(self, beta: np.ndarray, gamma: np.ndarray, squared: bool, bits: int, rng: np.random.Generator) -> None:
        self.squared, self.fmt = squared, IntFormat(bits, True)
        x = rng.laplace(0, beta.mean() / gamma.sum(axis=1).mean(), (32, 24, 24))
        self.step = np.quantile(np.abs(x), 0.999) / self.fmt.hi
        self.x = np.clip(np.round(x / self.step), self.fmt.lo, self.fmt.hi).astype(np.int64)
        self.power = self.x**2 if squared else np.abs(self.x)
        unit = self.step**2 if squared else self.step
        most = (self.fmt.magnitude**2 if squared else self.fmt.magnitude) * gamma.sum(axis=1) + beta / unit
        self.gain = np.minimum(65535 / gamma.max(axis=1), 2.0**46 / most)  # integer units of one unit of gamma
        self.gamma, self.beta = np.round(gamma * self.gain[:, None]), np.round(beta * self.gain / unit)
        self.exact = np.tensordot(gamma, self.power * unit, 1) + beta[:, None, None]  # the norm
        ideal = self.exact * (self.gain / unit)[:, None, None]
        gamma_error = np.abs(self.gamma - gamma * self.gain[:, None])
        beta_error = np.abs(self.beta - beta * self.gain / unit)
        self.doubt = (np.tensordot(gamma_error, self.power, 1) + beta_error[:, None, None]) / ideal
        self.ideal = ideal

    def norm(self, shift: int) -> Norm:
        return norm_of(self.gamma, self.beta, self.squared, shift)

    def divisor_step(self, shift: int) -> tuple[np.ndarray, np.ndarray]:
        """Integer units of the divisor in one of the float divisor, (C,), and the relative doubt of each divisor."""
        if self.squared:
            doubt = 1 - np.sqrt(1 - self.doubt) + 1 / np.sqrt(self.ideal * 2.0**shift)
            return np.sqrt(self.gain * 2.0**shift) / self.step, doubt
        doubt = self.doubt + (shift > 0) * 2.0 ** (shift - 1) / self.ideal
        return self.gain / self.step / 2.0**shift, doubt

    def forward(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Integer results, exact results in LSB, and the bound of their difference."""
        y = self.x * self.step / (np.sqrt(self.exact) if self.squared else self.exact)
        lsb = np.abs(y).max() * 0.95 / self.fmt.hi
        for shift, fraction in product(range(16, -1, -1) if self.squared else range(48), range(16, -1, -1)):
            step, doubt = self.divisor_step(shift)
            ideal = self.step * step / lsb * 2.0**fraction
            affine = affine_of(np.round(ideal), np.zeros(32), fraction)
            magnitude = self.fmt.magnitude
            if not norm_fault(self.norm(shift), magnitude, S48) and not gdn_fault(self.norm(shift), magnitude, affine):
                break
        relative = (1 + 0.5 / ideal[:, None, None]) / (1 - doubt) - 1
        return gdn(self.x, self.norm(shift), affine, self.fmt), y / lsb, 0.5 + np.abs(y / lsb) * relative

    def inverse(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The same of the inverse."""
        shift, zeros = 0, np.zeros(32, np.int64)
        while product_fault(self.norm(shift), self.fmt.magnitude, zeros, S48) is not None:
            shift += 1
        narrow = product_fault(self.norm(shift), self.fmt.magnitude, zeros, S32) is None
        step, doubt = self.divisor_step(shift)
        y = self.x * self.step * (np.sqrt(self.exact) if self.squared else self.exact)
        lsb = np.abs(y).max() * 0.95 / self.fmt.hi
        factor = self.step / step / lsb
        shifts = (31 if narrow else 15) - 1 - np.floor(np.log2(factor)).astype(int)
        ideal = factor * 2.0**shifts
        columns = zeros, np.floor(ideal).astype(np.int32), shifts.astype(np.int8)
        relative = (1 + doubt) * (1 + 1 / ideal[:, None, None]) - 1
        found = inverse_gdn(self.x, self.norm(shift), *columns, S32 if narrow else S48, self.fmt)
        return found, y / lsb, 0.5 + np.abs(y / lsb) * relative


@BOTH
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
@pytest.mark.parametrize("name", ["drawn", "g_a.1", "g_s.5"])
def test_integers_approximate_the_float_layer(
    name: str, direction: str, bits: int, squared: bool, rng: np.random.Generator, request: pytest.FixtureRequest
) -> None:
    """The difference to float64 on the same quantised samples stays within what rounding explains, sample by sample.

    A norm is off by what its rounded constants make of the powers; the root and the shift of the divisor add at most
    one unit and half a unit; scale and multiplier are off by half a unit and one. The result is rounded once, which is
    half an LSB.
    """
    folder = Path() if name == "drawn" else request.getfixturevalue("data")
    layer = Approximation(*layer_of(name, folder), squared, bits, rng)
    found, exact, bound = layer.forward() if direction == "forward" else layer.inverse()
    error = np.abs(found - np.clip(exact, layer.fmt.lo, layer.fmt.hi))
    assert (error <= bound + 1e-6).all()
    assert 0.49 < error.max() <= bound.max() < LARGEST_BOUND[bits]
    assert 0.24 < np.sqrt((error**2).mean()) < 0.32, "one rounding makes 0.289"
    assert layer.fmt.hi in np.abs(found.astype(np.int64)).clip(0, layer.fmt.hi)


# --- the norm


@BOTH
@pytest.mark.parametrize("source", [S8, U8, S12, S16, U16], ids=str)
@pytest.mark.parametrize("gamma_bits", [1, 8, 15, 16])
def test_norm_agrees_for_every_width(
    squared: bool, source: IntFormat, gamma_bits: int, rng: np.random.Generator
) -> None:
    """Catches operands and sums that are taken narrower than they are, on each path of the convolution kernel."""
    x = rng.integers(source.lo, source.hi, (7, 5, 6), endpoint=True).astype(np.int32)
    x[:, 0, 0], x[:, 1, 1] = source.lo, source.hi
    gamma = rng.integers(0, 2**gamma_bits, (7, 7))
    gamma[0], gamma[1] = 0, 2**gamma_bits - 1
    norm = norm_of(gamma >> (3 if squared and gamma_bits == 16 else 0), rng.integers(1, 2**20, 7), squared)
    if max(norm.bounds(source.magnitude)) > TOP:
        with pytest.raises(RangeError, match="the norm may reach"):
            gdn_norm(x, norm)
        norm = norm._replace(gamma=norm.gamma >> 4)
    found = gdn_norm(x, norm)
    np.testing.assert_array_equal(found, exact_norms(x, norm))
    assert max(norm.bounds(int(abs(x).max()))) == found[:, 1 if source.lo == 0 else 0, 1 if source.lo == 0 else 0].max()


def test_norm_takes_gamma_by_its_output_channel() -> None:
    """Catches a transposed matrix."""
    norm = norm_of([[1, 10], [100, 1000]], [7, 8], False)
    assert gdn_norm(np.array([[[-3]], [[2]]], np.int16), norm).ravel().tolist() == [30, 2308]


@BOTH
def test_gdn_reads_any_layout_and_changes_nothing(squared: bool, rng: np.random.Generator) -> None:
    base = rng.integers(-100, 100, (3, 6, 8)).astype(np.int16)
    gamma = np.asfortranarray(rng.integers(0, 20, (3, 3)).astype(np.int32))
    norm = Norm(gamma[::-1], np.array([3, 5, 7]), squared, 0)
    tail = [3, -5, 7], [500, 600, 700], [12, 11, 10]
    for view in (base.transpose(0, 2, 1), base[:, ::2, ::-1], base[::-1], base.astype(np.int64)):
        kept = view.copy()
        agree(view, norm, affine_of([900, -700, 300], [1, 2, -3], 2), S8)
        agree_inverse(view, norm, tail, S32, S8)
        np.testing.assert_array_equal(view, kept)


# --- refusals of the arrays

X, ONE, PLAIN = np.zeros((2, 1, 1), np.int16), norm_of(np.eye(2), [1, 1], False), affine_of([1, 1], [0, 0])
TAIL = np.zeros(2, np.int64), np.ones(2, np.int32), np.ones(2, np.int8)


def refuse(error: type[Exception], message: str, x: Any = X, norm: Any = ONE, affine: Any = PLAIN) -> None:
    for function in (gdn, gdn_plain):
        with pytest.raises(error, match=message):
            function(x, norm, affine, S8)


def refuse_inverse(
    error: type[Exception], message: str, x: Any = X, norm: Any = ONE, tail: Any = TAIL, width: IntFormat = S32
) -> None:
    for function in (inverse_gdn, inverse_gdn_plain):
        with pytest.raises(error, match=message):
            function(x, norm, *tail, width, S8)


@pytest.mark.parametrize("shape", [(2, 2), (2, 0, 1), (0, 1, 1), (2, 1, 1, 1)])
def test_gdn_refuses_shapes_of_samples(shape: tuple[int, ...]) -> None:
    for refusal in (refuse, refuse_inverse):
        refusal(ShapeError, r"^RC-SHAPE: expected x \(C, H, W\) with samples, got", np.zeros(shape, np.int16))


@pytest.mark.parametrize(
    ("norm", "error", "message"),
    [
        (norm_of(np.eye(3), [1, 1], False), ShapeError, r"expected gamma \(C, C\) and beta \(C,\) for 2 channels"),
        (norm_of(np.eye(2), [1, 1, 1], False), ShapeError, r"for 2 channels, got \(2, 2\), \(3,\)"),
        (norm_of(-np.eye(2), [1, 1], False), RangeError, r"gamma: values -1 \.\. 0 leave u16"),
        (norm_of(np.eye(2) * 65536, [1, 1], False), RangeError, "gamma: .* leave u16"),
        (Norm(np.eye(2), np.ones(2, np.int64), False, 0), RangeError, "gamma: expected integers, got float64"),
        (Norm(np.eye(2, dtype=int), np.ones(2), False, 0), RangeError, "beta: expected integers, got float64"),
        (norm_of(np.eye(2), [1, 0], True), RangeError, "beta must be 1 or more, got 0"),
        (norm_of(np.eye(2), [1, 2**47], False), RangeError, "beta: .* leave s48"),
        (norm_of(np.eye(2), [1, 1], False, -1), RangeError, r"norm shift must be 0\.\.47, got -1"),
        (norm_of(np.eye(2), [2**46] * 2, False, 48), RangeError, r"norm shift must be 0\.\.47, got 48"),
        (norm_of(np.eye(2), [1, 1], True, 17), RangeError, r"norm shift must be 0\.\.16, got 17"),
        (norm_of(np.eye(2), [9, 7], False, 4), RangeError, "beta 7 shifted by 4 gives a divisor of 0"),
    ],
)
def test_gdn_refuses_norms(norm: Norm, error: type[Exception], message: str) -> None:
    for refusal in (refuse, refuse_inverse):
        refusal(error, message, norm=norm)
    with pytest.raises(error, match=message):
        gdn_norm(X, norm)


def test_gdn_refuses_samples_and_widths() -> None:
    wide, most = np.full((2, 1, 1), 65536, np.int32), np.full((2, 1, 1), 65535, np.int32)
    for refusal in (refuse, refuse_inverse):
        refusal(RangeError, r"x: values 65536 \.\. 65536 are wider than 16 bits", wide)
        refusal(RangeError, r"x: values -32769 \.\. -32769 are wider", -wide // 2 - 1)
        refusal(RangeError, "x: expected signed integers, got float64", X * 1.5)
        refusal(RangeError, "x: expected signed integers, got uint16", X.astype(np.uint16))
        full = norm_of(np.full((2, 2), 65535), [1, 1], True)
        refusal(RangeError, r"the norm may reach \d+, s48 holds 140737488355327", most, full)
        big = norm_of(np.eye(2), [2**46, 1], True, 16)
        refusal(RangeError, r"the radicand may reach 4611686018427387904, beyond 62 bits", norm=big)


@pytest.mark.parametrize(
    ("affine", "error", "message"),
    [
        (affine_of([1], [0, 0]), ShapeError, r"expected scale and offset of 2 channels, got \(1,\), \(2,\)"),
        (affine_of([1, 1], [[0, 0]]), ShapeError, r"got \(2,\), \(1, 2\)"),
        (Affine(np.ones(2), PLAIN.offset, 0), RangeError, "scale: expected signed integers, got float64"),
        (Affine(PLAIN.scale, np.ones(2, np.uint8), 0), RangeError, "offset: expected signed integers, got uint8"),
        (affine_of([1, 1], [0, 0], 17), RangeError, r"fraction must be 0\.\.16, got 17"),
        (affine_of([1, 1], [0, 0], -1), RangeError, r"fraction must be 0\.\.16, got -1"),
        (affine_of([1, 1], [-(2**63), 0]), RangeError, "the numerator may reach 9223372036854775808, beyond 60 bits"),
    ],
)
def test_gdn_refuses_what_follows_the_division(affine: Affine, error: type[Exception], message: str) -> None:
    refuse(error, message, affine=affine)


@pytest.mark.parametrize(
    ("changes", "width", "error", "message"),
    [
        ((np.zeros(1, np.int64), *TAIL[1:]), S32, ShapeError, "expected offset, multiplier and shift of 2 channels"),
        ((*TAIL[:2], np.ones(3, np.int8)), S32, ShapeError, "expected offset, multiplier and shift of 2 channels"),
        ((np.zeros(2), *TAIL[1:]), S32, RangeError, "offset: expected signed integers, got float64"),
        ((*TAIL[:2], np.zeros(2, np.int8)), S32, RangeError, r"shift must be 1\.\.62"),
        ((TAIL[0], np.full(2, 2**15), TAIL[2]), S48, RangeError, "multiplier: .* leave u15"),
        ((TAIL[0] + 2**31, *TAIL[1:]), S32, RangeError, "the product may reach 2147483648, s32 holds 2147483647"),
        (TAIL, IntFormat(32, False), RangeError, "the product needs a signed format, got u32"),
    ],
)
def test_inverse_refuses_what_follows_the_product(
    changes: Any, width: IntFormat, error: type[Exception], message: str
) -> None:
    refuse_inverse(error, message, tail=changes, width=width)


def test_divisor_refuses_norms_outside_its_domain() -> None:
    with pytest.raises(RangeError, match=r"norm: values .* leave s48"):
        gdn_divisor(np.array([2**47]), False, 0)
    with pytest.raises(RangeError, match="radicand must be"):
        gdn_divisor(np.array([2**46]), True, 16)


# --- the operations


def one(op: Gdn | InverseGdn, source: IntFormat, target: IntFormat) -> Program:
    channels = len(op.beta)
    return Program("p", (Tensor("x", channels, source), Tensor("y", channels, target)), (op,))


GAMMA, BETA = [[1, 3], [0, 2]], [5, 4]


@pytest.mark.parametrize(
    ("op", "source", "target", "code", "message"),
    [
        (forward([[1]], BETA, False), S8, S8, "RC-MODEL-TENSOR", r"gamma \(1, 1\) for 2 channels"),
        (forward(GAMMA, BETA, False, scale=[1]), S8, S8, "RC-MODEL-TENSOR", r"scale \(1,\) for 2 channels"),
        (forward(GAMMA, BETA, False, offset=[1] * 3), S8, S8, "RC-MODEL-TENSOR", r"offset \(3,\) for 2 channels"),
        (forward(GAMMA, BETA, False), S8, IntFormat(17, True), "RC-MODEL-RANGE", "activations of 2..16 bits wanted"),
        (forward(GAMMA, BETA, False), IntFormat(1, False), S8, "RC-MODEL-RANGE", "activations of 2..16 bits wanted"),
        (forward(GAMMA, BETA, False), IntFormat(17, True), S8, "RC-MODEL-RANGE", "activations of 2..16 bits wanted"),
        (forward([[-1, 0], [0, 1]], BETA, False), S8, S8, "RC-MODEL-RANGE", r"gdn\.gamma: .* leave u1"),
        (forward(GAMMA, [5, 0], False), S8, S8, "RC-MODEL-RANGE", "beta must be 1 or more, got 0"),
        (forward(GAMMA, [5, 7], False, norm_shift=4), S8, S8, "RC-MODEL-RANGE", "gives a divisor of 0"),
        (forward(GAMMA, BETA, False, fraction=17), S8, S8, "RC-MODEL-RANGE", r"fraction must be 0\.\.16"),
        (forward(GAMMA, BETA, True, norm_shift=17), S8, S8, "RC-MODEL-RANGE", r"norm shift must be 0\.\.16"),
        (forward(GAMMA, [TOP, 1], False), S8, S8, "RC-MODEL-OVERFLOW", "the norm may reach"),
        (forward(GAMMA, [2**46, 1], True, norm_shift=16), S8, S8, "RC-MODEL-OVERFLOW", "the radicand may reach"),
        (forward(GAMMA, BETA, False, scale=[2**53, 1]), S8, S8, "RC-MODEL-OVERFLOW", "the numerator may reach"),
        (forward(GAMMA, [2**46, 1], False, fraction=16), S8, S8, "RC-MODEL-OVERFLOW", "the denominator may reach"),
        (inverse([[1]], BETA, False, S32), S8, S8, "RC-MODEL-TENSOR", r"gamma \(1, 1\) for 2 channels"),
        (inverse(GAMMA, BETA, False, S32, shift=[1]), S8, S8, "RC-MODEL-TENSOR", r"shift \(1,\) for 2 channels"),
        (inverse(GAMMA, BETA, False, S32), S8, IntFormat(17, True), "RC-MODEL-RANGE", "activations of 2..16 bits"),
        (inverse(GAMMA, BETA, False, IntFormat(32, False)), S8, S8, "RC-MODEL-RANGE", "wanted, got u2, s48,"),
        (inverse(GAMMA, BETA, False, S48, multiplier=[1, 2**15]), S8, S8, "RC-MODEL-RANGE", "multiplier: .* leave u15"),
        (inverse(GAMMA, [2**24, 1], False, S32), S8, S8, "RC-MODEL-OVERFLOW", "the product may reach"),
        (inverse(GAMMA, BETA, False, S32, offset=[2**31, 0]), S8, S8, "RC-MODEL-OVERFLOW", "the product may reach"),
        (inverse(GAMMA, BETA, False, S32, offset=[-(2**63), 0]), S8, S8, "RC-MODEL-OVERFLOW", "the product may reach"),
    ],
)  # fmt: skip
def test_operations_refuse(op: Gdn | InverseGdn, source: IntFormat, target: IntFormat, code: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        one(op, source, target)
    assert caught.value.code == code


def test_operations_refuse_other_channels_and_signed_gamma_and_narrow_norms() -> None:
    for op in (forward(GAMMA, BETA, False), inverse(GAMMA, BETA, False, S32)):
        with pytest.raises(ModelError, match="2 channels wanted, from 2 to 3 found"):
            check_operation(op, [Tensor("x", 2, S8)], Tensor("y", 3, S8))
    names = "g", "x", "y"
    arrays = np.array(GAMMA), np.array(BETA), np.ones(2, np.int64), np.zeros(2, np.int64)
    for gamma, width, message in (
        (S8, S48, "gamma of 1..16 unsigned bits and signed sums wanted, got s8, s48"),
        (IntFormat(17, False), S48, "wanted, got u17, s48"),
        (IntFormat(2, False), IntFormat(48, False), "wanted, got u2, u48"),
        (IntFormat(1, False), S48, r"g\.gamma: values 0 \.\. 3 leave u1"),
        (IntFormat(2, False), IntFormat(10, True), "the norm may reach 517, s10 holds 511"),
    ):
        with pytest.raises(ModelError, match=message):
            one(Gdn(*names, gamma, width, False, 0, 0, *arrays), S8, S8)
    one(Gdn(*names, IntFormat(2, False), IntFormat(11, True), False, 0, 0, *arrays), S8, S8)


@pytest.mark.parametrize("beta", [383, 384])
def test_operations_accept_norms_up_to_the_end_of_their_format(beta: int) -> None:
    op = replace(forward([[1]], [beta], False), norm_format=IntFormat(10, True))
    if beta == 383:
        one(op, S8, S8)
        return
    with pytest.raises(ModelError, match="the norm may reach 512, s10 holds 511"):
        one(op, S8, S8)


def occurring(program: Program) -> tuple[list[int], list[int]]:
    """The smallest and the largest result of each channel over all samples."""
    y = program.run(every_sample(program.input.format, program.input.channels))
    return y.min(axis=(1, 2)).tolist(), y.max(axis=(1, 2)).tolist()


@BOTH
@pytest.mark.parametrize("source", [S3, U3, S4], ids=str)
@pytest.mark.parametrize("shift", [0, 2])
@pytest.mark.parametrize("seed", range(4))
def test_operations_reach_exactly_what_occurs(squared: bool, source: IntFormat, shift: int, seed: int) -> None:
    rng = np.random.default_rng([seed, shift, squared])
    gamma, beta = rng.integers(0, 4, (2, 2)), rng.integers(4, 30, 2)
    affine = {"scale": rng.integers(-40, 40, 2), "offset": rng.integers(-9, 9, 2), "fraction": int(rng.integers(0, 3))}
    tail = {"offset": rng.integers(-9, 9, 2), "multiplier": rng.integers(0, 9, 2), "shift": rng.integers(1, 5, 2)}
    for op in (
        forward(gamma, beta, squared, norm_shift=shift, **affine),
        inverse(gamma, beta, squared, S32, norm_shift=shift, **tail),
    ):
        for target in (S16, S3):
            program = one(op, source, target)
            reach = program.reaches()["y"]
            assert (reach.lo.tolist(), reach.hi.tolist()) == occurring(program)


@BOTH
@pytest.mark.parametrize("box", [((-3, 1), (2, 4)), ((-4, -2), (-1, 3)), ((0, 0), (3, 3)), ((1, 3), (-4, -1))])
def test_operations_reach_exactly_what_occurs_in_a_part_of_the_format(squared: bool, box: Any) -> None:
    """Catches the smallest power of a range without zero, and divisors that belong to another value."""
    first, second = (range(lo, hi + 1) for lo, hi in box)
    x = np.array(list(product(first, second)), np.int16).T[:, None, :].copy()
    reach = Reach(*np.array(box).T)
    for op in (
        forward(GAMMA, BETA, squared, scale=[60, -50], offset=[-3, 4], fraction=1),
        inverse(GAMMA, BETA, squared, S32, offset=[-30, 4], multiplier=[3, 5], shift=[1, 2]),
    ):
        y, found = one(op, S4, S16).run(x), op.reach([reach], Tensor("y", 2, S16))
        assert found.lo.tolist() == y.min(axis=(1, 2)).tolist()
        assert found.hi.tolist() == y.max(axis=(1, 2)).tolist()


@BOTH
@pytest.mark.parametrize("source", [S4, U3], ids=str)
def test_operations_bound_what_they_compute_on_the_way(squared: bool, source: IntFormat) -> None:
    x, reach = every_sample(source, 2).astype(np.int64), Reach.whole(source, 2)
    ahead = forward(GAMMA, BETA, squared, norm_shift=1, scale=[60, -50], offset=[-3, 4], fraction=1)
    back = inverse(GAMMA, BETA, squared, S32, norm_shift=1, offset=[-30, 4], multiplier=[3, 5], shift=[1, 2])
    norms = exact_norms(x, ahead.norm)
    divisor = gdn_divisor(norms, squared, 1)
    numerator = x * ahead.scale[:, None, None] + ahead.offset[:, None, None] * divisor
    found = ahead.intermediates([reach])
    assert (found["norm"], found["divisor"]) == (norms.max(), divisor.max())
    assert found["denominator"] == divisor.max() << 1
    assert abs(numerator).max() <= found["numerator"] <= 1.3 * abs(numerator).max()
    assert found["rounded"] >= abs(2 * numerator + (divisor << 1)).max()
    found = back.intermediates([reach])
    products = x * divisor + back.offset[:, None, None]
    scaled = products * back.multiplier[:, None, None]
    assert (found["norm"], found["divisor"], found["product"]) == (norms.max(), divisor.max(), abs(products).max())
    assert found["scaled"] == abs(scaled).max()
    assert found["rounded"] >= abs(scaled + np.array([1, 2])[:, None, None]).max()
    assert found.get("radicand") == (2 * norms.max() if squared else None)


@pytest.mark.parametrize("cases", [gdn_cases, inverse_gdn_cases])
def test_operations_return_from_a_model_file(cases: Callable[[], Iterator[Case]]) -> None:
    op: Gdn | InverseGdn = (
        forward(GAMMA, [5, 2**40], True, norm_shift=3, scale=[2**40, -1], offset=[-(2**34), 0], fraction=9)
        if cases is gdn_cases
        else inverse(GAMMA, [5, 2**20], True, S48, norm_shift=3, multiplier=[32767, 0], shift=[62, 1])
    )
    program = one(op, S8, S8)
    content = model_to_bytes(Model("any", {}, {"p": program}, {}))
    again = model_from_bytes(content).programs["p"]
    assert model_to_bytes(Model("any", {}, {"p": again}, {})) == content
    x = np.array([[[-128, 5, 127]], [[-3, 0, 3]]])
    np.testing.assert_array_equal(again.run(x), program.run(x))
    np.testing.assert_array_equal(again.run_plain(x), program.run(x))


@pytest.mark.parametrize("cases", [gdn_cases, inverse_gdn_cases])
def test_cases_reach_their_corners(cases: Callable[[], Iterator[Case]]) -> None:
    found = {case.id.rsplit("/", 1)[1]: case for case in cases()}
    assert {case.error for case in found.values()} >= {None, "RC-MODEL-RANGE", "RC-MODEL-OVERFLOW"}
    flags = {flag for case in found.values() for flag in case.flags}
    assert {"Tie", "Negative", "SaturateLow", "SaturateHigh", "RootStep", "ExtremeAccumulator", "Invalid"} <= flags
    rows = found["roots"].outputs["y"].array[:, 0, 1].reshape(-1, 3)
    assert (rows[:, 1] == rows[:, 2]).all()
    assert (rows[:, 0] != rows[:, 1]).all()
    for case in found.values():
        if {"SaturateLow", "SaturateHigh"} <= set(case.flags):
            y = case.outputs["y"]
            assert {y.format.lo, y.format.hi} <= set(y.array.ravel().tolist())
