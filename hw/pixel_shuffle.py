"""Stage that spreads blocks of channels over rows and columns (SPEC HW-17, PS-1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from myhdl import always, always_comb, block

from hw.checks import MAX_DEPTH, MAX_SIZE, require, require_range
from hw.elaboration import address_bits, bit, unsigned
from hw.memory import ram
from hw.pointwise import check_tensor, offer, operation_of
from hw.stage import Images, Memory, Schedule, plain
from hw.stream import StreamFormat
from refcodec.formats import IntFormat
from refcodec.program.operations import PixelShuffle
from refcodec.program.program import Program

LATENCY = 2  # edges from the one that takes the last word of a row to the one that passes the first word made of it


def shuffled_channels(channels: int, rows: int, columns: int, lanes: int) -> list[int | None]:
    """Which golden channel stands at each channel position of the source, None for padding (SPEC HW-17).

    channels  of the target.  For each row and column of a block, its channels of the target, up to a full word.
    """
    padding: list[int | None] = [None] * (-channels % lanes)
    places = [row * columns + column for row in range(rows) for column in range(columns)]
    found: list[int | None] = []
    for place in places:
        found += [channel * rows * columns + place for channel in range(channels)]
        found += padding
    return found


def arranged(values: np.ndarray, order: Sequence[int | None]) -> np.ndarray:
    """Rows of an array in that order, zeros for None: of a tensor, of weights, of constants (SPEC HW-17)."""
    found = np.zeros((len(order), *values.shape[1:]), values.dtype)
    for position, channel in enumerate(order):
        if channel is not None:
            found[position] = values[channel]
    return found


@block
def store_rows(clock, reset, source, store, address, row_stored, row_fetched, rows_full, row_words):
    """Write the words of a source to a buffer of two rows, in their order (SPEC HW-17).

    row_stored  the word of this edge completes a row;  row_fetched  the reader leaves one
    rows_full  complete rows that the reader has not left.
    """
    first_end, second_end = int(row_words - 1), int(2 * row_words - 1)
    valid, ready = source.valid, source.ready
    at_first_end, at_second_end = bit(), bit()

    @always_comb
    def place():
        at_first_end.next = address == first_end
        at_second_end.next = address == second_end

    @always_comb
    def accept():
        ready.next = rows_full != 2
        store.next = False
        row_stored.next = False
        if valid and rows_full != 2:
            store.next = True
            row_stored.next = at_first_end or at_second_end

    @always(clock.posedge)
    def count():
        if reset:
            address.next = 0
            rows_full.next = 0
        else:
            if store:
                if at_second_end:
                    address.next = 0
                else:
                    address.next = address + 1
            if row_stored and not row_fetched:
                rows_full.next = rows_full + 1
            elif row_fetched and not row_stored:
                rows_full.next = rows_full - 1

    return place, accept, count


@block
def fetch_rows(clock, reset, advance, rows_full, fetch, address, row_fetched, width, rows, strip_words):
    """Read complete rows of blocks in the order row of the block, column, word (SPEC HW-17).

    strip_words  of one row of one block;  row_fetched  the last word of a row of blocks is read at this edge.
    """
    block_words = int(rows * strip_words)
    strip_words = int(strip_words)
    row_words = int(width * block_words)
    last_word, last_column, last_strip = int(strip_words - 1), int(width - 1), int(rows - 1)
    skip = int(block_words - strip_words + 1)
    word = unsigned(address_bits(strip_words))
    column = unsigned(address_bits(int(width)))
    strip = unsigned(address_bits(int(rows)))
    strip_start = unsigned(address_bits(2 * row_words))
    in_second = bit()

    @always_comb
    def decide():
        fetch.next = False
        row_fetched.next = False
        if advance and rows_full != 0:
            fetch.next = True
            if word == last_word and column == last_column and strip == last_strip:
                row_fetched.next = True

    @always(clock.posedge)
    def step():
        if reset:
            word.next = 0
            column.next = 0
            strip.next = 0
            strip_start.next = 0
            address.next = 0
            in_second.next = False
        elif fetch:
            if word != last_word:
                word.next = word + 1
                address.next = address + 1
            else:
                word.next = 0
                if column != last_column:
                    column.next = column + 1
                    address.next = address + skip
                else:
                    column.next = 0
                    if strip != last_strip:
                        strip.next = strip + 1
                        strip_start.next = strip_start + strip_words
                        address.next = strip_start + strip_words
                    else:
                        strip.next = 0
                        in_second.next = not in_second
                        if in_second:
                            strip_start.next = 0
                            address.next = 0
                        else:
                            strip_start.next = row_words
                            address.next = row_words

    return decide, step


@block
def pixel_shuffle_stage(clock, reset, load, first_select, sources, sink, fault, stage):
    """Reorder the words of each row of blocks, with a buffer of two rows (SPEC HW-17, PS-1)."""
    row_words, width, rows, strip_words = stage.row_words, stage.width, stage.rows, stage.strip_words
    source = sources[0]
    source_word = source.word
    sink_word = sink.word
    store, row_stored, fetch, row_fetched, advance, word_valid = bit(), bit(), bit(), bit(), bit(), bit()
    rows_full = unsigned(2)
    store_address = unsigned(address_bits(2 * row_words))
    fetch_address = unsigned(address_bits(2 * row_words))
    word = unsigned(len(source_word))

    writer = store_rows(clock, reset, source, store, store_address, row_stored, row_fetched, rows_full, row_words)
    reader = fetch_rows(clock, reset, advance, rows_full, fetch, fetch_address, row_fetched, width, rows, strip_words)
    buffer = ram(clock, store, store_address, source_word, fetch, fetch_address, word, 2 * row_words)
    offering = offer(advance, word_valid, sink)

    @always_comb
    def show():
        sink_word.next = word

    @always(clock.posedge)
    def follow():
        fault.next = 0
        if reset:
            word_valid.next = False
        elif advance:
            word_valid.next = fetch

    return writer, reader, buffer, offering, show, follow


@dataclass(frozen=True, slots=True)
class PixelShuffleStage:
    """Parameter set of a pixel shuffle (SPEC HW-17).

    channels  of the target, 1..1024;  height, width  of the source, 1..4096, target 1..4096 too
    rows, columns  of a block, 1..64;  lanes 1..32;  format  of source and target.
    The channels of the source are those of `shuffled_channels`.
    Raises HardwareError RC-HW-CONFIG.
    """

    clauses: ClassVar[tuple[str, ...]] = ("PS-1",)
    channels: int
    height: int
    width: int
    rows: int
    columns: int
    lanes: int
    format: IntFormat

    def __post_init__(self) -> None:
        require_range("rows", self.rows, 1, MAX_SIZE)
        require_range("columns", self.columns, 1, MAX_SIZE)
        check_tensor(self.channels, self.height, self.width, self.lanes)
        check_tensor(self.channels, self.height * self.rows, self.width * self.columns, self.lanes)
        depth = 2 * self.row_words
        require(depth <= MAX_DEPTH, f"the row buffer needs {depth} words, {MAX_DEPTH} is the limit")

    @classmethod
    def of(cls, program: Program, name: str, height: int, width: int, lanes: int) -> tuple[PixelShuffleStage, Images]:
        """The stage of one operation on a height x width source; it has no memories (SPEC HW-17).

        Raises HardwareError, ModelError.
        """
        operation = operation_of(program, name, PixelShuffle)
        target = program.tensor(operation.target)
        rows, columns = int(operation.rows), int(operation.columns)
        return cls(target.channels, height, width, rows, columns, lanes, target.format), {}

    @property
    def block(self) -> Callable[..., Any]:
        """The stage."""
        return pixel_shuffle_stage

    @property
    def title(self) -> str:
        """One line for people."""
        return (
            f"Pixel shuffle by {self.rows}x{self.columns}, {self.height}x{self.width} blocks "
            f"of {self.channels} channels in {self.format}"
        )

    @property
    def order(self) -> list[int | None]:
        """The golden channel at each channel position of the source."""
        return shuffled_channels(self.channels, self.rows, self.columns, self.lanes)

    @property
    def strip_words(self) -> int:
        """Words of one row of one block."""
        return self.columns * self.sink.groups

    @property
    def row_words(self) -> int:
        """Words of one row of the source."""
        return self.width * self.rows * self.strip_words

    @property
    def sources(self) -> tuple[StreamFormat, ...]:
        """The tensor with its channels in `order`."""
        return (StreamFormat(len(self.order), self.height, self.width, self.lanes, self.format),)

    @property
    def sink(self) -> StreamFormat:
        """The shuffled tensor."""
        return StreamFormat(self.channels, self.height * self.rows, self.width * self.columns, self.lanes, self.format)

    @property
    def memories(self) -> Mapping[str, Memory]:
        """None."""
        return {}

    @property
    def buffers(self) -> dict[str, Memory]:
        """Two rows of the source."""
        return {"row": Memory(self.sink.bits, 2 * self.row_words, 1)}

    @property
    def macs(self) -> int:
        """None."""
        return 0

    @property
    def multipliers(self) -> int:
        """None."""
        return 0

    def schedule(self, offered: Sequence[Sequence[int]]) -> Schedule:
        """Every word is taken as it comes; the words of a row of blocks pass one a cycle once it is complete.

        A row is read in as many edges as it has words, and the next one takes at least as many to come.
        """
        (taken,) = offered
        ends = taken[self.row_words - 1 :: self.row_words]
        passed = [end + LATENCY + word for end in ends for word in range(self.row_words)]
        return Schedule((tuple(taken),), tuple(passed))

    def describe(self) -> Mapping[str, object]:
        """Plain values for a manifest."""
        return plain(self)
