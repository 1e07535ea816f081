"""Whole networks as TOSA files: the bytes, the profile, and the integers of Arm's reference model (SPEC EXP-1)."""

from __future__ import annotations

import dataclasses
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tosa_oracle

from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.errors import ExportError, ShapeError
from refcodec.formats import IntFormat
from refcodec.interop.tosa import schema
from refcodec.interop.tosa.export import LIMITS, RECIPES, export_program
from refcodec.interop.tosa.graph import Graph, Pads, Value
from refcodec.models.shipped import DEFAULT_FLOAT, DEFAULT_MODEL, DEFAULT_STREAM, recipe_name, resolve, shipped_path
from refcodec.models.trained import load_trained
from refcodec.program.model_file import Model, load_model
from refcodec.program.operations import KINDS, Clip, Tensor, TransposedConvolution
from refcodec.program.program import Program
from refcodec.quantize.integerise import integerise
from refcodec.quantize.recipe import load_recipe

Latents = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def shipped() -> Model:
    return load_model(shipped_path(DEFAULT_MODEL, ".rcm"))


@pytest.fixture(scope="module")
def latents(shipped: Model) -> Latents:
    """z and y of the shipped photograph."""
    stream = shipped_path(DEFAULT_STREAM, ".rcb").read_bytes()
    decoded, _ = ScaleHyperprior.from_model(shipped).decode_latents(stream)
    return {"h_s": decoded.z, "g_s": decoded.y}


def agree(program: Program, x: np.ndarray, extensions: tuple[str, ...], taps: bool = False) -> dict[str, np.ndarray]:
    """The tensors on which executor and reference model agree; the file is validated for exactly these extensions."""
    exported = export_program(program, {program.input.name: x.shape[1:]}, taps)
    assert (exported.version, exported.profile, exported.extensions) == ("1.0", "PRO-INT", extensions)
    assert tosa_oracle.complaints(exported.content, extensions) == ""
    (port,) = exported.inputs
    stored = np.ascontiguousarray(x.transpose(1, 2, 0)[None]).astype(port.dtype)
    names = [output.name for output in exported.outputs]
    status, found = tosa_oracle.evaluate(exported.content, {port.name: stored}, names)
    assert status == "TOSA_VALID"
    wanted: dict[str, np.ndarray] = {}
    program.run(x, wanted.__setitem__)
    for output in exported.outputs:
        planes = found[output.name].view(output.dtype)[0].transpose(2, 0, 1)
        np.testing.assert_array_equal(planes, wanted[output.name])
    return {name: wanted[name] for name in names}


# --- whole networks


@pytest.mark.oracle
def test_tosa_h_s_of_the_shipped_model_agrees_on_the_shipped_stream(shipped: Model, latents: Latents) -> None:
    found = agree(shipped.programs["h_s"], latents["h_s"], (), taps=True)
    assert len(found) == len(shipped.programs["h_s"].operations)
    assert len(np.unique(found["indexes"])) > 20


@pytest.mark.oracle
def test_tosa_g_s_of_the_shipped_model_agrees_on_the_shipped_stream(shipped: Model, latents: Latents) -> None:
    found = agree(shipped.programs["g_s"], latents["g_s"], ())
    assert found["x_hat"].shape == (3, 512, 768)
    assert {0, 255} <= set(found["x_hat"].ravel().tolist())


@pytest.mark.oracle
@pytest.mark.parametrize("bits", [4, 12, 16])
def test_tosa_networks_of_other_widths_agree_on_the_shipped_latents(bits: int, latents: Latents) -> None:
    """All of them without extensions: what is wider than 8 bits is multiplied byte by byte."""
    name = recipe_name(f"w{bits}a{bits}")
    recipe = load_recipe(resolve(name, ".json"))
    model = integerise(load_trained(resolve(DEFAULT_FLOAT, ".safetensors")), recipe)
    assert len(np.unique(agree(model.programs["h_s"], latents["h_s"], (), taps=True)["indexes"])) > 10
    found = agree(model.programs["g_s"], latents["g_s"][:, 8:16, 20:27], (), taps=True)
    assert found["x_hat"].shape == (3, 128, 112)
    assert len(np.unique(found["x_hat"])) > 100


