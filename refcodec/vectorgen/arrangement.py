"""Cases for layers that weigh, rearrange or add samples: one-hot inputs, distinct values, extreme sums (SPEC VEC-2)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refcodec import fixed
from refcodec.formats import IntFormat
from refcodec.layers.latent_mean import SYMBOL_FORMAT, latent_format, mean_format
from refcodec.layers.masked_convolution import MASKS, live_taps
from refcodec.program.operations.add import Add
from refcodec.program.operations.concatenate import Concatenate
from refcodec.program.operations.crop import Crop
from refcodec.program.operations.depthwise_convolution import DepthwiseConvolution
from refcodec.program.operations.latent_mean import LatentMeans
from refcodec.program.operations.linear import Linear
from refcodec.program.operations.masked_convolution import MaskedConvolution
from refcodec.program.operations.nearest import Nearest
from refcodec.program.operations.pad import Pad
from refcodec.program.operations.pixel_shuffle import PixelShuffle
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.operation_case import operation_case

S8, U8, S16, U16, S24, S32, S33, S48 = (
    IntFormat(bits, signed)
    for bits, signed in (
        (8, True),
        (8, False),
        (16, True),
        (16, False),
        (24, True),
        (32, True),
        (33, True),
        (48, True),
    )
)
BYTES = {"x": U8, "y": S24}
ORDER = "one input sample on a ramp of weights: catches any tap, channel or output out of its place"
BOUND = "sums at both ends of the proven bound: catches accumulators that are too narrow"
Weighted = Linear | DepthwiseConvolution | MaskedConvolution
Moving = PixelShuffle | Crop | Pad | Nearest
Sides = tuple[int, int, int, int]


def numbered(shape: tuple[int, ...], first: int) -> np.ndarray:
    """Rising integers, all different."""
    return np.arange(first, first + int(np.prod(shape))).reshape(shape)


def ramp(shape: tuple[int, ...]) -> np.ndarray:
    """Weights of 8 bits; neighbours, rows and channels differ."""
    return numbered(shape, 0) % 251 - 125


def one_hot(channels: int, height: int, width: int) -> np.ndarray:
    """A volume of zeros with a single one, in the last channel and off the diagonal."""
    x = np.zeros((channels, height, width), np.int64)
    x[-1, height // 2, (width + 1) // 2] = 1
    return x


def fill(total: int) -> int:
    """What brings a sum to the largest value of the narrowest format that holds it."""
    return (1 << total.bit_length()) - 1 - total


# --- weighted sums


def linear_cases() -> Iterator[Case]:
    """Each input by itself, a vector, a picture, both ends of the bound in 16 and 48 bits, and one beyond them."""
    weight, bias, clauses = ramp((5, 3)), np.array([-1000, 77777, 0, 1, -1]), ("LIN-1", "LIN-2", "ACC-1")
    picture = np.zeros((3, 2, 3), np.int64)
    picture[[0, 1, 2], [0, 1, 0], [0, 0, 2]] = 1
    yield _weighted("onehot", _linear(weight, bias), BYTES, picture, clauses, ORDER, "TapOrder")
    vector, matrix = numbered((37, 1, 1), -18), ramp((6, 37))
    comment = "37 inputs fill no power of two: catches a sum that loses its last terms"
    yield _weighted("vector", _linear(matrix, ramp((6,))), {"x": S8, "y": S32}, vector, clauses, comment)
    for source, target in ((S8, S24), (U8, S24), (S16, S48), (U16, S48)):
        yield from _linear_bounds(source, target)
    comment = "a bias beyond the accumulator"
    op = _linear(weight, np.full(5, 1 << 23))
    yield _rejected("bias", op, BYTES, picture, "LIN-2", comment, "RC-MODEL-RANGE")
    yield _rejected("weight-format", _linear(weight, bias, IntFormat(4, True)), BYTES, picture, "LIN-2", "weights "
                    "beyond their format", "RC-MODEL-RANGE")  # fmt: skip
    op = _linear(ramp((5, 2)), bias)
    yield _rejected("shape", op, BYTES, picture, "LIN-2", "a matrix for two channels, not three", "RC-MODEL-TENSOR")


def _linear(weight: np.ndarray, bias: np.ndarray, fmt: IntFormat = S16) -> Linear:
    return Linear("linear", "x", "y", fmt, weight, bias)


def _linear_bounds(source: IntFormat, target: IntFormat) -> Iterator[Case]:
    """The input at its largest magnitude meets weights of one sign; a bias fills the format, or leaves it by one."""
    term = 32767 * source.magnitude
    inputs = min(63, target.hi // term)
    bias = target.hi - inputs * term
    towards = -1 if source.signed else 1
    weight = np.array([[towards * 32767], [-towards * 32767]]) * np.ones((1, inputs), np.int64)
    x = np.full((inputs, 1, 2), source.lo if source.signed else source.hi)
    x[:, 0, 1] = source.hi if source.signed else source.lo
    formats = {"x": source, "y": target}
    op = _linear(weight, np.array([bias, -bias]))
    yield _weighted(f"extreme-{source}-{target}", op, formats, x, ("LIN-1", "ACC-1"), BOUND, "ExtremeAccumulator")
    op = _linear(weight, np.array([bias, -bias - 1]))
    yield _rejected(f"overflow-{source}-{target}", op, formats, x, "ACC-1", "one more than the accumulator holds",
                    "RC-MODEL-OVERFLOW", channels=2)  # fmt: skip


def depthwise_convolution_cases() -> Iterator[Case]:
    """Kernels 1 to 9, all strides, one-hot inputs on ramps of weights, both ends of the bound, and illegal layers."""
    clauses = ("DW-1", "CONV-1", "ACC-1")
    for kernel, stride, padding in (
        (1, 1, 0),
        (2, 1, 1),
        (3, 1, 1),
        (4, 3, 2),
        (5, 2, 2),
        (9, 4, 8),
    ):
        size = (2, 5, 6) if kernel < 7 else (2, 7, 9)
        weight, bias = ramp((2, kernel, kernel)), np.array([-1000, 77777])
        op = DepthwiseConvolution("depthwise", "x", "y", S16, stride, padding, weight, bias)
        x = one_hot(*size)
        x[0] = 2 * x[1, ::-1, ::-1]
        yield _weighted(f"k{kernel}s{stride}p{padding}-onehot", op, BYTES, x, clauses, ORDER, "TapOrder")
    yield from _depthwise_bounds(clauses)
    weight, bias, x = ramp((2, 3, 3)), np.zeros(2, np.int64), np.zeros((2, 5, 5), np.int64)
    for label, stride, padding in (("stride", 5, 1), ("padding", 1, 3)):
        op = DepthwiseConvolution("depthwise", "x", "y", S16, stride, padding, weight, bias)
        comment = "kernel, stride and padding are limited"
        yield _rejected(label, op, BYTES, x, "DW-2", comment, "RC-MODEL-RANGE")
    op = DepthwiseConvolution("depthwise", "x", "y", S16, 1, 0, weight, bias)
    yield _rejected("size", op, BYTES, x[:, :2], "CONV-1", "a picture smaller than the kernel", "RC-SHAPE")


def _depthwise_bounds(clauses: tuple[str, ...]) -> Iterator[Case]:
    for source in (U8, S16):
        towards = -1 if source.signed else 1
        weight = np.ones((2, 3, 3), np.int64) * np.array([towards * 32767, -towards * 32767])[:, None, None]
        total = 9 * 32767 * source.magnitude
        bias, target = fill(total), IntFormat(total.bit_length() + 1, True)
        x = np.full((2, 3, 3), source.lo if source.signed else source.hi)
        formats = {"x": source, "y": target}
        op = DepthwiseConvolution("depthwise", "x", "y", S16, 1, 1, weight, np.array([bias, -bias]))
        yield _weighted(f"extreme-{source}", op, formats, x, clauses, BOUND, "ExtremeAccumulator")
        op = DepthwiseConvolution("depthwise", "x", "y", S16, 1, 1, weight, np.array([bias, -bias - 1]))
        comment = "one more than the accumulator holds"
        yield _rejected(f"overflow-{source}", op, formats, x, "ACC-1", comment, "RC-MODEL-OVERFLOW")


def masked_convolution_cases() -> Iterator[Case]:
    """Both masks with kernels 3 to 9 under one sample, both ends of the bound, and weights at dead taps."""
    for mask, clause in zip(MASKS, ("MASK-1", "MASK-2"), strict=True):
        clauses = (clause, "MASK-3", "CONV-2", "ACC-1")
        for kernel, padding in ((3, 1), (5, 2), (9, 3)):
            size = (2, 4, 5) if kernel < 9 else (2, 5, 7)
            weight = ramp((2, 2, kernel, kernel)) * live_taps(mask, kernel)
            op = _masked(mask, padding, weight, np.array([-1000, 77777]))
            label = f"{mask}-k{kernel}p{padding}-onehot"
            yield _weighted(label, op, BYTES, one_hot(*size), clauses, ORDER, "TapOrder")
        yield from _masked_bounds(mask, clauses)
        yield from _dead_taps(mask)
    x, bias = np.zeros((1, 5, 5), np.int64), np.zeros(1, np.int64)
    for label, op, comment in (
        ("even", _masked("causal", 1, np.zeros((1, 1, 4, 4), np.int64), bias), "an even kernel has no centre"),
        ("mask", _masked("diagonal", 1, np.zeros((1, 1, 3, 3), np.int64), bias), "an unknown mask"),
    ):
        yield _rejected(label, op, BYTES, x, "MASK-3", comment, "RC-MODEL-RANGE")


def _masked(mask: str, padding: int, weight: np.ndarray, bias: np.ndarray) -> MaskedConvolution:
    return MaskedConvolution("masked", "x", "y", S16, mask, padding, weight, bias)


def _masked_bounds(mask: str, clauses: tuple[str, ...]) -> Iterator[Case]:
    """The bound of the live taps: an implementation that counts all taps would refuse the format."""
    weight = np.array([32767, -32767])[:, None, None, None] * live_taps(mask, 5)
    total = 12 * 32767 * U8.hi
    bias, target = fill(total), IntFormat(total.bit_length() + 1, True)
    formats, x = {"x": U8, "y": target}, np.full((1, 3, 4), U8.hi)
    op = _masked(mask, 2, weight, np.array([bias, -bias]))
    yield _weighted(f"{mask}-extreme", op, formats, x, clauses, BOUND, "ExtremeAccumulator")
    op = _masked(mask, 2, weight, np.array([bias, -bias - 1]))
    comment = "one more than the accumulator holds"
    yield _rejected(f"{mask}-overflow", op, formats, x, "ACC-1", comment, "RC-MODEL-OVERFLOW", channels=2)


def _dead_taps(mask: str) -> Iterator[Case]:
    for label, ky, kx in (("centre", 2, 2), ("last", 4, 4)):
        weight = ramp((1, 1, 5, 5)) * live_taps(mask, 5)
        weight[0, 0, ky, kx] = 1
        op = _masked(mask, 2, weight, np.zeros(1, np.int64))
        comment, x = "a weight at a dead tap must be rejected, not masked", np.zeros((1, 3, 3), np.int64)
        yield _rejected(f"{mask}-{label}", op, BYTES, x, "MASK-3", comment, "RC-MODEL-RANGE")


def _weighted(
    label: str,
    op: Weighted,
    formats: dict[str, IntFormat],
    x: np.ndarray,
    clauses: tuple[str, ...],
    comment: str,
    *flags: str,
) -> Case:
    return operation_case(label, op, formats, {"x": x}, clauses, comment, flags, len(op.bias))


def _rejected(
    label: str,
    op: Weighted | Moving,
    formats: dict[str, IntFormat],
    x: np.ndarray,
    clause: str,
    comment: str,
    code: str,
    channels: int | None = None,
) -> Case:
    width = len(op.bias) if channels is None and isinstance(op, Weighted) else channels
    return operation_case(f"invalid-{label}", op, formats, {"x": x}, (clause,), comment, (), width, code)


# --- samples that only move


def pixel_shuffle_cases() -> Iterator[Case]:
    """Blocks of unequal sides over several channels of distinct values, a reshaped vector, and illegal groups."""
    order = "catches the order DCR in the place of CRD, rows taken for columns, and height for width"
    for rows, columns, channels, height, width in ((2, 2, 3, 2, 3), (2, 3, 2, 3, 2), (3, 1, 2, 1, 4), (1, 4, 2, 3, 1)):
        x = numbered((channels * rows * columns, height, width), -40)
        yield _moved(f"blocks-{rows}x{columns}", PixelShuffle("shuffle", "x", "y", rows, columns), S8, x, "PS-1",
                     order, "TapOrder", channels=channels)  # fmt: skip
    vector, op = numbered((60, 1, 1), -30), PixelShuffle("shuffle", "x", "y", 4, 5)
    yield _moved("vector", op, S8, vector, "PS-1", "a vector becomes three planes of 4 x 5", channels=3)
    wide = numbered((128, 1, 2), -100)
    yield _moved(
        "widest", PixelShuffle("shuffle", "x", "y", 1, 64), S16, wide, "PS-1", "the largest factor", channels=2
    )
    yield _moved("extremes", PixelShuffle("shuffle", "x", "y", 2, 1), S48, np.array([[[S48.lo]], [[S48.hi]]]), "PS-1",
                 "catches values that are cut to fewer bits", channels=1)  # fmt: skip
    for label, rows, columns, channels, code in (
        ("zero", 0, 2, 1, "RC-MODEL-RANGE"),
        ("65", 65, 1, 1, "RC-MODEL-RANGE"),
        ("groups", 2, 2, 1, "RC-MODEL-TENSOR"),
        ("channels", 2, 3, 2, "RC-MODEL-TENSOR"),
    ):
        op, x = PixelShuffle("shuffle", "x", "y", rows, columns), np.zeros((6, 1, 1), np.int64)
        yield _rejected(label, op, {"x": S8, "y": S8}, x, "PS-2", "factors are 1 to 64 and divide the channels", code,
                        channels)  # fmt: skip


def nearest_cases() -> Iterator[Case]:
    """Unequal factors, the largest one, extreme values, and illegal factors."""
    comment = "catches rows taken for columns, and tiles in the place of repetitions"
    for rows, columns in ((1, 2), (2, 1), (2, 3), (4, 1)):
        x = numbered((2, 2, 3), -6)
        yield _moved(f"factors-{rows}x{columns}", Nearest("nearest", "x", "y", rows, columns), S8, x, "NEAR-1", comment)
    x = np.array([[[S48.lo, S48.hi]]])
    yield _moved("widest", Nearest("nearest", "x", "y", 1, 64), S48, x, "NEAR-1", "the largest factor, extreme values")
    for rows, columns in ((0, 1), (1, 65)):
        op, x = Nearest("nearest", "x", "y", rows, columns), np.zeros((1, 1, 1), np.int64)
        comment = "factors are 1 to 64"
        yield _rejected(f"{rows}x{columns}", op, {"x": S8, "y": S8}, x, "NEAR-1", comment, "RC-MODEL-RANGE")


def crop_cases() -> Iterator[Case]:
    """Four different sides, each side by itself, none, and crops of which nothing remains."""
    comment = "catches sides that are exchanged, and a count of zero that takes everything"
    for sides in ((1, 2, 3, 1), (2, 1, 0, 4), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0, 0, 0, 0)):
        yield _moved(_label(sides), Crop("crop", "x", "y", *sides), S16, numbered((2, 4, 5), -20), "CROP-1", comment)
    yield from _rejected_sides(Crop, "CROP-1")
    for sides in ((2, 2, 0, 0), (0, 0, 5, 0)):
        op, x = Crop("crop", "x", "y", *sides), numbered((1, 4, 5), 0)
        yield _rejected(_label(sides), op, {"x": S16, "y": S16}, x, "CROP-1", "nothing would remain", "RC-SHAPE")


def pad_cases() -> Iterator[Case]:
    """Four different sides, each side by itself, none, and counts outside their limits."""
    comment = "catches sides that are exchanged, and borders that are repeated in the place of zeros"
    for sides in ((1, 2, 3, 0), (2, 0, 1, 3), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0, 0, 0, 0)):
        yield _moved(_label(sides), Pad("pad", "x", "y", *sides), S16, numbered((2, 2, 3), 1), "PAD-1", comment)
    yield from _rejected_sides(Pad, "PAD-1")


def _label(sides: Sides) -> str:
    return "-".join(map(str, sides))


def _rejected_sides(kind: type[Crop] | type[Pad], clause: str) -> Iterator[Case]:
    x, formats = np.zeros((1, 2, 2), np.int64), {"x": S16, "y": S16}
    for label, sides in (("negative", (0, 0, -1, 0)), ("65536", (0, 65536, 0, 0))):
        op, comment = kind(kind.kind, "x", "y", *sides), "counts are 0 to 65535"
        yield _rejected(label, op, formats, x, clause, comment, "RC-MODEL-RANGE")
    op, comment = kind(kind.kind, "x", "y", 0, 0, 0, 0), "the format must stay"
    yield _rejected("format", op, {"x": S16, "y": S32}, x, clause, comment, "RC-MODEL-RANGE")


def _moved(
    label: str, op: Moving, fmt: IntFormat, x: np.ndarray, clause: str, comment: str, *flags: str, channels: int = 0
) -> Case:
    return operation_case(label, op, {"x": fmt, "y": fmt}, {"x": x}, (clause,), comment, flags, channels or len(x))


# --- several tensors


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


def arrangement_cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from linear_cases()
    yield from depthwise_convolution_cases()
    yield from masked_convolution_cases()
    yield from pixel_shuffle_cases()
    yield from nearest_cases()
    yield from crop_cases()
    yield from pad_cases()
    yield from concatenate_cases()
    yield from add_cases()
    yield from latent_means_cases()
