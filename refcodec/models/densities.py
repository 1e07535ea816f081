"""Frequency tables from trained or published densities; the only place where entropy coding meets floats.

Tables are made once, when a model is, and travel as integers. Every float32 operation of CompressAI is evaluated in
float64 and rounded to float32, so the result depends on no library's float32 shortcuts. That gives CompressAI's own
tables for the Gaussian and for the models of this project.
"""

from __future__ import annotations

import hashlib
import importlib.resources
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import special

from refcodec.entropy.tables import TOTAL, FrequencyTables, quantise_frequencies
from refcodec.errors import ModelError

WIDTHS = (1, 3, 3, 3, 3, 1)  # units between the layers of the factorised density
LAYERS = len(WIDTHS) - 1
GAUSSIAN_FILE = "gaussian64.safetensors"
GAUSSIAN_SHA256 = "65c3cc8b774ce45d4dd1ff9d529cac3956ccc24d9d3ea6891771a437dc1d0047"
GAUSSIAN_TAIL = 1e-9  # probability outside a row's window

# float32 bits of exp(linspace(log 0.11, log 256, 64)) as PyTorch rounds it: recomputed in float64, 46 of them differ
# fmt: off
SCALE_TABLE_BITS = (
    0x3DE147AE, 0x3DFEC793, 0x3E101230, 0x3E22EFC7, 0x3E3845C8, 0x3E506704, 0x3E6BB124, 0x3E85470A,
    0x3E96BACD, 0x3EAA779A, 0x3EC0CA0E, 0x3EDA08CA, 0x3EF695CC, 0x3F0B6FF2, 0x3F1DB234, 0x3F325889,
    0x3F49B318, 0x3F641C86, 0x3F80FDAB, 0x3F91E1BD, 0x3FA4FC07, 0x3FBA96AF, 0x3FD3058F, 0x3FEEA77C,
    0x4006F3DC, 0x40189FC7, 0x402C9C16, 0x4043365C, 0x405CC651, 0x4079AF2F, 0x408D3097, 0x409FAD98,
    0x40B4965B, 0x40CC3C0E, 0x40E6FA78, 0x41029CB1, 0x4113B71B, 0x41270EDD, 0x413CEF07, 0x4155AC83,
    0x4171A758, 0x4188A610, 0x419A8AD8, 0x41AEC774, 0x41C5AA71, 0x41DF8CA9, 0x41FCD28B, 0x420EF6DD,
    0x4221AF59, 0x4236DB65, 0x424ECD30, 0x4269E1A0, 0x428440F0, 0x42959263, 0x42A9285D, 0x42BF4EEC,
    0x42D85C06, 0x42F4B0DE, 0x430A5DBD, 0x431C7C18, 0x4330F9CE, 0x43482672, 0x43625BEB, 0x43800000,
)
# fmt: on


def scale_table() -> np.ndarray:
    """The 64 rising scale bounds, (64,) float64 of their float32 bit patterns."""
    return np.array(SCALE_TABLE_BITS, np.uint32).view(np.float32).astype(np.float64)


_CARRIED = ("_quantized_cdf", "_cdf_length", "_offset")


def _unusable(name: str, problem: str) -> ModelError:
    return ModelError("RC-CHECKPOINT-PARAMETER", f"{name}: {problem}")


def _single(values: np.ndarray) -> np.ndarray:
    """Round float64 to float32: one operation of CompressAI ends here."""
    return values.astype(np.float32)


def _double(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64)


def _row(probabilities: np.ndarray) -> np.ndarray:
    """A cumulative row of float32 probabilities, the last one the escape's; the product is exact, halves go up."""
    scaled = np.floor(_double(probabilities) * TOTAL + 0.5)
    return quantise_frequencies(np.maximum(scaled, 0).astype(np.int64))  # rounding may leave a difference below 0


# --- factorised density (Balle 2018, appendix 6.1)


