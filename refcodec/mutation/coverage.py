"""Which clauses and corners the cases of a suite show (SPEC GATE-2)."""

from __future__ import annotations

import importlib.resources
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from tqdm import tqdm

from refcodec.mutation.edit import compiled, function_of
from refcodec.mutation.evaluation import NAMES, Route, by_definition, is_observed, results, routes
from refcodec.mutation.point import Point
from refcodec.mutation.points import POINTS
from refcodec.mutation.suite import Suite
from refcodec.vectorgen.clauses import CLAUSES

ORIGINAL = "refcodec_original"


@dataclass(frozen=True, slots=True)
class Clause:
    """What a suite shows of a clause: cases by result, and why none is needed where that is so."""

    valid: Sequence[str]
    invalid: Sequence[str]
    refuses: bool
    reason: str

    @property
    def covered(self) -> bool:
        """Whether there is a valid case, and an invalid one where the clause refuses something."""
        return bool(self.reason) or (bool(self.valid or self.refuses) and bool(self.invalid or not self.refuses))


@dataclass(frozen=True, slots=True)
class Coverage:
    """Clauses by number, and the case that shows each point, None where none does."""

    clauses: Mapping[str, Clause]
    points: Mapping[str, str | None]

    @property
    def passed(self) -> bool:
        """Whether all is covered."""
        return all(clause.covered for clause in self.clauses.values()) and None not in self.points.values()

    def as_json(self) -> dict[str, Any]:
        """The coverage for machines."""
        return {
            "clauses": {
                name: {
                    "covered": clause.covered,
                    "valid": list(clause.valid),
                    "invalid": list(clause.invalid),
                    "refuses": clause.refuses,
                    "reason": clause.reason,
                }
                for name, clause in self.clauses.items()
            },
            "points": dict(self.points),
        }

    def as_text(self) -> str:
        """The coverage for people."""
        shown = [clause for clause in self.clauses.values() if not clause.reason]
        lines = [f"clause {name} is not covered" for name, clause in self.clauses.items() if not clause.covered]
        lines += [f"corner {name} is not covered" for name, case in self.points.items() if case is None]
        covered = sum(clause.covered for clause in shown)
        reached = sum(case is not None for case in self.points.values())
        return "\n".join(
            [
                *lines,
                f"{covered} of {len(shown)} clauses covered, {len(self.clauses) - len(shown)} that no vector can show",
                f"{reached} of {len(self.points)} corners covered",
            ]
        )


def watched(point: Point) -> tuple[CodeType, dict[str, object]]:
    """The code of a point's function with the other result at the corner, and the names that it uses."""
    function = function_of(point.target)
    names = list(inspect.signature(function).parameters)
    original = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    text = (
        f"def {function.__name__}({', '.join(names)}):\n"
        f"    result = {ORIGINAL}({', '.join(names)})\n"
        f"    if hasattr({names[0]}, 'dtype'):\n        return result\n"
        f"    try:\n        reached = bool({point.when})\n"
        f"    except (TypeError, ValueError, LookupError, ArithmeticError) as error:\n"
        f"        raise SystemError({point.id!r}) from error\n"
        f"    return ({point.instead}) if reached else result\n"
    )
    return compiled(text, point.id), {ORIGINAL: original}


def showing_case(point: Point, suite: Suite, route: Route) -> str | None:
    """The first case that a point changes, smallest inputs first."""
    code, names = watched(point)
    order = sorted(route.cases, key=lambda name: (sum(v.array.size for v in suite.cases[name].inputs.values()), name))
    with by_definition(route.edits, {point.target: code}, {**NAMES, **names}):
        return next((name for name in order if _shows(suite, name)), None)


def _shows(suite: Suite, name: str) -> bool:
    return is_observed(suite.cases[name], results(suite.cases[name], suite.codecs))


def clause_data() -> dict[str, Any]:
    """Every clause that no vector can show with its reason, and those that refuse something."""
    return dict(json.loads(importlib.resources.files("refcodec.mutation").joinpath("clauses.json").read_bytes()))


def clause_coverage(suite: Suite) -> dict[str, Clause]:
    """What the cases show of every clause."""
    data = clause_data()
    found: dict[str, tuple[list[str], list[str]]] = {name: ([], []) for name in sorted(CLAUSES)}
    for case in suite.cases.values():
        for name in case.clauses:
            found.setdefault(name, ([], []))[case.error is not None].append(case.id)
    refusing = set(data["refusing"])
    return {
        name: Clause(valid, invalid, name in refusing, data["elsewhere"].get(name, ""))
        for name, (valid, invalid) in found.items()
    }


def coverage(suite: Suite, wanted: Sequence[Point] = POINTS) -> Coverage:
    """What a suite covers.  Raises VectorError RC-VECTOR-SUITE."""
    found = routes(suite, (point.target for point in wanted))
    bar = tqdm(wanted, "corners", unit="corner", disable=None, leave=False)
    shown = {point.id: showing_case(point, suite, found[point.target]) for point in bar}
    return Coverage(clause_coverage(suite), shown)
