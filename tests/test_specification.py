"""SPEC.md's own functions, extracted from its text, equal the definitions and the kernels (SPEC PROG-4, VEC-3).

Every committed case of an operation or a layer, and random inputs for the program of each: three executions, no
difference. The extracted functions run on nested lists; nothing of the package computes there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spec_executor import EXECUTORS, execute, extract

from refcodec.program.operations import KINDS
from refcodec.program.program import Program
from refcodec.vectorgen.case import Case, load_case
from refcodec.vectorgen.evaluate import layer_program
from refcodec.vectorgen.operation_case import operation_program

SUITE = Path(__file__).parents[1] / "vectors"
LARGEST = 3000  # values of a random input: what the lists can do in a moment


def valid_cases() -> list[Any]:
    """The folder of every valid case that is a program, by its id."""
    folders = [path.parent for part in ("operations", "layers") for path in sorted((SUITE / part).rglob("case.json"))]
    chosen = [folder for folder in folders if is_program(load_case(folder))]
    return [pytest.param(folder, id=folder.relative_to(SUITE).as_posix()) for folder in chosen]


def is_program(case: Case) -> bool:
    """Whether a case is valid, and describes a program."""
    return case.error is None and case.operation in {*KINDS, "layer"}


def program_of(case: Case) -> tuple[Program, dict[str, np.ndarray]]:
    """The program of a case and its inputs."""
    arrays = {name: values.array for name, values in case.inputs.items()}
    if case.operation == "layer":
        program = layer_program(case.parameters, arrays)
    else:
        program = operation_program(case.operation, case.parameters, arrays)
    return program, {tensor.name: arrays[tensor.name] for tensor in program.inputs}


def agree(program: Program, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The common value of every tensor: extracted == plain == compiled."""
    plain: dict[str, np.ndarray] = {}
    compiled: dict[str, np.ndarray] = {}
    program.run_all_plain(inputs, plain.__setitem__)
    program.run_all(inputs, compiled.__setitem__)
    extracted = execute(program, {name: x.tolist() for name, x in inputs.items()})
    assert set(extracted) == set(plain) == set(compiled)
    for tensor in program.tensors:
        np.testing.assert_array_equal(np.array(extracted[tensor.name]), plain[tensor.name], err_msg=tensor.name)
        np.testing.assert_array_equal(plain[tensor.name], compiled[tensor.name], err_msg=tensor.name)
    return compiled


def test_every_kind_of_operation_has_cases_and_an_extracted_executor() -> None:
    tried = {load_case(parameter.values[0]).operation for parameter in valid_cases()}
    assert tried == {*KINDS, "layer"}
    assert set(EXECUTORS) == set(KINDS)


@pytest.mark.parametrize("folder", valid_cases())
def test_extracted_definition_and_kernel_agree_on_a_case_and_on_random_inputs(
    folder: Path, rng: np.random.Generator
) -> None:
    case = load_case(folder)
    program, inputs = program_of(case)
    found = agree(program, inputs)
    for name, values in {**case.taps, **case.outputs}.items():
        np.testing.assert_array_equal(found[name], values.array)
    random = {}
    for tensor in program.inputs:
        hi = tensor.format.hi
        if case.operation == "embedding":
            hi = min(hi, int(case.parameters["frames"]) - 1)
        random[tensor.name] = rng.integers(tensor.format.lo, hi, inputs[tensor.name].shape, endpoint=True)
    if sum(x.size for x in random.values()) <= LARGEST:
        agree(program, random)


def test_extracted_functions_are_not_those_of_the_package() -> None:
    """Catches an executor that runs the package after all."""
    spec = extract()
    assert spec.requantise.__code__.co_filename == "SPEC.md RQ-1"
    assert spec.requantise.__globals__["clip"] is spec.clip
