"""Oracles for the entropy coder: plain Python integers here, and CompressAI's extension modules in `.oracles`.

Nothing of refcodec is imported. The encoder below builds a list of steps and runs it backwards, as the format is
described; the decoder searches its rows one entry at a time.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import sysconfig
from pathlib import Path

import pytest

INITIAL = 2**31
ORACLES = Path(__file__).parents[1] / ".oracles"


def load_extension(name):
    """CompressAI's extension module `name`; the calling test is skipped where it is not installed."""
    path = ORACLES / f"{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not path.is_file():
        pytest.skip(f"no {path.name} in .oracles: run tools/fetch_oracles.py")
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- rANS: a step is (start, width, bits); a row is (cumulative list, offset)


def escape_steps(raw, least_nibbles=0):
    """The nibbles of an escape, with leading zero nibbles up to `least_nibbles`."""
    count = least_nibbles
    while raw >= 16**count:
        count += 1
    lengths = [15] * (count // 15) + [count % 15]
    nibbles = lengths + [raw // 16**k % 16 for k in range(count)]
    return [(nibble, 1, 4) for nibble in nibbles]


def symbol_steps(symbol, row):
    """The steps of one symbol."""
    cumulative, offset = row
    escape = len(cumulative) - 2
    value = symbol - offset
    if 0 <= value < escape:
        return [(cumulative[value], cumulative[value + 1] - cumulative[value], 16)]
    raw = -2 * value - 1 if value < 0 else 2 * (value - escape)
    return [(cumulative[escape], cumulative[escape + 1] - cumulative[escape], 16), *escape_steps(raw)]


def encode_steps(steps, state=INITIAL):
    """The payload of steps, from whatever state the encoder begins in."""
    words = []
    for start, width, bits in reversed(steps):
        if state >= width * 2 ** (63 - bits):
            words.append(state % 2**32)
            state //= 2**32
        state = state // width * 2**bits + state % width + start
    words += [state // 2**32, state % 2**32]
    return b"".join(word.to_bytes(4, "little") for word in reversed(words))


def encode(symbols, indexes, rows):
    """The payload of symbols."""
    return encode_steps([step for s, i in zip(symbols, indexes, strict=True) for step in symbol_steps(s, rows[i])])


class Reader:
    """A decoder without any check; IndexError where the words run out."""

    def __init__(self, payload):
        self.words = [int.from_bytes(payload[k : k + 4], "little") for k in range(0, len(payload), 4)]
        self.state = self.words[0] + self.words[1] * 2**32
        self.taken = 2

    def advance(self, start, width, bits):
        """Undo one step."""
        self.state = width * (self.state // 2**bits) + self.state % 2**bits - start
        if self.state < INITIAL:
            self.state = self.state * 2**32 + self.words[self.taken]
            self.taken += 1

    def nibble(self):
        """One bypass step."""
        nibble = self.state % 16
        self.advance(nibble, 1, 4)
        return nibble

    def symbol(self, row):
        """One symbol of a row."""
        cumulative, offset = row
        slot = self.state % 2**16
        value = max(k for k in range(len(cumulative) - 1) if cumulative[k] <= slot)
        self.advance(cumulative[value], cumulative[value + 1] - cumulative[value], 16)
        escape = len(cumulative) - 2
        if value < escape:
            return value + offset
        count = last = self.nibble()
        while last == 15:
            last = self.nibble()
            count += last
        raw = sum(self.nibble() * 16**k for k in range(count))
        return (-(raw + 1) // 2 if raw % 2 else raw // 2 + escape) + offset


def decode(payload, indexes, rows):
    """Symbols, final state, words taken."""
    reader = Reader(payload)
    symbols = [reader.symbol(rows[i]) for i in indexes]
    return symbols, reader.state, reader.taken


# --- tables


def quantise(counts):
    """A cumulative row, as CompressAI's `pmf_to_quantized_cdf` makes it from rounded counts."""
    total = sum(counts)
    cumulative = [0]
    for count in counts:
        cumulative.append(cumulative[-1] + 65536 * count // total)
    cumulative[-1] = 65536
    for i in range(len(counts)):
        if cumulative[i] == cumulative[i + 1]:
            widths = [b - a for a, b in itertools.pairwise(cumulative)]
            donor = widths.index(min(width for width in widths if width > 1))
            moved, change = (range(donor + 1, i + 1), -1) if donor < i else (range(i + 1, donor + 1), 1)
            for k in moved:
                cumulative[k] += change
    return cumulative


def round_probabilities(probabilities):
    """Counts of 65536, halves up."""
    return [math.floor(p * 65536 + 0.5) for p in probabilities]


def sigmoid(x):
    """The logistic function without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def factorised_logit(matrices, biases, factors, v):
    """The cumulative density of one channel before its sigmoid, in double precision throughout."""
    values = [v]
    for i, (matrix, bias) in enumerate(zip(matrices, biases, strict=True)):
        soft = [[math.log1p(math.exp(m)) for m in row] for row in matrix]
        values = [
            sum(m * x for m, x in zip(row, values, strict=True)) + b[0] for row, b in zip(soft, bias, strict=True)
        ]
        if i < len(factors):
            values = [x + math.tanh(f[0]) * math.tanh(x) for x, f in zip(values, factors[i], strict=True)]
    return values[0]
