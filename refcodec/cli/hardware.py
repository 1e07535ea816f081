"""Commands on the datapath."""

from __future__ import annotations

import argparse
from typing import Any

from refcodec.cli.parsing import DONE, MISMATCH, add_group, command, report, size
from refcodec.models.shipped import DEFAULT_MODEL


def _hw_simulate(args: argparse.Namespace) -> int:
    from refcodec.datapath import named_decode, simulate

    decode = named_decode(args.model, args.stream, args.frame)
    result = simulate(*decode, args.layer, _lanes(args), args.tile, args.vcd)
    report(args, result.as_json(), result.as_text())
    return DONE if result.passed else MISMATCH


def _hw_convert(args: argparse.Namespace) -> int:
    from refcodec.datapath import convert, named_decode

    decode = named_decode(args.model, args.stream, args.frame)
    manifest = convert(*decode, args.layer, _lanes(args), args.tile, args.to, args.output)
    print(f"{args.output}: {len(manifest['files'])} files for {args.layer}, {manifest['cycles']['run']} cycles")
    return DONE


def _hw_cosim(args: argparse.Namespace) -> int:
    from refcodec.datapath import cosimulate

    result = cosimulate(args.folder)
    report(args, result.as_json(), result.as_text())
    return DONE if result.passed else MISMATCH


def _lanes(args: argparse.Namespace) -> tuple[int, int]:
    return args.pi, args.po


def add_commands(group: Any) -> None:
    """Add hw simulate, convert and cosim."""
    commands = add_group(group, "hw", "simulate, convert and co-simulate the datapath")
    simulate = command(
        commands, "simulate", _hw_simulate, "run a layer in MyHDL against the golden model",
        "refcodec hw simulate --layer h_s.0 --vcd wave.vcd",
    )  # fmt: skip
    simulate.add_argument("--vcd", metavar="FILE", help="write a wave")
    simulate.add_argument("--json", action="store_true", help="print JSON")
    convert = command(
        commands, "convert", _hw_convert, "write a layer as Verilog or VHDL with test bench and vectors",
        "refcodec hw convert --layer h_s.0 --to verilog -o rtl",
    )  # fmt: skip
    convert.add_argument("--to", choices=("verilog", "vhdl"), required=True, help="language")
    convert.add_argument("-o", "--output", required=True, help="folder to write")
    for parser in (simulate, convert):
        parser.add_argument(
            "model", nargs="?", default=DEFAULT_MODEL, help="model or implicit video, a file or a shipped name"
        )
        parser.add_argument("--layer", required=True, help="such as h_s.0 or g_s.6; blocks.2 of a video")
        parser.add_argument("--stream", metavar="FILE", help="stream whose tensors are the stimulus (default: shipped)")
        parser.add_argument(
            "--frame", type=int, metavar="N", help="of a video, whose tensors are the stimulus (default: 0)"
        )
        parser.add_argument("--tile", type=size, metavar="HxW", help="input tile (default: 2x2, or whole to convert)")
        parser.add_argument("--pi", type=int, default=8, help="input lanes (default: %(default)s)")
        parser.add_argument("--po", type=int, default=8, help="output lanes (default: %(default)s)")
    cosim = command(commands, "cosim", _hw_cosim, "run converted HDL in every simulator found", "refcodec hw cosim rtl")
    cosim.add_argument("folder", help="what hw convert wrote")
    cosim.add_argument("--json", action="store_true", help="print JSON")
