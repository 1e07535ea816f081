"""What comes out of a case, and which functions it runs (SPEC GATE-1)."""

from __future__ import annotations

import math
import struct
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

import numpy as np

from refcodec.codecs.codec import Codec
from refcodec.errors import RefcodecError, VectorError
from refcodec.mutation import definitions, mistakes
from refcodec.mutation.definitions import CODERS, PROGRAMS
from refcodec.mutation.edit import Edit, edited, function_of, module_name, replaced
from refcodec.mutation.suite import Suite
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.evaluate import Engine, evaluate
from refcodec.vectorgen.signature import signature_crc
from refcodec.vectorgen.values import Values

# What a wrong definition may raise where a wrong program would crash.
CRASHES = (
    ArithmeticError,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    MemoryError,
    RecursionError,
    struct.error,
)
CRASH, SHAPE, ACCEPTED = "crash", "shape", "accepted"
NAMES: Mapping[str, object] = {module_name(module): module for module in (definitions, mistakes, math)}
Results = Mapping[str, np.ndarray]


@contextmanager
def by_definition(
    edits: Sequence[Edit], codes: Mapping[str, CodeType] | None = None, names: Mapping[str, object] = NAMES
) -> Iterator[None]:
    """Within, streams run by the definitions as far as `edits` say, some functions on other code (SPEC GATE-1)."""
    base = {edit.target: edited(edit) for edit in edits}
    with replaced({**base, **(codes or {})}, names):
        yield


def results(case: Case, codecs: Mapping[str, Codec]) -> Results | str:
    """What a case gives by the definitions, or the code with which it is rejected, or that it crashes."""
    inputs = {name: values.array for name, values in case.inputs.items()}
    try:
        return evaluate(Engine(True, codecs), case.operation, case.parameters, inputs)
    except VectorError:  # evaluate's name for a malformed case: here it is the definition that is
        return CRASH
    except RefcodecError as error:
        return error.code
    except CRASHES:
        return CRASH


def difference(case: Case, found: Results | str) -> str | None:
    """None where a case's outputs or its rejection are as wanted, else what came instead (SPEC VEC-3).

    Returns the signature of wrong outputs, or `shape`, `accepted`, `crash`, or the code of a rejection.
    """
    if isinstance(found, str):
        return None if found in (case.error, *case.accept) else found
    if case.error is not None:
        return ACCEPTED
    if any(name not in found or found[name].size != wanted.array.size for name, wanted in case.outputs.items()):
        return SHAPE
    # as an implementation stores them: without their shape, reduced to their dtype
    stored = {name: Values(found[name], wanted.format) for name, wanted in case.outputs.items()}
    if all(stored[name].to_bytes() == wanted.to_bytes() for name, wanted in case.outputs.items()):
        return None
    return signature_crc(stored)


def is_observed(case: Case, found: Results | str) -> bool:
    """Whether an output, a tap or the rejection of a case is another."""
    if isinstance(found, str) or case.error is not None:
        return difference(case, found) is not None
    wanted = {**case.taps, **case.outputs}
    return not (_same_shapes(wanted, found) and _equal(wanted, found))


def _same_shapes(wanted: Mapping[str, Values], found: Results) -> bool:
    return all(name in found and found[name].shape == values.array.shape for name, values in wanted.items())


def _equal(wanted: Mapping[str, Values], found: Results) -> bool:
    return all(np.array_equal(found[name], values.array) for name, values in wanted.items())


Calls = dict[str, dict[str, int]]  # function -> case -> how often the case calls it


def count_calls(suite: Suite, targets: Iterable[str], edits: Sequence[Edit]) -> Calls:
    """The cases that run each function.

    Raises VectorError RC-VECTOR-SUITE for a case that the definitions do not confirm.
    """
    found: Calls = {target: {} for target in targets}
    with by_definition(edits):
        codes = {function_of(target).__code__: target for target in found}
        for case in suite.cases.values():
            calls: Counter[CodeType] = Counter()
            wrong = difference(case, _profiled(case, suite.codecs, calls))
            if wrong is not None:
                raise VectorError("RC-VECTOR-SUITE", f"{case.id}: the definitions give {wrong}, not what the case says")
            for code in calls.keys() & codes.keys():
                found[codes[code]][case.id] = calls[code]
    return found


def _profiled(case: Case, codecs: Mapping[str, Codec], calls: Counter[CodeType]) -> Results | str:
    def note(frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            calls[frame.f_code] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        return results(case, codecs)
    finally:
        sys.setprofile(before)


@dataclass(frozen=True, slots=True)
class Route:
    """How to run a function as often as by the definitions alone: the cases, and the fewest edits."""

    cases: tuple[str, ...]
    edits: tuple[Edit, ...]


def routes(suite: Suite, targets: Iterable[str]) -> dict[str, Route]:
    """The route to every function.  Raises VectorError RC-VECTOR-SUITE."""
    wanted = sorted(set(targets))
    everything = count_calls(suite, wanted, (*PROGRAMS, *CODERS))
    found = {target: Route(tuple(everything[target]), (*PROGRAMS, *CODERS)) for target in wanted}
    for edits in (CODERS, PROGRAMS, ()):
        counted = count_calls(suite, wanted, edits)
        for target in wanted:
            # a coder's part may run as often beside the kernels, and what it gives may still go through them
            if counted[target] == everything[target] and not target.startswith("refcodec.entropy"):
                found[target] = Route(found[target].cases, edits)
    return found
