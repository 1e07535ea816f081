"""Embeddings: kernel, definition, specification and PyTorch's formula agree; the operation (SPEC EMB-1, EMB-2)."""

from __future__ import annotations

from itertools import product
from typing import Any

import naive_tables
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.embedding import MAX_FRAMES, embedding, embedding_plain, place
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations.embedding import Embedding
from refcodec.program.operations.operation import Tensor, check_operation
from refcodec.program.program import Program
from refcodec.program.reach import Reach

S8, U8, S16, U16, U20 = (IntFormat(b, s) for b, s in ((8, True), (8, False), (16, True), (16, False), (20, False)))


def frame(index: int) -> np.ndarray:
    return np.full((1, 1, 1), index, np.int32)


def agree(table: np.ndarray, index: int, frames: int, target: IntFormat, centred: bool = True) -> np.ndarray:
    """The common result of kernel, definition, specification and fractions."""
    found = embedding(frame(index), table, frames, centred, target)
    assert found.dtype == target.dtype
    np.testing.assert_array_equal(found, embedding_plain(frame(index), table, frames, centred, target))
    wanted = naive_tables.embedding(table.tolist(), index, frames, centred)
    assert fixed.embedding(table.tolist(), index, frames, centred) == wanted
    assert found.tolist() == wanted
    return found


def resampled(table: np.ndarray, index: int, frames: int, centred: bool) -> np.ndarray:
    """One frame at once: the position limited to the first and last tensor, then the floor of a doubled mean."""
    wanted = (2 * index + 1) * len(table) - frames if centred else 2 * index * len(table)
    left, part = divmod(min(max(wanted, 0), 2 * frames * (len(table) - 1)), 2 * frames)
    wide = table.astype(np.int64)
    mean = (2 * frames - part) * wide[left] + part * wide[min(left + 1, len(table) - 1)]
    return (2 * mean + 2 * frames) // (4 * frames)


# --- values


def test_embedding_with_as_many_tensors_as_frames_is_a_lookup(rng: np.random.Generator) -> None:
    for frames in (1, 2, 7, 132):
        table = rng.integers(S16.lo, S16.hi, (frames, 2, 2, 3), endpoint=True).astype(np.int32)
        for index, centred in product(range(frames), (True, False)):
            np.testing.assert_array_equal(agree(table, index, frames, S16, centred), table[index])


def test_embedding_agrees_for_every_small_number_of_tensors_and_frames(rng: np.random.Generator) -> None:
    """Catches interpolation from corner to corner, and ends that are not repeated."""
    for frames in range(1, 13):
        for count in range(1, frames + 1):
            table = rng.integers(-20, 20, (count, 1, 2, 4)).astype(np.int32)
            for index, centred in product(range(frames), (True, False)):
                agree(table, index, frames, S8, centred)


def test_embedding_repeats_the_ends_and_meets_the_middle() -> None:
    """Two tensors over eight frames: the first and the last two frames are the tensors themselves."""
    table = np.array([[[[0]]], [[[800]]]], np.int32)
    assert [int(agree(table, n, 8, S16).item()) for n in range(8)] == [0, 0, 100, 300, 500, 700, 800, 800]


def test_embedding_from_the_left_begins_with_the_first_tensor_and_holds_the_last() -> None:
    """Two tensors over eight frames, as FFNeRV spreads them: catches half a tensor of offset."""
    table = np.array([[[[0]]], [[[800]]]], np.int32)
    found = [int(agree(table, n, 8, S16, False).item()) for n in range(8)]
    assert found == [0, 200, 400, 600, 800, 800, 800, 800]


def test_embedding_rounds_ties_up_on_both_sides_of_zero() -> None:
    """The second of three frames lies halfway between two tensors."""
    table = np.array([[[[-3, -2, 0, 3, S16.lo]]], [[[-2, -3, 1, 4, S16.hi]]]], np.int32)
    assert agree(table, 1, 3, S16).tolist() == [[[-2, -2, 1, 4, 0]]]


