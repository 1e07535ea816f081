"""The stream of an implicit video, `.rcv` (SPEC RCV-1 to RCV-8)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from refcodec.codecs.inr.architecture import Architecture, parameters
from refcodec.codecs.inr.description import describe, read_architecture
from refcodec.codecs.inr.nodes import BIAS, Parameter
from refcodec.codecs.inr.numbers import NumberReader, write_numbers
from refcodec.codecs.inr.quantised import FRACTIONS, LARGEST_STEP, MAX_BITS, MIN_BITS, Quantised, Video, step_channels
from refcodec.entropy.weight_coding import decode_integers, encode_integers, payload_mode
from refcodec.errors import RangeError, StreamError
from refcodec.formats import IntFormat

MAGIC = b"RCV\n"
VERSION = 1
MAX_DESCRIPTION = (1 << 16) - 1
MAX_PAYLOAD = (1 << 30) - 1  # of a tensor
MAX_STEP_SHIFT = 15

_FIXED = struct.Struct("<4sHH")
_CRC = struct.Struct("<I")
_STEP_HEAD = struct.Struct("<HB")


@dataclass(frozen=True, slots=True)
class Entry:
    """What a description says of a tensor, and where its bytes stand (SPEC RCV-6).

    bits, dependent  as of Quantised;  count  of its steps;  steps_at, values_at, end  positions in the stream
    coded_steps  whether its steps are entropy-coded.
    """

    parameter: Parameter
    bits: int
    dependent: bool
    count: int
    coded_steps: bool
    steps_at: int
    values_at: int
    end: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A description: the network, the format of its activations, and where every tensor stands.

    payloads_at  where the first tensor begins.
    """

    architecture: Architecture
    activations: IntFormat
    payloads_at: int
    entries: tuple[Entry, ...]


def coded_shape(parameter: Parameter) -> tuple[int, int, int]:
    """A parameter's shape (O, I, K) for the coder: all axes but the first two joined (SPEC RCV-8)."""
    if parameter.kind == BIAS:
        return 1, parameter.shape[0], 1
    return parameter.shape[0], parameter.shape[1], prod(parameter.shape[2:])


# --- writing


def pack(video: Video) -> bytes:
    """Serialise a video (SPEC RCV-1).  Raises RangeError where its description or a tensor is too long."""
    numbers = [video.activations.bits, *describe(video.architecture)]
    payloads = bytearray()
    for parameter in parameters(video.architecture.nodes()):
        tensor = video.parameters[parameter.name]
        raw, coded = tensor.steps.astype("<u2").tobytes(), _coded_steps(tensor.steps)
        values = encode_integers(tensor.values.reshape(coded_shape(parameter)), tensor.dependent)
        if len(values) > MAX_PAYLOAD:
            raise RangeError(f"{parameter.name} needs {len(values)} bytes, not at most {MAX_PAYLOAD}")
        shorter = len(coded) + len(write_numbers([len(coded)])) < len(raw)
        flags = (tensor.bits - 1) | (len(tensor.steps) > 1) << 4 | tensor.dependent << 5 | shorter << 6
        numbers += [flags, *([len(coded)] if shorter else []), len(values)]
        payloads += (coded if shorter else raw) + values
    description = write_numbers(numbers)
    if len(description) > MAX_DESCRIPTION:
        raise RangeError(f"the description needs {len(description)} bytes, not at most {MAX_DESCRIPTION}")
    head = _FIXED.pack(MAGIC, VERSION, len(description)) + description
    return b"".join([head, _CRC.pack(zlib.crc32(head)), payloads, _CRC.pack(zlib.crc32(payloads))])


def _coded_steps(steps: np.ndarray) -> bytes:
    """The smallest pattern, then the differences to it without the zero bits that they all end in (SPEC RCV-7)."""
    least = int(steps.min())
    differences = steps.astype(np.int32) - least
    bits = int(np.bitwise_or.reduce(differences))
    shift = (bits & -bits).bit_length() - 1 if bits else 0
    return _STEP_HEAD.pack(least, shift) + encode_integers((differences >> shift).reshape(1, -1, 1))


# --- reading


def parse(content: bytes) -> Video:
    """The video of a stream, every byte checked (SPEC RCV-1 to RCV-8).

    Raises StreamError RC-STREAM-MAGIC, -VERSION, -TRUNCATED, -TRAILING, -CRC, -LIMIT, and those of the coder.
    """
    layout = read_layout(content)
    tensors = {entry.parameter.name: _tensor(content, entry) for entry in layout.entries}
    return Video(layout.architecture, tensors, layout.activations)


def read_layout(content: bytes) -> Layout:
    """The description of a stream whose checksums and lengths are right (SPEC RCV-1 to RCV-6).

    Raises StreamError RC-STREAM-MAGIC, -VERSION, -TRUNCATED, -TRAILING, -CRC, -LIMIT.
    """
    end = _description_end(content)
    reader = NumberReader(content, _FIXED.size, end)
    activations = IntFormat(_activation_bits(reader), True)
    architecture = read_architecture(reader)
    first = end + _CRC.size
    entries = tuple(_entries(reader, architecture, first))
    reader.finish()
    last = entries[-1].end
    if len(content) < last + _CRC.size:
        raise StreamError("RC-STREAM-TRUNCATED", f"the stream needs {last + _CRC.size} bytes", len(content))
    if len(content) > last + _CRC.size:
        raise StreamError(
            "RC-STREAM-TRAILING", f"{len(content) - last - _CRC.size} bytes follow the checksum", last + _CRC.size
        )
    if _CRC.unpack_from(content, last)[0] != zlib.crc32(content[first:last]):
        raise StreamError("RC-STREAM-CRC", "the checksum of the tensors does not match", last)
    return Layout(architecture, activations, first, entries)


