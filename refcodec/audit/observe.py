"""What tensors take on data: ranges, saturation, constant channels, codes that never occur (SPEC AUD-4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from refcodec.audit.bounds import WIDEST, Saturating, clip_limits
from refcodec.codecs.checkerboard import PASSES
from refcodec.codecs.family import codec_of
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.picture import read_picture
from refcodec.codecs.video import PICTURES, read_clip
from refcodec.errors import FileError, RefcodecError, StreamError
from refcodec.files import read_bytes
from refcodec.layers.gdn import gdn_divisor, gdn_norm
from refcodec.models.encoder import analysis_of, encode_latents, encode_picture
from refcodec.models.latent_file import SUFFIX, read_latent
from refcodec.program.model_file import Model
from refcodec.program.operations import AnyOperation, Clip, Gdn, InverseGdn, Tensor
from refcodec.program.program import Program

COUNTED_BITS = 16  # the widest format whose codes are counted one by one
STREAM = ".rcb"
PREFIXES = ("", *(f"{name}." for name, _ in PASSES))  # under which a decode reports the tensors of a program


@dataclass(slots=True, eq=False)
class Seen:
    """What a tensor took.

    lo, hi  (C,) int64;  codes  (2**bits,) bool, which values occurred, None for formats above 16 bits.
    """

    lo: np.ndarray
    hi: np.ndarray
    codes: np.ndarray | None
    samples: int = 0

    @classmethod
    def nothing(cls, tensor: Tensor) -> Seen:
        """Before the first sample."""
        codes = np.zeros(1 << tensor.format.bits, bool) if tensor.format.bits <= COUNTED_BITS else None
        limits = np.iinfo(np.int64)
        return cls(np.full(tensor.channels, limits.max), np.full(tensor.channels, limits.min), codes)

    def add(self, values: np.ndarray, tensor: Tensor) -> None:
        """More samples (C, H, W)."""
        self.lo = np.minimum(self.lo, values.min(axis=(1, 2)))
        self.hi = np.maximum(self.hi, values.max(axis=(1, 2)))
        self.samples += values.size
        if self.codes is not None:
            self.codes[(values.astype(np.int64) - tensor.format.lo).ravel()] = True


@dataclass(slots=True, eq=False)
class Clipped:
    """How many samples a saturation changed, and what they were before it.

    below, above  (C,) int64 counts;  lo, hi  the smallest and the largest value before saturation.
    """

    below: np.ndarray
    above: np.ndarray
    lo: int = np.iinfo(np.int64).max
    hi: int = np.iinfo(np.int64).min
    samples: int = 0

    @classmethod
    def nothing(cls, target: Tensor) -> Clipped:
        """Before the first sample."""
        return cls(np.zeros(target.channels, np.int64), np.zeros(target.channels, np.int64))

    def add(self, values: np.ndarray, lo: int, hi: int) -> None:
        """More samples (C, H, W), before they are limited to lo .. hi."""
        self.below += (values < lo).sum(axis=(1, 2))
        self.above += (values > hi).sum(axis=(1, 2))
        self.lo, self.hi = min(self.lo, int(values.min())), max(self.hi, int(values.max()))
        self.samples += values.size


@dataclass(slots=True, eq=False)
class Divisors:
    """The smallest and the largest divisor of a normalisation."""

    lo: int = np.iinfo(np.int64).max
    hi: int = 0

    def add(self, op: Gdn | InverseGdn, x: np.ndarray) -> None:
        """Those of more samples (C, H, W)."""
        found = gdn_divisor(gdn_norm(x, op.norm), op.squared, op.norm_shift)
        self.lo, self.hi = min(self.lo, int(found.min())), max(self.hi, int(found.max()))


@dataclass(slots=True, eq=False)
class Record:
    """What the tensors and operations of one program did, by name."""

    seen: dict[str, Seen] = field(default_factory=dict)
    clipped: dict[str, Clipped] = field(default_factory=dict)
    divisors: dict[str, Divisors] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Run:
    """Follows the runs of a program, each from its inputs to its last operation, into a record.

    live  the tensors of the present run that later operations read.
    """

    program: Program
    record: Record
    live: dict[str, np.ndarray] = field(default_factory=dict)

    def tap(self, name: str, values: np.ndarray) -> None:
        """The next tensor of a run. One that no run of this program gave is passed over: its inputs are missing."""
        position = next((n for n, op in enumerate(self.program.operations) if op.target == name), None)
        if position is None:  # an input counts when the first operation shows that this program reads it
            self.live[name] = values
            return
        op = self.program.operations[position]
        inputs = [tensor.name for tensor in self.program.inputs] if position == 0 else []
        if not self.live.keys() >= {*op.reads, *inputs}:
            return
        for each in inputs:
            self._see(each, self.live[each])
        self._operation(op, self.program.tensor(name))
        self._see(name, values)
        self.live[name] = values
        later = {read for op in self.program.operations[position + 1 :] for read in op.reads}
        self.live = {key: kept for key, kept in self.live.items() if key in later}

    def _see(self, name: str, values: np.ndarray) -> None:
        tensor = self.program.tensor(name)
        self.record.seen.setdefault(name, Seen.nothing(tensor)).add(values, tensor)

    def _operation(self, op: AnyOperation, target: Tensor) -> None:
        if not isinstance(op, Saturating):
            return
        inputs, sources = [self.live[name] for name in op.reads], [self.program.tensor(name) for name in op.reads]
        if isinstance(op, Clip):
            values = inputs[0]
        else:  # the same kernel with a target so wide that the true one limits whatever this one limits
            values = op.run(inputs, sources, Tensor(target.name, target.channels, WIDEST))
        clipped = self.record.clipped.setdefault(op.name, Clipped.nothing(target))
        clipped.add(values, *clip_limits(op, target))
        if isinstance(op, Gdn | InverseGdn):
            self.record.divisors.setdefault(op.name, Divisors()).add(op, inputs[0])


class Observer:
    """The tap of a codec's decodes: what every program did, pass by pass (SPEC AUD-4)."""

    def __init__(self, programs: Mapping[str, Program]) -> None:
        self.records = {name: Record() for name in programs}
        self._runs = {
            (prefix, name): Run(program, self.records[name])
            for prefix in PREFIXES
            for name, program in programs.items()
        }

    def tap(self, name: str, values: np.ndarray) -> None:
        """One tensor; a codec with passes puts the name of the pass before that of the tensor."""
        for (prefix, _), run in self._runs.items():
            own = name.removeprefix(prefix)
            if name.startswith(prefix) and any(tensor.name == own for tensor in run.program.tensors):
                run.tap(own, values)


