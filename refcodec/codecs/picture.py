"""Pictures as files, as padded planes, and out of decoded ones (SPEC PIC-1 to PIC-4)."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np

from refcodec.codecs.stream import Geometry
from refcodec.errors import FileError, ImageError, RangeError
from refcodec.files import write_bytes
from refcodec.fixed import grey
from refcodec.formats import IntFormat

PIXEL_FORMAT = IntFormat(8, False)

MODES = ("RGB", "L", "P")  # Pillow's names of what is read as RGB or grey; a palette is resolved to colours


def read_picture(path: str | Path) -> np.ndarray:
    """Read an 8-bit RGB or grey picture of any format that imageio's Pillow plug-in knows.

    Returns (H, W, 3) or (H, W) uint8.  Raises FileError RC-FILE-READ, ImageError RC-IMAGE-READ, -FORMAT.
    """
    import imageio.v3 as imageio  # imported late: most commands need no pictures

    if not Path(path).is_file():
        raise FileError("RC-FILE-READ", f"cannot read {path}: no such file")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures, which are refused here anyway
            logging.getLogger("PIL").setLevel(logging.CRITICAL)  # and logs what is wrong with a damaged one
            with imageio.imopen(path, "r", plugin="pillow") as file:
                geometry_of_shape(file.properties().shape)
                mode = file.metadata()["mode"]
                picture = np.asarray(file.read())
    except RangeError as error:
        raise ImageError("RC-IMAGE-FORMAT", f"{path}: {error.message}") from error
    except (OSError, ValueError, SyntaxError, RuntimeError, EOFError) as error:
        raise ImageError("RC-IMAGE-READ", f"{path} is not a readable picture") from error
    if picture.dtype != np.uint8:
        raise ImageError("RC-IMAGE-FORMAT", f"{path}: samples are {picture.dtype}, not 8 bits")
    if mode not in MODES:
        raise ImageError("RC-IMAGE-FORMAT", f"{path}: the colour space is {mode}, neither RGB nor grey")
    return picture


def geometry_of_shape(shape: tuple[int, ...]) -> Geometry:
    """Size and colour of a picture array.  Raises RangeError unless it is (H, W) or (H, W, 3) within the limits."""
    if len(shape) == 2:
        return Geometry(shape[1], shape[0], 1)
    if len(shape) != 3 or shape[2] != 3:
        raise RangeError(f"a picture is (H, W) grey or (H, W, 3) RGB, got {shape}")
    return Geometry(shape[1], shape[0], 3)


def write_picture(path: str | Path, picture: np.ndarray) -> None:
    """Write a picture losslessly; the file's suffix names the format (PNG, BMP, PPM, TIFF).

    picture  (H, W, 3) or (H, W) uint8.  Raises FileError RC-FILE-WRITE, ImageError RC-IMAGE-FORMAT.
    """
    import imageio.v3 as imageio

    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".bmp", ".ppm", ".pgm", ".tif", ".tiff"):
        raise ImageError("RC-IMAGE-FORMAT", f"{path}: the suffix must name a lossless format such as .png")
    if picture.dtype != np.uint8:
        raise ImageError("RC-IMAGE-FORMAT", f"{path}: {picture.dtype} {picture.shape} is a latent, not a picture")
    buffer = io.BytesIO()
    imageio.imwrite(buffer, picture, plugin="pillow", extension=suffix)
    write_bytes(path, buffer.getvalue())


def in_colour(picture: np.ndarray) -> np.ndarray:
    """A picture with three channels, (H, W, 3); grey becomes three equal ones (SPEC PIC-4)."""
    return picture if picture.ndim == 3 else np.repeat(picture[:, :, None], 3, axis=2)


def padded_planes(picture: np.ndarray, multiple: int) -> np.ndarray:
    """Repeat the last row and column up to the next multiple; grey becomes three equal planes (SPEC PIC-4).

    picture  (H, W, 3) or (H, W) uint8.  Returns (3, H', W') uint8.
    """
    height, width = picture.shape[:2]
    wide = np.pad(in_colour(picture), ((0, -height % multiple), (0, -width % multiple), (0, 0)), mode="edge")
    return np.ascontiguousarray(wide.transpose(2, 0, 1))


def crop(planes: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Keep the top left of the decoded planes and arrange them as a picture (SPEC PIC-2, PIC-3).

    planes  (3, H', W') integers 0..255.  Returns (H, W, 3) or (H, W) uint8.
    """
    kept = planes[:, : geometry.height, : geometry.width]
    if geometry.channels == 3:
        return np.ascontiguousarray(kept.transpose(1, 2, 0)).astype(np.uint8)
    on_arrays = cast(Callable[..., np.ndarray], grey)  # the scalar formula holds element by element
    return on_arrays(*kept.astype(np.int64)).astype(np.uint8)
