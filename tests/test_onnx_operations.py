"""Every other kind of operation exported to ONNX, on a million constructed and random values each."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_cases import MILLION, S4, S8, S10, S12, S16, S32, S48, U8, U10, U16, Inputs, agree, agree_all, filled, single

from refcodec.formats import IntFormat
from refcodec.program.operations import (
    Embedding,
    InterpolatedTable,
    LeakyRequantise,
    PositionalEncoding,
    Resize,
    ScaleSpace,
    Table,
    Tensor,
    ThresholdHead,
    Warp,
)
from refcodec.program.operations.gdn import Gdn, InverseGdn
from refcodec.program.operations.layer_norm import LayerNorm

FAST = [(True, 2)]
WIDE_NORM = IntFormat(48, True)


def saturates(y: np.ndarray, fmt: IntFormat) -> None:
    """Both ends of the format occur often."""
    assert (y == fmt.lo).sum() >= 100
    assert (y == fmt.hi).sum() >= 100


# --- leaky requantisation


@pytest.mark.parametrize(("source", "target", "bits"), [(S32, S8, 31), (S48, S16, 15), (S16, U8, 31)], ids=str)
def test_leaky_requantise_agrees(source: IntFormat, target: IntFormat, bits: int, rng: np.random.Generator) -> None:
    """Catches the multiplier of the other sign, one chosen after the rounding, and division towards zero."""
    above = np.maximum(rng.integers(0, 2**bits, 64) >> rng.integers(0, bits, 64), 1)
    below = (above * rng.integers(0, 101, 64)) // 100
    above[0] = below[0] = 2**bits - 1
    above[1], below[1] = 6, 3
    shift = np.clip(rng.integers(1, 63, 64), 1, 62)
    shift[0], shift[1] = 62, 4
    x = filled(source, (64, 128, 128), rng, -40, 40)
    x[1, 0, :80] = np.arange(-40, 40)
    op = LeakyRequantise("leak", "x", "y", above, below, shift)
    y = agree(single(op, Tensor("y", 64, target), Tensor("x", 64, source)), {"x": x})["y"]
    assert y.size >= MILLION
    assert ((x[1] % 16 == 8) & (x[1] < 0)).sum() >= 3  # x * 3 / 16 is a negative tie
    saturates(y, target)


# --- tables


@pytest.mark.parametrize(
    ("source", "target"), [(S8, S8), (U8, S16), (S10, S10), (U10, U8), (S4, S32), (IntFormat(2, False), S4)], ids=str
)
def test_table_agrees_on_every_value(source: IntFormat, target: IntFormat, rng: np.random.Generator) -> None:
    """Catches an index without its offset, entries cut to a byte, and a zero point too much or too few."""
    entries = rng.integers(target.lo, target.hi, 1 << source.bits, endpoint=True)
    entries[0], entries[-1] = target.lo, target.hi
    x = np.arange(source.lo, source.hi + 1)
    x = rng.permutation(np.tile(x, (1 << 20) // len(x))).reshape(4, 512, 512)
    op = Table("table", "x", "y", entries)
    y = agree(single(op, Tensor("y", 4, target), Tensor("x", 4, source)), {"x": x})["y"]
    assert y.size >= MILLION
    assert {target.lo, target.hi} <= set(y.ravel().tolist())


@pytest.mark.parametrize(
    ("source", "target", "spacing"), [(S16, S16, 7), (U16, S32, 4), (S16, S32, 15), (S12, U8, 5), (S8, S8, 1)], ids=str
)
def test_interpolated_table_agrees_on_every_value(
    source: IntFormat, target: IntFormat, spacing: int, rng: np.random.Generator
) -> None:
    """Catches falling lines rounded towards zero, rises beyond 32 bits, and the node behind the last value."""
    nodes = rng.integers(target.lo, target.hi, (1 << source.bits - spacing) + 1, endpoint=True)
    nodes[:2], nodes[-2:] = (target.lo, target.hi), (target.hi, target.lo)
    every = np.arange(source.lo, source.hi + 1)
    x = np.tile(every, (1 << 20) // len(every)).reshape(16, 256, 256)
    op = InterpolatedTable("table", "x", "y", spacing, nodes)
    y = agree(single(op, Tensor("y", 16, target), Tensor("x", 16, source)), {"x": x})["y"]
    assert y.size >= MILLION
    part = (every - source.lo) % (1 << spacing)
    rise = np.diff(nodes)[(every - source.lo) >> spacing]
    assert ((rise * part) % (1 << spacing) == 1 << spacing - 1).sum() > 8
    assert {target.lo, target.hi} <= set(y.ravel().tolist())


# --- exact head


def test_threshold_head_agrees_at_every_threshold(rng: np.random.Generator) -> None:
    """Catches >= for >, a step too few, and thresholds of another channel; both widths of the comparison."""
    for source, limit in ((S48, 2**46), (IntFormat(24, True), 2**22)):
        rows = np.sort(rng.integers(-limit, limit, (8, 255)), axis=1)
        rows[1], rows[2, :100], rows[2, 200:] = -7, -(2**63), 2**63 - 1
        rows[3] = np.arange(-100, 155)
        near = np.stack([np.concatenate([row + d for d in (-1, 0, 1)]).clip(source.lo, source.hi) for row in rows])
        x = np.concatenate([near, rng.integers(-2 * limit, 2 * limit, (8, 360 * 365 - near.shape[1]))], axis=1)
        op = ThresholdHead("head", "x", "y", rows)
        program = single(op, Tensor("y", 8, U8), Tensor("x", 8, source))
        y = agree(program, {"x": x.reshape(8, 360, 365)})["y"]
        assert y.size >= MILLION
        assert set(y[0].ravel().tolist()) == set(y[3].ravel().tolist()) == set(range(256))


# --- divisive normalisation

NORMS = [(squared, shift) for squared in (False, True) for shift in (0, 6)]
ACTIVATIONS = [(S8, S8), (U8, S12), (S12, S8), (S16, S16), (U16, U16)]


def norm_of(
    channels: int, largest: int, rng: np.random.Generator, squared: bool, shift: int
) -> tuple[np.ndarray, np.ndarray]:
    """Gamma and beta; the divisor of the first two channels is constant."""
    gamma = rng.integers(0, largest, (channels, channels), endpoint=True)
    gamma[2] = largest
    gamma[:2] = 0
    beta = rng.integers(1 << shift, 1 << 16, channels)
    beta[:2] = 16 if squared else 2 << shift
    return gamma, beta


@pytest.mark.parametrize(("squared", "shift"), NORMS)
@pytest.mark.parametrize(("source", "target"), ACTIVATIONS, ids=str)
def test_gdn_agrees(
    source: IntFormat, target: IntFormat, squared: bool, shift: int, rng: np.random.Generator
) -> None:
    """Catches division towards zero, squares cut to their lower bytes, a root that is one off, and a lost offset."""
    largest = 40 if squared and source.bits == 16 else 4000
    gamma, beta = norm_of(8, largest, rng, squared, shift)
    root = 4 << shift // 2 if squared else 2
    scale = rng.integers(-(2**20), 2**20, 8)
    offset = rng.integers(-(2**6), 2**6, 8)
    scale[:2], offset[:2] = (root << 3, root << 2), 0  # quotients of x and of x / 2 in units of 2**-3
    scale[:2] >>= 3
    x = filled(source, (8, 368, 368) if source == S8 else (8, 96, 96), rng)
    op = Gdn("gdn", "x", "y", IntFormat(16, False), WIDE_NORM, squared, shift, 0, gamma, beta, scale, offset)
    y = agree(single(op, Tensor("y", 8, target), Tensor("x", 8, source)), {"x": x})["y"]
    if source == S8:
        assert y.size >= MILLION
        assert int((x[1] % 2 == 1).sum()) > 1000
    saturates(y, target)
