"""The photographs that a quantisation is calibrated on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from refcodec.codecs.picture import read_picture
from refcodec.errors import FileError
from refcodec.models import latent_file
from refcodec.models.encoder import float_planes, padded_latent
from refcodec.models.float_codec import FloatCodec

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")
LARGEST = 1024  # a longer side is cropped to its middle, to bound time and memory


def find_pictures(folder: str | Path) -> list[Path]:
    """All pictures of a folder in the order of their names.  Raises FileError RC-FILE-READ if there is none."""
    found = _all_files(folder, SUFFIXES)
    if not found:
        raise FileError("RC-FILE-READ", f"{folder} holds no picture: no {', '.join(SUFFIXES)}")
    return found


def _all_files(folder: str | Path, suffixes: Sequence[str]) -> list[Path]:
    return sorted(path for path in Path(folder).glob("*") if path.suffix.lower() in suffixes)


def find_photographs(folder: str | Path, count: int) -> list[Path]:
    """At most `count` pictures of a folder, evenly spaced in the order of their names.

    Raises FileError RC-FILE-READ if there is none.
    """
    return find_files(folder, count, SUFFIXES)


def find_files(folder: str | Path, count: int, suffixes: Sequence[str]) -> list[Path]:
    """At most `count` files of a folder with one of these suffixes, evenly spaced in the order of their names.

    Raises FileError RC-FILE-READ if there is none.
    """
    found = _all_files(folder, suffixes)
    if not found or count < 1:
        raise FileError("RC-FILE-READ", f"{folder} holds nothing to calibrate on: no {', '.join(suffixes)}")
    chosen = min(count, len(found))
    return [found[number * len(found) // chosen] for number in range(chosen)]


def load_photographs(paths: list[Path], multiple: int) -> Iterator[np.ndarray]:
    """Planes of each picture, one at a time, sides extended to multiples of `multiple`, with a progress bar."""
    for path in tqdm(paths, desc="calibrate", unit="picture", disable=None, leave=False):
        picture = read_picture(path)
        top, left = (max(0, n - LARGEST) // 2 for n in picture.shape[:2])
        yield float_planes(picture[top : top + LARGEST, left : left + LARGEST], multiple)


def load_latents(codec: FloatCodec, folder: str | Path, count: int) -> Iterator[np.ndarray]:
    """Latents y (M, h, w) float32 of at most `count` photographs of a folder; of `.npy` files for a codec of latents.

    Raises FileError RC-FILE-READ, ImageError, ShapeError.
    """
    if "g_a" in codec.networks:
        for planes in load_photographs(find_photographs(folder, count), codec.multiple):
            yield codec.analysis(planes)
    else:
        for path in find_files(folder, count, (latent_file.SUFFIX,)):
            yield padded_latent(latent_file.read_latent(path, codec.architecture.m), codec.hyper_stride)
