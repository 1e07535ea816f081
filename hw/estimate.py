"""What a network takes: cycles, utilisation of its multipliers, memory, pictures a second (SPEC HW-6)."""

from __future__ import annotations

from dataclasses import dataclass

from hw.embedding import EmbeddingStage
from hw.parameters import EngineParameters
from hw.rans import RansStage
from hw.resize import ResizeStage
from hw.stage import Memory, Stage, back_to_back
from hw.transpose import Transpose

# Between two tensors these take nothing for a while.
WITH_PAUSE = (EngineParameters, EmbeddingStage, RansStage, ResizeStage, Transpose)


@dataclass(frozen=True, slots=True)
class PartEstimate:
    """One part.

    cycles  from the last word of an engine's input to its last result, of another stage from first word to last word
    interval  edges between tensors that follow each other;  macs  multiplications of one tensor
    multipliers  in its MAC array;  loaded_bits, buffer_bits  of its memories.
    """

    name: str
    title: str
    cycles: int
    interval: int
    macs: int
    multipliers: int
    loaded_bits: int
    buffer_bits: int

    @property
    def utilisation(self) -> float | None:
        """Part of the multiplications that its multipliers could do in its cycles, None without multipliers."""
        return self.macs / (self.multipliers * self.cycles) if self.multipliers else None


def bits_of(memories: dict[str, Memory]) -> int:
    """Of all copies of all of them."""
    return sum(memory.bits * memory.words for memory in memories.values())


def interval(stage: Stage) -> int:
    """Edges between two tensors that follow each other, where the sink is always ready and words wait (SPEC HW-6)."""
    if isinstance(stage, WITH_PAUSE):
        return stage.interval
    accepted = stage.schedule([back_to_back(source.words) for source in stage.sources]).accepted
    return max(edges[-1] - edges[0] + 1 for edges in accepted)


def estimate_part(name: str, stage: Stage) -> PartEstimate:
    """What one stage takes.  Raises HardwareError RC-HW-CONFIG for one whose time depends on what it decodes."""
    own = stage.cycles if isinstance(stage, EngineParameters) else span(stage)
    return PartEstimate(
        name,
        stage.title,
        own,
        interval(stage),
        stage.macs,
        stage.multipliers,
        bits_of(dict(stage.memories)),
        bits_of(dict(stage.buffers)),
    )


def span(stage: Stage) -> int:
    """Edges from the first word taken to the last one given, where words wait and the sink is always ready."""
    schedule = stage.schedule([back_to_back(source.words) for source in stage.sources])
    return schedule.offered[-1] - min(edges[0] for edges in schedule.accepted)
