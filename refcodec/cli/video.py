"""What decode and info do with an implicit video."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from refcodec.cli.parsing import DONE, report
from refcodec.errors import RangeError


def is_video(content: bytes) -> bool:
    """Whether a file begins as the stream of an implicit video."""
    from refcodec.codecs.inr.stream import MAGIC

    return content[: len(MAGIC)] == MAGIC


def frame_numbers(text: str) -> list[tuple[int, int]]:
    """First and last number of every range of a text such as 10-20 or 5,3,0-2."""
    ranges = []
    for part in text.split(","):
        first, separator, last = part.strip().partition("-")
        if not first.isdecimal() or (separator and not last.isdecimal()):
            raise argparse.ArgumentTypeError(f"{text!r} is not of the form 7, 10-20 or 5,3,0-2")
        ranges.append((int(first), int(last) if separator else int(first)))
        if ranges[-1][0] > ranges[-1][1]:
            raise argparse.ArgumentTypeError(f"{part!r} ends before it begins")
    return ranges


def decode_video(args: argparse.Namespace, content: bytes) -> int:
    """Decode the frames that were asked for into a folder, a GIF, or one picture."""
    from refcodec.codecs.inr.codec import InrVideo
    from refcodec.codecs.picture import write_picture
    from refcodec.codecs.video import write_clip

    video = InrVideo.from_bytes(content)
    numbers = _numbers(args, video.frames)
    if args.taps and len(numbers) != 1:
        raise RangeError("--taps takes one frame, such as --frames 7", "RC-USAGE")
    if args.taps and args.patches:
        raise RangeError("--taps and --patches exclude each other: a patch has no whole tensors", "RC-USAGE")
    as_picture = Path(args.output).suffix.lower() not in ("", ".gif")
    if as_picture and len(numbers) != 1:
        raise RangeError(f"{args.output} holds one picture: choose a frame, such as --frames 7", "RC-USAGE")
    taps: dict[str, np.ndarray] = {}
    frames = _decoded(video, numbers, args.patches, taps if args.taps else None)
    if as_picture or args.taps:
        taps["picture"] = next(frames)
        frames = iter([taps["picture"]])
    with _taps_folder(args.taps, content, numbers[0], taps) if args.taps else nullcontext():
        if as_picture:
            write_picture(args.output, taps["picture"])
        else:
            write_clip(args.output, numbers, frames)
    geometry = video.geometry
    count = "1 frame" if len(numbers) == 1 else f"{len(numbers)} frames"
    print(f"{args.output}: {count} of {geometry.width}x{geometry.height}")
    return DONE


def _numbers(args: argparse.Namespace, frames: int) -> list[int]:
    """The frames to decode, in the order in which they were asked for."""
    ranges = args.frames or [(0, frames - 1)]
    for first, last in ranges:
        if last >= frames:
            raise RangeError(f"there are frames 0..{frames - 1}, not {last if first < frames else first}")
    return [number for first, last in ranges for number in range(first, last + 1)]


def _decoded(
    video: Any, numbers: list[int], patches: tuple[int, int] | None, taps: dict[str, np.ndarray] | None
) -> Iterator[np.ndarray]:
    from tqdm import tqdm

    for number in tqdm(numbers, desc="decode", unit="frame", disable=None, leave=False):
        if patches:
            yield video.decode_by_patches(number, *patches)
        else:
            yield video.decode(number, taps.__setitem__ if taps is not None else None)


@contextmanager
def _taps_folder(path: str, content: bytes, frame: int, taps: dict[str, np.ndarray]) -> Iterator[None]:
    """Every tensor of a frame as one conformance case, kept only if the picture can be written too."""
    from refcodec.files import fill_folder, new_folder
    from refcodec.vectorgen.case import case_files
    from refcodec.vectorgen.video_streams import video_case

    case = video_case("decode", f"every tensor of frame {frame}", content, frame, taps)
    with new_folder(path) as folder:
        fill_folder(folder, case_files(case))
        yield


def describe(args: argparse.Namespace, content: bytes) -> int:
    """Print what the stream of an implicit video is."""
    from refcodec.describe import describe_video, video_text

    description = describe_video(content)
    report(args, description, video_text(description))
    return DONE
