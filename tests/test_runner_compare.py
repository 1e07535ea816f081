"""Judging answers: each thing that can be wrong is called by its name, and the first divergence comes first."""

from __future__ import annotations

import numpy as np
import pytest
from runner_suite import S8, S16, refused, tapped

from refcodec.formats import IntFormat
from refcodec.runner.answer import BROKEN, DONE, REJECTED, Answer, broken
from refcodec.runner.compare import Judgement, compare_tensor, judge
from refcodec.runner.difference import GRID, Place, measure
from refcodec.runner.outcome import KINDS, Problem
from refcodec.runner.signature import read_crc, read_words, signature_arrays
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.signature import signature_crc, signature_words
from refcodec.vectorgen.values import Values

PLACE = Place("out", "y", "RQ-1")
GOOD = {name: values.to_bytes() for name, values in tapped().outputs.items()}
TAPS = {name: values.to_bytes() for name, values in tapped().taps.items()}


def judged(case: Case, answer: Answer) -> Judgement:
    return judge(case, answer, True, {})


def only(array: object, got: object, fmt: IntFormat = S16) -> Problem:
    """The one problem of a tensor."""
    (problem,) = compare_tensor(PLACE, Values(np.array(array), fmt), Values(np.array(got), fmt).to_bytes())
    return problem


def test_judge_passes_the_right_answer_with_and_without_taps() -> None:
    assert judged(tapped(), Answer(DONE, GOOD)) == Judgement((), None)
    assert judged(tapped(), Answer(DONE, GOOD, TAPS)) == Judgement((), None)
    for code in ("RC-SHAPE", "RC-RANGE"):  # the second is in the accept list
        assert judged(refused(), Answer(REJECTED, code=code)) == Judgement((), None)


def test_judge_begins_with_the_first_tap_that_differs() -> None:
    wrong = {name: bytes(len(content)) for name, content in {**TAPS, **GOOD}.items()}
    answer = Answer(DONE, {n: wrong[n] for n in ("z", "y")}, {n: wrong[n] for n in ("scaled", "accumulator")})
    problems = judged(tapped(), answer).problems
    assert [str(p.difference.place) for p in problems if p.difference] == [
        "tap.accumulator",
        "tap.scaled",
        "out.y",
        "out.z",
    ]
    first = problems[0].difference
    assert first is not None
    assert (first.place.clause, first.index, first.expected, first.got) == ("CONV-2", (0, 0, 0), -8000, 0)
    assert (first.differing, first.total, first.largest) == (15, 16, 8000)
    assert problems[0].message.startswith("tap.accumulator[0, 0, 0] is 0, expected -8000 (CONV-2); 15 of 16 values")


def test_judge_compares_taps_only_where_they_are_given_and_wanted() -> None:
    answer = Answer(DONE, GOOD, {"scaled": bytes(32)})
    assert [problem.kind for problem in judged(tapped(), answer).problems] == ["value"]
    assert judge(tapped(), answer, False, {}).problems == ()


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer(DONE, {"y": GOOD["y"]}), "missing", "out.z is missing"),
        (Answer(DONE, {**GOOD, "y": GOOD["y"][:-1]}), "size", "15 bytes, expected 16 (1x4x4 of int8); it is the begin"),
        (Answer(DONE, {**GOOD, "y": GOOD["y"] * 2}), "size", "32 bytes, expected 16 (1x4x4 of int8); it begins with"),
        (Answer(REJECTED, code="RC-SHAPE"), "rejected", "rejected with RC-SHAPE though the case is valid"),
        (Answer(REJECTED, code="E1"), "unknown-code", "'E1', which is no code"),
        (broken("timeout", "no result within 1 s"), "timeout", "no result"),
    ],
)
def test_judge_names_what_is_wrong_with_a_valid_case(answer: Answer, kind: str, words: str) -> None:
    problem = judged(tapped(), answer).problems[0]
    assert problem.kind == kind
    assert words in problem.message


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer(DONE), "accepted", "not rejected, expected RC-SHAPE"),
        (Answer(DONE, {"y": b"\0"}), "accepted", "not rejected"),
        (Answer(REJECTED, code="RC-FORMAT"), "wrong-code", "RC-FORMAT, expected RC-SHAPE or RC-RANGE"),
        (Answer(REJECTED, {"y": b"\0"}, code="RC-SHAPE"), "partial", "yet it gives y"),
        (Answer(REJECTED, code="?"), "unknown-code", "no code of the specification"),
    ],
)
def test_judge_names_what_is_wrong_with_an_invalid_case(answer: Answer, kind: str, words: str) -> None:
    (problem,) = judged(refused(), answer).problems
    assert problem.kind == kind
    assert words in problem.message


