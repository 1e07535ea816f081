"""What the commands share: the parser, names of models, sizes (SPEC ERR-2)."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from refcodec.models.shipped import DEFAULT_MODEL, resolve

DONE, MISMATCH, REFUSED = 0, 1, 2


class Parser(argparse.ArgumentParser):
    """argparse with this project's one-line errors."""

    def error(self, message: str) -> NoReturn:
        """One line on standard error, exit status 2."""
        sys.stderr.write(f"refcodec: RC-USAGE: {message} (see {self.prog} --help)\n")
        raise SystemExit(REFUSED)


def command(
    group: Any, name: str, run: Callable[[argparse.Namespace], int], about: str, example: str
) -> argparse.ArgumentParser:
    """Add one command with its example; it runs `run`, which returns the exit status."""
    parser: argparse.ArgumentParser = group.add_parser(
        name,
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_group(group: Any, name: str, about: str) -> Any:
    """Add a command that has commands of its own."""
    return group.add_parser(name, help=about).add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)


def add_model(parser: argparse.ArgumentParser, *, positional: bool = False) -> None:
    """Add the argument that names an integer model."""
    if positional:
        parser.add_argument("model", nargs="?", default=DEFAULT_MODEL, help="model file or shipped name")
    else:
        parser.add_argument("--model", default=DEFAULT_MODEL, help="model file or shipped name (default: %(default)s)")


def load(name: str) -> Any:
    """The integer model of a file or of a shipped name."""
    from refcodec.program.model_file import load_model

    return load_model(resolve(name, ".rcm"))


def report(args: argparse.Namespace, document: dict[str, Any], text: str) -> None:
    """Print JSON where it was asked for, else text."""
    print(json.dumps(document, indent=1) if args.json else text)


def size(text: str) -> tuple[int, int]:
    """Height and width of a text such as 512x768."""
    height, separator, width = text.partition("x")
    if not (separator and height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form HEIGHTxWIDTH")
    return int(height), int(width)
