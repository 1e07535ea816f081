"""Commands on the datapath."""

from __future__ import annotations

import argparse
from typing import Any

from hw.checks import MAX_LANES
from refcodec.cli.parsing import DONE, MISMATCH, add_group, command, report, size
from refcodec.errors import RangeError
from refcodec.models.shipped import DEFAULT_MODEL


def _hw_simulate(args: argparse.Namespace) -> int:
    from refcodec.datapath import named_decode, simulate
    from refcodec.designs import simulate_program

    if args.program is not None:
        result = simulate_program(
            args.model, args.program, args.stream, args.frame, args.tile, _folding(args), args.vcd
        )
    else:
        decode = named_decode(args.model, args.stream, args.frame)
        result = simulate(*decode, args.layer, _lanes(args), args.tile, args.vcd)
    report(args, result.as_json(), result.as_text())
    return DONE if result.passed else MISMATCH


def _hw_convert(args: argparse.Namespace) -> int:
    from refcodec.datapath import convert, named_decode
    from refcodec.designs import convert_design, decoder_design, program_design

    if args.layer is not None:
        decode = named_decode(args.model, args.stream, args.frame)
        manifest = convert(*decode, args.layer, _lanes(args), args.tile, args.to, args.output)
    elif args.program is not None:
        design = program_design(args.model, args.program, args.stream, args.frame, args.tile, _folding(args))
        manifest = convert_design(design, args.to, args.output)
    else:
        if args.tile is not None:
            raise RangeError("--tile goes with --layer or --program: a decoder decodes a whole stream", "RC-USAGE")
        design = decoder_design(args.model, args.stream, args.frame, _folding(args))
        manifest = convert_design(design, args.to, args.output)
    print(f"{args.output}: {len(manifest['files'])} files for {manifest['name']}, {manifest['cycles']['run']} cycles")
    return DONE


def _hw_cosim(args: argparse.Namespace) -> int:
    from refcodec.datapath import cosimulate

    result = cosimulate(args.folder, args.simulator)
    report(args, result.as_json(), result.as_text())
    return DONE if result.passed else MISMATCH


def _hw_synth(args: argparse.Namespace) -> int:
    from refcodec.datapath import synthesise_folder

    result = synthesise_folder(args.folder, args.target)
    report(args, result.as_json(), result.as_text())
    return DONE


def _hw_estimate(args: argparse.Namespace) -> int:
    from refcodec.designs import estimate

    result = estimate(args.model, args.program, args.size, _folding(args), args.clock, args.fps)
    report(args, result.as_json(), result.as_text())
    return DONE if result.passed else MISMATCH


def _lanes(args: argparse.Namespace) -> tuple[int, int]:
    return args.pi, args.po


def _folding(args: argparse.Namespace) -> Any:
    """Lanes of the input and of every layer."""
    from hw.assemble import Folding

    return Folding(args.po, args.pi, args.fold, 2 if args.overlap else 1)


def lanes_of_layers(text: str) -> dict[str, int]:
    """Lanes by layer of a text such as g_s.0=8,g_s.2=4."""
    found = {}
    for entry in text.split(","):
        layer, separator, lanes = entry.partition("=")
        if not (separator and layer and lanes.isdigit() and 1 <= int(lanes) <= MAX_LANES):
            raise argparse.ArgumentTypeError(f"{entry!r} is not of the form LAYER=LANES, lanes 1..{MAX_LANES}")
        found[layer] = int(lanes)
    return found


def positive(text: str) -> float:
    """A number above zero."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and below a million")
    return value


def add_commands(group: Any) -> None:
    """Add hw simulate, convert, cosim, synth and estimate."""
    commands = add_group(group, "hw", "simulate, convert, co-simulate, synthesise and estimate the datapath")
    simulate = command(
        commands, "simulate", _hw_simulate, "run a layer or a program in MyHDL against the golden model",
        "refcodec hw simulate --layer h_s.0 --vcd wave.vcd",
    )  # fmt: skip
    simulate.add_argument("--vcd", metavar="FILE", help="write a wave")
    convert = command(
        commands, "convert", _hw_convert,
        "write a decoder, a program or a layer as Verilog or VHDL with test bench and vectors",
        "refcodec hw convert --to verilog --po 4 -o rtl",
    )  # fmt: skip
    convert.add_argument("--to", choices=("verilog", "vhdl"), required=True, help="language")
    convert.add_argument("-o", "--output", required=True, help="folder to write")
    estimate = command(
        commands, "estimate", _hw_estimate, "tell cycles, utilisation, memory and pictures a second of a decoder",
        "refcodec hw estimate --fps 30 --size 720x1280 --clock 200",
    )  # fmt: skip
    estimate.add_argument("--size", type=size, metavar="HxW", help="of the picture (default: 64x64)")
    estimate.add_argument("--clock", type=positive, default=200.0, metavar="MHZ", help="(default: %(default)g)")
    estimate.add_argument("--fps", type=positive, metavar="RATE", help="find the fewest multipliers that reach it")
    for parser in (simulate, estimate):
        parser.add_argument("--json", action="store_true", help="print JSON")
    for parser in (simulate, convert, estimate):
        _add_design(parser, parser is simulate, parser is estimate)
    cosim = command(commands, "cosim", _hw_cosim, "run converted HDL in every simulator found", "refcodec hw cosim rtl")
    cosim.add_argument("folder", help="what hw convert wrote")
    cosim.add_argument(
        "--simulator", action="append", choices=("icarus", "verilator", "ghdl"),
        help="run this one only, may be repeated; whole decoders want verilator",
    )  # fmt: skip
    cosim.add_argument("--json", action="store_true", help="print JSON")
    synth = command(
        commands, "synth", _hw_synth, "resources and clock rate of converted Verilog, by yosys and nextpnr",
        "refcodec hw synth rtl --target ecp5",
    )  # fmt: skip
    synth.add_argument("folder", help="what hw convert wrote")
    synth.add_argument("--target", choices=("ecp5", "xilinx"), default="ecp5", help="(default: %(default)s)")
    synth.add_argument("--json", action="store_true", help="print JSON")


def _add_design(parser: argparse.ArgumentParser, one_needed: bool, whole_only: bool) -> None:
    """Add what chooses a design and folds it."""
    parser.add_argument(
        "model", nargs="?", default=DEFAULT_MODEL, help="model or implicit video, a file or a shipped name"
    )
    what = parser.add_mutually_exclusive_group(required=one_needed)
    what.add_argument("--program", metavar="NAME", help="such as h_s or g_s; video of a video")
    if not whole_only:
        what.add_argument("--layer", metavar="NAME", help="such as h_s.0 or g_s.6; blocks.2 of a video")
        parser.add_argument("--stream", metavar="FILE", help="stream whose tensors are the stimulus (default: shipped)")
        parser.add_argument(
            "--frame", type=int, metavar="N", help="of a video, whose tensors are the stimulus (default: 0)"
        )
        parser.add_argument("--tile", type=size, metavar="HxW", help="input tile (default: small, or whole to convert)")
    parser.add_argument("--pi", type=int, default=8, help="lanes of the input (default: %(default)s)")
    parser.add_argument("--po", type=int, default=8, help="lanes of what a layer gives (default: %(default)s)")
    parser.add_argument(
        "--fold", type=lanes_of_layers, default={}, metavar="LAYER=LANES,..", help="lanes of what single layers give"
    )
    parser.add_argument("--overlap", action="store_true", help="two buffers: a picture comes in while one is decoded")
