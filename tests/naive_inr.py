"""A whole decoder of implicit videos in plain Python, from SPEC.md alone: stream, tables, every tensor, picture.

Nothing of refcodec is imported. Real values are fractions: a step is the number that its bits mean, an accumulator is
times its step, a sample is the number of places that the real value has reached. Tables come from mpmath. Refusals are
ValueErrors: this decoder judges results, not error codes.
"""

from __future__ import annotations

import math
import struct
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import mpmath
import naive
import naive_arrangement
import naive_normalisation
import naive_resampling
import naive_tables
import naive_weight_coding
from naive import clip, round_half_up

Volume = list[list[list[int]]]
FRACTIONS = {8: 4, 10: 6, 12: 7, 14: 9, 16: 10}
SPACINGS = {12: 3, 14: 4, 16: 4}  # of the finest interpolated table; 8 and 10 bits have direct ones


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


# --- stream


def _numbers(description: bytes) -> Iterator[int]:
    """Groups of seven bits up to a byte below 128."""
    group: list[int] = []
    for byte in description:
        group.append(byte % 128)
        if byte < 128:
            yield sum(part * 128**k for k, part in enumerate(group))
            group = []
    _require(not group, "the description ends within a number")


@dataclass
class Tensor:
    """A parameter: its shape, its integers in row-major order, the real step of each channel."""

    shape: tuple[int, ...]
    integers: list[int]
    steps: list[Fraction]

    def nested(self) -> Any:
        """The integers as lists of lists."""
        found: list[Any] = self.integers
        for size in reversed(self.shape[1:]):
            found = [found[k : k + size] for k in range(0, len(found), size)]
        return found

    def step(self, channel: int) -> Fraction:
        """Of a channel."""
        return self.steps[channel if len(self.steps) > 1 else 0]


def _steps(content: bytes, count: int, coded: bool) -> list[Fraction]:
    if coded:
        least, shift = struct.unpack_from("<HB", content)
        parts = naive_weight_coding.decode(content[3:], (1, count, 1), False)
        patterns = [least + part * 2**shift for part in parts]
    else:
        patterns = list(struct.unpack(f"<{count}H", content))
    steps = [Fraction(struct.unpack("<e", struct.pack("<H", pattern))[0]) for pattern in patterns]
    _require(all(0 < step < 1024 for step in steps), "a step is not between 0 and 1024")
    return steps


def _coded_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    return (1, shape[0], 1) if len(shape) == 1 else (shape[0], shape[1], math.prod(shape[2:]))


def _read_tensors(shapes: dict[str, tuple[int, ...]], numbers: list[int], payload: bytes) -> dict[str, Tensor]:
    """Every parameter, in order; grids are the four-dimensional ones that are no weights."""
    rest, place, found = iter(numbers), 0, {}
    for name, shape in shapes.items():
        flags = next(rest)
        bits, several, dependent, coded = flags % 16 + 1, flags & 16, bool(flags & 32), bool(flags & 64)
        channels = shape[1] if "grids" in name else shape[0]
        count = channels if several else 1
        sizes = [next(rest) if coded else 2 * count, next(rest)]
        steps = _steps(payload[place : place + sizes[0]], count, coded)
        place += sizes[0]
        levels = naive_weight_coding.decode(payload[place : place + sizes[1]], _coded_shape(shape), dependent)
        place += sizes[1]
        _require(all(-(2 ** (bits - 1)) <= level < 2 ** (bits - 1) for level in levels), f"{name} leaves its bits")
        integers = naive_weight_coding.reconstruct(levels) if dependent else levels
        found[name] = Tensor(shape, integers, steps)
    _require(place == len(payload) and next(rest, None) is None, "something follows the last tensor")
    return found


# --- nodes


