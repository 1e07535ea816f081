"""Integers of a case and the bytes in which they are stored (SPEC VEC-1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refcodec.formats import IntFormat


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """Integers with their declared format."""

    array: np.ndarray
    format: IntFormat

    @property
    def storage(self) -> np.dtype:
        """Little-endian type of the file: the narrowest of 8, 16, 32 and 64 bits with the format's sign."""
        width = next(bits for bits in (8, 16, 32, 64) if self.format.bits <= bits)
        return np.dtype(f"<{'i' if self.format.signed else 'u'}{width // 8}")

    def to_bytes(self) -> bytes:
        """Row-major little-endian bytes."""
        return np.ascontiguousarray(self.array).astype(self.storage).tobytes()

    def to_hex(self) -> bytes:
        """One two's complement word a line, as `$readmemh` reads it."""
        digits, mask = -(-self.format.bits // 4), (1 << self.format.bits) - 1
        words = (self.array.ravel().astype(np.int64) & mask).astype(">u8").tobytes().hex().encode()
        lines = np.full((self.array.size, digits + 1), ord("\n"), np.uint8)
        lines[:, :-1] = np.frombuffer(words, np.uint8).reshape(-1, 16)[:, 16 - digits :]
        return lines.tobytes()
