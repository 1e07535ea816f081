"""Latents as `.npy` files, for codecs that code latents and not pictures (SPEC EPAR-1)."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from refcodec.errors import FileError, RangeError, ShapeError
from refcodec.files import read_bytes, write_bytes

SUFFIX = ".npy"


def read_latent(path: str | Path, channels: int) -> np.ndarray:
    """A latent (M, H, W) of finite numbers, as float32.

    Raises FileError RC-FILE-READ, ShapeError for another shape, RangeError for what is no finite number.
    """
    try:
        y = np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise FileError("RC-FILE-READ", f"{path} is not an {SUFFIX} file") from error
    if not isinstance(y, np.ndarray):
        raise FileError("RC-FILE-READ", f"{path} is an archive, not an {SUFFIX} file")
    if y.ndim != 3 or y.shape[0] != channels or 0 in y.shape or y.dtype.kind not in "fiu":
        raise ShapeError(f"{path}: wanted numbers ({channels}, H, W), got {y.dtype} {y.shape}")
    with np.errstate(over="ignore"):
        single = y.astype(np.float32)
    if not np.isfinite(single).all():
        raise RangeError(f"{path}: holds what is no finite number")
    return single


def write_latent(path: str | Path, y: np.ndarray) -> None:
    """Write a decoded latent, integers (M, H, W).  Raises FileError RC-FILE-WRITE, RangeError for another suffix."""
    if Path(path).suffix.lower() != SUFFIX:
        raise RangeError(f"{path}: a latent is written as {SUFFIX}", "RC-USAGE")
    buffer = io.BytesIO()
    np.save(buffer, y)
    write_bytes(path, buffer.getvalue())
