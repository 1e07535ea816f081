"""Bjontegaard's figures: against published examples, a naive oracle, and what their definition implies."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from refcodec.errors import FileError, RangeError
from refcodec.metrics.bjontegaard import Curve, bd_psnr, bd_rate
from refcodec.metrics.curves import Comparison, compare, read_curve

Numbers = Sequence[float]
Pair = tuple[Numbers, Numbers, Numbers, Numbers]  # reference rates and PSNR, test rates and PSNR
Points = tuple[list[float], list[float]]
Figure = Callable[..., float]

# --- published curve pairs

# The example of VCEG-M33, as Tim Bruylants gives it in bjontegaard_cpp (example.cpp).
VCEG_M33 = (
    (90.33, 181.03, 332.99, 547.79), (27.95, 31.17, 34.44, 38.11),
    (127.1719, 186.14, 307.2924, 481.5588), (29.9286, 32.4165, 34.7013, 37.4561),
)  # fmt: skip
# "barb512" of the same file: nine points, falling.
BARB512 = (
    (2.99899, 1.99884, 1.49673, 0.99707, 0.745941, 0.596436, 0.495148, 0.29425, 0.244049),
    (48.6681, 43.8357, 41.3982, 38.0124, 35.5122, 33.8673, 32.6658, 29.4505, 28.484),
    (2.997253, 1.968292, 1.472565, 0.994965, 0.748871, 0.58902, 0.499176, 0.296753, 0.249634),
    (48.5637, 43.7318, 41.2727, 38.0001, 35.6375, 33.9057, 32.8318, 29.6851, 28.8244),
)
# JCTVC-E137, as Netflix's VMAF gives it (python/test/bd_rate_calculator_test.py).
JCTVC_E137_1 = (
    (108048.8736, 61279.976, 33905.6656, 18883.6928), (43.6471, 40.3953, 37.247, 34.2911),
    (108061.2784, 61299.9936, 33928.7472, 18910.912), (43.6768, 40.4232, 37.2761, 34.3147),
)  # fmt: skip
JCTVC_E137_2 = (
    (40433.8848, 7622.7456, 2394.488, 1017.6184), (37.5761, 35.3756, 33.8977, 32.0603),
    (40370.12, 7587.0024, 2390.0944, 1017.0984), (37.5982, 35.4025, 33.9194, 32.0822),
)  # fmt: skip
# x264 against x265, from videonerd.website, "How compute BD-Rate".
X264 = (
    (8.914, 13.330, 17.880, 22.990), (37.02, 38.37, 39.42, 40.35),
    (9.525, 14.27, 19.113, 24.393), (37.73, 39.07, 40.07, 40.95),
)  # fmt: skip
# The three examples of FAU-LMS/bjontegaard (example_usage.py): libx265 with two presets; high rates; six points.
X265 = (
    (9487.76, 4593.60, 2486.44, 1358.24), (40.037, 38.615, 36.845, 34.851),
    (9787.80, 4469.00, 2451.52, 1356.24), (40.121, 38.651, 36.970, 34.987),
)  # fmt: skip
HIGH = (
    (82472.76, 26875.24, 9487.76, 4593.6), (43.825, 41.404, 40.037, 38.615),
    (99896.96, 33952.04, 9787.8, 4469.0), (44.731, 41.875, 40.121, 38.651),
)  # fmt: skip
SIX = (
    (82472.76, 26875.24, 9487.76, 4593.6, 3600, 2900), (43.825, 41.404, 40.037, 38.615, 36.5, 35.1),
    (99896.96, 33952.04, 9787.8, 4469.0, 4040, 3300), (44.731, 41.875, 40.121, 38.651, 37, 36.5),
)  # fmt: skip
# Published next to the curves, with the digits that were published; a difference may be half of the last.
PUBLISHED = [
    (bd_rate, VCEG_M33, "cubic", -13.261773, 5e-7),
    (bd_psnr, VCEG_M33, "cubic", 0.800713, 5e-7),
    (bd_rate, BARB512, "cubic", -0.903450, 5e-7),
    (bd_psnr, BARB512, "cubic", 0.072297, 5e-7),
    (bd_rate, JCTVC_E137_1, "pchip", -0.465215420752807, 1e-11),
    (bd_rate, JCTVC_E137_2, "pchip", -1.8779823450567612, 1e-11),
    (bd_rate, X264, "cubic", -12.098, 5e-4),
]
# What the package bjontegaard 1.3.0 (FAU-LMS) prints for its own examples and for the above.
PACKAGE = [
    (X265, "cubic", -4.420462706026296, 0.12040941911471303),
    (X265, "pchip", -4.417485350589045, 0.11969278542479489),
    (HIGH, "cubic", -4.699437548106711, 0.09540440289107423),
    (HIGH, "pchip", -4.47218200276197, 0.08887484704747745),
    (SIX, "cubic", -0.6392886205030313, 0.10358085155084948),
    (SIX, "pchip", -2.9528024116427964, 0.08953590194998828),
    (VCEG_M33, "cubic", -13.261772993095988, 0.8007131839750159),
    (VCEG_M33, "pchip", -13.29252411102112, 0.8091320352726121),
    (BARB512, "cubic", -0.9034504835797152, 0.07229684485642286),
    (BARB512, "pchip", -0.8903727757052615, 0.07149134440535306),
    (JCTVC_E137_1, "cubic", -0.4644154200331041, 0.025059986247428088),
    (JCTVC_E137_2, "pchip", -1.8779823450614564, 0.028471891040305675),
]


@pytest.mark.parametrize(("figure", "curves", "method", "wanted", "digits"), PUBLISHED)
def test_bjontegaard_figures_are_the_published_ones(
    figure: Figure, curves: Pair, method: str, wanted: float, digits: float
) -> None:
    assert figure(*curves, method) == pytest.approx(wanted, abs=digits, rel=0)


@pytest.mark.parametrize(("curves", "method", "rate", "psnr"), PACKAGE)
def test_bjontegaard_figures_are_those_of_another_package(curves: Pair, method: str, rate: float, psnr: float) -> None:
    assert bd_rate(*curves, method) == pytest.approx(rate, abs=1e-8, rel=0)
    assert bd_psnr(*curves, method) == pytest.approx(psnr, abs=1e-10, rel=0)


# --- a naive oracle: both interpolations written out, integrated by Simpson's rule, which is exact for cubics


def lagrange(x: list[float], y: list[float], at: float) -> float:
    return sum(y[i] * math.prod((at - x[j]) / (x[i] - x[j]) for j in range(len(x)) if j != i) for i in range(len(x)))


def hermite_slopes(x: list[float], y: list[float]) -> list[float]:
    """Fritsch and Butland's weighted harmonic means, and the three-point formula at the ends, limited."""
    h = [b - a for a, b in pairwise(x)]
    d = [(b - a) / step for (a, b), step in zip(pairwise(y), h, strict=True)]
    if len(h) == 1:
        return [d[0], d[0]]

    def end(h0: float, h1: float, d0: float, d1: float) -> float:
        slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
        if slope * d0 <= 0:
            return 0.0
        return 3 * d0 if d0 * d1 <= 0 and abs(slope) > 3 * abs(d0) else slope

    inner = [
        0.0 if d[i - 1] * d[i] <= 0
        else 3 * (h[i - 1] + h[i]) / ((2 * h[i] + h[i - 1]) / d[i - 1] + (h[i] + 2 * h[i - 1]) / d[i])
        for i in range(1, len(h))
    ]  # fmt: skip
    return [end(h[0], h[1], d[0], d[1]), *inner, end(h[-1], h[-2], d[-1], d[-2])]


