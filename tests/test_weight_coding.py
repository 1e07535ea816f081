"""Payloads of integer weights: kernels, definition and oracle make and read the same bytes; damage ends cleanly."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable

import naive_entropy
import naive_weight_coding as naive
import numba
import numpy as np
import pytest

from refcodec import fixed
from refcodec.entropy import adaptive_integers, static_integers
from refcodec.entropy.adaptive_integers import CONTEXTS, LONGEST_INTEGER, Mode, decode_adaptive, encode_adaptive
from refcodec.entropy.static_integers import encode_static
from refcodec.entropy.weight_coding import (
    MODES,
    STATIC,
    decode_integers,
    decode_integers_plain,
    encode_integers,
    mode_sizes,
    payload_mode,
)
from refcodec.errors import RangeError, ShapeError, StreamError
from refcodec.quantize.trellis import dependent_levels

Shape = tuple[int, int, int]
BITS = [2, 3, 4, 6, 8, 12, 16]


def digits(values: np.ndarray) -> int:
    """Of the largest magnitude."""
    return int(np.abs(values.astype(np.int64)).max()).bit_length()


def adaptive(values: np.ndarray, number: int, dependent: bool) -> bytes:
    """The payload in one adaptive mode."""
    width, values = digits(values), np.ascontiguousarray(values, np.int32)
    return bytes([32 * number + width]) + encode_adaptive(values, width, Mode(*MODES[number - 1], dependent))


def payloads(values: np.ndarray, dependent: bool) -> dict[int, bytes]:
    """The payload in every mode that there is, by its number, made one by one."""
    found = {number: adaptive(values, number, dependent) for number in range(1, 7)}
    static = encode_static(np.ascontiguousarray(values, np.int32), digits(values))
    return found if static is None else {**found, STATIC: bytes([digits(values)]) + static}


def random_tensor(rng: np.random.Generator, bits: int, shape: Shape) -> np.ndarray:
    """Integers of a Gaussian or a Laplacian whose scale changes from channel to channel, with the smallest integer."""
    scale = 2.0 ** rng.uniform(bits - 5, bits - 2, (shape[0], 1, 1))
    draw = rng.normal if rng.random() < 0.5 else rng.laplace
    values = np.rint(draw(size=shape) * scale).clip(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).astype(np.int32)
    values[tuple(rng.integers(shape))] = -(2 ** (bits - 1))
    return values


# --- bytes


@pytest.mark.parametrize("dependent", [False, True])
@pytest.mark.parametrize("bits", BITS)
def test_payloads_equal_naive_in_every_mode_and_come_back(bits: int, dependent: bool, rng: np.random.Generator) -> None:
    for shape in ((1, 1, 3), (3, 4, 1), (2, 3, 9), (1, 40, 1), (30, 1, 1)):
        values = random_tensor(rng, bits, shape)
        flat = values.ravel().tolist()
        for number, payload in payloads(values, dependent).items():
            if number == STATIC and bits > 8:  # the oracle takes its time with long tables
                np.testing.assert_array_equal(decode_integers(payload, shape, dependent), values)
                continue
            if number == STATIC:
                lo, levels, fraction = naive.decode_static(payload[1:], values.size, payload[0])[1:]
                assert naive.encode_static(flat, payload[0], lo, levels, fraction) == payload[1:]
            else:
                assert naive.encode_in_mode(flat, shape, number, dependent) == payload
                assert decode_integers_plain(payload, shape, dependent).ravel().tolist() == flat
            assert naive.decode(payload, shape, dependent) == flat
            found = decode_integers(payload, shape, dependent)
            assert (found.dtype, found.shape) == (np.int32, shape)
            np.testing.assert_array_equal(found, values)


def test_payloads_of_all_small_tensors_equal_naive() -> None:
    """Every tensor of three integers of -2 .. 2, in two arrangements: which neighbours there are differs."""
    for values in itertools.product(range(-2, 3), repeat=3):
        for shape, dependent in (((1, 1, 3), False), ((3, 1, 1), True)):
            array = np.array(values).reshape(shape)
            if not any(values):
                assert encode_integers(array) == b"\0"
                continue
            number = 1 + (values[0] + 2 * values[1] + 3 * values[2]) % 6
            payload = adaptive(array, number, dependent)
            assert payload == naive.encode_in_mode(list(values), shape, number, dependent)
            assert decode_integers(payload, shape, dependent).ravel().tolist() == list(values)


def test_classes_equal_naive() -> None:
    for left, inner, outer in itertools.product((-32768, -300, -2, -1, 0, 1, 5, 32767), repeat=3):
        found = {(1, 0, 0): left, (0, 1, 1): outer, (1, 0, 1): inner}
        near, (above, before) = naive.surroundings(found | {(1, 1, 0): left}, 1, 1, 1, 2, True)
        assert fixed.magnitude_class(left, inner, outer) == near
        assert [fixed.sign_class(v) for v in (outer, left)] == [v % 3 if v >= 0 else 1 for v in (2 * above, 2 * before)]
        values = np.array([0, outer, 0, outer, 0, inner, left, 0], np.int32)
        classes = adaptive_integers._classes(values, 7, 4, 2, True)
        assert classes == (near, 3 * fixed.sign_class(outer) + fixed.sign_class(left))
    for magnitude in range(1 << 10):
        assert fixed.digits(magnitude) == magnitude.bit_length() == adaptive_integers.digits(magnitude)


def test_contexts_do_not_overlap() -> None:
    """Catches a table of contexts that is too short: every pair of a kind and its arguments has a place of its own."""
    near, width = range(12), range(17)
    places = [adaptive_integers.ZERO + 2 * n + odd for n in near for odd in range(2)]
    places += [adaptive_integers.SIGN + sign for sign in range(9)]
    places += [adaptive_integers._length_context(n, 0, count) for n in near for count in range(3, 17)]
    places += [adaptive_integers._length_context(n, odd, 2) for n in near for odd in range(2)]
    places += [adaptive_integers.FIRST + count for count in width]
    places += [adaptive_integers.SECOND + 2 * count + first for count in width for first in range(2)]
    assert len(set(places)) == len(places)
    assert (min(places), max(places)) == (0, CONTEXTS - 1)


def test_no_integer_is_longer_than_what_is_set_aside_for_it() -> None:
    """The dearest integers: contexts that have learnt one thing, then the other, at the most digits."""
    values = np.ones((1, 1, 4000), np.int32)
    values[0, 0, ::2] = -32768
    values[0, 0, 2000:] = 0
    values[0, 0, -3:] = (1 << 15) - 1
    for mode in MODES:
        payload = encode_adaptive(values, 16, Mode(*mode, False))
        assert 8 * len(payload) < values.size * LONGEST_INTEGER
        assert decode_adaptive(payload, 0, values.shape, 16, Mode(*mode, False), 0)[1] == len(payload)


# --- the choice of a mode


@pytest.mark.parametrize("dependent", [False, True])
def test_encoder_takes_the_shortest_mode(dependent: bool, rng: np.random.Generator) -> None:
    chosen = set()
    uneven = np.rint(rng.normal(size=(30, 20, 9)) * rng.choice([0.5, 20], (1, 20, 9))).astype(np.int32)
    for values in (random_tensor(rng, 8, (1, 1, 3)), np.full((20, 20, 9), 77), uneven):
        sizes = {number: len(payload) for number, payload in payloads(values, dependent).items()}
        payload = encode_integers(values, dependent)
        assert len(payload) == min(sizes.values())
        named = mode_sizes(values, dependent)
        assert named["adaptive0"] == min(sizes[k] for k in (1, 2, 3))
        assert named["adaptive1"] == min(sizes[k] for k in (4, 5, 6))
        assert named.get("static") == sizes.get(STATIC)
        assert min(named.values()) == len(payload)
        chosen.add(payload[0] >> 5)
        np.testing.assert_array_equal(decode_integers(payload, values.shape, dependent), values)
    assert STATIC in chosen
    assert chosen & {1, 2, 3}
    assert chosen & {4, 5, 6}


def test_state_of_the_trellis_shortens_levels_of_few_bits(rng: np.random.Generator) -> None:
    """Zeros are likelier in the states whose quantiser has no point at one: the contexts must see it."""
    levels = dependent_levels(rng.laplace(size=(20, 20, 9)) * 0.9, 3)
    assert mode_sizes(levels, True)["adaptive0"] < 0.985 * mode_sizes(levels, False)["adaptive0"]


@pytest.mark.parametrize("dependent", [False, True])
def test_smooth_tensors_are_coded_by_their_differences(dependent: bool, rng: np.random.Generator) -> None:
    """A grid whose tensors follow one another slowly: a payload of the differences from one to the next."""
    for spread, shape in ((6.0, (40, 5, 6)), (0.3, (200, 3, 4)), (9.0, (9, 4, 1))):
        walk = np.rint(np.cumsum(rng.normal(size=shape), axis=0) * spread + 40).astype(np.int32)
        payload, row = encode_integers(walk, dependent), shape[1] * shape[2]
        assert payload_mode(payload) == "differences"
        named = mode_sizes(walk, dependent)
        assert named["differences"] == len(payload) < min(named["adaptive0"], named["adaptive1"])
        flat = walk.ravel().tolist()
        inner = np.array(naive.differences(flat, row)).reshape(shape)
        assert payload == bytes([7 * 32 + digits(walk)]) + min(payloads(inner, False).values(), key=len)
        for decoder in (decode_integers, decode_integers_plain):
            np.testing.assert_array_equal(decoder(payload, shape, dependent), walk)
        assert naive.decode(payload, shape, dependent) == flat


def test_damaged_differences_are_refused_or_are_those_of_other_integers(rng: np.random.Generator) -> None:
    shape, codes = (6, 2, 3), set()
    walk = np.rint(np.cumsum(rng.normal(size=shape), axis=0) * 900 + 6000)
    for number in range(1, 7):
        inner = np.diff(walk, axis=0, prepend=0).astype(np.int32)
        payload = bytes([7 * 32 + digits(walk)]) + adaptive(inner, number, False)
        for bit in rng.integers(8 * len(payload), size=40):
            damaged = bytearray(payload)
            damaged[bit // 8] ^= 1 << bit % 8
            found = outcome(decode_integers, bytes(damaged), shape, True)
            codes.add(found if isinstance(found, str) else None)
            if not isinstance(found, str) and damaged[0] >> 5 == 7:
                steps = np.array(naive.differences(found, 6)).reshape(shape)
                assert damaged == bytes([7 * 32 + digits(np.array(found))]) + adaptive(steps, damaged[1] >> 5, False)
    assert {"RC-STREAM-WEIGHTS", "RC-STREAM-TRUNCATED"} <= codes


def test_differences_must_end_in_16_bits() -> None:
    """At the ends of their range they do not fit, and the encoder does without; sums beyond it are refused."""
    steep = np.full((4, 1, 1), -32768)
    steep[1::2] = 32767
    assert "differences" not in mode_sizes(steep)
    np.testing.assert_array_equal(decode_integers(encode_integers(steep), steep.shape, False), steep)
    inner = np.array([30000, 2767, 1]).reshape(3, 1, 1)
    for count, good in ((2, True), (3, False)):
        payload = bytes([7 * 32 + 15 + (not good)]) + adaptive(inner[:count], 2, False)
        found = outcome(decode_integers, payload, (count, 1, 1), False)
        assert found == ([30000, 32767] if good else "RC-STREAM-SYMBOL")


@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 3, 9)], ids=str)
def test_zeros_are_one_byte(shape: Shape) -> None:
    values = np.zeros(shape, np.int64)
    assert encode_integers(values) == b"\0"
    assert mode_sizes(values) == {"zeros": 1}
    assert payload_mode(b"\0") == "zeros"
    np.testing.assert_array_equal(decode_integers(b"\0", shape, False), values)
    np.testing.assert_array_equal(decode_integers_plain(b"\0", shape, False), values)
    with pytest.raises(StreamError, match=r"RC-STREAM-TRAILING: 2 bytes follow the integers \(byte 8\)"):
        decode_integers(b"\0\0\0", shape, False, 7)


@pytest.mark.parametrize("value", [1, -1, 100, -32768, 32767])
def test_constant_tensors_cost_a_few_bytes(value: int) -> None:
    values = np.full((40, 30, 9), value)
    payload = encode_integers(values)
    assert len(payload) <= 20
    np.testing.assert_array_equal(decode_integers(payload, values.shape, False), values)


def test_three_biases_cost_little_more_than_their_bits(rng: np.random.Generator) -> None:
    for bits in (6, 8, 12, 16):
        sizes = [len(encode_integers(rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (3, 1, 1)))) for _ in range(40)]
        assert sum(sizes) / 40 < 3 * bits / 8 + 4


def test_static_payloads_are_near_the_entropy(rng: np.random.Generator) -> None:
    """Table, first byte and the coder's own 8 bytes together, of 20000 Gaussian integers of 6 bits: under 40 bytes."""
    values = np.rint(rng.normal(size=(20, 1000, 1)) * 8).clip(-31, 31).astype(np.int32)
    counts = np.unique(values, return_counts=True)[1]
    entropy = -(counts * np.log2(counts / values.size)).sum() / 8
    assert entropy < mode_sizes(values)["static"] < entropy + 40


