"""Commands on implicit videos: fit, calibrate."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refcodec.cli.parsing import DONE, command, report, size
from refcodec.errors import ModelError, RangeError

ARCHITECTURES = ("hnerv", "nerv", "hinerv")
EPOCHS, RATE, BATCH = 300, 2e-3, 1
METHODS = ("neuroquant", "naive", "adaround", "brecq", "qdrop", "rdo-ptq", "ffnerv", "hinerv")
TARGETS, GRANULARITIES = ("float", "frames"), ("channel", "tensor")
ITERATIONS = 2000
BIAS_BITS = 8


def _fit(args: argparse.Namespace) -> int:
    with needs_autograd():
        from refcodec.fit.design import design, parameter_count
        from refcodec.fit.loop import Schedule
        from refcodec.fit.video import Job, fit_video
    from refcodec.codecs.video import read_clip

    if args.epochs < 1 or args.batch < 1 or args.seed < 0 or not 0 < args.rate < 1:
        wanted = "1 or more epochs and frames to a step, a seed of 0 or more, and a rate between 0 and 1"
        raise RangeError(f"wanted {wanted}", "RC-USAGE")
    frames = read_clip(args.clip, args.crop)
    architecture = design(args.arch, args.size, frames.shape[:3], args.strides, args.kernels)
    print(
        f"{args.arch}: {parameter_count(architecture)} parameters, {len(frames)} frames of {_sides(frames)}", flush=True
    )
    schedule = Schedule(args.epochs, args.rate, args.batch, args.seed)
    provenance = {"clip": Path(args.clip).name, "family": args.arch}
    job = Job(architecture, schedule, Path(args.output), args.resume, provenance)
    with steps_bar(args.epochs, "epochs") as show:
        video = fit_video(job, frames, show)
    print(f"{args.output}: {video.provenance['psnr']} dB in the last pass")
    return DONE


def _calibrate(args: argparse.Namespace) -> int:
    with needs_autograd():
        from refcodec.quantize.inr.calibrate import Request, Target, calibrate
        from refcodec.quantize.inr.rate import size_of_rate
        from refcodec.quantize.inr.rivals.settings import Settings
    from refcodec.codecs.video import read_clip
    from refcodec.files import write_bytes
    from refcodec.models.inr.trained import load_video

    if args.iterations < 1 or args.batch < 1:
        raise RangeError("wanted 1 or more iterations and frames to each", "RC-USAGE")
    trained, frames = load_video(args.model), read_clip(args.clip, args.crop)
    size = args.target_size
    if args.target_bpp is not None:
        size = size_of_rate(args.target_bpp, trained.architecture)
    with stages_bar() as stage:
        settings = Settings(
            args.iterations * args.batch, args.batch, args.seed, args.granularity, args.target,
            progress=lambda part: stage(args.method, part),
        )  # fmt: skip
        target = Target(size, args.bits, args.mean_bits)
        request = Request(
            target, settings, args.method, biases=args.bias_bits, grids=args.grid_bits, trellis=args.trellis
        )
        found = calibrate(trained, frames, request, stage)
    write_bytes(args.output, found.content)
    report(args, _document(args.method, found), _text(args, found))
    return DONE


def _document(method: str, found: Any) -> dict[str, Any]:
    naive, made = found.naive, found.calibrated
    return {
        "method": method,
        "bytes": made.size,
        "bits_per_pixel": made.rate,
        "bits": dict(found.bits),
        "psnr": {"float": found.float_psnr, "naive": naive.twin, "calibrated": made.twin, "decoded": made.integer},
        "naive_bytes": naive.size,
    }


def _text(args: argparse.Namespace, found: Any) -> str:
    naive, made = found.naive, found.calibrated
    weights = [str(bits) for name, bits in found.bits.items() if name.endswith(".weight")]
    return "\n".join(
        [
            f"float       {found.float_psnr:.3f} dB",
            f"naive       {naive.twin:.3f} dB in {naive.size} bytes",
            f"{args.method:<11} {made.twin:.3f} dB, decoded in integers {made.integer:.3f} dB",
            f"{args.output}: {made.size} bytes, {made.rate:.5f} bits per pixel, weights of {','.join(weights)} bits",
        ]
    )


def _sides(frames: Any) -> str:
    return f"{frames.shape[2]}x{frames.shape[1]}"


@contextmanager
def needs_autograd() -> Iterator[None]:
    """Turn a missing package into the error that says how to get it.  Raises ModelError RC-EXTRA."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "autograd":
            raise
        raise ModelError("RC-EXTRA", "this needs autograd: pip install 'refcodec[calibrate]'") from error


@contextmanager
def steps_bar(total: int, unit: str) -> Iterator[Callable[[int, float], None]]:
    """A progress bar, on a terminal only, that is told how many are done and a PSNR in dB."""
    from tqdm import tqdm

    with tqdm(total=total, unit=f" {unit}", disable=not sys.stderr.isatty(), leave=False) as bar:

        def show(done: int, value: float) -> None:
            bar.n = done
            bar.set_postfix_str(f"{value:.2f} dB")

        yield show


