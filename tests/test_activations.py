"""Tables, head thresholds and phases are those of the real functions, by an oracle of many digits (SPEC TAB-3)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from math import floor

import mpmath
import numpy as np
import pytest
from test_standard_tables import manifest

from refcodec.enclosures import nearest, pi
from refcodec.errors import RangeError
from refcodec.formats import IntFormat
from refcodec.layers.positional_encoding import positional_encoding
from refcodec.layers.table import interpolated_lookup, table_lookup
from refcodec.layers.threshold_head import threshold_head
from refcodec.models.inr.phases import phase_increments
from refcodec.program.standard_tables import (
    SINE,
    StandardTable,
    head_places,
    load_activation_table,
    standard_tables,
)
from refcodec.quantize.activations import (
    FUNCTIONS,
    activation_nodes,
    activation_table,
    build_places,
    build_table,
    gelu,
    head_thresholds,
    sigmoid,
    silu,
    sine_nodes,
    tanh,
)

S8, U8, S10, S16, S32 = (IntFormat(b, s) for b, s in ((8, True), (8, False), (10, True), (16, True), (32, True)))
SINGLE = [float(np.float32(1.25**k * np.pi)) for k in range(80)]  # the bases of NeRV as a trained model holds them
REAL: dict[str, Callable] = {
    "gelu": lambda x: x * mpmath.ncdf(x),
    "silu": lambda x: x / (1 + mpmath.exp(-x)),
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
}
MIRRORED: dict[str, Callable] = {  # the function of -x, from x and the function of x
    "gelu": lambda x, y: y - x,
    "silu": lambda x, y: y - x,
    "tanh": lambda x, y: -y,
    "sigmoid": lambda x, y: 1 - y,
}
CURVATURE = {  # largest absolute second derivative
    "gelu": Fraction(7979, 10_000),
    "silu": Fraction(1, 2),
    "tanh": Fraction(7699, 10_000),
    "sigmoid": Fraction(963, 10_000),
}


def number(value: Fraction) -> mpmath.mpf:
    return mpmath.mpf(value.numerator) / value.denominator


def fraction(value: mpmath.mpf) -> Fraction:
    """Exactly what a number of the oracle is."""
    sign, mantissa, exponent, _ = value._mpf_
    scaled = Fraction(int(mantissa)) * Fraction(2) ** exponent
    return -scaled if sign else scaled


def rounded(value: mpmath.mpf) -> int:
    return int(mpmath.floor(value + mpmath.mpf(1) / 2))


# --- enclosures


@pytest.mark.parametrize("digits", [1, 20, 40, 80, 160])
def test_pi_lies_within_its_bounds(digits: int) -> None:
    with mpmath.workdps(digits + 20):
        lo, hi = pi(digits)
        assert number(lo) < mpmath.pi < number(hi)
        assert hi - lo == Fraction(2, 10**digits)


@pytest.mark.parametrize("digits", [1, 20, 40, 160])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_lie_within_their_bounds(name: str, digits: int, rng: np.random.Generator) -> None:
    pairs = zip(rng.integers(-(10**6), 10**6, 60).tolist(), rng.integers(1, 10**5, 60).tolist(), strict=True)
    drawn = [Fraction(*pair) for pair in pairs]
    extremes = [Fraction(1, 10**30), *(Fraction(n) for n in (8, 14, 15, 40, 121, 1000))]
    slack = Fraction(1, 10 ** (digits + 400))  # of the oracle, for which x itself may be rounded
    with mpmath.workdps(digits + 480):
        for x in [*drawn, *extremes, *(-v for v in extremes)]:
            lo, hi = FUNCTIONS[name](x, digits)
            assert lo - slack <= fraction(REAL[name](number(x))) <= hi + slack
            assert 0 < hi - lo <= Fraction(2, 10**digits)


def test_functions_are_exact_at_zero() -> None:
    for function, value in ((gelu, 0), (silu, 0), (tanh, 0), (sigmoid, Fraction(1, 2))):
        assert function(Fraction(0), 40) == (value, value)


def test_functions_do_not_read_the_decimal_settings_of_the_process() -> None:
    import decimal

    wanted = [FUNCTIONS[name](Fraction(7, 5), 40) for name in FUNCTIONS], sine_nodes().tolist()
    with decimal.localcontext(decimal.Context(prec=3, rounding=decimal.ROUND_UP)):
        assert ([FUNCTIONS[name](Fraction(7, 5), 40) for name in FUNCTIONS], sine_nodes().tolist()) == wanted


@pytest.mark.parametrize(
    ("lo", "hi", "wanted"),
    [
        (Fraction(1, 2), Fraction(1, 2), 1),
        (Fraction(-1, 2), Fraction(-1, 2), 0),
        (Fraction(1, 2), Fraction(3, 5), 1),
        (Fraction(2, 5), Fraction(1, 2), 0),
        (Fraction(-3, 2), Fraction(-1, 2), -1),
        (Fraction(-1, 2), Fraction(1, 2), 0),
    ],
)
def test_nearest_rounds_what_lies_strictly_between_its_bounds(lo: Fraction, hi: Fraction, wanted: int) -> None:
    assert nearest(lambda digits: (lo, hi)) == wanted


def test_nearest_asks_for_more_digits_and_refuses_what_it_cannot_tell() -> None:
    asked = []

    def enclose(digits: int) -> tuple[Fraction, Fraction]:
        asked.append(digits)
        centre = Fraction(5, 2) - Fraction(1, 10**300)
        return centre - Fraction(1, 10**digits), centre + Fraction(1, 10**digits)

    assert nearest(enclose) == 2
    assert asked == [40, 80, 160, 320]
    with pytest.raises(RangeError, match=r"^RC-RANGE: a number cannot be told from 2 \+ 1/2 by 2560 digits"):
        nearest(lambda digits: (Fraction(5, 2) - Fraction(1, 10**digits), Fraction(5, 2) + Fraction(1, 10**digits)))


# --- tables


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    ("source", "source_step", "target", "target_step"),
    [
        (S8, 0.0371, S8, 0.0412),
        (U8, Fraction(1, 24), S16, Fraction(1, 3000)),
        (S10, 2.0**-6, S32, 2.0**-30),
        (S8, 1e-6, S16, 1e-9),
        (S8, 3.7, S8, 0.5),
        (S8, 4.0, U8, 1 / 255),
    ],
)
def test_activation_table_holds_the_nearest_integers(
    name: str, source: IntFormat, source_step: float, target: IntFormat, target_step: float
) -> None:
    found = activation_table(FUNCTIONS[name], source, source_step, target, target_step)
    assert found.dtype == np.int32
    with mpmath.workdps(450):  # the tail of gelu at 470 has some 50,000 digits, but no number here is near a tie there
        steps = number(Fraction(source_step)), number(Fraction(target_step))
        for value, entry in zip(range(source.lo, source.hi + 1), found.tolist(), strict=True):
            wanted = rounded(REAL[name](value * steps[0]) / steps[1])
            assert entry == min(max(wanted, target.lo), target.hi)


def test_activation_table_rounds_down_just_below_a_tie_that_a_double_cannot_tell() -> None:
    """gelu and silu stay below x, tanh and sigmoid below 1; catches tables that pass through a double."""
    source = S10
    for function in (gelu, silu):
        found = activation_table(function, source, Fraction(1, 4), S16, Fraction(1, 2))
        for value in range(401, 512, 2):  # x = 100.25 ..., where the distance from the tie is below 1e-40
            assert found[value + 512] == value // 2
            assert floor(float(value / 4 / (1 + np.exp(-value / 4))) / 0.5 + 0.5) == value // 2 + 1
    found = activation_table(tanh, source, Fraction(1), S8, Fraction(2, 3))
    assert found[512 + 100 :].tolist() == [1] * 412
    assert found[: 512 - 100].tolist() == [-1] * 412
    found = activation_table(sigmoid, source, Fraction(1), S8, Fraction(2))
    assert found.tolist() == [0] * 1024


def test_activation_table_rounds_the_tie_at_zero_up() -> None:
    assert activation_table(sigmoid, S8, 1.0, S8, 1.0)[126:131].tolist() == [0, 0, 1, 1, 1]
    assert activation_table(sigmoid, S8, 1.0, S8, 0.2)[128] == 2  # 0.2 is a little more than a fifth, so 2.4999...
    assert activation_table(sigmoid, S8, 1.0, S8, Fraction(1, 5))[128] == 3


def test_activation_table_saturates_at_both_ends() -> None:
    found = activation_table(tanh, S8, 0.1, S8, 1 / 200)
    assert {-128, 127} <= set(found.tolist())
    assert np.all(np.diff(found) >= 0)
    assert activation_table(silu, S8, 0.1, U8, 0.1)[:128].tolist() == [0] * 128


def test_activation_nodes_are_the_table_at_every_node_and_beyond() -> None:
    table = activation_table(gelu, S10, Fraction(1, 64), S16, Fraction(1, 1000))
    for spacing in (1, 4, 9):
        nodes = activation_nodes(gelu, S10, Fraction(1, 64), S16, Fraction(1, 1000), spacing)
        assert nodes.dtype == np.int32
        assert nodes[:-1].tolist() == table[:: 2**spacing].tolist()
        assert nodes[-1] == 8000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": IntFormat(11, True)}, r"takes 2\.\.10 bits, not s11"),
        ({"source_step": 0.0}, r"source step must be above zero, got 0\.0"),
        ({"source_step": float("inf")}, r"source step must be a number, got inf"),
        ({"target_step": -1.0}, r"target step must be above zero, got -1\.0"),
        ({"target_step": float("nan")}, r"target step must be above zero, got nan"),
        ({"target": IntFormat(40, True), "target_step": 1e-12}, r"entries: values .* leave s32"),
    ],
)
def test_activation_table_refuses(changes: dict, message: str) -> None:
    operands = {"function": tanh, "source": S8, "source_step": 1.0, "target": S8, "target_step": 0.1}
    with pytest.raises(RangeError, match=rf"^RC-RANGE: .*{message}"):
        activation_table(**(operands | changes))


def test_activation_nodes_refuse_a_spacing_outside_their_source() -> None:
    for source, spacing, message in (
        (S8, 0, r"spacing must be 1\.\.7 for s8, got 0"),
        (S8, 8, r"spacing must be 1\.\.7 for s8, got 8"),
        (IntFormat(17, True), 7, r"takes 2\.\.16 bits, not s17"),
    ):
        with pytest.raises(RangeError, match=message):
            activation_nodes(tanh, source, 1.0, S8, 0.1, spacing)


# --- heads


@pytest.mark.parametrize(("function", "scale"), [(sigmoid, 1), (tanh, 2)])
def test_head_thresholds_part_the_accumulators_exactly_at_every_sample(function: Callable, scale: int) -> None:
    """Both sides of every threshold, in many digits; between two thresholds a rising function holds."""
    steps = [2.0**-20, Fraction(1, 3), 1e-5, 0.037, 1.0, 7.5e-11, 3.25]
    found = head_thresholds(function, steps)
    assert (found.dtype, found.shape) == (np.int64, (7, 255))
    assert found[:, 127].tolist() == [-1] * 7
    with mpmath.workdps(60):
        for row, step in zip(found.tolist(), steps, strict=True):
            unit = scale * number(Fraction(step))
            for k, threshold in enumerate(row, 1):
                half = mpmath.mpf(2 * k - 1) / 2
                assert 255 * REAL["sigmoid"](threshold * unit) < half
                above = 255 * REAL["sigmoid"]((threshold + 1) * unit)
                assert above > half or (above == half and k == 128 and threshold == -1)


@pytest.mark.parametrize(("function", "scale"), [(sigmoid, 1), (tanh, 2)])
def test_head_gives_the_rounded_sample_of_every_accumulator_of_14_bits(function: Callable, scale: int) -> None:
    steps = [Fraction(1, 1024), 0.00217]
    every = np.broadcast_to(np.arange(-8192, 8192).reshape(1, 64, 256), (2, 64, 256))
    found = threshold_head(every, head_thresholds(function, steps))
    with mpmath.workdps(30):
        for plane, step in zip(found, steps, strict=True):
            unit = scale * number(Fraction(step))
            wanted = [rounded(255 * REAL["sigmoid"](a * unit)) for a in range(-8192, 8192)]
            assert plane.ravel().tolist() == wanted
            assert {0, 127, 128, 255} <= set(wanted)


def test_head_thresholds_end_where_accumulators_of_48_bits_do() -> None:
    (found,) = head_thresholds(tanh, [1e-30]).tolist()
    assert set(found) == {-(2**47) - 1, -1, 2**47 - 1}
    (found,) = head_thresholds(tanh, [1e30]).tolist()
    assert found == [-1] * 128 + [0] * 127
    assert head_thresholds(sigmoid, []).shape == (0, 255)


def test_head_thresholds_refuse_other_functions_and_steps() -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: an exact head is a sigmoid or a tanh"):
        head_thresholds(gelu, [1.0])
    for step in (0.0, -1.0, float("nan")):
        with pytest.raises(RangeError, match=r"^RC-RANGE: step must be above zero"):
            head_thresholds(tanh, [1.0, step])


# --- positional encodings


def test_sine_nodes_are_the_nearest_integers() -> None:
    found = sine_nodes()
    assert (found.dtype, found.shape) == (np.int32, (1025,))
    with mpmath.workdps(40):
        wanted = [rounded(mpmath.sin(mpmath.pi * k / 2048) * 2**24) for k in range(1025)]
    assert found.tolist() == wanted


def test_phase_increments_are_those_of_the_exact_bases(rng: np.random.Generator) -> None:
    drawn = (rng.standard_normal(60) * 10.0 ** rng.integers(-20, 30, 60)).tolist()
    odd = [0.0, -0.0, 5e-324, -5e-324, 1e300, -1e300, 1e-12, -1e-12, Fraction(22, 7), -Fraction(22, 7), 3]
    bases = [*SINGLE, *drawn, *odd]
    for frames in (1, 132, 2**22):
        found = phase_increments(bases, frames)
        assert found.dtype == np.int64
        with mpmath.workdps(400):
            wanted = [rounded(number(Fraction(base)) * 2**39 / (mpmath.pi * frames)) % 2**40 for base in bases]
        assert found.tolist() == wanted
    of_floats = phase_increments(np.array(SINGLE, np.float32), 132)
    assert of_floats.tolist() == phase_increments(SINGLE, 132).tolist()
    assert {0, 2**40 - 1} <= set(phase_increments([1e-13, -6e-12], 1).tolist())


def test_phase_increments_round_up_to_a_whole_turn_and_wrap() -> None:
    """The double nearest to two pi is a little less than that."""
    assert phase_increments([2 * np.pi, -2 * np.pi, np.pi], 1).tolist() == [0, 0, 2**39]


def test_phase_increments_refuse_what_is_no_number_and_too_many_frames() -> None:
    for base in (float("nan"), float("inf"), np.float32("nan")):
        with pytest.raises(RangeError, match=r"^RC-RANGE: base must be a number, got (nan|inf)"):
            phase_increments([1.0, base], 132)
    for frames in (0, 2**22 + 1):
        with pytest.raises(RangeError, match=rf"^RC-RANGE: frames must be 1\.\.4194304, got {frames}"):
            phase_increments([1.0], frames)


@lru_cache
def shipped_nodes() -> np.ndarray:
    return load_activation_table(SINE)


def wave_error(turns: list[Fraction], index: int, increments: np.ndarray) -> float:
    """The largest error of an encoding of one frame, in units of 2**-14; `turns` are the true ones of every sine."""
    found = positional_encoding(np.full((1, 1, 1), index), increments, False, shipped_nodes(), 14).ravel()
    angles = [2 * np.pi * float(t - floor(t)) for t in turns]  # reduced exactly: a double is off by 1e-15 at most
    return float(np.abs(found - 2.0**14 * np.concatenate([np.sin(angles), np.cos(angles)])).max())


def test_integer_sine_is_within_half_a_unit_and_the_bend_between_nodes(rng: np.random.Generator) -> None:
    """(pi / 2048)**2 / 8 between nodes and 2**-25 at them, besides the half unit of the rounding."""
    increments = rng.integers(0, 2**40, 200_000)
    error = wave_error([Fraction(step, 2**40) for step in increments.tolist()], 1, increments)
    bound = 0.5 + 2**14 * ((np.pi / 2048) ** 2 / 8 + 2**-25)
    assert 0.5 < error < bound < 0.506


@pytest.mark.parametrize("levels", [40, 80])
def test_encoding_of_nerv_is_right_for_exact_real_bases(levels: int) -> None:
    """Sines of 1.25**k * pi * t / 132; increments of exact bases are right, those of float32 bases are of others."""
    exact = [Fraction(5, 4) ** k / 264 for k in range(levels)]
    increments = np.array([round(turn * 2**40) % 2**40 for turn in exact])
    single = phase_increments(SINGLE[:levels], 132)
    errors = [wave_error([t * n for t in exact], n, increments) for n in range(132)]
    others = [wave_error([t * n for t in exact], n, single) for n in range(132)]
    assert 0.49 < max(errors) < 0.51
    assert max(others) > 3 * max(errors)


def test_encoding_of_nerv_is_right_for_the_float32_bases_of_a_trained_model() -> None:
    """Against sines of the bases as they are, at a hundred million radians."""
    increments = phase_increments(SINGLE, 132)
    with mpmath.workdps(60):
        turns = [fraction(number(Fraction(base)) / (mpmath.pi * 264)) for base in SINGLE]
    assert 0.49 < max(wave_error([t * n for t in turns], n, increments) for n in range(132)) < 0.51


# --- shipped tables


@lru_cache
def real_values(function: str, source: IntFormat, places: int) -> list[mpmath.mpf]:
    """The oracle's function at every value of a signed format, computed where it is positive and mirrored."""
    with mpmath.workdps(25):
        upper = [mpmath.mpf(v) / 2**places for v in range(source.hi + 2)]
        found = [REAL[function](x) for x in upper]
        lower = [MIRRORED[function](x, y) for x, y in zip(upper[:0:-1], found[:0:-1], strict=True)]
        return [*lower, *found[:-1]]


