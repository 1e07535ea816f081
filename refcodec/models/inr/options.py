"""What a user may say of an implicit video that its checkpoint does not."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from refcodec.codecs.inr.nodes import GELU, SIGMOID, SILU, TANH
from refcodec.errors import RangeError

ACTIVATIONS = (GELU, SILU)
HEADS = (TANH, SIGMOID)
FREQUENCY_RATIO = 1.25  # of all the authors' configurations


def _usage(message: str) -> RangeError:
    return RangeError(message, "RC-USAGE")


@dataclass(frozen=True, slots=True, eq=False)
class ImportOptions:
    """All are None where nothing is said.

    frames  number of frames;  size  height and width of a picture
    embeddings  (T, C, h, w) floating point, what HNeRV's encoder gave for each frame
    activation  GELU or SILU;  head  TANH or SIGMOID, each by default that of the authors' code
    ratio  of each frequency of a positional encoding to the one before
    normed  whether HiNeRV normalises before it enlarges, by default it does
    bits  2 .. 8, for which FFNeRV was trained
    independent  True to take FFNeRV's independent frames for those that it aggregates from them.
    Raises RangeError RC-USAGE.
    """

    frames: int | None = None
    size: tuple[int, int] | None = None
    embeddings: np.ndarray | None = None
    activation: str | None = None
    head: str | None = None
    ratio: float | None = None
    normed: bool | None = None
    bits: int | None = None
    independent: bool | None = None

    def __post_init__(self) -> None:
        if self.activation not in (None, *ACTIVATIONS) or self.head not in (None, *HEADS):
            raise _usage(f"the activation is one of {', '.join(ACTIVATIONS)}, the head one of {', '.join(HEADS)}")
        if self.bits is not None and not 2 <= self.bits <= 8:
            raise _usage(f"FFNeRV is trained for 2..8 bits, got {self.bits}")
        if self.ratio is not None and not 0 < self.ratio < 100:
            raise _usage(f"the ratio of frequencies lies between 0 and 100, got {self.ratio}")

    @property
    def said(self) -> set[str]:
        """Names of the options that are not None."""
        return {field.name for field in fields(self) if getattr(self, field.name) is not None}

    @property
    def known_frames(self) -> int:
        """The number of frames.  Raises RangeError RC-USAGE where it is not said."""
        if self.frames is None:
            raise _usage("the checkpoint does not tell the number of frames (--frames)")
        return self.frames

    @property
    def known_size(self) -> tuple[int, int]:
        """Height and width.  Raises RangeError RC-USAGE where they are not said."""
        if self.size is None:
            raise _usage("the checkpoint does not tell the size of a picture (--size)")
        return self.size
