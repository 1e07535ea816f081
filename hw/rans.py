"""Stage that decodes rANS payloads, and the time that a payload takes (SPEC HW-12, RANS-2, RANS-3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import numpy as np

from hw.checks import MAX_DEPTH, require, require_range
from hw.elaboration import address_bits
from hw.rans_decoder import (
    LOWEST,
    MAX_NIBBLES,
    NIBBLE_BITS,
    SLOT_BITS,
    SYMBOL_BITS,
    WORD_BITS,
    rans_decoder,
)
from hw.stage import Images, Memory, Schedule
from hw.stimulus import Stimulus
from hw.stream import StreamFormat, pack_lanes
from refcodec.formats import IntFormat

FIRST_WORDS = 3  # their number and the first state
SYMBOL_CYCLES = 7  # of a symbol, with a level more for each binary digit of its row's escape
ESCAPE_CYCLES = 3  # of an escape more, and one for each nibble
WORDS_OF_A_SYMBOL = 2  # at most, whatever it is


class Tables(Protocol):
    """Rows of cumulative frequencies (SPEC CDF-1).

    values  (V,) int32;  starts  (R + 1,) int32;  offsets  (R,) int32.
    """

    @property
    def values(self) -> np.ndarray:
        """The rows, one after another."""

    @property
    def starts(self) -> np.ndarray:
        """Where each begins, and the end."""

    @property
    def offsets(self) -> np.ndarray:
        """The symbol of each row's first entry."""


@dataclass(frozen=True, slots=True)
class Work:
    """What one symbol asks of the decoder (SPEC HW-12).

    levels  of the search
    refills  whether the state takes a word: after the entry, then for an escape after its length and each nibble.
    """

    levels: int
    refills: tuple[bool, ...]

    @property
    def escaped(self) -> bool:
        """Whether nibbles spell it."""
        return len(self.refills) > 1


def levels(escape: int) -> int:
    """Levels of the search in a row whose last entry has that number (SPEC HW-12)."""
    return escape.bit_length()


def payload_words(payload: bytes) -> list[int]:
    """What the payload stream carries: the number of words, then the words (SPEC HW-12).

    Raises HardwareError RC-HW-CONFIG unless the payload is made of whole words.
    """
    require(len(payload) * 8 % WORD_BITS == 0, f"a payload holds whole words, got {len(payload)} bytes")
    words = np.frombuffer(payload, "<u4").tolist()
    return [len(words), *words]


def _refill(state: int, words: list[int]) -> tuple[int, bool]:
    """The state with a word below it where it needs one; there is one, or nothing is read of what follows."""
    if state >> LOWEST:
        return state, False
    return state << WORD_BITS | (words.pop(0) if words else 0), True


def payload_work(payload: bytes, rows: Sequence[int], tables: Tables) -> list[Work]:
    """What every symbol of a payload asks (SPEC HW-12, RANS-2).

    rows  the row of each symbol that is decoded, which may end before the payload is found to be wrong.
    """
    first, second, *words = np.frombuffer(payload, "<u4").tolist()
    state = second << WORD_BITS | first
    starts, values = tables.starts.tolist(), tables.values.tolist()
    work = []
    for row in rows:
        begin, end = starts[row], starts[row + 1]
        slot = state % (1 << SLOT_BITS)
        entry = int(np.searchsorted(tables.values[begin:end], slot, side="right")) - 1
        lower, upper = values[begin + entry], values[begin + entry + 1]
        state, refilled = _refill((upper - lower) * (state >> SLOT_BITS) + slot - lower, words)
        refills = [refilled]
        if entry == end - begin - 2:
            length = state % (1 << NIBBLE_BITS)
            for _ in range(1 + min(length, MAX_NIBBLES)):
                state, refilled = _refill(state >> NIBBLE_BITS, words)
                refills.append(refilled)
        work.append(Work(levels(end - begin - 2), tuple(refills)))
    return work


