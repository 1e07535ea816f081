"""Small programs exported to ONNX and run beside the golden ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_oracle

from refcodec.formats import IntFormat
from refcodec.interop.onnx.export import export_program
from refcodec.program.operations import AnyOperation, Tensor
from refcodec.program.program import Program

S4, S8, S10, S12, S16, S32, S48 = (IntFormat(bits, True) for bits in (4, 8, 10, 12, 16, 32, 48))
U6, U8, U10, U16 = (IntFormat(bits, False) for bits in (6, 8, 10, 16))
MILLION = 1_000_000
Inputs = dict[str, np.ndarray]
Settings = Sequence[tuple[bool, int]]


def chain(first: Tensor, *steps: tuple[AnyOperation, Tensor]) -> Program:
    """A program from its input, its operations and the tensors that they define."""
    return Program("p", (first, *(tensor for _, tensor in steps)), tuple(op for op, _ in steps))


def single(op: AnyOperation, target: Tensor, *sources: Tensor) -> Program:
    """A program of one operation."""
    return Program("p", (*sources, target), (op,))


def ports(program: Program, inputs: Inputs) -> Inputs:
    """Inputs as the graph takes them, with a batch of one and in the narrowest type."""
    given = {}
    for tensor in program.inputs:
        kinds = "bhiq" if tensor.format.signed else "BHiq"
        kind = next(k for k in kinds if np.iinfo(k).min <= tensor.format.lo and tensor.format.hi <= np.iinfo(k).max)
        given[tensor.name] = inputs[tensor.name].astype(kind)[None]
    return given


def differences(run: onnx_oracle.Run, program: Program, inputs: Inputs, wanted: Inputs) -> int:
    """How many values of all outputs differ from those wanted; shapes must not."""
    found = run(ports(program, inputs))
    assert set(wanted) <= set(found)
    for name in wanted:
        assert found[name].shape == (1, *wanted[name].shape), name
    return sum(int((found[name][0] != wanted[name]).sum()) for name in wanted)


def agree_all(
    program: Program, cases: Sequence[Inputs], reference: bool = True, settings: Settings = onnx_oracle.SETTINGS
) -> list[Inputs]:
    """The golden outputs for all inputs, after one model gave the same in both runtimes; it holds integers only."""
    content, wanted = export_program(program), [program.run_all(inputs) for inputs in cases]
    assert onnx_oracle.not_integer(content) == []
    runs = [onnx_oracle.session(content, optimised, threads) for optimised, threads in settings]
    if reference:
        runs.append(onnx_oracle.reference(content))
    for run in runs:
        assert [differences(run, program, *pair) for pair in zip(cases, wanted, strict=True)] == [0] * len(cases)
    return wanted


def agree(
    program: Program, inputs: Inputs, reference: bool = True, settings: Settings = onnx_oracle.SETTINGS
) -> Inputs:
    """The same for one case."""
    return agree_all(program, [inputs], reference, settings)[0]


def near(limits: Sequence[int], fmt: IntFormat) -> list[int]:
    """The neighbourhoods of some values, as far as they lie in a format."""
    return [v + d for v in limits for d in (-2, -1, 0, 1, 2) if fmt.lo <= v + d <= fmt.hi]


def filled(fmt: IntFormat, shape: tuple[int, ...], rng: np.random.Generator, *corners: int) -> np.ndarray:
    """Values of all magnitudes of a format, its ends and the corners first."""
    count = int(np.prod(shape))
    ends = near([fmt.lo, fmt.hi, 0, *corners], fmt)[:count]
    width = rng.integers(0, fmt.bits, count - len(ends))
    drawn = rng.integers(fmt.lo, fmt.hi, len(width), endpoint=True) >> width
    return np.array([*ends, *drawn.tolist()], np.int64).reshape(shape)
