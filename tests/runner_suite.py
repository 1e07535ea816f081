"""A suite of a few small cases, and implementations of a few lines, to test the runner with."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from refcodec.files import fill_folder, new_folder
from refcodec.formats import IntFormat
from refcodec.runner.suite import Suite, open_suite
from refcodec.vectorgen.case import Case, case_files, index_entry
from refcodec.vectorgen.corners import arithmetic, joining
from refcodec.vectorgen.suite import version_document
from refcodec.vectorgen.values import Values

CLIP = "operations/clip/limits-8to7"  # s16, 11 values
WIDE = "operations/latent_mean/extremes-f8"  # s25 in int32, 5 x 1 x 5
WIDER = "operations/latent_mean/extremes-f16"  # s33 in int64
CAT = "operations/concatenate/1-2"  # s8, 3 x 2 x 3
SHAPE = "operations/add/invalid-size"  # RC-SHAPE
RANGE = "operations/add/invalid-shift"  # RC-MODEL-RANGE
KEPT = (SHAPE, RANGE, CLIP, CAT, WIDER, WIDE)
IDS = tuple(sorted(KEPT))
S8, S16, S32 = (IntFormat(bits, True) for bits in (8, 16, 32))


def real_cases() -> list[Case]:
    """The chosen cases of the real suite."""
    found = {case.id: case for group in (arithmetic, joining) for case in group.cases()}
    return [found[name] for name in KEPT]


def tapped() -> Case:
    """A case that nothing computes, with two taps and two outputs."""
    plane = np.arange(-8, 8).reshape(1, 4, 4)
    return Case(
        "operations/convolution/tapped",
        "convolution",
        ("CONV-2", "RQ-1"),
        "for the runner",
        {"stride": 1},
        {"x": Values(plane, S8)},
        {"accumulator": Values(plane * 1000, S32), "scaled": Values(plane * 10, S16)},
        {"y": Values(plane * 3, S8), "z": Values(np.array([5, -5]), S16)},
        defined_by={"accumulator": "CONV-2", "scaled": "RQ-1", "y": "CLIP-1", "z": "CLIP-2"},
    )


def refused() -> Case:
    """A case that must be rejected, with either of two codes."""
    inputs = {"x": Values(np.zeros(3, np.int64), S8)}
    clauses = ("CONV-2",)
    codes: dict[str, Any] = {"error": "RC-SHAPE", "accept": ("RC-RANGE",)}
    return Case("operations/convolution/refused", "convolution", clauses, "for the runner", {}, inputs, **codes)


def write_suite(path: Path, cases: Iterable[Case], mutants: Iterable[Mapping[str, Any]] = ()) -> Path:
    """Write a suite of these cases, without models."""
    cases = list(cases)
    with new_folder(path) as folder:
        entries = []
        for case in cases:
            files = case_files(case)
            fill_folder(folder / case.id, files)
            entries.append(index_entry(case, files))
        documents = {
            "index.json": {"schema": "refcodec-index/1", "cases": sorted(entries, key=lambda entry: entry["id"])},
            "VERSION.json": version_document("minimal", cases),
            "mutants.json": {"schema": "refcodec-mutants/1", "mutants": list(mutants)},
        }
        for name, document in documents.items():
            (folder / name).write_text(json.dumps(document))
    return path


def small_suite(path: Path) -> Suite:
    """The real cases as an open suite."""
    return open_suite(write_suite(path, real_cases()))


def right_results(suite: Suite, folder: Path) -> Path:
    """A folder of results as a conforming implementation leaves it."""
    for case in suite.cases():
        (folder / case.id).mkdir(parents=True)
        for name, values in case.outputs.items():
            (folder / case.id / f"out.{name}.le").write_bytes(values.to_bytes())
        if case.error is not None:
            (folder / case.id / "status.json").write_text(json.dumps({"error": case.error}))
    return folder


def script(path: Path, text: str) -> list[str]:
    """The words that run a Python script which starts quickly."""
    path.write_text(text)
    return [sys.executable, "-S", str(path)]
