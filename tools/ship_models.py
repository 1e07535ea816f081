"""Write what refcodec ships: `python tools/ship_models.py MODELS PHOTOGRAPHS PICTURE`.

MODELS holds the trained float models as `<name>.safetensors` with their training metadata; their Gaussian tables are
left out, because they are the same for every model and shipped once elsewhere. PHOTOGRAPHS is the folder that the
recipes are calibrated on, PICTURE the photograph whose stream is shipped. Equal sources give equal floats;
recipes and the stream pass through floating point and may differ in their last digits from machine to machine, which is
why they are shipped.
"""

from __future__ import annotations

import argparse
import hashlib
import re
from pathlib import Path

from safetensors.numpy import save

from refcodec.codecs.picture import read_picture
from refcodec.models.checkpoint import load_parameters, read_metadata, save_parameters
from refcodec.models.densities import GAUSSIAN_FILE, build_gaussian_tables
from refcodec.models.encoder import encode_picture
from refcodec.models.shipped import DEFAULT_MODEL, DEFAULT_STREAM, FLOATS, RECIPES, shipped_path
from refcodec.models.trained import load_trained
from refcodec.program.model_file import load_model, save_model
from refcodec.quantize.calibrate import observe
from refcodec.quantize.choices import Choices, choose
from refcodec.quantize.integerise import integerise
from refcodec.quantize.options import PICTURES
from refcodec.quantize.photographs import load_latents
from refcodec.quantize.recipe import recipe_text

MODEL_PRECISION = "w8a8"  # of the integer model that is shipped beside the recipes of all precisions
TARGET = Path(__file__).parents[1] / "refcodec" / "models" / "shipped"
UNIVERSAL = "gaussian_conditional."
COPIED = ("architecture", "backbone", "N", "M", "kodak_odd_mean_psnr_db", "kodak_odd_mean_bpp")


def shipped_metadata(source: dict[str, str], digest: str) -> dict[str, str]:
    """The texts stored with a shipped model; `digest` is the source file's SHA-256 in hexadecimal."""
    training = f"{source['iterations']} iterations, {source['optimizer']}, loss {source['loss']}"
    chosen = {key: source[key] for key in COPIED}
    return chosen | {"lambda": source["lambda_"], "training": training, "source_sha256": digest}


def ship(source: Path, target: Path) -> None:
    """Copy one trained model without the universal tables."""
    kept = {name: array for name, array in load_parameters(source).items() if not name.startswith(UNIVERSAL)}
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    save_parameters(target, kept, shipped_metadata(read_metadata(source), digest))


def report(path: Path) -> None:
    """One line on a file just written."""
    print(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.stat().st_size:>8}  {path.name}")


def ship_gaussian_tables() -> None:
    """Write the 64-row table; its SHA-256 is pinned where it is loaded."""
    tables = build_gaussian_tables()
    target = TARGET.parent / GAUSSIAN_FILE
    target.write_bytes(save({name: getattr(tables, name) for name in ("offsets", "starts", "values")}))
    report(target)


def quantise(name: str, photographs: Path) -> None:
    """Write the recipe of every precision of a model, and its integer model of one."""
    trained = load_trained(shipped_path(name))
    observations = observe(trained.twin, load_latents(trained.twin, photographs, PICTURES))
    for precision in RECIPES:
        weights, activations = (int(bits) for bits in re.findall(r"\d+", precision))
        recipe = choose(trained.twin, observations, Choices(weights, activations, weights))
        target = TARGET / f"{name}-{precision}.json"
        target.write_text(recipe_text(recipe))
        report(target)
        if precision == MODEL_PRECISION:
            save_model(target.with_suffix(".rcm"), integerise(trained, recipe))
            report(target.with_suffix(".rcm"))


def main() -> None:
    """Parse the command line and write everything."""
    parser = argparse.ArgumentParser(description="write the shipped models, recipes and stream")
    parser.add_argument("models", type=Path, help="folder of the trained models")
    parser.add_argument("photographs", type=Path, help="folder to calibrate on")
    parser.add_argument("picture", type=Path, help="photograph to ship as a stream")
    args = parser.parse_args()
    TARGET.mkdir(exist_ok=True)
    ship_gaussian_tables()
    for name in FLOATS:
        ship(args.models / f"{name}.safetensors", TARGET / f"{name}.safetensors")
        report(TARGET / f"{name}.safetensors")
        quantise(name, args.photographs)
    stream = TARGET / f"{DEFAULT_STREAM}.rcb"
    stream.write_bytes(encode_picture(read_picture(args.picture), load_model(TARGET / f"{DEFAULT_MODEL}.rcm")))
    report(stream)


if __name__ == "__main__":
    main()
