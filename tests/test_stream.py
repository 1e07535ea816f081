"""The stream container: every field, every refusal (SPEC STREAM-1, STREAM-2, STREAM-3, STREAM-4 and STREAM-5)."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import naive_decoder
import pytest

from refcodec.codecs.stream import LAYOUTS, MAX_PIXELS, Geometry, Stream, header_size, open_stream, pack, parse
from refcodec.errors import RangeError, StreamError

IDENTITY = bytes(range(100, 132))
Z, Y = b"twelve bytes", b"payload of y"


def built(
    magic: bytes = b"RCB\n",
    version: int = 1,
    channels: int = 3,
    depth: int = 8,
    width: int = 640,
    height: int = 480,
    identity: bytes = IDENTITY,
    count: int = 2,
    tags: tuple[bytes, bytes] = (b"ZSYM", b"YSYM"),
    lengths: tuple[int, int] = (len(Z), len(Y)),
    checksums: tuple[int, int] = (zlib.crc32(Z), zlib.crc32(Y)),
    rest: bytes = Z + Y,
) -> bytes:
    """A stream built by hand, its header checksum good whatever the fields."""
    head = magic + struct.pack("<H", version) + bytes([channels, depth]) + struct.pack("<II", width, height) + identity
    head += struct.pack("<I", count)
    for tag, length, checksum in zip(tags, lengths, checksums, strict=True):
        head += tag + struct.pack("<II", length, checksum)
    return head + struct.pack("<I", zlib.crc32(head)) + rest


def refused(content: bytes, code: str, offset: int, message: str = "") -> None:
    with pytest.raises(StreamError) as caught:
        parse(content)
    assert (caught.value.code, caught.value.offset) == (code, offset), str(caught.value)
    assert message in str(caught.value)
    assert str(caught.value).endswith(f"(byte {offset})")


# --- what is written and read


@pytest.mark.parametrize("channels", [1, 3])
def test_pack_writes_the_bytes_of_the_specification(channels: int) -> None:
    content = pack(Geometry(640, 480, channels), IDENTITY.hex(), {"ZSYM": Z, "YSYM": Y})
    assert content == built(channels=channels)
    assert content[:16].hex() == f"5243420a01000{channels}0880020000e0010000"
    assert content[48:64].hex() == f"020000005a53594d0c000000{zlib.crc32(Z).to_bytes(4, 'little').hex()}"
    assert len(content) == header_size(2) + len(Z) + len(Y) == 80 + 24


def test_parse_reads_every_field() -> None:
    content = built()
    payloads, offsets = {"ZSYM": Z, "YSYM": Y}, {"ZSYM": 80, "YSYM": 92}
    assert parse(content) == Stream(Geometry(640, 480, 3), IDENTITY.hex(), payloads, offsets)
    assert parse(content).size == len(content)
    by_hand = naive_decoder.read_stream(content)
    assert (by_hand.width, by_hand.height, by_hand.channels) == (640, 480, 3)
    assert (by_hand.identity, by_hand.sections) == (IDENTITY.hex(), {"ZSYM": Z, "YSYM": Y})


def test_parse_reads_empty_and_uneven_sections() -> None:
    for z, y in ((b"", b""), (b"", b"y"), (b"z" * 1000, b"")):
        stream = parse(pack(Geometry(1, 1, 1), IDENTITY.hex(), {"ZSYM": z, "YSYM": y}))
        assert stream.payloads == {"ZSYM": z, "YSYM": y}
        assert stream.offsets == {"ZSYM": 80, "YSYM": 80 + len(z)}


@pytest.mark.parametrize(
    ("width", "height"), [(1, 1), (65535, 1), (1, 65535), (65535, 512), (8192, 4096), (7680, 4320)]
)
def test_parse_accepts_sizes_up_to_the_limits(width: int, height: int) -> None:
    assert parse(built(width=width, height=height)).geometry == Geometry(width, height, 3)


# --- what is refused


@pytest.mark.parametrize(
    ("changes", "code", "offset", "message"),
    [
        ({"magic": b"RCB\r"}, "RC-STREAM-MAGIC", 0, "not a refcodec stream"),
        ({"magic": b"\x89PNG"}, "RC-STREAM-MAGIC", 0, "not a refcodec stream"),
        ({"version": 0}, "RC-STREAM-VERSION", 4, "version 0, not 1"),
        ({"version": 2}, "RC-STREAM-VERSION", 4, "version 2, not 1"),
        ({"version": 257}, "RC-STREAM-VERSION", 4, "version 257, not 1"),
        ({"channels": 0}, "RC-STREAM-LIMIT", 6, "0 channels"),
        ({"channels": 2}, "RC-STREAM-LIMIT", 6, "2 channels"),
        ({"channels": 4}, "RC-STREAM-LIMIT", 6, "4 channels"),
        ({"depth": 10}, "RC-STREAM-LIMIT", 7, "bit depth 10, not 8"),
        ({"depth": 0}, "RC-STREAM-LIMIT", 7, "bit depth 0, not 8"),
        ({"width": 0}, "RC-STREAM-LIMIT", 6, "got 0x480"),
        ({"height": 0}, "RC-STREAM-LIMIT", 6, "got 640x0"),
        ({"width": 65536, "height": 1}, "RC-STREAM-LIMIT", 6, "got 65536x1"),
        ({"width": 1, "height": 65536}, "RC-STREAM-LIMIT", 6, "got 1x65536"),
        ({"width": 2**32 - 1, "height": 2**32 - 1}, "RC-STREAM-LIMIT", 6, "got 4294967295x"),
        ({"width": 65535, "height": 513}, "RC-STREAM-LIMIT", 6, "at most 33554432 pixels"),
        ({"width": 8192, "height": 4097}, "RC-STREAM-LIMIT", 6, "at most 33554432 pixels"),
        ({"count": 0}, "RC-STREAM-SECTION", 48, "0 sections, not 1 or 2 or 4"),
        ({"count": 3}, "RC-STREAM-SECTION", 48, "3 sections, not 1 or 2 or 4"),
        ({"tags": (b"YSYM", b"ZSYM")}, "RC-STREAM-SECTION", 52, "section 0 is b'YSYM', not b'ZSYM'"),
        ({"tags": (b"ZSYM", b"ZSYM")}, "RC-STREAM-SECTION", 64, "section 1 is b'ZSYM', not b'YSYM'"),
        ({"tags": (b"ZSYM", b"\0\0\0\0")}, "RC-STREAM-SECTION", 64, "section 1 is"),
        ({"lengths": (13, 11)}, "RC-STREAM-CRC", 80, "checksum of section ZSYM"),
        ({"lengths": (12, 11)}, "RC-STREAM-CRC", 92, "checksum of section YSYM"),
        ({"lengths": (12, 13)}, "RC-STREAM-TRUNCATED", 104, "section YSYM needs 13 bytes"),
        ({"lengths": (25, 0)}, "RC-STREAM-TRUNCATED", 104, "section ZSYM needs 25 bytes"),
        ({"lengths": (2**32 - 1, 12)}, "RC-STREAM-TRUNCATED", 104, "section ZSYM needs 4294967295 bytes"),
        ({"checksums": (0, zlib.crc32(Y))}, "RC-STREAM-CRC", 80, "checksum of section ZSYM does not match"),
        ({"checksums": (zlib.crc32(Z), 0)}, "RC-STREAM-CRC", 92, "checksum of section YSYM does not match"),
        ({"rest": Z + Y + b"\0"}, "RC-STREAM-TRAILING", 104, "1 bytes follow the last section"),
        ({"rest": (Z + Y) * 2}, "RC-STREAM-TRAILING", 104, "24 bytes follow the last section"),
        ({"rest": Z + Y[:-1] + b"Y"}, "RC-STREAM-CRC", 92, "checksum of section YSYM does not match"),
    ],
)
def test_parse_refuses(changes: dict[str, Any], code: str, offset: int, message: str) -> None:
    refused(built(**changes), code, offset, message)


def test_parse_refuses_every_shorter_stream_where_it_ends() -> None:
    content = built()
    refused(b"", "RC-STREAM-MAGIC", 0)
    for length in range(1, len(content)):
        refused(content[:length], "RC-STREAM-TRUNCATED", length)


def test_parse_refuses_other_files_however_short() -> None:
    for content in (b"R\0", b"x", b"RCBX", bytes(200), b"\xff" * 200):
        refused(content, "RC-STREAM-MAGIC", 0)


def test_parse_names_the_version_before_it_minds_the_length() -> None:
    """A later version may have a shorter header."""
    refused(b"RCB\n\x02\x00", "RC-STREAM-VERSION", 4)


def test_parse_refuses_every_flipped_bit() -> None:
    content = built()
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StreamError):
            parse(bytes(damaged))


def test_parse_checks_the_header_before_its_fields() -> None:
    damaged = bytearray(built())
    damaged[8] ^= 1
    refused(bytes(damaged), "RC-STREAM-CRC", 76, "the header checksum does not match")


# --- the layouts of the families


def of_layout(layout: tuple[str, ...]) -> dict[str, bytes]:
    """A payload for each section, all different and of different lengths."""
    return {tag: tag.encode() * (number + 1) for number, tag in enumerate(layout)}


@pytest.mark.parametrize("layout", LAYOUTS, ids=" ".join)
def test_parse_reads_every_layout(layout: tuple[str, ...]) -> None:
    content = pack(Geometry(5, 6, 1), IDENTITY.hex(), of_layout(layout))
    stream = parse(content)
    assert stream.payloads == naive_decoder.read_stream(content).sections == of_layout(layout)
    assert list(stream.payloads) == list(layout)
    assert all(content[stream.offsets[tag] :].startswith(payload) for tag, payload in stream.payloads.items())
    assert header_size(len(layout)) == 52 + 12 * len(layout) + 4 == stream.offsets[layout[0]]
    assert stream.size == len(content)
    assert open_stream(content, IDENTITY.hex(), layout) == stream


@pytest.mark.parametrize("layout", LAYOUTS, ids=" ".join)
def test_parse_refuses_every_shorter_stream_of_every_layout(layout: tuple[str, ...]) -> None:
    content = pack(Geometry(5, 6, 1), IDENTITY.hex(), of_layout(layout))
    for length in range(1, len(content)):
        refused(content[:length], "RC-STREAM-TRUNCATED", length)


@pytest.mark.parametrize("layout", LAYOUTS, ids=" ".join)
def test_parse_refuses_every_flipped_bit_of_every_layout(layout: tuple[str, ...]) -> None:
    content = pack(Geometry(5, 6, 1), IDENTITY.hex(), of_layout(layout))
    for bit in range(8 * len(content)):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(StreamError):
            parse(bytes(damaged))


@pytest.mark.parametrize("layout", LAYOUTS, ids=" ".join)
def test_parse_refuses_other_tags_where_they_stand(layout: tuple[str, ...]) -> None:
    for number, tag in enumerate(layout):
        wrong = {**of_layout(layout[:number]), "OTHR": b"", **of_layout(layout[number + 1 :])}
        content = pack(Geometry(5, 6, 1), IDENTITY.hex(), wrong)
        message = f"section {number} is b'OTHR', not b'{tag}'"
        refused(content, "RC-STREAM-SECTION", 52 + 12 * number, message)


@pytest.mark.parametrize("layout", LAYOUTS, ids=" ".join)
def test_open_stream_refuses_the_layout_of_another_family(layout: tuple[str, ...]) -> None:
    content = pack(Geometry(5, 6, 1), IDENTITY.hex(), of_layout(layout))
    for other in set(LAYOUTS) - {layout}:
        with pytest.raises(StreamError, match="the sections are") as caught:
            open_stream(content, IDENTITY.hex(), other)
        assert (caught.value.code, caught.value.offset) == ("RC-STREAM-SECTION", 48)
        assert f"{' '.join(layout)}, not {' '.join(other)}" in str(caught.value)


def test_open_stream_names_another_model_before_its_layout() -> None:
    content = pack(Geometry(5, 6, 1), IDENTITY.hex(), of_layout(LAYOUTS[0]))
    with pytest.raises(StreamError, match="the stream was made for model 6465666768696a6b") as caught:
        open_stream(content, "00" * 32, LAYOUTS[1])
    assert (caught.value.code, caught.value.offset) == ("RC-STREAM-MODEL", 16)


# --- geometry


@pytest.mark.parametrize(
    ("width", "height", "channels"),
    [(0, 1, 3), (1, 0, 3), (-1, 1, 1), (65536, 1, 3), (1, 65536, 3), (8192, 4097, 3), (1, 1, 2), (1, 1, 0), (1, 1, 4)],
)
def test_geometry_refuses_what_no_stream_holds(width: int, height: int, channels: int) -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: a picture has sides of 1\.\.65535, at most 33554432 pixels"):
        Geometry(width, height, channels)


def test_geometry_limit_is_two_to_the_25() -> None:
    assert MAX_PIXELS == 2**25
    assert Geometry(8192, 4096, 1).width == 8192
