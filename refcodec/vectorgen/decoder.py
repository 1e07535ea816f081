"""Cases for whole layers and whole streams of the shipped decoder, all made from integers."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np

from refcodec.codecs.codec import Codec, Latents
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.codecs.stream import Geometry, header_size, pack, parse
from refcodec.formats import IntFormat
from refcodec.layers.latent_mean import SYMBOL_FORMAT
from refcodec.program.operations import AnyOperation, Convolution, Requantise, ScaleIndex, TransposedConvolution
from refcodec.program.program import Program
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.corners.entropy import BYTE
from refcodec.vectorgen.defining_clauses import ADDED, DEFINING, defined_in_stream
from refcodec.vectorgen.evaluate import Engine, evaluate
from refcodec.vectorgen.values import Values

# What a decode of each family exercises besides container and picture.
DECODING = {
    "factorised": ("STREAM-4", "FACT-2"),
    "scale-hyperprior": ("HYP-2", "HYP-4"),
    "mean-scale-hyperprior": ("MSH-2", "MSH-3"),
    "entropy-parameters": ("EPAR-2", "EPAR-3"),
    "checkerboard": ("STREAM-4", "CKBD-3", "CKBD-4", "CKBD-5"),
    "autoregressive": ("AR-2", "AR-3"),
}
TILE = 4  # rows and columns of a layer case's input
PLAIN = Engine(True, {})
Taps = dict[str, np.ndarray]


def layer_cases(codec: Codec, taps: Taps, tile: int = TILE, engine: Engine = PLAIN) -> Iterator[Case]:
    """Every layer of h_s and g_s on a tile of a photograph's tensors.

    taps  tensors of the photograph's decode, by name;  tile  its rows and columns;  engine  gives what is expected.
    """
    for program in codec.programs:
        for position, op in enumerate(program.operations):
            if isinstance(op, Convolution | TransposedConvolution):
                after = program.operations[position + 1]
                yield _layer_case(program, (op, after), _tile(taps[op.source], tile), engine)


def _tile(x: np.ndarray, side: int) -> np.ndarray:
    """The middle of a tensor."""
    top, left = (max(0, n - side) // 2 for n in x.shape[1:])
    return x[:, top : top + side, left : left + side]


def _layer_case(
    program: Program, pair: tuple[Convolution | TransposedConvolution, AnyOperation], tile: np.ndarray, engine: Engine
) -> Case:
    op, after = pair
    source, accumulator = program.tensor(op.source), program.tensor(op.target)
    parameters = {
        "transposed": op.kind == "transposed_convolution",
        "stride": op.stride,
        "padding": op.padding,
        "source": str(source.format),
        "weight_format": str(op.weight_format),
        "accumulator": str(accumulator.format),
    }
    inputs = {
        "x": Values(tile.astype(np.int64), source.format),
        "weight": Values(op.weight.astype(np.int64), op.weight_format),
        "bias": Values(op.bias, accumulator.format),
    }
    if isinstance(op, TransposedConvolution):
        parameters["output_padding"] = op.output_padding
    if isinstance(after, Requantise):
        inputs["multiplier"] = Values(after.multiplier.astype(np.int64), IntFormat(31, False))
        inputs["shift"] = Values(after.shift.astype(np.int64), IntFormat(7, True))
    elif isinstance(after, ScaleIndex):
        inputs["thresholds"] = Values(after.thresholds, IntFormat(48, True))
    target = program.tensor(after.target)
    parameters["target"] = str(target.format)
    results = evaluate(engine, "layer", parameters, {name: v.array for name, v in inputs.items()})
    return Case(
        f"layers/{op.kind}/{op.name}",
        "layer",
        ("TCONV-3" if parameters["transposed"] else "CONV-2", "RQ-1" if isinstance(after, Requantise) else "SCALE-1"),
        f"layer {op.name} of the shipped model on a {tile.shape[1]}x{tile.shape[2]} tile of a photograph",
        parameters,
        inputs,
        {"accumulator": Values(results["accumulator"].astype(np.int64), accumulator.format)},
        {"y": Values(results["y"].astype(np.int64), target.format)},
        flags=("RealWeights",),
        defined_by={"accumulator": DEFINING[op.kind], "y": DEFINING[after.kind]},
    )


def cut_stream(codec: Codec, taps: Taps, row: int, column: int, geometry: Geometry) -> bytes:
    """The stream of a part of a picture, from the symbols of the whole.

    taps  z and y of the whole;  row, column  of z, where the part begins.
    """
    size, _ = codec.latent_sizes(geometry)
    height, width = size or (0, 0)
    y = taps["y"][:, 4 * row : 4 * (row + height), 4 * column : 4 * (column + width)]
    return codec.encode(Latents(y, taps["z"][:, row : row + height, column : column + width]), geometry)


def small_streams(codec: ScaleHyperprior, taps: Taps) -> dict[str, tuple[str, bytes]]:
    """Short streams cut from the photograph's latents: name -> (comment, bytes)."""
    z, y = taps["z"], taps["y"]
    extreme = np.zeros_like(y[:, :4, :4])
    extreme[::2, 0], extreme[1::2, 1] = SYMBOL_FORMAT.lo, SYMBOL_FORMAT.hi
    return {
        "64x64": ("one block of a photograph", cut_stream(codec, taps, 2, 3, Geometry(64, 64, 3))),
        "33x17": ("odd sizes, cropped", cut_stream(codec, taps, 3, 4, Geometry(33, 17, 3))),
        "grey-20x70": ("grey, two blocks high", cut_stream(codec, taps, 4, 5, Geometry(20, 70, 1))),
        "1x1": ("the smallest picture", cut_stream(codec, taps, 0, 0, Geometry(1, 1, 3))),
        "extreme-symbols": (
            "the largest and smallest symbols, which saturate",
            codec.encode(Latents(extreme, np.full_like(z[:, :1, :1], 99)), Geometry(8, 8, 3)),
        ),
    }


