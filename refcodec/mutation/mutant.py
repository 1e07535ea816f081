"""A mistake of an implementer, as an edit of a definition (SPEC GATE-1)."""

from __future__ import annotations

from dataclasses import dataclass

from refcodec.mutation.edit import Edit


@dataclass(frozen=True, slots=True)
class Mutant:
    """A definition with one mistake.

    id  function and label;  mistake  what an implementer would recognise;  clauses  that it breaks.
    """

    id: str
    edit: Edit
    mistake: str
    clauses: tuple[str, ...]
