"""Write the float models refcodec ships: `python tools/ship_models.py SRC_DIR`.

SRC_DIR holds the trained models as `<name>.safetensors` with their training metadata. Left out are the Gaussian tables:
they are the same for every model and shipped once elsewhere. Equal sources give equal bytes.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

from refcodec.models.checkpoint import load_parameters, read_metadata, save_parameters

NAMES = ("balle2018-relu-n32-m64-lambda0130",)
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


def main() -> None:
    """Parse the command line and write every model in NAMES."""
    parser = argparse.ArgumentParser(description="write the shipped float models")
    parser.add_argument("source", type=Path, metavar="SRC_DIR", help="folder of the trained models")
    folder = parser.parse_args().source
    TARGET.mkdir(exist_ok=True)
    for name in NAMES:
        target = TARGET / f"{name}.safetensors"
        ship(folder / target.name, target)
        print(f"{hashlib.sha256(target.read_bytes()).hexdigest()}  {target.stat().st_size:>8}  {target.name}")


if __name__ == "__main__":
    main()
