"""Stages between single values, channel after channel, and words of several channels (SPEC HW-13)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from myhdl import always, always_comb, block

from hw.checks import MAX_DEPTH, require
from hw.elaboration import address_bits, bit, unsigned
from hw.fill import fill
from hw.memory import ram
from hw.pointwise import check_tensor, leave
from hw.stage import Memory, Schedule, plain
from hw.stream import StreamFormat
from refcodec.formats import IntFormat

LATENCY = 3  # edges from the last word of the source to the first of the sink: read, join or choose, pass


@block
def planes_walker(clock, restart, move, place, lane, final, stage):
    """Visits the values channel after channel, where they stand in words in pixel order (SPEC HW-13).

    restart  back to the first value;  move  to the next, the first after the last; each at the clock edge
    place  number of the word that holds the value;  lane  of that word;  final  the value is the last.
    """
    groups = int(stage.groups)
    last_pixel = int(stage.height * stage.width - 1)
    last_lane = int(stage.lanes - 1)
    last_channel = int(stage.channels - 1)
    pixel = unsigned(address_bits(last_pixel + 1))
    channel = unsigned(address_bits(last_channel + 1))
    group = unsigned(address_bits(groups))
    pixel_ends = bit()

    @always_comb
    def compare():
        pixel_ends.next = pixel == last_pixel
        final.next = pixel == last_pixel and channel == last_channel

    @always(clock.posedge)
    def walk():
        if restart or (move and final):
            place.next = 0
            lane.next = 0
            pixel.next = 0
            channel.next = 0
            group.next = 0
        elif move and not pixel_ends:
            pixel.next = pixel + 1
            place.next = place + groups
        elif move:
            pixel.next = 0
            channel.next = channel + 1
            if lane == last_lane:
                lane.next = 0
                group.next = group + 1
                place.next = group + 1
            else:
                lane.next = lane + 1
                place.next = group

    return compare, walk


@block
def value_bank(clock, write, write_lane, write_address, write_word, fetch, address, word, lane, depth):
    """The values of one lane, of which the walker writes one at a time (SPEC HW-13).

    The values of lane 0 go to every bank, so that the lanes beyond the last channel hold something.
    """
    lane = int(lane)
    own = bit()

    @always_comb
    def choose():
        own.next = write and (write_lane == lane or write_lane == 0)

    cells = ram(clock, own, write_address, write_word, fetch, address, word, depth)
    return choose, cells


@block
def word_bank(clock, write, write_address, write_word, fetch, address, word, lane, depth):
    """The values of one lane of words (SPEC HW-13)."""
    bits = len(word)
    top = int((lane + 1) * bits)
    bottom = int(lane * bits)
    part = unsigned(bits)

    @always_comb
    def split():
        part.next = write_word[top:bottom]

    cells = ram(clock, write, write_address, part, fetch, address, word, depth)
    return split, cells


@block
def to_pixels(clock, reset, load, first_select, sources, sink, fault, stage):
    """Takes values channel after channel, then gives words pixel after pixel, one each cycle (SPEC HW-13)."""
    lanes, depth = stage.lanes, int(stage.depth)
    source_valid, source_ready, source_word = sources[0].valid, sources[0].ready, sources[0].word
    last_word = int(depth - 1)
    store, final, reading, fetch, advance, valid, restart = bit(), bit(), bit(), bit(), bit(), bit(), bit()
    lane = unsigned(address_bits(lanes))
    place, address = unsigned(address_bits(depth)), unsigned(address_bits(depth))
    words = [unsigned(stage.format.bits) for _ in range(lanes)]

    walker = planes_walker(clock, restart, store, place, lane, final, stage)
    banks = []
    for p in range(lanes):
        word = words[p]
        banks.append(value_bank(clock, store, lane, place, source_word, fetch, address, word, p, depth))
    gathering = leave(clock, reset, advance, valid, words, sink)

    @always_comb
    def accept():
        restart.next = reset
        source_ready.next = not reading
        store.next = source_valid and not reading
        fetch.next = advance and reading

    @always(clock.posedge)
    def follow():
        fault.next = 0
        if reset:
            valid.next = False
            reading.next = False
        elif store:
            reading.next = final
            address.next = 0
        elif fetch:
            if address == last_word:
                reading.next = False
            else:
                address.next = address + 1
        if advance and not reset:
            valid.next = reading

    return walker, banks, gathering, accept, follow


@block
def to_planes(clock, reset, load, first_select, sources, sink, fault, stage):
    """Takes words pixel after pixel, then gives values channel after channel, one each cycle (SPEC HW-13)."""
    lanes, depth, bits = stage.lanes, int(stage.depth), stage.format.bits
    source_word = sources[0].word
    sink_valid, sink_ready, sink_word = sink.valid, sink.ready, sink.word
    launch, store, final, reading, fetch, advance = bit(), bit(), bit(), bit(), bit(), bit()
    read_valid, value_valid, restart, done = bit(), bit(), bit(), bit()
    base = unsigned(address_bits(depth))
    lane, read_lane = unsigned(address_bits(lanes)), unsigned(address_bits(lanes))
    place, store_address = unsigned(address_bits(depth)), unsigned(address_bits(depth))
    words = [unsigned(bits) for _ in range(lanes)]
    value = unsigned(bits)

    filling = fill(clock, reset, sources[0], reading, done, launch, store, store_address, base, depth, 1)
    walker = planes_walker(clock, restart, fetch, place, lane, final, stage)
    banks = []
    for p in range(lanes):
        word = words[p]
        banks.append(word_bank(clock, store, store_address, source_word, fetch, place, word, p, depth))

    @always_comb
    def hold():
        restart.next = reset
        advance.next = sink_ready or not value_valid
        fetch.next = reading and (sink_ready or not value_valid)
        done.next = False
        if reading and final:
            done.next = sink_ready or not value_valid

    @always_comb
    def offer():
        sink_valid.next = value_valid
        sink_word.next = value

    @always(clock.posedge)
    def follow():
        fault.next = 0
        if reset:
            reading.next = False
            read_valid.next = False
            value_valid.next = False
        else:
            if launch:
                reading.next = True
            elif fetch and final:
                reading.next = False
            if advance:
                read_valid.next = reading
                value_valid.next = read_valid

    @always(clock.posedge)
    def select():
        if advance:
            read_lane.next = lane
            value.next = words[read_lane]

    return filling, walker, banks, hold, offer, follow, select


@dataclass(frozen=True, slots=True)
class Transpose:
    """Parameter set of both stages, which derive from it (SPEC HW-13).

    channels 1..1024, height, width 1..4096  of the tensor;  lanes 1..32  channels in a word of it;  format  of a value.
    Takes a tensor, and then gives it a word each cycle.  Raises HardwareError RC-HW-CONFIG.
    """

    clauses: ClassVar[tuple[str, ...]] = ()
    channels: int
    height: int
    width: int
    lanes: int
    format: IntFormat

    def __post_init__(self) -> None:
        check_tensor(self.channels, self.height, self.width, self.lanes)
        require(self.depth <= MAX_DEPTH, f"the buffer needs {self.depth} words, {MAX_DEPTH} is the limit")

    @property
    def pixels(self) -> StreamFormat:
        """The tensor as words of `lanes` channels."""
        return StreamFormat(self.channels, self.height, self.width, self.lanes, self.format)

    @property
    def planes(self) -> StreamFormat:
        """The tensor as single values: channel, row, column."""
        return StreamFormat(1, 1, self.channels * self.height * self.width, 1, self.format)

    @property
    def groups(self) -> int:
        """Words of one pixel."""
        return self.pixels.groups

    @property
    def depth(self) -> int:
        """Words of a lane's memory."""
        return self.pixels.words

    @property
    def memories(self) -> Mapping[str, Memory]:
        """None."""
        return {}

    @property
    def buffers(self) -> Mapping[str, Memory]:
        """The tensor."""
        return {"tensor": Memory(self.format.bits, self.depth, self.lanes)}

    @property
    def macs(self) -> int:
        """None."""
        return 0

    @property
    def multipliers(self) -> int:
        """None."""
        return 0

    @property
    def shape_text(self) -> str:
        """The tensor for a title."""
        return f"{self.channels} channels of {self.height}x{self.width} in {self.format}"

    @property
    def interval(self) -> int:
        """Edges between tensors that follow each other: one comes in, then goes out (SPEC HW-6)."""
        return self.planes.words + self.pixels.words

    def timing(self, source: Sequence[int], words: int) -> Schedule:
        """Takes the tensor as it comes, then gives that many words."""
        first = source[-1] + LATENCY
        return Schedule((tuple(source),), tuple(range(first, first + words)))

    def describe(self) -> Mapping[str, object]:
        """Plain values for a manifest."""
        return plain(self)


