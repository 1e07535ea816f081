"""The frozen operations of an integer program (SPEC PROG-1).

An operation names the tensors it reads and writes, holds its constants, and knows four things: its output size,
its output format, whether its constants are legal, and how to run itself, on the kernels or by the definition.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from refcodec import fixed
from refcodec.errors import ModelError, RefcodecError
from refcodec.formats import IntFormat
from refcodec.layers.clip import clip, clip_plain
from refcodec.layers.convolution import MAX_KERNEL, MAX_STRIDE, convolution, convolution_plain
from refcodec.layers.latent_mean import SYMBOL_FORMAT, check_mean, latent_format, latent_mean, latent_mean_plain
from refcodec.layers.requantise import check_scales, requantise, requantise_plain
from refcodec.layers.scale_index import INDEX_FORMAT, check_thresholds, scale_index, scale_index_plain
from refcodec.layers.transposed_convolution import transposed_convolution, transposed_convolution_plain

MAX_CHANNELS = 1024
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A named tensor (C, H, W) of a program: channels and format are fixed, the size is not (SPEC PROG-2)."""

    name: str
    channels: int
    format: IntFormat


class Operation(Protocol):
    """What every operation offers to the consumers of a program (SPEC PROG-1)."""

    kind: ClassVar[str]
    constants: ClassVar[dict[str, str]]  # array field -> dtype in which a program holds it

    @property
    def name(self) -> str:
        """Name of the layer."""

    @property
    def source(self) -> str:
        """Name of the tensor it reads."""

    @property
    def target(self) -> str:
        """Name of the tensor it defines."""

    def check(self, source: Tensor, target: Tensor) -> None:
        """Raise RefcodecError unless constants, source and target agree."""

    def size(self, height: int, width: int) -> Size:
        """Output height and width."""

    def run(self, x: np.ndarray, source: Tensor, target: Tensor) -> np.ndarray:
        """Compute the target with the compiled kernels."""

    def run_plain(self, x: np.ndarray, source: Tensor, target: Tensor) -> np.ndarray:
        """Compute the target by the definition."""


def _require(condition: bool, code: str, message: str) -> None:
    if not condition:
        raise ModelError(code, message)


def _freeze(operation: AnyOperation) -> None:
    """Give a frozen operation read-only copies of its constants, in their declared dtypes."""
    for name, dtype in operation.constants.items():
        array = np.asarray(getattr(operation, name))
        limits = np.iinfo(dtype)
        _require(
            array.dtype.kind in "iu"
            and (array.size == 0 or (limits.min <= int(array.min()) and int(array.max()) <= limits.max)),
            "RC-MODEL-RANGE",
            f"{operation.name}.{name}: {array.dtype} values do not fit {dtype}",
        )
        frozen = np.array(array, dtype, order="C")
        frozen.flags.writeable = False
        object.__setattr__(operation, name, frozen)


