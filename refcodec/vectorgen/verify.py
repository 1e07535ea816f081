"""Verifying a suite: its files first, then every case on the golden model (SPEC VEC-1, VEC-3, VEC-7)."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from refcodec.codecs.family import codec_of
from refcodec.describe import table
from refcodec.errors import FileError, RefcodecError, VectorError
from refcodec.files import SUMS, folder_files, folder_sums
from refcodec.program.model_file import load_model
from refcodec.vectorgen.case import Case, case_files, index_entry, load_case
from refcodec.vectorgen.clauses import stale
from refcodec.vectorgen.evaluate import Engine, evaluate
from refcodec.vectorgen.extensive import FOLDER
from refcodec.vectorgen.suite import INDEX, SUITE_SCHEMA, VERSION


@dataclass(slots=True)
class Report:
    """Outcome of a verification: counts by operation, and one line for every difference."""

    passed_by_operation: Counter[str] = field(default_factory=Counter)
    failed_by_operation: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether there was at least one case, and nothing differed."""
        return not self.failures and bool(self.passed_by_operation)

    def as_json(self) -> dict[str, Any]:
        """The report for machines."""
        return {
            "passed": self.passed,
            "operations": {
                name: {"passed": self.passed_by_operation[name], "failed": self.failed_by_operation[name]}
                for name in self._operations()
            },
            "failures": self.failures,
        }

    def as_text(self) -> str:
        """The report for people."""
        rows = [[n, self.passed_by_operation[n], self.failed_by_operation[n]] for n in self._operations()]
        total = sum(self.passed_by_operation.values())
        verdict = f"{total} cases equal" if self.passed else f"{len(self.failures)} failures"
        return "\n".join([table(rows, ["operation", "equal", "different"]), *self.failures, verdict])

    def _operations(self) -> list[str]:
        return sorted({*self.passed_by_operation, *self.failed_by_operation})


def check_files(folder: Path) -> dict[str, dict[str, Any]]:
    """What the index says of each case, by id, after checking sums and strays.

    Raises FileError RC-FILE-READ, VectorError RC-VECTOR-SUITE, RC-VECTOR-HASH.
    """
    try:
        recorded = (folder / SUMS).read_text()
        index = json.loads((folder / INDEX).read_text())
        version = json.loads((folder / VERSION).read_text())
        entries = {entry["id"]: entry for entry in index["cases"]}
        if len(entries) != len(index["cases"]) or sorted(entries) != [entry["id"] for entry in index["cases"]]:
            raise VectorError("RC-VECTOR-SUITE", f"the cases of {INDEX} are not distinct and sorted")
    except OSError as error:
        raise FileError("RC-FILE-READ", f"cannot read {error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise VectorError("RC-VECTOR-SUITE", f"{folder / INDEX} is malformed: {error!r}") from error
    listed = [line[66:] for line in recorded.splitlines()]
    if listed != folder_files(folder):
        stray = sorted(set(listed) ^ set(folder_files(folder)))
        raise VectorError("RC-VECTOR-SUITE", f"{SUMS} and the folder differ in {', '.join(stray[:3]) or 'order'}")
    for written, computed in zip(recorded.splitlines(), folder_sums(folder).splitlines(), strict=True):
        if written != computed:
            raise VectorError("RC-VECTOR-HASH", f"{computed[66:]} does not match its SHA-256")
    homes = sorted(path.parent.relative_to(folder).as_posix() for path in folder.rglob("case.json"))
    if homes != sorted(entries):
        raise VectorError("RC-VECTOR-SUITE", f"{INDEX} and the folder differ in their cases")
    _check_version(version, len(entries))
    return entries


def _check_version(version: Any, cases: int) -> None:
    """Refuse a suite of another form, or one whose cases are not counted truly."""
    wanted = {"schema", "suite", "preset", "generator", "spec", "cases", "budget"}
    if type(version) is not dict or set(version) != wanted or version["schema"] != SUITE_SCHEMA:
        raise VectorError("RC-VECTOR-SUITE", f"{VERSION} is not a {SUITE_SCHEMA} document")
    if version["cases"] != cases:
        raise VectorError("RC-VECTOR-SUITE", f"{VERSION} counts {version['cases']} cases, {INDEX} lists {cases}")


def read_case(folder: Path, entry: dict[str, Any]) -> Case:
    """A case whose files are exactly those that it would be written as, and which the index describes truly.

    Raises VectorError RC-VECTOR-SUITE, RC-VECTOR-HASH.
    """
    home = folder / entry["id"]
    case = load_case(home)
    files = case_files(case, with_hex=any(home.glob("*.hex")))
    if case.id != entry["id"] or index_entry(case, files) != entry:
        raise VectorError("RC-VECTOR-SUITE", f"{INDEX} does not describe {home}")
    found = {path.name: path.read_bytes() for path in home.iterdir()}
    for name in sorted({*files, *found}):
        if files.get(name) != found.get(name):
            raise VectorError("RC-VECTOR-SUITE", f"{home / name} is not what the case's values are written as")
    return case


def verify_suite(path: str | Path) -> Report:
    """Check every file, then run every case on the kernels and, where they are quick, by the definitions.

    Raises FileError, VectorError, ModelError.
    """
    folder = Path(path)
    entries = check_files(folder)
    codecs = {p.stem: codec_of(load_model(p)) for p in sorted((folder / "models").glob("*.rcm"))}
    report = Report()
    for entry in tqdm(entries.values(), desc="verify", unit="case", disable=None, leave=False):
        case = read_case(folder, entry)
        engines = [Engine(False, codecs), *([Engine(True, codecs)] if _defined_quickly(case) else [])]
        problems = [f"{case.id}: the text of {clause} is another one now" for clause in stale(case.clause_sha256)]
        problems += [problem for engine in engines for problem in differences(case, engine)]
        (report.failed_by_operation if problems else report.passed_by_operation)[case.operation] += 1
        report.failures += problems
    return report


def _defined_quickly(case: Case) -> bool:
    """Whether the plain definitions can compute a case within a second or so."""
    return case.operation != "stream" and not case.id.startswith(f"{FOLDER}/")


def differences(case: Case, engine: Engine) -> list[str]:
    """One line for each tensor of a case that the golden model computes otherwise."""
    inputs = {name: values.array for name, values in case.inputs.items()}
    try:
        results = evaluate(engine, case.operation, case.parameters, inputs)
    except VectorError:
        raise
    except RefcodecError as error:
        return [] if error.code == case.error else [f"{case.id}: rejected with {error}, expected {case.error}"]
    if case.error is not None:
        return [f"{case.id}: not rejected, expected {case.error}"]
    found = []
    for name, wanted in {**case.taps, **case.outputs}.items():
        got = results.get(name)
        if got is None or got.shape != wanted.array.shape:
            found.append(f"{case.id}: {name} is missing or has another shape")
        elif not np.array_equal(got, wanted.array):
            at = tuple(int(n) for n in np.argwhere(got != wanted.array)[0])
            found.append(f"{case.id}: {name}{list(at)} is {got[at]}, expected {wanted.array[at]}")
    return found
