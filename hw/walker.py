"""Address generator: visits every tap of every output, taps of value zero left out (SPEC HW-5, CONV-2, TCONV-3)."""

from __future__ import annotations

from myhdl import always, always_comb, block, instance, intbv

from hw.elaboration import address_bits, bit, limits, signed, unsigned


@block
def rom(address, word, contents):
    """A small constant table, combinational (SPEC HW-5)."""

    @always_comb
    def look_up():
        word.next = contents[int(address)]

    return look_up


@block
def axis(
    clock,
    rewind,
    next_output,
    rewind_taps,
    next_tap,
    phase,
    tap_last,
    output_last,
    in_range,
    offset,
    plan,
    size,
    outputs,
    unit,
):
    """One picture axis: output coordinate, its phase, its taps, and the address part of the current tap (SPEC HW-5).

    rewind  back to output 0;  next_output  to the following output;  rewind_taps  to its first tap;  next_tap
    each acts at the clock edge, the leftmost one wins.
    phase  output coordinate modulo the phases;  tap_last, output_last  no further tap, output, both registers
    in_range  the tap lies inside the picture;  offset  its coordinate times `unit`.
    """
    size = int(size)
    unit = int(unit)
    first = int(plan.first)
    first_offset = int(first * unit)
    tap_step = int(plan.tap_step)
    tap_offset = int(tap_step * unit)
    single_output = bool(outputs == 1)
    before_last = max(0, int(outputs - 2))
    last_phase = int(plan.phases - 1)
    # How many taps follow the first one, in the phase of this output and in that of the next.
    rest_table = tuple(int(taps - 1) for taps in plan.taps)
    next_rest_table = (*rest_table[1:], rest_table[0])
    first_rest = rest_table[0]
    first_single = bool(first_rest == 0)
    step_table = tuple(int(step) for step in plan.step)
    step_offset_table = tuple(int(step * unit) for step in plan.step)
    reach = int(size + 2 * max(max(plan.taps), max(plan.step), -first) + 2)
    position_bits = reach.bit_length() + 1
    offset_bits = len(offset)
    position_lo, position_hi = limits(position_bits)
    offset_lo, offset_hi = limits(offset_bits)

    coordinate = unsigned(address_bits(int(outputs)))
    rest, next_rest, taps_left = (unsigned(address_bits(max(plan.taps))) for _ in range(3))
    start = signed(position_bits)
    position = signed(position_bits)
    start_offset = signed(offset_bits)
    start_step = signed(position_bits)
    offset_step = signed(offset_bits)
    rest_rom = rom(phase, rest, rest_table)
    next_rest_rom = rom(phase, next_rest, next_rest_table)
    step_rom = rom(phase, start_step, step_table)
    offset_rom = rom(phase, offset_step, step_offset_table)

    @always_comb
    def bound():
        in_range.next = False
        if position >= 0 and position < size:
            in_range.next = True

    @instance
    def walk():
        target = intbv(0, min=position_lo, max=position_hi)
        target_offset = intbv(0, min=offset_lo, max=offset_hi)
        while True:
            yield clock.posedge
            if rewind:
                coordinate.next = 0
                output_last.next = single_output
                phase.next = 0
                taps_left.next = first_rest
                tap_last.next = first_single
                start.next = first
                start_offset.next = first_offset
                position.next = first
                offset.next = first_offset
            elif next_output:
                target[:] = start + start_step
                target_offset[:] = start_offset + offset_step
                coordinate.next = coordinate + 1
                output_last.next = coordinate == before_last
                if phase == last_phase:
                    phase.next = 0
                else:
                    phase.next = phase + 1
                taps_left.next = next_rest
                tap_last.next = next_rest == 0
                start.next = target
                start_offset.next = target_offset
                position.next = target
                offset.next = target_offset
            elif rewind_taps:
                taps_left.next = rest
                tap_last.next = rest == 0
                position.next = start
                offset.next = start_offset
            elif next_tap:
                taps_left.next = taps_left - 1
                tap_last.next = taps_left == 1
                position.next = position + tap_step
                offset.next = offset + tap_offset

    return rest_rom, next_rest_rom, step_rom, offset_rom, bound, walk