def _check_convolution(op: Convolution | TransposedConvolution, source: Tensor, target: Tensor) -> None:
    shape = op.weight.shape
    _require(
        op.weight.ndim == 4 and shape[2] == shape[3] and shape[:2] == (target.channels, source.channels),
        "RC-MODEL-TENSOR",
        f"{op.name}: weight {shape} does not lead from {source.channels} to {target.channels} channels",
    )
    _require(op.bias.shape == shape[:1], "RC-MODEL-TENSOR", f"{op.name}: bias {op.bias.shape} for weight {shape}")
    _require(
        1 <= shape[2] <= MAX_KERNEL and 1 <= op.stride <= MAX_STRIDE and 0 <= op.padding < shape[2],
        "RC-MODEL-RANGE",
        f"{op.name}: kernel {shape[2]}, stride {op.stride}, padding {op.padding}",
    )
    _require(
        2 <= op.weight_format.bits <= 16 and op.weight_format.signed and 2 <= source.format.bits <= 16,
        "RC-MODEL-RANGE",
        f"{op.name}: signed weights and activations of 2..16 bits wanted, got {op.weight_format}, {source.format}",
    )
    op.weight_format.check(op.weight, f"{op.name}.weight")
    target.format.check(op.bias, f"{op.name}.bias")
    bound = op.bound(source.format)
    _require(
        bound <= target.format.hi and target.format.signed,
        "RC-MODEL-OVERFLOW",
        f"{op.name}: the accumulator may reach {bound}, {target.format} holds {target.format.hi}",
    )


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """Convolution into an accumulator (SPEC CONV-2).

    weight  (O, C, K, K) in weight_format;  bias  (O,) in the target's format;  stride, padding  as in CONV-3.
    """

    kind: ClassVar[str] = "convolution"
    constants: ClassVar[dict[str, str]] = {"weight": "int16", "bias": "int64"}
    name: str
    source: str
    target: str
    weight_format: IntFormat
    stride: int
    padding: int
    weight: np.ndarray
    bias: np.ndarray

    def __post_init__(self) -> None:
        _freeze(self)

    def check(self, source: Tensor, target: Tensor) -> None:
        """Raise RefcodecError unless the layer is legal and its accumulator cannot overflow (SPEC CONV-3, ACC-1)."""
        _check_convolution(self, source, target)

    def bound(self, source: IntFormat) -> int:
        """Largest absolute accumulator value over all channels (SPEC ACC-1)."""
        sums = np.abs(self.weight.astype(np.int64)).sum(axis=(1, 2, 3)) * source.magnitude
        return int((sums + np.abs(self.bias)).max())

    def size(self, height: int, width: int) -> Size:
        """Output height and width (SPEC CONV-1)."""
        kernel = self.weight.shape[2]
        return (
            fixed.convolution_size(height, kernel, self.stride, self.padding),
            fixed.convolution_size(width, kernel, self.stride, self.padding),
        )

    def run(self, x: np.ndarray, source: Tensor, target: Tensor) -> np.ndarray:
        """Accumulators by the compiled kernel."""
        return convolution(x, self.weight, self.bias, self.stride, self.padding).astype(target.format.dtype, copy=False)

    def run_plain(self, x: np.ndarray, source: Tensor, target: Tensor) -> np.ndarray:
        """Accumulators by the definition."""
        return convolution_plain(x, self.weight, self.bias, self.stride, self.padding)


@dataclass(frozen=True, slots=True, eq=False)
class TransposedConvolution:
    """Transposed convolution into an accumulator (SPEC TCONV-3).

    weight  (O, C, K, K) in weight_format, output channel first;  bias  (O,) in the target's format.
    """

    kind: ClassVar[str] = "transposed_convolution"
    constants: ClassVar[dict[str, str]] = {"weight": "int16", "bias": "int64"}
    name: str
    source: str
    target: str
    weight_format: IntFormat
    stride: int
    padding: int
    output_padding: int
    weight: np.ndarray
    bias: np.ndarray

    def __post_init__(self) -> None:
        _freeze(self)

    def check(self, source: Tensor, target: Tensor) -> None:
        """Raise RefcodecError unless the layer is legal and its accumulator cannot overflow (SPEC TCONV-4, ACC-1)."""
        _check_convolution(self, source, target)
        _require(
            0 <= self.output_padding < self.stride,
            "RC-MODEL-RANGE",
            f"{self.name}: output padding {self.output_padding} with stride {self.stride}",
        )

    def bound(self, source: IntFormat) -> int:
        """Largest absolute accumulator value over all channels and phases (SPEC ACC-1)."""
        absolute = np.abs(self.weight.astype(np.int64)).sum(axis=1)
        kernel = self.weight.shape[2]
        phases = [
            [k for k, _ in fixed.phase_taps(kernel, self.stride, self.padding, phase)] for phase in range(self.stride)
        ]
        sums = [absolute[:, rows][:, :, columns].sum(axis=(1, 2)) for rows in phases for columns in phases]
        return int((np.max(sums, axis=0) * source.magnitude + np.abs(self.bias)).max())

    def size(self, height: int, width: int) -> Size:
        """Output height and width (SPEC TCONV-1)."""
        kernel = self.weight.shape[2]
        return (
            fixed.transposed_size(height, kernel, self.stride, self.padding, self.output_padding),
            fixed.transposed_size(width, kernel, self.stride, self.padding, self.output_padding),
        )

    def run(self, x: np.ndarray, source: Tensor, target: Tensor) -> np.ndarray:
        """Accumulators by the compiled kernel."""
        out = transposed_convolution(x, self.weight, self.bias, self.stride, self.padding, self.output_padding)
        return out.astype(target.format.dtype, copy=False)

    def run_plain(self, x: np.ndarray, source: Tensor, target: Tensor) -> np.ndarray:
        """Accumulators by the definition."""
        return transposed_convolution_plain(x, self.weight, self.bias, self.stride, self.padding, self.output_padding)


