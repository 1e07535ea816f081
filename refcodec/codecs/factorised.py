"""Factorised-prior image codec: stream in, picture out (SPEC FACT-1, FACT-2, PIC-1 to PIC-3).

y symbols --g_s--> picture --crop--> result
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from refcodec.codecs.codec import Formats, Latents, program_formats
from refcodec.codecs.latent_coding import channel_rows, covering
from refcodec.codecs.model_tables import model_tables
from refcodec.codecs.picture import crop
from refcodec.codecs.program_checks import enlargements, family_programs, require_picture, require_symbols
from refcodec.codecs.stream import LATENT_ONLY, Geometry, open_stream, pack
from refcodec.entropy.rans import decode as rans_decode
from refcodec.entropy.rans import encode as rans_encode
from refcodec.entropy.tables import FrequencyTables
from refcodec.errors import ModelError, ShapeError
from refcodec.program.model_file import Model
from refcodec.program.operations import Size
from refcodec.program.program import Program, Tap

FAMILY = "factorised"


@dataclass(frozen=True, slots=True, eq=False)
class Factorised:
    """The integer decoder of one model (SPEC FACT-1).  Raises ModelError RC-MODEL-FAMILY, -SCHEMA, -TABLE, -TENSOR."""

    identity: str
    g_s: Program
    y_tables: FrequencyTables
    multiple: int = field(init=False)  # picture samples to one y sample, along each axis

    def __post_init__(self) -> None:
        y = require_symbols(self.g_s, "y")
        require_picture(self.g_s)
        if self.y_tables.rows != y.channels:
            raise ModelError("RC-MODEL-TABLE", f"expected {y.channels} y tables")
        object.__setattr__(self, "multiple", enlargements([self.g_s])[0])

    @classmethod
    def from_model(cls, model: Model) -> Factorised:
        """The decoder that a model file describes (SPEC FACT-1)."""
        (g_s,) = family_programs(model, FAMILY, "g_s")
        return cls(model.identity, g_s, *model_tables(model, "y"))

    @property
    def family(self) -> str:
        """What the model says it is."""
        return FAMILY

    @property
    def programs(self) -> tuple[Program, ...]:
        """g_s."""
        return (self.g_s,)

    @property
    def fraction(self) -> int:
        """Symbols without means."""
        return 0

    def formats(self) -> Formats:
        """Those of the tensors of g_s."""
        return program_formats(self.programs)

    def latent_sizes(self, geometry: Geometry) -> tuple[None, Size]:
        """No z; height and width of y for a picture (SPEC PIC-1)."""
        return None, covering(geometry, self.multiple)

    def decode_latents(self, content: bytes, tap: Tap | None = None) -> tuple[Latents, Geometry]:
        """The symbols of a stream, y (M, h, w) int16, and its geometry (SPEC FACT-2).  Raises StreamError."""
        stream = open_stream(content, self.identity, LATENT_ONLY)
        rows = channel_rows(self.y_tables.rows, self.latent_sizes(stream.geometry)[1])
        y = rans_decode(stream.payloads["YSYM"], rows, self.y_tables, stream.offsets["YSYM"])
        return Latents(y, None), stream.geometry

    def decode(self, content: bytes, tap: Tap | None = None) -> np.ndarray:
        """Decode a stream into a picture, every tensor of g_s to the tap (SPEC FACT-2).

        Returns (H, W, 3) or (H, W) uint8.  Raises StreamError.
        """
        latents, geometry = self.decode_latents(content, tap)
        return crop(self.g_s.run(latents.y, tap), geometry)

    def encode(self, latents: Latents, geometry: Geometry) -> bytes:
        """Code symbols y (M, h, w) of 16 bits into a stream (SPEC FACT-2).  Raises ShapeError, RangeError."""
        rows = channel_rows(self.y_tables.rows, self.latent_sizes(geometry)[1])
        if latents.z is not None or latents.y.shape != rows.shape:
            found = f"{latents.y.shape}{'' if latents.z is None else ' and z'}"
            raise ShapeError(f"latents {found} do not belong to {geometry.width}x{geometry.height}")
        return pack(geometry, self.identity, {"YSYM": rans_encode(latents.y, rows, self.y_tables)})
