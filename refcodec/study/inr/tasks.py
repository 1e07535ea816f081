"""The streams of a study of implicit videos: what each is made from, and how it is made and measured."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from refcodec.codecs.inr.quantised import Video
from refcodec.codecs.inr.stream import pack
from refcodec.errors import ModelError
from refcodec.files import read_bytes
from refcodec.models.inr.trained import TrainedVideo, load_video
from refcodec.quantize.inr.calibrate import NEUROQUANT, Request, Target, maker_of
from refcodec.quantize.inr.evaluate import bits_per_pixel, score, twin_psnr
from refcodec.quantize.inr.neuroquant import neuroquant
from refcodec.quantize.inr.objective import Objective
from refcodec.quantize.inr.rate import VariableRate
from refcodec.quantize.inr.rivals.methods import RIVALS
from refcodec.quantize.inr.rivals.settings import Settings
from refcodec.quantize.inr.uniform import CHANNEL, TENSOR, quantise, weight_names
from refcodec.study.folder import digest
from refcodec.study.inr import rows
from refcodec.study.inr.plan import MIXED, Plan
from refcodec.study.inr.rows import Row

NAIVE = "naive"
MIXED_TOLERANCE = 0.05  # of a size that bits are chosen for
LEAST_BITS, MOST_BITS = 3, 7  # of all weights, between whose sizes the many rates lie
SEPARATE_BITS = 8
CODER_SIZES = 3  # of the many rates, every other one, at which ways to quantise and code are compared
CODERS = (
    (NAIVE, TENSOR, False),
    (NAIVE, CHANNEL, False),
    (NAIVE, CHANNEL, True),
    (NEUROQUANT, CHANNEL, False),
    (NEUROQUANT, CHANNEL, True),
)


@dataclass(frozen=True, slots=True)
class Task:
    """One stream to make.

    group  what for;  method  of quantisation;  label  of its bits;  bits  of all weights
    size  in bytes to reach, or 0;  granularity  of the steps;  trellis  whether weights are levels of it.
    """

    group: str
    method: str
    label: str
    bits: int
    size: int = 0
    granularity: str = CHANNEL
    trellis: bool = False


@dataclass(slots=True)
class Subject:
    """A network under study, and what is found out about it once.

    name  of its file;  identity  SHA-256 of that and of its clip;  tables  what bits cost, by the granularity of steps.
    """

    name: str
    identity: str
    trained: TrainedVideo
    frames: np.ndarray
    seed: int
    tables: dict[str, VariableRate] = field(default_factory=dict)
    float_db: float = field(init=False)

    def __post_init__(self) -> None:
        self.float_db = twin_psnr(self.trained.architecture, self.trained.parameters, self.frames)

    @classmethod
    def load(cls, path: Path, frames: np.ndarray, seed: int) -> Subject:
        """The network of a file.  Raises RefcodecError, RC-USAGE for one of another clip."""
        trained = load_video(path)
        shape = trained.architecture
        if (shape.frames, shape.height, shape.width) != frames.shape[:3]:
            wanted = f"{shape.frames} frames of {shape.width}x{shape.height}"
            raise ModelError("RC-USAGE", f"{path} was fitted to {wanted}, not to this clip")
        clip = hashlib.sha256(frames.tobytes()).hexdigest()
        identity = digest([hashlib.sha256(read_bytes(path)).hexdigest(), clip])
        return cls(path.stem, identity, trained, frames, seed)

    def uniform_size(self, bits: int) -> int:
        """Bytes of the stream whose weights all have so many bits."""
        return len(pack(quantise(self.trained, bits)))

    def variable_rate(self, request: Request) -> VariableRate:
        """The network ready for any size by one method; what bits cost is measured once."""
        granularity = request.settings.granularity
        objective = Objective.of(self.trained, self.frames)
        maker = maker_of(self.trained, self.frames, objective, request)
        if granularity not in self.tables:
            self.tables[granularity] = VariableRate.of(self.trained, objective, maker, granularity=granularity)
        return replace(self.tables[granularity], maker=maker)

    def mixed(self, bits: int, settings: Settings) -> dict[str, int]:
        """The bits that Omega chooses for the size of so many for every weight, within the tolerance."""
        size = self.uniform_size(bits)
        rates = self.variable_rate(Request(Target(), settings, NAIVE))
        return rates.bits_for(size * (1 - MIXED_TOLERANCE), size * (1 + MIXED_TOLERANCE))


def tasks_of(plan: Plan, subject: Subject, first: bool) -> list[Task]:
    """The streams of one network; the tables beyond the methods' are made for the first one only."""
    found = [Task(rows.METHODS, method, label, int(label)) for label in plan.bits for method in plan.methods]
    if not first:
        return found
    found += [
        Task(rows.STEPS, method, "4", 4, granularity=granularity)
        for granularity in (TENSOR, CHANNEL)
        for method in (NAIVE, NEUROQUANT)
    ]
    if plan.rates:
        ends = [subject.uniform_size(bits) for bits in (LEAST_BITS, MOST_BITS)]
        sizes = np.geomspace(ends[0], ends[1], plan.rates).round().astype(int).tolist()
        found += [Task(rows.RATES, NEUROQUANT, "mixed", 0, size) for size in sizes]
        found += [Task(rows.RATES, NAIVE, str(bits), bits) for bits in range(LEAST_BITS, SEPARATE_BITS + 1)]
        found += [
            Task(rows.CODERS, method, "mixed", 0, size, granularity, trellis)
            for size in sizes[: 2 * CODER_SIZES : 2]
            for method, granularity, trellis in CODERS
        ]
    return found


