"""Streams of small implicit videos: what a frame of them is, and broken ones (SPEC VEC-1)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.quantised import Quantised, Video
from refcodec.codecs.inr.stream import pack, read_layout
from refcodec.formats import IntFormat
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.corners.entropy import BYTE
from refcodec.vectorgen.defining_clauses import defined_in_stream
from refcodec.vectorgen.tiny_videos import FFNERV, HINERV, HNERV, NERV, NERV_CONCATENATED, tiny_video
from refcodec.vectorgen.values import Values

SEED = 30_000
OPERATION = "video"
CLAUSES = ("RCV-1", "INR-5", "INR-11")
Taps = Mapping[str, np.ndarray]


class Sample(NamedTuple):
    """A stream, the frame of it that a case decodes, the tensors that the case keeps, and what it is about."""

    content: bytes
    frame: int
    kept: tuple[str, ...]
    clauses: tuple[str, ...]
    comment: str


def video_case(name: str, comment: str, content: bytes, frame: int, taps: Taps, clauses: tuple[str, ...] = ()) -> Case:
    """The case of a frame of a valid stream.

    taps  tensors to record by name, among them what the decode gives, the "picture" (H, W, 3).
    """
    video = InrVideo.from_bytes(content)
    formats = {**video.formats(), "picture": BYTE}
    values = {key: Values(array, formats[key]) for key, array in taps.items()}
    picture = values.pop("picture")
    return Case(
        f"streams/implicit_video/{name}",
        OPERATION,
        (*CLAUSES, *clauses),
        comment,
        {"frame": frame},
        {"stream": Values(np.frombuffer(content, np.uint8), BYTE)},
        values,
        {"picture": picture},
        defined_by=defined_in_stream(list(taps), [video.program], "INR-11"),
    )


def video_cases() -> Iterator[Case]:
    """A frame of every small video, and streams to reject."""
    for name, sample in samples().items():
        found: dict[str, np.ndarray] = {}
        picture = InrVideo.from_bytes(sample.content).decode(sample.frame, found.__setitem__)
        taps = {**{key: found[key] for key in sample.kept}, "picture": picture}
        yield video_case(name, sample.comment, sample.content, sample.frame, taps, sample.clauses)
    for name, (code, clause, content, frame) in broken_streams().items():
        yield Case(
            f"streams/implicit_video/invalid-{name}",
            OPERATION,
            (clause,),
            "must be rejected",
            {"frame": frame},
            {"stream": Values(np.frombuffer(content, np.uint8), BYTE)},
            error=code,
            flags=("Invalid",),
        )


def samples() -> dict[str, Sample]:
    """A stream of every kind of network, of several widths and steps, by name."""
    levels = pack(tiny_video(HNERV, SEED + 2, 4, dependent=True))
    narrow = tiny_video(NERV_CONCATENATED, SEED + 1, 5, activations=IntFormat(12, True))
    return {
        "nerv": Sample(
            pack(tiny_video(NERV, SEED)), 5, ("t", "encoding", "base", "blocks.2.act"), ("PE-2", "INR-6"),
            "sines and cosines in turn, SiLU, cropped",
        ),
        "nerv-concatenated-s12": Sample(
            pack(narrow), 3, ("encoding", "blocks.0.shuffle", "blocks.1.act"), ("PE-2",),
            "all sines first, GELU, activations of 12 bits",
        ),
        "hnerv-dependent": Sample(
            levels, 1, ("grids.0", "stem.0.act", "blocks.2.act", "head.accumulator"), ("DQ-2", "INR-7"),
            "levels of the trellis; one grid for each frame",
        ),
        "ffnerv": Sample(
            pack(tiny_video(FFNERV, SEED + 3, several_steps=False)), 6, ("grids", "blocks.1"), ("EMB-1", "INR-8"),
            "grids spread from the left, one step for each tensor, sigmoid head",
        ),
        "hinerv": Sample(
            pack(tiny_video(HINERV, SEED + 4)), 6,
            ("grids", "stages.0.norm", "stages.0.resize", "stages.0.tile", "stages.0.0.depthwise", "stages.1.0.reduce"),
            ("INR-9", "LN-1", "TILE-1"), "normalisation, enlargement, local grids, blocks with and without a sum",
        ),
        "hinerv-s8": Sample(
            pack(tiny_video(HINERV, SEED + 5, 2, activations=IntFormat(8, True))), 0, ("stages.0.sum",), ("INR-9",),
            "weights of two bits, activations of eight",
        ),
        "wide-steps": Sample(
            pack(_wide(tiny_video(HNERV, SEED + 6))), 4, ("grids.0", "blocks.1"), ("INR-6", "INR-7"),
            "steps so large that grids and layers saturate",
        ),
        "wide-biases": Sample(
            pack(_wide_biases()), 2, ("blocks.0.accumulator", "blocks.0"), ("INR-6",),
            "catches biases of 32 bits, and those that are rounded before the division by a step",
        ),
        "neighbours": Sample(
            pack(_alike_taps()), 3, ("blocks.0",), ("RCV-8", "WC-2"),
            "weights with contexts of their neighbours: catches input channels and taps that are exchanged",
        ),
    }  # fmt: skip


def _wide(video: Video) -> Video:
    """The same integers, steps of weights and grids 64 times as large."""
    found = {
        name: Quantised(tensor.values, tensor.steps + (0 if "bias" in name else 6 << 10), tensor.bits)
        for name, tensor in video.parameters.items()
    }
    return Video(video.architecture, found)


def _wide_biases() -> Video:
    """Biases of 4.0 in units of 2**-34, and those that lie just below a half of 2**-1, on weights of zero."""
    video = tiny_video(FFNERV, SEED + 9)
    weight, bias = video.parameters["blocks.0.weight"], video.parameters["blocks.0.bias"]
    values = np.where(np.arange(len(weight.values))[:, None, None, None] % 2 == 0, weight.values, 0)
    steps, biases = np.where(np.arange(len(values)) % 2 == 0, 0x0001, 0x6000), np.full(bias.values.shape, 32767)
    # a bias of n * 2047 * 2**-24, so that in units of 2**-1 it is n * 2047 / 2**23
    below = [n for n in range(1, 1 << 15) if (1 << 22) - (1 << 12) <= n * 2047 % (1 << 23) < 1 << 22]
    biases[1::2] = np.resize(below, len(biases[1::2]))
    found = {"blocks.0.weight": Quantised(values, steps, 6), "blocks.0.bias": Quantised(biases, np.array([0x7FF]), 16)}
    return Video(FFNERV, {**video.parameters, **found})


def _alike_taps() -> Video:
    """Weights that are large on three taps of nine and small on the others."""
    video = tiny_video(FFNERV, SEED + 10)
    weight = video.parameters["blocks.0.weight"]
    values = weight.values.copy()
    values[:, :, [0, 1, 2, 2, 2, 0], [0, 1, 0, 1, 2, 2]] >>= 5
    return Video(FFNERV, {**video.parameters, "blocks.0.weight": Quantised(values, weight.steps, weight.bits)})


def repaired(content: bytes) -> bytes:
    """The stream with both checksums made good again."""
    first = 12 + int.from_bytes(content[6:8], "little")
    head, payloads = content[: first - 4], content[first:-4]
    return b"".join([head, struct.pack("<I", zlib.crc32(head)), payloads, struct.pack("<I", zlib.crc32(payloads))])


def broken_streams() -> dict[str, tuple[str, str, bytes, int]]:
    """One stream for every way in which a stream is rejected: name -> (code, clause, bytes, frame)."""
    content = pack(tiny_video(FFNERV, SEED + 3, several_steps=False))
    layout = read_layout(content)
    first, entry = layout.payloads_at, layout.entries[0]

    def with_bytes(at: int, *values: int) -> bytes:
        return repaired(content[:at] + bytes(values) + content[at + len(values) :])

    limit, frames = "RC-STREAM-LIMIT", FFNERV.frames
    return {
        "empty": ("RC-STREAM-MAGIC", "RCV-1", b"", 0),
        "magic": ("RC-STREAM-MAGIC", "RCV-1", b"RCV\r" + content[4:], 0),
        "version": ("RC-STREAM-VERSION", "RCV-1", with_bytes(4, 2), 0),
        "short": ("RC-STREAM-TRUNCATED", "RCV-2", content[:-1], 0),
        "short-description": ("RC-STREAM-TRUNCATED", "RCV-2", content[: first - 1], 0),
        "trailing": ("RC-STREAM-TRAILING", "RCV-2", content + b"\0", 0),
        "description-crc": ("RC-STREAM-CRC", "RCV-2", content[:12] + bytes([content[12] ^ 1]) + content[13:], 0),
        "tensors-crc": ("RC-STREAM-CRC", "RCV-2", content[:-5] + bytes([content[-5] ^ 1]) + content[-4:], 0),
        "activations": (limit, "RCV-4", with_bytes(8, 9), 0),
        "kind": (limit, "RCV-4", with_bytes(9, 2), 0),
        "no-frames": (limit, "INR-10", with_bytes(10, 0), 0),
        "wider-than-the-network": (limit, "INR-10", with_bytes(11, 13), 0),
        "base": (limit, "INR-10", with_bytes(13, 65), 0),
        "more-tensors-than-frames": (limit, "INR-10", with_bytes(16, 8), 0),
        "step": ("RC-STREAM-SYMBOL", "INR-4", with_bytes(entry.steps_at, 0, 0x64), 0),
        "coder": ("RC-STREAM-WEIGHTS", "RCV-8", with_bytes(entry.values_at, 0xFF), 0),
        "frame": ("RC-RANGE", "INR-11", content, frames),
        "long-number": (limit, "RCV-3", with_bytes(8, 0x90, 0), 0),
        "accumulator": (limit, "INR-10", pack(_beyond_48_bits()), 0),
        "frame-that-fits": ("RC-RANGE", "INR-11", pack(tiny_video(NERV, SEED)), NERV.frames),  # in three bits, like 5
    }


def _beyond_48_bits() -> Video:
    """A bias that is large in units of the smallest step."""
    video = tiny_video(FFNERV, SEED + 3, 2)
    bias = Quantised(np.full(3, 32767), np.array([0x63FF]), 16)
    weight = Quantised(video.parameters["head.weight"].values, np.array([1]), 2)
    return Video(FFNERV, {**video.parameters, "head.bias": bias, "head.weight": weight})
