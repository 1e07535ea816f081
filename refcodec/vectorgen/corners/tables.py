"""Cases for tables, exact heads, positional encodings and embeddings, constructed corners first (SPEC VEC-2)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refcodec.formats import IntFormat
from refcodec.program.operations.embedding import Embedding
from refcodec.program.operations.positional_encoding import PositionalEncoding
from refcodec.program.operations.table import InterpolatedTable, Table
from refcodec.program.operations.threshold_head import ThresholdHead
from refcodec.program.standard_tables import SINE, load_activation_table
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.draw import draw_with_ends
from refcodec.vectorgen.operation_case import operation_case

S2, S8, S10, S16, S32, S48 = (IntFormat(bits, True) for bits in (2, 8, 10, 16, 32, 48))
U8, U10, U16, U20, U22 = (IntFormat(bits, False) for bits in (8, 10, 16, 20, 22))
DIRECT, LINES = ("TAB-1", "TAB-3"), ("TAB-2", "TAB-3", "TAB-5", "RND-1")
HEAD, WAVE, LOOKUP = ("HEAD-1", "HEAD-2"), ("PE-1", "PE-2"), ("EMB-1", "DIV-1")
TURN = 1 << 40


def every(fmt: IntFormat) -> np.ndarray:
    """All values of a format, in two channels of one row."""
    return np.arange(fmt.lo, fmt.hi + 1).reshape(2, 1, -1)


def ends(fmt: IntFormat) -> np.ndarray:
    """Both ends of a format and its middle, with neighbours."""
    middle = fmt.lo + fmt.hi + 1 >> 1
    values = [fmt.lo, fmt.lo + 1, middle - 1, middle, middle + 1, fmt.hi - 1, fmt.hi]
    return np.array(values, np.int64).reshape(1, 1, -1)


# --- tables


def table_cases() -> Iterator[Case]:
    """Every value of small sources, both ends of the widest ones, entries of 32 bits, and illegal tables."""
    for source in (S2, S8, U8):
        op = Table("table", "x", "y", draw_with_ends(source.bits, (1 << source.bits,), S16))
        comment = "every value: catches a table that begins elsewhere, and a sign that is lost"
        yield _looked_up(f"every-{source}", op, source, S16, every(source), comment, "Negative")
    for source in (S10, U10):
        op = Table("table", "x", "y", np.arange(1 << source.bits) - 512)
        yield _looked_up(f"ends-{source}", op, source, S10, ends(source), "catches an index of fewer than 10 bits")
    op = Table("table", "x", "y", np.array([S32.lo, -1, 0, S32.hi]))
    comment = "catches entries of fewer than 32 bits"
    yield _looked_up("wide", op, S2, S32, every(S2), comment, "ExtremeAccumulator")
    for label, source, target, table in (
        ("short", S2, S8, np.zeros(3, np.int64)),
        ("wide-entry", S2, S8, np.array([0, 0, 0, 128])),
        ("one-bit", IntFormat(1, False), S8, np.zeros(2, np.int64)),
    ):
        op, inputs = Table("table", "x", "y", table), {"x": np.zeros((1, 1, 1), np.int64)}
        code = "RC-MODEL-TENSOR" if label == "short" else "RC-MODEL-RANGE"
        comment = "a table has an entry of the target for every value of 2 to 10 bits"
        formats = {"x": source, "y": target}
        yield operation_case(f"invalid-{label}", op, formats, inputs, ("TAB-3",), comment, error=code)


def _looked_up(
    label: str, op: Table, source: IntFormat, target: IntFormat, x: np.ndarray, comment: str, *flags: str
) -> Case:
    return operation_case(label, op, {"x": source, "y": target}, {"x": x}, DIRECT, comment, flags)


def interpolated_table_cases() -> Iterator[Case]:
    """Ties on rising and falling lines, every spacing, the steepest lines, the last node, and illegal nodes."""
    ties = InterpolatedTable("lines", "x", "y", 1, np.array([0, 1, 0, -1, -2, -1, 0, 3, 0]))
    comment = "halves on rising and falling lines: catches rounding to even, away from zero, and towards zero"
    yield _joined("ties", ties, IntFormat(4, True), S8, every(IntFormat(4, True)), comment, "Tie", "Negative")
    for source in (IntFormat(6, True), IntFormat(6, False)):
        for spacing in (1, 3, 5):
            op = InterpolatedTable("lines", "x", "y", spacing, draw_with_ends(spacing, ((1 << 6 - spacing) + 1,), S8))
            comment = "every value: catches an index or a part cut at the wrong bit"
            yield _joined(f"every-{source}-{spacing}", op, source, S8, every(source), comment, "Negative")
    for source in (S16, U16):
        steep = InterpolatedTable("lines", "x", "y", 15, np.array([S32.lo, S32.hi, S32.lo]))
        comment = "catches differences of nodes of 32 bits, and products of fewer than 48"
        yield _joined(f"steep-{source}", steep, source, S32, ends(source), comment, "ExtremeAccumulator")
    gelu = InterpolatedTable("lines", "x", "y", 7, load_activation_table("gelu-s16f10-s16f10-spacing7"))
    x = np.concatenate([ends(S16).ravel(), np.arange(-3072, 3072, 61), S16.hi - np.arange(129)]).reshape(1, 1, -1)
    comment = "the shipped nodes, and every value before the last one: catches a node missing at the end"
    yield _joined("gelu", gelu, S16, S16, x, comment, "Negative")
    for label, spacing, count, peak, code in (
        ("spacing-0", 0, 257, 0, "RC-MODEL-RANGE"),
        ("spacing-8", 8, 2, 0, "RC-MODEL-RANGE"),
        ("without-last", 7, 2, 0, "RC-MODEL-TENSOR"),
        ("wide-node", 7, 3, 128, "RC-MODEL-RANGE"),
    ):
        op = InterpolatedTable("lines", "x", "y", spacing, np.full(count, peak))
        inputs, comment = {"x": np.zeros((1, 1, 1), np.int64)}, "nodes stand from end to end, within the target"
        yield operation_case(f"invalid-{label}", op, {"x": S8, "y": S8}, inputs, ("TAB-3",), comment, error=code)


def _joined(
    label: str,
    op: InterpolatedTable,
    source: IntFormat,
    target: IntFormat,
    x: np.ndarray,
    comment: str,
    *flags: str,
) -> Case:
    return operation_case(label, op, {"x": source, "y": target}, {"x": x}, LINES, comment, flags)


# --- exact heads


def threshold_head_cases() -> Iterator[Case]:
    """Every threshold and its neighbours, equal ones, both ends of 48 bits, and illegal thresholds."""
    thresholds = np.cumsum(1 + draw_with_ends(7, (255,), U8) % 64)[None] - 4000
    around = np.concatenate([thresholds - 1, thresholds, thresholds + 1])[:, None].reshape(1, 3, 255)
    comment = "below, at and above each of 255 thresholds: catches >=, and a search that misses an end"
    yield _headed("thresholds", thresholds, around, S16, comment, "ThresholdEdge", "Negative")
    equal = np.array([[-5] * 100 + [0] * 55 + [7] * 100, [S48.lo] * 85 + [-1] * 85 + [S48.hi - 1] * 85])
    x = np.array([[-6, -5, -4, -1, 0, 1, 7, 8], [S48.lo, S48.lo + 1, -1, 0, 1, S48.hi - 2, S48.hi - 1, S48.hi]])
    comment = "equal thresholds and the ends of 48 bits: catches channels exchanged, and narrow comparisons"
    yield _headed("ends", equal, x[:, None], S48, comment, "EqualThresholds", "ExtremeAccumulator", "Negative")
    for label, broken, code in (
        ("falling", np.array([[0] * 254 + [-1]]), "RC-MODEL-RANGE"),
        ("short", np.zeros((1, 254), np.int64), "RC-MODEL-TENSOR"),
    ):
        op, inputs = ThresholdHead("head", "x", "y", broken), {"x": np.zeros((1, 1, 1), np.int64)}
        comment = "a channel has 255 thresholds that never decrease"
        yield operation_case(f"invalid-{label}", op, {"x": S16, "y": U8}, inputs, ("HEAD-2",), comment, error=code)


def _headed(label: str, thresholds: np.ndarray, x: np.ndarray, fmt: IntFormat, comment: str, *flags: str) -> Case:
    op = ThresholdHead("head", "x", "y", thresholds)
    return operation_case(label, op, {"x": fmt, "y": U8}, {"x": x}, HEAD, comment, flags)


# --- positional encodings


def positional_encoding_cases() -> Iterator[Case]:
    """Edges of quadrants and nodes, ties, the largest frame number and increment, both orders, illegal nodes."""
    nodes = np.array([0, *(k * k * 16 + k % 7 for k in range(1, 1024)), 1 << 24])  # no sine, so that no node is alike
    edges = [quadrant * (TURN >> 2) + (node << 28) for quadrant in range(4) for node in (0, 1, 2, 511, 1022, 1023)]
    steps = np.array([(edge + beside) % TURN for edge in edges for beside in (-1, 0, 1, 1 << 27)])
    comment = "phases at and beside nodes of all quadrants: catches mirrored nodes, and a node read beyond the last"
    yield _encoded("nodes", 1, PositionalEncoding("pe", "t", "y", False, 14, steps, nodes), comment, "Negative")
    steps = np.array([0, 1, TURN - 1, TURN >> 1, (TURN >> 1) + 1, 0x5555555555, 0xAAAAAAAAAB])
    nodes = load_activation_table(SINE)
    comment = "products of 62 bits, in turn: catches a phase that goes through a double, and the other order"
    op = PositionalEncoding("pe", "t", "y", True, 14, steps, nodes)
    yield _encoded("largest", U22.hi, op, comment, "ExtremeAccumulator", "Negative")
    yield from _steep_encodings()
    op, inputs = PositionalEncoding("pe", "t", "y", True, 14, steps, np.array([0, 1 << 24])), {"t": _number(0)}
    comment, code = "a quarter wave has 1025 nodes", "RC-MODEL-TENSOR"
    formats, channels = {"t": U22, "y": S16}, 2 * len(steps)
    yield operation_case("invalid-nodes", op, formats, inputs, ("PE-3",), comment, (), channels, code)


def _steep_encodings() -> Iterator[Case]:
    """Nodes that jump, so that one unit of a phase shows, and nodes beside halves of a result's unit."""
    nodes = np.repeat([0, 1 << 24], [513, 512])  # all of the wave between nodes 512 and 513
    inverse, half = pow(U22.hi, -1, TURN), (512 << 28) + (1 << 13)
    steps = np.array([(half + beside) * inverse % TURN for beside in (-1, 0, 1)])
    comment = "phases one unit beside a half: catches phases in binary64 or binary32, and frame numbers of 16 bits"
    yield _encoded("one-unit", U22.hi, PositionalEncoding("pe", "t", "y", False, 14, steps, nodes), comment, "Tie")
    nodes = np.repeat([0, 3 << 22, 1 << 24], [513, 511, 1])
    steps = np.array([(512 << 28) + beside for beside in (10922, 10923)])  # 2**37 / (3 << 22) lies between
    comment = "a half within 4096 units of a phase: catches parts between nodes of fewer than 28 bits"
    yield _encoded("within-a-part", 1, PositionalEncoding("pe", "t", "y", False, 14, steps, nodes), comment)
    parts = np.array([0, 511, 512, 512, 1023, 1535, 1536, 2558] + [4096] * 1016 + [1 << 24])
    places = [
        (2 << 28),
        (2 << 28) - 1,
        (4 << 28) + 262401,
        (4 << 28) + 262400,
        (1 << 28) + (3 << 26),
        (6 << 28) + 262401,
    ]
    half_turn = TURN >> 1
    steps = np.array([*places, *(half_turn - place for place in places), *(half_turn + place for place in places)])
    comment = "halves of both signs and what lies just below: catches magnitudes that are rounded, and two roundings"
    op = PositionalEncoding("pe", "t", "y", False, 14, steps, parts)
    yield _encoded("halves", 1, op, comment, "Tie", "TieNeighbour", "Negative", "DoubleRounding")


