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


def leaky_requantise(accumulator: int, multiplier: int, negative_multiplier: int, shift: int, lo: int, hi: int) -> int:
    """Requantise with a multiplier of its own for negative accumulators (SPEC LEAKY-1).

    Domain of both multipliers as for `requantise`.
    """
    return requantise(accumulator, negative_multiplier if accumulator < 0 else multiplier, shift, lo, hi)


def rounding_division(numerator: int, denominator: int) -> int:
    """Divide and round once, halves towards +infinity (SPEC DIV-1).

    denominator  1 or more.
    """
    return (2 * numerator + denominator) // (2 * denominator)


def restoring_division(numerator: int, denominator: int, bits: int) -> int:
    """Floor of a quotient, one bit in each step, as hardware finds it (SPEC DIV-3).

    numerator  0 .. 2**bits - 1;  denominator  1 or more.
    """
    quotient = 0
    remainder = 0
    for bit in range(bits - 1, -1, -1):
        remainder = 2 * remainder + ((numerator >> bit) & 1)
        quotient = 2 * quotient
        if remainder >= denominator:
            remainder = remainder - denominator
            quotient = quotient + 1
    return quotient


def isqrt(value: int) -> int:
    """Floor of the square root, one bit in each step (SPEC ISQRT-1).

    value  0 .. 2**62 - 1.
    """
    root = 0
    for bit in range(30, -1, -1):
        candidate = root + (1 << bit)
        if candidate * candidate <= value:
            root = candidate
    return root


def table_lookup(value: int, lo: int, table: Sequence[int]) -> int:
    """The entry of a value in a table that begins with the one of lo (SPEC TAB-1)."""
    return table[value - lo]


def interpolated_lookup(value: int, lo: int, spacing: int, nodes: Sequence[int]) -> int:
    """A point of the line between two nodes that stand 2**spacing apart (SPEC TAB-2).

    value  lo .. lo + (len(nodes) - 1) * 2**spacing - 1;  spacing  1 or more.
    """
    index = (value - lo) >> spacing
    part = (value - lo) % (1 << spacing)
    return nodes[index] + rounding_shift((nodes[index + 1] - nodes[index]) * part, spacing)


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


def linear(x: Sequence[int], weight: Plane, bias: Sequence[int]) -> list[int]:
    """Multiply a vector by a matrix (SPEC LIN-1).

    x  [C];  weight  [O][C];  bias  [O].  Returns accumulators [O].
    """
    out = []
    for o in range(len(weight)):
        acc = bias[o]
        for c in range(len(x)):
            acc = acc + x[c] * weight[o][c]
        out.append(acc)
    return out


def depthwise_convolution(x: Volume, weight: Volume, bias: Sequence[int], stride: int, padding: int) -> Volume:
    """Correlate each channel with a kernel of its own, zeros outside the input (SPEC DW-1).

    x  [C][H][W];  weight  [C][K][K];  bias  [C].  Returns accumulators [C][H'][W'].
    """
    out = []
    for c in range(len(x)):
        out.append(convolution([x[c]], [[weight[c]]], [bias[c]], stride, padding)[0])
    return out


def causal_tap(kernel: int, ky: int, kx: int) -> bool:
    """Whether a tap lies before the centre in raster order (SPEC MASK-1)."""
    return ky < kernel // 2 or (ky == kernel // 2 and kx < kernel // 2)


def checkerboard_tap(ky: int, kx: int) -> bool:
    """Whether a tap lies on the other colour of the board than the centre (SPEC MASK-2)."""
    return (ky + kx) % 2 == 1


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


def gdn_norm(x: Sequence[int], gamma: Sequence[int], beta: int, squared: bool) -> int:
    """Weighted sum of the magnitudes, or of the squares, of all channels of one sample (SPEC GDN-1).

    x  [C];  gamma  [C], 0 or more, of one output channel;  beta  1 or more.
    """
    norm = beta
    for c in range(len(x)):
        norm = norm + gamma[c] * (x[c] * x[c] if squared else abs(x[c]))
    return norm


