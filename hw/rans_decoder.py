"""The units of the rANS decoder and how they work together (SPEC HW-12, RANS-2, RANS-3)."""

from __future__ import annotations

from myhdl import Signal, always, always_comb, block, enum, instance, intbv

from hw.elaboration import address_bits, bit, limits, signed, unsigned
from hw.memory import memory
from hw.stream import Stream

STATE_BITS = 64
WORD_BITS = 32
SLOT_BITS = 16  # of the state, which choose an entry of a row; the rows hold cumulative values modulo 2**16
NIBBLE_BITS = 4
MAX_NIBBLES = 5  # an escape carries 17 bits at most
RAW_BITS = NIBBLE_BITS * MAX_NIBBLES
SYMBOL_BITS = 16
WIDE_SYMBOL_BITS = 22  # an int16 and a half of RAW_BITS, whatever the payload
LOWEST = STATE_BITS // 2 - 1  # the state is 2**LOWEST or more between symbols

TRUNCATED, BAD_SYMBOL, BAD_STATE, SURPLUS = 1, 2, 3, 4  # what `fault` says


@block
def channel_rows(clock, reset, index, rows, plane):
    """The rows of symbols whose row is their channel: each `plane` times, again and again (SPEC HW-12).

    index  stream that always offers a row once the reset is over.
    """
    valid, ready, word = index.valid, index.ready, index.word
    last_row = int(rows - 1)
    last_place = int(plane - 1)
    place = unsigned(address_bits(int(plane)))
    row = unsigned(len(word))

    @always(clock.posedge)
    def count():
        valid.next = not reset
        if reset:
            row.next = 0
            place.next = 0
        elif valid and ready:
            if place != last_place:
                place.next = place + 1
            else:
                place.next = 0
                if row == last_row:
                    row.next = 0
                else:
                    row.next = row + 1

    @always_comb
    def show():
        word.next = row

    return count, show


@block
def control(
    clock, reset, step, steps, taken, proceeds, row_taken, search_ends, full, escaped, nibbles_end, final, wrong, fault
):
    """Which step the decoder is at (SPEC HW-12).

    taken  a word passes;  proceeds  the state needs none, or one passes;  row_taken  a row passes
    search_ends  this is the last level;  full  a symbol is offered;  escaped  the entry found is the escape
    nibbles_end  no further nibble follows;  final  this symbol is the last;  wrong  what went wrong at this edge, or 0.
    """

    @always(clock.posedge)
    def go_on():
        if reset:
            step.next = steps.AT_COUNT
            fault.next = 0
        elif wrong != 0:
            step.next = steps.AT_FAULT
            fault.next = wrong
        elif step == steps.AT_COUNT:
            if taken:
                step.next = steps.AT_LOW
        elif step == steps.AT_LOW:
            if taken:
                step.next = steps.AT_HIGH
        elif step == steps.AT_HIGH:
            if taken:
                step.next = steps.AT_INDEX
        elif step == steps.AT_INDEX:
            if row_taken:
                step.next = steps.AT_ROW
        elif step == steps.AT_ROW:
            step.next = steps.AT_READ
        elif step == steps.AT_READ:
            step.next = steps.AT_SEARCH
        elif step == steps.AT_SEARCH:
            if search_ends:
                step.next = steps.AT_INTERVAL
        elif step == steps.AT_INTERVAL:
            step.next = steps.AT_PRODUCT
        elif step == steps.AT_PRODUCT:
            step.next = steps.AT_SUM
        elif step == steps.AT_SUM:
            if not full:
                step.next = steps.AT_REFILL
        elif step == steps.AT_REFILL:
            if proceeds:
                if escaped:
                    step.next = steps.AT_LENGTH
                elif final:
                    step.next = steps.AT_END
                else:
                    step.next = steps.AT_INDEX
        elif step == steps.AT_LENGTH or step == steps.AT_NIBBLE:
            if proceeds:
                if nibbles_end:
                    step.next = steps.AT_VALUE
                else:
                    step.next = steps.AT_NIBBLE
        elif step == steps.AT_VALUE:
            step.next = steps.AT_SYMBOL
        elif step == steps.AT_SYMBOL:
            if final:
                step.next = steps.AT_END
            else:
                step.next = steps.AT_INDEX
        elif step == steps.AT_END:
            step.next = steps.AT_COUNT

    return go_on