def test_static_tables_of_every_fraction_equal_naive(rng: np.random.Generator) -> None:
    values = np.rint(rng.laplace(size=(5, 20, 3)) * 9).astype(np.int32)
    lo = int(values.min())
    counts = np.bincount((values - lo).ravel())
    for fraction in range(4):
        levels = static_integers._levels(64 * counts, fraction)
        row = naive.row_of(levels.tolist(), fraction)
        for level in levels:
            assert fixed.table_frequency(int(level), fraction) == naive.frequency(int(level), fraction)
        size, table, found = static_integers._trial(counts, lo, digits(values), 64 * counts, fraction)
        assert found == row
        payload = naive.encode_static(values.ravel().tolist(), digits(values), lo, levels.tolist(), fraction)
        assert payload.startswith(table)
        restored = decode_integers(bytes([digits(values)]) + payload, values.shape, False)
        np.testing.assert_array_equal(restored, values)
        exact = -(counts[counts > 0] * np.log2(np.diff(row)[:-1][counts > 0] / 65536)).sum() + 8 * len(table)
        assert size / 65536 == pytest.approx(exact, rel=1e-4)
        assert exact / 8 < len(payload) < exact / 8 + 12
        nearest = [abs(naive.frequency(int(k), fraction) - 64 * n) for k, n in zip(levels, counts, strict=True) if n]
        others = [abs(naive.frequency(int(k) + 1, fraction) - 64 * n) for k, n in zip(levels, counts, strict=True) if n]
        assert all(a <= b for a, b in zip(nearest, others, strict=True))


