"""Twin of `refcodec.fixed.requantise` (SPEC HW-3, RQ-1)."""

from __future__ import annotations

from myhdl import always, block, instance, intbv

from hw.clip import clip
from hw.elaboration import bit, limits, signed, unsigned
from refcodec.formats import MAX_SHIFT

# Holds |accumulator * multiplier| < 2**62 plus the largest rounding half, 2**61.
WIDE_BITS = 64
STAGES = 4
SHIFT_BITS = MAX_SHIFT.bit_length()


@block
def requantise_lane(clock, advance, valid, stages, accumulator, multiplier, shift, result, lo, hi):
    """The stages of one lane; operands, timing and result as in `requantise` (SPEC HW-3, RQ-1).

    valid  operands are present;  stages  list of `valid` one, two, three and four cycles later.
    """
    factor_lo, factor_hi = limits(len(multiplier) + 1)
    wide_lo, wide_hi = limits(WIDE_BITS)
    product = signed(WIDE_BITS)
    half = signed(WIDE_BITS)
    rounded = signed(WIDE_BITS)
    scaled = signed(WIDE_BITS)
    product_shift = unsigned(len(shift))
    rounded_shift = unsigned(len(shift))
    product_valid = stages[0]
    rounded_valid = stages[1]
    saturation = clip(clock, advance, stages[2], scaled, result, lo, hi)

    @instance
    def multiply():
        factor = intbv(0, min=factor_lo, max=factor_hi)
        power = intbv(0, min=wide_lo, max=wide_hi)
        while True:
            yield clock.posedge
            if advance and valid:
                factor[:] = multiplier
                product.next = accumulator * factor
                power[:] = 1
                power[:] = power << shift
                half.next = power >> 1
                product_shift.next = shift

    @always(clock.posedge)
    def add_half():
        if advance and product_valid:
            rounded.next = product + half
            rounded_shift.next = product_shift

    @always(clock.posedge)
    def scale():
        if advance and rounded_valid:
            scaled.next = rounded >> rounded_shift

    return multiply, add_half, scale, saturation


@block
def requantise(clock, reset, advance, valid, accumulators, multipliers, shifts, result_valid, results, lo, hi):
    """Scale by multiplier / 2**shift, round half up, saturate to lo .. hi, lane by lane (SPEC HW-3, RQ-1).

    accumulators  list of signed A-bit buses;  multipliers  unsigned M bits, A + M <= 63;  shifts  unsigned, 1..62
    results  buses whose format holds lo .. hi.  All operands are sampled with `valid`.
    Latency four cycles with `advance`: product and half, sum, shift, clip.  One value a cycle in every lane.
    """
    stages = [bit() for _ in range(STAGES - 1)]
    top = STAGES - 2
    lanes = []
    for p in range(len(results)):
        accumulator, multiplier, shift, result = accumulators[p], multipliers[p], shifts[p], results[p]
        lanes.append(requantise_lane(clock, advance, valid, stages, accumulator, multiplier, shift, result, lo, hi))

    @always(clock.posedge)
    def follow():
        if reset:
            for i in range(STAGES - 1):
                stages[i].next = False
            result_valid.next = False
        elif advance:
            stages[0].next = valid
            for i in range(1, STAGES - 1):
                stages[i].next = stages[i - 1]
            result_valid.next = stages[top]

    return lanes, follow
