"""What calibration compares the pictures of a quantised network with, and how far from it they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refcodec.codecs.inr.architecture import Architecture
from refcodec.errors import RangeError, ShapeError
from refcodec.gradient.arrangement import crop
from refcodec.gradient.distance import mean_square
from refcodec.models.inr.pictures import samples
from refcodec.models.inr.trained import TrainedVideo
from refcodec.models.inr.twin import run

FLOAT, FRAMES = "float", "frames"
TARGETS = (FLOAT, FRAMES)


def check_frames(architecture: Architecture, frames: np.ndarray) -> None:
    """Raise ShapeError unless frames are a network's clip: (T, H, W, 3) uint8."""
    wanted = (architecture.frames, architecture.height, architecture.width, 3)
    if frames.shape != wanted or frames.dtype != np.uint8:
        raise ShapeError(f"wanted uint8 frames {wanted}, got {frames.dtype} {frames.shape}")


@dataclass(frozen=True, slots=True, eq=False)
class Objective:
    """The network of a clip, and what its pictures should be.

    wanted  (3, T, H, W) float32 in 0 .. 1, the height and width of the picture.
    """

    architecture: Architecture
    wanted: np.ndarray

    @classmethod
    def of(cls, trained: TrainedVideo, frames: np.ndarray, target: str = FLOAT) -> Objective:
        """The pictures of the float network, or the frames themselves.

        frames  (T, H, W, 3) uint8;  target  FLOAT or FRAMES.  Raises ShapeError, RangeError.
        """
        architecture = trained.architecture
        check_frames(architecture, frames)
        if target not in TARGETS:
            raise RangeError(f"target: wanted {' or '.join(TARGETS)}, got {target!r}")
        if target == FRAMES:
            return cls(architecture, samples(frames, range(len(frames))))
        wanted = np.empty((3, len(frames), architecture.height, architecture.width), np.float32)
        for number in range(len(frames)):
            wanted[:, number] = _computed(architecture, trained.parameters, [number])[:, 0]
        return cls(architecture, wanted)

    def error(self, parameters: Mapping[str, Any], numbers: Sequence[int]) -> Any:
        """Mean squared error of some frames, samples being 0 .. 1; autograd can differentiate it twice."""
        seen = _computed(self.architecture, parameters, numbers)
        return mean_square(seen - self.wanted[:, list(numbers)])


def _computed(architecture: Architecture, parameters: Mapping[str, Any], numbers: Sequence[int]) -> Any:
    seen = run(architecture.nodes(), parameters, list(numbers), architecture.frames)
    return crop(seen, architecture.height, architecture.width)


def spread_frames(total: int, count: int) -> list[int]:
    """So many of all frames, evenly spread."""
    kept = min(count, total)
    return [(2 * k + 1) * total // (2 * kept) for k in range(kept)]
