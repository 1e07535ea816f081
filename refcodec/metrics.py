"""How far a decoded picture is from its original."""

from __future__ import annotations

import numpy as np

PEAK = 255
SMALLEST_ERROR = 1e-12  # stands for none, so that equal pictures have a finite figure


def psnr(picture: np.ndarray, decoded: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB of two uint8 pictures of one shape, over all samples."""
    error = np.mean((picture.astype(np.float64) - decoded) ** 2)
    return float(10 * np.log10(PEAK**2 / max(error, SMALLEST_ERROR)))