@dataclass(frozen=True, slots=True, eq=False)
class _Density:
    """The constants of a factorised density, float64 holding float32 values; the first axis is the channel."""

    matrices: tuple[np.ndarray, ...]  # after softplus
    biases: tuple[np.ndarray, ...]
    factors: tuple[np.ndarray, ...]  # after tanh

    def logits(self, channel: int, positions: np.ndarray) -> np.ndarray:
        """The cumulative density before its sigmoid, (L,) float32, at (L,) float32 positions."""
        v = positions[None, :]
        for i in range(LAYERS):
            products = self.matrices[i][channel][:, :, None] * _double(v)
            v = _single(_single(products.sum(axis=1)) + self.biases[i][channel])
            if i < LAYERS - 1:
                bend = _single(self.factors[i][channel] * _double(_single(np.tanh(_double(v)))))
                v = _single(_double(v) + bend)
        return v[0]


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return _single(special.expit(_double(logits)))


def _parameter(parameters: Mapping[str, np.ndarray], names: tuple[str, ...], shape: tuple[int, ...]) -> np.ndarray:
    """The float32 parameter under whichever of its names is there, as float64."""
    name = next((name for name in names if name in parameters), None)
    if name is None:
        raise _unusable(names[0], "missing")
    array = parameters[name]
    if array.shape != shape or array.dtype != np.float32:
        raise _unusable(name, f"wanted float32 {shape}, got {array.dtype} {array.shape}")
    if not np.isfinite(array).all():
        raise _unusable(name, "wanted finite numbers")
    return _double(array)


def _read_density(parameters: Mapping[str, np.ndarray], prefix: str, channels: int) -> _Density:
    def layers(present: str, old: str, shapes: list[tuple[int, int]]) -> list[np.ndarray]:
        return [
            _parameter(parameters, (f"{prefix}{present}.{i}", f"{prefix}{old}{i}"), (channels, *shape))
            for i, shape in enumerate(shapes)
        ]

    columns = [(width, 1) for width in WIDTHS[1:]]
    matrices = layers("matrices", "_matrix", list(zip(WIDTHS[1:], WIDTHS, strict=False)))
    biases = layers("biases", "_bias", columns)
    factors = layers("factors", "_factor", columns[:-1])
    return _Density(
        tuple(_double(_single(np.logaddexp(0, matrix))) for matrix in matrices),
        tuple(biases),
        tuple(_double(_single(np.tanh(factor))) for factor in factors),
    )


