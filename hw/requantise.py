"""Twin of `refcodec.fixed.requantise` (SPEC HW-3, RQ-1)."""

from __future__ import annotations

from myhdl import always, always_comb, block, instance, intbv

from hw.clip import clip
from hw.elaboration import bit, limits, signed, unsigned
from refcodec.formats import MAX_SHIFT

STAGES = 9
SHIFT_BITS = MAX_SHIFT.bit_length()
FINE_BITS = 3  # low bits of the shift, which the second shifter takes
PART_BITS = 17  # with a sign bit, what a multiplier of 18 x 18 bits takes
MAX_PARTS = 4  # partial products, which two levels of adders sum


def _cuts(bits: int, parts: int) -> list[tuple[int, int]]:
    """(top, bottom) of each part of an operand, lowest first."""
    width = max(PART_BITS, -(-bits // parts))
    return [(min(bits, bottom + width), bottom) for bottom in range(0, bits, width)]


def operand_cuts(accumulator_bits: int, multiplier_bits: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """How both operands are cut for multipliers of 18 x 18 bits, into four partial products at most (SPEC HW-3).

    The top part of the accumulator may be one bit wider than the others, which get a zero for a sign.
    """
    accumulator = _cuts(accumulator_bits - 1, MAX_PARTS)
    accumulator[-1] = (accumulator_bits, accumulator[-1][1])
    return accumulator, _cuts(multiplier_bits, MAX_PARTS // len(accumulator))


@block
def cut(clock, advance, valid, operand, part, top, bottom):
    """Bits top - 1 .. bottom of an operand; a signed operand's top part keeps its sign (SPEC HW-3).

    part  signed.  Latency one cycle with `advance`.
    """
    top = int(top)
    bottom = int(bottom)

    if operand.min < 0 and top == len(operand):

        @always(clock.posedge)
        def split():
            if advance and valid:
                part.next = operand[top:bottom].signed()

    else:

        @always(clock.posedge)
        def split():
            if advance and valid:
                part.next = operand[top:bottom]

    return split


@block
def multiply_parts(clock, advance, valid, multiplied, left, right, product):
    """A partial product (SPEC HW-3).

    multiplied  `valid` one cycle later.  Latency two cycles with `advance`: multipliers stand where the device has
    them, so the product has a cycle of its own to travel.
    """
    near = signed(len(product))

    @always(clock.posedge)
    def multiply():
        if advance and valid:
            near.next = left * right

    @always(clock.posedge)
    def move():
        if advance and multiplied:
            product.next = near

    return multiply, move


@block
def add_shifted(clock, advance, valid, low, high, total, places):
    """total = low + high * 2**places (SPEC HW-3).  Latency one cycle with `advance`."""
    lo, hi = limits(len(total))
    places = int(places)

    @instance
    def add():
        term = intbv(0, min=lo, max=hi)
        while True:
            yield clock.posedge
            if advance and valid:
                term[:] = high
                term[:] = term << places
                total.next = low + term

    return add


@block
def keep(clock, advance, valid, value, kept):
    """A value one cycle later, with `advance` (SPEC HW-3)."""

    @always(clock.posedge)
    def follow():
        if advance and valid:
            kept.next = value

    return follow


@block
def wide_product(clock, advance, valid, stages, accumulator, multiplier, product):
    """accumulator * multiplier from parts that multipliers of 18 x 18 bits take (SPEC HW-3).

    stages  `valid` one to four cycles later;  product  signed, holds every product.
    Latency five cycles with `advance`: parts, two of partial products, two levels of sums.
    """
    accumulator_cuts, multiplier_cuts = operand_cuts(len(accumulator), len(multiplier))
    lefts = [signed(PART_BITS + 1) for _ in accumulator_cuts]
    rights = [signed(top - bottom + 1) for top, bottom in multiplier_cuts]
    units = []
    for i in range(len(lefts)):
        top, bottom = accumulator_cuts[i]
        part = lefts[i]
        units.append(cut(clock, advance, valid, accumulator, part, top, bottom))
    for j in range(len(rights)):
        top, bottom = multiplier_cuts[j]
        part = rights[j]
        units.append(cut(clock, advance, valid, multiplier, part, top, bottom))

    terms = []  # (signal, power of two that it counts)
    for i in range(len(lefts)):
        for j in range(len(rights)):
            left, right = lefts[i], rights[j]
            partial = signed(len(left) + len(right))
            terms.append((partial, accumulator_cuts[i][1] + multiplier_cuts[j][1]))
            units.append(multiply_parts(clock, advance, stages[0], stages[1], left, right, partial))

    sums = []
    for i in range(0, len(terms) - 1, 2):
        (low, power), (high, high_power) = terms[i], terms[i + 1]
        total = signed(max(len(low), len(high) + high_power - power) + 1)
        sums.append((total, power))
        units.append(add_shifted(clock, advance, stages[2], low, high, total, high_power - power))
    if len(terms) % 2:
        last, power = terms[-1]
        kept = signed(len(last))
        sums.append((kept, power))
        units.append(keep(clock, advance, stages[2], last, kept))

    if len(sums) == 2:
        (low, _), (high, high_power) = sums
        units.append(add_shifted(clock, advance, stages[3], low, high, product, high_power))
    else:
        ((total, _),) = sums
        units.append(keep(clock, advance, stages[3], total, product))
    return units


@block
def shift_right(clock, advance, valid, stages, product, shift, scaled):
    """scaled = floor(2 * product / 2**shift), so that one bit of the fraction is left to round by (SPEC HW-3).

    shift  given with `valid`, five cycles before `product`;  stages  `valid` of the cycles after.
    Latency from `product` two cycles with `advance`, from `shift` seven.
    """
    lo, hi = limits(len(scaled))
    coarse_mask = int((1 << SHIFT_BITS) - (1 << FINE_BITS))
    fine_mask = int((1 << FINE_BITS) - 1)
    shifts = [unsigned(SHIFT_BITS) for _ in range(6)]
    coarse = signed(len(scaled))
    product_valid, coarse_valid = stages[4], stages[5]

    @always(clock.posedge)
    def follow():
        if advance:
            shifts[0].next = shift
            for i in range(1, 6):
                shifts[i].next = shifts[i - 1]

    @instance
    def shift_coarsely():
        doubled = intbv(0, min=lo, max=hi)
        places = intbv(0)[SHIFT_BITS:]
        while True:
            yield clock.posedge
            if advance and product_valid:
                doubled[:] = product
                doubled[:] = doubled << 1
                places[:] = shifts[4]
                places[:] = places & coarse_mask
                coarse.next = doubled >> places

    @instance
    def shift_finely():
        places = intbv(0)[SHIFT_BITS:]
        while True:
            yield clock.posedge
            if advance and coarse_valid:
                places[:] = shifts[5]
                places[:] = places & fine_mask
                scaled.next = coarse >> places

    return follow, shift_coarsely, shift_finely


@block
def narrow(clock, advance, valid, value, limited):
    """The nearest value that the narrower signed bus `limited` holds (SPEC HW-3).  Latency one cycle with `advance`."""
    width = len(limited)
    sign_place = int(width - 1)
    lo, hi = limits(len(value))
    bottom, top = -(1 << sign_place), (1 << sign_place) - 1

    @instance
    def limit():
        upper = intbv(0, min=lo, max=hi)
        while True:
            yield clock.posedge
            if advance and valid:
                upper[:] = value >> sign_place
                if upper == 0 or upper == -1:
                    limited.next = value[width:].signed()
                elif value < 0:
                    limited.next = bottom
                else:
                    limited.next = top

    return limit


@block
def requantise_lane(clock, advance, valid, stages, accumulator, multiplier, shift, result, lo, hi):
    """The stages of one lane; operands, timing and result as in `requantise` (SPEC HW-3, RQ-1).

    valid  operands are present;  stages  list of `valid` one to eight cycles later.
    """
    product = signed(len(accumulator) + len(multiplier))
    scaled = signed(len(product) + 1)
    # What is beyond is beyond lo .. hi when it is rounded, too.
    half_range = max(hi + 1, -lo)
    limited_bits = min(len(scaled), (half_range - 1).bit_length() + 2)
    limited_lo, limited_hi = limits(limited_bits + 1)
    limited = signed(limited_bits)
    rounded = signed(limited_bits)
    multiplication = wide_product(clock, advance, valid, stages, accumulator, multiplier, product)
    scaling = shift_right(clock, advance, valid, stages, product, shift, scaled)
    narrowing = narrow(clock, advance, stages[6], scaled, limited)
    saturation = clip(clock, advance, stages[7], rounded, result, lo, hi)

    @always_comb
    def add_half():
        total = intbv(0, min=limited_lo, max=limited_hi)
        total[:] = limited
        total[:] = total + 1
        rounded.next = total >> 1

    return multiplication, scaling, narrowing, add_half, saturation


@block
def requantise(clock, reset, advance, valid, accumulators, multipliers, shifts, result_valid, results, lo, hi):
    """Scale by multiplier / 2**shift, round half up, saturate to lo .. hi, lane by lane (SPEC HW-3, RQ-1).

    accumulators  list of signed A-bit buses;  multipliers  unsigned M bits, A + M <= 63;  shifts  unsigned, 1..62
    results  buses whose format holds lo .. hi.  All operands are sampled with `valid`.
    Latency STAGES cycles with `advance`: operands, two of partial products, two levels of sums, two of shifts,
    saturation, rounding with clip.  One value a cycle in every lane.
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