# --- damage


def outcome(decoder: Callable[..., np.ndarray], payload: bytes, shape: Shape, dependent: bool) -> list[int] | str:
    """Integers or the code of a refusal."""
    try:
        return decoder(payload, shape, dependent).ravel().tolist()
    except StreamError as error:
        return error.code if 0 <= error.offset <= len(payload) else f"byte {error.offset} of {len(payload)}"


@pytest.mark.parametrize("dependent", [False, True])
def test_damaged_payloads_are_refused_or_are_payloads_of_other_integers(dependent: bool) -> None:
    """Flipped bits, cut ends, added bytes. What is accepted in an adaptive mode is what the encoder makes of it."""
    codes, accepted = set(), 0
    shape = (3, 5, 3)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        values = random_tensor(rng, int(rng.choice([2, 4, 6, 16])), shape)
        for number, payload in payloads(values, dependent).items():
            trials = [payload[:cut] for cut in rng.integers(len(payload), size=5)] + [
                payload + b"\0",
                payload + b"\xff",
            ]
            for bit in rng.integers(8 * len(payload), size=25):
                damaged = bytearray(payload)
                damaged[bit // 8] ^= 1 << bit % 8
                trials.append(bytes(damaged))
            for trial in trials:
                found = outcome(decode_integers, trial, shape, dependent)
                if isinstance(found, str):
                    codes.add(found)
                    continue
                accepted += 1
                assert all(-32768 <= value <= 32767 for value in found)
                if trial[0] >> 5 != STATIC:
                    assert naive.encode_in_mode(found, shape, trial[0] >> 5, dependent) == trial
                else:
                    assert found == naive.decode(trial, shape, dependent)
            assert outcome(decode_integers, payload + b"\0", shape, dependent) in {
                "RC-STREAM-TRAILING" if number else "RC-STREAM-TRUNCATED"
            }
    assert codes == {
        "RC-STREAM-TRUNCATED",
        "RC-STREAM-TRAILING",
        "RC-STREAM-WEIGHTS",
        "RC-STREAM-SYMBOL",
        "RC-STREAM-RANS",
    }
    assert accepted > 0


def test_random_payloads_meet_the_same_fate_everywhere() -> None:
    """Bytes drawn at random, and the payloads of drawn integers with other bytes in their middle."""
    fates = {True: 0, False: 0}
    for seed in range(400):
        rng = np.random.default_rng(seed)
        shape, dependent, number = (1, 2, int(rng.integers(1, 4))), bool(rng.integers(2)), int(rng.integers(1, 7))
        payload = bytes([32 * number + int(rng.choice([1, 2, 3, 16])), *rng.bytes(int(rng.integers(1, 6)))])
        if seed % 2:
            payload = adaptive(random_tensor(rng, int(rng.choice(BITS)), shape), number, dependent)
        if seed % 4 == 1:
            place = len(payload) // 2
            payload = payload[:place] + rng.bytes(1) + payload[place + 1 :]
        found = outcome(decode_integers, payload, shape, dependent)
        plain = outcome(decode_integers_plain, payload, shape, dependent)
        try:
            wanted = naive.decode(payload, shape, dependent)
        except naive.Refused:
            assert isinstance(found, str), seed
            assert isinstance(plain, str), seed
        else:
            assert found == plain == wanted, seed
        fates[isinstance(found, str)] += 1
    assert min(fates.values()) > 80


def test_all_payloads_of_three_bytes_are_refused_unless_the_encoder_makes_them() -> None:
    """Two integers of two digits in mode 1: what is accepted, of every payload, is what the encoder makes of all."""
    shape, made = (1, 1, 2), {}
    for values in itertools.product(range(-3, 4), repeat=2):
        if max(map(abs, values)) > 1:
            made[adaptive(np.array(values).reshape(shape), 1, False)] = list(values)
    short = {payload: values for payload, values in made.items() if len(payload) == 3}
    assert len(short) >= 15
    found = {}
    for number in range(1 << 16):
        payload = bytes([34, number >> 8, number & 255])
        values, content = np.empty(2, np.int32), np.frombuffer(payload, np.uint8)
        status, end = adaptive_integers._decode(content, 1, 2, 2, 2, False, 7, False, values)
        if status == adaptive_integers.DONE and end == 3 and digits(values) == 2:
            found[payload] = values.tolist()
    assert found == short


def static_payload(
    lo: int, hi: int, fraction: int, steps: list[int], width: int, step_digits: int | None = None
) -> bytes:
    """The first byte and the table of a static payload, right or wrong."""
    size = max(map(abs, steps)).bit_length() if step_digits is None else step_digits
    text = naive.two_complement(lo, width + 1) + naive.two_complement(hi, width + 1)
    text += format(fraction, "02b") + format(size, "04b")
    header = int(text, 2).to_bytes(-(-len(text) // 8), "big")
    coded = naive.encode_adaptive(steps, (1, 1, len(steps)), max(size, 1), 7, False, False) if steps else b""
    return bytes([width]) + header + coded


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "RC-STREAM-TRUNCATED: wanted the byte of a mode, got none"),
        (b"\xe0\x00", "RC-STREAM-WEIGHTS: no tensor has mode 7 and 0 digits"),
        (b"\xe3", "RC-STREAM-TRUNCATED: wanted the byte of a mode, got none .byte 101."),
        (b"\xe3\xe3\x00", "RC-STREAM-WEIGHTS: differences of differences .byte 101."),
        (b"\xe3\x31", "RC-STREAM-WEIGHTS: no tensor has mode 1 and 17 digits .byte 101."),
        (b"\xe3\x00\x00", "RC-STREAM-TRAILING: 1 bytes follow the integers .byte 102."),
        (b"\xe3\x00", "RC-STREAM-WEIGHTS: wanted a largest magnitude of 3 digits, got 0 .byte 100."),
        (b"\x31", "RC-STREAM-WEIGHTS: no tensor has mode 1 and 17 digits"),
        (b"\x11", "RC-STREAM-WEIGHTS: no tensor has mode 0 and 17 digits"),
        (b"\x20", "RC-STREAM-WEIGHTS: no tensor has mode 1 and 0 digits"),
        (b"\x21\xff\x80", "RC-STREAM-WEIGHTS: not the bits that the encoder leaves .byte 101."),
        (b"\x21", "RC-STREAM-TRUNCATED: the payload ends before its last integer .byte 101."),
        (b"\x03\x00", "RC-STREAM-TRUNCATED: the payload ends in its table .byte 102."),
        (static_payload(3, 2, 0, [1], 2), "RC-STREAM-WEIGHTS: no table holds 3 .. 2 .byte 101."),
        (static_payload(0, 2, 0, [1, 1, 1], 3), "RC-STREAM-WEIGHTS: no table holds 0 .. 2"),
        (static_payload(-4096, 0, 0, [1], 13), "RC-STREAM-WEIGHTS: no table holds -4096 .. 0"),
        (static_payload(0, 3, 0, [1, 1, -3, 3], 2), "RC-STREAM-WEIGHTS: a table with a level out of its range"),
        (static_payload(0, 3, 0, [1, 26, 0, 0], 2), "RC-STREAM-WEIGHTS: a table with a level out of its range"),
        (static_payload(0, 3, 0, [0, 1, 1, 1], 2), "RC-STREAM-WEIGHTS: a table with a level out of its range"),
        (static_payload(0, 3, 0, [1, 1, 1, -3], 2), "RC-STREAM-WEIGHTS: a table with a level out of its range"),
        (static_payload(0, 3, 0, [26, 0, 0, 0], 2), "RC-STREAM-WEIGHTS: the frequencies of a table exceed 2..32 - 1"),
        (static_payload(0, 3, 0, [1, 1, 1, 1], 2, 2), "RC-STREAM-WEIGHTS: wanted levels whose steps have 2 digits"),
        (static_payload(0, 3, 0, [1, 1, 1, 1], 2, 0), "RC-STREAM-WEIGHTS: a table without a level"),
        (
            static_payload(0, 3, 0, [1, 0, 0, 0], 2),
            "RC-STREAM-TRUNCATED: wanted a multiple of 4 bytes, 8 or more, got 0",
        ),
    ],
)
def test_wrong_payloads_are_refused_with_their_mistake(payload: bytes, message: str) -> None:
    with pytest.raises(StreamError, match=message):
        decode_integers(payload, (2, 2, 1), False, 100)


