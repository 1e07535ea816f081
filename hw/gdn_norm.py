"""Samples and their divisors, pixel after pixel, for the stages of GDN and its inverse (SPEC HW-9, GDN-1, GDN-2)."""

from __future__ import annotations

from myhdl import always, always_comb, block, instance, intbv

from hw.convolution import delay_group, lane_memories
from hw.elaboration import address_bits, bit, limits, signed, unsigned
from hw.isqrt import isqrt
from hw.mac_array import mac_array
from hw.memory import ram


@block
def pixel_walker(
    clock, reset, advance, source_valid, source_ready, write, write_address, step, read_address,
    group, output_group, first, group_end, pixel_end, in_groups, out_groups,
):  # fmt: skip
    """Fills two pixels by turns and visits all groups of a full one for each output group (SPEC HW-9).

    write, write_address  of the word that passes;  step  a word is read in this cycle, at `read_address`
    group, output_group  of the step;  first, group_end, pixel_end  of the sum, and the last of the pixel.
    One step a cycle with `advance` while a pixel is full; a pixel is free again once its last word is read.
    """
    last_group = int(in_groups - 1)
    last_output_group = int(out_groups - 1)
    second = int(in_groups)
    last_address = int(2 * in_groups - 1)
    full = unsigned(2)
    upper = bit()
    complete, release = bit(), bit()

    @always_comb
    def accept():
        source_ready.next = full != 2
        write.next = False
        complete.next = False
        if source_valid and full != 2:
            write.next = True
            if write_address == last_group:
                complete.next = True
            if write_address == last_address:
                complete.next = True

    @always_comb
    def visit():
        step.next = full != 0
        first.next = group == 0
        group_end.next = False
        pixel_end.next = False
        release.next = False
        if group == last_group:
            group_end.next = True
            if output_group == last_output_group:
                pixel_end.next = True
                if advance and full != 0:
                    release.next = True

    @always(clock.posedge)
    def fill():
        if reset:
            write_address.next = 0
            full.next = 0
        else:
            if write:
                if write_address == last_address:
                    write_address.next = 0
                else:
                    write_address.next = write_address + 1
            if complete and not release:
                full.next = full + 1
            elif release and not complete:
                full.next = full - 1

    @always(clock.posedge)
    def walk():
        if reset:
            group.next = 0
            output_group.next = 0
            read_address.next = 0
            upper.next = False
        elif advance and step:
            if not group_end:
                group.next = group + 1
                read_address.next = read_address + 1
            elif not pixel_end:
                group.next = 0
                output_group.next = output_group + 1
                if upper:
                    read_address.next = second
                else:
                    read_address.next = 0
            else:
                group.next = 0
                output_group.next = 0
                upper.next = not upper
                if upper:
                    read_address.next = 0
                else:
                    read_address.next = second

    return accept, visit, fill, walk


@block
def lane_of(word, value, lane):
    """One lane of a word, as its bits are (SPEC HW-9)."""
    top = int((lane + 1) * len(value))
    bottom = int(lane * len(value))

    @always_comb
    def take():
        value.next = word[top:bottom]

    return take


@block
def power(clock, advance, valid, value, weighed, form, squared):
    """The magnitude or the square of one lane (SPEC HW-9, GDN-1).  Latency one cycle with `advance`."""
    width = len(value)
    power_bits = len(weighed)
    lo, hi = limits(width + 1)
    square_lo, square_hi = limits(2 * width + 2)

    if squared and form.signed:

        @instance
        def weigh():
            number = intbv(0, min=lo, max=hi)
            square = intbv(0, min=square_lo, max=square_hi)
            while True:
                yield clock.posedge
                if advance and valid:
                    number[:] = value[width:].signed()
                    square[:] = number * number
                    weighed.next = square[power_bits:]

    elif squared:

        @always(clock.posedge)
        def weigh():
            if advance and valid:
                weighed.next = value * value

    elif form.signed:

        @instance
        def weigh():
            number = intbv(0, min=lo, max=hi)
            while True:
                yield clock.posedge
                if advance and valid:
                    number[:] = value[width:].signed()
                    if number < 0:
                        number[:] = -number
                    weighed.next = number[power_bits:]

    else:

        @always(clock.posedge)
        def weigh():
            if advance and valid:
                weighed.next = value

    return weigh


@block
def join_lanes(lanes, word):
    """The word of these lanes, lane 0 in the lowest bits (SPEC HW-9)."""
    count = len(lanes)
    width = len(lanes[0])
    total = count * width

    @always_comb
    def join():
        joined = intbv(0)[total:]
        joined[:] = 0
        for i in range(count):
            joined[:] = joined << width
            joined[:] = joined | lanes[count - 1 - i]
        word.next = joined

    return join


