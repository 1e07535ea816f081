"""Trained networks as lists of nodes: what the float twins run, and what becomes an integer program."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from refcodec.errors import ShapeError
from refcodec.layers.masked_convolution import live_taps
from refcodec.models import float_layers

SMALLEST_SCALE = np.float32(0.11)  # CompressAI's lower bound of a Gaussian's scale
QRELU_LIMIT = np.float32(255)  # CompressAI's QReLU with 8 bits
LEAKY_SLOPE = np.float32(0.01)  # torch.nn.LeakyReLU's default

Parameters = Mapping[str, np.ndarray]
Arrays = Mapping[str, np.ndarray]
Observe = Callable[[str, np.ndarray], None]


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

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """It has no parameters."""
        return {}


@dataclass(frozen=True, slots=True)
class Convolution(_Single):
    """A convolution of padding kernel // 2 (transposed: output padding stride - 1) with `{prefix}.weight` and `.bias`.

    name, source  tensors that it defines and reads;  inputs, outputs  their channels
    prefix  of the parameters in a checkpoint;  stored, first  their output channels, and the first one used here
    mask    "", "causal" or "checkerboard" (SPEC MASK-1, MASK-2);  valid  only outputs whose whole window is inside
    biased  whether there is a bias.
    """

    name: str
    source: str
    inputs: int
    outputs: int
    kernel: int
    stride: int
    transposed: bool
    prefix: str
    stored: int
    first: int = 0
    mask: str = ""
    valid: bool = False
    biased: bool = True

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of its parameters as PyTorch has them: a transposed weight has its inputs first."""
        channels = (self.inputs, self.stored) if self.transposed else (self.stored, self.inputs)
        shapes: dict[str, tuple[int, ...]] = {f"{self.prefix}.weight": (*channels, self.kernel, self.kernel)}
        if self.biased:
            shapes[f"{self.prefix}.bias"] = (self.stored,)
        return shapes

    def weight(self, parameters: Parameters) -> np.ndarray:
        """The weights that it uses, (O, C, K, K), output channel first, zero where the mask is dead."""
        stored = parameters[f"{self.prefix}.weight"]
        used = (stored.swapaxes(0, 1) if self.transposed else stored)[self.first : self.first + self.outputs]
        return used * live_taps(self.mask, self.kernel) if self.mask else used

    def bias(self, parameters: Parameters) -> np.ndarray:
        """The biases that it uses, (O,)."""
        if not self.biased:
            return np.zeros(self.outputs, np.float32)
        return parameters[f"{self.prefix}.bias"][self.first : self.first + self.outputs]

    def run(self, arrays: Arrays, parameters: Parameters) -> np.ndarray:
        """(O, H', W') float32."""
        weight, bias = self.weight(parameters), self.bias(parameters)
        if self.transposed:
            weight = weight.swapaxes(0, 1)
            return float_layers.transposed_convolution(arrays[self.source], weight, bias, self.stride)
        out = float_layers.convolution(arrays[self.source], weight, bias, self.stride)
        inner = slice(self.kernel // 2, -(self.kernel // 2)) if self.valid and self.kernel > 1 else slice(None)
        return out[:, inner, inner]

    def mean_response(self, weight: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Mean output (O,) that weights (O, C, K, K) give to inputs with these channel means (C,).

        An output of a transposed convolution meets 1 / stride**2 of the taps on average.
        """
        total = np.einsum("ockl,c->o", weight, means)
        return total / self.stride**2 if self.transposed else total


def _identity(x: np.ndarray) -> np.ndarray:
    return x


# What becomes of an accumulator; the last three end a network, and only `scale` changes the float value.
FORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "linear": _identity,
    "relu": float_layers.relu,
    "leaky": lambda x: np.where(x < 0, LEAKY_SLOPE * x, x),
    "qrelu": lambda x: np.clip(x, np.float32(0), QRELU_LIMIT),
    "sample": _identity,
    "mean": _identity,
    "scale": lambda x: np.maximum(x, SMALLEST_SCALE),
}


@dataclass(frozen=True, slots=True)
class Activation(_Single, _Bare):
    """What follows a convolution before anything else may read it; form is one of FORMS."""

    name: str
    source: str
    form: str

    def run(self, arrays: Arrays, parameters: Parameters) -> np.ndarray:
        """Float32 of the same shape."""
        del parameters
        return FORMS[self.form](arrays[self.source])


@dataclass(frozen=True, slots=True)
class Normalisation(_Single):
    """GDN or its inverse with `{prefix}.beta` and `{prefix}.gamma`; exponent 1: magnitudes, 2: squares and a root."""

    name: str
    source: str
    channels: int
    inverse: bool
    exponent: int
    prefix: str

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of its parameters."""
        return {f"{self.prefix}.beta": (self.channels,), f"{self.prefix}.gamma": (self.channels, self.channels)}

    def run(self, arrays: Arrays, parameters: Parameters) -> np.ndarray:
        """Float32 of the same shape."""
        apply = float_layers.inverse_gdn if self.inverse else float_layers.gdn
        beta, gamma = parameters[f"{self.prefix}.beta"], parameters[f"{self.prefix}.gamma"]
        return apply(arrays[self.source], beta, gamma, self.exponent)


@dataclass(frozen=True, slots=True)
class Shuffle(_Single, _Bare):
    """Groups of factor**2 channels become blocks of samples (torch.nn.PixelShuffle)."""

    name: str
    source: str
    factor: int

    def run(self, arrays: Arrays, parameters: Parameters) -> np.ndarray:
        """(C / factor**2, H * factor, W * factor) float32."""
        del parameters
        x, r = arrays[self.source], self.factor
        channels, height, width = x.shape
        blocks = x.reshape(channels // r**2, r, r, height, width).transpose(0, 3, 1, 4, 2)
        return np.ascontiguousarray(blocks).reshape(channels // r**2, height * r, width * r)


@dataclass(frozen=True, slots=True)
class Sum(_Bare):
    """The sum of two tensors."""

    name: str
    reads: tuple[str, ...]

    def run(self, arrays: Arrays, parameters: Parameters) -> np.ndarray:
        """Float32 of the same shape."""
        del parameters
        left, right = (arrays[name] for name in self.reads)
        return left + right


@dataclass(frozen=True, slots=True)
class Join(_Bare):
    """The channels of several tensors, one after another."""

    name: str
    reads: tuple[str, ...]

    def run(self, arrays: Arrays, parameters: Parameters) -> np.ndarray:
        """Float32, channels added up."""
        del parameters
        return np.concatenate([arrays[name] for name in self.reads])


Node = Convolution | Activation | Normalisation | Shuffle | Sum | Join


class Port(NamedTuple):
    """A tensor that a network is given: its name and channels."""

    name: str
    channels: int


@dataclass(frozen=True, slots=True)
class Network:
    """Nodes in the order of computation; the tensors that none of them reads are its outputs."""

    inputs: tuple[Port, ...]
    nodes: tuple[Node, ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the tensors that no node reads."""
        read = {name for node in self.nodes for name in node.reads}
        return tuple(node.name for node in self.nodes if node.name not in read)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter, by name."""
        return {name: shape for node in self.nodes for name, shape in node.shapes().items()}

    def convolutions(self) -> Iterator[Convolution]:
        """Its convolutions, in order."""
        return (node for node in self.nodes if isinstance(node, Convolution))

    def readers(self, name: str) -> list[Node]:
        """The nodes that read a tensor."""
        return [node for node in self.nodes if name in node.reads]

    def run(self, parameters: Parameters, inputs: Arrays, observe: Observe | None = None) -> dict[str, np.ndarray]:
        """Its outputs, float32 (C, H, W) by name.

        inputs  float32 (C, H, W) for every port;  observe  called with the name and values of every tensor.
        Raises ShapeError.
        """
        live = {port.name: _accept(port, inputs[port.name]) for port in self.inputs}
        left = {name: sum(name in node.reads for node in self.nodes) for name in live}
        if observe:
            for name, array in live.items():
                observe(name, array)
        for node in self.nodes:
            live[node.name] = node.run(live, parameters)
            left[node.name] = len(self.readers(node.name))
            if observe:
                observe(node.name, live[node.name])
            for name in node.reads:
                left[name] -= 1
                if left[name] == 0:
                    del live[name]
        return live


def _accept(port: Port, x: np.ndarray) -> np.ndarray:
    if x.ndim != 3 or x.shape[0] != port.channels or x.dtype != np.float32 or 0 in x.shape:
        raise ShapeError(f"{port.name}: wanted float32 ({port.channels}, H, W), got {x.dtype} {x.shape}")
    return x
