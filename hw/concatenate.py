"""Stage that puts the channels of one tensor behind those of another (SPEC HW-21, CAT-1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from myhdl import always, always_comb, block, instance, intbv

from hw.checks import require
from hw.elaboration import address_bits, bit, unsigned
from hw.pointwise import check_tensor, offer, operation_of
from hw.stage import Images, Memory, Schedule, plain
from hw.stream import StreamFormat
from refcodec.formats import IntFormat
from refcodec.program.operations import Concatenate
from refcodec.program.program import Program

LATENCY = 1


@block
def walk_pixel(
    clock, reset, sources, advance, step, word_valid, passes, fault, steps, left_words, right_words, first_right
):
    """Take the words of one pixel of both sources, one step for each word of the sink (SPEC HW-21).

    step  of the pixel;  passes  it is done at this edge;  word_valid  the same one cycle later, with `advance`
    The first `left_words` steps take a word of the first source, `right_words` from `first_right` on one of the other.
    """
    last_step = int(steps - 1)
    left_end, right_start, right_end = int(left_words), int(first_right), int(first_right + right_words)
    left_valid, left_ready = sources[0].valid, sources[0].ready
    right_valid, right_ready = sources[1].valid, sources[1].ready
    wants_left, wants_right, has_left, has_right = bit(), bit(), bit(), bit()

    @always_comb
    def want():
        wants_left.next = step < left_end
        wants_right.next = False
        if step >= right_start:
            wants_right.next = step < right_end

    @always_comb
    def find():
        has_left.next = left_valid or not wants_left
        has_right.next = right_valid or not wants_right

    @always_comb
    def accept():
        passes.next = advance and has_left and has_right
        left_ready.next = advance and wants_left and has_right
        right_ready.next = advance and wants_right and has_left

    @always(clock.posedge)
    def count():
        fault.next = 0
        if reset:
            step.next = 0
            word_valid.next = False
        elif advance:
            word_valid.next = passes
            if passes:
                if step == last_step:
                    step.next = 0
                else:
                    step.next = step + 1

    return want, find, accept, count


@block
def choose_word(clock, passes, step, left_word, right_word, word, first_right):
    """The first source's words, then the other's: no word holds channels of both (SPEC HW-21).  Latency one cycle."""
    right_start = int(first_right)

    @always(clock.posedge)
    def choose():
        if passes:
            if step < right_start:
                word.next = left_word
            else:
                word.next = right_word

    return choose


@block
def join_words(clock, passes, step, left_word, right_word, word, first_right, left_bits):
    """The first source's words, the last of which has channels in `left_bits` only, then the other's behind them.

    What a word of the other has no room for begins the next word (SPEC HW-21).  Latency one cycle.
    """
    right_start = int(first_right)
    left_bits = int(left_bits)
    bits = len(word)
    both = bits + left_bits
    rest = unsigned(left_bits)

    @instance
    def join():
        wide = intbv(0)[both:]
        low = intbv(0)[left_bits:]
        while True:
            yield clock.posedge
            if passes:
                low[:] = rest
                if step == right_start:
                    low[:] = left_word[left_bits:]
                wide[:] = right_word
                wide[:] = wide << left_bits
                wide[:] = wide | low
                rest.next = wide[both:bits]
                if step < right_start:
                    word.next = left_word
                else:
                    word.next = wide[bits:]

    return join


@block
def concatenate_stage(clock, reset, load, first_select, sources, sink, fault, stage):
    """A word of the sink at every edge at which the words that it is made of are there (SPEC HW-21, CAT-1)."""
    left, right = stage.sources
    steps, left_words, right_words, first_right = stage.sink.groups, left.groups, right.groups, stage.full_words
    left_word, right_word, sink_word = sources[0].word, sources[1].word, sink.word
    advance, passes, word_valid = bit(), bit(), bit()
    step = unsigned(address_bits(steps))
    word = unsigned(len(sink_word))

    walk = walk_pixel(
        clock, reset, sources, advance, step, word_valid, passes, fault, steps, left_words, right_words, first_right
    )
    offering = offer(advance, word_valid, sink)
    if stage.left_bits == 0:
        content = choose_word(clock, passes, step, left_word, right_word, word, first_right)
    else:
        left_bits = stage.left_bits
        content = join_words(clock, passes, step, left_word, right_word, word, first_right, left_bits)

    @always_comb
    def show():
        sink_word.next = word

    return walk, offering, content, show


@dataclass(frozen=True, slots=True)
class ConcatenateStage:
    """Parameter set of a concatenation of two tensors (SPEC HW-21).

    left_channels, right_channels  of the sources, in all 1..1024;  height, width  1..4096
    lanes 1..32;  format  of all.  Raises HardwareError RC-HW-CONFIG.
    """

    clauses: ClassVar[tuple[str, ...]] = ("CAT-1",)
    left_channels: int
    right_channels: int
    height: int
    width: int
    lanes: int
    format: IntFormat

    def __post_init__(self) -> None:
        for channels in (self.left_channels, self.right_channels):
            check_tensor(channels, self.height, self.width, self.lanes)
        check_tensor(self.left_channels + self.right_channels, self.height, self.width, self.lanes)

    @classmethod
    def of(cls, program: Program, name: str, height: int, width: int, lanes: int) -> tuple[ConcatenateStage, Images]:
        """The stage of one operation on two height x width tensors; it has no memories (SPEC HW-21).

        Raises HardwareError, ModelError.
        """
        operation = operation_of(program, name, Concatenate)
        require(len(operation.sources) == 2, f"{name} joins {len(operation.sources)} tensors, a stage joins 2")
        left, right = (program.tensor(source) for source in operation.sources)
        return cls(left.channels, right.channels, height, width, lanes, left.format), {}

    @property
    def block(self) -> Callable[..., Any]:
        """The stage."""
        return concatenate_stage

    @property
    def title(self) -> str:
        """One line for people."""
        return (
            f"Concatenation of {self.left_channels} and {self.right_channels} channels "
            f"of {self.height}x{self.width} in {self.format}"
        )

    def tensor(self, channels: int) -> StreamFormat:
        """A stream of that many channels."""
        return StreamFormat(channels, self.height, self.width, self.lanes, self.format)

    @property
    def sources(self) -> tuple[StreamFormat, ...]:
        """Both tensors."""
        return self.tensor(self.left_channels), self.tensor(self.right_channels)

    @property
    def sink(self) -> StreamFormat:
        """The channels of both."""
        return self.tensor(self.left_channels + self.right_channels)

    @property
    def full_words(self) -> int:
        """Words of a pixel of the first source that have a channel in every lane."""
        return self.left_channels // self.lanes

    @property
    def left_bits(self) -> int:
        """Bits of the first source's channels in the word that has channels of both, 0 where no word has."""
        return self.left_channels % self.lanes * self.format.bits

    @property
    def memories(self) -> Mapping[str, Memory]:
        """None."""
        return {}

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
        """None."""
        return 0

    def schedule(self, offered: Sequence[Sequence[int]]) -> Schedule:
        """Each word of the sink passes one edge after those that it is made of, and one edge after the one before."""
        left, right = (iter(edges) for edges in offered)
        left_words, right_words = (source.groups for source in self.sources)
        taken: tuple[list[int], list[int]] = ([], [])
        passed: list[int] = []
        edge = -1
        for _ in range(self.height * self.width):
            for step in range(self.sink.groups):
                edge += 1
                takes_left = step < left_words
                takes_right = self.full_words <= step < self.full_words + right_words
                if takes_left:
                    edge = max(edge, next(left))
                if takes_right:
                    edge = max(edge, next(right))
                if takes_left:
                    taken[0].append(edge)
                if takes_right:
                    taken[1].append(edge)
                passed.append(edge + LATENCY)
        return Schedule((tuple(taken[0]), tuple(taken[1])), tuple(passed))

    def describe(self) -> Mapping[str, object]:
        """Plain values for a manifest."""
        return plain(self)
