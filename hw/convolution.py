"""Engine of a convolution or a transposed convolution and its requantisation (SPEC HW-5, CONV-2, TCONV-3)."""

from __future__ import annotations

from myhdl import always, always_comb, block, instance, intbv

from hw.elaboration import address_bits, bit, bus, signed, unsigned
from hw.fill import fill
from hw.mac_array import mac_array
from hw.memory import memory, ram
from hw.requantise import SHIFT_BITS, requantise
from hw.walker import walker


@block
def flow(clock, reset, launch, running, done, advance, begin, word_valid, word, sink, words):
    """Offers the words, stalls what gives them, and ends a run (SPEC HW-5).

    running  from `launch` until the last of `words` words passes, which is `done`;  begin  `launch` one cycle later
    word_valid, word  given with `advance`, which is a register: it falls when two words wait, until one passes.
    Latency one cycle.
    """
    sink_valid, sink_ready, sink_word = sink.valid, sink.ready, sink.word
    last_word = int(words - 1)
    words_left = unsigned(address_bits(int(words)))
    offered = bit()
    front, back = unsigned(len(word)), unsigned(len(word))

    @always(clock.posedge)
    def hold():
        if reset:
            offered.next = False
            advance.next = True
        elif advance:
            if offered and not sink_ready:
                back.next = word
                advance.next = not word_valid
            else:
                front.next = word
                offered.next = word_valid
        elif sink_ready:
            front.next = back
            advance.next = True

    @always_comb
    def offer():
        sink_valid.next = offered
        sink_word.next = front
        done.next = False
        if offered and words_left == 0:
            done.next = sink_ready

    @always(clock.posedge)
    def count():
        begin.next = False
        if reset:
            running.next = False
        elif launch:
            running.next = True
            begin.next = True
            words_left.next = last_word
        elif done:
            running.next = False
        elif offered and sink_ready:
            words_left.next = words_left - 1

    return hold, offer, count


@block
def hold_words(clock, advance, valid, words, held):
    """Words one cycle after the memories gave them, with `advance` (SPEC HW-5)."""
    count = len(words)

    @always(clock.posedge)
    def hold():
        if advance and valid:
            for p in range(count):
                held[p].next = words[p]

    return hold


@block
def pack(clock, reset, advance, valid, lanes, word_valid, out_word):
    """Join the output lanes into one word, lane 0 in the lowest bits (SPEC HW-5).

    Latency one cycle with `advance`, one word a cycle.
    """
    count = len(lanes)
    width = len(lanes[0])
    total = count * width
    register = unsigned(total)

    @instance
    def join():
        word = intbv(0)[total:]
        pattern = intbv(0)[width:]
        while True:
            yield clock.posedge
            if reset:
                word_valid.next = False
            elif advance:
                word_valid.next = valid
                if valid:
                    word[:] = 0
                    for i in range(count):
                        pattern[:] = lanes[count - 1 - i][width:]
                        word[:] = word << width
                        word[:] = word | pattern
                    register.next = word

    @always_comb
    def show():
        out_word.next = register

    return join, show


@block
def delay_group(clock, advance, output_group, line):
    """The output group of later pipeline stages: line[k] is `output_group` k + 1 cycles ago (SPEC HW-5)."""
    depth = len(line)

    @always(clock.posedge)
    def follow():
        if advance:
            line[0].next = output_group
            for i in range(1, depth):
                line[i].next = line[i - 1]

    return follow


@block
def lane_memories(clock, load, select, advance, read, address, words, depth):
    """One memory of weights or of per-channel constants for each output lane (SPEC HW-5).  Latency one cycle."""
    memories = []
    for p in range(len(words)):
        word = words[p]
        memories.append(memory(clock, load, select, p, advance, read, address, word, depth))
    return memories


