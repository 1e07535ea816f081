"""Scale-hyperprior image codec: stream in, picture out (SPEC HYP-1 to HYP-5, PIC-1 to PIC-3).

z symbols --h_s--> scale indexes --rANS--> y symbols --g_s--> picture --crop--> result
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np

from refcodec.codecs.stream import MAX_SIDE, Geometry, pack, parse
from refcodec.entropy.rans import decode as rans_decode
from refcodec.entropy.rans import encode as rans_encode
from refcodec.entropy.tables import FrequencyTables
from refcodec.errors import ModelError, ShapeError, StreamError
from refcodec.fixed import grey
from refcodec.formats import IntFormat
from refcodec.layers.latent_mean import SYMBOL_FORMAT
from refcodec.layers.scale_index import INDEX_FORMAT, THRESHOLDS
from refcodec.program.model_file import Model
from refcodec.program.program import Program, Tap

FAMILY = "scale-hyperprior"
LATENT_STRIDE = 16  # picture samples to one y sample, along each axis
HYPER_STRIDE = 64  # picture samples to one z sample
TABLE_PARTS = ("values", "starts", "offsets")
PIXEL_FORMAT = IntFormat(8, False)


@dataclass(frozen=True, slots=True, eq=False)
class ScaleHyperprior:
    """The integer decoder of one model (SPEC HYP-1).  Raises ModelError RC-MODEL-FAMILY, -SCHEMA, -TABLE, -TENSOR."""

    identity: str
    h_s: Program
    g_s: Program
    z_tables: FrequencyTables
    y_tables: FrequencyTables

    def __post_init__(self) -> None:
        z, y, indexes, picture = self.h_s.input, self.g_s.input, self.h_s.output, self.g_s.output
        if z.format != SYMBOL_FORMAT or y.format != SYMBOL_FORMAT:
            raise ModelError("RC-MODEL-SCHEMA", f"h_s and g_s must read {SYMBOL_FORMAT} symbols")
        if indexes.format != INDEX_FORMAT or indexes.channels != y.channels:
            raise ModelError("RC-MODEL-SCHEMA", f"h_s must end in scale indexes for {y.channels} channels")
        if picture.format != PIXEL_FORMAT or picture.channels != 3:
            raise ModelError("RC-MODEL-SCHEMA", f"g_s must end in three {PIXEL_FORMAT} channels")
        if self.z_tables.rows != z.channels or self.y_tables.rows != THRESHOLDS + 1:
            raise ModelError("RC-MODEL-TABLE", f"expected {z.channels} z tables and {THRESHOLDS + 1} y tables")
        if not all(self._enlarges(blocks) for blocks in range(1, -(-MAX_SIDE // HYPER_STRIDE) + 1)):
            raise ModelError("RC-MODEL-SCHEMA", "h_s must enlarge four times and g_s sixteen times")

    def _enlarges(self, blocks: int) -> bool:
        """Whether both programs give the right size for a picture of blocks x blocks z samples."""
        latent, picture = blocks * HYPER_STRIDE // LATENT_STRIDE, blocks * HYPER_STRIDE
        indexes = self.h_s.sizes(blocks, blocks)[self.h_s.output.name]
        samples = self.g_s.sizes(latent, latent)[self.g_s.output.name]
        return indexes == (latent, latent) and samples == (picture, picture)

    @classmethod
    def from_model(cls, model: Model) -> ScaleHyperprior:
        """The decoder that a model file describes (SPEC HYP-1)."""
        if model.family != FAMILY:
            raise ModelError("RC-MODEL-FAMILY", f"family {model.family!r} is not {FAMILY!r}")
        if set(model.programs) != {"h_s", "g_s"}:
            raise ModelError("RC-MODEL-SCHEMA", f"expected the programs g_s and h_s, found {sorted(model.programs)}")
        surplus = set(model.tables) - {f"{name}/{part}" for name in "zy" for part in TABLE_PARTS}
        if surplus:
            raise ModelError("RC-MODEL-TENSOR", f"surplus table {min(surplus)}")
        return cls(
            model.identity,
            model.programs["h_s"],
            model.programs["g_s"],
            _tables(model, "z"),
            _tables(model, "y"),
        )

    def latent_sizes(self, geometry: Geometry) -> tuple[tuple[int, int], tuple[int, int]]:
        """Heights and widths of z and y for a picture (SPEC PIC-1)."""
        height, width = -(-geometry.height // HYPER_STRIDE), -(-geometry.width // HYPER_STRIDE)
        scale = HYPER_STRIDE // LATENT_STRIDE
        return (height, width), (scale * height, scale * width)


def _tables(model: Model, name: str) -> FrequencyTables:
    """The tables that a model file holds under `name` (SPEC HYP-5)."""
    limits = np.iinfo(np.int32)
    found = []
    for part in TABLE_PARTS:
        table = model.tables.get(f"{name}/{part}")
        if table is None:
            raise ModelError("RC-MODEL-TENSOR", f"missing table {name}/{part}")
        if table.size and (int(table.min()) < limits.min or int(table.max()) > limits.max):
            raise ModelError("RC-MODEL-TABLE", f"table {name}/{part} holds values beyond 32 bits")
        found.append(table.astype(np.int32))
    return FrequencyTables(*found)


def decode_latents(
    content: bytes, codec: ScaleHyperprior, tap: Tap | None = None
) -> tuple[np.ndarray, np.ndarray, Geometry]:
    """Decode the symbols of a stream, y (M, 4h, 4w) and z (N, h, w) int16, and its geometry (SPEC HYP-2).

    content  a whole `.rcb` stream;  tap  called with the name and values of every tensor of h_s.  Raises StreamError.
    """
    stream = parse(content)
    if stream.identity != codec.identity:
        raise StreamError(
            "RC-STREAM-MODEL",
            f"the stream was made for model {stream.identity[:16]}, this is {codec.identity[:16]}",
            16,
        )
    z_size, _ = codec.latent_sizes(stream.geometry)
    z = rans_decode(stream.payloads[0], _z_indexes(codec, z_size), codec.z_tables, stream.offsets[0])
    indexes = codec.h_s.run(z, tap)
    return rans_decode(stream.payloads[1], indexes, codec.y_tables, stream.offsets[1]), z, stream.geometry


def decode(content: bytes, codec: ScaleHyperprior, tap: Tap | None = None) -> np.ndarray:
    """Decode a stream into a picture (SPEC HYP-2).

    content  a whole `.rcb` stream;  tap  called with the name and values of every tensor on the way.
    Returns (H, W, 3) or (H, W) uint8.  Raises StreamError.
    """
    y, _, geometry = decode_latents(content, codec, tap)
    return crop(codec.g_s.run(y, tap), geometry)


def encode(y: np.ndarray, z: np.ndarray, geometry: Geometry, codec: ScaleHyperprior) -> bytes:
    """Code latent symbols into a stream, through the same integer hyper-decoder (SPEC HYP-3).

    y  (M, 4h, 4w) integers, 16 bits;  z  (N, h, w) integers, 16 bits, with h, w as PIC-1 says.
    Returns the bytes of a `.rcb` stream.  Raises ShapeError, RangeError.
    """
    z_size, y_size = codec.latent_sizes(geometry)
    if z.shape != (codec.h_s.input.channels, *z_size) or y.shape != (codec.g_s.input.channels, *y_size):
        raise ShapeError(f"latents {y.shape} and {z.shape} do not belong to {geometry.width}x{geometry.height}")
    indexes = codec.h_s.run(z)
    z_payload = rans_encode(z, _z_indexes(codec, z_size), codec.z_tables)
    return pack(geometry, codec.identity, (z_payload, rans_encode(y, indexes, codec.y_tables)))


def _z_indexes(codec: ScaleHyperprior, size: tuple[int, int]) -> np.ndarray:
    """Every z symbol uses the table of its channel (SPEC HYP-4)."""
    channels = codec.h_s.input.channels
    return np.broadcast_to(np.arange(channels, dtype=np.int16)[:, None, None], (channels, *size))


def crop(planes: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Keep the top left of the decoded planes and arrange them as a picture (SPEC PIC-2, PIC-3).

    planes  (3, H', W') integers 0..255.  Returns (H, W, 3) or (H, W) uint8.
    """
    kept = planes[:, : geometry.height, : geometry.width]
    if geometry.channels == 3:
        return np.ascontiguousarray(kept.transpose(1, 2, 0)).astype(np.uint8)
    on_arrays = cast(Callable[..., np.ndarray], grey)  # the scalar formula holds element by element
    return on_arrays(*kept.astype(np.int64)).astype(np.uint8)