def _windows(quantiles: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First position (C,) float32, symbols below the median and symbols in all, (C,) int64."""
    low, median, high = _single(quantiles[:, 0]).T
    below = np.maximum(np.ceil(median - low), 0)
    above = np.maximum(np.ceil(high - median), 0)
    if max(below.max(), above.max()) >= TOTAL >> 1:
        raise _unusable(name, f"wanted quantiles less than {TOTAL >> 1} from the median")
    return median - below, below.astype(np.int64), (below + above + 1).astype(np.int64)


def factorised_tables(parameters: Mapping[str, np.ndarray], prefix: str = "entropy_bottleneck.") -> FrequencyTables:
    """The tables of a trained factorised density, one row a channel (SPEC CDF-1).

    parameters  float32 by CompressAI's names: `matrices.0` .. `.4` (C, f, f'), `biases.0` .. `.4` and `factors.0` ..
                `.3` (C, f, 1), `quantiles` (C, 1, 3); older ones `_matrix0`, `_bias0`, `_factor0` as well
    prefix      what stands before each name
    Symbol s of channel c means the value s + quantiles[c, 0, 1].
    Raises ModelError RC-CHECKPOINT-PARAMETER naming the parameter.
    Source: CompressAI `EntropyBottleneck.update`; Balle 2018, appendix 6.1.
    """
    name = f"{prefix}quantiles"
    channels = parameters[name].shape[0] if name in parameters and parameters[name].ndim else 0
    quantiles = _parameter(parameters, (name,), (max(channels, 1), 1, 3))
    density = _read_density(parameters, prefix, channels)
    first, below, lengths = _windows(quantiles, name)
    # CompressAI takes the upper tail beyond the longest window, whichever channel has that
    steps = np.arange(lengths.max(), dtype=np.float32)
    rows = [_factorised_row(density, c, steps + first[c], int(lengths[c]), name) for c in range(channels)]
    return FrequencyTables.from_rows(rows, (-below).astype(np.int32))


def _factorised_row(density: _Density, channel: int, positions: np.ndarray, length: int, name: str) -> np.ndarray:
    half = np.float32(0.5)
    lower = density.logits(channel, positions - half)
    upper = density.logits(channel, positions + half)
    tail = _sigmoid(lower[:1]) + _sigmoid(-upper[-1:])
    probabilities = np.append((_sigmoid(upper) - _sigmoid(lower))[:length], tail)
    if not probabilities.max() * TOTAL >= 0.5:
        raise _unusable(name, f"channel {channel} has no probability between its quantiles")
    return _row(probabilities)


# --- zero-mean Gaussians of 64 scales


def gaussian_tables() -> FrequencyTables:
    """The shipped tables of 64 zero-mean Gaussians, one row a scale of SCALE_TABLE_BITS (SPEC CDF-1).

    Rows hold symbols -1 .. 1 at scale 0.11 up to -1565 .. 1565 at 256.  Raises ModelError RC-MODEL-HASH.
    Source: CompressAI `GaussianConditional.update` on its `get_scale_table()`.
    """
    from safetensors.numpy import load

    content = (importlib.resources.files("refcodec.models") / GAUSSIAN_FILE).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != GAUSSIAN_SHA256:
        raise ModelError("RC-MODEL-HASH", f"{GAUSSIAN_FILE}: wanted SHA-256 {GAUSSIAN_SHA256}, got {found}")
    return FrequencyTables(**load(content))


def build_gaussian_tables() -> FrequencyTables:
    """Recompute what `gaussian_tables` loads, to check it or to write it (SPEC CDF-1).

    Source: CompressAI `GaussianConditional.update`, tail mass 1e-9.
    """
    scales = np.array(SCALE_TABLE_BITS, np.uint32).view(np.float32)
    reach = np.ceil(scales * np.float32(-special.ndtri(GAUSSIAN_TAIL / 2))).astype(np.int32)
    rows = [_gaussian_row(scale, int(symbols)) for scale, symbols in zip(scales, reach, strict=True)]
    return FrequencyTables.from_rows(rows, -reach)


def _gaussian_row(scale: np.float32, reach: int) -> np.ndarray:
    distances = np.abs(np.arange(-reach, reach + 1)).astype(np.float32)
    half = np.float32(0.5)
    lower = _gaussian_cumulative((-half - distances) / scale)
    upper = _gaussian_cumulative((half - distances) / scale)
    return _row(np.append(upper - lower, 2 * lower[:1]))


def _gaussian_cumulative(deviations: np.ndarray) -> np.ndarray:
    argument = np.float32(-(2**-0.5)) * deviations
    return np.float32(0.5) * _single(special.erfc(_double(argument)))


# --- tables that a checkpoint brings along


def carried_tables(parameters: Mapping[str, np.ndarray], prefix: str) -> FrequencyTables | None:
    """The tables stored in a checkpoint, None where it has none or only empty ones (SPEC CDF-1).

    parameters  `_quantized_cdf` (R, L), `_cdf_length` (R,), `_offset` (R,), int32;  prefix  what stands before each
    Raises ModelError RC-CHECKPOINT-PARAMETER naming the parameter, RC-MODEL-TABLE naming the row.
    """
    names = [prefix + name for name in _CARRIED]
    found = [parameters[name] for name in names if name in parameters]
    if all(array.size == 0 for array in found):
        return None
    for name in names:
        if name not in parameters:
            raise _unusable(name, "missing")
    rows = parameters[names[0]].shape[:1]
    for name, rank in zip(names, (2, 1, 1), strict=True):
        array = parameters[name]
        if array.dtype != np.int32 or array.ndim != rank or array.shape[:1] != rows:
            wanted = f"wanted int32 with {rank} axes and as many rows as {names[0]}"
            raise _unusable(name, f"{wanted}, got {array.dtype} {array.shape}")
    return FrequencyTables.from_padded(*found)
