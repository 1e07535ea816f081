"""The executable specification: the arithmetic of SPEC.md in plain Python integers.

SPEC.md quotes these functions word for word and a test compares the two. They are total on the domain that
their clause declares, they check nothing, and they are slow: `refcodec.layers` holds the same arithmetic on
arrays, and refuses what is outside the domain.
"""

from __future__ import annotations

from collections.abc import Sequence

Plane = Sequence[Sequence[int]]
Volume = Sequence[Plane]


def rounding_shift(value: int, shift: int) -> int:
    """Divide by 2**shift, halves towards +infinity (SPEC RND-1).

    value  any integer;  shift  0 or more.
    """
    return (value + (1 << shift >> 1)) >> shift


def clip(value: int, lo: int, hi: int) -> int:
    """Limit to lo .. hi (SPEC CLIP-1)."""
    if value < lo:
        return lo
    if value > hi:
        return hi
    return value


def relu(value: int) -> int:
    """Replace negative values by zero (SPEC CLIP-2)."""
    return value if value > 0 else 0


def requantise(accumulator: int, multiplier: int, shift: int, lo: int, hi: int) -> int:
    """Scale by multiplier / 2**shift, round once, saturate (SPEC RQ-1).

    accumulator  -2**31 .. 2**31 - 1 with multiplier 0 .. 2**31 - 1, or
                 -2**47 .. 2**47 - 1 with multiplier 0 .. 2**15 - 1;  shift  1 .. 62.
    """
    return clip(rounding_shift(accumulator * multiplier, shift), lo, hi)


def latent_mean(symbol: int, mean: int, fraction: int) -> int:
    """Add a fixed-point mean to a decoded symbol (SPEC MEAN-1).

    symbol  -2**15 .. 2**15 - 1;  mean  in units of 2**-fraction;  fraction  0 .. 16.
    """
    return (symbol << fraction) + mean


def scale_index(accumulator: int, thresholds: Sequence[int]) -> int:
    """Count the thresholds below the accumulator (SPEC SCALE-1).

    thresholds  63 integers that never decrease.  Returns 0 .. 63.
    """
    index = 0
    for threshold in thresholds:
        if accumulator > threshold:
            index = index + 1
    return index


def convolution_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Output length of a convolution along one axis (SPEC CONV-1)."""
    return (size + 2 * padding - kernel) // stride + 1


def convolution(x: Volume, weight: Sequence[Volume], bias: Sequence[int], stride: int, padding: int) -> Volume:
    """Correlate with a square kernel, zeros outside the input (SPEC CONV-2).

    x  [C][H][W];  weight  [O][C][K][K];  bias  [O].  Returns accumulators [O][H'][W'].
    """
    kernel = len(weight[0][0])
    height = len(x[0])
    width = len(x[0][0])
    out = []
    for o in range(len(weight)):
        plane = []
        for oy in range(convolution_size(height, kernel, stride, padding)):
            row = []
            for ox in range(convolution_size(width, kernel, stride, padding)):
                acc = bias[o]
                for ky in range(kernel):
                    for kx in range(kernel):
                        iy = oy * stride - padding + ky
                        ix = ox * stride - padding + kx
                        if 0 <= iy < height and 0 <= ix < width:
                            for c in range(len(x)):
                                acc = acc + x[c][iy][ix] * weight[o][c][ky][kx]
                row.append(acc)
            plane.append(row)
        out.append(plane)
    return out


def transposed_size(size: int, kernel: int, stride: int, padding: int, output_padding: int) -> int:
    """Output length of a transposed convolution along one axis (SPEC TCONV-1)."""
    return (size - 1) * stride - 2 * padding + kernel + output_padding


def phase_taps(kernel: int, stride: int, padding: int, phase: int) -> list[tuple[int, int]]:
    """Kernel taps that reach the outputs of one phase, and their input offsets (SPEC TCONV-2).

    Output stride * m + phase reads, through tap k, input m + offset.  Returns (k, offset) pairs, k rising.
    """
    taps = []
    for k in range(kernel):
        if (phase + padding - k) % stride == 0:
            taps.append((k, (phase + padding - k) // stride))
    return taps


def transposed_convolution(
    x: Volume, weight: Sequence[Volume], bias: Sequence[int], stride: int, padding: int, output_padding: int
) -> Volume:
    """Transposed convolution in its polyphase form, zeros outside the input (SPEC TCONV-3).

    x  [C][H][W];  weight  [O][C][K][K];  bias  [O].  Returns accumulators [O][H'][W'].
    """
    kernel = len(weight[0][0])
    height = len(x[0])
    width = len(x[0][0])
    out = []
    for o in range(len(weight)):
        plane = []
        for oy in range(transposed_size(height, kernel, stride, padding, output_padding)):
            row = []
            for ox in range(transposed_size(width, kernel, stride, padding, output_padding)):
                acc = bias[o]
                for ky, dy in phase_taps(kernel, stride, padding, oy % stride):
                    for kx, dx in phase_taps(kernel, stride, padding, ox % stride):
                        iy = oy // stride + dy
                        ix = ox // stride + dx
                        if 0 <= iy < height and 0 <= ix < width:
                            for c in range(len(x)):
                                acc = acc + x[c][iy][ix] * weight[o][c][ky][kx]
                row.append(acc)
            plane.append(row)
        out.append(plane)
    return out


def accumulator_bound(weight: Volume, bias: int, magnitude: int) -> int:
    """Largest absolute value that the accumulator, or any partial sum of it, can take (SPEC ACC-1).

    weight  the taps that meet in one output, [C][..][..];  magnitude  largest absolute input.
    """
    bound = bias if bias >= 0 else -bias
    for plane in weight:
        for row in plane:
            for w in row:
                bound = bound + (w if w >= 0 else -w) * magnitude
    return bound


def grey(red: int, green: int, blue: int) -> int:
    """One grey sample from a decoded colour triple (SPEC PIC-3)."""
    return (red + 2 * green + blue + 2) >> 2


def counter_random(seed: int, count: int) -> int:
    """Value number `count` of the pseudo-random sequence `seed`: 32 uniform bits (SPEC VEC-2).

    seed, count  0 .. 2**63 - 1.  Source: the finaliser of splitmix64.
    """
    word = 2**64
    z = (seed * 0x9E3779B97F4A7C15 + (count + 1) * 0xD1B54A32D192ED03) % word
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % word
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % word
    return (z ^ (z >> 31)) & 0xFFFFFFFF
