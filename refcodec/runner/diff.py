"""What changed between two suites, and which version number that asks for (SPEC VEC-8)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refcodec.errors import FileError, VectorError
from refcodec.files import SUMS, folder_sums
from refcodec.vectorgen.suite import INDEX

NOTHING, PATCH, MINOR, MAJOR = "none", "patch", "minor", "major"
# what may change in a case, the gravest first -> keys of case.json
ASPECTS: Mapping[str, tuple[str, ...]] = {
    "inputs": ("operation", "parameters", "inputs"),
    "expectations": ("result", "error", "accept", "taps", "outputs"),
}
TENSORS = ("inputs", "taps", "outputs")
VALUES = ("name", "dtype", "bits", "signed", "shape", "sha256")  # of a tensor, without what is only said of it


@dataclass(frozen=True, slots=True)
class SuiteDiff:
    """Ids by what happened to them, and whether the form of the suite changed."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    inputs: tuple[str, ...]
    expectations: tuple[str, ...]
    text: tuple[str, ...]
    form: tuple[str, ...]
    versions: tuple[str, str]

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not (self.added or self.removed or self.inputs or self.expectations or self.text or self.form)

    @property
    def asked(self) -> tuple[str, str]:
        """Which number of the version must rise, and why."""
        if self.form:
            return MAJOR, f"the form changed: {self.form[0]}"
        if self.removed or self.inputs:
            return MAJOR, "an id must stand for the same case as long as the first number stays"
        if self.added:
            more = ", and an erratum for every changed expectation" if self.expectations else ""
            return MINOR, f"cases were added{more}"
        if self.expectations:
            return PATCH, "expectations were corrected, which needs an erratum that names the ids"
        return (NOTHING, "nothing differs") if self.equal else (PATCH, "only texts changed")

    def as_json(self) -> dict[str, Any]:
        """The difference for machines."""
        bump, reason = self.asked
        return {
            "versions": list(self.versions),
            "equal": self.equal,
            "bump": bump,
            "reason": reason,
            "form": list(self.form),
            **{key: list(getattr(self, key)) for key in ("added", "removed", "inputs", "expectations", "text")},
        }

    def as_text(self) -> str:
        """The difference for people: a line for each id."""
        groups = {
            "added": self.added,
            "removed": self.removed,
            "inputs changed": self.inputs,
            "expectation changed": self.expectations,
            "text changed": self.text,
            "form": self.form,
        }
        lines = [f"{label}: {name}" for label, names in groups.items() for name in names]
        bump, reason = self.asked
        counts = ", ".join(f"{len(names)} {label}" for label, names in groups.items() if names) or "no difference"
        return "\n".join([*lines, f"{' -> '.join(self.versions)}: {counts}", f"version: {bump} ({reason})"])


def diff_suites(old: str | Path, new: str | Path) -> SuiteDiff:
    """Compare two suites of any form.  Raises FileError RC-FILE-READ, VectorError RC-VECTOR-SUITE, RC-VECTOR-HASH."""
    before, after = _read(Path(old)), _read(Path(new))
    common = sorted(set(before.cases) & set(after.cases))
    try:
        changes = {name: _change(before.cases[name], after.cases[name]) for name in common}
    except (KeyError, TypeError) as error:
        raise VectorError("RC-VECTOR-SUITE", f"a case of {old} or {new} is malformed: {error!r}") from error

    def changed(aspect: str) -> tuple[str, ...]:
        return tuple(name for name in common if changes[name] == aspect)

    return SuiteDiff(
        tuple(sorted(set(after.cases) - set(before.cases))),
        tuple(sorted(set(before.cases) - set(after.cases))),
        changed("inputs"),
        changed("expectations"),
        changed("text"),
        tuple(f"{a} -> {b}" for a, b in zip(before.form, after.form, strict=True) if a != b),
        (before.version, after.version),
    )


@dataclass(frozen=True, slots=True)
class _Contents:
    version: str
    form: tuple[str, ...]
    cases: Mapping[str, Mapping[str, Any]]


def _read(folder: Path) -> _Contents:
    """A suite as JSON; its sums are checked, its cases may be of any schema."""
    try:
        if (folder / SUMS).read_text() != folder_sums(folder):
            raise VectorError("RC-VECTOR-HASH", f"{folder}: a file does not match {SUMS}")
        index = json.loads((folder / INDEX).read_bytes())
        version = json.loads((folder / "VERSION.json").read_bytes())
        cases = {entry["id"]: json.loads((folder / entry["id"] / "case.json").read_bytes()) for entry in index["cases"]}
        schemas = sorted({str(case["schema"]) for case in cases.values()})
        form = (str(version.get("schema", "no schema")), str(index["schema"]), ", ".join(schemas))
        return _Contents(str(version["suite"]), form, cases)
    except OSError as error:
        raise FileError("RC-FILE-READ", f"cannot read {error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VectorError("RC-VECTOR-SUITE", f"{folder} is malformed: {error!r}") from error


def _change(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    for aspect, keys in ASPECTS.items():
        if _plain(old, keys) != _plain(new, keys):
            return aspect
    return "text" if old != new else ""


def _plain(case: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    return {
        key: [{part: tensor[part] for part in VALUES} for tensor in case[key]] if key in TENSORS else case.get(key)
        for key in keys
    }
