"""Frequency tables counted on the latents of photographs, for a codec that brings no entropy model."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from refcodec.entropy.tables import FrequencyTables, quantise_frequencies
from refcodec.errors import RangeError
from refcodec.models.architecture import FACTORISED
from refcodec.models.float_codec import FloatCodec, rounded

SEEN = 32  # weight of a symbol for each time it was seen, beside one for every symbol between the extremes
ESCAPED = 32  # weight of all symbols beyond the extremes


def _row(symbols: np.ndarray) -> tuple[np.ndarray, int]:
    """The cumulative row of one channel, and its first symbol."""
    first = int(symbols.min())
    counts = np.bincount(symbols.ravel().astype(np.int64) - first)
    return quantise_frequencies(np.append(counts * SEEN + 1, ESCAPED)), first


def counted_tables(codec: FloatCodec, pictures: Iterable[np.ndarray]) -> FrequencyTables:
    """One row for each channel of y, from how often each symbol occurs (SPEC CDF-2).

    codec  of the factorised family;  pictures  (3, H, W) float32 0..1, sides multiples of 16.  Raises RangeError.
    """
    if codec.architecture.family != FACTORISED:
        raise RangeError(f"tables are counted for factorised codecs, not for {codec.architecture.family}")
    seen = [rounded(codec.analysis(picture) - codec.medians[:, None, None]) for picture in pictures]
    if not seen:
        raise RangeError("counting tables needs at least one picture")
    channels = [np.concatenate([symbols[c].ravel() for symbols in seen]) for c in range(codec.architecture.m)]
    rows = [_row(symbols) for symbols in channels]
    return FrequencyTables.from_rows([row for row, _ in rows], np.array([first for _, first in rows], np.int32))


def carried(tables: FrequencyTables, prefix: str) -> dict[str, np.ndarray]:
    """Tables as a checkpoint carries them under `prefix`."""
    cdf, lengths, offsets = tables.padded()
    return {f"{prefix}_quantized_cdf": cdf, f"{prefix}_cdf_length": lengths, f"{prefix}_offset": offsets}
