"""What a tensor can take: sound for every input, and attained where the corners are tried (SPEC ACC-3)."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from refcodec.formats import IntFormat
from refcodec.program.operations import (
    AnyOperation,
    Clip,
    Convolution,
    LatentMean,
    Requantise,
    ScaleIndex,
    Tensor,
    TransposedConvolution,
)
from refcodec.program.program import Program
from refcodec.program.reach import Reach

S2, U2, S8, S16, S32 = (IntFormat(2, True), IntFormat(2, False), *(IntFormat(n, True) for n in (8, 16, 32)))


def one(op: AnyOperation, source: Tensor, target: Tensor) -> Program:
    """A program of one operation."""
    return Program("p", (source, target), (op,))


def every_input(fmt: IntFormat, shape: tuple[int, int, int]) -> Any:
    """All tensors of a small shape."""
    for values in product(range(fmt.lo, fmt.hi + 1), repeat=int(np.prod(shape))):
        yield np.array(values).reshape(shape)


def extremes(program: Program, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The smallest and the largest value of every output channel over all inputs of a shape."""
    found = [program.run(x) for x in every_input(program.input.format, shape)]
    return np.min([y.min(axis=(1, 2)) for y in found], axis=0), np.max([y.max(axis=(1, 2)) for y in found], axis=0)


@pytest.mark.parametrize("fmt", [S2, U2], ids=str)
@pytest.mark.parametrize("padding", [0, 1])
def test_reach_of_a_convolution_is_attained(fmt: IntFormat, padding: int, rng: np.random.Generator) -> None:
    """Catches a sign taken wrongly, a padding that is forgotten, and channels that are mixed up."""
    weight, bias = rng.integers(-9, 9, (3, 1, 2, 2)), np.array([5, -7, 0])
    op = Convolution("y", "x", "y", S8, 1, padding, weight, bias)
    program = one(op, Tensor("x", 1, fmt), Tensor("y", 3, S32))
    reach, (lo, hi) = program.reaches()["y"], extremes(program, (1, 2, 2))
    np.testing.assert_array_equal(reach.lo, lo)
    np.testing.assert_array_equal(reach.hi, hi)


def test_reach_of_a_transposed_convolution_is_that_of_its_worst_phase(rng: np.random.Generator) -> None:
    """Catches phases whose taps are added up."""
    weight, bias = rng.integers(-9, 9, (3, 1, 3, 3)), np.array([5, -7, 0])
    op = TransposedConvolution("y", "x", "y", S8, 2, 1, 1, weight, bias)
    program = one(op, Tensor("x", 1, S2), Tensor("y", 3, S32))
    reach, (lo, hi) = program.reaches()["y"], extremes(program, (1, 2, 2))
    np.testing.assert_array_equal(reach.lo, lo)
    np.testing.assert_array_equal(reach.hi, hi)
    assert (reach.magnitude <= op.bound(S2)).all()


@pytest.mark.parametrize(
    ("op", "target"),
    [
        (Requantise("y", "x", "y", np.array([3, 5]), np.array([1, 2])), IntFormat(4, True)),
        (Requantise("y", "x", "y", np.array([3, 0]), np.array([1, 62])), IntFormat(3, False)),
        (Clip("y", "x", "y", -2, 5), IntFormat(6, True)),
        (ScaleIndex("y", "x", "y", np.array([np.arange(63) - 40, np.arange(63) * 0 + 2])), IntFormat(6, False)),
    ],
    ids=lambda value: getattr(value, "kind", str(value)),
)
def test_reach_of_a_pointwise_operation_is_attained(op: AnyOperation, target: IntFormat) -> None:
    source = IntFormat(6, True)
    program = one(op, Tensor("x", 2, source), Tensor("y", 2, target))
    every = np.broadcast_to(np.arange(source.lo, source.hi + 1)[None, None], (2, 1, 64))
    found, reach = program.run(every.copy()), program.reaches()["y"]
    np.testing.assert_array_equal(reach.lo, found.min(axis=(1, 2)))
    np.testing.assert_array_equal(reach.hi, found.max(axis=(1, 2)))


def test_reach_of_latents_takes_both_ends_of_the_symbols() -> None:
    op = LatentMean("y", "x", "y", 4, np.array([-7, 99]))
    reach = one(op, Tensor("x", 2, S16), Tensor("y", 2, IntFormat(21, True))).reaches()["y"]
    assert reach.lo.tolist() == [-(2**19) - 7, -(2**19) + 99]
    assert reach.hi.tolist() == [2**19 - 16 - 7, 2**19 - 16 + 99]
    assert reach.joint() == (-(2**19) - 7, 2**19 - 16 + 99)


def test_reaches_go_through_a_program_and_narrow_what_follows() -> None:
    """A clip narrows the convolution after it; from the formats alone the sum would be twice as large."""
    program = Program(
        "p",
        (Tensor("x", 1, S8), Tensor("c", 1, S8), Tensor("y", 1, S32)),
        (
            Clip("c", "x", "c", -64, 3),
            Convolution("y", "c", "y", S8, 1, 0, np.array([[[[2]]]]), np.array([1])),
        ),
    )
    found = program.reaches()
    assert (found["x"].joint(), found["c"].joint(), found["y"].joint()) == ((-128, 127), (-64, 3), (-127, 7))


def test_requantise_tells_its_intermediates() -> None:
    op = Requantise("y", "x", "y", np.array([2**31 - 1, 1]), np.array([62, 1]))
    found = op.intermediates([Reach.whole(S32, 2)])
    assert found == {"product": 2**31 * (2**31 - 1), "rounded": 2**31 * (2**31 - 1) + 2**61}


@pytest.mark.parametrize("transposed", [False, True])
def test_reach_counts_the_zeros_outside_a_picture(transposed: bool, rng: np.random.Generator) -> None:
    """Samples of 2 and 3 only: without the zeros the smallest positive sum would be too large."""
    weight, bias = rng.integers(1, 9, (1, 1, 3, 3)), np.array([0])
    layer = (
        TransposedConvolution("y", "c", "y", S8, 2, 1, 1, weight, bias)
        if transposed
        else Convolution("y", "c", "y", S8, 1, 1, weight, bias)
    )
    tensors = Tensor("x", 1, IntFormat(2, False)), Tensor("c", 1, IntFormat(2, False)), Tensor("y", 1, S32)
    program = Program("p", tensors, (Clip("c", "x", "c", 2, 3), layer))
    reach, (lo, hi) = program.reaches()["y"], extremes(program, (1, 2, 2))
    assert reach.lo[0] <= lo[0]
    assert reach.hi[0] >= hi[0]
    inside = Program("p", tensors, (program.operations[0], Convolution("y", "c", "y", S8, 1, 0, weight, bias)))
    assert inside.reaches()["y"].joint() == (2 * weight.sum(), 3 * weight.sum())
