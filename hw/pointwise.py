"""What the elementwise stages share: each turns a word of every source into a word, as these come (SPEC HW-8).

A stage of this kind has, in this order: `enter`, which lets words in; `take`, which splits a word into the operands of
its lanes, one cycle; memories of constants, read with the word at the channel group that it holds, one cycle; whatever
it computes, `unit_latency` cycles; `leave`, which joins the results into a word, one cycle, and offers it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from myhdl import always, always_comb, block

from hw.checks import MAX_CHANNELS, MAX_LANES, MAX_SIZE, require_range
from hw.convolution import pack
from hw.elaboration import bit
from hw.stage import Memory, Schedule, plain
from hw.stream import StreamFormat
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat
from refcodec.program.program import Program

Kind = TypeVar("Kind")


@block
def enter(clock, reset, sources, advance, passes, valid, group, fault, groups):
    """Let a word of every source in, where all have one, and count the channel groups (SPEC HW-8).

    passes  words are taken at this edge, which implies `advance`;  valid  the same one cycle later, with `advance`
    group  that the words hold, while `passes`;  fault  stays 0.
    """
    last_group = int(groups - 1)

    if len(sources) == 1:
        only_valid, only_ready = sources[0].valid, sources[0].ready

        @always_comb
        def accept():
            only_ready.next = advance
            passes.next = advance and only_valid

    else:
        left_valid, left_ready = sources[0].valid, sources[0].ready
        right_valid, right_ready = sources[1].valid, sources[1].ready

        @always_comb
        def accept():
            left_ready.next = advance and right_valid
            right_ready.next = advance and left_valid
            passes.next = advance and left_valid and right_valid

    @always(clock.posedge)
    def follow():
        fault.next = 0
        if reset:
            valid.next = False
            group.next = 0
        elif advance:
            valid.next = passes
            if passes:
                if group == last_group:
                    group.next = 0
                else:
                    group.next = group + 1

    return accept, follow


@block
def take_lane(clock, passes, word, operand, lane, form):
    """One lane of a word; an operand that is wider receives the same value (SPEC HW-8).  Latency one cycle."""
    top = int((lane + 1) * form.bits)
    bottom = int(lane * form.bits)

    if form.signed:

        @always(clock.posedge)
        def split():
            if passes:
                operand.next = word[top:bottom].signed()

    else:

        @always(clock.posedge)
        def split():
            if passes:
                operand.next = word[top:bottom]

    return split


@block
def take(clock, passes, word, operands, form):
    """All lanes of a word, lane 0 from the lowest bits (SPEC HW-8).  Latency one cycle."""
    lanes = []
    for p in range(len(operands)):
        operand = operands[p]
        lanes.append(take_lane(clock, passes, word, operand, p, form))
    return lanes


@block
def offer(advance, word_valid, sink):
    """Offer a word, which the sink has already, until it passes (SPEC HW-8).

    advance  low while an offered word does not pass: everything before holds its value.
    """
    sink_valid, sink_ready = sink.valid, sink.ready

    @always_comb
    def hold():
        advance.next = True
        if word_valid:
            advance.next = sink_ready

    @always_comb
    def show():
        sink_valid.next = word_valid

    return hold, show


@block
def leave(clock, reset, advance, valid, results, sink):
    """Join the results of all lanes into a word and offer it until it passes (SPEC HW-8).

    advance  low while an offered word does not pass: everything before holds its value.  Latency one cycle with it.
    """
    sink_word = sink.word
    word_valid = bit()
    join = pack(clock, reset, advance, valid, results, word_valid, sink_word)
    offering = offer(advance, word_valid, sink)
    return join, offering


@block
def follow_valid(clock, reset, advance, valid, stages):
    """`valid` of later cycles: stages[k] is what it was k + 1 cycles ago (SPEC HW-8)."""
    depth = len(stages)

    @always(clock.posedge)
    def follow():
        if reset:
            for i in range(depth):
                stages[i].next = False
        elif advance:
            stages[0].next = valid
            for i in range(1, depth):
                stages[i].next = stages[i - 1]

    return follow


@block
def follow_value(clock, advance, value, later):
    """A value of later cycles: later[k] is what it was k + 1 cycles ago (SPEC HW-8)."""
    depth = len(later)

    @always(clock.posedge)
    def follow():
        if advance:
            later[0].next = value
            for i in range(1, depth):
                later[i].next = later[i - 1]

    return follow


def operation_of(program: Program, name: str, kind: type[Kind]) -> Kind:
    """The operation of that name and kind.  Raises HardwareError RC-HW-CONFIG where it is another, ModelError."""
    operation = program.operation(name)
    if not isinstance(operation, kind):
        raise HardwareError("RC-HW-CONFIG", f"{name} is of the kind {operation.kind}, {kind.__name__} was wanted")
    return operation


def check_tensor(channels: int, height: int, width: int, lanes: int) -> None:
    """Raise HardwareError RC-HW-CONFIG unless a stream can carry a tensor of that shape (SPEC HW-1)."""
    require_range("lanes", lanes, 1, MAX_LANES)
    require_range("channels", channels, 1, MAX_CHANNELS)
    require_range("height", height, 1, MAX_SIZE)
    require_range("width", width, 1, MAX_SIZE)


@dataclass(frozen=True, slots=True)
class Pointwise:
    """Parameter set of an elementwise stage; the kinds of stages derive from it (SPEC HW-8).

    channels 1..1024, height, width 1..4096  of all its tensors;  lanes 1..32  channels in a word
    source, target  formats of the lanes.
    Takes a word at every edge at which it is offered, `latency` edges before that of its result.
    Raises HardwareError RC-HW-CONFIG.
    """

    clauses: ClassVar[tuple[str, ...]] = ()
    channels: int
    height: int
    width: int
    lanes: int
    source: IntFormat
    target: IntFormat

    def __post_init__(self) -> None:
        check_tensor(self.channels, self.height, self.width, self.lanes)

    @property
    def unit_latency(self) -> int:
        """Cycles from operands and constants to results."""
        raise NotImplementedError

    @property
    def latency(self) -> int:
        """Edges from the one that takes a word to the one that passes its result: operand, unit, word, pass."""
        return self.unit_latency + 2

    @property
    def groups(self) -> int:
        """Words of one pixel."""
        return self.sink.groups

    @property
    def operand_bits(self) -> int:
        """Signed bits that hold every value of the source."""
        return self.source.bits + (not self.source.signed)

    def tensor(self, form: IntFormat) -> StreamFormat:
        """A stream of this shape."""
        return StreamFormat(self.channels, self.height, self.width, self.lanes, form)

    @property
    def sources(self) -> tuple[StreamFormat, ...]:
        """One tensor, in the source format."""
        return (self.tensor(self.source),)

    @property
    def sink(self) -> StreamFormat:
        """A tensor of the same shape, in the target format."""
        return self.tensor(self.target)

    def constant(self, bits: int) -> Memory:
        """The memory of a constant of every channel, one copy for each lane."""
        return Memory(bits, self.groups, self.lanes)

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

    @property
    def shape_text(self) -> str:
        """Shape of the tensor for a title."""
        return f"{self.channels} channels of {self.height}x{self.width}"

    def schedule(self, offered: Sequence[Sequence[int]]) -> Schedule:
        """Word i passes from all sources once it is there in each, and word i of the sink `latency` edges later."""
        taken: list[int] = []
        for edges in zip(*offered, strict=True):
            taken.append(max(*edges, taken[-1] + 1 if taken else 0))
        return Schedule((tuple(taken),) * len(offered), tuple(edge + self.latency for edge in taken))

    def describe(self) -> Mapping[str, object]:
        """Plain values for a manifest."""
        return plain(self)
