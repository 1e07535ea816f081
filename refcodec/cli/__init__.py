"""The command line: parses, calls one function, prints (SPEC ERR-2)."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from refcodec import __version__
from refcodec.cli import audit, codec, figures, hardware, inr, model, study, vectors
from refcodec.cli.parsing import DONE, REFUSED, Parser
from refcodec.errors import RefcodecError


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = Parser(prog="refcodec", description="Integer-only golden reference for quantised neural codecs.")
    parser.add_argument("--version", action="version", version=f"refcodec {__version__}")
    group = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    for commands in (codec, model, inr, audit, vectors, hardware, study, figures):
        commands.add_commands(group)
    return parser


def _abandon_output() -> None:
    """Let what is still buffered go nowhere, so that the interpreter's last flush cannot fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 done, 1 mismatch, 2 refused (SPEC ERR-2)."""
    args = build_parser().parse_args(argv)
    try:
        status = int(args.run(args))
        sys.stdout.flush()
        return status
    except RefcodecError as error:
        sys.stderr.write(f"refcodec: {' '.join(str(error).split())}\n")
        return REFUSED
    except MemoryError:
        sys.stderr.write("refcodec: RC-RANGE: not enough memory for this input\n")
        return REFUSED
    except BrokenPipeError:
        _abandon_output()
        return DONE
    except OSError as error:
        _abandon_output()
        sys.stderr.write(f"refcodec: RC-FILE-WRITE: {error.strerror or error}\n")
        return REFUSED
    except KeyboardInterrupt:
        sys.stderr.write("refcodec: interrupted\n")
        return 130