def hermite(x: list[float], y: list[float], at: float) -> float:
    slopes = hermite_slopes(x, y)
    i = max(k for k in range(len(x) - 1) if k == 0 or x[k] <= at)
    h = x[i + 1] - x[i]
    t = (at - x[i]) / h
    return (
        (1 + 2 * t) * (1 - t) ** 2 * y[i] + t * (1 - t) ** 2 * h * slopes[i]
        + t * t * (3 - 2 * t) * y[i + 1] + t * t * (t - 1) * h * slopes[i + 1]
    )  # fmt: skip


def simpson(
    function: Callable[[list[float], list[float], float], float],
    x: list[float],
    y: list[float],
    low: float,
    high: float,
) -> float:
    cuts = [low, *(knot for knot in x if low < knot < high), high]
    return sum(
        (b - a) / 6 * (function(x, y, a) + 4 * function(x, y, (a + b) / 2) + function(x, y, b))
        for a, b in pairwise(cuts)
    )


def naive_difference(one: Points, other: Points, method: str) -> float:
    function = {"pchip": hermite, "cubic": lagrange}[method]
    low, high = max(one[0][0], other[0][0]), min(one[0][-1], other[0][-1])
    return (simpson(function, *other, low, high) - simpson(function, *one, low, high)) / (high - low)


