"""Integer programs: refusals with their codes, the proof of widths, execution (SPEC PROG-1 to PROG-4, ACC-1)."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import naive_decoder
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcodec import fixed
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.program.model_file import Model, model_to_bytes
from refcodec.program.operations import (
    AnyOperation,
    Clip,
    Convolution,
    LatentMean,
    Requantise,
    ScaleIndex,
    Tensor,
    TransposedConvolution,
)
from refcodec.program.program import Program

S8, U8, S16, S32, S48 = (IntFormat(b, s) for b, s in ((8, True), (8, False), (16, True), (32, True), (48, True)))
U6, S25, S40 = IntFormat(6, False), IntFormat(25, True), IntFormat(40, True)
SOURCE, TARGET = Tensor("a", 1, S8), Tensor("b", 1, S32)


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.int64)


def conv(source: str = "a", target: str = "b", **changes: Any) -> Convolution:
    """A 3x3 convolution of one channel, with changes."""
    fields = {"weight_format": S8, "stride": 1, "padding": 1, "weight": ones(1, 1, 3, 3), "bias": ones(1)}
    return Convolution(target, source, target, **(fields | changes))


def tconv(source: str = "a", target: str = "b", **changes: Any) -> TransposedConvolution:
    """A 5x5 transposed convolution of one channel that doubles the size, with changes."""
    fields = {"weight_format": S8, "stride": 2, "padding": 2, "output_padding": 1}
    fields |= {"weight": ones(1, 1, 5, 5), "bias": ones(1)}
    return TransposedConvolution(target, source, target, **(fields | changes))


def requant(source: str = "a", target: str = "b", multiplier: Any = (1,), shift: Any = (1,)) -> Requantise:
    return Requantise(target, source, target, np.array(multiplier), np.array(shift))


def mean(fraction: int, values: np.ndarray) -> LatentMean:
    return LatentMean("b", "a", "b", fraction, values)


def scale(thresholds: np.ndarray) -> ScaleIndex:
    return ScaleIndex("b", "a", "b", thresholds)


def program(*steps: tuple[AnyOperation, Tensor], source: Tensor = SOURCE) -> Program:
    """A program from pairs of an operation and the tensor that it writes."""
    return Program("p", (source, *(tensor for _, tensor in steps)), tuple(op for op, _ in steps))


def refused(code: str, message: str, op: AnyOperation, target: Tensor = TARGET, source: Tensor = SOURCE) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        program((op, target), source=source)
    assert caught.value.code == code


# --- the list of operations


def test_program_needs_a_tensor_before_the_first_operation_and_one_for_each() -> None:
    for tensors, operations in (
        ((), ()),
        ((SOURCE,), ()),
        ((SOURCE,), (conv(),)),
        ((SOURCE, TARGET, TARGET), (conv(),)),
    ):
        with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: p: needs one distinct tensor more than operations$"):
            Program("p", tensors, operations)


def test_program_refuses_tensors_of_one_name() -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: p: needs one distinct tensor more"):
        program((conv("a", "a"), Tensor("a", 1, S32)))


def test_program_refuses_operations_of_one_name() -> None:
    second = Clip("b", "b", "c", -1, 1)
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: p: operation names repeat$"):
        program((conv(), TARGET), (second, Tensor("c", 1, S32)))


@pytest.mark.parametrize(("source", "target"), [("b", "b"), ("c", "b"), ("x", "b"), ("a", "c"), ("a", "a")])
def test_program_refuses_operations_out_of_order(source: str, target: str) -> None:
    """The first operation reads or writes what it may not."""
    first = Clip("first", source, target, 0, 1)
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: first: reads .* or writes .* out of order$"):
        program((first, Tensor("b", 1, S8)), (Clip("second", "b", "c", 0, 1), Tensor("c", 1, S8)))


@pytest.mark.parametrize("channels", [0, -1, 65537])
def test_program_limits_channels(channels: int) -> None:
    with pytest.raises(ModelError, match=rf"^RC-MODEL-RANGE: a: {channels} channels, not 1\.\.65536$") as caught:
        program((Clip("b", "a", "b", 0, 1), Tensor("b", channels, S8)), source=Tensor("a", channels, S8))
    assert caught.value.code == "RC-MODEL-RANGE"


def test_program_accepts_65536_channels() -> None:
    wide = program((Clip("b", "a", "b", 0, 1), Tensor("b", 1024, S8)), source=Tensor("a", 1024, S8))
    assert wide.run(np.full((1024, 1, 1), 5)).sum() == 1024


def test_program_finds_tensors_and_operations_by_name() -> None:
    p = program((conv(), TARGET))
    assert p.tensor("b") is p.output is TARGET
    assert p.input is SOURCE
    assert p.operation("b").kind == "convolution"
    for find in (p.tensor, p.operation):
        with pytest.raises(ModelError, match=r"^RC-MODEL-TENSOR: p has no .* x$"):
            find("x")


@pytest.mark.parametrize("name", ["", "a/b", "a b", "é"])
def test_program_refuses_names_that_could_collide_in_a_model_file(name: str) -> None:
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: .* is not a name"):
        program((conv(target=name), Tensor(name, 1, S32)))
    with pytest.raises(ModelError, match=r"^RC-MODEL-SCHEMA: .* is not a name"):
        Program(name, (SOURCE, TARGET), (conv(),))


# --- convolutions


@pytest.mark.parametrize("make", [conv, tconv])
@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"weight": ones(1, 2, 3, 3)}, "RC-MODEL-TENSOR", r"b: weight \(1, 2, 3, 3\) does not lead from 1 to 1"),
        ({"weight": ones(2, 1, 3, 3)}, "RC-MODEL-TENSOR", r"b: weight .* does not lead from 1 to 1 channels"),
        ({"weight": ones(1, 1, 3, 4)}, "RC-MODEL-TENSOR", r"b: weight .* does not lead"),
        ({"weight": ones(1, 1, 3)}, "RC-MODEL-TENSOR", r"b: weight \(1, 1, 3\) does not lead"),
        ({"weight": ones(1, 1, 3, 3, 1)}, "RC-MODEL-TENSOR", r"b: weight .* does not lead"),
        ({"bias": ones(2)}, "RC-MODEL-TENSOR", r"b: bias \(2,\) for weight"),
        ({"bias": ones(1, 1)}, "RC-MODEL-TENSOR", r"b: bias \(1, 1\) for weight"),
        ({"weight": ones(1, 1, 10, 10)}, "RC-MODEL-RANGE", r"b: kernel 10, stride"),
        ({"weight": ones(1, 1, 0, 0), "padding": 0}, "RC-MODEL-RANGE", r"b: kernel 0, stride"),
        ({"stride": 0}, "RC-MODEL-RANGE", r"b: kernel \d, stride 0"),
        ({"stride": 5}, "RC-MODEL-RANGE", r"b: kernel \d, stride 5"),
        ({"padding": -1}, "RC-MODEL-RANGE", r"padding -1"),
        ({"padding": 5}, "RC-MODEL-RANGE", r"padding 5"),
        ({"weight_format": U8}, "RC-MODEL-RANGE", r"b: .*signed.*, got u8, s8"),
        ({"weight_format": IntFormat(1, True)}, "RC-MODEL-RANGE", r"b: .*2\.\.16 bits.*, got s1, s8"),
        ({"weight_format": IntFormat(17, True)}, "RC-MODEL-RANGE", r"b: .*2\.\.16 bits.*, got s17, s8"),
        ({"weight": 128 * ones(1, 1, 3, 3)}, "RC-MODEL-RANGE", r"b: b\.weight: values .* leave s8"),
        ({"weight": -129 * ones(1, 1, 3, 3)}, "RC-MODEL-RANGE", r"b: b\.weight: values .* leave s8"),
        ({"bias": 2**31 * ones(1)}, "RC-MODEL-RANGE", r"b: b\.bias: values .* leave s32"),
        ({"bias": np.array([-(2**63)])}, "RC-MODEL-RANGE", r"b: b\.bias: values .* leave s32"),
    ],
)
def test_convolutions_refuse_constants(make: Any, changes: dict[str, Any], code: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        program((make(**changes), TARGET))
    assert caught.value.code == code


@pytest.mark.parametrize("make", [conv, tconv])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weight": 2**15 * ones(1, 1, 3, 3)}, r"b\.weight: int64 values do not fit int16"),
        ({"weight": 0.5 * ones(1, 1, 3, 3)}, r"b\.weight: float64 values do not fit int16"),
        ({"bias": np.array([2**63], np.uint64)}, r"b\.bias: uint64 values do not fit int64"),
        ({"bias": ones(1).astype(np.float32)}, r"b\.bias: float32 values do not fit int64"),
    ],
)
def test_convolutions_refuse_constants_that_their_storage_cannot_hold(
    make: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=rf"^RC-MODEL-RANGE: {message}"):
        make(**changes)


@pytest.mark.parametrize("make", [conv, tconv])
@pytest.mark.parametrize("fmt", [IntFormat(1, True), IntFormat(1, False), IntFormat(17, True), IntFormat(17, False)])
def test_convolutions_refuse_activations_outside_2_to_16_bits(make: Any, fmt: IntFormat) -> None:
    refused("RC-MODEL-RANGE", rf"2\.\.16 bits.*, got s8, {fmt}", make(), source=Tensor("a", 1, fmt))


@pytest.mark.parametrize("make", [conv, tconv])
def test_convolutions_refuse_an_unsigned_accumulator(make: Any) -> None:
    refused("RC-MODEL-OVERFLOW", r"u32 holds", make(), Tensor("b", 1, IntFormat(32, False)))


@pytest.mark.parametrize("output_padding", [-1, 2])
def test_transposed_convolution_refuses_output_padding(output_padding: int) -> None:
    refused(
        "RC-MODEL-RANGE", rf"b: output padding {output_padding} with stride 2", tconv(output_padding=output_padding)
    )


def test_operations_keep_read_only_copies_of_their_constants() -> None:
    weight = ones(1, 1, 3, 3)
    op = conv(weight=weight)
    weight[:] = 7
    assert (op.weight == 1).all()
    assert (op.weight.dtype, op.bias.dtype) == (np.int16, np.int64)
    with pytest.raises(ValueError, match="read-only"):
        op.weight[0] = 2


# --- the proof that accumulators fit (ACC-1)


def accumulator_width(bound: int) -> int:
    """Signed bits that hold the bound and no fewer."""
    return bound.bit_length() + 1


def fitted_bias(total: int) -> int:
    """A bias that makes the bound the largest value of a format, so that one more would not fit."""
    return (1 << total.bit_length()) - 1 - total


@pytest.mark.parametrize("fmt", [S8, U8, IntFormat(4, False), S16, IntFormat(16, False)], ids=str)
@pytest.mark.parametrize("sign", [1, -1])
def test_convolution_bound_is_attained_and_one_more_is_refused(fmt: IntFormat, sign: int) -> None:
    """Weights of one sign, so that the input at its largest magnitude meets all of them at once."""
    weight = -sign * np.arange(1, 19).reshape(1, 2, 3, 3) if fmt.signed else sign * np.arange(1, 19).reshape(1, 2, 3, 3)
    total = int(np.abs(weight).sum()) * fmt.magnitude
    x = np.full((2, 3, 3), fmt.lo if fmt.signed else fmt.hi)
    source, bias = Tensor("a", 2, fmt), fitted_bias(total)
    held = Tensor("b", 1, IntFormat(accumulator_width(total + bias), True))
    assert held.format.hi == total + bias
    exact = conv(weight=weight, bias=np.array([sign * bias]))
    assert program((exact, held), source=source).run(x)[0, 1, 1] == sign * (total + bias)
    beyond = conv(weight=weight, bias=np.array([sign * (bias + 1)]))
    refused(
        "RC-MODEL-OVERFLOW", rf"b: the accumulator may reach {total + bias + 1}, {held.format}", beyond, held, source
    )


@pytest.mark.parametrize("phase", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("bits", [8, 16])
def test_transposed_convolution_bound_is_that_of_each_phase(phase: tuple[int, int], bits: int) -> None:
    """One phase heavier than the others: its bound, with the bias, fills the format; all 25 taps would overflow it."""
    weight = np.ones((1, 2, 5, 5), np.int64)
    rows, columns = ([k for k, _ in fixed.phase_taps(5, 2, 2, p)] for p in phase)
    weight[:, :, np.array(rows)[:, None], columns] = 100
    fmt = IntFormat(bits, False)
    total = 2 * len(rows) * len(columns) * 100 * fmt.hi
    source, bias = Tensor("a", 2, fmt), fitted_bias(total)
    held = Tensor("b", 1, IntFormat(accumulator_width(total + bias), True))
    op = tconv(weight=weight, bias=np.array([bias]))
    accumulator = program((op, held), source=source).run(np.full((2, 4, 4), fmt.hi))
    assert held.format.hi == total + bias == accumulator.max() == accumulator[0, 2 + phase[0], 2 + phase[1]]
    beyond = tconv(weight=weight, bias=np.array([bias + 1]))
    refused("RC-MODEL-OVERFLOW", rf"may reach {total + bias + 1}, {held.format}", beyond, held, source)


@pytest.mark.parametrize("make", [conv, tconv])
def test_an_accumulator_of_48_bits_is_filled_and_one_more_is_refused(make: Any) -> None:
    """A program that the check accepts must run: catches a kernel that bounds all phases together."""
    fmt = IntFormat(16, False)
    total = 9 * 32767 * fmt.hi
    size = 3 if make is conv else 5
    source, bias, held = Tensor("a", 1, fmt), S48.hi - total, Tensor("b", 1, S48)
    changes = {"weight_format": S16, "weight": 32767 * ones(1, 1, size, size)}
    x = np.full((1, 3, 3), fmt.hi)
    p = program((make(**changes, bias=np.array([bias])), held), source=source)
    assert p.run(x).max() == S48.hi
    np.testing.assert_array_equal(p.run(x), p.run_plain(x))
    refused("RC-MODEL-OVERFLOW", r"s48 holds", make(**changes, bias=np.array([bias + 1])), held, source)


def test_bounds_take_the_worst_output_channel() -> None:
    weight = ones(3, 1, 5, 5) * np.array([1, -7, 2])[:, None, None, None]
    for op, taps in (
        (conv(weight=weight, bias=np.array([5, 0, -900])), 25),
        (tconv(weight=weight, bias=np.array([5, 0, -900])), 9),
    ):
        assert op.bound(S8) == max(taps * 128 + 5, 7 * taps * 128, 2 * taps * 128 + 900)
        assert op.bound(U8) == max(taps * 255 + 5, 7 * taps * 255, 2 * taps * 255 + 900)


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(0, 5), st.integers(0, 2**32), st.booleans())
def test_bounds_equal_the_specification_over_phases(
    kernel: int, stride: int, padding: int, seed: int, transposed: bool
) -> None:
    rng, padding = np.random.default_rng(seed), padding % kernel
    weight, bias = rng.integers(-128, 128, (3, 2, kernel, kernel)), rng.integers(-(2**20), 2**20, 3)
    every = list(range(kernel))
    phases = (
        [[k for k, _ in fixed.phase_taps(kernel, stride, padding, p)] for p in range(stride)] if transposed else [every]
    )
    wanted = max(
        fixed.accumulator_bound(weight[o][:, rows][:, :, columns].tolist(), int(bias[o]), 128)
        for o in range(3)
        for rows in phases
        for columns in phases
    )
    changes = {"weight": weight, "bias": bias, "stride": stride, "padding": padding}
    assert (tconv(**changes, output_padding=0) if transposed else conv(**changes)).bound(S8) == wanted


# --- the other operations


@pytest.mark.parametrize(
    ("op", "source", "target", "code", "message"),
    [
        (requant(), S32, (2, S8), "RC-MODEL-TENSOR", r"b: multiplier \(1,\)"),
        (requant(multiplier=(1, 1)), S32, (1, S8), "RC-MODEL-TENSOR", r"b: multiplier \(2,\)"),
        (requant(shift=(1, 1)), S32, (1, S8), "RC-MODEL-TENSOR", r"b: multiplier .* shift \(2,\)"),
        (requant(), S32, (1, IntFormat(17, True)), "RC-MODEL-RANGE", r"b: s17 is wider than 16 bits"),
        (requant(multiplier=(2**15,)), S48, (1, S8), "RC-MODEL-RANGE", r"b: multiplier: .* leave u15"),
        (requant(multiplier=(-1,)), S32, (1, S8), "RC-MODEL-RANGE", r"b: multiplier: .* leave u31"),
        (requant(shift=(0,)), S32, (1, S8), "RC-MODEL-RANGE", r"b: shift must be 1\.\.62, got 0\.\.0"),
        (requant(shift=(63,)), S32, (1, S8), "RC-MODEL-RANGE", r"b: shift must be 1\.\.62, got 63\.\.63"),
        (requant(), IntFormat(48, False), (1, S8), "RC-MODEL-RANGE", r"b: no requantisation profile takes a u48"),
        (Clip("b", "a", "b", 0, 1), S8, (2, S8), "RC-MODEL-TENSOR", r"b: channel counts differ"),
        (Clip("b", "a", "b", 1, 0), S8, (1, S8), "RC-MODEL-RANGE", r"b: lo 1 exceeds hi 0"),
        (Clip("b", "a", "b", -129, 0), S8, (1, S16), "RC-MODEL-RANGE", r"b: b limits: values -129 .* leave s8"),
        (Clip("b", "a", "b", 0, 128), S16, (1, S8), "RC-MODEL-RANGE", r"b: b limits: values 0 \.\. 128 leave s8"),
        (Clip("b", "a", "b", -1, 0), S8, (1, U8), "RC-MODEL-RANGE", r"b: b limits: values -1 .* leave u8"),
        (Clip("b", "a", "b", 0, 2**200), S8, (1, S8), "RC-MODEL-RANGE", r"b: b limits"),
        (Clip("b", "a", "b", -1, 2**63), S48, (1, S48), "RC-MODEL-RANGE", r"b: b limits"),
        (mean(8, ones(1)), S8, (1, S25), "RC-MODEL-RANGE", r"from s16 to s25, not from s8"),
        (mean(8, ones(1)), S16, (1, IntFormat(24, True)), "RC-MODEL-RANGE", r"from s16 to s25, not .* to s24"),
        (mean(8, ones(2)), S16, (1, S25), "RC-MODEL-TENSOR", r"b: mean \(2,\) for 1"),
        (mean(8, ones(1)), S16, (2, S25), "RC-MODEL-TENSOR", r"b: mean \(1,\) for 1"),
        (mean(8, ones(1, 1)), S16, (1, S25), "RC-MODEL-TENSOR", r"b: expected mean \(C,\)"),
        (mean(17, ones(1)), S16, (1, IntFormat(34, True)), "RC-MODEL-RANGE", r"fraction must be 0\.\.16"),
        (mean(-1, ones(1)), S16, (1, IntFormat(16, True)), "RC-MODEL-RANGE", r"fraction must be 0\.\.16"),
        (mean(0, 2**15 * ones(1)), S16, (1, IntFormat(17, True)), "RC-MODEL-RANGE", r"mean: .* leave s16"),
        (scale(ones(1, 62)), S32, (1, U6), "RC-MODEL-TENSOR", r"b: expected thresholds \(C, 63\)"),
        (scale(ones(2, 63)), S32, (1, U6), "RC-MODEL-TENSOR", r"b: thresholds \(2, 63\) for 1"),
        (scale(ones(1, 63)), S32, (2, U6), "RC-MODEL-TENSOR", r"b: thresholds \(1, 63\) for 1"),
        (scale(ones(1, 63)), S32, (1, U8), "RC-MODEL-RANGE", r"b: the target must be u6"),
        (scale(-np.arange(63)[None]), S32, (1, U6), "RC-MODEL-RANGE", r"b: .* never decrease"),
    ],
)  # fmt: skip
def test_operations_refuse(op: AnyOperation, source: IntFormat, target: Any, code: str, message: str) -> None:
    refused(code, message, op, Tensor("b", *target), Tensor("a", 1, source))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: requant(multiplier=(2**31,)), r"b\.multiplier: int64 values do not fit int32"),
        (lambda: requant(shift=(128,)), r"b\.shift: int64 values do not fit int8"),
        (lambda: requant(shift=(1.5,)), r"b\.shift: float64 values do not fit int8"),
        (lambda: mean(16, np.array([2**31])), r"b\.mean: int64 values do not fit int32"),
        (lambda: scale(0.5 * ones(1, 63)), r"b\.thresholds: float64 values do not fit int64"),
    ],
)
def test_operations_refuse_constants_that_their_storage_cannot_hold(make: Any, message: str) -> None:
    with pytest.raises(ModelError, match=rf"^RC-MODEL-RANGE: {message}$"):
        make()


# --- execution


def every_operation(seed: int = 0) -> Program:
    """A program with every kind of operation; two operations read tensor e, and tensor f is read last of all."""
    rng = np.random.default_rng(seed)

    def weight(*shape: int) -> np.ndarray:
        return rng.integers(-128, 127, shape)

    thresholds = np.sort(rng.integers(-30000, 30000, (2, 63)), axis=1)
    steps: list[tuple[AnyOperation, Tensor]] = [
        (mean(4, rng.integers(-99, 99, 3)), Tensor("b", 3, IntFormat(21, True))),
        (requant("b", "c", [3, 5, 7], [3, 4, 5]), Tensor("c", 3, S8)),
        (tconv("c", "d", weight=weight(5, 3, 5, 5), bias=rng.integers(-9999, 9999, 5)), Tensor("d", 5, S32)),
        (Clip("e", "d", "e", -20000, 25000), Tensor("e", 5, S16)),
        (requant("e", "f", [1] * 5, [8] * 5), Tensor("f", 5, U8)),
        (conv("e", "g", weight=weight(2, 5, 3, 3), bias=rng.integers(-9, 9, 2)), Tensor("g", 2, S40)),
        (requant("g", "h", [500, 700], [14, 15]), Tensor("h", 2, S16)),
        (conv("f", "i", weight=weight(2, 5, 2, 2), bias=rng.integers(-9, 9, 2), stride=3), Tensor("i", 2, S32)),
        (ScaleIndex("j", "i", "j", thresholds), Tensor("j", 2, U6)),
    ]
    return program(*steps, source=Tensor("a", 3, S16))


def tapped(run: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """Every tensor that a run reports, copied."""
    taps: dict[str, np.ndarray] = {}
    outputs = run({"a": x}, lambda name, values: taps.__setitem__(name, values.copy()))
    for name, values in outputs.items():
        np.testing.assert_array_equal(values, taps[name])
    return taps


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (2, 7)])
def test_run_equals_the_definitions_and_the_naive_executor_at_every_tensor(
    size: tuple[int, int], rng: np.random.Generator
) -> None:
    p = every_operation()
    x = rng.integers(-40, 40, (3, *size)).astype(np.int16)
    kept = x.copy()
    model = naive_decoder.read_model(model_to_bytes(Model("any", {}, {"p": p}, {})))
    compiled, plain = tapped(p.run_all, x), tapped(p.run_all_plain, x)
    wanted = naive_decoder.run_program(model, "p", x.tolist())
    assert list(compiled) == list(plain) == list(wanted) == [t.name for t in p.tensors]
    for tensor in p.tensors:
        np.testing.assert_array_equal(compiled[tensor.name], wanted[tensor.name], err_msg=tensor.name)
        np.testing.assert_array_equal(plain[tensor.name], wanted[tensor.name], err_msg=tensor.name)
        tensor.format.check(compiled[tensor.name], tensor.name)
        assert compiled[tensor.name].shape == (tensor.channels, *p.sizes(*size)[tensor.name])
    np.testing.assert_array_equal(x, kept)
    assert set(p.run_all({"a": x})) == {t.name for t in p.outputs} == {"h", "j"}


def test_run_clips_a_small_accumulator_of_a_wide_format() -> None:
    """The kernel answers in 32 bits where the values allow; limits beyond 32 bits must still be legal."""
    wide = S40
    clip = Clip("c", "b", "c", -(2**38), 2**38)
    p = program((conv(), Tensor("b", 1, wide)), (clip, Tensor("c", 1, wide)))
    x = np.arange(-4, 5).reshape(1, 3, 3)
    np.testing.assert_array_equal(p.run(x), p.run_plain(x))


def test_run_reads_any_integer_dtype_and_layout() -> None:
    p = program((conv(), TARGET))
    x = np.arange(-10, 10).reshape(1, 4, 5)
    wanted = p.run_plain(x)
    for view in (x.astype(np.int8), x.astype(np.int64)[:, ::-1][:, ::-1], np.asfortranarray(x)):
        np.testing.assert_array_equal(p.run(view), wanted)


def test_run_frees_every_tensor_after_its_last_use(rng: np.random.Generator) -> None:
    p = every_operation()
    last_reader = {op.source: op.target for op in p.operations}
    alive: dict[str, weakref.ref[np.ndarray]] = {}
    freed: set[str] = set()

    def watch(name: str, values: np.ndarray) -> None:
        gc.collect()
        for other, reference in alive.items():
            if reference() is None:
                freed.add(other)
        order = [t.name for t in p.tensors]
        for other in alive:
            done = other in last_reader and order.index(last_reader[other]) < order.index(name)
            assert (other in freed) == done, f"{other} at {name}"
        alive[name] = weakref.ref(values if values.base is None else values.base)

    p.run_all({"a": rng.integers(-40, 40, (3, 2, 2)).astype(np.int16)}, watch)
    assert freed == set("abcdefg")


@pytest.mark.parametrize("shape", [(3, 4), (2, 4, 4), (4, 4, 4), (1, 3, 4, 4), (3, 0, 4), (3, 4, 0)])
def test_run_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    for run in (every_operation().run_all, every_operation().run_all_plain):
        with pytest.raises(ShapeError, match=r"^RC-SHAPE: p takes \(3, H, W\), H and W at least 1, got "):
            run({"a": np.zeros(shape, np.int16)})


def test_run_refuses_values_outside_the_input_format() -> None:
    for run in (every_operation().run_all, every_operation().run_all_plain):
        for value in (-32769, 32768):
            with pytest.raises(RangeError, match=r"^RC-RANGE: a: values .* leave s16"):
                run({"a": np.full((3, 1, 1), value)})
        with pytest.raises(RangeError, match=r"^RC-RANGE: a: expected integers, got float64"):
            run({"a": np.zeros((3, 1, 1))})
