"""Twins of `refcodec.fixed.restoring_division` and `rounding_division`, pipelined (SPEC HW-10, DIV-1, DIV-3)."""

from __future__ import annotations

from typing import Any

from myhdl import always, block, instance, intbv

from hw.elaboration import bit, limits, signed, unsigned

ROUNDING_STAGES = 3  # of a rounding division, besides those of the restoring division


@block
def delay_bit(clock, advance, value, delayed, cycles):
    """`value` as it was so many cycles with `advance` ago, one or more (SPEC HW-10)."""
    depth = int(cycles - 1)
    if depth == 0:

        @always(clock.posedge)
        def follow():
            if advance:
                delayed.next = value

        return follow

    top = depth - 1
    line = [bit() for _ in range(depth)]

    @always(clock.posedge)
    def follow_line():
        if advance:
            line[0].next = value
            for i in range(1, depth):
                line[i].next = line[i - 1]
            delayed.next = line[top]

    return follow_line


@block
def split_numerator(clock, advance, valid, numerator, denominator, remainder, divisor, rest, over):
    """What lies above the bits of the quotient is the first remainder (SPEC HW-10, DIV-3).

    rest  the bits below, as many as the quotient has;  over  the quotient needs more of them;  divisor  a copy.
    """
    top = len(numerator)
    bottom = len(rest)
    width = len(remainder)
    high_bits = max(top - bottom, width)

    @instance
    def split():
        high = intbv(0)[high_bits:]
        while True:
            yield clock.posedge
            if advance and valid:
                high[:] = numerator[top:bottom]
                rest.next = numerator[bottom:]
                divisor.next = denominator
                if high >= denominator:
                    over.next = True
                    remainder.next = 0
                else:
                    over.next = False
                    remainder.next = high[width:]

    return split


@block
def divide_bit(clock, advance, valid, remainder, divisor, rest, next_remainder, next_divisor, next_rest):
    """One bit of the quotient: it enters `rest` from below while the numerator leaves above (SPEC HW-10, DIV-3)."""
    width = len(remainder)
    bits = len(rest)
    top = bits - 1

    @instance
    def divide():
        part = intbv(0)[width + 1 :]
        shifted = intbv(0)[bits + 1 :]
        while True:
            yield clock.posedge
            if advance and valid:
                part[:] = remainder
                part[:] = part << 1
                if rest[top]:
                    part[:] = part + 1
                shifted[:] = rest
                shifted[:] = shifted << 1
                if part >= divisor:
                    part[:] = part - divisor
                    shifted[:] = shifted + 1
                next_remainder.next = part[width:]
                next_divisor.next = divisor
                next_rest.next = shifted[bits:]

    return divide


@block
def divide_last_bit(clock, advance, valid, remainder, divisor, rest, quotient):
    """The last bit of the quotient (SPEC HW-10, DIV-3)."""
    width = len(remainder)
    bits = len(rest)
    top = bits - 1

    @instance
    def divide():
        part = intbv(0)[width + 1 :]
        shifted = intbv(0)[bits + 1 :]
        while True:
            yield clock.posedge
            if advance and valid:
                part[:] = remainder
                part[:] = part << 1
                if rest[top]:
                    part[:] = part + 1
                shifted[:] = rest
                shifted[:] = shifted << 1
                if part >= divisor:
                    shifted[:] = shifted + 1
                quotient.next = shifted[bits:]

    return divide


@block
def restoring_division(clock, advance, valids, numerator, denominator, quotient, over):
    """Floor of a quotient, one bit in each stage (SPEC HW-10, DIV-3).

    numerator  unsigned, wider than the quotient;  denominator  unsigned, 1 or more;  quotient  unsigned, Q bits
    over  the quotient needs more than Q bits, and `quotient` holds anything
    valids  operands are present, and the same 1 .. Q cycles later.
    Latency Q + 1 cycles with `advance`, one division a cycle.
    """
    bits = len(quotient)
    width = len(denominator)
    remainders = [unsigned(width) for _ in range(bits)]
    divisors = [unsigned(width) for _ in range(bits)]
    rests = [unsigned(bits) for _ in range(bits)]
    first_over = bit()
    parts = []
    remainder, divisor, rest = remainders[0], divisors[0], rests[0]
    parts.append(
        split_numerator(clock, advance, valids[0], numerator, denominator, remainder, divisor, rest, first_over)
    )
    for i in range(bits - 1):
        valid, remainder, divisor, rest = valids[i + 1], remainders[i], divisors[i], rests[i]
        next_remainder, next_divisor, next_rest = remainders[i + 1], divisors[i + 1], rests[i + 1]
        parts.append(
            divide_bit(clock, advance, valid, remainder, divisor, rest, next_remainder, next_divisor, next_rest)
        )
    valid, remainder, divisor, rest = valids[bits], remainders[bits - 1], divisors[bits - 1], rests[bits - 1]
    parts.append(divide_last_bit(clock, advance, valid, remainder, divisor, rest, quotient))
    parts.append(delay_bit(clock, advance, first_over, over, bits))
    return parts


