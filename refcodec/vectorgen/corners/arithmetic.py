"""Corner cases of requantisation, clips, latent means and scale indexes (SPEC VEC-2)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refcodec.formats import IntFormat
from refcodec.layers.latent_mean import SYMBOL_FORMAT, latent_format
from refcodec.layers.scale_index import INDEX_FORMAT
from refcodec.program.operations import (
    Clip,
    LatentMean,
    Requantise,
    ScaleIndex,
)
from refcodec.vectorgen.case import Case, Values
from refcodec.vectorgen.draw import draw
from refcodec.vectorgen.function_case import function_case
from refcodec.vectorgen.operation_case import operation_case


def _ties(shift: int, bits: int) -> Iterator[tuple[int, int]]:
    """Accumulators and a multiplier whose product is an odd multiple of half an output step, and its neighbours."""
    exponent = max(0, min(bits - 1, shift - 1 - 4))
    for quotient in (-4, -3, -2, -1, 0, 1, 2, 3):
        accumulator = (2 * quotient + 1) << (shift - 1 - exponent)
        for delta in (-1, 0, 1):
            yield accumulator + delta, 1 << exponent


def requantise_cases() -> Iterator[Case]:
    """Ties, their neighbours, both saturation ends, extreme accumulators, every profile and many shifts."""
    for source_bits, multiplier_bits in ((32, 31), (48, 15)):
        source = IntFormat(source_bits, True)
        for target in (IntFormat(4, True), IntFormat(8, False), IntFormat(16, True)):
            rows = []
            for shift in (1, 2, 15, 31, 32, 33, 40, 47, 61, 62):
                pairs = [p for p in _ties(shift, multiplier_bits) if source.lo <= p[0] <= source.hi]
                ends = [source.lo, source.lo + 1, -1, 0, 1, source.hi - 1, source.hi]
                if pairs:
                    rows.append((pairs[0][1], shift, [a for a, _ in pairs] + ends))
                rows.append(((1 << multiplier_bits) - 1, shift, ends))
                rows.append((int(draw(shift, (1,), IntFormat(multiplier_bits, False))[0]), shift, ends))
            width = max(len(row[2]) for row in rows)
            accumulator = np.array([row[2] + [0] * (width - len(row[2])) for row in rows], np.int64)
            scales = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
            yield operation_case(
                f"corners-{source}-{target}",
                Requantise("y", "accumulator", "y", *scales),
                {"accumulator": source, "y": target},
                {"accumulator": accumulator[:, None, :]},
                ("RND-1", "RQ-1", "RQ-2"),
                "ties and their neighbours on both sides of zero, saturation, extreme accumulators, shifts 1 to 62",
                ("Tie", "TieNeighbour", "SaturateLow", "SaturateHigh", "ExtremeAccumulator"),
            )


def requantise_discriminators() -> Iterator[Case]:
    """Products beside a tie that binary64 cannot tell from it, a channel for each scale, and scales out of range."""
    accumulator = np.array([[1512207716, -1512207716, 1]] * 2, np.int64)[:, None]
    op = Requantise("y", "accumulator", "y", np.array([1197221143, 1197221142]), np.array([54, 53]))
    formats = {"accumulator": IntFormat(32, True), "y": IntFormat(16, True)}
    comment = "four below half: catches products in binary64, and multipliers without their lowest bit"
    yield operation_case(
        "beside-ties", op, formats, {"accumulator": accumulator}, ("RND-1", "RQ-1"), comment, ("TieNeighbour",)
    )
    for label, multiplier, shift, source, comment in (
        ("shift-0", [1, 1], [0, 1], 32, "a shift of 0"),
        ("shift-63", [1, 1], [1, 63], 32, "a shift of 63"),
        ("negative", [-1, 1], [1, 1], 32, "a multiplier below zero"),
        ("16-bits", [1, 1 << 15], [1, 1], 33, "a multiplier of 16 bits for an accumulator of 33"),
        ("one-scale", [1], [1], 32, "one scale for two channels"),
    ):
        op = Requantise("y", "accumulator", "y", np.array(multiplier), np.array(shift))
        formats = {"accumulator": IntFormat(source, True), "y": IntFormat(8, True)}
        code = "RC-MODEL-TENSOR" if label == "one-scale" else "RC-MODEL-RANGE"
        inputs = {"accumulator": np.zeros((2, 1, 1), np.int64)}
        clauses = ("RQ-2",) if label == "16-bits" else ("RQ-3",)
        yield operation_case(f"invalid-{label}", op, formats, inputs, clauses, comment, error=code)
    op = Requantise("y", "accumulator", "y", np.array([1]), np.array([1]))
    formats = {"accumulator": IntFormat(32, True), "y": IntFormat(17, True)}
    comment, inputs = "activations of 17 bits", {"accumulator": np.zeros((1, 1, 1), np.int64)}
    yield operation_case("invalid-wide", op, formats, inputs, ("INT-2",), comment, error="RC-MODEL-RANGE")
    formats, inputs = (
        {"accumulator": IntFormat(32, True), "y": IntFormat(8, False)},
        {"accumulator": np.array([[[-9, 0, 9]]])},
    )
    comment = "into an unsigned format: catches a rectifier that comes before the rounding"
    yield operation_case("rectifier", op, formats, inputs, ("RQ-1", "RQ-4"), comment, ("SaturateLow",))


def clip_cases() -> Iterator[Case]:
    """Values at, just inside and just outside both limits."""
    source = IntFormat(16, True)
    x = np.array([source.lo, -9, -8, -7, -1, 0, 1, 6, 7, 8, source.hi], np.int64)[None, None]
    for lo, hi in ((-8, 7), (0, 255), (0, 0), (source.lo, source.hi)):
        flags = () if lo == source.lo else ("SaturateLow", "SaturateHigh")
        op = Clip("y", "x", "y", lo, hi)
        formats = {"x": source, "y": source}
        yield operation_case(
            f"limits{lo}to{hi}", op, formats, {"x": x}, ("CLIP-1",), "at and beside both limits", flags
        )
    for label, lo, hi, target, comment in (
        ("order", 5, 4, 16, "lo above hi"),
        ("source", -40000, 0, 32, "a limit beyond the source"),
        ("target", 0, 255, 8, "a limit beyond the target"),
    ):
        op, formats = Clip("y", "x", "y", lo, hi), {"x": source, "y": IntFormat(target, True)}
        yield operation_case(f"invalid-{label}", op, formats, {"x": x}, ("CLIP-3",), comment, error="RC-MODEL-RANGE")
    inputs = {"x": Values(x, source)}
    yield function_case(
        "signs", "relu", ("CLIP-2",), "negative, zero, positive", {}, inputs, {"y": source}, ("Negative",)
    )  # fmt: skip


def latent_mean_cases() -> Iterator[Case]:
    """Extreme symbols with extreme means."""
    for fraction in (0, 8, 16):
        mean_format = IntFormat(16 + fraction, True)
        symbols = np.array([SYMBOL_FORMAT.lo, -1, 0, 1, SYMBOL_FORMAT.hi], np.int64)
        means = np.array([mean_format.lo, -1, 0, 1, mean_format.hi], np.int64)
        yield operation_case(
            f"extremes-f{fraction}",
            LatentMean("y", "symbols", "y", fraction, means),
            {"symbols": SYMBOL_FORMAT, "y": latent_format(fraction)},
            {"symbols": np.tile(symbols, (5, 1))[:, None]},
            ("MEAN-1", "MEAN-2"),
            "every pair of extreme symbol and extreme mean",
            ("ExtremeSymbol",),
        )
    for label, fraction, mean, code in (
        ("fraction", 17, [0], "RC-MODEL-RANGE"),
        ("mean", 4, [1 << 19], "RC-MODEL-RANGE"),
        ("means", 4, [0, 0], "RC-MODEL-TENSOR"),
    ):
        op, formats = (
            LatentMean("y", "x", "y", fraction, np.array(mean)),
            {"x": SYMBOL_FORMAT, "y": IntFormat(21, True)},
        )
        comment, inputs = "one mean of 16 + fraction bits for each channel", {"x": np.zeros((1, 1, 1), np.int64)}
        yield operation_case(f"invalid-{label}", op, formats, inputs, ("MEAN-2",), comment, error=code)


def scale_index_cases() -> Iterator[Case]:
    """Accumulators at every threshold and beside it, equal thresholds, and an accumulator beyond all."""
    fmt = IntFormat(24, True)
    steps = 1 + draw(11, (3, 63), IntFormat(8, False))
    thresholds = np.cumsum(steps, axis=1) - 200
    thresholds[2, 20:30] = thresholds[2, 20]
    around = np.concatenate([thresholds - 1, thresholds, thresholds + 1, [[fmt.lo, fmt.hi]] * 3], axis=1)
    yield operation_case(
        "thresholds",
        ScaleIndex("y", "accumulator", "y", thresholds),
        {"accumulator": fmt, "y": INDEX_FORMAT},
        {"accumulator": around[:, None]},
        ("SCALE-1", "SCALE-2"),
        "at, below and above each of 63 thresholds; ten equal ones in channel 2",
        ("ThresholdEdge", "EqualThresholds"),
    )
    for label, broken, target, code, comment in (
        ("falling", np.array([[0] * 62 + [-1]]), INDEX_FORMAT, "RC-MODEL-RANGE", "a threshold below the one before"),
        ("short", np.zeros((1, 62), np.int64), INDEX_FORMAT, "RC-MODEL-TENSOR", "62 thresholds"),
        ("channels", np.zeros((2, 63), np.int64), INDEX_FORMAT, "RC-MODEL-TENSOR", "two rows for one channel"),
        ("format", np.zeros((1, 63), np.int64), IntFormat(8, False), "RC-MODEL-RANGE", "an index of eight bits"),
    ):
        op, inputs = ScaleIndex("y", "x", "y", broken), {"x": np.zeros((1, 1, 1), np.int64)}
        yield operation_case(
            f"invalid-{label}", op, {"x": fmt, "y": target}, inputs, ("SCALE-2",), comment, (), 1, code
        )


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from requantise_cases()
    yield from requantise_discriminators()
    yield from clip_cases()
    yield from latent_mean_cases()
    yield from scale_index_cases()
