"""From a clip to a trained implicit video, with checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refcodec.codecs.inr.architecture import Architecture
from refcodec.errors import FileError, ModelError
from refcodec.fit.checkpoint import checkpoint_path, load_checkpoint, save_checkpoint
from refcodec.fit.loop import Fit, Schedule, begin, digest, fit_epoch
from refcodec.models.inr.trained import TrainedVideo, save_video

Progress = Callable[[int, float], None]  # called after each step with passes done and the mean PSNR of this pass


@dataclass(frozen=True, slots=True)
class Job:
    """What to fit, how, and where to write it.

    output  safetensors file; while unfinished, its state lies beside it;  resume  whether to go on with such a state
    provenance  free text by key, for the file.
    """

    architecture: Architecture
    schedule: Schedule
    output: Path
    resume: bool
    provenance: dict[str, str]


def fit_video(job: Job, frames: np.ndarray, progress: Progress) -> TrainedVideo:
    """Fit a clip, write the result, and remove the state of the fit.

    frames  (T, H, W, 3) uint8.
    Raises ShapeError; RangeError where the fit diverges; FileError RC-FILE-READ, RC-FILE-WRITE; ModelError
    RC-CHECKPOINT-FILE, -PARAMETER, RC-MODEL-FAMILY, RC-USAGE.
    """
    state = checkpoint_path(job.output)
    fit = _start(job, frames, state)
    while fit.epoch < job.schedule.epochs:
        fit_epoch(fit, frames, job.schedule, lambda value: progress(fit.epoch, value))
        save_checkpoint(state, fit, job.schedule)
    last = {"psnr": f"{fit.history[-1]:.3f}"} if fit.history else {}
    provenance = {**job.provenance, **{k: str(v) for k, v in job.schedule._asdict().items()}, **last}
    video = TrainedVideo(fit.architecture, fit.parameters, provenance)
    save_video(job.output, video)
    state.unlink(missing_ok=True)
    return video


def _start(job: Job, frames: np.ndarray, state: Path) -> Fit:
    if job.output.is_dir():
        raise FileError("RC-FILE-WRITE", f"cannot write {job.output}: it is a folder")
    if job.resume:
        return _resumed(job, frames, state)
    if state.exists():
        problem = "an unfinished fit: --resume goes on with it; remove it to begin anew"
        raise FileError("RC-FILE-WRITE", f"{state} holds {problem}")
    fit = begin(job.architecture, frames, job.schedule.seed)
    save_checkpoint(state, fit, job.schedule)  # what cannot be written is better known now than after a pass
    return fit


def _resumed(job: Job, frames: np.ndarray, state: Path) -> Fit:
    fit = load_checkpoint(state, job.schedule)
    if fit.architecture != job.architecture:
        raise ModelError("RC-USAGE", f"{state} is the state of another network than the one asked for")
    if fit.clip != digest(frames):
        raise ModelError("RC-USAGE", f"{state} is the state of a fit to another clip")
    return fit
