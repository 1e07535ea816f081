"""Real scales as a multiplier and a shift (SPEC RQ-2)."""

from __future__ import annotations

import numpy as np

from refcodec.errors import ModelError
from refcodec.formats import MAX_SHIFT, MIN_SHIFT
from refcodec.quantize.layers import round_half_up


def dyadic(scale: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Multiplier and shift with multiplier / 2**shift nearest to each scale.

    scale  (C,) positive;  bits  multiplier width.  Returns (C,) multiplier below 2**bits and (C,) shift 1..62.
    Raises ModelError RC-MODEL-RANGE where a scale is too large or no positive number.
    """
    if not ((scale > 0) & (scale < 1 << bits)).all():
        raise ModelError("RC-MODEL-RANGE", f"a scale of {scale.max():g} does not fit a {bits}-bit multiplier")
    _, exponent = np.frexp(scale)
    shift = np.clip(bits - exponent, MIN_SHIFT, MAX_SHIFT)
    multiplier = round_half_up(np.ldexp(scale, shift))
    carried = (multiplier == 1 << bits) & (shift > MIN_SHIFT)
    shift = shift - carried
    multiplier = np.where(carried, multiplier >> 1, multiplier)
    if (multiplier >= 1 << bits).any():
        raise ModelError("RC-MODEL-RANGE", f"a scale of {scale.max():g} does not fit a {bits}-bit multiplier")
    return multiplier, shift
