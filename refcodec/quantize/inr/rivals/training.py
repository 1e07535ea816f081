"""Fine-tuning with quantisation in the loop: what the quantisation-aware forms of FFNeRV and HiNeRV share.

Training is towards the clip's frames, as in both sources, and by squared error. Embeddings see a step an epoch, so
each of theirs is longer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from autograd import grad

from refcodec.gradient.optimiser import Adam
from refcodec.models.inr.trained import TrainedVideo
from refcodec.models.inr.twin import grid_rows
from refcodec.quantize.inr.objective import FRAMES, Objective
from refcodec.quantize.inr.rivals.settings import Settings
from refcodec.quantize.inr.rivals.tensors import batches

GRID_FACTOR = 10
FLOOR = 0.01  # part of the learning rate that is left at the end

# The values that a network computes with, from what is trained and a source of random numbers for this step.
Quantiser = Callable[[Mapping[str, Any], np.random.Generator], Mapping[str, Any]]


def fine_tune(
    trained: TrainedVideo,
    frames: np.ndarray,
    settings: Settings,
    start: Mapping[str, np.ndarray],
    quantiser: Quantiser,
    rates: Mapping[str, float],
) -> dict[str, np.ndarray]:
    """What is trained, after all evaluations.

    frames  (T, H, W, 3) uint8;  start  float32 by name, what is trained
    rates  the first learning rate of each, by name, which falls like half a cosine.  Raises ShapeError.
    """
    objective = Objective.of(trained, frames, FRAMES)
    network, total = trained.architecture.nodes(), trained.architecture.frames
    variables = {name: array.astype(np.float32) for name, array in start.items()}
    adam, draw = Adam.begin(variables), np.random.default_rng(settings.seed)
    steps = max(1, settings.evaluations // min(settings.batch, total))

    def loss(given: dict[str, Any], numbers: list[int]) -> Any:
        return objective.error(quantiser(given, draw), numbers)

    for step, numbers in enumerate(batches(total, settings.batch, steps, np.random.default_rng((settings.seed, 1)))):
        gradients = grad(loss)(variables, numbers)
        part = FLOOR + (1 - FLOOR) * (0.5 + 0.5 * math.cos(math.pi * step / steps))
        read = grid_rows(network, numbers, total)
        for name, array in variables.items():
            factor = GRID_FACTOR if name in read else 1
            adam.update(name, array, gradients[name], rates[name] * part * factor, read.get(name))
        settings.report((step + 1) / steps)
    return variables
