"""What an implementation says that it can do; cases beyond that are skipped, never passed (SPEC RUN-4, RUN-7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refcodec.errors import CODES, RefcodecError
from refcodec.program.operations import KINDS
from refcodec.runner.document import check_text, check_texts, read_document
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.evaluate import OPERATIONS

SCHEMA = "refcodec-sut/1"
LEVELS = ("directory", "command", "stdio", "signature")
OPTIONAL = ("operations", "levels", "max_bits", "max_elements", "models", "families", "taps", "errors")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The limits of an implementation; None where there is none.

    max_bits, max_elements  of any input, tap or output;  models, families  that stream cases may name
    taps  whether its taps are compared;  errors  its own codes -> the specification's.
    """

    name: str = ""
    operations: tuple[str, ...] | None = None
    levels: tuple[str, ...] | None = None
    max_bits: int | None = None
    max_elements: int | None = None
    models: tuple[str, ...] | None = None
    families: tuple[str, ...] | None = None
    taps: bool = True
    errors: Mapping[str, str] = field(default_factory=dict)

    def excludes(self, case: Case, family: Callable[[str], str]) -> str:
        """Why the case is beyond the implementation, or nothing.

        family  gives the family of a model of the suite by its name.
        """
        tensors = [*case.inputs.values(), *case.taps.values(), *case.outputs.values()]
        bits = max((tensor.format.bits for tensor in tensors), default=0)
        elements = max((tensor.array.size for tensor in tensors), default=0)
        model = case.parameters.get("model")
        if self.operations is not None and case.operation not in self.operations:
            return "an operation that its capabilities do not list"
        if self.max_bits is not None and bits > self.max_bits:
            return f"more than {self.max_bits} bits"
        if self.max_elements is not None and elements > self.max_elements:
            return f"more than {self.max_elements} values"
        if model is not None and self.models is not None and model not in self.models:
            return f"model {model}"
        if model is not None and self.families is not None and family(model) not in self.families:
            return f"family {family(model)}"
        return ""

    def check_level(self, level: str) -> None:
        """Raise RefcodecError RC-USAGE unless it speaks the level."""
        if self.levels is not None and level not in self.levels:
            raise RefcodecError("RC-USAGE", f"{self.name} speaks {', '.join(self.levels)}, not {level}")


def read_capabilities(path: str | Path) -> Capabilities:
    """A capability file (SPEC RUN-7).  Raises FileError RC-FILE-READ, RefcodecError RC-USAGE."""
    document = read_document(path, SCHEMA, ("name",), OPTIONAL)
    texts = {
        key: check_texts(document[key], f"{path}: {key}")
        for key in ("operations", "levels", "models", "families")
        if key in document
    }
    _check_known(path, "operations", texts.get("operations", ()), {*OPERATIONS, *KINDS})
    _check_known(path, "levels", texts.get("levels", ()), set(LEVELS))
    numbers = {key: _number(path, key, document[key]) for key in ("max_bits", "max_elements") if key in document}
    taps = document.get("taps", True)
    if type(taps) is not bool:
        raise RefcodecError("RC-USAGE", f"{path}: taps is neither true nor false: {taps!r}")
    return Capabilities(
        check_text(document["name"], f"{path}: name"),
        texts.get("operations"),
        texts.get("levels"),
        numbers.get("max_bits"),
        numbers.get("max_elements"),
        texts.get("models"),
        texts.get("families"),
        taps,
        _errors(path, document.get("errors", {})),
    )


def _check_known(path: str | Path, key: str, given: tuple[str, ...], known: set[str]) -> None:
    for name in given:
        if name not in known:
            raise RefcodecError("RC-USAGE", f"{path}: {key}: {name!r} is none of {', '.join(sorted(known))}")


def _number(path: str | Path, key: str, value: Any) -> int:
    if type(value) is not int or value < 1:
        raise RefcodecError("RC-USAGE", f"{path}: {key} is no positive integer: {value!r}")
    return value


def _errors(path: str | Path, value: Any) -> dict[str, str]:
    if type(value) is not dict:
        raise RefcodecError("RC-USAGE", f"{path}: errors is no object: {value!r}")
    for theirs, ours in value.items():
        if ours not in CODES:
            raise RefcodecError("RC-USAGE", f"{path}: errors: {theirs!r} stands for the unknown code {ours!r}")
    return value
