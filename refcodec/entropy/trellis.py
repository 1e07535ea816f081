"""Dependent quantisation: levels of two quantisers between which an 8-state trellis changes (SPEC DQ-1 to DQ-3)."""

from __future__ import annotations

import numpy as np

from refcodec import fixed
from refcodec.entropy.tables import SYMBOL_HI, SYMBOL_LO
from refcodec.errors import RangeError
from refcodec.kernel import kernel

TRANSITIONS = np.array(fixed.TRELLIS, np.int64)
STATES = len(TRANSITIONS)


@kernel
def trellis_integer(state, level):
    """What a level stands for in a state; an odd state reads its levels half a step nearer to zero (SPEC DQ-2)."""
    if state & 1 == 0:
        return 2 * level
    return 2 * level - (1 if level > 0 else 0) + (1 if level < 0 else 0)


@kernel
def _reconstruct(levels, out):
    state = 0
    for i in range(levels.size):
        level = np.int64(levels[i])
        out[i] = trellis_integer(state, level)
        state = TRANSITIONS[state, level & 1]


def _check(levels: np.ndarray) -> None:
    if levels.dtype.kind not in "iu":
        raise RangeError(f"levels: wanted integers, got {levels.dtype}")
    if levels.size and (int(levels.min()) < SYMBOL_LO or int(levels.max()) > SYMBOL_HI):
        raise RangeError(f"levels: wanted {SYMBOL_LO} .. {SYMBOL_HI}, got {levels.min()} .. {levels.max()}")


def reconstruct(levels: np.ndarray) -> np.ndarray:
    """The integers that the levels of a tensor stand for (SPEC DQ-3).

    levels  any shape, integers, -32768 .. 32767, taken in C order from state 0
    Returns int32 of the same shape, in half steps of a quantiser: one bit wider than the levels.  Raises RangeError.
    Source: 8-state trellis of ISO/IEC 15938-17 as its reference software has it.
    """
    _check(levels)
    out = np.empty(levels.size, np.int32)
    _reconstruct(np.ascontiguousarray(levels, np.int32).reshape(-1), out)
    return out.reshape(levels.shape)


def reconstruct_plain(levels: np.ndarray) -> np.ndarray:
    """The definition of `reconstruct` on Python integers (SPEC DQ-3)."""
    _check(levels)
    return np.array(fixed.reconstruct_levels(levels.ravel().tolist()), np.int32).reshape(levels.shape)
