"""One stream read by another hyper-decoder than the one that wrote it: what differs, and the picture that results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from refcodec.codecs.mean_scale_hyperprior import MeanScaleHyperprior
from refcodec.codecs.picture import crop, geometry_of_shape
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.codecs.stream import Geometry, parse
from refcodec.entropy.rans import decode, encode
from refcodec.entropy.tables import FrequencyTables
from refcodec.errors import ModelError, StreamError
from refcodec.layers.latent_mean import latent_means
from refcodec.metrics.psnr import psnr
from refcodec.models.densities import scale_table
from refcodec.models.encoder import fixed_latents
from refcodec.models.float_codec import INDEX_BOUNDS, FloatCodec, rounded, scale_indexes
from refcodec.models.network import Activation
from refcodec.models.trained import Trained
from refcodec.study.drift.hyper_decoders import HyperDecoder, Tensors, float_reference, integer_reference
from refcodec.study.drift.unchecked_rans import decode_unchecked

FLOAT, INTEGER = "float", "integer"
BOUNDS = scale_table()[:INDEX_BOUNDS]
SPACING = float(np.log(BOUNDS[-1] / BOUNDS[0])) / (INDEX_BOUNDS - 1)  # from one bound to the next, relative


class Parameters(NamedTuple):
    """What a hyper-decoder says of a latent.

    values  that are compared between decoders: scales in float, every integer of h_s
    indexes (M, h, w) rows of the scale table;  means  (M, h, w), or () zero for a family without.
    """

    values: np.ndarray
    indexes: np.ndarray
    means: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """What an encoder sent of one picture, and what it knows.

    z        symbols (Z, h', w');  parameters  of the encoder's hyper-decoder
    symbols  (M, h, w) int16, in `payload`;  tables  that indexes name rows of;  decoded  the picture as it should be
    interpret  from the tensors of a hyper-decoder to parameters;  render  from symbols and means to a picture.
    """

    name: str
    arithmetic: str
    picture: np.ndarray
    z: np.ndarray
    parameters: Parameters
    symbols: np.ndarray
    payload: bytes
    tables: FrequencyTables
    decoded: np.ndarray
    interpret: Callable[[Tensors], Parameters]
    render: Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row: a picture, and what one decoder made of its stream.

    arithmetic  "float" or "integer";  decoder  its name;  indexes  how many were compared
    values, differing  compared before the scale table, and those that differ: scales, or all integers of h_s
    mean_difference, largest_difference  relative, of the scales between the bounds of the table
    expected_flips  how many bounds would lie between both scales of an index, were scales spread evenly; summed
    flips       indexes that differ;  first_flip  the first in the order of decoding, None for none
    wrong       symbols that an unchecked entropy decoder gets wrong;  refused  whether the checked one stops
    psnr_db     of the picture read with the encoder's indexes;  read_psnr_db  with the decoder's.
    """

    picture: str
    arithmetic: str
    decoder: str
    indexes: int
    values: int
    differing: int
    mean_difference: float
    largest_difference: float
    expected_flips: float
    flips: int
    first_flip: int | None
    wrong: int
    refused: bool
    psnr_db: float
    read_psnr_db: float


class Reading(NamedTuple):
    """What one decoder made of a stream: the row, its symbols, which indexes flipped, and the picture."""

    outcome: Outcome
    symbols: np.ndarray
    flipped: np.ndarray
    picture: np.ndarray


class Drift(NamedTuple):
    """How far scales lie apart: mean and largest relative difference, and how many bounds to expect between them."""

    mean: float
    largest: float
    expected_flips: float


# --- reading


def drift_between(before: np.ndarray, after: np.ndarray) -> Drift:
    """The drift of scales that are both within half a step of the table's bounds; others can hardly flip."""
    low, high = BOUNDS[0] * np.exp(-SPACING / 2), BOUNDS[-1] * np.exp(SPACING / 2)
    inside = (before > low) & (before < high) & (after > low) & (after < high)
    if not inside.any():
        return Drift(0.0, 0.0, 0.0)
    moved = np.abs(np.log(after[inside].astype(np.float64)) - np.log(before[inside].astype(np.float64)))
    return Drift(float(moved.mean()), float(moved.max()), float(moved.sum()) / SPACING)