def error(table: StandardTable) -> mpmath.mpf:
    """The largest error over all values of the source, in units of the target."""
    every = np.arange(table.source.lo, table.source.hi + 1).reshape(1, 1, -1)
    entries = load_activation_table(table.name)
    if table.spacing:
        found = interpolated_lookup(every, entries, table.spacing, table.source, table.target)
    else:
        found = table_lookup(every, entries, table.source, table.target)
    real = real_values(table.function, table.source, table.source_fraction)
    with mpmath.workdps(25):
        unit = 2**table.target_fraction
        return max(abs(y - unit * v) for y, v in zip(found.ravel().tolist(), real, strict=True))


@pytest.mark.parametrize("table", standard_tables(), ids=lambda table: table.name)
def test_a_shipped_table_is_rebuilt_to_the_bit_and_its_error_is_as_stated(table: StandardTable) -> None:
    found, described = load_activation_table(table.name), manifest()[table.name]
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, build_table(table))
    stored = found.astype({"int8": "<i1", "int16": "<i2"}[described["dtype"]])
    np.testing.assert_array_equal(stored, found)
    assert hashlib.sha256(stored.tobytes()).hexdigest() == described["sha256"]
    stated = (described["function"], described["source"], described["source_fraction"], described["target"])
    assert stated == (table.function, str(table.source), table.source_fraction, str(table.target))
    assert (described["target_fraction"], described["spacing"]) == (table.target_fraction, table.spacing)
    worst = error(table)
    assert Fraction(described["max_error"]) * 10**9 == rounded(worst * 10**9)


