"""Commands on models: import, quantize, export."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from refcodec.cli.parsing import DONE, add_model, command, load, size
from refcodec.cli.video import is_video
from refcodec.errors import RangeError
from refcodec.files import read_bytes
from refcodec.models.shipped import DEFAULT_FLOAT, resolve
from refcodec.quantize.options import ACTIVATION_GRAINS, BITS, OBSERVERS, PERCENTILE, PICTURES, WEIGHT_GRAINS

PARTS = ("img", "img_hyperprior", "motion_hyperprior", "res_hyperprior")
TABLE_PICTURES = 64  # to count entropy tables on


# What may be said of an implicit video: the option's name here and there.
SAID = {
    "frames": "frames", "size": "size", "embeddings": "embeddings", "activation": "activation", "head": "head",
    "frequency_ratio": "ratio", "plain_enlarging": "normed", "bits": "bits", "independent_frames": "independent",
}  # fmt: skip


def _import(args: argparse.Namespace) -> int:
    from refcodec.models.checkpoint import load_parameters
    from refcodec.models.inr.importers import is_video

    parameters = load_parameters(args.checkpoint)
    if is_video(parameters):
        _refuse(args, ("backbone", "part", "tables_from"), "an implicit video")
        return _import_video(parameters, args)
    _refuse(args, SAID, "a codec of pictures")
    return _import_codec(parameters, args)


def _refuse(args: argparse.Namespace, names: Iterable[str], kind: str) -> None:
    """Raise RangeError RC-USAGE if one of some options was given."""
    for name in names:
        if getattr(args, name) is not None:
            raise RangeError(f"--{name.replace('_', '-')} says nothing of {kind}", "RC-USAGE")


def _import_video(parameters: Mapping[str, Any], args: argparse.Namespace) -> int:
    from math import prod

    from refcodec.models.checkpoint import load_array
    from refcodec.models.inr.importers import import_video
    from refcodec.models.inr.options import ImportOptions
    from refcodec.models.inr.quantised_checkpoint import EMBEDDINGS
    from refcodec.models.inr.trained import save_video

    said = {there: getattr(args, here) for here, there in SAID.items()}
    if args.embeddings:
        said["embeddings"] = load_array(args.embeddings, EMBEDDINGS)
    video = import_video(parameters, ImportOptions(**said))
    save_video(args.output, video)
    shape, count = video.architecture, sum(prod(array.shape) for array in video.parameters.values())
    clip = f"{shape.frames} frames of {shape.height}x{shape.width}"
    print(f"{args.output}: {video.provenance['origin']}, {clip}, {count} parameters")
    return DONE


def _import_codec(parameters: dict[str, Any], args: argparse.Namespace) -> int:
    from refcodec.models.architecture import identify, part_of
    from refcodec.models.checkpoint import read_metadata, save_parameters
    from refcodec.models.float_codec import FloatCodec
    from refcodec.models.latent_tables import carried, counted_tables
    from refcodec.models.parameters import check
    from refcodec.quantize.photographs import find_photographs, load_photographs

    metadata = read_metadata(args.checkpoint)
    if args.backbone:
        metadata["backbone"] = args.backbone
    if args.part:
        parameters = part_of(parameters, args.part)
    architecture = identify(parameters, metadata)
    check(parameters, architecture)
    if args.tables_from:
        codec = FloatCodec(parameters, metadata)
        pictures = load_photographs(find_photographs(args.tables_from, args.pictures), codec.multiple)
        parameters |= carried(counted_tables(codec, pictures), architecture.bottleneck)
    save_parameters(args.output, parameters, metadata)
    print(f"{args.output}: {architecture.text}")
    return DONE


CHOICES = (
    "weights", "activations", "normalisation", "observer", "deviations", "percentile", "weight_steps",
    "activation_steps", "no_bias_correction", "pictures",
)  # fmt: skip


def _quantize(args: argparse.Namespace) -> int:
    from refcodec.files import write_files
    from refcodec.models.trained import load_trained
    from refcodec.program.model_file import model_to_bytes
    from refcodec.quantize.integerise import integerise
    from refcodec.quantize.recipe import load_recipe, recipe_text

    if args.save_recipe and Path(args.save_recipe) == Path(args.output):
        raise RangeError("-o and --save-recipe name the same file", "RC-USAGE")
    for name in CHOICES:
        if args.recipe and getattr(args, name) is not None:
            raise RangeError(f"--{name.replace('_', '-')} is already decided by --recipe", "RC-USAGE")
    trained = load_trained(resolve(args.checkpoint, ".safetensors"))
    recipe = load_recipe(resolve(args.recipe, ".json")) if args.recipe else _calibrated(trained, args)
    model = integerise(trained, recipe)
    files = {args.output: model_to_bytes(model)}
    if args.save_recipe:
        files[args.save_recipe] = recipe_text(recipe).encode()
    write_files(files)
    print(f"{args.output}: {recipe.precision}, identity {model.identity}")
    return DONE


def _calibrated(trained: Any, args: argparse.Namespace) -> Any:
    """The recipe that the options ask for, calibrated on their folder."""
    from refcodec.quantize.calibrate import observe
    from refcodec.quantize.choices import Choices, choose, deviations_of
    from refcodec.quantize.photographs import load_latents

    def given(name: str, otherwise: Any) -> Any:
        value = getattr(args, name)
        return otherwise if value is None else value

    weights = given("weights", BITS)
    choices = Choices(
        weights,
        given("activations", BITS),
        given("normalisation", weights),
        given("observer", OBSERVERS[0]),
        deviations_of(trained.provenance) if args.deviations is None else args.deviations,
        given("percentile", PERCENTILE),
        given("weight_steps", "channel"),
        given("activation_steps", "channel"),
        args.no_bias_correction is None,
    )
    latents = load_latents(trained.twin, args.calibrate, given("pictures", PICTURES))
    return choose(trained.twin, observe(trained.twin, latents), choices)


def _export(args: argparse.Namespace) -> int:
    from refcodec.files import fill_folder, new_folder
    from refcodec.interop.export import export_model, export_video

    if args.size and args.stream:
        raise RangeError("--size and --stream both fix the size", "RC-USAGE")
    content = read_bytes(args.model) if Path(args.model).is_file() else b""
    if is_video(content):
        if args.size or args.stream:
            raise RangeError("an implicit video has one size, and is the stream: no --size, no --stream", "RC-USAGE")
        files = export_video(content, args.to)
    else:
        stream = read_bytes(args.stream) if args.stream else None
        files = export_model(load(args.model), args.to, args.size, stream)
    with new_folder(args.output) as folder:
        fill_folder(folder, files)
    print(f"{args.output}: {', '.join(sorted(files))}")
    return DONE


def add_commands(group: Any) -> None:
    """Add import, quantize and export."""
    _add_import(group)
    _add_quantize(group)
    _add_export(group)


def _add_import(group: Any) -> None:
    bring = command(
        group, "import", _import, "check a float checkpoint and store it as safetensors",
        "refcodec import bmshj2018-hyperprior-3.pth.tar -o model.safetensors\n"
        "  refcodec import nerv_S.pth --frames 132 --size 720x1280 --activation silu -o video.safetensors",
    )  # fmt: skip
    bring.add_argument(
        "checkpoint",
        help="PyTorch zip checkpoint, .npz or .safetensors with the names of CompressAI, NeRV, HNeRV, NeuroQuant, "
        "HiNeRV or FFNeRV; or HNeRV's quantised video",
    )
    pictures = bring.add_argument_group("codecs of pictures")
    pictures.add_argument("--backbone", choices=("ReLU", "GDN", "GDN1"), help="when the file does not say")
    pictures.add_argument("--part", choices=PARTS, help="which codec of an ssf2020 checkpoint")
    pictures.add_argument(
        "--tables-from", metavar="DIR", help="count entropy tables on photographs; for a model with none"
    )
    pictures.add_argument(
        "--pictures", type=int, default=TABLE_PICTURES, metavar="N", help="how many of them (default: %(default)s)"
    )
    _add_video_options(bring.add_argument_group("implicit videos, where the file does not say"))
    bring.add_argument("-o", "--output", required=True, help="safetensors file to write")


def _add_video_options(video: Any) -> None:
    video.add_argument("--frames", type=int, metavar="N", help="how many")
    video.add_argument("--size", type=size, metavar="HxW", help="of a picture")
    video.add_argument(
        "--embeddings", metavar="FILE",
        help="what HNeRV's encoder gave for the frames (T, C, h, w): .npy, or `embed` in .npz, .safetensors or .pth",
    )  # fmt: skip
    video.add_argument("--activation", choices=("gelu", "silu"), help="of the blocks (default: gelu)")
    video.add_argument("--head", choices=("tanh", "sigmoid"), help="at the end (default: the authors')")
    video.add_argument(
        "--frequency-ratio",
        type=float,
        metavar="R",
        help="from one frequency of an encoding to the next (default: 1.25)",
    )
    video.add_argument(
        "--plain-enlarging", action="store_const", const=False, help="HiNeRV without normalisation before it enlarges"
    )
    video.add_argument("--bits", type=int, metavar="B", help="that FFNeRV was trained for (default: none)")
    video.add_argument(
        "--independent-frames", action="store_const", const=True,
        help="FFNeRV's frames before it aggregates them from neighbours, which is not supported",
    )  # fmt: skip


def _add_quantize(group: Any) -> None:
    quantize = command(
        group, "quantize", _quantize, "turn float weights into an integer model",
        "refcodec quantize model.safetensors --weights 8 --activations 8 --calibrate photos -o model.rcm",
    )  # fmt: skip
    quantize.add_argument("checkpoint", nargs="?", default=DEFAULT_FLOAT, help="float model or shipped name")
    source = quantize.add_mutually_exclusive_group(required=True)
    source.add_argument("--calibrate", metavar="DIR", help="folder of photographs to choose the steps on")
    source.add_argument("--recipe", metavar="FILE", help="take the choices of an earlier run, or a shipped name")
    widths = quantize.add_argument_group("widths, 2..16 bits")
    widths.add_argument("--weights", type=int, metavar="BITS", help=f"(default: {BITS})")
    widths.add_argument("--activations", type=int, metavar="BITS", help=f"(default: {BITS})")
    widths.add_argument("--normalisation", type=int, metavar="BITS", help="of gamma (default: as the weights)")
    rules = quantize.add_argument_group("steps")
    rules.add_argument("--pictures", type=int, metavar="N", help=f"how many photographs (default: {PICTURES})")
    rules.add_argument("--observer", choices=OBSERVERS, help=f"rule for activations (default: {OBSERVERS[0]})")
    rules.add_argument(
        "--deviations", type=float, metavar="K",
        help="of the sigma rules, mean + K standard deviations (default: 625 lambda + 2, if the checkpoint has lambda)",
    )  # fmt: skip
    rules.add_argument("--percentile", type=float, metavar="P", help=f"of that rule (default: {PERCENTILE})")
    rules.add_argument("--weight-steps", choices=WEIGHT_GRAINS, help="one for each output channel (default) or layer")
    rules.add_argument(
        "--activation-steps", choices=ACTIVATION_GRAINS,
        help="one for each channel (default), folded into the next weights; sharing their range; or one a tensor",
    )  # fmt: skip
    rules.add_argument("--no-bias-correction", action="store_true", default=None, help="leave the biases as trained")
    quantize.add_argument("--save-recipe", metavar="FILE", help="store the choices of this run")
    quantize.add_argument("-o", "--output", required=True, help="model file to write (.rcm)")


def _add_export(group: Any) -> None:
    export = command(
        group, "export", _export, "write the programs of a model, or of an implicit video, as TOSA or ONNX",
        "refcodec export --to tosa --size 512x768 -o exported",
    )  # fmt: skip
    add_model(export, positional=True)
    export.add_argument("--to", choices=("tosa", "onnx"), required=True, help="notation")
    export.add_argument("--size", type=size, metavar="HxW", help="size of the picture; TOSA needs one, ONNX takes any")
    export.add_argument("--stream", metavar="FILE", help="take the size of a stream, and write its tensors as .npy too")
    export.add_argument("-o", "--output", required=True, help="folder to write")
