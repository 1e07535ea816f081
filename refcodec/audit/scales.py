"""How finely the multipliers of a requantisation state its scale.

A model holds multiplier / 2**shift and not the real scale that it stands for. Rounding to the nearest multiplier leaves
at most half a unit, 1 / (2 * multiplier) of the scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcodec.audit.bounds import Layer
from refcodec.audit.sums import PRODUCT
from refcodec.formats import multiplier_bits
from refcodec.program.operations import Add, InverseGdn, LeakyRequantise, Requantise


@dataclass(frozen=True, slots=True)
class Scales:
    """One column of multipliers and the shift that goes with it.

    bits  that the largest multiplier needs;  declared  that the profile gives them (SPEC RQ-2)
    zeros  channels whose multiplier is zero, so that they are constant
    resolution  worst relative step, 1 / (2 * multiplier);  channel  where;  None where all multipliers are zero
    error  the most by which half a unit of a multiplier moves a result that is not clipped, in LSBs of the target.
    """

    column: str
    bits: int
    declared: int
    shifts: tuple[int, int]
    zeros: tuple[int, ...]
    resolution: float | None
    channel: int | None
    error: float


def _scales(
    column: str, multiplier: np.ndarray, shift: np.ndarray, declared: int, layer: Layer, largest: list[int]
) -> Scales:
    multipliers, shifts = [abs(m) for m in multiplier.tolist()], shift.tolist()
    used = [(m, c) for c, m in enumerate(multipliers) if m]
    smallest = min(used, default=None)
    limit = layer.target.format.magnitude + 0.5
    rows = zip(largest, multipliers, shifts, strict=True)
    errors = [min(value / 2 ** (s + 1), limit / (2 * m)) for value, m, s in rows if m]
    return Scales(
        column,
        max(multipliers).bit_length(),
        declared,
        (min(shifts), max(shifts)),
        tuple(c for c, m in enumerate(multipliers) if not m),
        1 / (2 * smallest[0]) if smallest else None,
        smallest[1] if smallest else None,
        max(errors, default=0.0),
    )


def layer_scales(layer: Layer) -> list[Scales]:
    """The multipliers of an operation; most operations have none."""
    op = layer.operation
    if isinstance(op, Add) and op.shift:  # without a shift both multiples are exact
        rows = [(f"multiplier {k}", op.multipliers[[k]], reach) for k, reach in enumerate(layer.reaches)]
        shift = np.array([op.shift])
        return [_scales(name, m, shift, 31, layer, [int(reach.magnitude.max())]) for name, m, reach in rows]
    if isinstance(op, InverseGdn):
        (product,) = (bounds for bounds in layer.sums if bounds.quantity == PRODUCT)
        largest = [max(-lo, hi) for lo, hi in zip(product.lo[0].tolist(), product.hi[0].tolist(), strict=True)]
        declared = multiplier_bits(op.product_format)
        return [_scales("multiplier", op.multiplier, op.shift, declared, layer, largest)]
    if not isinstance(op, Requantise | LeakyRequantise):
        return []
    declared, (reach,) = multiplier_bits(layer.sources[0].format), layer.reaches
    if isinstance(op, Requantise):
        return [_scales("multiplier", op.multiplier, op.shift, declared, layer, reach.magnitude.tolist())]
    above, below = np.maximum(reach.hi, 0).tolist(), (-np.minimum(reach.lo, 0)).tolist()
    return [
        _scales("multiplier", op.multiplier, op.shift, declared, layer, above),
        _scales("negative_multiplier", op.negative_multiplier, op.shift, declared, layer, below),
    ]
