"""A small scale hyperprior with random integer weights: the layers of the shipped model, few channels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from refcodec.codecs.codec import Latents
from refcodec.codecs.scale_hyperprior import ScaleHyperprior
from refcodec.entropy.tables import FrequencyTables
from refcodec.formats import IntFormat
from refcodec.program.model_file import Model
from refcodec.program.operations import (
    AnyOperation,
    Convolution,
    LatentMean,
    Requantise,
    ScaleIndex,
    Tensor,
    TransposedConvolution,
)
from refcodec.program.program import Program

HYPER, LATENT = 4, 6  # channels of z and of y
FRACTION = 8
SYMBOL = IntFormat(16, True)
SPREAD = 8  # symbols of z and y mostly lie in -SPREAD .. SPREAD


@dataclass
class ProgramBuilder:
    """Appends random operations to a program and keeps track of about how large its tensors get."""

    name: str
    weight_bits: int
    rng: np.random.Generator
    tensors: list[Tensor]
    size: float  # root mean square of the last tensor
    operations: list[AnyOperation] = field(default_factory=list)

    def append(self, op: AnyOperation, channels: int, fmt: IntFormat) -> None:
        """Add one operation and the tensor that it writes."""
        self.operations.append(op)
        self.tensors.append(Tensor(op.target, channels, fmt))

    def convolve(self, name: str, channels: int, stride: int) -> None:
        """A 5x5 transposed convolution of that stride or, for a stride of 1, a 3x3 convolution."""
        source, kernel = self.tensors[-1], 5 if stride > 1 else 3
        fmt = IntFormat(self.weight_bits, True)
        weight = self.rng.integers(fmt.lo, fmt.hi, (channels, source.channels, kernel, kernel), endpoint=True)
        self.size *= fmt.hi * 0.58 * kernel / stride * math.sqrt(source.channels)
        bias = np.rint(self.rng.normal(0, self.size / 2, channels)).astype(np.int64)
        op: Convolution | TransposedConvolution
        if stride > 1:
            op = TransposedConvolution(name, source.name, name, fmt, stride, 2, stride - 1, weight, bias)
        else:
            op = Convolution(name, source.name, name, fmt, 1, 1, weight, bias)
        self.append(op, channels, IntFormat(op.bound(source.format).bit_length() + 1, True))

    def requantise(self, name: str, fmt: IntFormat) -> None:
        """Scale so that about one value in ten saturates, each channel by a multiplier of its own."""
        source = self.tensors[-1]
        scale = fmt.hi / (1.6 * self.size) * self.rng.uniform(0.7, 1.4, source.channels)
        bits = 15 if source.format.bits > 32 else 31
        shift = np.array([bits - 1 - math.frexp(s)[1] for s in scale])
        multiplier = np.array([int(math.ldexp(s, int(k))) for s, k in zip(scale, shift, strict=True)])
        self.append(Requantise(name, source.name, name, multiplier, shift), source.channels, fmt)
        self.size = fmt.hi / (1.6 if fmt.signed else 4)  # a rectifier leaves less than half

    def program(self) -> Program:
        """What was appended so far."""
        return Program(self.name, tuple(self.tensors), tuple(self.operations))


def _hyper_synthesis(weight_bits: int, activation_bits: int, rng: np.random.Generator) -> Program:
    build = ProgramBuilder("h_s", weight_bits, rng, [Tensor("z", HYPER, SYMBOL)], SPREAD * 256.0)
    mean = rng.integers(-700, 700, HYPER)
    build.append(LatentMean("z_mean", "z", "z_mean", FRACTION, mean), HYPER, IntFormat(17 + FRACTION, True))
    build.requantise("z_hat", IntFormat(activation_bits, True))
    build.convolve("h_s.0", LATENT, 2)
    build.requantise("h_s.1", IntFormat(activation_bits, False))
    build.convolve("h_s.2", LATENT + 2, 2)
    build.requantise("h_s.3", IntFormat(activation_bits, False))
    build.convolve("h_s.4", LATENT, 1)
    thresholds = np.sort(np.rint(rng.normal(0, build.size, (LATENT, 63))).astype(np.int64), axis=1)
    build.append(ScaleIndex("indexes", "h_s.4", "indexes", thresholds), LATENT, IntFormat(6, False))
    return build.program()


def _synthesis(weight_bits: int, activation_bits: int, rng: np.random.Generator) -> Program:
    build = ProgramBuilder("g_s", weight_bits, rng, [Tensor("y", LATENT, SYMBOL)], SPREAD)
    build.requantise("y_hat", IntFormat(activation_bits, True))
    for layer in range(3):
        build.convolve(f"g_s.{2 * layer}", HYPER, 2)
        build.requantise(f"g_s.{2 * layer + 1}", IntFormat(activation_bits, False))
    build.convolve("g_s.6", 3, 2)
    build.requantise("x_hat", IntFormat(8, False))
    return build.program()


def _tables(rows: int, rng: np.random.Generator) -> FrequencyTables:
    """Rows of 1 to 15 symbols about zero and of random frequencies; wider rows later."""
    counts = [1 + 14 * row // max(rows - 1, 1) for row in range(rows)]
    cuts = [np.sort(rng.choice(np.arange(1, 65536), count, replace=False)) for count in counts]
    offsets = np.array([-(count // 2) for count in counts], np.int32)
    return FrequencyTables.from_rows([np.array([0, *cut, 65536]) for cut in cuts], offsets)


def tiny_model(
    weight_bits: int = 8,
    activation_bits: int = 8,
    seed: int = 0,
    encoder: Mapping[str, np.ndarray] | None = None,
    provenance: Mapping[str, str] | None = None,
) -> Model:
    """A random model; equal arguments give equal models."""
    rng = np.random.default_rng([seed, weight_bits, activation_bits])
    programs = {
        "h_s": _hyper_synthesis(weight_bits, activation_bits, rng),
        "g_s": _synthesis(weight_bits, activation_bits, rng),
    }
    tables = {
        f"{name}/{part}": getattr(rows, part)
        for name, rows in (("z", _tables(HYPER, rng)), ("y", _tables(64, rng)))
        for part in ("values", "starts", "offsets")
    }
    settings = {"weight_bits": weight_bits, "activation_bits": activation_bits}
    return Model("scale-hyperprior", settings, programs, tables, encoder or {}, provenance or {})


def random_latents(codec: ScaleHyperprior, height: int, width: int, rng: np.random.Generator) -> Latents:
    """y and z for a picture: mostly small, some beyond every table row."""
    z_shape = (HYPER, -(-height // 64), -(-width // 64))
    y_shape = (LATENT, 4 * z_shape[1], 4 * z_shape[2])
    y, z = (
        np.rint(rng.standard_t(3, shape) * SPREAD / 2).clip(-30000, 30000).astype(np.int16)
        for shape in (y_shape, z_shape)
    )
    assert codec.g_s.input.channels == LATENT
    return Latents(y, z)