@block
def refill(clock, source, step, steps, state, words_left, need, taken, proceeds):
    """Takes words: the number of them, the first state, then one whenever the state falls below 2**31 (SPEC HW-12).

    words_left  of the payload;  need  the state asks for one.  After a fault every word is taken and dropped.
    """
    valid, ready, word = source.valid, source.ready, source.word
    top = STATE_BITS
    after_symbol = LOWEST
    after_nibble = LOWEST + NIBBLE_BITS
    accepts = bit()

    @always_comb
    def ask():
        need.next = False
        if step == steps.AT_REFILL:
            need.next = state[top:after_symbol] == 0
        elif step == steps.AT_LENGTH or step == steps.AT_NIBBLE:
            need.next = state[top:after_nibble] == 0

    @always_comb
    def accept():
        accepts.next = False
        if need:
            accepts.next = words_left != 0
        elif step == steps.AT_COUNT or step == steps.AT_LOW or step == steps.AT_HIGH or step == steps.AT_FAULT:
            accepts.next = True

    @always_comb
    def take():
        ready.next = accepts
        taken.next = valid and accepts
        proceeds.next = not need or (valid and accepts)

    @always(clock.posedge)
    def count():
        if taken:
            if step == steps.AT_COUNT:
                words_left.next = word
            elif words_left != 0:
                words_left.next = words_left - 1

    return ask, accept, take, count


@block
def check(step, steps, taken, need, word, state, words_left, nibbles_left, symbol, wrong):
    """What is wrong with the payload at this step, 0 where nothing is (SPEC HW-12, RANS-2, RANS-3)."""
    top = STATE_BITS
    middle = LOWEST + 1
    lowest = LOWEST
    sign = WORD_BITS - 1
    nibble_bits = NIBBLE_BITS
    most = MAX_NIBBLES
    highest_symbol = (1 << (SYMBOL_BITS - 1)) - 1
    lowest_symbol = -(1 << (SYMBOL_BITS - 1))
    truncated, bad_symbol, bad_state, surplus = TRUNCATED, BAD_SYMBOL, BAD_STATE, SURPLUS

    @always_comb
    def judge():
        wrong.next = 0
        if need and words_left == 0:
            wrong.next = truncated
        elif step == steps.AT_COUNT:
            if taken and word < 2:
                wrong.next = truncated
        elif step == steps.AT_HIGH:
            if taken and (word[sign] or (word == 0 and not state[lowest])):
                wrong.next = bad_state
        elif step == steps.AT_LENGTH:
            if state[nibble_bits:] > most:
                wrong.next = bad_symbol
        elif step == steps.AT_NIBBLE:
            if nibbles_left == 1 and state[nibble_bits:] == 0:
                wrong.next = bad_symbol
        elif step == steps.AT_SYMBOL:
            if symbol > highest_symbol or symbol < lowest_symbol:
                wrong.next = bad_symbol
        elif step == steps.AT_END:
            if state[lowest:] != 0 or state[top:middle] != 0:  # it is 2**31 or more
                wrong.next = bad_state
            elif words_left != 0:
                wrong.next = surplus

    return judge


@block
def search(
    clock, step, steps, start, escape, slot, value, probe, fetch, found, lower, upper, last, search_ends,
):  # fmt: skip
    """Finds the last entry of a row that is not above the slot, a level of a binary search each cycle (SPEC HW-12).

    start, escape  where the row stands in the values, and the number of its last entry: read at AT_ROW
    value  what stood at `probe` a cycle ago, read with `fetch`; only entries of the row are read
    found  where the entry stands;  lower, upper  its value and the next one, 0 for the end of the row
    last  where the row's escape stands;  search_ends  at the last level.
    A row whose escape has n digits in binary takes n cycles.
    """
    width = len(probe)
    escape_bits = len(escape)
    place = unsigned(width)
    half = unsigned(width)
    inside, below = bit(), bit()

    @instance
    def begin():
        largest = intbv(0)[width:]
        power = intbv(0)[width:]
        while True:
            yield clock.posedge
            if step == steps.AT_ROW:
                largest[:] = 0
                power[:] = 1
                for i in range(escape_bits):
                    if escape[i]:
                        largest[:] = power
                    power[:] = power << 1
                place.next = start + largest
                half.next = largest >> 1
                found.next = start
                last.next = start + escape
                lower.next = 0
                upper.next = 0
            elif step == steps.AT_SEARCH:
                place.next = probe
                half.next = half >> 1
                if below:
                    found.next = place
                    lower.next = value
                elif inside:
                    upper.next = value
                else:
                    upper.next = 0

    @always_comb
    def compare():
        inside.next = place <= last
        below.next = place <= last and value <= slot
        search_ends.next = half == 0

    @always_comb
    def choose():
        probe.next = place
        if step == steps.AT_SEARCH:
            if below:
                probe.next = place + half
            else:
                probe.next = place - half

    @always_comb
    def look():
        fetch.next = False
        if step == steps.AT_READ or step == steps.AT_SEARCH:
            fetch.next = probe <= last

    return begin, compare, choose, look


