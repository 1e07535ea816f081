"""The integer decoder of an implicit video: a frame number in, a picture out (SPEC INR-5, INR-11)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcodec.codecs.codec import Formats, program_formats
from refcodec.codecs.inr.nodes import FRAME
from refcodec.codecs.inr.program import program_of
from refcodec.codecs.inr.quantised import Video
from refcodec.codecs.inr.stream import parse, read_layout
from refcodec.codecs.picture import crop
from refcodec.codecs.stream import Geometry
from refcodec.errors import ModelError, RangeError, StreamError
from refcodec.program.program import Program, Tap


@dataclass(frozen=True, slots=True, eq=False)
class InrVideo:
    """An implicit video, ready to decode any of its frames (SPEC INR-11)."""

    video: Video
    program: Program

    @classmethod
    def of(cls, video: Video) -> InrVideo:
        """The decoder of quantised parameters.  Raises ModelError RC-MODEL-OVERFLOW."""
        return cls(video, program_of(video))

    @classmethod
    def from_bytes(cls, content: bytes) -> InrVideo:
        """The decoder of a stream, every byte of which is checked (SPEC RCV-2).

        Raises StreamError, those of `parse`, and RC-STREAM-LIMIT where an accumulator needs more than 48 bits.
        """
        video = parse(content)
        try:
            return cls.of(video)
        except ModelError as error:
            raise StreamError("RC-STREAM-LIMIT", error.message, read_layout(content).payloads_at) from error

    @property
    def frames(self) -> int:
        """How many there are."""
        return self.video.architecture.frames

    @property
    def geometry(self) -> Geometry:
        """Of every picture."""
        return Geometry(self.video.architecture.width, self.video.architecture.height, 3)

    @property
    def programs(self) -> tuple[Program, ...]:
        """The only one."""
        return (self.program,)

    def formats(self) -> Formats:
        """The format of every tensor that a decode may report, by name."""
        return program_formats([self.program])

    def decode(self, index: int, tap: Tap | None = None) -> np.ndarray:
        """The picture of a frame, whatever was decoded before (SPEC INR-11).

        index  0 .. frames - 1;  tap  called with the name and values of every tensor on the way.
        Returns (H, W, 3) uint8.  Raises RangeError.
        """
        return crop(self.program.run(self._number(index), tap), self.geometry)

    def _number(self, index: int) -> np.ndarray:
        if not 0 <= index < self.frames:
            raise RangeError(f"there are frames 0..{self.frames - 1}, not {index}")
        return np.full((1, 1, 1), index, self.program.tensor(FRAME).format.dtype)