def gdn_divisor(norm: int, squared: bool, shift: int) -> int:
    """What a sample is divided or multiplied by: the norm, or the square root of its squares (SPEC GDN-2)."""
    return isqrt(norm << shift) if squared else rounding_shift(norm, shift)


def gdn(value: int, divisor: int, scale: int, offset: int, fraction: int, lo: int, hi: int) -> int:
    """Divide a sample by its divisor, scale, add an offset, round once, saturate (SPEC GDN-3).

    scale, offset  in units of 2**-fraction.
    """
    return clip(rounding_division(value * scale + offset * divisor, divisor << fraction), lo, hi)


def inverse_gdn(value: int, divisor: int, offset: int, multiplier: int, shift: int, lo: int, hi: int) -> int:
    """Multiply a sample by its divisor, add an offset, requantise (SPEC GDN-4)."""
    return requantise(value * divisor + offset, multiplier, shift, lo, hi)


def layer_norm(
    x: Sequence[int],
    scale: Sequence[int],
    offset: Sequence[int],
    epsilon: int,
    root_shift: int,
    fraction: int,
    lo: int,
    hi: int,
) -> list[int]:
    """Normalise the channels of one sample by their exact mean and spread (SPEC LN-1).

    x, scale, offset  [C], the last two in units of 2**-fraction;  epsilon  1 or more.
    """
    count = len(x)
    total = sum(x)
    squares = sum(v * v for v in x)
    spread = isqrt((count * squares - total * total + epsilon) << root_shift)
    out = []
    for c in range(count):
        numerator = (count * x[c] - total) * scale[c] + offset[c] * spread
        out.append(clip(rounding_division(numerator, spread << fraction), lo, hi))
    return out


def add(left: int, right: int, multipliers: Sequence[int], shift: int, lo: int, hi: int) -> int:
    """Add two values of different steps, round once, saturate (SPEC ADD-1).

    multipliers  of left and of right;  shift  0 .. 62.
    """
    return clip(rounding_shift(left * multipliers[0] + right * multipliers[1], shift), lo, hi)


def concatenate(volumes: Sequence[Volume]) -> Volume:
    """The channels of all volumes, one after another (SPEC CAT-1)."""
    return [plane for volume in volumes for plane in volume]


def crop(x: Volume, top: int, bottom: int, left: int, right: int) -> Volume:
    """Leave out rows and columns at the four sides (SPEC CROP-1)."""
    return [[row[left : len(row) - right] for row in plane[top : len(plane) - bottom]] for plane in x]


def pad(x: Volume, top: int, bottom: int, left: int, right: int) -> Volume:
    """Add rows and columns of zeros at the four sides (SPEC PAD-1)."""
    out = []
    for plane in x:
        width = left + len(plane[0]) + right
        wide = [[0] * width for _ in range(top)]
        for row in plane:
            wide.append([0] * left + list(row) + [0] * right)
        out.append(wide + [[0] * width for _ in range(bottom)])
    return out


