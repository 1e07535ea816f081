"""What quantisation costs: `python tools/quality.py PICTURES` compares integer decoders with their float twin.

For every shipped precision: PSNR (RGB, 8 bit) and the real bytes of both coded latents, against the float twin's
8-bit reconstruction and the bytes that its own scale indexes would need. With `--model` and `--calibrate`, the same for
another checkpoint, with recipes chosen on a folder of photographs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refcodec.codecs.picture import geometry_of_shape, read_picture
from refcodec.codecs.scale_hyperprior import ScaleHyperprior, crop, decode, encode
from refcodec.codecs.stream import parse
from refcodec.describe import table
from refcodec.entropy.rans import encode as rans_encode
from refcodec.metrics import psnr
from refcodec.models.encoder import float_planes, symbols
from refcodec.models.shipped import DEFAULT_FLOAT, RECIPES, recipe_name, shipped_path
from refcodec.models.trained import Trained, load_trained, scale_table
from refcodec.quantize.calibrate import choose, observe
from refcodec.quantize.integerise import integerise
from refcodec.quantize.photographs import find_photographs, load_photographs
from refcodec.quantize.recipe import Recipe, load_recipe

PHOTOGRAPHS = 16  # to calibrate on


@dataclass(frozen=True, slots=True)
class Cost:
    """Mean over the pictures of one precision.

    psnr_loss  dB under the float twin;  worst_loss  of any picture;  rate_change  relative, 0.01 is one per cent.
    """

    precision: str
    psnr: float
    psnr_loss: float
    worst_loss: float
    rate_change: float


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """One picture through the float twin: its latents, PSNR in dB, and bytes of both latents."""

    picture: np.ndarray
    y: np.ndarray
    z: np.ndarray
    psnr: float
    size: int


def reference(trained: Trained, picture: np.ndarray) -> Reference:
    """Encode and decode a picture in floating point."""
    twin = trained.twin
    y, z = symbols(twin, float_planes(picture))
    scales = twin.hyper_synthesis((z + twin.medians[:, None, None]).astype(np.float32))
    indexes = np.searchsorted(scale_table()[:63], np.maximum(scales, 0.11), side="left")
    channels = np.broadcast_to(np.arange(z.shape[0])[:, None, None], z.shape)
    size = len(rans_encode(y, indexes, trained.y_tables)) + len(rans_encode(z, channels, trained.z_tables))
    planes = np.clip(np.rint(twin.synthesis(y.astype(np.float32)) * 255), 0, 255).astype(np.int64)
    return Reference(picture, y, z, psnr(picture, crop(planes, geometry_of_shape(picture.shape))), size)


def cost(trained: Trained, references: Sequence[Reference], recipe: Recipe) -> Cost:
    """Measure one precision on pictures that have been through the float twin."""
    codec = ScaleHyperprior.from_model(integerise(trained, recipe))
    figures, losses, sizes = [], [], []
    for known in references:
        stream = encode(known.y, known.z, geometry_of_shape(known.picture.shape), codec)
        figures.append(psnr(known.picture, decode(stream, codec)))
        losses.append(known.psnr - figures[-1])
        sizes.append(sum(map(len, parse(stream).payloads)) / known.size - 1)
    mean, loss, rate = (float(np.mean(values)) for values in (figures, losses, sizes))
    return Cost(recipe.precision.lower(), mean, loss, max(losses), rate)


def measure(
    folder: Path,
    precisions: Sequence[str] = RECIPES,
    model: Path | None = None,
    photographs: Path | None = None,
) -> list[Cost]:
    """Costs of several precisions on all PNG pictures of a folder.

    model  another checkpoint than the shipped one, whose recipes are chosen on the folder `photographs`.
    """
    trained = load_trained(model or shipped_path(DEFAULT_FLOAT))
    if photographs:
        observations = observe(trained.twin, load_photographs(find_photographs(photographs, PHOTOGRAPHS)))
        recipes = [choose(trained.twin, observations, *widths(precision), "mse") for precision in precisions]
    else:
        recipes = [load_recipe(shipped_path(recipe_name(precision), ".json")) for precision in precisions]
    references = [reference(trained, read_picture(path)) for path in sorted(folder.glob("*.png"))]
    return [cost(trained, references, recipe) for recipe in recipes]


def widths(precision: str) -> tuple[int, int]:
    """Weight and activation bits of a name such as w8a8."""
    weights, activations = precision.removeprefix("w").split("a")
    return int(weights), int(activations)


def main() -> None:
    """Print one row a precision."""
    parser = argparse.ArgumentParser(description="PSNR and rate of the shipped precisions against the float twin")
    parser.add_argument("pictures", type=Path, help="folder of PNG pictures")
    parser.add_argument("--model", type=Path, help="another checkpoint")
    parser.add_argument("--calibrate", type=Path, metavar="DIR", help="photographs to choose its steps on")
    args = parser.parse_args()
    if (args.model is None) != (args.calibrate is None):
        parser.error("--model and --calibrate belong together")
    rows = [
        [c.precision, f"{c.psnr:.3f}", f"{c.psnr_loss:.4f}", f"{c.worst_loss:.4f}", f"{100 * c.rate_change:+.3f}"]
        for c in measure(args.pictures, RECIPES, args.model, args.calibrate)
    ]
    print(table(rows, ["precision", "PSNR dB", "loss dB", "worst loss dB", "rate %"]))


if __name__ == "__main__":
    main()