def test_escapes_of_a_static_table_are_refused() -> None:
    head = static_payload(0, 3, 1, [20, 0, 0, 0], 2)
    row = (naive.row_of([20, 20, 20, 20], 1), 0)
    for value, code in ((3, None), (4, "RC-STREAM-SYMBOL"), (-1, "RC-STREAM-SYMBOL")):
        payload = head + naive_entropy.encode([0, 1, 2, value], [0] * 4, [row])
        found = outcome(decode_integers, payload, (2, 2, 1), False)
        assert found == (code or [0, 1, 2, 3])


def test_magnitudes_must_have_the_digits_of_the_first_byte() -> None:
    payload = bytes([32 + 3]) + naive.encode_adaptive([1, -2, 0, 3], (2, 2, 1), 3, 7, False, False)
    with pytest.raises(
        StreamError, match=r"RC-STREAM-WEIGHTS: wanted a largest magnitude of 3 digits, got 2 \(byte 9\)"
    ):
        decode_integers(payload, (2, 2, 1), False, 9)


@pytest.mark.parametrize(("value", "good"), [(32767, True), (-32768, True), (32768, False), (-32769, False)])
def test_integers_must_have_16_bits(value: int, good: bool) -> None:
    payload = bytes([32 + 16]) + naive.encode_adaptive([-32768, value, 0], (1, 3, 1), 16, 7, False, False)
    found = outcome(decode_integers, payload, (1, 3, 1), False)
    assert found == ([-32768, value, 0] if good else "RC-STREAM-SYMBOL")
    assert outcome(decode_integers_plain, payload, (1, 3, 1), False) == found


