"""What a run reports, to people and machines, and what it lets pass: capabilities, skip lists, thresholds."""

from __future__ import annotations

import importlib.resources
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from runner_suite import CAT, CLIP, RANGE, SHAPE, WIDE, WIDER, right_results, small_suite

from refcodec.errors import RefcodecError
from refcodec.runner.capabilities import OPTIONAL, Capabilities, read_capabilities
from refcodec.runner.junit import junit_xml
from refcodec.runner.outcome import FAILED, KINDS, KNOWN, PASSED, SKIPPED, Outcome, Problem
from refcodec.runner.page import error_map, html_page
from refcodec.runner.report import MOST_EACH, Report
from refcodec.runner.run import Plan, run_suite
from refcodec.runner.skip_list import Known, mark_known, read_skip_list, skip_list_notes
from refcodec.runner.suite import Suite
from refcodec.runner.target import Recorded

TODAY = date(2030, 5, 1)


def schema(name: str) -> jsonschema.Draft202012Validator:
    document = json.loads(importlib.resources.files("refcodec.runner").joinpath(f"{name}.schema.json").read_bytes())
    jsonschema.Draft202012Validator.check_schema(document)
    return jsonschema.Draft202012Validator(document)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return small_suite(tmp_path_factory.mktemp("runner") / "suite")


@pytest.fixture
def results(suite: Suite, tmp_path: Path) -> Path:
    return right_results(suite, tmp_path / "results")


@pytest.fixture
def wrong(results: Path) -> Path:
    """Results with a wrong value, a missing result and a wrong code; three cases are right."""
    content = bytearray((results / WIDE / "out.y.le").read_bytes())
    content[0] ^= 1
    (results / WIDE / "out.y.le").write_bytes(content)
    (results / CAT / "out.y.le").unlink()
    (results / SHAPE / "status.json").write_text('{"error": "RC-FORMAT"}')
    return results


def checked(suite: Suite, folder: Path, plan: Plan | None = None, threshold: int = 100) -> Report:
    plan = plan or Plan()
    outcomes = run_suite(suite, Recorded(folder, signatures=False), plan)
    notes = skip_list_notes(outcomes, plan.known, plan.today)
    return Report(suite, "mine", "directory", outcomes, (), notes, threshold)


def kinds(report: Report) -> dict[str, str]:
    return {outcome.id: outcome.kind for outcome in report.failures}


def test_recorded_results_pass_when_they_are_right(suite: Suite, results: Path) -> None:
    report = checked(suite, results)
    assert (report.conforms, report.complete, report.succeeded) == (True, True, True)
    assert report.totals == {PASSED: 6}
    assert report.as_text().endswith(f"mine: all 6 cases of suite {suite.version}: 6 passed: conforms")


def test_a_missing_result_fails_its_case_only(suite: Suite, wrong: Path) -> None:
    report = checked(suite, wrong)
    assert kinds(report) == {SHAPE: "wrong-code", CAT: "missing", WIDE: "value"}
    assert (report.conforms, report.succeeded) == (False, False)
    assert report.totals == {PASSED: 3, FAILED: 3}


def test_report_satisfies_its_schema(suite: Suite, wrong: Path) -> None:
    validator = schema("result")
    plan = Plan(capabilities=Capabilities("mine", operations=("add", "concatenate", "latent_mean")))
    document = json.loads(json.dumps(checked(suite, wrong, plan).as_json()))
    validator.validate(document)
    assert document["totals"] == {"passed": 2, "failed": 3, "known": 0, "skipped": 1, "not_run": 0}
    assert document["operations"]["add"] == {"passed": 1, "failed": 1, "known": 0, "skipped": 0, "not_run": 0}
    assert document["skipped_because"] == {"an operation that its capabilities do not list": 1}
    (problem,) = next(case for case in document["cases"] if case["id"] == WIDE)["problems"]
    assert problem["difference"]["tensor"] == "out.y"
    assert abs(problem["difference"]["got"] - problem["difference"]["expected"]) == 1
    listed = validator.schema["$defs"]["problem"]["properties"]["kind"]["enum"]
    assert sorted(listed) == sorted(KINDS)


@pytest.mark.parametrize(
    "edit", [lambda d: d.update(more=1), lambda d: d.pop("conforms"), lambda d: d["cases"][0].update(verdict="good")]
)
def test_result_schema_refuses_wrong_documents(
    edit: Callable[[dict[str, Any]], object], suite: Suite, results: Path
) -> None:
    document = json.loads(json.dumps(checked(suite, results).as_json()))
    edit(document)
    with pytest.raises(jsonschema.ValidationError):
        schema("result").validate(document)


