"""Twin of `refcodec.fixed.isqrt`, pipelined (SPEC HW-11, ISQRT-1)."""

from __future__ import annotations

from myhdl import always, block, instance, intbv

from hw.elaboration import unsigned


@block
def first_root_bit(clock, advance, valid, radicand, root, remainder, rest):
    """The root's highest bit, from the two highest bits of the radicand (SPEC HW-11, ISQRT-1)."""
    top = len(radicand)
    bottom = top - 2

    @instance
    def begin():
        pair = intbv(0)[2:]
        while True:
            yield clock.posedge
            if advance and valid:
                pair[:] = radicand[top:bottom]
                if pair == 0:
                    root.next = 0
                    remainder.next = 0
                else:
                    root.next = 1
                    remainder.next = pair - 1
                rest.next = radicand[bottom:]

    return begin


@block
def root_bit(clock, advance, valid, root, remainder, rest, next_root, next_remainder, next_rest):
    """One bit more of the root (SPEC HW-11, ISQRT-1).

    remainder  of the radicand's part so far, without the root's square, at most twice the root
    rest  bits of the radicand that are still to come, two for each bit of the root.
    """
    top = len(rest)
    bottom = top - 2
    bits = len(root)
    remainder_bits = len(next_remainder)

    @instance
    def extend():
        pair = intbv(0)[2:]
        part = intbv(0)[bits + 3 :]
        trial = intbv(0)[bits + 2 :]
        longer = intbv(0)[bits + 1 :]
        while True:
            yield clock.posedge
            if advance and valid:
                pair[:] = rest[top:bottom]
                part[:] = remainder
                part[:] = part << 2
                part[:] = part + pair
                trial[:] = root
                trial[:] = trial << 2
                trial[:] = trial + 1
                longer[:] = root
                longer[:] = longer << 1
                if part >= trial:
                    part[:] = part - trial
                    longer[:] = longer + 1
                next_root.next = longer
                next_remainder.next = part[remainder_bits:]
                next_rest.next = rest[bottom:]

    return extend


@block
def last_root_bit(clock, advance, valid, root, remainder, rest, next_root):
    """The lowest bit of the root (SPEC HW-11, ISQRT-1)."""
    bits = len(root)

    @instance
    def finish():
        part = intbv(0)[bits + 3 :]
        trial = intbv(0)[bits + 2 :]
        longer = intbv(0)[bits + 1 :]
        while True:
            yield clock.posedge
            if advance and valid:
                part[:] = remainder
                part[:] = part << 2
                part[:] = part + rest
                trial[:] = root
                trial[:] = trial << 2
                trial[:] = trial + 1
                longer[:] = root
                longer[:] = longer << 1
                if part >= trial:
                    longer[:] = longer + 1
                next_root.next = longer

    return finish


@block
def isqrt_lane(clock, advance, valids, radicand, root):
    """The stages of one lane; operands, timing and result as in `isqrt` (SPEC HW-11, ISQRT-1).

    valids  the operand is present, and the same one cycle later and so on, one for each stage.
    """
    count = len(root)
    roots = [unsigned(k + 1) for k in range(count - 1)]
    remainders = [unsigned(k + 2) for k in range(count - 1)]
    rests = [unsigned(2 * (count - k - 1)) for k in range(count - 1)]
    parts = [first_root_bit(clock, advance, valids[0], radicand, roots[0], remainders[0], rests[0])]
    for k in range(count - 2):
        parts.append(
            root_bit(
                clock, advance, valids[k + 1], roots[k], remainders[k], rests[k],
                roots[k + 1], remainders[k + 1], rests[k + 1],
            )
        )  # fmt: skip
    last = count - 2
    parts.append(last_root_bit(clock, advance, valids[count - 1], roots[last], remainders[last], rests[last], root))
    return parts


@block
def isqrt(clock, reset, advance, valid, radicands, stages, roots):
    """Floor of the square root, one bit in each stage, lane by lane (SPEC HW-11, ISQRT-1).

    radicands  list of unsigned buses of 2 * R bits, sampled with `valid`;  roots  unsigned, R bits, R 2 or more
    stages  list of R bits, stages[k] is `valid` k + 1 cycles ago; the last comes with the roots.
    Latency R cycles with `advance`, one value a cycle in every lane.
    """
    depth = len(stages)
    valids = [valid, *stages]
    lanes = []
    for p in range(len(roots)):
        radicand, root = radicands[p], roots[p]
        lanes.append(isqrt_lane(clock, advance, valids, radicand, root))

    @always(clock.posedge)
    def follow():
        if reset:
            for i in range(depth):
                stages[i].next = False
        elif advance:
            stages[0].next = valid
            for i in range(1, depth):
                stages[i].next = stages[i - 1]

    return lanes, follow
