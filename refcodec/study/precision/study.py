"""`refcodec study precision`: what integer decoders of each width cost, as rate-distortion curves against float."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from textwrap import fill
from typing import Any

from tqdm import tqdm

from refcodec import __version__
from refcodec.errors import RangeError, RefcodecError
from refcodec.files import read_bytes
from refcodec.models.architecture import Architecture
from refcodec.models.latent_step import check_step
from refcodec.models.trained import Trained, load_trained
from refcodec.quantize.options import PICTURES
from refcodec.quantize.photographs import find_pictures
from refcodec.study.folder import digest
from refcodec.study.precision.figure import figure_files
from refcodec.study.precision.folder import SCHEMA, StudyFolder, open_study
from refcodec.study.precision.measure import PARTS, Row, parts_of
from refcodec.study.precision.points import PRECISIONS, STEPS, Calibration, RatePoint, rate_points, widths
from refcodec.study.precision.report import csv_text, markdown_table, notes, plain_table
from refcodec.study.precision.summary import Summary, summarise
from refcodec.study.precision.workers import Task, import_distributed, run_here, run_on_cluster

WIDTH = 120  # of the notes below a table


@dataclass(frozen=True, slots=True)
class Plan:
    """What to study.

    checkpoint   float model;  images  folder of pictures to code;  output  folder, new or of an earlier run
    calibrate    folder of photographs to choose steps on, other than the pictures;  photographs  at most how many
    precisions   such as W8A8;  parts  of "hyper", "synthesis", "both";  steps  of the latent, 1 as trained
    cluster      address of a Dask scheduler, "" to compute here.
    Raises RangeError RC-USAGE, RC-RANGE.
    """

    checkpoint: Path
    images: Path
    calibrate: Path
    output: Path
    precisions: tuple[str, ...] = PRECISIONS
    parts: tuple[str, ...] = PARTS
    steps: tuple[float, ...] = STEPS
    photographs: int = PICTURES
    cluster: str = ""

    def __post_init__(self) -> None:
        for name in ("precisions", "parts", "steps"):
            values = [str(value).upper() for value in getattr(self, name)]
            if not values or len(set(values)) < len(values):
                raise RangeError(f"wanted one or more {name}, none twice, got {', '.join(values)}", "RC-USAGE")
        for precision in self.precisions:
            widths(precision)
        for step in self.steps:
            check_step(step)
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown:
            raise RangeError(f"a part is one of {', '.join(PARTS)}, got {unknown[0]!r}", "RC-USAGE")


@dataclass(frozen=True, slots=True)
class Study:
    """What a run made: its summary, the same for people and as plain values."""

    summary: Summary
    text: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What the reports are made of: the codec as trained, how its recipes were chosen, the rows, remarks for people."""

    trained: Trained
    method: str
    rows: list[Row]
    remarks: list[str]


def study_precision(plan: Plan) -> Study:
    """Measure every picture at every step, or take up what an earlier run measured, and write the reports.

    The output folder gets `results/` and `recipes/` as it goes, then `results.csv`, `summary.json`, `table.txt`,
    `table.md`, and with matplotlib `rd.png` and `rd.svg`. Other files in it stay as they are.
    Raises RefcodecError.
    """
    if plan.cluster:
        import_distributed()
    pictures = find_pictures(plan.images)
    calibration = Calibration(plan.calibrate, plan.photographs)
    calibration.pictures()
    parts, remarks = _parts(load_trained(plan.checkpoint).twin.architecture, plan.parts)
    folder = open_study(plan.output)  # what can be refused is refused by now
    precisions = [precision.upper() for precision in plan.precisions]
    points = rate_points(plan.checkpoint, plan.steps, precisions, calibration, folder)
    trained = points[0].trained
    method = points[0].recipes[precisions[0]].method
    rows = _rows(_tasks(points, pictures, parts), folder, plan.cluster)
    return _report(plan, _Found(trained, method, rows, remarks), folder)


