"""What every operation of an integer program offers, and the checks that they share (SPEC PROG-1 to PROG-3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from refcodec.errors import ModelError, RefcodecError, ShapeError
from refcodec.formats import IntFormat
from refcodec.program.reach import Reach

MAX_CHANNELS = 65536
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor (C, H, W) of a program: channels and format are fixed, the size is not (SPEC PROG-2)."""

    name: str
    channels: int
    format: IntFormat


Tensors = Sequence[Tensor]
Arrays = Sequence[np.ndarray]
Reaches = Sequence[Reach]


class Operation(Protocol):
    """What every operation offers to the consumers of a program (SPEC PROG-1).

    `sources`, `inputs` and `reaches` are in the order of `reads`.
    """

    kind: ClassVar[str]
    constants: ClassVar[dict[str, str]]  # array field -> dtype in which a program holds it

    @property
    def name(self) -> str:
        """Name of the layer."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""

    @property
    def target(self) -> str:
        """Name of the tensor it defines."""

    def check(self, sources: Tensors, target: Tensor) -> None:
        """Raise RefcodecError unless constants, sources and target agree."""

    def size(self, *sizes: Size) -> Size:
        """Output height and width from those of the sources.  Raises ShapeError where they do not fit."""

    def reach(self, reaches: Reaches, target: Tensor) -> Reach:
        """What values the target can take, channel by channel (SPEC ACC-3)."""

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """Largest absolute value of everything computed on the way, by name (SPEC ACC-3)."""

    def run(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Compute the target with the compiled kernels."""

    def run_plain(self, inputs: Arrays, sources: Tensors, target: Tensor) -> np.ndarray:
        """Compute the target by the definition."""


class Unary:
    """An operation that reads one tensor, called `source`."""

    __slots__ = ()
    source: str

    @property
    def reads(self) -> tuple[str, ...]:
        """Name of the tensor it reads."""
        return (self.source,)

    def intermediates(self, reaches: Reaches) -> dict[str, int]:
        """Nothing is computed on the way."""
        return {}


class Pointwise(Unary):
    """An operation that reads one tensor and keeps its height and width."""

    __slots__ = ()

    def size(self, *sizes: Size) -> Size:
        """The same height and width."""
        return sizes[0]


class Several:
    """An operation that reads several tensors, called `sources`."""

    __slots__ = ()
    sources: tuple[str, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return self.sources


def require(condition: bool, code: str, message: str) -> None:
    """Raise ModelError unless a condition holds."""
    if not condition:
        raise ModelError(code, message)


def require_channels(name: str, source: Tensor, target: Tensor, channels: int | None = None) -> None:
    """Raise ModelError unless source and target have the same channels, and `channels` of them if that is given."""
    wanted = source.channels if channels is None else channels
    require(
        source.channels == target.channels == wanted,
        "RC-MODEL-TENSOR",
        f"{name}: {wanted} channels wanted, from {source.channels} to {target.channels} found",
    )


def freeze(operation: Operation) -> None:
    """Give a frozen operation read-only copies of its constants, in their declared dtypes."""
    for name, dtype in operation.constants.items():
        array = np.asarray(getattr(operation, name))
        limits = np.iinfo(dtype)
        require(
            array.dtype.kind in "iu"
            and (array.size == 0 or (limits.min <= int(array.min()) and int(array.max()) <= limits.max)),
            "RC-MODEL-RANGE",
            f"{operation.name}.{name}: {array.dtype} values do not fit {dtype}",
        )
        frozen = np.array(array, dtype, order="C")
        frozen.flags.writeable = False
        object.__setattr__(operation, name, frozen)


def check_operation(op: Operation, sources: Tensors, target: Tensor) -> None:
    """Check one operation and turn every complaint into a ModelError (SPEC PROG-3)."""
    try:
        op.check(sources, target)
    except ModelError:
        raise
    except ShapeError as error:
        raise ModelError("RC-MODEL-TENSOR", f"{op.name}: {error.message}") from error
    except RefcodecError as error:
        raise ModelError("RC-MODEL-RANGE", f"{op.name}: {error.message}") from error
