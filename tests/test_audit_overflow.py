"""A model whose sums can leave their widths is refused with an input that shows it (SPEC AUD-2)."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refcodec.audit.document import audit
from refcodec.audit.overflow import FORMAT, REACH, Overflow, find_overflow
from refcodec.audit.subject import subject
from refcodec.cli import main
from refcodec.errors import ModelError, RefcodecError
from refcodec.formats import IntFormat
from refcodec.program.model_file import Model, canonical_json, model_from_bytes, model_to_bytes, unchecked_programs
from refcodec.program.operations import (
    Add,
    AnyOperation,
    Clip,
    Convolution,
    Gdn,
    InverseGdn,
    LayerNorm,
    Linear,
    Tensor,
    TransposedConvolution,
)
from refcodec.program.program import Program

S4, S8, S16, S32, U8 = (IntFormat(b, s) for b, s in ((4, True), (8, True), (16, True), (32, True), (8, False)))


def edited(program: Program, change: Callable[[Any], None]) -> bytes:
    """The file of a model of one program, whose description was changed by hand."""
    content = model_to_bytes(Model("none", {}, {program.name: program}, {}))
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    document = json.loads(header["__metadata__"]["refcodec"])
    change(document["programs"][program.name])
    text = canonical_json(document).decode()
    return safetensors.numpy.save(safetensors.numpy.load(content), {"refcodec": text})


def narrowed(program: Program, tensor: str, bits: int) -> bytes:
    """The file of a program one tensor of which has other bits."""

    def change(described: Any) -> None:
        (entry,) = (entry for entry in described["tensors"] if entry["name"] == tensor)
        entry["format"]["bits"] = bits

    return edited(program, change)


def refused(content: bytes) -> Overflow:
    """The overflow of a file that the loader refuses."""
    with pytest.raises(ModelError) as caught:
        model_from_bytes(content)
    assert caught.value.code == "RC-MODEL-OVERFLOW"
    found = find_overflow(content)
    assert found is not None
    assert found.message == caught.value.message
    return found


def convolution(limits: tuple[int, int] = (-128, 127)) -> Program:
    """A clip and a transposed convolution, whose sums need 12 bits for -1024 .. 1028."""
    op = TransposedConvolution("y", "c", "y", S4, 2, 0, 0, np.full((1, 1, 2, 2), -8), np.array([4]))
    tensors = Tensor("x", 1, S8), Tensor("c", 1, S8), Tensor("y", 1, S16)
    return Program("g_s", tensors, (Clip("c", "x", "c", *limits), op))


def test_an_overflow_has_a_witness_within_the_sources_reach() -> None:
    content = narrowed(convolution(), "y", 11)
    found = refused(content)
    refusal = found.refusal
    assert refusal is not None
    assert (found.program, found.operation, found.kind) == ("g_s", "y", "transposed_convolution")
    assert (refusal.declared, refusal.checked, refusal.checked_bits) == (11, 1028, 12)
    assert (refusal.found.value, refusal.needed_bits, refusal.scope, refusal.overflows) == (1028, 12, REACH, True)
    program = convolution()
    y = program.operation("y").run([refusal.found.inputs[0].astype(np.int16)], program.tensors[1:2], program.output)
    at = refusal.found.channel, refusal.found.row, refusal.found.column
    assert y[at] == 1028 > IntFormat(11, True).hi


def test_a_sum_that_only_other_samples_of_the_format_overflow_says_so() -> None:
    refusal = refused(narrowed(convolution((-5, 5)), "y", 11)).refusal
    assert refusal is not None
    assert (refusal.scope, refusal.overflows, refusal.found.value) == (FORMAT, True, 1028)


def test_a_bound_that_no_input_reaches_says_so() -> None:
    """127 * 8 + 7 fits 11 bits; the bound takes 128 * 8 + 7, as no format is known to be symmetric."""
    op = Linear("y", "x", "y", S8, np.array([[8]]), np.array([7]))
    program = Program("p", (Tensor("x", 1, S8), Tensor("y", 1, S16)), (op,))
    refusal = refused(narrowed(program, "y", 11)).refusal
    assert refusal is not None
    assert (refusal.checked, refusal.found.value, refusal.overflows) == (1031, 1023, False)


def gdn(inverse: bool) -> Program:
    """A normalisation of two channels."""
    gamma, beta, ones = np.array([[7, 1], [0, 9]]), np.array([3, 4]), np.array([1, 1])
    op: AnyOperation
    if inverse:
        op = InverseGdn("y", "x", "y", U8, S32, S32, True, 0, gamma, beta, ones, ones, ones)
    else:
        op = Gdn("y", "x", "y", U8, S32, True, 0, 2, gamma, beta, ones, ones)
    return Program("p", (Tensor("x", 2, S8), Tensor("y", 2, S8)), (op,))


@pytest.mark.parametrize(
    ("quantity", "inverse", "value"),
    [("norm", False, 9 * 128**2 + 4), ("norm", True, 9 * 128**2 + 4), ("product", True, -128 * 384 + 1)],
)
def test_norms_and_products_that_overflow_have_witnesses(quantity: str, inverse: bool, value: int) -> None:
    def change(described: Any) -> None:
        described["operations"][0][f"{quantity}_format"]["bits"] = abs(value).bit_length()

    refusal = refused(edited(gdn(inverse), change)).refusal
    assert refusal is not None
    assert (refusal.found.quantity, refusal.found.channel, refusal.found.value) == (quantity, 1, value)
    assert refusal.overflows
    assert refusal.found.inputs[0][1, 0, 0] == -128


def test_an_addition_that_leaves_64_bits_has_a_witness() -> None:
    op = Add("y", ("a", "b"), "y", 0, np.array([1 << 30, -(1 << 30)]))
    program = Program("p", (Tensor("a", 1, S32), Tensor("b", 1, S32), Tensor("y", 1, S8)), (op,))

    def change(described: Any) -> None:
        for entry in described["tensors"][:2]:
            entry["format"]["bits"] = 34

    refusal = refused(edited(program, change)).refusal
    assert refusal is not None
    assert refusal.found.value == -(1 << 64) + (1 << 30)
    assert [int(x.item()) for x in refusal.found.inputs] == [-(1 << 33), (1 << 33) - 1]


def changed_operation(program: Program, fields: dict[str, int]) -> bytes:
    """The file of a program whose only operation has other numbers."""
    return edited(program, lambda described: described["operations"][0].update(fields))


def layer_norm() -> Program:
    """A normalisation of three channels of 16 bits."""
    op = LayerNorm("y", "x", "y", 5, 20, 0, np.array([9, 9, 9]), np.array([0, 0, 0]))
    return Program("p", (Tensor("x", 3, S16), Tensor("y", 3, S8)), (op,))


def test_a_radicand_of_a_layer_norm_has_a_witness() -> None:
    refusal = refused(changed_operation(layer_norm(), {"root_shift": 31})).refusal
    assert refusal is not None
    x = [int(v) for v in refusal.found.inputs[0].ravel()]
    assert (3 * sum(v * v for v in x) - sum(x) ** 2 + 5) << 31 == refusal.found.value == refusal.checked >= 2**62
    assert (refusal.found.quantity, refusal.declared, refusal.overflows) == ("radicand", 63, True)


def test_a_radicand_of_a_normalisation_has_a_witness() -> None:
    gamma, formats = np.array([[65535, 65535], [0, 9]]), (IntFormat(16, False), IntFormat(48, True))
    op: Any = replace(gdn(False).operations[0], gamma=gamma, gamma_format=formats[0], norm_format=formats[1])
    program = Program("p", (Tensor("x", 2, S16), Tensor("y", 2, S8)), (op,))
    refusal = refused(changed_operation(program, {"norm_shift": 16})).refusal
    assert refusal is not None
    assert (refusal.found.quantity, refusal.found.channel) == ("radicand", 0)
    assert refusal.found.value == (2 * 65535 * 2**30 + 3) << 16
    assert refusal.found.inputs[0].ravel().tolist() == [-32768, -32768]


def test_a_denominator_has_a_witness() -> None:
    op = Gdn(
        "y", "x", "y", U8, IntFormat(48, True), False, 0, 0,
        np.array([[7]]), np.array([2**46]), np.array([1]), np.array([0]),
    )  # fmt: skip
    program = Program("p", (Tensor("x", 1, S8), Tensor("y", 1, S8)), (op,))
    refusal = refused(changed_operation(program, {"fraction": 16})).refusal
    assert refusal is not None
    assert (refusal.found.quantity, refusal.found.value) == ("denominator", (7 * 128 + 2**46) << 16)


def test_what_has_no_witness_is_refused_with_the_message_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    op = LayerNorm("y", "x", "y", 1, 0, 0, np.array([2**40]), np.array([0]))
    program = Program("p", (Tensor("x", 1, S16), Tensor("y", 1, S8)), (op,))
    wide = model_to_bytes(Model("none", {}, {"p": program}, {}))
    arrays = safetensors.numpy.load(wide)
    arrays["programs/p/y/offset"] = np.array([2**62])
    header = json.loads(wide[8 : 8 + int.from_bytes(wide[:8], "little")])
    content = safetensors.numpy.save(arrays, header["__metadata__"])
    assert refused(content).refusal is None
    (tmp_path / "m.rcm").write_bytes(content)
    assert main(["audit", str(tmp_path / "m.rcm")]) == 2
    said = capsys.readouterr()
    assert said.out.splitlines()[1] == said.err.strip().partition("RC-MODEL-OVERFLOW: ")[2]


def test_other_faults_are_no_overflow() -> None:
    def change(described: Any) -> None:
        described["operations"][1]["stride"] = 9

    content = edited(convolution(), change)
    with pytest.raises(ModelError, match="RC-MODEL-RANGE"):
        model_from_bytes(content)
    assert find_overflow(content) is None
    assert find_overflow(model_to_bytes(Model("none", {}, {"g_s": convolution()}, {}))) is None


def test_an_unknown_tensor_is_no_overflow() -> None:
    def change(described: Any) -> None:
        described["operations"][1]["source"] = "nothing"

    assert find_overflow(edited(convolution(), change)) is None


def test_an_output_padding_that_was_not_checked_yet_leads_to_no_search() -> None:
    def change(described: Any) -> None:
        described["tensors"][2]["format"]["bits"] = 11
        described["operations"][1]["output_padding"] = 10**12

    assert refused(edited(convolution(), change)).refusal is None


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_integers_a_file_holds_it_is_audited_or_refused(data: st.DataObject, tiny_model: Model) -> None:
    program = data.draw(st.sampled_from([gdn(True), gdn(False), convolution(), *tiny_model.programs.values()]))

    def change(described: Any) -> None:
        places: list[tuple[Any, str]] = []
        for entry in [*described["tensors"], *described["operations"]]:
            for part in (entry, *(v for v in entry.values() if isinstance(v, dict))):
                places += [(part, key) for key, value in part.items() if type(value) is int]
        for part, key in data.draw(st.lists(st.sampled_from(places), min_size=1, max_size=3)):
            part[key] = data.draw(st.one_of(st.integers(-2, 66), st.integers(-(2**70), 2**70)))

    content = edited(program, change)
    refusal = audited(content, program.name)
    if refusal is not None:
        assert refusal.code.startswith("RC-MODEL-")
    if refusal is not None and refusal.code == "RC-MODEL-OVERFLOW":
        found = find_overflow(content)
        assert found is not None
        assert found.message == refusal.message


def audited(content: bytes, name: str) -> RefcodecError | None:
    """Audit a file whose recorded identity does not count; what it is refused with, if it is."""
    try:
        whole = Program(name, *unchecked_programs(content)[name])
    except RefcodecError as error:
        return error
    audit(subject(model_to_bytes(Model("none", {}, {name: whole}, {})), "m"))
    return None


@pytest.mark.parametrize("document", [[], {"programs": 3}])
def test_a_description_without_programs_is_refused(document: Any) -> None:
    content = safetensors.numpy.save({}, {"refcodec": canonical_json(document).decode()})
    with pytest.raises(ModelError, match="RC-MODEL-SCHEMA: model: the description has no programs"):
        find_overflow(content)


def test_the_command_prints_and_writes_the_witness(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, report = tmp_path / "wide.rcm", tmp_path / "audit.json"
    model.write_bytes(narrowed(convolution(), "y", 11))
    assert main(["audit", str(model), "--json", str(report)]) == 2
    said = capsys.readouterr()
    assert said.err == ("refcodec: RC-MODEL-OVERFLOW: y: the accumulator may reach 1028, s11 holds 1023\n")
    lines = said.out.splitlines()
    assert lines[0].endswith("refused, g_s.y (transposed_convolution)")
    assert lines[1] == "The accumulator has 11 bits. The bound of the checker is 1028, which needs 12 bits."
    assert lines[2] == "An input of samples within the source's proven reach needs 12 bits:"
    assert lines[3:5] == ["  input 0: 1 channels of 1 x 1, in the order channel, row, column:", "    -128"]
    assert lines[5] == "  gives the accumulator 1028 at channel 0, row 0, column 0, phase 0"
    document = json.loads(report.read_text())
    assert document["fits"] is False
    assert document["refusal"]["witness"]["inputs"] == [{"shape": [1, 1, 1], "samples": [-128]}]


def test_the_command_says_where_only_the_bound_is_too_large(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    op = Convolution("y", "x", "y", S8, 1, 0, np.array([[[[8, 8]] * 2]]), np.array([7]))
    program = Program("p", (Tensor("x", 1, S8), Tensor("y", 1, S16)), (op,))
    (tmp_path / "m.rcm").write_bytes(narrowed(program, "y", 13))
    assert main(["audit", str(tmp_path / "m.rcm")]) == 2
    assert (
        "No input of samples of the source's format leaves the width, only the bound does." in capsys.readouterr().out
    )
