"""Stage that gives the embedding or the encoding of a frame's number (SPEC HW-24, EMB-1, PE-2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from myhdl import always_comb, block, instance, intbv

from hw.checks import MAX_DEPTH, require
from hw.elaboration import address_bits, bit, unsigned
from hw.memory import memory
from hw.pointwise import check_tensor
from hw.stage import Images, Memory, Schedule, plain
from hw.stream import StreamFormat
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat
from refcodec.program.operations import Embedding, PositionalEncoding
from refcodec.program.program import Program

NO_SUCH_FRAME = 1  # the fault of a frame number that there is not
LATENCY = 2
FUNCTIONS = (Embedding, PositionalEncoding)


@block
def embedding_stage(clock, reset, load, first_select, sources, sink, fault, stage):
    """Read the words of a frame's tensor one after the other (SPEC HW-24, EMB-1).

    fault  1 from a frame number that there is not until reset; nothing comes out for it.
    """
    words = int(stage.sink.words)
    frames = int(stage.frames)
    depth = stage.memories["table"].depth
    select = first_select
    number, number_valid, number_ready = sources[0].word, sources[0].valid, sources[0].ready
    sink_valid, sink_ready, sink_word = sink.valid, sink.ready, sink.word
    bits = address_bits(depth) + len(number)

    running, advance, read, word_valid = bit(), bit(), bit(), bit()
    address = unsigned(address_bits(depth))
    left = unsigned(address_bits(words + 1))
    word = unsigned(stage.sink.bits)
    table = memory(clock, load, select, 0, advance, read, address, word, depth)

    @always_comb
    def hold():
        advance.next = True
        if word_valid:
            advance.next = sink_ready

    @always_comb
    def accept():
        number_ready.next = not running
        read.next = running
        sink_valid.next = word_valid
        sink_word.next = word

    @instance
    def walk():
        first = intbv(0)[bits:]
        while True:
            yield clock.posedge
            if reset:
                running.next = False
                word_valid.next = False
                fault.next = 0
            else:
                if advance:
                    word_valid.next = running
                if running:
                    if advance:
                        if left == 1:
                            running.next = False
                        else:
                            left.next = left - 1
                            address.next = address + 1
                elif number_valid:
                    if number < frames:
                        first[:] = number * words
                        address.next = first[len(address) :]
                        left.next = words
                        running.next = True
                    else:
                        fault.next = NO_SUCH_FRAME

    return table, hold, accept, walk


@dataclass(frozen=True, slots=True)
class EmbeddingStage:
    """Parameter set of an embedding or an encoding: a RAM that holds the tensor of every frame (SPEC HW-24).

    frames  that have a tensor, of an encoding all numbers;  channels, height, width, lanes, target  of the tensor of
    one;  number  format of a frame number.  Raises HardwareError RC-HW-CONFIG.
    """

    clauses: ClassVar[tuple[str, ...]] = ("EMB-1",)
    macs: ClassVar[int] = 0
    multipliers: ClassVar[int] = 0
    frames: int
    channels: int
    height: int
    width: int
    lanes: int
    number: IntFormat
    target: IntFormat

    def __post_init__(self) -> None:
        check_tensor(self.channels, self.height, self.width, self.lanes)
        words = self.frames * self.sink.words
        require(0 < words <= MAX_DEPTH, f"the table needs {words} words, {MAX_DEPTH} is the limit")
        fitting = not self.number.signed and self.frames <= self.number.hi + 1
        require(fitting, f"{self.frames} frames have no numbers of {self.number}")

    @classmethod
    def of(cls, program: Program, name: str, height: int, width: int, lanes: int) -> tuple[EmbeddingStage, Images]:
        """The stage of one operation, and its memory (SPEC HW-24).

        height, width  of the frame number, 1 and 1;  lanes  of what comes out.  Raises HardwareError, ModelError.
        """
        operation = program.operation(name)
        if not isinstance(operation, FUNCTIONS):
            raise HardwareError("RC-HW-CONFIG", f"{name} is a {operation.kind}; this stage takes the number of a frame")
        source, target = program.tensor(operation.source), program.tensor(operation.target)
        rows, columns = operation.size((height, width))
        frames = operation.frames if isinstance(operation, Embedding) else source.format.hi + 1
        stage = cls(frames, target.channels, rows, columns, lanes, source.format, target.format)
        numbers = np.arange(frames).reshape(-1, 1, 1, 1).astype(source.format.dtype)
        tensors = [operation.run([number], [source], target) for number in numbers]
        return stage, {"table": [word for tensor in tensors for word in stage.sink.pack(tensor)]}

    @property
    def block(self) -> Callable[..., Any]:
        """The stage."""
        return embedding_stage

    @property
    def title(self) -> str:
        """One line for people."""
        return f"Embeddings of {self.frames} frames, {self.channels} channels of {self.height}x{self.width}"

    @property
    def sources(self) -> tuple[StreamFormat, ...]:
        """The number of a frame."""
        return (StreamFormat(1, 1, 1, 1, self.number),)

    @property
    def sink(self) -> StreamFormat:
        """The tensor of the frame."""
        return StreamFormat(self.channels, self.height, self.width, self.lanes, self.target)

    @property
    def memories(self) -> Mapping[str, Memory]:
        """The tensors of all frames."""
        return {"table": Memory(self.sink.bits, self.frames * self.sink.words, 1)}

    @property
    def buffers(self) -> Mapping[str, Memory]:
        """None."""
        return {}

    @property
    def interval(self) -> int:
        """Edges between numbers that follow each other (SPEC HW-6)."""
        return self.sink.words + 1

    def schedule(self, offered: Sequence[Sequence[int]]) -> Schedule:
        """A word at every edge, from two after the number on."""
        ((edge,),) = offered
        return Schedule(((edge,),), tuple(edge + LATENCY + word for word in range(self.sink.words)))

    def describe(self) -> Mapping[str, object]:
        """Plain values for a manifest."""
        return plain(self)