def random_curve(rng: np.random.Generator, count: int) -> tuple[list[float], list[float]]:
    rates = np.cumsum(rng.uniform(0.05, 0.5, count)) + rng.uniform(0, 0.1)
    return rates.tolist(), (28 + np.cumsum(rng.uniform(0.3, 3, count))).tolist()


@pytest.mark.parametrize(
    ("method", "counts"), [("cubic", (4, 4)), *(("pchip", (a, b)) for a in (2, 3, 7) for b in (2, 5))]
)
def test_bjontegaard_figures_are_those_of_a_naive_oracle(
    method: str, counts: tuple[int, int], rng: np.random.Generator
) -> None:
    for _ in range(20):
        (rates, psnr), (rates2, psnr2) = (random_curve(rng, count) for count in counts)
        logs, logs2 = ([math.log10(rate) for rate in values] for values in (rates, rates2))
        if min(psnr[-1], psnr2[-1]) - max(psnr[0], psnr2[0]) > 0.1:
            decades = naive_difference((psnr, logs), (psnr2, logs2), method)
            wanted = 100 * (10**decades - 1)
            assert bd_rate(rates, psnr, rates2, psnr2, method) == pytest.approx(wanted, rel=1e-8)
        if min(logs[-1], logs2[-1]) - max(logs[0], logs2[0]) > 0.1:
            psnr2 = psnr2[::-1]  # need not rise here
            wanted = naive_difference((logs, psnr), (logs2, psnr2), method)
            assert bd_psnr(rates, psnr, rates2, psnr2, method) == pytest.approx(wanted, rel=1e-8)


# --- what the definition implies


