"""Streams of words between units, with valid and ready, and the tensors that they carry (SPEC HW-8)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hw.elaboration import bit, unsigned
from refcodec.formats import IntFormat


@dataclass(frozen=True, slots=True)
class Stream:
    """The signals of one stream: a word passes at every edge that sees both `valid` and `ready` (SPEC HW-8).

    Once offered, a word stays until it passes.
    """

    valid: Any
    ready: Any
    word: Any

    @classmethod
    def of(cls, bits: int) -> Stream:
        """Fresh signals."""
        return cls(bit(), bit(), unsigned(bits))


def pack_lanes(values: Iterable[int], bits: int) -> int:
    """One word from its lanes, lane 0 in the lowest bits, each in two's complement (SPEC HW-8)."""
    mask = (1 << bits) - 1
    word = 0
    for lane, value in enumerate(values):
        word |= (int(value) & mask) << (lane * bits)
    return word


def unpack_lanes(word: int, form: IntFormat, lanes: int) -> list[int]:
    """The lanes of one word (SPEC HW-8)."""
    mask = (1 << form.bits) - 1
    values = [(word >> (lane * form.bits)) & mask for lane in range(lanes)]
    return [value - (1 << form.bits) if value > form.hi else value for value in values]


def pad_channels(array: np.ndarray, multiple: int) -> np.ndarray:
    """Zeros behind the first axis, up to a multiple."""
    widths = [(0, 0)] * array.ndim
    widths[0] = (0, -array.shape[0] % multiple)
    return np.pad(array, widths)


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """What a stream carries: a tensor, `lanes` channels in a word, in the order row, column, group (SPEC HW-8).

    channels, height, width  of the tensor;  lanes  channels in a word, lane 0 lowest
    format  of each lane.  The lanes beyond the last channel hold anything.
    """

    channels: int
    height: int
    width: int
    lanes: int
    format: IntFormat

    @property
    def groups(self) -> int:
        """Words of one pixel: channels by lanes, rounded up."""
        return -(-self.channels // self.lanes)

    @property
    def words(self) -> int:
        """Words of one tensor."""
        return self.height * self.width * self.groups

    @property
    def bits(self) -> int:
        """Bits of one word."""
        return self.lanes * self.format.bits

    def pack(self, tensor: np.ndarray) -> list[int]:
        """The words of a tensor (C, H, W), zeros in the lanes beyond the last channel."""
        rows = pad_channels(tensor, self.lanes).transpose(1, 2, 0).reshape(-1, self.lanes)
        return [pack_lanes(row, self.format.bits) for row in rows.tolist()]

    def unpack(self, words: Sequence[int]) -> np.ndarray:
        """The tensor (C, H, W) int64 of its words, the inverse of `pack`."""
        lanes = [unpack_lanes(word, self.format, self.lanes) for word in words]
        shape = (self.height, self.width, self.groups * self.lanes)
        return np.array(lanes, np.int64).reshape(shape).transpose(2, 0, 1)[: self.channels]

    @property
    def mask(self) -> list[int]:
        """For each word, the bits that carry channels."""
        used = np.arange(self.groups * self.lanes) < self.channels
        pixel = [pack_lanes(-row.astype(np.int64), self.format.bits) for row in used.reshape(-1, self.lanes)]
        return pixel * (self.height * self.width)
