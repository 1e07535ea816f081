"""What every method of calibration is told, so that only the methods differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from refcodec.codecs.inr.quantised import ACTIVATIONS, Video
from refcodec.errors import RangeError
from refcodec.formats import IntFormat
from refcodec.models.inr.trained import TrainedVideo
from refcodec.quantize.inr.objective import FLOAT
from refcodec.quantize.inr.uniform import CHANNEL

EVALUATIONS = 2000
BATCH = 2
FORWARD = 1 / 3  # of an evaluation: a layer, the gradient of its weights and that of its input multiply equally often

Progress = Callable[[float], None]  # called after each step with the part of all that is done


@dataclass(frozen=True, slots=True)
class Settings:
    """A budget and what goes with it.

    evaluations  of the network to spend: one is three times the multiplications of a frame, as the pictures, the
                 gradients of all weights and those of what their layers read take
    batch  frames to a step;  seed  of all randomness;  granularity  CHANNEL or TENSOR, of the steps
    target  FLOAT or FRAMES: what pictures are compared with, by the methods that do so and leave the choice
    activations  of the video.  Raises RangeError.
    """

    evaluations: int = EVALUATIONS
    batch: int = BATCH
    seed: int = 0
    granularity: str = CHANNEL
    target: str = FLOAT
    activations: IntFormat = ACTIVATIONS
    progress: Progress | None = None

    def __post_init__(self) -> None:
        for name in ("evaluations", "batch"):
            if getattr(self, name) < 1:
                raise RangeError(f"{name} must be 1 or more, got {getattr(self, name)}")

    def report(self, done: float) -> None:
        """Tell how much is done, if anyone asked."""
        if self.progress:
            self.progress(done)


# frames (T, H, W, 3) uint8; bits of all weights, or of parameters by name, as of `parameter_bits`
Method = Callable[[TrainedVideo, np.ndarray, int | Mapping[str, int], Settings], Video]
