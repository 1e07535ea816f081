"""The stream container `.rcb` (SPEC STREAM-1 to STREAM-5)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from refcodec.errors import RangeError, StreamError

MAGIC = b"RCB\n"
VERSION = 1
BIT_DEPTH = 8
MAX_SIDE = 65535
MAX_PIXELS = 1 << 25  # 7680 x 4320 fits; bounds what a decoder may allocate
# The sections of each kind of stream, in order (SPEC STREAM-4).
LATENT_ONLY = ("YSYM",)
HYPER_LATENT = ("ZSYM", "YSYM")
TWO_PASSES = ("CTXF", "ZSYM", "YANC", "YNAN")
LAYOUTS = (LATENT_ONLY, HYPER_LATENT, TWO_PASSES)

_FIXED = struct.Struct("<4sHBBII32sI")
_SECTION = struct.Struct("<4sII")
_CRC = struct.Struct("<I")
_COUNT_AT = 48  # where the number of sections stands


def header_size(sections: int) -> int:
    """Bytes before the first payload of a stream with so many sections (SPEC STREAM-1)."""
    return _FIXED.size + sections * _SECTION.size + _CRC.size


@dataclass(frozen=True, slots=True)
class Geometry:
    """Size and colour of a coded picture (SPEC STREAM-2).

    width, height  1..65535, at most 2**25 pixels;  channels  1 (grey) or 3 (RGB).  Raises RangeError.
    """

    width: int
    height: int
    channels: int

    def __post_init__(self) -> None:
        sides = 1 <= self.width <= MAX_SIDE and 1 <= self.height <= MAX_SIDE
        if not sides or self.width * self.height > MAX_PIXELS or self.channels not in (1, 3):
            raise RangeError(
                f"a picture has sides of 1..{MAX_SIDE}, at most {MAX_PIXELS} pixels, and 1 or 3 channels; "
                f"got {self.width}x{self.height}, {self.channels} channels"
            )


@dataclass(frozen=True, slots=True)
class Stream:
    """A parsed stream (SPEC STREAM-1).

    identity  SHA-256 of the model, in hexadecimal;  payloads  bytes of every section by its tag, in order
    offsets  where each payload begins, in bytes, by tag.
    """

    geometry: Geometry
    identity: str
    payloads: Mapping[str, bytes]
    offsets: Mapping[str, int]

    @property
    def size(self) -> int:
        """Bytes of the whole stream."""
        return header_size(len(self.payloads)) + sum(map(len, self.payloads.values()))


def pack(geometry: Geometry, identity: str, payloads: Mapping[str, bytes]) -> bytes:
    """Serialise a stream (SPEC STREAM-1).

    identity  as in `Stream`;  payloads  bytes of every section by its tag of four letters, in order.
    """
    head = _FIXED.pack(
        MAGIC,
        VERSION,
        geometry.channels,
        BIT_DEPTH,
        geometry.width,
        geometry.height,
        bytes.fromhex(identity),
        len(payloads),
    )
    for tag, payload in payloads.items():
        head += _SECTION.pack(tag.encode(), len(payload), zlib.crc32(payload))
    return head + _CRC.pack(zlib.crc32(head)) + b"".join(payloads.values())


def parse(content: bytes) -> Stream:
    """Check every byte of the container (SPEC STREAM-3).

    Raises StreamError RC-STREAM-MAGIC, -VERSION, -TRUNCATED, -TRAILING, -CRC, -LIMIT, -SECTION with the offset.
    """
    if content[:4] != MAGIC[: len(content)] or not content:
        raise StreamError("RC-STREAM-MAGIC", "this is not a refcodec stream", 0)
    if len(content) >= 6 and int.from_bytes(content[4:6], "little") != VERSION:
        raise StreamError("RC-STREAM-VERSION", f"version {int.from_bytes(content[4:6], 'little')}, not {VERSION}", 4)
    count = _section_count(content)
    crc_at = header_size(count) - _CRC.size
    if _CRC.unpack_from(content, crc_at)[0] != zlib.crc32(content[:crc_at]):
        raise StreamError("RC-STREAM-CRC", "the header checksum does not match", crc_at)
    _, _, channels, depth, width, height, identity, _ = _FIXED.unpack_from(content)
    if depth != BIT_DEPTH:
        raise StreamError("RC-STREAM-LIMIT", f"bit depth {depth}, not {BIT_DEPTH}", 7)
    try:
        geometry = Geometry(width, height, channels)
    except RangeError as error:
        raise StreamError("RC-STREAM-LIMIT", error.message, 6) from error
    payloads, offsets = _payloads(content, _tags(content, count))
    return Stream(geometry, identity.hex(), payloads, offsets)


def _section_count(content: bytes) -> int:
    """The number of sections, one that some layout has, of a stream whose header is complete."""
    least = header_size(min(map(len, LAYOUTS)))
    if len(content) < least:
        raise StreamError("RC-STREAM-TRUNCATED", f"the header needs {least} bytes or more", len(content))
    count = int(_FIXED.unpack_from(content)[-1])
    counts = sorted({len(layout) for layout in LAYOUTS})
    if count not in counts:
        raise StreamError("RC-STREAM-SECTION", f"{count} sections, not {' or '.join(map(str, counts))}", _COUNT_AT)
    if len(content) < header_size(count):
        raise StreamError("RC-STREAM-TRUNCATED", f"the header needs {header_size(count)} bytes", len(content))
    return count


def _tags(content: bytes, count: int) -> tuple[str, ...]:
    """The tags of the sections, which are those of a layout (SPEC STREAM-4)."""
    candidates = [layout for layout in LAYOUTS if len(layout) == count]
    for number in range(count):
        entry = _FIXED.size + number * _SECTION.size
        tag = _SECTION.unpack_from(content, entry)[0]
        wanted = candidates[0][number]
        candidates = [layout for layout in candidates if layout[number].encode() == tag]
        if not candidates:
            raise StreamError("RC-STREAM-SECTION", f"section {number} is {tag!r}, not {wanted.encode()!r}", entry)
    return candidates[0]


def _payloads(content: bytes, tags: tuple[str, ...]) -> tuple[dict[str, bytes], dict[str, int]]:
    payloads, offsets, position = {}, {}, header_size(len(tags))
    for number, name in enumerate(tags):
        _, length, crc = _SECTION.unpack_from(content, _FIXED.size + number * _SECTION.size)
        payload = content[position : position + length]
        if len(payload) < length:
            raise StreamError("RC-STREAM-TRUNCATED", f"section {name} needs {length} bytes", len(content))
        if zlib.crc32(payload) != crc:
            raise StreamError("RC-STREAM-CRC", f"the checksum of section {name} does not match", position)
        payloads[name] = payload
        offsets[name] = position
        position += length
    if position != len(content):
        raise StreamError("RC-STREAM-TRAILING", f"{len(content) - position} bytes follow the last section", position)
    return payloads, offsets


def open_stream(content: bytes, identity: str, layout: tuple[str, ...]) -> Stream:
    """Parse a stream that must be of one model and of its family's layout (SPEC STREAM-3, STREAM-5).

    content  a whole `.rcb` stream;  identity  of the model;  layout  tags of the sections, in order.
    Raises StreamError, those of `parse` and RC-STREAM-MODEL.
    """
    stream = parse(content)
    if stream.identity != identity:
        raise StreamError(
            "RC-STREAM-MODEL", f"the stream was made for model {stream.identity[:16]}, this is {identity[:16]}", 16
        )
    if tuple(stream.payloads) != layout:
        found, wanted = " ".join(stream.payloads), " ".join(layout)
        raise StreamError("RC-STREAM-SECTION", f"the sections are {found}, not {wanted}", _COUNT_AT)
    return stream