@pytest.mark.oracle
def test_tosa_wide_activations_of_8_bit_weights_use_the_int16_extension(shipped: Model, latents: Latents) -> None:
    """The first layer of the shipped model, read by symbols of 16 bits."""
    first = shipped.programs["g_s"].operations[1]
    assert isinstance(first, TransposedConvolution)
    tensors = Tensor("y", 64, IntFormat(16, True)), Tensor(first.target, 32, IntFormat(32, True))
    program = Program("first", tensors, (dataclasses.replace(first, source="y"),))
    assert len(np.unique(agree(program, latents["g_s"], ("EXT-INT16",))[first.target])) > 1000


# --- the file


def test_tosa_export_has_a_recipe_for_every_kind_of_operation() -> None:
    assert set(RECIPES) == set(KINDS)
    assert set(LIMITS) < set(KINDS)


def test_tosa_export_refuses_a_kind_without_a_recipe(shipped: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(RECIPES, "scale_index")
    with pytest.raises(ExportError, match=r"^RC-EXPORT: h_s: there is no TOSA recipe for indexes \(scale_index\)$"):
        export_program(shipped.programs["h_s"], {"z": (2, 2)})


def test_tosa_export_refuses_sizes_that_do_not_fit(shipped: Model) -> None:
    program = Program("clip", (Tensor("x", 2, IntFormat(8, True)), Tensor("y", 2, IntFormat(8, True))), (
        Clip("c", "x", "y", 0, 5),
    ))  # fmt: skip
    with pytest.raises((ExportError, ShapeError)):
        export_program(program, {"x": (0, 4)})


def test_tosa_export_gives_the_same_bytes_in_every_process(shipped: Model) -> None:
    script = (
        "import hashlib, sys\n"
        "from refcodec.interop.tosa.export import export_program\n"
        "from refcodec.program.model_file import load_model\n"
        "program = load_model(sys.argv[1]).programs['g_s']\n"
        "print(hashlib.sha256(export_program(program, {'y': (4, 5)}).content).hexdigest())\n"
    )
    command = [sys.executable, "-c", script, str(shipped_path(DEFAULT_MODEL, ".rcm"))]
    found = {
        subprocess.run(command, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert len(found.pop()) == 65


def test_tosa_export_grows_with_constants_not_with_the_picture(shipped: Model) -> None:
    small, large = (export_program(shipped.programs["g_s"], {"y": size}).content for size in ((4, 4), (400, 500)))
    assert abs(len(small) - len(large)) < 200


def enumerated(text: str, name: str) -> dict[str, int]:
    """The members of an enumeration or union of a FlatBuffers schema."""
    body = re.sub(r"//.*", "", text)
    found = re.search(rf"(?:enum|union) {name}\b[^{{]*{{(.*?)}}", body, re.S)
    assert found is not None
    members: dict[str, int] = {}
    for item in filter(None, (part.strip() for part in found.group(1).split(","))):
        label, _, number = item.partition("=")
        members[label.strip()] = int(number) if number else max(members.values(), default=0) + 1
    return members


def declared(text: str, table: str) -> list[tuple[str, str]]:
    """Names and types of the fields of a table of a FlatBuffers schema, in order."""
    found = re.search(rf"table {table} {{(.*?)}}", re.sub(r"//.*", "", text), re.S)
    assert found is not None
    return re.findall(r"(\w+)\s*:\s*(\[?\w+\]?)", re.sub(r"\(force_align: 8\)", "", found.group(1)))


@pytest.mark.oracle
def test_tosa_schema_has_the_numbers_of_arms() -> None:
    text = tosa_oracle.tool("tosa.fbs").read_text()
    types = enumerated(text, "DType")
    assert {name: types[name] for name in schema.DTYPES} == schema.DTYPES
    assert enumerated(text, "RoundingMode")["SINGLE_ROUND"] == schema.SINGLE_ROUND
    assert enumerated(text, "NanPropagationMode")["PROPAGATE"] == schema.PROPAGATE
    assert enumerated(text, "ResizeMode")["BILINEAR"] == schema.BILINEAR
    operators = enumerated(text, "Op")
    tables = {number: name for name, number in enumerated(text, "Attribute").items()}
    sorts = {"[int32]": "int32s", "[ubyte]": "bytes", "int32": "int32", "bool": "bool"}
    for kind, (number, fields) in schema.OPERATORS.items():
        assert operators[kind] == number
        assert tables[number].lower() == f"{kind.replace('_', '')}attribute".lower()
        assert [(name, sorts.get(sort, "enum")) for name, sort in declared(text, tables[number])] == list(
            fields.items()
        )
    for table, names in {
        "TosaTensor": ["name", "shape", "type", "data"],
        "TosaShape": ["name", "rank", "data"],
        "TosaBasicBlock": ["name", "operators", "tensors", "inputs", "outputs", "shapes"],
        "TosaRegion": ["name", "blocks"],
        "TosaGraph": ["version", "regions"],
        "Version": ["_major", "_minor", "_patch", "_draft"],
    }.items():
        assert [name for name, _ in declared(text, table)][: len(names)] == names


class Reader:
    """FlatBuffers read back by their own rules: offsets forwards, tables through their lists of fields."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def at(self, kind: str, place: int) -> int:
        found: int = struct.unpack_from(f"<{kind}", self.content, place)[0]
        return found

    def follow(self, place: int) -> int:
        return place + self.at("I", place)

    def field(self, table: int, number: int) -> int | None:
        """Where a field of a table is, or None if it is absent."""
        fields = table - self.at("i", table)
        assert fields % 2 == 0
        slot = 4 + 2 * number
        offset = self.at("H", fields + slot) if slot < self.at("H", fields) else 0
        assert offset < self.at("H", fields + 2)
        return table + offset if offset else None

    def items(self, table: int, number: int) -> list[int]:
        """Where the elements of a vector of references are."""
        place = self.field(table, number)
        assert place is not None
        vector = self.follow(place)
        assert vector % 4 == 0
        return [self.follow(vector + 4 + 4 * i) for i in range(self.at("I", vector))]

    def text(self, place: int) -> str:
        length = self.at("I", place)
        assert self.content[place + 4 + length] == 0
        return self.content[place + 4 : place + 4 + length].decode()

    def raw(self, table: int, number: int) -> bytes:
        place = self.field(table, number)
        assert place is not None
        vector = self.follow(place)
        assert (vector + 4) % 8 == 0, "constants begin at multiples of eight"
        return self.content[vector + 4 : vector + 4 + self.at("I", vector)]


def test_tosa_file_can_be_read_back() -> None:
    """Catches misplaced offsets and alignment, which readers may forgive on one machine and not on another."""
    graph = Graph()
    x = graph.input("x", (1, 2, 3, 2), "INT32", -5, 9)
    y = graph.add(x, graph.channels(np.array([7, -1]), 4))
    graph.output(graph.slice(y, (0, 1, 0, 0), (1, 1, 3, 2)), "result")
    content = schema.file_bytes(graph.block())
    reader = Reader(content)
    assert content[4:8] == b"TOSA"
    assert len(content) % 8 == 0
    root = reader.follow(0)
    version = reader.field(root, 0)
    assert version is not None
    numbers = [reader.field(reader.follow(version), i) for i in range(4)]
    assert [reader.at("i" if i < 3 else "B", place or 0) for i, place in enumerate(numbers)] == [1, 0, 0, 0]
    (region,) = reader.items(root, 1)
    (block,) = reader.items(region, 1)
    kinds = {number: kind for kind, (number, _) in schema.OPERATORS.items()}
    operators = [kinds[reader.at("I", reader.field(op, 0) or 0)] for op in reader.items(block, 1)]
    assert operators == ["CONST", "ADD", "CONST_SHAPE", "CONST_SHAPE", "SLICE"]
    names = [[reader.text(place) for place in reader.items(block, number)] for number in (3, 4)]
    assert names == [["x"], ["result"]]
    tensors = {reader.text(reader.follow(reader.field(t, 0) or 0)): t for t in reader.items(block, 2)}
    assert reader.raw(tensors["constant.0"], 3) == np.array([7, -1], "<i4").tobytes()
    assert reader.raw(reader.items(block, 5)[0], 2) == np.array([0, 1, 0, 0], "<i8").tobytes()
    assert reader.field(tensors["x"], 3) is None


def test_tosa_graph_stores_equal_constants_once() -> None:
    graph = Graph()
    assert graph.scalar(5, 4) is graph.scalar(5, 4)
    assert graph.scalar(5, 4) is not graph.scalar(5, 4, "INT8")
    assert graph.scalar(5, 4) is not graph.scalar(5, 3)
    assert graph.scalar(0, 1, "INT48").lo.tolist() == [0]


def test_tosa_constants_have_the_bytes_of_their_types() -> None:
    values = np.array([-1, 2**40, -(2**47)])
    assert schema.constant_bytes(values, "INT48") == b"".join(int(v).to_bytes(6, "little", signed=True) for v in values)
    assert schema.constant_bytes(np.array([-2, 3]), "INT16") == b"\xfe\xff\x03\x00"
    assert schema.constant_bytes(np.array([-2, 3]), "INT8") == b"\xfe\x03"


# --- the graph refuses what TOSA leaves undefined


def port(graph: Graph, dtype: str, lo: int, hi: int) -> Value:
    return graph.input(f"x{lo}.{hi}", (1, 8, 8, 2), dtype, lo, hi)


WEIGHT = np.full((3, 3, 3, 2), 127)
REFUSED: list[tuple[str, Callable[[Graph], Any]]] = [
    ("may leave INT32", lambda g: g.add(port(g, "INT32", 0, 2**31 - 1), g.scalar(1, 4))),
    ("may leave INT32", lambda g: g.subtract(port(g, "INT32", -(2**31), 0), g.scalar(1, 4))),
    ("may leave INT32", lambda g: g.multiply(port(g, "INT32", -(2**16), 0), g.scalar(2**15 + 1, 4))),
    ("may leave INT32", lambda g: g.absolute(port(g, "INT32", -(2**31), 0))),
    ("may leave INT8", lambda g: g.cast(port(g, "INT32", 0, 128), "INT8")),
    ("INT8 where one of INT32", lambda g: g.add(port(g, "INT8", 0, 1), g.scalar(1, 4))),
    ("INT16 where one of INT8", lambda g: g.clamp(port(g, "INT16", 0, 9), 1, 2)),
    ("does not fit INT8", lambda g: g.constant(np.array([128]), "INT8")),
    ("does not fit INT32", lambda g: g.constant(np.array([1.5]), "INT32")),
    ("unlike shape", lambda g: g.add(port(g, "INT32", 0, 1), g.constant(np.ones((1, 1, 1, 3), np.int64), "INT32"))),
    ("unlike rank", lambda g: g.add(port(g, "INT32", 0, 1), g.scalar(1, 3))),
    ("2\\*\\*\\(shift - 1\\)", lambda g: g.rescale(port(g, "INT32", 0, 2**9), np.array([1]), np.array([10]), "INT8")),
    ("beyond 31 bits", lambda g: g.rescale(port(g, "INT32", 0, 2), np.array([2**31]), np.array([40]), "INT8")),
    ("not 2..62", lambda g: g.rescale(port(g, "INT32", 0, 0), np.array([1]), np.array([1]), "INT8")),
    ("a zero point", lambda g: g.rescale(port(g, "INT32", 0, 0), np.array([1]), np.array([9]), "INT8", (5, 0))),
    ("3 channels|for 2 channels", lambda g: g.rescale(port(g, "INT8", 0, 1), np.ones(3), np.ones(3), "INT8")),
    ("accumulator may leave", lambda g: convolved(g, 2**31 - 1, 1, (1, 1, 1, 1))),
    ("do not end at the border", lambda g: convolved(g, 0, 2, (0, 0, 0, 0))),
    ("pads \\(-1", lambda g: convolved(g, 0, 1, (-1, 0, 0, 0))),
    ("for a kernel of 3", lambda g: transposed(g, (-3, 0, 0, 0))),
    ("an index 0 .. 4", lambda g: g.look_up(np.arange(4), "INT32", port(g, "INT32", 0, 4))),
    ("a table of", lambda g: g.table(port(g, "INT8", 0, 4), np.arange(4))),
    ("truncates", lambda g: g.divide(port(g, "INT32", -1, 4), g.scalar(2, 4))),
    ("truncates", lambda g: g.divide(port(g, "INT32", 0, 4), g.scalar(0, 4))),
    ("shifts 32..32", lambda g: g.shift_right(port(g, "INT32", 0, 4), np.array([32]))),
    ("weights 0 .. 17", lambda g: g.mix(port(g, "INT32", 0, 4), g.scalar(1, 4), port(g, "INT32", 0, 17), 4)),
    (r"as \(1, 5\)", lambda g: g.reshape(port(g, "INT32", 0, 4), (1, 5))),
    (r"9, 8, 2\) from", lambda g: g.slice(port(g, "INT32", 0, 4), (0, 0, 0, 0), (1, 9, 8, 2))),
    ("two tensors are called", lambda g: (port(g, "INT32", 0, 4), port(g, "INT32", 0, 4))),
    ("gives nothing back", lambda g: g.block()),
    ("an empty tensor", lambda g: g.input("x", (1, 0, 4, 1), "INT8", 0, 1)),
]


def convolved(graph: Graph, bias: int, stride: int, pads: Pads) -> Value:
    operands = port(graph, "INT8", -128, 127), 0, WEIGHT, 0, np.full(3, bias)
    return graph.convolution(*operands, stride, pads)


def transposed(graph: Graph, pads: Pads) -> Value:
    operands = port(graph, "INT8", -128, 127), 0, WEIGHT, 0, np.zeros(3, np.int64)
    return graph.transposed_convolution(*operands, 1, pads)


@pytest.mark.parametrize(("message", "build"), REFUSED, ids=[message for message, _ in REFUSED])
def test_tosa_graph_refuses(message: str, build: Callable[[Graph], Any]) -> None:
    with pytest.raises(ExportError, match=rf"^RC-EXPORT: .*(?:{message})"):
        build(Graph())


# --- the oracles can tell


@pytest.mark.oracle
def test_tosa_oracle_does_not_call_a_false_proof_valid() -> None:
    """A graph that was told a range which its input leaves; it says nothing of products that wrap, so we must."""
    builds: tuple[Callable[[Graph, Value], Value], ...] = (
        lambda graph, x: graph.rescale(x, np.array([1 << 30]), np.array([20]), "INT8"),
        lambda graph, x: graph.add(x, graph.scalar(2**30, 4)),
        lambda graph, x: graph.look_up(np.arange(101), "INT32", x),
    )
    for build in builds:
        graph = Graph()
        graph.output(build(graph, graph.input("x", (1, 1, 1, 2), "INT32", 0, 100)), "y")
        content = schema.file_bytes(graph.block())
        inside, outside = (np.array([[[[7, v]]]], np.int32) for v in (100, 2**30))
        assert tosa_oracle.evaluate(content, {"x": inside}, ["y"])[0] == "TOSA_VALID"
        assert tosa_oracle.evaluate(content, {"x": outside}, ["y"])[0] != "TOSA_VALID"


@pytest.mark.oracle
def test_tosa_validator_misses_an_extension_that_is_not_claimed() -> None:
    graph = Graph()
    x = graph.input("x", (1, 8, 8, 2), "INT16", -5, 5)
    accumulator = graph.convolution(x, 0, WEIGHT, 0, np.zeros(3, np.int64), 1, (1, 1, 1, 1))
    graph.output(graph.rescale(accumulator, np.array([1 << 14]), np.array([14]), "INT32"), "y")
    content = schema.file_bytes(graph.block())
    assert graph.extensions == {"EXT-INT16"}
    assert tosa_oracle.complaints(content, ("EXT-INT16",)) == ""
    assert "conv2d" in tosa_oracle.complaints(content, ())