def _description_end(content: bytes) -> int:
    """Where the description of a stream ends, after its checksum was compared."""
    if content[:4] != MAGIC[: len(content)] or not content:
        raise StreamError("RC-STREAM-MAGIC", "this is not a stream of an implicit video", 0)
    if len(content) >= 6 and int.from_bytes(content[4:6], "little") != VERSION:
        raise StreamError("RC-STREAM-VERSION", f"version {int.from_bytes(content[4:6], 'little')}, not {VERSION}", 4)
    if len(content) < _FIXED.size:
        raise StreamError("RC-STREAM-TRUNCATED", f"the header needs {_FIXED.size} bytes", len(content))
    end = _FIXED.size + int(_FIXED.unpack_from(content)[2])
    if len(content) < end + _CRC.size:
        raise StreamError("RC-STREAM-TRUNCATED", f"the description needs {end + _CRC.size} bytes", len(content))
    if _CRC.unpack_from(content, end)[0] != zlib.crc32(content[:end]):
        raise StreamError("RC-STREAM-CRC", "the checksum of the description does not match", end)
    return end


def _activation_bits(reader: NumberReader) -> int:
    start, bits = reader.position, reader.take()
    if bits not in FRACTIONS:
        raise StreamError("RC-STREAM-LIMIT", f"no tables are shipped for activations of {bits} bits", start)
    return bits


def _entries(reader: NumberReader, architecture: Architecture, first: int) -> Iterator[Entry]:
    """Every tensor of a network, the first of which begins at a position."""
    position = first
    for parameter in parameters(architecture.nodes()):
        start, name = reader.position, parameter.name
        flags = reader.take_between(0, 127, f"what is said of {name}")
        bits, several, dependent, coded = (flags & 15) + 1, flags >> 4 & 1, flags >> 5 & 1, flags >> 6
        if not MIN_BITS <= bits <= MAX_BITS - dependent:
            raise StreamError(
                "RC-STREAM-LIMIT", f"{name} has {MIN_BITS}..{MAX_BITS - dependent} bits, got {bits}", start
            )
        channels = step_channels(parameter)
        if several and channels == 1:
            raise StreamError("RC-STREAM-LIMIT", f"{name} has one step only", start)
        count = channels if several else 1
        steps_size = reader.take_between(_STEP_HEAD.size, 2 * count, f"bytes of {name}") if coded else 2 * count
        values_size = reader.take_between(1, MAX_PAYLOAD, f"bytes of {name}")
        values_at = position + steps_size
        yield Entry(parameter, bits, bool(dependent), count, bool(coded), position, values_at, values_at + values_size)
        position = values_at + values_size


def _tensor(content: bytes, entry: Entry) -> Quantised:
    """A tensor of a stream.  Raises StreamError RC-STREAM-SYMBOL, and those of the coder."""
    parameter, steps = entry.parameter, _steps(content, entry)
    if steps.min() < 1 or steps.max() > LARGEST_STEP:
        raise StreamError("RC-STREAM-SYMBOL", f"{parameter.name}: a step is outside 1..{LARGEST_STEP}", entry.steps_at)
    payload, shape = content[entry.values_at : entry.end], coded_shape(parameter)
    values = decode_integers(payload, shape, entry.dependent, entry.values_at).reshape(parameter.shape)
    fmt = IntFormat(entry.bits, True)
    if values.min() < fmt.lo or values.max() > fmt.hi:
        raise StreamError("RC-STREAM-SYMBOL", f"{parameter.name}: an integer is outside {fmt}", entry.values_at)
    return Quantised(values, steps, entry.bits, entry.dependent)


def _steps(content: bytes, entry: Entry) -> np.ndarray:
    """The patterns of a tensor's steps, whatever they are (SPEC RCV-7)."""
    payload = content[entry.steps_at : entry.values_at]
    if not entry.coded_steps:
        return np.frombuffer(payload, "<u2").astype(np.int64)
    least, shift = _STEP_HEAD.unpack_from(payload)
    if shift > MAX_STEP_SHIFT:
        raise StreamError(
            "RC-STREAM-LIMIT", f"steps lack at most {MAX_STEP_SHIFT} bits, got {shift}", entry.steps_at + 2
        )
    coded, at = payload[_STEP_HEAD.size :], entry.steps_at + _STEP_HEAD.size
    differences = decode_integers(coded, (1, entry.count, 1), False, at).ravel()
    return least + (differences.astype(np.int64) << shift)


# --- accounting


@dataclass(frozen=True, slots=True)
class TensorSize:
    """What a tensor takes in a stream.

    bits, dependent  as of Quantised;  steps, step_bytes  how many, and their bytes;  coder  of its integers, and
    value_bytes  theirs.
    """

    name: str
    shape: tuple[int, ...]
    bits: int
    dependent: bool
    steps: int
    step_bytes: int
    coder: str
    value_bytes: int


def tensor_sizes(content: bytes) -> tuple[TensorSize, ...]:
    """What every tensor takes in a stream, in order; the rest of the stream is its description and frame.

    Raises StreamError as `read_layout`.
    """
    return tuple(
        TensorSize(
            entry.parameter.name, entry.parameter.shape, entry.bits, entry.dependent,
            entry.count, entry.values_at - entry.steps_at,
            payload_mode(content[entry.values_at : entry.end]), entry.end - entry.values_at,
        )
        for entry in read_layout(content).entries
    )  # fmt: skip
