"""Multi-scale structural similarity (Wang, Simoncelli and Bovik, Asilomar 2003)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.ndimage import correlate1d

from refcodec.errors import RangeError, ShapeError
from refcodec.metrics.pair import check_pair

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest scale first; section 3.2 of the paper
RADIUS, SIGMA = 5, 1.5  # of the Gaussian window, 11 samples wide
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
# Halved four times, rounding up, this is the first side that still holds a window: 161, 81, 41, 21, 11.
SMALLEST_SIDE = 2 * RADIUS * 2 ** (len(WEIGHTS) - 1) + 1
SMALLEST_DIFFERENCE = 1e-12  # stands for none, so that equal pictures have a finite figure in dB


def ms_ssim_possible(shape: Sequence[int]) -> bool:
    """Whether a picture of shape (H, W) or (H, W, 3) has room for all five scales: both sides at least 161."""
    return min(shape[:2]) >= SMALLEST_SIDE


def ms_ssim(picture: np.ndarray, decoded: np.ndarray) -> float:
    """Multi-scale structural similarity of each channel, averaged over the channels.

    Contrast and structure at five scales, luminance at the coarsest; windows that lie within the picture; a negative
    mean counts as 0. A scale is the mean of 2x2 samples of the one before; where a side is odd, its last row or
    column is repeated. For even sides this is what TensorFlow and pytorch_msssim compute, for odd ones TensorFlow.

    picture, decoded  (H, W) or (H, W, 3) uint8, both of one shape, H and W at least 161 (`ms_ssim_possible`).
    Returns 0 .. 1, 1 for equal pictures.  Raises ImageError RC-IMAGE-FORMAT, ShapeError.
    """
    check_pair(picture, decoded)
    if not ms_ssim_possible(picture.shape):
        raise ShapeError(f"MS-SSIM needs sides of at least {SMALLEST_SIDE} samples, got {picture.shape[:2]}")
    one, other = (np.atleast_3d(samples).astype(np.float64) for samples in (picture, decoded))
    product = np.ones(one.shape[2])
    for scale, weight in enumerate(WEIGHTS):
        luminance, contrast = _similarity_maps(one, other)
        last = scale == len(WEIGHTS) - 1
        means = (luminance * contrast if last else contrast).mean(axis=(0, 1))
        product *= np.clip(means, 0, 1) ** weight  # above 1 by rounding alone
        one, other = _halve(one), _halve(other)
    return float(product.mean())


def ms_ssim_db(similarity: float) -> float:
    """A similarity of 0 .. 1 in dB, -10 log10(1 - similarity); 120 for 1.  Raises RangeError."""
    if not 0 <= similarity <= 1:
        raise RangeError(f"a similarity lies in 0 .. 1, got {similarity}")
    return -10 * math.log10(max(1 - similarity, SMALLEST_DIFFERENCE))


def _similarity_maps(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Luminance, and contrast times structure, of every window of two (H, W, C) planes."""
    mean_one, mean_other = _window_means(one), _window_means(other)
    product = mean_one * mean_other
    squares = mean_one**2 + mean_other**2
    covariance = _window_means(one * other) - product
    variances = _window_means(one**2 + other**2) - squares
    return (2 * product + C1) / (squares + C1), (2 * covariance + C2) / (variances + C2)


def _window_means(planes: np.ndarray) -> np.ndarray:
    """(H, W, C) -> (H - 10, W - 10, C): Gaussian means of the windows that lie within."""
    offsets = np.arange(-RADIUS, RADIUS + 1)
    window = np.exp(-(offsets**2) / (2 * SIGMA**2))
    window /= window.sum()
    rows = correlate1d(planes, window, axis=0)[RADIUS:-RADIUS]
    return correlate1d(rows, window, axis=1)[:, RADIUS:-RADIUS]


def _halve(planes: np.ndarray) -> np.ndarray:
    """Means of 2x2 samples, after an odd side's last row or column is repeated."""
    height, width, _ = planes.shape
    even = np.pad(planes, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