@dataclass(slots=True)
class _Clock:
    """The edges of one payload: `edge` is the first at which the next step may act."""

    payload: Sequence[int]
    rows: Sequence[int]
    edge: int = 0
    words: list[int] = field(default_factory=list)
    indexes: list[int] = field(default_factory=list)
    symbols: list[int] = field(default_factory=list)

    def take_word(self) -> None:
        """A word passes as soon as it is there."""
        self.words.append(max(self.edge, self.payload[len(self.words)]))
        self.edge = self.words[-1] + 1

    def take_row(self) -> None:
        """A row passes as soon as it is there."""
        self.indexes.append(max(self.edge, self.rows[len(self.indexes)]))
        self.edge = self.indexes[-1] + 1

    def refill(self, needed: bool) -> None:
        """One cycle, or longer where a word is awaited."""
        if needed:
            self.take_word()
        else:
            self.edge += 1

    def decode(self, work: Work) -> None:
        """A symbol, whose row has passed."""
        self.edge += SYMBOL_CYCLES - 2 + work.levels
        for needed in work.refills:
            self.refill(needed)
        if work.escaped:
            self.edge += 2
        self.symbols.append(self.edge)


@dataclass(frozen=True, slots=True)
class RansStage:
    """Parameter set of a rANS decoder (SPEC HW-12).

    rows  of the tables, 1..65536;  values  of all rows, 3..2**20;  escape  number of the last entry of the longest row
    count  symbols of a tensor;  plane  symbols of a channel, whose row is the channel: there is no stream of rows; or 0
    work  of a payload, which only `schedule` needs (`knowing`).  Raises HardwareError RC-HW-CONFIG.
    Takes a payload, which begins with the number of its words, and the row of each symbol; gives the symbols.
    """

    clauses: ClassVar[tuple[str, ...]] = ("RANS-2", "RANS-3")
    rows: int
    values: int
    escape: int
    count: int
    plane: int
    work: tuple[Work, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        require_range("rows", self.rows, 1, 1 << SLOT_BITS)
        require_range("values", self.values, 3 * self.rows, MAX_DEPTH)
        require_range("escape", self.escape, 1, min(self.values - 3 * self.rows + 1, (1 << SLOT_BITS) - 1))
        require_range("symbols", self.count, 1, 1 << 28)
        require_range("symbols of a channel", self.plane, 0, self.count)
        found = self.plane * self.rows
        require(found in (0, self.count), f"{self.rows} channels of {self.plane} symbols are not {self.count}")

    @classmethod
    def of(cls, tables: Tables, count: int, plane: int = 0) -> tuple[RansStage, Images]:
        """The decoder of `count` symbols and what its memories hold (SPEC HW-12).  Raises HardwareError."""
        escapes = np.diff(tables.starts) - 2
        stage = cls(len(tables.offsets), len(tables.values), int(escapes.max()), count, plane)
        images = {
            "value": [value % (1 << SLOT_BITS) for value in tables.values.tolist()],
            "start": tables.starts[:-1].tolist(),
            "escape": escapes.tolist(),
            "offset": [pack_lanes([offset], SYMBOL_BITS) for offset in tables.offsets.tolist()],
        }
        return stage, images

    def knowing(self, payload: bytes, rows: Sequence[int], tables: Tables) -> RansStage:
        """The same decoder, which can tell when it decodes this payload (SPEC HW-6, HW-12).

        rows  the row of each symbol, in coding order.
        """
        return replace(self, work=tuple(payload_work(payload, rows, tables)))

    def at_most(self) -> RansStage:
        """The same decoder, which tells the time of symbols without escapes, all in the longest row (SPEC HW-6)."""
        return replace(self, work=(Work(levels(self.escape), (False,)),) * self.count)

    @property
    def block(self) -> Callable[..., Any]:
        """The decoder."""
        return rans_decoder

    @property
    def title(self) -> str:
        """One line for people."""
        return f"rANS decoder of {self.count} symbols by {self.rows} rows of {self.escape + 2} entries at most"

    @property
    def place_bits(self) -> int:
        """Width of where a search looks in the values, beyond a row's end too."""
        return (self.values + 2 * self.escape).bit_length()

    @property
    def sources(self) -> tuple[StreamFormat, ...]:
        """The longest payload of so many symbols; the rows."""
        words = 1 + 2 + WORDS_OF_A_SYMBOL * self.count
        payload = StreamFormat(1, 1, words, 1, IntFormat(WORD_BITS, False))
        if self.plane:
            return (payload,)
        return payload, StreamFormat(1, 1, self.count, 1, IntFormat(address_bits(self.rows), False))

    @property
    def sink(self) -> StreamFormat:
        """The symbols, one a word, in coding order."""
        return StreamFormat(1, 1, self.count, 1, IntFormat(SYMBOL_BITS, True))

    @property
    def memories(self) -> dict[str, Memory]:
        """Cumulative values modulo 2**16, and of each row where it begins, its last entry and its first symbol."""
        return {
            "value": Memory(SLOT_BITS, self.values, 1),
            "start": Memory(address_bits(self.values), self.rows, 1),
            "escape": Memory(self.escape.bit_length(), self.rows, 1),
            "offset": Memory(SYMBOL_BITS, self.rows, 1),
        }

    @property
    def buffers(self) -> Mapping[str, Memory]:
        """None."""
        return {}

    @property
    def macs(self) -> int:
        """None."""
        return 0

    @property
    def multipliers(self) -> int:
        """None in an array."""
        return 0

    @property
    def cycles(self) -> int:
        """Edges from the one that passes the number of words to the one that passes the last symbol (SPEC HW-6).

        Of the payload that `knowing` was given, where no word or row is awaited and no symbol held.
        """
        escapes = sum(len(work.refills) - 2 + ESCAPE_CYCLES for work in self.work if work.escaped)
        return FIRST_WORDS + sum(SYMBOL_CYCLES + work.levels for work in self.work) + escapes

    @property
    def interval(self) -> int:
        """Edges between payloads that follow each other, on the same conditions (SPEC HW-6)."""
        return self.cycles + 1

    def schedule(self, offered: Sequence[Sequence[int]]) -> Schedule:
        """When words, rows and symbols pass, of the payload that `knowing` was given.

        Raises HardwareError RC-HW-CONFIG without one.
        """
        require(bool(self.work), "the time of a rANS decoder depends on the payload, and none was given")
        rows = offered[1] if len(offered) > 1 else [0] * self.count
        clock = _Clock(offered[0], rows)
        for _ in range(FIRST_WORDS):
            clock.take_word()
        for work in self.work:
            clock.take_row()
            clock.decode(work)
        accepted = (tuple(clock.words), tuple(clock.indexes))
        return Schedule(accepted[: len(offered)], tuple(clock.symbols))

    def describe(self) -> dict[str, object]:
        """Plain values for a manifest (SPEC HW-7)."""
        return {name: getattr(self, name) for name in ("rows", "values", "escape", "count", "plane")}


def rans_stimulus(
    tables: Tables, payload: bytes, rows: np.ndarray, symbols: np.ndarray, by_channel: bool = False, fault: int = 0
) -> Stimulus:
    """What a decoder must make of a payload (SPEC HW-12).

    rows  of the symbols, (C, H, W) in coding order;  symbols  that come out, all or, with a fault, those before it
    by_channel  the row of a symbol is its channel.  Raises HardwareError RC-HW-CONFIG.
    """
    flat = rows.ravel().tolist()
    plane = rows.size // rows.shape[0] if by_channel else 0
    stage, images = RansStage.of(tables, rows.size, plane)
    words = [pack_lanes([symbol], SYMBOL_BITS) for symbol in symbols.ravel().tolist()]
    sources = (payload_words(payload),) if by_channel else (payload_words(payload), flat)
    if not words:
        return Stimulus(stage, images, sources, [], [], fault)
    return Stimulus.of_words(stage.knowing(payload, flat[: len(words)], tables), images, sources, words, fault)
