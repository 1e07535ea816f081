"""Headers and descriptions at, below and above their limits, and sections that end elsewhere (SPEC VEC-2)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import numpy as np

from refcodec.codecs.entropy_parameters import MAX_POSITIONS
from refcodec.codecs.family import codec_of
from refcodec.codecs.inr.architecture import Block, Shuffled, parameters
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.description import describe
from refcodec.codecs.inr.nodes import GELU, TANH
from refcodec.codecs.inr.numbers import NumberReader, write_numbers
from refcodec.codecs.inr.quantised import Quantised, Video
from refcodec.codecs.inr.stream import pack as pack_video
from refcodec.codecs.inr.stream import read_layout
from refcodec.codecs.stream import MAX_PIXELS, MAX_SIDE, Geometry, header_size, pack, parse
from refcodec.formats import IntFormat
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.decoder import rejected_stream, with_header
from refcodec.vectorgen.draw import draw_between
from refcodec.vectorgen.family_streams import SEED, WIDTHS
from refcodec.vectorgen.tiny_models import HYPER, LATENT, drawn_latents, tiny_entropy_parameters, tiny_factorised
from refcodec.vectorgen.tiny_videos import FFNERV, HINERV, HNERV, NERV, tiny_video
from refcodec.vectorgen.values import Values
from refcodec.vectorgen.video_streams import SEED as VIDEO_SEED
from refcodec.vectorgen.video_streams import repaired, video_case

BYTE = IntFormat(8, False)
LIMIT, TRUNCATED, TRAILING = "RC-STREAM-LIMIT", "RC-STREAM-TRUNCATED", "RC-STREAM-TRAILING"
STEPS = ("RCV-4", "RCV-5", "RCV-6", "RCV-7", "RCV-8", "INR-1", "INR-2", "INR-3", "PROG-4")
FACTORISED, HYPERPRIOR = "tiny-factorised", "tiny-entropy-parameters"


# --- pictures


def stream_cases() -> Iterator[Case]:
    """Sizes at both ends, versions and identities that differ in one byte, headers and payloads that are cut."""
    codec = codec_of(tiny_factorised(WIDTHS, SEED))
    geometry = Geometry(33, 17, 3)
    content = codec.encode(drawn_latents(codec, geometry, (HYPER, LATENT), SEED), geometry)
    stream = parse(content)
    size = header_size(len(stream.payloads))

    empty = pack(stream.geometry, stream.identity, {"YSYM": b""})  # refused as truncated where its header is not

    def sides(width: int, height: int) -> bytes:
        return with_header(empty, 8, struct.pack("<II", width, height))

    def payload(change: Callable[[bytes], bytes]) -> bytes:
        return pack(stream.geometry, stream.identity, {"YSYM": change(stream.payloads["YSYM"])})

    last = int(stream.identity[-2:], 16) ^ 1
    for label, broken, clause, code in (
        ("later-version", with_header(content, 4, b"\x01\x01"), "STREAM-3", "RC-STREAM-VERSION"),
        ("no-channels", with_header(content, 6, b"\x00"), "STREAM-3", LIMIT),
        ("four-channels", with_header(content, 6, b"\x04"), "STREAM-3", LIMIT),
        ("zero-height", sides(33, 0), "STREAM-2", LIMIT),
        ("zero-columns", sides(0, 17), "STREAM-2", LIMIT),
        ("width-65536", sides(MAX_SIDE + 1, 1), "STREAM-2", LIMIT),
        ("height-65536", sides(1, MAX_SIDE + 1), "STREAM-2", LIMIT),
        ("width-65535", sides(MAX_SIDE, 1), "STREAM-2", TRUNCATED),  # a legal width, for which the payload is missing
        ("height-65535", sides(1, MAX_SIDE), "STREAM-2", TRUNCATED),
        ("most-pixels", sides(8192, MAX_PIXELS >> 13), "STREAM-2", TRUNCATED),
        ("more-pixels", sides(8192, (MAX_PIXELS >> 13) + 1), "STREAM-2", LIMIT),
        ("last-byte-of-the-model", with_header(content, 47, bytes([last])), "STREAM-3", "RC-STREAM-MODEL"),
        ("no-sections", with_header(content, 48, b"\x00"), "STREAM-4", "RC-STREAM-SECTION"),
        ("40-bytes", content[:40], "STREAM-3", TRUNCATED),
        ("header-less-one", content[: size - 1], "STREAM-3", TRUNCATED),
        ("half-word", payload(lambda p: p + bytes(2)), "RANS-3", TRUNCATED),
        ("no-state", payload(lambda p: p[:4]), "RANS-2", TRUNCATED),
        ("no-bytes", payload(lambda p: b""), "RANS-2", TRUNCATED),
        ("end-state", payload(lambda p: p[:-4] + bytes([p[-4] ^ 1]) + p[-3:]), "RANS-3", "RC-STREAM-RANS"),
    ):
        yield rejected_stream(label, broken, code, codec, clause, FACTORISED)
    latent = codec_of(tiny_entropy_parameters(WIDTHS, SEED))
    small = Geometry(3, 2, 1)
    coded = pack(small, latent.identity, {"ZSYM": b"", "YSYM": b""})
    most = with_header(coded, 8, struct.pack("<II", 512, MAX_POSITIONS >> 9))
    yield rejected_stream("most-positions", most, TRUNCATED, latent, "EPAR-2", HYPERPRIOR)


# --- implicit videos


def _numbers(content: bytes) -> list[int]:
    """The numbers of a description (SPEC RCV-3)."""
    reader = NumberReader(content, 8, 8 + int.from_bytes(content[6:8], "little"))
    found = []
    while reader.position < 8 + int.from_bytes(content[6:8], "little"):
        found.append(reader.take())
    return found


def _described(content: bytes, description: bytes) -> bytes:
    """The stream with another description, its checksums made good."""
    first = 12 + int.from_bytes(content[6:8], "little")
    head = content[:6] + struct.pack("<H", len(description)) + description + bytes(4)
    return repaired(head + content[first:])


def _with(content: bytes, **changes: int) -> bytes:
    """The stream with other numbers, by place: `n5=7`."""
    numbers = _numbers(content)
    for place, number in changes.items():
        numbers[int(place[1:])] = number
    return _described(content, write_numbers(numbers))


def video_cases() -> Iterator[Case]:
    """Numbers beyond every limit of a description, steps and integers beyond theirs, and steps of every form."""
    grids = pack_video(tiny_video(FFNERV, VIDEO_SEED + 3, several_steps=False))
    stages = pack_video(tiny_video(HINERV, VIDEO_SEED + 4))
    first = 8 + int.from_bytes(grids[6:8], "little")
    raw = grids[8:first]
    layout = read_layout(grids)
    entry = layout.entries[0]
    flags = _numbers(grids).index(5, 28)  # of the first parameter: six bits, one step

    def with_bytes(at: int, *values: int) -> bytes:
        return repaired(grids[:at] + bytes(values) + grids[at + len(values) :])

    long = _described(grids, b"\x90\x80\x00" + raw[1:])
    for label, broken, code, clause in (
        ("padded-number", long, LIMIT, "RCV-3"),
        ("seven-bytes", _described(grids, b"\x90\x80\x80\x80\x80\x80\x01" + raw[1:]), LIMIT, "RCV-3"),
        ("surplus-number", _described(grids, raw + b"\0"), TRAILING, "RCV-2"),
        ("missing-number", _described(grids, raw[:-1]), TRUNCATED, "RCV-3"),
        ("six-bytes", grids[:6], TRUNCATED, "RCV-2"),
        ("later-version", grids[:4] + b"\x01\x01" + grids[6:], "RC-STREAM-VERSION", "RCV-1"),
        ("frames", _with(grids, n2=(1 << 20) + 1), LIMIT, "INR-10"),
        ("width", _with(grids, n3=0), LIMIT, "INR-10"),
        ("no-levels-tensors", _with(grids, n8=0), LIMIT, "INR-10"),
        ("increments", _with_increment(grids), LIMIT, "INR-10"),
        ("even-kernel", _with(grids, n20=2), LIMIT, "INR-10"),
        ("wide-stride", _with(grids, n21=65), LIMIT, "INR-10"),
        ("channels", _with(grids, n25=1 << 20), LIMIT, "INR-10"),
        ("parameters", _with(grids, n22=1 << 14, n25=1 << 13), LIMIT, "INR-10"),
        ("pixels", _with(grids, n21=64, n24=64, n5=64, n6=64), LIMIT, "INR-10"),
        ("factor", _with(stages, n18=6), LIMIT, "INR-10"),
        ("one-bit", _with(grids, **{f"n{flags}": 0}), LIMIT, "INR-4"),
        ("levels-of-16-bits", _with(grids, **{f"n{flags}": 15 | 32}), LIMIT, "INR-4"),
        ("steps-of-a-bias", _with(grids, **{f"n{flags + 8}": 5 | 16}), LIMIT, "RCV-6"),
        ("zero-step", with_bytes(entry.steps_at, 0, 0), "RC-STREAM-SYMBOL", "INR-4"),
        ("narrow", _with(grids, **{f"n{flags}": 1}), "RC-STREAM-SYMBOL", "INR-4"),
    ):
        yield _rejected(label, broken, code, clause)
    yield from _steps()
    yield from _biases()
    yield from _sizes()


def _with_increment(content: bytes) -> bytes:
    """A network of grids that has an increment too."""
    numbers = _numbers(content)
    place = 8 + 2 * numbers[7] + 2
    return _described(content, write_numbers([*numbers[:place], 1, 12345, *numbers[place + 1 :]]))


def _rejected(label: str, content: bytes, code: str, clause: str, frame: int = 0) -> Case:
    return Case(
        f"streams/implicit_video/invalid-{label}",
        "video",
        (clause,),
        "must be rejected",
        {"frame": frame},
        {"stream": Values(np.frombuffer(content, np.uint8).astype(np.int64), BYTE)},
        error=code,
        flags=("Invalid",),
    )


def _steps() -> Iterator[Case]:
    """Steps below the smallest normal number, and steps that are coded with a shift."""
    video = tiny_video(HNERV, VIDEO_SEED + 8)
    changed = {}
    for number, (name, tensor) in enumerate(video.parameters.items()):
        steps = tensor.steps
        if "bias" in name:
            steps = np.array([0x3FF - number])
        elif len(steps) > 4:
            steps = 0x1800 + 16 * draw_between(number, steps.shape, 0, 60)
        changed[name] = Quantised(tensor.values, steps, tensor.bits)
    content = pack_video(Video(video.architecture, changed))
    for frame in (0, 4):
        found: dict[str, np.ndarray] = {}
        picture = InrVideo.from_bytes(content).decode(frame, found.__setitem__)
        taps = {"grids.0": found["grids.0"], "picture": picture}
        comment = "catches a hidden bit in small steps, and steps that are not shifted"
        yield video_case(f"steps-{frame}", comment, content, frame, taps, STEPS)
    entry = next(entry for entry in read_layout(content).entries if entry.coded_steps)
    broken = content[: entry.steps_at + 2] + bytes([16]) + content[entry.steps_at + 3 :]
    yield _rejected("step-shift", repaired(broken), LIMIT, "RCV-7")
    yield _rejected("short-steps", _with_short_steps(content), LIMIT, "RCV-6")
    yield _rejected("frame-behind-the-last", content, "RC-RANGE", "INR-11", HNERV.frames)


def _with_short_steps(content: bytes) -> bytes:
    """The stream whose first coded steps have two bytes, the smallest pattern alone."""
    layout = read_layout(content)
    place = next(k for k, entry in enumerate(layout.entries) if entry.coded_steps)
    entry = layout.entries[place]
    numbers = _numbers(content)
    said = sum(3 if other.coded_steps else 2 for other in layout.entries[place:])  # numbers of parameters from here on
    numbers[len(numbers) - said + 1] = 2
    return _described(content[: entry.steps_at + 2] + content[entry.values_at :], write_numbers(numbers))


def _biases() -> Iterator[Case]:
    """A bias that needs 49 bits."""
    video = tiny_video(FFNERV, VIDEO_SEED + 3, 2)
    bias = Quantised(np.full(3, -32768), np.array([0x63FF]), 16)
    weight = Quantised(np.zeros_like(video.parameters["head.weight"].values), np.array([1]), 2)
    content = pack_video(Video(FFNERV, {**video.parameters, "head.bias": bias, "head.weight": weight}))
    yield _rejected("bias", content, LIMIT, "INR-10")


# --- networks at and beyond the limits of their size, each within all other limits


def _network(base: tuple[int, int], stem: tuple[int, ...], increments: int, *blocks: tuple[int, int]) -> Shuffled:
    """A network that makes pictures of one sample from a positional encoding, with pointwise blocks.

    blocks  stride and channels of each.
    """
    found = tuple(Block(1, *block) for block in blocks)
    activated = (True,) * len(stem)
    phases = tuple(range(increments))
    return Shuffled(1, 1, 1, base, (), True, phases, False, stem, activated, found, GELU, 1, TANH)


def _described_as(architecture: Shuffled, payload: bytes) -> bytes:
    """A stream of a network whose parameters take three bytes each: a step and a tensor of zeros."""
    numbers = [16, *describe(architecture), *[7, 1] * len(parameters(architecture.nodes()))]
    return _described(struct.pack("<4sHH", b"RCV\n", 1, 0) + bytes(4) + payload + bytes(4), write_numbers(numbers))


def _sizes() -> Iterator[Case]:
    """Frames and channels that nothing else refuses; other sizes in streams that end where parameters begin.

    A decoder whose limits allow such a network refuses it as truncated, before it computes anything.
    """
    single = pack_video(tiny_video(NERV, VIDEO_SEED))
    yield _rejected("frames-of-an-encoding", _with(single, n2=(1 << 20) + 1), LIMIT, "INR-10")
    yield _rejected("no-frames-of-an-encoding", _with(single, n2=0), LIMIT, "INR-10")
    for label, channels in (("width-of-a-layer", 32769), ("no-width-of-a-layer", 0)):
        network = _network((1, 1), (1,), 1, (1, channels))
        zeros = b"\0\x3c\0" * len(parameters(network.nodes()))
        yield _rejected(label, _described_as(network, zeros), LIMIT, "INR-10")
    for label, network, code in (
        ("widest-layer", _network((1, 1), (1,), 1, (1, 32768)), TRUNCATED),
        ("pixels-of-a-network", _network((64, 33), (2112,), 1, (64, 1), (2, 1)), LIMIT),
        ("most-pixels-of-a-network", _network((64, 32), (2048,), 1, (64, 1), (2, 1)), TRUNCATED),
        ("parameters-of-two-layers", _network((1, 1), (1199, 27381), 256), LIMIT),  # 2**25 + 1
        ("most-parameters", _network((1, 1), (2045, 15866), 255), TRUNCATED),  # 2**25
        ("samples-of-a-layer", _network((64, 64), (4096,), 1, (2, 1), (1, 16385)), LIMIT),
        ("most-samples-of-a-layer", _network((64, 64), (4096,), 1, (2, 1), (1, 16384)), TRUNCATED),
        ("multiplications", _network((64, 64), (4096,), 1, (4, 1), (1, 4096), (1, 4096)), LIMIT),
        ("many-multiplications", _network((64, 64), (4096,), 1, (4, 1), (1, 4096), (1, 4090)), TRUNCATED),
    ):
        yield _rejected(label, _described_as(network, b""), code, "INR-10")


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from stream_cases()
    yield from video_cases()