@contextmanager
def stages_bar() -> Iterator[Callable[[str, float], None]]:
    """A progress bar, on a terminal only, that is told the name of what is done and which part of it."""
    from tqdm import tqdm

    form = "{desc} {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"
    with tqdm(total=1.0, bar_format=form, disable=not sys.stderr.isatty(), leave=False) as bar:
        shown = [""]

        def show(name: str, part: float) -> None:
            if name != shown[0] or part < bar.n:
                bar.reset()
                shown[0] = name
            bar.set_description_str(name, refresh=False)
            bar.update(part - bar.n)

        yield show


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers of a text such as 5,4,2,2."""
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 5,4,2,2") from None


def add_commands(group: Any) -> None:
    """Add fit and calibrate."""
    _add_fit(group)
    _add_calibrate(group)


def _add_fit(group: Any) -> None:
    fit = command(
        group, "fit", _fit, "train an implicit video on a clip",
        "refcodec fit frames --crop 160x320 --arch hnerv --size 300000 --epochs 140 -o clip.safetensors",
    )  # fmt: skip
    fit.add_argument("clip", help="folder of pictures, in the order of their names, or a GIF or other moving picture")
    fit.add_argument("--crop", type=size, metavar="HxW", help="keep the middle of every frame")
    fit.add_argument("--arch", choices=ARCHITECTURES, default="hnerv", help="family (default: %(default)s)")
    fit.add_argument("--size", type=int, required=True, metavar="PARAMS", help="most parameters, embeddings included")
    fit.add_argument("--strides", type=numbers, metavar="LIST", help="of the blocks (default: by the picture)")
    fit.add_argument("--kernels", type=numbers, metavar="LIST", help="of the blocks (default: as the family has them)")
    fit.add_argument(
        "--epochs", type=int, default=EPOCHS, metavar="N", help="passes over the clip (default: %(default)s)"
    )
    fit.add_argument(
        "--rate", type=float, default=RATE, metavar="R", help="largest learning rate (default: %(default)s)"
    )
    fit.add_argument("--batch", type=int, default=BATCH, metavar="N", help="frames to a step (default: %(default)s)")
    fit.add_argument("--seed", type=int, default=0, metavar="N", help="of all random numbers (default: 0)")
    fit.add_argument("--resume", action="store_true", help="go on with an unfinished fit of the same output")
    fit.add_argument(
        "-o", "--output", required=True, help="safetensors file to write; its state lies beside it meanwhile"
    )


def _add_calibrate(group: Any) -> None:
    calibrate = command(
        group, "calibrate", _calibrate, "quantise an implicit video by its pictures, into a stream of a wanted size",
        "refcodec calibrate clip.safetensors frames --crop 160x320 --target-bpp 0.1 -o clip.rcv",
    )  # fmt: skip
    calibrate.add_argument("model", help="safetensors file of refcodec fit")
    calibrate.add_argument("clip", help="the clip that it was fitted to: folder of pictures, or moving picture")
    calibrate.add_argument("--crop", type=size, metavar="HxW", help="keep the middle of every frame")
    goal = calibrate.add_mutually_exclusive_group(required=True)
    goal.add_argument(
        "--target-bpp", type=float, metavar="R", help="most bits per pixel of the stream, every byte of it"
    )
    goal.add_argument("--target-size", type=int, metavar="BYTES", help="most bytes of the stream")
    goal.add_argument("--bits", type=numbers, metavar="B[,B...]", help="bits of all weights, or of each layer in order")
    goal.add_argument("--mean-bits", type=float, metavar="B", help="bits of weights in the mean, 5 %% more or less")
    calibrate.add_argument("--method", choices=METHODS, default=METHODS[0], help="(default: %(default)s)")
    calibrate.add_argument(
        "--iterations", type=int, default=ITERATIONS, metavar="N", help="steps of learning (default: %(default)s)"
    )
    calibrate.add_argument("--batch", type=int, default=1, metavar="N", help="frames to a step (default: %(default)s)")
    calibrate.add_argument(
        "--target", choices=TARGETS, default=TARGETS[0], help="what pictures should be like (default: %(default)s)"
    )
    calibrate.add_argument(
        "--granularity", choices=GRANULARITIES, default=GRANULARITIES[0],
        help="what has a step of its own (default: %(default)s)",
    )  # fmt: skip
    calibrate.add_argument(
        "--bias-bits", type=int, default=BIAS_BITS, metavar="B", help="of biases (default: %(default)s)"
    )
    calibrate.add_argument(
        "--grid-bits", type=int, metavar="B",
        help="of embeddings and grids (default: chosen with those of weights for a size, else 8)",
    )  # fmt: skip
    calibrate.add_argument(
        "--trellis", action="store_true", help="dependent quantisation on the method's steps, instead of its roundings"
    )
    calibrate.add_argument("--seed", type=int, default=0, metavar="N", help="of all random numbers (default: 0)")
    calibrate.add_argument("--json", action="store_true", help="print JSON")
    calibrate.add_argument("-o", "--output", required=True, help="stream to write, .rcv")
