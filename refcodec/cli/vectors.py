"""Commands on conformance vectors."""

from __future__ import annotations

import argparse
from typing import Any

from refcodec.cli.parsing import DONE, MISMATCH, add_group, command, report


def _vectors_build(args: argparse.Namespace) -> int:
    from refcodec.vectorgen.suite import build_suite

    count = build_suite(args.output)
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
    build = command(commands, "build", _vectors_build, "write the vector suite", "refcodec vectors build -o vectors")
    build.add_argument("-o", "--output", required=True, help="folder to write")
    verify = command(commands, "verify", _vectors_verify, "check a suite", "refcodec vectors verify vectors")
    verify.add_argument("suite", help="folder of a suite")
    verify.add_argument("--json", action="store_true", help="print JSON")
