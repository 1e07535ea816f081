"""Model files: round trips, identity, and everything that is refused (SPEC MODEL-1 to MODEL-4)."""

from __future__ import annotations

import dataclasses
import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import naive_decoder
import numpy as np
import pytest
from tiny_hyperprior import tiny_model as build_tiny_model

from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.errors import FileError, ModelError
from refcodec.formats import IntFormat
from refcodec.program.model_file import (
    Model,
    canonical_json,
    load_model,
    model_from_bytes,
    model_to_bytes,
    narrowest,
    save_model,
)
from refcodec.program.operations import Convolution, Tensor
from refcodec.program.program import Program

Edit = Callable[[dict[str, Any]], Any]


# --- files taken apart and put together


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and array bytes of a safetensors file."""
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def join(header: Any, arrays: bytes) -> bytes:
    """The reverse of `split`."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + arrays


def canonical(document: Any) -> str:
    """Sorted keys, no white space; floats are written as they are."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def with_document(content: bytes, edit: Edit) -> bytes:
    """The same file with its description changed in place; where `edit` returns a text, that text."""
    header, arrays = split(content)
    document = json.loads(header["__metadata__"]["refcodec"])
    text = edit(document)
    header["__metadata__"]["refcodec"] = text if isinstance(text, str) else canonical(document)
    return join(header, arrays)


def with_tensors(content: bytes, **changes: np.ndarray | None) -> bytes:
    """The same file with tensors replaced, added or, for None, removed; `__` stands for `/`."""
    header, arrays = split(content)
    metadata = header.pop("__metadata__")
    found = {name: (e["dtype"], e["shape"], arrays[slice(*e["data_offsets"])]) for name, e in header.items()}
    letters = {"i": "I", "u": "U", "f": "F"}
    for key, array in changes.items():
        name = key.replace("__", "/")
        found.pop(name, None)
        if array is not None:
            found[name] = (f"{letters[array.dtype.kind]}{8 * array.itemsize}", list(array.shape), array.tobytes())
    built, position, blob = {"__metadata__": metadata}, 0, b""
    for name, (dtype, shape, raw) in sorted(found.items(), key=lambda item: (-int(item[1][0][1:]), item[0])):
        built[name] = {"dtype": dtype, "shape": shape, "data_offsets": [position, position + len(raw)]}
        position, blob = position + len(raw), blob + raw
    return join(built, blob)


def refused(code: str, content: bytes, message: str | None = None) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        model_from_bytes(content, "tiny")
    assert caught.value.code == code, str(caught.value)


@pytest.fixture(scope="module")
def content(tiny_model: Model) -> bytes:
    """The bytes of the small model's file."""
    return model_to_bytes(tiny_model)


def same(a: Model, b: Model) -> bool:
    """Whether both decode alike."""
    return a.identity == b.identity and a.family == b.family


# --- what is written and read


def test_model_survives_the_round_trip(tiny_model: Model, content: bytes, tmp_path: Path) -> None:
    save_model(tmp_path / "tiny.rcm", tiny_model)
    assert (tmp_path / "tiny.rcm").read_bytes() == content
    for read in (load_model(tmp_path / "tiny.rcm"), load_model(str(tmp_path / "tiny.rcm")), model_from_bytes(content)):
        assert read.identity == tiny_model.identity
        assert (read.family, read.settings, read.provenance) == (
            "scale-hyperprior",
            tiny_model.settings,
            {"made by": "a test"},
        )
        assert model_to_bytes(read) == content
        np.testing.assert_array_equal(read.encoder["gain"], np.arange(5, dtype=np.float32))
        for name, program in tiny_model.programs.items():
            assert read.programs[name].tensors == program.tensors
            for op, wanted in zip(read.programs[name].operations, program.operations, strict=True):
                for item in dataclasses.fields(wanted):
                    np.testing.assert_array_equal(getattr(op, item.name), getattr(wanted, item.name))
        for name, table in tiny_model.tables.items():
            np.testing.assert_array_equal(read.tables[name], table)


