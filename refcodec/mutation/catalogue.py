"""Every mutant, by the part of the specification that it breaks (SPEC GATE-1)."""

from __future__ import annotations

import importlib.resources
import json

from refcodec.mutation.edit import Edit
from refcodec.mutation.mutant import Mutant

AREAS = ("scalars", "layers", "placement", "entropy", "streams", "checks")


def _mutants(area: str) -> tuple[Mutant, ...]:
    """The mutants of an area: functions, each with its clauses and its faults."""
    content = importlib.resources.files("refcodec.mutation").joinpath("mutants", f"{area}.json").read_bytes()
    return tuple(
        Mutant(
            f"{group['target'].partition(':')[2].lstrip('_')}/{fault['label']}",
            Edit(group["target"], fault["old"], fault["new"]),
            fault["mistake"],
            tuple(group["clauses"]),
        )
        for group in json.loads(content)
        for fault in group["faults"]
    )


MUTANTS: tuple[Mutant, ...] = tuple(mutant for area in AREAS for mutant in _mutants(area))

# What every suite must notice: if it does not, the harness does not reach the code.
SENTINEL = Mutant(
    "sentinel",
    Edit("refcodec.fixed:rounding_shift", ">> shift", "+ 1 >> shift ^ 1"),
    "a result that is wrong nearly everywhere",
    ("RND-1",),
)
