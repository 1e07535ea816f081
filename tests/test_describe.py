"""Descriptions of models and streams say what is there, in JSON and in tables."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from refcodec.codecs.stream import Geometry, Stream, pack, parse
from refcodec.describe import (
    describe_model,
    describe_program,
    describe_stream,
    model_text,
    stream_text,
    table,
)
from refcodec.models.shipped import DEFAULT_MODEL, DEFAULT_STREAM, shipped_path
from refcodec.program.model_file import Model, load_model


@pytest.fixture(scope="module")
def model() -> Model:
    return load_model(shipped_path(DEFAULT_MODEL, ".rcm"))


# --- tables


def test_table_aligns_text_left_and_numbers_right() -> None:
    assert table([["a", 5, 1.5], ["bcd", 12345, -2]], ["name", "count", "x"]).split("\n") == [
        "name  count    x",
        "----  -----  ---",
        "a         5  1.5",
        "bcd   12345   -2",
    ]


def test_table_ends_no_line_in_blanks() -> None:
    assert table([["a", ""], ["b", "reason"]], ["x", "why"]).split("\n") == [
        "x  why",
        "-  ------",
        "a",
        "b  reason",
    ]


def test_table_without_rows_is_its_head() -> None:
    assert table([], ["a", "long"]) == "a  long\n-  ----"


# --- models


def test_describe_program_follows_its_operations(model: Model) -> None:
    for program in model.programs.values():
        described = describe_program(program)
        assert [entry["operation"] for entry in described] == [op.name for op in program.operations]
        for entry, op in zip(described, program.operations, strict=True):
            assert entry["kind"] == op.kind
            assert entry["reads"] == op.source
            assert entry["input_format"] == str(program.tensor(op.source).format)
            assert entry["output_format"] == str(program.tensor(op.target).format)
            assert entry["channels"] == program.tensor(op.target).channels
            assert tuple(entry["reach"]) == program.reaches()[op.target].joint()


def test_describe_program_tells_the_largest_values_on_the_way(model: Model) -> None:
    described = {entry["operation"]: entry for entry in describe_program(model.programs["g_s"])}
    op = model.programs["g_s"].operation("x_hat")
    lo, hi = described["g_s.6"]["reach"]
    assert described["g_s.6"]["intermediates"] == {}
    product = described["x_hat"]["intermediates"]["product"]
    assert product <= max(-lo, hi) * int(op.multiplier.max()) < 2**62
    assert described["x_hat"]["intermediates"]["rounded"] > product


def test_describe_program_counts_constants(model: Model) -> None:
    counts = {entry["operation"]: entry["constants"] for entry in describe_program(model.programs["h_s"])}
    assert counts["z_mean"] == 32
    assert counts["z_hat"] == counts["h_s.1"] == 2 * 32
    assert counts["h_s.0"] == 32 * 32 * 25 + 32
    assert counts["h_s.4"] == 64 * 32 * 9 + 64
    assert counts["indexes"] == 64 * 63


def test_describe_model_is_json_of_what_the_model_says(model: Model) -> None:
    described = describe_model(model)
    assert json.loads(json.dumps(described)) == described
    assert described["identity"] == model.identity
    assert described["settings"] == {"activation_bits": 8, "weight_bits": 8}
    assert described["family"] == "scale-hyperprior"
    assert described["can_encode"] is True
    assert described["provenance"] == model.provenance
    assert list(described["programs"]) == ["g_s", "h_s"]
    assert described["tables"] == {name: array.size for name, array in model.tables.items()}
    assert describe_model(replace(model, encoder={}))["can_encode"] is False


def test_model_text_shows_every_operation_and_all_provenance(model: Model) -> None:
    text = model_text(describe_model(model))
    lines = text.split("\n")
    assert lines[0] == f"scale-hyperprior  identity {model.identity}"
    assert lines[1].endswith("  with encoder")
    for key, value in model.provenance.items():
        assert f"{key}: {value}" in lines
    for program in model.programs.values():
        for op in program.operations:
            assert any(line.startswith(f"{op.name} ") and f" {op.kind} " in line for line in lines)
    assert "  decoder only" in model_text(describe_model(replace(model, encoder={})))


# --- streams


def test_describe_stream_measures_its_sections() -> None:
    content = shipped_path(DEFAULT_STREAM, ".rcb").read_bytes()
    stream = parse(content)
    described = describe_stream(stream)
    assert described == {
        "width": 768,
        "height": 512,
        "channels": 3,
        "model": stream.identity,
        "bytes": len(content),
        "sections": {"ZSYM": len(stream.payloads["ZSYM"]), "YSYM": len(stream.payloads["YSYM"])},
    }
    assert sum(described["sections"].values()) + 80 == len(content)


@pytest.mark.parametrize(("channels", "colour"), [(1, "grey"), (3, "RGB")])
def test_stream_text_gives_size_and_rate(channels: int, colour: str) -> None:
    stream: Stream = parse(pack(Geometry(20, 10, channels), "ab" * 32, {"ZSYM": b"123", "YSYM": b"1234567"}))
    assert stream_text(describe_stream(stream)) == (
        f"20x10 {colour}, 90 bytes (3.6000 bit per pixel): ZSYM 3, YSYM 7\nmodel {'ab' * 32}"
    )
