"""Positional encoding: sines and cosines of a frame number (SPEC PE-1 to PE-3)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.errors import RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.kernel import kernel

TURN_BITS = 40
NODES = 1025  # of a quarter wave
NODE_BITS = 24
MAX_FRACTION = 14
INDEX_FORMAT = IntFormat(22, False)
INCREMENT_FORMAT = IntFormat(TURN_BITS, False)
ENCODED_FORMAT = IntFormat(16, True)  # holds 2**14 of either sign
PART_BITS = TURN_BITS - 12  # a turn holds 4 * 1024 intervals between nodes


@kernel
def _sine(phase, nodes, fraction):
    half = np.int64(1) << (TURN_BITS - 1)
    place = phase & (half - 1)
    if place > half >> 1:
        place = half - place
    index = place >> PART_BITS
    node = np.int64(nodes[index])
    rise = np.int64(nodes[min(index + 1, NODES - 1)]) - node
    # a point between nodes of at most 2**24, times 2**28: at most 2**52, and the rounding adds no more than 2**51
    value = (node << PART_BITS) + rise * (place & ((np.int64(1) << PART_BITS) - 1))
    if phase >= half:
        value = -value
    shift = NODE_BITS + PART_BITS - fraction
    return (value + (np.int64(1) << (shift - 1))) >> shift


@kernel
def _positional_encoding(index, increments, interleaved, nodes, fraction, out):
    turn = (np.int64(1) << TURN_BITS) - 1
    count = increments.shape[0]
    for k in range(count):
        product = index * np.int64(increments[k])  # below 2**22 * 2**40; a quarter of a turn keeps it below 2**63
        sine = _sine(product & turn, nodes, fraction)
        cosine = _sine((product + (np.int64(1) << (TURN_BITS - 2))) & turn, nodes, fraction)
        if interleaved:
            out[2 * k, 0, 0] = sine
            out[2 * k + 1, 0, 0] = cosine
        else:
            out[k, 0, 0] = sine
            out[count + k, 0, 0] = cosine


def check_increments(increments: np.ndarray) -> None:
    """Raise ShapeError or RangeError unless there are phase increments below one turn (SPEC PE-3)."""
    if increments.ndim != 1 or not increments.size:
        raise ShapeError(f"expected increments (L,), got {increments.shape}")
    INCREMENT_FORMAT.check(increments, "increments")


def check_nodes(nodes: np.ndarray) -> None:
    """Raise ShapeError or RangeError unless 1025 nodes rise from 0 to 2**24 (SPEC PE-3)."""
    if nodes.shape != (NODES,):
        raise ShapeError(f"expected nodes ({NODES},), got {nodes.shape}")
    if nodes.dtype.kind != "i" or nodes[0] != 0 or nodes[-1] != 1 << NODE_BITS or (nodes[1:] < nodes[:-1]).any():
        raise RangeError(f"nodes must be signed integers that rise from 0 to 2**{NODE_BITS}")


def check_fraction(fraction: int) -> None:
    """Raise RangeError unless the fraction of a sine is 0 .. 14 bits (SPEC PE-3)."""
    if not 0 <= fraction <= MAX_FRACTION:
        raise RangeError(f"fraction must be 0..{MAX_FRACTION}, got {fraction}")


def _check(x: np.ndarray, increments: np.ndarray, nodes: np.ndarray, fraction: int) -> None:
    check_increments(increments)
    check_nodes(nodes)
    check_fraction(fraction)
    if x.shape != (1, 1, 1):
        raise ShapeError(f"expected one frame number (1, 1, 1), got {x.shape}")
    INDEX_FORMAT.check(x, "frame number")


def positional_encoding(
    x: np.ndarray, increments: np.ndarray, interleaved: bool, nodes: np.ndarray, fraction: int
) -> np.ndarray:
    """Sines and cosines of a frame number at many frequencies (SPEC PE-2).

    x  (1, 1, 1) integer, frame number 0 .. 2**22 - 1
    increments  (L,) integers, phase of one frame in units of 2**-40 turns, 0 .. 2**40 - 1
    interleaved  sine and cosine of each increment in turn, otherwise all sines first
    nodes  (1025,) signed integers, a quarter of a sine wave in units of 2**-24;  fraction  0..14.
    Returns (2L, 1, 1) int16 in units of 2**-fraction.  Raises ShapeError, RangeError.
    Source: NeRV `PositionalEncoding` (interleaved), HNeRV `PositionEncoding` (not interleaved).
    """
    _check(x, increments, nodes, fraction)
    out = np.empty((2 * len(increments), 1, 1), ENCODED_FORMAT.dtype)
    _positional_encoding(int(x.item()), increments, interleaved, nodes, fraction, out)
    return out


def positional_encoding_plain(
    x: np.ndarray, increments: np.ndarray, interleaved: bool, nodes: np.ndarray, fraction: int
) -> np.ndarray:
    """The definition of `positional_encoding` on Python integers (SPEC PE-2)."""
    _check(x, increments, nodes, fraction)
    values = fixed.positional_encoding(x.item(), increments.tolist(), interleaved, nodes.tolist(), fraction)
    return np.array(values, ENCODED_FORMAT.dtype).reshape(-1, 1, 1)