def stream_case(name: str, comment: str, content: bytes, codec: Codec, found: Taps, model_name: str) -> Case:
    """The case of a valid stream.

    content  bytes of the stream;  found  tensors to record by name, among them what the decode gives: the "picture",
    or "y_hat" of a family without one.
    """
    formats = codec.formats()
    values = {key: Values(array, formats.get(key, BYTE)) for key, array in found.items()}
    result = "picture" if "picture" in values else "y_hat"
    decoded = values.pop(result)
    pictures = () if result == "y_hat" else ("PIC-1", "PIC-3" if decoded.array.ndim == 2 else "PIC-2")
    return Case(
        f"{folder_of(codec)}/{name}",
        "stream",
        ("STREAM-1", *DECODING[codec.family], *pictures),
        comment,
        {"model": model_name},
        {"stream": Values(np.frombuffer(content, np.uint8), BYTE)},
        values,
        {result: decoded},
        defined_by=defined_in_stream([*values, result], codec.programs, pictures[-1] if pictures else ADDED),
    )


def rejected_stream(name: str, content: bytes, code: str, codec: Codec, clause: str, model_name: str) -> Case:
    """The case of a stream that must be rejected with a code (SPEC VEC-3)."""
    return Case(
        f"{folder_of(codec)}/invalid-{name}",
        "stream",
        (clause,),
        "must be rejected",
        {"model": model_name},
        {"stream": Values(np.frombuffer(content, np.uint8).astype(np.int64), BYTE)},
        error=code,
        flags=("Invalid",),
    )


def folder_of(codec: Codec) -> str:
    """Where the cases of a family stand."""
    return f"streams/{codec.family.replace('-', '_')}"


def stream_cases(codec: ScaleHyperprior, taps: Taps, model_name: str) -> Iterator[Case]:
    """Short streams with every tensor on the way."""
    kept = {"64x64": ("z", "z_hat", "indexes", "y", "g_s.1", "picture")}
    for name, (comment, content) in small_streams(codec, taps).items():
        found: Taps = {}
        found["picture"] = codec.decode(content, found.__setitem__)
        chosen = kept.get(name, ("z", "indexes", "y", "picture"))
        yield stream_case(name, comment, content, codec, {key: found[key] for key in chosen}, model_name)


def with_header(content: bytes, offset: int, field: bytes) -> bytes:
    """The stream with a header field replaced and the header checksum made good again."""
    size = header_size(len(parse(content).payloads))
    head = bytearray(content[:size])
    head[offset : offset + len(field)] = field
    head[-4:] = struct.pack("<I", zlib.crc32(head[:-4]))
    return bytes(head) + content[size:]


def broken_containers(content: bytes) -> dict[str, tuple[str, bytes]]:
    """One stream for every way in which a stream is rejected: name -> (code, bytes)."""
    stream = parse(content)
    z, y = stream.payloads["ZSYM"], stream.payloads["YSYM"]

    def repacked(z: bytes, y: bytes) -> bytes:
        return pack(stream.geometry, stream.identity, {"ZSYM": z, "YSYM": y})

    flipped = bytes([y[0] ^ 1]) + y[1:]
    return {
        "empty": ("RC-STREAM-MAGIC", b""),
        "magic": ("RC-STREAM-MAGIC", b"RCB\r" + content[4:]),
        "version": ("RC-STREAM-VERSION", with_header(content, 4, b"\x02\x00")),
        "channels": ("RC-STREAM-LIMIT", with_header(content, 6, b"\x02")),
        "depth": ("RC-STREAM-LIMIT", with_header(content, 7, b"\x0a")),
        "zero-width": ("RC-STREAM-LIMIT", with_header(content, 8, bytes(4))),
        "huge-height": ("RC-STREAM-LIMIT", with_header(content, 12, b"\xff\xff\xff\xff")),
        "too-many-pixels": ("RC-STREAM-LIMIT", with_header(content, 8, struct.pack("<II", 65535, 65535))),
        "model": ("RC-STREAM-MODEL", with_header(content, 16, bytes(32))),
        "three-sections": ("RC-STREAM-SECTION", with_header(content, 48, b"\x03")),
        "tag": ("RC-STREAM-SECTION", with_header(content, 52, b"YSYM")),
        "header-crc": ("RC-STREAM-CRC", content[:20] + bytes([content[20] ^ 4]) + content[21:]),
        "payload-crc": ("RC-STREAM-CRC", content[:-1] + bytes([content[-1] ^ 128])),
        "short-header": ("RC-STREAM-TRUNCATED", content[: header_size(2) - 1]),
        "short-payload": ("RC-STREAM-TRUNCATED", content[:-1]),
        "trailing": ("RC-STREAM-TRAILING", content + b"\x00"),
        "z-truncated": ("RC-STREAM-TRUNCATED", repacked(z[:4], y)),
        "y-trailing": ("RC-STREAM-TRAILING", repacked(z, y + bytes(4))),
        "y-flipped": ("RC-STREAM-RANS", repacked(z, flipped)),
        "larger": ("RC-STREAM-TRUNCATED", with_header(content, 8, struct.pack("<II", 640, 640))),
    }
