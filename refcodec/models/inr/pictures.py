"""Pictures as a float twin sees them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def samples(frames: np.ndarray, numbers: Sequence[int]) -> np.ndarray:
    """Some frames as a twin computes them.

    frames  (T, H, W, 3) uint8;  numbers  of N frames.  Returns (3, N, H, W) float32 in 0 .. 1.
    """
    return np.ascontiguousarray(frames[list(numbers)].transpose(3, 0, 1, 2), np.float32) / np.float32(255)


def pictures(computed: np.ndarray, height: int, width: int) -> np.ndarray:
    """What a twin computed, rounded to samples of 8 bits, halves up, and cropped to the top left.

    computed  (3, N, H, W) float in 0 .. 1.  Returns (N, height, width, 3) uint8.
    """
    kept = computed[:, :, :height, :width].transpose(1, 2, 3, 0)
    return np.floor(kept * 255 + 0.5).clip(0, 255).astype(np.uint8)
