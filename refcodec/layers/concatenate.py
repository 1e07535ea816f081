"""The channels of several tensors, one after another (SPEC CAT-1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError


def check_volume(x: np.ndarray, name: str) -> None:
    """Raise ShapeError or RangeError unless an array (C, H, W) holds integers, at least one."""
    if x.ndim != 3 or 0 in x.shape:
        raise ShapeError(f"expected {name} (C, H, W) of at least one sample, got {x.shape}")
    if x.dtype.kind not in "iu":
        raise RangeError(f"{name}: expected integers, got {x.dtype}")


def _check(volumes: Sequence[np.ndarray]) -> None:
    if len(volumes) < 2:
        raise ShapeError(f"expected two or more volumes, got {len(volumes)}")
    for number, volume in enumerate(volumes):
        check_volume(volume, f"volume {number}")
        if volume.shape[1:] != volumes[0].shape[1:]:
            raise ShapeError(f"volumes {volumes[0].shape} and {volume.shape} differ in height or width")
        if volume.dtype != volumes[0].dtype:
            raise RangeError(f"volumes of {volumes[0].dtype} and {volume.dtype}")


def concatenate(volumes: Sequence[np.ndarray]) -> np.ndarray:
    """The channels of all volumes, in order (SPEC CAT-1).

    volumes  two or more (C, H, W) integers of one height, width and dtype; their channels may differ.
    Returns (sum of all C, H, W) in their dtype.  Raises ShapeError, RangeError.
    """
    _check(volumes)
    return np.concatenate(volumes)


def concatenate_plain(volumes: Sequence[np.ndarray]) -> np.ndarray:
    """The definition of `concatenate` on Python integers (SPEC CAT-1)."""
    _check(volumes)
    return np.array(fixed.concatenate([volume.tolist() for volume in volumes]), volumes[0].dtype)