def test_arguments_must_be_integers_of_three_axes() -> None:
    with pytest.raises(ShapeError, match=r"wanted \(O, I, K\), each 1 or more, got \(3,\)"):
        encode_integers(np.zeros(3, int))
    with pytest.raises(ShapeError, match=r"got \(3, 0, 1\)"):
        mode_sizes(np.zeros((3, 0, 1), int))
    with pytest.raises(ShapeError, match=r"got \(3, 0, 1\)"):
        decode_integers(b"\0", (3, 0, 1), False)
    with pytest.raises(RangeError, match="values: wanted integers, got float64"):
        encode_integers(np.zeros((1, 1, 1)))
    with pytest.raises(RangeError, match=r"values: wanted -32768 .. 32767, got 0 .. 32768"):
        encode_integers(np.array([0, 32768]).reshape(1, 1, 2))


# --- the compiled kernels


@pytest.mark.parametrize("kernel", [adaptive_integers._encode, adaptive_integers._decode], ids=["encode", "decode"])
def test_compiled_kernels_hold_no_float(kernel: numba.core.dispatcher.Dispatcher) -> None:
    """Numba joins a uint64 and an int64 to a double; small numbers come out right, so no result would show it."""
    decode_integers(adaptive(np.ones((1, 1, 1), int), 1, False), (1, 1, 1), False)
    assert kernel.signatures
    for signature in kernel.signatures:  # those of arrays that other tests froze may have come before
        fresh = numba.njit(kernel.py_func)
        fresh.compile(signature)
        assert "double" not in fresh.inspect_llvm(fresh.signatures[0])


