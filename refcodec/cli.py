"""The command line: parses, calls one function, prints (SPEC ERR-2)."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from refcodec import __version__
from refcodec.errors import RangeError, RefcodecError
from refcodec.files import read_bytes
from refcodec.models.shipped import DEFAULT_FLOAT, DEFAULT_MODEL, resolve, shipped_names

DONE, MISMATCH, REFUSED = 0, 1, 2
PICTURES = 16  # photographs to calibrate on


class _Parser(argparse.ArgumentParser):
    """argparse with this project's one-line errors."""

    def error(self, message: str) -> NoReturn:
        sys.stderr.write(f"refcodec: RC-USAGE: {message} (see {self.prog} --help)\n")
        raise SystemExit(REFUSED)


def _print(args: argparse.Namespace, document: dict[str, Any], text: str) -> None:
    print(json.dumps(document, indent=1) if args.json else text)


def _model(name: str) -> Any:
    from refcodec.program.model_file import load_model

    return load_model(resolve(name, ".rcm"))


def _demo(args: argparse.Namespace) -> int:
    from refcodec.demo import run_demo

    return DONE if run_demo(args.output, args.image, args.model) else MISMATCH


def _import(args: argparse.Namespace) -> int:
    from refcodec.models.architecture import check, identify
    from refcodec.models.checkpoint import load_parameters, read_metadata, save_parameters

    parameters = load_parameters(args.checkpoint)
    metadata = read_metadata(args.checkpoint)
    if args.backbone:
        metadata["backbone"] = args.backbone
    architecture = identify(parameters, metadata)
    check(parameters, architecture)
    save_parameters(args.output, parameters, metadata)
    print(
        f"{args.output}: {architecture.family}, {architecture.backbone} backbone, "
        f"N={architecture.n}, M={architecture.m}"
    )
    return DONE


def _quantize(args: argparse.Namespace) -> int:
    from refcodec.files import write_files
    from refcodec.models.trained import load_trained
    from refcodec.program.model_file import model_to_bytes
    from refcodec.quantize.calibrate import choose, observe
    from refcodec.quantize.integerise import integerise
    from refcodec.quantize.photographs import find_photographs, load_photographs
    from refcodec.quantize.recipe import check_widths, load_recipe, recipe_text

    if args.save_recipe and Path(args.save_recipe) == Path(args.output):
        raise RangeError("-o and --save-recipe name the same file", "RC-USAGE")
    for name in ("weights", "activations", "observer", "pictures"):
        if args.recipe and getattr(args, name) is not None:
            raise RangeError(f"--{name} is already decided by --recipe", "RC-USAGE")
    trained = load_trained(resolve(args.checkpoint, ".safetensors"))
    if args.recipe:
        recipe = load_recipe(resolve(args.recipe, ".json"))
    else:
        weights, activations = (8 if bits is None else bits for bits in (args.weights, args.activations))
        check_widths(weights, activations)
        count = PICTURES if args.pictures is None else args.pictures
        observations = observe(trained.twin, load_photographs(find_photographs(args.calibrate, count)))
        recipe = choose(trained.twin, observations, weights, activations, args.observer or "mse")
    model = integerise(trained, recipe)
    files = {args.output: model_to_bytes(model)}
    if args.save_recipe:
        files[args.save_recipe] = recipe_text(recipe).encode()
    write_files(files)
    print(f"{args.output}: {recipe.precision}, identity {model.identity}")
    return DONE


def _encode(args: argparse.Namespace) -> int:
    from refcodec.codecs.picture import read_picture
    from refcodec.files import write_bytes
    from refcodec.models.encoder import encode_picture

    model = _model(args.model)
    picture = read_picture(args.picture)
    stream = encode_picture(picture, model)
    write_bytes(args.output, stream)
    pixels = picture.shape[0] * picture.shape[1]
    print(f"{args.output}: {len(stream)} bytes, {8 * len(stream) / pixels:.4f} bit per pixel")
    return DONE


def _decode(args: argparse.Namespace) -> int:
    from refcodec.codecs.picture import write_picture
    from refcodec.codecs.scale_hyperprior import ScaleHyperprior, decode

    codec = ScaleHyperprior.from_model(_model(args.model))
    content = read_bytes(args.stream)
    taps: dict[str, Any] = {}
    picture = decode(content, codec, taps.__setitem__ if args.taps else None)
    if args.taps:
        with _taps_folder(args, codec, content, {**taps, "picture": picture}):
            write_picture(args.output, picture)
    else:
        write_picture(args.output, picture)
    print(f"{args.output}: {picture.shape[1]}x{picture.shape[0]}")
    return DONE


@contextmanager
def _taps_folder(args: argparse.Namespace, codec: Any, content: bytes, taps: dict[str, Any]) -> Iterator[None]:
    """Every tensor of a decode as one conformance case, kept only if the picture can be written too."""
    from refcodec.files import fill_folder, new_folder
    from refcodec.vectorgen.case import case_files
    from refcodec.vectorgen.decoder import stream_case

    case = stream_case("decode", "every tensor of a decode", content, codec, taps, args.model)
    with new_folder(args.taps) as folder:
        fill_folder(folder, case_files(case))
        yield


