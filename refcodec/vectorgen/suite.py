"""Building the committed suite (SPEC VEC-1)."""

from __future__ import annotations

import importlib.resources
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from refcodec import __version__
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.files import fill_folder, new_folder
from refcodec.models.shipped import DEFAULT_MODEL, DEFAULT_STREAM, shipped_path
from refcodec.program.model_file import Model, load_model, model_to_bytes
from refcodec.vectorgen.case import Case, case_files, index_entry
from refcodec.vectorgen.corners import (
    arithmetic,
    convolutions,
    entropy,
    joining,
    normalisation,
    placement,
    resampling,
    tables,
    weighted_sums,
)
from refcodec.vectorgen.decoder import layer_cases, stream_cases
from refcodec.vectorgen.family_streams import family_cases, family_models
from refcodec.vectorgen.video_streams import video_cases

INDEX = "index.json"
CORNERS = (
    arithmetic,
    convolutions,
    weighted_sums,
    normalisation,
    tables,
    placement,
    joining,
    resampling,
    entropy,
)
SCHEMAS = ("case.schema.json", "index.schema.json")


def suite_cases(model: Model, photograph: bytes, model_name: str) -> Iterator[Case]:
    """Every case: operations, layers and streams of one model, streams of small models of every family and of videos.

    model  the integer model;  photograph  a stream made for it, whose tensors feed the layer cases.
    """
    for group in CORNERS:
        yield from group.cases()
    codec = ScaleHyperprior.from_model(model)
    taps: dict[str, np.ndarray] = {}
    codec.decode(photograph, taps.__setitem__)
    yield from layer_cases(codec, taps)
    yield from stream_cases(codec, taps, model_name)
    yield from family_cases()
    yield from video_cases()


def build_suite(path: str | Path) -> int:
    """Write the suite of the shipped model; the same bytes every time.  Returns the number of cases.

    Raises FileError RC-FILE-WRITE.
    """
    model = load_model(shipped_path(DEFAULT_MODEL, ".rcm"))
    photograph = shipped_path(DEFAULT_STREAM, ".rcb").read_bytes()
    with new_folder(path) as folder:
        entries = [_write(folder, case) for case in suite_cases(model, photograph, DEFAULT_MODEL)]
        (folder / "models").mkdir()
        for name, stored in {DEFAULT_MODEL: replace(model, encoder={}), **family_models()}.items():
            (folder / "models" / f"{name}.rcm").write_bytes(model_to_bytes(stored))
        (folder / "schema").mkdir()
        for schema in SCHEMAS:
            text = importlib.resources.files("refcodec.vectorgen").joinpath(schema).read_bytes()
            (folder / "schema" / schema).write_bytes(text)
        _write_json(folder / "VERSION.json", {"suite": "1.0.0", "generator": __version__, "cases": len(entries)})
        _write_json(folder / INDEX, {"schema": "refcodec-index/1", "cases": sorted(entries, key=lambda e: e["id"])})
    return len(entries)


def _write(folder: Path, case: Case) -> dict[str, Any]:
    files = case_files(case)
    fill_folder(folder / case.id, files)
    return index_entry(case, files)


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