def _parts(architecture: Architecture, wanted: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """The parts of those wanted that the codec has, and a remark on those it has not."""
    if architecture.backbone == "none":
        raise RangeError(f"{architecture.family}: this checkpoint codes latents, not pictures", "RC-USAGE")
    possible = parts_of(architecture)
    missing = [part for part in wanted if part not in possible]
    parts = tuple(part for part in wanted if part in possible)
    if not parts:
        raise RangeError(f"a {architecture.family} codec has no part {', '.join(missing)}", "RC-USAGE")
    remarks = [f"A {architecture.family} codec has no hyper-decoder: that part is left out."] if missing else []
    return parts, remarks


def _tasks(points: Sequence[RatePoint], pictures: Sequence[Path], parts: tuple[str, ...]) -> list[Task]:
    """Point by point, so that a worker builds its codecs once for each."""
    contents = {path: hashlib.sha256(read_bytes(path)).hexdigest() for path in pictures}
    return [
        Task(
            point,
            path,
            parts,
            f"{path.name}-step{point.step:g}",
            digest([point.identity, parts, path.name, contents[path]]),
        )
        for point in points
        for path in pictures
    ]


def _rows(tasks: Sequence[Task], folder: StudyFolder, cluster: str) -> list[Row]:
    """The rows of all tasks in their order; each is stored as soon as it is there."""
    found = {task.key: _stored(folder, task) for task in tasks}
    left = [task for task in tasks if found[task.key] is None]
    with tqdm(
        total=len(tasks), initial=len(tasks) - len(left), desc="study", unit="picture", disable=None, leave=False
    ) as bar:
        for task, rows in _run(left, cluster):
            folder.keep_rows(task.name, task.key, [asdict(row) for row in rows])
            found[task.key] = rows
            bar.update()
    return [row for task in tasks for row in found[task.key] or []]


def _run(tasks: Sequence[Task], cluster: str) -> Iterator[tuple[Task, list[Row]]]:
    if not tasks:
        return iter(())
    return run_on_cluster(tasks, cluster) if cluster else run_here(tasks)


def _stored(folder: StudyFolder, task: Task) -> list[Row] | None:
    """The rows of an earlier run, None where there are none or they are damaged."""
    rows = folder.rows(task.name, task.key)
    names = {item.name for item in fields(Row)}
    if rows is None or any(row.keys() != names for row in rows):
        return None
    return [Row(**row) for row in rows]


def _report(plan: Plan, found: _Found, folder: StudyFolder) -> Study:
    """Write the reports into the folder."""
    summary = summarise(found.rows)
    remarks = list(found.remarks)
    try:
        figures = figure_files(summary)
    except RefcodecError as error:  # the figures are all that needs the extra
        figures = {}
        remarks.append(f"No plot: {error.message}.")
    document = _document(plan, found, summary, remarks)
    texts = [notes(summary, plan.steps), *remarks]
    text = "\n\n".join([plain_table(summary), *(fill(line, WIDTH) for line in texts)])
    files = {
        "results.csv": csv_text(found.rows),
        "summary.json": json.dumps(document, indent=1, allow_nan=False) + "\n",
        "table.txt": text + "\n",
        "table.md": "\n\n".join([markdown_table(summary), *texts]) + "\n",
    }
    folder.write({name: content.encode() for name, content in files.items()} | figures)
    return Study(summary, text, document)


def _document(plan: Plan, found: _Found, summary: Summary, remarks: Sequence[str]) -> dict[str, Any]:
    """A study as plain values: what went in, what came out."""
    return {
        "schema": SCHEMA,
        "version": __version__,
        "model": plan.checkpoint.name,
        "sha256": found.trained.provenance["source_sha256"],
        "family": found.trained.twin.architecture.family,
        "backbone": found.trained.twin.architecture.backbone,
        "method": found.method,
        "photographs": plan.photographs,
        "steps": list(plan.steps),
        "remarks": list(remarks),
        **asdict(summary),
    }