UNCOMPILED = """
import json, sys
import numpy as np
from refcodec.entropy.weight_coding import decode_integers, encode_integers
from refcodec.errors import StreamError
shape, values = json.loads(sys.argv[1])
payload = encode_integers(np.array(values).reshape(shape), True)
found = [payload.hex()]
for bit in range(0, 8 * len(payload), 5):
    damaged = bytearray(payload)
    damaged[bit // 8] ^= 1 << bit % 8
    try:
        found.append(decode_integers(bytes(damaged), tuple(shape), True).ravel().tolist())
    except StreamError as error:
        found.append(error.code)
print(json.dumps(found))
"""


def test_plain_python_kernels_equal_compiled(run_uncompiled: Callable[..., str], rng: np.random.Generator) -> None:
    """Same bytes, integers and errors with warnings as errors: nothing wraps on the way."""
    values = random_tensor(rng, 16, (4, 3, 3))
    payload = encode_integers(values, True)
    found = json.loads(run_uncompiled(UNCOMPILED, json.dumps([values.shape, values.ravel().tolist()])))
    assert found[0] == payload.hex()
    for bit, other in zip(range(0, 8 * len(payload), 5), found[1:], strict=True):
        damaged = bytearray(payload)
        damaged[bit // 8] ^= 1 << bit % 8
        assert outcome(decode_integers, bytes(damaged), values.shape, True) == other