@block
def convolution_engine(clock, reset, load, first_select, sources, sink, fault, stage):
    """Convolution or transposed convolution of one tile, then requantisation (SPEC HW-5, CONV-2, TCONV-3, RQ-1).

    Takes the tile, then gives PO results in a word, in the order output row, output column, output group. With two
    banks the next tile comes in meanwhile, with one afterwards. Outside the tile the input is zero.  fault  stays 0.
    Throughput one step (PI x PO products) a cycle; `EngineParameters.cycles` from the edge that passes the last word
    of the tile to the edge that passes the last result; a word that is held costs at most the cycles of its wait.
    """
    po = stage.po
    depths = {name: memory.depth for name, memory in stage.memories.items()}
    levels = stage.tree_levels
    source, sink_words = sources[0], stage.words
    source_word = source.word
    weight_select, bias_select = first_select, first_select + 1
    multiplier_select, shift_select = first_select + 2, first_select + 3

    launch, begin, running, done, advance, store = bit(), bit(), bit(), bit(), bit(), bit()
    step_valid, step_first, step_last, step_in_picture, fetch = bit(), bit(), bit(), bit(), bit()
    read_valid, read_first, read_last, read_in_picture = bit(), bit(), bit(), bit()
    valid, first, last, in_picture = bit(), bit(), bit(), bit()
    depth, words = stage.buffers["activation"].depth, stage.sources[0].words
    store_address = unsigned(address_bits(depth))
    activation_address = unsigned(address_bits(depth))
    base = unsigned(address_bits(depth))
    weight_address = unsigned(address_bits(depths["weight"]))
    output_group = unsigned(address_bits(stage.out_groups))
    groups = [unsigned(address_bits(stage.out_groups)) for _ in range(levels + 3)]
    bias_group, scale_group = groups[levels], groups[levels + 2]
    x_word, x_operand = unsigned(stage.sources[0].bits), unsigned(stage.sources[0].bits)
    weight_words, weight_operands = ([unsigned(stage.memories["weight"].bits) for _ in range(po)] for _ in range(2))
    biases, bias_operands = ([signed(stage.accumulator.bits) for _ in range(po)] for _ in range(2))
    accumulators = [signed(stage.accumulator.bits) for _ in range(po)]
    sums_valid, word_valid = bit(), bit()
    word = unsigned(stage.sink.bits)

    tile = fill(clock, reset, source, running, done, launch, store, store_address, base, words, stage.banks)
    activations = ram(clock, store, store_address, source_word, fetch, activation_address, x_word, depth)
    run = flow(clock, reset, launch, running, done, advance, begin, word_valid, word, sink, sink_words)
    steps = walker(
        clock, reset, advance, begin, step_valid, step_first, step_last, step_in_picture,
        base, activation_address, weight_address, output_group, stage,
    )  # fmt: skip
    group_delay = delay_group(clock, advance, output_group, groups)
    weights = lane_memories(
        clock, load, weight_select, advance, step_valid, weight_address, weight_words, depths["weight"]
    )
    weight_hold = hold_words(clock, advance, read_valid, weight_words, weight_operands)
    bias_memories = lane_memories(clock, load, bias_select, advance, running, bias_group, biases, depths["bias"])
    bias_hold = hold_words(clock, advance, running, biases, bias_operands)
    array = mac_array(
        clock, reset, advance, valid, first, last, in_picture, x_operand, weight_operands,
        bias_operands, sums_valid, accumulators, stage.pi, stage.activation, stage.weight.bits,
    )  # fmt: skip

    @always_comb
    def read():
        fetch.next = advance and step_valid

    @always(clock.posedge)
    def follow():
        fault.next = 0
        if reset:
            read_valid.next = False
            valid.next = False
        elif advance:
            read_valid.next = step_valid
            read_first.next = step_first
            read_last.next = step_last
            read_in_picture.next = step_in_picture
            valid.next = read_valid
            first.next = read_first
            last.next = read_last
            in_picture.next = read_in_picture
            x_operand.next = x_word

    if stage.output is None:
        join = pack(clock, reset, advance, sums_valid, accumulators, word_valid, word)
        return (
            tile, activations, run, steps, group_delay, weights, weight_hold, bias_memories, bias_hold, array,
            read, follow, join,
        )  # fmt: skip

    results_valid = bit()
    multipliers = [unsigned(stage.multiplier_bits) for _ in range(po)]
    shifts = [unsigned(SHIFT_BITS) for _ in range(po)]
    results = [bus(stage.output) for _ in range(po)]
    multiplier_memories = lane_memories(
        clock, load, multiplier_select, advance, running, scale_group, multipliers, depths["multiplier"]
    )
    shift_memories = lane_memories(clock, load, shift_select, advance, running, scale_group, shifts, depths["shift"])
    scaling = requantise(
        clock, reset, advance, sums_valid, accumulators, multipliers, shifts,
        results_valid, results, stage.output.lo, stage.output.hi,
    )  # fmt: skip
    join = pack(clock, reset, advance, results_valid, results, word_valid, word)
    return (
        tile, activations, run, steps, group_delay, weights, weight_hold, bias_memories, bias_hold, array,
        read, follow, multiplier_memories, shift_memories, scaling, join,
    )  # fmt: skip
