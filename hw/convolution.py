"""Engine of a convolution or a transposed convolution and its requantisation (SPEC HW-5, CONV-2, TCONV-3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from myhdl import always, always_comb, block, instance, intbv

from hw.elaboration import bit, bus, signed, unsigned
from hw.mac_array import mac_array
from hw.memory import LoadPort, memory
from hw.parameters import (
    ACTIVATION,
    BIAS,
    MEMORIES,
    MULTIPLIER,
    SHIFT,
    SHIFT_BITS,
    WEIGHT,
    EngineParameters,
    address_bits,
)
from hw.requantise import requantise
from hw.walker import walker


@dataclass(slots=True)
class EnginePorts:
    """The ports of an engine as MyHDL signals, by the names that the emitted HDL gives them (SPEC HW-5)."""

    clock: Any
    reset: Any
    load_valid: Any
    load_select: Any
    load_lane: Any
    load_address: Any
    load_data: Any
    start: Any
    busy: Any
    out_ready: Any
    out_valid: Any
    out_word: Any

    def connect(self) -> dict[str, Any]:
        """Keyword arguments of `convolution_engine`."""
        return {name: getattr(self, name) for name in self.__slots__}


def engine_ports(parameters: EngineParameters) -> EnginePorts:
    """Fresh signals of the right widths."""
    return EnginePorts(
        clock=bit(),
        reset=bit(),
        load_valid=bit(),
        load_select=unsigned(address_bits(len(MEMORIES))),
        load_lane=unsigned(address_bits(parameters.po)),
        load_address=unsigned(parameters.load_address_bits),
        load_data=unsigned(parameters.load_bits),
        start=bit(),
        busy=bit(),
        out_ready=bit(),
        out_valid=bit(),
        out_word=unsigned(parameters.po * parameters.out_format.bits),
    )


@block
def flow(clock, reset, start, launch, running, busy, advance, word_valid, out_valid, out_ready, words):
    """Start, stall and end of a run (SPEC HW-5).

    launch  `start` while idle;  running, busy  from then until the last of `words` words is accepted
    advance  low while an offered word is not accepted: everything holds its value.
    """
    last_word = int(words - 1)
    words_left = unsigned(address_bits(int(words)))

    @always_comb
    def hold():
        advance.next = True
        if word_valid:
            advance.next = out_ready

    @always_comb
    def begin_run():
        launch.next = False
        if not running:
            launch.next = start

    @always_comb
    def report():
        busy.next = running
        out_valid.next = word_valid

    @always(clock.posedge)
    def count():
        if reset:
            running.next = False
        elif launch:
            running.next = True
            words_left.next = last_word
        elif word_valid and out_ready:
            if words_left == 0:
                running.next = False
            else:
                words_left.next = words_left - 1

    return hold, begin_run, report, count


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
def operand_memories(clock, load, advance, read, activation_address, weight_address, x_word, weight_words, parameters):
    """The activation memory and one weight memory for each output lane (SPEC HW-5).  Latency one cycle."""
    depths = parameters.depths
    activations = memory(clock, load, ACTIVATION, 0, advance, read, activation_address, x_word, depths["activation"])
    weights = []
    for p in range(parameters.po):
        weight_word = weight_words[p]
        weights.append(memory(clock, load, WEIGHT, p, advance, read, weight_address, weight_word, depths["weight"]))
    return activations, weights


@block
def lane_memories(clock, load, advance, read, select, output_group, words, depth):
    """One memory of per-channel constants for each output lane, read at the output group (SPEC HW-5)."""
    memories = []
    for p in range(len(words)):
        word = words[p]
        memories.append(memory(clock, load, select, p, advance, read, output_group, word, depth))
    return memories


@block
def convolution_engine(
    clock, reset, load_valid, load_select, load_lane, load_address, load_data,
    start, busy, out_ready, out_valid, out_word, parameters,
):  # fmt: skip
    """Convolution or transposed convolution of one tile, then requantisation (SPEC HW-5, CONV-2, TCONV-3, RQ-1).

    load_*  writes the memories while idle: select 0 activation, 1 weight, 2 bias, 3 multiplier, 4 shift; lane
    0 .. PO - 1, 0 for activations.  start  begins a run when not busy;  busy  until the last word is accepted.
    out_word  PO results, channel group * PO + p in bits p * width upwards, in the order output row, output column,
    output group; accepted at an edge that sees out_valid and out_ready.  Outside the tile the input is zero.
    Throughput one step (PI x PO products) a cycle; `EngineParameters.cycles` from the edge that sees `start` to the
    edge that accepts the last word, plus one cycle for each in which an offered word is not accepted.
    """
    po = parameters.po
    depths = parameters.depths
    levels = parameters.tree_levels
    load = LoadPort(load_valid, load_select, load_lane, load_address, load_data)

    launch, running, advance, word_valid = bit(), bit(), bit(), bit()
    step_valid, step_first, step_last, step_in_picture = bit(), bit(), bit(), bit()
    valid, first, last, in_picture = bit(), bit(), bit(), bit()
    activation_address = unsigned(address_bits(depths["activation"]))
    weight_address = unsigned(address_bits(depths["weight"]))
    output_group = unsigned(address_bits(parameters.out_groups))
    groups = [unsigned(address_bits(parameters.out_groups)) for _ in range(levels + 2)]
    bias_group, scale_group = groups[levels], groups[levels + 1]
    x_word = unsigned(parameters.widths["activation"])
    weight_words = [unsigned(parameters.widths["weight"]) for _ in range(po)]
    biases = [signed(parameters.accumulator.bits) for _ in range(po)]
    accumulators = [signed(parameters.accumulator.bits) for _ in range(po)]
    sums_valid = bit()

    run = flow(clock, reset, start, launch, running, busy, advance, word_valid, out_valid, out_ready, parameters.words)
    steps = walker(
        clock, reset, advance, launch, step_valid, step_first, step_last, step_in_picture,
        activation_address, weight_address, output_group, parameters,
    )  # fmt: skip
    group_delay = delay_group(clock, advance, output_group, groups)
    operands = operand_memories(
        clock, load, advance, step_valid, activation_address, weight_address, x_word, weight_words, parameters
    )
    bias_memories = lane_memories(clock, load, advance, running, BIAS, bias_group, biases, depths["bias"])
    array = mac_array(
        clock, reset, advance, valid, first, last, in_picture, x_word, weight_words,
        biases, sums_valid, accumulators, parameters.pi, parameters.activation, parameters.weight.bits,
    )  # fmt: skip

    @always(clock.posedge)
    def follow():
        if reset:
            valid.next = False
        elif advance:
            valid.next = step_valid
            first.next = step_first
            last.next = step_last
            in_picture.next = step_in_picture

    if parameters.output is None:
        join = pack(clock, reset, advance, sums_valid, accumulators, word_valid, out_word)
        return run, steps, group_delay, operands, bias_memories, array, follow, join

    results_valid = bit()
    multipliers = [unsigned(parameters.multiplier_bits) for _ in range(po)]
    shifts = [unsigned(SHIFT_BITS) for _ in range(po)]
    results = [bus(parameters.output) for _ in range(po)]
    multiplier_memories = lane_memories(
        clock, load, advance, running, MULTIPLIER, scale_group, multipliers, depths["multiplier"]
    )
    shift_memories = lane_memories(clock, load, advance, running, SHIFT, scale_group, shifts, depths["shift"])
    scaling = requantise(
        clock, reset, advance, sums_valid, accumulators, multipliers, shifts,
        results_valid, results, parameters.output.lo, parameters.output.hi,
    )  # fmt: skip
    join = pack(clock, reset, advance, results_valid, results, word_valid, out_word)
    return (
        run, steps, group_delay, operands, bias_memories, array, follow,
        multiplier_memories, shift_memories, scaling, join,
    )  # fmt: skip