def separate_task() -> Task:
    """The stream of a network that was fitted for its rate."""
    return Task(rows.SEPARATE, NAIVE, str(SEPARATE_BITS), SEPARATE_BITS)


def task_key(task: Task, subject: Subject, plan: Plan) -> str:
    """A digest of everything the row depends on."""
    budget = 0 if task.method == NAIVE else plan.evaluations
    spent = [budget, plan.batch, plan.seed] if budget else []
    return digest(
        [subject.identity, task.method, task.label, task.bits, task.size, task.granularity, task.trellis, spent]
    )


def run_task(task: Task, subject: Subject, plan: Plan, progress: Callable[[float], None]) -> Row:
    """Make one stream and measure it."""
    settings = Settings(plan.evaluations, plan.batch, plan.seed, task.granularity, progress=progress)
    if task.size:
        rates = subject.variable_rate(Request(Target(size=task.size), settings, task.method, trellis=task.trellis))
        begin = time.perf_counter()
        video = rates.at(task.size).video
        return _row(task, subject, plan, video, time.perf_counter() - begin)
    mixed = task.group == rows.METHODS and task.label == MIXED
    bits: int | Mapping[str, int] = subject.mixed(task.bits, settings) if mixed else task.bits
    begin = time.perf_counter()
    method = neuroquant if task.method == NEUROQUANT else RIVALS[task.method]
    video = method(subject.trained, subject.frames, bits, settings)
    return _row(task, subject, plan, video, time.perf_counter() - begin)


def _row(task: Task, subject: Subject, plan: Plan, video: Video, seconds: float) -> Row:
    found = score(video, subject.frames)
    weights = [video.parameters[name] for name in weight_names(video.architecture)]
    mean = sum(w.bits * w.values.size for w in weights) / sum(w.values.size for w in weights)
    method = f"{task.method}, trellis" if task.trellis else task.method
    rate = bits_per_pixel(found.size, video.architecture)
    return Row(
        subject.name, task.group, method, task.label, round(mean, 3), task.granularity,
        0 if task.method == NAIVE else plan.evaluations, found.size, round(rate, 5), round(found.integer, 4),
        round(found.twin, 4), round(subject.float_db, 4), round(seconds, 1),
    )  # fmt: skip