def test_judge_translates_the_implementations_codes() -> None:
    answer = Answer(REJECTED, code="E42")
    assert judge(refused(), answer, True, {"E42": "RC-SHAPE"}).problems == ()
    (problem,) = judge(refused(), answer, True, {"E42": "RC-FORMAT"}).problems
    assert "E42 (RC-FORMAT), expected" in problem.message


def test_judge_shows_taps_beside_a_wrong_rejection() -> None:
    problems = judged(tapped(), Answer(REJECTED, taps={**TAPS, "scaled": bytes(32)}, code="RC-SHAPE")).problems
    assert [problem.kind for problem in problems] == ["rejected", "value"]


@pytest.mark.parametrize(
    ("case", "answer", "symptom"),
    [
        (tapped(), Answer(DONE, {**GOOD, "y": GOOD["y"][:-1]}), "shape"),
        (tapped(), Answer(DONE, {"y": GOOD["y"]}), "missing"),
        (tapped(), Answer(REJECTED, code="RC-SHAPE"), "RC-SHAPE"),
        (refused(), Answer(DONE), "accepted"),
        (tapped(), broken("crash", ""), "crash"),
        (tapped(), broken("died", ""), "crash"),
        (tapped(), broken("exit-status", ""), "crash"),
        (tapped(), broken("timeout", ""), "timeout"),
    ],
)
def test_judge_tells_the_symptom_as_the_kill_matrix_does(case: Case, answer: Answer, symptom: str) -> None:
    assert judged(case, answer).symptom == symptom


def test_judge_tells_the_signature_of_wrong_outputs() -> None:
    case = tapped()
    wrong = {**case.outputs, "z": Values(np.array([5, 6]), S16)}
    answer = Answer(DONE, {name: values.to_bytes() for name, values in wrong.items()})
    assert judged(case, answer).symptom == signature_crc(wrong)


def test_judge_keeps_broken_answers_as_they_are() -> None:
    answer = broken("protocol", "no")
    assert answer.status == BROKEN
    assert judged(tapped(), answer).problems == answer.problems


# --- one tensor


def test_compare_tensor_recognises_other_forms_of_the_right_values() -> None:
    array = np.arange(-12, 12).reshape(2, 3, 4)
    values = Values(array, S16)
    for dtype, kind in ((">i2", "byte-order"), ("<i4", "dtype"), (">i8", "dtype"), ("i1", "dtype")):
        (problem,) = compare_tensor(PLACE, values, array.astype(dtype).tobytes())
        assert problem.kind == kind
    (problem,) = compare_tensor(PLACE, values, array.transpose(1, 2, 0).astype("<i2").tobytes())
    assert problem.kind == "layout"
    assert "[1, 2, 0]" in problem.message
    assert compare_tensor(PLACE, values, array.astype("<i2").tobytes()) == []
    assert compare_tensor(PLACE, Values(np.zeros((0, 3), np.int64), S8), b"") == []
    assert compare_tensor(PLACE, Values(np.zeros((0, 3), np.int64), S8), b"\0")[0].kind == "size"


@pytest.mark.parametrize(
    ("wanted", "got", "remark"),
    [
        ([1, 2, 3, 4], [2, 2, 4, 4], "every difference is +1"),
        ([1, 2, 3, 4], [0, 2, 3, 3], "every difference is -1"),
        ([1, 2, 3, 4], [0, 3, 3, 4], "every difference is +1 or -1"),
        ([1, 2, 3, 4], [9, 2, 3, 9], "every differing value is too large"),
        ([1, 2, 3, 4], [-9, 2, -3, 4], "every differing value is too small"),
        ([1, 2, 3, 4], [7, 7, 7, 7], "every value is 7"),
        ([1, 2, 3, 4], [4, 3, 2, 1], "the same values in another order"),
        ([-1, -2, 3, 4], [-5, 5, 3, 4], "only where the expected value is negative"),
        ([32767, 2, -32768, 4], [5, 2, 6, 4], "only where the expected value is a limit of s16"),
        ([[[1, 2]], [[3, 4]]], [[[1, 2]], [[9, 0]]], "only in channel 1"),
        (np.zeros((3, 3)), [[0, 0, 5], [0, 0, 0], [0, -5, 0]], "only in the outermost rows and columns"),
    ],
)
def test_difference_remarks_hold_for_every_differing_value(wanted: object, got: object, remark: str) -> None:
    problem = only(np.array(wanted, np.int64), got)
    assert problem.difference is not None
    assert remark in problem.difference.remarks
    assert remark in problem.message


