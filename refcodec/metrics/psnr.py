"""Peak signal-to-noise ratio of decoded pictures."""

from __future__ import annotations

import numpy as np

from refcodec.metrics.pair import check_pair

PEAK = 255
SMALLEST_ERROR = 1e-12  # stands for none, so that equal pictures have a finite figure


def psnr(picture: np.ndarray, decoded: np.ndarray) -> float:
    """Peak signal-to-noise ratio over all samples, 10 log10(255**2 / mean squared error).

    picture, decoded  (H, W) or (H, W, 3) uint8, both of one shape.
    Returns dB, 168.1 for equal pictures.  Raises ImageError RC-IMAGE-FORMAT, ShapeError.
    """
    check_pair(picture, decoded)
    return _decibels(_squared_error(picture, decoded).mean())


def psnr_channels(picture: np.ndarray, decoded: np.ndarray) -> tuple[float, ...]:
    """Peak signal-to-noise ratio of each channel by itself.

    picture, decoded  (H, W) or (H, W, 3) uint8, both of one shape.
    Returns dB of R, G, B, or of grey alone.  Raises ImageError RC-IMAGE-FORMAT, ShapeError.
    """
    check_pair(picture, decoded)
    means = np.atleast_1d(_squared_error(picture, decoded).mean(axis=(0, 1)))
    return tuple(_decibels(mean) for mean in means)


def _squared_error(picture: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    return (picture.astype(np.float64) - decoded) ** 2


def _decibels(error: float) -> float:
    return float(10 * np.log10(PEAK**2 / max(error, SMALLEST_ERROR)))
