"""What every codec family offers: latents into a stream and out of it (SPEC STREAM-4, PIC-1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from refcodec.codecs.stream import Geometry
from refcodec.formats import IntFormat
from refcodec.program.operations import Size
from refcodec.program.program import Program, Tap

Formats = dict[str, IntFormat]


@dataclass(frozen=True, slots=True, eq=False)
class Latents:
    """What a stream carries.

    y  (M, h, w) integers, the latent in units of 2**-fraction of its codec
    z  (N, h', w') integers of 16 bits, the symbols of the hyper-latent; None for a family without one.
    """

    y: np.ndarray
    z: np.ndarray | None


def program_formats(programs: Sequence[Program]) -> Formats:
    """The format of every tensor of some programs, by name."""
    return {tensor.name: tensor.format for program in programs for tensor in program.tensors}


class Codec(Protocol):
    """The integer decoder of one model, and the coder that makes its streams (SPEC STREAM-4).

    Every tensor that a decode passes to its tap has a name of its own; `formats` knows them all.
    """

    @property
    def family(self) -> str:
        """The family of the model (SPEC FAM-1)."""

    @property
    def identity(self) -> str:
        """SHA-256 of the model, in hexadecimal."""

    @property
    def programs(self) -> Sequence[Program]:
        """The programs, in the order in which a decode runs them first."""

    @property
    def fraction(self) -> int:
        """The latent is coded in units of 2**-fraction; 0 where its symbols have no means."""

    @property
    def multiple(self) -> int:
        """An encoder extends the sides of what it codes to multiples of this (SPEC PIC-1, PIC-4)."""

    def formats(self) -> Formats:
        """The format of every tensor that a decode may report, by name."""

    def latent_sizes(self, geometry: Geometry) -> tuple[Size | None, Size]:
        """Heights and widths of z, None for a family without one, and of y (SPEC PIC-1)."""

    def encode(self, latents: Latents, geometry: Geometry) -> bytes:
        """Code latents of the sizes that `latent_sizes` tells into a `.rcb` stream, by integers only.

        latents.y  at most 48 bits; with means it is rounded to a symbol of 16 bits about each, saturated.
        Raises ShapeError, RangeError.
        """

    def decode(self, content: bytes, tap: Tap | None = None) -> np.ndarray:
        """The picture of a stream, (H, W, 3) or (H, W) uint8; of a family without one, its latent (M, H, W).

        content  a whole `.rcb` stream;  tap  called with the name and values of every tensor on the way.
        Raises StreamError.
        """

    def decode_latents(self, content: bytes, tap: Tap | None = None) -> tuple[Latents, Geometry]:
        """The latents of a stream as decoded, y in units of 2**-fraction, and its geometry.  Raises StreamError."""