def observe_streams(model: Model, streams: Iterable[tuple[str, bytes]]) -> Observer:
    """Decode streams of a model and watch every tensor.

    streams  the name of each, and its bytes.  Raises ModelError, and RefcodecError naming a stream that is refused.
    """
    codec, observer = codec_of(model), Observer(model.programs)
    for name, stream in streams:
        try:
            codec.decode(stream, observer.tap)
        except StreamError as error:
            raise RefcodecError(error.code, f"{name}: {error.message}") from error
    return observer


def observe_frames(video: InrVideo, numbers: Iterable[int]) -> Observer:
    """Decode frames of an implicit video and watch every tensor.  Raises RangeError."""
    observer = Observer({program.name: program for program in video.programs})
    for number in numbers:
        video.decode(number, observer.tap)
    return observer


def folder_streams(model: Model, folder: str | Path) -> Iterator[tuple[str, bytes]]:
    """Name and stream of a folder's files: `.rcb` as they are, pictures and latents encoded by the model's own encoder.

    Raises FileError RC-FILE-READ where there are none, ModelError RC-MODEL-ENCODER, ImageError.
    """
    paths = sorted(path for path in Path(folder).glob("*") if path.suffix.lower() in (*PICTURES, SUFFIX, STREAM))
    if not paths:
        raise FileError("RC-FILE-READ", f"{folder} is no folder with pictures, latents or streams")
    for path in paths:
        suffix = path.suffix.lower()
        if suffix == STREAM:
            yield str(path), read_bytes(path)
        elif suffix == SUFFIX:
            yield str(path), encode_latents(read_latent(path, analysis_of(model).architecture.m), model)
        else:
            yield str(path), encode_picture(read_picture(path), model)


def clip_streams(model: Model, path: str | Path) -> Iterator[tuple[str, bytes]]:
    """Name and stream of every frame of a clip that `read_clip` knows.  Raises VideoError, ModelError."""
    for number, frame in enumerate(read_clip(path)):
        yield f"frame {number} of {path}", encode_picture(frame, model)
