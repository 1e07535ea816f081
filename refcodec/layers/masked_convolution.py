"""Convolution of context models, which reads only a part of its window (SPEC MASK-1 to MASK-3)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError
from refcodec.layers.convolution import Pass, accumulate, check_operands, output_size

MASKS = ("causal", "checkerboard")


def live_taps(mask: str, kernel: int) -> np.ndarray:
    """Which taps of a kernel may have weights (SPEC MASK-1, MASK-2).

    mask  "causal": before the centre in raster order;  "checkerboard": on the other colour than the centre
    kernel  odd.
    Returns (K, K) bool.  Raises RangeError.
    """
    if mask not in MASKS:
        raise RangeError(f"mask must be {' or '.join(MASKS)}, got {mask!r}")
    if kernel % 2 == 0:
        raise RangeError(f"a masked kernel must be odd, got {kernel}")
    size = range(kernel)
    if mask == "causal":
        return np.array([[fixed.causal_tap(kernel, ky, kx) for kx in size] for ky in size])
    return np.array([[fixed.checkerboard_tap(ky, kx) for kx in size] for ky in size])


def check_dead_taps(weight: np.ndarray, mask: str) -> None:
    """Raise RangeError unless the weights (O, C, K, K) of all dead taps are zero (SPEC MASK-3)."""
    dead = weight[:, :, ~live_taps(mask, weight.shape[2])]
    if dead.any():
        raise RangeError(f"weight: {np.count_nonzero(dead)} weights at dead taps of the {mask} mask are not zero")


def _check(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, mask: str, padding: int) -> tuple[int, int]:
    """Output height and width.  Raises ShapeError or RangeError unless the operands are legal (SPEC MASK-3)."""
    check_operands(x, weight, bias, 1)
    check_dead_taps(weight, mask)
    return output_size(x, weight, 1, padding)


def masked_convolution(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, mask: str, padding: int) -> np.ndarray:
    """Correlate with a square kernel whose dead taps are zero, zeros outside the input (SPEC MASK-3).

    x  (C, H, W) signed or unsigned activations of up to 16 bits, in a signed dtype
    weight  (O, C, K, K), -2**15 .. 2**15 - 1, K odd, 1..9;  bias  (O,) accumulator LSBs
    mask  "causal" or "checkerboard";  padding  0..K-1.
    Returns accumulators (O, H', W') int32 or int64, H' = H + 2 * padding - K + 1.
    Raises ShapeError, RangeError (also where 48 bits are not proven enough).
    Source: PixelCNN's mask of type A; He et al. 2021, checkerboard context.
    """
    size = _check(x, weight, bias, mask, padding)
    taps = range(weight.shape[2])
    rows = range(weight.shape[2] // 2 + 1) if mask == "causal" else taps  # below its centre, a causal kernel is dead
    return accumulate(x, weight, bias, size, padding, [Pass(rows, taps, -padding, -padding, 0, 0)], 1, 1)


def masked_convolution_plain(
    x: np.ndarray, weight: np.ndarray, bias: np.ndarray, mask: str, padding: int
) -> np.ndarray:
    """The definition of `masked_convolution` on Python integers (SPEC CONV-2, MASK-3)."""
    _check(x, weight, bias, mask, padding)
    return np.array(fixed.convolution(x.tolist(), weight.tolist(), bias.tolist(), 1, padding), np.int64)
