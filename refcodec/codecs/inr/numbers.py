"""Numbers in as few bytes as they need, seven bits in each (SPEC RCV-3)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

from refcodec.errors import StreamError

MAX_BYTES = 6  # 42 bits: holds a phase increment, the largest of all numbers
T = TypeVar("T")


def write_numbers(values: Iterable[int]) -> bytes:
    """The bytes of numbers from zero on: seven bits in each, least first, the eighth set where more follow."""
    found = bytearray()
    for number in values:
        value = number
        while value > 127:
            found.append(128 | value & 127)
            value >>= 7
        found.append(value)
    return bytes(found)


class NumberReader:
    """Takes numbers from bytes one after another (SPEC RCV-3).

    content  bytes;  position  of the first number;  end  where the last one ends.
    """

    __slots__ = ("_content", "_end", "position")

    def __init__(self, content: bytes, position: int, end: int) -> None:
        self._content, self.position, self._end = content, position, end

    def take(self) -> int:
        """The next number.  Raises StreamError RC-STREAM-TRUNCATED, RC-STREAM-LIMIT."""
        start, value = self.position, 0
        for k in range(MAX_BYTES):
            if self.position == self._end:
                raise StreamError("RC-STREAM-TRUNCATED", "the description ends within a number", self.position)
            byte = self._content[self.position]
            self.position += 1
            value |= (byte & 127) << 7 * k
            if byte < 128:
                if k and not byte:
                    raise StreamError("RC-STREAM-LIMIT", "a number has more bytes than it needs", start)
                return value
        raise StreamError("RC-STREAM-LIMIT", f"a number has more than {MAX_BYTES} bytes", start)

    def take_between(self, lo: int, hi: int, name: str) -> int:
        """The next number, which is lo .. hi.  Raises StreamError RC-STREAM-LIMIT, also as `take`."""
        start, value = self.position, self.take()
        if not lo <= value <= hi:
            raise StreamError("RC-STREAM-LIMIT", f"{name} must be {lo}..{hi}, got {value}", start)
        return value

    def take_one_of(self, choices: Sequence[T], name: str) -> T:
        """The choice whose place is the next number.  Raises StreamError RC-STREAM-LIMIT, also as `take`."""
        return choices[self.take_between(0, len(choices) - 1, name)]

    def finish(self) -> None:
        """Raise StreamError RC-STREAM-TRAILING unless every byte was taken."""
        if self.position != self._end:
            raise StreamError(
                "RC-STREAM-TRAILING", f"{self._end - self.position} bytes follow the last number", self.position
            )
