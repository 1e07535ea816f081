"""The adaptive binary coder: kernels, definition and long-integer oracle agree; every payload has one meaning."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable

import naive_weight_coding as naive
import numpy as np
import pytest

from refcodec import fixed
from refcodec.entropy import adaptive_binary as binary
from refcodec.errors import StreamError

Step = tuple[int, int]  # context, or -1 for even chances; bit


def encode(steps: list[Step], slowest: int) -> bytes:
    """The payload of steps, by the kernels; bytes are written as late as may be."""
    contexts, content = [binary.NEW_CONTEXT] * 4, np.zeros(len(steps) + 4, np.uint8)
    low, interval, pending, written = 0, binary.START_INTERVAL, binary.START_BITS, 0
    for k, bit in steps:
        if pending > binary.MOST_PENDING - binary.LONGEST_BIN:
            written, low, pending = binary.write_bytes(content, written, low, pending)
        if k < 0:
            low, pending = binary.put_even_bit(low, interval, pending, bit)
        else:
            low, interval, pending, contexts[k] = binary.put_bit(low, interval, pending, contexts[k], slowest, bit == 1)
    return content[: binary.finish_bytes(content, written, low, pending)].tobytes()


def decode(payload: bytes, names: list[int], slowest: int, begin: int = 0) -> tuple[list[int], int]:
    """Bits and the byte after them, by the kernels; bytes are read as late as may be."""
    contexts, content, bits, interval = [binary.NEW_CONTEXT] * 4, np.frombuffer(payload, np.uint8), [], 510
    place, value, ready = binary.start_bytes(content, begin)
    binary.refuse(binary.MALFORMED if value >> ready >= interval else binary.DONE, begin)
    for k in names:
        if ready < binary.LONGEST_BIN:
            place, value, ready = binary.read_bytes(content, place, value, ready)
        if k < 0:
            bit, value, ready = binary.take_even_bit(value, interval, ready)
        else:
            bit, value, interval, ready, contexts[k] = binary.take_bit(value, interval, ready, contexts[k], slowest)
        bits.append(bit)
    end = binary.end_of(place, ready)
    binary.refuse(binary.finish(content, place, value, ready), end)
    return bits, end


def decode_plain(payload: bytes, contexts: list[int], slowest: int, begin: int = 0) -> tuple[list[int], int]:
    """The same by the definition."""
    decoder = binary.PlainDecoder(payload, begin, slowest)
    bits = [decoder.even_bit() if context < 0 else decoder.bit(context) for context in contexts]
    decoder.finish()
    return bits, decoder.end


def decode_naive(payload: bytes, contexts: list[int], slowest: int) -> tuple[list[int], int]:
    """The same by the oracle."""
    decoder = naive.Decoder(payload, slowest)
    bits = [decoder.even() if context < 0 else decoder.bit(context) for context in contexts]
    return bits, decoder.end()


def encode_naive(steps: list[Step], slowest: int) -> bytes:
    """The payload by the oracle."""
    encoder = naive.Encoder(slowest)
    for context, bit in steps:
        if context < 0:
            encoder.even(bit)
        else:
            encoder.bit(context, bit)
    return encoder.payload()


def random_steps(rng: np.random.Generator) -> list[Step]:
    """Bits with and without contexts; some contexts nearly certain, some runs long."""
    count = int(rng.choice([0, 1, 2, 8, 60, 400]))
    contexts = rng.choice([-1, 0, 1, 2, 3], count, p=[0.3, 0.3, 0.2, 0.1, 0.1])
    chances = np.array([rng.choice([0.0, 0.01, 0.5, 0.99, 1.0]) for _ in range(4)] + [rng.choice([0.0, 0.5, 1.0])])
    bits = rng.random(count) < chances[contexts]
    return list(zip(contexts.tolist(), bits.astype(int).tolist(), strict=True))


# --- scalars


def test_rare_width_of_all_probabilities_keeps_both_parts_in_reach() -> None:
    """The rare part is 2 .. 254 and less than half, so one doubling is enough after the likely bit, seven otherwise."""
    for interval in (256, 510):
        widths = [fixed.rare_width(probability, interval) for probability in range(1 << 16)]
        assert widths == widths[::-1]
        assert min(widths) == 2
        assert max(widths) * 2 < interval
    for probability, interval in itertools.product((0, 100, 32767, 32768, 65535), range(256, 511)):
        context = naive.Context()
        context.chance = probability
        wanted = context.split(interval)[1]
        assert fixed.rare_width(probability, interval) == binary.rare_width(probability, interval) == wanted


@pytest.mark.parametrize("slowest", [7, 8, 9])
def test_adapt_equals_naive_and_stays_within_16_bits(slowest: int, rng: np.random.Generator) -> None:
    for chance in (0.0, 0.003, 0.5, 0.9, 1.0):
        packed, plain, context = binary.NEW_CONTEXT, (32768, 0), naive.Context()
        for bit in (rng.random(1500) < chance).astype(int).tolist():
            packed = binary.adapt(packed, slowest, bit == 1)
            plain = fixed.adapt(*plain, slowest, bit)
            context.learn(bit, slowest)
            assert plain == divmod(packed, 256) == (context.chance, context.uses)
            assert 0 <= plain[0] <= 65535
        assert plain[1] == 2 ** (slowest - 1) - 1


def test_adapt_learns_by_a_quarter_first_and_by_the_slowest_rate_last() -> None:
    assert fixed.adapt(32768, 0, 7, 1) == (32768 + (32767 >> 2), 1)
    assert fixed.adapt(32768, 2, 7, 0) == (32768 - 8192, 3)
    assert fixed.adapt(32768, 3, 7, 0) == (32768 - 4096, 4)
    assert fixed.adapt(32768, 63, 7, 0) == (32768 - 256, 63)
    assert fixed.adapt(32768, 255, 9, 0) == (32768 - 64, 255)


# --- payloads


def test_payloads_equal_naive_and_are_decoded_by_all_three() -> None:
    for seed in range(300):
        rng = np.random.default_rng(seed)
        steps, slowest = random_steps(rng), int(rng.integers(7, 10))
        contexts, bits = [context for context, _ in steps], [bit for _, bit in steps]
        payload = encode(steps, slowest)
        assert payload == encode_naive(steps, slowest), seed
        wanted = (bits, len(payload))
        assert decode(payload, contexts, slowest) == wanted, seed
        if seed % 4 == 0:
            assert decode_plain(payload, contexts, slowest) == wanted, seed
            assert decode_naive(payload, contexts, slowest) == wanted, seed


@pytest.mark.parametrize("count", [9, 12, 17, 18, 25, 60])
def test_carries_run_through_whole_bytes_of_ones(count: int) -> None:
    """Even bits keep the low end just under a quarter, so that it begins 00111..., until the last one lifts it over."""
    encoder, quarter, bits = naive.Encoder(7), 128, []
    for _ in range(count):
        quarter *= 2
        bits.append(encoder.even(int(2 * encoder.low + encoder.interval < quarter)))
    assert encoder.low < quarter <= encoder.low + encoder.interval
    assert format(encoder.low, f"0{encoder.bits}b").startswith("00" + "1" * max(0, count - 8))
    while encoder.low < quarter:
        quarter *= 2
        bits.append(encoder.even(1))
    steps = [(-1, bit) for bit in bits] + [(0, 1)] * 20
    payload = encode(steps, 7)
    assert payload == encode_naive(steps, 7)
    assert payload[0] == 0x40
    assert decode(payload, [context for context, _ in steps], 7) == ([bit for _, bit in steps], len(payload))


def test_a_payload_may_begin_anywhere_and_others_may_follow() -> None:
    steps = random_steps(np.random.default_rng(3)) + [(0, 1), (-1, 0), (1, 1)] * 5
    contexts, bits = [context for context, _ in steps], [bit for _, bit in steps]
    payload = encode(steps, 8)
    for decoder in (decode, decode_plain):
        assert decoder(b"\xff\x12" + payload + b"\x80\xff", contexts, 8, 2) == (bits, 2 + len(payload))


def test_all_short_payloads_are_refused_unless_the_encoder_makes_them() -> None:
    """Two bytes whose last three bits, of which none is taken, are 000 or 001: all that are made are accepted."""
    contexts = [0, -1, 0]
    made = {}
    for bits in itertools.product((0, 1), repeat=len(contexts)):
        made[encode(list(zip(contexts, bits, strict=True)), 7)] = list(bits)
    assert len(made) == 8
    found = {}
    for number in range(0, 1 << 16, 8):
        for payload in (number.to_bytes(2, "big"), (number + 1).to_bytes(2, "big")):
            with contextlib.suppress(StreamError):
                found[payload] = decode(payload, contexts, 7)[0]
    assert found == made


@pytest.mark.parametrize("decoder", [decode, decode_plain])
def test_damage_at_either_end_is_named(decoder: Callable[[bytes, list[int], int], object]) -> None:
    steps = [(0, 1), (1, 0), (-1, 1)] * 20
    contexts, payload = [context for context, _ in steps], encode(steps, 7)
    with pytest.raises(StreamError, match=r"RC-STREAM-WEIGHTS: not the bits that the encoder leaves \(byte 0\)"):
        decoder(b"\xff\xff" + payload, contexts, 7)
    with pytest.raises(StreamError, match="RC-STREAM-TRUNCATED: the payload ends before its last integer"):
        decoder(payload[:-1], contexts, 7)
    with pytest.raises(StreamError, match=r"RC-STREAM-WEIGHTS: not the bits that the encoder leaves \(byte \d+\)"):
        decoder(payload[:-1] + bytes([payload[-1] ^ 1]), contexts, 7)


def test_rates_are_near_the_entropy(rng: np.random.Generator) -> None:
    """9 bits of interval, 16 of probability: within 0.5 % where chances do not change."""
    for chance in (0.5, 0.2, 0.03):
        bits = (rng.random(20000) < chance).astype(int).tolist()
        ones = sum(bits) / len(bits)
        entropy = -len(bits) * (ones * np.log2(ones) + (1 - ones) * np.log2(1 - ones))
        size = 8 * len(encode([(0, bit) for bit in bits], 9))
        assert entropy < size < 1.005 * entropy + 60
