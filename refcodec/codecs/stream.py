"""The stream container `.rcb` (SPEC STREAM-1 to STREAM-3)."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from refcodec.errors import RangeError, StreamError

MAGIC = b"RCB\n"
VERSION = 1
BIT_DEPTH = 8
MAX_SIDE = 65535
MAX_PIXELS = 1 << 25  # 7680 x 4320 fits; bounds what a decoder may allocate
SECTIONS = (b"ZSYM", b"YSYM")

_FIXED = struct.Struct("<4sHBBII32sI")
_SECTION = struct.Struct("<4sII")
_CRC = struct.Struct("<I")
HEADER_SIZE = _FIXED.size + len(SECTIONS) * _SECTION.size + _CRC.size


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

    identity  SHA-256 of the model, in hexadecimal;  payloads  one per section, in the order z, y
    offsets  where each payload begins, in bytes.
    """

    geometry: Geometry
    identity: str
    payloads: tuple[bytes, ...]
    offsets: tuple[int, ...]


def pack(geometry: Geometry, identity: str, payloads: tuple[bytes, ...]) -> bytes:
    """Serialise a stream (SPEC STREAM-1)."""
    head = _FIXED.pack(
        MAGIC,
        VERSION,
        geometry.channels,
        BIT_DEPTH,
        geometry.width,
        geometry.height,
        bytes.fromhex(identity),
        len(SECTIONS),
    )
    for tag, payload in zip(SECTIONS, payloads, strict=True):
        head += _SECTION.pack(tag, len(payload), zlib.crc32(payload))
    return head + _CRC.pack(zlib.crc32(head)) + b"".join(payloads)


def parse(content: bytes) -> Stream:
    """Check every byte of the container (SPEC STREAM-3).

    Raises StreamError RC-STREAM-MAGIC, -VERSION, -TRUNCATED, -TRAILING, -CRC, -LIMIT, -SECTION with the offset.
    """
    if content[:4] != MAGIC[: len(content)] or not content:
        raise StreamError("RC-STREAM-MAGIC", "this is not a refcodec stream", 0)
    if len(content) >= 6 and int.from_bytes(content[4:6], "little") != VERSION:
        raise StreamError("RC-STREAM-VERSION", f"version {int.from_bytes(content[4:6], 'little')}, not {VERSION}", 4)
    if len(content) < HEADER_SIZE:
        raise StreamError("RC-STREAM-TRUNCATED", f"the header needs {HEADER_SIZE} bytes", len(content))
    crc_at = HEADER_SIZE - _CRC.size
    if _CRC.unpack_from(content, crc_at)[0] != zlib.crc32(content[:crc_at]):
        raise StreamError("RC-STREAM-CRC", "the header checksum does not match", crc_at)
    _, _, channels, depth, width, height, identity, count = _FIXED.unpack_from(content)
    if depth != BIT_DEPTH:
        raise StreamError("RC-STREAM-LIMIT", f"bit depth {depth}, not {BIT_DEPTH}", 7)
    try:
        geometry = Geometry(width, height, channels)
    except RangeError as error:
        raise StreamError("RC-STREAM-LIMIT", error.message, 6) from error
    if count != len(SECTIONS):
        raise StreamError("RC-STREAM-SECTION", f"{count} sections, not {len(SECTIONS)}", 48)
    payloads, offsets = _payloads(content)
    return Stream(geometry, identity.hex(), payloads, offsets)


def _payloads(content: bytes) -> tuple[tuple[bytes, ...], tuple[int, ...]]:
    payloads, offsets, position = [], [], HEADER_SIZE
    for number, wanted in enumerate(SECTIONS):
        entry = _FIXED.size + number * _SECTION.size
        tag, length, crc = _SECTION.unpack_from(content, entry)
        if tag != wanted:
            raise StreamError("RC-STREAM-SECTION", f"section {number} is {tag!r}, not {wanted!r}", entry)
        payload = content[position : position + length]
        if len(payload) < length:
            raise StreamError("RC-STREAM-TRUNCATED", f"section {wanted.decode()} needs {length} bytes", len(content))
        if zlib.crc32(payload) != crc:
            raise StreamError("RC-STREAM-CRC", f"the checksum of section {wanted.decode()} does not match", position)
        payloads.append(payload)
        offsets.append(position)
        position += length
    if position != len(content):
        raise StreamError("RC-STREAM-TRAILING", f"{len(content) - position} bytes follow the last section", position)
    return tuple(payloads), tuple(offsets)