def _number(index: int) -> np.ndarray:
    return np.full((1, 1, 1), index, np.int64)


def _encoded(label: str, index: int, op: PositionalEncoding, comment: str, *flags: str) -> Case:
    formats, inputs = {"t": U22, "y": S16}, {"t": _number(index)}
    return operation_case(label, op, formats, inputs, WAVE, comment, flags, 2 * len(op.increments))


# --- embeddings


def embedding_cases() -> Iterator[Case]:
    """Every frame of an uneven spread, ties, as many tensors as frames, the most frames, and illegal numbers."""
    table = draw_with_ends(3, (24,), S8).reshape(3, 2, 2, 2)
    for index in range(7):
        comment = "three tensors over seven frames: catches positions from corner to corner, and ends not repeated"
        op = Embedding("grid", "t", "y", 7, True, table)
        yield _found(f"spread-{index}", op, index, S8, comment, "Border", "Negative")
    for index in (0, 1, 4, 5, 6):
        comment = "catches an offset of half a tensor where none is wanted, and a last tensor that is not held"
        op = Embedding("grid", "t", "y", 7, False, table)
        yield _found(f"left-{index}", op, index, S8, comment, "Border", "Negative")
    ties = np.array([[[[-3, -2, 0, 3, S16.lo]]], [[[-2, -3, 1, 4, S16.hi]]]])
    comment = "halfway between two tensors: catches rounding to even, away from zero, and towards zero"
    yield _found("ties", Embedding("grid", "t", "y", 3, True, ties), 1, S16, comment, "Tie", "Negative")
    near = np.array([[[[32766, -32767]]], [[[32767, -32766]]]])
    op, comment = Embedding("grid", "t", "y", 1 << 20, True, near), "just below half: catches sums in binary32"
    yield _found("beside-tie", op, (1 << 19) - 1, S16, comment, "TieNeighbour")
    for label, centred in (("lookup", True), ("left-lookup", False)):
        op, comment = Embedding("grid", "t", "y", 3, centred, table), "catches a tensor of a neighbouring frame"
        yield _found(label, op, 2, S8, comment)
    for fmt in (S16, U16):
        ends = np.array([[[[fmt.lo, fmt.hi, fmt.lo]]], [[[fmt.lo, fmt.hi, fmt.hi]]]])
        op, comment = Embedding("grid", "t", "y", 1 << 20, True, ends), "catches sums of fewer bits than they need"
        yield _found(f"extremes-{fmt}", op, 699_051, fmt, comment, "ExtremeAccumulator")
    for label, frames, x, code in (
        ("frame", 7, _number(7), "RC-RANGE"),
        ("frames", 2, _number(0), "RC-MODEL-RANGE"),
        ("two-numbers", 7, np.zeros((1, 1, 2), np.int64), "RC-SHAPE"),
    ):
        op = Embedding("grid", "t", "y", frames, True, table)
        comment = "one number below the frames, which the tensors share"
        formats = {"t": U20, "y": S8}
        yield operation_case(f"invalid-{label}", op, formats, {"t": x}, ("EMB-2",), comment, (), 2, code)


def _found(label: str, op: Embedding, index: int, fmt: IntFormat, comment: str, *flags: str) -> Case:
    formats, inputs = {"t": U20, "y": fmt}, {"t": _number(index)}
    return operation_case(label, op, formats, inputs, LOOKUP, comment, flags, op.table.shape[1])


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from table_cases()
    yield from interpolated_table_cases()
    yield from threshold_head_cases()
    yield from positional_encoding_cases()
    yield from embedding_cases()