def test_model_file_holds_what_the_specification_says(tiny_model: Model, content: bytes) -> None:
    """Read by hand: names, narrowest dtypes, canonical JSON, identity."""
    by_hand = naive_decoder.read_model(content)
    assert by_hand.document["identity"] == tiny_model.identity
    assert set(by_hand.document) == {"schema", "family", "settings", "programs", "identity", "provenance"}
    header, arrays = split(content)
    text = header.pop("__metadata__")["refcodec"]
    assert text == json.dumps(by_hand.document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert {name.split("/")[0] for name in header} == {"programs", "tables", "encoder"}
    for name, entry in header.items():
        raw = arrays[slice(*entry["data_offsets"])]
        if not name.startswith("encoder/"):
            width = int(entry["dtype"][1:])
            values = np.frombuffer(raw, f"<i{width // 8}")
            limit = 2 ** (width // 2 - 1)
            assert width == 8 or values.min() < -limit or values.max() >= limit, f"{name} would fit {width // 2} bits"
    weight = by_hand.tensors["programs/g_s/g_s.0/weight"]
    np.testing.assert_array_equal(weight, tiny_model.programs["g_s"].operation("g_s.0").weight)


def test_model_bytes_do_not_depend_on_the_order_of_anything(tiny_model: Model, content: bytes) -> None:
    backwards = {
        name: dict(reversed(list(getattr(tiny_model, name).items())))
        for name in ("settings", "programs", "tables", "encoder", "provenance")
    }
    assert model_to_bytes(dataclasses.replace(tiny_model, **backwards)) == content
    again = build_tiny_model(encoder=tiny_model.encoder, provenance=tiny_model.provenance)
    assert model_to_bytes(again) == content


def test_model_bytes_do_not_depend_on_the_dtype_or_layout_of_tables(tiny_model: Model, content: bytes) -> None:
    tables = {
        name: np.stack([table, table], axis=1).astype(np.int64)[:, 0] for name, table in tiny_model.tables.items()
    }
    assert model_to_bytes(dataclasses.replace(tiny_model, tables=tables)) == content


def test_identity_ignores_encoder_and_provenance(tiny_model: Model) -> None:
    other = dataclasses.replace(tiny_model, encoder={"else": np.ones(3)}, provenance={"by": "x"})
    assert other.identity == tiny_model.identity
    assert model_to_bytes(other) != model_to_bytes(tiny_model)


def test_identity_ignores_how_widely_a_tensor_is_stored(content: bytes, tiny_model: Model) -> None:
    weight = tiny_model.programs["g_s"].operation("g_s.0").weight
    assert (
        model_from_bytes(with_tensors(content, **{"programs__g_s__g_s.0__weight": weight.astype(np.int64)})).identity
        == tiny_model.identity
    )


def constants(model: Model) -> list[tuple[str, str, str]]:
    """Program, operation and field of every constant array."""
    return [
        (p, op.name, field)
        for p, program in model.programs.items()
        for op in program.operations
        for field in op.constants
    ]


def test_identity_changes_with_every_constant(tiny_model: Model) -> None:
    seen = {tiny_model.identity}
    for name, operation, field in constants(tiny_model):
        program = tiny_model.programs[name]
        operations = list(program.operations)
        position = [op.name for op in operations].index(operation)
        changed = getattr(operations[position], field).copy()
        changed.flat[-1] += 1 if changed.flat[-1] < 100 else -1
        if field == "thresholds":
            changed[-1, -1] += 2
        operations[position] = dataclasses.replace(operations[position], **{field: changed})
        programs = {**tiny_model.programs, name: Program(name, program.tensors, tuple(operations))}
        seen.add(dataclasses.replace(tiny_model, programs=programs).identity)
    for name, table in tiny_model.tables.items():
        changed = table.copy()
        changed[1] += 1
        seen.add(dataclasses.replace(tiny_model, tables={**tiny_model.tables, name: changed}).identity)
    seen.add(dataclasses.replace(tiny_model, family="other").identity)
    seen.add(dataclasses.replace(tiny_model, settings={**tiny_model.settings, "weight_bits": 7}).identity)
    assert len(seen) == 1 + len(constants(tiny_model)) + len(tiny_model.tables) + 2
    assert len(constants(tiny_model)) > 20


def test_identity_changes_with_formats_and_geometry() -> None:
    def model(width: int, padding: int, name: str) -> Model:
        op = Convolution(
            "c", "a", "c", IntFormat(8, True), 1, padding, np.ones((1, 1, 3, 3), np.int16), np.ones(1, np.int64)
        )
        tensors = Tensor("a", 1, IntFormat(8, True)), Tensor("c", 1, IntFormat(width, True))
        return Model("f", {}, {name: Program(name, tensors, (op,))}, {})

    assert len({model(*case).identity for case in ((32, 1, "p"), (31, 1, "p"), (32, 0, "p"), (32, 1, "q"))}) == 4


@pytest.mark.parametrize(
    ("lo", "hi", "dtype"),
    [
        (-128, 127, "int8"),
        (-129, 0, "int16"),
        (0, 128, "int16"),
        (-(2**15), 2**15 - 1, "int16"),
        (0, 2**15, "int32"),
        (-(2**31), 2**31 - 1, "int32"),
        (-(2**31) - 1, 0, "int64"),
        (0, 2**63 - 1, "int64"),
    ],
)
def test_narrowest_holds_the_values_and_no_more(lo: int, hi: int, dtype: str) -> None:
    narrow = narrowest(np.array([lo, hi], np.int64))
    assert narrow.dtype == dtype
    assert narrow.tolist() == [lo, hi]


def test_narrowest_of_nothing_is_int8() -> None:
    assert narrowest(np.zeros((0, 3), np.int64)).dtype == np.int8


def test_canonical_json_is_sorted_compact_utf8() -> None:
    assert canonical_json({"b": [1, True], "a": "é"}) == '{"a":"é","b":[1,true]}'.encode()


# --- files that cannot be read


def test_load_model_reports_missing_files_and_folders(tmp_path: Path) -> None:
    for path in (tmp_path / "none.rcm", tmp_path):
        with pytest.raises(FileError, match=r"^RC-FILE-READ: cannot read ") as caught:
            load_model(path)
        assert caught.value.code == "RC-FILE-READ"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\0",
        b"not a model at all",
        bytes(8),
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 3) + b"{} ",
        struct.pack("<Q", 4) + b"null",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**64 - 1) + b"{}",
        struct.pack("<Q", 10**8) + b"{}",
        struct.pack("<Q", 4) + b"{\xff\xfe}",
        struct.pack("<Q", 100_000) + b"[" * 100_000,
    ],
    ids=range(13),
)
def test_model_from_bytes_refuses_what_is_no_model_file(text: bytes) -> None:
    refused("RC-MODEL-FILE", text, r"^RC-MODEL-FILE: tiny is not a refcodec model file$")


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        {},
        {"other": "{}"},
        {"refcodec": ""},
        {"refcodec": "{"},
        {"refcodec": "[" * 100_000},
        {"refcodec": "1" * 5000},
    ],
)
def test_model_from_bytes_refuses_files_without_a_description(content: bytes, metadata: Any) -> None:
    header, arrays = split(content)
    header.pop("__metadata__")
    refused("RC-MODEL-FILE", join(header if metadata is None else {"__metadata__": metadata, **header}, arrays))