@block
def weight_counter(
    clock, launch, step, row_end, next_column, row_phase, column_phase, weight_address, plan, words_per_tap
):
    """Weight address: counts through the block of the current phase, whose outputs share it (SPEC HW-5).

    launch  to the block of phase (0, 0);  step  to the next word, or where the output ends (row_end, next_column)
    to the block of the next output's phase.  words_per_tap  words of one kernel tap: output groups x channel groups.
    """
    last_phase = int(plan.phases - 1)
    row_words = tuple(int(taps * sum(plan.taps) * words_per_tap) for taps in plan.taps)
    base_bits = len(weight_address) + 1
    row_length = unsigned(base_bits)
    row_base = unsigned(base_bits)
    length_rom = rom(row_phase, row_length, row_words)
    address_width = len(weight_address)

    @instance
    def count():
        base = intbv(0)[base_bits:]
        while True:
            yield clock.posedge
            if launch:
                weight_address.next = 0
                row_base.next = 0
            elif step:
                if row_end:
                    if row_phase == last_phase:
                        base[:] = 0
                    else:
                        base[:] = row_base + row_length
                    row_base.next = base
                    weight_address.next = base[address_width:]
                elif next_column:
                    if column_phase == last_phase:
                        weight_address.next = row_base[address_width:]
                    else:
                        weight_address.next = weight_address + 1
                else:
                    weight_address.next = weight_address + 1

    return length_rom, count


