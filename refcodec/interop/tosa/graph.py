"""A TOSA graph in the making, in which nothing can overflow.

Every value knows, channel by channel, the smallest and the largest integer it can hold. Every operator checks types,
shapes and the range of its result before it is added, so that a graph that could leave a defined result is refused
while it is built: TOSA leaves such results undefined, and its tools wrap some of them without a word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from refcodec.errors import ExportError
from refcodec.interop.tosa.schema import (
    BILINEAR,
    PROPAGATE,
    SINGLE_ROUND,
    Attributes,
    Block,
    OperatorEntry,
    ShapeEntry,
    TensorEntry,
    constant_bytes,
)

BITS = {"BOOL": 1, "INT8": 8, "INT16": 16, "INT32": 32, "INT48": 48}
Pads = tuple[int, int, int, int]  # top, bottom, left, right


def require(condition: bool, message: str) -> None:
    """Raise ExportError unless the condition holds."""
    if not condition:
        raise ExportError("RC-EXPORT", message)


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A tensor of the graph.  lo, hi  (shape[-1],) int64: the range of each channel, the last axis."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    lo: np.ndarray
    hi: np.ndarray


def limits(dtype: str) -> tuple[int, int]:
    """The smallest and the largest integer of a TOSA type."""
    return (0, 1) if dtype == "BOOL" else (-(1 << (BITS[dtype] - 1)), (1 << (BITS[dtype] - 1)) - 1)


def broadcast(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The common shape of operands whose lengths are equal or one."""
    require(len({len(shape) for shape in shapes}) == 1, f"operands of unlike rank: {shapes}")
    for lengths in zip(*shapes, strict=True):
        require(len({*lengths} - {1}) <= 1, f"operands of unlike shape: {shapes}")
    return tuple(max(lengths) for lengths in zip(*shapes, strict=True))