@block
def round_numerator(clock, advance, valid, numerator, denominator, whole, divisor, fraction):
    """floor((2 * numerator + d) / 2**(fraction + 1)), d the shifted denominator, and the denominator (SPEC HW-10).

    What is left of DIV-1 is the floor of `whole` by `denominator`: the floor of a floor is the floor.
    """
    fraction = int(fraction)
    shift = fraction + 1
    lo, hi = limits(len(whole) + shift)

    @instance
    def add_half():
        half = intbv(0, min=lo, max=hi)
        total = intbv(0, min=lo, max=hi)
        while True:
            yield clock.posedge
            if advance and valid:
                half[:] = denominator
                half[:] = half << fraction
                total[:] = numerator
                total[:] = total << 1
                total[:] = total + half
                whole.next = total >> shift
                divisor.next = denominator

    return add_half


@block
def take_magnitude(clock, advance, valid, whole, denominator, magnitude, divisor, negative):
    """The value, or -1 minus the value where that is negative: floors of both are each other's (SPEC HW-10)."""
    width = len(magnitude)
    lo, hi = limits(max(width, len(whole)) + 1)

    @instance
    def flip():
        flipped = intbv(0, min=lo, max=hi)
        while True:
            yield clock.posedge
            if advance and valid:
                if whole < 0:
                    flipped[:] = -1
                    flipped[:] = flipped - whole
                    negative.next = True
                else:
                    flipped[:] = whole
                    negative.next = False
                magnitude.next = flipped[width:]
                divisor.next = denominator

    return flip


@block
def limit_quotient(clock, advance, valid, quotient, over, negative, result):
    """Give the quotient its sign, saturate to the format of the result (SPEC HW-10, CLIP-1).

    quotient  as many bits as the largest result has.
    """
    bits = len(quotient)
    largest = int((1 << bits) - 1)
    lo, hi = limits(bits + 2)

    if result.min < 0:

        @instance
        def saturate():
            value = intbv(0, min=lo, max=hi)
            while True:
                yield clock.posedge
                if advance and valid:
                    if over:
                        value[:] = largest
                    else:
                        value[:] = quotient
                    if negative:
                        value[:] = -value
                        value[:] = value - 1
                    result.next = value

        return saturate

    @always(clock.posedge)
    def saturate_unsigned():
        if advance and valid:
            if negative:
                result.next = 0
            elif over:
                result.next = largest
            else:
                result.next = quotient

    return saturate_unsigned


def quotient_bits(result: Any) -> int:
    """Bits of the largest value of a bus."""
    return len(result) - (1 if result.min < 0 else 0)


def rounding_latency(bits: int) -> int:
    """Cycles of a rounding division whose largest result has so many bits (SPEC HW-10)."""
    return ROUNDING_STAGES + bits + 1


@block
def rounding_division_lane(clock, advance, valids, numerator, denominator, result, fraction):
    """The stages of one lane; operands, timing and result as in `rounding_division` (SPEC HW-10, DIV-1).

    valids  operands are present, and the same one cycle later and so on, one for each stage.
    """
    bits = quotient_bits(result)
    width = len(denominator)
    wide = max(len(numerator) + 1, width + fraction + 1) + 1
    whole_bits = wide - fraction - 1
    whole = signed(whole_bits)
    magnitude = unsigned(max(whole_bits - 1, bits + 1))
    whole_divisor, divisor = unsigned(width), unsigned(width)
    negative, late_negative, over = bit(), bit(), bit()
    quotient = unsigned(bits)
    division_valids = valids[2 : bits + 3]
    rounding = round_numerator(clock, advance, valids[0], numerator, denominator, whole, whole_divisor, fraction)
    absolute = take_magnitude(clock, advance, valids[1], whole, whole_divisor, magnitude, divisor, negative)
    division = restoring_division(clock, advance, division_valids, magnitude, divisor, quotient, over)
    sign = delay_bit(clock, advance, negative, late_negative, bits + 1)
    limit = limit_quotient(clock, advance, valids[bits + 3], quotient, over, late_negative, result)
    return rounding, absolute, division, sign, limit


@block
def rounding_division(clock, reset, advance, valid, numerators, denominators, result_valid, results, fraction):
    """Divide by denominator * 2**fraction, round half up, saturate to the format of the result (SPEC HW-10, DIV-1).

    numerators  list of signed buses;  denominators  unsigned, 1 or more;  all are sampled with `valid`
    results  buses of one format;  fraction  0 or more.
    Latency Q + 4 cycles with `advance`, Q the bits of the largest result: rounding, magnitude, Q + 1 of the division,
    sign.  One value a cycle in every lane.
    """
    latency = rounding_latency(quotient_bits(results[0]))
    depth = latency - 1
    top = depth - 1
    stages = [bit() for _ in range(depth)]
    valids = [valid, *stages]
    lanes = []
    for p in range(len(results)):
        numerator, denominator, result = numerators[p], denominators[p], results[p]
        lanes.append(rounding_division_lane(clock, advance, valids, numerator, denominator, result, fraction))

    @always(clock.posedge)
    def follow():
        if reset:
            for i in range(depth):
                stages[i].next = False
            result_valid.next = False
        elif advance:
            stages[0].next = valid
            for i in range(1, depth):
                stages[i].next = stages[i - 1]
            result_valid.next = stages[top]

    return lanes, follow