def test_model_from_bytes_refuses_truncated_files(content: bytes) -> None:
    lengths = [*range(64), *range(64, len(content), 97), *range(len(content) - 64, len(content))]
    for length in lengths:
        refused("RC-MODEL-FILE", content[:length])


def test_model_from_bytes_refuses_trailing_bytes(content: bytes) -> None:
    for extra in (b"\0", bytes(8), content):
        refused("RC-MODEL-FILE", content + extra)


def test_model_from_bytes_never_decodes_otherwise_after_a_bit_flip(content: bytes, tiny_model: Model) -> None:
    flips, codes = random.Random(1), []
    header_bits = 8 * (8 + int.from_bytes(content[:8], "little"))
    for k in range(600):
        bit = flips.randrange(header_bits) if k % 2 else flips.randrange(8 * len(content))
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            assert same(model_from_bytes(bytes(damaged)), tiny_model), f"bit {bit}"
            codes.append("")
        except ModelError as error:
            codes.append(error.code)
    assert {"RC-MODEL-FILE", "RC-MODEL-SCHEMA", "RC-MODEL-TENSOR", "RC-MODEL-HASH"} <= set(codes)
    assert codes.count("") < 60  # provenance, the encoder's array and padding


# --- descriptions that are malformed


def at(*path: Any) -> Callable[[dict[str, Any]], tuple[Any, Any]]:
    """The container and the key that a path ends in."""

    def find(document: dict[str, Any]) -> tuple[Any, Any]:
        place: Any = document
        for key in path[:-1]:
            place = place[key]
        return place, path[-1]

    return find


