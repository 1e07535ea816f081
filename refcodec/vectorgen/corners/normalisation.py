"""Cases for leaky rectifiers, divisive and layer normalisation: constructed corners, then drawn values (SPEC VEC-2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from refcodec.formats import IntFormat
from refcodec.program.operations.gdn import Gdn, InverseGdn
from refcodec.program.operations.layer_norm import LayerNorm
from refcodec.program.operations.leaky_requantise import LeakyRequantise
from refcodec.vectorgen.case import Case
from refcodec.vectorgen.draw import draw_between
from refcodec.vectorgen.operation_case import operation_case

S4, S8, S12, S16, S32, S48 = (IntFormat(bits, True) for bits in (4, 8, 12, 16, 32, 48))
U1, U8, U12, U16 = (IntFormat(bits, False) for bits in (1, 8, 12, 16))
LEAKY = ("LEAKY-1", "LEAKY-2", "RQ-1")
FORWARD = ("GDN-1", "GDN-2", "GDN-3", "DIV-1")
INVERSE = ("GDN-1", "GDN-2", "GDN-4", "RQ-1")
LAYER = ("LN-1", "ISQRT-1", "DIV-1")
TOP = (1 << 47) - 1  # the largest norm, and the largest product


def row(*values: int, channels: int = 1) -> np.ndarray:
    """The same row of samples for every channel."""
    return np.tile(np.array(values, np.int64), (channels, 1, 1))


# --- leaky rectifiers


def leaky_requantise_cases() -> Iterator[Case]:
    """Ties, slopes of 0, of 1 and between, both profiles with their extremes, and illegal slopes."""
    ties = row(*(2 * k + d for k in range(-15, 16, 2) for d in (-1, 0, 1)), -1000, 1000, channels=3)
    comment = "halves on both sides of zero, at three slopes: catches a magnitude that is rounded, and slopes exchanged"
    yield _leaky("ties", ties, [3, 5, 7], [3, 1, 0], [2, 2, 2], S32, S4, comment, "Tie", "TieNeighbour", "Negative")
    for source, bits in ((S32, 31), (S48, 15)):
        most = (1 << bits) - 1
        rows = [(most, n, s) for n in (most, most - 1, 1, 0) for s in (1, 15, 31, 47, 62)]
        ends = row(source.lo, source.lo + 1, -1, 0, 1, source.hi - 1, source.hi, channels=len(rows))
        multiplier, negative, shift = (list(column) for column in zip(*rows, strict=True))
        comment = "extreme accumulators with extreme multipliers: catches products that have fewer bits than they need"
        flags = "ExtremeAccumulator", "SaturateLow", "SaturateHigh"
        yield _leaky(f"ends-{source}", ends, multiplier, negative, shift, source, S8, comment, *flags)
    for label, multiplier, negative, shift, comment in (
        ("steeper", [5], [6], [1], "the negative slope exceeds the other"),
        ("negative", [5], [-1], [1], "a slope below zero"),
        ("wide", [1 << 15], [1], [1], "a multiplier of 16 bits for an accumulator of 48"),
        ("shift", [5], [1], [63], "a shift beyond 62"),
    ):
        op = LeakyRequantise("leaky", "x", "y", np.array(multiplier), np.array(negative), np.array(shift))
        formats, inputs = {"x": S48, "y": S8}, {"x": row(-1, 1)}
        yield operation_case(
            f"invalid-{label}", op, formats, inputs, ("LEAKY-2", "RQ-2"), comment, error="RC-MODEL-RANGE"
        )


def _leaky(
    label: str, x: np.ndarray, multiplier: Any, negative: Any, shift: Any, source: IntFormat, target: IntFormat,
    comment: str, *flags: str,
) -> Case:  # fmt: skip
    op = LeakyRequantise("leaky", "x", "y", np.array(multiplier), np.array(negative), np.array(shift))
    return operation_case(label, op, {"x": source, "y": target}, {"x": x}, LEAKY, comment, flags)


# --- divisive normalisation


def forward(gamma: Any, beta: Any, squared: bool, **changes: Any) -> Gdn:
    """A layer of the narrowest gamma format, a norm of 48 bits, scale 1 and offset 0, with changes."""
    gamma, count = np.array(gamma), len(beta)
    fields: dict[str, Any] = {"norm_shift": 0, "fraction": 0, "scale": [1] * count, "offset": [0] * count} | changes
    fmt = IntFormat(max(int(gamma.max()).bit_length(), 1), False)
    scale, offset = np.array(fields["scale"]), np.array(fields["offset"])
    constants = gamma, np.array(beta), scale, offset
    return Gdn("gdn", "x", "y", fmt, S48, squared, fields["norm_shift"], fields["fraction"], *constants)


def gdn_cases() -> Iterator[Case]:
    """Both norms: ties, the matrix, divisors of 1, shifts and roots at their steps, extremes, and illegal layers."""
    op = forward([[0]], [4], False, scale=[2])
    comment = "halves on both sides of zero: catches quotients cut towards zero, and rounding away from it or to even"
    yield _forward("ties", op, row(*range(-9, 10)), S8, S8, comment, "Tie", "Negative")
    op = forward([[0]], [1], True, scale=[3], offset=[-1])
    ends = row(S8.lo, S8.lo + 1, -3, -2, -1, 0, 1, 2, 3, S8.hi - 1, S8.hi)
    comment = "divisor 1 and gamma 0, results below and above the limits: catches saturation that wraps"
    yield _forward("one", op, ends, S8, S4, comment, "SaturateLow", "SaturateHigh", "DivisorOne")
    for squared, scale in ((False, [900, -700, 500]), (True, [100, -90, 60])):
        op = forward([[1, 20, 3], [0, 5, 60], [7, 0, 2]], [9, 4, 1], squared, scale=scale, offset=[0, 3, -2])
        comment = "catches gamma transposed, beta of another channel, and norms of values already divided"
        x = draw_between(1, (3, 2, 3), -128, 127)
        yield _forward(f"matrix-{'root' if squared else 'sum'}", op, x, S8, S8, comment, "Negative")
    yield from _norm_steps()
    yield from _forward_extremes()
    yield from _forward_invalid()


def double_trap() -> tuple[int, int]:
    """A norm whose 15-fold doubling is n**2 - 1, and that n, nearly 2**31."""
    m = (1 << 17) - 1
    return (m * m << 13) + m, (m << 14) + 1


def _norm_steps() -> Iterator[Case]:
    pairs = [(n, n * n + d) for n in (2, 1000, (1 << 23) - 2) for d in (-1, 0, 1)]
    scale = [(21 * n - 1) // 2 for n, _ in pairs]  # just below 10.5 over n, above it over n - 1
    op = forward(np.zeros((9, 9), int), [norm for _, norm in pairs], True, scale=scale)
    comment = "norms of n**2 - 1, n**2 and n**2 + 1: catches a root that is rounded"
    yield _forward("roots", op, row(-1, 1, channels=9), S8, S8, comment, "RootStep")
    beta, n = double_trap()
    op = forward([[0]], [beta], True, norm_shift=15, scale=[(21 * n - 1) // 2])
    comment = "a radicand of n**2 - 1 with 62 bits, whose root is n in a double: catches a root that is found there"
    yield _forward("root-double", op, row(-1, 1), S8, S8, comment, "RootStep")
    op = forward([[16]], [8], False, norm_shift=4, scale=[1000])
    # 28772 * 31618487582679 = 101 * 2**53 - 4, over a denominator of 2**54
    op = forward([[0]], [1 << 38], False, scale=[31618487582679], fraction=16)
    comment = "just below half: catches quotients in binary64"
    yield _forward("beside-tie", op, row(-28772, 0, 28772), S16, S16, comment, "TieNeighbour")
    op = forward([[16]], [8], False, norm_shift=4, scale=[1000])
    comment = "norms half-way between two divisors: catches shifts that cut, and rounding to even"
    yield _forward("shifted", op, row(*range(-6, 7)), S8, S16, comment, "Tie")


def _forward_extremes() -> Iterator[Case]:
    ends = row(S16.lo, S16.lo + 1, -1, 0, 1, S16.hi)
    beta = TOP - 65535 * (1 << 30)
    op = forward([[65535]], [beta], True, norm_shift=15, fraction=14, scale=[1 << 44])
    comment = "the norm reaches 2**47 - 1 and the radicand 62 bits: catches sums and roots of fewer bits"
    yield _forward("widest-root", op, ends, S16, S16, comment, "ExtremeAccumulator")
    op = forward([[65535]], [TOP - 65535 * (1 << 15)], False, norm_shift=3, fraction=2, scale=[(1 << 45) - 1])
    comment = "the norm reaches 2**47 - 1 and the numerator 60 bits: catches sums of fewer bits"
    yield _forward("widest-sum", op, ends, S16, S16, comment, "ExtremeAccumulator")
    op = forward([[1]], [1], True, fraction=16, scale=[30000 << 16], offset=[-1 << 20])
    comment = "squares of 16 bits without a sign need 32: catches operands of 31 bits"
    yield _forward("unsigned", op, row(0, 1, 2, 46340, 46341, 65534, 65535), U16, S16, comment, "ExtremeAccumulator")
    for squared in (False, True):
        gamma = draw_between(3, (4, 4), 0, 255) * (draw_between(4, (4, 4), 0, 2) > 0)
        x, beta_drawn = draw_between(5, (4, 2, 4), S12.lo, S12.hi), draw_between(6, (4,), 1, 1 << 16)
        tail = {"scale": draw_between(7, (4,), -(1 << 20), 1 << 20), "offset": draw_between(8, (4,), -4000, 4000)}
        op = forward(gamma, beta_drawn, squared, norm_shift=6 if squared else 2, fraction=8, **tail)
        yield _forward(f"drawn-{'root' if squared else 'sum'}", op, x, S12, S12, "drawn values", "Negative")


def _forward_invalid() -> Iterator[Case]:
    wide = {"scale": [1 << 45]}
    for label, op, source, code, comment in (
        ("beta", forward([[1]], [0], False), S8, "RC-MODEL-RANGE", "beta of 0"),
        ("divisor", forward([[1]], [7], False, norm_shift=4), S8, "RC-MODEL-RANGE", "beta shifts to a divisor of 0"),
        ("shift", forward([[1]], [1], True, norm_shift=17), S8, "RC-MODEL-RANGE", "a root's shift beyond 16"),
        ("norm", forward([[1]], [TOP], False), S8, "RC-MODEL-OVERFLOW", "norms beyond 48 bits"),
        ("radicand", forward([[1]], [1 << 46], True, norm_shift=16), S8, "RC-MODEL-OVERFLOW", "a radicand of 63 bits"),
        ("numerator", forward([[1]], [1], False, **wide), S16, "RC-MODEL-OVERFLOW", "a numerator of 61 bits"),
    ):
        formats, inputs = {"x": source, "y": S8}, {"x": row(-1, 1)}
        yield operation_case(f"invalid-{label}", op, formats, inputs, ("GDN-5",), comment, error=code)


def _forward(
    label: str, op: Gdn, x: np.ndarray, source: IntFormat, target: IntFormat, comment: str, *flags: str
) -> Case:
    clauses = (*FORWARD, "ISQRT-1") if op.squared else FORWARD
    return operation_case(label, op, {"x": source, "y": target}, {"x": x}, clauses, comment, flags)


# --- its inverse


def inverse(gamma: Any, beta: Any, squared: bool, product: IntFormat, **changes: Any) -> InverseGdn:
    """A layer of the narrowest gamma format, a norm of 48 bits, offset 0, multiplier 1 and shift 1, with changes."""
    gamma, count = np.array(gamma), len(beta)
    fields: dict[str, Any] = {
        "norm_shift": 0,
        "offset": [0] * count,
        "multiplier": [1] * count,
        "shift": [1] * count,
    } | changes
    fmt = IntFormat(max(int(gamma.max()).bit_length(), 1), False)
    constants = (np.array(fields[name]) for name in ("offset", "multiplier", "shift"))
    head = ("inverse_gdn", "x", "y", fmt, S48, product, squared, fields["norm_shift"])
    return InverseGdn(*head, gamma, np.array(beta), *constants)


def inverse_gdn_cases() -> Iterator[Case]:
    """Both norms: ties, the matrix, shifts and roots at their steps, both profiles at their ends, illegal layers."""
    op = inverse([[0]], [3], False, S32)
    comment = "halves on both sides of zero and both ends: catches rounding away from zero or to even, and wrapping"
    x = row(S8.lo, *range(-7, 8), S8.hi)
    yield _inverse("ties", op, x, S8, S4, comment, "Tie", "Negative", "SaturateLow", "SaturateHigh")
    for squared in (False, True):
        tail = {"offset": [0, 300, -200], "multiplier": [70, 50, 90], "shift": [12, 11, 13]}
        op = inverse([[1, 20, 3], [0, 5, 60], [7, 0, 2]], [9, 4, 1], squared, S32, **tail)
        comment = "catches gamma transposed, beta of another channel, and norms of values already multiplied"
        x = draw_between(11, (3, 2, 3), -128, 127)
        yield _inverse(f"matrix-{'root' if squared else 'sum'}", op, x, S8, S16, comment, "Negative")
    gamma = draw_between(13, (4, 4), 0, 255) * (draw_between(14, (4, 4), 0, 2) > 0)
    drawn: dict[str, Any] = {"multiplier": draw_between(16, (4,), 1, 32767), "shift": [28, 27, 29, 28]}
    op = inverse(gamma, draw_between(15, (4,), 1, 1 << 16), True, S48, norm_shift=1, **drawn)
    yield _inverse("drawn-root", op, draw_between(17, (4, 2, 4), S12.lo, S12.hi), S12, S12, "drawn values", "Negative")
    yield from _inverse_extremes()
    yield from _inverse_invalid()


def _inverse_extremes() -> Iterator[Case]:
    pairs = [(n, n * n + d) for n in (2, 1000, (1 << 23) - 2) for d in (-1, 0, 1)]
    offset = [-100 * n for n, _ in pairs]  # leaves 100 times what the root is wrong by
    op = inverse(np.zeros((9, 9), int), [norm for _, norm in pairs], True, S48, offset=offset)
    comment = "norms of n**2 - 1, n**2 and n**2 + 1: catches a root that is rounded"
    yield _inverse("roots", op, row(99, 100, channels=9), S8, S16, comment, "RootStep")
    op = inverse([[16]], [8], False, S32, norm_shift=4)
    comment = "norms half-way between two divisors: catches shifts that cut, and rounding to even"
    yield _inverse("shifted", op, row(*range(-6, 7)), S8, S16, comment, "Tie")
    ends = row(S16.lo, S16.lo + 1, -1, 0, 1, S16.hi)
    for product, bits, divisor in ((S48, 15, TOP >> 15), (S32, 31, 65535)):
        rest = product.hi - (divisor << 15)
        tail = {"offset": [rest], "multiplier": [(1 << bits) - 1], "shift": [product.bits + bits - 15]}
        op = inverse([[1]], [divisor - (1 << 15)], False, product, **tail)
        comment = "the product reaches the end of its format: catches products of fewer bits"
        yield _inverse(f"widest-{product}", op, ends, S16, S16, comment, "ExtremeAccumulator")


def _inverse_invalid() -> Iterator[Case]:
    for label, op, code, comment in (
        ("divisor", inverse([[1]], [7], False, S32, norm_shift=4), "RC-MODEL-RANGE", "beta shifts to a divisor of 0"),
        ("product", inverse([[1]], [1 << 24], False, S32), "RC-MODEL-OVERFLOW", "a product of 33 bits"),
        ("profile", inverse([[1]], [1], False, S48, multiplier=[1 << 15]), "RC-MODEL-RANGE", "a multiplier of 16 bits"),
        ("shifts", inverse([[1]], [1], False, S48, shift=[1, 1]), "RC-MODEL-TENSOR", "two shifts for one channel"),
    ):
        formats, inputs = {"x": S8, "y": S8}, {"x": row(-1, 1)}
        yield operation_case(f"invalid-{label}", op, formats, inputs, ("GDN-5", "RQ-2"), comment, error=code)


def _inverse(
    label: str, op: InverseGdn, x: np.ndarray, source: IntFormat, target: IntFormat, comment: str, *flags: str
) -> Case:
    clauses = (*INVERSE, "ISQRT-1") if op.squared else INVERSE
    return operation_case(label, op, {"x": source, "y": target}, {"x": x}, clauses, comment, flags)


# --- layer normalisation


def layer(scale: Any, offset: Any, epsilon: int = 1, root_shift: int = 0, fraction: int = 0) -> LayerNorm:
    """A layer of those constants."""
    return LayerNorm("norm", "x", "y", epsilon, root_shift, fraction, np.array(scale), np.array(offset))


def layer_norm_cases() -> Iterator[Case]:
    """Ties, roots at their steps, one channel, equal channels, the largest spread and sums, and illegal layers."""
    x = np.array([[[3, -4, 1, 0]], [[-4, 3, 0, 1]]])
    for name, epsilon in (("below", 14), ("at", 15), ("above", 16)):
        comment = "a radicand beside 64: catches a root that is rounded"
        op = layer([8, 8], [0, 0], epsilon)
        yield _layer(f"root-{name}", op, x, S8, S8, comment, "RootStep")
    comment = "halves on both sides of zero: catches rounding away from zero, to even, and quotients cut towards zero"
    op = layer([1, 3], [0, 0], 3)
    yield _layer("ties", op, np.array([[[1, 0, 7]], [[0, 1, 7]]]), S8, S8, comment, "Tie", "Negative")
    op = layer([5 << 4], [-7], 9, 2, 4)
    yield _layer("single", op, row(-128, 0, 127), S8, S8, "one channel is its own mean: only the offset stays", "Equal")
    op = layer([90, -90, 45], [33, -48, 8], 5, 3, 4)
    x = np.array([[[7, -128, 0, 127]], [[7, -128, 1, -128]], [[7, -128, -1, 127]]])
    comment = "equal channels, then different ones: catches a spread of zero, and scales of another channel"
    yield _layer("equal", op, x, S8, S12, comment, "Equal", "Negative")
    op = layer([-3000, 3000, 1500, 100], [100, -100, 0, 0], 2, 1, 3)
    ends = np.array([[[-128, 127, 127]], [[127, -128, -128]], [[-128, 127, 0]], [[127, 127, -1]]])
    n = 1 << 30
    op = layer([(21 * n - 1) // 2, 0], [0, 0], n * n - 2)
    comment = "a radicand of n**2 - 1 with 60 bits, whose root is n in a double: catches a root that is found there"
    yield _layer("root-double", op, np.array([[[1, 0]], [[0, 1]]]), S8, S8, comment, "RootStep")
    op = layer([-3000, 3000, 1500, 100], [100, -100, 0, 0], 2, 1, 3)
    comment = "the largest spread, and results beyond both limits: catches sums of fewer bits and saturation that wraps"
    yield _layer("ends", op, ends, S8, S8, comment, "SaturateLow", "SaturateHigh")
    yield from _layer_extremes()
    yield from _layer_invalid()


def _layer_extremes() -> Iterator[Case]:
    x = np.where(np.arange(16)[:, None, None] % 2 == 0, S16.lo, S16.hi) + np.zeros((16, 1, 2), np.int64)
    x[:8, 0, 1] = S16.lo
    epsilon = (1 << 38) - 64 * 65535**2
    op = layer([1 << 24, -(1 << 24)] * 8, [1 << 20] * 16, epsilon - 1, 24, 8)
    comment = "half of the channels at either end, the radicand 62 bits wide: catches sums and roots of fewer bits"
    yield _layer("widest", op, x, S16, S16, comment, "ExtremeAccumulator")
    x = np.array([[[65535, 0, 65535]], [[0, 65535, 65535]], [[0, 0, 65535]]])
    comment = "catches values without a sign that are read with one"
    yield _layer("unsigned", layer([4096] * 3, [0, 1, -1], 1, 8, 0), x, U16, S16, comment, "ExtremeAccumulator")
    op = layer(draw_between(21, (6,), -4000, 4000), draw_between(22, (6,), -900, 900), 1000, 6, 4)
    yield _layer("drawn", op, draw_between(23, (6, 3, 4), S12.lo, S12.hi), S12, S12, "drawn values", "Negative")


def _layer_invalid() -> Iterator[Case]:
    for label, op, code, comment in (
        ("epsilon", layer([1, 1], [0, 0], 0), "RC-MODEL-RANGE", "epsilon of 0 lets the spread be 0"),
        ("shift", layer([1, 1], [0, 0], 1, 32), "RC-MODEL-RANGE", "a root's shift beyond 31"),
        ("fraction", layer([1, 1], [0, 0], 1, 0, 17), "RC-MODEL-RANGE", "a fraction beyond 16"),
        ("radicand", layer([1, 1], [0, 0], 1 << 60, 2), "RC-MODEL-OVERFLOW", "a radicand of 63 bits"),
        ("numerator", layer([1, 1], [1 << 46, 0], 1, 31), "RC-MODEL-OVERFLOW", "a numerator of 70 bits"),
        ("scale", layer([1], [0]), "RC-MODEL-TENSOR", "one scale for two channels"),
    ):
        formats, inputs = {"x": S8, "y": S8}, {"x": row(-1, 1, channels=2)}
        yield operation_case(f"invalid-{label}", op, formats, inputs, ("LN-2",), comment, error=code)


def _layer(
    label: str, op: LayerNorm, x: np.ndarray, source: IntFormat, target: IntFormat, comment: str, *flags: str
) -> Case:
    return operation_case(label, op, {"x": source, "y": target}, {"x": x}, LAYER, comment, flags)


def cases() -> Iterator[Case]:
    """All cases of this group."""
    yield from leaky_requantise_cases()
    yield from gdn_cases()
    yield from inverse_gdn_cases()
    yield from layer_norm_cases()
