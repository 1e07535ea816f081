"""Clips as arrays: folders of pictures and files of moving ones, in and out."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refcodec.codecs.picture import in_colour, read_picture
from refcodec.codecs.stream import Geometry
from refcodec.errors import FileError, RangeError, RefcodecError, VideoError
from refcodec.files import new_folder, read_bytes, write_bytes
from refcodec.program.operations import Size

PICTURES = (".png", ".bmp", ".ppm", ".pgm", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
MAX_FRAMES = 1 << 20
MAX_SAMPLES = 1 << 33  # of a clip: what a machine of ordinary memory still reads
RATE = 25  # frames in a second of a GIF


def read_clip(path: str | Path, size: Size | None = None) -> np.ndarray:
    """Read a clip: a folder of pictures in the order of their names, or a file that imageio knows, such as a GIF.

    size  height and width of the middle part to keep (default: all of it).
    Returns (T, H, W, 3) uint8; grey becomes three equal channels.
    Raises FileError RC-FILE-READ, VideoError RC-VIDEO-READ, RC-VIDEO-FORMAT.
    """
    path = Path(path)
    if not path.exists():
        raise FileError("RC-FILE-READ", f"cannot read {path}: no such file or folder")
    frames: list[np.ndarray] = []
    for name, picture in _folder_pictures(path) if path.is_dir() else _file_pictures(path):
        frame = _middle(in_colour(picture), size, name)
        if frames and frame.shape != frames[0].shape:
            (height, width), (first_height, first_width) = frame.shape[:2], frames[0].shape[:2]
            raise VideoError(
                "RC-VIDEO-FORMAT", f"{name} is {width}x{height}, the first frame {first_width}x{first_height}"
            )
        frames.append(frame)
        if len(frames) > MAX_FRAMES or len(frames) * frame.size > MAX_SAMPLES:
            raise VideoError("RC-VIDEO-FORMAT", f"{path} holds more than {MAX_FRAMES} frames or {MAX_SAMPLES} samples")
    if not frames:
        raise VideoError("RC-VIDEO-READ", f"{path} holds no pictures")
    return np.stack(frames)


def _folder_pictures(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and samples of every picture that stands in a folder itself."""
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES and path.is_file()):
        try:
            yield str(path), read_picture(path)
        except RefcodecError as error:
            raise VideoError("RC-VIDEO-READ", error.message) from error


def _file_pictures(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Name and samples of every frame of a file."""
    import imageio.v3 as imageio  # imported late: most commands need no clips

    extension: Any = path.suffix.lower() or None  # imageio's own type leaves out that there may be none
    content = read_bytes(path)  # of a file that it does not know, imageio leaves its own handle open
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large or slightly damaged files, which are checked here
            logging.getLogger("PIL").setLevel(logging.CRITICAL)
            with imageio.imopen(content, "r", extension=extension) as file:
                options: dict[str, Any] = {"mode": "RGB"} if type(file).__name__ == "PillowPlugin" else {}
                for number, frame in enumerate(file.iter(**options)):
                    yield f"frame {number} of {path}", _checked(np.asarray(frame), path)
    except RefcodecError:
        raise
    except (OSError, ValueError, SyntaxError, RuntimeError, EOFError, ImportError) as error:
        reason = "is not a clip that imageio reads (MP4 needs its plugin: pip install av)"
        raise VideoError("RC-VIDEO-READ", f"{path} {reason}") from error


def _checked(frame: np.ndarray, path: Path) -> np.ndarray:
    if frame.dtype != np.uint8 or frame.ndim not in (2, 3) or (frame.ndim == 3 and frame.shape[2] != 3):
        raise VideoError("RC-VIDEO-FORMAT", f"{path}: frames are {frame.dtype} {frame.shape}, not 8-bit RGB or grey")
    try:
        Geometry(frame.shape[1], frame.shape[0], 3)
    except RangeError as error:
        raise VideoError("RC-VIDEO-FORMAT", f"{path}: {error.message}") from error
    return frame


def _middle(frame: np.ndarray, size: Size | None, name: str) -> np.ndarray:
    """The middle rows and columns, the odd one left out at the end."""
    if size is None:
        return frame
    (height, width), (rows, columns) = frame.shape[:2], size
    if not (1 <= rows <= height and 1 <= columns <= width):
        raise VideoError("RC-VIDEO-FORMAT", f"{name} is {width}x{height}, which has no middle of {columns}x{rows}")
    top, left = (height - rows) // 2, (width - columns) // 2
    return frame[top : top + rows, left : left + columns]


def write_clip(path: str | Path, numbers: Sequence[int], frames: Iterable[np.ndarray]) -> None:
    """Write frames as a folder of PNGs with their numbers as names, or as a GIF, which keeps 256 colours of each.

    numbers  of the frames, which come in this order, (H, W, 3) uint8 each; a folder keeps one of each number.
    Raises FileError RC-FILE-WRITE, VideoError RC-VIDEO-FORMAT.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".gif":
        write_bytes(path, _gif(frames))
    elif suffix:
        raise VideoError("RC-VIDEO-FORMAT", f"{path}: a clip is written as a folder of PNGs or as .gif, not {suffix}")
    else:
        digits = max(4, len(str(max(numbers))))  # the order of the names is that of the numbers
        with new_folder(path) as folder:
            for number, frame in zip(numbers, frames, strict=True):
                folder.joinpath(f"{number:0{digits}}.png").write_bytes(_encoded(frame, ".png"))


def _gif(frames: Iterable[np.ndarray]) -> bytes:
    return _encoded(np.stack(list(frames)), ".gif", duration=1000 // RATE, loop=0, is_batch=True)


def _encoded(pictures: np.ndarray, suffix: str, **options: Any) -> bytes:
    import imageio.v3 as imageio

    buffer = io.BytesIO()
    imageio.imwrite(buffer, pictures, plugin="pillow", extension=suffix, **options)
    return buffer.getvalue()
