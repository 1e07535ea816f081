"""A moving picture of a few samples, and networks fitted to it in a second."""

from __future__ import annotations

from functools import cache

import numpy as np

from refcodec.codecs.inr.architecture import Architecture, Block, Hierarchical, Levels, Shuffled, Stage
from refcodec.codecs.inr.nodes import GELU, TANH
from refcodec.fit.loop import Schedule, begin, fit_epoch
from refcodec.models.inr.trained import TrainedVideo

FRAMES, HEIGHT, WIDTH = 6, 16, 24
HNERV = Shuffled(
    FRAMES, HEIGHT, WIDTH, (2, 3), (Levels(FRAMES, 4),), True, (), False, (6,), (True,),
    (Block(1, 2, 6), Block(3, 2, 6), Block(3, 2, 5)), GELU, 3, TANH,
)  # fmt: skip
HINERV = Hierarchical(
    FRAMES, HEIGHT, WIDTH, (4, 6), (Levels(3, 4), Levels(1, 8)), 8, 3, False, 3,
    (Stage(2, 8, (Levels(3, 2),), 1, 16), Stage(2, 4, (Levels(3, 2),), 1, 8)),
)  # fmt: skip


def moving_picture() -> np.ndarray:
    """Waves that travel, (T, H, W, 3) uint8."""
    t, y, x, c = np.meshgrid(*map(np.arange, (FRAMES, HEIGHT, WIDTH, 3)), indexing="ij")
    waves = np.sin(0.5 * x + 0.7 * t + c) * np.cos(0.4 * y - 0.3 * t) + 0.5 * np.sin(0.9 * y + 0.2 * c)
    return np.rint(127.5 + 80 * waves).clip(0, 255).astype(np.uint8)


@cache
def fitted(architecture: Architecture = HNERV, epochs: int = 30) -> TrainedVideo:
    """A network fitted to the moving picture."""
    frames, schedule = moving_picture(), Schedule(epochs, rate=1e-2)
    fit = begin(architecture, frames, schedule.seed)
    for _ in range(epochs):
        fit_epoch(fit, frames, schedule, lambda _: None)
    return TrainedVideo(architecture, fit.parameters)
