"""Programs at one position give what whole programs give (SPEC AR-2, PROG-4)."""

from __future__ import annotations

import numpy as np
import pytest

from refcodec.codecs.position import PositionProgram, WholeSum
from refcodec.errors import ShapeError
from refcodec.formats import IntFormat
from refcodec.program.operations import Convolution, Linear, Tensor
from refcodec.program.program import Program
from refcodec.vectorgen.tiny_models import KERNEL, context, entropy_parameters

WIDTHS = [(2, 2), (4, 4), (8, 8), (12, 12), (16, 16), (2, 16), (16, 2)]


def drawn(program: Program, sizes: dict[str, tuple[int, int]], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Inputs with both ends of their formats and many small values."""
    found = {}
    for tensor in program.inputs:
        shape = (tensor.channels, *sizes[tensor.name])
        values = rng.integers(tensor.format.lo, tensor.format.hi, shape, endpoint=True)
        values = np.where(rng.random(shape) < 0.5, values, values >> (tensor.format.bits // 2))
        values.flat[:2] = tensor.format.lo, tensor.format.hi
        found[tensor.name] = values.astype(tensor.format.dtype)
    return found


def assert_same(program: Program, sizes: dict[str, tuple[int, int]], rng: np.random.Generator, rounds: int = 5) -> None:
    prepared = PositionProgram.of(program, sizes)
    for _ in range(rounds):
        inputs = drawn(program, sizes, rng)
        found, wanted = prepared.run(inputs), program.run_all_plain(inputs)
        assert found.keys() == wanted.keys()
        for name, values in wanted.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)
            assert found[name].dtype == program.run_all(inputs)[name].dtype


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_context_programs_equal_the_definition(widths: tuple[int, int], rng: np.random.Generator) -> None:
    for mask in ("causal", "checkerboard"):
        assert_same(context(widths, 8, mask, 0, 500), {"y_hat": (KERNEL, KERNEL)}, rng)


@pytest.mark.parametrize("widths", WIDTHS, ids=str)
def test_parameter_programs_equal_the_definition(widths: tuple[int, int], rng: np.random.Generator) -> None:
    assert_same(entropy_parameters(widths, 8, ("side", "context"), 600), {"context": (1, 1), "side": (1, 1)}, rng)


@pytest.mark.parametrize(
    ("size", "kernel", "padding"), [((3, 3), 3, 0), ((5, 5), 3, 0), ((3, 3), 3, 1), ((4, 4), 1, 0)]
)
def test_sums_that_do_not_see_their_whole_input_run_as_everywhere(
    size: tuple[int, int], kernel: int, padding: int, rng: np.random.Generator
) -> None:
    weight = rng.integers(-128, 128, (3, 2, kernel, kernel))
    op = Convolution("c", "x", "c", IntFormat(8, True), 1, padding, weight, np.array([5, -5, 0]))
    program = Program("p", (Tensor("x", 2, IntFormat(8, True)), Tensor("c", 3, IntFormat(32, True))), (op,))
    whole = WholeSum.of(op, program.tensors[0], size, program.tensors[1])
    assert (whole is not None) == (size == (kernel, kernel) and padding == 0)
    assert_same(program, {"x": size}, rng)


@pytest.mark.parametrize("source", [IntFormat(16, False), IntFormat(16, True), IntFormat(15, True)], ids=str)
@pytest.mark.parametrize("total", [32, 33, 48])
def test_sums_keep_to_their_widths(source: IntFormat, total: int, rng: np.random.Generator) -> None:
    """Weights as heavy as the accumulator's format allows, and the inputs that bring it to its ends."""
    fmt = IntFormat(total, True)
    heavy = min((fmt.hi - 9) // (source.magnitude * 4), 32767)
    weight = np.array([[heavy] * 4, [-heavy] * 4, [heavy, -heavy, 0, 0]])
    op = Linear("c", "x", "c", IntFormat(16, True), weight, np.array([9, -9, 9]))
    program = Program("p", (Tensor("x", 4, source), Tensor("c", 3, fmt)), (op,))
    prepared = PositionProgram.of(program, {"x": (1, 1)})
    for value in (source.lo, source.hi, 1, 0):
        x = np.full((4, 1, 1), value, source.dtype)
        np.testing.assert_array_equal(prepared.run({"x": x})["c"], program.run_plain(x))
    assert_same(program, {"x": (1, 1)}, rng)


def test_weights_that_are_all_zero_leave_the_bias(rng: np.random.Generator) -> None:
    op = Linear("c", "x", "c", IntFormat(8, True), np.zeros((2, 3), int), np.array([7, -7]))
    program = Program("p", (Tensor("x", 3, IntFormat(8, True)), Tensor("c", 2, IntFormat(32, True))), (op,))
    assert_same(program, {"x": (1, 1)}, rng)


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="RC-SHAPE"):
        PositionProgram.of(context((8, 8), 8, "causal", 0, 1), {"y_hat": (3, 3)})
