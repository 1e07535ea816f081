"""Building a suite of one of three sizes (SPEC VEC-1, VEC-7, VEC-8)."""

from __future__ import annotations

import importlib.resources
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from refcodec import __version__
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.errors import CODES, VectorError
from refcodec.files import fill_folder, folder_files, new_folder
from refcodec.models.shipped import DEFAULT_MODEL, DEFAULT_STREAM, shipped_path
from refcodec.program.model_file import Model, canonical_json, load_model, model_to_bytes
from refcodec.vectorgen.case import Case, case_files, index_entry
from refcodec.vectorgen.clauses import SPEC_VERSION
from refcodec.vectorgen.corners import (
    arithmetic,
    containers,
    convolutions,
    entropy,
    illegal,
    joining,
    models,
    normalisation,
    parts,
    placement,
    resampling,
    tables,
    weighted_sums,
    weights,
)
from refcodec.vectorgen.decoder import layer_cases, stream_cases
from refcodec.vectorgen.extensive import extensive_cases
from refcodec.vectorgen.family_streams import family_cases, suite_models
from refcodec.vectorgen.flags import FLAGS
from refcodec.vectorgen.video_streams import video_cases
from refcodec.vectorgen.witnesses import witness_cases

INDEX = "index.json"
VERSION = "VERSION.json"
SUITE_SCHEMA = "refcodec-suite/2"
SUITE_VERSION = "2.0.0"
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
    weights,
    models,
    parts,
    illegal,
    containers,
)
SCHEMAS = ("case.schema.json", "index.schema.json", "version.schema.json", "mutants.schema.json")
# Bytes that all files of a suite may have together, and each single file below its folder.
BUDGETS: Mapping[str, int] = {"smoke": 1_000_000, "minimal": 8_000_000, "full": 100_000_000}
FILE_BUDGET = 1_000_000


def suite_cases(model: Model, photograph: bytes, model_name: str) -> Iterator[Case]:
    """Every case of the minimal suite: operations, layers and streams of one model, streams of small ones and videos.

    model  the integer model;  photograph  a stream made for it, whose tensors feed the layer cases.
    """
    for group in CORNERS:
        yield from group.cases()
    codec = ScaleHyperprior.from_model(model)
    taps: dict[str, np.ndarray] = {}
    codec.decode(photograph, taps.__setitem__)
    yield from layer_cases(codec, taps)
    yield from witness_cases()
    yield from stream_cases(codec, taps, model_name)
    yield from family_cases()
    yield from video_cases()


def preset_cases(preset: str) -> Iterator[Case]:
    """Every case of a preset, which is one of `BUDGETS`."""
    model = load_model(shipped_path(DEFAULT_MODEL, ".rcm"))
    minimal = suite_cases(model, shipped_path(DEFAULT_STREAM, ".rcb").read_bytes(), DEFAULT_MODEL)
    if preset == "smoke":
        chosen = set(_package_json("smoke.json")["cases"])
        minimal = (case for case in minimal if case.id in chosen)
    if preset == "full":
        minimal = extensive_cases(minimal)
    yield from minimal


def build_suite(path: str | Path, preset: str = "minimal") -> int:
    """Write the suite of a preset; the same bytes every time.  Returns the number of cases.

    Raises FileError RC-FILE-WRITE; VectorError RC-VECTOR-SUITE where it would exceed its budget.
    """
    with new_folder(path) as folder:
        cases, entries = [], []
        for case in preset_cases(preset):
            files = case_files(case, with_hex=preset != "smoke")
            fill_folder(folder / case.id, files)
            entries.append(index_entry(case, files))
            cases.append(replace(case, inputs={}, taps={}, outputs={}))
        _write_models(folder, cases)
        (folder / "schema").mkdir()
        for schema in SCHEMAS:
            (folder / "schema" / schema).write_bytes(_package_bytes(schema))
        (folder / "README.md").write_bytes(_package_bytes("suite.md"))
        _write_json(folder / INDEX, {"schema": "refcodec-index/1", "cases": sorted(entries, key=lambda e: e["id"])})
        _write_json(folder / "flags.json", _flags(cases))
        _write_json(folder / "errors.json", _errors(cases))
        (folder / "mutants.json").write_bytes(canonical_json(_mutants(cases)) + b"\n")
        _write_json(folder / VERSION, version_document(preset, cases))
        _check_budget(folder, preset)
    return len(entries)


def version_document(preset: str, cases: Sequence[Case]) -> dict[str, Any]:
    """What a suite says of itself."""
    return {
        "schema": SUITE_SCHEMA,
        "suite": SUITE_VERSION,
        "preset": preset,
        "generator": __version__,
        "spec": SPEC_VERSION,
        "cases": len(cases),
        "budget": BUDGETS[preset],
    }


def _flags(cases: Iterable[Case]) -> dict[str, Any]:
    counts = Counter(flag for case in cases for flag in case.flags)
    return {flag: {"catches": FLAGS[flag], "cases": counts[flag]} for flag in sorted(counts)}


def _errors(cases: Iterable[Case]) -> dict[str, Any]:
    clauses: dict[str, set[str]] = {}
    counts: Counter[str] = Counter()
    for case in cases:
        if case.error is not None:
            counts[case.error] += 1
            clauses.setdefault(case.error, set()).update(case.clauses)
    return {
        code: {"meaning": CODES[code], "clauses": sorted(clauses[code]), "cases": counts[code]}
        for code in sorted(counts)
    }


def _mutants(cases: Iterable[Case]) -> dict[str, Any]:
    """The kill matrix, as far as this suite's cases go."""
    document, present = _package_json("kill_matrix.json"), {case.id for case in cases}
    for mutant in document["mutants"]:
        mutant["kills"] = {case: seen for case, seen in mutant["kills"].items() if case in present}
    return {**document, "mutants": [mutant for mutant in document["mutants"] if mutant["kills"]]}


def _write_models(folder: Path, cases: Iterable[Case]) -> None:
    """The models that the cases name."""
    wanted = {case.parameters["model"] for case in cases if "model" in case.parameters}
    (folder / "models").mkdir()
    for name, model in suite_models(wanted).items():
        (folder / "models" / f"{name}.rcm").write_bytes(model_to_bytes(model))


def _check_budget(folder: Path, preset: str) -> None:
    sizes = {name: (folder / name).stat().st_size for name in folder_files(folder)}
    if sum(sizes.values()) > BUDGETS[preset]:
        raise VectorError("RC-VECTOR-SUITE", f"{preset}: {sum(sizes.values())} bytes, more than {BUDGETS[preset]}")
    for name, size in sizes.items():
        if "/" in name and size > FILE_BUDGET:
            raise VectorError("RC-VECTOR-SUITE", f"{name}: {size} bytes, more than {FILE_BUDGET}")


def _package_bytes(name: str) -> bytes:
    return importlib.resources.files("refcodec.vectorgen").joinpath(name).read_bytes()


def _package_json(name: str) -> Any:
    return json.loads(_package_bytes(name))


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
