"""A corner of a clause: where it is, and what else could come out there (SPEC GATE-2)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Point:
    """A corner is covered by a case that reaches it and shows another result there.

    target  function;  when  Python expression over its arguments and `result`;  instead  the other result, likewise.
    """

    id: str
    clause: str
    target: str
    when: str
    instead: str
