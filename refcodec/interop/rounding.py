"""How other integer runtimes requantise: informative, and no part of a decoder (SPEC INTEROP-1).

Every function is named by its whole behaviour. All take the scale as multiplier / 2**shift, so that one row of
constants can be compared across runtimes. As in `refcodec.fixed`, they are total on the declared domain, check
nothing, and are quoted in SPEC.md word for word.
"""

from __future__ import annotations

from refcodec.fixed import clip, rounding_shift


def half_even_shift(value: int, shift: int) -> int:
    """Divide by 2**shift, halves to the even neighbour (SPEC INTEROP-2).

    value  any integer;  shift  0 or more.  Source: IEEE 754 roundTiesToEven.
    """
    quotient = value >> shift
    doubled_rest = 2 * (value - (quotient << shift))
    if doubled_rest > 1 << shift or (doubled_rest == 1 << shift and quotient % 2 == 1):
        return quotient + 1
    return quotient


def half_even_requantise_zero_point_after(
    accumulator: int, multiplier: int, shift: int, zero_point: int, lo: int, hi: int
) -> int:
    """Scale, round halves to even, add the zero point, saturate (SPEC INTEROP-3).

    accumulator, multiplier  any integers;  shift  0 or more.  Source: ONNX QuantizeLinear and QLinearMatMul.
    """
    return clip(half_even_shift(accumulator * multiplier, shift) + zero_point, lo, hi)


def half_even_requantise_zero_point_before(
    accumulator: int, multiplier: int, shift: int, zero_point: int, lo: int, hi: int
) -> int:
    """Scale, add the zero point, round halves to even, saturate (SPEC INTEROP-4).

    accumulator, multiplier  any integers;  shift  0 or more.  Source: QLinearConv of the ONNX reference evaluator.
    """
    return clip(half_even_shift(accumulator * multiplier + (zero_point << shift), shift), lo, hi)


def half_even_significand(value: int, bits: int) -> int:
    """The nearest integer of at most `bits` significant bits, halves to the even one (SPEC INTEROP-5).

    value  below 2**(bits + 63) in magnitude;  bits  1 or more, 24 for binary32.
    """
    magnitude = abs(value)
    excess = 0
    for step in (32, 16, 8, 4, 2, 1):
        if magnitude >> (bits + excess + step - 1) > 0:
            excess = excess + step
    return half_even_shift(value, excess) << excess


def half_even_requantise_single_precision(
    accumulator: int, significand: int, shift: int, zero_point: int, lo: int, hi: int
) -> int:
    """Requantise as binary32 does: accumulator, product and result are each rounded to even (SPEC INTEROP-6).

    accumulator  32 bits;  significand  0 .. 2**24 - 1;  shift  0 .. 126.
    Source: QLinearConv of onnxruntime; XNNPACK's convolutions of 8 bits.
    """
    product = half_even_significand(half_even_significand(accumulator, 24) * significand, 24)
    return clip(half_even_shift(product, shift) + zero_point, lo, hi)


def saturating_rounding_doubling_high_multiply(left: int, right: int, bits: int) -> int:
    """The high half of twice the product, halves towards +infinity (SPEC INTEROP-7).

    left, right  signed integers of `bits` bits.  Source: gemmlowp SaturatingRoundingDoublingHighMul, 16 and 32 bits.
    """
    if left == right and left == -(1 << (bits - 1)):
        return (1 << (bits - 1)) - 1
    return rounding_shift(left * right, bits - 1)


def half_away_shift(value: int, shift: int) -> int:
    """Divide by 2**shift, halves away from zero (SPEC INTEROP-8).

    value  any integer;  shift  0 or more.  Source: gemmlowp RoundingDivideByPOT.
    """
    return rounding_shift(value, shift) if value >= 0 else -rounding_shift(-value, shift)


def doubly_rounded_requantise_half_up_half_away(
    accumulator: int, multiplier: int, shift: int, zero_point: int, lo: int, hi: int
) -> int:
    """Round a product by 31 bits half up, then by the others half away from zero (SPEC INTEROP-9).

    accumulator  32 bits, still so when multiplied by 2**(31 - shift);  multiplier  0 .. 2**31 - 1;  shift  1 .. 62.
    Source: MultiplyByQuantizedMultiplier of TensorFlow Lite's reference kernels; TOSA RESCALE with double rounding.
    """
    left = 31 - shift if shift < 31 else 0
    right = shift - 31 if shift > 31 else 0
    high = saturating_rounding_doubling_high_multiply(accumulator << left, multiplier, 32)
    return clip(half_away_shift(high, right) + zero_point, lo, hi)


def doubly_rounded_requantise_half_up_half_up(
    accumulator: int, multiplier: int, shift: int, zero_point: int, lo: int, hi: int
) -> int:
    """Round a product by 31 bits half up, then by the others half up (SPEC INTEROP-10).

    accumulator  32 bits, still so when multiplied by 2**(31 - shift);  multiplier  0 .. 2**31 - 1;  shift  1 .. 62.
    Source: TensorFlow Lite's optimised convolutions of 8 bits.
    """
    left = 31 - shift if shift < 31 else 0
    right = shift - 31 if shift > 31 else 0
    high = saturating_rounding_doubling_high_multiply(accumulator << left, multiplier, 32)
    return clip(rounding_shift(high, right) + zero_point, lo, hi)


def half_up_requantise_q15(accumulator: int, multiplier: int, shift: int, lo: int, hi: int) -> int:
    """Round the multiplier itself to 15 bits, then scale by it, halves towards +infinity (SPEC INTEROP-11).

    accumulator  48 bits, the scaled one 32 bits;  multiplier  0 .. 2**31 - 1;  shift  24 .. 62.
    Source: MultiplyByQuantizedMultiplier for 64 bits of TensorFlow Lite, where activations have 16 bits.
    """
    reduced = rounding_shift(multiplier, 16) if multiplier < 0x7FFF0000 else 0x7FFF
    return clip(rounding_shift(accumulator * reduced, shift - 16), lo, hi)


def floor_requantise(accumulator: int, multiplier: int, shift: int, lo: int, hi: int) -> int:
    """Scale and round towards -infinity, saturate (SPEC INTEROP-12).

    accumulator, multiplier  any integers;  shift  0 or more.
    Source: the fixed-point networks of SADL and of Cool-chic, whose scales are powers of two.
    """
    return clip((accumulator * multiplier) >> shift, lo, hi)
