"""What a stage is given and what it must answer, from golden tensors (SPEC HW-6, HW-8)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hw.stage import Images, Stage, back_to_back, loads


@dataclass(frozen=True, slots=True, eq=False)
class Stimulus:
    """One run of a stage: what to load, what to offer, what must come out (SPEC HW-8).

    images  words by memory, lane after lane;  sources  words of each source
    words  that must come out, bits of no channel zero;  cycles  edge at which each passes, counted from the first
    word that the stage takes, when nothing is held back;  fault  at the end
    """

    stage: Stage
    images: Images
    sources: tuple[list[int], ...]
    words: list[int]
    cycles: list[int]
    fault: int = 0

    @classmethod
    def of(cls, stage: Stage, images: Images, tensors: Sequence[np.ndarray], expected: np.ndarray) -> Stimulus:
        """For a tensor (C, H, W) at each source and the golden tensor (C', H', W')."""
        sources = tuple(form.pack(tensor) for form, tensor in zip(stage.sources, tensors, strict=True))
        return cls.of_words(stage, images, sources, stage.sink.pack(expected))

    @classmethod
    def of_words(
        cls, stage: Stage, images: Images, sources: tuple[list[int], ...], words: list[int], fault: int = 0
    ) -> Stimulus:
        """For words, where they are not those of a whole tensor."""
        schedule = stage.schedule([back_to_back(len(source)) for source in sources])
        start = min(accepted[0] for accepted in schedule.accepted)
        return cls(stage, images, sources, words, [edge - start for edge in schedule.offered], fault)

    def loads(self) -> Iterator[tuple[int, int, int, int]]:
        """(select, lane, address, word) of every word to load, in order."""
        return loads(self.stage, self.images)

    @property
    def cycles_in_all(self) -> int:
        """Edges from the first word taken to the last given; 0 where nothing comes out."""
        return self.cycles[-1] if self.cycles else 0
