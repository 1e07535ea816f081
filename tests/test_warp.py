"""Warping: kernel, definition, fractions, an eight-corner formula and PyTorch's agree (SPEC WARP-1 to WARP-3)."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from typing import Any

import naive_resampling
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.scale_space import scale_space
from refcodec.layers.warp import warp, warp_plain
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations import Tensor, check_operation
from refcodec.program.operations.warp import Warp
from refcodec.program.program import Program
from refcodec.program.reach import Reach
from refcodec.vectorgen.corners.resampling import warp_cases

S8, U8, S16, U16 = IntFormat(8, True), IntFormat(8, False), IntFormat(16, True), IntFormat(16, False)


def places(flow: np.ndarray, depth: int, fraction: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each sample reads, in units of 2**-(fraction + 1) samples, before the limits: x, y and between slices."""
    _, height, width = flow.shape
    wide = flow.astype(np.int64)
    columns, rows = np.arange(width) << (fraction + 1), np.arange(height)[:, None] << (fraction + 1)
    return columns + wide[0] * width, rows + wide[1] * height, ((depth - 1) << fraction) + wide[2] * depth


def numerators(volume: np.ndarray, flow: np.ndarray, depth: int, fraction: int) -> np.ndarray:
    """The exact weighted sums (C, H, W) out of 2**(3 * fraction + 3): eight corners, each with its volume of a cube."""
    unit = 2 << fraction
    cube = volume.astype(np.int64).reshape(depth, -1, *volume.shape[1:])
    total = np.zeros(cube.shape[1:], np.int64)
    sides = []
    for place, size in zip(places(flow, depth, fraction), (*volume.shape[:0:-1], depth), strict=True):
        held = np.minimum(np.maximum(place, 0), (size - 1) * unit)
        sides.append([(k, np.maximum(unit - np.abs(held - k * unit), 0)) for k in (held // unit, -(-held // unit))])
        sides[-1][1] = (sides[-1][1][0], np.where(held % unit == 0, 0, sides[-1][1][1]))  # both are one sample there
    for (x, left), (y, upper), (z, near) in product(*sides):
        total += left * upper * near * cube.transpose(1, 0, 2, 3)[:, z, y, x]
    return total


def exact(volume: np.ndarray, flow: np.ndarray, depth: int, fraction: int) -> np.ndarray:
    """Those sums divided by their unit, halves towards plus infinity."""
    return (numerators(volume, flow, depth, fraction) + (1 << 3 * fraction + 2)) >> (3 * fraction + 3)


def agree(
    volume: np.ndarray, flow: np.ndarray, depth: int, fraction: int, fmt: IntFormat, flow_format: IntFormat = S16
) -> np.ndarray:
    """The common result of kernel, definition, fractions and corners."""
    found = warp(volume, flow, depth, fraction, fmt, flow_format)
    assert found.dtype == fmt.dtype
    np.testing.assert_array_equal(found, warp_plain(volume, flow, depth, fraction, fmt, flow_format))
    np.testing.assert_array_equal(found, exact(volume, flow, depth, fraction))
    cube = volume.reshape(depth, -1, *volume.shape[1:])
    assert found.tolist() == [
        naive_resampling.warp(cube[:, c].tolist(), flow.tolist(), fraction) for c in range(len(found))
    ]
    return found


# --- every displacement of small widths, one axis at a time


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("fraction", [0, 1, 2, 4])
def test_warp_agrees_on_every_displacement_along_either_axis(
    size: int, fraction: int, rng: np.random.Generator
) -> None:
    """All flows of six bits; they pass both borders, and meet every part of a sample that their unit can."""
    moves = np.arange(-32, 32)
    flow = np.zeros((3, 64, size), np.int64)
    flow[0], flow[2] = moves[:, None], -(1 << fraction)
    volume = rng.integers(-128, 128, (2, 64, size))
    found = agree(volume, flow, 2, fraction, S8)
    x, y, z = places(flow, 2, fraction)
    assert (y == np.arange(64)[:, None] << (fraction + 1)).all()
    assert z.max() < 0
    if fraction < 4:
        assert x.min() < 0
        assert x.max() > (size - 1) << (fraction + 1)
    if size % 2 and size > 1:
        inner = x[(x >= 0) & (x <= (size - 1) << (fraction + 1))]
        assert set((inner % (2 << fraction)).tolist()) == set(range(2 << fraction))
    turned = agree(volume.transpose(0, 2, 1), flow[[1, 0, 2]].transpose(0, 2, 1), 2, fraction, S8)
    np.testing.assert_array_equal(turned.transpose(0, 2, 1), found)


@pytest.mark.parametrize("depth", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("fraction", [0, 1, 3, 5])
def test_warp_agrees_on_every_position_between_slices(depth: int, fraction: int, rng: np.random.Generator) -> None:
    """From below -1 to above +1 in every step of the unit."""
    positions = np.arange(-(3 << fraction), (3 << fraction) + 1)
    flow = np.zeros((3, 1, len(positions)), np.int64)
    flow[2, 0] = positions
    volume = rng.integers(-128, 128, (depth, 1, len(positions)))
    found = agree(volume, flow, depth, fraction, S8)[0, 0]
    sharp, coarse = positions <= -(1 << fraction), positions >= 1 << fraction
    np.testing.assert_array_equal(found[sharp], volume[0, 0, sharp])
    np.testing.assert_array_equal(found[coarse], volume[-1, 0, coarse])


def test_warp_places_between_slices_are_those_of_the_closed_form() -> None:
    """Six slices: 3 * s + 5/2 for a position s, so s = 0 is the mean of slices 2 and 3, s = -5/6 is slice 0."""
    for s in range(-(1 << 14), 1 << 14, 37):
        place = Fraction(int(places(np.array([[[0]], [[0]], [[s]]]), 6, 12)[2].item()), 2**13)
        assert place == 3 * Fraction(s, 2**12) + Fraction(5, 2)
    volume = np.array([0, 100, 10, 21, 100, 100]).reshape(6, 1, 1)
    assert agree(volume, np.zeros((3, 1, 1), np.int64), 6, 12, S8).item() == 16


# --- corners


@pytest.mark.parametrize("fraction", [0, 7, 14])
@pytest.mark.parametrize(
    ("depth", "height", "width"), [(2, 1, 1), (6, 1, 7), (2, 5, 1), (6, 3, 5), (1, 4, 4), (2, 5, 7)]
)
def test_warp_agrees_at_the_ends_of_all_formats_on_thin_and_odd_planes(
    fraction: int, depth: int, height: int, width: int, rng: np.random.Generator
) -> None:
    """Catches sums that leave 64 bits, and limits that are taken too early, too late or on the wrong axis."""
    steps = [S16.lo, S16.lo + 1, -(1 << fraction), -1, 0, 1, (1 << fraction) - 1, S16.hi - 1, S16.hi]
    for fmt in (S16, U16, IntFormat(1, True)):
        ends = rng.choice([fmt.lo, fmt.hi], (2 * depth, height, width))
        flow = rng.choice(steps, (3, height, width))
        agree(ends, flow, depth, fraction, fmt)
        for end in (fmt.lo, fmt.hi):
            flat = np.full_like(ends, end)
            assert (agree(flat, flow, depth, fraction, fmt) == end).all()


@pytest.mark.parametrize("fraction", range(15))
def test_warp_agrees_beside_every_sample_and_beyond_both_borders(fraction: int, rng: np.random.Generator) -> None:
    """The last place before a sample and the first one behind it; catches weights that are one unit off."""
    height, width, depth, unit = 19, 21, 6, 2 << fraction
    sizes = (width, height, depth)
    own = np.arange(width)[None, :] * unit, np.arange(height)[:, None] * unit, (depth - 1) * unit // 2
    flow = np.stack([
        (rng.integers(-1, size + 1, (height, width)) * unit - start) // size + rng.integers(0, 2, (height, width))
        for size, start in zip(sizes, own, strict=True)
    ]).clip(S16.lo, S16.hi)  # fmt: skip
    agree(rng.integers(-128, 128, (depth, height, width)), flow, depth, fraction, S8)
    for axis, (place, size) in enumerate(zip(places(flow, depth, fraction), sizes, strict=True)):
        assert (place < 0).any()
        assert (place > (size - 1) * unit).any()
        parts = set((place[(place > 0) & (place < (size - 1) * unit)] % unit).tolist())
        assert max(parts) >= unit - depth
        assert axis == 2 or {0, 1, unit - 1} <= parts


def test_warp_rounds_ties_up_on_both_sides_of_zero() -> None:
    """Catches rounding to even, away from zero and towards zero, along every axis."""
    line, flow = np.array([-4, -3, 0, 1]), np.zeros((3, 1, 4), np.int64)
    slices = np.stack([line, line + np.array([1, 3, 1, 3])])[:, None]
    assert agree(slices, flow, 2, 2, S8).tolist() == [[[-3, -1, 1, 3]]]  # the means -7/2, -3/2, 1/2, 5/2
    flow[0], flow[2] = 1, -4  # a quarter of half the width is half a sample, in the first slice
    assert agree(slices, flow, 2, 2, S8).tolist() == [[[-3, -1, 1, 1]]]  # -7/2, -3/2, 1/2, and the border
    turned = agree(slices.transpose(0, 2, 1), flow[[1, 0, 2]].transpose(0, 2, 1), 2, 2, S8)
    assert turned.tolist() == [[[-3], [-1], [1], [1]]]


def test_warp_moves_by_whole_samples_and_reads_slices_before_channels() -> None:
    """A displacement of 2 / width is one sample to the right; plane d * C + c is slice d of channel c."""
    volume = np.arange(2 * 2 * 4 * 8).reshape(4, 4, 8)
    flow = np.zeros((3, 4, 8), np.int64)
    flow[0], flow[1], flow[2] = 2, -4, -8  # in eighths: 2/8 of 4 samples to the right, 4/8 of 2 samples upwards
    found = agree(volume, flow, 2, 3, S8)
    rows, columns = np.maximum(np.arange(4) - 1, 0), np.minimum(np.arange(8) + 1, 7)
    np.testing.assert_array_equal(found, volume[:2][:, rows][:, :, columns])
    flow[2] = 8
    np.testing.assert_array_equal(agree(volume, flow, 2, 3, S8), volume[2:][:, rows][:, :, columns])


def test_warp_of_a_scale_space_by_nothing_is_the_picture(rng: np.random.Generator) -> None:
    x = rng.integers(0, 256, (3, 16, 32))
    flow = np.zeros((3, 16, 32), np.int64)
    flow[2] = -(1 << 10)
    np.testing.assert_array_equal(warp(scale_space(x, 5, U8), flow, 6, 10, U8, S16), x)


# --- a million values


@pytest.mark.parametrize(
    ("fraction", "depth", "fmt"), [(0, 6, S8), (1, 2, U8), (7, 6, S16), (12, 6, U8), (14, 2, S16), (14, 6, U16)]
)
def test_warp_agrees_on_a_million_values(fraction: int, depth: int, fmt: IntFormat, rng: np.random.Generator) -> None:
    height, width, channels = 187, 401, 14
    volume = rng.integers(fmt.lo, fmt.hi, (depth * channels, height, width), endpoint=True)
    flow = rng.integers(S16.lo, S16.hi, (3, height, width)) >> rng.integers(0, 16, (3, height, width))
    flow[2] = rng.integers(-(1 << fraction), (1 << fraction) + 1, (height, width))
    found = warp(volume.astype(fmt.dtype), flow.astype(np.int16), depth, fraction, fmt, S16)
    assert found.size >= 10**6
    sums, unit = numerators(volume, flow, depth, fraction), 1 << 3 * fraction + 3
    np.testing.assert_array_equal(found, (sums + (unit >> 1)) >> (3 * fraction + 3))
    if fmt.signed and fraction < 14:
        ties = sums % unit == unit // 2
        assert min((ties & (sums < 0)).sum(), (ties & (sums > 0)).sum()) > 100


@pytest.mark.parametrize(("fraction", "fmt"), [(4, U8), (12, S16)], ids=str)
def test_warp_is_within_half_a_step_of_the_float_formula(
    fraction: int, fmt: IntFormat, rng: np.random.Generator
) -> None:
    """The exact value is within 1/2 of its rounding; 1e-7 is for the places of the formula in float64."""
    depth, channels, height, width = 6, 7, 301, 503
    volume = rng.integers(fmt.lo, fmt.hi, (depth * channels, height, width), endpoint=True)
    flow = rng.integers(S16.lo, S16.hi, (3, height, width)) >> rng.integers(0, 16, (3, height, width))
    flow[2] = rng.integers(-(1 << fraction), (1 << fraction) + 1, (height, width))
    cube = volume.reshape(depth, channels, height, width).astype(np.float64)
    error = np.abs(
        warp(volume, flow, depth, fraction, fmt, S16) - naive_resampling.float_warp(cube, flow / 2**fraction)
    )
    assert error.size >= 10**6
    assert 0.499 < error.max() <= 0.5 + 1e-7


# --- arrays


def test_warp_reads_any_layout_and_dtype_and_changes_nothing(rng: np.random.Generator) -> None:
    base, moves = rng.integers(0, 100, (6, 8, 8)), rng.integers(0, 64, (3, 8, 8))
    for dtype in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint64, ">i4"):
        typed, flow = base.astype(dtype), moves.astype(dtype)
        for turn in (lambda v: v, lambda v: v.transpose(0, 2, 1), lambda v: v[:, ::2, ::-1], lambda v: v[::-1]):
            volume, moved = turn(typed), turn(flow)
            kept = volume.copy(), moved.copy()
            wanted = exact(volume, moved, 3, 4)
            np.testing.assert_array_equal(warp(volume, moved, 3, 4, S8, S8), wanted)
            np.testing.assert_array_equal(warp_plain(volume, moved, 3, 4, S8, S8), wanted)
            np.testing.assert_array_equal(volume, kept[0])
            np.testing.assert_array_equal(moved, kept[1])


def test_warp_takes_a_flow_without_a_sign(rng: np.random.Generator) -> None:
    volume, flow = rng.integers(-128, 128, (4, 3, 5)), rng.choice([0, 1, 300, U16.hi], (3, 3, 5))
    agree(volume, flow, 2, 14, S8, U16)


UNCOMPILED = """
import json, sys
import numpy as np
from refcodec.formats import IntFormat
from refcodec.layers.warp import warp
fmt, flow_format = IntFormat(16, sys.argv[1] == "signed"), IntFormat(16, True)
volume = np.full((4, 2, 3), fmt.hi)
volume[2:] = fmt.lo
flow = np.array([[[-32768, 0, 32767]] * 2, [[5, -5, 32767]] * 2, [[-16384, 0, 16384]] * 2])
print(json.dumps(warp(volume, flow, 2, 14, fmt, flow_format).tolist()))
"""


@pytest.mark.parametrize("fmt", [S16, U16], ids=str)
def test_warp_wraps_nowhere_at_the_ends_without_the_compiler(fmt: IntFormat, run_uncompiled: Callable) -> None:
    """NumPy warns where a scalar wraps, and warnings are errors."""
    volume = np.full((4, 2, 3), fmt.hi)
    volume[2:] = fmt.lo
    flow = np.array([[[-32768, 0, 32767]] * 2, [[5, -5, 32767]] * 2, [[-16384, 0, 16384]] * 2])
    printed = run_uncompiled(UNCOMPILED, "signed" if fmt.signed else "unsigned")
    found = warp(volume, flow, 2, 14, fmt, S16)
    assert json.loads(printed) == found.tolist() == exact(volume, flow, 2, 14).tolist()
    assert {fmt.lo, fmt.hi} <= set(found.ravel().tolist())


# --- refusals


@pytest.mark.parametrize("function", [warp, warp_plain])
@pytest.mark.parametrize(
    ("volume", "flow", "depth", "message"),
    [
        ((2, 2), (3, 2, 2), 1, r"expected a volume \(D \* C, H, W\) of 1 slices, got \(2, 2\)"),
        ((5, 2, 2), (3, 2, 2), 2, r"expected a volume \(D \* C, H, W\) of 2 slices, got \(5, 2, 2\)"),
        ((4, 2, 2), (3, 2, 2), 0, r"expected a volume .* of 0 slices"),
        ((0, 2, 2), (3, 2, 2), 2, r"expected a volume .* got \(0, 2, 2\)"),
        ((4, 0, 2), (3, 0, 2), 2, r"expected a volume .* got \(4, 0, 2\)"),
        ((4, 2, 2), (2, 2, 2), 2, r"expected a flow \(3, H, W\) for the volume \(4, 2, 2\), got \(2, 2, 2\)"),
        ((4, 2, 2), (3, 2, 3), 2, r"expected a flow \(3, H, W\)"),
        ((4, 2, 2), (3, 1, 2), 2, r"expected a flow \(3, H, W\)"),
        ((4, 2, 2), (3, 2), 2, r"expected a flow \(3, H, W\)"),
    ],
)
def test_warp_refuses_shapes(function: Callable, volume: Any, flow: Any, depth: int, message: str) -> None:
    with pytest.raises(ShapeError, match=rf"^RC-SHAPE: {message}"):
        function(np.zeros(volume, np.int16), np.zeros(flow, np.int16), depth, 4, S8, S8)


@pytest.mark.parametrize("function", [warp, warp_plain])
@pytest.mark.parametrize(
    ("fraction", "formats", "volume", "flow", "message"),
    [
        (-1, (S8, S8), 0, 0, r"fraction must be 0\.\.14, got -1"),
        (15, (S8, S8), 0, 0, r"fraction must be 0\.\.14, got 15"),
        (4, (IntFormat(17, True), S8), 0, 0, r"volume: warping takes at most 16 bits, got s17"),
        (4, (S8, IntFormat(17, False)), 0, 0, r"flow: warping takes at most 16 bits, got u17"),
        (4, (S8, S8), 128, 0, r"volume: values 128 \.\. 128 leave s8"),
        (4, (S8, S8), 0, -129, r"flow: values -129 \.\. -129 leave s8"),
        (4, (S8, S8), 0.5, 0, r"volume: expected integers, got float64"),
        (4, (S8, S8), 0, 0.5, r"flow: expected integers, got float64"),
    ],
)
def test_warp_refuses(function: Callable, fraction: int, formats: Any, volume: Any, flow: Any, message: str) -> None:
    with pytest.raises(RangeError, match=rf"^RC-RANGE: {message}"):
        function(np.full((4, 2, 2), volume), np.full((3, 2, 2), flow), 2, fraction, *formats)


# --- the operation


def one(fraction: int = 4, depth: int = 6, channels: int = 2, flow_format: IntFormat = S16) -> Program:
    """A program of one warp."""
    tensors = Tensor("volume", depth * channels, S8), Tensor("flow", 3, flow_format), Tensor("y", channels, S8)
    return Program("p", tensors, (Warp("w", ("volume", "flow"), "y", fraction),))


def test_warp_operation_runs_and_sizes(rng: np.random.Generator) -> None:
    volume, flow = rng.integers(-128, 128, (12, 5, 7)), rng.integers(-20, 20, (3, 5, 7))
    program = one()
    found = program.run_all({"volume": volume, "flow": flow})
    np.testing.assert_array_equal(found["y"], exact(volume, flow, 6, 4))
    np.testing.assert_array_equal(program.run_all_plain({"volume": volume, "flow": flow})["y"], found["y"])
    assert found["y"].dtype == np.int16
    assert program.all_sizes({"volume": (5, 7), "flow": (5, 7)})["y"] == (5, 7)
    for height, width in ((5, 6), (5, 8), (4, 7), (6, 7)):
        with pytest.raises(ShapeError, match=rf"^RC-SHAPE: w: the volume is \(5, 7\), the flow \({height}, {width}\)$"):
            program.all_sizes({"volume": (5, 7), "flow": (height, width)})


@pytest.mark.parametrize(
    ("fraction", "sources", "target", "code", "message"),
    [
        (15, [("v", 4, S8), ("f", 3, S16)], ("y", 2, S8), "RC-MODEL-RANGE", r"w: fraction must be 0\.\.14, got 15"),
        (-1, [("v", 4, S8), ("f", 3, S16)], ("y", 2, S8), "RC-MODEL-RANGE", r"w: fraction must be 0\.\.14, got -1"),
        (4, [("v", 5, S8), ("f", 3, S16)], ("y", 2, S8), "RC-MODEL-TENSOR", "w: 5 channels are no slices of 2"),
        (4, [("v", 2, S8), ("f", 3, S16)], ("y", 4, S8), "RC-MODEL-TENSOR", "w: 2 channels are no slices of 4"),
        (4, [("v", 4, S8), ("f", 2, S16)], ("y", 2, S8), "RC-MODEL-TENSOR", "w: .* or 2 channels are no flow"),
        (4, [("v", 4, S8)], ("y", 2, S8), "RC-MODEL-TENSOR", "w: reads a volume and a flow, not 1"),
        (4, [("v", 4, S8), ("f", 3, S16), ("g", 3, S16)], ("y", 2, S8), "RC-MODEL-TENSOR", "w: reads .*, not 3"),
        (4, [("v", 4, S8), ("f", 3, S16)], ("y", 2, U8), "RC-MODEL-RANGE", "w: keeps a format .* from s8 to u8"),
        (
            4,
            [("v", 4, IntFormat(17, True)), ("f", 3, S16)],
            ("y", 2, IntFormat(17, True)),
            "RC-MODEL-RANGE",
            "w: .* s17",
        ),
        (4, [("v", 4, S8), ("f", 3, IntFormat(17, True))], ("y", 2, S8), "RC-MODEL-RANGE", "w: a flow of .* got s17"),
    ],
)
def test_warp_operation_refuses(fraction: int, sources: Any, target: Any, code: str, message: str) -> None:
    tensors = [Tensor(*source) for source in sources]
    with pytest.raises(ModelError, match=rf"^{code}: {message}") as caught:
        check_operation(Warp("w", tuple(t.name for t in tensors), "y", fraction), tensors, Tensor(*target))
    assert caught.value.code == code


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
@pytest.mark.parametrize("fraction", [0, 1, 3])
def test_warp_reach_is_attained_and_never_passed(depth: int, fraction: int, rng: np.random.Generator) -> None:
    """Flat slices at both ends of a reach of their own, at every position of many ranges of positions."""
    op, target = Warp("w", ("volume", "flow"), "y", fraction), Tensor("y", 2, S8)
    inside = 0
    for lo, hi in product(range(-(2 << fraction), 1 + (2 << fraction), max(1, fraction)), repeat=2):
        if lo > hi:
            continue
        ends = np.sort(rng.integers(-128, 128, (2, depth * 2)), axis=0)
        flow = Reach(np.array([-7, -7, lo]), np.array([7, 7, hi]))
        reach = op.reach([Reach(*ends), flow], target)
        positions = np.zeros((3, 1, hi - lo + 1), np.int64)
        positions[2, 0] = np.arange(lo, hi + 1)
        outputs = [
            exact(np.repeat(end, hi - lo + 1).reshape(2 * depth, 1, -1), positions, depth, fraction) for end in ends
        ]
        assert reach.lo.tolist() == outputs[0].min(axis=(1, 2)).tolist()
        assert reach.hi.tolist() == outputs[1].max(axis=(1, 2)).tolist()
        inside += int((reach.hi < ends[1].reshape(depth, 2).max(axis=0)).sum())
    assert depth == 1 or inside > 5


def test_warp_reach_holds_what_drawn_volumes_give(rng: np.random.Generator) -> None:
    """Slices that are not flat, moved in all directions."""
    op, target = Warp("w", ("volume", "flow"), "y", 3), Tensor("y", 2, S8)
    for _ in range(50):
        ends = np.sort(rng.integers(-128, 128, (2, 12)), axis=0)
        lo, hi = np.sort(rng.integers(-10, 10, 2))
        reach = op.reach([Reach(*ends), Reach(np.array([-9, -9, lo]), np.array([9, 9, hi]))], target)
        volume = rng.integers(ends[0][:, None, None], ends[1][:, None, None], (12, 9, 7), endpoint=True)
        flow = rng.integers(-9, 10, (3, 9, 7))
        flow[2] = rng.integers(lo, hi, (9, 7), endpoint=True)
        found = warp(volume, flow, 6, 3, S8, S8)
        assert (found.min(axis=(1, 2)) >= reach.lo).all()
        assert (found.max(axis=(1, 2)) <= reach.hi).all()


@pytest.mark.parametrize("fraction", [0, 14])
@pytest.mark.parametrize("fmt", [S16, U16, IntFormat(3, True)], ids=str)
def test_warp_intermediates_are_attained_and_fit_62_bits(fraction: int, fmt: IntFormat) -> None:
    op = Warp("w", ("volume", "flow"), "y", fraction)
    largest = op.intermediates([Reach.whole(fmt, 2), Reach.whole(S16, 3)])
    flow = np.array([[[0, 1]], [[0, 1]], [[0, 1]]])
    seen = {"row": 0, "sum": 0, "rounded": 0}
    for end in (fmt.lo, fmt.hi):
        total = numerators(np.full((2, 1, 2), end), flow, 2, fraction)
        steps = {"row": (2 << fraction) * np.array(end), "sum": total, "rounded": total + (1 << 3 * fraction + 2)}
        seen = {name: max(seen[name], int(np.abs(step).max())) for name, step in steps.items()}
    assert largest == seen
    assert max(largest.values()) < 2**62


def test_warp_takes_all_legal_slices_and_fractions() -> None:
    for fraction in (0, 14):
        for depth in (1, 2, 7):
            assert one(fraction, depth).reaches()["y"].lo.tolist() == [-128, -128]


def test_warp_survives_a_model_file() -> None:
    model = Model("any", {}, {"p": one(12)}, {})
    read = model_from_bytes(model_to_bytes(model))
    (op,) = read.programs["p"].operations
    assert isinstance(op, Warp)
    assert (op.name, op.sources, op.reads, op.target, op.fraction) == ("w", ("volume", "flow"), op.sources, "y", 12)
    assert read.identity == model.identity


# --- conformance cases


def test_warp_cases_are_distinct_and_their_results_those_of_the_fractions() -> None:
    cases = list(warp_cases())
    assert len({case.id for case in cases}) == len(cases)
    assert {case.error for case in cases} == {None, "RC-SHAPE", "RC-MODEL-RANGE", "RC-MODEL-TENSOR"}
    borders = np.zeros((3, 2), np.int64)
    for case in (case for case in cases if case.error is None):
        volume, flow, y = case.inputs["volume"].array, case.inputs["flow"].array, case.outputs["y"].array
        depth, fraction = len(volume) // len(y), case.parameters["fraction"]
        cube = volume.reshape(depth, *y.shape)
        for c in range(len(y)):
            assert y[c].tolist() == naive_resampling.warp(cube[:, c].tolist(), flow.tolist(), fraction)
        sizes = (flow.shape[2], flow.shape[1], depth)
        for axis, (place, size) in enumerate(zip(places(flow, depth, fraction), sizes, strict=True)):
            borders[axis] += [(place < 0).sum(), (place > (size - 1) << (fraction + 1)).sum()]
        sums, unit = numerators(volume, flow, depth, fraction), 1 << 3 * fraction + 3
        if "Tie" in case.flags:
            ties = sums % unit == unit // 2
            assert min((ties & (sums < 0)).sum(), (ties & (sums > 0)).sum()) > 0
        if "ExtremeAccumulator" in case.flags:
            fmt = case.inputs["volume"].format
            assert {fmt.lo * unit, fmt.hi * unit} <= set(sums.ravel().tolist())
    assert borders.min() > 5
    assert fixed.warp_taps(-1, 3, 4) == (0, 1, 0)
