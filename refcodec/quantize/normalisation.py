"""From the float parameters of an inverse GDN to its integers (SPEC GDN-1 to GDN-5)."""

from __future__ import annotations

import numpy as np

from refcodec.formats import MAX_BITS, IntFormat, multiplier_bits
from refcodec.layers.gdn import MAX_ROOT_SHIFT, Norm
from refcodec.program.operations import InverseGdn, Tensor
from refcodec.quantize.dyadic import dyadic
from refcodec.quantize.layers import round_half_up

NARROW = 10  # activations of up to so many bits keep to products of 32 bits and to radicands of 29
MARGIN = 2  # of every bound, for what rounding gamma adds


def _widths(bits: int) -> tuple[int, int]:
    """Bits that a product of sample and divisor, and a radicand, may take for activations of that width."""
    return (31, 29) if bits <= NARROW else (MAX_BITS - 2, 61)


def _rows(
    beta: np.ndarray, gamma: np.ndarray, bits: int, power: int, limit: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integer gamma (C, C) and beta (C,), and the real value (C,) of one norm LSB, a step for each output channel.

    beta, gamma  in the units of the integer samples;  bits  of gamma;  power  what a sample adds to a norm for each
    unit of gamma;  limit  of every norm. A step is as fine as gamma's width allows, and as coarse as the limit demands.
    """
    finest = gamma.max(axis=1) / ((1 << bits) - 1)
    demanded = (beta + gamma.sum(axis=1) * power) * MARGIN / limit
    steps = np.maximum(np.maximum(finest, demanded), np.finfo(np.float64).tiny)
    integers = np.minimum(round_half_up(gamma / steps[:, None]), (1 << bits) - 1)
    return integers, np.maximum(round_half_up(beta / steps), 1), steps


def inverse_gdn(
    name: str,
    read: Tensor,
    beta: np.ndarray,
    gamma: np.ndarray,
    squared: bool,
    steps: np.ndarray,
    target_steps: np.ndarray,
    gamma_bits: int,
) -> InverseGdn:
    """The integer inverse GDN of one layer.

    read  the tensor that it normalises;  beta (C,), gamma (C, C) float64, resolved;  squared  whether n is a root of a
    sum of squares;  steps (C,)  real value of one LSB of each channel of `read`;  target_steps (C,)  of the result
    gamma_bits  width of gamma, 1..16.  Raises ModelError RC-MODEL-RANGE where a scale does not fit.
    """
    magnitude = read.format.magnitude
    product_bits, radicand_bits = _widths(read.format.bits)
    power = magnitude**2 if squared else magnitude
    limit = 1 << min(radicand_bits, MAX_BITS - 1) if squared else (1 << product_bits) // magnitude
    gamma_read = gamma * (steps**2 if squared else steps)
    integers, offsets, unit = _rows(beta, gamma_read, gamma_bits, power, limit)
    norm = Norm(integers, offsets, squared, 0)
    if squared:  # the root keeps most of the largest radicand
        largest = max(norm.bounds(magnitude)).bit_length()
        norm = norm._replace(shift=min(MAX_ROOT_SHIFT, max(radicand_bits - largest, 0)))
    bounds = norm.bounds(magnitude)
    product = IntFormat(max(magnitude * norm.divisor(bound) for bound in bounds).bit_length() + 1, True)
    divisor_unit = np.sqrt(np.ldexp(unit, -norm.shift)) if squared else unit
    scale = steps * divisor_unit / target_steps
    widest = IntFormat(max(bounds).bit_length() + 1, True)
    return InverseGdn(
        name, read.name, name, IntFormat(gamma_bits, False), widest, product, squared, norm.shift, norm.gamma,
        norm.beta, np.zeros(len(beta), np.int64), *dyadic(scale, multiplier_bits(product)),
    )  # fmt: skip
