"""Engine of a convolution or a transposed convolution and its requantisation (SPEC HW-5, CONV-2, TCONV-3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from myhdl import always, always_comb, block, instance, intbv

from hw.elaboration import address_bits, bit, bus, signed, unsigned
from hw.fill import fill
from hw.mac_array import mac_array
from hw.memory import memory, ram
from hw.requantise import SHIFT_BITS, keep, requantise
from hw.walker import walker

COLUMNS = 4  # of the MAC array in a group
PRODUCT_STAGES = 2  # registers of a product: at its multiplier, and on its way to the adders


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
def lane_memories(clock, load, select, advance, read, address, words, depth, first_lane=0):
    """One memory of weights or of per-channel constants for each output lane (SPEC HW-5).  Latency one cycle."""
    memories = []
    for p in range(len(words)):
        word = words[p]
        memories.append(memory(clock, load, select, first_lane + p, advance, read, address, word, depth))
    return memories


@dataclass(frozen=True, slots=True)
class Step:
    """What the walker tells the columns of the MAC array, without the activations (SPEC HW-5)."""

    valid: Any
    first: Any
    last: Any
    in_picture: Any
    weight_address: Any
    output_group: Any

    @classmethod
    def of(cls, stage: Any) -> Step:
        """Fresh signals."""
        address = unsigned(address_bits(stage.memories["weight"].depth))
        return cls(bit(), bit(), bit(), bit(), address, unsigned(address_bits(stage.out_groups)))


@block
def next_step(clock, reset, advance, step, later):
    """The step one cycle later, with `advance` (SPEC HW-5)."""
    valid, first, last, in_picture = step.valid, step.first, step.last, step.in_picture
    weight_address, output_group = step.weight_address, step.output_group
    later_valid, later_first, later_last, later_in_picture = later.valid, later.first, later.last, later.in_picture
    later_weight_address, later_output_group = later.weight_address, later.output_group

    @always(clock.posedge)
    def follow():
        if reset:
            later_valid.next = False
        elif advance:
            later_valid.next = valid
            later_first.next = first
            later_last.next = last
            later_in_picture.next = in_picture
            later_weight_address.next = weight_address
            later_output_group.next = output_group

    return follow


@block
def keep_value(clock, advance, value, kept):
    """A value one cycle later, with `advance` (SPEC HW-5)."""

    @always(clock.posedge)
    def follow():
        if advance:
            kept.next = value

    return follow


@block
def column_group(
    clock, reset, load, first_select, advance, running, step, x_near, results_valid, results, first_lane, stage
):
    """Some columns of the MAC array with their weights and constants, and their requantisers (SPEC HW-5).

    x_near  activations of the step, two cycles after it;  results  of the lanes from `first_lane` on.
    Latency from a last step to its results 7 + T cycles with `advance`, T = ceil(log2(PI)), and STAGES to requantise.
    """
    lanes = len(results)
    levels = stage.tree_levels
    depths = {name: memory.depth for name, memory in stage.memories.items()}
    weight_select, bias_select = first_select, first_select + 1
    multiplier_select, shift_select = first_select + 2, first_select + 3
    step_valid, step_first, step_last, step_in_picture = step.valid, step.first, step.last, step.in_picture
    read_valid, read_first, read_last, read_in_picture = bit(), bit(), bit(), bit()
    near_valid, near_first, near_last, near_in_picture = bit(), bit(), bit(), bit()
    valid, first, last, in_picture = bit(), bit(), bit(), bit()
    groups = [unsigned(address_bits(stage.out_groups)) for _ in range(levels + 5)]
    bias_group, scale_group = groups[levels + 2], groups[levels + 4]
    x_operand = unsigned(len(x_near))
    weight_words, weights_near, weight_operands = (
        [unsigned(stage.memories["weight"].bits) for _ in results] for _ in range(3)
    )
    biases, bias_operands = ([signed(stage.accumulator.bits) for _ in results] for _ in range(2))

    @always(clock.posedge)
    def follow():
        if reset:
            read_valid.next = False
            near_valid.next = False
            valid.next = False
        elif advance:
            read_valid.next = step_valid
            read_first.next = step_first
            read_last.next = step_last
            read_in_picture.next = step_in_picture
            near_valid.next = read_valid
            near_first.next = read_first
            near_last.next = read_last
            near_in_picture.next = read_in_picture
            valid.next = near_valid
            first.next = near_first
            last.next = near_last
            in_picture.next = near_in_picture

    group_delay = delay_group(clock, advance, step.output_group, groups)
    weights = lane_memories(
        clock, load, weight_select, advance, step_valid, step.weight_address, weight_words, depths["weight"],
        first_lane,
    )  # fmt: skip
    x_hold = keep_value(clock, advance, x_near, x_operand)
    weight_move = hold_words(clock, advance, read_valid, weight_words, weights_near)
    weight_hold = hold_words(clock, advance, near_valid, weights_near, weight_operands)
    bias_memories = lane_memories(
        clock, load, bias_select, advance, running, bias_group, biases, depths["bias"], first_lane
    )
    bias_hold = hold_words(clock, advance, running, biases, bias_operands)
    parts = follow, group_delay, weights, x_hold, weight_move, weight_hold, bias_memories, bias_hold
    if stage.output is None:
        array = mac_array(
            clock, reset, advance, valid, first, last, in_picture, x_operand, weight_operands,
            bias_operands, results_valid, results, stage.pi, stage.activation, stage.weight.bits, PRODUCT_STAGES,
        )  # fmt: skip
        return parts, array

    sums_valid = bit()
    accumulators = [signed(stage.accumulator.bits) for _ in range(lanes)]
    multipliers = [unsigned(stage.multiplier_bits) for _ in range(lanes)]
    shifts = [unsigned(SHIFT_BITS) for _ in range(lanes)]
    array = mac_array(
        clock, reset, advance, valid, first, last, in_picture, x_operand, weight_operands,
        bias_operands, sums_valid, accumulators, stage.pi, stage.activation, stage.weight.bits, PRODUCT_STAGES,
    )  # fmt: skip
    multiplier_memories = lane_memories(
        clock, load, multiplier_select, advance, running, scale_group, multipliers, depths["multiplier"], first_lane
    )
    shift_memories = lane_memories(
        clock, load, shift_select, advance, running, scale_group, shifts, depths["shift"], first_lane
    )
    scaling = requantise(
        clock, reset, advance, sums_valid, accumulators, multipliers, shifts,
        results_valid, results, stage.output.lo, stage.output.hi,
    )  # fmt: skip
    return parts, array, multiplier_memories, shift_memories, scaling


@block
def columns(clock, reset, load, first_select, advance, running, step, x_word, results_valid, results, stage):
    """All columns, in groups of which each works one cycle after the one before (SPEC HW-5).

    So an activation has to reach the columns of one group at a time, however many lanes there are.
    x_word  activations of the step, one cycle after it;  results  of all groups in the same cycle.
    """
    count = stage.column_groups
    steps = [step, *(Step.of(stage) for _ in range(count - 1))]
    operands = [unsigned(len(x_word)) for _ in range(count)]
    valids = [*(bit() for _ in range(count - 1)), results_valid]
    parts = []
    for g in range(count):
        this_step, x_operand, own_valid = steps[g], operands[g], valids[g]
        first_lane = int(g * COLUMNS)
        lanes = range(first_lane, min(stage.po, first_lane + COLUMNS))
        before = x_word if g == 0 else operands[g - 1]
        parts.append(keep_value(clock, advance, before, x_operand))
        if g > 0:
            step_before = steps[g - 1]
            parts.append(next_step(clock, reset, advance, step_before, this_step))
        own_results = [results[p] if g == count - 1 else bus(stage.out_format) for p in lanes]
        parts.append(
            column_group(
                clock, reset, load, first_select, advance, running, this_step, x_operand,
                own_valid, own_results, first_lane, stage,
            )
        )  # fmt: skip
        for p in lanes:
            value = own_results[p - first_lane]
            for waited in range(count - 1 - g):
                kept = results[p] if waited == count - 2 - g else bus(stage.out_format)
                if waited == 0:
                    parts.append(keep(clock, advance, own_valid, value, kept))
                else:
                    parts.append(keep_value(clock, advance, value, kept))
                value = kept
    return parts


@block
def convolution_engine(clock, reset, load, first_select, sources, sink, fault, stage):
    """Convolution or transposed convolution of one tile, then requantisation (SPEC HW-5, CONV-2, TCONV-3, RQ-1).

    Takes the tile, then gives PO results in a word, in the order output row, output column, output group. With two
    banks the next tile comes in meanwhile, with one afterwards. Outside the tile the input is zero.  fault  stays 0.
    Throughput one step (PI x PO products) a cycle; `EngineParameters.cycles` from the edge that passes the last word
    of the tile to the edge that passes the last result; a word that is held costs at most the cycles of its wait.
    """
    source, sink_words = sources[0], stage.words
    source_word = source.word
    launch, begin, running, done, advance, store, fetch = bit(), bit(), bit(), bit(), bit(), bit(), bit()
    depth, words = stage.buffers["activation"].depth, stage.sources[0].words
    store_address = unsigned(address_bits(depth))
    activation_address = unsigned(address_bits(depth))
    base = unsigned(address_bits(depth))
    step = Step.of(stage)
    step_valid = step.valid
    x_word = unsigned(stage.sources[0].bits)
    results_valid, word_valid = bit(), bit()
    results = [bus(stage.out_format) for _ in range(stage.po)]
    word = unsigned(stage.sink.bits)

    tile = fill(clock, reset, source, running, done, launch, store, store_address, base, words, stage.banks)
    activations = ram(clock, store, store_address, source_word, fetch, activation_address, x_word, depth)
    run = flow(clock, reset, launch, running, done, advance, begin, word_valid, word, sink, sink_words)
    steps = walker(
        clock, reset, advance, begin, step.valid, step.first, step.last, step.in_picture,
        base, activation_address, step.weight_address, step.output_group, stage,
    )  # fmt: skip
    array = columns(clock, reset, load, first_select, advance, running, step, x_word, results_valid, results, stage)
    join = pack(clock, reset, advance, results_valid, results, word_valid, word)

    @always_comb
    def read():
        fetch.next = advance and step_valid

    @always(clock.posedge)
    def stay_well():
        fault.next = 0

    return tile, activations, run, steps, array, join, read, stay_well
