"""Whose checkpoint of an implicit video a file is, and the video in it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from refcodec.errors import ModelError, RangeError
from refcodec.models.inr import ffnerv, hinerv, hnerv, nerv
from refcodec.models.inr.options import ImportOptions
from refcodec.models.inr.quantised_checkpoint import EMBEDDINGS, dequantise, is_quantised
from refcodec.models.inr.tensors import Tensors, unwrapped
from refcodec.models.inr.trained import TrainedVideo


class Source(NamedTuple):
    """A repository whose checkpoints are read.

    matches  whether names are those of its parameters;  read  its importer;  options  those that this one minds.
    """

    name: str
    matches: Callable[[Container[str]], bool]
    read: Callable[[Tensors, ImportOptions], TrainedVideo]
    options: frozenset[str]


SOURCES = (
    Source("NeRV", nerv.is_nerv, nerv.import_nerv, nerv.OPTIONS),
    Source("HNeRV", hnerv.is_hnerv, hnerv.import_hnerv, hnerv.OPTIONS),
    Source("NeuroQuant", hnerv.is_neuroquant, hnerv.import_neuroquant, hnerv.OPTIONS),
    Source("HiNeRV", hinerv.is_hinerv, hinerv.import_hinerv, hinerv.OPTIONS),
    Source("FFNeRV", ffnerv.is_ffnerv, ffnerv.import_ffnerv, ffnerv.OPTIONS),
)


def source_of(parameters: Mapping[str, np.ndarray]) -> Source | None:
    """The source whose names the parameters have, None where they are of something else."""
    names = unwrapped(parameters)
    return next((source for source in SOURCES if source.matches(names)), None)


def is_video(parameters: Mapping[str, np.ndarray]) -> bool:
    """Whether a checkpoint is that of an implicit video."""
    return is_quantised(parameters) or source_of(parameters) is not None


def import_video(parameters: Mapping[str, np.ndarray], options: ImportOptions) -> TrainedVideo:
    """The video of an authors' checkpoint, under this project's parameter names.

    parameters  as `load_parameters` gives them;  options  what they do not tell.
    Raises ModelError RC-MODEL-FAMILY for an unknown checkpoint, RC-CHECKPOINT-PARAMETER for an unknown variant of a
    known one; RangeError RC-USAGE for options missing or without a meaning, RC-RANGE for numbers beyond SPEC INR-10.
    """
    if is_quantised(parameters):
        exact = dequantise(parameters)
        embeddings = exact.pop(EMBEDDINGS, None)
        parameters = exact
        if options.embeddings is None and embeddings is not None:
            options = replace(options, embeddings=embeddings)
    source = source_of(parameters)
    if source is None:
        raise ModelError("RC-MODEL-FAMILY", f"no known implicit video has parameters called {_some(parameters)}")
    for name in sorted(options.said - source.options):
        raise RangeError(f"{source.name} has no choice of {name}", "RC-USAGE")
    return source.read(Tensors(parameters), options)


def _some(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:4])
