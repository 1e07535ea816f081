"""What the audit proves of sums is attained, by its witnesses and by all inputs of small layers (SPEC AUD-1, AUD-2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refcodec import fixed
from refcodec.audit import sums as sums_module
from refcodec.audit import windows as windows_module
from refcodec.audit.bounds import (
    audit_operation,
    audit_program,
    channel_bits,
    checked_bits,
    exactness,
    needed_bits,
    partial_bits,
    worst,
)
from refcodec.audit.sums import ACCUMULATOR, HI, LO, NORM, PRODUCT, SUM, SumBounds, signed_bits, sum_bounds
from refcodec.audit.windows import convolution_windows, transposed_windows
from refcodec.audit.witness import Witness, accumulator_witness, witness
from refcodec.cli.parsing import load
from refcodec.codecs.inr.codec import InrVideo
from refcodec.errors import ModelError, RangeError, ShapeError
from refcodec.formats import IntFormat
from refcodec.layers.gdn import gdn_divisor, gdn_norm
from refcodec.layers.masked_convolution import live_taps
from refcodec.models.shipped import shipped_names
from refcodec.program.model_file import Model
from refcodec.program.operations import (
    Add,
    AnyOperation,
    Clip,
    Convolution,
    DepthwiseConvolution,
    Gdn,
    InverseGdn,
    Linear,
    MaskedConvolution,
    Tensor,
    TransposedConvolution,
)
from refcodec.program.program import Program
from refcodec.program.reach import Reach
from refcodec.vectorgen.tiny_videos import ARCHITECTURES, tiny_video

S8, S16, S32, S48, U8 = (IntFormat(b, s) for b, s in ((8, True), (16, True), (32, True), (48, True), (8, False)))
KINDS = ("convolution", "transposed_convolution", "depthwise_convolution", "masked_convolution", "linear")


def layer(kind: str, rng: np.random.Generator, channels: int, outputs: int, fmt: IntFormat, bias: int = 40) -> Any:
    """A random weighted sum from x to y; some of its weights are zero."""
    kernel, stride, padding = int(rng.integers(1, 5)), int(rng.integers(1, 4)), 0
    if kind == "masked_convolution":
        kernel = 2 * (kernel // 2) + 1
    padding = int(rng.integers(0, kernel))
    outputs = channels if kind == "depthwise_convolution" else outputs
    shape = (outputs, channels, kernel, kernel)
    weight = rng.integers(fmt.lo, fmt.hi, shape, endpoint=True) * (rng.random(shape) < 0.8)
    biases = rng.integers(-bias, bias, outputs, endpoint=True)
    if kind == "convolution":
        return Convolution("y", "c", "y", fmt, stride, padding, weight, biases)
    if kind == "transposed_convolution":
        extra = int(rng.integers(0, stride))
        return TransposedConvolution("y", "c", "y", fmt, stride, padding, extra, weight, biases)
    if kind == "depthwise_convolution":
        return DepthwiseConvolution("y", "c", "y", fmt, stride, padding, weight[:, 0], biases)
    if kind == "masked_convolution":
        live = live_taps("causal", kernel)
        return MaskedConvolution("y", "c", "y", fmt, "causal", padding, np.where(live, weight, 0), biases)
    return Linear("y", "c", "y", fmt, weight[:, :, 0, 0], biases)


def after_clip(op: AnyOperation, fmt: IntFormat, channels: int, limits: tuple[int, int], target: Tensor) -> Program:
    """A program of a clip and one operation that reads it: the clip narrows the reach, and may exclude zero."""
    tensors = Tensor("x", channels, fmt), Tensor("c", channels, fmt), target
    return Program("p", tensors, (Clip("c", "x", "c", *limits), op))


def sums_of(program: Program, name: str = "y") -> tuple[SumBounds, ...]:
    """The bounds of one operation of a program."""
    return audit_operation(program.operation(name), program, program.reaches()).sums


def assert_attained(program: Program, bounds: SumBounds) -> None:
    """The kernel and the plain definition both give every end at its witness, which lies in the reach."""
    op, reach = program.operation("y"), program.reaches()["c"]
    sources, target = [program.tensor(name) for name in op.reads], program.tensor("y")
    stride = op.stride if isinstance(op, TransposedConvolution) else 1
    for phase, channel, end in product(range(len(bounds.lo)), range(bounds.lo.shape[1]), (LO, HI)):
        found = accumulator_witness(program, "y", channel, phase, end)
        x = found.inputs[0]
        assert (x.min(axis=(1, 2)) >= reach.lo).all()
        assert (x.max(axis=(1, 2)) <= reach.hi).all()
        assert found.value == bounds.end(end)[phase, channel]
        assert phase == (found.row % stride) * stride + found.column % stride
        inputs = [x.astype(sources[0].format.dtype)]
        for run in (op.run, op.run_plain):
            assert run(inputs, sources, target)[channel, found.row, found.column] == found.value


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 2**32), st.integers(1, 3), st.integers(1, 3), st.booleans(), st.data())
def test_every_end_of_every_accumulator_is_attained(
    kind: str, seed: int, channels: int, outputs: int, signed: bool, data: st.DataObject
) -> None:
    """Catches wrong signs, phases, paddings, and zeros outside the picture that no position sees together."""
    rng, fmt = np.random.default_rng(seed), IntFormat(4, signed)
    limits = sorted(data.draw(st.tuples(*[st.integers(fmt.lo, fmt.hi)] * 2)))
    op = layer(kind, rng, channels, outputs, IntFormat(3, True))
    target = Tensor("y", len(op.bias), S32)
    program = after_clip(op, fmt, channels, (limits[0], limits[1]), target)
    (bounds,) = sums_of(program)
    assert_attained(program, bounds)
    reach = program.reaches()["y"]
    assert (reach.lo <= bounds.lo.min(axis=0)).all()
    assert (bounds.hi.max(axis=0) <= reach.hi).all()
    assert (bounds.partial_lo <= bounds.lo).all()
    assert (bounds.hi <= bounds.partial_hi).all()
    assert max(-int(bounds.partial_lo.min()), int(bounds.partial_hi.max())) <= bounds.checked == op.bound(fmt)
    if limits[0] <= 0 <= limits[1]:
        np.testing.assert_array_equal(reach.lo, bounds.lo.min(axis=0))
        np.testing.assert_array_equal(reach.hi, bounds.hi.max(axis=0))


@pytest.mark.parametrize("limits", [(-2, 1), (1, 1), (0, 1), (-2, -1)])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "extra"),
    [
        (2, 1, 0, None),
        (2, 1, 1, None),
        (2, 2, 1, None),
        (3, 1, 1, None),
        (1, 2, 0, 1),
        (2, 2, 1, 1),
        (3, 2, 1, 0),
        (3, 2, 2, 1),
    ],
)
def test_intervals_are_what_all_inputs_of_all_sizes_reach(
    kernel: int, stride: int, padding: int, extra: int | None, limits: tuple[int, int], rng: np.random.Generator
) -> None:
    """Inputs of 1 to 3 rows and columns see every mixture of edges that these kernels can see."""
    weight, bias = rng.integers(-3, 4, (2, 1, kernel, kernel)), np.array([5, -4])
    make: Any = (
        Convolution("y", "c", "y", S8, stride, padding, weight, bias)
        if extra is None
        else TransposedConvolution("y", "c", "y", S8, stride, padding, extra, weight, bias)
    )
    program = after_clip(make, IntFormat(2, True), 1, limits, Tensor("y", 2, S32))
    (bounds,) = sums_of(program)
    phases = 1 if extra is None else stride
    lo, hi = np.full((2, *bounds.lo.shape), 10**6) * np.array([1, -1])[:, None, None]
    for height, width in product((1, 2, 3), repeat=2):
        try:
            make.size((height, width))
        except ShapeError:
            continue
        run = partial(make.run, sources=program.tensors[1:2], target=program.output)
        # a sum is linear: it follows from what single ones give, and is extreme where every sample is
        units = np.eye(height * width, dtype=np.int16).reshape(-1, 1, height, width)
        rest = run([np.zeros((1, height, width), np.int16)]).astype(int)
        gains = np.array([run([unit]) - rest for unit in units])
        samples = np.array(list(product(sorted(set(limits)), repeat=height * width)))
        y = rest + np.tensordot(samples, gains, axes=1)
        for row, column in product(range(min(phases, y.shape[2])), range(min(phases, y.shape[3]))):
            values = y[:, :, row::phases, column::phases]
            phase = row * phases + column
            lo[phase] = np.minimum(lo[phase], values.min(axis=(0, 2, 3)))
            hi[phase] = np.maximum(hi[phase], values.max(axis=(0, 2, 3)))
    np.testing.assert_array_equal(bounds.lo, lo)
    np.testing.assert_array_equal(bounds.hi, hi)
    assert_attained(program, bounds)


def test_a_tap_that_never_leaves_the_picture_never_sees_a_zero() -> None:
    """The middle of a 3 x 3 kernel with a padding of 1: PROG-wide reach counts a zero there, the audit does not."""
    weight = np.zeros((1, 1, 3, 3), int)
    weight[0, 0, 1, 1] = 2
    op = Convolution("y", "c", "y", S8, 1, 1, weight, np.array([0]))
    program = after_clip(op, U8, 1, (3, 9), Tensor("y", 1, S32))
    (bounds,) = sums_of(program)
    assert (int(bounds.lo.item()), int(bounds.hi.item())) == (6, 18)
    assert program.reaches()["y"].joint() == (0, 18)


def test_a_phase_without_taps_is_its_bias() -> None:
    op = TransposedConvolution("y", "c", "y", S8, 2, 0, 1, np.array([[[[7]]]]), np.array([-5]))
    program = after_clip(op, U8, 1, (2, 9), Tensor("y", 1, S32))
    (bounds,) = sums_of(program)
    assert bounds.lo.ravel().tolist() == [14 - 5, -5, -5, -5]
    assert bounds.hi.ravel().tolist() == [63 - 5, -5, -5, -5]
    assert_attained(program, bounds)


@pytest.mark.parametrize("kernel", range(1, 10))
def test_windows_are_those_of_much_larger_pictures_too(kernel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> list[Any]:
        shapes = [(stride, padding) for stride in range(1, 5) for padding in range(kernel)]
        taps = [{w.taps for w in convolution_windows(kernel, *shape)} for shape in shapes]
        for stride, padding in shapes:
            for extra in range(stride):
                phases = transposed_windows(kernel, stride, padding, extra)
                taps += [{w.taps for w in windows} for windows in phases]
        return taps

    near = found()
    monkeypatch.setattr(windows_module, "_sizes", lambda *_: range(1, 40))
    assert near == found()


def gdn(squared: bool, inverse: bool, rng: np.random.Generator, channels: int, limits: tuple[int, int]) -> Program:
    """A clip and a normalisation."""
    gamma, beta = rng.integers(0, 9, (channels, channels)), rng.integers(1, 9, channels)
    offset, shift = rng.integers(-9, 9, channels), 4 if squared else 0
    fmt, op = IntFormat(3, True), None
    if inverse:
        multiplier, shifts = np.full(channels, 3), np.full(channels, 2)
        constants = gamma, beta, offset, multiplier, shifts
        op: Any = InverseGdn("y", "c", "y", U8, S32, S32, squared, shift, *constants)
    else:
        constants = gamma, beta, rng.integers(-9, 9, channels), offset
        op = Gdn("y", "c", "y", U8, S32, squared, shift, 2, *constants)
    return after_clip(op, fmt, channels, limits, Tensor("y", channels, S8))


@pytest.mark.parametrize("limits", [(-4, 3), (1, 3), (-4, -2), (-1, 2)])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("inverse", [False, True])
def test_norms_and_products_are_what_all_samples_reach(
    inverse: bool, squared: bool, limits: tuple[int, int], rng: np.random.Generator
) -> None:
    program = gdn(squared, inverse, rng, 2, limits)
    op: Any = program.operation("y")
    every = np.array(list(product(range(limits[0], limits[1] + 1), repeat=2))).T[:, None].astype(np.int16)
    norms = gdn_norm(every, op.norm)
    divisors = gdn_divisor(norms, squared, op.norm_shift)
    values = {NORM: norms}
    if inverse:
        values[PRODUCT] = every * divisors + op.offset[:, None, None]
    found = {bounds.quantity: bounds for bounds in sums_of(program)}
    assert found.keys() == values.keys()
    for name, bounds in found.items():
        np.testing.assert_array_equal(bounds.lo[0], values[name].min(axis=(1, 2)))
        np.testing.assert_array_equal(bounds.hi[0], values[name].max(axis=(1, 2)))
        for channel, end in product(range(2), (LO, HI)):
            shown = witness(op, [program.reaches()["c"]], name, channel, 0, end)
            x = shown.inputs[0]
            assert limits[0] <= x.min() <= x.max() <= limits[1]
            norm = gdn_norm(x, op.norm)
            divisor = gdn_divisor(norm, squared, op.norm_shift)
            value = norm if name == NORM else x * divisor + op.offset[:, None, None]
            assert value[channel, 0, 0] == shown.value == bounds.end(end)[0, channel]
    audited = audit_operation(op, program, program.reaches()).divisors
    assert audited is not None
    np.testing.assert_array_equal(audited.lo, divisors.min(axis=(1, 2)))
    np.testing.assert_array_equal(audited.hi, divisors.max(axis=(1, 2)))


@pytest.mark.parametrize("multipliers", [(3, 5), (-3, 2), (0, -7)])
def test_sums_of_an_addition_are_what_all_pairs_reach(multipliers: tuple[int, int]) -> None:
    op = Add("y", ("a", "b"), "y", 2, np.array(multipliers))
    tensors = Tensor("a", 2, IntFormat(3, True)), Tensor("b", 2, IntFormat(2, False)), Tensor("y", 2, S8)
    program = Program("p", tensors, (op,))
    (bounds,) = sums_of(program)
    every = [multipliers[0] * a + multipliers[1] * b for a in range(-4, 4) for b in range(4)]
    for channel, end, extreme in product(range(2), (LO, HI), (None,)):
        assert extreme is None
        found = witness(op, [program.reaches()[name] for name in "ab"], SUM, channel, 0, end)
        assert found.value == bounds.end(end)[0, channel] == (min(every) if end == LO else max(every))
        a, b = (int(x[channel, 0, 0]) for x in found.inputs)
        assert multipliers[0] * a + multipliers[1] * b == found.value


def test_partial_sums_in_any_order_stay_within_what_is_told_and_reach_it(rng: np.random.Generator) -> None:
    """Every subset of the terms is a partial sum of some order; the bias is a term like the others."""
    weight, bias = np.array([[3, -5, 0, 2]]), np.array([-4])
    op = Linear("y", "c", "y", S8, weight, bias)
    program = after_clip(op, IntFormat(3, True), 4, (1, 3), Tensor("y", 1, S32))
    (bounds,) = sums_of(program)
    reached = [
        sum(term for term, chosen in zip((*(weight[0] * x), bias[0]), members, strict=True) if chosen)
        for x in product((1, 3), repeat=4)
        for members in product((False, True), repeat=5)
    ]
    assert (int(bounds.partial_lo.item()), int(bounds.partial_hi.item())) == (min(reached), max(reached))
    assert (int(bounds.lo.item()), int(bounds.hi.item())) == (3 - 15 + 2 - 4, 9 - 5 + 6 - 4)


def of_linear(weight: list[int], bias: int, fmt: IntFormat = S16, target: IntFormat = S48) -> SumBounds:
    """The bounds of a linear layer of one output."""
    op = Linear("y", "c", "y", S16, np.array([weight]), np.array([bias]))
    (bounds,) = sums_of(after_clip(op, fmt, len(weight), (fmt.lo, fmt.hi), Tensor("y", 1, target)))
    return bounds


def test_exactness_ends_where_floats_and_integers_do() -> None:
    """2**24 is a float32 and 2**24 + 1 is none; 2**31 - 1 is an int32 and 2**31 is none."""
    fits, beyond = of_linear([-512], 0), of_linear([-512], 1)
    assert (int(fits.hi.item()), int(beyond.hi.item())) == (2**24, 2**24 + 1)
    assert (exactness(fits).float32, exactness(beyond).float32) == (True, False)
    assert np.float32(fits.hi.item()) == fits.hi.item()
    assert int(np.float32(beyond.hi.item())) != beyond.hi.item()
    fits, beyond = of_linear([-32768, -32768], -1), of_linear([-32768, -32768], 0)
    assert (int(fits.hi.item()), int(beyond.hi.item())) == (2**31 - 1, 2**31)
    # in another order the bias comes last, and the sum before it is 2**31
    assert (exactness(fits).int32, exactness(beyond).int32) == (False, False)
    assert exactness(of_linear([-32768, -32767], 0)).int32
    assert exactness(beyond).float64
    assert not exactness(SumBounds(SUM, 64, 0, *[np.array([[v]]) for v in (0, 2**53 + 1, 0, 2**53 + 1)])).float64


@pytest.mark.parametrize("kind", KINDS)
def test_one_bit_less_is_refused_and_changes_the_value(kind: str, rng: np.random.Generator) -> None:
    op = layer(kind, rng, 2, 3, S8)
    tensors = Tensor("c", 2, S8), Tensor("y", len(op.bias), S32)
    program = Program("p", tensors, (op,))
    (bounds,) = sums_of(program)
    bits = needed_bits(bounds)
    channel, phase, end = worst(bounds)
    found = accumulator_witness(program, "y", channel, phase, end)
    fits, narrow = IntFormat(bits, True), IntFormat(bits - 1, True)
    assert fits.lo <= found.value <= fits.hi
    wrapped = (found.value - narrow.lo) % (1 << narrow.bits) + narrow.lo
    assert wrapped != found.value
    with pytest.raises(ModelError, match="RC-MODEL-OVERFLOW"):
        Program("p", (tensors[0], Tensor("y", len(op.bias), narrow)), (op,))
    Program("p", (tensors[0], Tensor("y", len(op.bias), IntFormat(checked_bits(bounds), True))), (op,))
    assert max(channel_bits(bounds)) == bits <= partial_bits(bounds) <= checked_bits(bounds)


@pytest.mark.parametrize("inverse", [False, True])
def test_one_bit_less_of_a_norm_or_product_is_refused(inverse: bool, rng: np.random.Generator) -> None:
    program = gdn(True, inverse, rng, 3, (-4, 3))
    op: Any = program.operation("y")
    for bounds in sums_of(program):
        fewer = IntFormat(checked_bits(bounds) - 1, True)
        narrow = dataclasses.replace(op, **{f"{bounds.quantity}_format": fewer})
        with pytest.raises(ModelError, match=f"RC-MODEL-OVERFLOW: y: the {bounds.quantity} may reach {bounds.checked}"):
            Program("p", program.tensors, (program.operations[0], narrow))


@pytest.mark.parametrize(
    ("lo", "hi", "bits"), [(0, 0, 1), (-1, 0, 1), (-128, 127, 8), (-129, 0, 9), (0, 128, 9), (1, 1, 2)]
)
def test_signed_bits(lo: int, hi: int, bits: int) -> None:
    assert signed_bits(lo, hi) == bits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("accumulator", 3, 0, HI), "y has no channel 3 with phase 0"),
        (("accumulator", -1, 0, HI), "y has no channel -1"),
        (("accumulator", 0, 1, HI), "with phase 1"),
        (("accumulator", 0, 0, "top"), "lo or hi, not 'top'"),
        (("norm", 0, 0, HI), "a linear has no norm"),
    ],
)
def test_witness_refuses(arguments: Any, message: str) -> None:
    op = Linear("y", "c", "y", S8, np.ones((3, 2), int), np.zeros(3, int))
    with pytest.raises(RangeError, match=message):
        witness(op, [Reach.whole(S8, 2)], *arguments)


def test_witness_needs_an_operation_of_the_program(tiny_model: Model) -> None:
    with pytest.raises(ModelError, match="RC-MODEL-TENSOR"):
        accumulator_witness(tiny_model.programs["g_s"], "nothing", 0, 0, HI)


def programs() -> list[Any]:
    """Every program of the shipped models and of tiny videos."""
    shipped = [program for name in shipped_names(".rcm") for program in load(name).programs.values()]
    videos = [InrVideo.of(tiny_video(architecture, 1)).program for architecture in list(ARCHITECTURES.values())[:4]]
    return [pytest.param(program, id=f"{program.name}{n}") for n, program in enumerate([*shipped, *videos])]


@pytest.mark.parametrize("program", programs())
def test_whole_programs_fit_and_their_worst_witnesses_attain(program: Program) -> None:
    for audited in audit_program(program):
        for bounds in audited.sums:
            assert needed_bits(bounds) <= partial_bits(bounds) <= bounds.declared
            channel, phase, end = worst(bounds)
            found = witness(audited.operation, audited.reaches, bounds.quantity, channel, phase, end)
            assert found.value == bounds.end(end)[phase, channel]
            assert signed_bits(found.value, found.value) == needed_bits(bounds)
            if bounds.quantity == ACCUMULATOR:
                inputs = [x.astype(t.format.dtype) for x, t in zip(found.inputs, audited.sources, strict=True)]
                y = audited.operation.run(inputs, audited.sources, audited.target)
                assert y[channel, found.row, found.column] == found.value


def test_unused_channels_and_saturating_reach_are_told() -> None:
    weight = np.zeros((3, 2, 1, 1), int)
    weight[0, 0] = 5
    op = Convolution("y", "c", "y", S8, 1, 0, weight, np.array([0, 9, 0]))
    program = after_clip(op, U8, 2, (0, 10), Tensor("y", 3, S32))
    found = audit_operation(op, program, program.reaches()).unused
    assert found is not None
    assert (found.outputs, found.inputs, found.zeros, found.weights) == ((1, 2), (1,), 5, 6)
    below, above = audit_operation(program.operations[0], program, program.reaches()).saturates
    assert (below.tolist(), above.tolist()) == ([False, False], [True, True])


def test_the_work_of_a_layer_does_not_grow_with_its_channels_but_in_its_arrays(
    monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator
) -> None:
    """Counted, not timed: as many products of windows for 4 outputs as for 64."""
    calls: list[Sequence[int]] = []
    original = sums_module.window_sums

    def counted(taps: np.ndarray, *axes: Any) -> np.ndarray:
        calls.append(taps.shape)
        return original(taps, *axes)

    monkeypatch.setattr(sums_module, "window_sums", counted)
    counts = []
    for outputs in (4, 64):
        calls.clear()
        weight = rng.integers(-9, 9, (outputs, 8, 5, 5))
        op = TransposedConvolution("y", "c", "y", S8, 2, 2, 1, weight, np.zeros(outputs, int))
        sum_bounds(op, [Tensor("c", 8, S8)], Tensor("y", outputs, S32), [Reach.whole(S8, 8)])
        counts.append(len(calls))
        assert {shape[1:] for shape in calls} == {(5, 5)}
    assert counts == [16, 16]


def test_bounds_are_the_specification_of_one_small_layer() -> None:
    """By the executable specification alone: the plain convolution of the witness (SPEC CONV-2)."""
    weight = [[[[1, -2], [3, 0]]]]
    op = Convolution("y", "c", "y", S8, 1, 0, np.array(weight), np.array([7]))
    program = Program("p", (Tensor("c", 1, IntFormat(3, True)), Tensor("y", 1, S32)), (op,))
    found: Witness = accumulator_witness(program, "y", 0, 0, LO)
    y = fixed.convolution(found.inputs[0].tolist(), weight, [7], 1, 0)
    assert y[0][found.row][found.column] == found.value == 7 - 4 - 6 - 12
