"""Positional encodings: kernel, definition, specification and fractions agree; the operation (SPEC PE-1 to PE-3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import naive_tables
import numpy as np
import pytest

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.positional_encoding import positional_encoding, positional_encoding_plain
from refcodec.program.model_file import Model, model_from_bytes, model_to_bytes
from refcodec.program.operations.operation import Tensor, check_operation
from refcodec.program.operations.positional_encoding import PositionalEncoding
from refcodec.program.program import Program
from refcodec.program.reach import Reach

TURN = 2**40
PART = 2**28  # of a turn, between two nodes
S16, U22 = IntFormat(16, True), IntFormat(22, False)
# a wave that is no sine: a lookup of a wrong node cannot go unseen where the true nodes lie close together
CROOKED = np.array([0, *(k * k * 16 + k % 7 for k in range(1, 1024)), 2**24], np.int32)
SINE = np.floor(np.sin(np.arange(1025) * np.pi / 2048) * 2**24 + 0.5).astype(np.int32)


def frame(index: int) -> np.ndarray:
    return np.full((1, 1, 1), index, np.int32)


def agree(index: int, increments: Any, interleaved: bool, nodes: np.ndarray, fraction: int) -> list[int]:
    """The common result of kernel, definition, specification and fractions."""
    steps = np.array(increments, np.int64)
    found = positional_encoding(frame(index), steps, interleaved, nodes, fraction)
    assert found.shape == (2 * len(steps), 1, 1)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, positional_encoding_plain(frame(index), steps, interleaved, nodes, fraction))
    wanted = naive_tables.positional_encoding(index, steps.tolist(), interleaved, nodes.tolist(), fraction)
    assert fixed.positional_encoding(index, steps.tolist(), interleaved, nodes.tolist(), fraction) == wanted
    assert found.ravel().tolist() == wanted
    return wanted


def waves(index: int, increments: np.ndarray, nodes: np.ndarray, fraction: int) -> np.ndarray:
    """Sines and cosines (2, L) at once, on the nodes of a whole turn, products modulo a turn by their halves."""
    wave = np.array(naive_tables.whole_turn(nodes.tolist()), np.int64)
    upper, lower = np.divmod(increments, 2**20)
    phase = (((index * upper) % 2**20) * 2**20 + index * lower) % TURN
    out = []
    for ahead in (0, TURN // 4):
        left, part = np.divmod((phase + ahead) % TURN, PART)
        scaled = (PART - part) * wave[left] + part * wave[left + 1]
        out.append((scaled // 2 ** (51 - fraction) + 1) // 2)
    return np.array(out)


# --- values


@pytest.mark.parametrize("fraction", [0, 1, 7, 14])
@pytest.mark.parametrize("nodes", [SINE, CROOKED], ids=["sine", "crooked"])
def test_positional_encoding_agrees_at_every_node_and_beside_it(nodes: np.ndarray, fraction: int) -> None:
    """All four quadrants, their edges and one phase beside each: catches a mirrored node, and a reach past the end."""
    around = (np.arange(4096)[:, None] * PART + np.array([-1, 0, 1, PART // 2])).ravel() % TURN
    found = agree(1, around, False, nodes, fraction)
    assert {-(2**fraction), 0, 2**fraction} <= set(found)


def test_positional_encoding_is_exact_at_the_quarters() -> None:
    for fraction in (0, 14):
        found = agree(1, [0, TURN // 4, TURN // 2, 3 * TURN // 4], False, SINE, fraction)
        unit = 2**fraction
        assert found == [0, unit, 0, -unit, unit, 0, -unit, 0]


def test_positional_encoding_rounds_ties_up_on_both_sides_of_zero() -> None:
    """Catches a sign that is applied after the rounding, and rounding to even."""
    nodes = (np.arange(1025) * 2**14).astype(np.int32)  # the sine becomes a triangle, 2**24 high
    phase = np.arange(1, 2**15, 2, dtype=np.int64) * (PART // 32)  # odd multiples of half a unit at fraction 14
    found = agree(1, [*phase.tolist(), *(phase + TURN // 2).tolist()], False, nodes, 14)
    rising, falling = found[: len(phase)], found[len(phase) : 2 * len(phase)]
    assert rising[0] == 1
    assert falling[0] == 0
    assert all(a == 1 - b for a, b in zip(rising, falling, strict=True))


@pytest.mark.parametrize("interleaved", [True, False])
def test_positional_encoding_agrees_at_the_ends_of_index_and_increment(interleaved: bool) -> None:
    """Products of 62 bits, which a double does not hold."""
    steps = [0, 1, TURN - 1, TURN // 2, TURN // 2 + 1, 0x5555555555, 0xAAAAAAAAAB]
    for index in (0, 1, 2, 131, 2**21, 2**22 - 1):
        agree(index, steps, interleaved, CROOKED, 14)
    assert (2**22 - 1) * (TURN - 1) > 2**61


def test_positional_encoding_puts_sines_and_cosines_in_either_order() -> None:
    steps = [TURN // 4, TURN // 2, 0]
    assert agree(1, steps, True, SINE, 2) == [4, 0, 0, -4, 0, 4]
    assert agree(1, steps, False, SINE, 2) == [4, 0, 0, 0, -4, 4]


@pytest.mark.parametrize("nodes", [SINE, CROOKED], ids=["sine", "crooked"])
def test_positional_encoding_agrees_on_a_million_values(nodes: np.ndarray, rng: np.random.Generator) -> None:
    total, negative, kept = 0, 0, []
    for index in [0, 1, 2**22 - 1, *rng.integers(0, 2**22, 61).tolist()]:
        steps = rng.integers(0, TURN, 8192)
        fraction = int(rng.integers(0, 15))
        wanted = waves(index, steps, nodes, fraction)
        found = positional_encoding(frame(index), steps, False, nodes, fraction).ravel()
        np.testing.assert_array_equal(found, wanted.ravel())
        turned = positional_encoding(frame(index), steps, True, nodes, fraction).ravel()
        np.testing.assert_array_equal(turned, wanted.T.ravel())
        total, negative = total + found.size, negative + int((found < 0).sum())
        kept.append((index, int(steps[5]), fraction, [int(v) for v in wanted[:, 5]]))
    assert total >= 10**6
    assert negative > 400_000
    for index, step, fraction, wanted_pair in kept:
        assert naive_tables.positional_encoding(index, [step], True, nodes.tolist(), fraction) == wanted_pair


def test_positional_encoding_reads_any_layout_and_dtype_and_changes_nothing(rng: np.random.Generator) -> None:
    steps, nodes = rng.integers(0, TURN, 20), SINE[::-1].copy()
    kept = steps.copy()
    found = positional_encoding(np.full((1, 1, 1), 77, np.uint16), steps[::-2], True, nodes[::-1], 14)
    wanted = naive_tables.positional_encoding(77, steps[::-2].tolist(), True, SINE.tolist(), 14)
    assert found.ravel().tolist() == wanted
    np.testing.assert_array_equal(steps, kept)


UNCOMPILED = """
import numpy as np
from refcodec.layers.positional_encoding import positional_encoding
nodes = np.append(np.arange(1024, dtype=np.int32), np.int32(1 << 24))
steps = np.arange(4) << 38
print(positional_encoding(np.ones((1, 1, 1), int), steps, False, nodes, 14).ravel().tolist())
"""


def test_positional_encoding_reads_no_node_beyond_the_last(run_uncompiled: Callable[..., str]) -> None:
    """At the top of the wave the next node has no weight, so a read beyond the end shows without compilation only."""
    assert run_uncompiled(UNCOMPILED).strip() == "[0, 16384, 0, -16384, 16384, 0, -16384, 0]"


# --- refusals


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": np.zeros((2, 1, 1), int)}, ShapeError, r"expected one frame number \(1, 1, 1\), got \(2, 1, 1\)"),
        ({"x": np.zeros(1, int)}, ShapeError, r"expected one frame number"),
        ({"x": frame(2**22)}, RangeError, r"frame number: values 4194304 \.\. 4194304 leave u22"),
        ({"x": frame(-1)}, RangeError, r"frame number: .* leave u22"),
        ({"x": np.zeros((1, 1, 1))}, RangeError, r"frame number: expected integers"),
        ({"increments": np.zeros((1, 1), int)}, ShapeError, r"expected increments \(L,\), got \(1, 1\)"),
        ({"increments": np.zeros(0, int)}, ShapeError, r"expected increments \(L,\), got \(0,\)"),
        ({"increments": np.array([TURN])}, RangeError, r"increments: .* leave u40"),
        ({"increments": np.array([-1])}, RangeError, r"increments: .* leave u40"),
        ({"nodes": SINE[:-1]}, ShapeError, r"expected nodes \(1025,\), got \(1024,\)"),
        ({"nodes": SINE + 1}, RangeError, r"nodes must be signed integers that rise from 0 to 2\*\*24"),
        ({"nodes": np.r_[SINE[:-1], 2**24 - 1]}, RangeError, r"nodes must be signed integers that rise"),
        ({"nodes": np.r_[SINE[:5], SINE[5:7][::-1], SINE[7:]]}, RangeError, r"nodes must be signed integers that rise"),
        ({"nodes": SINE * 1.0}, RangeError, r"nodes must be signed integers that rise"),
        ({"fraction": 15}, RangeError, r"fraction must be 0\.\.14, got 15"),
        ({"fraction": -1}, RangeError, r"fraction must be 0\.\.14, got -1"),
    ],
)
def test_positional_encoding_refuses(changes: dict[str, Any], error: type, message: str) -> None:
    operands: dict[str, Any] = {"x": frame(0), "increments": np.zeros(1, int), "interleaved": True}
    operands |= {"nodes": SINE, "fraction": 14} | changes
    for function in (positional_encoding, positional_encoding_plain):
        with pytest.raises(error, match=message):
            function(**operands)


# --- the operation


def encoding(**changes: Any) -> PositionalEncoding:
    fields = {"name": "e", "source": "t", "target": "p", "interleaved": True, "fraction": 14}
    fields |= {"increments": np.array([1, TURN // 3, TURN - 1]), "nodes": SINE}
    return PositionalEncoding(**(fields | changes))  # type: ignore[arg-type]


def test_positional_encoding_operation_is_refused() -> None:
    t, p = Tensor("t", 1, U22), Tensor("p", 6, S16)
    check_operation(encoding(), [t], p)
    check_operation(encoding(fraction=6), [t], Tensor("p", 6, IntFormat(8, True)))
    for op, source, target, code, message in (
        (encoding(), Tensor("t", 2, U22), p, "RC-MODEL-TENSOR", "e: 3 increments from 2 to 6 channels"),
        (encoding(), t, Tensor("p", 3, S16), "RC-MODEL-TENSOR", "e: 3 increments from 1 to 3 channels"),
        (encoding(nodes=SINE[1:]), t, p, "RC-MODEL-TENSOR", r"e: increments \(3,\) and nodes \(1024,\)"),
        (encoding(increments=np.zeros((3, 1), int)), t, p, "RC-MODEL-TENSOR", r"e: increments \(3, 1\) and nodes"),
        (encoding(), Tensor("t", 1, IntFormat(22, True)), p, "RC-MODEL-RANGE", "e: a frame number is unsigned .* s22"),
        (encoding(), Tensor("t", 1, IntFormat(23, False)), p, "RC-MODEL-RANGE", "e: a frame number .* not u23"),
        (encoding(increments=np.full(3, TURN)), t, p, "RC-MODEL-RANGE", "e: increments: .* leave u40"),
        (encoding(nodes=np.r_[SINE[:-1], 0]), t, p, "RC-MODEL-RANGE", "e: nodes must be"),
        (encoding(fraction=15), t, p, "RC-MODEL-RANGE", "e: fraction must be 0..14, got 15"),
        (encoding(fraction=-1), t, p, "RC-MODEL-RANGE", "e: fraction must be 0..14, got -1"),
        (encoding(fraction=7), t, Tensor("p", 6, IntFormat(8, True)), "RC-MODEL-RANGE", "e: sines: .* leave s8"),
        (encoding(), t, Tensor("p", 6, IntFormat(16, False)), "RC-MODEL-RANGE", "e: sines: .* leave u16"),
    ):
        with pytest.raises(ModelError, match=message) as caught:
            check_operation(op, [source], target)
        assert caught.value.code == code


def test_positional_encoding_refuses_a_program_without_increments() -> None:
    with pytest.raises(ModelError, match="p: 0 channels"):
        Program("p", (Tensor("t", 1, U22), Tensor("p", 0, S16)), (encoding(increments=np.zeros(0, int)),))


def test_positional_encoding_takes_one_frame_number() -> None:
    assert encoding().size((1, 1)) == (1, 1)
    for size in ((1, 2), (2, 1)):
        with pytest.raises(ShapeError, match=r"^RC-SHAPE: e: takes one frame number"):
            encoding().size(size)


def test_positional_encoding_reach_is_what_brute_force_finds(rng: np.random.Generator) -> None:
    p = Tensor("p", 6, S16)
    op = encoding(increments=rng.integers(0, TURN, 3))
    every = np.array([op.run_plain([frame(n)], [], p).ravel() for n in range(200)])
    for _ in range(50):
        lo, hi = sorted(rng.integers(0, 200, 2).tolist())
        found = op.reach([Reach(np.array([lo]), np.array([hi]))], p)
        np.testing.assert_array_equal(found.lo, every[lo : hi + 1].min(axis=0))
        np.testing.assert_array_equal(found.hi, every[lo : hi + 1].max(axis=0))
    wide = op.reach([Reach.whole(U22, 1)], p)
    assert (set(wide.lo.tolist()), set(wide.hi.tolist())) == ({-(2**14)}, {2**14})


def test_positional_encoding_intermediates_fit_64_bits_at_their_largest() -> None:
    found = encoding(fraction=0).intermediates([Reach.whole(U22, 1)])
    product = (2**22 - 1) * (TURN - 1)
    assert found == {"product": product, "phase": product + TURN // 4, "point": 2**52, "rounded": 2**52 + 2**51}
    assert encoding().intermediates([Reach.whole(U22, 1)])["rounded"] == 2**52 + 2**37
    assert max(found.values()) < 2**63


def test_positional_encoding_passes_through_a_model_file_and_runs() -> None:
    program = Program("p", (Tensor("t", 1, IntFormat(8, False)), Tensor("p", 6, IntFormat(20, True))), (encoding(),))
    model = Model("any", {}, {"p": program}, {})
    again = model_from_bytes(model_to_bytes(model))
    assert again.identity == model.identity
    found = again.programs["p"].run(frame(131))
    np.testing.assert_array_equal(found, program.run_plain(frame(131)))
    assert found.dtype == np.int32
    assert program.sizes(1, 1)["p"] == (1, 1)
    with pytest.raises(ShapeError, match="e: takes one frame number, not 1 x 2 of them"):
        program.run(np.zeros((1, 1, 2), np.int16))