def setting(value: Any, *path: Any) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        place, key = at(*path)(document)
        place[key] = value

    return edit


def without(*path: Any) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        place, key = at(*path)(document)
        del place[key]

    return edit


OPERATIONS = ("programs", "g_s", "operations")
TENSORS = ("programs", "g_s", "tensors")
FIELDS = [
    *((key,) for key in ("schema", "family", "settings", "programs", "identity", "provenance")),
    ("programs", "g_s", "tensors"),
    ("programs", "g_s", "operations"),
    *((*TENSORS, 0, key) for key in ("name", "channels", "format")),
    *((*TENSORS, 0, "format", key) for key in ("bits", "signed")),
    *((*OPERATIONS, 0, key) for key in ("kind", "name", "source", "target")),
    *((*OPERATIONS, 1, key) for key in ("weight_format", "stride", "padding", "output_padding")),
    (*OPERATIONS, 1, "weight_format", "bits"),
    ("programs", "h_s", "operations", 0, "fraction"),
]


@pytest.mark.parametrize("path", FIELDS, ids=lambda path: ".".join(map(str, path)))
def test_description_must_have_every_key(content: bytes, path: tuple[Any, ...]) -> None:
    refused("RC-MODEL-SCHEMA", with_document(content, without(*path)))


@pytest.mark.parametrize(
    "path", sorted({path[:-1] for path in FIELDS}, key=str), ids=lambda path: ".".join(map(str, path))
)
def test_description_must_have_no_other_key(content: bytes, path: tuple[Any, ...]) -> None:
    refused("RC-MODEL-SCHEMA", with_document(content, setting(1, *path, "surplus")), "expected exactly the keys")


@pytest.mark.parametrize("value", [None, 1.5, True, 7, "text", [], {}, -1, float("nan")], ids=repr)
@pytest.mark.parametrize("path", FIELDS, ids=lambda path: ".".join(map(str, path)))
def test_description_must_have_the_right_types(content: bytes, path: tuple[Any, ...], value: Any) -> None:
    """A value of another type is malformed; any value of the right one is refused or changes nothing that decodes."""
    original = json.loads(split(content)[0]["__metadata__"]["refcodec"])
    identity = original["identity"]
    for key in path:
        original = original[key]
    changed = with_document(content, setting(value, *path))
    if type(value) is not type(original):
        refused("RC-MODEL-SCHEMA", changed)
        return
    try:
        found = model_from_bytes(changed).identity
    except ModelError:
        return
    assert found == identity


