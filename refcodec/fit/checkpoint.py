"""Unfinished fits on disk, so that one can go on where it stopped and end with the same numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from refcodec.codecs.inr.architecture import parameters
from refcodec.errors import ModelError
from refcodec.fit.loop import Fit, Schedule
from refcodec.gradient.optimiser import Adam
from refcodec.models.checkpoint import load_parameters, read_metadata, save_parameters
from refcodec.models.inr.trained import ARCHITECTURE, describe_architecture, parse_architecture

SUFFIX = ".checkpoint"
GROUPS = ("parameters", "first", "second", "steps")


def checkpoint_path(output: str | Path) -> Path:
    """Where a fit that will write `output` keeps its state."""
    return Path(output).with_name(Path(output).name + SUFFIX)


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
    }
    save_parameters(path, arrays, metadata)


def load_checkpoint(path: Path, schedule: Schedule) -> Fit:
    """The state of a fit that began with the same schedule.

    Raises FileError RC-FILE-READ; ModelError RC-CHECKPOINT-FILE, -PARAMETER for what is no such state, RC-USAGE for
    one of another schedule.
    """
    metadata = read_metadata(path)
    try:
        recorded = Schedule(**json.loads(metadata["schedule"]))
        history = [float(entry) for entry in json.loads(metadata["history"])]
        architecture = parse_architecture(metadata[ARCHITECTURE])
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError("RC-CHECKPOINT-FILE", f"{path} is no state of a fit") from error
    if recorded != schedule:
        raise ModelError("RC-USAGE", f"{path} was begun with {_words(recorded)}, not {_words(schedule)}")
    arrays = load_parameters(path)
    held: list[dict[str, np.ndarray]] = []
    for group in GROUPS:
        held.append({})
        for parameter in parameters(architecture.nodes()):
            name = f"{group}/{parameter.name}"
            wanted = parameter.shape[:1] if group == "steps" else parameter.shape
            if name not in arrays or arrays[name].shape != wanted:
                raise ModelError("RC-CHECKPOINT-PARAMETER", f"{name}: wanted {wanted}")
            held[-1][parameter.name] = np.array(arrays[name])
    return Fit(architecture, held[0], Adam(*held[1:]), len(history), history)


def _words(schedule: Schedule) -> str:
    return ", ".join(f"{name} {value}" for name, value in schedule._asdict().items())