def _info(args: argparse.Namespace) -> int:
    from refcodec.codecs.stream import MAGIC, parse
    from refcodec.describe import describe_model, describe_stream, model_text, stream_text

    stream_name = args.file in shipped_names(".rcb") and not os.path.exists(args.file)
    path = resolve(args.file, ".rcb" if stream_name else ".rcm")
    content = read_bytes(path)
    if content[: len(MAGIC)] == MAGIC:
        stream = describe_stream(parse(content))
        _print(args, stream, stream_text(stream))
    else:
        model = describe_model(_model(str(path)))
        _print(args, model, model_text(model))
    return DONE


def _export(args: argparse.Namespace) -> int:
    from refcodec.files import fill_folder, new_folder
    from refcodec.interop.export import export_model

    if args.size and args.stream:
        raise RangeError("--size and --stream both fix the size", "RC-USAGE")
    stream = read_bytes(args.stream) if args.stream else None
    files = export_model(_model(args.model), args.to, args.size, stream)
    with new_folder(args.output) as folder:
        fill_folder(folder, files)
    print(f"{args.output}: {', '.join(sorted(files))}")
    return DONE


def _vectors_build(args: argparse.Namespace) -> int:
    from refcodec.vectorgen.suite import build_suite

    count = build_suite(args.output)
    print(f"{args.output}: {count} cases")
    return DONE


def _vectors_verify(args: argparse.Namespace) -> int:
    from refcodec.vectorgen.verify import verify_suite

    report = verify_suite(args.suite)
    _print(args, report.as_json(), report.as_text())
    return DONE if report.passed else MISMATCH


def _hw_simulate(args: argparse.Namespace) -> int:
    from refcodec.datapath import simulate

    report = simulate(_model(args.model), args.layer, _lanes(args), args.stream, args.tile, args.vcd)
    _print(args, report.as_json(), report.as_text())
    return DONE if report.passed else MISMATCH


def _hw_convert(args: argparse.Namespace) -> int:
    from refcodec.datapath import convert

    manifest = convert(_model(args.model), args.layer, _lanes(args), args.stream, args.tile, args.to, args.output)
    print(f"{args.output}: {len(manifest['files'])} files for {args.layer}, {manifest['cycles']['run']} cycles")
    return DONE


def _hw_cosim(args: argparse.Namespace) -> int:
    from refcodec.datapath import cosimulate

    report = cosimulate(args.folder)
    _print(args, report.as_json(), report.as_text())
    return DONE if report.passed else MISMATCH


def _lanes(args: argparse.Namespace) -> tuple[int, int]:
    return args.pi, args.po


