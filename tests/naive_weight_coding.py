"""Oracles for the coding of integer weights: bit strings, long integers and exhaustive search (SPEC ABIN, DQ, WC).

Nothing of refcodec is imported. The encoder keeps its whole low end as one Python integer, so it knows no carries; the
decoder compares the payload, as one integer too, with that low end, so it has no value register.
"""

from __future__ import annotations

import itertools
import math

import naive_entropy

# --- contexts


class Context:
    """How likely a one is, in units of 1 / 65536, and how often it was asked."""

    def __init__(self):
        self.chance, self.uses = 32768, 0

    def learn(self, bit, slowest):
        """Move a fraction of the way: 1/4 at first, then half of that for each doubling of the uses."""
        shift = max(2, min(slowest, math.floor(math.log2(self.uses + 1)) + 1))
        self.chance += math.floor(((65535 if bit else 0) - self.chance) / 2**shift)
        self.uses = min(self.uses + 1, 2 ** (slowest - 1) - 1)

    def split(self, interval):
        """The likely bit, and the width of the other one's part."""
        likely = int(self.chance >= 32768)
        rare = 65535 - self.chance if likely else self.chance
        return likely, max(2, rare // 64 * interval // 1024)


class Coder:
    """What encoder and decoder share: an interval at [low, low + interval), in units of the last bit."""

    def __init__(self, slowest):
        self.low, self.interval, self.bits, self.slowest = 0, 510, 9, slowest
        self.contexts = {}

    def double(self):
        self.low, self.bits = 2 * self.low, self.bits + 1

    def narrow(self, bit, context):
        likely, width = context.split(self.interval)
        if bit == likely:
            self.interval -= width
        else:
            self.low += self.interval - width
            self.interval = width
        while self.interval < 256:
            self.interval *= 2
            self.double()
        context.learn(bit, self.slowest)

    def halve(self, bit):
        self.double()
        self.low += bit * self.interval


class Encoder(Coder):
    def bit(self, key, bit):
        self.narrow(bit, self.contexts.setdefault(key, Context()))
        return bit

    def even(self, bit):
        self.halve(bit)
        return bit

    def payload(self):
        text = format(self.low, f"0{self.bits}b")
        assert len(text) == self.bits
        text += "0" * (-len(text) % 8)
        return bytes(int(text[k : k + 8], 2) for k in range(0, len(text), 8))


class Refused(Exception):
    """A payload that no encoder makes."""


class Decoder(Coder):
    """The bit that an encoder coded is the one whose part of the interval holds the payload."""

    def __init__(self, payload, slowest):
        super().__init__(slowest)
        self.number, self.size = int.from_bytes(payload, "big") << 400, 8 * len(payload) + 400
        if not self.code(9) < 510:
            raise Refused

    def code(self, bits):
        """The first bits of the payload as a number; zeros follow it."""
        if bits > self.size:
            raise Refused
        return self.number >> (self.size - bits)

    def bit(self, key):
        context = self.contexts.setdefault(key, Context())
        likely, width = context.split(self.interval)
        above = self.code(self.bits) >= self.low + self.interval - width
        bit = 1 - likely if above else likely
        self.narrow(bit, context)
        return bit

    def even(self):
        bit = int(self.code(self.bits + 1) >= 2 * self.low + self.interval)
        self.halve(bit)
        return bit

    def end(self):
        """Bytes taken, if the payload is the low end up to there."""
        count = -(-self.bits // 8)
        if count > (self.size - 400) // 8 or self.code(8 * count) != self.low << (8 * count - self.bits):
            raise Refused
        return count


# --- integers of a tensor: a dictionary from (o, i, k) to an integer


def places(shape):
    return list(itertools.product(*(range(n) for n in shape)))


def kind(value):
    return (value > 0) - (value < 0)


def surroundings(found, o, i, k, taps, neighbours):
    """The names of the near class and the sign class."""
    before = found.get((o, i, k - 1)) if k else found.get((o, i - 1, taps - 1))
    left, inner, outer = before or 0, found.get((o, i - 1, k), 0), found.get((o - 1, i, k), 0)
    if not neighbours:
        return 0, kind(left)
    size = abs(left) + abs(inner) + 2 * abs(outer)
    return min(11, len(format(3 * size // 2, "b")) if size else 0), (kind(outer), kind(left))


QUANTISER = [[0, 2], [7, 5], [1, 3], [6, 4], [2, 0], [5, 7], [3, 1], [4, 6]]


def tensor(shape, width, neighbours, dependent, integer):
    """Visit every place with its contexts; `integer` codes or decodes one."""
    found, state = {}, 0
    for place in places(shape):
        near, sign = surroundings(found, *place, shape[2], neighbours)
        value = integer(place, near, sign, state % 2, width)
        found[place] = value
        state = QUANTISER[state][value % 2] if dependent else 0
    return found


def encode_adaptive(values, shape, width, slowest, neighbours, dependent):
    """The bytes of integers, a list in C order."""
    coder, wanted = Encoder(slowest), dict(zip(places(shape), values, strict=True))

    def put(place, near, sign, odd, width):
        value = wanted[place]
        if coder.bit(("zero", near, odd), int(value != 0)):
            coder.bit(("sign", sign), int(value < 0))
            text = format(abs(value), "b")
            for n in range(width, 1, -1):
                if not coder.bit(("length", near, n, odd * (n == 2)), int(len(text) < n)):
                    break
            for k, digit in enumerate(text[1:]):
                if k == 0:
                    coder.bit(("first", len(text)), int(digit))
                elif k == 1:
                    coder.bit(("second", len(text), text[1]), int(digit))
                else:
                    coder.even(int(digit))
        return value

    tensor(shape, width, neighbours, dependent, put)
    return coder.payload()


def decode_adaptive(payload, shape, width, slowest, neighbours, dependent):
    """A list in C order, and the bytes taken; raises Refused."""
    coder = Decoder(payload, slowest)

    def take(place, near, sign, odd, width):
        if not coder.bit(("zero", near, odd)):
            return 0
        negative = coder.bit(("sign", sign))
        size = next((n for n in range(width, 1, -1) if not coder.bit(("length", near, n, odd * (n == 2)))), 1)
        text = "1"
        while len(text) < size:
            if len(text) == 1:
                digit = coder.bit(("first", size))
            elif len(text) == 2:
                digit = coder.bit(("second", size, text[1]))
            else:
                digit = coder.even()
            text += str(digit)
        value = -int(text, 2) if negative else int(text, 2)
        if not -32768 <= value <= 32767:
            raise Refused
        return value

    return list(tensor(shape, width, neighbours, dependent, take).values()), coder.end()


# --- static tables


def frequency(level, fraction):
    """64 * 2 ** ((level - 1) / 2 ** fraction), of which the part within an octave is rounded at 64."""
    if level == 0:
        return 0
    octave, part = divmod(level - 1, 2**fraction)
    return round(64 * 2 ** (part / 2**fraction)) * 2**octave


def row_of(levels, fraction):
    return naive_entropy.quantise([frequency(level, fraction) for level in levels] + [0])


def two_complement(value, bits):
    return format(value % 2**bits, f"0{bits}b")


def encode_static(values, width, lo, levels, fraction):
    """The bytes of integers with a table of these levels, from `lo` on."""
    steps = [b - a for a, b in itertools.pairwise([0, *levels])]
    digits = max(abs(step) for step in steps).bit_length()
    text = two_complement(lo, width + 1) + two_complement(lo + len(levels) - 1, width + 1)
    text += format(fraction, "02b") + format(digits, "04b")
    header = int(text, 2).to_bytes(-(-len(text) // 8), "big")
    table = encode_adaptive(steps, (1, 1, len(steps)), digits, 7, False, False)
    return header + table + naive_entropy.encode(values, [0] * len(values), [(row_of(levels, fraction), lo)])


def decode_static(payload, count, width):
    """Integers, smallest integer, levels and fraction, of a payload without a mistake."""
    size = -(-(2 * width + 8) // 8)
    text = format(int.from_bytes(payload[:size], "big"), "b").zfill(2 * width + 8)
    lo, hi = (int(text[k : k + width + 1], 2) for k in (0, width + 1))
    lo, hi = (v - 2 ** (width + 1) if v >= 2**width else v for v in (lo, hi))
    fraction, digits = int(text[-6:-4], 2), int(text[-4:], 2)
    steps, taken = decode_adaptive(payload[size:], (1, 1, hi - lo + 1), digits, 7, False, False)
    levels = list(itertools.accumulate(steps))
    symbols, state, words = naive_entropy.decode(payload[size + taken :], [0] * count, [(row_of(levels, fraction), lo)])
    assert (state, 4 * words) == (naive_entropy.INITIAL, len(payload) - size - taken)
    return symbols, lo, levels, fraction


# --- payloads


def running_sums(values, row):
    """Each integer of a list added to the one a row before, which is added to already."""
    out = []
    for k, value in enumerate(values):
        out.append(value + (out[k - row] if k >= row else 0))
    return out


def differences(values, row):
    """The reverse."""
    return [value - (values[k - row] if k >= row else 0) for k, value in enumerate(values)]


MODES = {mode: ((mode - 1) // 3 == 1, 7 + (mode - 1) % 3) for mode in range(1, 7)}


def encode_in_mode(values, shape, mode, dependent):
    """The payload of integers, a list in C order and not all zero, in an adaptive mode."""
    width = max(abs(v) for v in values).bit_length()
    neighbours, slowest = MODES[mode]
    return bytes([32 * mode + width]) + encode_adaptive(values, shape, width, slowest, neighbours, dependent)


def decode(payload, shape, dependent):
    """A list in C order; raises Refused, but in mode 0 trusts the payload."""
    mode, width = divmod(payload[0], 32)
    if mode == 7:
        if payload[1] // 32 == 7:
            raise Refused
        values = running_sums(decode(payload[1:], shape, False), shape[1] * shape[2])
        if max(abs(v) for v in values).bit_length() != width or not all(-32768 <= v <= 32767 for v in values):
            raise Refused
        return values
    if width == 0:
        return [0] * math.prod(shape)
    if mode == 0:
        return decode_static(payload[1:], math.prod(shape), width)[0]
    neighbours, slowest = MODES[mode]
    values, taken = decode_adaptive(payload[1:], shape, width, slowest, neighbours, dependent)
    if taken != len(payload) - 1 or max(abs(v) for v in values).bit_length() != width:
        raise Refused
    return values


# --- dependent quantisation


def reconstruct(levels):
    """Integers of levels: of the quantiser with even points, or of that with odd ones and zero."""
    points = {0: lambda k: 2 * k, 1: lambda k: 2 * k - kind(k)}
    state, out = 0, []
    for level in levels:
        out.append(points[state % 2](level))
        state = QUANTISER[state][level % 2]
    return out


def least_cost(targets, bits, weights, price=0.0, rates=None, state=0):
    """The smallest sum of weighted squared errors and priced rates over all sequences of levels."""
    if not len(targets):
        return 0.0
    best = math.inf
    for level in range(-(2 ** (bits - 1)), 2 ** (bits - 1)):
        value = 2 * level if state % 2 == 0 else 2 * level - kind(level)
        own = weights[0] * (value - targets[0]) ** 2
        if rates is not None:
            own += price * rates[state % 2][abs(level)]
        rest = least_cost(targets[1:], bits, weights[1:], price, rates, QUANTISER[state][level % 2])
        best = min(best, own + rest)
    return best


def cost(levels, targets, weights, price=0.0, rates=None):
    """The sum for one sequence; rates by parity of the state and by magnitude."""
    state, total = 0, 0.0
    for level, value, target, weight in zip(levels, reconstruct(levels), targets, weights, strict=True):
        total += weight * (value - target) ** 2
        if rates is not None:
            total += price * rates[state % 2][abs(level)]
        state = QUANTISER[state][level % 2]
    return total
