"""Rate points: one checkpoint at several steps of its latent, each quantised to several precisions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from refcodec import __version__
from refcodec.codecs.codec import Codec
from refcodec.codecs.family import codec_of
from refcodec.entropy.tables import FrequencyTables
from refcodec.errors import RangeError
from refcodec.files import read_bytes
from refcodec.models.architecture import FACTORISED
from refcodec.models.checkpoint import load_parameters, read_metadata
from refcodec.models.densities import factorised_tables
from refcodec.models.float_codec import FloatCodec
from refcodec.models.latent_step import rescaled
from refcodec.models.latent_tables import counted_tables
from refcodec.models.network import Parameters
from refcodec.models.trained import Trained, load_trained
from refcodec.quantize.calibrate import observe
from refcodec.quantize.choices import Choices, choose
from refcodec.quantize.integerise import integerise
from refcodec.quantize.photographs import find_photographs, load_latents, load_photographs
from refcodec.quantize.recipe import Recipe, check_widths
from refcodec.study.folder import digest
from refcodec.study.precision.folder import StudyFolder

# On photographs they spread the rate about 2.5 to 1, and PSNR falls from step to step.
STEPS = (1.0, 1.5, 2.25, 3.375)
PRECISIONS = ("W4A4", "W8A8", "W12A12", "W16A16")


@dataclass(frozen=True, slots=True)
class RatePoint:
    """A checkpoint at one step of its latent.

    identity  SHA-256 of everything that decides its figures; two points are equal if theirs are
    recipes   by precision, such as W8A8.
    """

    identity: str
    step: float = field(compare=False)
    trained: Trained = field(compare=False)
    recipes: Mapping[str, Recipe] = field(compare=False)


@lru_cache(maxsize=1)  # a worker goes through the pictures of one point before it goes on
def codecs(point: RatePoint) -> Mapping[str, Codec]:
    """The integer codec of every precision."""
    return {precision: codec_of(integerise(point.trained, recipe)) for precision, recipe in point.recipes.items()}


@dataclass(frozen=True, slots=True)
class Calibration:
    """The photographs that steps are chosen on: a folder, and at most how many of its pictures."""

    folder: Path
    count: int

    def pictures(self) -> list[Path]:
        """The photographs.  Raises FileError RC-FILE-READ if there is none."""
        return find_photographs(self.folder, self.count)

    def key(self) -> str:
        """SHA-256 of the bytes of the photographs."""
        return digest([hashlib.sha256(read_bytes(path)).hexdigest() for path in self.pictures()])


def widths(precision: str) -> tuple[int, int]:
    """Weight and activation bits of a name such as W8A8.  Raises RangeError RC-USAGE, RC-RANGE."""
    found = re.fullmatch(r"[Ww](\d{1,3})[Aa](\d{1,3})", precision)
    if not found:
        raise RangeError(f"a precision is written as W8A8, got {precision!r}", "RC-USAGE")
    weights, activations = int(found[1]), int(found[2])
    check_widths(weights, activations)
    return weights, activations


def rate_points(
    checkpoint: Path, steps: Sequence[float], precisions: Sequence[str], calibration: Calibration, folder: StudyFolder
) -> list[RatePoint]:
    """The points of a curve; recipes that the folder has are taken from it, others chosen and put there.

    Raises RangeError, ModelError, FileError, ImageError.
    """
    parameters, metadata, trained = load_parameters(checkpoint), read_metadata(checkpoint), load_trained(checkpoint)
    photographs = calibration.key()
    points = []
    for step in steps:
        stepped = _at_step(trained, parameters, metadata, step, calibration)
        key = digest([__version__, trained.provenance["source_sha256"], step, photographs])
        recipes = _recipes(stepped, step, precisions, calibration, folder, key)
        models = {precision: integerise(stepped, recipe).identity for precision, recipe in recipes.items()}
        points.append(RatePoint(digest([key, models]), step, stepped, recipes))
    return points


def _at_step(
    trained: Trained, parameters: Parameters, metadata: Mapping[str, str], step: float, calibration: Calibration
) -> Trained:
    """The same codec with a latent of y / step, and the tables that go with it."""
    architecture = trained.twin.architecture
    changed = rescaled(parameters, architecture, step)
    twin, tables = FloatCodec(changed, metadata), trained.y_tables
    if step != 1 and architecture.family == FACTORISED:
        tables = _stepped_tables(twin, changed, calibration)
    return Trained(twin, trained.z_tables, tables, {**trained.provenance, "latent_step": f"{step:g}"})


def _stepped_tables(twin: FloatCodec, parameters: Parameters, calibration: Calibration) -> FrequencyTables:
    """Tables of y from its density, or counted on photographs where there is none."""
    if twin.architecture.density_channels:
        return factorised_tables(parameters, twin.architecture.bottleneck)
    return counted_tables(twin, load_photographs(calibration.pictures(), twin.multiple))


def _recipes(
    trained: Trained,
    step: float,
    precisions: Sequence[str],
    calibration: Calibration,
    folder: StudyFolder,
    key: str,
) -> dict[str, Recipe]:
    """One recipe a precision; the float decoder is observed only if one of them is not in the folder yet."""
    found = {precision: folder.recipe(step, precision, key) for precision in precisions}
    missing = [precision for precision, recipe in found.items() if recipe is None]
    if missing:
        seen = observe(trained.twin, load_latents(trained.twin, calibration.folder, calibration.count))
        for precision in missing:
            weights, activations = widths(precision)
            recipe = choose(trained.twin, seen, Choices(weights, activations, weights))
            folder.keep_recipe(step, precision, key, recipe)
            found[precision] = recipe
    return {precision: recipe for precision, recipe in found.items() if recipe is not None}
