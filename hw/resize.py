"""Stage that enlarges a tensor bilinearly by whole factors (SPEC HW-22, RES-1, RES-2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from myhdl import always, always_comb, block, instance, intbv

from hw.checks import MAX_DEPTH, require, require_range
from hw.convolution import pack
from hw.elaboration import address_bits, bit, limits, signed, unsigned
from hw.fill import fill
from hw.memory import ram
from hw.pointwise import check_tensor, follow_valid, follow_value, offer, operation_of
from hw.stage import Images, Memory, Schedule, plain
from hw.stream import StreamFormat
from refcodec.fixed import line_taps
from refcodec.formats import IntFormat
from refcodec.program.operations import Resize
from refcodec.program.program import Program

MAX_FACTOR = 5
MAX_BITS = 16  # keeps the literals of the emitted HDL below 2**30
TAPS = 4  # samples that a result lies between
LAST_TAP = TAPS - 1
FETCHED, MULTIPLIED, SUMMED = range(3)  # what each cycle after that of the address computes
# edges from the last step of a word to the one that passes it: address, sample, product, sum, quotient, rounding, word
LATENCY = 7


def axis_weights(factor: int) -> tuple[int, ...]:
    """The weights of both samples of every phase, out of 2 * factor (SPEC HW-22, RES-1)."""
    weights: list[int] = []
    for phase in range(factor):
        _, _, part = line_taps(2 * phase + 1 - factor, 2 * factor, 1)
        weights += [2 * factor - part, part]
    return tuple(weights)


@dataclass(frozen=True, slots=True)
class Division:
    """Floor of a division by 4 * rows * columns, as a shift, a multiplication and another shift (SPEC HW-22).

    bits  of the dividend;  first_shift  its trailing zeros;  then the quotient by what is odd is
    dividend * multiplier >> second_shift.  With M = ceil(2**K / m), n M / 2**K exceeds n / m by less than 1 / m for
    all n below 2**K / m, so that both have the same floor.
    """

    bits: int
    first_shift: int
    multiplier: int
    second_shift: int

    @classmethod
    def by(cls, divisor: int, bits: int) -> Division:
        """Exact for dividends below 2**bits."""
        first_shift = (divisor & -divisor).bit_length() - 1
        odd = divisor >> first_shift
        second_shift = 0 if odd == 1 else bits - first_shift + odd.bit_length()
        return cls(bits, first_shift, -(-(1 << second_shift) // odd), second_shift)

    @property
    def rest_bits(self) -> int:
        """Of the dividend after the first shift."""
        return self.bits - self.first_shift

    @property
    def multiplier_bits(self) -> int:
        """Unsigned bits of the multiplier."""
        return self.multiplier.bit_length()


@block
def follow_axis(clock, reset, advance, turn, second, offset, weight, ends, size, factor, stride):
    """The samples beside a coordinate that runs along an axis (SPEC HW-22, RES-1).

    turn  to the next coordinate, after the last to the first;  ends  at the last;  second  of both samples
    offset  of the sample, stride * its place, at once;  weight  one cycle later, with `advance`.
    """
    stride = int(stride)
    last_place, last_here = int(2 * factor - 2), int((size - 1) * stride)
    turning = int(2 * (factor // 2))  # in the phases before it the sample in whose place the coordinate is comes second
    weights = axis_weights(int(factor))
    place, index = unsigned(address_bits(int(2 * factor))), unsigned(address_bits(int(2 * factor)))
    here = unsigned(len(offset))

    @always_comb
    def look():
        index.next = place
        if second:
            index.next = place + 1

    @always_comb
    def locate():
        offset.next = here
        if place < turning:
            if here != 0 and not second:
                offset.next = here - stride
        elif here != last_here and second:
            offset.next = here + stride

    @always_comb
    def watch():
        ends.next = False
        if place == last_place:
            ends.next = here == last_here

    @always(clock.posedge)
    def weigh():
        if advance:
            weight.next = weights[int(index)]

    @always(clock.posedge)
    def move():
        if reset:
            place.next = 0
            here.next = 0
        elif turn:
            if place != last_place:
                place.next = place + 2
            else:
                place.next = 0
                if here == last_here:
                    here.next = 0
                else:
                    here.next = here + stride

    return look, locate, watch, weigh, move


@block
def walk_samples(clock, reset, advance, launch, located, first, last, address, row_weight, column_weight, stage):
    """Visit the four samples beside every result, in the order row, column, group, a step a cycle (SPEC HW-22).

    located  a sample is named: its address and weights, whether it is the first or the last of the four.
    """
    groups = stage.sink.groups
    height, width, rows, columns = stage.height, stage.width, stage.rows, stage.columns
    row_stride = width * groups
    last_group = int(groups - 1)
    tap = unsigned(2)
    group = unsigned(address_bits(groups))
    active, second_row, second_column = bit(), bit(), bit()
    turn_group, turn_column, turn_row, finish = bit(), bit(), bit(), bit()
    row_ends, column_ends = bit(), bit()
    row_offset, column_offset, pixel = (unsigned(len(address)) for _ in range(3))

    row_axis = follow_axis(
        clock, reset, advance, turn_row, second_row, row_offset, row_weight, row_ends, height, rows, row_stride
    )
    column_axis = follow_axis(
        clock, reset, advance, turn_column, second_column, column_offset, column_weight, column_ends,
        width, columns, groups,
    )  # fmt: skip

    @always_comb
    def split():
        second_row.next = tap >= 2
        second_column.next = tap[0]

    @always_comb
    def end_word():
        turn_group.next = False
        if advance and active:
            turn_group.next = tap == LAST_TAP

    @always_comb
    def end_pixel():
        turn_column.next = False
        if turn_group:
            turn_column.next = group == last_group

    @always_comb
    def end_row():
        turn_row.next = turn_column and column_ends
        finish.next = turn_column and column_ends and row_ends

    @always_comb
    def locate():
        pixel.next = row_offset + column_offset

    @always(clock.posedge)
    def step():
        if reset:
            active.next = False
            tap.next = 0
            group.next = 0
        elif launch:
            active.next = True
        elif advance and active:
            if tap == LAST_TAP:
                tap.next = 0
            else:
                tap.next = tap + 1
            if turn_column:
                group.next = 0
            elif turn_group:
                group.next = group + 1
            if finish:
                active.next = False

    @always(clock.posedge)
    def name():
        if reset:
            located.next = False
        elif advance:
            located.next = active
            address.next = pixel + group
            first.next = tap == 0
            last.next = tap == LAST_TAP

    return row_axis, column_axis, split, end_word, end_pixel, end_row, locate, step, name


@block
def weigh_lane(clock, advance, stages, first, scaled, word, weight, sample, lane, form, start, division):
    """The rounded weighted mean of four samples of one lane (SPEC HW-22, RES-2).

    word, weight  with stages[FETCHED];  first  of the four, with stages[MULTIPLIED];  scaled  a quotient is complete
    start  of the sum: half of the divisor, and the divisor times what makes every sample positive
    sample  its pattern.  Latency four cycles with `advance`: product, sum, quotient, sample.
    """
    top, bottom = int((lane + 1) * form.bits), int(lane * form.bits)
    bits, lo = int(form.bits), int(form.lo)
    x_lo, x_hi = limits(bits + 1)
    w_lo, w_hi = limits(len(weight) + 1)
    value_lo, value_hi = limits(bits + 2)
    start = int(start)
    sum_bits, first_shift, rest_bits = int(division.bits), int(division.first_shift), int(division.rest_bits)
    factor_bits, factor_value = int(division.multiplier_bits), int(division.multiplier)
    quotient_bottom = int(division.second_shift)
    quotient_top = int(division.second_shift + form.bits)
    sum_lo, sum_hi = limits(sum_bits + 1)
    fetched, multiplied, summed = stages[FETCHED], stages[MULTIPLIED], stages[SUMMED]
    product, total = signed(sum_bits + 1), signed(sum_bits + 1)
    quotient = unsigned(rest_bits + factor_bits)

    if form.signed:

        @instance
        def multiply():
            x = intbv(0, min=x_lo, max=x_hi)
            w = intbv(0, min=w_lo, max=w_hi)
            while True:
                yield clock.posedge
                if advance and fetched:
                    x[:] = word[top:bottom].signed()
                    w[:] = weight
                    product.next = x * w

    else:

        @instance
        def multiply():
            x = intbv(0, min=x_lo, max=x_hi)
            w = intbv(0, min=w_lo, max=w_hi)
            while True:
                yield clock.posedge
                if advance and fetched:
                    x[:] = word[top:bottom]
                    w[:] = weight
                    product.next = x * w

    @instance
    def add():
        partial = intbv(0, min=sum_lo, max=sum_hi)
        while True:
            yield clock.posedge
            if advance and multiplied:
                if first:
                    partial[:] = start
                else:
                    partial[:] = total
                partial[:] = partial + product
                total.next = partial

    @instance
    def divide():
        rest = intbv(0)[rest_bits:]
        factor = intbv(0)[factor_bits:]
        while True:
            yield clock.posedge
            if advance and summed:
                rest[:] = total[sum_bits:first_shift]
                factor[:] = factor_value
                quotient.next = rest * factor

    @instance
    def shift_back():
        value = intbv(0, min=value_lo, max=value_hi)
        while True:
            yield clock.posedge
            if advance and scaled:
                value[:] = quotient[quotient_top:quotient_bottom]
                value[:] = value + lo
                sample.next = value[bits:]

    return multiply, add, divide, shift_back


@block
def count_words(clock, reset, launch, running, done, word_valid, sink, words):
    """Know when a run is over (SPEC HW-22).

    running  from `launch` until the last of `words` words passes, which is `done`.
    """
    sink_ready = sink.ready
    last_word = int(words - 1)
    words_left = unsigned(address_bits(int(words)))

    @always_comb
    def finish():
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

    return finish, count


@block
def resize_stage(clock, reset, load, first_select, sources, sink, fault, stage):
    """Take a tensor, then give every result from the four samples beside it (SPEC HW-22, RES-2).

    Throughput a word in four cycles; takes the next tensor after the last word.
    """
    lanes, form, start, division = stage.lanes, stage.format, stage.start, stage.division
    words, sink_words = stage.sources[0].words, stage.sink.words
    source = sources[0]
    source_word, sink_word = source.word, sink.word
    launch, running, done, advance, word_valid = bit(), bit(), bit(), bit(), bit()
    store, fetch, located, first, last, scaled, results_valid = (bit() for _ in range(7))
    stages, lasts = ([bit() for _ in range(SUMMED + 1)] for _ in range(2))
    firsts = [bit() for _ in range(MULTIPLIED + 1)]
    summed, complete, begins = stages[SUMMED], lasts[SUMMED], firsts[MULTIPLIED]
    store_address, base, address = (unsigned(address_bits(words)) for _ in range(3))
    word = unsigned(len(source_word))
    row_weight, column_weight = unsigned(stage.weight_bits), unsigned(stage.weight_bits)
    weight = unsigned(2 * stage.weight_bits)
    samples = [unsigned(form.bits) for _ in range(lanes)]

    tile = fill(clock, reset, source, running, done, launch, store, store_address, base, words, 1)
    buffer = ram(clock, store, store_address, source_word, fetch, address, word, words)
    run = count_words(clock, reset, launch, running, done, word_valid, sink, sink_words)
    offering = offer(advance, word_valid, sink)
    steps = walk_samples(clock, reset, advance, launch, located, first, last, address, row_weight, column_weight, stage)
    follow_stages = follow_valid(clock, reset, advance, located, stages)
    follow_firsts = follow_value(clock, advance, first, firsts)
    follow_lasts = follow_value(clock, advance, last, lasts)
    units = []
    for p in range(lanes):
        sample = samples[p]
        units.append(weigh_lane(clock, advance, stages, begins, scaled, word, weight, sample, p, form, start, division))
    gathering = pack(clock, reset, advance, results_valid, samples, word_valid, sink_word)

    @always_comb
    def read():
        fetch.next = advance and located

    @always(clock.posedge)
    def follow():
        fault.next = 0
        if reset:
            scaled.next = False
            results_valid.next = False
        elif advance:
            weight.next = row_weight * column_weight
            scaled.next = summed and complete
            results_valid.next = scaled

    return (
        tile, buffer, run, offering, steps, follow_stages, follow_firsts, follow_lasts, units, gathering, read, follow,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ResizeStage:
    """Parameter set of a bilinear enlargement (SPEC HW-22).

    channels 1..1024;  height, width  of the source, 1..4096, target 1..4096 too;  rows, columns  factors, 1..5
    lanes 1..32;  format  2..16 bits.  Raises HardwareError RC-HW-CONFIG.
    """

    clauses: ClassVar[tuple[str, ...]] = ("RES-2",)
    channels: int
    height: int
    width: int
    rows: int
    columns: int
    lanes: int
    format: IntFormat

    def __post_init__(self) -> None:
        require_range("rows", self.rows, 1, MAX_FACTOR)
        require_range("columns", self.columns, 1, MAX_FACTOR)
        check_tensor(self.channels, self.height, self.width, self.lanes)
        check_tensor(self.channels, self.height * self.rows, self.width * self.columns, self.lanes)
        require(2 <= self.format.bits <= MAX_BITS, f"samples need 2..{MAX_BITS} bits, got {self.format}")
        (source,) = self.sources
        require(source.words <= MAX_DEPTH, f"the sample memory needs {source.words} words, {MAX_DEPTH} is the limit")

    @classmethod
    def of(cls, program: Program, name: str, height: int, width: int, lanes: int) -> tuple[ResizeStage, Images]:
        """The stage of one operation on a height x width source; it has no memories (SPEC HW-22).

        Raises HardwareError, ModelError.
        """
        operation = operation_of(program, name, Resize)
        source = program.tensor(operation.source)
        rows, columns = int(operation.rows), int(operation.columns)
        return cls(source.channels, height, width, rows, columns, lanes, source.format), {}

    @property
    def block(self) -> Callable[..., Any]:
        """The stage."""
        return resize_stage

    @property
    def title(self) -> str:
        """One line for people."""
        return (
            f"Bilinear enlargement by {self.rows}x{self.columns} of {self.channels} channels "
            f"of {self.height}x{self.width} in {self.format}"
        )

    @property
    def unit(self) -> int:
        """What the weights of the four samples of a result sum to."""
        return 4 * self.rows * self.columns

    @property
    def start(self) -> int:
        """Of every sum: half a unit, which rounds, and what makes it positive."""
        return self.unit // 2 - self.format.lo * self.unit

    @property
    def division(self) -> Division:
        """Of a sum by the unit."""
        return Division.by(self.unit, ((self.unit << self.format.bits) - 1).bit_length())

    @property
    def weight_bits(self) -> int:
        """Unsigned bits of a weight along either axis."""
        return (2 * max(self.rows, self.columns)).bit_length()

    @property
    def sources(self) -> tuple[StreamFormat, ...]:
        """The tensor."""
        return (StreamFormat(self.channels, self.height, self.width, self.lanes, self.format),)

    @property
    def sink(self) -> StreamFormat:
        """The enlarged tensor."""
        return StreamFormat(self.channels, self.height * self.rows, self.width * self.columns, self.lanes, self.format)

    @property
    def memories(self) -> Mapping[str, Memory]:
        """None."""
        return {}

    @property
    def buffers(self) -> dict[str, Memory]:
        """The whole source."""
        (source,) = self.sources
        return {"sample": Memory(source.bits, source.words, 1)}

    @property
    def macs(self) -> int:
        """None: a lane has its own multiplier."""
        return 0

    @property
    def multipliers(self) -> int:
        """None."""
        return 0

    @property
    def interval(self) -> int:
        """Edges between tensors that follow each other, where words wait and results are never held (SPEC HW-6)."""
        (source,) = self.sources
        return source.words + TAPS * self.sink.words + LATENCY

    def schedule(self, offered: Sequence[Sequence[int]]) -> Schedule:
        """Takes the tensor as it comes; then a word passes every four edges."""
        (taken,) = offered
        words = range(1, self.sink.words + 1)
        return Schedule((tuple(taken),), tuple(taken[-1] + TAPS * word + LATENCY for word in words))

    def describe(self) -> Mapping[str, object]:
        """Plain values for a manifest."""
        return plain(self)
