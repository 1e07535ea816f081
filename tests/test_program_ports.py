"""Programs with several inputs and outputs: what they are, how they run, what is refused (SPEC PROG-2, PROG-5)."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from refcodec.errors import ModelError, ShapeError
from refcodec.formats import IntFormat
from refcodec.program.model_file import Model, canonical_json, model_from_bytes, model_to_bytes
from refcodec.program.operations import Add, Clip, Concatenate, Tensor
from refcodec.program.program import Program

S8, S16 = IntFormat(8, True), IntFormat(16, True)


def crossed() -> Program:
    """x and y, their sum s, and both outputs: s clipped, and x beside y."""
    tensors = [Tensor(name, channels, fmt) for name, channels, fmt in (("x", 1, S8), ("y", 1, S8), ("s", 1, S16))]
    return Program(
        "p",
        (*tensors, Tensor("clipped", 1, S16), Tensor("both", 2, S8)),
        (
            Add("s", ("x", "y"), "s", 0, np.array([1, -3])),
            Clip("clipped", "s", "clipped", -10, 10),
            Concatenate("both", ("x", "y"), "both"),
        ),
    )


def inputs() -> dict[str, np.ndarray]:
    return {"x": np.array([[[1, 2, 3]]]), "y": np.array([[[0, 1, -7]]])}


def test_inputs_come_first_and_outputs_are_what_nothing_reads() -> None:
    program = crossed()
    assert [tensor.name for tensor in program.inputs] == ["x", "y"]
    assert [tensor.name for tensor in program.outputs] == ["clipped", "both"]


def test_run_all_gives_every_output_and_taps_every_tensor() -> None:
    program = crossed()
    taps: dict[str, np.ndarray] = {}
    found = program.run_all(inputs(), taps.__setitem__)
    assert {name: values.tolist() for name, values in found.items()} == {
        "clipped": [[[1, -1, 10]]],
        "both": [[[1, 2, 3]], [[0, 1, -7]]],
    }
    assert list(taps) == ["x", "y", "s", "clipped", "both"]
    assert taps["s"].tolist() == [[[1, -1, 24]]]
    plain = program.run_all_plain(inputs())
    assert all(np.array_equal(plain[name], values) for name, values in found.items())


def test_reaches_and_sizes_follow_both_inputs() -> None:
    program = crossed()
    assert program.reaches()["s"].joint() == (-128 - 3 * 127, 127 + 3 * 128)
    assert program.all_sizes({"x": (2, 3), "y": (2, 3)})["both"] == (2, 3)
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: s: the sources differ in height or width: 2 x 3, 3 x 2$"):
        program.all_sizes({"x": (2, 3), "y": (3, 2)})


def test_run_wants_one_input_and_one_output() -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: p has 2 inputs, not one$"):
        crossed().run(np.zeros((1, 1, 1), np.int64))
    split = Program(
        "q",
        (Tensor("x", 1, S8), Tensor("a", 1, S8), Tensor("b", 1, S8)),
        (Clip("a", "x", "a", 0, 1), Clip("b", "x", "b", 0, 1)),
    )
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: q has 2 outputs, not one$"):
        split.run_plain(np.zeros((1, 1, 1), np.int64))


@pytest.mark.parametrize("names", [("x",), ("x", "y", "z"), ("x", "z"), ()])
def test_run_all_refuses_other_inputs(names: tuple[str, ...]) -> None:
    for run in (crossed().run_all, crossed().run_all_plain):
        with pytest.raises(ShapeError, match=r"^RC-SHAPE: p takes x, y, got "):
            run(dict.fromkeys(names, np.zeros((1, 1, 1), np.int64)))


def test_run_all_refuses_inputs_of_unlike_sizes_before_it_computes() -> None:
    taps: list[str] = []
    with pytest.raises(ShapeError, match=r"^RC-SHAPE: s: the sources differ"):
        crossed().run_all({"x": np.zeros((1, 2, 2), int), "y": np.zeros((1, 2, 3), int)}, lambda n, _: taps.append(n))
    assert taps == []


def test_an_input_that_nothing_reads_is_refused() -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: p: nothing reads the input y$"):
        Program("p", (Tensor("x", 1, S8), Tensor("y", 1, S8), Tensor("z", 1, S8)), (Clip("z", "x", "z", 0, 1),))


def test_a_later_tensor_cannot_be_read() -> None:
    tensors = tuple(Tensor(name, 1, S8) for name in "xab")
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: a: reads x and b or writes a out of order$"):
        Program("p", tensors, (Add("a", ("x", "b"), "a", 0, np.array([1, 1])), Clip("b", "x", "b", 0, 1)))


def test_several_inputs_survive_the_model_file() -> None:
    content = model_to_bytes(Model("any", {}, {"p": crossed()}, {}))
    program = model_from_bytes(content).programs["p"]
    assert program.operation("both").reads == ("x", "y")
    found, wanted = program.run_all(inputs()), crossed().run_all(inputs())
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize(("sources", "message"), [([1, "y"], "both.sources: expected names"), ("xy", "expected list")])
def test_sources_must_be_a_list_of_names(sources: Any, message: str) -> None:
    content = model_to_bytes(Model("any", {}, {"p": crossed()}, {}))
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    document = json.loads(header["__metadata__"]["refcodec"])
    document["programs"]["p"]["operations"][2]["sources"] = sources
    header["__metadata__"]["refcodec"] = canonical_json(document).decode()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with pytest.raises(ModelError, match=rf"^RC-MODEL-SCHEMA: .*{message}"):
        model_from_bytes(len(text).to_bytes(8, "little") + text + content[end:])
