"""Folders of results: whatever is in them, only what an answer can be is read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from runner_suite import refused, tapped

from refcodec.runner.answer import BROKEN, DONE, REJECTED
from refcodec.runner.results import MOST_FILES, MOST_STATUS, Unreadable, read_limited, read_results, read_signature
from refcodec.vectorgen.signature import signature_crc, signature_words

CASE = tapped()
GOOD = {f"out.{name}.le": values.to_bytes() for name, values in CASE.outputs.items()}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The right results of the tapped case."""
    for name, content in GOOD.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def test_read_results_takes_outputs_taps_and_codes(results: Path) -> None:
    (results / "tap.scaled.le").write_bytes(b"ab")
    answer = read_results(results, CASE)
    assert (answer.status, answer.problems) == (DONE, ())
    assert answer.outputs == {"y": GOOD["out.y.le"], "z": GOOD["out.z.le"]}
    assert answer.taps == {"scaled": b"ab"}
    (results / "status.json").write_text('{"error": "RC-SHAPE"}')
    answer = read_results(results, CASE)
    assert (answer.status, answer.code, set(answer.outputs)) == (REJECTED, "RC-SHAPE", {"y", "z"})


def test_read_results_reports_a_missing_result(tmp_path: Path) -> None:
    for folder, words in ((tmp_path, "empty"), (tmp_path / "none", "no folder")):
        answer = read_results(folder, CASE)
        assert answer.status == BROKEN
        assert answer.problems[0].kind == "missing"
        assert words in answer.problems[0].message


PLANTED: dict[str, tuple[Callable[[Path], object], str]] = {
    "unknown file": (lambda f: (f / "log.txt").write_text("hello"), "log.txt is no file of the protocol"),
    "unknown output": (lambda f: (f / "out.w.le").write_bytes(b""), "out.w.le is no output of the case"),
    "unknown tap": (lambda f: (f / "tap.w.le").write_bytes(b""), "tap.w.le is no tap of the case"),
    "other ending": (lambda f: (f / "out.y.hex").write_bytes(b""), "out.y.hex is no file of the protocol"),
    "folder": (lambda f: (f / "deep").mkdir(), "deep is no file of the protocol"),
    "folder of a tap's name": (lambda f: (f / "tap.scaled.le").mkdir(), "tap.scaled.le"),
    "link": (lambda f: (f / "tap.scaled.le").symlink_to(f / "out.y.le"), "tap.scaled.le cannot be read"),
    "pipe": (lambda f: os.mkfifo(f / "tap.scaled.le"), "tap.scaled.le is not a regular file"),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_read_results_reports_what_does_not_belong(planted: str, results: Path) -> None:
    plant, words = PLANTED[planted]
    plant(results)
    answer = read_results(results, CASE)
    assert answer.status == DONE
    assert len(answer.outputs) == 2
    (problem,) = answer.problems
    assert problem.kind == "extra"
    assert words in problem.message


def test_read_results_reads_no_more_than_an_answer_can_have(results: Path) -> None:
    with open(results / "out.y.le", "wb") as file:
        file.truncate(1 << 40)  # sparse: reading it whole would take the machine's memory
    answer = read_results(results, CASE)
    assert [problem.kind for problem in answer.problems] == ["too-large"]
    assert set(answer.outputs) == {"z"}


def test_read_results_does_not_list_endless_folders(results: Path) -> None:
    for number in range(MOST_FILES):
        (results / f"{number}").touch()
    answer = read_results(results, CASE)
    assert (answer.status, answer.problems[0].kind) == (BROKEN, "too-large")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "[]",
        '"RC-SHAPE"',
        "{}",
        '{"error": 1}',
        '{"error": null}',
        '{"error": "RC-SHAPE", "more": 1}',
        "[" * 4000,
    ],
)
def test_read_results_refuses_a_malformed_status(text: str, tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(text)
    answer = read_results(tmp_path, refused())
    assert (answer.status, answer.problems[0].kind) == (BROKEN, "status")


def test_read_results_refuses_a_status_that_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "status.json").symlink_to("elsewhere")
    answer = read_results(tmp_path, refused())
    assert (answer.status, answer.problems[0].kind) == (BROKEN, "status")


def test_read_results_tells_of_any_file_name(results: Path) -> None:
    os.mkdir(os.fsencode(results) + b"/\xff\x1b[31m")
    (problem,) = read_results(results, CASE).problems
    assert problem.message == "\\udcff\\x1b[31m is no file of the protocol"
    problem.message.encode("ascii")


def test_read_results_refuses_a_large_status(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(json.dumps({"error": "R" * MOST_STATUS}))
    assert read_results(tmp_path, refused()).problems[0].kind == "status"


def test_read_results_takes_any_output_of_an_invalid_case_as_accepted(tmp_path: Path) -> None:
    (tmp_path / "out.y.le").write_bytes(bytes(100))
    answer = read_results(tmp_path, refused())
    assert (answer.status, answer.problems) == (DONE, ())


def test_read_limited_refuses_links_and_large_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert read_limited(tmp_path / "a", 5) == b"12345"
    for name, limit in (("a", 4), ("b", 5), ("c", 5)):
        with pytest.raises(Unreadable):
            read_limited(tmp_path / name, limit)


# --- signatures


def test_read_signature_takes_words_crc_and_codes(tmp_path: Path) -> None:
    (tmp_path / "out.crc").write_text(signature_crc(CASE.outputs))
    assert read_signature(tmp_path, CASE).crc32 == signature_crc(CASE.outputs)
    (tmp_path / "out.crc").unlink()
    words = signature_words(CASE.outputs)
    (tmp_path / "out.sig").write_text("".join(f"{word:08x}\r\n" for word in words))
    found = read_signature(tmp_path, CASE).words
    assert found is not None
    assert found.tolist() == words.tolist()
    (tmp_path / "out.sig").unlink()
    (tmp_path / "status.json").write_text('{"error": "RC-SHAPE"}')
    assert read_signature(tmp_path, CASE).code == "RC-SHAPE"


def test_read_signature_reports_strays_and_what_is_missing(tmp_path: Path) -> None:
    assert read_signature(tmp_path, CASE).problems[0].kind == "missing"
    (tmp_path / "out.crc").write_text("00000000")
    (tmp_path / "notes").touch()
    assert [problem.message for problem in read_signature(tmp_path, CASE).problems] == ["notes beside out.crc"]
    (tmp_path / "out.sig").write_text("0" * 10_000)
    assert read_signature(tmp_path, CASE).problems[0].kind == "too-large"


def test_read_signature_lets_a_rejection_leave_a_filled_signature(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text('{"error": "RC-SHAPE"}')
    (tmp_path / "out.sig").write_text("deadbeef\nDEADBEEF\n")
    answer = read_signature(tmp_path, refused())
    assert (answer.code, answer.problems) == ("RC-SHAPE", ())
    (tmp_path / "out.sig").write_text("deadbeef\n00000001\n")
    assert [problem.kind for problem in read_signature(tmp_path, refused()).problems] == ["partial"]


def test_read_signature_of_an_invalid_case_is_an_acceptance(tmp_path: Path) -> None:
    (tmp_path / "out.crc").write_text("00000000")
    assert read_signature(tmp_path, refused()).status == DONE
