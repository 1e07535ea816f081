"""FlatBuffers, as far as TOSA files need them: tables, vectors and strings, written back to front.

The file grows from its end to its start, so that whatever an offset points to is already in place. A location is the
distance of a byte from the end of the file.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

DATA_ALIGNMENT = 8  # of byte vectors; what the schema asks for, and the most that anything here needs
SCALARS = {"int32": ("<i", 4), "uint32": ("<I", 4), "uint8": ("<B", 1)}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a table: its number in the schema, and a scalar or the location of an object.

    kind  "int32", "uint32", "uint8" or "offset".
    """

    number: int
    kind: str
    value: int

    @property
    def size(self) -> int:
        """Bytes in the table."""
        return SCALARS[self.kind][1] if self.kind in SCALARS else 4


class Writer:
    """A FlatBuffers file in the making.  The same calls give the same bytes."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._size = 0

    def _prepend(self, chunk: bytes) -> int:
        self._chunks.appendleft(chunk)
        self._size += len(chunk)
        return self._size

    def _pad(self, length: int, alignment: int) -> None:
        """Zeros, so that an object of `length` bytes put before them starts aligned."""
        self._prepend(bytes(-(self._size + length) % alignment))

    def string(self, text: str) -> int:
        """A UTF-8 string.  Returns its location."""
        content = text.encode() + b"\0"
        self._pad(len(content), 4)
        self._prepend(content)
        return self._prepend(struct.pack("<I", len(content) - 1))

    def byte_vector(self, content: bytes) -> int:
        """Raw bytes, eight-byte aligned.  Returns their location."""
        self._pad(len(content), DATA_ALIGNMENT)
        self._prepend(content)
        return self._prepend(struct.pack("<I", len(content)))

    def int32_vector(self, values: Sequence[int]) -> int:
        """Signed 32-bit integers.  Returns their location."""
        content = struct.pack(f"<{len(values)}i", *values)
        self._pad(len(content), 4)
        self._prepend(content)
        return self._prepend(struct.pack("<I", len(values)))

    def offset_vector(self, locations: Sequence[int]) -> int:
        """References to objects already written.  Returns the vector's location."""
        self._pad(4 * len(locations), 4)
        for location in reversed(locations):
            self._prepend(struct.pack("<I", self._size + 4 - location))
        return self._prepend(struct.pack("<I", len(locations)))

    def table(self, fields: Sequence[Field]) -> int:
        """A table of the given fields, those of four bytes first.  Returns its location."""
        ordered = sorted(fields, key=lambda field: (-field.size, field.number))
        length = 4 + sum(field.size for field in ordered)
        slots = 1 + max((field.number for field in fields), default=-1)
        vtable = [0] * slots
        self._pad(length, 4)
        start = self._size + length
        position = 4
        content = b""
        for field in ordered:
            vtable[field.number] = position
            if field.kind == "offset":
                content += struct.pack("<I", start - position - field.value)
            else:
                content += struct.pack(SCALARS[field.kind][0], field.value)
            position += field.size
        entries = struct.pack(f"<{2 + slots}H", 4 + 2 * slots, length, *vtable)
        self._prepend(struct.pack("<i", len(entries)) + content)
        self._prepend(entries)
        return start

    def finish(self, root: int, identifier: bytes) -> bytes:
        """The whole file, whose root is the table at `root`; `identifier` has four bytes."""
        self._pad(8, DATA_ALIGNMENT)
        return struct.pack("<I4s", self._size + 8 - root, identifier) + b"".join(self._chunks)
