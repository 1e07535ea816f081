"""Stages of generalised divisive normalisation and of its inverse (SPEC HW-9, GDN-1 to GDN-4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from myhdl import always, always_comb, block, instance, intbv

from hw.checks import MAX_CHANNELS, MAX_DEPTH, MAX_LANES, MAX_SIZE, require, require_range
from hw.convolution import delay_group, lane_memories, pack
from hw.division import rounding_division, rounding_latency
from hw.elaboration import address_bits, bit, bus, limits, signed, unsigned
from hw.gdn_norm import divisor_lanes, follow_valid
from hw.layer import channel_image
from hw.requantise import SHIFT_BITS, requantise
from hw.requantise import STAGES as REQUANTISE_STAGES
from hw.stage import Images, Memory, Schedule, plain
from hw.stream import StreamFormat, pack_lanes, pad_channels
from refcodec.errors import HardwareError
from refcodec.formats import IntFormat, multiplier_bits
from refcodec.program.operations import Gdn, InverseGdn
from refcodec.program.program import Program

MAX_NORM_SHIFT = 47
MAX_ROOT_SHIFT = 16
MAX_FRACTION = 16
RADICAND_BITS = 62
NUMERATOR_BITS = 61  # signed; SPEC GDN-5 keeps magnitudes below 2**60
PRODUCT_BITS = 63  # product bits + multiplier bits (SPEC RQ-2)


# --- blocks


@block
def multiply(clock, advance, valid, left, right, product):
    """The product of two signed buses (SPEC HW-9).  Latency one cycle with `advance`."""

    @always(clock.posedge)
    def work():
        if advance and valid:
            product.next = left * right

    return work


@block
def sample(value, number, is_signed):
    """The bits of a sample as a signed number (SPEC HW-9)."""
    width = len(value)

    if is_signed:

        @always_comb
        def show():
            number.next = value[width:].signed()

    else:

        @always_comb
        def show():
            number.next = value

    return show


@block
def wider(value, number):
    """An unsigned number as a signed one, which has a bit more (SPEC HW-9)."""

    @always_comb
    def show():
        number.next = value

    return show


@block
def add(clock, advance, valid, left, right, total):
    """The sum of two signed buses, which the caller has proven to fit (SPEC HW-9).  Latency one cycle."""
    lo, hi = limits(max(len(left), len(right), len(total)) + 1)

    @instance
    def work():
        exact = intbv(0, min=lo, max=hi)
        while True:
            yield clock.posedge
            if advance and valid:
                exact[:] = left
                exact[:] = exact + right
                total.next = exact

    return work


@block
def offer(clock, advance, word_valid, sink_valid, sink_ready, fault):
    """Everything holds its value while an offered word does not pass; nothing can go wrong (SPEC HW-9)."""

    @always_comb
    def hold():
        advance.next = True
        if word_valid:
            advance.next = sink_ready

    @always_comb
    def show():
        sink_valid.next = word_valid

    @always(clock.posedge)
    def rest():
        fault.next = 0

    return hold, show, rest


@block
def inverse_gdn_stage(clock, reset, load, first_select, sources, sink, fault, stage):
    """value * divisor + offset, requantised, pixel after pixel (SPEC HW-9, GDN-4, RQ-1).

    Timing as `NormStage.schedule` states.  fault  stays 0.
    """
    po = stage.lanes_out
    source = sources[0]
    sink_valid, sink_ready, sink_word = sink.valid, sink.ready, sink.word
    depth = stage.sink.groups
    number_bits = stage.value_bits
    divisor_bits = stage.divisor_bits + 1
    is_signed = stage.source_format.signed
    offset_select, multiplier_select, shift_select = first_select + 2, first_select + 3, first_select + 4

    advance, fetch, valid, products_valid, totals_valid, results_valid, word_valid = (
        bit(), bit(), bit(), bit(), bit(), bit(), bit(),
    )  # fmt: skip
    group = unsigned(address_bits(depth))
    groups = [unsigned(address_bits(depth)) for _ in range(2)]
    offset_group, scale_group = groups[0], groups[1]
    divisors = [unsigned(stage.divisor_bits) for _ in range(po)]
    values = [unsigned(stage.source_format.bits) for _ in range(po)]
    offsets = [signed(stage.offset_bits) for _ in range(po)]
    totals = [signed(stage.product_format.bits) for _ in range(po)]
    multipliers = [unsigned(stage.multiplier_bits) for _ in range(po)]
    shifts = [unsigned(SHIFT_BITS) for _ in range(po)]
    results = [bus(stage.sink_format) for _ in range(po)]

    norm = divisor_lanes(
        clock, reset, load, first_select, advance, source, fetch, group, valid, divisors, values, stage
    )
    group_delay = delay_group(clock, advance, group, groups)
    offset_memories = lane_memories(clock, load, offset_select, advance, valid, offset_group, offsets, depth)
    multiplier_memories = lane_memories(
        clock, load, multiplier_select, advance, products_valid, scale_group, multipliers, depth
    )
    shift_memories = lane_memories(clock, load, shift_select, advance, products_valid, scale_group, shifts, depth)
    lanes = []
    for p in range(po):
        value, divisor, offset, total = values[p], divisors[p], offsets[p], totals[p]
        number, factor, product = signed(number_bits), signed(divisor_bits), signed(number_bits + divisor_bits)
        lanes.append(sample(value, number, is_signed))
        lanes.append(wider(divisor, factor))
        lanes.append(multiply(clock, advance, valid, number, factor, product))
        lanes.append(add(clock, advance, products_valid, product, offset, total))
    products_line = follow_valid(clock, reset, advance, valid, products_valid)
    totals_line = follow_valid(clock, reset, advance, products_valid, totals_valid)
    scaling = requantise(
        clock, reset, advance, totals_valid, totals, multipliers, shifts,
        results_valid, results, stage.sink_format.lo, stage.sink_format.hi,
    )  # fmt: skip
    join = pack(clock, reset, advance, results_valid, results, word_valid, sink_word)
    flow = offer(clock, advance, word_valid, sink_valid, sink_ready, fault)
    return (
        norm, group_delay, offset_memories, multiplier_memories, shift_memories,
        lanes, products_line, totals_line, scaling, join, flow,
    )  # fmt: skip


@block
def gdn_stage(clock, reset, load, first_select, sources, sink, fault, stage):
    """value * scale / divisor + offset, rounded once, saturated, pixel after pixel (SPEC HW-9, GDN-3, DIV-1).

    Timing as `NormStage.schedule` states.  fault  stays 0.
    """
    po = stage.lanes_out
    source = sources[0]
    sink_valid, sink_ready, sink_word = sink.valid, sink.ready, sink.word
    depth = stage.sink.groups
    number_bits = stage.value_bits
    divisor_bits = stage.divisor_bits + 1
    is_signed = stage.source_format.signed
    scale_select, offset_select = first_select + 2, first_select + 3

    advance, fetch, valid, products_valid, numerators_valid, results_valid, word_valid = (
        bit(), bit(), bit(), bit(), bit(), bit(), bit(),
    )  # fmt: skip
    group = unsigned(address_bits(depth))
    divisors = [unsigned(stage.divisor_bits) for _ in range(po)]
    values = [unsigned(stage.source_format.bits) for _ in range(po)]
    scales = [signed(stage.scale_bits) for _ in range(po)]
    offsets = [signed(stage.offset_bits) for _ in range(po)]
    numerators = [signed(stage.numerator_bits) for _ in range(po)]
    denominators = [unsigned(stage.divisor_bits) for _ in range(po)]
    results = [bus(stage.sink_format) for _ in range(po)]

    norm = divisor_lanes(
        clock, reset, load, first_select, advance, source, fetch, group, valid, divisors, values, stage
    )
    scale_memories = lane_memories(clock, load, scale_select, advance, fetch, group, scales, depth)
    offset_memories = lane_memories(clock, load, offset_select, advance, fetch, group, offsets, depth)
    lanes = []
    for p in range(po):
        value, divisor, scale, offset = values[p], divisors[p], scales[p], offsets[p]
        numerator, denominator = numerators[p], denominators[p]
        number, factor = signed(number_bits), signed(divisor_bits)
        scaled, shifted = signed(number_bits + stage.scale_bits), signed(divisor_bits + stage.offset_bits)
        lanes.append(sample(value, number, is_signed))
        lanes.append(wider(divisor, factor))
        lanes.append(multiply(clock, advance, valid, number, scale, scaled))
        lanes.append(multiply(clock, advance, valid, factor, offset, shifted))
        lanes.append(add(clock, advance, products_valid, scaled, shifted, numerator))
        lanes.append(delay_bus(clock, advance, divisor, denominator))
    products_line = follow_valid(clock, reset, advance, valid, products_valid)
    numerators_line = follow_valid(clock, reset, advance, products_valid, numerators_valid)
    division = rounding_division(
        clock, reset, advance, numerators_valid, numerators, denominators, results_valid, results, stage.fraction
    )
    join = pack(clock, reset, advance, results_valid, results, word_valid, sink_word)
    flow = offer(clock, advance, word_valid, sink_valid, sink_ready, fault)
    return (
        norm, scale_memories, offset_memories, lanes, products_line, numerators_line, division, join, flow,
    )  # fmt: skip


@block
def delay_bus(clock, advance, value, late):
    """A bus as it was two cycles with `advance` ago (SPEC HW-9)."""
    width = len(value)
    middle = unsigned(width)

    @always(clock.posedge)
    def follow():
        if advance:
            middle.next = value
            late.next = middle

    return follow


# --- parameters


@dataclass(frozen=True, slots=True)
class NormStage:
    """What a GDN stage and its inverse share (SPEC HW-9).

    channels  1..1024;  height, width  of the tile, 1..4096
    source_format, sink_format  2..16 bits;  gamma_format  unsigned, 1..16 bits;  norm_format  signed, 2..48 bits
    squared, norm_shift  how the divisor follows from the norm;  lanes_in, lanes_out  channels in a word, 1..MAX_LANES
    offset_bits  signed, hold every offset.
    Raises HardwareError RC-HW-CONFIG.
    """

    channels: int
    height: int
    width: int
    source_format: IntFormat
    sink_format: IntFormat
    gamma_format: IntFormat
    norm_format: IntFormat
    squared: bool
    norm_shift: int
    offset_bits: int
    lanes_in: int
    lanes_out: int

    def check_norm(self) -> None:
        """Raise HardwareError unless the shared part can be built."""
        require_range("input lanes", self.lanes_in, 1, MAX_LANES)
        require_range("output lanes", self.lanes_out, 1, MAX_LANES)
        require_range("channels", self.channels, 1, MAX_CHANNELS)
        require_range("height", self.height, 1, MAX_SIZE)
        require_range("width", self.width, 1, MAX_SIZE)
        for name, form in (("sources", self.source_format), ("results", self.sink_format)):
            require(2 <= form.bits <= 16, f"{name} need 2..16 bits, got {form}")
        require(
            not self.gamma_format.signed and self.gamma_format.bits <= 16,
            f"gamma needs 1..16 unsigned bits, got {self.gamma_format}",
        )
        require(
            self.norm_format.signed and self.norm_format.bits >= 2,
            f"norms must be signed with 2 bits or more, got {self.norm_format}",
        )
        most = MAX_ROOT_SHIFT if self.squared else min(MAX_NORM_SHIFT, self.norm_format.bits - 1)
        require_range("norm shift", self.norm_shift, 0, most)
        require_range("offset bits", self.offset_bits, 1, NUMERATOR_BITS)
        for name, memory in self.norm_memories.items():
            require(
                memory.depth <= MAX_DEPTH, f"the {name} memory needs {memory.depth} words, {MAX_DEPTH} is the limit"
            )

    @property
    def source(self) -> StreamFormat:
        """The tensor that comes in."""
        return StreamFormat(self.channels, self.height, self.width, self.lanes_in, self.source_format)

    @property
    def sources(self) -> tuple[StreamFormat, ...]:
        """The tensor that comes in."""
        return (self.source,)

    @property
    def sink(self) -> StreamFormat:
        """The tensor that goes out, of the same size."""
        return StreamFormat(self.channels, self.height, self.width, self.lanes_out, self.sink_format)

    @property
    def value_bits(self) -> int:
        """Signed bits of a sample."""
        return self.source_format.bits + (not self.source_format.signed)

    @property
    def power_format(self) -> IntFormat:
        """Holds every magnitude, or every square, the most negative sample's too."""
        bits = self.source_format.bits
        return IntFormat(2 * bits - self.source_format.signed if self.squared else bits, False)

    @property
    def divisor_bits(self) -> int:
        """Unsigned bits of a divisor: of the largest norm rounded up, or of its root."""
        if self.squared:
            return max(2, (min(RADICAND_BITS, self.norm_format.bits - 1 + self.norm_shift) + 1) // 2)
        return self.norm_format.bits - max(1, self.norm_shift)

    @property
    def tree_levels(self) -> int:
        """Adder levels, and pipeline stages, that sum the products of a word."""
        return (self.lanes_in - 1).bit_length()

    @property
    def steps(self) -> int:
        """Cycles in which the MAC array works on one pixel: a word for each output group."""
        return self.source.groups * self.sink.groups

    @property
    def divisor_latency(self) -> int:
        """Cycles from the edge that reads the last word of an output group to the one that gives its divisors.

        Power, product, tree levels, sum, divisor or radicand and root.
        """
        return 4 + self.tree_levels + (self.divisor_bits if self.squared else 0)

    @property
    def result_latency(self) -> int:
        """Cycles from the divisors to the edge that passes their results."""
        raise NotImplementedError

    @property
    def waited_words(self) -> int:
        """Words that an output lane counts through, those beyond the last channel too."""
        return (self.sink.groups * self.lanes_out - 1) // self.lanes_in + 1

    @property
    def norm_memories(self) -> dict[str, Memory]:
        """gamma, with a zero above each, and beta, one copy for each output lane."""
        return {
            "gamma": Memory(self.lanes_in * (self.gamma_format.bits + 1), self.steps, self.lanes_out),
            "beta": Memory(self.norm_format.bits, self.sink.groups, self.lanes_out),
        }

    @property
    def buffers(self) -> dict[str, Memory]:
        """Two pixels, and the samples that wait for their divisors, from two cycles after the last was read."""
        waiting = self.divisor_latency - 2
        return {
            "pixel": Memory(self.source.bits, 2 * self.source.groups, 1),
            "value": Memory(self.source_format.bits, waiting // self.source.groups + 1, self.lanes_out),
        }

    @property
    def macs(self) -> int:
        """C x C for each pixel."""
        return self.channels * self.channels * self.height * self.width

    @property
    def multipliers(self) -> int:
        """PI x PO."""
        return self.lanes_in * self.lanes_out

    def schedule(self, offered: Sequence[Sequence[int]]) -> Schedule:
        """Each pixel runs once its last word is there and the pixel before is done, so two may wait (SPEC HW-6).

        A run takes `steps` cycles.
        """
        groups = self.source.groups
        latency = self.divisor_latency + self.result_latency
        accepted: list[int] = []
        passed: list[int] = []
        free, done, edge = 0, 0, -1  # edges from which on: a pixel may be written, steps may begin; the last word's
        for position, there in enumerate(offered[0]):
            edge = max(there, edge + 1, free if position % groups == 0 else 0)
            accepted.append(edge)
            if position % groups == groups - 1:
                begin = max(edge + 1, done)
                free, done = done, begin + self.steps
                passed += [begin + (g + 1) * groups - 1 + latency for g in range(self.sink.groups)]
        return Schedule((tuple(accepted),), tuple(passed))

    def describe(self) -> dict[str, object]:
        """Plain values for a manifest (SPEC HW-7)."""
        return plain(self)

    def _title(self, kind: str) -> str:
        form = "squares" if self.squared else "magnitudes"
        return f"{kind} by {form} of {self.channels} channels on a {self.height}x{self.width} tile"


@dataclass(frozen=True, slots=True)
class GdnStage(NormStage):
    """Divisive normalisation of a tile (SPEC HW-9, GDN-3).

    scale_bits  signed, hold every scale;  fraction  0..16 of the division;  the rest as in NormStage.
    """

    scale_bits: int
    fraction: int

    def __post_init__(self) -> None:
        self.check_norm()
        require_range("scale bits", self.scale_bits, 1, NUMERATOR_BITS)
        require_range("fraction", self.fraction, 0, MAX_FRACTION)

    @property
    def block(self) -> Callable[..., Any]:
        """The datapath."""
        return gdn_stage

    @property
    def title(self) -> str:
        """One line for people."""
        return self._title("Divisive normalisation")

    @property
    def clauses(self) -> tuple[str, ...]:
        """GDN-1 to GDN-3 and what they use."""
        return ("GDN-1", "GDN-2", "GDN-3", "DIV-1", *(("ISQRT-1",) if self.squared else ()))

    @property
    def memories(self) -> dict[str, Memory]:
        """Those of the divisor, scale and offset."""
        groups, lanes = self.sink.groups, self.lanes_out
        scale, offset = Memory(self.scale_bits, groups, lanes), Memory(self.offset_bits, groups, lanes)
        return {**self.norm_memories, "scale": scale, "offset": offset}

    @property
    def numerator_bits(self) -> int:
        """Signed bits of value * scale + offset * divisor."""
        wide = max(self.value_bits + self.scale_bits, self.offset_bits + self.divisor_bits + 1) + 1
        return min(NUMERATOR_BITS, wide)

    @property
    def result_latency(self) -> int:
        """Products, numerator, division, word, and the edge that passes it."""
        return 4 + rounding_latency(self.sink_format.bits - self.sink_format.signed)


@dataclass(frozen=True, slots=True)
class InverseGdnStage(NormStage):
    """The inverse of divisive normalisation of a tile (SPEC HW-9, GDN-4).

    product_format  signed, holds every value * divisor + offset;  multiplier_bits  with it at most 63 bits
    the rest as in NormStage.
    """

    product_format: IntFormat
    multiplier_bits: int

    def __post_init__(self) -> None:
        self.check_norm()
        require(
            self.product_format.signed and self.product_format.bits >= 2,
            f"products must be signed with 2 bits or more, got {self.product_format}",
        )
        require_range("multiplier bits", self.multiplier_bits, 1, PRODUCT_BITS - self.product_format.bits)

    @property
    def block(self) -> Callable[..., Any]:
        """The datapath."""
        return inverse_gdn_stage

    @property
    def title(self) -> str:
        """One line for people."""
        return self._title("Inverse divisive normalisation")

    @property
    def clauses(self) -> tuple[str, ...]:
        """GDN-1, GDN-2, GDN-4 and what they use."""
        return ("GDN-1", "GDN-2", "GDN-4", "RQ-1", *(("ISQRT-1",) if self.squared else ()))

    @property
    def memories(self) -> dict[str, Memory]:
        """Those of the divisor, offset, multiplier and shift."""
        groups, lanes = self.sink.groups, self.lanes_out
        widths = {"offset": self.offset_bits, "multiplier": self.multiplier_bits, "shift": SHIFT_BITS}
        return {**self.norm_memories, **{name: Memory(bits, groups, lanes) for name, bits in widths.items()}}

    @property
    def result_latency(self) -> int:
        """Product, offset, requantisation, word, and the edge that passes it."""
        return 4 + REQUANTISE_STAGES


# --- from a program


def _signed_bits(values: np.ndarray) -> int:
    """Two's complement bits that hold every value."""
    return max(max(value, -1 - value).bit_length() for value in values.tolist()) + 1


def gamma_image(stage: NormStage, gamma: np.ndarray) -> list[int]:
    """All lanes, lane after lane: [lane][output group][channel group], a word of PI weights (SPEC HW-9).

    gamma  (C, C) integers in the gamma format;  beyond the last channel zeros.
    """
    pi, po = stage.lanes_in, stage.lanes_out
    wide = pad_channels(pad_channels(gamma, po).T, pi).T
    visits = wide.reshape(stage.sink.groups, po, stage.source.groups, pi).swapaxes(0, 1).reshape(-1, pi)
    return [pack_lanes(word, stage.gamma_format.bits + 1) for word in visits.tolist()]


def beta_image(stage: NormStage, beta: np.ndarray) -> list[int]:
    """The first channel's beta where there is no channel, so that no divisor is zero (SPEC HW-9, GDN-5)."""
    surplus = stage.sink.groups * stage.lanes_out - stage.channels
    whole = np.concatenate([beta, np.repeat(beta[:1], surplus)])
    return channel_image(whole, stage.lanes_out, stage.norm_format.bits)


def stage_images(stage: GdnStage | InverseGdnStage, operation: Gdn | InverseGdn) -> Images:
    """The words of every memory (SPEC HW-9)."""
    images = {"gamma": gamma_image(stage, operation.gamma), "beta": beta_image(stage, operation.beta)}
    rest = [(name, memory.bits) for name, memory in stage.memories.items() if name not in images]
    for name, bits in rest:
        images[name] = channel_image(getattr(operation, name), stage.lanes_out, bits)
    return images


def of(
    program: Program, name: str, height: int, width: int, lanes_in: int, lanes_out: int
) -> tuple[GdnStage | InverseGdnStage, Images]:
    """The stage of a GDN or its inverse on a height x width tile, and what its memories hold (SPEC HW-9).

    Raises HardwareError RC-HW-CONFIG where the operation is neither or cannot be built, ModelError.
    """
    operation = program.operation(name)
    if not isinstance(operation, Gdn | InverseGdn):
        raise HardwareError("RC-HW-CONFIG", f"{name} is a {operation.kind}; this stage runs GDN and inverse GDN")
    source, target = program.tensor(operation.source), program.tensor(operation.target)
    shared: dict[str, Any] = {
        "channels": source.channels,
        "height": height,
        "width": width,
        "source_format": source.format,
        "sink_format": target.format,
        "gamma_format": operation.gamma_format,
        "norm_format": operation.norm_format,
        "squared": bool(operation.squared),
        "norm_shift": int(operation.norm_shift),
        "offset_bits": _signed_bits(operation.offset),
        "lanes_in": lanes_in,
        "lanes_out": lanes_out,
    }
    stage: GdnStage | InverseGdnStage
    if isinstance(operation, Gdn):
        stage = GdnStage(**shared, scale_bits=_signed_bits(operation.scale), fraction=int(operation.fraction))
    else:
        product = operation.product_format
        stage = InverseGdnStage(**shared, product_format=product, multiplier_bits=multiplier_bits(product))
    return stage, stage_images(stage, operation)
