"""The outputs of a case as 32-bit words, for simulators and boards that report in no other way (SPEC VEC-5)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from refcodec.vectorgen.values import Values


def signature_words(outputs: Mapping[str, Values]) -> np.ndarray:
    """All values of all outputs, in order, as words (SPEC VEC-5).

    outputs  tensors by name, each first reduced to the dtype in which it is stored.
    Returns uint32: a value of at most 32 bits is one word, extended by its sign or by zeros; a wider one is two, the
    low half first.
    """
    words = [_words(values) for values in outputs.values()]
    return np.concatenate(words) if words else np.empty(0, np.uint32)


def _words(values: Values) -> np.ndarray:
    stored = np.ascontiguousarray(values.array).astype(values.storage).ravel()
    if stored.dtype.itemsize == 8:
        return stored.view("<u4").astype(np.uint32)
    return stored.astype(np.int64).astype(np.uint32)


def signature_crc(outputs: Mapping[str, Values]) -> str:
    """CRC-32 of the words' little-endian bytes, eight hexadecimal digits (SPEC VEC-5)."""
    return f"{zlib.crc32(signature_words(outputs).astype('<u4').tobytes()):08x}"
