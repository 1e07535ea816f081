"""`refcodec study drift`: why a float hyper-decoder cannot read another one's streams, counted and shown."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from refcodec import __version__
from refcodec.codecs.family import codec_of
from refcodec.codecs.picture import read_picture, write_picture
from refcodec.errors import RangeError, RefcodecError
from refcodec.files import fill_folder, new_folder
from refcodec.models.encoder import float_planes
from refcodec.models.trained import Trained, load_trained
from refcodec.quantize.calibrate import observe
from refcodec.quantize.choices import Choices, choose
from refcodec.quantize.integerise import integerise
from refcodec.study.drift.figure import curve_png, side_by_side
from refcodec.study.drift.hyper_decoders import HyperDecoder, float_decoders, integer_decoders
from refcodec.study.drift.measure import (
    FLOAT,
    INTEGER,
    HyperpriorCodec,
    Outcome,
    Reading,
    Sent,
    check_family,
    read,
    send_float,
    send_integer,
)
from refcodec.study.drift.report import curve_csv, markdown, outcomes_csv, plain_text
from refcodec.study.drift.summary import Exposure, Total, exposures, nearer_than, total

CALIBRATION = 16  # pictures at most, to choose the integer codec's steps on


@dataclass(frozen=True, slots=True, eq=False)
class Exhibit:
    """A broken picture: the row, and the panels of the figure (H, 3 W, 3) uint8."""

    outcome: Outcome
    panels: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """What was found.

    outcomes  one for every picture and decoder;  totals  one for every decoder;  curve  by size of difference
    exhibit   the picture that the fewest flips broke, the worst of those; None where none broke.
    """

    outcomes: tuple[Outcome, ...]
    totals: tuple[Total, ...]
    curve: tuple[Exposure, ...]
    exhibit: Exhibit | None

    @property
    def differing(self) -> tuple[int, int]:
        """How many readings by integer decoders differ in anything, and how many there are."""
        integers = [found for found in self.outcomes if found.arithmetic == INTEGER]
        return sum(found.differing > 0 for found in integers), len(integers)


def study_drift(trained: Trained, paths: Sequence[Path], seed: int) -> Study:
    """Send every picture in floats and in integers, and read it by every decoder.

    trained  a scale or mean-scale hyperprior; its integer codec is W8A8, calibrated on the first pictures
    seed     of 0 or more, draws the order of scattered sums.
    Raises RangeError, ModelError RC-MODEL-FAMILY, FileError RC-FILE-READ, ImageError.
    """
    if seed < 0:
        raise RangeError(f"a seed is 0 or more, got {seed}")
    check_family(trained.twin)
    codec = integer_codec(trained, paths[:CALIBRATION])
    integers = integer_decoders(codec.h_s, seed)
    outcomes: list[Outcome] = []
    counts: list[np.ndarray] = []
    exhibit = None
    with float_decoders(trained.twin, seed) as floats:
        for path in tqdm(paths, desc="drift", unit="picture", disable=None, leave=False):
            picture = read_picture(path)
            y = trained.twin.analysis(float_planes(picture, trained.twin.multiple))
            sent = send_float(trained, path.name, picture, y)
            counts.append(nearer_than(sent.parameters.values))
            for reading in (read(sent, decoder) for decoder in floats):
                outcomes.append(reading.outcome)
                exhibit = _clearest(exhibit, sent, reading)
            exact = send_integer(codec, trained.twin, path.name, picture, y)
            outcomes += [read(exact, decoder).outcome for decoder in integers]
    decoders = [(FLOAT, decoder) for decoder in floats] + [(INTEGER, decoder) for decoder in integers]
    totals = tuple(total(_of(outcomes, arithmetic, decoder), decoder.found_in) for arithmetic, decoder in decoders)
    return Study(tuple(outcomes), totals, exposures(counts), exhibit)


def integer_codec(trained: Trained, paths: Sequence[Path]) -> HyperpriorCodec:
    """The W8A8 codec of a checkpoint that was calibrated on these pictures."""
    twin = trained.twin
    latents = (twin.analysis(float_planes(read_picture(path), twin.multiple)) for path in paths)
    codec = codec_of(integerise(trained, choose(twin, observe(twin, latents), Choices())))
    assert isinstance(codec, HyperpriorCodec)  # check_family
    return codec


def _of(outcomes: Sequence[Outcome], arithmetic: str, decoder: HyperDecoder) -> list[Outcome]:
    return [found for found in outcomes if (found.arithmetic, found.decoder) == (arithmetic, decoder.name)]


def _clearest(best: Exhibit | None, sent: Sent, reading: Reading) -> Exhibit | None:
    """The exhibit so far, or this picture if it broke by fewer flips, or is worse after as many."""

    def key(outcome: Outcome) -> tuple[int, float]:
        return outcome.flips, outcome.read_psnr_db - outcome.psnr_db

    if not reading.outcome.wrong or (best is not None and key(best.outcome) <= key(reading.outcome)):
        return best
    wrong = reading.symbols != sent.symbols
    return Exhibit(reading.outcome, side_by_side(sent.decoded, reading.picture, reading.flipped, wrong))


def document_of(study: Study, trained: Trained, seed: int) -> dict[str, Any]:
    """The study as plain values: where it ran, whether the integers all agreed, totals, the curve, what is shown."""
    return {
        "refcodec": __version__,
        "checkpoint": dict(trained.provenance),
        "family": trained.twin.architecture.family,
        "seed": seed,
        "machine": platform.machine(),
        "numpy": np.__version__,
        "exact": study.differing[0] == 0,
        "totals": [asdict(found) for found in study.totals],
        "curve": [asdict(point) for point in study.curve],
        "shown": asdict(study.exhibit.outcome) if study.exhibit else None,
    }


def text_of(study: Study) -> str:
    """The study for a terminal."""
    shown = study.exhibit.outcome if study.exhibit else None
    if shown is None:
        remark = "No picture broke: take more of them."
    else:
        remark = (
            f"Shown: {shown.picture} by {shown.decoder}, {shown.flips} of {shown.indexes} indexes flipped, "
            f"{shown.wrong} symbols wrong, {shown.psnr_db:.2f} dB become {shown.read_psnr_db:.2f}."
        )
    differing, readings = study.differing
    count = f"Integer decoders: {differing} of {readings} readings differ in anything."
    return f"{plain_text(study.totals)}\n\n{count}\n{remark}"


def run_study(checkpoint: Path, paths: Sequence[Path], seed: int, output: str | Path) -> tuple[dict[str, Any], str]:
    """Study a checkpoint and write `drift.csv`, `curve.csv`, `summary.json`, `table.txt`, `table.md` and the figures.

    The figures are `drift.png`, where a picture broke, and with matplotlib `curve.png`.
    Returns the summary as plain values and as text.  Raises RefcodecError.
    """
    trained = load_trained(checkpoint)
    with new_folder(output) as folder:
        study = study_drift(trained, paths, seed)
        document, text = document_of(study, trained, seed), text_of(study)
        try:
            fill_folder(folder, {"curve.png": curve_png(study.curve, study.totals)})
        except RefcodecError as error:
            if error.code != "RC-EXTRA":
                raise
            text += f"\n{error.message}"
        if study.exhibit:
            write_picture(folder / "drift.png", study.exhibit.panels)
        texts = {
            "drift.csv": outcomes_csv(study.outcomes),
            "curve.csv": curve_csv(study.curve),
            "summary.json": json.dumps(document, indent=1) + "\n",
            "table.txt": text + "\n",
            "table.md": markdown(study.totals) + "\n",
        }
        fill_folder(folder, {name: content.encode() for name, content in texts.items()})
    return document, text
