"""Twin of the sum of products in `refcodec.fixed.convolution` (SPEC HW-2, CONV-2)."""

from __future__ import annotations

from myhdl import always, block, instance, intbv

from hw.elaboration import bit, limits, signed


@block
def multiply(clock, advance, valid, in_picture, x_word, weight_word, product, lane, x_format, weight_bits):
    """Product of one activation lane and one weight lane, zero outside the picture (SPEC HW-2).

    x_word, weight_word  packed words, lane 0 in the lowest bits;  product  signed, activation + weight bits.
    Latency one cycle with `advance`, one product a cycle.
    """
    x_top = int((lane + 1) * x_format.bits)
    x_bottom = int(lane * x_format.bits)
    w_top = int((lane + 1) * weight_bits)
    w_bottom = int(lane * weight_bits)
    x_lo, x_hi = limits(int(x_format.bits) + 1)
    w_lo, w_hi = limits(int(weight_bits))

    if x_format.signed:

        @instance
        def multiply_lane():
            x = intbv(0, min=x_lo, max=x_hi)
            w = intbv(0, min=w_lo, max=w_hi)
            while True:
                yield clock.posedge
                if advance and valid:
                    if in_picture:
                        x[:] = x_word[x_top:x_bottom].signed()
                        w[:] = weight_word[w_top:w_bottom].signed()
                        product.next = x * w
                    else:
                        product.next = 0

    else:

        @instance
        def multiply_lane():
            x = intbv(0, min=x_lo, max=x_hi)
            w = intbv(0, min=w_lo, max=w_hi)
            while True:
                yield clock.posedge
                if advance and valid:
                    if in_picture:
                        x[:] = x_word[x_top:x_bottom]
                        w[:] = weight_word[w_top:w_bottom].signed()
                        product.next = x * w
                    else:
                        product.next = 0

    return multiply_lane


@block
def add_pairs(clock, advance, valid, terms, sums):
    """One level of the adder tree: sums[i] = terms[2i] + terms[2i+1], an odd last term passes (SPEC HW-2).

    terms  signed;  sums  one bit wider, half as many, rounded up.  Latency one cycle with `advance`.
    """
    pairs = len(terms) // 2
    last_term = len(terms) - 1
    last_sum = len(sums) - 1

    if len(terms) % 2 == 0:

        @always(clock.posedge)
        def add_level():
            if advance and valid:
                for i in range(pairs):
                    sums[i].next = terms[2 * i] + terms[2 * i + 1]

    else:

        @always(clock.posedge)
        def add_level():
            if advance and valid:
                for i in range(pairs):
                    sums[i].next = terms[2 * i] + terms[2 * i + 1]
                sums[last_sum].next = terms[last_term]

    return add_level


@block
def move_terms(clock, advance, valid, terms, moved):
    """Products on their way from the multipliers, which stand where the device has them (SPEC HW-2).

    Latency one cycle with `advance`.
    """
    count = len(terms)

    @always(clock.posedge)
    def move():
        if advance and valid:
            for i in range(count):
                moved[i].next = terms[i]

    return move


@block
def accumulate(clock, advance, valid, first, bias, total, accumulator):
    """Add one tree total to the accumulator, or to the bias where `first` (SPEC HW-2).

    The caller has proven that no partial sum leaves the accumulator's width (SPEC ACC-1).
    Latency one cycle with `advance`, one total a cycle.
    """
    lo, hi = limits(max(len(total), len(accumulator)) + 1)

    @instance
    def add():
        partial = intbv(0, min=lo, max=hi)
        while True:
            yield clock.posedge
            if advance and valid:
                if first:
                    partial[:] = bias
                else:
                    partial[:] = accumulator
                partial[:] = partial + total
                accumulator.next = partial

    return add


@block
def mac_column(
    clock, advance, valid, stages, first, in_picture, x_word, weight_word, bias, accumulator, pi, x_format, weight_bits,
    product_stages,
):  # fmt: skip
    """PI products, their adder tree and one accumulator (SPEC HW-2).

    valid  operands are present;  stages  `valid` after each stage of the products and after each tree level.
    Timing as in `mac_array`.
    """
    product_bits = int(x_format.bits + weight_bits)
    products = [signed(product_bits) for _ in range(pi)]
    parts = []
    for lane in range(pi):
        product = products[lane]
        parts.append(
            multiply(clock, advance, valid, in_picture, x_word, weight_word, product, lane, x_format, weight_bits)
        )
    terms = products
    stage = 0
    while stage < product_stages - 1:
        moved = [signed(product_bits) for _ in range(pi)]
        parts.append(move_terms(clock, advance, stages[stage], terms, moved))
        terms = moved
        stage += 1
    while len(terms) > 1:
        sums = [signed(len(terms[0]) + 1) for _ in range(-(-len(terms) // 2))]
        parts.append(add_pairs(clock, advance, stages[stage], terms, sums))
        terms = sums
        stage += 1
    parts.append(accumulate(clock, advance, stages[stage], first, bias, terms[0], accumulator))
    return parts


@block
def mac_array(
    clock, reset, advance, valid, first, last, in_picture, x_word, weight_words,
    biases, result_valid, accumulators, pi, x_format, weight_bits, product_stages=1,
):  # fmt: skip
    """PO columns of PI products: accumulators[p] = biases[p] + sum over steps and lanes of x * w (SPEC HW-2, CONV-2).

    valid  a step is present: x_word, weight_words, in_picture, first (begin a new sum), last (the sum is complete)
    x_word  PI activations;  weight_words  PO words of PI weights
    biases  PO buses, sampled T + P cycles after `first`;  product_stages  P, registers that a product passes
    Latency from the last step to result_valid and accumulators T + P + 1 cycles with `advance`, T = ceil(log2(PI));
    one step a cycle, sums may follow each other without a gap.
    """
    pi = int(pi)
    depth = (pi - 1).bit_length() + int(product_stages)
    top = depth - 1
    valids = [bit() for _ in range(depth)]
    firsts = [bit() for _ in range(depth)]
    lasts = [bit() for _ in range(depth)]
    columns = []
    for p in range(len(accumulators)):
        weight_word, bias, accumulator = weight_words[p], biases[p], accumulators[p]
        columns.append(
            mac_column(
                clock, advance, valid, valids, firsts[top], in_picture,
                x_word, weight_word, bias, accumulator, pi, x_format, weight_bits, product_stages,
            )
        )  # fmt: skip

    @always(clock.posedge)
    def follow():
        if reset:
            for i in range(depth):
                valids[i].next = False
            result_valid.next = False
        elif advance:
            valids[0].next = valid
            firsts[0].next = first
            lasts[0].next = last
            for i in range(1, depth):
                valids[i].next = valids[i - 1]
                firsts[i].next = firsts[i - 1]
                lasts[i].next = lasts[i - 1]
            result_valid.next = False
            if valids[top]:
                result_valid.next = lasts[top]

    return columns, follow
