"""A whole decoder of every family in plain Python integers, from SPEC.md alone: model file, stream, programs, picture.

Nothing of refcodec is imported and NumPy is not used; tensors are nested lists. A one-pixel picture of the shipped
model takes some seconds. Refusals are ValueErrors: this decoder judges results, not error codes.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import naive
import naive_arrangement
import naive_entropy
import naive_normalisation

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


def _samples(x: Nested, function: Any) -> Nested:
    """function(sample) for the channels of every position."""
    rows = [[function([plane[y][i] for plane in x]) for i in range(len(x[0][0]))] for y in range(len(x[0]))]
    return [[[sample[c] for sample in row] for row in rows] for c in range(len(rows[0][0]))]


def _sums(op: dict[str, Any], constant: dict[str, Nested], x: Nested) -> Nested:
    weight, bias, kind = constant["weight"], constant["bias"], op["kind"]
    if kind == "convolution":
        return naive.convolution(x, weight, bias, op["stride"], op["padding"])
    if kind == "transposed_convolution":
        return naive.transposed_convolution(x, weight, bias, op["stride"], op["padding"], op["output_padding"])
    if kind == "masked_convolution":
        return naive_arrangement.masked_convolution(x, weight, bias, op["mask"], op["padding"])
    _require(kind == "linear", f"unknown operation {kind}")
    return _samples(x, lambda sample: naive_arrangement.linear(sample, weight, bias))


def _inverse_gdn(op: dict[str, Any], constant: dict[str, Nested], x: Nested, limits: tuple[int, int]) -> Nested:
    def one(sample: list[int]) -> list[int]:
        form = constant["gamma"], constant["beta"], op["squared"], op["norm_shift"]
        scales = constant["offset"], constant["multiplier"], constant["shift"]
        return naive_normalisation.inverse_gdn(sample, naive_normalisation.divisors(sample, *form), *scales, *limits)

    return _samples(x, one)


def _run_operation(
    op: dict[str, Any], constant: dict[str, Nested], read: list[Nested], target: dict[str, Any]
) -> Nested:
    kind, x = op["kind"], read[0]
    limits = naive.format_range(target["format"]["bits"], target["format"]["signed"])
    if kind == "concatenate":
        return naive_arrangement.concatenate(read)
    if "weight" in constant:
        return _sums(op, constant, x)
    if kind == "requantise":
        scales = list(zip(constant["multiplier"], constant["shift"], strict=True))
        return _pointwise(x, lambda c, v: naive.requantise(v, *scales[c], *limits))
    if kind == "leaky_requantise":
        names = "multiplier", "negative_multiplier", "shift"
        slopes = list(zip(*(constant[name] for name in names), strict=True))
        return _pointwise(x, lambda c, v: naive_normalisation.leaky_requantise(v, *slopes[c], *limits))
    if kind == "inverse_gdn":
        return _inverse_gdn(op, constant, x, limits)
    if kind == "clip":
        return _pointwise(x, lambda _, v: naive.clip(v, op["lo"], op["hi"]))
    if kind == "latent_mean":
        return _pointwise(x, lambda c, v: naive.latent_mean(v, constant["mean"][c], op["fraction"]))
    _require(kind == "scale_index", f"unknown operation {kind}")
    return _pointwise(x, lambda c, v: naive.scale_index(v, constant["thresholds"][c]))


def run_program(model: ModelFile, name: str, inputs: Nested) -> dict[str, Nested]:
    """The values of every tensor of a program (SPEC PROG-4), each checked against its format.

    inputs  by name, or the tensor itself of a program with one input.
    """
    program = model.document["programs"][name]
    declared = {tensor["name"]: tensor for tensor in program["tensors"]}
    found = dict(inputs) if isinstance(inputs, dict) else {program["tensors"][0]["name"]: inputs}
    prefix = f"programs/{name}/"
    for op in program["operations"]:
        start = f"{prefix}{op['name']}/"
        constant = {key.removeprefix(start): value for key, value in model.tensors.items() if key.startswith(start)}
        read = [found[source] for source in op.get("sources", [op.get("source")])]
        found[op["target"]] = _run_operation(op, constant, read, declared[op["target"]])
    for tensor, values in found.items():
        lo, hi = naive.format_range(declared[tensor]["format"]["bits"], declared[tensor]["format"]["signed"])
        _require(all(lo <= v <= hi for plane in values for row in plane for v in row), f"{tensor} leaves its format")
    return found


def output_name(model: ModelFile, name: str) -> str:
    """The tensor that a program with one output ends with."""
    return model.document["programs"][name]["tensors"][-1]["name"]


def enlargement(model: ModelFile, name: str) -> int:
    """How many times as high and wide as its input the output of a program is: the product of its strides."""
    operations = model.document["programs"][name]["operations"]
    return math.prod(op["stride"] for op in operations if op["kind"] == "transposed_convolution")


# --- streams


LAYOUTS = {1: [b"YSYM"], 2: [b"ZSYM", b"YSYM"], 4: [b"CTXF", b"ZSYM", b"YANC", b"YNAN"]}


@dataclass
class Stream:
    """The fields of a stream."""

    channels: int
    width: int
    height: int
    identity: str
    sections: dict[str, bytes]


def read_stream(content: bytes) -> Stream:
    """Parse a stream by the tables of SPEC STREAM-1 and STREAM-4."""
    _require(len(content) >= 52 and content[:4] == bytes.fromhex("5243420a"), "no stream")
    version, channels, depth, width, height = struct.unpack_from("<HBBII", content, 4)
    _require(version == 1 and channels in (1, 3) and depth == 8, "version, channels or depth")
    _require(1 <= width <= 65535 and 1 <= height <= 65535 and width * height <= 2**25, "size")
    (count,) = struct.unpack_from("<I", content, 48)
    _require(count in LAYOUTS, "sections")
    entries = [struct.unpack_from("<4sII", content, 52 + 12 * n) for n in range(count)]
    _require([tag for tag, _, _ in entries] == LAYOUTS[count], "sections")
    place = 52 + 12 * count
    _require(struct.unpack_from("<I", content, place)[0] == zlib.crc32(content[:place]), "checksum of the header")
    place += 4
    sections = {}
    for tag, length, checksum in entries:
        section = content[place : place + length]
        _require(len(section) == length and zlib.crc32(section) == checksum, "length or checksum of a section")
        sections[tag.decode()] = section
        place += length
    _require(place == len(content), "length")
    return Stream(channels, width, height, content[16:48].hex(), sections)


def _rows(model: ModelFile, name: str) -> list[tuple[list[int], int]]:
    values, starts, offsets = (model.tensors[f"tables/{name}/{part}"] for part in ("values", "starts", "offsets"))
    return [(values[a:b], offset) for a, b, offset in zip(starts, starts[1:], offsets, strict=False)]


def _decode_list(payload: bytes, indexes: list[int], rows: list[tuple[list[int], int]]) -> list[int]:
    symbols, state, taken = naive_entropy.decode(payload, indexes, rows)
    _require(state == 2**31 and 4 * taken == len(payload), "the coder did not end where it should")
    return list(symbols)


def _symbols(payload: bytes, indexes: Nested, rows: list[tuple[list[int], int]]) -> Nested:
    """Decode the shape of `indexes`, in the order channel, row, column (SPEC HYP-4)."""
    flat = [i for plane in indexes for row in plane for i in row]
    return _nested(_decode_list(payload, flat, rows), [len(indexes), len(indexes[0]), len(indexes[0][0])])


def _by_channel(payload: bytes, rows: list[tuple[list[int], int]], height: int, width: int) -> Nested:
    """Symbols of which each has the table of its channel."""
    return _symbols(payload, [[[c] * width for _ in range(height)] for c in range(len(rows))], rows)


def _zeros(channels: int, height: int, width: int) -> Nested:
    return [[[0] * width for _ in range(height)] for _ in range(channels)]


# --- latents, by family: every tensor on the way, the last of them "y" or "y_hat"


@dataclass
class Job:
    """A stream, its model, and z."""

    stream: Stream
    model: ModelFile
    z: Nested

    @property
    def fraction(self) -> int:
        """Of the means."""
        return int(self.model.document["settings"]["mean_fraction"])

    @property
    def y_rows(self) -> list[tuple[list[int], int]]:
        """The tables of y."""
        return _rows(self.model, "y")


def _with_means(symbols: Nested, means: Nested, fraction: int) -> Nested:
    return [
        [[naive.latent_mean(v, m, fraction) for v, m in zip(*rows, strict=True)] for rows in zip(*planes, strict=True)]
        for planes in zip(symbols, means, strict=True)
    ]


def _scale(job: Job) -> dict[str, Nested]:
    taps = run_program(job.model, "h_s", job.z)
    indexes = taps[output_name(job.model, "h_s")]
    return taps | {"y": _symbols(job.stream.sections["YSYM"], indexes, job.y_rows)}


def _mean_scale(job: Job) -> dict[str, Nested]:
    taps = run_program(job.model, "h_s", job.z)
    y = _symbols(job.stream.sections["YSYM"], taps["indexes"], job.y_rows)
    return taps | {"y": y, "y_hat": _with_means(y, taps["means"], job.fraction)}


def _alone(job: Job) -> dict[str, Nested]:
    taps = run_program(job.model, "h_s", job.z)
    indexes, means = (
        [[row[: job.stream.width] for row in plane[: job.stream.height]] for plane in taps[name]]
        for name in ("indexes", "means")
    )
    y = _symbols(job.stream.sections["YSYM"], indexes, job.y_rows)
    return taps | {"y": y, "y_hat": _with_means(y, means, job.fraction)}


def _checkerboard(job: Job) -> dict[str, Nested]:
    """Anchors one by one, then the others (SPEC CKBD-4, CKBD-5)."""
    taps = run_program(job.model, "h_s", job.z)
    side = taps["side"]
    height, width = len(side[0]), len(side[0][0])
    channels = job.model.document["programs"]["g_s"]["tensors"][0]["channels"]
    parity, order = job.stream.sections["CTXF"]
    (joined,) = (op for op in job.model.document["programs"]["entropy_parameters"]["operations"] if "sources" in op)
    _require(parity < 2 and joined["sources"] == [["context", "side"], ["side", "context"]][order], "context fields")
    whole = {name: _zeros(channels, height, width) for name in ("indexes", "means", "y", "y_hat")}
    inputs = job.model.document["programs"]["entropy_parameters"]["tensors"]
    (context_channels,) = (tensor["channels"] for tensor in inputs if tensor["name"] == "context")
    context = _zeros(context_channels, height, width)
    for number, (name, tag) in enumerate((("anchors", "YANC"), ("others", "YNAN"))):
        if number == 1:
            seen = run_program(job.model, "context", [[list(row) for row in plane] for plane in whole["y_hat"]])
            taps |= {f"others.{key}": values for key, values in seen.items()}
            context = seen["context"]
        found = run_program(job.model, "entropy_parameters", {"context": context, "side": side})
        taps |= {f"{name}.{key}": values for key, values in found.items()}
        places = [
            (c, y, i)
            for c, y, i in product(range(channels), range(height), range(width))
            if (y + i + parity) % 2 == number
        ]
        rows = [found["indexes"][c][y][i] for c, y, i in places]
        for (c, y, i), symbol in zip(places, _decode_list(job.stream.sections[tag], rows, job.y_rows), strict=True):
            mean = found["means"][c][y][i]
            whole["indexes"][c][y][i], whole["means"][c][y][i] = found["indexes"][c][y][i], mean
            whole["y"][c][y][i], whole["y_hat"][c][y][i] = symbol, naive.latent_mean(symbol, mean, job.fraction)
    return taps | whole


def _window(y_hat: Nested, row: int, column: int, kernel: int) -> Nested:
    """The samples around a position, zero outside the picture."""
    around = range(-(kernel // 2), kernel // 2 + 1)

    def sample(plane: list[list[int]], y: int, x: int) -> int:
        return plane[y][x] if 0 <= y < len(plane) and 0 <= x < len(plane[0]) else 0

    return [[[sample(plane, row + dy, column + dx) for dx in around] for dy in around] for plane in y_hat]


def _serial(job: Job) -> dict[str, Nested]:
    """Position after position, all channels of each, from one payload (SPEC AR-2, AR-3)."""
    taps = run_program(job.model, "h_s", job.z)
    side, kernel = taps["side"], job.model.document["settings"]["context_kernel"]
    channels = job.model.document["programs"]["g_s"]["tensors"][0]["channels"]
    whole = {name: _zeros(channels, len(side[0]), len(side[0][0])) for name in ("indexes", "means", "y", "y_hat")}
    reader = naive_entropy.Reader(job.stream.sections["YSYM"])
    for row, column in product(range(len(side[0])), range(len(side[0][0]))):
        seen = run_program(job.model, "context", _window(whole["y_hat"], row, column, kernel))
        beside = [[[plane[row][column]]] for plane in side]
        found = run_program(job.model, "entropy_parameters", {"context": seen["context"], "side": beside})
        for c in range(channels):
            index, mean = found["indexes"][c][0][0], found["means"][c][0][0]
            symbol = reader.symbol(job.y_rows[index])
            values = index, mean, symbol, naive.latent_mean(symbol, mean, job.fraction)
            for name, value in zip(("indexes", "means", "y", "y_hat"), values, strict=True):
                whole[name][c][row][column] = value
    _require(reader.state == 2**31 and 4 * reader.taken == len(job.stream.sections["YSYM"]), "the coder's end")
    return taps | whole


FAMILIES = {
    "scale-hyperprior": _scale,
    "mean-scale-hyperprior": _mean_scale,
    "entropy-parameters": _alone,
    "checkerboard": _checkerboard,
    "autoregressive": _serial,
}


def _blocks(stream: Stream, side: int) -> tuple[int, int]:
    return math.ceil(stream.height / side), math.ceil(stream.width / side)


def decode(content: bytes, model_content: bytes) -> tuple[Nested, dict[str, Nested]]:
    """What a stream decodes into, and every tensor on the way (SPEC PIC-1 to PIC-3).

    The first is rows of samples, (red, green, blue) or grey, or the latent of a family without a picture.
    """
    stream, model = read_stream(content), read_model(model_content)
    _require(stream.identity == model.document["identity"], "another model")
    family, programs = model.document["family"], model.document["programs"]
    side = math.prod(enlargement(model, name) for name in ("h_s", "g_s") if name in programs)
    if family == "factorised":
        taps = {"y": _by_channel(stream.sections["YSYM"], _rows(model, "y"), *_blocks(stream, side))}
    else:
        z = _by_channel(stream.sections["ZSYM"], _rows(model, "z"), *_blocks(stream, side))
        taps = FAMILIES[family](Job(stream, model, z))
    if "g_s" not in programs:
        return taps["y_hat"], taps
    taps |= run_program(model, "g_s", taps[programs["g_s"]["tensors"][0]["name"]])
    return list(_picture(stream, taps[output_name(model, "g_s")])), taps


def _picture(stream: Stream, planes: Nested) -> Iterator[Nested]:
    sample = (lambda *rgb: list(rgb)) if stream.channels == 3 else naive.grey
    for rows in list(zip(*planes, strict=True))[: stream.height]:
        yield list(map(sample, *rows))[: stream.width]