@pytest.mark.parametrize(
    ("edit", "code", "message"),
    [
        (setting("refcodec-model/2", "schema"), "RC-MODEL-SCHEMA", "schema 'refcodec-model/2' is not"),
        (setting(8.0, "settings", "weight_bits"), "RC-MODEL-SCHEMA", "settings must be integers"),
        (setting(True, "settings", "weight_bits"), "RC-MODEL-SCHEMA", "settings must be integers"),
        (setting("8", "settings", "more"), "RC-MODEL-SCHEMA", "settings must be integers"),
        (setting(8, "provenance", "more"), "RC-MODEL-SCHEMA", "provenance must be text"),
        (setting("dense", *OPERATIONS, 0, "kind"), "RC-MODEL-SCHEMA", "g_s: unknown operation 'dense'"),
        (setting([], *OPERATIONS, 0), "RC-MODEL-SCHEMA", "g_s: unknown operation None"),
        (setting(49, *TENSORS, 0, "format", "bits"), "RC-MODEL-SCHEMA", "y: format needs 1 to 48 bits"),
        (setting(10**40, *TENSORS, 0, "format", "bits"), "RC-MODEL-SCHEMA", "y: format needs 1 to 48 bits"),
        (setting(0, *OPERATIONS, 1, "weight_format", "bits"), "RC-MODEL-SCHEMA", "weight_format: format needs"),
        (setting(65537, *TENSORS, 0, "channels"), "RC-MODEL-RANGE", "y: 65537 channels"),
        (setting(10**40, *TENSORS, 0, "channels"), "RC-MODEL-RANGE", "y: 10+ channels"),
        (setting(5, *TENSORS, 1, "channels"), "RC-MODEL-TENSOR", "y_hat: multiplier"),
        (setting(5, *OPERATIONS, 1, "stride"), "RC-MODEL-RANGE", r"g_s\.0: kernel 5, stride 5"),
        (setting(10**40, *OPERATIONS, 1, "padding"), "RC-MODEL-RANGE", r"g_s\.0: kernel 5"),
        (setting(2, *OPERATIONS, 1, "output_padding"), "RC-MODEL-RANGE", r"g_s\.0: output padding 2"),
        (setting(17, "programs", "h_s", "operations", 0, "fraction"), "RC-MODEL-RANGE", "fraction must be 0..16"),
        (setting(16, *TENSORS, 2, "format", "bits"), "RC-MODEL-OVERFLOW", r"g_s\.0: the accumulator may reach"),
        (setting(7, *OPERATIONS, 1, "weight_format", "bits"), "RC-MODEL-RANGE", r"g_s\.0\.weight: values .* leave s7"),
        (setting("nowhere", *OPERATIONS, 1, "source"), "RC-MODEL-SCHEMA", r"g_s\.0: reads nowhere"),
        (setting("g_s.0", *OPERATIONS, 0, "name"), "RC-MODEL-TENSOR", "missing integer tensor .*/g_s.0/mult"),
        (setting("0" * 64, "identity"), "RC-MODEL-HASH", "tiny: content has identity .*, file says"),
        (setting("", "identity"), "RC-MODEL-HASH", "file says otherwise"),
        (setting("other", "family"), "RC-MODEL-HASH", "file says otherwise"),
        (setting(3, "settings", "more"), "RC-MODEL-HASH", "file says otherwise"),
    ],
)  # fmt: skip
def test_description_is_checked(content: bytes, edit: Edit, code: str, message: str) -> None:
    refused(code, with_document(content, edit), message)


def test_description_may_not_be_a_list(content: bytes) -> None:
    for text in ("[]", "null", "7", '"text"'):
        refused(
            "RC-MODEL-SCHEMA", with_document(content, lambda _, text=text: text), "model: expected exactly the keys"
        )