@pytest.mark.parametrize("target", [S16, U16, IntFormat(2, True)], ids=str)
def test_embedding_agrees_at_the_ends_of_formats_and_frames(target: IntFormat) -> None:
    """The largest unit: catches sums and halves of 32 bits."""
    table = np.array([[[[target.lo, target.hi, target.hi]]], [[[target.hi, target.hi, target.lo]]]] * 2, np.int32)
    for frames in (4, 5, MAX_FRAMES - 1, MAX_FRAMES):
        for index in (0, 1, frames // 8, frames // 3, frames // 2, 7 * frames // 8, frames - 1):
            for centred in (True, False):
                found = agree(table, min(index, frames - 1), frames, target, centred)
                assert target.lo <= found.min()
                assert int(found[0, 0, 1]) == target.hi


def test_embedding_agrees_on_a_million_values(rng: np.random.Generator) -> None:
    total, ties = 0, 0
    for _ in range(40):
        count = int(rng.integers(1, 20))
        frames = int(rng.choice([count, count + 1, 2 * count, 132, 600, MAX_FRAMES]))
        table = rng.integers(S16.lo, S16.hi, (count, 8, 32, 32), endpoint=True).astype(np.int32)
        for number, index in enumerate(rng.integers(0, frames, 4).tolist()):
            centred = number < 2
            found = embedding(frame(index), table, frames, centred, S16)
            np.testing.assert_array_equal(found, resampled(table, index, frames, centred))
            total += found.size
            left, _, part = fixed.line_taps(place(index, count, frames, centred), 2 * frames, count)
            ties += 2 * part == 2 * frames and 0 < left < count - 1
    assert total >= 10**6
    assert ties


def test_embedding_reads_any_layout_and_dtype_and_changes_nothing(rng: np.random.Generator) -> None:
    base = rng.integers(0, 128, (6, 4, 5, 3)).astype(np.int16)
    for view in (base.transpose(0, 2, 1, 3), base[::-1, :, ::2], base.astype(np.uint8), base.astype(np.int64)):
        kept = view.copy()
        for index in (0, 4, 10):
            found = embedding(np.full((1, 1, 1), index, np.uint8), view, 11, True, U8)
            np.testing.assert_array_equal(found, resampled(view, index, 11, True))
        np.testing.assert_array_equal(view, kept)


# --- refusals


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": np.zeros((1, 1), int)}, ShapeError, r"expected one frame number \(1, 1, 1\), got \(1, 1\)"),
        ({"x": np.zeros((1, 1, 2), int)}, ShapeError, r"expected one frame number"),
        ({"x": frame(7)}, RangeError, r"the frame number must be an integer of 0\.\.6, got 7"),
        ({"x": frame(-1)}, RangeError, r"the frame number must be an integer of 0\.\.6, got -1"),
        ({"x": np.zeros((1, 1, 1))}, RangeError, r"the frame number must be an integer"),
        ({"table": np.zeros((3, 2, 2), int)}, ShapeError, r"expected table \(T, C, H, W\), got \(3, 2, 2\)"),
        ({"table": np.zeros((3, 0, 2, 2), int)}, ShapeError, r"expected table \(T, C, H, W\), got \(3, 0, 2, 2\)"),
        ({"table": np.full((3, 1, 1, 1), 128)}, RangeError, r"table: values 128 \.\. 128 leave s8"),
        ({"table": np.zeros((3, 1, 1, 1))}, RangeError, r"table: expected integers, got float64"),
        ({"frames": 2}, RangeError, r"there must be 3\.\.1048576 frames for 3 tensors, not 2"),
        ({"frames": MAX_FRAMES + 1}, RangeError, r"there must be 3\.\.1048576 frames for 3 tensors, not 1048577"),
        ({"target": IntFormat(17, True)}, RangeError, r"table entries have at most 16 bits, not s17"),
    ],
)
def test_embedding_refuses(changes: dict[str, Any], error: type, message: str) -> None:
    operands: dict[str, Any] = {"x": frame(0), "table": np.zeros((3, 1, 1, 1), int), "frames": 7}
    operands |= {"centred": True, "target": S8}
    for function in (embedding, embedding_plain):
        with pytest.raises(error, match=message):
            function(**(operands | changes))


# --- the operation


def grid(**changes: Any) -> Embedding:
    fields = {"name": "e", "source": "t", "target": "y", "frames": 9, "centred": True}
    fields |= {"table": np.arange(48).reshape(4, 2, 3, 2)}
    return Embedding(**(fields | changes))  # type: ignore[arg-type]


