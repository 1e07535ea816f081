"""A rectangle computed alone is that of the whole output, for every kind and place (SPEC PATCH-1 to PATCH-5)."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_specification import program_of, valid_cases

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.program import operations as ops
from refcodec.program.operations import KINDS, Tensor
from refcodec.program.patches import Rectangle, run_patch
from refcodec.program.program import Program
from refcodec.vectorgen.case import load_case

S8, U8, S16, S32 = IntFormat(8, True), IntFormat(8, False), IntFormat(16, True), IntFormat(32, True)
REFUSED = {"scale_space", "warp"}
ALL_UP_TO = 30  # rectangles of an output that are all tried; of a larger one, as many are drawn


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Thousands of tiny runs, which threads would only slow down."""
    before = numba.get_num_threads()
    numba.set_num_threads(1)
    yield
    numba.set_num_threads(before)


def rectangles(height: int, width: int, rng: np.random.Generator) -> list[Rectangle]:
    """All of a small plane; the corners, the whole and a draw of a large one."""
    spans = [[(a, b - a) for a in range(n) for b in range(a + 1, n + 1)] for n in (height, width)]
    if len(spans[0]) * len(spans[1]) <= ALL_UP_TO:
        return [Rectangle(top, left, h, w) for (top, h), (left, w) in product(*spans)]
    corners = product(sorted({0, height - 1}), sorted({0, width - 1}))
    found = [Rectangle(0, 0, height, width), *(Rectangle(top, left, 1, 1) for top, left in corners)]
    for _ in range(ALL_UP_TO):
        (top, h), (left, w) = (spans[axis][rng.integers(len(spans[axis]))] for axis in (0, 1))
        found.append(Rectangle(top, left, h, w))
    return found


def agree(program: Program, inputs: dict[str, np.ndarray], rng: np.random.Generator) -> None:
    """Every rectangle equals that part of the whole run."""
    ((name, whole),) = program.run_all(inputs).items()
    for top, left, height, width in rectangles(*whole.shape[1:], rng):
        found = run_patch(program, inputs, Rectangle(top, left, height, width))
        assert set(found) == {name}
        assert found[name].dtype == whole.dtype
        np.testing.assert_array_equal(found[name], whole[:, top : top + height, left : left + width])


# --- every kind


@lru_cache
def cases() -> dict[str, list[Path]]:
    """The folders of the valid cases of each kind."""
    found: dict[str, list[Path]] = {}
    for parameter in valid_cases():
        found.setdefault(parameter.values[0].parent.name, []).append(parameter.values[0])
    return found


@pytest.mark.parametrize("kind", sorted(set(KINDS) - REFUSED))
def test_rectangles_of_every_kind_are_those_of_the_whole(kind: str, rng: np.random.Generator) -> None:
    assert cases()[kind]
    for folder in cases()[kind]:
        program, inputs = program_of(load_case(folder))
        agree(program, inputs, rng)


@pytest.mark.parametrize("kind", sorted(REFUSED))
def test_a_scale_space_and_a_warp_are_refused(kind: str) -> None:
    program, inputs = program_of(load_case(cases()[kind][0]))
    with pytest.raises(ModelError, match=rf"^RC-MODEL-FAMILY: {kind}: {kind} cannot be computed in part"):
        run_patch(program, inputs, Rectangle(0, 0, 1, 1))


