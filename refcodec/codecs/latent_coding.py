"""Latents between their tensors and the entropy coder (SPEC HYP-4, MSH-3, MSH-4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from refcodec.codecs.codec import Latents
from refcodec.codecs.stream import Geometry
from refcodec.errors import ShapeError
from refcodec.fixed import rounding_shift
from refcodec.formats import IntFormat
from refcodec.layers.latent_mean import SYMBOL_FORMAT
from refcodec.program.operations import Size

WIDEST = IntFormat(48, True)  # of what an encoder may pass as a latent: no difference from a mean leaves int64


def channel_rows(channels: int, size: Size) -> np.ndarray:
    """The table of each symbol where that is the one of its channel, (channels, *size) int16 (SPEC HYP-4)."""
    return np.broadcast_to(np.arange(channels, dtype=np.int16)[:, None, None], (channels, *size))


def covering(geometry: Geometry, stride: int) -> Size:
    """How many blocks of stride x stride samples cover a picture, down and across (SPEC PIC-1)."""
    return -(-geometry.height // stride), -(-geometry.width // stride)


def symbols_about(latent: np.ndarray, means: np.ndarray, fraction: int) -> np.ndarray:
    """The symbols that bring means nearest to a latent, saturated to 16 bits (SPEC MSH-4).

    latent  integers of at most 48 bits, checked;  means  of the same shape; both in units of 2**-fraction.
    Returns int16 of that shape.
    """
    on_arrays = cast(Callable[..., np.ndarray], rounding_shift)  # the scalar formula holds element by element
    nearest = on_arrays(latent.astype(np.int64) - means.astype(np.int64), fraction)
    return nearest.clip(SYMBOL_FORMAT.lo, SYMBOL_FORMAT.hi).astype(SYMBOL_FORMAT.dtype)


def accept(latents: Latents, z_shape: tuple[int, ...], y_shape: tuple[int, ...], geometry: Geometry) -> np.ndarray:
    """The hyper-latent of latents that have the shapes of a geometry (SPEC PIC-1).  Raises ShapeError, RangeError.

    The program that reads it checks its values.
    """
    z = latents.z
    if z is None or z.shape != z_shape or latents.y.shape != y_shape:
        found = f"{latents.y.shape} and {'none' if z is None else z.shape}"
        raise ShapeError(f"latents {found} do not belong to {geometry.width}x{geometry.height}")
    WIDEST.check(latents.y, "y")
    return z
