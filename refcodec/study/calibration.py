"""What each choice of a calibration wins or loses: one model, one set of pictures, one row a choice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from refcodec.codecs.family import codec_of
from refcodec.codecs.picture import geometry_of_shape, read_picture
from refcodec.describe import table
from refcodec.errors import RangeError
from refcodec.metrics.psnr import psnr
from refcodec.models.encoder import fixed_latents, float_planes
from refcodec.models.trained import Trained
from refcodec.quantize.calibrate import Observations, observe
from refcodec.quantize.choices import Choices, choose, deviations_of
from refcodec.quantize.integerise import integerise
from refcodec.quantize.photographs import find_pictures, load_latents
from refcodec.quantize.recipe import Recipe
from refcodec.study.precision.measure import float_picture, float_size, stream_size


@dataclass(frozen=True, slots=True)
class Row:
    """One choice at one precision, means over the pictures.

    loss_db, worst_db  PSNR under the float codec, mean and of the picture that loses most
    rate_change        payload bytes against the float codec's, relative: 0.01 is one per cent.
    """

    precision: str
    choice: str
    loss_db: float
    worst_db: float
    rate_change: float


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """A picture that has been through the float codec: its latent, its PSNR in dB, and payload bytes."""

    picture: np.ndarray
    y: np.ndarray
    psnr: float
    size: int


def variants(base: Choices) -> Mapping[str, Choices]:
    """The default choices, and each of the others in its place."""
    return {
        "default: squared error, steps per channel": base,
        "min-max": replace(base, observer="minmax"),
        "percentile 99.99": replace(base, observer="percentile"),
        f"mu + k sigma, both sides, k = {base.deviations:g}": replace(base, observer="sigma"),
        f"mu + k sigma, upper side, k = {base.deviations:g}": replace(base, observer="sigma-upper"),
        "activations per tensor": replace(base, activations="tensor"),
        "activations equalised with weights": replace(base, activations="equalised"),
        "weights per tensor": replace(base, weights="tensor"),
        "weights per tensor, activations equalised": replace(base, weights="tensor", activations="equalised"),
        "weights and activations per tensor": replace(base, weights="tensor", activations="tensor"),
        "biases as trained": replace(base, correct_bias=False),
    }


def _known(trained: Trained, picture: np.ndarray) -> _Known:
    twin = trained.twin
    y = twin.analysis(float_planes(picture, twin.multiple))
    coded = twin.code(y)
    size = float_size(trained, coded)
    return _Known(picture, y, psnr(picture, float_picture(twin, coded.y_hat, picture)), size.z + size.y)


def _measured(trained: Trained, recipe: Recipe, known: Sequence[_Known], name: str) -> Row:
    codec = codec_of(integerise(trained, recipe))
    losses, rates = [], []
    for one in known:
        content = codec.encode(fixed_latents(trained.twin, one.y, codec.fraction), geometry_of_shape(one.picture.shape))
        losses.append(one.psnr - psnr(one.picture, codec.decode(content)))
        size = stream_size(content)
        rates.append((size.z + size.y) / one.size - 1)
    return Row(recipe.precision, name, float(np.mean(losses)), max(losses), float(np.mean(rates)))


def study_calibration(
    trained: Trained, images: Path, photographs: Path, count: int, precisions: Sequence[tuple[int, int]]
) -> list[Row]:
    """Every choice at every precision, on all pictures of a folder.

    photographs, count  the folder to calibrate on, and how many of it;  precisions  weight and activation bits.
    Raises FileError, ImageError, RangeError.
    """
    if "g_a" not in trained.twin.networks:
        raise RangeError("a codec without transforms gives no pictures to compare")
    known = [_known(trained, read_picture(path)) for path in find_pictures(images)]
    seen = observe(trained.twin, load_latents(trained.twin, photographs, count))
    deviations = deviations_of(trained.provenance)
    tasks = [
        (name, choices)
        for weights, activations in precisions
        for name, choices in variants(Choices(weights, activations, weights, deviations=deviations)).items()
    ]
    return list(_rows(trained, seen, known, tasks))


def _rows(
    trained: Trained, seen: Observations, known: Sequence[_Known], tasks: Sequence[tuple[str, Choices]]
) -> Iterator[Row]:
    for name, choices in tqdm(tasks, desc="choices", unit="choice", disable=None, leave=False):
        yield _measured(trained, choose(trained.twin, seen, choices), known, name)


def rows_text(rows: Sequence[Row]) -> str:
    """The rows as a table for people."""
    cells = [
        [row.precision, row.choice, f"{row.loss_db:.3f}", f"{row.worst_db:.3f}", f"{100 * row.rate_change:+.2f} %"]
        for row in rows
    ]
    return table(cells, ["precision", "choice", "loss dB", "worst dB", "rate"])


def rows_document(rows: Sequence[Row]) -> dict[str, list[dict[str, object]]]:
    """The rows for JSON."""
    return {"rows": [asdict(row) for row in rows]}