def test_shipped_errors_stay_below_their_formula() -> None:
    """Half a unit of the node, half of the rounding, and h * h / 8 times the curvature; one more unit where the last
    node, which belongs to 32, is limited to the largest value."""
    for table in standard_tables():
        stated = Fraction(manifest()[table.name]["max_error"])
        if not table.spacing:
            assert stated < Fraction(1, 2)
            continue
        width = Fraction(2**table.spacing, 2**table.source_fraction)
        bend = width**2 / 8 * CURVATURE[table.function] * 2**table.target_fraction
        assert stated <= 1 + bend
        assert stated > bend


def test_shipped_sine_nodes_are_those_built_and_their_error_is_as_stated() -> None:
    nodes = load_activation_table(SINE)
    np.testing.assert_array_equal(nodes, sine_nodes())
    assert hashlib.sha256(nodes.astype("<i4").tobytes()).hexdigest() == manifest()[SINE]["sha256"]
    with mpmath.workdps(30):
        worst = max(abs(int(v) - mpmath.sin(mpmath.pi * k / 2048) * 2**24) for k, v in enumerate(nodes))
        assert Fraction(manifest()[SINE]["max_error"]) * 10**9 == rounded(worst * 10**9)


@pytest.mark.parametrize(("form", "scale"), [("sigmoid", 1), ("tanh", 2)])
def test_shipped_places_of_heads_are_those_built_and_their_error_is_as_stated(form: str, scale: int) -> None:
    found, described = head_places(form), manifest()[f"{form}-head"]
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, build_places(FUNCTIONS[form]))
    assert hashlib.sha256(found.astype("<i8").tobytes()).hexdigest() == described["sha256"]
    with mpmath.workdps(40):
        real = [mpmath.log(mpmath.mpf(2 * k - 1) / (511 - 2 * k)) / scale * 2**40 for k in range(1, 256)]
        assert found.tolist() == [rounded(x) for x in real]
        worst = max(abs(place - x) for place, x in zip(found.tolist(), real, strict=True))
        assert Fraction(described["max_error"]) * 10**9 == rounded(worst * 10**9)


def test_build_places_refuses_other_functions() -> None:
    with pytest.raises(RangeError, match=r"^RC-RANGE: an exact head is a sigmoid or a tanh"):
        build_places(gelu)
