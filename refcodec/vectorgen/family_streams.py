"""Streams of small models of every family: what a decode of them gives, and broken ones (SPEC VEC-1)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from refcodec.codecs.checkerboard import Checkerboard
from refcodec.codecs.codec import Codec, Latents
from refcodec.codecs.entropy_parameters import MAX_POSITIONS
from refcodec.codecs.family import codec_of
from refcodec.codecs.stream import Geometry, pack, parse
from refcodec.layers.latent_mean import SYMBOL_FORMAT
from refcodec.models.shipped import shipped_names, shipped_path
from refcodec.program.model_file import Model, load_model
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.decoder import Taps, broken_containers, rejected_stream, stream_case, with_header
from refcodec.vectorgen.tiny_models import (
    HYPER,
    LATENT,
    TINY_MODELS,
    drawn_latents,
    tiny_checkerboard,
    tiny_scale_hyperprior,
)

WIDTHS = (8, 8)
SEED = 20_000
SIDE_FIRST = "tiny-checkerboard-side-first"
SCALE = "tiny-scale-hyperprior"
PREFIXES = {SIDE_FIRST: "side-first-", SCALE: "tiny-"}  # of cases beside those of another model of the family
PICTURES = {
    "1x1": ("the smallest picture", Geometry(1, 1, 3)),
    "33x17": ("odd sizes, cropped", Geometry(33, 17, 3)),
    "grey-20x70": ("grey, more than one block high", Geometry(20, 70, 1)),
}
LATENTS = {
    "1x1": ("the smallest latent", Geometry(1, 1, 1)),
    "11x9": ("sides that are no multiples of eight, cropped before y is decoded", Geometry(11, 9, 1)),
}
RECORDED = ("z", "anchors.indexes", "others.context", "indexes", "means", "y", "y_hat", "picture")
Broken = dict[str, tuple[str, str, bytes]]  # name -> clause, code, bytes


def family_models() -> dict[str, Model]:
    """The small models that the suite holds, by name."""
    found = {f"tiny-{family}": make(WIDTHS, SEED) for family, make in TINY_MODELS.items()}
    found[SCALE] = tiny_scale_hyperprior(WIDTHS, SEED)
    return found | {SIDE_FIRST: tiny_checkerboard(WIDTHS, SEED, sources=("side", "context"))}


def suite_models(names: Iterable[str]) -> dict[str, Model]:
    """The models that cases may name, without their encoders: shipped ones and small ones; others are left out."""
    small, shipped = family_models(), shipped_names(".rcm")
    found = {name: load_model(shipped_path(name, ".rcm")) for name in names if name in shipped}
    found |= {name: small[name] for name in names if name in small}
    return {name: replace(model, encoder={}) for name, model in found.items()}


def family_cases() -> Iterator[Case]:
    """The streams of every small model, good and broken."""
    for name, model in family_models().items():
        codec = codec_of(model)
        prefix = PREFIXES.get(name, "")
        streams = small_streams(codec)
        for label, (comment, content) in streams.items():
            found: Taps = {}
            decoded = codec.decode(content, found.__setitem__)
            if decoded.dtype == np.uint8:
                found["picture"] = decoded
            chosen = {key: found[key] for key in RECORDED if key in found}
            yield stream_case(f"{prefix}{label}", comment, content, codec, chosen, name)
        if codec.family == "factorised":
            yield from _cut_everywhere(streams["1x1"][1], codec, name)
        if name == SCALE:
            for label, (code, content) in broken_containers(streams["33x17"][1]).items():
                yield rejected_stream(label, content, code, codec, "STREAM-3", name)
        if not prefix:
            for label, (clause, code, content) in broken_streams(codec, streams[_middle(codec)][1]).items():
                yield rejected_stream(label, content, code, codec, clause, name)


def _cut_everywhere(content: bytes, codec: Codec, name: str) -> Iterator[Case]:
    """The shortest stream without its end, for every length but none."""
    for length in range(1, len(content)):
        case = rejected_stream(f"cut-{length}", content[:length], "RC-STREAM-TRUNCATED", codec, "STREAM-3", name)
        yield replace(case, comment=f"the first {length} of {len(content)} bytes: catches reads beyond the end")


def _middle(codec: Codec) -> str:
    return "11x9" if codec.family == "entropy-parameters" else "33x17"


def small_streams(codec: Codec) -> dict[str, tuple[str, bytes]]:
    """Streams of drawn latents: name -> (comment, bytes)."""
    chosen = LATENTS if codec.family == "entropy-parameters" else PICTURES
    made = {}
    for number, (name, (comment, geometry)) in enumerate(chosen.items()):
        latents = drawn_latents(codec, geometry, (HYPER, LATENT), SEED + 100 * number)
        made[name] = comment, codec.encode(latents, geometry)
        if isinstance(codec, Checkerboard) and name != "1x1":
            other = replace(codec, anchor_parity=1 - codec.anchor_parity)
            made[f"{name}-odd-anchors"] = (
                f"{comment}, anchors where row + column is odd",
                other.encode(latents, geometry),
            )
    geometry = Geometry(2, 2, 1)
    made["extreme-symbols"] = (
        "the largest and smallest symbols, some saturated",
        codec.encode(extreme_latents(codec, geometry), geometry),
    )
    return made


def extreme_latents(codec: Codec, geometry: Geometry) -> Latents:
    """Both ends of 16 bits in turn, and with means also what lies beyond them."""
    latents = drawn_latents(codec, geometry, (HYPER, LATENT), SEED)
    ends = [SYMBOL_FORMAT.lo, SYMBOL_FORMAT.hi]
    beyond = [2 * SYMBOL_FORMAT.lo, 2 * SYMBOL_FORMAT.hi] if codec.fraction else []
    y, z = latents.y.copy(), latents.z
    y.flat[:] = np.resize(np.array([*ends, 0, *beyond, 0, 0], np.int64) << codec.fraction, y.size)
    return Latents(y, None if z is None else np.resize(np.array([0, *ends]), z.shape))


def broken_streams(codec: Codec, content: bytes) -> Broken:
    """What each family must reject besides what every container must: name -> (clause, code, bytes)."""
    stream = parse(content)

    def repacked(**changes: bytes) -> bytes:
        return pack(stream.geometry, stream.identity, {**stream.payloads, **changes})

    other = {"YSYM": bytes(8)} if len(stream.payloads) > 1 else {"ZSYM": bytes(8), "YSYM": bytes(8)}
    last = list(stream.payloads)[-1]
    found: Broken = {
        "other-layout": ("STREAM-5", "RC-STREAM-SECTION", pack(stream.geometry, stream.identity, other)),
        "another-model": ("STREAM-3", "RC-STREAM-MODEL", with_header(content, 16, bytes(32))),
    }
    for tag in stream.payloads:
        if tag != "CTXF":
            label, payload = tag.lower(), stream.payloads[tag]
            found[f"{label}-truncated"] = "RANS-2", "RC-STREAM-TRUNCATED", repacked(**{tag: payload[:4]})
            found[f"{label}-state"] = "RANS-2", "RC-STREAM-RANS", repacked(**{tag: bytes(len(payload))})
    longer = stream.payloads[last] + bytes(4)
    found[f"{last.lower()}-trailing"] = "RANS-3", "RC-STREAM-TRAILING", repacked(**{last: longer})
    if codec.family == "entropy-parameters":
        found["colour"] = "EPAR-2", "RC-STREAM-LIMIT", with_header(content, 6, b"\x03")
        sides = struct.pack("<II", MAX_POSITIONS + 1 >> 2, 5)
        found["too-many-positions"] = "EPAR-2", "RC-STREAM-LIMIT", with_header(content, 8, sides)
    if isinstance(codec, Checkerboard):
        found |= _broken_context(codec, stream.payloads["CTXF"][0], repacked)
        entry = content[52 + 2 * 12 : 52 + 4 * 12]
        swapped = with_header(content, 52 + 2 * 12, entry[12:] + entry[:12])
        found["parts-exchanged"] = "STREAM-4", "RC-STREAM-SECTION", swapped
    return found


def _broken_context(codec: Checkerboard, parity: int, repacked: Callable[..., bytes]) -> Broken:
    order = codec.order
    return {
        "context-short": ("CKBD-3", "RC-STREAM-TRUNCATED", repacked(CTXF=bytes([parity]))),
        "context-long": ("CKBD-3", "RC-STREAM-TRAILING", repacked(CTXF=bytes([parity, order, 0]))),
        "parity": ("CKBD-3", "RC-STREAM-LIMIT", repacked(CTXF=bytes([2, order]))),
        "order": ("CKBD-3", "RC-STREAM-LIMIT", repacked(CTXF=bytes([parity, 2]))),
        "other-order": ("CKBD-3", "RC-STREAM-MODEL", repacked(CTXF=bytes([parity, 1 - order]))),
    }