def _tile(text: str) -> tuple[int, int]:
    height, separator, width = text.partition("x")
    if not (separator and height.isdigit() and width.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form HEIGHTxWIDTH")
    return int(height), int(width)


def _command(
    group: Any, name: str, run: Callable[[argparse.Namespace], int], about: str, example: str
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = group.add_parser(
        name,
        help=about,
        description=about[0].upper() + about[1:] + ".",
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _add_codec_commands(group: Any) -> None:
    demo = _command(group, "demo", _demo, "decode, verify and simulate a photograph", "refcodec demo -o out")
    demo.add_argument("--image", help="a picture of your own instead of the shipped stream")
    demo.add_argument("--model", default=DEFAULT_MODEL, help="model file or shipped name (default: %(default)s)")
    demo.add_argument("-o", "--output", default="refcodec-demo", help="folder to write (default: %(default)s)")

    bring = _command(
        group, "import", _import, "check a float checkpoint and store it as safetensors",
        "refcodec import bmshj2018-hyperprior-3.pth.tar -o model.safetensors",
    )  # fmt: skip
    bring.add_argument("checkpoint", help="PyTorch zip checkpoint, .npz or .safetensors with CompressAI's names")
    bring.add_argument("--backbone", choices=("ReLU", "GDN", "GDN1"), help="when the file does not say")
    bring.add_argument("-o", "--output", required=True, help="safetensors file to write")

    encode = _command(group, "encode", _encode, "code a picture", "refcodec encode photo.png -o photo.rcb")
    encode.add_argument("picture", help="8-bit RGB or grey picture")
    encode.add_argument("--model", default=DEFAULT_MODEL, help="model file or shipped name (default: %(default)s)")
    encode.add_argument("-o", "--output", required=True, help="stream to write")

    decode = _command(group, "decode", _decode, "decode a stream in integers", "refcodec decode photo.rcb -o photo.png")
    decode.add_argument("stream", help="stream (.rcb)")
    decode.add_argument("--model", default=DEFAULT_MODEL, help="model file or shipped name (default: %(default)s)")
    decode.add_argument("--taps", metavar="DIR", help="also write every tensor on the way")
    decode.add_argument("-o", "--output", required=True, help="lossless picture to write, such as .png")

    info = _command(group, "info", _info, "describe a model or a stream", "refcodec info photo.rcb --json")
    info.add_argument("file", nargs="?", default=DEFAULT_MODEL, help="model file, stream, or shipped name")
    info.add_argument("--json", action="store_true", help="print JSON")


def _add_export(group: Any) -> None:
    export = _command(
        group, "export", _export, "write the programs of a model as TOSA or ONNX",
        "refcodec export --to tosa --size 512x768 -o exported",
    )  # fmt: skip
    export.add_argument("model", nargs="?", default=DEFAULT_MODEL, help="model file or shipped name")
    export.add_argument("--to", choices=("tosa", "onnx"), required=True, help="notation")
    export.add_argument("--size", type=_tile, metavar="HxW", help="size of the picture; TOSA needs one, ONNX takes any")
    export.add_argument("--stream", metavar="FILE", help="take the size of a stream, and write its tensors as .npy too")
    export.add_argument("-o", "--output", required=True, help="folder to write")


def _add_quantize(group: Any) -> None:
    quantize = _command(
        group, "quantize", _quantize, "turn float weights into an integer model",
        "refcodec quantize model.safetensors --weights 8 --activations 8 --calibrate photos -o model.rcm",
    )  # fmt: skip
    quantize.add_argument("checkpoint", nargs="?", default=DEFAULT_FLOAT, help="float model or shipped name")
    source = quantize.add_mutually_exclusive_group(required=True)
    source.add_argument("--calibrate", metavar="DIR", help="folder of photographs to choose the steps on")
    source.add_argument("--recipe", metavar="FILE", help="take the choices of an earlier run, or a shipped name")
    quantize.add_argument("--weights", type=int, metavar="BITS", help="2..16 (default: 8)")
    quantize.add_argument("--activations", type=int, metavar="BITS", help="2..16 (default: 8)")
    quantize.add_argument("--pictures", type=int, metavar="N", help=f"how many photographs (default: {PICTURES})")
    quantize.add_argument("--observer", choices=("mse", "minmax"), help="what chooses the steps (default: mse)")
    quantize.add_argument("--save-recipe", metavar="FILE", help="store the choices of this run")
    quantize.add_argument("-o", "--output", required=True, help="model file to write (.rcm)")


def _add_vectors(group: Any) -> None:
    vectors = group.add_parser("vectors", help="build and verify conformance vectors")
    commands = vectors.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    build = _command(commands, "build", _vectors_build, "write the vector suite", "refcodec vectors build -o vectors")
    build.add_argument("-o", "--output", required=True, help="folder to write")
    verify = _command(commands, "verify", _vectors_verify, "check a suite", "refcodec vectors verify vectors")
    verify.add_argument("suite", help="folder of a suite")
    verify.add_argument("--json", action="store_true", help="print JSON")


def _add_hardware(group: Any) -> None:
    hardware = group.add_parser("hw", help="simulate, convert and co-simulate the datapath")
    commands = hardware.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    simulate = _command(
        commands, "simulate", _hw_simulate, "run a layer in MyHDL against the golden model",
        "refcodec hw simulate --layer h_s.0 --vcd wave.vcd",
    )  # fmt: skip
    simulate.add_argument("--vcd", metavar="FILE", help="write a wave")
    simulate.add_argument("--json", action="store_true", help="print JSON")
    convert = _command(
        commands, "convert", _hw_convert, "write a layer as Verilog or VHDL with test bench and vectors",
        "refcodec hw convert --layer h_s.0 --to verilog -o rtl",
    )  # fmt: skip
    convert.add_argument("--to", choices=("verilog", "vhdl"), required=True, help="language")
    convert.add_argument("-o", "--output", required=True, help="folder to write")
    for parser in (simulate, convert):
        parser.add_argument("model", nargs="?", default=DEFAULT_MODEL, help="model file or shipped name")
        parser.add_argument("--layer", required=True, help="such as h_s.0 or g_s.6")
        parser.add_argument("--stream", metavar="FILE", help="stream whose tensors are the stimulus (default: shipped)")
        parser.add_argument("--tile", type=_tile, metavar="HxW", help="input tile (default: 2x2, or whole to convert)")
        parser.add_argument("--pi", type=int, default=8, help="input lanes (default: %(default)s)")
        parser.add_argument("--po", type=int, default=8, help="output lanes (default: %(default)s)")
    cosim = _command(
        commands, "cosim", _hw_cosim, "run converted HDL in every simulator found", "refcodec hw cosim rtl"
    )
    cosim.add_argument("folder", help="what hw convert wrote")
    cosim.add_argument("--json", action="store_true", help="print JSON")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = _Parser(prog="refcodec", description="Integer-only golden reference for quantised neural codecs.")
    parser.add_argument("--version", action="version", version=f"refcodec {__version__}")
    group = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_codec_commands(group)
    _add_quantize(group)
    _add_export(group)
    _add_vectors(group)
    _add_hardware(group)
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
