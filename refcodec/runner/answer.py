"""What an implementation made of a case, as it was read, before it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from refcodec.runner.outcome import Problem

DONE, REJECTED, UNSUPPORTED, BROKEN = "done", "rejected", "unsupported", "broken"


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Tensors, a rejection, or neither.

    status  done, rejected, unsupported, or broken where no answer of the protocol was got
    outputs, taps  little-endian bytes by name;  code  of a rejection, as the implementation writes it
    words, crc32  the outputs as a signature, uint32 and eight digits (SPEC VEC-5)
    problems  what was wrong with the form of the answer;  unread  outputs that a problem already tells of.
    """

    status: str
    outputs: Mapping[str, bytes] = field(default_factory=dict)
    taps: Mapping[str, bytes] = field(default_factory=dict)
    code: str = ""
    words: np.ndarray | None = None
    crc32: str | None = None
    problems: tuple[Problem, ...] = ()
    unread: frozenset[str] = frozenset()


def broken(kind: str, message: str) -> Answer:
    """The answer that is none."""
    return Answer(BROKEN, problems=(Problem(kind, message),))
