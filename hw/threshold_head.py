"""Stage that turns every accumulator into a sample, by thresholds (SPEC HW-19, HEAD-1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from hw.checks import require
from hw.pointwise import Pointwise, operation_of
from hw.scale_index import ScaleIndexStage, threshold_images
from hw.stage import Images
from refcodec.formats import IntFormat
from refcodec.program.operations import ThresholdHead
from refcodec.program.program import Program

SAMPLE_FORMAT = IntFormat(8, False)


@dataclass(frozen=True, slots=True)
class ThresholdHeadStage(ScaleIndexStage):
    """Parameter set of a threshold head: the search of the scale index, with eight levels (SPEC HW-19).

    source  the accumulators;  target  u8.  Raises HardwareError RC-HW-CONFIG.
    """

    clauses: ClassVar[tuple[str, ...]] = ("HEAD-1",)

    def __post_init__(self) -> None:
        Pointwise.__post_init__(self)
        require(self.target == SAMPLE_FORMAT, f"samples are {SAMPLE_FORMAT}, got {self.target}")
        self.check_depth()

    @classmethod
    def of(cls, program: Program, name: str, height: int, width: int, lanes: int) -> tuple[ThresholdHeadStage, Images]:
        """The stage of one operation on a height x width tensor, and its memories (SPEC HW-19).

        Raises HardwareError, ModelError.
        """
        operation = operation_of(program, name, ThresholdHead)
        source, target = program.tensor(operation.source), program.tensor(operation.target)
        stage = cls(source.channels, height, width, lanes, source.format, target.format)
        return stage, threshold_images(operation.thresholds, lanes, source.format)

    @property
    def title(self) -> str:
        """One line for people."""
        return f"Threshold head of {self.shape_text} from {self.source} to {self.target}"
