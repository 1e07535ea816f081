"""The photographs that a quantisation is calibrated on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from refcodec.codecs.picture import read_picture
from refcodec.errors import FileError
from refcodec.models.encoder import float_planes

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")
LARGEST = 1024  # a longer side is cropped to its middle, to bound time and memory


def find_photographs(folder: str | Path, count: int) -> list[Path]:
    """At most `count` pictures of a folder, evenly spaced in the order of their names.

    Raises FileError RC-FILE-READ if there is none.
    """
    found = sorted(path for path in Path(folder).glob("*") if path.suffix.lower() in SUFFIXES)
    if not found or count < 1:
        raise FileError("RC-FILE-READ", f"{folder} holds no pictures to calibrate on")
    chosen = min(count, len(found))
    return [found[number * len(found) // chosen] for number in range(chosen)]


def load_photographs(paths: list[Path]) -> Iterator[np.ndarray]:
    """Planes of each picture, one at a time, with a progress bar."""
    for path in tqdm(paths, desc="calibrate", unit="picture", disable=None, leave=False):
        picture = read_picture(path)
        top, left = (max(0, n - LARGEST) // 2 for n in picture.shape[:2])
        yield float_planes(picture[top : top + LARGEST, left : left + LARGEST])