@block
def take_value(clock, reset, advance, valid, group, group_end, pixel_end, values, value, lane, pi, po, words):
    """Keeps the sample of one output lane, channel output group * PO + lane, as its word passes (SPEC HW-9).

    values  the input lanes of the passing word, channels from group * PI on;  words  that may be waited for
    value  is there one cycle after the word of `group_end`, whatever there is where the channel does not exist.
    """
    first_word = int(lane // pi)
    first_place = int(lane % pi)
    word_step = int(po // pi)
    place_step = int(po % pi)
    wrap = int(pi - place_step)
    word = unsigned(address_bits(words))

    if place_step == 0:

        @always(clock.posedge)
        def take():
            if reset:
                word.next = first_word
            elif advance and valid:
                if group == word:
                    value.next = values[first_place]
                if pixel_end:
                    word.next = first_word
                elif group_end:
                    word.next = word + word_step

        return take

    place = unsigned(address_bits(pi))

    @always(clock.posedge)
    def take_anywhere():
        if reset:
            word.next = first_word
            place.next = first_place
        elif advance and valid:
            if group == word:
                value.next = values[place]
            if pixel_end:
                word.next = first_word
                place.next = first_place
            elif group_end:
                if place < wrap:
                    word.next = word + word_step
                    place.next = place + place_step
                else:
                    word.next = word + word_step + 1
                    place.next = place - wrap

    return take_anywhere


@block
def value_queue(clock, reset, advance, put, take, arriving, leaving, depth):
    """Keeps the samples of an output group until its divisors are there (SPEC HW-9).  Latency one cycle."""
    last = int(depth - 1)
    write, read = bit(), bit()
    write_address, read_address = unsigned(address_bits(depth)), unsigned(address_bits(depth))
    lanes = []
    for p in range(len(arriving)):
        value_in, value_out = arriving[p], leaving[p]
        lanes.append(ram(clock, write, write_address, value_in, read, read_address, value_out, depth))

    @always_comb
    def enable():
        write.next = advance and put
        read.next = advance and take

    @always(clock.posedge)
    def move():
        if reset:
            write_address.next = 0
            read_address.next = 0
        else:
            if write:
                if write_address == last:
                    write_address.next = 0
                else:
                    write_address.next = write_address + 1
            if read:
                if read_address == last:
                    read_address.next = 0
                else:
                    read_address.next = read_address + 1

    return lanes, enable, move


@block
def round_norm(clock, advance, valid, norm, divisor, shift):
    """The norm, rounded to fewer bits (SPEC HW-9, GDN-2).  Latency one cycle with `advance`."""
    shift = int(shift)
    width = len(divisor)
    lo, hi = limits(max(len(norm), width + shift) + 1)
    power_of_half = shift - 1

    if shift == 0:

        @always(clock.posedge)
        def narrow():
            if advance and valid:
                divisor.next = norm[width:]

        return narrow

    @instance
    def scale():
        half = intbv(0, min=lo, max=hi)
        total = intbv(0, min=lo, max=hi)
        while True:
            yield clock.posedge
            if advance and valid:
                half[:] = 1
                half[:] = half << power_of_half
                total[:] = norm
                total[:] = total + half
                total[:] = total >> shift
                divisor.next = total[width:]

    return scale


@block
def scale_norm(clock, advance, valid, norm, radicand, shift):
    """The norm of squares, shifted for the root (SPEC HW-9, GDN-2).  Latency one cycle with `advance`."""
    shift = int(shift)
    width = len(radicand)
    wide = max(len(norm) + shift, width) + 1
    lo, hi = limits(wide)

    @instance
    def scale():
        total = intbv(0, min=lo, max=hi)
        while True:
            yield clock.posedge
            if advance and valid:
                total[:] = norm
                total[:] = total << shift
                radicand.next = total[width:]

    return scale


@block
def follow_valid(clock, reset, advance, valid, later):
    """`valid` one cycle later (SPEC HW-9)."""

    @always(clock.posedge)
    def follow():
        if reset:
            later.next = False
        elif advance:
            later.next = valid

    return follow


@block
def rounded_norms(clock, reset, advance, valid, norms, fetch, divisors_valid, divisors, shift):
    """Divisors of the plain form; `fetch` one cycle before them (SPEC HW-9, GDN-2).  Latency one cycle."""
    lanes = []
    for p in range(len(norms)):
        norm, divisor = norms[p], divisors[p]
        lanes.append(round_norm(clock, advance, valid, norm, divisor, shift))
    line = follow_valid(clock, reset, advance, valid, divisors_valid)

    @always_comb
    def announce():
        fetch.next = valid

    return lanes, line, announce


@block
def root_norms(clock, reset, advance, valid, norms, fetch, divisors_valid, divisors, shift):
    """Divisors of the squared form; `fetch` one cycle before them (SPEC HW-9, GDN-2, ISQRT-1).

    Latency one cycle more than a root has bits.
    """
    root_bits = len(divisors[0])
    radicands = [unsigned(2 * root_bits) for _ in range(len(norms))]
    radicands_valid = bit()
    stages = [bit() for _ in range(root_bits)]
    before, last = stages[root_bits - 2], stages[root_bits - 1]
    lanes = []
    for p in range(len(norms)):
        norm, radicand = norms[p], radicands[p]
        lanes.append(scale_norm(clock, advance, valid, norm, radicand, shift))
    line = follow_valid(clock, reset, advance, valid, radicands_valid)
    roots = isqrt(clock, reset, advance, radicands_valid, radicands, stages, divisors)

    @always_comb
    def announce():
        fetch.next = before
        divisors_valid.next = last

    return lanes, line, roots, announce


@block
def divisor_lanes(
    clock, reset, load, first_select, advance, source, fetch, group, divisors_valid, divisors, values, stage
):
    """The samples of one output group and their divisors (SPEC HW-9, GDN-1, GDN-2).

    divisors_valid  PO divisors and the bits of PO samples are there;  fetch, group  so one cycle before, and which.
    """
    pi, po = stage.lanes_in, stage.lanes_out
    in_groups, out_groups = stage.source.groups, stage.sink.groups
    levels = stage.tree_levels
    source_valid, source_ready, source_word = source.valid, source.ready, source.word
    gamma_depth, beta_depth = stage.norm_memories["gamma"].depth, stage.norm_memories["beta"].depth
    pixel_words = stage.buffers["pixel"].depth
    value_bits, squared = stage.source_format.bits, stage.squared
    last_gamma, last_output_group = int(gamma_depth - 1), int(out_groups - 1)

    write, step, step_first, step_group_end, step_pixel_end, read = bit(), bit(), bit(), bit(), bit(), bit()
    write_address, read_address = unsigned(address_bits(pixel_words)), unsigned(address_bits(pixel_words))
    step_group, step_output_group = unsigned(address_bits(in_groups)), unsigned(address_bits(out_groups))
    x_word = unsigned(stage.source.bits)
    x_valid, x_first, x_group_end, x_pixel_end = bit(), bit(), bit(), bit()
    x_group, x_output_group = unsigned(address_bits(in_groups)), unsigned(address_bits(out_groups))
    gamma_address = unsigned(address_bits(gamma_depth))
    x_values = [unsigned(value_bits) for _ in range(pi)]
    powers = [unsigned(stage.power_format.bits) for _ in range(pi)]
    power_word = unsigned(pi * stage.power_format.bits)
    valid, first, last, put = bit(), bit(), bit(), bit()
    gamma_words = [unsigned(stage.norm_memories["gamma"].bits) for _ in range(po)]
    groups = [unsigned(address_bits(out_groups)) for _ in range(levels + 1)]
    beta_group = groups[levels]
    betas = [signed(stage.norm_format.bits) for _ in range(po)]
    norms = [signed(stage.norm_format.bits) for _ in range(po)]
    norms_valid = bit()
    taken = [unsigned(value_bits) for _ in range(po)]

    walker = pixel_walker(
        clock, reset, advance, source_valid, source_ready, write, write_address, step, read_address,
        step_group, step_output_group, step_first, step_group_end, step_pixel_end, in_groups, out_groups,
    )  # fmt: skip
    pixels = ram(clock, write, write_address, source_word, read, read_address, x_word, pixel_words)
    lanes = []
    for i in range(pi):
        x_value, weighed = x_values[i], powers[i]
        lanes.append(lane_of(x_word, x_value, i))
        lanes.append(power(clock, advance, x_valid, x_value, weighed, stage.source_format, squared))
    joined = join_lanes(powers, power_word)
    gammas = lane_memories(clock, load, first_select, advance, x_valid, gamma_address, gamma_words, gamma_depth)
    beta_select = first_select + 1
    group_delay = delay_group(clock, advance, x_output_group, groups)
    beta_memories = lane_memories(clock, load, beta_select, advance, advance, beta_group, betas, beta_depth)
    array = mac_array(
        clock, reset, advance, valid, first, last, valid, power_word, gamma_words,
        betas, norms_valid, norms, pi, stage.power_format, stage.gamma_format.bits + 1,
    )  # fmt: skip
    divide = root_norms if squared else rounded_norms
    makers = divide(clock, reset, advance, norms_valid, norms, fetch, divisors_valid, divisors, stage.norm_shift)
    takers = []
    for p in range(po):
        value = taken[p]
        takers.append(
            take_value(
                clock, reset, advance, x_valid, x_group, x_group_end, x_pixel_end, x_values, value, p, pi, po,
                stage.waited_words,
            )
        )  # fmt: skip
    queue = value_queue(clock, reset, advance, put, fetch, taken, values, stage.buffers["value"].depth)

    @always_comb
    def enable():
        read.next = advance and step
        put.next = valid and last

    @always(clock.posedge)
    def follow():
        if reset:
            x_valid.next = False
            valid.next = False
            gamma_address.next = 0
            group.next = 0
        elif advance:
            x_valid.next = step
            x_first.next = step_first
            x_group_end.next = step_group_end
            x_pixel_end.next = step_pixel_end
            x_group.next = step_group
            x_output_group.next = step_output_group
            valid.next = x_valid
            first.next = x_first
            last.next = x_group_end
            if x_valid:
                if gamma_address == last_gamma:
                    gamma_address.next = 0
                else:
                    gamma_address.next = gamma_address + 1
            if fetch:
                if group == last_output_group:
                    group.next = 0
                else:
                    group.next = group + 1

    return (
        walker, pixels, lanes, joined, gammas, group_delay, beta_memories, array, makers, takers, queue, enable, follow,
    )  # fmt: skip
