"""One column of the MAC array against `refcodec.fixed.convolution` (SPEC HW-2, CONV-2)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

import numpy as np
import pytest
from hw_units import BIT, Unit, mac_unit, run_ghdl, run_icarus, run_myhdl

from hw.stream import pack_lanes
from refcodec import fixed
from refcodec.formats import IntFormat


@dataclass(frozen=True, slots=True)
class Configuration:
    """Widths of one column; the activations may have a sign."""

    activation: IntFormat
    weight_bits: int
    accumulator_bits: int
    pi: int

    @property
    def weight(self) -> IntFormat:
        return IntFormat(self.weight_bits, True)

    @property
    def accumulator(self) -> IntFormat:
        return IntFormat(self.accumulator_bits, True)

    @property
    def latency(self) -> int:
        """As the docstring of `mac_array` states it."""
        return (self.pi - 1).bit_length() + 2

    def __str__(self) -> str:
        return f"A{self.activation}W{self.weight_bits}acc{self.accumulator_bits}x{self.pi}"


CONFIGURATIONS = [
    Configuration(IntFormat(4, False), 4, 32, 1),
    Configuration(IntFormat(4, True), 4, 32, 2),
    Configuration(IntFormat(8, False), 8, 32, 8),
    Configuration(IntFormat(8, True), 8, 32, 3),
    Configuration(IntFormat(12, False), 12, 32, 5),
    Configuration(IntFormat(16, False), 16, 48, 4),
    Configuration(IntFormat(16, True), 16, 48, 16),
    Configuration(IntFormat(7, False), 10, 32, 6),
    Configuration(IntFormat(10, True), 7, 32, 2),
    Configuration(IntFormat(2, False), 8, 32, 7),
    Configuration(IntFormat(8, False), 2, 20, 8),
    Configuration(IntFormat(8, False), 8, 16, 8),  # the adder tree is wider than the accumulator
]
STEPS = (1, 1, 2, 5, 1, 3)  # steps of successive sums, some of one step


@dataclass(frozen=True, slots=True)
class Sum:
    """One sum: activations and weights (steps, PI), which steps lie inside the picture, and the bias."""

    x: np.ndarray
    weight: np.ndarray
    inside: np.ndarray
    bias: int

    def golden(self) -> int:
        """As a 1x1 convolution over as many channels as there are products."""
        x = np.where(self.inside[:, None], self.x, 0).ravel().tolist()
        weight = [[[w]] for w in self.weight.ravel().tolist()]
        return fixed.convolution([[[v]] for v in x], [weight], [self.bias], 1, 0)[0][0][0]


def make_sums(c: Configuration) -> list[Sum]:
    """Random sums, then sums of extreme operands that end exactly at both ends of the accumulator."""
    rng = np.random.default_rng(c.pi)
    found = []
    for steps in STEPS * 4:
        shape = (steps, c.pi)
        x = rng.integers(c.activation.lo, c.activation.hi + 1, shape)
        weight = rng.integers(c.weight.lo, c.weight.hi + 1, shape)
        if c.accumulator_bits < 20:
            weight //= 32  # keeps every partial sum in the accumulator
        found.append(Sum(x, weight, rng.random(steps) < 0.7, int(rng.integers(-300, 300))))
    products = [(x, w) for x in (c.activation.lo, c.activation.hi) for w in (c.weight.lo, -1, 1, c.weight.hi)]
    for x_value, w_value in products:
        for end in (c.accumulator.lo, c.accumulator.hi):
            total = x_value * w_value * c.pi
            if (total < 0) == (end < 0) and c.accumulator.lo <= end - total <= c.accumulator.hi:
                operands = (np.full((1, c.pi), x_value), np.full((1, c.pi), w_value))
                found.append(Sum(*operands, np.array([True]), end - total))
    return found


def rows_of(c: Configuration, sums: list[Sum]) -> list[tuple[int, ...]]:
    """The steps with idle and stalled cycles between them, then idle cycles that let everything out."""
    rows: list[tuple[int, ...]] = []
    ones = (1, 1, 1, (1 << (c.pi * c.activation.bits)) - 1, (1 << (c.pi * c.weight_bits)) - 1, 7)
    for entry in sums:
        last = len(entry.x) - 1
        for step in range(last + 1):
            if len(rows) % 5 == 3:
                rows.append((1, 0, *ones))
            if len(rows) % 7 == 5:
                rows.append((0, 1, *ones))
            x_word = pack_lanes(entry.x[step].tolist(), c.activation.bits)
            weight_word = pack_lanes(entry.weight[step].tolist(), c.weight_bits)
            flags = (int(step == 0), int(step == last), int(entry.inside[step]))
            rows.append((1, 1, *flags, x_word, weight_word, entry.bias))
    return rows + [(1, 0, 0, 0, 0, 0, 0, 0)] * (c.latency + 1)


def make_unit(c: Configuration) -> Unit:
    operands = {
        "first": BIT,
        "last": BIT,
        "in_picture": BIT,
        "x_word": WideFormat(c.pi * c.activation.bits),
        "weight_word": WideFormat(c.pi * c.weight_bits),
        "bias": c.accumulator,
    }
    arguments = {"pi": c.pi, "x_format": c.activation, "weight_bits": c.weight_bits}
    return Unit(mac_unit, operands, c.accumulator, arguments)


@dataclass(frozen=True, slots=True)
class WideFormat:
    """A packed word: unsigned, of any width."""

    bits: int
    signed: bool = False


def assert_bites(c: Configuration, sums: list[Sum]) -> None:
    """Both signs, both ends of the accumulator, steps outside the picture and extreme operands occur."""
    found = [entry.golden() for entry in sums]
    assert len(set(found)) > 10
    assert min(found) < 0 < max(found)
    assert c.accumulator.hi in found
    assert c.accumulator.lo in found
    assert any(not entry.inside.all() for entry in sums)
    if c.accumulator_bits > 16:  # the narrow accumulator cannot hold such a sum
        assert any(entry.inside.all() and (entry.weight == c.weight.lo).all() for entry in sums)
    assert max(found) <= c.accumulator.hi
    assert min(found) >= c.accumulator.lo


@pytest.mark.parametrize("c", CONFIGURATIONS, ids=str)
def test_mac_array_twin_equals_golden(c):
    sums = make_sums(c)
    assert_bites(c, sums)
    results = run_myhdl(make_unit(c), rows_of(c, sums))
    assert [result for _, result in results] == [entry.golden() for entry in sums]


@pytest.mark.parametrize("c", CONFIGURATIONS[:5], ids=str)
def test_mac_array_latency_is_the_stated_one(c):
    one_step = [entry for entry in make_sums(c) if len(entry.x) == 1][:2]
    rows = [row for row in rows_of(c, one_step) if row[:2] == (1, 1)] + [(1, *[0] * 7)] * (c.latency + 1)
    assert [cycle for cycle, _ in run_myhdl(make_unit(c), rows)] == [c.latency, c.latency + 1]


@pytest.mark.hdl
@pytest.mark.skipif(shutil.which("iverilog") is None, reason="iverilog is not installed")
@pytest.mark.parametrize("c", CONFIGURATIONS, ids=str)
def test_mac_array_verilog_equals_golden(c, tmp_path):
    sums = make_sums(c)
    assert run_icarus(make_unit(c), rows_of(c, sums), tmp_path) == [entry.golden() for entry in sums]


@pytest.mark.hdl
@pytest.mark.skipif(shutil.which("ghdl") is None, reason="ghdl is not installed")
@pytest.mark.parametrize("c", CONFIGURATIONS, ids=str)
def test_mac_array_vhdl_equals_golden(c, tmp_path):
    sums = make_sums(c)
    assert run_ghdl(make_unit(c), rows_of(c, sums), tmp_path) == [entry.golden() for entry in sums]
