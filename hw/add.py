"""Stage that adds multiples of two tensors and rounds once (SPEC HW-20, ADD-1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from myhdl import always, block, instance, intbv

from hw.checks import require
from hw.clip import clip
from hw.elaboration import address_bits, bit, bus, limits, signed, unsigned
from hw.memory import memory
from hw.pointwise import Pointwise, enter, follow_valid, leave, operation_of, take
from hw.requantise import SHIFT_BITS
from hw.stage import Images, Memory
from hw.stream import StreamFormat, pack_lanes
from refcodec.formats import IntFormat
from refcodec.program.operations import Add
from refcodec.program.program import Program

WIDE_BITS = 64  # signed; the operation has proven that no sum leaves it (SPEC ADD-2)
MULTIPLIER_BITS = 32  # signed
MAX_TARGET_BITS = 30  # the limits of the clip are literals of the emitted HDL
SUM, ROUNDED, SCALED, CLIPPED = range(4)  # what each cycle after that of the products computes
STAGES = 5


@block
def add_lane(
    clock, advance, valid, stages, left, right, left_multiplier, right_multiplier, half, shift, result, lo, hi
):
    """Sum of two products, its half added, shifted, limited to lo .. hi (SPEC HW-20, ADD-1).

    left, right and multipliers  signed, with `valid`;  half, shift  of this lane's sum, two and three cycles later
    stages  list of `valid`, one to five cycles later.  Latency five cycles with `advance`.
    """
    left_product, right_product, total, rounded, scaled = (signed(WIDE_BITS) for _ in range(5))
    sum_valid, rounded_valid, scaled_valid = stages[SUM], stages[ROUNDED], stages[SCALED]
    saturation = clip(clock, advance, stages[CLIPPED], scaled, result, lo, hi)

    @always(clock.posedge)
    def multiply():
        if advance and valid:
            left_product.next = left * left_multiplier
            right_product.next = right * right_multiplier

    @always(clock.posedge)
    def add():
        if advance and sum_valid:
            total.next = left_product + right_product

    @always(clock.posedge)
    def add_half():
        if advance and rounded_valid:
            rounded.next = total + half

    @always(clock.posedge)
    def scale():
        if advance and scaled_valid:
            scaled.next = rounded >> shift

    return saturation, multiply, add, add_half, scale


@block
def halve(clock, advance, valid, shift, half):
    """Half of 2**shift, 0 where the shift is 0 (SPEC HW-20, RND-1).  Latency one cycle with `advance`."""
    lo, hi = limits(len(half))

    @instance
    def compute():
        power = intbv(0, min=lo, max=hi)
        while True:
            yield clock.posedge
            if advance and valid:
                power[:] = 1
                power[:] = power << shift
                half.next = power >> 1

    return compute


@block
def add_stage(clock, reset, load, first_select, sources, sink, fault, stage):
    """Add a word of each source, lane by lane (SPEC HW-20, ADD-1).

    The constants are the same for all words: half and shift are there long before the first sum.
    """
    lanes, groups, lo, hi = stage.lanes, stage.groups, stage.target.lo, stage.target.hi
    left_format, right_format = stage.source, stage.other
    left_word, right_word = sources[0].word, sources[1].word
    right_select, shift_select = first_select + 1, first_select + 2
    advance, passes, valid = bit(), bit(), bit()
    stages = [bit() for _ in range(STAGES)]
    half_valid, results_valid = stages[SUM], stages[STAGES - 1]
    group = unsigned(address_bits(groups))
    only = unsigned(1)
    left_multiplier, right_multiplier = signed(MULTIPLIER_BITS), signed(MULTIPLIER_BITS)
    shift, half = unsigned(SHIFT_BITS), signed(WIDE_BITS)
    left_operands = [signed(stage.operand_bits) for _ in range(lanes)]
    right_operands = [signed(stage.other_bits) for _ in range(lanes)]
    results = [bus(stage.target) for _ in range(lanes)]

    entry = enter(clock, reset, sources, advance, passes, valid, group, fault, groups)
    left_split = take(clock, passes, left_word, left_operands, left_format)
    right_split = take(clock, passes, right_word, right_operands, right_format)
    left_memory = memory(clock, load, first_select, 0, advance, passes, only, left_multiplier, 1)
    right_memory = memory(clock, load, right_select, 0, advance, passes, only, right_multiplier, 1)
    shift_memory = memory(clock, load, shift_select, 0, advance, passes, only, shift, 1)
    halving = halve(clock, advance, half_valid, shift, half)
    sums = []
    for p in range(lanes):
        left, right, result = left_operands[p], right_operands[p], results[p]
        sums.append(
            add_lane(
                clock, advance, valid, stages, left, right, left_multiplier, right_multiplier, half, shift,
                result, lo, hi,
            )
        )  # fmt: skip
    follow = follow_valid(clock, reset, advance, valid, stages)
    gathering = leave(clock, reset, advance, results_valid, results, sink)

    @always(clock.posedge)
    def stay():
        only.next = 0

    return (
        entry, left_split, right_split, left_memory, right_memory, shift_memory, halving, sums, follow, gathering, stay,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class AddStage(Pointwise):
    """Parameter set of a sum of two tensors (SPEC HW-20).

    source, other  formats of the two sources;  target  1..30 bits.
    Raises HardwareError RC-HW-CONFIG.
    """

    clauses: ClassVar[tuple[str, ...]] = ("ADD-1",)
    other: IntFormat

    def __post_init__(self) -> None:
        Pointwise.__post_init__(self)
        require(self.target.bits <= MAX_TARGET_BITS, f"sums have 1..{MAX_TARGET_BITS} bits, got {self.target}")

    @classmethod
    def of(cls, program: Program, name: str, height: int, width: int, lanes: int) -> tuple[AddStage, Images]:
        """The stage of one operation on two height x width tensors, and its memories (SPEC HW-20).

        Raises HardwareError, ModelError.
        """
        operation = operation_of(program, name, Add)
        left, right = (program.tensor(source) for source in operation.sources)
        target = program.tensor(operation.target)
        stage = cls(left.channels, height, width, lanes, left.format, target.format, right.format)
        first, second = operation.multipliers.tolist()
        images = {
            "left_multiplier": [pack_lanes([first], MULTIPLIER_BITS)],
            "right_multiplier": [pack_lanes([second], MULTIPLIER_BITS)],
            "shift": [int(operation.shift)],
        }
        return stage, images

    @property
    def block(self) -> Callable[..., Any]:
        """The stage."""
        return add_stage

    @property
    def title(self) -> str:
        """One line for people."""
        return f"Sum of two tensors of {self.shape_text}, {self.source} and {self.other} to {self.target}"

    @property
    def other_bits(self) -> int:
        """Signed bits that hold every value of the second source."""
        return self.other.bits + (not self.other.signed)

    @property
    def sources(self) -> tuple[StreamFormat, ...]:
        """Two tensors of one shape."""
        return self.tensor(self.source), self.tensor(self.other)

    @property
    def unit_latency(self) -> int:
        """Products, sum, half, shift, clip."""
        return STAGES

    @property
    def memories(self) -> dict[str, Memory]:
        """Both multipliers and the shift."""
        return {
            "left_multiplier": Memory(MULTIPLIER_BITS, 1, 1),
            "right_multiplier": Memory(MULTIPLIER_BITS, 1, 1),
            "shift": Memory(SHIFT_BITS, 1, 1),
        }
