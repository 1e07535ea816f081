"""A whole decoder in plain Python integers, from SPEC.md alone: model file, stream, programs, picture.

Nothing of refcodec is imported and NumPy is not used; tensors are nested lists. A one-pixel picture of the shipped
model takes some seconds. Refusals are ValueErrors: this decoder judges results, not error codes.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import naive
import naive_entropy

Nested = Any  # a list of lists of ... of integers, as deep as a tensor has axes
INTEGERS = {"I8": ("b", "int8"), "I16": ("h", "int16"), "I32": ("i", "int32"), "I64": ("q", "int64")}


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


# --- model files


@dataclass
class ModelFile:
    """The JSON description of a model and its integer tensors by name."""

    document: dict[str, Any]
    tensors: dict[str, Nested]


def _nested(values: list[int], shape: list[int]) -> Nested:
    if len(shape) == 1:
        return list(values)
    step = math.prod(shape[1:])
    return [_nested(values[k * step : (k + 1) * step], shape[1:]) for k in range(shape[0])]


def _identity(document: dict[str, Any], records: dict[str, Any]) -> str:
    content = {key: document[key] for key in ("schema", "family", "settings", "programs")} | {"tensors": records}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_model(content: bytes) -> ModelFile:
    """Parse a model file (SPEC MODEL-1 to MODEL-3): a length, a JSON header, raw little-endian arrays."""
    (length,) = struct.unpack_from("<Q", content)
    header = json.loads(content[8 : 8 + length])
    document = json.loads(header.pop("__metadata__")["refcodec"])
    tensors, records = {}, {}
    for name, entry in header.items():
        if name.startswith("encoder/"):
            continue
        begin, end = entry["data_offsets"]
        raw = content[8 + length + begin : 8 + length + end]
        code, dtype = INTEGERS[entry["dtype"]]
        values = list(struct.unpack(f"<{math.prod(entry['shape'])}{code}", raw))
        tensors[name] = _nested(values, entry["shape"])
        records[name] = {"dtype": dtype, "shape": entry["shape"], "sha256": hashlib.sha256(raw).hexdigest()}
    _require(document["identity"] == _identity(document, records), "the identity is not that of the content")
    return ModelFile(document, tensors)


# --- programs


def _pointwise(x: Nested, function: Any) -> Nested:
    """function(channel, value) for every value."""
    return [[[function(c, v) for v in row] for row in plane] for c, plane in enumerate(x)]


def _run_operation(op: dict[str, Any], constant: dict[str, Nested], x: Nested, target: dict[str, Any]) -> Nested:
    kind = op["kind"]
    if kind == "convolution":
        return naive.convolution(x, constant["weight"], constant["bias"], op["stride"], op["padding"])
    if kind == "transposed_convolution":
        geometry = op["stride"], op["padding"], op["output_padding"]
        return naive.transposed_convolution(x, constant["weight"], constant["bias"], *geometry)
    if kind == "requantise":
        scales = list(zip(constant["multiplier"], constant["shift"], strict=True))
        limits = naive.format_range(target["format"]["bits"], target["format"]["signed"])
        return _pointwise(x, lambda c, v: naive.requantise(v, *scales[c], *limits))
    if kind == "clip":
        return _pointwise(x, lambda _, v: naive.clip(v, op["lo"], op["hi"]))
    if kind == "latent_mean":
        return _pointwise(x, lambda c, v: naive.latent_mean(v, constant["mean"][c], op["fraction"]))
    _require(kind == "scale_index", f"unknown operation {kind}")
    return _pointwise(x, lambda c, v: naive.scale_index(v, constant["thresholds"][c]))


def run_program(model: ModelFile, name: str, x: Nested) -> dict[str, Nested]:
    """The values of every tensor of a program (SPEC PROG-4), each checked against its format."""
    program = model.document["programs"][name]
    declared = {tensor["name"]: tensor for tensor in program["tensors"]}
    found = {program["tensors"][0]["name"]: x}
    prefix = f"programs/{name}/"
    for op in program["operations"]:
        start = f"{prefix}{op['name']}/"
        constant = {key.removeprefix(start): value for key, value in model.tensors.items() if key.startswith(start)}
        found[op["target"]] = _run_operation(op, constant, found[op["source"]], declared[op["target"]])
    for tensor, values in found.items():
        lo, hi = naive.format_range(declared[tensor]["format"]["bits"], declared[tensor]["format"]["signed"])
        _require(all(lo <= v <= hi for plane in values for row in plane for v in row), f"{tensor} leaves its format")
    return found


def output_name(model: ModelFile, name: str) -> str:
    """The tensor that a program ends with."""
    return model.document["programs"][name]["tensors"][-1]["name"]


# --- streams


@dataclass
class Stream:
    """The fields of a stream."""

    channels: int
    width: int
    height: int
    identity: str
    z: bytes
    y: bytes


def read_stream(content: bytes) -> Stream:
    """Parse a stream by the table of SPEC STREAM-1."""
    _require(len(content) >= 80 and content[:4] == bytes.fromhex("5243420a"), "no stream")
    version, channels, depth, width, height = struct.unpack_from("<HBBII", content, 4)
    _require(version == 1 and channels in (1, 3) and depth == 8, "version, channels or depth")
    _require(1 <= width <= 65535 and 1 <= height <= 65535 and width * height <= 2**25, "size")
    (sections,) = struct.unpack_from("<I", content, 48)
    first, z_length, z_crc = struct.unpack_from("<4sII", content, 52)
    second, y_length, y_crc = struct.unpack_from("<4sII", content, 64)
    _require((sections, first, second) == (2, b"ZSYM", b"YSYM"), "sections")
    _require(struct.unpack_from("<I", content, 76)[0] == zlib.crc32(content[:76]), "checksum of the header")
    z, y = content[80 : 80 + z_length], content[80 + z_length :]
    _require(len(z) == z_length and len(y) == y_length, "lengths")
    _require(zlib.crc32(z) == z_crc and zlib.crc32(y) == y_crc, "checksums")
    return Stream(channels, width, height, content[16:48].hex(), z, y)


def _rows(model: ModelFile, name: str) -> list[tuple[list[int], int]]:
    values, starts, offsets = (model.tensors[f"tables/{name}/{part}"] for part in ("values", "starts", "offsets"))
    return [(values[a:b], offset) for a, b, offset in zip(starts, starts[1:], offsets, strict=False)]


def _symbols(payload: bytes, indexes: Nested, rows: list[tuple[list[int], int]]) -> Nested:
    """Decode the shape of `indexes`, in the order channel, row, column (SPEC HYP-4)."""
    flat = [i for plane in indexes for row in plane for i in row]
    symbols, state, taken = naive_entropy.decode(payload, flat, rows)
    _require(state == 2**31 and 4 * taken == len(payload), "the coder did not end where it should")
    return _nested(symbols, [len(indexes), len(indexes[0]), len(indexes[0][0])])


def decode(content: bytes, model_content: bytes) -> tuple[list[list[Any]], dict[str, Nested]]:
    """Rows of samples, (red, green, blue) or grey, and every tensor on the way (SPEC HYP-2, PIC-1 to PIC-3)."""
    stream, model = read_stream(content), read_model(model_content)
    _require(stream.identity == model.document["identity"], "another model")
    z_rows = _rows(model, "z")
    blocks_high, blocks_wide = math.ceil(stream.height / 64), math.ceil(stream.width / 64)
    z_indexes = [[[c] * blocks_wide for _ in range(blocks_high)] for c in range(len(z_rows))]
    taps = run_program(model, "h_s", _symbols(stream.z, z_indexes, z_rows))
    y = _symbols(stream.y, taps[output_name(model, "h_s")], _rows(model, "y"))
    taps |= run_program(model, "g_s", y)
    red, green, blue = taps[output_name(model, "g_s")]
    sample = (lambda *rgb: list(rgb)) if stream.channels == 3 else naive.grey
    rows = [list(map(sample, *planes)) for planes in zip(red, green, blue, strict=True)]
    return [row[: stream.width] for row in rows[: stream.height]], taps
