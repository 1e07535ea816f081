"""Commands on rate-distortion curves: bdrate."""

from __future__ import annotations

import argparse
from typing import Any

from refcodec.cli.parsing import DONE, command, report

METHODS = ("pchip", "cubic")


def _bdrate(args: argparse.Namespace) -> int:
    from refcodec.metrics.curves import compare

    comparison = compare(args.reference, args.test, args.method)
    report(args, comparison.as_json(), comparison.as_text())
    return DONE


def add_commands(group: Any) -> None:
    """Add bdrate."""
    bdrate = command(
        group, "bdrate", _bdrate, "compare two rate-distortion curves by Bjontegaard's figures",
        "refcodec bdrate reference.csv test.csv --method cubic",
    )  # fmt: skip
    bdrate.add_argument("reference", help="table with columns psnr_db and bpp, kbps or rate")
    bdrate.add_argument("test", help="table of the curve to judge, its rates in the same unit")
    bdrate.add_argument("--method", choices=METHODS, default=METHODS[0], help="interpolation (default: %(default)s)")
    bdrate.add_argument("--json", action="store_true", help="print JSON")
