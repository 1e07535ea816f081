"""The scalars of implicit videos against fractions, and what their programs hold (SPEC INR-2, INR-3, INR-9)."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refcodec import fixed
from refcodec.codecs.inr.codec import InrVideo
from refcodec.codecs.inr.program import program_of
from refcodec.errors import ModelError
from refcodec.formats import IntFormat
from refcodec.layers.gdn import Affine
from refcodec.layers.layer_norm import Spread, layer_norm_fault
from refcodec.program import operations as ops
from refcodec.program.standard_tables import head_places
from refcodec.quantize.activations import head_thresholds, sigmoid, tanh
from refcodec.vectorgen.tiny_videos import HINERV, HNERV, NERV, tiny_video

PATTERNS = st.integers(1, 0x63FF)
FORMATS = ((8, 4), (10, 6), (12, 7), (14, 9), (16, 10))


def real(pattern: int) -> Fraction:
    """What the bits of a number of half precision mean, as the machine has it."""
    return Fraction(struct.unpack("<e", struct.pack("<H", pattern))[0])


# --- scalars


def test_binary16_is_the_number_that_the_bits_mean() -> None:
    for pattern in range(1, 0x6400):
        mantissa, exponent = fixed.binary16(pattern)
        assert mantissa * Fraction(2) ** exponent == real(pattern)
        assert 1 <= mantissa < 2048
        assert -24 <= exponent <= -1
    assert real(0x63FF) < 1024 == real(0x6400)


@given(st.integers(-(2**40), 2**40), st.integers(-70, 70), st.integers(1, 2**20))
def test_scaled_is_the_nearest_integer(value: int, exponent: int, divisor: int) -> None:
    exact = value * Fraction(2) ** exponent / divisor
    assert fixed.scaled(value, exponent, divisor) == naive.round_half_up(exact)


@pytest.mark.parametrize(("value", "rounded"), [(1, 1), (-1, 0), (3, 2), (-3, -1)])
def test_scaled_takes_halves_up_on_both_sides(value: int, rounded: int) -> None:
    assert fixed.scaled(value, -1, 1) == fixed.scaled(value, 0, 2) == fixed.scaled(value, 3, 16) == rounded


@given(st.integers(-(2**15), 2**15 - 1), PATTERNS, PATTERNS, st.sampled_from(FORMATS))
def test_bias_has_the_real_value_in_units_of_the_accumulator(
    bias: int, step: int, weight_step: int, fmt: tuple[int, int]
) -> None:
    unit = real(weight_step) / 2 ** fmt[1]
    assert fixed.accumulator_bias(bias, step, weight_step, fmt[1]) == naive.round_half_up(bias * real(step) / unit)


@given(st.integers(-(2**15), 2**15 - 1), PATTERNS, st.sampled_from(FORMATS))
def test_grid_entry_is_the_nearest_activation(value: int, step: int, fmt: tuple[int, int]) -> None:
    limits = naive.format_range(fmt[0], True)
    wanted = naive.clip(naive.round_half_up(value * real(step) * 2 ** fmt[1]), *limits)
    assert fixed.grid_entry(value, step, fmt[1], *limits) == wanted


@given(st.integers(-(2**43), 2**43), PATTERNS, st.sampled_from(FORMATS))
def test_head_threshold_is_the_largest_accumulator_below_a_place(place: int, step: int, fmt: tuple[int, int]) -> None:
    threshold, unit = fixed.head_threshold(place, step, fmt[1]), real(step) / 2 ** fmt[1]
    assert threshold * unit < Fraction(place, 2**40) <= (threshold + 1) * unit


@pytest.mark.parametrize(("form", "function"), [("tanh", tanh), ("sigmoid", sigmoid)])
def test_thresholds_are_those_of_the_exact_head(form: str, function: object) -> None:
    """The places, known to 2**-40, decide every accumulator as the function itself does, unless steps are tiny."""
    steps = [0x0C01, 0x1234, 0x2222, 0x2FFF, 0x3C00, 0x63FF]
    exact = head_thresholds(function, [real(step) / 1024 for step in steps])
    for step, row in zip(steps, exact.tolist(), strict=True):
        assert [fixed.head_threshold(place, step, 10) for place in head_places(form).tolist()] == row


@pytest.mark.parametrize("fmt", FORMATS, ids=str)
def test_norm_constants_keep_64_bits_and_as_much_of_the_root_as_they_can(fmt: tuple[int, int]) -> None:
    bits, fraction = fmt
    limits = naive.format_range(bits, True)

    def fault(channels: int, epsilon: int, root_shift: int, scale: int) -> str | None:
        affine = Affine(np.full(channels, scale), np.zeros(channels, np.int64), 0)
        return layer_norm_fault(*limits, Spread(epsilon, root_shift), affine)

    for channels in (1, 2, 3, 5, 17, 64, 280, 1000, 4097, 32768):
        epsilon, root_shift, scale = fixed.norm_constants(channels, bits, fraction)
        assert epsilon == max(1, naive.round_half_up(Fraction(channels**2 * 4**fraction, 10**6)))
        assert fault(channels, epsilon, root_shift, scale) is None
        assert root_shift == 30 or fault(channels, epsilon, root_shift + 2, scale << 1) is not None
        assert root_shift % 2 == 0
        # a deviation of one standard deviation becomes one
        assert scale == 2**fraction * math.isqrt(2**root_shift)


# --- programs


def kinds(program: ops.AnyOperation) -> list[str]:
    return [op.kind for op in program.operations]


def test_network_becomes_the_operations_of_its_nodes() -> None:
    assert kinds(program_of(tiny_video(HNERV, 1))) == [
        "embedding", "linear", "requantise", "interpolated_table",
        "linear", "requantise", "pixel_shuffle", "interpolated_table",
        "convolution", "requantise", "interpolated_table",
        "convolution", "requantise", "pixel_shuffle", "interpolated_table",
        "convolution", "threshold_head",
    ]  # fmt: skip
    assert kinds(program_of(tiny_video(NERV, 1, activations=IntFormat(8, True))))[:5] == [
        "positional_encoding", "linear", "requantise", "table", "linear",
    ]  # fmt: skip
    found = kinds(program_of(tiny_video(HINERV, 1)))
    assert found[:12] == [
        "embedding", "embedding", "concatenate", "convolution", "requantise", "layer_norm", "resize",
        "embedding", "embedding", "concatenate", "linear", "requantise",
    ]  # fmt: skip
    assert found[12:23] == [
        "tile", "add", "depthwise_convolution", "requantise", "layer_norm", "linear", "requantise",
        "interpolated_table", "linear", "requantise", "add",
    ]  # fmt: skip


@pytest.mark.parametrize(("bits", "spacing", "entries"), [(12, 3, 513), (14, 4, 1025), (16, 4, 4097)])
def test_activations_take_the_finest_standard_table(bits: int, spacing: int, entries: int) -> None:
    table = program_of(tiny_video(HNERV, 1, activations=IntFormat(bits, True))).operation("stem.0.act")
    assert isinstance(table, ops.InterpolatedTable)
    assert (table.spacing, table.nodes.shape) == (spacing, (entries,))


def test_layers_scale_by_the_mantissa_and_the_exponent_of_their_steps() -> None:
    video = tiny_video(HNERV, 1, 6, dependent=True)
    program = program_of(video)
    layer, scale = program.operation("blocks.1"), program.operation("blocks.1.requantise")
    weight = video.parameters["blocks.1.weight"]
    assert isinstance(layer, ops.Convolution)
    assert isinstance(scale, ops.Requantise)
    np.testing.assert_array_equal(layer.weight, weight.integers)
    assert layer.weight_format == IntFormat(7, True)
    assert (layer.stride, layer.padding) == (1, 1)
    for step, multiplier, shift in zip(weight.steps, scale.multiplier.tolist(), scale.shift.tolist(), strict=True):
        assert Fraction(multiplier, 2**shift) == real(int(step))


def test_program_of_a_node_without_an_integer_form_is_refused() -> None:
    from refcodec.codecs.inr.program import Builder, add_node

    class Mystery:
        name = "mystery"

    with pytest.raises(ModelError, match="RC-MODEL-FAMILY: mystery: a decoder has no Mystery"):
        add_node(Mystery(), Builder(tiny_video(HNERV, 1), frozenset()))


def test_decoder_keeps_the_program_of_its_video() -> None:
    video = tiny_video(HINERV, 2)
    assert [t.name for t in InrVideo.of(video).program.tensors] == [t.name for t in program_of(video).tensors]
