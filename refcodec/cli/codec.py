"""Commands on pictures and streams: demo, encode, decode, info."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from refcodec.cli import video
from refcodec.cli.parsing import DONE, MISMATCH, add_model, command, load, report, size
from refcodec.errors import RangeError
from refcodec.files import read_bytes
from refcodec.models.shipped import DEFAULT_MODEL, resolve


def _demo(args: argparse.Namespace) -> int:
    from refcodec.demo import run_demo

    return DONE if run_demo(args.output, args.image, args.model) else MISMATCH


def _encode(args: argparse.Namespace) -> int:
    from refcodec.codecs.picture import read_picture
    from refcodec.files import write_bytes
    from refcodec.models.encoder import analysis_of, encode_latents, encode_picture
    from refcodec.models.latent_file import SUFFIX, read_latent

    model = load(args.model)
    if args.picture.endswith(SUFFIX):
        latent = read_latent(args.picture, analysis_of(model).architecture.m)
        stream, places, unit = encode_latents(latent, model), latent[0].size, "place of the latent"
    else:
        picture = read_picture(args.picture)
        stream, places, unit = encode_picture(picture, model), picture.shape[0] * picture.shape[1], "pixel"
    write_bytes(args.output, stream)
    print(f"{args.output}: {len(stream)} bytes, {8 * len(stream) / places:.4f} bit per {unit}")
    return DONE


def _decode(args: argparse.Namespace) -> int:
    from refcodec.codecs.family import codec_of
    from refcodec.codecs.picture import write_picture
    from refcodec.models.architecture import ENTROPY_PARAMETERS
    from refcodec.models.latent_file import write_latent

    content = read_bytes(resolve(args.stream, ".rcb", ".rcv"))
    if video.is_video(content):
        return video.decode_video(args, content)
    for name in ("frames", "patches"):
        if getattr(args, name):
            raise RangeError(f"--{name} is for implicit videos, {args.stream} is a picture", "RC-USAGE")
    model = load(args.model)
    codec = codec_of(model)
    is_latent = model.family == ENTROPY_PARAMETERS
    taps: dict[str, Any] = {}
    result = codec.decode(content, taps.__setitem__ if args.taps else None)
    write = write_latent if is_latent else write_picture
    if args.taps:
        with _taps_folder(args, codec, content, {**taps, "picture": result}):
            write(args.output, result)
    else:
        write(args.output, result)
    height, width = result.shape[1:] if is_latent else result.shape[:2]
    print(f"{args.output}: {width}x{height}" + (f" in units of 2**-{codec.fraction}" if is_latent else ""))
    return DONE


@contextmanager
def _taps_folder(args: argparse.Namespace, codec: Any, content: bytes, taps: dict[str, Any]) -> Iterator[None]:
    """Every tensor of a decode as one conformance case, kept only if the picture can be written too."""
    from refcodec.files import fill_folder, new_folder
    from refcodec.vectorgen.case import case_files
    from refcodec.vectorgen.decoder import stream_case

    case = stream_case("decode", "every tensor of a decode", content, codec, taps, args.model)
    with new_folder(args.taps) as folder:
        fill_folder(folder, case_files(case))
        yield


def _info(args: argparse.Namespace) -> int:
    from refcodec.codecs.stream import MAGIC, parse
    from refcodec.describe import describe_model, describe_stream, model_text, stream_text

    path = resolve(args.file, ".rcm", ".rcb", ".rcv")
    content = read_bytes(path)
    if video.is_video(content):
        return video.describe(args, content)
    if content[: len(MAGIC)] == MAGIC:
        stream = describe_stream(parse(content))
        report(args, stream, stream_text(stream))
    else:
        model = describe_model(load(str(path)))
        report(args, model, model_text(model))
    return DONE


def add_commands(group: Any) -> None:
    """Add demo, encode, decode and info."""
    demo = command(group, "demo", _demo, "decode, verify and simulate a photograph", "refcodec demo -o out")
    demo.add_argument("--image", help="a picture of your own instead of the shipped stream")
    add_model(demo)
    demo.add_argument("-o", "--output", default="refcodec-demo", help="folder to write (default: %(default)s)")

    encode = command(group, "encode", _encode, "code a picture", "refcodec encode photo.png -o photo.rcb")
    encode.add_argument("picture", help="8-bit RGB or grey picture; for a model of latents an .npy file (M, H, W)")
    add_model(encode)
    encode.add_argument("-o", "--output", required=True, help="stream to write")

    decode = command(group, "decode", _decode, "decode a stream in integers", "refcodec decode photo.rcb -o photo.png")
    decode.add_argument("stream", help="stream of a picture (.rcb) or of an implicit video (.rcv), or shipped name")
    add_model(decode)
    decode.add_argument("--taps", metavar="DIR", help="also write every tensor on the way; of one frame of a video")
    decode.add_argument(
        "--frames", type=video.frame_numbers, metavar="LIST", help="of a video, such as 10-20 or 5,3 (default: all)"
    )
    decode.add_argument(
        "--patches", type=size, metavar="HxW", help="decode a video in parts of this size, which gives the same bytes"
    )
    decode.add_argument(
        "-o", "--output", required=True,
        help="lossless picture, such as .png; .npy for latents; of a video a folder of PNGs or a .gif",
    )  # fmt: skip

    info = command(group, "info", _info, "describe a model or a stream", "refcodec info photo.rcb --json")
    info.add_argument("file", nargs="?", default=DEFAULT_MODEL, help="model file, stream, or shipped name")
    info.add_argument("--json", action="store_true", help="print JSON")
