"""What each half of a decoder costs in integers: real streams, real decodes."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from refcodec.codecs.codec import Codec
from refcodec.codecs.latent_coding import channel_rows
from refcodec.codecs.picture import crop, geometry_of_shape, in_colour
from refcodec.codecs.stream import Geometry, parse
from refcodec.entropy.rans import decode as rans_decode
from refcodec.entropy.rans import encode as rans_encode
from refcodec.entropy.tables import FrequencyTables
from refcodec.errors import StreamError
from refcodec.layers.latent_mean import latent_format
from refcodec.metrics.ms_ssim import ms_ssim, ms_ssim_possible
from refcodec.metrics.psnr import psnr, psnr_channels
from refcodec.models.architecture import CHECKERBOARD, FACTORISED, Architecture
from refcodec.models.encoder import fixed_latents, float_planes
from refcodec.models.float_codec import Coded, FloatCodec, anchors
from refcodec.models.trained import Trained
from refcodec.study.precision.points import RatePoint, codecs

FLOAT = "float"
HYPER, SYNTHESIS, BOTH = "hyper", "synthesis", "both"
PARTS = (HYPER, SYNTHESIS, BOTH)
_ALONE = threading.Lock()  # parallel kernels may not be entered by two threads of a worker


@dataclass(frozen=True, slots=True)
class Row:
    """One picture at one step, decoded in one way.

    part, precision  what is integer: "hyper", "synthesis" or "both", at W8A8 and so on; "float" and "float" for nothing
    z_bytes, y_bytes payloads of the entropy coder, no container;  stream_bytes  the `.rcb` file, where there is one
    bpp              bits of both payloads per pixel
    psnr_db          of the 8-bit picture, all samples; then of red, green and blue, all three those of grey
    ms_ssim          0 .. 1, None for a picture too small for it.
    """

    picture: str
    width: int
    height: int
    step: float
    part: str
    precision: str
    z_bytes: int
    y_bytes: int
    stream_bytes: int | None
    bpp: float
    psnr_db: float
    psnr_r_db: float
    psnr_g_db: float
    psnr_b_db: float
    ms_ssim: float | None


@dataclass(frozen=True, slots=True)
class Size:
    """Bytes of the payloads of z and y, and of the whole stream where there is one."""

    z: int
    y: int
    stream: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Judge:
    """Compares decoded pictures with their original, equal ones once."""

    picture: np.ndarray
    known: dict[bytes, tuple[float, tuple[float, ...], float | None]] = field(default_factory=dict)

    def __call__(self, decoded: np.ndarray) -> tuple[float, tuple[float, ...], float | None]:
        """PSNR, PSNR of every channel, MS-SSIM."""
        content = decoded.tobytes()
        if content not in self.known:
            pair = in_colour(self.picture), in_colour(decoded)
            similarity = ms_ssim(*pair) if ms_ssim_possible(self.picture.shape) else None
            self.known[content] = psnr(*pair), psnr_channels(*pair), similarity
        return self.known[content]


@dataclass(frozen=True, slots=True, eq=False)
class _Synthesis:
    """The integer g_s of a codec, run once for equal latents: without means, the stream has the symbols of float."""

    codec: Codec
    geometry: Geometry
    known: dict[bytes, np.ndarray] = field(default_factory=dict)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """The picture of a latent, in units of 2**-fraction."""
        (g_s,) = (program for program in self.codec.programs if program.name == "g_s")
        content = y.tobytes()
        if content not in self.known:
            self.known[content] = crop(g_s.run(y), self.geometry)
        return self.known[content]


@dataclass(frozen=True, slots=True, eq=False)
class _Reference:
    """A picture through the float codec: its latent y, what is coded, how large that is, and what is decoded of it."""

    twin: FloatCodec
    picture: np.ndarray
    y: np.ndarray
    coded: Coded
    size: Size
    decoded: np.ndarray

    def synthesis(self, y_hat: np.ndarray) -> np.ndarray:
        """The 8-bit picture of the float g_s; a latent that is the float codec's own gives the picture known."""
        if np.array_equal(y_hat, self.coded.y_hat):
            return self.decoded
        return float_picture(self.twin, y_hat, self.picture)


def parts_of(architecture: Architecture) -> tuple[str, ...]:
    """The parts that a decoder has; a factorised one has no hyper half, and its whole is its synthesis."""
    return (SYNTHESIS, BOTH) if architecture.family == FACTORISED else PARTS