@block
def coder_state(clock, step, steps, taken, need, proceeds, word, lower, upper, state):
    """The state: frequency * (state >> 16) + slot - lower, words below it, nibbles off it (SPEC HW-12, RANS-2)."""
    bits = STATE_BITS
    word_bits = WORD_BITS
    slot_bits = SLOT_BITS
    nibble_bits = NIBBLE_BITS
    total = 1 << SLOT_BITS
    frequency = unsigned(SLOT_BITS)
    rest = unsigned(SLOT_BITS)
    product = unsigned(STATE_BITS)

    @instance
    def measure():
        width = intbv(0)[slot_bits + 1 :]
        while True:
            yield clock.posedge
            if step == steps.AT_INTERVAL:
                width[:] = upper
                if upper == 0:
                    width[:] = total
                width[:] = width - lower
                frequency.next = width[slot_bits:]
                rest.next = state[slot_bits:] - lower

    @instance
    def multiply():
        quotient = intbv(0)[bits - slot_bits :]
        while True:
            yield clock.posedge
            if step == steps.AT_PRODUCT:
                quotient[:] = state[bits:slot_bits]
                product.next = frequency * quotient

    @instance
    def update():
        wide = intbv(0)[bits:]
        while True:
            yield clock.posedge
            wide[:] = state
            if step == steps.AT_LOW:
                if taken:
                    wide[:] = word
            elif step == steps.AT_HIGH:
                if taken:
                    wide[:] = word
                    wide[:] = wide << word_bits
                    wide[:] = wide | state
            elif step == steps.AT_SUM:
                wide[:] = product
                wide[:] = wide + rest
            else:
                if proceeds and (step == steps.AT_LENGTH or step == steps.AT_NIBBLE):
                    wide[:] = wide >> nibble_bits
                if need and taken:
                    wide[:] = wide << word_bits
                    wide[:] = wide | word
            state.next = wide

    return measure, multiply, update


@block
def symbol_value(
    clock, step, steps, proceeds, start, offset, found, last, state, nibbles_left, nibbles_end, escaped, symbol
):
    """The symbol of the entry found, or the one that an escape's nibbles spell (SPEC HW-12, RANS-2).

    start, offset  of the row, read at AT_ROW;  found, last  entry and escape of the row, as `search` gives them
    nibbles_left  of an escape, that of AT_NIBBLE included;  nibbles_end  none follows the one of this step
    escaped  the entry is the escape;  symbol  from AT_PRODUCT, of an escape from AT_SYMBOL.
    """
    lo, hi = limits(len(symbol))
    nibble_bits = NIBBLE_BITS
    raw_bits = RAW_BITS
    origin = signed(len(symbol))
    negative_base = signed(len(symbol))
    raw = unsigned(RAW_BITS)
    place = unsigned(RAW_BITS.bit_length())

    @instance
    def spell():
        digit = intbv(0)[raw_bits:]
        while True:
            yield clock.posedge
            if proceeds and step == steps.AT_LENGTH:
                nibbles_left.next = state[nibble_bits:]
                raw.next = 0
                place.next = 0
            elif proceeds and step == steps.AT_NIBBLE:
                digit[:] = state[nibble_bits:]
                digit[:] = digit << place
                raw.next = raw | digit
                place.next = place + nibble_bits
                nibbles_left.next = nibbles_left - 1

    @always_comb
    def look_ahead():
        nibbles_end.next = nibbles_left == 1
        if step == steps.AT_LENGTH:
            nibbles_end.next = state[nibble_bits:] == 0

    @always_comb
    def compare():
        escaped.next = found == last

    @instance
    def assign():
        wide = intbv(0, min=lo, max=hi)
        while True:
            yield clock.posedge
            if step == steps.AT_ROW:
                wide[:] = start
                origin.next = offset - wide
                negative_base.next = offset - 1
            elif step == steps.AT_INTERVAL:
                wide[:] = found
                symbol.next = wide + origin
            elif step == steps.AT_VALUE:
                wide[:] = raw
                wide[:] = wide >> 1
                if raw[0]:
                    symbol.next = negative_base - wide
                else:
                    symbol.next = symbol + wide

    return spell, look_ahead, compare, assign


@block
def give_symbols(clock, reset, sink, step, steps, proceeds, escaped, wrong, symbol, full, final, count):
    """Offers each symbol until it passes, and counts them (SPEC HW-12).

    full  one is offered;  final  the next to come is the last of `count`.
    """
    valid, ready, word = sink.valid, sink.ready, sink.word
    width = SYMBOL_BITS
    last_symbol = int(count - 1)
    symbols_left = unsigned(address_bits(int(count)))
    register = unsigned(SYMBOL_BITS)
    write = bit()

    @always_comb
    def decide():
        write.next = False
        if wrong == 0:
            if step == steps.AT_SYMBOL:
                write.next = True
            elif step == steps.AT_REFILL:
                write.next = proceeds and not escaped

    @always_comb
    def show():
        final.next = symbols_left == 0
        valid.next = full
        word.next = register

    @always(clock.posedge)
    def offer():
        if reset:
            full.next = False
            symbols_left.next = last_symbol
        elif write:
            full.next = True
            register.next = symbol[width:]
            if final:
                symbols_left.next = last_symbol
            else:
                symbols_left.next = symbols_left - 1
        elif ready:
            full.next = False

    return decide, show, offer


