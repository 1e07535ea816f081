"""A trained implicit video: its architecture and float parameters, in a safetensors file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
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
from refcodec.codecs.inr.limits import check_architecture
from refcodec.errors import ModelError, RangeError
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


def _typed(kind: type, value: Any) -> Any:
    if type(value) is not kind:  # true is no number, 1 no truth value
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value


def _whole(value: Any) -> int:
    return int(_typed(int, value))


def _wholes(value: Any) -> tuple[int, ...]:
    return tuple(_whole(number) for number in _typed(list, value))


def _pair(value: Any) -> tuple[int, int]:
    height, width = _wholes(value)
    return height, width


def _levels(value: Any) -> tuple[Levels, ...]:
    return tuple(Levels(*_wholes(level)) for level in _typed(list, value))


def _stage(value: Any) -> Stage:
    factor, channels, grid, depth, hidden = _typed(list, value)
    return Stage(_whole(factor), _whole(channels), _levels(grid), _whole(depth), _whole(hidden))


READERS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("frames", "height", "width", "channels", "head_kernel", "stem_kernel", "kernel"), _whole),
    **dict.fromkeys(("centred", "interleaved", "normed"), lambda value: _typed(bool, value)),
    **dict.fromkeys(("activation", "head"), lambda value: _typed(str, value)),
    **dict.fromkeys(("increments", "stem"), _wholes),
    "base": _pair,
    "grids": _levels,
    "stem_activations": lambda value: tuple(_typed(bool, activated) for activated in _typed(list, value)),
    "blocks": lambda value: tuple(Block(*_wholes(block)) for block in _typed(list, value)),
    "stages": lambda value: tuple(_stage(stage) for stage in _typed(list, value)),
}


def parse_architecture(text: str) -> Architecture:
    """The architecture of such a text, within its limits (SPEC INR-10).  Raises ModelError RC-MODEL-FAMILY."""
    try:
        fields = dict(_typed(dict, json.loads(text)))
        cls = KINDS[_typed(str, fields.pop("kind"))]
        architecture = cls(**{name: READERS[name](value) for name, value in fields.items()})
        check_architecture(architecture)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError("RC-MODEL-FAMILY", "the file describes no architecture of an implicit video") from error
    except RangeError as error:
        raise ModelError("RC-MODEL-FAMILY", f"no such architecture can be: {error.message}") from error
    return architecture


def save_video(path: str | Path, video: TrainedVideo) -> None:
    """Write a safetensors file, whole or not at all.  Raises FileError RC-FILE-WRITE, ModelError RC-MODEL-SCHEMA."""
    metadata = {**video.provenance, ARCHITECTURE: describe_architecture(video.architecture)}
    save_parameters(path, video.parameters, metadata)


def load_video(path: str | Path) -> TrainedVideo:
    """Read one.  Raises FileError RC-FILE-READ; ModelError RC-CHECKPOINT-FILE, -PARAMETER, RC-MODEL-FAMILY."""
    metadata = dict(read_metadata(path))
    architecture = parse_architecture(metadata.pop(ARCHITECTURE, ""))
    return TrainedVideo(architecture, load_parameters(path), metadata)
