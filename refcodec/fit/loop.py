"""Fitting an implicit video: one network to one clip, by gradient descent."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from autograd import value_and_grad

from refcodec.codecs.inr.architecture import Architecture
from refcodec.errors import RangeError, ShapeError
from refcodec.fit.start import initial_parameters
from refcodec.gradient.arrangement import crop
from refcodec.gradient.distance import mean_square
from refcodec.gradient.optimiser import Adam
from refcodec.models.inr import twin
from refcodec.models.inr.pictures import samples

WARM_UP = 0.1  # part of the steps in which the learning rate rises
FLOOR = 0.01  # part of the learning rate that is left at the end
GRID_FACTOR = 10  # embeddings see one step an epoch, so each is longer


class Schedule(NamedTuple):
    """How to fit.

    epochs  passes over all frames;  rate  largest learning rate;  batch  frames to a step;  seed  of all randomness.
    """

    epochs: int
    rate: float = 2e-3
    batch: int = 1
    seed: int = 0


@dataclass(slots=True)
class Fit:
    """A fit in the making: what a checkpoint holds.

    clip  digest of the frames;  parameters  float32 by name, changed in place
    epoch  passes done;  history  mean PSNR of each, in dB.
    """

    architecture: Architecture
    clip: str
    parameters: dict[str, np.ndarray]
    adam: Adam
    epoch: int = 0
    history: list[float] = field(default_factory=list)


def begin(architecture: Architecture, frames: np.ndarray, seed: int) -> Fit:
    """A fit before its first step.

    frames  (T, H, W, 3) uint8 of the architecture's size.  Raises ShapeError.
    """
    wanted = (architecture.frames, architecture.height, architecture.width, 3)
    if frames.shape != wanted or frames.dtype != np.uint8:
        raise ShapeError(f"wanted uint8 frames {wanted}, got {frames.dtype} {frames.shape}")
    parameters = initial_parameters(architecture, frames, seed)
    return Fit(architecture, digest(frames), parameters, Adam.begin(parameters))


def digest(frames: np.ndarray) -> str:
    """SHA-256 of a clip, its shape included."""
    return hashlib.sha256(f"{frames.dtype} {frames.shape} ".encode() + frames.tobytes()).hexdigest()


def learning_rate(schedule: Schedule, done: float) -> float:
    """The rate after a part of all steps: a linear rise, then half a cosine."""
    if done < WARM_UP:
        return schedule.rate * max(done / WARM_UP, FLOOR)
    fall = 0.5 + 0.5 * math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))
    return schedule.rate * (FLOOR + (1 - FLOOR) * fall)


def psnr(error: float) -> float:
    """In dB, of a mean squared error of samples in 0 .. 1."""
    return -10 * math.log10(max(error, 1e-10))


def fit_step(fit: Fit, frames: np.ndarray, schedule: Schedule, numbers: Sequence[int], done: float) -> float:
    """One step on some frames.

    frames  (T, H, W, 3) uint8, all of them;  numbers  of those to learn from;  done  the part of all steps before.
    Returns the mean squared error before the step.
    """
    architecture = fit.architecture
    network, wanted = architecture.nodes(), samples(frames, numbers)

    def loss(parameters: twin.Parameters) -> float:
        seen = twin.run(network, parameters, numbers, architecture.frames)
        error: float = mean_square(crop(seen, architecture.height, architecture.width) - wanted)
        return error

    error, gradients = value_and_grad(loss)(fit.parameters)
    rate = learning_rate(schedule, done)
    rows = twin.grid_rows(network, numbers, architecture.frames)
    for name, value in fit.parameters.items():
        factor = GRID_FACTOR if name in rows else 1
        fit.adam.update(name, value, gradients[name], rate * factor, rows.get(name))
    return float(error)


def fit_epoch(fit: Fit, frames: np.ndarray, schedule: Schedule, step: Callable[[float], None]) -> None:
    """One pass over all frames in an order that epoch and seed decide.

    frames  (T, H, W, 3) uint8;  step  called after each step with the mean PSNR so far, in dB.
    Raises RangeError where the error is no longer finite.
    """
    total = fit.architecture.frames
    order = np.random.default_rng((schedule.seed, fit.epoch)).permutation(total)
    batches = [order[k : k + schedule.batch].tolist() for k in range(0, total, schedule.batch)]
    found: list[float] = []
    for k, numbers in enumerate(batches):
        error = fit_step(fit, frames, schedule, numbers, (fit.epoch + k / len(batches)) / schedule.epochs)
        if not math.isfinite(error):
            raise RangeError(f"the fit diverged in pass {fit.epoch + 1}: a rate of {schedule.rate} is too large")
        found += [psnr(error)] * len(numbers)
        step(float(np.mean(found)))
    fit.history.append(float(np.mean(found)))
    fit.epoch += 1
