"""Twin of `refcodec.fixed.requantise` (SPEC HW-3, RQ-1)."""

from __future__ import annotations

from myhdl import always, block

from hw.clip import clip
from hw.elaboration import bit, limits, signed

# Holds |accumulator * multiplier| < 2**62 plus the largest rounding half, 2**61.
WIDE_BITS = 64


@block
def requantise(  # type: ignore[no-untyped-def]
    clock, reset, advance, valid, accumulator, multiplier, shift, result_valid, result, lo, hi
):
    """Scale by multiplier / 2**shift, round half up, saturate to lo .. hi (SPEC HW-3, RQ-1).

    accumulator  signed A bits;  multiplier  unsigned M bits, A + M <= 63;  shift  unsigned, 1..62;
    result  a bus whose format holds lo .. hi.  All three operands are sampled with `valid`.
    Latency four cycles with `advance`: product and half, sum, shift, clip.  One value a cycle.
    """
    wide_lo, wide_hi = limits(WIDE_BITS)
    product = signed(WIDE_BITS)
    half = signed(WIDE_BITS)
    rounded = signed(WIDE_BITS)
    scaled = signed(WIDE_BITS)
    product_shift = signal_like(shift)
    rounded_shift = signal_like(shift)
    product_valid, rounded_valid, scaled_valid = bit(), bit(), bit()

    @always(clock.posedge)
    def follow():
        if reset:
            product_valid.next = False
            rounded_valid.next = False
            scaled_valid.next = False
            result_valid.next = False
        elif advance:
            product_valid.next = valid
            rounded_valid.next = product_valid
            scaled_valid.next = rounded_valid
            result_valid.next = scaled_valid
