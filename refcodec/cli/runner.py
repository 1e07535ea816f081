"""Commands that test other implementations: vectors run, check, diff and export."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from refcodec.cli.parsing import DONE, MISMATCH, command, report


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to 1000")
    return int(text)


def _percent(text: str) -> int:
    if not text.isdigit() or int(text) > 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole percentage")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds up to 86400")
    return seconds


@contextmanager
def _suite_folder(args: argparse.Namespace) -> Iterator[Path]:
    """The suite that was named, or the packaged one."""
    from refcodec.vectorgen.packaged import smoke_suite

    if args.vectors is not None:
        yield args.vectors
        return
    with smoke_suite() as folder:
        yield folder


def _finish(args: argparse.Namespace, target: Any, name: str) -> int:
    """Run, name the mistake, write and print; the exit status."""
    from refcodec.runner import diagnose, skip_list
    from refcodec.runner.capabilities import Capabilities, read_capabilities
    from refcodec.runner.outcome import printable
    from refcodec.runner.report import Report
    from refcodec.runner.run import Plan, run_suite
    from refcodec.runner.suite import open_suite

    capabilities = read_capabilities(args.capabilities) if args.capabilities else Capabilities()
    capabilities.check_level(args.level)
    known = skip_list.read_skip_list(args.skip_list) if args.skip_list else ()
    with _suite_folder(args) as folder:
        suite = open_suite(folder, args.filter)
        mutants = diagnose.read_mutants(suite.folder)
        today = datetime.now(timezone.utc).date()
        plan = Plan(args.jobs, args.fail_fast, args.keep, capabilities, known, today)
        outcomes = run_suite(suite, target, plan)
    found = Report(
        suite,
        capabilities.name or printable(name),
        args.level,
        outcomes,
        diagnose.diagnose(outcomes, mutants),
        skip_list.skip_list_notes(outcomes, known, today),
        args.threshold,
    )
    _write_reports(args, found)
    print(found.as_text())
    return DONE if found.succeeded else MISMATCH


def _write_reports(args: argparse.Namespace, found: Any) -> None:
    from refcodec.files import write_files
    from refcodec.runner.junit import junit_xml
    from refcodec.runner.page import html_page

    written: dict[str | Path, bytes] = {}
    if args.json:
        written[args.json] = json.dumps(found.as_json(), indent=1).encode() + b"\n"
    if args.junit:
        written[args.junit] = junit_xml(found)
    if args.html:
        written[args.html] = html_page(found)
    write_files(written)


def _run(args: argparse.Namespace) -> int:
    from refcodec.errors import RefcodecError
    from refcodec.runner.command import Command
    from refcodec.runner.process import split_command
    from refcodec.runner.stdio import Stdio

    if args.self_test:
        return _self_test(args)
    if not args.sut:
        raise RefcodecError("RC-USAGE", "--sut names the command to test (or --self-test)")
    words = split_command(args.sut)
    target: Any = Stdio(words, args.timeout) if args.level == "stdio" else Command(words, args.timeout)
    return _finish(args, target, args.sut)


def _self_test(args: argparse.Namespace) -> int:
    from refcodec.runner.self_test import run_self_test, self_test_text
    from refcodec.runner.suite import open_suite

    with _suite_folder(args) as folder:
        suite = open_suite(folder, args.filter)
        trials = run_self_test(suite)
        print(self_test_text(trials))
        mutants = _mutants_pass(suite) if args.mutants else True
    return DONE if mutants and all(trial.passed for trial in trials) else MISMATCH


def _mutants_pass(suite: Any) -> bool:
    from tqdm import tqdm

    from refcodec.runner.mistaken import namings_text, run_mutants

    namings = list(tqdm(run_mutants(suite), "mutants", unit="mutant", disable=None, leave=False))
    print(namings_text(namings))
    return all(naming.passed for naming in namings)


def _check(args: argparse.Namespace) -> int:
    from refcodec.errors import FileError
    from refcodec.runner.target import Recorded

    if not args.results.is_dir():
        raise FileError("RC-FILE-READ", f"{args.results} is no folder")
    return _finish(args, Recorded(args.results, args.level == "signature"), args.results.name or "results")


def _diff(args: argparse.Namespace) -> int:
    from refcodec.runner.diff import diff_suites

    found = diff_suites(args.old, args.new)
    report(args, found.as_json(), found.as_text())
    return DONE if found.equal else MISMATCH


def _export(args: argparse.Namespace) -> int:
    from refcodec.runner.export import export_npy

    print(f"{args.output}: {export_npy(args.suite, args.output)} cases")
    return DONE


def add_commands(commands: Any) -> None:
    """Add vectors run, check, diff and export."""
    _add_run(commands)
    _add_check(commands)
    diff = command(
        commands, "diff", _diff, "tell two suites apart, and which version number must rise",
        "refcodec vectors diff old new",
    )  # fmt: skip
    diff.add_argument("old", type=Path, help="folder of a suite")
    diff.add_argument("new", type=Path, help="folder of a suite")
    diff.add_argument("--json", action="store_true", help="print JSON")
    export = command(
        commands, "export", _export, "write a suite in another notation", "refcodec vectors export --npy vectors -o npy"
    )
    export.add_argument("suite", type=Path, help="folder of a suite")
    export.add_argument("--npy", action="store_true", required=True, help="as NumPy files")
    export.add_argument("-o", "--output", type=Path, required=True, help="folder to write")


def _add_run(commands: Any) -> None:
    run = command(
        commands, "run", _run, "run an implementation on a suite",
        "refcodec vectors run --vectors vectors --sut './decoder {case} {out}' --html report.html\n"
        "  refcodec vectors run --level stdio --sut 'python -m refcodec.runner.golden_sut --stdio'",
    )  # fmt: skip
    run.add_argument(
        "--sut", metavar="COMMAND",
        help="what to run; {case}, {out} and {suite} become the folders of the case, the results and the suite",
    )  # fmt: skip
    run.add_argument(
        "--level", choices=("command", "stdio"), default="command",
        help="a process for each case, or one that answers JSON lines (default: %(default)s)",
    )  # fmt: skip
    _add_common(run)
    run.add_argument("-j", "--jobs", type=_count, default=1, metavar="N", help="cases at once (default: 1)")
    run.add_argument(
        "--timeout", type=_seconds, default=60.0, metavar="S", help="seconds for a case (default: %(default)g)"
    )
    run.add_argument("--fail-fast", action="store_true", help="stop after the first failure, in the order of ids")
    run.add_argument("--keep", type=Path, metavar="DIR", help="keep the results in this folder")
    run.add_argument("--self-test", action="store_true", help="run faulty implementations: is each one reported?")
    run.add_argument("--mutants", action="store_true", help="with --self-test: every mutant of the definitions too")


def _add_check(commands: Any) -> None:
    check = command(
        commands, "check", _check, "compare results that were written earlier with a suite",
        "refcodec vectors check --vectors vectors --results results --level signature",
    )  # fmt: skip
    check.add_argument("--results", type=Path, required=True, metavar="DIR", help="a folder for each id of a case")
    check.add_argument(
        "--level", choices=("directory", "signature"), default="directory",
        help="out.<name>.le, or out.sig and out.crc (default: %(default)s)",
    )  # fmt: skip
    _add_common(check)
    check.set_defaults(jobs=1, fail_fast=False, keep=None)


def _add_common(parser: argparse.ArgumentParser) -> None:
    """Add what selects cases, and what is written."""
    parser.add_argument(
        "--vectors", type=Path, metavar="DIR", help="folder of the suite (default: the smoke suite of the package)"
    )
    parser.add_argument("--filter", default="*", metavar="GLOB", help="only cases whose ids match")
    parser.add_argument("--capabilities", type=Path, metavar="FILE", help="what the implementation can do (sut.json)")
    parser.add_argument("--skip-list", type=Path, metavar="FILE", help="known failures, each until a date")
    parser.add_argument(
        "--threshold", type=_percent, default=100, metavar="PERCENT",
        help="exit 0 if so many of the cases that ran passed; it does not conform for that (default: 100)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report as JSON")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write it as JUnit XML")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write it as a page")