def single(op: ops.AnyOperation, channels: int, target: IntFormat, source: Tensor) -> Program:
    return Program("p", (source, Tensor("y", channels, target)), (op,))


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_rectangles_of_convolutions_of_every_padding(kernel: int, stride: int, rng: np.random.Generator) -> None:
    """Catches a part that begins between two strides, and zeros at a border that is none."""
    for padding, height in product(range(kernel), (6, 7)):
        weight, bias = rng.integers(-9, 9, (2, 2, kernel, kernel)), rng.integers(-9, 9, 2)
        op = ops.Convolution("c", "x", "y", S8, stride, padding, weight, bias)
        agree(single(op, 2, S32, Tensor("x", 2, S8)), {"x": rng.integers(-99, 99, (2, height, 8))}, rng)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_rectangles_of_transposed_convolutions(kernel: int, stride: int, rng: np.random.Generator) -> None:
    """Catches outputs that no tap reaches, and a part whose result begins too late or ends too early."""
    for padding, extra in product(range(kernel), {0, stride - 1}):
        if fixed.transposed_size(4, kernel, stride, padding, extra) < 1:
            continue
        weight, bias = rng.integers(-9, 9, (1, 2, kernel, kernel)), rng.integers(-9, 9, 1)
        op = ops.TransposedConvolution("c", "x", "y", S8, stride, padding, extra, weight, bias)
        agree(single(op, 1, S32, Tensor("x", 2, S8)), {"x": rng.integers(-99, 99, (2, 4, 5))}, rng)


def test_rectangles_within_and_across_padding(rng: np.random.Generator) -> None:
    """Catches a rectangle in which nothing of the source lies."""
    op = ops.Pad("p", "x", "y", 4, 3, 2, 5)
    program = single(op, 2, S8, Tensor("x", 2, S8))
    inputs = {"x": rng.integers(1, 99, (2, 2, 3))}
    whole = program.run_all(inputs)["y"]
    for top, left in product(range(9), range(10)):
        for height, width in product(range(1, 10 - top), range(1, 11 - left)):
            found = run_patch(program, inputs, Rectangle(top, left, height, width))["y"]
            np.testing.assert_array_equal(found, whole[:, top : top + height, left : left + width])


# --- networks


