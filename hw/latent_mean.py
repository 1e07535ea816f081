"""Stage that adds the mean of its channel to every symbol (SPEC HW-15, MEAN-1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from myhdl import block, instance, intbv

from hw.checks import require
from hw.convolution import lane_memories
from hw.elaboration import address_bits, bit, limits, signed, unsigned
from hw.layer import channel_image
from hw.pointwise import Pointwise, enter, follow_valid, leave, operation_of, take
from hw.stage import Images, Memory
from refcodec.formats import IntFormat
from refcodec.program.operations import LatentMean
from refcodec.program.program import Program

SYMBOL_FORMAT = IntFormat(16, True)
MAX_FRACTION = 16
STAGES = 1


@block
def latent_mean(clock, advance, valid, symbol, mean, latent, fraction):
    """The symbol times 2**fraction plus the mean (SPEC HW-15, MEAN-1).

    latent  one bit wider than the mean, which has `fraction` bits more than the symbol.
    Latency one cycle with `advance`, one value a cycle.
    """
    fraction = int(fraction)
    lo, hi = limits(len(latent))

    @instance
    def add():
        wide = intbv(0, min=lo, max=hi)
        while True:
            yield clock.posedge
            if advance and valid:
                wide[:] = symbol
                wide[:] = wide << fraction
                wide[:] = wide + mean
                latent.next = wide

    return add


@block
def latent_mean_stage(clock, reset, load, first_select, sources, sink, fault, stage):
    """Add the mean of its channel to every lane (SPEC HW-15, MEAN-1)."""
    lanes, depth, fraction = stage.lanes, stage.groups, stage.fraction
    form = stage.source
    word = sources[0].word
    advance, passes, valid = bit(), bit(), bit()
    stages = [bit() for _ in range(STAGES)]
    results_valid = stages[STAGES - 1]
    group = unsigned(address_bits(depth))
    symbols = [signed(form.bits) for _ in range(lanes)]
    means = [signed(stage.mean_bits) for _ in range(lanes)]
    latents = [signed(stage.target.bits) for _ in range(lanes)]

    entry = enter(clock, reset, sources, advance, passes, valid, group, fault, depth)
    split = take(clock, passes, word, symbols, form)
    memories = lane_memories(clock, load, first_select, advance, passes, group, means, depth)
    sums = []
    for p in range(lanes):
        symbol, mean, latent = symbols[p], means[p], latents[p]
        sums.append(latent_mean(clock, advance, valid, symbol, mean, latent, fraction))
    follow = follow_valid(clock, reset, advance, valid, stages)
    gathering = leave(clock, reset, advance, results_valid, latents, sink)
    return entry, split, memories, sums, follow, gathering


@dataclass(frozen=True, slots=True)
class LatentMeanStage(Pointwise):
    """Parameter set of a latent mean (SPEC HW-15).

    source  s16, the symbols;  target  s17 .. s33: a fraction of 0..16 bits.  Raises HardwareError RC-HW-CONFIG.
    """

    clauses: ClassVar[tuple[str, ...]] = ("MEAN-1",)

    def __post_init__(self) -> None:
        Pointwise.__post_init__(self)
        require(self.source == SYMBOL_FORMAT, f"symbols are {SYMBOL_FORMAT}, got {self.source}")
        require(
            self.target.signed and 0 <= self.fraction <= MAX_FRACTION,
            f"latents are s{SYMBOL_FORMAT.bits + 1} to s{SYMBOL_FORMAT.bits + 1 + MAX_FRACTION}, got {self.target}",
        )

    @classmethod
    def of(cls, program: Program, name: str, height: int, width: int, lanes: int) -> tuple[LatentMeanStage, Images]:
        """The stage of one operation on a height x width tensor, and its memory (SPEC HW-15).

        Raises HardwareError, ModelError.
        """
        operation = operation_of(program, name, LatentMean)
        source, target = program.tensor(operation.source), program.tensor(operation.target)
        stage = cls(source.channels, height, width, lanes, source.format, target.format)
        return stage, {"mean": channel_image(operation.mean, lanes, stage.mean_bits)}

    @property
    def block(self) -> Callable[..., Any]:
        """The stage."""
        return latent_mean_stage

    @property
    def title(self) -> str:
        """One line for people."""
        return f"Latent means of {self.shape_text}, to {self.target}"

    @property
    def fraction(self) -> int:
        """Bits behind the point of means and latents."""
        return self.target.bits - SYMBOL_FORMAT.bits - 1

    @property
    def mean_bits(self) -> int:
        """Signed bits of a mean."""
        return self.target.bits - 1

    @property
    def unit_latency(self) -> int:
        """Of the sum."""
        return STAGES

    @property
    def memories(self) -> dict[str, Memory]:
        """The mean of every channel."""
        return {"mean": self.constant(self.mean_bits)}
