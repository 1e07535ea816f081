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
def flow(clock, reset, launch, running, done, advance, word_valid, sink_valid, sink_ready, words):
    """Stall and end of a run (SPEC HW-5).

    running  from `launch` until the last of `words` words passes, which is `done`
    advance  low while an offered word does not pass: everything holds its value.
    """
    last_word = int(words - 1)
    words_left = unsigned(address_bits(int(words)))

    @always_comb
    def hold():
        advance.next = True
        if word_valid:
            advance.next = sink_ready

    @always_comb
    def offer():
        sink_valid.next = word_valid
        done.next = False
        if word_valid and words_left == 0:
            done.next = sink_ready

    @always(clock.posedge)
    def count():
        if reset:
            running.next = False
        elif launch:
            running.next = True
            words_left.next = last_word
        elif done:
            running.next = False
        elif word_valid and sink_ready:
            words_left.next = words_left - 1

    return hold, offer, count


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
    of the tile to the edge that passes the last result, plus one cycle for each in which an offered word is held.
    """
    po = stage.po
    depths = {name: memory.depth for name, memory in stage.memories.items()}
    levels = stage.tree_levels
    source = sources[0]
    source_word, sink_valid, sink_ready, sink_word = source.word, sink.valid, sink.ready, sink.word
    weight_select, bias_select = first_select, first_select + 1
    multiplier_select, shift_select = first_select + 2, first_select + 3

    launch, running, done, advance, word_valid, store = bit(), bit(), bit(), bit(), bit(), bit()
    step_valid, step_first, step_last, step_in_picture, fetch = bit(), bit(), bit(), bit(), bit()
    valid, first, last, in_picture = bit(), bit(), bit(), bit()
    depth, words = stage.buffers["activation"].depth, stage.sources[0].words
    store_address = unsigned(address_bits(depth))
    activation_address = unsigned(address_bits(depth))
    base = unsigned(address_bits(depth))
    weight_address = unsigned(address_bits(depths["weight"]))
    output_group = unsigned(address_bits(stage.out_groups))
    groups = [unsigned(address_bits(stage.out_groups)) for _ in range(levels + 2)]
    bias_group, scale_group = groups[levels], groups[levels + 1]
    x_word = unsigned(stage.sources[0].bits)
    weight_words = [unsigned(stage.memories["weight"].bits) for _ in range(po)]
    biases = [signed(stage.accumulator.bits) for _ in range(po)]
    accumulators = [signed(stage.accumulator.bits) for _ in range(po)]
    sums_valid = bit()

    tile = fill(clock, reset, source, running, done, launch, store, store_address, base, words, stage.banks)
    activations = ram(clock, store, store_address, source_word, fetch, activation_address, x_word, depth)
    run = flow(clock, reset, launch, running, done, advance, word_valid, sink_valid, sink_ready, stage.words)
    steps = walker(
        clock, reset, advance, launch, step_valid, step_first, step_last, step_in_picture,
        base, activation_address, weight_address, output_group, stage,
    )  # fmt: skip
    group_delay = delay_group(clock, advance, output_group, groups)
    weights = lane_memories(
        clock, load, weight_select, advance, step_valid, weight_address, weight_words, depths["weight"]
    )
    bias_memories = lane_memories(clock, load, bias_select, advance, running, bias_group, biases, depths["bias"])
    array = mac_array(
        clock, reset, advance, valid, first, last, in_picture, x_word, weight_words,
        biases, sums_valid, accumulators, stage.pi, stage.activation, stage.weight.bits,
    )  # fmt: skip

    @always_comb
    def read():
        fetch.next = advance and step_valid

    @always(clock.posedge)
    def follow():
        fault.next = 0
        if reset:
            valid.next = False
        elif advance:
            valid.next = step_valid
            first.next = step_first
            last.next = step_last
            in_picture.next = step_in_picture

    if stage.output is None:
        join = pack(clock, reset, advance, sums_valid, accumulators, word_valid, sink_word)
        return tile, activations, run, steps, group_delay, weights, bias_memories, array, read, follow, join

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
    join = pack(clock, reset, advance, results_valid, results, word_valid, sink_word)
    return (
        tile, activations, run, steps, group_delay, weights, bias_memories, array, read, follow,
        multiplier_memories, shift_memories, scaling, join,
    )  # fmt: skip