def pixel_shuffle(x: Volume, rows: int, columns: int) -> Volume:
    """Spread groups of rows * columns channels over blocks of samples (SPEC PS-1)."""
    out = []
    for c in range(len(x) // (rows * columns)):
        plane = []
        for y in range(len(x[0]) * rows):
            row = []
            for i in range(len(x[0][0]) * columns):
                source = (c * rows + y % rows) * columns + i % columns
                row.append(x[source][y // rows][i // columns])
            plane.append(row)
        out.append(plane)
    return out


def nearest(x: Plane, rows: int, columns: int) -> Plane:
    """Repeat every sample rows times downwards and columns times to the right (SPEC NEAR-1)."""
    return [[x[y // rows][i // columns] for i in range(len(x[0]) * columns)] for y in range(len(x) * rows)]


def tile(x: Plane, rows: int, columns: int) -> Plane:
    """Repeat a plane rows times downwards and columns times to the right (SPEC TILE-1)."""
    return [[x[y % len(x)][i % len(x[0])] for i in range(len(x[0]) * columns)] for y in range(len(x) * rows)]


def line_taps(offset: int, unit: int, size: int) -> tuple[int, int, int]:
    """The two samples beside a point of an axis, and the weight of the second out of `unit` (SPEC RES-1).

    offset  the point in units of 1 / unit samples;  size  number of samples, which are repeated at the ends.
    """
    first = offset // unit
    return clip(first, 0, size - 1), clip(first + 1, 0, size - 1), offset % unit


def resize(x: Plane, rows: int, columns: int) -> Plane:
    """Enlarge bilinearly by exact weights and one rounding (SPEC RES-2).

    rows, columns  whole factors.
    """
    out = []
    for y in range(len(x) * rows):
        y0, y1, down = line_taps(2 * y + 1 - rows, 2 * rows, len(x))
        row = []
        for i in range(len(x[0]) * columns):
            x0, x1, right = line_taps(2 * i + 1 - columns, 2 * columns, len(x[0]))
            upper = (2 * columns - right) * x[y0][x0] + right * x[y0][x1]
            lower = (2 * columns - right) * x[y1][x0] + right * x[y1][x1]
            row.append(rounding_division((2 * rows - down) * upper + down * lower, 4 * rows * columns))
        out.append(row)
    return out


GAUSSIAN = [17, 124, 590, 1792, 3490, 4358, 3490, 1792, 590, 124, 17]


def blur(x: Plane) -> Plane:
    """Weigh 11 x 11 samples with a Gaussian of deviation 1.5, the border repeated (SPEC BLUR-1)."""
    out = []
    for y in range(len(x)):
        row = []
        for i in range(len(x[0])):
            acc = 0
            for ky in range(11):
                for kx in range(11):
                    iy = clip(y + ky - 5, 0, len(x) - 1)
                    ix = clip(i + kx - 5, 0, len(x[0]) - 1)
                    acc = acc + GAUSSIAN[ky] * GAUSSIAN[kx] * x[iy][ix]
            row.append(rounding_shift(acc, 28))
        out.append(row)
    return out


def halve(x: Plane) -> Plane:
    """Average blocks of 2 x 2 samples (SPEC BLUR-2)."""
    out = []
    for y in range(0, len(x), 2):
        row = []
        for i in range(0, len(x[0]), 2):
            row.append(rounding_shift(x[y][i] + x[y][i + 1] + x[y + 1][i] + x[y + 1][i + 1], 2))
        out.append(row)
    return out


def scale_space(x: Plane, levels: int) -> list[Plane]:
    """A plane and its blurred forms, coarser and coarser, all of the same size (SPEC BLUR-3).

    Returns levels + 1 planes.
    """
    low = blur(x)
    slices = [x, low]
    for level in range(1, levels):
        low = blur(halve(low))
        wide = low
        for _ in range(level):
            wide = resize(wide, 2, 2)
        slices.append(wide)
    return slices


def warp_taps(place: int, size: int, fraction: int) -> tuple[int, int, int]:
    """Limit a place to an axis and split it into two samples and the weight of the second (SPEC WARP-1).

    place  in units of 2**-fraction samples.
    """
    return line_taps(clip(place, 0, (size - 1) << fraction), 1 << fraction, size)


def warp(slices: Sequence[Plane], flow: Volume, fraction: int) -> Plane:
    """Read a scale space at a displaced place of each sample, trilinearly, with one rounding (SPEC WARP-2).

    slices  [D][H][W];  flow  [3][H][W]: displacement to the right and downwards in halves of the width and height,
    and position between the slices from -1 to 1, in units of 2**-fraction.
    """
    depth, height, width, unit = len(slices), len(slices[0]), len(slices[0][0]), 2 << fraction
    out = []
    for y in range(height):
        row = []
        for i in range(width):
            x0, x1, right = warp_taps((i << fraction + 1) + flow[0][y][i] * width, width, fraction + 1)
            y0, y1, down = warp_taps((y << fraction + 1) + flow[1][y][i] * height, height, fraction + 1)
            z0, z1, deep = warp_taps((depth - 1 << fraction) + flow[2][y][i] * depth, depth, fraction + 1)
            acc = 0
            for plane, near in ((slices[z0], unit - deep), (slices[z1], deep)):
                upper = (unit - right) * plane[y0][x0] + right * plane[y0][x1]
                lower = (unit - right) * plane[y1][x0] + right * plane[y1][x1]
                acc = acc + near * ((unit - down) * upper + down * lower)
            row.append(rounding_shift(acc, 3 * (fraction + 1)))
        out.append(row)
    return out


def sine(phase: int, nodes: Sequence[int], fraction: int) -> int:
    """The sine of a phase, by a table of a quarter wave and straight lines between its nodes (SPEC PE-1).

    phase  0 .. 2**40 - 1, of which 2**40 are a turn;  nodes  1025, in units of 2**-24;  fraction  0 .. 14.
    Returns units of 2**-fraction.
    """
    half = 1 << 39
    place = phase % half
    if place > half >> 1:
        place = half - place
    index = place >> 28
    rise = nodes[min(index + 1, 1024)] - nodes[index]
    value = (nodes[index] << 28) + rise * (place % (1 << 28))
    return rounding_shift(value if phase < half else -value, 52 - fraction)


def positional_encoding(
    index: int, increments: Sequence[int], interleaved: bool, nodes: Sequence[int], fraction: int
) -> list[int]:
    """Sines and cosines of a frame number at many frequencies (SPEC PE-2).

    index  0 .. 2**22 - 1;  increments  phase of one frame, 0 .. 2**40 - 1.
    """
    turn = 1 << 40
    sines = [sine(index * step % turn, nodes, fraction) for step in increments]
    cosines = [sine((index * step + (turn >> 2)) % turn, nodes, fraction) for step in increments]
    if not interleaved:
        return sines + cosines
    return [sines[k // 2] if k % 2 == 0 else cosines[k // 2] for k in range(2 * len(increments))]


def embedding(tables: Sequence[Volume], index: int, frames: int, centred: bool) -> Volume:
    """The table of a frame, interpolated between neighbours where there are fewer tables than frames (SPEC EMB-1).

    tables  [T][C][H][W];  index  0 .. frames - 1;  centred  whether frames and tables are centres of equal parts.
    """
    offset = 2 * index * len(tables)
    if centred:
        offset = offset + len(tables) - frames
    first, second, part = line_taps(offset, 2 * frames, len(tables))
    early, late, unit = tables[first], tables[second], 2 * frames
    out = []
    for c in range(len(early)):
        plane = []
        for y in range(len(early[c])):
            row = []
            for i in range(len(early[c][y])):
                row.append(rounding_division((unit - part) * early[c][y][i] + part * late[c][y][i], unit))
            plane.append(row)
        out.append(plane)
    return out


def binary16(pattern: int) -> tuple[int, int]:
    """Mantissa and exponent of a positive number of half precision (SPEC INR-3).

    pattern  1 .. 0x63FF, its bits.  The number is mantissa * 2**exponent.
    """
    exponent = pattern >> 10
    if exponent == 0:
        return pattern, -24
    return 1024 + pattern % 1024, exponent - 25


def scaled(value: int, exponent: int, divisor: int) -> int:
    """The integer nearest to value * 2**exponent / divisor, halves towards +infinity (SPEC INR-6).

    divisor  1 or more.
    """
    if exponent >= 0:
        return rounding_division(value << exponent, divisor)
    return rounding_division(value, divisor << -exponent)


def accumulator_bias(bias: int, step: int, weight_step: int, fraction: int) -> int:
    """A bias in the units of the accumulator that it is added to (SPEC INR-6).

    step, weight_step  patterns of the steps of the bias and of the weights;  fraction  of the activations.
    """
    mantissa, exponent = binary16(step)
    weight_mantissa, weight_exponent = binary16(weight_step)
    return scaled(bias * mantissa, exponent - weight_exponent + fraction, weight_mantissa)


def grid_entry(value: int, step: int, fraction: int, lo: int, hi: int) -> int:
    """An entry of a grid as an activation, saturated (SPEC INR-7)."""
    mantissa, exponent = binary16(step)
    return clip(scaled(value * mantissa, exponent + fraction, 1), lo, hi)


def head_threshold(place: int, weight_step: int, fraction: int) -> int:
    """The largest accumulator below a place of a head (SPEC INR-8).

    place  in units of 2**-40;  weight_step  of the accumulator's channel.
    """
    mantissa, exponent = binary16(weight_step)
    return (place - 1) // (mantissa << 40 + exponent - fraction)


def norm_constants(channels: int, bits: int, fraction: int) -> tuple[int, int, int]:
    """Epsilon, root shift and scale of a layer normalisation of activations (SPEC INR-9).

    channels  1 .. 32768;  bits, fraction  of the activations.
    """
    epsilon = max(1, rounding_division(channels * channels << 2 * fraction, 10**6))
    largest = channels * channels // 4 * ((1 << bits) - 1) ** 2 + epsilon
    root_shift = 0
    for shift in range(2, 32, 2):
        if largest << shift < 1 << 62:
            root_shift = shift
    return epsilon, root_shift, 1 << fraction + root_shift // 2


def narrowest_spare(row: Sequence[int]) -> int:
    """The first of the narrowest intervals of a row that are wider than one (SPEC CDF-2)."""
    spare = 0
    least = 65537
    for j in range(len(row) - 1):
        if 1 < row[j + 1] - row[j] < least:
            spare = j
            least = row[j + 1] - row[j]
    return spare


def quantise_frequencies(counts: Sequence[int]) -> list[int]:
    """A cumulative row from counts, without an empty interval (SPEC CDF-2).

    counts  2 .. 65536 of them, 0 or more, the last one the escape's; their sum 1 .. 2**32 - 1.
    """
    total = sum(counts)
    row = [0]
    for count in counts:
        row.append(row[-1] + 65536 * count // total)
    row[-1] = 65536
    for i in range(len(counts)):
        if row[i] == row[i + 1]:
            spare = narrowest_spare(row)
            for k in range(len(row)):
                if spare < k <= i:
                    row[k] = row[k] - 1
                if i < k <= spare:
                    row[k] = row[k] + 1
    return row


def rans_push(state: int, words: list[int], start: int, frequency: int, precision: int) -> int:
    """The state after an interval, for which it may give up a word first (SPEC RANS-1).

    state  2**31 .. 2**63 - 1;  words  given up so far;  start, frequency  in units of 2**-precision.
    """
    if state >= frequency << 63 - precision:
        words.append(state % (1 << 32))
        state = state >> 32
    return ((state // frequency) << precision) + state % frequency + start


def rans_encode(
    symbols: Sequence[int], indexes: Sequence[int], rows: Sequence[Sequence[int]], offsets: Sequence[int]
) -> list[int]:
    """The words of symbols, each coded with the row that its index names, from the last to the first (SPEC RANS-1).

    symbols  -2**15 .. 2**15 - 1;  rows  of CDF-1, each with its offset.
    """
    state = 1 << 31
    words: list[int] = []
    for n in range(len(symbols) - 1, -1, -1):
        row = rows[indexes[n]]
        escape = len(row) - 2
        entry = symbols[n] - offsets[indexes[n]]
        if entry < 0 or entry >= escape:
            raw = -2 * entry - 1 if entry < 0 else 2 * (entry - escape)
            count = (digits(raw) + 3) // 4
            for k in range(count - 1, -1, -1):
                state = rans_push(state, words, (raw >> 4 * k) % 16, 1, 4)
            state = rans_push(state, words, count, 1, 4)
            entry = escape
        state = rans_push(state, words, row[entry], row[entry + 1] - row[entry], 16)
    words.append(state >> 32)
    words.append(state % (1 << 32))
    return list(reversed(words))


def rans_pop(
    state: int, place: int, words: Sequence[int], start: int, frequency: int, precision: int
) -> tuple[int, int]:
    """The state after an interval, for which it may take in a word, and how many words were taken (SPEC RANS-2).

    place  words taken before; zeros follow the last one.
    """
    state = frequency * (state >> precision) + state % (1 << precision) - start
    if state < 1 << 31:
        state = (state << 32) + (words[place] if place < len(words) else 0)
        place = place + 1
    return state, place


def rans_escape(state: int, place: int, words: Sequence[int]) -> tuple[int, int, int, int]:
    """Status, number, state and words taken of an escape (SPEC RANS-2).

    Returns a status of 0, or of 2 for more than five digits and for a last digit of zero.
    """
    count = state % 16
    state, place = rans_pop(state, place, words, count, 1, 4)
    if count > 5:
        return 2, 0, state, place
    raw = 0
    digit = 1
    for k in range(count):
        digit = state % 16
        raw = raw + (digit << 4 * k)
        state, place = rans_pop(state, place, words, digit, 1, 4)
    return 2 if digit == 0 else 0, raw, state, place


def rans_symbol(
    state: int, place: int, words: Sequence[int], row: Sequence[int], offset: int
) -> tuple[int, int, int, int]:
    """Status, symbol, state and words taken of a symbol (SPEC RANS-2).

    Returns a status of 0, 1 where words are missing, or 2 where there is no such symbol.
    """
    escape = len(row) - 2
    entry = 0
    for k in range(len(row) - 1):
        if row[k] <= state % 65536:
            entry = k
    state, place = rans_pop(state, place, words, row[entry], row[entry + 1] - row[entry], 16)
    status = 0
    symbol = entry + offset
    if entry == escape:
        status, raw, state, place = rans_escape(state, place, words)
        symbol = (-(raw >> 1) - 1 if raw % 2 == 1 else (raw >> 1) + escape) + offset
    if place > len(words):
        status = 1
    elif symbol < -32768 or symbol > 32767:
        status = 2
    return status, symbol, state, place


def rans_decode(
    words: Sequence[int], indexes: Sequence[int], rows: Sequence[Sequence[int]], offsets: Sequence[int]
) -> tuple[int, list[int]]:
    """Status and symbols of a payload (SPEC RANS-3).

    Returns a status of 0, or 1 truncated, 2 symbol, 3 state, 4 surplus words; the symbols are those before it.
    """
    symbols: list[int] = []
    if len(words) < 2:
        return 1, symbols
    state = words[0] + (words[1] << 32)
    if state < 1 << 31 or state >= 1 << 63:
        return 3, symbols
    place = 2
    for index in indexes:
        status, symbol, state, place = rans_symbol(state, place, words, rows[index], offsets[index])
        if status > 0:
            return status, symbols
        symbols.append(symbol)
    if state != 1 << 31:
        return 3, symbols
    return 4 if place < len(words) else 0, symbols


def adapt(probability: int, count: int, slowest: int, bit: int) -> tuple[int, int]:
    """A context's chance of a one and how often it was used, after one more bit (SPEC ABIN-1).

    probability  0 .. 65535, in units of 2**-16;  count  0 .. 2**(slowest - 1) - 1;  slowest  7 .. 9.
    """
    shift = 2
    for s in range(3, slowest + 1):
        if count + 1 >= 1 << s - 1:
            shift = s
    target = 65535 if bit == 1 else 0
    return probability + ((target - probability) >> shift), min(count + 1, (1 << slowest - 1) - 1)


def rare_width(probability: int, interval: int) -> int:
    """The part of an interval that the less likely bit gets (SPEC ABIN-2).

    interval  256 .. 510.  Returns 2 .. 254.
    """
    rare = probability if probability < 32768 else 65535 - probability
    return max(2, (rare >> 6) * interval >> 10)


def decide(value: int, interval: int, probability: int) -> tuple[int, int, int]:
    """The bit that a value means, and what is left of value and interval (SPEC ABIN-3).

    value  0 .. interval - 1.
    """
    likely = 1 if probability >= 32768 else 0
    rest = interval - rare_width(probability, interval)
    if value < rest:
        return likely, value, rest
    return 1 - likely, value - rest, interval - rest


def decide_evenly(value: int, interval: int) -> tuple[int, int]:
    """The bit of even chances that a doubled value means, and what is left of the value (SPEC ABIN-4).

    value  0 .. 2 * interval - 1.
    """
    if value < interval:
        return 0, value
    return 1, value - interval


def sign_class(value: int) -> int:
    """0, 1 or 2 for a neighbour that is zero, negative or positive (SPEC WC-2)."""
    if value == 0:
        return 0
    return 1 if value < 0 else 2


def digits(magnitude: int) -> int:
    """The number of binary digits of a magnitude (SPEC WC-3).

    magnitude  0 .. 2**18 - 1.
    """
    count = 0
    for place in range(18):
        if magnitude >> place > 0:
            count = place + 1
    return count


def magnitude_class(left: int, inner: int, outer: int) -> int:
    """How large three neighbours are together, in half octaves (SPEC WC-3).

    Returns 0 .. 11.
    """
    total = abs(left) + abs(inner) + 2 * abs(outer)
    return min(11, digits(total + (total >> 1)))


OCTAVE = [64, 70, 76, 83, 91, 99, 108, 117]


def table_frequency(level: int, fraction: int) -> int:
    """The frequency that a level of a table stands for, a power of two in 64ths (SPEC WC-7).

    level  0 .. 1 + (25 << fraction);  fraction  0 .. 3.
    """
    if level == 0:
        return 0
    eighths = level - 1 << 3 - fraction
    return OCTAVE[eighths % 8] << eighths // 8


TRELLIS = [[0, 2], [7, 5], [1, 3], [6, 4], [2, 0], [5, 7], [3, 1], [4, 6]]


def trellis_state(state: int, level: int) -> int:
    """The state that follows a level, by its parity (SPEC DQ-1).

    state  0 .. 7.
    """
    return TRELLIS[state][level % 2]


def trellis_integer(state: int, level: int) -> int:
    """The integer that a level stands for in a state, in half steps of a quantiser (SPEC DQ-2)."""
    if state % 2 == 0 or level == 0:
        return 2 * level
    return 2 * level - 1 if level > 0 else 2 * level + 1


def reconstruct_levels(levels: Sequence[int]) -> list[int]:
    """The integers that the levels of a tensor stand for (SPEC DQ-3)."""
    state = 0
    out = []
    for level in levels:
        out.append(trellis_integer(state, level))
        state = trellis_state(state, level)
    return out


def convolution_span(begin: int, end: int, size: int, kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """What a convolution must read of an axis to give begin .. end - 1 of its result (SPEC PATCH-2).

    size  of the axis.  Returns the first sample, a multiple of the stride, and the end.
    """
    first = clip(begin * stride - padding, 0, size - 1) // stride * stride
    return first, clip((end - 1) * stride - padding + kernel, first + 1, size)


def transposed_span(
    begin: int, end: int, size: int, kernel: int, stride: int, padding: int, output_padding: int
) -> tuple[int, int]:
    """What a transposed convolution must read of an axis to give begin .. end - 1 of its result (SPEC PATCH-3)."""
    first = clip((begin + padding - kernel + 1) // stride, 0, size - 1)
    shortest = (end + 2 * padding - kernel - output_padding - 1) // stride + 1
    return first, clip(max((end - 1 + padding) // stride, shortest) + 1, first + 1, size)


def enlarged_span(begin: int, end: int, factor: int) -> tuple[int, int]:
    """What a pixel shuffle or a nearest enlargement reads of an axis for begin .. end - 1 (SPEC PATCH-4)."""
    return begin // factor, (end - 1) // factor + 1


def resized_span(begin: int, end: int, size: int, factor: int) -> tuple[int, int]:
    """What a bilinear enlargement reads of an axis for begin .. end - 1 (SPEC PATCH-4)."""
    first = line_taps(2 * begin + 1 - factor, 2 * factor, size)[0]
    return first, line_taps(2 * end - 1 - factor, 2 * factor, size)[1] + 1


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
