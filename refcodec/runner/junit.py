"""A run as JUnit XML, which continuous integration shows (SPEC RUN-5)."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from refcodec.runner.outcome import FAILED, PASSED, Outcome
from refcodec.runner.report import Report

# what XML 1.0 cannot hold
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(report: Report) -> bytes:
    """One suite for each operation; known failures count as skipped, with their reason."""
    root = ET.Element("testsuites", name=_clean(report.name))
    for operation in sorted({outcome.operation for outcome in report.outcomes}):
        outcomes = [outcome for outcome in report.outcomes if outcome.operation == operation]
        failed = sum(outcome.verdict == FAILED for outcome in outcomes)
        skipped = sum(outcome.verdict not in (FAILED, PASSED) for outcome in outcomes)
        suite = ET.SubElement(
            root, "testsuite", name=operation, tests=str(len(outcomes)), failures=str(failed), skipped=str(skipped)
        )
        for outcome in outcomes:
            _add_case(suite, outcome)
    _add_totals(root)
    return b'<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="utf-8") + b"\n"


def _add_case(suite: ET.Element, outcome: Outcome) -> None:
    group, _, name = outcome.id.rpartition("/")
    case = ET.SubElement(suite, "testcase", name=name, classname=group.replace("/", "."), time=f"{outcome.seconds:.3f}")
    lines = _clean("\n".join(f"[{problem.kind}] {problem.message}" for problem in outcome.problems))
    if outcome.verdict == FAILED:
        failure = ET.SubElement(case, "failure", type=outcome.kind, message=_clean(outcome.problems[0].message))
        failure.text = lines
    elif outcome.verdict != PASSED:
        skipped = ET.SubElement(case, "skipped", message=_clean(f"{outcome.verdict}: {outcome.reason}"))
        skipped.text = lines


def _add_totals(root: ET.Element) -> None:
    for key in ("tests", "failures", "skipped"):
        root.set(key, str(sum(int(suite.get(key, "0")) for suite in root)))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("?", text)