@pytest.mark.parametrize("method", ["pchip", "cubic"])
def test_bjontegaard_rate_of_a_constant_factor_is_that_factor(method: str) -> None:
    rates, psnr, _, _ = VCEG_M33
    for factor in (1.0, 0.5, 1.25, 2.0, 1 + 1e-9):
        scaled = [factor * rate for rate in rates]
        assert bd_rate(rates, psnr, scaled, psnr, method) == pytest.approx(100 * (factor - 1), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("method", ["pchip", "cubic"])
def test_bjontegaard_psnr_of_a_constant_gain_is_that_gain(method: str) -> None:
    rates, psnr, _, _ = VCEG_M33
    assert bd_psnr(rates, psnr, rates, [0.75 + value for value in psnr], method) == pytest.approx(0.75)
    assert bd_psnr(rates, psnr, rates, psnr, method) == 0.0


@pytest.mark.parametrize("method", ["pchip", "cubic"])
def test_bjontegaard_figures_do_not_depend_on_unit_order_or_container(method: str) -> None:
    rates, psnr, rates2, psnr2 = VCEG_M33
    figures: tuple[Figure, ...] = (bd_rate, bd_psnr)
    for figure in figures:
        wanted = figure(*VCEG_M33, method)
        kilo = [[rate / 1000 for rate in values] for values in (rates, rates2)]
        assert figure(kilo[0], psnr, kilo[1], psnr2, method) == pytest.approx(wanted)
        shuffled = [[values[i] for i in (2, 0, 3, 1)] for values in VCEG_M33]
        assert figure(*shuffled, method) == wanted
        arrays = figure(*map(np.array, VCEG_M33), method)
        assert (arrays, type(arrays)) == (wanted, float)
    forth, back = bd_rate(*VCEG_M33, method), bd_rate(rates2, psnr2, rates, psnr, method)
    assert (1 + forth / 100) * (1 + back / 100) == pytest.approx(1)


def test_bjontegaard_default_is_pchip() -> None:
    assert bd_rate(*VCEG_M33) == bd_rate(*VCEG_M33, "pchip")
    assert bd_psnr(*VCEG_M33) == bd_psnr(*VCEG_M33, "pchip")


# --- refusals

FOUR, PSNR = (1.0, 2.0, 3.0, 4.0), (30.0, 31.0, 32.0, 33.0)
REFUSED = [
    (FOUR, PSNR, "akima", "the method must be one of pchip, cubic, got 'akima'"),
    (FOUR[:3], PSNR[:3], "cubic", "cubic needs 4 points of each curve, got 3"),
    (FOUR[:1], PSNR[:1], "pchip", "pchip needs 2 points of each curve, got 1"),
    ((), (), "pchip", "pchip needs 2 points of each curve, got 0"),
    (FOUR, PSNR[:3], "pchip", "a curve has 4 rates and 3 distortions"),
    ((0.0, 2.0, 3.0, 4.0), PSNR, "pchip", "a rate must be positive and finite, got 0.0"),
    ((-1.0, 2.0, 3.0, 4.0), PSNR, "pchip", "a rate must be positive and finite, got -1.0"),
    ((math.nan, 2.0, 3.0, 4.0), PSNR, "pchip", "a rate must be positive and finite, got nan"),
    ((1.0, 2.0, 3.0, math.inf), PSNR, "cubic", "a rate must be positive and finite, got inf"),
    ((4.0, 2.0, 3.0, 2.0), PSNR, "pchip", "two points have the rate 2.0"),
    ((1.0, 2.0, 3.0, 3.0 + 1e-12), PSNR, "pchip", "two points have the rate 3.0"),
    (FOUR, (30.0, 31.0, math.nan, 33.0), "pchip", "a distortion must lie within 1000 dB, got nan"),
    (FOUR, (-math.inf, 31.0, 32.0, 33.0), "pchip", "a distortion must lie within 1000 dB, got -inf"),
]
REFUSED_RATE = [
    (FOUR, (30.0, 32.0, 31.0, 33.0), "pchip", "the distortion must rise with the rate, got 32.0 then 31.0"),
    (FOUR, (30.0, 31.0, 31.0, 33.0), "cubic", "the distortion must rise with the rate, got 31.0 then 31.0"),
    (FOUR, (33.0, 34.0, 35.0, 36.0), "pchip", "the curves do not overlap in distortion: 30 .. 33 and 33 .. 36"),
    (FOUR, (20.0, 21.0, 22.0, 23.0), "cubic", "the curves do not overlap in distortion: 30 .. 33 and 20 .. 23"),
    (FOUR, (30.0, 30.00000001, 30.00000002, 900.0), "cubic", "the points lie too close together for a third-order"),
    (FOUR, (30.0, 30.0001, 33.0, 34.0), "cubic", r"the cubic fit puts the rates -?\d+ decades apart"),
]
REFUSED_PSNR = [
    ((10.0, 20.0, 30.0, 40.0), PSNR, "pchip", "the curves do not overlap in log10 rate: 0 .. 0.60206 and 1 .. 1.60206"),
]


@pytest.mark.parametrize(
    ("figure", "rates", "psnr", "method", "message"),
    [(figure, *case) for figure in (bd_rate, bd_psnr) for case in REFUSED]
    + [(bd_rate, *case) for case in REFUSED_RATE]
    + [(bd_psnr, *case) for case in REFUSED_PSNR],
)
def test_bjontegaard_figures_refuse_bad_curves(
    figure: Figure, rates: Numbers, psnr: Numbers, method: str, message: str
) -> None:
    with pytest.raises(RangeError, match=f"^RC-RANGE: {message}"):
        figure(FOUR, PSNR, rates, psnr, method)


def test_bjontegaard_reference_is_checked_too() -> None:
    with pytest.raises(RangeError, match="cubic needs 4 points of each curve, got 2"):
        bd_rate(FOUR[:2], PSNR[:2], FOUR, PSNR, "cubic")
    with pytest.raises(RangeError, match="the distortion must rise with the rate"):
        bd_rate(FOUR, PSNR[::-1], FOUR, PSNR)


# --- files


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_read_curve_takes_the_columns_it_knows(tmp_path: Path) -> None:
    plain = write(tmp_path / "plain.csv", "\ufeffbpp,psnr_db\n0.1,28.5\n0.2,30\n")
    assert read_curve(plain) == Curve((0.1, 0.2), (28.5, 30.0), "bpp")
    more = write(tmp_path / "more.csv", 'model, psnr_db ,kbps\n\n"a, b",28.5, 100\nc,30,3e2\n')
    assert read_curve(more) == Curve((100.0, 300.0), (28.5, 30.0), "kbps")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a table of comma-separated values"),
        (b"\n\n", "is not a table of comma-separated values"),
        (b"\xff\xfe\x00", "is not a table of comma-separated values"),
        (b'bpp,psnr_db\n"1,2\n', "is not a table of comma-separated values"),
        (b"1,2\n3,4\n", "must have the column psnr_db and one of bpp, kbps, rate"),
        (b"bpp,psnr\n1,2\n", "must have the column psnr_db and one of"),
        (b"psnr_db,psnr_db\n1,2\n", "must have the column psnr_db and one of"),
        (b"bpp,psnr_db,psnr_db\n1,2,3\n", "must have the column psnr_db and one of"),
        (b"bpp,kbps,psnr_db\n1,2,3\n", "must have the column psnr_db and one of"),
        (b"bpp;psnr_db\n1;2\n", "must have the column psnr_db and one of"),
    ],
)
def test_read_curve_refuses_what_is_no_table(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "curve.csv"
    path.write_bytes(content)
    with pytest.raises(FileError, match=f"^RC-FILE-READ: .*curve.csv {message}"):
        read_curve(path)


def test_read_curve_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"^RC-FILE-READ: cannot read .*none\.csv: No such file"):
        read_curve(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0.1,x", "no number in column 2 of the line '0.1,x'"),
        ("0.1", "no number in column 2 of the line '0.1'"),
        (",30", "no number in column 1 of the line ',30'"),
        ("nan,30", "a rate must be positive and finite, got nan"),
        ("0.1,inf", "a distortion must lie within 1000 dB, got inf"),
        ("0.1,30\n0.1,31", "two points have the rate 0.1"),
    ],
)
def test_read_curve_refuses_bad_numbers(rows: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RangeError, match=f"^RC-RANGE: .*curve.csv: {message}"):
        read_curve(write(tmp_path / "curve.csv", f"bpp,psnr_db\n{rows}\n"))