def whole(low: np.ndarray, high: np.ndarray, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """The range of all channels together, for each of `channels`."""
    return np.full(channels, low.min()), np.full(channels, high.max())


def sums(weight: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Range of a sum of products and of all its partial sums: weight (O, taps, I) int64, inputs or zeros (I,)."""
    positive, negative = np.maximum(weight, 0).sum(axis=1), np.minimum(weight, 0).sum(axis=1)
    lo, hi = np.minimum(lo, 0), np.maximum(hi, 0)
    return positive @ lo + negative @ hi, positive @ hi + negative @ lo


class Graph:
    """Operators in order, their tensors and constants.  Raises ExportError from every method.

    scope       name under which new tensors are listed; the exporter sets it to the tensor that is being made.
    extensions  what the graph needs besides the profile PRO-INT.
    """

    def __init__(self) -> None:
        self.scope = ""
        self.extensions: set[str] = set()
        self._tensors: dict[str, TensorEntry] = {}
        self._shapes: dict[tuple[int, ...], ShapeEntry] = {}
        self._constants: dict[tuple[str, tuple[int, ...], bytes], Value] = {}
        self._operators: list[OperatorEntry] = []
        self._inputs: list[str] = []
        self._outputs: list[str] = []

    # --- inputs, outputs, constants

    def input(self, name: str, shape: tuple[int, ...], dtype: str, lo: int, hi: int) -> Value:
        """A tensor that the caller provides, with values in lo .. hi."""
        value = self._value(name, shape, dtype, np.full(shape[-1], lo), np.full(shape[-1], hi))
        self._inputs.append(name)
        return value

    def output(self, value: Value, name: str) -> None:
        """Give a value back to the caller under a name of its own."""
        require(name not in self._tensors, f"two tensors are called {name}")
        if value.name in (*self._inputs, *self._outputs):
            value = self._emit("IDENTITY", [value], value.shape, value.dtype, (value.lo, value.hi))
        self._tensors = {
            (name if old == value.name else old): (replace(entry, name=name) if old == value.name else entry)
            for old, entry in self._tensors.items()
        }
        self._operators = [
            replace(
                operator,
                inputs=tuple(name if old == value.name else old for old in operator.inputs),
                outputs=tuple(name if old == value.name else old for old in operator.outputs),
            )
            for operator in self._operators
        ]
        self._outputs.append(name)

    def constant(self, values: np.ndarray, dtype: str) -> Value:
        """A constant tensor; equal constants are stored once."""
        low, high = limits(dtype)
        require(
            values.dtype.kind in "iu" and values.size > 0 and low <= int(values.min()) and int(values.max()) <= high,
            f"{self.scope}: a constant of {values.dtype} does not fit {dtype}",
        )
        content = constant_bytes(values, dtype)
        key = (dtype, values.shape, content)
        if key not in self._constants:
            name = f"constant.{len(self._constants)}"
            flat = values.astype(np.int64).reshape(-1, values.shape[-1])
            self._constants[key] = self._value(name, values.shape, dtype, flat.min(axis=0), flat.max(axis=0))
            self._tensors[name] = TensorEntry(name, values.shape, dtype, content)
            self._operators.append(OperatorEntry("CONST", (), (name,), {}))
        return self._constants[key]

    def scalar(self, value: int, rank: int, dtype: str = "INT32") -> Value:
        """A constant of one value, of the rank that it is combined with."""
        return self.constant(np.full((1,) * rank, value, np.int64), dtype)

    def channels(self, values: np.ndarray, rank: int, dtype: str = "INT32") -> Value:
        """A constant with one value for each channel, the last of `rank` axes."""
        return self.constant(values.reshape((1,) * (rank - 1) + (-1,)), dtype)

    def block(self) -> Block:
        """Everything, ready to be written."""
        require(bool(self._outputs), "the graph gives nothing back")
        return Block(
            tuple(self._tensors.values()),
            tuple(self._shapes.values()),
            tuple(self._operators),
            tuple(self._inputs),
            tuple(self._outputs),
        )

    def _shape(self, values: Sequence[int]) -> str:
        key = tuple(int(v) for v in values)
        if key not in self._shapes:
            name = f"shape.{len(self._shapes)}"
            self._shapes[key] = ShapeEntry(name, key)
            self._operators.append(OperatorEntry("CONST_SHAPE", (), (name,), {}))
        return self._shapes[key].name

    def _value(self, name: str, shape: tuple[int, ...], dtype: str, lo: np.ndarray, hi: np.ndarray) -> Value:
        low, high = limits(dtype)
        require(name not in self._tensors, f"two tensors are called {name}")
        require(all(length > 0 for length in shape), f"{name}: an empty tensor {shape}")
        lo, hi = (np.broadcast_to(np.asarray(v, np.int64), shape[-1:]) for v in (lo, hi))
        require(
            bool((lo <= hi).all()) and int(lo.min()) >= low and int(hi.max()) <= high,
            f"{name}: values {lo.min()} .. {hi.max()} may leave {dtype}",
        )
        self._tensors[name] = TensorEntry(name, shape, dtype)
        return Value(name, shape, dtype, lo, hi)

    def _emit(
        self,
        kind: str,
        inputs: Sequence[Value | str],
        shape: tuple[int, ...],
        dtype: str,
        interval: tuple[np.ndarray, np.ndarray],
        attributes: Attributes | None = None,
    ) -> Value:
        value = self._value(f"{self.scope}.{len(self._tensors)}", shape, dtype, *interval)
        if "INT48" in (dtype, *(v.dtype for v in inputs if isinstance(v, Value))):
            self.extensions.add("EXT-INT16")  # INT16 convolutions and what reads their accumulators
        names = tuple(v if isinstance(v, str) else v.name for v in inputs)
        self._operators.append(OperatorEntry(kind, names, (value.name,), attributes or {}))
        return value

    def _demand(self, value: Value, *dtypes: str) -> None:
        require(value.dtype in dtypes, f"{self.scope}: {value.dtype} where one of {', '.join(dtypes)} is wanted")

    def _demand_alike(self, x: Value, y: Value, dtype: str = "INT32") -> None:
        self._demand(x, dtype)
        self._demand(y, dtype)
        broadcast(x.shape, y.shape)

    # --- element by element

    def cast(self, x: Value, dtype: str) -> Value:
        """The same integers in another type, which must hold them all."""
        if x.dtype == dtype:
            return x
        self._demand(x, "BOOL", "INT8", "INT16", "INT32")
        return self._emit("CAST", [x], x.shape, dtype, (x.lo, x.hi))

    def _pair(
        self, kind: str, x: Value, y: Value, dtype: str, interval: tuple[np.ndarray, np.ndarray], nan: bool = False
    ) -> Value:
        attributes: Attributes = {"nan_mode": PROPAGATE} if nan else {}
        return self._emit(kind, [x, y], broadcast(x.shape, y.shape), dtype, interval, attributes)

    def add(self, x: Value, y: Value, within: tuple[np.ndarray, np.ndarray] | None = None) -> Value:
        """x + y, INT32;  within  a narrower range than that of the operands, for which the caller has a proof."""
        self._demand_alike(x, y)
        return self._pair("ADD", x, y, "INT32", within or (x.lo + y.lo, x.hi + y.hi))

    def mix(self, x: Value, y: Value, weight: Value, bits: int) -> Value:
        """(2**bits - weight) * x + weight * y, INT32, for weights of 0 .. 2**bits: 2**bits times a mean of both."""
        require(
            int(weight.lo.min()) >= 0 and int(weight.hi.max()) <= 1 << bits,
            f"{self.scope}: weights {weight.lo.min()} .. {weight.hi.max()} of {bits} bits",
        )
        rest = self.subtract(self.scalar(1 << bits, len(weight.shape)), weight)
        within = np.minimum(x.lo, y.lo) << bits, np.maximum(x.hi, y.hi) << bits
        return self.add(self.multiply(x, rest), self.multiply(y, weight), within)

    def subtract(self, x: Value, y: Value) -> Value:
        """x - y, INT32."""
        self._demand_alike(x, y)
        return self._pair("SUB", x, y, "INT32", (x.lo - y.hi, x.hi - y.lo))

    def multiply(self, x: Value, y: Value) -> Value:
        """x * y, INT32."""
        self._demand_alike(x, y)
        corners = np.broadcast_arrays(x.lo * y.lo, x.lo * y.hi, x.hi * y.lo, x.hi * y.hi)
        shift = self.constant(np.zeros(1, np.int64), "INT8")
        interval = np.min(corners, axis=0), np.max(corners, axis=0)
        return self._emit("MUL", [x, y, shift], broadcast(x.shape, y.shape), "INT32", interval)

    def maximum(self, x: Value, y: Value) -> Value:
        """The larger one, INT32."""
        self._demand_alike(x, y)
        return self._pair("MAXIMUM", x, y, "INT32", (np.maximum(x.lo, y.lo), np.maximum(x.hi, y.hi)), True)

    def minimum(self, x: Value, y: Value) -> Value:
        """The smaller one, INT32."""
        self._demand_alike(x, y)
        return self._pair("MINIMUM", x, y, "INT32", (np.minimum(x.lo, y.lo), np.minimum(x.hi, y.hi)), True)

    def compare(self, kind: str, x: Value, y: Value) -> Value:
        """GREATER (x > y) or EQUAL (x == y) of INT32, BOOL."""
        self._demand_alike(x, y)
        return self._pair(kind, x, y, "BOOL", (np.array([0]), np.array([1])))

    def logical(self, kind: str, x: Value, y: Value) -> Value:
        """LOGICAL_AND or LOGICAL_OR of BOOL."""
        self._demand_alike(x, y, "BOOL")
        return self._pair(kind, x, y, "BOOL", (np.array([0]), np.array([1])))

    def absolute(self, x: Value) -> Value:
        """|x|, INT32."""
        self._demand(x, "INT32")
        nearest = np.maximum(np.maximum(x.lo, -x.hi), 0)
        return self._emit("ABS", [x], x.shape, "INT32", (nearest, np.maximum(-x.lo, x.hi)))

    def shift_right(self, x: Value, shift: np.ndarray) -> Value:
        """floor(x / 2**shift), INT32; shift (1,) or (C,), 0 .. 31."""
        self._demand(x, "INT32")
        require(int(shift.min()) >= 0 and int(shift.max()) <= 31, f"{self.scope}: shifts {shift.min()}..{shift.max()}")
        amount = self.channels(shift.astype(np.int64), len(x.shape))
        interval = (x.lo >> amount.lo, x.hi >> amount.lo)
        shape = broadcast(x.shape, amount.shape)
        return self._emit("ARITHMETIC_RIGHT_SHIFT", [x, amount], shape, "INT32", interval, {"round": False})

    def divide(self, x: Value, y: Value) -> Value:
        """floor(x / y), INT32, for x of 0 or more and y of 1 or more."""
        self._demand_alike(x, y)
        require(int(x.lo.min()) >= 0 and int(y.lo.min()) >= 1, f"{self.scope}: INTDIV of negative integers truncates")
        return self._pair("INTDIV", x, y, "INT32", (x.lo // y.hi, x.hi // y.lo))

    def low_bits(self, x: Value, bits: int) -> Value:
        """x modulo 2**bits, INT32."""
        self._demand(x, "INT32")
        mask = (1 << bits) - 1
        inside = (x.lo >= 0) & (x.hi <= mask)
        interval = np.where(inside, x.lo, 0), np.where(inside, x.hi, mask)
        return self._pair("BITWISE_AND", x, self.scalar(mask, len(x.shape)), "INT32", interval)

    def clamp(self, x: Value, lo: int, hi: int) -> Value:
        """Limit to lo .. hi; nothing is added where the range lies inside already.  INT8 or INT32."""
        if lo <= int(x.lo.min()) and int(x.hi.max()) <= hi:
            return x
        if x.dtype == "INT32":
            y = self.maximum(x, self.scalar(lo, len(x.shape))) if lo > int(x.lo.min()) else x
            return self.minimum(y, self.scalar(hi, len(x.shape))) if hi < int(x.hi.max()) else y
        self._demand(x, "INT8")  # INT16 would need EXT-INT16
        ends = [constant_bytes(np.array([end]), x.dtype) for end in (lo, hi)]
        attributes: Attributes = {"min_val": ends[0], "max_val": ends[1], "nan_mode": PROPAGATE}
        return self._emit("CLAMP", [x], x.shape, x.dtype, (np.clip(x.lo, lo, hi), np.clip(x.hi, lo, hi)), attributes)

    def rescale(
        self, x: Value, multiplier: np.ndarray, shift: np.ndarray, dtype: str, zero_points: tuple[int, int] = (0, 0)
    ) -> Value:
        """Scale by multiplier / 2**shift, halves upwards, and saturate to `dtype`.

        multiplier, shift  (1,) or (C,);  zero_points  of x and of the result, which only INT8 may have.
        An INT48 operand takes multipliers of 15 bits, any other one of 31.
        """
        self._demand(x, "INT8", "INT16", "INT32", "INT48")
        wide = x.dtype == "INT48"
        lo, hi = self._rescaled(x, multiplier, shift, zero_points)
        low, high = limits(dtype)
        interval = np.clip(lo + zero_points[1], low, high), np.clip(hi + zero_points[1], low, high)
        inputs = [
            x,
            self.constant(multiplier.astype(np.int64), "INT16" if wide else "INT32"),
            self.constant(shift.astype(np.int64), "INT8"),
            self.constant(np.array([zero_points[0]]), x.dtype),
            self.constant(np.array([zero_points[1]]), dtype),
        ]
        return self._emit("RESCALE", inputs, x.shape, dtype, interval, _rescale_attributes(not wide, len(shift) > 1))

    def _rescaled(
        self, x: Value, multiplier: np.ndarray, shift: np.ndarray, zero_points: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The range before saturation; raises unless TOSA defines the result."""
        zero_types = [dtype for zero, dtype in zip(zero_points, (x.dtype, "INT8"), strict=True) if zero]
        require(set(zero_types) <= {"INT8"}, f"{self.scope}: a zero point of {zero_types}")
        m, s = multiplier.astype(np.int64), shift.astype(np.int64)
        lo, hi = x.lo - zero_points[0], x.hi - zero_points[0]
        require(
            m.shape == s.shape and m.shape in ((1,), x.shape[-1:]),
            f"{self.scope}: multipliers {m.shape}, shifts {s.shape} for {x.shape[-1]} channels",
        )
        bits = 15 if x.dtype == "INT48" else 31
        require(int(m.min()) >= 0 and int(m.max()) < 1 << bits, f"{self.scope}: multipliers beyond {bits} bits")
        require(int(s.min()) >= 2 and int(s.max()) <= 62, f"{self.scope}: shifts {s.min()}..{s.max()}, not 2..62")
        half = np.int64(1) << (s - 1)
        if bits == 31:
            require(bool(((lo >= -half) & (hi < half)).all()), f"{self.scope}: a value may reach 2**(shift - 1)")
        ends = (lo * m + half) >> s, (hi * m + half) >> s  # |product| < 2**62 and half <= 2**61
        require(
            int(ends[0].min()) >= -(1 << 31) and int(ends[1].max()) < 1 << 31,
            f"{self.scope}: a scaled value may leave 32 bits",
        )
        return ends

    def unsigned(self, x: Value) -> Value:
        """INT8 with zero point -128 as bytes without a sign: the form in which 8-bit pictures leave."""
        self._demand(x, "INT8")
        inputs = [
            x,
            self.constant(np.array([1 << 30]), "INT32"),
            self.constant(np.array([30]), "INT8"),
            self.constant(np.array([-128]), "INT8"),
            self.constant(np.array([0]), "INT8"),
        ]
        attributes = {**_rescale_attributes(True, False), "output_unsigned": True}
        full = np.array([-128]), np.array([127])
        return self._emit("RESCALE", inputs, x.shape, "INT8", full, attributes)

    def signed(self, x: Value, lo: int, hi: int) -> Value:
        """The reverse of `unsigned`: bytes without a sign in lo .. hi as INT8 with zero point -128."""
        self._demand(x, "INT8")
        inputs = [
            x,
            self.constant(np.array([1 << 30]), "INT32"),
            self.constant(np.array([30]), "INT8"),
            self.constant(np.array([0]), "INT8"),
            self.constant(np.array([-128]), "INT8"),
        ]
        attributes = {**_rescale_attributes(True, False), "input_unsigned": True}
        return self._emit("RESCALE", inputs, x.shape, "INT8", (np.array([lo - 128]), np.array([hi - 128])), attributes)

    def tighten(self, x: Value, lo: np.ndarray, hi: np.ndarray) -> Value:
        """The same value with a narrower range, for which the caller has a proof."""
        return replace(x, lo=np.maximum(x.lo, lo), hi=np.minimum(x.hi, hi))

    # --- sums of products

    def _accumulator(
        self, x: Value, interval: tuple[np.ndarray, np.ndarray], bias: np.ndarray
    ) -> tuple[str, tuple[np.ndarray, np.ndarray]]:
        """Type and range of an accumulator; raises if it, or a partial sum with or without bias, can leave the type."""
        self._demand(x, "INT8", "INT16")
        dtype = "INT32" if x.dtype == "INT8" else "INT48"
        low, high = limits(dtype)
        lo, hi = interval
        require(
            bool((np.minimum(lo, lo + bias) >= low).all() and (np.maximum(hi, hi + bias) <= high).all()),
            f"{self.scope}: an accumulator may leave {dtype}",
        )
        return dtype, (lo + bias, hi + bias)

    def _operands(self, x: Value, x_zero: int, weight: np.ndarray, w_zero: int, bias: np.ndarray) -> list[Value]:
        require(x.dtype == "INT8" or x_zero == 0, f"{self.scope}: {x.dtype} with a zero point")
        accumulator = "INT32" if x.dtype == "INT8" else "INT48"
        return [
            x,
            self.constant(weight, "INT8"),
            self.constant(bias, accumulator),
            self.constant(np.array([x_zero]), x.dtype),
            self.constant(np.array([w_zero]), "INT8"),
        ]

    def convolution(
        self, x: Value, x_zero: int, weight: np.ndarray, w_zero: int, bias: np.ndarray, stride: int, pads: Pads
    ) -> Value:
        """CONV2D: x (1, H, W, I), weight (O, K, K, I), bias (O,); values are what is stored less the zero point."""
        outputs, kernel, _, inputs = weight.shape
        real = weight.astype(np.int64).reshape(outputs, -1, inputs) - w_zero
        dtype, interval = self._accumulator(x, sums(real, x.lo - x_zero, x.hi - x_zero), bias)
        shape = (1, *self._windows(x, kernel, stride, pads), outputs)
        attributes = {**_convolution_attributes(stride, dtype), "pad": pads}
        operands = self._operands(x, x_zero, weight, w_zero, bias)
        return self._emit("CONV2D", operands, shape, dtype, interval, attributes)

    def depthwise(
        self, x: Value, x_zero: int, weight: np.ndarray, w_zero: int, bias: np.ndarray, stride: int, pads: Pads
    ) -> Value:
        """DEPTHWISE_CONV2D: x (1, H, W, C), weight (K, K, C, 1), bias (C,)."""
        kernel, _, channels, _ = weight.shape
        real = weight.astype(np.int64).reshape(-1, channels) - w_zero
        positive, negative = np.maximum(real, 0).sum(axis=0), np.minimum(real, 0).sum(axis=0)
        lo, hi = np.minimum(x.lo - x_zero, 0), np.maximum(x.hi - x_zero, 0)
        interval = positive * lo + negative * hi, positive * hi + negative * lo
        dtype, interval = self._accumulator(x, interval, bias)
        shape = (1, *self._windows(x, kernel, stride, pads), channels)
        attributes = {**_convolution_attributes(stride, dtype), "pad": pads}
        operands = self._operands(x, x_zero, weight, w_zero, bias)
        return self._emit("DEPTHWISE_CONV2D", operands, shape, dtype, interval, attributes)

    def _windows(self, x: Value, kernel: int, stride: int, pads: Pads) -> tuple[int, int]:
        spare = [x.shape[1 + a] + pads[2 * a] + pads[2 * a + 1] - kernel for a in (0, 1)]
        require(min(pads) >= 0, f"{self.scope}: pads {pads}")
        require(all(v >= 0 and v % stride == 0 for v in spare), f"{self.scope}: windows that do not end at the border")
        return spare[0] // stride + 1, spare[1] // stride + 1

    def transposed_convolution(
        self, x: Value, x_zero: int, weight: np.ndarray, w_zero: int, bias: np.ndarray, stride: int, pads: Pads
    ) -> Value:
        """TRANSPOSE_CONV2D: as `convolution`; pads, which crop where negative, belong to the output."""
        outputs, kernel, _, inputs = weight.shape
        require(min(pads) > -kernel, f"{self.scope}: pads {pads} for a kernel of {kernel}")
        real = weight.astype(np.int64) - w_zero
        ends = [
            sums(real[:, a::stride, b::stride].reshape(outputs, -1, inputs), x.lo - x_zero, x.hi - x_zero)
            for a in range(min(stride, kernel))
            for b in range(min(stride, kernel))
        ]  # output pads + stride * i + a is reached by the kernel rows a, a + stride, ...
        lo, hi = np.min([end[0] for end in ends], axis=0), np.max([end[1] for end in ends], axis=0)
        dtype, interval = self._accumulator(x, (lo, hi), bias)
        rows, columns = ((x.shape[1 + a] - 1) * stride + kernel + pads[2 * a] + pads[2 * a + 1] for a in (0, 1))
        attributes: Attributes = {
            "out_pad": pads,
            "stride": (stride, stride),
            "local_bound": False,
            "acc_type": _ACCUMULATORS[dtype],
        }
        operands = self._operands(x, x_zero, weight, w_zero, bias)
        return self._emit("TRANSPOSE_CONV2D", operands, (1, rows, columns, outputs), dtype, interval, attributes)

    def enlarge(self, x: Value, rows: int, columns: int) -> Value:
        """RESIZE: four neighbours weighed bilinearly, times 4 * rows * columns; INT8 as INT32, INT16 as INT48."""
        self._demand(x, "INT8", "INT16")
        unit = 4 * rows * columns
        inputs: list[Value | str] = [
            x,
            self._shape((2 * rows, 2, 2 * columns, 2)),
            self._shape((1 - rows, 1 - columns)),
            self._shape((rows - 1, columns - 1)),
        ]
        shape = (1, x.shape[1] * rows, x.shape[2] * columns, x.shape[3])
        dtype = "INT32" if x.dtype == "INT8" else "INT48"
        return self._emit("RESIZE", inputs, shape, dtype, (x.lo * unit, x.hi * unit), {"mode": BILINEAR})

    # --- look-ups

    def table(self, x: Value, values: np.ndarray) -> Value:
        """TABLE of 256 INT8 values, entry x + 128, for INT8 x."""
        self._demand(x, "INT8")
        require(values.shape == (256,), f"{self.scope}: a table of {values.shape}")
        entries = self.constant(values, "INT8")
        interval = np.array([values.min()]), np.array([values.max()])
        return self._emit("TABLE", [x, entries], x.shape, "INT8", interval)

    def gather(self, rows: Value, index: Value) -> Value:
        """The rows of (1, K, D) that an INT32 index (..., 1) names, as (..., D)."""
        self._demand(index, "INT32")
        _, count, width = rows.shape
        require(
            index.shape[-1] == 1 and int(index.lo.min()) >= 0 and int(index.hi.max()) < count,
            f"{self.scope}: an index {index.lo.min()} .. {index.hi.max()} into {count} rows",
        )
        flat = self.reshape(index, (1, int(np.prod(index.shape))))
        found = self._emit("GATHER", [rows, flat], (1, flat.shape[1], width), rows.dtype, (rows.lo, rows.hi))
        return self.reshape(found, (*index.shape[:-1], width))

    def look_up(self, entries: np.ndarray, dtype: str, index: Value) -> Value:
        """The entries (K,) of a constant that an INT32 index of any shape names."""
        found = self.gather(self.constant(entries.reshape(1, -1, 1), dtype), self.reshape(index, (*index.shape, 1)))
        return self.reshape(found, index.shape)

    # --- arrangement

    def reshape(self, x: Value, shape: tuple[int, ...]) -> Value:
        """The same elements in the same order."""
        if shape == x.shape:
            return x
        require(int(np.prod(shape)) == int(np.prod(x.shape)), f"{self.scope}: {x.shape} as {shape}")
        interval = (x.lo, x.hi) if shape[-1] == x.shape[-1] else whole(x.lo, x.hi, shape[-1])
        return self._emit("RESHAPE", [x, self._shape(shape)], shape, x.dtype, interval)

    def transpose(self, x: Value, order: tuple[int, ...]) -> Value:
        """Axes in another order."""
        shape = tuple(x.shape[axis] for axis in order)
        interval = (x.lo, x.hi) if order[-1] == len(order) - 1 else whole(x.lo, x.hi, shape[-1])
        return self._emit("TRANSPOSE", [x], shape, x.dtype, interval, {"perms": order})

    def concatenate(self, parts: Sequence[Value], axis: int) -> Value:
        """Tensors of one type, INT8 or INT32, behind one another."""
        first = parts[0]
        self._demand(first, "INT8", "INT32")  # INT16 would need EXT-INT16
        require(len({part.dtype for part in parts}) == 1, f"{self.scope}: parts of unlike types")
        shape = list(first.shape)
        shape[axis] = sum(part.shape[axis] for part in parts)
        if axis == len(shape) - 1:
            interval = tuple(np.concatenate([getattr(part, end) for part in parts]) for end in ("lo", "hi"))
        else:
            interval = np.min([part.lo for part in parts], axis=0), np.max([part.hi for part in parts], axis=0)
        return self._emit("CONCAT", list(parts), tuple(shape), first.dtype, (interval[0], interval[1]), {"axis": axis})

    def pad(self, x: Value, pads: Pads, stored: int) -> Value:
        """Rows and columns of a constant around (1, H, W, C)."""
        shape = (1, x.shape[1] + pads[0] + pads[1], x.shape[2] + pads[2] + pads[3], x.shape[3])
        inputs: list[Value | str] = [x, self._shape((0, 0, *pads, 0, 0)), self.constant(np.array([stored]), x.dtype)]
        return self._emit("PAD", inputs, shape, x.dtype, (np.minimum(x.lo, stored), np.maximum(x.hi, stored)))

    def slice(self, x: Value, start: tuple[int, ...], size: tuple[int, ...]) -> Value:
        """A box of elements."""
        require(
            all(a >= 0 and a + n <= length for a, n, length in zip(start, size, x.shape, strict=True)),
            f"{self.scope}: {size} from {start} of {x.shape}",
        )
        if size == x.shape:
            return x
        kept = slice(start[-1], start[-1] + size[-1])
        return self._emit("SLICE", [x, self._shape(start), self._shape(size)], size, x.dtype, (x.lo[kept], x.hi[kept]))

    def tile(self, x: Value, repeats: tuple[int, ...]) -> Value:
        """Copies behind one another along each axis."""
        shape = tuple(n * count for n, count in zip(x.shape, repeats, strict=True))
        interval = np.tile(x.lo, repeats[-1]), np.tile(x.hi, repeats[-1])
        return self._emit("TILE", [x, self._shape(repeats)], shape, x.dtype, interval)


_ACCUMULATORS = {"INT32": 5, "INT48": 6}


def _convolution_attributes(stride: int, dtype: str) -> dict[str, int | bool | Sequence[int]]:
    return {
        "stride": (stride, stride),
        "dilation": (1, 1),
        "local_bound": False,
        "acc_type": _ACCUMULATORS[dtype],
    }


def _rescale_attributes(scale32: bool, per_channel: bool) -> dict[str, int | bool]:
    return {
        "scale32": scale32,
        "rounding_mode": SINGLE_ROUND,
        "per_channel": per_channel,
        "input_unsigned": False,
        "output_unsigned": False,
    }