def test_embedding_operation_is_refused() -> None:
    t, y = Tensor("t", 1, U8), Tensor("y", 2, S16)
    check_operation(grid(), [t], y)
    for op, source, target, code, message in (
        (grid(), Tensor("t", 2, U8), y, "RC-MODEL-TENSOR", r"e: table \(4, 2, 3, 2\) from 2 to 2 channels"),
        (grid(), t, Tensor("y", 3, S16), "RC-MODEL-TENSOR", r"e: table \(4, 2, 3, 2\) from 1 to 3 channels"),
        (grid(table=np.zeros((4, 2), int)), t, y, "RC-MODEL-TENSOR", r"e: table \(4, 2\) from 1 to 2 channels"),
        (grid(table=np.zeros((0, 2, 1, 1), int)), t, y, "RC-MODEL-TENSOR", r"e: table \(0, 2, 1, 1\)"),
        (grid(), Tensor("t", 1, S8), y, "RC-MODEL-RANGE", "e: a frame number is unsigned, not s8"),
        (grid(frames=3), t, y, "RC-MODEL-RANGE", r"e: there must be 4\.\.1048576 frames for 4 tensors, not 3"),
        (grid(frames=MAX_FRAMES + 1), t, y, "RC-MODEL-RANGE", "e: there must be"),
        (grid(), t, Tensor("y", 2, IntFormat(6, True)), "RC-MODEL-RANGE", r"e: table: values 0 \.\. 47 leave s6"),
        (grid(), t, Tensor("y", 2, IntFormat(17, True)), "RC-MODEL-RANGE", "e: table entries have at most 16 bits"),
    ):
        with pytest.raises(ModelError, match=message) as caught:
            check_operation(op, [source], target)
        assert caught.value.code == code


def test_embedding_takes_one_frame_number_and_gives_the_size_of_its_tensors() -> None:
    assert grid().size((1, 1)) == (3, 2)
    for size in ((1, 2), (2, 1)):
        with pytest.raises(ShapeError, match=r"^RC-SHAPE: e: takes one frame number"):
            grid().size(size)


def test_embedding_reach_is_what_brute_force_finds(rng: np.random.Generator) -> None:
    for (frames, count), centred in product(((1, 1), (9, 4), (9, 9), (20, 3), (50, 7)), (True, False)):
        op = grid(frames=frames, centred=centred, table=rng.integers(-99, 99, (count, 2, 1, 2)))
        y = Tensor("y", 2, S8)
        every = np.array([op.run_plain([frame(n)], [], y) for n in range(frames)])
        for _ in range(40):
            lo, hi = sorted(rng.integers(0, frames, 2).tolist())
            found = op.reach([Reach(np.array([lo]), np.array([hi]))], y)
            np.testing.assert_array_equal(found.lo, every[lo : hi + 1].min(axis=(0, 2, 3)))
            np.testing.assert_array_equal(found.hi, every[lo : hi + 1].max(axis=(0, 2, 3)))
        whole = op.reach([Reach.whole(U20, 1)], y)
        np.testing.assert_array_equal(whole.lo, every.min(axis=(0, 2, 3)))
        np.testing.assert_array_equal(whole.hi, every.max(axis=(0, 2, 3)))


def test_embedding_intermediates_are_those_of_the_largest_entry() -> None:
    op = grid(frames=MAX_FRAMES, table=np.full((4, 1, 1, 1), -(2**15)))
    found = op.intermediates([Reach.whole(U20, 1)])
    assert found == {"sum": 2**36, "rounded": 2**36 + MAX_FRAMES}


def test_embedding_passes_through_a_model_file_and_runs() -> None:
    program = Program("p", (Tensor("t", 1, U8), Tensor("y", 2, S8)), (grid(centred=False),))
    model = Model("any", {}, {"p": program}, {})
    again = model_from_bytes(model_to_bytes(model))
    assert again.identity == model.identity
    for index in range(9):
        found = again.programs["p"].run(frame(index))
        np.testing.assert_array_equal(found, program.run_plain(frame(index)))
    assert found.dtype == S8.dtype
    assert program.sizes(1, 1)["y"] == (3, 2)
    for run in (again.programs["p"].run, again.programs["p"].run_plain):
        with pytest.raises(RangeError, match=r"the frame number must be an integer of 0\.\.8, got 9"):
            run(frame(9))
