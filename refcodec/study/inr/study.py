"""`refcodec study inr`: what quantisation costs implicit videos, by method, precision and rate."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from tqdm import tqdm

from refcodec import __version__
from refcodec.codecs.video import read_clip
from refcodec.errors import RefcodecError
from refcodec.fit.loop import Schedule, begin, fit_step
from refcodec.study.folder import ResultFolder, open_folder
from refcodec.study.inr import rows
from refcodec.study.inr.figure import figure_files
from refcodec.study.inr.plan import Plan
from refcodec.study.inr.report import csv_text, markdown
from refcodec.study.inr.rows import Row, Timing
from refcodec.study.inr.tasks import Subject, Task, run_task, separate_task, task_key, tasks_of

SCHEMA = "refcodec-inr-study/1"
TIMED_STEPS = 10  # of a fit, to tell what one takes


@dataclass(frozen=True, slots=True)
class Study:
    """What a run made: its tables for people, and the same as plain values."""

    text: str
    document: dict[str, Any]


def study_inr(plan: Plan) -> Study:
    """Make and measure every stream, or take up what an earlier run did, and write the reports.

    The output folder gets `results/` as it goes, then `results.csv`, `summary.json`, `tables.md`, and with matplotlib
    `rd.png` and `rd.svg`.  Raises RefcodecError.
    """
    frames = read_clip(plan.clip, plan.crop)
    subjects = [Subject.load(path, frames, plan.seed) for path in plan.models]
    others = [Subject.load(path, frames, plan.seed) for path in plan.separate]
    folder = open_folder(plan.output, SCHEMA, "study of implicit videos")  # what can be refused is refused by now
    jobs = [(subject, task) for k, subject in enumerate(subjects) for task in tasks_of(plan, subject, k == 0)]
    jobs += [(subject, separate_task()) for subject in ([*others, subjects[0]] if plan.rates else others)]
    found = _rows(jobs, plan, folder)
    timings = _timings(subjects[0], found, plan) if plan.rates else []
    return _report(plan, found, timings, folder)


def _rows(jobs: list[tuple[Subject, Task]], plan: Plan, folder: ResultFolder) -> list[Row]:
    """The rows of all jobs in their order; each is stored as soon as it is there."""
    found = []
    with tqdm(total=len(jobs), desc="study", unit="stream", disable=None, leave=False) as bar:
        for subject, task in jobs:
            key, name = task_key(task, subject, plan), f"{subject.name}-{task.method}-{task.label}-{task.granularity}"
            stored = folder.rows(name, key)
            if stored and stored[0].keys() == {item.name for item in fields(Row)}:
                row = Row(**{**stored[0], "group": task.group})
            else:
                bar.set_postfix_str(name)
                row = run_task(task, subject, plan, lambda done: None)
                folder.keep_rows(name, key, [asdict(row)])
            found.append(row)
            bar.update()
    return found


def _timings(subject: Subject, found: list[Row], plan: Plan) -> list[Timing]:
    """What a new rate costs beside a new fit, whose steps are timed here and counted by its file."""
    spent = [r.seconds for r in found if r.group == rows.RATES and r.evaluations and r.model == subject.name]
    said = subject.trained.provenance
    if not spent or "epochs" not in said:
        return []
    schedule = Schedule(int(said["epochs"]), float(said["rate"]), int(said["batch"]), int(said["seed"]))
    fit = begin(subject.trained.architecture, subject.frames, schedule.seed)
    count = len(subject.frames)
    batches = [[(k + j) % count for j in range(schedule.batch)] for k in range(TIMED_STEPS + 1)]
    fit_step(fit, subject.frames, schedule, batches[0], 0)  # compiles
    start = time.perf_counter()
    for numbers in batches[1:]:
        fit_step(fit, subject.frames, schedule, numbers, 0)
    step = (time.perf_counter() - start) / TIMED_STEPS
    steps = schedule.epochs * -(-len(subject.frames) // schedule.batch)
    return [Timing(subject.name, float(np.mean(spent)), round(step, 4), steps)]


def _report(plan: Plan, found: list[Row], timings: list[Timing], folder: ResultFolder) -> Study:
    text = markdown(found, timings)
    document = {
        "schema": SCHEMA,
        "version": __version__,
        "evaluations": plan.evaluations,
        "batch": plan.batch,
        "seed": plan.seed,
        "rows": [asdict(row) for row in found],
        "timings": [{**asdict(timing), "fit": timing.fit, "ratio": timing.ratio} for timing in timings],
    }
    files = {
        "results.csv": csv_text(found).encode(),
        "summary.json": (json.dumps(document, indent=1, allow_nan=False) + "\n").encode(),
        "tables.md": f"{text}\n".encode(),
    }
    try:
        files |= figure_files(found)
    except RefcodecError as error:  # the figures are all that needs the extra
        text += f"\n\nNo plot: {error.message}."
    folder.write(files)
    return Study(text, document)
