"""The load port and the memories behind it (SPEC HW-5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from myhdl import always, always_comb, block

from hw.elaboration import bit, signed, unsigned


@dataclass(frozen=True, slots=True)
class LoadPort:
    """The signals that fill the memories: one word of one lane's memory at every edge that sees `valid` (SPEC HW-5)."""

    valid: Any
    select: Any
    lane: Any
    address: Any
    data: Any


@block
def ram(clock, write, write_address, write_word, read, address, word, depth):
    """A RAM of `depth` words that the datapath writes and reads (SPEC HW-8).

    All words unsigned and of one width.  Latency one cycle with `read`; a word that is written while it is read
    arrives as it was.
    """
    width = len(word)
    cells = [unsigned(width) for _ in range(int(depth))]

    @always(clock.posedge)
    def access():
        if write:
            cells[write_address].next = write_word
        if read:
            word.next = cells[address]

    return access


@block
def memory(clock, load, select, lane, advance, read, address, word, depth):
    """A RAM of `depth` words that the load port writes and the datapath reads (SPEC HW-5).

    select, lane  the values of the load port that address this memory
    address  below `depth` while `read`;  word  receives the word, which has its format.
    Latency one cycle with `advance` and `read`, one word a cycle; not at an edge that loads a word of this memory, so
    that a block memory needs nothing around it for the case that both meet.
    """
    width = len(word)
    select = int(select)
    lane = int(lane)
    is_signed = word.min < 0
    load_valid, load_select, load_lane = load.valid, load.select, load.lane
    load_address, load_data = load.address, load.data
    cells = [signed(width) if is_signed else unsigned(width) for _ in range(int(depth))]

    write = bit()

    @always_comb
    def choose():
        write.next = load_valid and load_select == select and load_lane == lane

    if is_signed:

        @always(clock.posedge)
        def store():
            if write:
                cells[load_address].next = load_data[width:].signed()

    else:

        @always(clock.posedge)
        def store():
            if write:
                cells[load_address].next = load_data[width:]

    @always(clock.posedge)
    def fetch():
        if advance and read and not write:
            word.next = cells[address]

    return choose, store, fetch