def _accumulate(x: Volume, weight: Tensor, bias: list[int]) -> Volume:
    inputs, kernel = weight.shape[1:3]
    if inputs == 1 < len(x):
        kernels = [planes[0] for planes in weight.nested()]
        return naive_arrangement.depthwise_convolution(x, kernels, bias, 1, kernel // 2)
    return naive.convolution(x, weight.nested(), bias, 1, kernel // 2)


def _pointwise(x: Volume, function: Callable[[int, int], int]) -> Volume:
    return [[[function(c, v) for v in row] for row in plane] for c, plane in enumerate(x)]


def _rounded(value: mpmath.mpf) -> int:
    return int(mpmath.floor(value + mpmath.mpf(1) / 2))


@cache
def _activated(value: int, bits: int, form: str) -> int:
    """The function at a value, in the units of the format, rounded and limited."""
    with mpmath.workdps(60):
        x = mpmath.mpf(value) / 2 ** FRACTIONS[bits]
        y = x * mpmath.ncdf(x) if form == "gelu" else x / (1 + mpmath.exp(-x))
        return clip(_rounded(y * 2 ** FRACTIONS[bits]), *naive.format_range(bits, True))


def _activate(value: int, bits: int, form: str) -> int:
    """The function, or the point between its nodes to both sides."""
    if bits not in SPACINGS:
        return _activated(value, bits, form)
    spacing = 2 ** SPACINGS[bits]
    left = value // spacing * spacing
    part = Fraction(value - left, spacing)
    return round_half_up((1 - part) * _activated(left, bits, form) + part * _activated(left + spacing, bits, form))


@cache
def _places(form: str) -> list[Fraction]:
    """Where each sample from 1 to 255 begins, as the standard tables have it."""
    with mpmath.workdps(60):
        logits = [mpmath.log(mpmath.mpf(2 * k - 1) / (511 - 2 * k)) for k in range(1, 256)]
        return [Fraction(_rounded(x * 2**40 / (2 if form == "tanh" else 1)), 2**40) for x in logits]


@cache
def _quarter_wave() -> list[int]:
    with mpmath.workdps(60):
        return [_rounded(mpmath.sin(mpmath.pi * k / 2048) * 2**24) for k in range(1025)]


def _norm(x: Volume, bits: int) -> Volume:
    count, unit = len(x), 2 ** FRACTIONS[bits]
    epsilon = max(1, round_half_up(Fraction(count**2 * unit**2, 10**6)))
    # half of the channels at one end and half at the other deviate most
    widest = (count // 2) * (count - count // 2) * (2**bits - 1) ** 2 + epsilon
    root_shift = max(r for r in range(0, 32, 2) if widest * 2**r < 2**62)
    constants = [unit * 2 ** (root_shift // 2)] * count, [0] * count, epsilon, root_shift, 0
    limits = naive.format_range(bits, True)
    rows = [
        [naive_normalisation.layer_norm([plane[y][i] for plane in x], *constants, *limits) for i in range(len(x[0][0]))]
        for y in range(len(x[0]))
    ]
    return [[[sample[c] for sample in row] for row in rows] for c in range(count)]


# --- networks: first the shapes of all parameters, then what a frame becomes


class Network:
    """Collects shapes in a first pass, computes in a second; the names are those of the tensors."""

    def __init__(self, frame: int, frames: int, bits: int, tensors: dict[str, Tensor] | None) -> None:
        self.frame, self.frames, self.bits = frame, frames, bits
        self.tensors = tensors
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.taps: dict[str, Volume] = {}

    @property
    def fraction(self) -> int:
        return FRACTIONS[self.bits]

    def keep(self, name: str, compute: Callable[[], Volume]) -> str:
        if self.tensors is not None:
            self.taps[name] = compute()
        return name

    def tensor(self, name: str) -> Tensor:
        assert self.tensors is not None
        return self.tensors[name]

    def grids(self, name: str, levels: list[list[int]], size: list[int], centred: bool) -> tuple[str, int]:
        for k, (count, channels) in enumerate(levels):
            self.shapes[f"{name}.{k}"] = (count, channels, *size)
            self.keep(f"{name}.{k}", lambda k=k: self._grid(f"{name}.{k}", centred))
        if len(levels) > 1:
            self.keep(name, lambda: [plane for k in range(len(levels)) for plane in self.taps[f"{name}.{k}"]])
        return (name if len(levels) > 1 else f"{name}.0"), sum(channels for _, channels in levels)

    def _grid(self, name: str, centred: bool) -> Volume:
        grid, limits = self.tensor(name), naive.format_range(self.bits, True)
        entries = [
            _pointwise(tensor, lambda c, v: clip(round_half_up(v * grid.step(c) * 2**self.fraction), *limits))
            for tensor in grid.nested()
        ]
        return naive_tables.embedding(entries, self.frame, self.frames, centred)

    def layer(
        self, name: str, source: str, inputs: int, outputs: int, kernel: int, biased: bool = True, head: bool = False
    ) -> str:
        self.shapes[f"{name}.weight"] = (outputs, inputs, kernel, kernel)
        if biased:
            self.shapes[f"{name}.bias"] = (outputs,)
        self.keep(f"{name}.accumulator", lambda: self._sums(name, source, outputs, biased))
        if head:
            return f"{name}.accumulator"
        return self.keep(name, lambda: self._requantised(name))

    def _sums(self, name: str, source: str, outputs: int, biased: bool) -> Volume:
        weight, biases = self.tensor(f"{name}.weight"), [0] * outputs
        if biased:
            bias = self.tensor(f"{name}.bias")
            real = [value * bias.step(0) for value in bias.integers]
            biases = [round_half_up(r * 2**self.fraction / weight.step(o)) for o, r in enumerate(real)]
        return _accumulate(self.taps[source], weight, biases)

    def _requantised(self, name: str) -> Volume:
        weight, limits = self.tensor(f"{name}.weight"), naive.format_range(self.bits, True)
        sums = self.taps[f"{name}.accumulator"]
        return _pointwise(sums, lambda c, v: clip(round_half_up(v * weight.step(c)), *limits))

    def activation(self, name: str, source: str, form: str) -> str:
        return self.keep(name, lambda: _pointwise(self.taps[source], lambda c, v: _activate(v, self.bits, form)))

    def norm(self, name: str, source: str) -> str:
        return self.keep(name, lambda: _norm(self.taps[source], self.bits))

    def add(self, name: str, left: str, right: str) -> str:
        limits = naive.format_range(self.bits, True)

        def total() -> Volume:
            return [
                [[clip(a + b, *limits) for a, b in zip(*rows, strict=True)] for rows in zip(*planes, strict=True)]
                for planes in zip(self.taps[left], self.taps[right], strict=True)
            ]

        return self.keep(name, total)

    def head(self, source: str, form: str) -> None:
        def samples() -> Volume:
            weight, places = self.tensor("head.weight"), _places(form)
            unit = 2**self.fraction
            return _pointwise(self.taps[source], lambda c, v: bisect_right(places, v * weight.step(c) / unit))

        self.keep("picture", samples)


def _shuffled(net: Network, fields: list[Any]) -> None:
    base, grids, head, centred, increments, interleaved, stem, blocks, form, head_kernel = fields
    if grids:
        source, channels = net.grids("grids", grids, base, centred)
    else:
        constants = increments, bool(interleaved), _quarter_wave(), net.fraction
        source, channels = "encoding", 2 * len(increments)
        net.keep(source, lambda: [[[v]] for v in naive_tables.positional_encoding(net.frame, *constants)])
    for k, (outputs, activated) in enumerate(stem):
        source, channels = net.layer(f"stem.{k}", source, channels, outputs, 1), outputs
        if activated:
            source = net.activation(f"stem.{k}.act", source, form)
    if not grids:
        flat, source, channels = source, "base", channels // (base[0] * base[1])
        net.keep(source, lambda: naive_arrangement.pixel_shuffle(net.taps[flat], *base))
    for k, (kernel, stride, outputs) in enumerate(blocks):
        source = net.layer(f"blocks.{k}", source, channels, outputs * stride**2, kernel)
        channels = outputs
        if stride > 1:
            source = net.keep(
                f"blocks.{k}.shuffle",
                lambda read=source, stride=stride: naive_arrangement.pixel_shuffle(net.taps[read], stride, stride),
            )
        source = net.activation(f"blocks.{k}.act", source, form)
    net.head(net.layer("head", source, channels, 3, head_kernel, head=True), head)


def _hierarchical(net: Network, fields: list[Any]) -> None:
    base, grids, head, channels, stem_kernel, normed, kernel, stages = fields
    source, inputs = net.grids("grids", grids, base, True)
    source, (rows, columns) = net.layer("stem", source, inputs, channels, stem_kernel), base
    for k, (factor, outputs, depth, hidden, local) in enumerate(stages):
        name = f"stages.{k}"
        if normed:
            source = net.norm(f"{name}.norm", source)
        source = net.keep(
            f"{name}.resize",
            lambda read=source, factor=factor: [
                naive_resampling.resize(plane, factor, factor) for plane in net.taps[read]
            ],
        )
        if local:
            window, inputs = net.grids(f"{name}.grids", local, [factor, factor], True)
            small = net.layer(f"{name}.local", window, inputs, channels, 1)
            wide = net.keep(
                f"{name}.tile",
                lambda small=small, rows=rows, columns=columns: naive_arrangement.tile(net.taps[small], rows, columns),
            )
            source = net.add(f"{name}.sum", source, wide)
        rows, columns = rows * factor, columns * factor
        for j in range(depth):
            block, entry = f"{name}.{j}", source
            source = net.layer(f"{block}.depthwise", source, 1, channels, kernel, biased=False)
            source = net.norm(f"{block}.norm", source)
            source = net.layer(f"{block}.expand", source, channels, hidden, 1, biased=False)
            source = net.activation(f"{block}.act", source, "gelu")
            source = net.layer(f"{block}.reduce", source, hidden, outputs, 1, biased=False)
            if channels == outputs:
                source = net.add(f"{block}.sum", entry, source)
            channels = outputs
    net.head(net.layer("head", source, channels, 3, 1, head=True), head)


# --- frames


def _fields(numbers: Iterator[int]) -> tuple[Callable[[Network, list[Any]], None], tuple[int, int, int], list[Any]]:
    """How to build the network; frames, width and height; what it is built from."""

    def entries(size: int) -> list[list[int]]:
        return [[next(numbers) for _ in range(size)] for _ in range(next(numbers))]

    hierarchical = next(numbers)
    frames, width, height = (next(numbers) for _ in range(3))
    common: list[Any] = [[next(numbers), next(numbers)], entries(2), ("tanh", "sigmoid")[next(numbers)]]
    if not hierarchical:
        centred, increments, interleaved = next(numbers), [v for (v,) in entries(1)], next(numbers)
        stem, blocks = entries(2), entries(3)
        form, kernel = ("gelu", "silu")[next(numbers)], next(numbers)
        common += [bool(centred), increments, interleaved, stem, blocks, form, kernel]
        return _shuffled, (frames, width, height), common
    common += [next(numbers) for _ in range(4)]
    common.append([[*(next(numbers) for _ in range(4)), entries(2)] for _ in range(next(numbers))])
    return _hierarchical, (frames, width, height), common


def decode(content: bytes, frame: int) -> tuple[list[list[list[int]]], dict[str, Volume]]:
    """The picture of a frame, [H][W][3], and every tensor by name."""
    magic, version, size = struct.unpack_from("<4sHH", content)
    _require((magic, version) == (b"RCV\n", 1), "this is no stream of an implicit video")
    first = 8 + size + 4
    _require(zlib.crc32(content[: first - 4]) == int.from_bytes(content[first - 4 : first], "little"), "checksum")
    _require(zlib.crc32(content[first:-4]) == int.from_bytes(content[-4:], "little"), "checksum of the tensors")
    numbers = _numbers(content[8 : 8 + size])
    bits = next(numbers)
    build, (frames, width, height), fields = _fields(numbers)
    shapes = Network(frame, frames, bits, None)
    build(shapes, fields)
    net = Network(frame, frames, bits, _read_tensors(shapes.shapes, list(numbers), content[first:-4]))
    net.taps["t"] = [[[frame]]]
    build(net, fields)
    planes = net.taps["picture"]
    return [[[plane[y][x] for plane in planes] for x in range(width)] for y in range(height)], net.taps
