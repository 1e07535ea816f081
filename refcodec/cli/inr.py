"""Commands on implicit videos: fit."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refcodec.cli.parsing import DONE, command, size
from refcodec.errors import ModelError, RangeError

ARCHITECTURES = ("hnerv", "nerv", "hinerv")
EPOCHS, RATE, BATCH = 300, 2e-3, 1


def _fit(args: argparse.Namespace) -> int:
    with needs_autograd():
        from refcodec.fit.design import design, parameter_count
        from refcodec.fit.loop import Schedule
        from refcodec.fit.video import Job, fit_video
    from refcodec.codecs.video import read_clip

    if args.epochs < 1 or args.batch < 1 or not 0 < args.rate < 1:
        raise RangeError("wanted 1 or more epochs and frames to a step, and a rate of 0 .. 1", "RC-USAGE")
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


def numbers(text: str) -> tuple[int, ...]:
    """Whole numbers of a text such as 5,4,2,2."""
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers such as 5,4,2,2") from None


def add_commands(group: Any) -> None:
    """Add fit."""
    _add_fit(group)


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
