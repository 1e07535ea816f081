"""Commands that measure what integers cost, and what floats break: study precision, calibration, drift, inr."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from refcodec.cli.inr import needs_autograd
from refcodec.cli.parsing import DONE, MISMATCH, add_group, command, report, size
from refcodec.models.shipped import DEFAULT_FLOAT, resolve
from refcodec.quantize.options import PICTURES

PARTS = "hyper,synthesis,both"
PRECISIONS = "W4A4,W8A8,W12A12,W16A16"
STEPS = "1,1.5,2.25,3.375"
METHODS = "naive,adaround,brecq,qdrop,rdo-ptq,ffnerv,hinerv,neuroquant"
BITS, RATES, EVALUATIONS = "6,4,2", 6, 1000
FLATTERED = "The steps were chosen on the pictures themselves, which flatters the figures: --calibrate names others."


def _precision(args: argparse.Namespace) -> int:
    from refcodec.study.precision.study import Plan, study_precision

    plan = Plan(
        resolve(args.checkpoint, ".safetensors"),
        args.images,
        args.calibrate or args.images,
        args.output,
        args.precisions,
        args.parts,
        args.steps,
        args.pictures,
        args.cluster,
    )
    study = study_precision(plan)
    lines = [study.text, "" if args.calibrate else FLATTERED, f"{args.output}: results.csv, summary.json, table.md"]
    report(args, study.document, "\n\n".join(filter(None, lines)))
    return DONE


def _calibration(args: argparse.Namespace) -> int:
    from refcodec.models.trained import load_trained
    from refcodec.study.calibration import rows_document, rows_text, study_calibration
    from refcodec.study.precision.points import widths

    trained = load_trained(resolve(args.checkpoint, ".safetensors"))
    precisions = [widths(name) for name in args.precisions]
    rows = study_calibration(trained, args.images, args.calibrate or args.images, args.pictures, precisions)
    report(args, rows_document(rows), rows_text(rows))
    return DONE


def _drift(args: argparse.Namespace) -> int:
    from refcodec.quantize.photographs import find_pictures
    from refcodec.study.drift.study import run_study

    paths = [Path(args.image)] if args.image else find_pictures(args.images)
    document, text = run_study(resolve(args.checkpoint, ".safetensors"), paths, args.seed, args.output)
    report(args, document, text)
    return DONE if document["exact"] else MISMATCH


def _inr(args: argparse.Namespace) -> int:
    with needs_autograd():
        from refcodec.study.inr.plan import Plan
        from refcodec.study.inr.study import study_inr

    plan = Plan(
        tuple(args.models),
        args.clip,
        args.output,
        args.methods,
        args.crop,
        tuple(args.separate or ()),
        args.bits,
        args.rates,
        args.evaluations,
        args.batch,
        args.seed,
    )
    study = study_inr(plan)
    report(args, study.document, f"{study.text}\n\n{args.output}: results.csv, summary.json, tables.md")
    return DONE


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(","))


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers such as {STEPS}") from None


def add_commands(group: Any) -> None:
    """Add study precision, calibration, drift and inr."""
    commands = add_group(group, "study", "measure what integers cost, and what floats break")
    _add_precision(commands)
    _add_calibration(commands)
    _add_drift(commands)
    _add_inr(commands)


def _add_source(parser: argparse.ArgumentParser, precisions: str) -> None:
    """Add a float model, pictures to code, photographs to calibrate on, and widths."""
    parser.add_argument("checkpoint", nargs="?", default=DEFAULT_FLOAT, help="float model or shipped name")
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="pictures to code")
    parser.add_argument(
        "--calibrate", type=Path, metavar="DIR",
        help="photographs to choose steps on (default: the pictures themselves, which flatters the result)",
    )  # fmt: skip
    parser.add_argument(
        "--pictures", type=int, default=PICTURES, metavar="N", help="how many photographs (default: %(default)s)"
    )
    parser.add_argument(
        "--precisions", type=_words, default=_words(precisions), metavar="LIST", help=f"(default: {precisions})"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_precision(commands: Any) -> None:
    precision = command(
        commands, "precision", _precision, "compare integer decoders of several widths with float, as curves",
        "refcodec study precision model.safetensors --images kodak --calibrate photos -o study",
    )  # fmt: skip
    _add_source(precision, PRECISIONS)
    precision.add_argument(
        "--parts", type=_words, default=_words(PARTS), metavar="LIST",
        help=f"halves of the decoder that are integer (default: {PARTS})",
    )  # fmt: skip
    precision.add_argument(
        "--steps", type=_numbers, default=_numbers(STEPS), metavar="LIST",
        help=f"of the latent, a point of the curves each, 1 as trained (default: {STEPS})",
    )  # fmt: skip
    precision.add_argument(
        "--cluster", default="", metavar="ADDRESS", help="compute on the workers of a Dask scheduler"
    )
    precision.add_argument("-o", "--output", type=Path, required=True, help="folder, new or of an unfinished study")


def _add_calibration(commands: Any) -> None:
    calibration = command(
        commands, "calibration", _calibration, "compare the choices that a calibration has",
        "refcodec study calibration model.safetensors --images kodak --calibrate photos --precisions W6A6,W8A8",
    )  # fmt: skip
    _add_source(calibration, "W8A8")


def _add_drift(commands: Any) -> None:
    drift = command(
        commands, "drift", _drift, "read streams with other float evaluations, and with integers",
        "refcodec study drift --images photos -o drift",
    )  # fmt: skip
    drift.add_argument("checkpoint", nargs="?", default=DEFAULT_FLOAT, help="float model or shipped name")
    source = drift.add_mutually_exclusive_group(required=True)
    source.add_argument("--images", metavar="DIR", help="folder of pictures")
    source.add_argument("--image", metavar="FILE", help="one picture")
    drift.add_argument("--seed", type=int, default=0, metavar="N", help="order of scattered sums (default: 0)")
    drift.add_argument("-o", "--output", required=True, help="folder to write")
    drift.add_argument("--json", action="store_true", help="print JSON")


def _add_inr(commands: Any) -> None:
    inr = command(
        commands, "inr", _inr, "compare methods, precisions and rates of implicit videos",
        "refcodec study inr hnerv.safetensors --clip frames --crop 160x320 --separate small.safetensors -o study",
    )  # fmt: skip
    inr.add_argument("models", nargs="+", type=Path, metavar="MODEL", help="float parameters, as fit writes them")
    inr.add_argument("--clip", type=Path, required=True, metavar="CLIP", help="what they were fitted to")
    inr.add_argument("--crop", type=size, metavar="HxW", help="the middle of every frame that they were fitted to")
    inr.add_argument(
        "--separate", nargs="*", type=Path, metavar="MODEL", help="networks fitted for other rates, to compare with"
    )
    inr.add_argument("--methods", type=_words, default=_words(METHODS), metavar="LIST", help=f"(default: {METHODS})")
    inr.add_argument("--bits", type=_words, default=_words(BITS), metavar="LIST", help=f"of weights (default: {BITS})")
    inr.add_argument(
        "--rates", type=int, default=RATES, metavar="N",
        help="streams of the first network at different rates (default: %(default)s)",
    )  # fmt: skip
    inr.add_argument(
        "--evaluations", type=int, default=EVALUATIONS, metavar="N",
        help="of the network, for one frame each, that every method may spend (default: %(default)s)",
    )  # fmt: skip
    inr.add_argument("--batch", type=int, default=1, metavar="N", help="frames to a step (default: %(default)s)")
    inr.add_argument("--seed", type=int, default=0, metavar="N", help="of all random numbers (default: 0)")
    inr.add_argument("-o", "--output", type=Path, required=True, help="folder, new or of an unfinished study")
    inr.add_argument("--json", action="store_true", help="print JSON")
