"""What the full suite has beyond the minimal one: drawn inputs, whole layers, larger pictures (SPEC VEC-8)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np

from refcodec.codecs.family import codec_of
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.codecs.stream import Geometry
from refcodec.models.shipped import DEFAULT_MODEL, DEFAULT_STREAM, shipped_path
from refcodec.program.model_file import load_model
from refcodec.program.operations import KINDS
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.decoder import Taps, cut_stream, layer_cases, stream_case
from refcodec.vectorgen.draw import draw_between, draw_with_ends
from refcodec.vectorgen.evaluate import Engine, evaluate
from refcodec.vectorgen.values import Values
from refcodec.vectorgen.video_streams import video_case

FOLDER = "extensive"  # first part of the ids: expectations of these come from the kernels, not from the definitions
DRAWS = 24
TILE = 12  # rows and columns of a layer's input
GDN_MODEL = "balle2018-gdn-n32-m64-lambda0130-w8a8"
VIDEO, FRAMES = "bunny", (0, 66, 131)
KERNELS = Engine(False, {})
# Height and width of the pictures, and the block of 64 x 64 samples of the photograph where each begins.
PICTURES = ((Geometry(256, 192, 3), 0, 0), (Geometry(191, 256, 3), 2, 5), (Geometry(130, 130, 1), 1, 3))


def extensive_cases(minimal: Iterable[Case]) -> Iterator[Case]:
    """The cases of the minimal suite, drawn forms of those of one operation, layers, pictures and frames."""
    for case in minimal:
        yield case
        if case.operation in KINDS and case.error is None:
            yield from _drawn(case)
    for name in (DEFAULT_MODEL, GDN_MODEL):
        yield from _model_cases(name)
    yield from _frames()


def _elsewhere(case: Case) -> Case:
    return replace(case, id=f"{FOLDER}/{case.id.partition('/')[2]}")


def _drawn(case: Case) -> Iterator[Case]:
    """The same operation with other inputs."""
    for number in range(DRAWS):
        seed = zlib.crc32(case.id.encode()) * DRAWS + number
        inputs = {**case.inputs, **_draw_inputs(case, seed)}
        results = evaluate(KERNELS, case.operation, case.parameters, {name: v.array for name, v in inputs.items()})
        outputs = {name: Values(results[name].astype(np.int64), v.format) for name, v in case.outputs.items()}
        yield _elsewhere(
            replace(
                case, id=f"{case.id}-drawn{number}", comment="drawn inputs", inputs=inputs, outputs=outputs, flags=()
            )
        )


def _draw_inputs(case: Case, seed: int) -> Mapping[str, Values]:
    found = {}
    for number, name in enumerate(str(case.parameters["reads"]).split()):
        values = case.inputs[name]
        if case.operation == "embedding":
            drawn = draw_between(seed, values.array.shape, 0, case.parameters["frames"] - 1)
        else:
            drawn = draw_with_ends(seed + number * 1_000_003, values.array.shape, values.format)
        found[name] = Values(drawn, values.format)
    return found


def _model_cases(name: str) -> Iterator[Case]:
    """Every layer of a shipped model, and pictures cut from the photograph's symbols."""
    codec = codec_of(load_model(shipped_path(name, ".rcm")))
    source = ScaleHyperprior.from_model(load_model(shipped_path(DEFAULT_MODEL, ".rcm")))
    latents, geometry = source.decode_latents(shipped_path(DEFAULT_STREAM, ".rcb").read_bytes())
    taps: Taps = {}
    codec.decode(codec.encode(latents, geometry), taps.__setitem__)
    for case in layer_cases(codec, taps, TILE, KERNELS):
        yield _elsewhere(replace(case, id=f"{case.id}-{name.split('-')[1]}", comment=f"a layer of {name}"))
    for size, row, column in PICTURES:
        found: Taps = {}
        content = cut_stream(codec, taps, row, column, size)
        found["picture"] = codec.decode(content, found.__setitem__)
        label = f"{name.split('-')[1]}-{size.height}x{size.width}"
        chosen = {key: found[key] for key in ("z", "indexes", "y", "picture")}
        yield _elsewhere(stream_case(label, "a part of a photograph", content, codec, chosen, name))


def _frames() -> Iterator[Case]:
    """Frames of the shipped video."""
    content = shipped_path(VIDEO, ".rcv").read_bytes()
    video = InrVideo.from_bytes(content)
    for frame in FRAMES:
        picture = video.decode(frame)
        name = f"{VIDEO}-{frame}"
        yield _elsewhere(video_case(name, "a frame of a fitted video", content, frame, {"picture": picture}))
