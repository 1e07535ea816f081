"""Warping: a scale space read at a displaced place of every sample (SPEC WARP-1 to WARP-3)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.kernel import kernel, parallel_kernel, prange

MAX_FRACTION = 14
MAX_BITS = 16
FLOW_CHANNELS = 3  # to the right, downwards, between the slices


@kernel
def _taps(place, last, fraction):
    limited = min(max(place, 0), last << fraction)
    first = limited >> fraction
    return first, min(first + 1, last), limited - (first << fraction)


@parallel_kernel
def _warp(volume, flow, depth, fraction, out):
    # A place is below 2**15 * size + 2**16 * size, far within int64 for any array. The weights are at most 2**15 and
    # sum to 2**15 along each axis: sums of 16-bit values stay below 2**(16 + 45), with the rounding constant 2**44.
    channels, height, width = out.shape
    steps = fraction + 1
    unit = np.int64(1) << steps
    half = np.int64(1) << (3 * steps - 1)
    for row in prange(height):
        y = np.int64(row)  # the counter of a parallel loop is unsigned, and unsigned + signed is a float in Numba
        for i in range(width):
            x0, x1, right = _taps((i << steps) + np.int64(flow[0, y, i]) * width, width - 1, steps)
            y0, y1, down = _taps((y << steps) + np.int64(flow[1, y, i]) * height, height - 1, steps)
            z0, z1, deep = _taps(((depth - 1) << fraction) + np.int64(flow[2, y, i]) * depth, depth - 1, steps)
            left, up, near = unit - right, unit - down, unit - deep
            for c in range(channels):
                a = volume[z0 * channels + c]
                b = volume[z1 * channels + c]
                front = up * (left * a[y0, x0] + right * a[y0, x1]) + down * (left * a[y1, x0] + right * a[y1, x1])
                back = up * (left * b[y0, x0] + right * b[y0, x1]) + down * (left * b[y1, x0] + right * b[y1, x1])
                out[c, y, i] = (near * front + deep * back + half) >> (3 * steps)


def check_fraction(fraction: int) -> None:
    """Raise RangeError unless the unit of the flow is legal (SPEC WARP-3)."""
    if not 0 <= fraction <= MAX_FRACTION:
        raise RangeError(f"fraction must be 0..{MAX_FRACTION}, got {fraction}")


def _check(
    volume: np.ndarray, flow: np.ndarray, depth: int, fraction: int, volume_format: IntFormat, flow_format: IntFormat
) -> None:
    if volume.ndim != 3 or 0 in volume.shape or depth < 1 or volume.shape[0] % depth:
        raise ShapeError(f"expected a volume (D * C, H, W) of {depth} slices, got {volume.shape}")
    if flow.shape != (FLOW_CHANNELS, *volume.shape[1:]):
        raise ShapeError(f"expected a flow (3, H, W) for the volume {volume.shape}, got {flow.shape}")
    check_fraction(fraction)
    for name, array, fmt in (("volume", volume, volume_format), ("flow", flow, flow_format)):
        if fmt.bits > MAX_BITS:
            raise RangeError(f"{name}: warping takes at most {MAX_BITS} bits, got {fmt}")
        fmt.check(array, name)


def warp(
    volume: np.ndarray, flow: np.ndarray, depth: int, fraction: int, volume_format: IntFormat, flow_format: IntFormat
) -> np.ndarray:
    """Read a scale space at a place of its own for each sample, trilinearly, with one rounding (SPEC WARP-2).

    volume  (D * C, H, W) integers in `volume_format`: slice d of channel c is plane d * C + c;  depth  D
    flow  (3, H, W) integers in `flow_format`, in units of 2**-fraction: displacement to the right and downwards in
    halves of the width and of the height, and position between the slices from -1 to 1;  fraction  0..14.
    Both formats have at most 16 bits; places beyond the volume are moved to its border.
    Returns (C, H, W) in `volume_format` LSBs and of its dtype.  Raises ShapeError, RangeError.
    Source: PyTorch F.grid_sample of five dimensions, padding_mode border, align_corners False; CompressAI warp_volume.
    """
    _check(volume, flow, depth, fraction, volume_format, flow_format)
    out = np.empty((volume.shape[0] // depth, *volume.shape[1:]), volume_format.dtype)
    _warp(np.ascontiguousarray(volume, out.dtype), np.ascontiguousarray(flow, np.int32), depth, fraction, out)
    return out


def warp_plain(
    volume: np.ndarray, flow: np.ndarray, depth: int, fraction: int, volume_format: IntFormat, flow_format: IntFormat
) -> np.ndarray:
    """The definition of `warp` on Python integers (SPEC WARP-2)."""
    _check(volume, flow, depth, fraction, volume_format, flow_format)
    channels = volume.shape[0] // depth
    out = np.empty((channels, *volume.shape[1:]), volume_format.dtype)
    moves = flow.tolist()
    for c in range(channels):
        out[c] = fixed.warp(volume[c::channels].tolist(), moves, fraction)
    return out