def test_report_is_equal_for_equal_runs(suite: Suite, wrong: Path) -> None:
    first, second = checked(suite, wrong), checked(suite, wrong)
    assert first.as_json() == second.as_json()
    assert html_page(first) == html_page(second)


def test_report_text_shows_some_failures_of_each_operation_and_counts_all(suite: Suite) -> None:
    problem = Problem("missing", "out.y is missing")
    outcomes = [Outcome(f"operations/add/{n}", "add", ("ADD-1",), FAILED, (problem,)) for n in range(30)]
    outcomes += [Outcome("operations/clip/1", "clip", ("CLIP-1",), FAILED, (problem, problem))]
    text = Report(suite, "mine", "command", tuple(outcomes)).as_text()
    assert text.count("operations/add/") == MOST_EACH
    assert "operations/clip/1: failed [missing] out.y is missing (and 1 more)" in text
    assert f"... and {30 - MOST_EACH} failures more" in text
    assert "31 failed [missing]: an output, or the whole result, is missing" in text


def test_report_text_shows_operations_before_streams(suite: Suite) -> None:
    problem = Problem("missing", "out.y is missing")
    names = (("layers/a/b", "layer"), ("operations/clip/1", "clip"), ("streams/x/1", "stream"))
    outcomes = tuple(Outcome(name, operation, ("CLIP-1",), FAILED, (problem,)) for name, operation in names)
    text = Report(suite, "mine", "command", outcomes).as_text()
    assert text.index("operations/clip/1") < text.index("layers/a/b") < text.index("streams/x/1")


def test_nothing_passed_is_no_success(suite: Suite, results: Path) -> None:
    plan = Plan(capabilities=Capabilities("mine", operations=("warp",)))
    report = checked(suite, results, plan)
    assert (report.conforms, report.succeeded, report.complete) == (False, False, False)
    assert report.totals == {SKIPPED: 6}
    assert report.as_text().endswith("0 passed, 6 skipped: nothing ran")
    assert "6 skipped: an operation that its capabilities do not list" in report.as_text()


@pytest.mark.parametrize(("threshold", "succeeded"), [(100, False), (51, False), (50, True), (0, True)])
def test_threshold_lets_a_run_succeed_but_not_conform(
    threshold: int, succeeded: bool, suite: Suite, wrong: Path
) -> None:
    report = checked(suite, wrong, threshold=threshold)
    assert (report.succeeded, report.conforms) == (succeeded, False)


# --- JUnit and the page


def test_junit_counts_and_names_cases(suite: Suite, wrong: Path) -> None:
    plan = Plan(capabilities=Capabilities("mine", operations=("add", "concatenate", "latent_mean")))
    root = ET.fromstring(junit_xml(checked(suite, wrong, plan)))
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("6", "3", "1")
    cases = {f"{case.get('classname')}.{case.get('name')}": case for case in root.iter("testcase")}
    failure = cases[WIDE.replace("/", ".")].find("failure")
    assert failure is not None
    assert failure.get("type") == "value"
    assert "out.y[0, 0, 0]" in str(failure.get("message"))
    assert cases[WIDER.replace("/", ".")].find("*") is None
    skipped = cases[CLIP.replace("/", ".")].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "skipped: an operation that its capabilities do not list"


HOSTILE = "\x00\x1b[31m<script>alert('&')</script> \ud800 ]]>"


def hostile(suite: Suite) -> Report:
    problem = Problem("crash", HOSTILE)
    object.__setattr__(problem, "message", HOSTILE)  # as no problem can be
    return Report(suite, HOSTILE, "command", (Outcome("operations/a/b", "a", ("A-1",), FAILED, (problem,)),))


def test_junit_holds_whatever_an_implementation_says(suite: Suite) -> None:
    root = ET.fromstring(junit_xml(hostile(suite)))
    assert "<script>" in str(next(root.iter("failure")).get("message"))