class Network:
    """A random program under construction: tensors of 8 bits with their channels and sizes."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.rng = rng
        self.tensors = [Tensor("t0", 2, S8)]
        self.operations: list[ops.AnyOperation] = []
        self.shapes = {"t0": (2, *size)}
        self.last = "t0"

    def put(self, make: type, channels: int, size: tuple[int, int], *rest: object, fmt: IntFormat = S8) -> None:
        """Add an operation on the last tensor, and the tensor that it defines."""
        name = f"t{len(self.tensors)}"
        self.operations.append(make(name, self.last, name, *rest))
        self._define(name, channels, size, fmt)

    def join(self, make: type, others: tuple[str, ...], channels: int, *rest: object) -> None:
        """The same for one that reads several tensors of one size."""
        name = f"t{len(self.tensors)}"
        self.operations.append(make(name, others, name, *rest))
        self._define(name, channels, self.shapes[self.last][1:], S8)

    def _define(self, name: str, channels: int, size: tuple[int, int], fmt: IntFormat) -> None:
        self.tensors.append(Tensor(name, channels, fmt))
        self.shapes[name] = (channels, *size)
        self.last = name

    def convolve(self, kernel: int, padding: int, stride: int, channels: int) -> None:
        inputs, *size = self.shapes[self.last]
        rows, columns = (fixed.convolution_size(n, kernel, stride, padding) for n in size)
        if min(rows, columns) < 1:
            return
        weight, bias = self.rng.integers(-20, 20, (channels, inputs, kernel, kernel)), np.arange(channels)
        self.put(ops.Convolution, channels, (rows, columns), S8, stride, padding, weight, bias, fmt=S32)
        self.put(ops.Requantise, channels, (rows, columns), np.full(channels, 77), np.full(channels, 12))

    def depthwise(self, kernel: int) -> None:
        channels, *size = self.shapes[self.last]
        weight, bias = self.rng.integers(-20, 20, (channels, kernel, kernel)), np.arange(channels)
        self.put(ops.DepthwiseConvolution, channels, tuple(size), S8, 1, kernel // 2, weight, bias, fmt=S32)
        self.put(ops.Requantise, channels, tuple(size), np.full(channels, 99), np.full(channels, 9))

    def enlarge(self, make: type, rows: int, columns: int) -> None:
        channels, height, width = self.shapes[self.last]
        if make is ops.PixelShuffle:
            channels = rows * columns * 2
            self.convolve(1, 0, 1, channels)
            channels //= rows * columns
        if height * rows * width * columns <= 1200:
            self.put(make, channels, (height * rows, width * columns), rows, columns)

    def frame(self, make: type, top: int, bottom: int, left: int, right: int) -> None:
        channels, height, width = self.shapes[self.last]
        sign = 1 if make is ops.Pad else -1
        rows, columns = height + sign * (top + bottom), width + sign * (left + right)
        if min(rows, columns) >= 1:
            self.put(make, channels, (rows, columns), top, bottom, left, right)

    def skip(self, place: int, concatenated: bool) -> None:
        """The last tensor and an earlier one of its size, added or joined."""
        like = [
            t.name for t in self.tensors if t.format == S8 and self.shapes[t.name][1:] == self.shapes[self.last][1:]
        ]
        other, channels = like[place % len(like)], self.shapes[self.last][0]
        if concatenated:
            self.join(ops.Concatenate, (self.last, other), channels + self.shapes[other][0])
        elif self.shapes[other][0] == channels:
            self.join(ops.Add, (self.last, other), channels, 1, np.array([1, 2]))

    def back(self, place: int) -> None:
        """Go on from an earlier tensor of 8 bits."""
        names = [tensor.name for tensor in self.tensors if tensor.format == S8]
        self.last = names[place % len(names)]

    def program(self) -> Program:
        """What was built; a clip of its last tensor, so that it has an operation and nothing but that as output."""
        channels, *size = self.shapes[self.last]
        self.put(ops.Clip, channels, tuple(size), -100, 100)
        read = {self.last}
        for op in reversed(self.operations):
            read |= set(op.reads) if op.target in read else set()
        kept = tuple(op for op in self.operations if op.target in read)
        return Program("p", tuple(t for t in self.tensors if t.name in read), kept)


SMALL = st.integers(1, 3)
STEPS = st.one_of(
    st.tuples(st.just("convolve"), st.integers(1, 5), st.integers(0, 4), st.sampled_from([1, 1, 2]), SMALL),
    st.tuples(st.just("depthwise"), st.sampled_from([1, 3, 5])),
    st.tuples(st.just("enlarge"), st.sampled_from([ops.Nearest, ops.Tile, ops.Resize, ops.PixelShuffle]), SMALL, SMALL),
    st.tuples(st.just("frame"), st.sampled_from([ops.Pad, ops.Crop]), *[st.integers(0, 2)] * 4),
    st.tuples(st.just("skip"), st.integers(0, 9), st.booleans()),
    st.tuples(st.just("back"), st.integers(0, 9)),
)


@settings(max_examples=40, deadline=None)
@given(
    steps=st.lists(STEPS, min_size=1, max_size=8),
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    seed=st.integers(0, 2**32),
)
def test_rectangles_of_random_networks_are_those_of_the_whole(steps: list, size: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = Network(rng, size)
    for name, *arguments in steps:
        if name == "convolve":
            arguments[1] = min(arguments[1], arguments[0] - 1)
        getattr(network, name)(*arguments)
    agree(network.program(), {"t0": rng.integers(-128, 128, (2, *size))}, rng)


@pytest.mark.parametrize("wide_first", [True, False])
def test_a_tensor_is_computed_where_any_of_its_readers_needs_it(wide_first: bool, rng: np.random.Generator) -> None:
    """Catches a part that is only what the first, or the last, reader needs."""
    network = Network(rng, (6, 7))
    network.put(ops.Clip, 2, (6, 7), -90, 90)
    steps = [lambda: network.depthwise(3), lambda: network.put(ops.Clip, 2, (6, 7), -50, 50)]
    ends = []
    for step in steps if wide_first else reversed(steps):
        network.last = "t1"
        step()
        ends.append(network.last)
    network.join(ops.Concatenate, tuple(ends), 4)
    agree(network.program(), {"t0": rng.integers(-128, 128, (2, 6, 7))}, rng)


def video(rng: np.random.Generator) -> Program:
    """The kinds of a hierarchical network: grids, resizing, a tiled grid, a residual block, a shuffle, a head."""
    grid, window = rng.integers(-99, 99, (3, 4, 5, 6)), rng.integers(-99, 99, (2, 4, 2, 3))
    weight, thin = rng.integers(-50, 50, (4, 4, 3, 3)), rng.integers(-50, 50, (4, 5, 5))
    ones, bias = np.ones(4, np.int64), np.arange(4)
    thresholds = np.sort(rng.integers(-(2**17), 2**17, (3, 255)), axis=1)
    operations = (
        ops.Embedding("grid", "t", "grid", 9, True, grid),
        ops.Convolution("stem", "grid", "stem", S8, 1, 1, weight, bias),
        ops.Requantise("act", "stem", "act", 3 * ones, 9 * ones),
        ops.Resize("resize", "act", "resize", 2, 3),
        ops.Embedding("window", "t", "window", 9, False, window),
        ops.Tile("tile", "window", "tile", 5, 6),
        ops.Add("sum", ("resize", "tile"), "sum", 1, np.array([1, 1])),
        ops.DepthwiseConvolution("depthwise", "sum", "depthwise", S8, 1, 2, thin, bias),
        ops.Requantise("down", "depthwise", "down", 3 * ones, 9 * ones),
        ops.Table("gelu", "down", "gelu", rng.integers(-128, 128, 256)),
        ops.Add("residual", ("sum", "gelu"), "residual", 0, np.array([1, 1])),
        ops.Convolution("wide", "residual", "wide", S8, 1, 1, np.tile(weight, (3, 1, 1, 1)), np.arange(12)),
        ops.PixelShuffle("shuffle", "wide", "shuffle", 2, 2),
        ops.ThresholdHead("head", "shuffle", "head", thresholds),
        ops.Crop("picture", "head", "picture", 0, 3, 0, 1),
    )
    formats = {"stem": S32, "depthwise": S32, "wide": S32, "shuffle": S32, "head": U8, "picture": U8}
    channels = {"wide": 12, "shuffle": 3, "head": 3, "picture": 3}
    tensors = [Tensor(op.target, channels.get(op.target, 4), formats.get(op.target, S8)) for op in operations]
    return Program("video", (Tensor("t", 1, U8), *tensors), operations)


def test_rectangles_of_a_video_tile_its_frames(rng: np.random.Generator) -> None:
    """Catches offsets of one tensor taken for another's: patches of unequal sides, side by side, make up each frame."""
    program = video(rng)
    for number in (0, 4, 8):
        t = {"t": np.full((1, 1, 1), number)}
        whole = program.run_all(t)["picture"]
        assert whole.shape == (3, 17, 35)
        again = np.zeros_like(whole)
        for top, left in product(range(0, 17, 5), range(0, 35, 8)):
            height, width = min(5, 17 - top), min(8, 35 - left)
            patch = run_patch(program, t, Rectangle(top, left, height, width))["picture"]
            again[:, top : top + height, left : left + width] = patch
        np.testing.assert_array_equal(again, whole)
        agree(program, t, rng)