def read(sent: Sent, decoder: HyperDecoder) -> Reading:
    """Read a stream with another hyper-decoder than the one that wrote it, as decoders do that check nothing."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = sent.interpret(decoder.run(sent.z))
    symbols = decode_unchecked(sent.payload, found.indexes, sent.tables)
    as_sent = np.array_equal(symbols, sent.symbols) and np.array_equal(found.means, sent.parameters.means)
    picture = sent.decoded if as_sent else sent.render(symbols, found.means)
    flipped = found.indexes != sent.parameters.indexes
    drift = Drift(0.0, 0.0, 0.0)
    if sent.arithmetic == FLOAT:
        drift = drift_between(sent.parameters.values, found.values)
    outcome = Outcome(
        sent.name, sent.arithmetic, decoder.name, found.indexes.size,
        found.values.size, int(np.count_nonzero(found.values != sent.parameters.values)),
        drift.mean, drift.largest, drift.expected_flips,
        int(np.count_nonzero(flipped)), int(np.argmax(flipped)) if flipped.any() else None,
        int(np.count_nonzero(symbols != sent.symbols)), _refuses(sent, found.indexes),
        psnr(sent.picture, sent.decoded), psnr(sent.picture, picture),
    )  # fmt: skip
    return Reading(outcome, symbols, flipped, picture)


def _refuses(sent: Sent, indexes: np.ndarray) -> bool:
    try:
        decode(sent.payload, indexes, sent.tables)
    except StreamError:
        return True
    return False


# --- sending in floats


def _activation(twin: FloatCodec, form: str) -> Activation | None:
    nodes = twin.networks["h_s"].nodes
    return next((node for node in nodes if isinstance(node, Activation) and node.form == form), None)


def check_family(twin: FloatCodec) -> None:
    """Raise ModelError RC-MODEL-FAMILY unless the codec gives pictures, and z alone the scales of its latent."""
    if "g_s" not in twin.networks or "h_s" not in twin.networks or _activation(twin, "scale") is None:
        wanted = "a scale-hyperprior or mean-scale-hyperprior of pictures, whose scales need z alone"
        raise ModelError("RC-MODEL-FAMILY", f"wanted {wanted}, got {twin.architecture.family}")


def _float_parameters(twin: FloatCodec, tensors: Tensors) -> Parameters:
    """Scales are taken before their lower bound, which is the table's first bound too and changes no index."""
    scale, mean = _activation(twin, "scale"), _activation(twin, "mean")
    assert scale is not None  # check_family
    values = tensors[scale.source]
    return Parameters(values, scale_indexes(values), tensors[mean.name] if mean else np.zeros((), np.float32))


def _float_picture(twin: FloatCodec, geometry: Geometry, symbols: np.ndarray, means: np.ndarray) -> np.ndarray:
    planes = twin.synthesis((symbols + means).astype(np.float32))
    return crop(np.rint(255 * planes).clip(0, 255).astype(np.int64), geometry)


def send_float(trained: Trained, name: str, picture: np.ndarray, y: np.ndarray) -> Sent:
    """Code a latent as a float codec does, by the reference evaluation of its hyper-decoder.

    picture  (H, W, 3) or (H, W) uint8, of which y (M, h, w) float32 is the latent.
    """
    twin = trained.twin
    z = twin.hyper_symbols(y)
    assert z is not None  # check_family
    interpret = partial(_float_parameters, twin)
    render = partial(_float_picture, twin, geometry_of_shape(picture.shape))
    known = interpret(float_reference(twin).run(z))
    symbols = rounded(y - known.means)
    payload = encode(symbols, known.indexes, trained.y_tables)
    decoded = render(symbols, known.means)
    return Sent(
        name, FLOAT, picture, z, known, symbols, payload, trained.y_tables, decoded, interpret, render
    )  # fmt: skip


# --- sending in integers


HyperpriorCodec = ScaleHyperprior | MeanScaleHyperprior


def _integer_parameters(tensors: Tensors) -> Parameters:
    values = np.concatenate([tensors[name].astype(np.int64).reshape(-1) for name in sorted(tensors)])
    return Parameters(values, tensors["indexes"], tensors.get("means", np.zeros((), np.int64)))


def _integer_picture(codec: HyperpriorCodec, geometry: Geometry, symbols: np.ndarray, means: np.ndarray) -> np.ndarray:
    latent = latent_means(symbols, means, codec.fraction) if means.ndim else symbols
    return crop(codec.g_s.run(latent), geometry)


def send_integer(codec: HyperpriorCodec, twin: FloatCodec, name: str, picture: np.ndarray, y: np.ndarray) -> Sent:
    """Code a latent by the integer codec; arguments as for `send_float`."""
    geometry = geometry_of_shape(picture.shape)
    latents = fixed_latents(twin, y, codec.fraction)
    assert latents.z is not None  # check_family
    payload = parse(codec.encode(latents, geometry)).payloads["YSYM"]
    known = _integer_parameters(integer_reference(codec.h_s).run(latents.z))
    symbols = decode(payload, known.indexes, codec.y_tables)
    render = partial(_integer_picture, codec, geometry)
    return Sent(
        name, INTEGER, picture, latents.z, known, symbols, payload, codec.y_tables,
        render(symbols, known.means), _integer_parameters, render,
    )  # fmt: skip
