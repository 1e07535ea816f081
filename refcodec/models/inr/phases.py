"""Phases of the positional encoding of a trained model, exact for the frequencies that it has (SPEC PE-2)."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import partial

import numpy as np

from refcodec.enclosures import Enclosure, Step, exact, nearest, pi
from refcodec.errors import RangeError
from refcodec.layers.positional_encoding import INDEX_FORMAT, TURN_BITS


def phase_increments(bases: Sequence[Step], frames: int) -> np.ndarray:
    """Phase of one frame for sines of base * frame / frames (SPEC PE-2).

    bases  (L,) angles in radians, each taken for exactly the number that it is: those of a trained model are float32
    frames  number of frames, 1 .. 2**22.
    Returns (L,) int64 in units of 2**-40 turns, nearest, modulo one turn.  Raises RangeError.
    """
    if not 1 <= frames <= INDEX_FORMAT.hi + 1:
        raise RangeError(f"frames must be 1..{INDEX_FORMAT.hi + 1}, got {frames}")
    turns = [exact(base, "base") * (1 << TURN_BITS - 1) / frames for base in bases]
    found = [nearest(partial(_divided_by_pi, turn)) for turn in turns]
    return np.array([phase % (1 << TURN_BITS) for phase in found], np.int64)


def _divided_by_pi(number: Fraction, digits: int) -> Enclosure:
    lo, hi = pi(digits)
    ends = number / lo, number / hi
    return min(ends), max(ends)
