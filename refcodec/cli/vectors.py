"""Commands on conformance vectors."""

from __future__ import annotations

import argparse
from typing import Any

from refcodec.cli import gate, runner
from refcodec.cli.parsing import DONE, MISMATCH, add_group, command, report


def _vectors_build(args: argparse.Namespace) -> int:
    from refcodec.vectorgen.suite import build_suite

    count = build_suite(args.output, args.preset)
    print(f"{args.output}: {count} cases")
    return DONE


def _vectors_verify(args: argparse.Namespace) -> int:
    from refcodec.vectorgen.verify import verify_suite

    result = verify_suite(args.suite)
    report(args, result.as_json(), result.as_text())
    return DONE if result.passed else MISMATCH


def add_commands(group: Any) -> None:
    """Add vectors build and verify."""
    commands = add_group(group, "vectors", "build and verify conformance vectors")
    example = "refcodec vectors build --preset full -o suite"
    build = command(commands, "build", _vectors_build, "write a suite: smoke, minimal (committed) or full", example)
    build.add_argument("--preset", choices=("smoke", "minimal", "full"), default="minimal", help="size of the suite")
    build.add_argument("-o", "--output", required=True, help="folder to write")
    verify = command(commands, "verify", _vectors_verify, "check a suite", "refcodec vectors verify vectors")
    verify.add_argument("suite", help="folder of a suite")
    verify.add_argument("--json", action="store_true", help="print JSON")
    gate.add_commands(commands)
    runner.add_commands(commands)