class Tags(HTMLParser):
    """Every tag, and every attribute that could fetch something."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [f"{name}={value}" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]


def test_page_needs_nothing_else_and_shows_where_tensors_differ(suite: Suite, wrong: Path) -> None:
    page = html_page(checked(suite, wrong)).decode()
    tags = Tags()
    tags.feed(page)
    assert tags.sources == []
    assert not {"script", "link", "img", "iframe"} & set(tags.tags)
    assert "url(" not in page
    assert "@import" not in page
    assert tags.tags.count("svg") == 1
    assert "out.y, 5x1x5: 1 of 25 differ" in page
    assert "<td>latent_mean</td>" in page
    assert "<td>MEAN-1</td>" in page


def test_page_escapes_whatever_an_implementation_says(suite: Suite) -> None:
    page = html_page(hostile(suite)).decode()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_error_map_draws_each_difference_once(suite: Suite, wrong: Path) -> None:
    (difference,) = (p.difference for o in checked(suite, wrong).failures for p in o.problems if p.difference)
    assert len(re.findall("h1v1h-1z", error_map(difference))) == 1
    grid = ((0, 1, 15), (16, 256, 0))
    drawn = error_map(replace(difference, grid=grid))
    assert len(re.findall("h1v1h-1z", drawn)) == 4
    assert len(re.findall("<path", drawn)) == 4
    ET.fromstring(drawn)


# --- capabilities


@pytest.mark.parametrize(
    ("capabilities", "skipped"),
    [
        (Capabilities(operations=("add", "clip")), {CAT, WIDE, WIDER}),
        (Capabilities(max_bits=16), {SHAPE, RANGE, WIDE, WIDER}),
        (Capabilities(max_bits=32), {SHAPE, RANGE, WIDER}),
        (Capabilities(max_bits=33), set()),
        (Capabilities(max_elements=18), {WIDE, WIDER}),
        (Capabilities(models=()), set()),
        (Capabilities(), set()),
    ],
)
def test_capabilities_skip_what_is_beyond_them(
    capabilities: Capabilities, skipped: set[str], suite: Suite, results: Path
) -> None:
    report = checked(suite, results, Plan(capabilities=capabilities))
    assert {outcome.id for outcome in report.outcomes if outcome.verdict == SKIPPED} == skipped
    assert report.totals[PASSED] == 6 - len(skipped)
    assert report.complete is not bool(skipped)


def test_capabilities_know_models_and_families(suite: Suite) -> None:
    (case, *_) = suite.cases()
    streamed = replace(case, parameters={"model": "tiny"})
    assert Capabilities(models=("other",)).excludes(streamed, str) == "model tiny"
    assert Capabilities(families=("factorised",)).excludes(streamed, lambda name: f"{name}-family") == (
        "family tiny-family"
    )
    assert Capabilities(families=("tiny-family",)).excludes(streamed, lambda name: f"{name}-family") == ""


FULL = {
    "schema": "refcodec-sut/1",
    "name": "mine",
    "operations": ["add", "clip"],
    "levels": ["command", "signature"],
    "max_bits": 32,
    "max_elements": 4096,
    "models": ["a"],
    "families": ["factorised"],
    "taps": False,
    "errors": {"E1": "RC-SHAPE"},
}


def test_read_capabilities_takes_every_key(tmp_path: Path) -> None:
    (tmp_path / "sut.json").write_text(json.dumps(FULL))
    found = read_capabilities(tmp_path / "sut.json")
    assert found == Capabilities(
        "mine",
        ("add", "clip"),
        ("command", "signature"),
        32,
        4096,
        ("a",),
        ("factorised",),
        False,
        {"E1": "RC-SHAPE"},
    )
    schema("sut").validate(FULL)
    assert set(FULL) == {"schema", "name", *OPTIONAL} == set(schema("sut").schema["properties"])
    found.check_level("signature")
    with pytest.raises(RefcodecError, match=r"^RC-USAGE: mine speaks command, signature, not stdio"):
        found.check_level("stdio")


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"schema": "refcodec-sut/2"}, "is not a refcodec-sut/1 document"),
        ({"name": ""}, "name is no text"),
        ({"name": 3}, "name is no text"),
        ({"more": 1}, "has the unknown key more"),
        ({"operations": "add"}, "operations is no list"),
        ({"operations": ["addd"]}, "operations: 'addd' is none of"),
        ({"levels": ["rtl"]}, "levels: 'rtl' is none of"),
        ({"max_bits": 0}, "max_bits is no positive integer"),
        ({"max_bits": True}, "max_bits is no positive integer"),
        ({"max_elements": "9"}, "max_elements is no positive integer"),
        ({"taps": 1}, "taps is neither true nor false"),
        ({"errors": []}, "errors is no object"),
        ({"errors": {"E1": "RC-NONE"}}, "errors: 'E1' stands for the unknown code 'RC-NONE'"),
        ({"models": [1]}, "models is no text"),
    ],
)
def test_read_capabilities_refuses_wrong_documents(edit: dict[str, Any], words: str, tmp_path: Path) -> None:
    (tmp_path / "sut.json").write_text(json.dumps(FULL | edit))
    with pytest.raises(RefcodecError, match=r"^RC-USAGE: ") as caught:
        read_capabilities(tmp_path / "sut.json")
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["", "no", "[]", "[" * 50_000, "null"])
def test_read_capabilities_refuses_what_is_no_object(text: str, tmp_path: Path) -> None:
    (tmp_path / "sut.json").write_text(text)
    with pytest.raises(RefcodecError, match=r"^RC-USAGE: "):
        read_capabilities(tmp_path / "sut.json")


# --- skip lists


def entry(pattern: str = WIDE, until: date = TODAY) -> Known:
    return Known(pattern, "issue 12", until)


def test_skip_list_holds_up_to_its_date_and_on_it(suite: Suite, wrong: Path) -> None:
    report = checked(suite, wrong, Plan(known=(entry(),), today=TODAY))
    assert {o.id: o.verdict for o in report.outcomes if o.verdict not in (PASSED,)} == {
        SHAPE: FAILED,
        CAT: FAILED,
        WIDE: KNOWN,
    }
    known = next(outcome for outcome in report.outcomes if outcome.id == WIDE)
    assert known.reason == "issue 12 (until 2030-05-01)"
    assert known.problems
    assert (report.conforms, report.notes) == (False, ())
    report = checked(suite, wrong, Plan(known=(entry("*"),), today=TODAY))
    assert (report.succeeded, report.conforms) == (True, False)


def test_skip_list_entry_that_expired_fails_and_is_told(suite: Suite, wrong: Path) -> None:
    plan = Plan(known=(entry(),), today=date(2030, 5, 2))
    report = checked(suite, wrong, plan)
    assert report.totals == {PASSED: 3, FAILED: 3}
    assert report.notes == (f"{WIDE} (issue 12): expired on 2030-05-01, 1 cases fail",)
    assert "was to be mended by 2030-05-01" in report.as_text()
    assert f"skip list: {report.notes[0]}" in report.as_text()


def test_skip_list_tells_entries_of_no_use(suite: Suite, wrong: Path) -> None:
    plan = Plan(known=(entry("operations/none/*"), entry(CLIP), entry("operations/*")), today=TODAY)
    assert checked(suite, wrong, plan).notes == (
        "operations/none/* (issue 12): matches no case of this run",
        f"{CLIP} (issue 12): 1 of 1 cases pass",
        "operations/* (issue 12): 3 of 6 cases pass",
    )


def test_skip_list_does_not_stop_a_run_that_fails_fast(suite: Suite, wrong: Path) -> None:
    plan = Plan(fail_fast=True, known=(entry("*"),), today=TODAY)
    assert checked(suite, wrong, plan).totals == {PASSED: 3, KNOWN: 3}


def test_mark_known_leaves_what_did_not_fail(suite: Suite) -> None:
    outcome = Outcome(RANGE, "add", ("ADD-1",), PASSED)
    assert mark_known(outcome, [entry("*")], TODAY) is outcome


def test_read_skip_list_takes_entries(tmp_path: Path) -> None:
    document = {
        "schema": "refcodec-skip/1",
        "entries": [{"case": "streams/*", "reason": "issue 12", "until": "2030-05-01"}],
    }
    schema("skip").validate(document)
    (tmp_path / "skip.json").write_text(json.dumps(document))
    assert read_skip_list(tmp_path / "skip.json") == (Known("streams/*", "issue 12", TODAY),)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({}, "entries is no list"),
        ([3], "entry 1 is no object"),
        ([{"case": "*", "reason": "r"}], "entry 1 lacks the key until"),
        ([{"case": "*", "reason": "r", "until": "2030-05-01", "by": "me"}], "entry 1 has the unknown key by"),
        ([{"case": "*", "reason": "", "until": "2030-05-01"}], "entry 1: reason is no text"),
        ([{"case": "*", "reason": "r", "until": "2030-02-30"}], "until is no date"),
        ([{"case": "*", "reason": "r", "until": "20300501"}], "until is no date"),
        ([{"case": "*", "reason": "r", "until": "never"}], "until is no date"),
    ],
)
def test_read_skip_list_refuses_wrong_documents(entries: object, words: str, tmp_path: Path) -> None:
    (tmp_path / "skip.json").write_text(json.dumps({"schema": "refcodec-skip/1", "entries": entries}))
    with pytest.raises(RefcodecError, match=r"^RC-USAGE: ") as caught:
        read_skip_list(tmp_path / "skip.json")
    assert words in str(caught.value)
