"""Serial autoregressive image codec: stream in, picture out (SPEC AR-1 to AR-4, PIC-1 to PIC-3).

z symbols --h_s--> side
at each position, in raster order:
    window of y_hat --context--> context, side --entropy_parameters--> indexes, means --rANS--> symbols --means--> y_hat
y_hat --g_s--> picture --crop--> result
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from refcodec.codecs.codec import Formats, Latents, program_formats
from refcodec.codecs.latent_coding import accept, channel_rows, covering, symbols_about
from refcodec.codecs.model_tables import check_rows, model_tables
from refcodec.codecs.picture import crop
from refcodec.codecs.position import PositionProgram, one_thread
from refcodec.codecs.program_checks import (
    enlargements,
    family_programs,
    mean_fraction,
    output_size,
    require,
    require_context,
    require_latent,
    require_parameters,
    require_picture,
    require_symbols,
    setting,
)
from refcodec.codecs.stream import HYPER_LATENT, Geometry, open_stream, pack
from refcodec.entropy.rans import Decoder
from refcodec.entropy.rans import decode as rans_decode
from refcodec.entropy.rans import encode as rans_encode
from refcodec.entropy.tables import FrequencyTables
from refcodec.fixed import latent_mean
from refcodec.layers.convolution import MAX_KERNEL
from refcodec.layers.latent_mean import SYMBOL_FORMAT, latent_format
from refcodec.layers.scale_index import INDEX_FORMAT, THRESHOLDS
from refcodec.program.model_file import Model
from refcodec.program.operations import Size
from refcodec.program.program import Program, Tap

FAMILY = "autoregressive"
ONE = (1, 1)
# of a position: row, column, indexes and means (M,) -> symbols (M,) int16
CodePosition = Callable[[int, int, np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Scan:
    """What a scan finds, each (M, h, w): scale indexes, means, symbols and the latent."""

    indexes: np.ndarray
    means: np.ndarray
    y: np.ndarray
    y_hat: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Autoregressive:
    """The integer decoder of one model (SPEC AR-1).  Raises ModelError RC-MODEL-FAMILY, -SCHEMA, -TABLE, -TENSOR.

    fraction  0..16, y_hat and its means are in units of 2**-fraction
    context_kernel  rows and columns of the window that the context program reads, odd, 1..9.
    """

    identity: str
    fraction: int
    context_kernel: int
    h_s: Program
    context: Program
    entropy_parameters: Program
    g_s: Program
    z_tables: FrequencyTables
    y_tables: FrequencyTables
    latent_stride: int = field(init=False)  # picture samples to one y sample, along each axis
    multiple: int = field(init=False)  # picture samples to one z sample
    at_window: PositionProgram = field(init=False, repr=False)
    at_position: PositionProgram = field(init=False, repr=False)

    def __post_init__(self) -> None:
        z = require_symbols(self.h_s, "z")
        channels = require_parameters(self.entropy_parameters, self.fraction)
        require_latent(self.context, self.fraction, channels)
        require_latent(self.g_s, self.fraction, channels)
        require_context(self.h_s, self.context, self.entropy_parameters)
        require_picture(self.g_s)
        check_rows(self.z_tables, z.channels, self.y_tables, THRESHOLDS + 1)
        hyper, latent = enlargements((self.h_s, self.g_s))
        object.__setattr__(self, "latent_stride", latent)
        object.__setattr__(self, "multiple", hyper * latent)
        require(self.context_kernel % 2 == 1, f"the context kernel must be odd, found {self.context_kernel}")
        window, position = {"y_hat": (self.context_kernel,) * 2}, {"context": ONE, "side": ONE}
        for name, program, sizes in (
            ("at_window", self.context, window),
            ("at_position", self.entropy_parameters, position),
        ):
            require(output_size(program, sizes) == ONE, f"{program.name} must give one position")
            object.__setattr__(self, name, PositionProgram.of(program, sizes))

    @classmethod
    def from_model(cls, model: Model) -> Autoregressive:
        """The decoder that a model file describes (SPEC AR-1)."""
        h_s, context, parameters, g_s = family_programs(model, FAMILY, "h_s", "context", "entropy_parameters", "g_s")
        fraction, kernel = mean_fraction(model), setting(model, "context_kernel", 1, MAX_KERNEL)
        z_tables, y_tables = model_tables(model, "z", "y")
        return cls(model.identity, fraction, kernel, h_s, context, parameters, g_s, z_tables, y_tables)

    @property
    def family(self) -> str:
        """What the model says it is."""
        return FAMILY

    @property
    def programs(self) -> tuple[Program, ...]:
        """h_s, context, entropy_parameters and g_s."""
        return (self.h_s, self.context, self.entropy_parameters, self.g_s)

    def formats(self) -> Formats:
        """Those of the tensors of h_s and g_s, and of the whole latent, its indexes and its means."""
        means = self.entropy_parameters.tensor("means").format
        whole = {"indexes": INDEX_FORMAT, "means": means, "y": SYMBOL_FORMAT}
        return program_formats((self.h_s, self.g_s)) | whole

    def latent_sizes(self, geometry: Geometry) -> tuple[Size, Size]:
        """Heights and widths of z and y for a picture (SPEC PIC-1)."""
        height, width = covering(geometry, self.multiple)
        scale = self.multiple // self.latent_stride
        return (height, width), (scale * height, scale * width)

    def decode_latents(self, content: bytes, tap: Tap | None = None) -> tuple[Latents, Geometry]:
        """The latent y_hat (M, h, w) of a stream, its symbols z (N, h', w'), and its geometry (SPEC AR-3).

        tap  called with every tensor of h_s, and with `indexes`, `means` and `y`, each put together from all positions.
        Raises StreamError.
        """
        stream = open_stream(content, self.identity, HYPER_LATENT)
        rows = channel_rows(self.z_tables.rows, self.latent_sizes(stream.geometry)[0])
        z = rans_decode(stream.payloads["ZSYM"], rows, self.z_tables, stream.offsets["ZSYM"])
        decoder = Decoder(stream.payloads["YSYM"], self.y_tables, stream.offsets["YSYM"])

        def symbols(row: int, column: int, indexes: np.ndarray, means: np.ndarray) -> np.ndarray:
            return decoder.take(indexes)

        found = self._scan(self.h_s.run(z, tap), symbols)
        decoder.finish()
        if tap:
            for name in ("indexes", "means", "y"):
                tap(name, getattr(found, name))
        return Latents(found.y_hat, z), stream.geometry

    def decode(self, content: bytes, tap: Tap | None = None) -> np.ndarray:
        """Decode a stream into a picture (SPEC AR-3).

        tap  called as by `decode_latents`, and with every tensor of g_s.
        Returns (H, W, 3) or (H, W) uint8.  Raises StreamError.
        """
        latents, geometry = self.decode_latents(content, tap)
        return crop(self.g_s.run(latents.y, tap), geometry)

    def encode(self, latents: Latents, geometry: Geometry) -> bytes:
        """Code y (M, h, w) in units of 2**-fraction and z (N, h', w') into a stream, by the same scan (SPEC AR-4).

        Raises ShapeError, RangeError.
        """
        z_size, y_size = self.latent_sizes(geometry)
        rows = channel_rows(self.z_tables.rows, z_size)
        z = accept(latents, rows.shape, (self.g_s.input.channels, *y_size), geometry)

        def symbols(row: int, column: int, indexes: np.ndarray, means: np.ndarray) -> np.ndarray:
            return symbols_about(latents.y[:, row, column], means, self.fraction)

        found = self._scan(self.h_s.run(z), symbols)
        y, indexes = (values.transpose(1, 2, 0) for values in (found.y, found.indexes))
        y_payload = rans_encode(y, indexes, self.y_tables)
        return pack(geometry, self.identity, {"ZSYM": rans_encode(z, rows, self.z_tables), "YSYM": y_payload})

    def _scan(self, side: np.ndarray, code: CodePosition) -> Scan:
        """Visit the positions of y in raster order, each with what was found before it (SPEC AR-2, AR-3)."""
        margin, kernel = self.context_kernel // 2, self.context_kernel
        (height, width), channels = side.shape[1:], self.g_s.input.channels
        on_arrays = cast(Callable[..., np.ndarray], latent_mean)  # the scalar formula holds element by element
        # zeros outside the picture, and at every position until it is decoded
        wide = np.zeros((channels, height + 2 * margin, width + 2 * margin), latent_format(self.fraction).dtype)
        means_format = self.entropy_parameters.tensor("means").format
        indexes, means, y = (
            np.empty((channels, height, width), fmt.dtype) for fmt in (INDEX_FORMAT, means_format, SYMBOL_FORMAT)
        )
        with one_thread():
            for row, column in np.ndindex(height, width):
                here = slice(None), row, column
                window = np.ascontiguousarray(wide[:, row : row + kernel, column : column + kernel])
                context = self.at_window.run({"y_hat": window})["context"]
                beside = np.ascontiguousarray(side[:, row : row + 1, column : column + 1])
                found = self.at_position.run({"context": context, "side": beside})
                indexes[here], means[here] = found["indexes"][:, 0, 0], found["means"][:, 0, 0]
                y[here] = code(row, column, indexes[here], means[here])
                value = on_arrays(y[here].astype(np.int64), means[here].astype(np.int64), self.fraction)
                wide[:, row + margin, column + margin] = value
        y_hat = wide[:, margin : margin + height, margin : margin + width]
        return Scan(indexes, means, y, np.ascontiguousarray(y_hat))