@block
def walker(
    clock,
    reset,
    advance,
    launch,
    valid,
    first,
    last,
    in_picture,
    base,
    activation_address,
    weight_address,
    output_group,
    parameters,
):
    """One step a cycle for each output word, kernel row, kernel column and channel group, in that order (SPEC HW-5).

    launch  begin a run;  valid  a step is present: first, last  of its output word;  in_picture  the tap lies inside
    base  address of the tile, constant from `launch` to the last step
    activation_address  of the tap and channel group, zero outside;  weight_address  in visit order;  output_group.
    Latency: the first step is present three cycles after `launch`; then one step a cycle with `advance`, without a gap.
    """
    plan = parameters.plan
    single_channel = bool(parameters.in_groups == 1)
    before_last_channel = max(0, int(parameters.in_groups - 2))
    single_group = bool(parameters.out_groups == 1)
    before_last_group = max(0, int(parameters.out_groups - 2))
    activation_bits = len(activation_address)
    # A tap lies less than two kernels and two strides outside the picture.
    reach = 2 * (parameters.kernel + parameters.stride)
    farthest = ((parameters.height + reach) * parameters.width + parameters.width + reach) * parameters.in_groups
    offset_bits = int((farthest + parameters.buffers["activation"].depth).bit_length() + 1)
    offset_lo, offset_hi = limits(offset_bits)

    running = bit()
    step = bit()
    first_step = bit()
    channel = unsigned(address_bits(parameters.in_groups))
    channel_address = unsigned(activation_bits)
    word_group = unsigned(address_bits(parameters.out_groups))
    word_address = unsigned(len(weight_address))
    channel_last, group_last = bit(), bit()
    # The step on its way from the counters to the outputs, one cycle later.
    placed, placed_first, placed_last, placed_inside = bit(), bit(), bit(), bit()
    placed_group = unsigned(address_bits(parameters.out_groups))
    placed_weight = unsigned(len(weight_address))
    placed_channel = unsigned(activation_bits)
    pixel_address = signed(offset_bits)
    channel_end, word_end, row_end, run_end = bit(), bit(), bit(), bit()
    row_rewind, row_next_output, row_rewind_taps, row_next_tap = bit(), bit(), bit(), bit()
    column_rewind, column_next_output, column_rewind_taps, column_next_tap = bit(), bit(), bit(), bit()
    row_phase, column_phase = unsigned(address_bits(plan.phases)), unsigned(address_bits(plan.phases))
    row_tap_last, row_output_last, row_in_range = bit(), bit(), bit()
    column_tap_last, column_output_last, column_in_range = bit(), bit(), bit()
    row_offset, column_offset = signed(offset_bits), signed(offset_bits)

    rows = axis(
        clock, row_rewind, row_next_output, row_rewind_taps, row_next_tap,
        row_phase, row_tap_last, row_output_last, row_in_range, row_offset,
        plan, parameters.height, parameters.out_height, parameters.width * parameters.in_groups,
    )  # fmt: skip
    columns = axis(
        clock, column_rewind, column_next_output, column_rewind_taps, column_next_tap,
        column_phase, column_tap_last, column_output_last, column_in_range, column_offset,
        plan, parameters.width, parameters.out_width, parameters.in_groups,
    )  # fmt: skip
    weights = weight_counter(
        clock, launch, step, row_end, column_next_output,
        row_phase, column_phase, word_address, plan, parameters.in_groups * parameters.out_groups,
    )  # fmt: skip

    @always_comb
    def carry():
        step.next = False
        channel_end.next = False
        word_end.next = False
        row_end.next = False
        run_end.next = False
        row_rewind.next = launch
        row_next_output.next = False
        row_rewind_taps.next = False
        row_next_tap.next = False
        column_rewind.next = launch
        column_next_output.next = False
        column_rewind_taps.next = False
        column_next_tap.next = False
        if running and advance:
            step.next = True
            if channel_last:
                channel_end.next = True
                if column_tap_last:
                    column_rewind_taps.next = True
                    if row_tap_last:
                        row_rewind_taps.next = True
                        word_end.next = True
                        if group_last:
                            if column_output_last:
                                column_rewind.next = True
                                row_end.next = True
                                if row_output_last:
                                    run_end.next = True
                                else:
                                    row_next_output.next = True
                            else:
                                column_next_output.next = True
                    else:
                        row_next_tap.next = True
                else:
                    column_next_tap.next = True

    @always(clock.posedge)
    def count():
        if reset:
            running.next = False
        elif launch:
            running.next = True
            first_step.next = True
            channel.next = 0
            channel_last.next = single_channel
            channel_address.next = base
            word_group.next = 0
            group_last.next = single_group
        elif step:
            first_step.next = word_end
            if channel_end:
                channel.next = 0
                channel_last.next = single_channel
                channel_address.next = base
            else:
                channel.next = channel + 1
                channel_last.next = channel == before_last_channel
                channel_address.next = channel_address + 1
            if word_end:
                if group_last:
                    word_group.next = 0
                    group_last.next = single_group
                else:
                    word_group.next = word_group + 1
                    group_last.next = word_group == before_last_group
            if run_end:
                running.next = False

    @always(clock.posedge)
    def locate():
        if reset:
            placed.next = False
        elif advance:
            placed.next = running
            if running:
                placed_first.next = first_step
                placed_last.next = word_end
                placed_group.next = word_group
                placed_weight.next = word_address
                placed_channel.next = channel_address
                placed_inside.next = row_in_range and column_in_range
                pixel_address.next = row_offset + column_offset

    @instance
    def issue():
        address = intbv(0, min=offset_lo, max=offset_hi)
        term = intbv(0, min=offset_lo, max=offset_hi)
        while True:
            yield clock.posedge
            if reset:
                valid.next = False
            elif advance:
                valid.next = placed
                if placed:
                    first.next = placed_first
                    last.next = placed_last
                    output_group.next = placed_group
                    weight_address.next = placed_weight
                    in_picture.next = placed_inside
                    activation_address.next = 0
                    if placed_inside:
                        address[:] = pixel_address
                        term[:] = placed_channel
                        address[:] = address + term
                        activation_address.next = address[activation_bits:]

    return rows, columns, weights, carry, count, locate, issue
