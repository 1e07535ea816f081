"""Mean-scale-hyperprior image codec: stream in, picture out (SPEC MSH-1 to MSH-4, PIC-1 to PIC-3).

z symbols --h_s--> indexes, means --rANS--> y symbols --means--> y_hat --g_s--> picture --crop--> result
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from refcodec.codecs.codec import Formats, Latents, program_formats
from refcodec.codecs.latent_coding import accept, channel_rows, covering, symbols_about
from refcodec.codecs.model_tables import check_rows, model_tables
from refcodec.codecs.picture import crop
from refcodec.codecs.program_checks import (
    enlargements,
    family_programs,
    mean_fraction,
    require_latent,
    require_parameters,
    require_picture,
    require_symbols,
)
from refcodec.codecs.stream import HYPER_LATENT, Geometry, open_stream, pack
from refcodec.entropy.rans import decode as rans_decode
from refcodec.entropy.rans import encode as rans_encode
from refcodec.entropy.tables import FrequencyTables
from refcodec.layers.latent_mean import SYMBOL_FORMAT, latent_means
from refcodec.layers.scale_index import THRESHOLDS
from refcodec.program.model_file import Model
from refcodec.program.operations import Size
from refcodec.program.program import Program, Tap

FAMILY = "mean-scale-hyperprior"


@dataclass(frozen=True, slots=True, eq=False)
class MeanScaleHyperprior:
    """The integer decoder of one model (SPEC MSH-1).  Raises ModelError RC-MODEL-FAMILY, -SCHEMA, -TABLE, -TENSOR.

    fraction  0..16, y_hat and its means are in units of 2**-fraction.
    """

    identity: str
    fraction: int
    h_s: Program
    g_s: Program
    z_tables: FrequencyTables
    y_tables: FrequencyTables
    latent_stride: int = field(init=False)  # picture samples to one y sample, along each axis
    multiple: int = field(init=False)  # picture samples to one z sample

    def __post_init__(self) -> None:
        z = require_symbols(self.h_s, "z")
        channels = require_parameters(self.h_s, self.fraction)
        require_latent(self.g_s, self.fraction, channels)
        require_picture(self.g_s)
        check_rows(self.z_tables, z.channels, self.y_tables, THRESHOLDS + 1)
        hyper, latent = enlargements(self.programs)
        object.__setattr__(self, "latent_stride", latent)
        object.__setattr__(self, "multiple", hyper * latent)

    @classmethod
    def from_model(cls, model: Model) -> MeanScaleHyperprior:
        """The decoder that a model file describes (SPEC MSH-1)."""
        h_s, g_s = family_programs(model, FAMILY, "h_s", "g_s")
        return cls(model.identity, mean_fraction(model), h_s, g_s, *model_tables(model, "z", "y"))

    @property
    def family(self) -> str:
        """What the model says it is."""
        return FAMILY

    @property
    def programs(self) -> tuple[Program, ...]:
        """h_s and g_s."""
        return (self.h_s, self.g_s)

    def formats(self) -> Formats:
        """Those of the tensors of h_s and g_s, and of the symbols y."""
        return program_formats(self.programs) | {"y": SYMBOL_FORMAT}

    def latent_sizes(self, geometry: Geometry) -> tuple[Size, Size]:
        """Heights and widths of z and y for a picture (SPEC PIC-1)."""
        height, width = covering(geometry, self.multiple)
        scale = self.multiple // self.latent_stride
        return (height, width), (scale * height, scale * width)

    def decode_latents(self, content: bytes, tap: Tap | None = None) -> tuple[Latents, Geometry]:
        """The latent y_hat (M, h, w) of a stream, its symbols z (N, h', w'), and its geometry (SPEC MSH-2).

        tap  called with every tensor of h_s, and with the symbols y.  Raises StreamError.
        """
        stream = open_stream(content, self.identity, HYPER_LATENT)
        rows = channel_rows(self.z_tables.rows, self.latent_sizes(stream.geometry)[0])
        z = rans_decode(stream.payloads["ZSYM"], rows, self.z_tables, stream.offsets["ZSYM"])
        found = self.h_s.run_all({"z": z}, tap)
        y = rans_decode(stream.payloads["YSYM"], found["indexes"], self.y_tables, stream.offsets["YSYM"])
        if tap:
            tap("y", y)
        return Latents(latent_means(y, found["means"], self.fraction), z), stream.geometry

    def decode(self, content: bytes, tap: Tap | None = None) -> np.ndarray:
        """Decode a stream into a picture, every tensor of h_s and g_s and the symbols y to the tap (SPEC MSH-2).

        Returns (H, W, 3) or (H, W) uint8.  Raises StreamError.
        """
        latents, geometry = self.decode_latents(content, tap)
        return crop(self.g_s.run(latents.y, tap), geometry)

    def encode(self, latents: Latents, geometry: Geometry) -> bytes:
        """Code y (M, h, w) in units of 2**-fraction and z (N, h', w') into a stream (SPEC MSH-4).

        Raises ShapeError, RangeError.
        """
        z_size, y_size = self.latent_sizes(geometry)
        rows = channel_rows(self.z_tables.rows, z_size)
        z = accept(latents, rows.shape, (self.g_s.input.channels, *y_size), geometry)
        found = self.h_s.run_all({"z": z})
        y = symbols_about(latents.y, found["means"], self.fraction)
        y_payload = rans_encode(y, found["indexes"], self.y_tables)
        return pack(geometry, self.identity, {"ZSYM": rans_encode(z, rows, self.z_tables), "YSYM": y_payload})
