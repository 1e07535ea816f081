"""Which cases kill which mutants (SPEC GATE-1, GATE-2)."""

from __future__ import annotations

import importlib.resources
import json
import multiprocessing
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from refcodec.errors import VectorError
from refcodec.mutation.catalogue import MUTANTS, SENTINEL
from refcodec.mutation.definitions import CODERS, PROGRAMS
from refcodec.mutation.edit import edited
from refcodec.mutation.evaluation import Route, by_definition, difference, results, routes
from refcodec.mutation.mutant import Mutant
from refcodec.mutation.suite import Suite, load_suite

SCHEMA = "refcodec-mutants/1"
Kills = dict[str, str]  # case -> what comes out of it
QUIET: dict[str, Any] = {"unit": "mutant", "disable": None, "leave": False}


@dataclass(frozen=True, slots=True)
class Matrix:
    """What a suite makes of every mutant.

    kills  by mutant;  reaching  the cases that run its function, by mutant.
    """

    kills: Mapping[str, Kills]
    reaching: Mapping[str, Sequence[str]]

    @property
    def tried(self) -> list[str]:
        """The mutants whose function some case runs."""
        return [name for name, cases in self.reaching.items() if cases]

    @property
    def survivors(self) -> list[str]:
        """The mutants that no case kills."""
        return [name for name, kills in self.kills.items() if not kills]


def kills_of(mutant: Mutant, suite: Suite, route: Route) -> Kills:
    """Every case that a mutant changes, of those that run its function."""
    found: Kills = {}
    with by_definition(route.edits, {mutant.edit.target: edited(mutant.edit)}):
        for name in route.cases:
            seen = difference(suite.cases[name], results(suite.cases[name], suite.codecs))
            if seen is not None:
                found[name] = seen
    return found


def check_sentinel(suite: Suite, route: Route) -> None:
    """Raise VectorError RC-VECTOR-SUITE where a suite does not notice that its code was replaced (SPEC GATE-1)."""
    if route.cases and not kills_of(SENTINEL, suite, route):
        raise VectorError("RC-VECTOR-SUITE", "the sentinel survives: mutants do not reach the code that cases run")


_suite: list[Suite] = []  # of a worker process


def _start(path: str) -> None:
    _suite.append(load_suite(path))


def _work(task: tuple[int, Route]) -> Kills:
    return kills_of(MUTANTS[task[0]], _suite[0], task[1])


def kill_matrix(suite: Suite, path: str, jobs: int = 1, mutants: Sequence[Mutant] = MUTANTS) -> Matrix:
    """The kill matrix of a suite; the same for every number of jobs.

    path  of the suite, which other processes load again.  Raises VectorError RC-VECTOR-SUITE.
    """
    found_routes = routes(suite, (mutant.edit.target for mutant in (SENTINEL, *mutants)))
    check_sentinel(suite, found_routes[SENTINEL.edit.target])
    reaching = {mutant.id: found_routes[mutant.edit.target] for mutant in mutants}
    if jobs == 1:
        found = [kills_of(mutant, suite, reaching[mutant.id]) for mutant in tqdm(mutants, "mutants", **QUIET)]
    else:
        tasks = [(MUTANTS.index(mutant), reaching[mutant.id]) for mutant in mutants]
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start, initargs=(path,)) as pool:
            found = list(tqdm(pool.map(_work, tasks, chunksize=4), "mutants", len(tasks), **QUIET))
    kills = {mutant.id: cases for mutant, cases in zip(mutants, found, strict=True)}
    return Matrix(kills, {name: route.cases for name, route in reaching.items()})


def recorded() -> dict[str, Kills]:
    """The kills that the package's matrix holds, by mutant (SPEC GATE-1)."""
    content = importlib.resources.files("refcodec.vectorgen").joinpath("kill_matrix.json").read_bytes()
    return {mutant["id"]: mutant["kills"] for mutant in json.loads(content)["mutants"]}


def first_kill(mutant: Mutant, suite: Suite, order: Sequence[str]) -> Kills:
    """The first of some cases that a mutant changes, if there is one."""
    with by_definition((*PROGRAMS, *CODERS), {mutant.edit.target: edited(mutant.edit)}):
        for name in order:
            seen = difference(suite.cases[name], results(suite.cases[name], suite.codecs))
            if seen is not None:
                return {name: seen}
    return {}


def confirmed_matrix(suite: Suite, path: str, jobs: int = 1) -> Matrix:
    """One kill of every mutant: by the smallest case that is recorded to kill it, else by any case (SPEC GATE-1).

    Raises VectorError RC-VECTOR-SUITE where a recorded case gives something else than is recorded.
    """
    known, found = recorded(), {}
    for mutant in tqdm((SENTINEL, *MUTANTS), "mutants", **QUIET):
        order: Mapping[str, str | None] = known.get(mutant.id, {})
        if mutant is SENTINEL:
            order = dict.fromkeys(name for name, case in suite.cases.items() if case.operation == "requantise")
        kills = first_kill(
            mutant, suite, sorted(order.keys() & suite.cases.keys(), key=lambda name: _size(suite, name))
        )
        for case, seen in kills.items():
            if order[case] not in (None, seen):
                raise VectorError("RC-VECTOR-SUITE", f"{mutant.id}: {case} gives {seen}, recorded is {order[case]}")
        found[mutant.id] = kills
    if not found.pop(SENTINEL.id):
        raise VectorError("RC-VECTOR-SUITE", "the sentinel survives: mutants do not reach the code that cases run")
    rest = [mutant for mutant in MUTANTS if not found[mutant.id] and mutant.id not in equivalent()]
    others = kill_matrix(suite, path, jobs, rest) if rest else Matrix({}, {})
    kills_of_all = {mutant.id: others.kills.get(mutant.id, found[mutant.id]) for mutant in MUTANTS}
    return Matrix(kills_of_all, {name: others.reaching.get(name, list(kills)) for name, kills in kills_of_all.items()})


def _size(suite: Suite, name: str) -> tuple[int, str]:
    return sum(values.array.size for values in suite.cases[name].inputs.values()), name


def smallest_suite(kills: Mapping[str, Kills]) -> list[str]:
    """Cases that together kill all that any case kills, each the one that kills most of what is left."""
    left = {mutant for mutant, cases in kills.items() if cases}
    by_case: dict[str, set[str]] = {}
    for mutant in left:
        for case in kills[mutant]:
            by_case.setdefault(case, set()).add(mutant)
    chosen = []
    while left:
        case = min(by_case, key=lambda name: (-len(by_case[name] & left), name))
        chosen.append(case)
        left -= by_case[case]
    return chosen


def equivalent() -> dict[str, dict[str, str]]:
    """The proof of every mutant that computes the same as the definition: `proof` and `clause`, by mutant."""
    content = importlib.resources.files("refcodec.mutation").joinpath("equivalent.json").read_bytes()
    return dict(json.loads(content))


def document(matrix: Matrix) -> dict[str, Any]:
    """The kill matrix as the package data and a suite's `mutants.json` hold it (SPEC GATE-2)."""
    entries = [
        {
            "id": mutant.id,
            "target": mutant.edit.target,
            "mistake": mutant.mistake,
            "clauses": list(mutant.clauses),
            "kills": dict(sorted(matrix.kills[mutant.id].items())),
        }
        for mutant in MUTANTS
    ]
    return {"schema": SCHEMA, "mutants": entries}