@dataclass(frozen=True, slots=True, eq=False)
class Requantise:
    """Requantisation of an accumulator, or of any tensor, into a narrower format (SPEC RQ-1).

    multiplier  (C,);  shift  (C,), 1..62.  A rectifier is a target format without a sign (SPEC RQ-4).
    """

    kind: ClassVar[str] = "requantise"
    constants: ClassVar[dict[str, str]] = {"multiplier": "int32", "shift": "int8"}
    name: str
    source: str
    target: str
    multiplier: np.ndarray
    shift: np.ndarray

    def __post_init__(self) -> None:
        _freeze(self)

    def check(self, source: Tensor, target: Tensor) -> None:
        """Raise RefcodecError unless multipliers and shifts belong to the source's profile (SPEC RQ-2)."""
        _require(
            source.channels == target.channels and self.multiplier.shape == self.shift.shape == (source.channels,),
            "RC-MODEL-TENSOR",
            f"{self.name}: multiplier {self.multiplier.shape}, shift {self.shift.shape}, {source.channels} channels",
        )
        _require(target.format.bits <= 16, "RC-MODEL-RANGE", f"{self.name}: {target.format} is wider than 16 bits")
        check_scales(self.multiplier, self.shift, source.format)

    def size(self, height: int, width: int) -> Size:
        """The same height and width."""
        return height, width

    def run(self, x: np.ndarray, source: Tensor, target: Tensor) -> np.ndarray:
        """Activations by the compiled kernel."""
        return requantise(x, self.multiplier, self.shift, source.format, target.format)

    def run_plain(self, x: np.ndarray, source: Tensor, target: Tensor) -> np.ndarray:
        """Activations by the definition."""
        return requantise_plain(x, self.multiplier, self.shift, source.format, target.format)


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Limit every value to lo .. hi (SPEC CLIP-1); a rectifier has lo = 0 (SPEC CLIP-2)."""

    kind: ClassVar[str] = "clip"
    constants: ClassVar[dict[str, str]] = {}
    name: str
    source: str
    target: str
    lo: int
    hi: int

    def check(self, source: Tensor, target: Tensor) -> None:
        """Raise RefcodecError unless the limits lie in both formats (SPEC CLIP-3)."""
        _require(source.channels == target.channels, "RC-MODEL-TENSOR", f"{self.name}: channel counts differ")
        limits = np.array([self.lo, self.hi])
        _require(self.lo <= self.hi, "RC-MODEL-RANGE", f"{self.name}: lo {self.lo} exceeds hi {self.hi}")
        source.format.check(limits, f"{self.name} limits")
        target.format.check(limits, f"{self.name} limits")

    def size(self, height: int, width: int) -> Size:
        """The same height and width."""
        return height, width

    def run(self, x: np.ndarray, source: Tensor, target: Tensor) -> np.ndarray:
        """Clipped values by the compiled kernel."""
        return clip(x, self.lo, self.hi).astype(target.format.dtype)

    def run_plain(self, x: np.ndarray, source: Tensor, target: Tensor) -> np.ndarray:
        """Clipped values by the definition."""
        return clip_plain(x, self.lo, self.hi).astype(target.format.dtype)


@dataclass(frozen=True, slots=True, eq=False)
class LatentMean:
    """Decoded symbols plus a fixed-point mean per channel (SPEC MEAN-1).

    mean  (C,) in units of 2**-fraction;  fraction  0..16.
    """

    kind: ClassVar[str] = "latent_mean"
    constants: ClassVar[dict[str, str]] = {"mean": "int32"}
    name: str
    source: str
    target: str
    fraction: int
    mean: np.ndarray

    def __post_init__(self) -> None:
        _freeze(self)

    def check(self, source: Tensor, target: Tensor) -> None:
        """Raise RefcodecError unless the formats hold every sum (SPEC MEAN-2)."""
        check_mean(self.mean, self.fraction)
        _require(
            self.mean.shape == (source.channels,) and source.channels == target.channels,
            "RC-MODEL-TENSOR",
            f"{self.name}: mean {self.mean.shape} for {source.channels} channels",
        )
        _require(
            source.format == SYMBOL_FORMAT and target.format == latent_format(self.fraction),
            "RC-MODEL-RANGE",
            f"{self.name}: leads from {SYMBOL_FORMAT} to {latent_format(self.fraction)}, "
            f"not from {source.format} to {target.format}",
        )

    def size(self, height: int, width: int) -> Size:
        """The same height and width."""
        return height, width

    def run(self, x: np.ndarray, source: Tensor, target: Tensor) -> np.ndarray:
        """Fixed-point latents."""
        return latent_mean(x, self.mean, self.fraction)

    def run_plain(self, x: np.ndarray, source: Tensor, target: Tensor) -> np.ndarray:
        """Fixed-point latents by the definition."""
        return latent_mean_plain(x, self.mean, self.fraction)


@dataclass(frozen=True, slots=True, eq=False)
class ScaleIndex:
    """Row of the scale table from the accumulator of the last scale layer (SPEC SCALE-1).

    thresholds  (C, 63), never decreasing within a channel.
    """

    kind: ClassVar[str] = "scale_index"
    constants: ClassVar[dict[str, str]] = {"thresholds": "int64"}
    name: str
    source: str
    target: str
    thresholds: np.ndarray

    def __post_init__(self) -> None:
        _freeze(self)

    def check(self, source: Tensor, target: Tensor) -> None:
        """Raise RefcodecError unless the thresholds are ordered (SPEC SCALE-2)."""
        check_thresholds(self.thresholds)
        _require(
            self.thresholds.shape[0] == source.channels == target.channels,
            "RC-MODEL-TENSOR",
            f"{self.name}: thresholds {self.thresholds.shape} for {source.channels} channels",
        )
        _require(target.format == INDEX_FORMAT, "RC-MODEL-RANGE", f"{self.name}: the target must be {INDEX_FORMAT}")

    def size(self, height: int, width: int) -> Size:
        """The same height and width."""
        return height, width

    def run(self, x: np.ndarray, source: Tensor, target: Tensor) -> np.ndarray:
        """Indexes by the compiled kernel."""
        return scale_index(x, self.thresholds)

    def run_plain(self, x: np.ndarray, source: Tensor, target: Tensor) -> np.ndarray:
        """Indexes by the definition."""
        return scale_index_plain(x, self.thresholds)


AnyOperation = Convolution | TransposedConvolution | Requantise | Clip | LatentMean | ScaleIndex
KINDS: dict[str, type[Operation]] = {
    op.kind: op for op in (Convolution, TransposedConvolution, Requantise, Clip, LatentMean, ScaleIndex)
}


def check_operation(op: AnyOperation, source: Tensor, target: Tensor) -> None:
    """Check one operation and turn every complaint into a ModelError (SPEC PROG-3)."""
    try:
        op.check(source, target)
    except ModelError:
        raise
    except RefcodecError as error:
        raise ModelError("RC-MODEL-RANGE", f"{op.name}: {error.message}") from error
