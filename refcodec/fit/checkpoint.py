"""Unfinished fits on disk, so that one can go on where it stopped and end with the same numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from refcodec.codecs.inr.architecture import Architecture, parameters
from refcodec.errors import ModelError
from refcodec.fit.loop import Fit, Schedule
from refcodec.gradient.optimiser import Adam
from refcodec.models.checkpoint import load_parameters, read_metadata, save_parameters
from refcodec.models.inr.trained import ARCHITECTURE, describe_architecture, parse_architecture

SUFFIX = ".checkpoint"
STEPS = "steps"
GROUPS = ("parameters", "first", "second", STEPS)


def checkpoint_path(output: str | Path) -> Path:
    """Where a fit that will write `output` keeps its state."""
    return Path(f"{output}{SUFFIX}")


def save_checkpoint(path: Path, fit: Fit, schedule: Schedule) -> None:
    """Write the state of a fit, whole or not at all.  Raises FileError RC-FILE-WRITE."""
    groups = (fit.parameters, fit.adam.first, fit.adam.second, fit.adam.steps)
    arrays = {
        f"{group}/{name}": array for group, held in zip(GROUPS, groups, strict=True) for name, array in held.items()
    }
    metadata = {
        ARCHITECTURE: describe_architecture(fit.architecture),
        "schedule": json.dumps(schedule._asdict()),
        "history": json.dumps(fit.history),
        "clip": fit.clip,
    }
    save_parameters(path, arrays, metadata)


def load_checkpoint(path: Path, schedule: Schedule) -> Fit:
    """The state of a fit that began with the same schedule.

    Raises FileError RC-FILE-READ; ModelError RC-CHECKPOINT-FILE, -PARAMETER, RC-MODEL-FAMILY for what is no such state,
    RC-USAGE for one of another schedule.
    """
    metadata = read_metadata(path)
    try:
        recorded = Schedule(**json.loads(metadata["schedule"]))
        history = [float(entry) for entry in json.loads(metadata["history"])]
        description, clip = metadata[ARCHITECTURE], metadata["clip"]
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError("RC-CHECKPOINT-FILE", f"{path} is no state of a fit") from error
    if recorded != schedule:
        raise ModelError("RC-USAGE", f"{path} was begun with {_words(recorded)}, not {_words(schedule)}")
    if len(history) > schedule.epochs:
        raise ModelError("RC-CHECKPOINT-FILE", f"{path} has done {len(history)} of {schedule.epochs} passes")
    architecture, arrays = parse_architecture(description), load_parameters(path)
    held = [_group(group, arrays, architecture) for group in GROUPS]
    if arrays:
        raise ModelError("RC-CHECKPOINT-PARAMETER", f"{min(arrays)} is surplus")
    return Fit(architecture, clip, held[0], Adam(*held[1:]), len(history), history)


def _group(group: str, arrays: dict[str, np.ndarray], architecture: Architecture) -> dict[str, np.ndarray]:
    """Take the arrays of a group out of all arrays."""
    found = {}
    for parameter in parameters(architecture.nodes()):
        name = f"{group}/{parameter.name}"
        shape = parameter.shape[:1] if group == STEPS else parameter.shape
        dtype = np.dtype(np.int64 if group == STEPS else np.float32)
        array = arrays.pop(name, None)
        if array is None:
            raise ModelError("RC-CHECKPOINT-PARAMETER", f"{name} is missing")
        if array.shape != shape or array.dtype != dtype or not np.isfinite(array).all():
            raise ModelError(
                "RC-CHECKPOINT-PARAMETER", f"{name}: wanted finite {dtype} {shape}, got {array.dtype} {array.shape}"
            )
        found[parameter.name] = np.array(array)
    return found


def _words(schedule: Schedule) -> str:
    return ", ".join(f"{name} {value}" for name, value in schedule._asdict().items())
