"""Small models of every family with pseudo-random integer weights; nothing was trained (SPEC VEC-2)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from refcodec.codecs.codec import Codec, Latents
from refcodec.codecs.model_tables import TABLE_PARTS
from refcodec.codecs.picture import PIXEL_FORMAT
from refcodec.codecs.stream import Geometry
from refcodec.entropy.tables import FrequencyTables, quantise_frequencies
from refcodec.formats import IntFormat
from refcodec.layers.latent_mean import SYMBOL_FORMAT, latent_format
from refcodec.layers.masked_convolution import live_taps
from refcodec.layers.scale_index import INDEX_FORMAT, THRESHOLDS
from refcodec.program.model_file import Model
from refcodec.program.operations import (
    AnyOperation,
    Concatenate,
    Convolution,
    InverseGdn,
    LatentMean,
    LeakyRequantise,
    Linear,
    MaskedConvolution,
    Requantise,
    ScaleIndex,
    Tensor,
    TransposedConvolution,
)
from refcodec.program.program import Program
from refcodec.vectorgen.draw import draw, draw_between

HYPER, LATENT, SIDE = 3, 4, 6  # channels of z, of y, and of what h_s tells a context model
KERNEL = 5  # of context models
SPREAD = 4  # symbols mostly lie in -SPREAD .. SPREAD


@dataclass
class ProgramBuilder:
    """Appends pseudo-random operations to a program and keeps track of about how large its tensors get."""

    name: str
    seed: int  # of the first draw; later ones count on from it
    widths: tuple[int, int]  # bits of weights and of activations
    tensors: list[Tensor] = field(default_factory=list)
    operations: list[AnyOperation] = field(default_factory=list)
    typical: dict[str, int] = field(default_factory=dict)  # magnitudes by tensor

    @property
    def activation(self) -> IntFormat:
        """Signed activations."""
        return IntFormat(self.widths[1], True)

    def between(self, count: int, lo: int, hi: int) -> np.ndarray:
        """The next draw."""
        self.seed += 1
        return draw_between(self.seed, (count,), lo, hi)

    def read(self, name: str, channels: int, fmt: IntFormat, typical: int) -> str:
        """Add an input."""
        self.tensors.append(Tensor(name, channels, fmt))
        self.typical[name] = typical
        return name

    def tensor(self, name: str) -> Tensor:
        """One of the tensors so far."""
        return next(tensor for tensor in self.tensors if tensor.name == name)

    def append(self, op: AnyOperation, channels: int, fmt: IntFormat, typical: int) -> str:
        """Add an operation and the tensor that it writes."""
        self.operations.append(op)
        self.tensors.append(Tensor(op.target, channels, fmt))
        self.typical[op.target] = max(typical, 1)
        return op.target

    def _weights(self, source: Tensor, channels: int, taps: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Weights (O, C, taps), biases (O,) about as large as the sums, and the typical size of both together."""
        fmt = IntFormat(self.widths[0], True)
        self.seed += 1
        weight = draw(self.seed, (channels, source.channels, taps), fmt)
        sums = math.isqrt(taps * source.channels) * (fmt.hi // 2 + 1) * self.typical[source.name]
        return weight, self.between(channels, -sums, sums), 2 * sums

    def _sum(self, op: Convolution | Linear | MaskedConvolution | TransposedConvolution, typical: int) -> str:
        bound = op.bound(self.tensor(op.source).format)
        return self.append(op, len(op.bias), IntFormat(bound.bit_length() + 1, True), typical)

    def convolve(self, name: str, source: str, channels: int, kernel: int = 3) -> str:
        """A convolution with a stride of 1."""
        weight, bias, typical = self._weights(self.tensor(source), channels, kernel**2)
        weight = weight.reshape(*weight.shape[:2], kernel, kernel)
        fmt = IntFormat(self.widths[0], True)
        return self._sum(Convolution(name, source, name, fmt, 1, kernel // 2, weight, bias), typical)

    def enlarge(self, name: str, source: str, channels: int, bright: bool = False) -> str:
        """A 5x5 transposed convolution with a stride of 2;  bright  with biases from zero on, as before samples."""
        weight, bias, typical = self._weights(self.tensor(source), channels, 25)
        bias = np.abs(bias) if bright else bias
        weight = weight.reshape(*weight.shape[:2], 5, 5)
        fmt = IntFormat(self.widths[0], True)
        return self._sum(TransposedConvolution(name, source, name, fmt, 2, 2, 1, weight, bias), typical // 2)

    def linear(self, name: str, source: str, channels: int) -> str:
        """A linear layer."""
        weight, bias, typical = self._weights(self.tensor(source), channels, 1)
        return self._sum(Linear(name, source, name, IntFormat(self.widths[0], True), weight[:, :, 0], bias), typical)

    def masked(self, name: str, source: str, channels: int, mask: str, padding: int) -> str:
        """A convolution of a context model."""
        weight, bias, typical = self._weights(self.tensor(source), channels, KERNEL**2)
        weight = np.where(live_taps(mask, KERNEL).ravel(), weight, 0).reshape(*weight.shape[:2], KERNEL, KERNEL)
        fmt = IntFormat(self.widths[0], True)
        return self._sum(MaskedConvolution(name, source, name, fmt, mask, padding, weight, bias), typical)

    def _scales(self, source: Tensor, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Multipliers of 15 bits and shifts (C,) that bring the typical value about to `size`."""
        multiplier = self.between(source.channels, 20000, 32767)
        shift = max(1, (self.typical[source.name] * 26000 // max(size, 1)).bit_length() - 1)
        return multiplier, np.full(source.channels, min(shift, 62))

    def requantise(self, name: str, source: str, fmt: IntFormat, size: int | None = None) -> str:
        """Scale so that the typical value is `size`, or two fifths of the largest."""
        read, wanted = self.tensor(source), fmt.hi * 2 // 5 if size is None else size
        multiplier, shift = self._scales(read, wanted)
        return self.append(Requantise(name, source, name, multiplier, shift), read.channels, fmt, wanted)

    def leaky(self, name: str, source: str) -> str:
        """The same with a slope of an eighth for negative sums."""
        read, wanted = self.tensor(source), self.activation.hi * 2 // 5
        multiplier, shift = self._scales(read, wanted)
        op = LeakyRequantise(name, source, name, multiplier, multiplier // 8, shift)
        return self.append(op, read.channels, self.activation, wanted)

    def inverse_gdn(self, name: str, source: str, squared: bool) -> str:
        """An inverse GDN whose products and norms fit 48 bits."""
        read, bits = self.tensor(source), 6
        count, size = read.channels, self.typical[source]
        gamma = self.between(count**2, 0, (1 << bits) - 1).reshape(count, count)
        beta = self.between(count, 1, 1 << bits) * (size**2 if squared else size)
        wide = IntFormat(48, True)
        divisor = size * math.isqrt(64 * count) if squared else 32 * size * count
        wanted = self.activation.hi * 2 // 5
        multiplier = self.between(count, 20000, 32767)
        shift = np.full(count, max(1, (size * divisor * 26000 // wanted).bit_length() - 1))
        form = IntFormat(bits, False), wide, wide, squared, 0
        op = InverseGdn(name, source, name, *form, gamma, beta, self.between(count, -9, 9), multiplier, shift)
        return self.append(op, count, self.activation, wanted)

    def indexes(self, source: str) -> None:
        """Scale indexes, spread over all 64."""
        read = self.tensor(source)
        size = self.typical[source]
        drawn = self.between(read.channels * THRESHOLDS, -size, size).reshape(read.channels, THRESHOLDS)
        self.append(
            ScaleIndex("indexes", source, "indexes", np.sort(drawn, axis=1)),
            read.channels,
            INDEX_FORMAT,
            INDEX_FORMAT.hi,
        )

    def means(self, source: str, fraction: int) -> None:
        """Means of a few symbols in either direction."""
        self.requantise("means", source, IntFormat(16, True), (5 << fraction) // 2)

    def program(self) -> Program:
        """What was appended so far."""
        return Program(self.name, tuple(self.tensors), tuple(self.operations))


def _hyper_head(build: ProgramBuilder, levels: int) -> str:
    """z, its means, and so many enlargements."""
    build.read("z", HYPER, SYMBOL_FORMAT, SPREAD)
    mean = build.between(HYPER, -700, 700)
    build.append(LatentMean("z_mean", "z", "z_mean", 8, mean), HYPER, latent_format(8), SPREAD << 8)
    last = build.requantise("z_hat", "z_mean", build.activation)
    for level in range(levels):
        last = build.leaky(f"h_s.{2 * level + 1}", build.enlarge(f"h_s.{2 * level}", last, LATENT))
    return last


def parameter_synthesis(widths: tuple[int, int], fraction: int, levels: int, seed: int) -> Program:
    """h_s of a mean-scale hyperprior: indexes and means, 2**levels times as high and wide as z."""
    build = ProgramBuilder("h_s", seed, widths)
    last = _hyper_head(build, levels)
    build.indexes(build.convolve("h_s.scales", last, LATENT))
    build.means(build.convolve("h_s.means", last, LATENT), fraction)
    return build.program()


def side_synthesis(widths: tuple[int, int], seed: int) -> Program:
    """h_s before a context model: side, four times as high and wide as z."""
    build = ProgramBuilder("h_s", seed, widths)
    last = _hyper_head(build, 2)
    build.requantise("side", build.convolve("h_s.4", last, SIDE), build.activation)
    return build.program()


def context(widths: tuple[int, int], fraction: int, mask: str, padding: int, seed: int) -> Program:
    """A context network: requantised, through a mask, and requantised again."""
    build = ProgramBuilder("context", seed, widths)
    build.read("y_hat", LATENT, latent_format(fraction), SPREAD << fraction)
    build.requantise("context.y", "y_hat", build.activation)
    build.requantise("context", build.masked("context.0", "context.y", SIDE, mask, padding), build.activation)
    return build.program()


def entropy_parameters(widths: tuple[int, int], fraction: int, sources: tuple[str, str], seed: int) -> Program:
    """Context and side, joined in an order, through pointwise layers to indexes and means."""
    build = ProgramBuilder("entropy_parameters", seed, widths)
    for name in ("context", "side"):
        build.read(name, SIDE, build.activation, build.activation.hi * 2 // 5)
    size = build.activation.hi * 2 // 5
    last = build.append(
        Concatenate("entropy_parameters.cat", sources, "entropy_parameters.cat"), 2 * SIDE, build.activation, size
    )
    last = build.leaky("entropy_parameters.1", build.convolve("entropy_parameters.0", last, 8, 1))
    build.indexes(build.convolve("entropy_parameters.scales", last, LATENT, 1))
    build.means(build.linear("entropy_parameters.means", last, LATENT), fraction)
    return build.program()


def synthesis(widths: tuple[int, int], source: Tensor, size: int, squared: bool | None, seed: int) -> Program:
    """g_s: a latent to three planes of samples, sixteen times as high and wide.

    source  the latent;  size  its typical magnitude;  squared  the form of its inverse GDN, None for leaky rectifiers.
    """
    build = ProgramBuilder("g_s", seed, widths)
    build.read(source.name, source.channels, source.format, size)
    last = build.requantise("g_s.y", source.name, build.activation)
    for layer in range(3):
        wide = build.enlarge(f"g_s.{2 * layer}", last, HYPER)
        if squared is None:
            last = build.leaky(f"g_s.{2 * layer + 1}", wide)
        else:
            read = build.requantise(f"g_s.{2 * layer}.x", wide, build.activation)
            last = build.inverse_gdn(f"g_s.{2 * layer + 1}", read, squared)
    build.requantise("x_hat", build.enlarge("g_s.6", last, 3, bright=True), PIXEL_FORMAT, 150)
    return build.program()


def _tables(rows: int) -> FrequencyTables:
    """Rows of 1 to 15 symbols about zero, wider ones later; each symbol half as frequent as its inner neighbour."""
    counts = [1 + 14 * row // max(rows - 1, 1) for row in range(rows)]
    made = []
    for count in counts:
        around = [1 << (15 - abs(k - count // 2)) for k in range(count)]
        made.append(quantise_frequencies(np.array([*around, 40])))
    return FrequencyTables.from_rows(made, np.array([-(count // 2) for count in counts], np.int32))


def _model(family: str, settings: Mapping[str, int], widths: tuple[int, int], programs: Mapping[str, Program]) -> Model:
    rows = {"y": LATENT} if family == "factorised" else {"z": HYPER, "y": THRESHOLDS + 1}
    tables = {
        f"{name}/{part}": getattr(made, part)
        for name, made in ((name, _tables(count)) for name, count in rows.items())
        for part in TABLE_PARTS
    }
    described = {"weight_bits": widths[0], "activation_bits": widths[1], **settings}
    provenance = {"weights": "pseudo-random integers, nothing was trained"}
    return Model(family, described, programs, tables, provenance=provenance)


def tiny_factorised(widths: tuple[int, int], seed: int) -> Model:
    """Inverse GDN of magnitudes."""
    y = Tensor("y", LATENT, SYMBOL_FORMAT)
    return _model("factorised", {}, widths, {"g_s": synthesis(widths, y, SPREAD, False, seed)})


def tiny_scale_hyperprior(widths: tuple[int, int], seed: int) -> Model:
    """Leaky rectifiers; symbols without means, so that h_s gives indexes alone."""
    build = ProgramBuilder("h_s", seed, widths)
    build.indexes(build.convolve("h_s.scales", _hyper_head(build, 2), LATENT))
    y = Tensor("y", LATENT, SYMBOL_FORMAT)
    programs = {"h_s": build.program(), "g_s": synthesis(widths, y, SPREAD, None, seed + 1000)}
    return _model("scale-hyperprior", {}, widths, programs)


def _latent(fraction: int) -> Tensor:
    return Tensor("y_hat", LATENT, latent_format(fraction))


def tiny_mean_scale(widths: tuple[int, int], seed: int, fraction: int = 8, levels: int = 2) -> Model:
    """Inverse GDN with a root;  levels  2 for blocks of 64, 3 for blocks of 128."""
    programs = {
        "h_s": parameter_synthesis(widths, fraction, levels, seed),
        "g_s": synthesis(widths, _latent(fraction), SPREAD << fraction, True, seed + 1000),
    }
    return _model("mean-scale-hyperprior", {"mean_fraction": fraction}, widths, programs)


def tiny_entropy_parameters(widths: tuple[int, int], seed: int, fraction: int = 8) -> Model:
    """A hyperprior alone, eight samples of y to one of z along each axis."""
    programs = {"h_s": parameter_synthesis(widths, fraction, 3, seed)}
    return _model("entropy-parameters", {"mean_fraction": fraction}, widths, programs)


def tiny_checkerboard(
    widths: tuple[int, int],
    seed: int,
    fraction: int = 8,
    parity: int = 0,
    sources: tuple[str, str] = ("context", "side"),
) -> Model:
    """A context of two passes;  parity  of the anchors;  sources  in the order of their concatenation."""
    programs = {
        "h_s": side_synthesis(widths, seed),
        "context": context(widths, fraction, "checkerboard", KERNEL // 2, seed + 1000),
        "entropy_parameters": entropy_parameters(widths, fraction, sources, seed + 2000),
        "g_s": synthesis(widths, _latent(fraction), SPREAD << fraction, None, seed + 3000),
    }
    return _model("checkerboard", {"mean_fraction": fraction, "anchor_parity": parity}, widths, programs)


def tiny_autoregressive(widths: tuple[int, int], seed: int, fraction: int = 8) -> Model:
    """A context of all positions before."""
    programs = {
        "h_s": side_synthesis(widths, seed),
        "context": context(widths, fraction, "causal", 0, seed + 1000),
        "entropy_parameters": entropy_parameters(widths, fraction, ("side", "context"), seed + 2000),
        "g_s": synthesis(widths, _latent(fraction), SPREAD << fraction, None, seed + 3000),
    }
    return _model("autoregressive", {"mean_fraction": fraction, "context_kernel": KERNEL}, widths, programs)


TINY_MODELS: dict[str, Callable[[tuple[int, int], int], Model]] = {
    "factorised": tiny_factorised,
    "mean-scale-hyperprior": tiny_mean_scale,
    "entropy-parameters": tiny_entropy_parameters,
    "checkerboard": tiny_checkerboard,
    "autoregressive": tiny_autoregressive,
}


def drawn_latents(codec: Codec, geometry: Geometry, channels: tuple[int, int], seed: int) -> Latents:
    """Latents for a geometry, mostly small, one symbol in sixteen anywhere in 16 bits.

    channels  of z and of y.
    """
    z_size, y_size = codec.latent_sizes(geometry)
    y = _mostly_small(seed, (channels[1], *y_size), codec.fraction)
    z = None if z_size is None else _mostly_small(seed + 1, (channels[0], *z_size), 0)
    return Latents(y, z)


def _mostly_small(seed: int, shape: tuple[int, ...], fraction: int) -> np.ndarray:
    small = draw_between(seed, shape, -2 * SPREAD << fraction, 2 * SPREAD << fraction)
    lo, hi = SYMBOL_FORMAT.lo << fraction, SYMBOL_FORMAT.hi << fraction
    return np.where(draw_between(seed + 10, shape, 0, 15) == 0, draw_between(seed + 20, shape, lo, hi), small)
