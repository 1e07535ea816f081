"""What every comparison of two pictures asks of them."""

from __future__ import annotations

import numpy as np

from refcodec.errors import ImageError, ShapeError


def check_pair(picture: np.ndarray, decoded: np.ndarray) -> None:
    """Refuse what cannot be compared.

    picture, decoded  (H, W) or (H, W, 3) uint8, H and W at least 1, both of one shape.
    Raises ImageError RC-IMAGE-FORMAT, ShapeError.
    """
    for name, samples in (("picture", picture), ("decoded", decoded)):
        if samples.dtype != np.uint8:
            raise ImageError("RC-IMAGE-FORMAT", f"{name}: samples are {samples.dtype}, not uint8")
        if samples.size == 0 or not (samples.ndim == 2 or (samples.ndim == 3 and samples.shape[2] == 3)):
            raise ShapeError(f"{name} must be (H, W) or (H, W, 3) and not empty, got {samples.shape}")
    if picture.shape != decoded.shape:
        raise ShapeError(f"picture {picture.shape} and decoded {decoded.shape} must have one shape")
