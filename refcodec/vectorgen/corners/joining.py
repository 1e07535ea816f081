"""Corner cases of operations that join tensors (SPEC VEC-2)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refcodec import fixed
from refcodec.formats import IntFormat
from refcodec.layers.latent_mean import SYMBOL_FORMAT, latent_format, mean_format
from refcodec.program.operations import (
    Add,
    Concatenate,
    LatentMeans,
)
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.draw import numbered
from refcodec.vectorgen.operation_case import operation_case

S8, S16, S32, S33, S48 = (IntFormat(bits, True) for bits in (8, 16, 32, 33, 48))
U8 = IntFormat(8, False)


def concatenate_cases() -> Iterator[Case]:
    """Two and three tensors of distinct values, extreme values, and tensors that do not belong together."""
    comment = "catches tensors that are exchanged or interleaved"
    for widths in ((1, 2), (2, 3, 1)):
        names, ends = "abc"[: len(widths)], np.cumsum([0, *widths])
        every = numbered((int(ends[-1]), 2, 3), -20)
        inputs = {name: every[ends[n] : ends[n + 1]] for n, name in enumerate(names)}
        label = "-".join(map(str, widths))
        yield _joined(label, inputs, dict.fromkeys([*names, "y"], S8), int(ends[-1]), comment)
    a, b = np.array([[[S48.lo, -1, S48.hi]]]), np.array([[[1, S48.hi, S48.lo]]])
    comment = "catches values that are cut to fewer bits"
    yield _joined("extremes", {"a": a, "b": b}, dict.fromkeys("aby", S48), 2, comment)
    x = np.zeros((1, 2, 3), np.int64)
    for label, inputs, formats, channels, code in (
        ("format", {"a": x, "b": x}, {"a": S8, "b": U8, "y": S8}, 2, "RC-MODEL-RANGE"),
        ("channels", {"a": x, "b": x}, dict.fromkeys("aby", S8), 3, "RC-MODEL-TENSOR"),
        ("one", {"a": x}, dict.fromkeys("ay", S8), 1, "RC-MODEL-TENSOR"),
        ("size", {"a": x, "b": x[:, :, :2]}, dict.fromkeys("aby", S8), 2, "RC-SHAPE"),
    ):
        comment = "two or more tensors of one format, height and width"
        yield _joined(f"invalid-{label}", inputs, formats, channels, comment, code)


def _joined(
    label: str,
    inputs: dict[str, np.ndarray],
    formats: dict[str, IntFormat],
    channels: int,
    comment: str,
    error: str | None = None,
) -> Case:
    op = Concatenate("concatenate", tuple(inputs), "y")
    return operation_case(label, op, formats, inputs, ("CAT-1",), comment, (), channels, error)


def add_cases() -> Iterator[Case]:
    """Ties, roundings that differ from two, signs, saturation, all of 64 bits, extreme shifts, and illegal scales."""
    narrow = {"a": S8, "b": S8, "y": S8}
    ties = np.arange(-7, 8)
    comment = "halves on both sides of zero: catches rounding to even, away from zero, and towards zero"
    yield _added("ties", ties, 0 * ties, (1, 1), 1, narrow, comment, "Tie", "Negative")
    yield _added("tie-neighbours", ties, ties[::-1], (9, 3), 2, narrow, comment, "Tie", "TieNeighbour", "Negative")
    left, right = (v.ravel() for v in np.meshgrid(np.arange(-3, 4), np.arange(-3, 4)))
    comment = "catches a rounding of each side by itself"
    yield _added("one-rounding", left, right, (1, 1), 1, narrow, comment, "DoubleRounding")
    comment = "catches multipliers that are exchanged, and a sign that is lost"
    yield _added("signs", left, right, (-5, 3), 1, narrow, comment, "Negative")
    yield from _saturating_sums()
    yield from _extreme_sums()
    yield from _rejected_sums()


def _saturating_sums() -> Iterator[Case]:
    for target in (S8, U8):
        sums = np.array([v + d for v in (target.lo, target.hi) for d in (-2, -1, 0, 1, 2)])
        formats, comment = {"a": S16, "b": S16, "y": target}, "at and beside both limits: catches sums that wrap"
        label, flags = f"saturate-{target}", ("SaturateLow", "SaturateHigh")
        yield _added(label, 4 * sums + 7, np.full(10, -3), (1, 3), 2, formats, comment, *flags)


def _extreme_sums() -> Iterator[Case]:
    """Sums that fill 64 bits, and formats whose proof leaves no bit unused."""
    formats, most = {"a": S33, "b": S33, "y": S48}, (1 << 31) - 1
    ends = np.array([S33.lo, S33.lo + 1, -1, 0, 1, S33.hi])
    left, right = (v.ravel() for v in np.meshgrid(ends, ends))
    comment = "sums of 63 bits: catches products, sums and rounding constants that have fewer bits than they need"
    for multipliers, shift in (((1 << 30, (1 << 30) - 1), 32), ((1, -1), 0)):
        label = f"extreme-{multipliers[0]}-{multipliers[1]}-{shift}"
        yield _added(label, left, right, multipliers, shift, formats, comment, "ExtremeAccumulator")
    formats = {"a": S32, "b": S32, "y": S16}
    ends = np.array([S32.lo, -1, 0, 1, S32.hi])
    left, right = (v.ravel() for v in np.meshgrid(ends, ends))
    for multipliers, shift in (((most, 1), 62), ((-(1 << 30), 1 << 30), 61), ((most, -(1 << 30)), 33)):
        label = f"shift-{multipliers[0]}-{multipliers[1]}-{shift}"
        comment = "catches shifts that are taken modulo 32, and a product in a double"
        yield _added(label, left, right, multipliers, shift, formats, comment, "ExtremeAccumulator")


def _rejected_sums() -> Iterator[Case]:
    one, wide = np.array([1, 2, 3]), {"a": S33, "b": S33, "y": S48}
    for label, multipliers, shift, code in (
        ("overflow", (1 << 30, 1 << 30), 0, "RC-MODEL-OVERFLOW"),
        ("rounding-overflow", (1 << 30, (1 << 30) - 1), 34, "RC-MODEL-OVERFLOW"),
        ("multiplier", (1 << 31, 1), 1, "RC-MODEL-RANGE"),
        ("negative-multiplier", (1, -(1 << 31)), 1, "RC-MODEL-RANGE"),
        ("shift", (1, 1), 63, "RC-MODEL-RANGE"),
    ):
        comment = "multipliers below 2**31, shifts 0 to 62, sums below 2**63"
        yield _added(f"invalid-{label}", one, one, multipliers, shift, wide, comment, error=code)
    comment = "both tensors have one height and width"
    yield _added("invalid-size", one, one[:2], (1, 1), 1, wide, comment, error="RC-SHAPE")


def _added(
    label: str,
    left: np.ndarray,
    right: np.ndarray,
    multipliers: tuple[int, int],
    shift: int,
    formats: dict[str, IntFormat],
    comment: str,
    *flags: str,
    error: str | None = None,
) -> Case:
    op, inputs = (
        Add("add", ("a", "b"), "y", shift, np.array(multipliers)),
        {"a": left[None, None], "b": right[None, None]},
    )
    clauses = ("ADD-2",) if error else ("ADD-1", "ADD-2", "RND-1")
    return operation_case(label, op, formats, inputs, clauses, comment, flags, error=error)


def latent_means_cases() -> Iterator[Case]:
    """Extreme symbols with extreme means, a mean of its own for each symbol, narrow means, and illegal formats."""
    for fraction in (0, 8, 16):
        means = mean_format(fraction)
        m, q = np.meshgrid([means.lo, -1, 0, 1, means.hi], [SYMBOL_FORMAT.lo, -1, 0, 1, SYMBOL_FORMAT.hi])
        formats, inputs = {"q": SYMBOL_FORMAT, "m": means, "y": latent_format(fraction)}, {"q": q[None], "m": m[None]}
        comment = "every pair of extreme symbol and extreme mean: catches sums of 32 bits"
        yield _means(f"extremes-f{fraction}", fraction, formats, inputs, comment, "ExtremeSymbol")
    q, m = numbered((2, 2, 3), -6), np.array([fixed.counter_random(5, n) % 256 - 128 for n in range(12)])
    formats, inputs = {"q": SYMBOL_FORMAT, "m": S8, "y": latent_format(4)}, {"q": q, "m": m.reshape(q.shape)}
    comment = "catches a mean that is taken for its whole channel, and narrow means that are shifted too"
    yield _means("narrow-f4", 4, formats, inputs, comment, "Negative")
    for label, changes, code in (
        ("mean", {"m": S32}, "RC-MODEL-RANGE"),
        ("symbol", {"q": S8}, "RC-MODEL-RANGE"),
        ("target", {"y": S32}, "RC-MODEL-RANGE"),
        ("unsigned", {"m": U8}, "RC-MODEL-RANGE"),
    ):
        zeros = {"q": 0 * q, "m": 0 * q}
        yield _means(f"invalid-{label}", 4, formats | changes, zeros, "formats that do not hold every sum", error=code)


def _means(
    label: str,
    fraction: int,
    formats: dict[str, IntFormat],
    inputs: dict[str, np.ndarray],
    comment: str,
    *flags: str,
    error: str | None = None,
) -> Case:
    op = LatentMeans("means", ("q", "m"), "y", fraction)
    clauses = ("MEAN-2", "MEAN-3") if error else ("MEAN-1", "MEAN-3")
    return operation_case(label, op, formats, inputs, clauses, comment, flags, error=error)


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from concatenate_cases()
    yield from add_cases()
    yield from latent_means_cases()
