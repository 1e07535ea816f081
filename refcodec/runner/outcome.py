"""What came of a case: a verdict, and every problem with its kind (SPEC RUN-3, RUN-5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from refcodec.runner.difference import Difference

PASSED, FAILED, KNOWN, SKIPPED, NOT_RUN = VERDICTS = ("passed", "failed", "known", "skipped", "not run")

# kind of a problem -> what it means
KINDS: Mapping[str, str] = MappingProxyType(
    {
        "value": "values differ",
        "byte-order": "the values are right, their bytes are in big-endian order",
        "dtype": "the values are right, in another integer type",
        "layout": "the values are right, their axes are in another order",
        "size": "a tensor has the wrong number of values",
        "missing": "an output, or the whole result, is missing",
        "extra": "a file or tensor that the case does not have",
        "status": "status.json is malformed or does not fit the exit status",
        "unknown-code": "rejected with a code that is none of the specification's",
        "wrong-code": "rejected with another code than the case's",
        "accepted": "an invalid case was not rejected",
        "rejected": "a valid case was rejected",
        "partial": "outputs beside a rejection",
        "signature": "the signature is malformed",
        "exit-status": "an exit status that the protocol does not have",
        "crash": "killed by a signal",
        "died": "the process ended before it answered",
        "timeout": "no result within the time allowed",
        "too-large": "more output than any answer to the case can have",
        "protocol": "the answer is not one of the protocol",
        "wrong-id": "the answer to another request",
    }
)


def printable(text: str) -> str:
    """The text with every character escaped that a terminal might obey or could not show."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: its kind, a sentence, and the tensor where values differ.

    What an implementation wrote may be part of the sentence, so that is kept printable.
    """

    kind: str
    message: str
    difference: Difference | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "message", printable(self.message))

    def as_json(self) -> dict[str, Any]:
        """The problem for machines."""
        document: dict[str, Any] = {"kind": self.kind, "message": self.message}
        return document | ({"difference": self.difference.as_json()} if self.difference else {})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on one case.

    reason  why it was skipped, or why its failure is known
    symptom  what came out, as `mutants.json` writes it: the signature's CRC-32, "shape", a code, "accepted" or "crash",
    otherwise the kind of the problem; None where nothing is wrong.
    """

    id: str
    operation: str
    clauses: tuple[str, ...]
    verdict: str
    problems: tuple[Problem, ...] = ()
    reason: str = ""
    symptom: str | None = None
    seconds: float = 0.0

    @property
    def kind(self) -> str:
        """The kind of the first problem, or nothing."""
        return self.problems[0].kind if self.problems else ""

    def as_json(self) -> dict[str, Any]:
        """The outcome for machines; the time it took is left out, so that equal runs give equal documents."""
        document: dict[str, Any] = {
            "id": self.id,
            "operation": self.operation,
            "clauses": list(self.clauses),
            "verdict": self.verdict,
            "problems": [problem.as_json() for problem in self.problems],
        }
        optional = {"reason": self.reason, "symptom": self.symptom}
        return document | {key: value for key, value in optional.items() if value}
