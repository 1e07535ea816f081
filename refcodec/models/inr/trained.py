"""A trained implicit video: its architecture and float parameters, in a safetensors file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from refcodec.codecs.inr.architecture import (
    Architecture,
    Block,
    Hierarchical,
    Levels,
    Shuffled,
    Stage,
    parameters,
)
from refcodec.errors import ModelError
from refcodec.models.checkpoint import load_parameters, read_metadata, save_parameters

ARCHITECTURE = "architecture"  # key of the metadata
KINDS: dict[str, type[Shuffled] | type[Hierarchical]] = {"shuffled": Shuffled, "hierarchical": Hierarchical}


@dataclass(frozen=True, slots=True, eq=False)
class TrainedVideo:
    """Float parameters of one video.

    parameters  float32 by name, exactly those of the architecture;  provenance  free text by key.
    Raises ModelError RC-CHECKPOINT-PARAMETER.
    """

    architecture: Architecture
    parameters: Mapping[str, np.ndarray]
    provenance: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        wanted = {parameter.name: parameter.shape for parameter in parameters(self.architecture.nodes())}
        for name in sorted(set(wanted) ^ set(self.parameters)):
            problem = "missing" if name in wanted else "surplus"
            raise ModelError("RC-CHECKPOINT-PARAMETER", f"{name} is {problem}")
        for name, shape in wanted.items():
            array = self.parameters[name]
            if array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
                raise ModelError(
                    "RC-CHECKPOINT-PARAMETER", f"{name}: wanted finite float32 {shape}, got {array.dtype} {array.shape}"
                )


def describe_architecture(architecture: Architecture) -> str:
    """The architecture as JSON."""
    kind = next(name for name, cls in KINDS.items() if isinstance(architecture, cls))
    return json.dumps({"kind": kind, **asdict(architecture)}, sort_keys=True, separators=(",", ":"))


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def parse_architecture(text: str) -> Architecture:
    """The architecture of such a text.  Raises ModelError RC-MODEL-FAMILY."""
    try:
        fields = json.loads(text)
        cls = KINDS[fields.pop("kind")]
        read = {name: _tuples(value) for name, value in fields.items()}
        read["grids"] = tuple(Levels(*level) for level in read["grids"])
        if cls is Shuffled:
            read["blocks"] = tuple(Block(*block) for block in read["blocks"])
        else:
            stages = (Stage(*stage) for stage in read["stages"])
            read["stages"] = tuple(s._replace(grid=tuple(Levels(*level) for level in s.grid)) for s in stages)
        return cls(**read)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError("RC-MODEL-FAMILY", "the file describes no architecture of an implicit video") from error


def save_video(path: str | Path, video: TrainedVideo) -> None:
    """Write a safetensors file, whole or not at all.  Raises FileError RC-FILE-WRITE."""
    metadata = {ARCHITECTURE: describe_architecture(video.architecture), **video.provenance}
    save_parameters(path, video.parameters, metadata)


def load_video(path: str | Path) -> TrainedVideo:
    """Read one.  Raises FileError RC-FILE-READ; ModelError RC-CHECKPOINT-FILE, -PARAMETER, RC-MODEL-FAMILY."""
    metadata = dict(read_metadata(path))
    architecture = parse_architecture(metadata.pop(ARCHITECTURE, ""))
    return TrainedVideo(architecture, load_parameters(path), metadata)
