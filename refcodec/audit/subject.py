"""What is audited: a model file, or the stream of an implicit video, which is a model too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from refcodec.audit.entropy import Frequencies, model_frequencies
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.stream import MAGIC
from refcodec.program.model_file import Model, model_from_bytes
from refcodec.program.program import Program


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A checked model (SPEC MODEL-4, RCV-2).

    model, video  one of both;  tables  the audit of the frequency tables, none in a video.
    """

    name: str
    model: Model | None
    video: InrVideo | None
    programs: Mapping[str, Program]
    tables: Mapping[str, Frequencies]

    @property
    def kind(self) -> str:
        """The family of a model."""
        return self.model.family if self.model else "implicit video"


def is_video(content: bytes) -> bool:
    """Whether a file begins as the stream of an implicit video."""
    return content[: len(MAGIC)] == MAGIC


def subject(content: bytes, name: str) -> Subject:
    """The model of a file's bytes.  Raises ModelError, StreamError."""
    if is_video(content):
        video = InrVideo.from_bytes(content)
        return Subject(name, None, video, {program.name: program for program in video.programs}, {})
    model = model_from_bytes(content, name)
    return Subject(name, model, None, dict(sorted(model.programs.items())), model_frequencies(model))