def csv_of(path: Path, unit: str, rates: Numbers, psnr: Numbers) -> Path:
    return write(path, f"{unit},psnr_db\n" + "".join(f"{r},{p}\n" for r, p in zip(rates, psnr, strict=True)))


@pytest.mark.parametrize("method", ["pchip", "cubic"])
def test_compare_gives_both_figures(method: str, tmp_path: Path) -> None:
    reference = csv_of(tmp_path / "a.csv", "kbps", *VCEG_M33[:2])
    test = csv_of(tmp_path / "b.csv", "kbps", *VCEG_M33[2:])
    comparison = compare(reference, test, method)
    assert comparison == Comparison(method, (4, 4), bd_rate(*VCEG_M33, method), bd_psnr(*VCEG_M33, method))
    assert json.loads(json.dumps(comparison.as_json())) == {
        "method": method,
        "reference_points": 4,
        "test_points": 4,
        "bd_rate_percent": bd_rate(*VCEG_M33, method),
        "bd_psnr_db": bd_psnr(*VCEG_M33, method),
    }
    wanted = {"pchip": "BD-rate -13.293 %, BD-PSNR +0.8091 dB", "cubic": "BD-rate -13.262 %, BD-PSNR +0.8007 dB"}
    assert comparison.as_text() == f"{wanted[method]} ({method})"


def test_compare_refuses_two_units(tmp_path: Path) -> None:
    reference = csv_of(tmp_path / "a.csv", "bpp", FOUR, PSNR)
    test = csv_of(tmp_path / "b.csv", "kbps", FOUR, PSNR)
    with pytest.raises(RangeError, match=r"^RC-RANGE: the rates of .*a\.csv are bpp, those of .*b\.csv are kbps$"):
        compare(reference, test)
