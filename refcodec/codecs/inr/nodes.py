"""Networks of implicit video codecs as nodes, which float twins and integer decoders both read (SPEC INR-2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

WEIGHT, BIAS, GRID = "weight", "bias", "grid"
GELU, SILU = "gelu", "silu"
TANH, SIGMOID = "tanh", "sigmoid"
FRAME = "t"  # the tensor (1, 1, 1) that holds the frame number, which every network begins with


class Parameter(NamedTuple):
    """A trained tensor: its name in a checkpoint, its shape, and what it is.

    kind  WEIGHT (O, C, K, K), of a depthwise convolution (C, 1, K, K), a step for each output channel, or one
          BIAS (O,), one step;  GRID (T, C, H, W), a step for each channel, or one.
    """

    name: str
    shape: tuple[int, ...]
    kind: str


class _Single:
    """A node that reads one tensor, called `source`."""

    __slots__ = ()
    source: str

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the tensors it reads."""
        return (self.source,)


class _Bare:
    """A node without parameters."""

    __slots__ = ()

    def parameters(self) -> tuple[Parameter, ...]:
        """It has none."""
        return ()


class _Source:
    """A node that reads the frame number."""

    __slots__ = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The frame number."""
        return (FRAME,)


def _layer(prefix: str, weight: tuple[int, ...], biased: bool) -> tuple[Parameter, ...]:
    bias = (Parameter(f"{prefix}.bias", weight[:1], BIAS),) if biased else ()
    return (Parameter(f"{prefix}.weight", weight, WEIGHT), *bias)


@dataclass(frozen=True, slots=True)
class Grid(_Source):
    """The tensor (C, H, W) of a frame, interpolated over time where there are fewer tensors than frames (SPEC EMB-1).

    parameter  its name in a checkpoint;  count  tensors;  centred  as PyTorch resizes, else from the left (FFNeRV).
    """

    name: str
    parameter: str
    count: int
    channels: int
    height: int
    width: int
    centred: bool = True

    def parameters(self) -> tuple[Parameter, ...]:
        """The tensors (T, C, H, W)."""
        return (Parameter(self.parameter, (self.count, self.channels, self.height, self.width), GRID),)


@dataclass(frozen=True, slots=True)
class Encoding(_Source, _Bare):
    """Sines and cosines of the frame number, (2L, 1, 1) (SPEC PE-2).

    interleaved  sine and cosine of each frequency in turn, else all sines first
    increments  (L,) phase of one frame in units of 2**-40 turns.
    """

    name: str
    interleaved: bool
    increments: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Convolution(_Single):
    """A convolution of padding kernel // 2 and stride 1; with a kernel of 1 a linear layer."""

    name: str
    source: str
    inputs: int
    outputs: int
    kernel: int
    prefix: str
    biased: bool = True

    def parameters(self) -> tuple[Parameter, ...]:
        """Weight (O, C, K, K) and bias (O,)."""
        return _layer(self.prefix, (self.outputs, self.inputs, self.kernel, self.kernel), self.biased)


@dataclass(frozen=True, slots=True)
class Depthwise(_Single):
    """A convolution of padding kernel // 2 with a kernel of its own for each channel."""

    name: str
    source: str
    channels: int
    kernel: int
    prefix: str
    biased: bool = False

    def parameters(self) -> tuple[Parameter, ...]:
        """Weight (C, 1, K, K) and bias (C,)."""
        return _layer(self.prefix, (self.channels, 1, self.kernel, self.kernel), self.biased)


@dataclass(frozen=True, slots=True)
class Activation(_Single, _Bare):
    """GELU with the error function, or SiLU."""

    name: str
    source: str
    form: str


@dataclass(frozen=True, slots=True)
class Norm(_Single, _Bare):
    """Layer normalisation over the channels of each sample, without affine, epsilon 1e-6."""

    name: str
    source: str
    channels: int


@dataclass(frozen=True, slots=True)
class Shuffle(_Single, _Bare):
    """Groups of rows * columns channels become blocks of samples (SPEC PS-1)."""

    name: str
    source: str
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Resize(_Single, _Bare):
    """Bilinear enlargement of both sides by a whole factor (SPEC RES-2)."""

    name: str
    source: str
    factor: int


@dataclass(frozen=True, slots=True)
class Tile(_Single, _Bare):
    """A plane repeated rows times downwards and columns times to the right (SPEC TILE-1)."""

    name: str
    source: str
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Sum(_Bare):
    """The sum of two tensors."""

    name: str
    reads: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Join(_Bare):
    """The channels of several tensors, one after another."""

    name: str
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Head(_Single, _Bare):
    """Samples of 8 bits from an accumulator: (tanh(x) + 1) / 2 or the sigmoid of x, times 255 (SPEC HEAD-1)."""

    name: str
    source: str
    form: str


Node = Grid | Encoding | Convolution | Depthwise | Activation | Norm | Shuffle | Resize | Tile | Sum | Join | Head
