"""Integers of activation functions, heads and positional encodings, rounded exactly on every machine (SPEC TAB-4).

Nothing here is computed in floating point. Each number is enclosed between two fractions by decimal arithmetic, whose
operations are correctly rounded by their definition, and the enclosure is narrowed until both of its ends round to the
same integer. Ties are known only at zero, where the enclosure is a single number: at every other rational argument
silu, tanh, sigmoid and their inverses are transcendental (Lindemann and Weierstrass), and the sines of rational parts
of a turn are irrational but for 0, 1/2 and 1 (Niven). Of gelu no such proof is known to us, so a number that cannot be
told from a tie is refused, never rounded by luck.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation, Overflow
from fractions import Fraction
from functools import partial
from math import ceil

import numpy as np

from refcodec.enclosures import HALF, SPARE_DIGITS, Enclosure, Step, around, exact, nearest, pi
from refcodec.errors import RangeError
from refcodec.formats import MAX_BITS, IntFormat
from refcodec.layers.positional_encoding import NODE_BITS, NODES
from refcodec.layers.table import MAX_DIRECT_BITS, check_source, check_spacing
from refcodec.layers.threshold_head import THRESHOLDS
from refcodec.program.standard_tables import PLACE_FRACTION, StandardTable

Function = Callable[[Fraction, int], Enclosure]


# --- decimal arithmetic


def _context(digits: int) -> Context:
    """Decimal arithmetic with spare digits, whatever the process has set."""
    traps = [InvalidOperation, DivisionByZero, Overflow]
    return Context(digits + SPARE_DIGITS, ROUND_HALF_EVEN, MIN_EMIN, MAX_EMAX, traps=traps)


def _decimal(value: Fraction, context: Context) -> Decimal:
    return context.divide(Decimal(value.numerator), Decimal(value.denominator))


def _beside(limit: int | Fraction, sign: int, tail: Fraction, digits: int) -> Enclosure:
    """A number that differs from a limit by a positive tail, which is known within 10**-digits."""
    near, far = around(tail, digits)
    ends = limit + sign * max(near, Fraction(0)), limit + sign * far
    return min(ends), max(ends)


# --- activation functions


def _logistic_tail(x: Fraction, digits: int) -> Fraction:
    """1 / (1 + exp(x)) for x > 0."""
    if x > 3 * digits + 2:
        return Fraction(0)  # x / (1 + exp(x)) is below 10**-digits
    context = _context(digits)
    return Fraction(context.divide(Decimal(1), context.add(Decimal(1), context.exp(_decimal(x, context)))))


def _gaussian_tail(x: Fraction, digits: int) -> Fraction:
    """x times the probability that a normal deviate exceeds x, for x > 0.

    The probability is 1/2 - density(x) * (x + x**3 / 3 + x**5 / (3 * 5) + ...), where all terms are positive.
    """
    if x * x > 5 * digits:
        return Fraction(0)  # below exp(-x * x / 2), which is below 10**-digits
    context = _context(digits)
    square = _decimal(x * x, context)
    term = total = _decimal(x, context)
    odd, settled = 3, ceil(2 * x * x)  # from there on a term is less than half the one before it
    last = Decimal((0, (1,), -context.prec))
    while term > last or odd < settled:
        term = context.divide(context.multiply(term, square), Decimal(odd))
        total = context.add(total, term)
        odd += 2
    lo, hi = pi(context.prec)
    circle = _decimal(lo + hi, context)
    density = context.divide(context.exp(_decimal(-x * x / 2, context)), context.sqrt(circle))
    return x * (HALF - Fraction(context.multiply(density, total)))


def gelu(x: Fraction, digits: int) -> Enclosure:
    """x times the probability that a normal deviate is below x, within 10**-digits.

    Source: Hendrycks and Gimpel 2016, the form with the error function.
    """
    return _beside(max(x, Fraction(0)), -1, _gaussian_tail(abs(x), digits), digits) if x else (x, x)


def silu(x: Fraction, digits: int) -> Enclosure:
    """x / (1 + exp(-x)), within 10**-digits."""
    return _beside(max(x, Fraction(0)), -1, abs(x) * _logistic_tail(abs(x), digits), digits) if x else (x, x)


def tanh(x: Fraction, digits: int) -> Enclosure:
    """The hyperbolic tangent, within 10**-digits."""
    sign = 1 if x > 0 else -1
    return _beside(sign, -sign, 2 * _logistic_tail(2 * abs(x), digits), digits) if x else (x, x)


def sigmoid(x: Fraction, digits: int) -> Enclosure:
    """1 / (1 + exp(-x)), within 10**-digits."""
    above = int(x > 0)
    return _beside(above, 1 - 2 * above, _logistic_tail(abs(x), digits), digits) if x else (HALF, HALF)


FUNCTIONS: dict[str, Function] = {"gelu": gelu, "silu": silu, "tanh": tanh, "sigmoid": sigmoid}


# --- tables


def _positive(number: Step, name: str) -> Fraction:
    if not number > 0:
        raise RangeError(f"{name} must be above zero, got {number}")
    return exact(number, name)


def _entries(
    function: Function, values: Iterable[int], source_step: Step, target: IntFormat, target_step: Step
) -> np.ndarray:
    """The function at values of the source, in units of the target, rounded and limited, int32."""
    unit, wanted = _positive(source_step, "source step"), _positive(target_step, "target step")

    def entry(value: int) -> int:
        def enclose(digits: int) -> Enclosure:
            lo, hi = function(value * unit, digits)
            return lo / wanted, hi / wanted

        return min(max(nearest(enclose), target.lo), target.hi)

    entries = np.array([entry(value) for value in values], np.int64)
    IntFormat(32, True).check(entries, "entries")
    return entries.astype(np.int32)


def activation_table(
    function: Function, source: IntFormat, source_step: Step, target: IntFormat, target_step: Step
) -> np.ndarray:
    """The entries of a direct table of a function (SPEC TAB-1, TAB-3).

    function  such as `gelu`;  source  2..10 bits;  source_step, target_step  what one unit of either format means.
    Returns (2**bits,) int32: nearest integers, halves towards +infinity, limited to `target`.  Raises RangeError.
    """
    check_source(source, MAX_DIRECT_BITS)
    return _entries(function, range(source.lo, source.hi + 1), source_step, target, target_step)


def activation_nodes(
    function: Function, source: IntFormat, source_step: Step, target: IntFormat, target_step: Step, spacing: int
) -> np.ndarray:
    """The nodes of an interpolated table of a function (SPEC TAB-2, TAB-3).

    source  2..16 bits;  spacing  nodes stand 2**spacing apart, 1..bits - 1;  the rest as for `activation_table`.
    Returns (2**(bits - spacing) + 1,) int32; the last one belongs to one beyond the largest value.  Raises RangeError.
    """
    check_spacing(spacing, source)
    return _entries(function, range(source.lo, source.hi + 2, 1 << spacing), source_step, target, target_step)


# --- heads


def head_thresholds(function: Function, steps: Sequence[Step]) -> np.ndarray:
    """The thresholds of an exact head: what 255 * function rounds to, for every accumulator (SPEC HEAD-1).

    function  `sigmoid`, or `tanh` for (tanh(x) + 1) / 2;  steps  (C,) what one unit of each accumulator means.
    Returns (C, 255) int64, within what an accumulator of 48 bits can tell apart.  Raises RangeError.

    Sample k begins where the head reaches (2k - 1) / 510, which is at x = ln((2k - 1) / (511 - 2k)) for the sigmoid and
    at half of that for the other. For k = 128 that is zero, which rounds up; all others are irrational.
    """
    scale = _head_scale(function)
    units = [scale * _positive(step, "step") for step in steps]
    lo, hi = -(1 << MAX_BITS - 1) - 1, (1 << MAX_BITS - 1) - 1
    rows = [[min(max(_threshold(k, unit), lo), hi) for k in range(1, THRESHOLDS + 1)] for unit in units]
    return np.array(rows, np.int64).reshape(-1, THRESHOLDS)


def _head_scale(function: Function) -> int:
    """What the argument of a sigmoid is, in those of the head: (tanh(x) + 1) / 2 is the sigmoid of 2x."""
    if function not in (tanh, sigmoid):
        raise RangeError("an exact head is a sigmoid or a tanh")
    return 1 if function is sigmoid else 2


def place(k: int, unit: Fraction, digits: int) -> Enclosure:
    """Where sample k = 1 .. 255 of a sigmoid begins, x = ln((2k - 1) / (511 - 2k)), in units."""
    ratio = Fraction(2 * k - 1, 2 * (THRESHOLDS + 1) - 1 - 2 * k)
    if ratio == 1:
        return Fraction(0), Fraction(0)
    context = _context(digits)
    lo, hi = around(Fraction(context.ln(_decimal(ratio, context))), digits)
    return lo / unit, hi / unit


def _threshold(k: int, unit: Fraction) -> int:
    """The largest accumulator whose sample is below k."""

    def enclose(digits: int) -> Enclosure:
        lo, hi = place(k, unit, digits)
        return lo - HALF, hi - HALF

    return nearest(enclose) if 2 * k != THRESHOLDS + 1 else -1


# --- positional encodings


def sine_nodes() -> np.ndarray:
    """A quarter of a sine wave in units of 2**-24 (SPEC PE-1).

    Returns (1025,) int32, each the nearest integer.
    """
    inside = [nearest(partial(sine_node, k)) for k in range(1, NODES - 1)]
    return np.array([0, *inside, 1 << NODE_BITS], np.int32)


def sine_node(k: int, digits: int) -> Enclosure:
    """The sine of k / 1024 of a quarter turn, in units of 2**-24, by its series."""
    context = _context(digits)
    lo, hi = pi(context.prec)
    angle = _decimal(k * (lo + hi) / (4 * (NODES - 1)), context)
    square = context.minus(context.multiply(angle, angle))
    term = total = angle
    odd = 3
    while abs(term) > Decimal((0, (1,), -context.prec)):
        term = context.divide(context.multiply(term, square), Decimal(odd * (odd - 1)))
        total = context.add(total, term)
        odd += 2
    lo, hi = around(Fraction(total), digits)
    return lo * (1 << NODE_BITS), hi * (1 << NODE_BITS)


# --- shipped tables


def build_table(standard: StandardTable) -> np.ndarray:
    """Recompute the entries or nodes of a shipped table of a function, int32 (SPEC TAB-4)."""
    steps = Fraction(1, 1 << standard.source_fraction), Fraction(1, 1 << standard.target_fraction)
    common = FUNCTIONS[standard.function], standard.source, steps[0], standard.target, steps[1]
    return activation_nodes(*common, standard.spacing) if standard.spacing else activation_table(*common)


def build_places(function: Function) -> np.ndarray:
    """Recompute where each sample of an exact head begins, in units of 2**-40 (SPEC TAB-4).

    function  `sigmoid`, or `tanh` for (tanh(x) + 1) / 2.  Returns (255,) int64, nearest.  Raises RangeError.
    """
    unit = _head_scale(function) * Fraction(1, 1 << PLACE_FRACTION)
    return np.array([nearest(partial(place, k, unit)) for k in range(1, THRESHOLDS + 1)], np.int64)
