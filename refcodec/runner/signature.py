"""A signature file: one 32-bit word a line, turned back into tensors (SPEC VEC-5)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from refcodec.runner.answer import DONE, Answer, broken
from refcodec.vectorgen.signature import signature_words
from refcodec.vectorgen.values import Values

FILL = 0xDEADBEEF  # what the words hold before they are written
LINE = 10  # bytes of a line, its ending among them
_WORD = re.compile(r"[0-9a-fA-F]{8}")


def words_limit(outputs: Mapping[str, Values]) -> int:
    """The most bytes that a signature of these outputs can have."""
    return LINE * (signature_words(outputs).size + 1)


def read_words(text: str, outputs: Mapping[str, Values]) -> Answer:
    """The answer that the text of `out.sig` is."""
    lines = text.split()
    count = signature_words(outputs).size
    for number, line in enumerate(lines, 1):
        if not _WORD.fullmatch(line):
            return broken("signature", f"line {number} of out.sig is {line[:20]!r}, not 8 hexadecimal digits")
    if len(lines) != count:
        return broken("signature", f"out.sig has {len(lines)} words, expected {count}")
    return Answer(DONE, words=np.array([int(line, 16) for line in lines], np.uint32))


def read_crc(text: str) -> Answer:
    """The answer that the text of `out.crc` is."""
    word = text.strip()
    if not _WORD.fullmatch(word):
        return broken("signature", f"out.crc is {word[:20]!r}, not 8 hexadecimal digits")
    return Answer(DONE, crc32=word.lower())


def signature_arrays(outputs: Mapping[str, Values], words: np.ndarray) -> dict[str, np.ndarray]:
    """The words as int64 tensors shaped like `outputs`; a wrongly extended value leaves the range of its dtype."""
    arrays, at = {}, 0
    for name, values in outputs.items():
        wide = values.storage.itemsize == 8
        count = values.array.size * (2 if wide else 1)
        part = np.ascontiguousarray(words[at : at + count], dtype="<u4")
        kind = "<i8" if wide else "<i4" if values.format.signed else "<u4"
        arrays[name] = part.view(kind).astype(np.int64).reshape(values.array.shape)
        at += count
    return arrays
