"""Cases for single operations: constructed corners first, then counter-based random values (SPEC VEC-2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from refcodec import fixed
from refcodec.entropy.rans import encode as rans_encode
from refcodec.entropy.tables import FrequencyTables
from refcodec.formats import IntFormat
from refcodec.layers.latent_mean import SYMBOL_FORMAT, latent_format
from refcodec.layers.scale_index import INDEX_FORMAT
from refcodec.program.operations import (
    AnyOperation,
    Clip,
    Convolution,
    LatentMean,
    Requantise,
    ScaleIndex,
    TransposedConvolution,
)
from refcodec.vectorgen.case import Case, Values
from refcodec.vectorgen.evaluate import Engine, evaluate
from refcodec.vectorgen.operation_case import operation_case

PLAIN = Engine(True, {})
BYTE = IntFormat(8, False)
WEIGHT = IntFormat(8, True)
COUNT = IntFormat(32, False)
ENTRY = IntFormat(32, True)


def draw(seed: int, shape: tuple[int, ...], fmt: IntFormat) -> np.ndarray:
    """Uniform values of a format, int64, from the sequence `seed`."""
    span = fmt.hi - fmt.lo + 1
    values = [
        fmt.lo + (fixed.counter_random(seed, 2 * n) << 32 | fixed.counter_random(seed, 2 * n + 1)) % span
        for n in range(int(np.prod(shape)))
    ]
    return np.array(values, np.int64).reshape(shape)


def finished(
    name: str,
    operation: str,
    clauses: tuple[str, ...],
    comment: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Values],
    formats: Mapping[str, IntFormat],
    flags: tuple[str, ...] = (),
) -> Case:
    """A valid case whose results the plain definitions give; `formats` names the results, the last one the output."""
    results = evaluate(PLAIN, operation, parameters, {key: value.array for key, value in inputs.items()})
    found = {key: Values(results[key].astype(np.int64), fmt) for key, fmt in formats.items()}
    *taps, output = found
    return Case(
        f"operations/{operation}/{name}",
        operation,
        clauses,
        comment,
        parameters,
        inputs,
        {key: found[key] for key in taps},
        {output: found[output]},
        flags=flags,
    )


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
    inputs = {"x": Values(x, source)}
    yield finished(
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


def convolution_cases() -> Iterator[Case]:
    """Kernels 1 to 9, all strides, paddings and phases, one-hot inputs on ramp kernels, bound-attaining inputs."""
    for kernel, stride, padding in ((1, 1, 0), (2, 1, 1), (3, 1, 1), (3, 2, 1), (4, 3, 0), (5, 2, 2), (9, 4, 4)):
        make: Callable[..., AnyOperation] = partial(Convolution, "layer", "x", "accumulator", WEIGHT, stride, padding)
        yield from _convolution_pair(f"k{kernel}s{stride}p{padding}", kernel, make, ("CONV-1", "CONV-2", "ACC-1"))
    for kernel, stride, padding, output_padding in (
        (1, 2, 0, 1), (2, 2, 0, 0), (3, 1, 1, 0), (3, 2, 1, 1), (4, 2, 1, 0), (5, 2, 2, 1), (5, 3, 2, 0), (9, 4, 4, 3),
    ):  # fmt: skip
        make = partial(TransposedConvolution, "layer", "x", "accumulator", WEIGHT, stride, padding, output_padding)
        name = f"k{kernel}s{stride}p{padding}o{output_padding}"
        yield from _convolution_pair(name, kernel, make, ("TCONV-1", "TCONV-2", "TCONV-3", "ACC-1"))


def _convolution_pair(
    name: str, kernel: int, make: Callable[..., AnyOperation], clauses: tuple[str, ...]
) -> Iterator[Case]:
    source, accumulator = IntFormat(8, False), IntFormat(32, True)
    size = (2, 5, 7) if kernel < 9 else (2, 9, 11)
    ramp = np.arange(3 * 2 * kernel**2).reshape(3, 2, kernel, kernel) % 251 - 125
    one_hot = np.zeros(size, np.int64)
    one_hot[1, 2, 3] = 1
    largest = np.full(size, source.hi)
    signs = np.where(draw(kernel, ramp.shape, IntFormat(1, False)) == 1, WEIGHT.hi, WEIGHT.lo)
    signs[0], signs[1] = WEIGHT.lo, WEIGHT.hi  # with a bias of the same sign these two attain the bound
    for label, x, weight, comment, flags in (
        ("onehot", one_hot, ramp, "one input sample on a ramp of weights: every tap in its place", ("TapOrder",)),
        ("extreme", largest, signs, "sums at both ends of the proven bound", ("ExtremeAccumulator",)),
    ):
        yield operation_case(
            f"{name}-{label}",
            make(weight, np.array([-1000, 77777, 0])),
            {"x": source, "accumulator": accumulator},
            {"x": x},
            clauses,
            comment,
            flags,
            channels=3,
        )


def random_cases() -> Iterator[Case]:
    """The generator itself."""
    for seed in (0, 1, 2**63 - 1):
        yield finished(
            f"seed{seed}", "counter_random", ("VEC-2",), "the first values of a sequence",
            {"seed": seed, "first": 0, "count": 16}, {}, {"y": COUNT},
        )  # fmt: skip


def _rows() -> tuple[dict[str, Values], int]:
    """Three frequency tables: narrow, lopsided, and one whose only regular symbol is nearly certain."""
    rows = [[0, 20000, 40000, 60000, 65536], [0, 1, 2, 65000, 65535, 65536], [0, 65535, 65536]]
    starts = np.cumsum([0] + [len(row) for row in rows])
    values = {
        "values": Values(np.concatenate(rows), ENTRY),
        "starts": Values(starts, ENTRY),
        "offsets": Values(np.array([-1, -2, 7]), ENTRY),
    }
    return values, len(rows)


def rans_cases() -> Iterator[Case]:
    """Regular symbols, escapes at both ends and of every length, no symbols, and every kind of broken payload."""
    tables, count = _rows()
    wide = [0, 1, 2, 3, -1, -2, 7, 8, 15, 16, 100, -100, 2047, -2048, 32767, -32768]
    for name, symbols in (("none", []), ("one", [7]), ("escapes", wide * count), ("certain", [7] * 200)):
        indexes = [2 if name == "certain" else number % count for number in range(len(symbols))]
        inputs = {
            "symbols": Values(np.array(symbols, np.int64), SYMBOL_FORMAT),
            "indexes": Values(np.array(indexes, np.int64), INDEX_FORMAT),
            **tables,
        }
        flags = ("Escape",) if name == "escapes" else ()
        encoded = finished(name, "rans_encode", ("RANS-1",), "symbols to bytes", {}, inputs, {"payload": BYTE}, flags)
        yield encoded
        decoding = {"payload": encoded.outputs["payload"], "indexes": inputs["indexes"], **tables}
        yield finished(
            name, "rans_decode", ("RANS-2", "RANS-3"), "bytes to symbols", {}, decoding, {"symbols": SYMBOL_FORMAT}
        )
    yield from _broken_payloads(tables)


def _broken_payloads(tables: dict[str, Values]) -> Iterator[Case]:
    symbols, indexes = np.array([0, 1, 5, -300, 7] * 4), np.array([0, 1, 2, 1, 2] * 4)
    three = [tables[name].array for name in ("values", "starts", "offsets")]
    payload = rans_encode(symbols, indexes, FrequencyTables(*(array.astype(np.int32) for array in three)))
    # In the last table the escape has the frequency 1, so the state's upper bits are the escape's digits, count first.
    long, padded = ((1 << 40 | digits) << 16 | 65535 for digits in (15, 1))
    broken = {
        "empty": (b"", indexes, "RC-STREAM-TRUNCATED"),
        "half-word": (payload[:-2], indexes, "RC-STREAM-TRUNCATED"),
        "short": (payload[:-4], indexes, "RC-STREAM-TRUNCATED"),
        "trailing": (payload + bytes(4), indexes, "RC-STREAM-TRAILING"),
        "low-state": (bytes(8) + payload[8:], indexes, "RC-STREAM-RANS"),
        "long-escape": (long.to_bytes(8, "little"), indexes[2:3], "RC-STREAM-SYMBOL"),
        "zero-digit": (padded.to_bytes(8, "little"), indexes[2:3], "RC-STREAM-SYMBOL"),
    }
    for name, (content, chosen, code) in broken.items():
        yield Case(
            f"operations/rans_decode/invalid-{name}",
            "rans_decode",
            ("RANS-2", "RANS-3"),
            "must be rejected",
            {},
            {
                "payload": Values(np.frombuffer(content, np.uint8).astype(np.int64), BYTE),
                "indexes": Values(chosen, INDEX_FORMAT),
                **tables,
            },
            error=code,
            flags=("Invalid",),
        )


def frequency_cases() -> Iterator[Case]:
    """Counts that need empty intervals filled, at the front, in the middle and at the end."""
    for name, counts in (
        ("plain", [10, 20, 30, 5]),
        ("empty", [0, 0, 65536, 0, 0, 3, 0]),
        ("escape-only", [0, 0, 1]),
        ("long", [1] * 300 + [100000]),
    ):
        yield finished(
            name, "frequencies", ("CDF-1", "CDF-2"), "counts to a cumulative row", {},
            {"counts": Values(np.array(counts), COUNT)}, {"row": ENTRY}, ("EmptyInterval",) if 0 in counts else (),
        )  # fmt: skip


def operation_cases() -> Iterator[Case]:
    """All cases of single operations."""
    yield from requantise_cases()
    yield from clip_cases()
    yield from latent_mean_cases()
    yield from scale_index_cases()
    yield from convolution_cases()
    yield from random_cases()
    yield from frequency_cases()
    yield from rans_cases()
