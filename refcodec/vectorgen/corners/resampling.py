"""Cases for resize, scale space and warp: constructed corners first, then counter-based random values (SPEC VEC-2)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refcodec.fixed import GAUSSIAN
from refcodec.formats import IntFormat
from refcodec.program.operations.resize import Resize
from refcodec.program.operations.scale_space import ScaleSpace
from refcodec.program.operations.warp import Warp
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.draw import draw_with_ends
from refcodec.vectorgen.operation_case import operation_case

U8 = IntFormat(8, False)
S8 = IntFormat(8, True)
S16 = IntFormat(16, True)
RESIZING = ("RES-1", "RES-2", "DIV-1")
BLURRING = ("BLUR-1", "BLUR-3")
HALVING = ("BLUR-1", "BLUR-2", "BLUR-3", "RES-2")
WARPING = ("WARP-1", "WARP-2")
WARP = ("warp", ("volume", "flow"), "y")


def resize_cases() -> Iterator[Case]:
    """Pairs of factors, ties on both sides of zero, planes of one sample, row or column, and the widest formats."""
    for rows, columns in ((1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (2, 3), (4, 5), (5, 4)):
        x = draw_with_ends(10 * rows + columns, (2, 2, 3), S8)
        comment = "catches weights of another factor, and rows taken for columns"
        yield _resized(f"factors-{rows}x{columns}", x, Resize("resize", "x", "y", rows, columns), S8, comment)
    ties = np.array([[[0, 2, 0, -2, 0, 6, 0, -6]]])
    comment = "halves on both sides of zero: catches rounding to even, away from zero, and towards zero"
    for label, x, rows, columns in (("row", ties, 1, 2), ("column", ties.transpose(0, 2, 1), 2, 1)):
        op = Resize("resize", "x", "y", rows, columns)
        yield _resized(f"ties-{label}", x, op, S8, comment, "Tie", "Negative")
    comment = "catches a rounding of the rows before that of the columns"
    x = np.array([[[1, 0, 2], [3, 0, -2]]])
    yield _resized("one-rounding", x, Resize("resize", "x", "y", 2, 2), S8, comment, "DoubleRounding")
    for label, shape in (("sample", (1, 1, 1)), ("row", (1, 1, 4)), ("column", (1, 4, 1))):
        comment = "catches a second sample that is read beyond the border"
        yield _resized(f"single-{label}", draw_with_ends(1, shape, U8), Resize("resize", "x", "y", 3, 5), U8, comment)
    for fmt in (IntFormat(32, True), IntFormat(32, False)):
        x = np.array([[[fmt.lo, fmt.hi, fmt.hi], [fmt.hi, fmt.lo, fmt.hi], [fmt.lo, fmt.lo, fmt.lo]]])
        comment = "catches sums that have fewer bits than they need"
        yield _resized(f"extremes-{fmt}", x, Resize("resize", "x", "y", 5, 4), fmt, comment, "ExtremeAccumulator")
    yield from _rejected_resizes()


def _resized(label: str, x: np.ndarray, op: Resize, fmt: IntFormat, comment: str, *flags: str) -> Case:
    return operation_case(label, op, {"x": fmt, "y": fmt}, {"x": x}, RESIZING, comment, flags)


def _rejected_resizes() -> Iterator[Case]:
    for label, rows, columns in (("zero", 0, 1), ("six", 1, 6)):
        op, inputs = Resize("resize", "x", "y", rows, columns), {"x": np.zeros((1, 2, 2), np.int64)}
        comment, code = "factors are 1 to 5", "RC-MODEL-RANGE"
        yield operation_case(f"invalid-{label}", op, {"x": U8, "y": U8}, inputs, ("RES-3",), comment, error=code)


def scale_space_cases() -> Iterator[Case]:
    """Impulses, flat planes, ties, the order of the slices, the smallest sizes, all levels, and illegal sizes."""
    impulses = np.zeros((2, 11, 13), np.int64)
    impulses[0, 5, 6], impulses[1, 0, 12] = S16.hi, S16.lo
    comment = "one sample in the middle, one in a corner: catches any wrong weight, and zeros beyond the border"
    yield _scaled("impulses", impulses, 1, S16, comment, "Negative")
    flat = np.repeat(np.array([S16.lo, -1, S16.hi]), 16).reshape(3, 4, 4)
    comment = "catches weights that do not sum to their unit, and sums that have fewer bits than they need"
    yield _scaled("flat", flat, 3, S16, comment, "ExtremeAccumulator", "Negative")
    ties = [
        [-1, -1, 3, -2, -2, 1, -2, 1, 3, -2, 3], [3, 0, 1, 1, -1, -3, -2, -3, 3, 1, 1],
        [-3, 0, -3, 3, 3, 1, 2, -1, 2, -1, -3], [-3, -3, -2, 3, 2, -3, 2, 2, 0, 0, -3],
    ]  # fmt: skip
    comment = "the middle samples become -1/2, -3/2, 3/2 and 1/2: catches rounding to even, away from or towards zero"
    yield _scaled("ties", np.array(ties)[:, None], 1, S8, comment, "Tie", "Negative")
    yield _scaled(
        "beside-tie", _beside_half(), 1, S16, "catches rows that are rounded before columns", "DoubleRounding"
    )
    order, comment = draw_with_ends(4, (2, 2, 6), S8), "catches slices, channels, rows and columns exchanged"
    yield _scaled("order", order, 2, S8, f"{comment}; halves on both sides of zero in the halving", "Tie", "Negative")
    for levels, height, width in ((1, 1, 1), (1, 3, 2), (2, 2, 2), (3, 4, 12), (4, 8, 8)):
        x = draw_with_ends(levels, (1, height, width), U8)
        comment = "planes smaller than the kernel: catches a border repeated only once"
        yield _scaled(f"small-{levels}-{height}x{width}", x, levels, U8, comment, "Border")
    yield _scaled("levels", draw_with_ends(9, (1, 16, 16), U8), 5, U8, "all slices of five levels", "Border")
    yield from _rejected_scale_spaces()


def _scaled(label: str, x: np.ndarray, levels: int, fmt: IntFormat, comment: str, *flags: str) -> Case:
    op, channels = ScaleSpace("scale_space", "x", "y", levels), (levels + 1) * len(x)
    clauses = HALVING if levels > 1 else BLURRING
    return operation_case(label, op, {"x": fmt, "y": fmt}, {"x": x}, clauses, comment, flags, channels)


def _beside_half() -> np.ndarray:
    """A plane whose middle sum lies less than 2**13 below half of 2**28."""
    weight = np.outer(GAUSSIAN, GAUSSIAN)
    x, rest = np.zeros((1, 11, 11), np.int64), (1 << 27) - 4000
    for place in np.argsort(-weight, axis=None, kind="stable"):
        x[0].flat[place], rest = divmod(rest, int(weight.flat[place]))
    return x


def _rejected_scale_spaces() -> Iterator[Case]:
    for levels, height, width in ((2, 3, 4), (3, 4, 6), (6, 32, 2), (0, 1, 1), (7, 1, 1)):
        legal = 1 <= levels <= 6
        comment = f"sides must be multiples of {1 << (levels - 1)}" if legal else "levels are 1 to 6"
        op, channels = ScaleSpace("scale_space", "x", "y", levels), levels + 1
        inputs, formats = {"x": np.zeros((1, height, width), np.int64)}, {"x": U8, "y": U8}
        label, code = f"invalid-{levels}-{height}x{width}", "RC-SHAPE" if legal else "RC-MODEL-RANGE"
        yield operation_case(label, op, formats, inputs, ("BLUR-4",), comment, (), channels, code)


def _moves(fraction: int, height: int, width: int, depth: int) -> np.ndarray:
    """A flow that visits both borders of every axis, the samples, the middles between them, and their neighbours."""
    unit, count = 1 << fraction, height * width
    steps = [0, -1, 1, -unit, unit, 2 * unit, -2 * unit, S16.lo, S16.hi, unit // 2, -unit // 2, unit // 3]
    flow = [
        [steps[(7 * n + n // 12) % 12] for n in range(count)],
        [steps[(5 * n + 3 + n // 12) % 12] for n in range(count)],
        [((2 * (n % (depth + 2)) - depth - 1) * unit) // depth + n // depth % 3 - 1 for n in range(count)],
    ]
    return np.array(flow, np.int64).clip(S16.lo, S16.hi).reshape(3, height, width)


def warp_cases() -> Iterator[Case]:
    """Places at and beyond all borders, every unit, one and six slices, odd and thin planes, ties, extreme sums."""
    grids = ((0, 6, 4, 7), (1, 2, 5, 3), (7, 1, 3, 5), (12, 6, 5, 6), (14, 2, 3, 4), (14, 6, 4, 5))
    for fraction, depth, height, width in grids:
        volume = draw_with_ends(fraction + depth, (2 * depth, height, width), S8)
        flow = _moves(fraction, height, width, depth)
        comment = "catches axes, slices and channels exchanged, and places limited before or after they should be"
        yield _warped(
            f"moves-f{fraction}-{depth}x{height}x{width}", volume, flow, Warp(*WARP, fraction), 2, S8, comment
        )
    # The last of eight weights is 18669 * 28982 * 32514 = 2**44 - 4: the sum lies 4 below a half, in 60 bits.
    volume, flow = np.full((3, 3, 3), 32766), np.zeros((3, 3, 3), np.int64)
    volume[2, 1, 2] = 32767
    flow[:, 1, 1] = 18669 // 3, (28982 - 32768) // 3, 32514 // 3
    comment = "four below half of 45 bits: catches sums in binary64"
    yield _warped("beside-tie", volume, flow, Warp(*WARP, 14), 1, S16, comment, "TieNeighbour")
    for height, width in ((1, 1), (1, 6), (6, 1)):
        volume, flow = draw_with_ends(height, (2, height, width), U8), _moves(4, height, width, 2)
        comment = "catches a second sample that is read beyond the border"
        yield _warped(f"thin-{height}x{width}", volume, flow, Warp(*WARP, 4), 1, U8, comment)
    volume, flow = np.array([[[-4, -3, 0, 1]], [[-3, 0, 1, 4]]]), np.zeros((3, 1, 4), np.int64)
    flow[0, 0, 0], flow[0, 0, 2] = 1, 1  # half a sample to the right, in the first slice
    flow[2, 0] = [-2, 0, -2, 0]  # the first slice, or halfway to the second
    comment = "halves on both sides of zero: catches rounding to even, away from zero, and towards zero"
    yield _warped("ties", volume, flow, Warp(*WARP, 2), 1, S8, comment, "Tie", "Negative")
    for fmt in (S16, IntFormat(16, False)):
        volume = np.full((2, 2, 3), fmt.hi)
        volume[:, :, 0] = fmt.lo
        flow = draw_with_ends(3, (3, 2, 3), IntFormat(14, True))
        flow[0, 0] = (S16.lo, 0, S16.hi)  # to the left border, to the right one
        comment = "catches sums that have fewer bits than they need"
        yield _warped(f"extremes-{fmt}", volume, flow, Warp(*WARP, 14), 1, fmt, comment, "ExtremeAccumulator")
    yield from _rejected_warps()


def _warped(
    label: str, volume: np.ndarray, flow: np.ndarray, op: Warp, channels: int, fmt: IntFormat, comment: str, *flags: str
) -> Case:
    formats = {"volume": fmt, "flow": S16, "y": fmt}
    return operation_case(label, op, formats, {"volume": volume, "flow": flow}, WARPING, comment, flags, channels)


def _rejected_warps() -> Iterator[Case]:
    formats = {"volume": U8, "flow": S16, "y": U8}
    for label, planes, shape, fraction, comment, code in (
        ("size", 4, (3, 2, 3), 4, "every sample has a flow of its own", "RC-SHAPE"),
        ("slices", 3, (3, 2, 2), 4, "three planes are not slices of two channels", "RC-MODEL-TENSOR"),
        ("flow", 4, (2, 2, 2), 4, "a flow has three planes", "RC-MODEL-TENSOR"),
        ("fraction", 4, (3, 2, 2), 15, "fractions are 0 to 14", "RC-MODEL-RANGE"),
    ):
        inputs = {"volume": np.zeros((planes, 2, 2), np.int64), "flow": np.zeros(shape, np.int64)}
        op = Warp(*WARP, fraction)
        yield operation_case(f"invalid-{label}", op, formats, inputs, ("WARP-3",), comment, (), 2, code)


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from resize_cases()
    yield from scale_space_cases()
    yield from warp_cases()