def measure(point: RatePoint, name: str, picture: np.ndarray, parts: Sequence[str]) -> list[Row]:
    """Every part at every precision on one picture, the float codec first.

    picture  (H, W, 3) or (H, W) uint8;  parts  some of those that the codec has.
    Raises StreamError where the entropy coder does not give back what it was given.
    """
    with _ALONE:
        reference = _reference(point.trained, picture)
        judge = _Judge(picture)
        rows = [_row(point, name, judge, (FLOAT, FLOAT), reference.size, reference.decoded)]
        for precision, codec in codecs(point).items():
            for part, (size, decoded) in _decodes(codec, reference, parts).items():
                rows.append(_row(point, name, judge, (part, precision), size, decoded))
    return rows


def _row(point: RatePoint, name: str, judge: _Judge, way: tuple[str, str], size: Size, decoded: np.ndarray) -> Row:
    height, width = judge.picture.shape[:2]
    whole, (red, green, blue), similarity = judge(decoded)
    bpp = 8 * (size.z + size.y) / (height * width)
    return Row(
        name, width, height, point.step, *way, size.z, size.y, size.stream, bpp, whole, red, green, blue, similarity
    )


def _reference(trained: Trained, picture: np.ndarray) -> _Reference:
    twin = trained.twin
    y = twin.analysis(float_planes(picture, twin.multiple))
    coded = twin.code(y)
    return _Reference(twin, picture, y, coded, float_size(trained, coded), float_picture(twin, coded.y_hat, picture))


def float_picture(twin: FloatCodec, y_hat: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """The 8-bit picture that the float g_s makes of y_hat, of the shape of `picture`."""
    planes = np.clip(np.rint(twin.synthesis(y_hat) * np.float32(255)), 0, 255).astype(np.int64)
    return crop(planes, geometry_of_shape(picture.shape))


def _decodes(codec: Codec, reference: _Reference, parts: Sequence[str]) -> dict[str, tuple[Size, np.ndarray]]:
    """Size and picture of each part, at the precision of a codec."""
    geometry = geometry_of_shape(reference.picture.shape)
    synthesis = _Synthesis(codec, geometry)
    found = {}
    if HYPER in parts or BOTH in parts:
        content = codec.encode(fixed_latents(reference.twin, reference.y, codec.fraction), geometry)
        size, y = stream_size(content), codec.decode_latents(content)[0].y
    if HYPER in parts:
        y_hat = np.ldexp(y.astype(np.float64), -codec.fraction).astype(np.float32)
        found[HYPER] = size, reference.synthesis(y_hat)
    if SYNTHESIS in parts:
        found[SYNTHESIS] = reference.size, synthesis(_fixed(codec, reference.coded))
    if BOTH in parts:
        found[BOTH] = size, synthesis(y)
    return found


def _fixed(codec: Codec, coded: Coded) -> np.ndarray:
    """The latent of the float codec as the integer g_s reads it."""
    if not codec.fraction:
        return coded.y
    fmt = latent_format(codec.fraction)
    fixed = np.rint(np.ldexp(coded.y_hat.astype(np.float64), codec.fraction))
    return np.clip(fixed, fmt.lo, fmt.hi).astype(fmt.dtype)


def stream_size(content: bytes) -> Size:
    """The payloads of a `.rcb` stream; the container and the fields of a context model are in `stream` alone."""
    payloads = parse(content).payloads
    z, y = (sum(len(payload) for tag, payload in payloads.items() if tag.startswith(first)) for first in "ZY")
    return Size(z, y, len(content))


def float_size(trained: Trained, coded: Coded) -> Size:
    """What the entropy coder makes of a float codec's symbols and indexes, in as many payloads as streams have.

    Their order within a payload, which differs between families, is not kept: it moves rounding, not size.
    Raises StreamError RC-STREAM-RANS where the coder does not give them back.
    """
    y = coded.y
    if coded.z is None or coded.indexes is None or trained.z_tables is None:
        return Size(0, _coded(y, channel_rows(len(y), y.shape[1:]), trained.y_tables))
    z = _coded(coded.z, channel_rows(len(coded.z), coded.z.shape[1:]), trained.z_tables)
    if trained.twin.architecture.family != CHECKERBOARD:
        return Size(z, _coded(y, coded.indexes, trained.y_tables))
    first = anchors(y.shape[1], y.shape[2], parity=0)
    return Size(z, sum(_coded(y[:, mask], coded.indexes[:, mask], trained.y_tables) for mask in (first, ~first)))


def _coded(symbols: np.ndarray, indexes: np.ndarray, tables: FrequencyTables) -> int:
    """Bytes of a payload that decodes to its symbols."""
    payload = rans_encode(symbols, indexes, tables)
    if not np.array_equal(rans_decode(payload, indexes, tables), symbols):
        raise StreamError("RC-STREAM-RANS", "the payload does not decode to its symbols", 0)
    return len(payload)
