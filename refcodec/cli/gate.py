"""How good a set of vectors is: mutants, corners and clauses (SPEC GATE-1 to GATE-3)."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from refcodec.cli.parsing import DONE, MISMATCH, command
from refcodec.files import write_bytes, write_files

KILL_MATRIX = Path("refcodec") / "vectorgen" / "kill_matrix.json"  # of a checkout


def _print(args: argparse.Namespace, document: dict[str, Any], text: str) -> None:
    import json

    if args.json:
        write_bytes(args.json, json.dumps(document, indent=1).encode() + b"\n")
    print(text)


def _mutate(args: argparse.Namespace) -> int:
    import json

    from refcodec.mutation.matrix import confirmed_matrix, document, kill_matrix
    from refcodec.mutation.report import Score
    from refcodec.mutation.suite import load_suite

    started = time.monotonic()
    whole = args.write or args.all
    matrix = (kill_matrix if whole else confirmed_matrix)(load_suite(args.suite), args.suite, args.jobs)
    score = Score.of(matrix)
    if args.write:
        write_bytes(KILL_MATRIX, json.dumps(document(matrix), indent=0).encode() + b"\n")
    _print(args, score.as_json(), score.as_text(time.monotonic() - started, whole))
    return DONE if score.passed else MISMATCH


def _score(args: argparse.Namespace) -> int:
    from refcodec.mutation.matrix import kill_matrix
    from refcodec.mutation.report import Score
    from refcodec.mutation.suite import load_suite

    started = time.monotonic()
    score = Score.of(kill_matrix(load_suite(args.vectors), args.vectors, args.jobs))
    _print(args, score.as_json(), score.rating(time.monotonic() - started))
    return DONE


def _coverage(args: argparse.Namespace) -> int:
    from refcodec.mutation.coverage import coverage
    from refcodec.mutation.pages import html_page, markdown_page
    from refcodec.mutation.suite import load_suite

    specification = Path(args.spec).read_text(encoding="utf-8") if Path(args.spec).is_file() else ""
    found = coverage(load_suite(args.suite))
    pages: dict[str | Path, bytes] = {}
    if args.html:
        pages[args.html] = html_page(specification, found).encode()
    if args.markdown:
        pages[args.markdown] = markdown_page(found).encode()
    write_files(pages)
    _print(args, found.as_json(), found.as_text())
    return DONE if found.passed else MISMATCH


def add_commands(commands: Any) -> None:
    """Add vectors mutate, coverage and score."""
    mutate = command(
        commands, "mutate", _mutate, "count the mutants that a suite kills", "refcodec vectors mutate vectors -j 2"
    )
    mutate.add_argument("--write", action="store_true", help=f"write the kill matrix to {KILL_MATRIX}; implies --all")
    mutate.add_argument("--all", action="store_true", help="find every case that kills a mutant, not just one")
    cover = command(
        commands,
        "coverage",
        _coverage,
        "list what clauses and corners a suite covers",
        "refcodec vectors coverage vectors --html coverage.html",
    )
    cover.add_argument("--spec", default="SPEC.md", help="text of the specification (default: %(default)s)")
    cover.add_argument("--html", help="file for the text with links to cases")
    cover.add_argument("--markdown", help="file for a table of clauses")
    score = command(
        commands,
        "score",
        _score,
        "rate vectors of your own by the mutants that they kill",
        "refcodec vectors score --vectors my_vectors",
    )
    score.add_argument("--vectors", required=True, help="folder with cases: case.json and .le files")
    for parser in (mutate, cover):
        parser.add_argument("suite", nargs="?", default="vectors", help="folder of a suite (default: %(default)s)")
    for parser in (mutate, cover, score):
        parser.add_argument("--json", help="file for the result")
    for parser in (mutate, score):
        parser.add_argument("-j", "--jobs", type=int, default=1, help="processes (default: %(default)s)")