def test_a_patch_takes_the_memory_of_a_patch(rng: np.random.Generator) -> None:
    """A network that enlarges 64 x 64 samples to 1024 x 1024, of which one in 4096 is asked for."""
    network = Network(rng, (64, 64))
    weight = rng.integers(-20, 20, (2, 2, 3, 3))
    for side in (256, 1024):
        network.put(ops.Resize, 2, (side, side), 4, 4)
        network.put(ops.Convolution, 2, (side, side), S8, 1, 1, weight, np.arange(2), fmt=S32)
        network.put(ops.Requantise, 2, (side, side), np.full(2, 77), np.full(2, 12))
    program = Program("p", tuple(network.tensors), tuple(network.operations))
    inputs = {"t0": rng.integers(-128, 128, (2, 64, 64)).astype(np.int8)}
    peaks = []
    for run in (lambda: program.run_all(inputs), lambda: run_patch(program, inputs, Rectangle(500, 516, 16, 16))):
        run()
        tracemalloc.start()
        run()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 8 * 2**20
    assert peaks[1] < peaks[0] // 100


# --- spans


def test_spans_of_convolutions_hold_what_is_read_and_little_more() -> None:
    for size, kernel, stride in product(range(1, 8), range(1, 6), range(1, 4)):
        for padding in range(kernel):
            count = fixed.convolution_size(size, kernel, stride, padding)
            for begin, end in ((a, b) for b in range(1, count + 1) for a in range(b)):
                read = {o * stride - padding + k for o in range(begin, end) for k in range(kernel)} & set(range(size))
                first, last = fixed.convolution_span(begin, end, size, kernel, stride, padding)
                assert first % stride == 0
                assert first <= min(read) < first + stride
                assert last == max(read) + 1


