"""A case of something that is no operation of a program: a function, or a coder (SPEC VEC-1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refcodec.formats import IntFormat
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.defining_clauses import DEFINING
from refcodec.vectorgen.evaluate import Engine, evaluate
from refcodec.vectorgen.values import Values

PLAIN = Engine(True, {})


def function_case(
    name: str,
    operation: str,
    clauses: tuple[str, ...],
    comment: str,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Values],
    formats: Mapping[str, IntFormat],
    flags: tuple[str, ...] = (),
) -> Case:
    """A valid case whose results the plain definitions give; `formats` names the results, the last one the output."""
    results = evaluate(PLAIN, operation, parameters, {key: value.array for key, value in inputs.items()})
    found = {key: Values(results[key].astype(np.int64), fmt) for key, fmt in formats.items()}
    *taps, output = found
    return Case(
        f"operations/{operation}/{name}",
        operation,
        clauses,
        comment,
        parameters,
        inputs,
        {key: found[key] for key in taps},
        {output: found[output]},
        flags=flags,
        defined_by=dict.fromkeys(found, DEFINING[operation]),
    )
