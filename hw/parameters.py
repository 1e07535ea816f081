"""Parameter set of the convolution engine, its memory sizes and its closed-form cycle count (SPEC HW-1, HW-6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from hw.checks import MAX_CHANNELS, MAX_DEPTH, MAX_LANES, MAX_SIZE, require, require_range
from hw.convolution import COLUMNS, convolution_engine
from hw.requantise import SHIFT_BITS, STAGES
from hw.stage import Memory, Schedule, plain
from hw.stream import StreamFormat
from refcodec.errors import HardwareError
from refcodec.fixed import convolution_size, phase_taps, transposed_size
from refcodec.formats import IntFormat, multiplier_bits
from refcodec.program.operations import Convolution, Linear, Requantise, TransposedConvolution
from refcodec.program.program import Program

MAX_KERNEL = 9
MAX_STRIDE = 4
PRODUCT_BITS = 63  # accumulator bits + multiplier bits (SPEC RQ-2)


def layer_operations(program: Program, layer: str) -> tuple[Convolution | TransposedConvolution, Requantise | None]:
    """The convolution of that name and the requantisation that reads its accumulators, if any (SPEC HW-1).

    A linear layer comes as the convolution of kernel 1 that it equals.
    Raises HardwareError RC-HW-CONFIG where `layer` is neither, ModelError where it does not exist.
    """
    operation = program.operation(layer)
    if isinstance(operation, Linear):
        operation = _as_convolution(operation)
    if not isinstance(operation, Convolution | TransposedConvolution):
        raise HardwareError("RC-HW-CONFIG", f"{layer} is a {operation.kind}; the engine runs convolutions")
    for follower in program.operations:
        if isinstance(follower, Requantise) and follower.source == operation.target:
            return operation, follower
    return operation, None


def _as_convolution(op: Linear) -> Convolution:
    return Convolution(op.name, op.source, op.target, op.weight_format, 1, 0, op.weight[:, :, None, None], op.bias)


@dataclass(frozen=True, slots=True)
class AxisPlan:
    """How the taps of one axis move over the input; both axes share it (SPEC HW-5).

    Output coordinate o has phase o % phases.  Its first tap reads input coordinate `start`, later taps follow at
    distance `tap_step`, and leaving the output adds step[phase] to `start`.
    taps  taps of each phase;  step  of each phase;  first  `start` of output 0;  tap_step  1 or -1.
    kernel_taps  kernel index of every tap in visit order, by phase.
    """

    taps: tuple[int, ...]
    step: tuple[int, ...]
    first: int
    tap_step: int
    kernel_taps: tuple[tuple[int, ...], ...]

    @property
    def phases(self) -> int:
        """Number of phases: the stride of a transposed convolution, else one."""
        return len(self.taps)


def _convolution_plan(kernel: int, stride: int, padding: int) -> AxisPlan:
    return AxisPlan((kernel,), (stride,), -padding, 1, (tuple(range(kernel)),))


def _transposed_plan(kernel: int, stride: int, padding: int) -> AxisPlan:
    phases = [phase_taps(kernel, stride, padding, phase) for phase in range(stride)]
    starts = [taps[0][1] for taps in phases]
    following = [*starts[1:], starts[0] + 1]  # after the last phase the next input begins
    step = tuple(after - before for before, after in zip(starts, following, strict=True))
    return AxisPlan(tuple(len(t) for t in phases), step, starts[0], -1, tuple(tuple(k for k, _ in t) for t in phases))


@dataclass(frozen=True, slots=True)
class EngineParameters:
    """Everything that shapes one engine; each value is baked into the emitted HDL (SPEC HW-1).

    kernel 1..9;  stride 1..4;  padding 0..kernel-1;  output_padding 0..stride-1 (transposed only, else 0)
    in_channels, out_channels  1..1024;  height, width  of the input tile, 1..4096
    activation  2..16 bits;  weight  signed, 2..16 bits;  accumulator  signed, up to 48 bits
    output  2..16 bits, or None where raw accumulators come out
    multiplier_bits  with the accumulator at most 63 bits
    pi, po  input and output lanes, 1..32;  banks  tiles that the activation memory holds, 1 or 2.
    Raises HardwareError RC-HW-CONFIG.
    """

    kernel: int
    stride: int
    transposed: bool
    padding: int
    output_padding: int
    in_channels: int
    out_channels: int
    height: int
    width: int
    activation: IntFormat
    weight: IntFormat
    accumulator: IntFormat
    output: IntFormat | None
    multiplier_bits: int
    pi: int
    po: int
    banks: int = 1

    def __post_init__(self) -> None:
        self._check_shape()
        self._check_formats()
        require(self.out_height >= 1 and self.out_width >= 1, f"a {self.height}x{self.width} tile gives no output")
        for name, memory in (*self.memories.items(), *self.buffers.items()):
            require(
                memory.depth <= MAX_DEPTH, f"the {name} memory needs {memory.depth} words, {MAX_DEPTH} is the limit"
            )

    def _check_shape(self) -> None:
        require_range("PI", self.pi, 1, MAX_LANES)
        require_range("PO", self.po, 1, MAX_LANES)
        require_range("banks", self.banks, 1, 2)
        require_range("kernel", self.kernel, 1, MAX_KERNEL)
        require_range("stride", self.stride, 1, MAX_STRIDE)
        require_range("padding", self.padding, 0, self.kernel - 1)
        require_range("output padding", self.output_padding, 0, self.stride - 1 if self.transposed else 0)
        require(
            not self.transposed or self.kernel >= self.stride,
            f"a transposed convolution needs a tap in every phase, kernel {self.kernel} is below stride {self.stride}",
        )
        for name in ("in_channels", "out_channels"):
            require_range(name, getattr(self, name), 1, MAX_CHANNELS)
        for name in ("height", "width"):
            require_range(name, getattr(self, name), 1, MAX_SIZE)

    def _check_formats(self) -> None:
        require(2 <= self.activation.bits <= 16, f"activations need 2..16 bits, got {self.activation}")
        require(
            2 <= self.weight.bits <= 16 and self.weight.signed, f"weights need 2..16 signed bits, got {self.weight}"
        )
        require(
            self.accumulator.signed and self.accumulator.bits >= 2,
            f"accumulators must be signed, got {self.accumulator}",
        )
        require(self.output is None or 2 <= self.output.bits <= 16, f"outputs need 2..16 bits, got {self.output}")
        require_range("multiplier bits", self.multiplier_bits, 1, PRODUCT_BITS - self.accumulator.bits)

    @classmethod
    def from_program(cls, program: Program, layer: str, height: int, width: int, pi: int, po: int) -> EngineParameters:
        """The engine that runs one layer on a height x width tile (SPEC HW-1).  Raises HardwareError, ModelError."""
        operation, requantise = layer_operations(program, layer)
        source, target = program.tensor(operation.source), program.tensor(operation.target)
        transposed = isinstance(operation, TransposedConvolution)
        return cls(
            kernel=int(operation.weight.shape[2]),
            stride=int(operation.stride),
            transposed=transposed,
            padding=int(operation.padding),
            output_padding=int(operation.output_padding) if isinstance(operation, TransposedConvolution) else 0,
            in_channels=source.channels,
            out_channels=target.channels,
            height=height,
            width=width,
            activation=source.format,
            weight=operation.weight_format,
            accumulator=target.format,
            output=program.tensor(requantise.target).format if requantise else None,
            multiplier_bits=multiplier_bits(target.format),
            pi=pi,
            po=po,
        )

    @property
    def plan(self) -> AxisPlan:
        """Tap plan of both axes."""
        if self.transposed:
            return _transposed_plan(self.kernel, self.stride, self.padding)
        return _convolution_plan(self.kernel, self.stride, self.padding)

    def _out_size(self, size: int) -> int:
        if self.transposed:
            return transposed_size(size, self.kernel, self.stride, self.padding, self.output_padding)
        return convolution_size(size, self.kernel, self.stride, self.padding)

    @property
    def out_height(self) -> int:
        """Rows of the output."""
        return self._out_size(self.height)

    @property
    def out_width(self) -> int:
        """Columns of the output."""
        return self._out_size(self.width)

    @property
    def in_groups(self) -> int:
        """Activation words of one pixel: input channels by PI, rounded up."""
        return -(-self.in_channels // self.pi)

    @property
    def out_groups(self) -> int:
        """Output words of one pixel: output channels by PO, rounded up."""
        return -(-self.out_channels // self.po)

    @property
    def out_format(self) -> IntFormat:
        """Format of one output lane."""
        return self.output or self.accumulator

    @property
    def block(self) -> Callable[..., Any]:
        """The engine."""
        return convolution_engine

    @property
    def clauses(self) -> tuple[str, ...]:
        """CONV-2 or TCONV-3, and RQ-1."""
        return ("TCONV-3" if self.transposed else "CONV-2", *(("RQ-1",) if self.output else ()))

    @property
    def sources(self) -> tuple[StreamFormat, ...]:
        """The input tile."""
        return (StreamFormat(self.in_channels, self.height, self.width, self.pi, self.activation),)

    @property
    def sink(self) -> StreamFormat:
        """The results."""
        return StreamFormat(self.out_channels, self.out_height, self.out_width, self.po, self.out_format)

    @property
    def memories(self) -> dict[str, Memory]:
        """Weights and per-channel constants, one copy for each output lane."""
        taps = self.kernel * self.kernel * self.in_groups
        found = {
            "weight": Memory(self.pi * self.weight.bits, self.out_groups * taps, self.po),
            "bias": Memory(self.accumulator.bits, self.out_groups, self.po),
        }
        if self.output:
            found["multiplier"] = Memory(self.multiplier_bits, self.out_groups, self.po)
            found["shift"] = Memory(SHIFT_BITS, self.out_groups, self.po)
        return found

    @property
    def buffers(self) -> dict[str, Memory]:
        """The activation memory."""
        (source,) = self.sources
        return {"activation": Memory(source.bits, self.banks * source.words, 1)}

    @property
    def multipliers(self) -> int:
        """PI x PO."""
        return self.pi * self.po

    @property
    def product_bits(self) -> int:
        """Signed bits that hold every product of an activation and a weight."""
        return self.activation.bits + self.weight.bits

    @property
    def tree_levels(self) -> int:
        """Adder levels, and pipeline stages, that sum PI products."""
        return (self.pi - 1).bit_length()

    @property
    def column_groups(self) -> int:
        """Groups of output lanes, each of which works one cycle after the one before."""
        return -(-self.po // COLUMNS)

    @property
    def words(self) -> int:
        """Output words of one run."""
        return self.out_height * self.out_width * self.out_groups

    @property
    def latency(self) -> int:
        """Cycles from the issue of a step until its output word may be accepted (SPEC HW-6).

        Start, place, address, memory, two of operands, two of products, PI-adder levels, accumulate, [requantise,]
        word, offer; and what the last group of columns is behind the first.
        """
        return 10 + self.tree_levels + (STAGES if self.output else 0) + self.column_groups

    def _axis_taps(self, size: int) -> int:
        taps = self.plan.taps
        return sum(taps[o % len(taps)] for o in range(size))

    @property
    def steps(self) -> int:
        """Cycles in which the MAC array works: one for each output word, tap and channel group (SPEC HW-6)."""
        return self.out_groups * self.in_groups * self._axis_taps(self.out_height) * self._axis_taps(self.out_width)

    @property
    def cycles(self) -> int:
        """Clock cycles from the edge that passes the last word of the tile to that of the last result (SPEC HW-6).

        Exact for an engine whose results are never held.
        """
        return self.steps + self.latency

    @property
    def interval(self) -> int:
        """Edges between tiles that follow each other, where words wait and results are never held (SPEC HW-6)."""
        (source,) = self.sources
        return source.words + self.cycles if self.banks == 1 else max(source.words, self.cycles + 1)

    def result_cycles(self) -> Iterator[int]:
        """The same for every result (SPEC HW-6)."""
        taps = self.plan.taps
        cycle = self.latency
        for y in range(self.out_height):
            for x in range(self.out_width):
                for _ in range(self.out_groups):
                    cycle += taps[y % len(taps)] * taps[x % len(taps)] * self.in_groups
                    yield cycle

    def schedule(self, offered: Sequence[Sequence[int]]) -> Schedule:
        """Takes the tile as it comes, then runs."""
        (tile,) = offered
        return Schedule((tuple(tile),), tuple(tile[-1] + cycle for cycle in self.result_cycles()))

    @property
    def macs(self) -> int:
        """Multiplications that the layer needs, taps outside the picture included, padded channels not."""
        return self.out_channels * self.in_channels * self._axis_taps(self.out_height) * self._axis_taps(self.out_width)

    @property
    def title(self) -> str:
        """One line for people."""
        kind = "transposed convolution" if self.transposed else "convolution"
        return (
            f"A {self.kernel}x{self.kernel} {kind} of stride {self.stride}, {self.in_channels} to "
            f"{self.out_channels} channels, on a {self.height}x{self.width} tile"
        )

    def describe(self) -> dict[str, object]:
        """Plain values for a manifest (SPEC HW-7)."""
        return plain(self)