@dataclass(frozen=True, slots=True)
class ToPixels(Transpose):
    """From single values in coding order to words in pixel order (SPEC HW-13).  Raises HardwareError RC-HW-CONFIG."""

    @property
    def block(self) -> Callable[..., Any]:
        """The stage."""
        return to_pixels

    @property
    def title(self) -> str:
        """One line for people."""
        return f"{self.shape_text} from single values to words of {self.lanes} lanes"

    @property
    def sources(self) -> tuple[StreamFormat, ...]:
        """Single values."""
        return (self.planes,)

    @property
    def sink(self) -> StreamFormat:
        """Words."""
        return self.pixels

    def schedule(self, offered: Sequence[Sequence[int]]) -> Schedule:
        """The first word `LATENCY` edges after the last value, then one at each."""
        return self.timing(offered[0], self.pixels.words)


@dataclass(frozen=True, slots=True)
class ToPlanes(Transpose):
    """From words in pixel order to single values in coding order (SPEC HW-13).  Raises HardwareError RC-HW-CONFIG."""

    @property
    def block(self) -> Callable[..., Any]:
        """The stage."""
        return to_planes

    @property
    def title(self) -> str:
        """One line for people."""
        return f"{self.shape_text} from words of {self.lanes} lanes to single values"

    @property
    def sources(self) -> tuple[StreamFormat, ...]:
        """Words."""
        return (self.pixels,)

    @property
    def sink(self) -> StreamFormat:
        """Single values."""
        return self.planes

    def schedule(self, offered: Sequence[Sequence[int]]) -> Schedule:
        """The first value `LATENCY` edges after the last word, then one at each."""
        return self.timing(offered[0], self.planes.words)
