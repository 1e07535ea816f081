"""A hyperprior alone, as video codecs use several: stream in, latent out (SPEC EPAR-1 to EPAR-3).

z symbols --h_s--> indexes, means --crop, rANS--> y symbols --means--> y_hat
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from refcodec.codecs.codec import Formats, Latents, program_formats
from refcodec.codecs.latent_coding import accept, channel_rows, covering, symbols_about
from refcodec.codecs.model_tables import check_rows, model_tables
from refcodec.codecs.program_checks import (
    enlargements,
    family_programs,
    mean_fraction,
    require_parameters,
    require_symbols,
)
from refcodec.codecs.stream import HYPER_LATENT, MAX_PIXELS, Geometry, open_stream, pack
from refcodec.entropy.rans import decode as rans_decode
from refcodec.entropy.rans import encode as rans_encode
from refcodec.entropy.tables import FrequencyTables
from refcodec.errors import RangeError, StreamError
from refcodec.layers.latent_mean import SYMBOL_FORMAT, latent_format, latent_means
from refcodec.layers.scale_index import THRESHOLDS
from refcodec.program.model_file import Model
from refcodec.program.operations import Size
from refcodec.program.program import Program, Tap

FAMILY = "entropy-parameters"
MAX_POSITIONS = MAX_PIXELS >> 8  # of the latent of the largest picture, a sixteenth of it along each axis


@dataclass(frozen=True, slots=True, eq=False)
class EntropyParameters:
    """The integer decoder of one model (SPEC EPAR-1).  Raises ModelError RC-MODEL-FAMILY, -SCHEMA, -TABLE, -TENSOR.

    fraction  0..16, y_hat and its means are in units of 2**-fraction.
    """

    identity: str
    fraction: int
    h_s: Program
    z_tables: FrequencyTables
    y_tables: FrequencyTables
    channels: int = field(init=False)  # of y
    multiple: int = field(init=False)  # y samples to one z sample, along each axis

    def __post_init__(self) -> None:
        z = require_symbols(self.h_s, "z")
        object.__setattr__(self, "channels", require_parameters(self.h_s, self.fraction))
        check_rows(self.z_tables, z.channels, self.y_tables, THRESHOLDS + 1)
        object.__setattr__(self, "multiple", enlargements([self.h_s])[0])

    @classmethod
    def from_model(cls, model: Model) -> EntropyParameters:
        """The decoder that a model file describes (SPEC EPAR-1)."""
        (h_s,) = family_programs(model, FAMILY, "h_s")
        return cls(model.identity, mean_fraction(model), h_s, *model_tables(model, "z", "y"))

    @property
    def family(self) -> str:
        """What the model says it is."""
        return FAMILY

    @property
    def programs(self) -> tuple[Program, ...]:
        """h_s."""
        return (self.h_s,)

    def formats(self) -> Formats:
        """Those of the tensors of h_s, of the symbols y and of y_hat."""
        return program_formats(self.programs) | {"y": SYMBOL_FORMAT, "y_hat": latent_format(self.fraction)}

    def latent_sizes(self, geometry: Geometry) -> tuple[Size, Size]:
        """Heights and widths of z and of y, which is that of the geometry (SPEC EPAR-2)."""
        return covering(geometry, self.multiple), (geometry.height, geometry.width)

    def decode_latents(self, content: bytes, tap: Tap | None = None) -> tuple[Latents, Geometry]:
        """The latent y_hat (M, H, W) of a stream, its symbols z (N, h, w), and its geometry (SPEC EPAR-3).

        tap  called with every tensor of h_s, whole, and with the symbols y.  Raises StreamError.
        """
        stream = open_stream(content, self.identity, HYPER_LATENT)
        _check(stream.geometry)
        rows = channel_rows(self.z_tables.rows, self.latent_sizes(stream.geometry)[0])
        z = rans_decode(stream.payloads["ZSYM"], rows, self.z_tables, stream.offsets["ZSYM"])
        indexes, means = self._parameters(z, stream.geometry, tap)
        y = rans_decode(stream.payloads["YSYM"], indexes, self.y_tables, stream.offsets["YSYM"])
        if tap:
            tap("y", y)
        return Latents(latent_means(y, means, self.fraction), z), stream.geometry

    def decode(self, content: bytes, tap: Tap | None = None) -> np.ndarray:
        """Decode a stream into its latent y_hat (SPEC EPAR-3).

        tap  called with every tensor of h_s, the symbols y, and y_hat.
        Returns (M, H, W) in units of 2**-fraction, int32 for a fraction of 15 or less.  Raises StreamError.
        """
        latents, _ = self.decode_latents(content, tap)
        if tap:
            tap("y_hat", latents.y)
        return latents.y

    def encode(self, latents: Latents, geometry: Geometry) -> bytes:
        """Code y (M, H, W) in units of 2**-fraction and z (N, h, w) into a stream (SPEC MSH-4, EPAR-3).

        Raises ShapeError, RangeError.
        """
        if not _is_latent(geometry):
            raise RangeError(f"a latent has one channel and at most {MAX_POSITIONS} positions, got {geometry}")
        z_size, y_size = self.latent_sizes(geometry)
        rows = channel_rows(self.z_tables.rows, z_size)
        z = accept(latents, rows.shape, (self.channels, *y_size), geometry)
        indexes, means = self._parameters(z, geometry, None)
        y_payload = rans_encode(symbols_about(latents.y, means, self.fraction), indexes, self.y_tables)
        return pack(geometry, self.identity, {"ZSYM": rans_encode(z, rows, self.z_tables), "YSYM": y_payload})

    def _parameters(self, z: np.ndarray, geometry: Geometry, tap: Tap | None) -> tuple[np.ndarray, np.ndarray]:
        """Indexes and means (M, H, W), the top left of what h_s gives."""
        found = self.h_s.run_all({"z": z}, tap)
        indexes, means = (found[name][:, : geometry.height, : geometry.width] for name in ("indexes", "means"))
        return indexes, means


def _is_latent(geometry: Geometry) -> bool:
    return geometry.channels == 1 and geometry.width * geometry.height <= MAX_POSITIONS


def _check(geometry: Geometry) -> None:
    """Raise StreamError RC-STREAM-LIMIT unless a stream's geometry is that of a latent (SPEC EPAR-2)."""
    if not _is_latent(geometry):
        message = f"a latent has one channel and at most {MAX_POSITIONS} positions, got {geometry}"
        raise StreamError("RC-STREAM-LIMIT", message, 6)
