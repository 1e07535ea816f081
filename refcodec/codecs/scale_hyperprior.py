"""Scale-hyperprior image codec: stream in, picture out (SPEC HYP-1 to HYP-5, PIC-1 to PIC-3).

z symbols --h_s--> scale indexes --rANS--> y symbols --g_s--> picture --crop--> result
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcodec.codecs.codec import Formats, Latents, program_formats
from refcodec.codecs.latent_coding import accept, channel_rows, covering
from refcodec.codecs.model_tables import check_rows, model_tables
from refcodec.codecs.picture import crop
from refcodec.codecs.program_checks import enlargements, family_programs, require, require_picture
from refcodec.codecs.stream import HYPER_LATENT, Geometry, open_stream, pack
from refcodec.entropy.rans import decode as rans_decode
from refcodec.entropy.rans import encode as rans_encode
from refcodec.entropy.tables import FrequencyTables
from refcodec.layers.latent_mean import SYMBOL_FORMAT
from refcodec.layers.scale_index import INDEX_FORMAT, THRESHOLDS
from refcodec.program.model_file import Model
from refcodec.program.operations import Size
from refcodec.program.program import Program, Tap

FAMILY = "scale-hyperprior"
LATENT_STRIDE = 16  # picture samples to one y sample, along each axis
HYPER_STRIDE = 64  # picture samples to one z sample


@dataclass(frozen=True, slots=True, eq=False)
class ScaleHyperprior:
    """The integer decoder of one model (SPEC HYP-1).  Raises ModelError RC-MODEL-FAMILY, -SCHEMA, -TABLE, -TENSOR."""

    identity: str
    h_s: Program
    g_s: Program
    z_tables: FrequencyTables
    y_tables: FrequencyTables

    def __post_init__(self) -> None:
        z, y, indexes = self.h_s.input, self.g_s.input, self.h_s.output
        symbols = z.format == y.format == SYMBOL_FORMAT
        require(symbols, f"h_s and g_s must read {SYMBOL_FORMAT} symbols")
        fitting = indexes.format == INDEX_FORMAT and indexes.channels == y.channels
        require(fitting, f"h_s must end in scale indexes for {y.channels} channels")
        require_picture(self.g_s)
        check_rows(self.z_tables, z.channels, self.y_tables, THRESHOLDS + 1)
        wanted = HYPER_STRIDE // LATENT_STRIDE, LATENT_STRIDE
        require(enlargements([self.h_s, self.g_s]) == wanted, "h_s must enlarge four times and g_s sixteen times")

    @classmethod
    def from_model(cls, model: Model) -> ScaleHyperprior:
        """The decoder that a model file describes (SPEC HYP-1)."""
        h_s, g_s = family_programs(model, FAMILY, "h_s", "g_s")
        return cls(model.identity, h_s, g_s, *model_tables(model, "z", "y"))

    @property
    def family(self) -> str:
        """What the model says it is."""
        return FAMILY

    @property
    def programs(self) -> tuple[Program, ...]:
        """h_s and g_s."""
        return (self.h_s, self.g_s)

    @property
    def fraction(self) -> int:
        """Symbols without means."""
        return 0

    @property
    def multiple(self) -> int:
        """Picture samples to one z sample."""
        return HYPER_STRIDE

    def formats(self) -> Formats:
        """Those of the tensors of h_s and g_s."""
        return program_formats(self.programs)

    def latent_sizes(self, geometry: Geometry) -> tuple[Size, Size]:
        """Heights and widths of z and y for a picture (SPEC PIC-1)."""
        height, width = covering(geometry, HYPER_STRIDE)
        scale = HYPER_STRIDE // LATENT_STRIDE
        return (height, width), (scale * height, scale * width)

    def decode_latents(self, content: bytes, tap: Tap | None = None) -> tuple[Latents, Geometry]:
        """The symbols of a stream, y (M, 4h, 4w) and z (N, h, w) int16, and its geometry (SPEC HYP-2).

        tap  called with every tensor of h_s.  Raises StreamError.
        """
        stream = open_stream(content, self.identity, HYPER_LATENT)
        rows = channel_rows(self.z_tables.rows, self.latent_sizes(stream.geometry)[0])
        z = rans_decode(stream.payloads["ZSYM"], rows, self.z_tables, stream.offsets["ZSYM"])
        indexes = self.h_s.run(z, tap)
        y = rans_decode(stream.payloads["YSYM"], indexes, self.y_tables, stream.offsets["YSYM"])
        return Latents(y, z), stream.geometry

    def decode(self, content: bytes, tap: Tap | None = None) -> np.ndarray:
        """Decode a stream into a picture, every tensor of h_s and g_s to the tap (SPEC HYP-2).

        Returns (H, W, 3) or (H, W) uint8.  Raises StreamError.
        """
        latents, geometry = self.decode_latents(content, tap)
        return crop(self.g_s.run(latents.y, tap), geometry)

    def encode(self, latents: Latents, geometry: Geometry) -> bytes:
        """Code symbols y (M, 4h, 4w) and z (N, h, w) of 16 bits, through the same integer hyper-decoder (SPEC HYP-3).

        Raises ShapeError, RangeError.
        """
        z_size, y_size = self.latent_sizes(geometry)
        rows = channel_rows(self.z_tables.rows, z_size)
        z = accept(latents, rows.shape, (self.g_s.input.channels, *y_size), geometry)
        y_payload = rans_encode(latents.y, self.h_s.run(z), self.y_tables)
        return pack(geometry, self.identity, {"ZSYM": rans_encode(z, rows, self.z_tables), "YSYM": y_payload})