def test_spans_of_transposed_convolutions_hold_what_is_read_and_give_what_is_wanted() -> None:
    for size, kernel, stride in product(range(1, 7), range(1, 6), range(1, 5)):
        for padding, extra in product(range(kernel), range(stride)):
            count = fixed.transposed_size(size, kernel, stride, padding, extra)
            for begin, end in ((a, b) for b in range(1, count + 1) for a in range(b)):
                taps = {o + padding - k for o in range(begin, end) for k in range(kernel)}
                read = {t // stride for t in taps if t % stride == 0} & set(range(size))
                first, last = fixed.transposed_span(begin, end, size, kernel, stride, padding, extra)
                assert 0 <= first < last <= size
                assert read <= set(range(first, last))
                given_end = first * stride + fixed.transposed_size(last - first, kernel, stride, padding, extra)
                assert first * stride <= begin < end <= given_end


def test_spans_of_enlargements_are_those_of_their_samples() -> None:
    for size, factor in product(range(1, 6), range(1, 5)):
        plane = [[1 << i for i in range(size)]]
        found = fixed.nearest(plane, 1, factor)[0]
        for begin, end in ((a, b) for b in range(1, size * factor + 1) for a in range(b)):
            read = [i for i in range(size) if 1 << i in found[begin:end]]
            assert fixed.enlarged_span(begin, end, factor) == (read[0], read[-1] + 1)
            taps = [t for o in range(begin, end) for t in fixed.line_taps(2 * o + 1 - factor, 2 * factor, size)[:2]]
            assert fixed.resized_span(begin, end, size, factor) == (min(taps), max(taps) + 1)


# --- refusals


@pytest.mark.parametrize(
    "rectangle", [(0, 0, 0, 1), (0, 0, 1, -1), (-1, 0, 2, 2), (0, 3, 1, 3), (2, 0, 1, 1), (0, 0, 3, 1)]
)
def test_a_rectangle_outside_the_output_is_refused(rectangle: tuple[int, int, int, int]) -> None:
    program = single(ops.Clip("c", "x", "y", -9, 9), 1, S8, Tensor("x", 1, S8))
    with pytest.raises(RangeError, match=r"^RC-RANGE: p: no Rectangle\(.*\) within 2 rows and 5 columns"):
        run_patch(program, {"x": np.zeros((1, 2, 5), np.int64)}, Rectangle(*rectangle))


def test_wrong_inputs_and_several_outputs_are_refused() -> None:
    clips = ops.Clip("c", "x", "y", -9, 9), ops.Clip("d", "x", "z", -9, 9)
    tensors = Tensor("x", 1, S8), Tensor("y", 1, S8), Tensor("z", 1, S8)
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: p has 2 outputs, not one"):
        run_patch(Program("p", tensors, clips), {"x": np.zeros((1, 2, 5), np.int64)}, Rectangle(0, 0, 1, 1))
    program = Program("p", tensors[:2], clips[:1])
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: p takes \(1, H, W\), H and W at least 1, got \(2, 2, 5\)"):
        run_patch(program, {"x": np.zeros((2, 2, 5), np.int64)}, Rectangle(0, 0, 1, 1))
    with pytest.raises(RangeError, match=r"^RC-RANGE: x: values 0 \.\. 128 leave s8"):
        run_patch(program, {"x": np.arange(129).reshape(1, 1, -1)}, Rectangle(0, 0, 1, 1))