def test_difference_claims_nothing_that_some_value_denies() -> None:
    problem = only([-1, 2, 3, 4], [-3, 2, 8, 4])
    assert problem.difference is not None
    assert problem.difference.remarks == ()


def test_difference_is_exact_at_the_ends_of_64_bits() -> None:
    fmt = IntFormat(48, True)
    got = np.array([np.iinfo(np.int64).max, np.iinfo(np.int64).min])
    assert measure(PLACE, Values(np.array([fmt.lo, fmt.hi]), fmt), got).largest == 2**63 + 2**47 - 1


@pytest.mark.parametrize("shape", [(), (1,), (7,), (1000,), (5, 3), (2, 100, 33), (4, 1, 1)])
def test_error_map_keeps_the_largest_difference_within_its_size(shape: tuple[int, ...]) -> None:
    wanted = np.zeros(shape, np.int64)
    got = wanted.copy()
    got.flat[-1] = 77
    grid = measure(PLACE, Values(wanted, S16), got).grid
    assert max(map(max, grid)) == 77
    assert sum(value > 0 for row in grid for value in row) == 1
    assert len(grid) <= GRID
    assert len(grid[0]) <= GRID


def test_error_map_shows_the_axes_that_have_a_length() -> None:
    wanted = np.zeros((3, 1, 4), np.int64)
    got = wanted.copy()
    got[1, 0, 2] = 5
    assert measure(PLACE, Values(wanted, S16), got).grid == ((0, 0, 0, 0), (0, 0, 5, 0), (0, 0, 0, 0))


# --- signatures


def words_text(case: Case) -> str:
    return "\n".join(f"{word:08x}" for word in signature_words(case.outputs))


def test_signature_words_come_back_as_the_tensors() -> None:
    outputs = {
        "a": Values(np.array([[-1, 2]]), IntFormat(33, True)),
        "b": Values(np.array([200, 3]), IntFormat(8, False)),
        "c": Values(np.array(-7), IntFormat(12, True)),
        "d": Values(np.array([2**32 - 1, 5]), IntFormat(32, False)),
    }
    for name, array in signature_arrays(outputs, signature_words(outputs)).items():
        assert np.array_equal(array, outputs[name].array)
        assert array.shape == outputs[name].array.shape


def test_signature_of_the_right_outputs_passes() -> None:
    case = tapped()
    assert judged(case, read_words(words_text(case) + "\n", case.outputs)).problems == ()
    assert judged(case, read_words(words_text(case).upper().replace("\n", "\r\n"), case.outputs)).problems == ()
    assert judged(case, read_crc(signature_crc(case.outputs).upper() + "\n")).problems == ()


def test_signature_names_the_tensor_and_the_words_never_written() -> None:
    case = tapped()
    lines = words_text(case).split("\n")
    lines[-2:] = ["deadbeef", "deadbeef"]
    (problem,) = judged(case, read_words("\n".join(lines), case.outputs)).problems
    assert problem.message.startswith("out.z[0] is -559038737, expected 5 (CLIP-2)")
    assert problem.message.endswith("2 words still hold deadbeef")


def test_signature_sees_a_value_that_is_not_sign_extended() -> None:
    case = tapped()
    lines = words_text(case).split("\n")
    lines[0] = "000000e8"  # -24 as eight bits
    (problem,) = judged(case, read_words("\n".join(lines), case.outputs)).problems
    assert "out.y[0, 0, 0] is 232, expected -24" in problem.message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "out.sig has 0 words, expected 18"),
        ("00000000\n" * 17, "has 17 words"),
        ("00000000\n" * 19, "has 19 words"),
        ("00000000\n0xffffff\n", "line 2 of out.sig is '0xffffff'"),
        ("xxxxxxxx\n" * 18, "line 1 of out.sig is 'xxxxxxxx'"),
        ("0000\n" * 18, "not 8 hexadecimal digits"),
    ],
)
def test_signature_must_have_its_form(text: str, words: str) -> None:
    (problem,) = read_words(text, tapped().outputs).problems
    assert problem.kind == "signature"
    assert words in problem.message


def test_signature_crc_names_both_values() -> None:
    (problem,) = judged(tapped(), read_crc("00000000")).problems
    assert problem.message == f"the signature's CRC-32 is 00000000, expected {signature_crc(tapped().outputs)}"
    assert read_crc("12").problems[0].kind == "signature"


def test_every_kind_of_problem_has_a_meaning() -> None:
    assert all(KINDS.values())
