"""The integer decoder of an implicit video: a frame number in, a picture out (SPEC INR-5, INR-11)."""

from __future__ import annotations

from collections.abc import Iterator
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
from refcodec.program.patches import Rectangle, run_patch
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

    def decode_plain(self, index: int, tap: Tap | None = None) -> np.ndarray:
        """The same by the plain definitions, much slower (SPEC PROG-4)."""
        return crop(self.program.run_plain(self._number(index), tap), self.geometry)

    def decode_patch(self, index: int, rectangle: Rectangle) -> np.ndarray:
        """A part of the picture of a frame, the same bytes as in the whole one (SPEC INR-11, PATCH-1).

        index  0 .. frames - 1;  rectangle  within the picture.
        Returns (height, width, 3) uint8.  Raises RangeError.
        """
        top, left, height, width = rectangle
        whole = self.geometry
        if not (0 <= top < top + height <= whole.height and 0 <= left < left + width <= whole.width):
            raise RangeError(f"a picture of {whole.height} x {whole.width} has no part {tuple(rectangle)}")
        planes = run_patch(self.program, {FRAME: self._number(index)}, rectangle)[self.program.output.name]
        return crop(planes, Geometry(width, height, 3))

    def rectangles(self, height: int, width: int) -> Iterator[Rectangle]:
        """The parts of a picture, row by row, none larger than height x width."""
        whole = self.geometry
        for top in range(0, whole.height, height):
            for left in range(0, whole.width, width):
                yield Rectangle(top, left, min(height, whole.height - top), min(width, whole.width - left))

    def decode_by_patches(self, index: int, height: int, width: int) -> np.ndarray:
        """What `decode` gives, put together from parts of height x width and what remains at the ends.

        Raises RangeError.
        """
        if height < 1 or width < 1:
            raise RangeError(f"a patch has one sample or more, not {height} x {width}")
        picture = np.empty((self.geometry.height, self.geometry.width, 3), np.uint8)
        for rectangle in self.rectangles(height, width):
            top, left, rows, columns = rectangle
            picture[top : top + rows, left : left + columns] = self.decode_patch(index, rectangle)
        return picture

    def _number(self, index: int) -> np.ndarray:
        if not 0 <= index < self.frames:
            raise RangeError(f"there are frames 0..{self.frames - 1}, not {index}")
        return np.full((1, 1, 1), index, self.program.tensor(FRAME).format.dtype)
