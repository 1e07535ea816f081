"""Corner cases of operations that only move samples (SPEC VEC-2)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from refcodec.formats import IntFormat
from refcodec.program.operations import (
    Crop,
    Nearest,
    Pad,
    PixelShuffle,
    Tile,
)
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.draw import numbered
from refcodec.vectorgen.operation_case import operation_case, rejected_case

S8, S16, S32, S48 = (IntFormat(bits, True) for bits in (8, 16, 32, 48))
Moving = PixelShuffle | Crop | Pad | Nearest | Tile
Sides = tuple[int, int, int, int]


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
        comment = "factors are 1 to 64 and divide the channels"
        yield rejected_case(label, op, {"x": S8, "y": S8}, x, "PS-2", comment, code, channels)


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
        yield rejected_case(f"{rows}x{columns}", op, {"x": S8, "y": S8}, x, "NEAR-1", comment, "RC-MODEL-RANGE")


def tile_cases() -> Iterator[Case]:
    """Unequal counts, the largest one, extreme values, and illegal counts."""
    comment = "catches rows taken for columns, and repetitions of samples in the place of tiles"
    for rows, columns in ((1, 2), (2, 1), (2, 3), (4, 1)):
        op = Tile("tile", "x", "y", rows, columns)
        yield _moved(f"repeats-{rows}x{columns}", op, S8, numbered((2, 2, 3), -6), "TILE-1", comment)
    x, comment = np.array([[[S48.lo, S48.hi]]]), "more than 64 repeats, extreme values"
    yield _moved("many", Tile("tile", "x", "y", 1, 65), S48, x, "TILE-1", comment)
    for rows, columns in ((0, 1), (1, 4097)):
        op, x = Tile("tile", "x", "y", rows, columns), np.zeros((1, 1, 1), np.int64)
        comment = "repeats are 1 to 4096"
        yield rejected_case(f"{rows}x{columns}", op, {"x": S8, "y": S8}, x, "TILE-2", comment, "RC-MODEL-RANGE")


def crop_cases() -> Iterator[Case]:
    """Four different sides, each side by itself, none, and crops of which nothing remains."""
    comment = "catches sides that are exchanged, and a count of zero that takes everything"
    for sides in ((1, 2, 3, 1), (2, 1, 0, 4), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0, 0, 0, 0)):
        yield _moved(_label(sides), Crop("crop", "x", "y", *sides), S16, numbered((2, 4, 5), -20), "CROP-1", comment)
    yield from _rejected_sides(Crop, "CROP-1")
    for sides in ((2, 2, 0, 0), (0, 0, 5, 0)):
        op, x = Crop("crop", "x", "y", *sides), numbered((1, 4, 5), 0)
        yield rejected_case(_label(sides), op, {"x": S16, "y": S16}, x, "CROP-1", "nothing would remain", "RC-SHAPE")


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
        yield rejected_case(label, op, formats, x, clause, comment, "RC-MODEL-RANGE")
    op, comment = kind(kind.kind, "x", "y", 0, 0, 0, 0), "the format must stay"
    yield rejected_case("format", op, {"x": S16, "y": S32}, x, clause, comment, "RC-MODEL-RANGE")


def _moved(
    label: str, op: Moving, fmt: IntFormat, x: np.ndarray, clause: str, comment: str, *flags: str, channels: int = 0
) -> Case:
    return operation_case(label, op, {"x": fmt, "y": fmt}, {"x": x}, (clause,), comment, flags, channels or len(x))


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from pixel_shuffle_cases()
    yield from nearest_cases()
    yield from tile_cases()
    yield from crop_cases()
    yield from pad_cases()
