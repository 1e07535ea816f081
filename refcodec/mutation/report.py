"""What a kill matrix says of a suite (SPEC GATE-2, GATE-3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refcodec.describe import table
from refcodec.mutation.catalogue import MUTANTS
from refcodec.mutation.matrix import Matrix, equivalent, smallest_suite


@dataclass(frozen=True, slots=True)
class Score:
    """Mutants killed of those that are no equivalents of the definition.

    survivors  with their mistakes;  smallest  cases that kill all that is killed;  by_function  killed, reached, total.
    """

    killed: int
    reached: int
    total: int
    survivors: Mapping[str, str]
    smallest: Sequence[str]
    by_function: Mapping[str, tuple[int, int, int]]

    @classmethod
    def of(cls, matrix: Matrix) -> Score:
        """The score of a suite."""
        proven = equivalent()
        counted = [mutant for mutant in MUTANTS if mutant.id in matrix.kills and mutant.id not in proven]
        tried = set(matrix.tried)
        groups: dict[str, Counter[str]] = {}
        for mutant in counted:
            group = groups.setdefault(mutant.id.rpartition("/")[0], Counter())
            group.update(total=1, reached=int(mutant.id in tried), killed=int(bool(matrix.kills[mutant.id])))
        return cls(
            sum(bool(matrix.kills[mutant.id]) for mutant in counted),
            sum(mutant.id in tried for mutant in counted),
            len(counted),
            {mutant.id: mutant.mistake for mutant in counted if not matrix.kills[mutant.id]},
            smallest_suite(matrix.kills),
            {name: (group["killed"], group["reached"], group["total"]) for name, group in sorted(groups.items())},
        )

    @property
    def passed(self) -> bool:
        """Whether no mutant survives."""
        return not self.survivors

    def as_json(self) -> dict[str, Any]:
        """The score for machines."""
        return {
            "killed": self.killed,
            "reached": self.reached,
            "total": self.total,
            "survivors": dict(self.survivors),
            "smallest": list(self.smallest),
            "functions": {
                name: dict(zip(("killed", "reached", "total"), counts, strict=True))
                for name, counts in self.by_function.items()
            },
        }

    def as_text(self, seconds: float, whole: bool = True) -> str:
        """The score of a suite for people;  whole  whether every kill was looked for, not just one of each mutant."""
        lines = [f"survives: {name}: {mistake}" for name, mistake in self.survivors.items()]
        lines += [
            f"{self.killed} of {self.total} mutants killed, {len(equivalent())} proven equivalent",
            *([f"{len(self.smallest)} cases kill them all: {', '.join(self.smallest)}"] if whole else []),
            f"{seconds:.0f} seconds",
        ]
        return "\n".join(lines)

    def rating(self, seconds: float) -> str:
        """The score of somebody's vectors for people: only functions that they run count against them."""
        rows = [[name, *counts] for name, counts in self.by_function.items() if counts[1]]
        missed = [f"not noticed: {name}: {self.survivors[name]}" for name in self.survivors if self._runs(name)]
        return "\n".join(
            [
                table(rows, ["function", "killed", "reached", "total"]),
                *missed,
                f"{self.killed} of {self.reached} mutants killed in functions that these vectors run",
                f"{self.total} mutants in all",
                f"{seconds:.0f} seconds",
            ]
        )

    def _runs(self, name: str) -> bool:
        return self.by_function[name.rpartition("/")[0]][1] > 0