@pytest.mark.parametrize("path", [("family",), (*TENSORS, 1, "name"), (*OPERATIONS, 0, "name"), ("provenance", "key")])
def test_description_may_not_hold_half_a_character(content: bytes, path: tuple[Any, ...]) -> None:
    """A lone surrogate is legal JSON, as an escape, and has no UTF-8 form."""

    def edit(document: dict[str, Any]) -> str:
        setting("\ud800", *path)(document)
        return json.dumps(document, sort_keys=True, separators=(",", ":"))

    with pytest.raises(ModelError):
        model_from_bytes(with_document(content, edit))


@pytest.mark.parametrize(
    "edit",
    [
        lambda document: json.dumps(document, sort_keys=True),
        lambda document: canonical(document) + "\n",
        lambda document: json.dumps(dict(sorted(document.items(), reverse=True)), separators=(",", ":")),
        lambda document: canonical(document).replace('"schema":', '"schema":"other","schema":'),
        lambda document: canonical(document).replace("made by", "made\\u0020by"),
    ],
    ids=["spaces", "newline", "unsorted", "key twice", "escape"],
)
def test_description_must_be_canonical(content: bytes, edit: Edit) -> None:
    """SPEC MODEL-2: a key that stands twice would mean one thing to one reader and another to the next."""
    refused("RC-MODEL-SCHEMA", with_document(content, edit), "canonical")


# --- tensors that are missing, surplus or of another kind


def test_model_file_refuses_a_missing_tensor(content: bytes, tiny_model: Model) -> None:
    for program, operation, field in constants(tiny_model):
        name = f"programs/{program}/{operation}/{field}"
        refused("RC-MODEL-TENSOR", with_tensors(content, **{name: None}), f"missing integer tensor {name}")
    for name in tiny_model.tables:
        refused("RC-MODEL-HASH", with_tensors(content, **{f"tables/{name}": None}), "file says otherwise")


@pytest.mark.parametrize("name", ["surplus", "programs/g_s/g_s.0/scale", "programs/g_s/weight", "Encoder/x", "tables"])
def test_model_file_refuses_a_surplus_tensor(content: bytes, name: str) -> None:
    refused("RC-MODEL-TENSOR", with_tensors(content, **{name: np.ones(1, np.int8)}), f"surplus tensor {name}")


def test_model_file_refuses_a_surplus_table(content: bytes) -> None:
    refused("RC-MODEL-HASH", with_tensors(content, **{"tables/w/values": np.ones(1, np.int8)}), "file says otherwise")


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.uint64])
def test_model_file_refuses_decoder_tensors_that_are_no_signed_integers(
    content: bytes, tiny_model: Model, dtype: type
) -> None:
    for program, operation, field in constants(tiny_model)[:8]:
        name = f"programs/{program}/{operation}/{field}"
        array = getattr(tiny_model.programs[program].operation(operation), field).astype(dtype)
        refused("RC-MODEL-TENSOR", with_tensors(content, **{name: array}), f"missing integer tensor {name}")
    for name, table in tiny_model.tables.items():
        changed = with_tensors(content, **{f"tables/{name}": table.astype(dtype)})
        refused("RC-MODEL-TENSOR", changed, f"table {name} holds {np.dtype(dtype)}, not signed integers")


