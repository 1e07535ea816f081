"""How near the pictures of an implicit video are to its clip, by its float twin and by its integer decoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from refcodec.codecs.inr.architecture import Architecture
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.quantised import Video
from refcodec.codecs.inr.stream import pack
from refcodec.metrics.psnr import psnr
from refcodec.models.inr.pictures import pictures
from refcodec.models.inr.twin import run
from refcodec.quantize.inr.uniform import dequantise


class Score(NamedTuple):
    """A quantised video against its clip.

    twin, integer  mean PSNR of the frames, in dB: by the float twin of its integers, and by its decoder
    size  bytes of its stream;  rate  bits per pixel of the clip.
    """

    twin: float
    integer: float
    size: int
    rate: float


def twin_pictures(
    architecture: Architecture, parameters: Mapping[str, np.ndarray], numbers: Iterable[int]
) -> Iterator[np.ndarray]:
    """The pictures (H, W, 3) uint8 of a float twin, one frame after another."""
    network, total = architecture.nodes(), architecture.frames
    for number in numbers:
        yield pictures(run(network, parameters, [number], total), architecture.height, architecture.width)[0]


def mean_psnr(frames: np.ndarray, decoded: Iterable[np.ndarray]) -> float:
    """The mean of the PSNR of each picture, in dB.  frames  (N, H, W, 3) uint8.  Raises ShapeError."""
    return float(np.mean([psnr(frame, picture) for frame, picture in zip(frames, decoded, strict=True)]))


def twin_psnr(
    architecture: Architecture,
    parameters: Mapping[str, np.ndarray],
    frames: np.ndarray,
    numbers: Sequence[int] | None = None,
) -> float:
    """Mean PSNR of a float twin over some frames, all by default.  frames  (T, H, W, 3) uint8, the whole clip."""
    chosen = _chosen(frames, numbers)
    return mean_psnr(frames[chosen], twin_pictures(architecture, parameters, chosen))


def integer_psnr(video: Video, frames: np.ndarray, numbers: Sequence[int] | None = None) -> float:
    """Mean PSNR of an integer decoder over some frames, all by default.

    frames  (T, H, W, 3) uint8, the whole clip.  Raises ModelError RC-MODEL-OVERFLOW.
    """
    decoder, chosen = InrVideo.of(video), _chosen(frames, numbers)
    return mean_psnr(frames[chosen], map(decoder.decode, chosen))


def _chosen(frames: np.ndarray, numbers: Sequence[int] | None) -> list[int]:
    return list(range(len(frames)) if numbers is None else numbers)


def bits_per_pixel(size: int, architecture: Architecture) -> float:
    """The rate of a stream of so many bytes."""
    return 8 * size / (architecture.frames * architecture.height * architecture.width)


def score(video: Video, frames: np.ndarray, numbers: Sequence[int] | None = None) -> Score:
    """Both PSNRs over some frames, all by default, and what the stream costs."""
    twin = twin_psnr(video.architecture, dequantise(video), frames, numbers)
    size = len(pack(video))
    return Score(twin, integer_psnr(video, frames, numbers), size, bits_per_pixel(size, video.architecture))