@block
def rans_decoder(clock, reset, load, first_select, sources, sink, fault, stage):
    """Decodes payload after payload, each with the rows that its symbols name (SPEC HW-12, RANS-2, RANS-3).

    sources  payload, and the rows unless they are the channels;  fault  0, TRUNCATED, BAD_SYMBOL, BAD_STATE or SURPLUS.
    One symbol in 7 cycles and one for each level of its row's search; 3 and one for each nibble more for an escape.
    After a fault no symbol follows, and whatever is offered is taken and dropped, until a reset.
    """
    steps = enum(
        "AT_COUNT", "AT_LOW", "AT_HIGH", "AT_INDEX", "AT_ROW", "AT_READ", "AT_SEARCH", "AT_INTERVAL", "AT_PRODUCT",
        "AT_SUM", "AT_REFILL", "AT_LENGTH", "AT_NIBBLE", "AT_VALUE", "AT_SYMBOL", "AT_END", "AT_FAULT",
    )  # fmt: skip
    value_select, start_select = first_select, first_select + 1
    escape_select, offset_select = first_select + 2, first_select + 3
    rows, values = int(stage.rows), int(stage.values)
    payload = sources[0]
    payload_word = payload.word
    memories = stage.memories
    place_bits = int(stage.place_bits)
    wide_bits = max(WIDE_SYMBOL_BITS, place_bits + 2)

    step = Signal(steps.AT_COUNT)
    need, taken, proceeds, row_taken = bit(), bit(), bit(), bit()
    search_ends, full, escaped, nibbles_end, final, fetch = bit(), bit(), bit(), bit(), bit(), bit()
    wrong, failed = unsigned(len(fault)), unsigned(len(fault))
    state = unsigned(STATE_BITS)
    slot = unsigned(SLOT_BITS)
    words_left = unsigned(WORD_BITS)
    nibbles_left = unsigned(NIBBLE_BITS)
    start = unsigned(memories["start"].bits)
    escape = unsigned(memories["escape"].bits)
    offset = signed(memories["offset"].bits)
    value = unsigned(SLOT_BITS)
    probe, found, last = unsigned(place_bits), unsigned(place_bits), unsigned(place_bits)
    lower, upper = unsigned(SLOT_BITS), unsigned(SLOT_BITS)
    symbol = signed(wide_bits)

    index = Stream.of(address_bits(rows)) if stage.plane else sources[1]
    index_valid, index_ready, index_word = index.valid, index.ready, index.word

    @always_comb
    def take_row():
        index_ready.next = step == steps.AT_INDEX or step == steps.AT_FAULT
        row_taken.next = index_valid and step == steps.AT_INDEX

    @always_comb
    def show():
        slot.next = state[SLOT_BITS:]
        fault.next = failed

    order = control(
        clock, reset, step, steps, taken, proceeds, row_taken, search_ends, full, escaped, nibbles_end, final,
        wrong, failed,
    )  # fmt: skip
    words = refill(clock, payload, step, steps, state, words_left, need, taken, proceeds)
    judge = check(step, steps, taken, need, payload_word, state, words_left, nibbles_left, symbol, wrong)
    starts = memory(clock, load, start_select, 0, row_taken, row_taken, index_word, start, rows)
    escapes = memory(clock, load, escape_select, 0, row_taken, row_taken, index_word, escape, rows)
    offsets = memory(clock, load, offset_select, 0, row_taken, row_taken, index_word, offset, rows)
    table = memory(clock, load, value_select, 0, fetch, fetch, probe, value, values)
    levels = search(
        clock, step, steps, start, escape, slot, value, probe, fetch, found, lower, upper, last, search_ends,
    )  # fmt: skip
    coder = coder_state(clock, step, steps, taken, need, proceeds, payload_word, lower, upper, state)
    spelling = symbol_value(
        clock, step, steps, proceeds, start, offset, found, last, state, nibbles_left, nibbles_end, escaped, symbol
    )  # fmt: skip
    give = give_symbols(
        clock, reset, sink, step, steps, proceeds, escaped, wrong, symbol, full, final, int(stage.count)
    )  # fmt: skip
    units = (take_row, show, order, words, judge, starts, escapes, offsets, table, levels, coder, spelling, give)
    if stage.plane:
        counter = channel_rows(clock, reset, index, rows, int(stage.plane))
        return *units, counter
    return units