@pytest.mark.parametrize(
    ("name", "change", "code"),
    [
        ("programs/g_s/g_s.0/weight", lambda a: a[:, :, :4], "RC-MODEL-TENSOR"),
        ("programs/g_s/g_s.0/weight", lambda a: a[:3], "RC-MODEL-TENSOR"),
        ("programs/g_s/g_s.0/weight", lambda a: a.ravel(), "RC-MODEL-TENSOR"),
        ("programs/g_s/g_s.0/weight", lambda a: a.astype(np.int32) + 2**15, "RC-MODEL-RANGE"),
        ("programs/g_s/g_s.0/weight", lambda a: np.roll(a, 1), "RC-MODEL-HASH"),
        ("programs/g_s/g_s.0/bias", lambda a: a[:2], "RC-MODEL-TENSOR"),
        ("programs/g_s/g_s.0/bias", lambda a: a * 0 + 2**62, "RC-MODEL-RANGE"),
        ("programs/g_s/g_s.0/bias", lambda a: a + 2**30, "RC-MODEL-RANGE|RC-MODEL-OVERFLOW"),
        ("programs/g_s/y_hat/multiplier", lambda a: -a, "RC-MODEL-RANGE"),
        ("programs/g_s/y_hat/shift", lambda a: a * 0, "RC-MODEL-RANGE"),
        ("programs/g_s/y_hat/shift", lambda a: a * 0 + 1, "RC-MODEL-HASH"),
        ("programs/h_s/z_mean/mean", lambda a: a.astype(np.int64) + 2**31, "RC-MODEL-RANGE"),
        ("programs/h_s/indexes/thresholds", lambda a: a[:, ::-1], "RC-MODEL-RANGE"),
        ("programs/h_s/indexes/thresholds", lambda a: a[:, 1:], "RC-MODEL-RANGE|RC-MODEL-TENSOR"),
        ("tables/y/values", lambda a: a[::-1], "RC-MODEL-HASH"),
    ],
)
def test_model_file_refuses_other_constants(
    content: bytes, tiny_model: Model, name: str, change: Callable[[np.ndarray], np.ndarray], code: str
) -> None:
    parts = name.split("/")
    before = (
        tiny_model.tables[name[7:]]
        if parts[0] == "tables"
        else getattr(tiny_model.programs[parts[1]].operation(parts[2]), parts[3])
    )
    changed = with_tensors(content, **{name: np.ascontiguousarray(change(before))})
    with pytest.raises(ModelError) as caught:
        model_from_bytes(changed)
    assert caught.value.code in code.split("|"), str(caught.value)


# --- models that no codec takes


def rebuilt(model: Model, **tables: np.ndarray | None) -> Model:
    changed = {**model.tables, **{name.replace("__", "/"): table for name, table in tables.items()}}
    return model_from_bytes(
        model_to_bytes(dataclasses.replace(model, tables={n: t for n, t in changed.items() if t is not None}))
    )


@pytest.mark.parametrize("name", ["z/values", "z/starts", "z/offsets", "y/values", "y/starts", "y/offsets"])
def test_codec_refuses_a_missing_table(tiny_model: Model, name: str) -> None:
    with pytest.raises(ModelError, match=rf"^RC-MODEL-TENSOR: missing table {name}$"):
        ScaleHyperprior.from_model(rebuilt(tiny_model, **{name: None}))


def test_codec_refuses_a_surplus_table(tiny_model: Model) -> None:
    """SPEC MODEL-4."""
    with pytest.raises(ModelError, match="RC-MODEL-TENSOR"):
        ScaleHyperprior.from_model(rebuilt(tiny_model, w__values=np.ones(3, np.int32)))


@pytest.mark.parametrize("change", [lambda t: t[::-1], lambda t: t + 1, lambda t: t[:-1], lambda t: t[:, None]])
def test_codec_refuses_a_malformed_table(tiny_model: Model, change: Callable[[np.ndarray], np.ndarray]) -> None:
    for name in ("z/values", "y/starts"):
        with pytest.raises(ModelError) as caught:
            ScaleHyperprior.from_model(rebuilt(tiny_model, **{name: change(tiny_model.tables[name])}))
        assert caught.value.code == "RC-MODEL-TABLE"


@pytest.mark.parametrize("name", ["z/values", "z/starts", "z/offsets"])
def test_codec_refuses_a_table_beyond_32_bits(tiny_model: Model, name: str) -> None:
    """Catches a cast that wraps: the low 32 bits are those of a good table."""
    wide = tiny_model.tables[name].astype(np.int64)
    wide[-1] += 2**32
    with pytest.raises(ModelError) as caught:
        ScaleHyperprior.from_model(rebuilt(tiny_model, **{name: wide}))
    assert caught.value.code == "RC-MODEL-TABLE"
