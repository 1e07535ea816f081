"""Judging an answer: taps in order, then outputs, exactly (SPEC VEC-3, RUN-3, RUN-4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from refcodec.errors import CODES
from refcodec.runner.answer import BROKEN, REJECTED, Answer
from refcodec.runner.difference import Place, measure
from refcodec.runner.outcome import Problem
from refcodec.runner.signature import FILL, signature_arrays
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.signature import signature_crc
from refcodec.vectorgen.values import Values

MOST_AXES = 4  # of a tensor whose axes are tried in every order
ENDED = ("crash", "died", "exit-status")


@dataclass(frozen=True, slots=True)
class Judgement:
    """Every problem in order, the first divergence first, and the symptom by which a mistake is known."""

    problems: tuple[Problem, ...]
    symptom: str | None


def judge(case: Case, answer: Answer, with_taps: bool, codes: Mapping[str, str]) -> Judgement:
    """What is wrong with an answer (SPEC VEC-3, RUN-3).

    with_taps  whether taps that are given are compared;  codes  the implementation's code -> the specification's.
    """
    if answer.status == BROKEN:
        kind = answer.problems[0].kind
        return Judgement(answer.problems, "crash" if kind in ENDED else kind)
    if answer.status == REJECTED:
        return _judge_rejection(case, answer, with_taps, codes)
    if case.error is not None:
        return Judgement((Problem("accepted", f"not rejected, expected {case.error}"),), "accepted")
    if answer.words is not None:
        return _judge_words(case, answer, answer.words)
    if answer.crc32 is not None:
        return _judge_crc(case, answer, answer.crc32)
    return _judge_tensors(case, answer, with_taps)


def _judge_rejection(case: Case, answer: Answer, with_taps: bool, codes: Mapping[str, str]) -> Judgement:
    code = codes.get(answer.code, answer.code)
    told = answer.code if code == answer.code else f"{answer.code} ({code})"
    problems = [*answer.problems]
    if code not in CODES:
        problems.append(Problem("unknown-code", f"rejected with {told!r}, which is no code of the specification"))
    elif case.error is None:
        problems.append(Problem("rejected", f"rejected with {told} though the case is valid"))
        problems += _tap_problems(case, answer, with_taps)
    elif code not in (case.error, *case.accept):
        wanted = " or ".join((case.error, *case.accept))
        problems.append(Problem("wrong-code", f"rejected with {told}, expected {wanted}"))
    if answer.outputs:
        problems.append(Problem("partial", f"rejected, yet it gives {', '.join(answer.outputs)} (ERR-1)"))
    return Judgement(tuple(problems), code if problems else None)


def _judge_tensors(case: Case, answer: Answer, with_taps: bool) -> Judgement:
    problems = _tap_problems(case, answer, with_taps)
    for name, wanted in case.outputs.items():
        place = _place(case, "out", name)
        if name in answer.outputs:
            problems += compare_tensor(place, wanted, answer.outputs[name])
        elif name not in answer.unread:
            problems.append(Problem("missing", f"{place} is missing"))
    problems += answer.problems
    return Judgement(tuple(problems), _symptom(case, answer) if problems else None)


def _tap_problems(case: Case, answer: Answer, with_taps: bool) -> list[Problem]:
    given = [name for name in case.taps if with_taps and name in answer.taps]
    places = {name: _place(case, "tap", name) for name in given}
    return [problem for name in given for problem in compare_tensor(places[name], case.taps[name], answer.taps[name])]


def _place(case: Case, role: str, name: str) -> Place:
    return Place(role, name, case.defined_by.get(name) or ", ".join(case.clauses))


def _symptom(case: Case, answer: Answer) -> str:
    if any(name not in answer.outputs for name in case.outputs):
        return "missing"
    got = {}
    for name, wanted in case.outputs.items():
        content = answer.outputs[name]
        if len(content) != wanted.array.size * wanted.storage.itemsize:
            return "shape"
        got[name] = Values(np.frombuffer(content, wanted.storage), wanted.format)
    return signature_crc(got)


def compare_tensor(place: Place, wanted: Values, content: bytes) -> list[Problem]:
    """At most one problem: values, or what else the bytes are if they are the right values in another form."""
    expected = wanted.to_bytes()
    if content == expected:
        return []
    if len(content) != len(expected):
        return [_wrong_size(place, wanted, content)]
    got = np.frombuffer(content, wanted.storage).astype(np.int64).reshape(wanted.array.shape)
    difference = measure(place, wanted, got)
    if content == wanted.array.astype(wanted.storage.newbyteorder(">")).tobytes():
        return [Problem("byte-order", f"{place} is big-endian: byte-swapped, all its values match", difference)]
    for axes in _axis_orders(wanted.array):
        if np.array_equal(wanted.array.transpose(axes).ravel(), got.ravel()):
            return [Problem("layout", f"{place} has its axes in the order {list(axes)}, not row-major", difference)]
    return [Problem("value", str(difference), difference)]


def _axis_orders(array: np.ndarray) -> Iterator[tuple[int, ...]]:
    if array.ndim <= MOST_AXES:
        yield from list(permutations(range(array.ndim)))[1:]


def _wrong_size(place: Place, wanted: Values, content: bytes) -> Problem:
    name, size = wanted.storage.name, wanted.array.size
    for other in ("<i1", "<u1", "<i2", "<u2", "<i4", "<u4", "<i8", ">i2", ">i4", ">i8"):
        dtype = np.dtype(other)
        if not size or len(content) != size * dtype.itemsize:
            continue
        if np.array_equal(np.frombuffer(content, dtype).astype(np.int64), wanted.array.ravel()):
            swapped = " in big-endian order" if other[0] == ">" else ""
            return Problem("dtype", f"{place} holds the right values as {dtype.name}{swapped}, expected {name}")
    expected = wanted.to_bytes()
    shape = "x".join(map(str, wanted.array.shape)) or "one value"
    if content and expected.startswith(content):
        hint = "; it is the beginning of what was expected"
    elif content.startswith(expected):
        hint = "; it begins with what was expected"
    else:
        hint = ""
    return Problem("size", f"{place} has {len(content)} bytes, expected {len(expected)} ({shape} of {name}){hint}")


def _judge_crc(case: Case, answer: Answer, crc32: str) -> Judgement:
    wanted, problems = signature_crc(case.outputs), [*answer.problems]
    if crc32 != wanted:
        problems.insert(0, Problem("value", f"the signature's CRC-32 is {crc32}, expected {wanted}"))
    return Judgement(tuple(problems), crc32 if problems else None)


def _judge_words(case: Case, answer: Answer, words: np.ndarray) -> Judgement:
    got = signature_arrays(case.outputs, words)
    problems = []
    for name, values in case.outputs.items():
        if not np.array_equal(got[name], values.array):
            difference = measure(_place(case, "out", name), values, got[name])
            problems.append(Problem("value", f"{difference}{_unwritten(words)}", difference))
    problems += answer.problems
    stored = {name: Values(got[name], values.format) for name, values in case.outputs.items()}
    return Judgement(tuple(problems), signature_crc(stored) if problems else None)


def _unwritten(words: np.ndarray) -> str:
    count = int((words == FILL).sum())
    return f"; {count} words still hold {FILL:08x}" if count else ""
